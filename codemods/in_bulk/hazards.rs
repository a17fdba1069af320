//! What could make rows that are loaded before the loop differ from those that each round looks up.

use super::find::{Match, Missing};
use super::keys::{Keys, Round, Source, source};
use ormend_engine::codemod::eager::{Step, stale_copies};
use ormend_engine::codemod::foreign_key::{Held, forward, held, referenced};
use ormend_engine::codemod::guards::callers::call_sites;
use ormend_engine::codemod::guards::handlers::{taking, taking_outside};
use ormend_engine::codemod::guards::projection::{has_plain_rows, row_changes};
use ormend_engine::codemod::guards::queryset::{Reading, link, reading_of, shape};
use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::django::{FieldKind, ModelId};
use ormend_engine::infer::{Escape, Event, EventKind, QuerySet, Root, Rows, Trait, Type};
use ormend_engine::python::{Argument, Expr, Kind, Node, arguments, innermost_loop, string_value};

/// Methods that must be Django's own.
const METHODS: &[&str] = &["get", "filter", "first", "in_bulk", "_chain", "_clone"];

/// Hazards of a lookup.
pub fn hazards<'a>(cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
    if let Some(node) = found.varying {
        out.push(cx.hazard(HazardKind::RowCondition, one_line(node), node));
    }
    if found.is_computed {
        return;
    }
    of_queryset(cx, found, out);
    of_source(cx, found, out);
    of_key(cx, found, out);
    missing(cx, found, out);
    changed(cx, found, out);
    shared(cx, found, out);
    more(cx, found, out);
}

fn of_queryset<'a>(cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
    match reading_of(cx, cx.type_of(found.receiver), METHODS) {
        Reading::Standard => {}
        Reading::Custom(name, site) => out.push(Hazard::at(HazardKind::CustomQuerySet, name, site)),
        Reading::Unknown => {
            out.push(cx.hazard(HazardKind::CustomQuerySet, found.receiver.text(), found.receiver));
        }
    }
    if let Some(qs) = found.queryset {
        row_changes(cx, qs, out);
        let refused = [
            Trait::Sliced,
            Trait::Combined,
            Trait::Raw,
            Trait::DistinctOn,
            Trait::Dates,
            Trait::Grouped,
            Trait::Locked,
            Trait::LockedOf,
        ];
        shape(cx, qs, found.receiver, &refused, out);
        // A row that comes twice makes get() raise.
        if (qs.is(Trait::ToMany) || qs.is(Trait::OpaqueLookup)) && !qs.is(Trait::Distinct) {
            out.push(cx.hazard(HazardKind::QuerySetShape, "a join to several rows", found.receiver));
        }
    }
    if let Type::Manager(manager) = cx.type_of(found.receiver)
        && manager.related.is_some()
        && !has_plain_rows(cx, found.model)
    {
        out.push(cx.hazard(HazardKind::CustomQuerySet, found.receiver.text(), found.receiver));
    }
}

/// What the loop goes through must be there before it, and stay as it is.
fn of_source<'a>(cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
    let iter = found.round.iter;
    let subject = || iter.text().lines().next().unwrap_or_default().to_owned();
    if found.keys.is_none() {
        out.push(cx.hazard(HazardKind::ChangingSource, subject(), iter));
        return;
    }
    // A loop that names what it goes through may add to it.
    let names: Vec<&str> =
        iter.descendants().filter(|n| n.kind() == Kind::Name && !is_called(*n)).map(Node::text).collect();
    if let Some(used) = used(cx, &found.round, &names, &[iter]) {
        out.push(cx.hazard(HazardKind::ChangingSource, subject(), used));
    }
}

/// Where the loop does more with a collection than to read it, apart from `except`: it may be another one afterwards.
pub fn used<'a>(
    cx: &Context<'a>,
    round: &Round<'a>,
    names: &[&str],
    except: &[Node<'a>],
) -> Option<Node<'a>> {
    let reads_only = |n: Node<'a>| {
        let Some(parent) = n.with_parens().parent() else { return false };
        match Expr::of(parent) {
            Expr::Subscript { value, .. } => value.peel() == n && !parent.is_binding(),
            Expr::Compare { .. } => true,
            Expr::Call { func, .. } => !func.contains(n.id()),
            _ => parent.kind() == Kind::Arguments && is_measure(cx, parent),
        }
    };
    round.body.descendants().find(|n| {
        n.kind() == Kind::Name
            && names.contains(&n.text())
            && !except.iter().any(|e| e.contains(n.id()))
            && !n.is_label()
            && is_collection(cx, *n)
            && !reads_only(*n)
    })
}

fn is_collection<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    matches!(cx.type_of(node), Type::List(_) | Type::Set(_) | Type::Dict(_) | Type::Unknown)
}

/// Whether these are the arguments of a builtin that only looks at what it is given.
pub fn is_measure<'a>(cx: &Context<'a>, list: Node<'a>) -> bool {
    let Some(Expr::Call { func, .. }) = list.parent().map(Expr::of) else { return false };
    let is_builtin = matches!(cx.type_of(func), Type::Def(ormend_engine::python::Def::External(p)) if p.starts_with("builtins."));
    is_builtin && matches!(func.text(), "len" | "max" | "min" | "sum" | "sorted" | "bool" | "str" | "print")
}

fn is_called(node: Node<'_>) -> bool {
    node.parent()
        .is_some_and(|p| p.kind() == Kind::Call && node.field() == ormend_engine::python::Field::Function)
        || node.is_label()
}

/// A key must have the type of the column: `"1"` finds row 1, and is no key of a dict of rows.
fn of_key<'a>(cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
    let is_same = match key_column(cx, found).and_then(|(model, name)| stored(cx, model, &name)) {
        Some((kind, _)) => kind == found.field.kind || is_number(kind) && is_number(found.field.kind),
        None => matches!(
            (found.field.kind, cx.type_of(found.key).without_none()),
            (FieldKind::Auto | FieldKind::Integer, Type::Int)
                | (FieldKind::Char, Type::Str)
                | (FieldKind::Uuid, Type::Column(FieldKind::Uuid))
        ),
    };
    if !is_same {
        out.push(cx.hazard(HazardKind::ValueMayDiffer, found.key.text(), found.key));
    }
    if let Expr::Attribute { value: owner, attr, .. } = Expr::of(found.key)
        && let Some(instance) = cx.type_of(owner).instance()
    {
        let model = cx.model(instance.model);
        let field = model.field_by_attname(attr).or_else(|| model.primary_key().filter(|_| attr == "pk"));
        let mut columns = vec![attr];
        columns.extend(field.iter().flat_map(|f| [f.name.as_str(), f.attname.as_str()]));
        match held(cx, instance, owner, &columns, 0) {
            Held::Loaded | Held::Created => {}
            Held::Changed(site) => out.push(Hazard::at(HazardKind::KeyChanged, found.key.text(), site)),
            Held::Constructed => out.push(cx.hazard(HazardKind::HandedIn, owner.text(), owner)),
            Held::HandedIn(site) => out.push(Hazard::at(HazardKind::HandedIn, owner.text(), site)),
        }
    }
}

fn is_number(kind: FieldKind) -> bool {
    matches!(kind, FieldKind::Auto | FieldKind::Integer)
}

/// The column that the key is, where it is one: of a row, of a dict of `values()`, of what `values_list()` gives.
fn key_column<'a>(cx: &Context<'a>, found: &Match<'a>) -> Option<(ModelId, String)> {
    if let Expr::Attribute { value, attr, .. } = Expr::of(found.key)
        && let Some(instance) = cx.type_of(value).instance()
    {
        return Some((instance.model, attr.to_owned()));
    }
    let Source { queryset: qs, target } = source(cx, found.round.target, found.round.iter, 0)?;
    let is_plain = qs.values.len() == 1 && !qs.is(Trait::Combined) && !qs.is(Trait::RawSql);
    let is_row = |value: Node<'a>| value.peel().text() == target.peel().text();
    let name = match Expr::of(found.key) {
        Expr::Subscript { value, index, .. } if qs.rows == Rows::Dicts => {
            let name = string_value(index).filter(|_| is_row(value))?;
            // `values(author_id=F("editor_id"))`
            let given = columns_of(cx, qs, "values")?;
            if is_filled(cx, &name) || given.iter().any(|a| a.name == Some(name.as_str())) {
                return None;
            }
            name
        }
        Expr::Subscript { value, index, .. } if qs.rows == Rows::Tuples && is_row(value) => {
            let Expr::Int(position) = Expr::of(index) else { return None };
            listed(cx, qs, position.parse().ok()?)?
        }
        Expr::Name(name) => {
            let position = match Expr::of(target) {
                Expr::Name(target) => {
                    matches!(qs.rows, Rows::Flat(_)).then_some(0).filter(|_| target == name)?
                }
                _ => {
                    let mut parts = target.peel().children();
                    parts.position(|part| part.peel().text() == name).filter(|_| qs.rows == Rows::Tuples)?
                }
            };
            listed(cx, qs, position)?
        }
        _ => return None,
    };
    (is_plain && !qs.annotations.contains(name.as_str())).then_some((qs.model, name))
}

/// What `values_list()` names at that place.
fn listed<'a>(cx: &Context<'a>, qs: &QuerySet, position: usize) -> Option<String> {
    let given = columns_of(cx, qs, "values_list")?;
    string_value(given.iter().filter(|a| a.name.is_none()).nth(position)?.value)
}

/// Whether anything in the function may put something else into an item of that name.
fn is_filled(cx: &Context<'_>, name: &str) -> bool {
    cx.scope().descendants().any(|n| match Expr::of(n) {
        Expr::Subscript { index, .. } => {
            n.kind() == Kind::Subscript
                && n.is_binding()
                && string_value(index).is_none_or(|written| written == name)
        }
        _ => false,
    })
}

/// The arguments of the last call of `values()` or `values_list()` that made a queryset.
fn columns_of<'a>(cx: &Context<'a>, qs: &QuerySet, method: &str) -> Option<Vec<Argument<'a>>> {
    let call = link(cx, qs, |node| {
        matches!(Expr::of(node), Expr::Call { func, .. }
            if matches!(Expr::of(func), Expr::Attribute { attr, .. } if attr == method))
    })?;
    let Expr::Call { arguments: list, .. } = Expr::of(call) else { return None };
    let all = arguments(list);
    (!all.iter().any(|a| a.stars > 0)).then_some(all)
}

/// What kind of value the column `name` of a model stores, and whether it is certainly the key of a row of another model.
fn stored(cx: &Context<'_>, model: ModelId, name: &str) -> Option<(FieldKind, Option<ModelId>)> {
    let info = cx.model(model);
    let field = match name {
        "pk" => info.primary_key()?,
        _ => info.field_by_attname(name).or_else(|| info.field(name))?,
    };
    let Some(relation) = forward(field) else {
        let own = field.primary_key.then_some(info.concrete);
        return (field.relation.is_none() && !field.has_hooks).then_some((field.kind, own));
    };
    let key = referenced(cx.project, relation).filter(|f| f.relation.is_none() && !f.has_hooks)?;
    let is_certain = key.primary_key && !field.null && relation.db_constraint && info.is_managed;
    let target = relation.target.filter(|_| is_certain).map(|t| cx.model(t).concrete);
    Some((key.kind, target))
}

/// A row that is missing must be noticed as before.
fn missing<'a>(cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
    if !matches!(found.missing, Missing::Raises) || is_there(cx, found) {
        return;
    }
    let errors =
        ["DoesNotExist", "ObjectDoesNotExist", "KeyError", "LookupError", "Exception", "BaseException"];
    match taking(cx, cx.file, found.call, &errors).or_else(|| taking_outside(cx, &errors)) {
        Some(site) => out.push(Hazard::at(HazardKind::HandlerAround, "", site)),
        None => out.push(cx.hazard(HazardKind::OtherError, one_line(found.call), found.call)),
    }
}

fn one_line(node: Node<'_>) -> String {
    ormend_engine::codemod::guards::writes::one_line(node.text())
}

/// Whether every key certainly has a row: it is a foreign key to the table, or the key of a row of it, and all rows are
/// looked at.
fn is_there<'a>(cx: &Context<'a>, found: &Match<'a>) -> bool {
    let Type::Manager(manager) = cx.type_of(without_loading(found.receiver)) else { return false };
    let is_all = manager.related.is_none()
        && manager.name.as_deref().is_some_and(|name| cx.project.is_plain_manager(found.model, name));
    if !is_all || found.field_name != "pk" || !found.conditions.is_empty() {
        return false;
    }
    key_column(cx, found)
        .and_then(|(model, name)| stored(cx, model, &name)?.1)
        .is_some_and(|target| target == cx.model(found.model).concrete)
}

/// The receiver before calls that say nothing of which rows there are.
fn without_loading(receiver: Node<'_>) -> Node<'_> {
    let mut node = receiver.peel();
    while let Expr::Call { func, .. } = Expr::of(node)
        && let Expr::Attribute { value, attr, .. } = Expr::of(func)
        && matches!(attr, "all" | "select_related" | "prefetch_related" | "only" | "defer" | "order_by")
    {
        node = value.peel();
    }
    node
}

/// Nothing in the loop may change the rows.
fn changed<'a>(cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
    let of = |model| Step {
        from: model,
        to: model,
        attribute: String::new(),
        lookup: String::new(),
        is_forward: false,
        may_be_none: true,
        attname: String::new(),
        is_many: false,
        is_generic: false,
        through: None,
        is_linked: false,
        back: None,
    };
    let mut steps = vec![of(found.model)];
    if let Some(qs) = found.queryset {
        steps.extend(qs.joined.iter().map(|m| of(*m)));
    }
    let body = found.round.body;
    let mut written = Vec::new();
    stale_copies(cx.project, cx.facts.events().filter(|e| body.contains(e.at)), &steps, &mut written);
    for hazard in written {
        out.push(match hazard.kind {
            HazardKind::StaleCopy => {
                Hazard { kind: HazardKind::ReadsItsOwnWrites, subject: one_line(found.call), ..hazard }
            }
            _ => hazard,
        });
    }
    // Whoever goes through what a generator gives may write between two rounds.
    let suspends = |n: &Node<'_>| matches!(n.kind(), Kind::Yield | Kind::Await);
    if let Some(node) =
        body.descendants().find(|n| suspends(n) && n.enclosing_scope() == body.enclosing_scope())
    {
        out.push(cx.hazard(HazardKind::UnknownWrite, "yield", node));
    }
}

/// Two rounds with one key get one instance.
fn shared<'a>(cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
    if is_distinct(cx, found) {
        return;
    }
    let Some(row) = cx.type_of(found.call).instance() else { return };
    let is_it = |root: &Root| *root == row.root && *root != Root::Opaque;
    let writes = |e: &Event<'_>| match &e.kind {
        EventKind::WriteAttribute { root, .. } => is_it(root),
        EventKind::InstanceMethod { root, name, .. } => is_it(root) && matches!(&**name, "refresh_from_db"),
        _ => false,
    };
    if let Some(event) = cx.facts.events().find(writes) {
        out.push(Hazard::at(HazardKind::SharedRow, text_at(cx, event), event.site));
        return;
    }
    let escapes = cx.facts.events().any(|e| {
        matches!(&e.kind, EventKind::InstanceEscapes { root, how, .. }
            if is_it(root) && matches!(how, Escape::Return | Escape::Yield | Escape::Store | Escape::Container))
    });
    let is_kept = escapes || found.round.node.kind().is_comprehension();
    if !is_kept {
        return;
    }
    // Others that get the rows.
    let own = assigned(cx, cx.scope(), found, found.round.node);
    let by_callers = || {
        let sites = call_sites(cx);
        sites.iter().filter(|s| !cx.project.is_test_file(s.file)).take(12).find_map(|site| {
            let facts = site.facts(cx);
            let caller = Context { file: site.file, facts: &facts, ..*cx };
            let (scope, call) = (caller.scope(), caller.node(site.call.id()));
            assigned(&caller, scope, found, call)
        })
    };
    if let Some((subject, site)) = own.or_else(by_callers) {
        out.push(Hazard::at(HazardKind::SharedRow, subject, site));
    }
}

/// Where an attribute of something that may be one of the rows is assigned, behind `after`.
fn assigned<'a>(
    cx: &Context<'a>,
    scope: Node<'a>,
    found: &Match<'_>,
    after: Node<'a>,
) -> Option<(String, ormend_engine::codemod::Site)> {
    let may_be_row = |owner: Node<'a>| match cx.type_of(owner).without_none() {
        Type::Instance(instance) => instance.model == found.model,
        Type::Unknown | Type::Union(_) => !matches!(Expr::of(owner), Expr::Name("self" | "cls")),
        _ => false,
    };
    let assigns = |n: &Node<'a>| match Expr::of(*n) {
        Expr::Attribute { value, .. } => n.kind() == Kind::Attribute && n.is_binding() && may_be_row(value),
        Expr::Call { func, .. } => n.kind() == Kind::Call && matches!(Expr::of(func), Expr::Name("setattr")),
        _ => false,
    };
    let node = scope.descendants().filter(|n| n.id() > after.id()).find(assigns)?;
    Some((one_line(node), cx.site(node)))
}

fn text_at(cx: &Context<'_>, event: Event<'_>) -> String {
    let source = &cx.project.program().file(event.site.file).source;
    source.slice(event.site.span).lines().next().unwrap_or_default().to_owned()
}

/// Whether no key comes twice.
fn is_distinct<'a>(cx: &Context<'a>, found: &Match<'a>) -> bool {
    match found.keys {
        Some(Keys::All(keys)) => matches!(cx.type_of(keys), Type::Set(_) | Type::Dict(_)),
        _ => false,
    }
}

/// Whether making the key may raise, which is no matter where it is made for the round alone.
fn may_raise(found: &Match<'_>) -> bool {
    found.key.peel().kind() == Kind::Call
}

/// Rounds that end early, or look nothing up.
fn more<'a>(cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
    let round = &found.round;
    let conditional = found.call.ancestors().take_while(|a| *a != round.node).find(|a| {
        matches!(
            a.kind(),
            Kind::If | Kind::IfExp | Kind::While | Kind::MatchCase | Kind::BoolOp | Kind::Lambda
        ) && !test_of(*a).is_some_and(|t| t.contains(found.call.id()))
            || a.kind() == Kind::ExceptHandler
    });
    let condition = conditional.map(|c| test_of(c).unwrap_or(c));
    let of_clause = round.node.kind().is_comprehension().then(|| {
        ormend_engine::python::generators(round.node).first().and_then(|g| g.conditions.first().copied())
    });
    let of_clause = of_clause.flatten().filter(|c| !c.contains(found.call.id()));
    let leaves = || {
        round.body.descendants().find(|n| {
            n.enclosing_scope() == round.body.enclosing_scope()
                && match n.kind() {
                    Kind::Return => true,
                    Kind::Break => innermost_loop(*n) == Some(round.node),
                    Kind::Continue => innermost_loop(*n) == Some(round.node) && n.id() < found.call.id(),
                    _ => false,
                }
                && !is_in_handler(found, *n)
        })
    };
    let cause = condition.or(of_clause).or_else(leaves);
    if let Some(node) = cause {
        // What is tested may be whether there is a key at all.
        let (kind, at) = match may_raise(found) {
            true => (HazardKind::RowCondition, found.key),
            false => (HazardKind::LoadsMore, node),
        };
        out.push(cx.hazard(kind, one_line(at), at));
    }
    let errors = ["ValueError", "TypeError", "Exception", "BaseException"];
    if may_raise(found)
        && let Some(site) = taking(cx, cx.file, found.call, &errors)
            .filter(|s| cx.node(found.round.node.id()).span().start <= s.span.start)
    {
        out.push(Hazard::at(HazardKind::HandlerAround, "", site));
    }
}

/// `return` where a row is missing: the rounds after it are few where rows are expected.
fn is_in_handler(found: &Match<'_>, node: Node<'_>) -> bool {
    matches!(&found.missing, Missing::Caught(caught)
        if caught.handler.body.contains(node.id()) && node.kind() == Kind::Continue)
}

fn test_of(node: Node<'_>) -> Option<Node<'_>> {
    match Expr::of(node) {
        Expr::IfExp { test, .. } => Some(test),
        Expr::BoolOp { left, .. } => Some(left),
        _ => node.child(ormend_engine::python::Field::Condition),
    }
}
