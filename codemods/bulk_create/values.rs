//! The values that rows are made of: their keys, what they share, and the database they go to.

use super::find::{How, Loop, Row};
use ormend_engine::codemod::guards::maker::may_be_mutable;
use ormend_engine::codemod::guards::writes::{one_line, shares_table};
use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::django::{FieldKind, Model, ModelId};
use ormend_engine::infer::{EventKind, Root, Type};
use ormend_engine::python::{Argument, Expr, Field, Kind, Node, Stmt, arguments, innermost_loop};

/// Everything about the values of the loop's rows.
pub fn values(cx: &Context<'_>, found: &Loop<'_>, out: &mut Vec<Hazard>) {
    for row in &found.rows {
        key(cx, row, out);
        shared(cx, found, row, out);
        contents(cx, found, row, out);
        subqueries(cx, found, row, out);
        database(cx, found, row, out);
    }
}

/// A variable that holds a subquery over a table of the loop: each insert asks it anew.
fn subqueries(cx: &Context<'_>, found: &Loop<'_>, row: &Row<'_>, out: &mut Vec<Hazard>) {
    let touches = |model: ModelId| found.rows.iter().any(|r| shares_table(cx.project, model, r.model));
    for name in row.arguments().iter().flat_map(|a| names_in(a.value)) {
        for target in cx.scope().mentions(name.text()) {
            let Some(Stmt::Assign { value: Some(value), .. }) = target.statement().map(Stmt::of) else {
                continue;
            };
            if !target.is_binding() || found.node.contains(target.id()) {
                continue;
            }
            let is_lazy = value.descendants().any(|n| match Expr::of(n) {
                Expr::Call { func, .. } if n.kind() == Kind::Call => {
                    let name = func.text().rsplit('.').next().unwrap_or("");
                    name.ends_with("Subquery") || name == "Exists"
                }
                _ => false,
            });
            let reads = value.descendants().any(|n| match cx.type_of(n) {
                Type::QuerySet(qs) => touches(qs.model) || qs.joined.iter().any(|m| touches(*m)),
                Type::Manager(manager) => touches(manager.model),
                _ => false,
            });
            if is_lazy && reads {
                out.push(cx.hazard(HazardKind::ReadsItsOwnWrites, name.text(), value));
            }
        }
    }
}

fn names_in(value: Node<'_>) -> Vec<Node<'_>> {
    value.descendants().filter(|n| n.kind() == Kind::Name).collect()
}

fn is_key(model: &Model, name: &str) -> bool {
    name == "pk" || model.primary_key().is_some_and(|k| k.name == name || k.attname == name)
}

fn key(cx: &Context<'_>, row: &Row<'_>, out: &mut Vec<Hazard>) {
    let model = cx.model(row.model);
    let args = row.arguments();
    let updates = matches!(&row.how, How::Save { inserts: false, .. });
    if let Some(maker) = row.maker() {
        maker.hazards(cx, out);
        if key_is_assigned(cx, row, model) {
            out.push(cx.hazard(HazardKind::ExistingRow, one_line(row.constructor().text()), row.call));
        }
        return;
    }
    if updates {
        let given = args.iter().any(|a| match (a.name, a.stars) {
            (Some(name), _) => is_key(model, name),
            // Positions and dictionaries may hold it.
            (None, _) => true,
        });
        if given || key_is_assigned(cx, row, model) {
            let subject = match row.name() {
                Some(name) => name.text().to_owned(),
                None => one_line(row.constructor().text()),
            };
            out.push(cx.hazard(HazardKind::ExistingRow, subject, row.call));
        }
        return;
    }
    // Rows with a key are written before those without one.
    let automatic = model.primary_key().is_some_and(|k| k.kind == FieldKind::Auto);
    for argument in args.iter().filter(|a| a.name.is_some_and(|n| is_key(model, n))) {
        let known = matches!(
            cx.type_of(argument.value),
            Type::Int | Type::Str | Type::Float | Type::Bool | Type::Instance(_) | Type::Column(_)
        );
        if automatic && !known {
            out.push(cx.hazard(HazardKind::ValueMayDiffer, one_line(argument.value.text()), argument.value));
        }
    }
    if automatic && key_is_assigned(cx, row, model) {
        let subject = row.name().map_or("pk", |n| n.text());
        out.push(cx.hazard(HazardKind::ValueMayDiffer, format!("{subject}.pk"), row.call));
    }
}

/// Whether the key of an instance may be assigned between its making and its save.
fn key_is_assigned(cx: &Context<'_>, row: &Row<'_>, model: &Model) -> bool {
    let How::Save { .. } = &row.how else { return false };
    let Some(name) = row.instance() else { return true };
    let Type::Instance(instance) = cx.type_of(name) else { return true };
    let Root::Value(id) = instance.root else { return true };
    let written = cx.facts.events().any(|e| match &e.kind {
        EventKind::WriteAttribute { root: Root::Value(v), path, name } => {
            *v == id && path.is_empty() && (is_key(model, name) || &**name == "*")
        }
        _ => false,
    });
    // setattr(author, field, value), author.__dict__.update(...)
    let mysterious = cx.scope().descendants().any(|n| {
        n.span().start >= row.constructor().span().end
            && n.span().end <= row.call.span().start
            && match Expr::of(n) {
                Expr::Call { func, arguments: list } if n.kind() == Kind::Call => {
                    let first = arguments(list).first().map(|a| a.value.text());
                    matches!(Expr::of(func), Expr::Name("setattr" | "vars")) && first == Some(name.text())
                }
                Expr::Attribute { value, attr: "__dict__" | "__setstate__", .. } => {
                    value.text() == name.text()
                }
                _ => false,
            }
    });
    written || mysterious
}

// ---- mutable values ----

/// Methods that change what they are called on.
const CHANGING: &[&str] = &[
    "append",
    "extend",
    "insert",
    "pop",
    "remove",
    "clear",
    "sort",
    "reverse",
    "add",
    "discard",
    "update",
    "setdefault",
    "popitem",
    "appendleft",
    "popleft",
    "write",
];

/// Values that rows hold on to and that the loop changes.
fn shared(cx: &Context<'_>, found: &Loop<'_>, row: &Row<'_>, out: &mut Vec<Hazard>) {
    let model = cx.model(row.model);
    let mut held: Vec<Node<'_>> = row
        .arguments()
        .iter()
        .filter(|a| a.name.is_none_or(|n| model.field(n).is_none_or(|f| may_be_mutable(f.kind))))
        .filter(|a| a.stars == 0)
        .flat_map(|a| names_held(a.value))
        .collect();
    if let Some(name) = row.name() {
        // `event.payload = payload`
        for node in found.node.descendants().filter(|n| n.kind() == Kind::ExprStatement) {
            if let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(node)
                && let [target] = targets.as_slice()
                && let Expr::Attribute { value: owner, attr, .. } = Expr::of(*target)
                && owner.text() == name.text()
                && model.field(attr).is_none_or(|f| may_be_mutable(f.kind))
            {
                held.extend(names_held(value));
            }
        }
    }
    for name in held {
        if matches!(
            cx.type_of(name),
            Type::Int
                | Type::Str
                | Type::Float
                | Type::Bool
                | Type::None
                | Type::Bytes
                | Type::Column(_)
                | Type::Instance(_)
        ) {
            continue;
        }
        if let Some(change) = change_of(cx, found, row, name) {
            out.push(cx.hazard(HazardKind::SharedValue, name.text(), change));
        }
    }
}

/// A file is stored when its row is inserted: what a turn of the loop closes, deletes or reads on after the row was
/// made is gone by the time of the bulk write.
fn contents(cx: &Context<'_>, found: &Loop<'_>, row: &Row<'_>, out: &mut Vec<Hazard>) {
    let model = cx.model(row.model);
    let is_file = |name: &str| model.field(name).is_some_and(|f| f.kind == FieldKind::File);
    let has_files = model.fields.iter().any(|f| f.kind == FieldKind::File);
    let mut values: Vec<Node<'_>> =
        row.arguments().iter().filter(|a| a.name.map_or(has_files, is_file)).map(|a| a.value).collect();
    if let Some(name) = row.name() {
        values.extend(found.node.descendants().filter(|n| n.kind() == Kind::Assign).filter_map(|node| {
            let Expr::Attribute { value: owner, attr, .. } = Expr::of(node.child(Field::Left)?) else {
                return None;
            };
            (owner.text() == name.text() && is_file(attr)).then(|| node.child(Field::Right))?
        }));
    }
    let names: Vec<Node<'_>> = values.iter().flat_map(|v| names_in(*v)).collect();
    if names.is_empty() {
        return;
    }
    // with path.open("rb") as stream: ...
    let with = row
        .call
        .ancestors()
        .take_while(|a| *a != found.node)
        .find(|a| a.kind() == Kind::With && names.iter().any(|n| is_bound_by(*a, n.text())));
    if let Some(with) = with {
        let subject = with.text().lines().next().unwrap_or("").trim_end_matches(':').to_owned();
        out.push(cx.hazard(HazardKind::SharedValue, subject, with));
        return;
    }
    for name in names {
        let inner = innermost_loop(row.call).unwrap_or(found.node);
        let fresh = is_made_before(inner, row, name);
        let used = found.node.mentions(name.text()).find(|n| {
            !row.call.contains(n.id())
                && !row.constructor().contains(n.id())
                && !values.iter().any(|v| v.contains(n.id()))
                && (n.span().start > row.call.span().start || !fresh)
                && is_handled(cx, *n)
        });
        if let Some(used) = used {
            out.push(cx.hazard(HazardKind::SharedValue, name.text(), used.statement().unwrap_or(used)));
            return;
        }
    }
}

fn is_bound_by(with: Node<'_>, name: &str) -> bool {
    let body = with.child(Field::Body);
    with.descendants()
        .take_while(|n| body.is_none_or(|b| n.id() < b.id()))
        .any(|n| n.kind() == Kind::Name && n.text() == name)
}

/// Whether the innermost loop binds the name anew before it makes the row.
fn is_made_before<'a>(inner: Node<'a>, row: &Row<'a>, name: Node<'a>) -> bool {
    inner.descendants().any(|n| {
        n.kind() == Kind::Name
            && n.text() == name.text()
            && n.is_binding()
            && n.span().start < row.call.span().start
            && innermost_loop(n) == Some(inner)
    })
}

/// Builtins that look at an object and leave it as it is.
const LOOKING: &[&str] =
    &["isinstance", "issubclass", "len", "type", "hasattr", "getattr", "print", "str", "repr", "id", "bool"];

/// Whether a method of the object is called at this place, or anything gets it that may do so.
fn is_handled(cx: &Context<'_>, node: Node<'_>) -> bool {
    let mut base = node.with_parens();
    let Some(mut holder) = base.parent() else { return false };
    while holder.kind() == Kind::Attribute && holder.children().next() == Some(base) {
        let place = holder.with_parens();
        if place.field() == Field::Function && place.parent().is_some_and(|p| p.kind() == Kind::Call) {
            return true;
        }
        base = place;
        match place.parent() {
            Some(next) => holder = next,
            None => return false,
        }
    }
    let list = if holder.kind() == Kind::KeywordArgument { holder.parent() } else { Some(holder) };
    let call = list.filter(|l| l.kind() == Kind::Arguments).and_then(Node::parent);
    call.is_some_and(|call| {
        let looks = call.child(Field::Function).is_some_and(|func| {
            matches!(cx.type_of(func), Type::Def(ormend_engine::python::Def::External(path))
                if path.strip_prefix("builtins.").is_some_and(|b| LOOKING.contains(&b)))
        });
        !looks
    })
}

/// The variables whose objects a value holds: itself, or what stands in a display.
fn names_held(value: Node<'_>) -> Vec<Node<'_>> {
    match Expr::of(value) {
        Expr::Name(_) => vec![value.peel()],
        Expr::List(node) | Expr::Tuple(node) | Expr::Set(node) => {
            node.children().flat_map(names_held).collect()
        }
        Expr::Dict(node) => node
            .children()
            .filter(|c| c.kind() == Kind::Pair)
            .filter_map(|c| c.child(Field::Value))
            .flat_map(names_held)
            .collect(),
        Expr::IfExp { body, orelse, .. } => [names_held(body), names_held(orelse)].concat(),
        Expr::BoolOp { left, right, .. } => [names_held(left), names_held(right)].concat(),
        _ => Vec::new(),
    }
}

/// Where the loop changes the object of `name`, other than while it makes it for this row.
fn change_of<'a>(cx: &Context<'a>, found: &Loop<'a>, row: &Row<'a>, name: Node<'a>) -> Option<Node<'a>> {
    let inner = innermost_loop(row.call).unwrap_or(found.node);
    // Made anew in every turn of the innermost loop, before the row.
    let made = inner
        .mentions(name.text())
        .filter(|n| n.is_binding())
        .filter(|n| n.span().start < row.call.span().start && innermost_loop(*n) == Some(inner))
        .map(|n| n.span().start)
        .max();
    found
        .node
        .descendants()
        .filter(|n| n.kind() == Kind::Name && n.text() == name.text() && changes(cx, *n))
        .find(|n| {
            let start = n.span().start;
            !made.is_some_and(|m| inner.contains(n.id()) && m < start && start < row.call.span().start)
        })
        .map(|n| n.statement().unwrap_or(n))
}

/// Whether the object of a name may be changed at this place.
fn changes(cx: &Context<'_>, node: Node<'_>) -> bool {
    let Some(parent) = node.with_parens().parent() else { return false };
    let mut base = node.with_parens();
    let mut holder = parent;
    // `payload["a"]["b"] = 1`, `payload["list"].append(1)`
    while matches!(holder.kind(), Kind::Subscript | Kind::Attribute) && holder.children().next() == Some(base)
    {
        if let Expr::Attribute { attr, .. } = Expr::of(holder)
            && CHANGING.contains(&attr)
            && holder
                .parent()
                .is_some_and(|p| p.kind() == Kind::Call && p.child(Field::Function) == Some(holder))
        {
            return true;
        }
        base = holder;
        match holder.parent() {
            Some(next) => holder = next,
            None => return false,
        }
    }
    match holder.kind() {
        Kind::Assign => base != node.with_parens() && base.field() == Field::Left,
        Kind::AugAssign => base.field() == Field::Left,
        Kind::Delete => base != node.with_parens(),
        // A function of the project may change what it gets.
        Kind::Arguments | Kind::KeywordArgument => {
            let call = holder.ancestors().find(|a| a.kind() == Kind::Call);
            let list = if holder.kind() == Kind::Arguments { Some(holder) } else { holder.parent() };
            let call = call.filter(|c| c.child(Field::Arguments) == list);
            let Some(func) = call.and_then(|c| c.child(Field::Function)) else { return false };
            base == node.with_parens()
                && matches!(cx.type_of(node), Type::List(_) | Type::Dict(_) | Type::Set(_))
                && matches!(
                    cx.type_of(func),
                    Type::Def(ormend_engine::python::Def::Function(_)) | Type::Bound(..) | Type::Local(_)
                )
        }
        _ => false,
    }
}

// ---- databases ----

fn database(cx: &Context<'_>, found: &Loop<'_>, row: &Row<'_>, out: &mut Vec<Hazard>) {
    let settings = cx.project.settings();
    if settings.database_aliases < 2 && !settings.has_database_routers {
        return;
    }
    let is_row =
        |node: Node<'_>| found.rows.iter().any(|r| r.name().is_some_and(|n| n.text() == node.text()));
    match &row.how {
        How::Create { owner: Some((owner, _)), .. } => {
            if !is_row(*owner) {
                out.push(cx.hazard(HazardKind::OtherDatabase, owner.text(), row.call));
            }
        }
        How::Create { .. } => {}
        How::Save { using: Some(_), .. } => {}
        // `save()` shows its instance to the routers (`save_base()` of django/db/models/base.py), a manager shows nothing.
        How::Save { .. } if settings.has_database_routers => {
            out.push(cx.hazard(HazardKind::OtherDatabase, one_line(row.call.text()), row.call));
        }
        How::Save { .. } => {
            let model = cx.model(row.model);
            let relations = row.arguments().into_iter().filter(|a: &Argument<'_>| {
                a.name.is_some_and(|n| model.field(n).is_some_and(|f| f.relation.is_some()))
            });
            for argument in relations {
                if !is_row(argument.value) {
                    out.push(cx.hazard(HazardKind::OtherDatabase, argument.value.text(), argument.value));
                }
            }
            if let Some(name) = row.name() {
                for node in found.node.descendants().filter(|n| n.kind() == Kind::Assign) {
                    if let Some(target) = node.child(Field::Left)
                        && let Expr::Attribute { value, attr, .. } = Expr::of(target)
                        && value.text() == name.text()
                        && model.field(attr).is_some_and(|f| f.relation.is_some())
                        && let Some(value) = node.child(Field::Right)
                        && !is_row(value)
                    {
                        out.push(cx.hazard(HazardKind::OtherDatabase, value.text(), value));
                    }
                }
            }
        }
    }
}
