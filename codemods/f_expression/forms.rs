//! Which of the three forms a change takes.

use super::find::Unit;
use super::hazards::Judged;
use super::method;
use super::row::loads_whole_rows;
use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::flow;
use ormend_engine::codemod::guards::instance::MentionKind;
use ormend_engine::codemod::guards::loads::{Load, is_one_database};
use ormend_engine::django::{FieldKind, ModelId, Signal};
use ormend_engine::infer::{Trait, Type};
use ormend_engine::python::{Expr, Kind, Node, Stmt, arguments};
use ormend_engine::text::Span;

/// How the number is changed in the database.
pub enum Form<'a> {
    /// One `UPDATE` takes the place of the load, the test, the changes and the save.
    Update(Update<'a>),
    /// The attribute becomes an expression, which `save()` writes; the columns that it is told to write, if any.
    Expression { update_fields: Option<Vec<String>> },
    /// The number in memory changes as before, and an `UPDATE` of its own takes the place of `save()`.
    Beside(Beside),
    /// An `UPDATE` that is written already gets the expression.
    Given,
}

/// The third form.
pub struct Beside {
    /// `Book.objects`
    pub manager: String,
    /// auto_now columns that `save()` would have set.
    pub auto_now: Vec<String>,
}

/// The first form.
pub struct Update<'a> {
    /// The first statement that goes.
    pub first: Node<'a>,
    /// The last.
    pub last: Node<'a>,
    /// `Author.objects.filter(pk=pk)`
    pub queryset: Node<'a>,
    /// auto_now columns that `save()` would have set.
    pub auto_now: Vec<String>,
}

/// The form that keeps what is read later; `None` where none does.
pub fn choose<'a>(cx: &Context<'a>, unit: &Unit<'a>, judged: &Judged<'a>) -> Option<Form<'a>> {
    if unit.is_update {
        return Some(Form::Given);
    }
    if let Some(receivers) = &judged.receivers {
        // Callers that are not in the program look at the number, too.
        let manager = receivers.manager.clone().filter(|_| !judged.is_shared);
        if let (Some(manager), Some(auto_now)) = (manager, is_beside(cx, unit, judged, receivers.is_whole))
            && (auto_now.is_empty() || judged.seen.is_some())
        {
            return Some(Form::Beside(Beside { manager, auto_now }));
        }
    }
    if judged.is_handed_in {
        // Whoever handed it in goes on with a number.
        if let (Some(manager), Some(auto_now)) =
            (method::manager(cx, unit), is_beside(cx, unit, judged, false))
        {
            return Some(Form::Beside(Beside { manager, auto_now }));
        }
    }
    if judged.seen.is_some() {
        return beside(cx, unit, judged).map(Form::Beside);
    }
    if let Some(update) = update(cx, unit, judged) {
        return Some(Form::Update(update));
    }
    let is_whole = match &judged.receivers {
        Some(receivers) => receivers.is_whole,
        None => loads_whole_rows(cx, unit, judged),
    };
    let update_fields = if narrows(unit, judged) && is_whole {
        let mut names: Vec<String> = unit.columns().iter().map(|c| (*c).to_owned()).collect();
        names.extend(auto_now(cx, unit.model));
        Some(names)
    } else {
        None
    };
    Some(Form::Expression { update_fields })
}

/// `save()` may be told to write the counters only.
fn narrows(unit: &Unit<'_>, judged: &Judged<'_>) -> bool {
    judged.can_narrow
        && unit.changes.iter().all(|c| c.statement.parent() == unit.save.statement.parent())
        && unit.changes.iter().all(|c| unit.changes.iter().filter(|o| o.column == c.column).count() == 1)
}

fn auto_now(cx: &Context<'_>, model: ModelId) -> Vec<String> {
    cx.model(model).fields.iter().filter(|f| f.auto_now).map(|f| f.name.clone()).collect()
}

/// Whether rows of this model may be written without any instance of it, and nobody notices.
fn is_plain_model(cx: &Context<'_>, model: ModelId) -> bool {
    let info = cx.model(model);
    let methods =
        ["save", "save_base", "_do_update", "_save_table", "__init__", "from_db", "__bool__", "__len__"];
    methods.iter().all(|name| cx.project.override_of(model, name).is_none())
        && (cx.assumes_no_signals(model)
            || [Signal::PreInit, Signal::PostInit, Signal::PreSave, Signal::PostSave]
                .iter()
                .all(|signal| cx.project.receivers(model, *signal).is_empty()))
        && cx.model(info.concrete).table_parents.is_empty()
        && !info.has_unknown_base
        && info.fields.iter().all(|f| {
            (f.class.starts_with("django.") || f.is_auto)
                && !f.class.ends_with(".ImageField")
                && !f.may_auto_now
        })
        && is_one_database(cx)
}

/// `x = Model.objects.filter(pk=...).first()`, then `if x:` with nothing but the changes and the save.
fn update<'a>(cx: &Context<'a>, unit: &Unit<'a>, judged: &Judged<'a>) -> Option<Update<'a>> {
    let subject = unit.subject.as_ref().filter(|s| s.path.is_empty())?;
    let [load] = judged.loads.as_slice() else { return None };
    if load.method != "first" || load.is_followed || unit.save.is_async || !is_plain_model(cx, unit.model) {
        return None;
    }
    // Several rows may match, of which first() takes one.
    let Expr::Call { func, arguments: list } = Expr::of(load.source) else { return None };
    let Expr::Attribute { value: manager, attr: "filter", .. } = Expr::of(func) else { return None };
    plain_manager(cx, manager, unit.model)?;
    let info = cx.model(unit.model);
    let args = arguments(list);
    if args.iter().any(|a| a.stars > 0 || a.name.is_none_or(|n| n.contains("__"))) {
        return None;
    }
    // A unique column holds any number of NULLs.
    let is_key =
        |name: &str| name == "pk" || info.field(name).is_some_and(|f| f.primary_key || f.unique && !f.null);
    if !args.iter().any(|a| a.name.is_some_and(is_key)) {
        return None;
    }
    // The very next statement is the test, and its body the changes and the save.
    let block = load.statement.parent()?;
    let next = block.children().find(|s| s.id() > load.statement.id())?;
    let Stmt::If { branches, orelse: None } = Stmt::of(next) else { return None };
    let [(test, body)] = branches.as_slice() else { return None };
    let is_test = match Expr::of(*test) {
        Expr::Name(name) => name == subject.name,
        Expr::Compare { left, op: Kind::IsNot, right } => {
            matches!(Expr::of(left), Expr::Name(name) if name == subject.name)
                && matches!(Expr::of(right), Expr::None)
        }
        _ => false,
    };
    let statements: Vec<Node<'a>> = body.children().collect();
    let expected: Vec<Node<'a>> =
        unit.changes.iter().map(|c| c.statement).chain([unit.save.statement]).collect();
    if !is_test || statements != expected {
        return None;
    }
    // One assignment a column, and operands that cannot fail where there is no row.
    let names = unit.columns();
    if names.len() != unit.changes.len() {
        return None;
    }
    let is_simple = |operand: &Node<'a>| {
        operand.descendants().all(|n| {
            let may_fail = matches!(
                n.kind(),
                Kind::Call | Kind::Subscript | Kind::Await | Kind::NamedExpr | Kind::FloorDiv | Kind::Mod
            );
            let names_it = n.kind() == Kind::Name && n.text() == subject.name;
            // `item.order.quantity` may take a query of its own.
            let reads = matches!(Expr::of(n), Expr::Attribute { value, .. }
                if n.kind() == Kind::Attribute && !matches!(cx.type_of(value), Type::Def(_)));
            !may_fail && !names_it && !reads
        })
    };
    if !unit.changes.iter().flat_map(|c| &c.operands).all(is_simple) {
        return None;
    }
    // Nobody else names the instance, and no comment is lost.
    let inside = |n: Node<'a>| load.statement.contains(n.id()) || next.contains(n.id());
    let named = |n: &Node<'a>| n.kind() == Kind::Name && n.text() == subject.name && !n.is_label();
    if unit.scope.descendants().filter(named).any(|n| !inside(n)) {
        return None;
    }
    let end = next.span().end;
    let comment = |n: Node<'a>| {
        n.kind() == Kind::Comment && n.span().start > load.statement.span().start && n.span().start < end
    };
    if unit.scope.descendants().any(comment) {
        return None;
    }
    let mut columns = Vec::new();
    if unit.save.update_fields.is_none() {
        for field in info.fields.iter().filter(|f| f.auto_now) {
            if field.kind != FieldKind::DateTime {
                return None;
            }
            columns.push(field.name.clone());
        }
    } else if unit.save.update_fields.as_ref().is_some_and(|f| f.iter().any(|n| !names.contains(&n.as_str())))
    {
        return None;
    }
    Some(Update { first: load.statement, last: next, queryset: load.source, auto_now: columns })
}

/// The model's own plain manager that an expression is.
fn plain_manager<'a>(cx: &Context<'a>, node: Node<'a>, model: ModelId) -> Option<&'a str> {
    let Type::Manager(manager) = cx.type_of(node) else { return None };
    let name = manager.name.as_deref()?;
    (manager.model == model && manager.related.is_none() && cx.project.is_plain_manager(model, name))
        .then_some(name)
}

/// The manager through which the row is written beside the instance.
fn beside<'a>(cx: &Context<'a>, unit: &Unit<'a>, judged: &Judged<'a>) -> Option<Beside> {
    unit.subject.as_ref().filter(|s| s.path.is_empty())?;
    // What others changed in memory would be lost.
    if judged.is_shared {
        return None;
    }
    let [load] = judged.loads.as_slice() else { return None };
    if load.is_followed {
        return None;
    }
    let auto_now = is_beside(cx, unit, judged, loads_whole_rows(cx, unit, judged))?;
    Some(Beside { manager: manager_of(cx, unit, load)?, auto_now })
}

/// The auto_now columns to set where an `UPDATE` of its own writes what `save()` writes, and the number in memory stays as
/// it is.
fn is_beside<'a>(
    cx: &Context<'a>,
    unit: &Unit<'a>,
    judged: &Judged<'a>,
    is_whole: bool,
) -> Option<Vec<String>> {
    let names = unit.columns();
    let mut stamps = auto_now(cx, unit.model);
    match &unit.save.update_fields {
        Some(fields) => {
            let is_written = |name: &str| fields.iter().any(|f| f == name);
            if !names.iter().all(|n| is_written(n)) {
                return None;
            }
            stamps.retain(|stamp| is_written(stamp));
            let is_known = |f: &String| names.contains(&f.as_str()) || stamps.contains(f);
            if !fields.iter().all(is_known) {
                return None;
            }
        }
        None if narrows(unit, judged) && is_whole => {}
        None => return None,
    }
    let model = cx.model(unit.model);
    let is_stamp = |name: &String| model.field(name).is_some_and(|f| f.kind == FieldKind::DateTime);
    if !stamps.iter().all(is_stamp)
        || !stamps.is_empty() && !stands_alone(cx, unit.save.statement)
        || names.len() != unit.changes.len()
        || !is_plain_model(cx, unit.model)
        || unit.save.is_async
        || unit.scope.is_async()
        || !is_quiet(cx, unit)
        || saved_again(cx, unit)
    {
        return None;
    }
    Some(stamps)
}

/// Whether a statement starts its line.
fn stands_alone<'a>(cx: &Context<'a>, statement: Node<'a>) -> bool {
    let source = cx.source();
    let line = source.line_index(statement.span().start);
    let before = source.slice(Span::new(source.line_start(line), statement.span().start));
    before.trim().is_empty()
}

/// Whether changes and save stand in one block, and nothing between them touches the instance or the operands, so that what
/// is written twice has the same value twice.
fn is_quiet<'a>(cx: &Context<'a>, unit: &Unit<'a>) -> bool {
    let (Some(block), Some(first), Some(subject)) =
        (unit.save.statement.parent(), unit.changes.first(), &unit.subject)
    else {
        return false;
    };
    if !unit.changes.iter().all(|c| c.statement.parent() == Some(block)) {
        return false;
    }
    let is_simple = |operand: &Node<'a>| matches!(Expr::of(*operand), Expr::Int(_) | Expr::Name(_));
    let operands: Vec<Node<'a>> = unit.changes.iter().flat_map(|c| c.operands.iter().copied()).collect();
    if !operands.iter().all(is_simple) {
        return false;
    }
    let own = |s: &Node<'a>| *s == unit.save.statement || unit.changes.iter().any(|c| c.statement == *s);
    let between: Vec<Node<'a>> = block
        .children()
        .filter(|s| s.id() >= first.statement.id() && s.id() <= unit.save.statement.id() && !own(s))
        .collect();
    let is_inside = |n: Node<'a>| between.iter().any(|s| s.contains(n.id()));
    let columns = unit.columns();
    let touched = subject.mentions(cx, &columns).into_iter().any(|m| {
        is_inside(m.node)
            && !matches!(m.kind, MentionKind::Reads | MentionKind::Harmless | MentionKind::Calls)
    });
    let rebound = between.iter().flat_map(|s| s.descendants()).any(|n| {
        n.kind() == Kind::Name && n.is_binding() && operands.iter().any(|o| o.peel().text() == n.text())
    });
    !touched && !rebound
}

/// Whether the instance may be saved once more by this function.
fn saved_again<'a>(cx: &Context<'a>, unit: &Unit<'a>) -> bool {
    let Some(subject) = &unit.subject else { return true };
    let columns = unit.columns();
    let after = flow::after(unit.save.statement, |s| subject.is_bound_by(s));
    let again = subject.mentions(cx, &columns).into_iter().any(|m| {
        matches!(m.kind, MentionKind::Saves | MentionKind::WritesAny)
            && after.iter().any(|n| n.contains(m.node.id()))
    });
    // A change that runs again in a loop counts from the number in memory.
    again || unit.changes.iter().any(|c| after.iter().any(|n| n.contains(c.statement.id())))
}

/// The manager that loaded the row, as it is written.
fn manager_of<'a>(cx: &Context<'a>, unit: &Unit<'a>, load: &Load<'a>) -> Option<String> {
    if load.method == "get_object" {
        return method::manager(cx, unit);
    }
    if !matches!(load.method, "get" | "first" | "get_object_or_404") {
        return None;
    }
    if load.queryset.is_some_and(|qs| qs.is(Trait::Using)) {
        return None;
    }
    let mut node = load.source;
    for _ in 0..30 {
        match cx.type_of(node) {
            Type::ModelClass(model) if *model == unit.model && load.method == "get_object_or_404" => {
                let name = cx.model(*model).default_manager.as_str();
                let plain = cx.project.is_plain_manager(*model, name);
                return plain.then(|| format!("{}.{name}", node.text()));
            }
            Type::Manager(_) => {
                plain_manager(cx, node, unit.model)?;
                return Some(node.text().to_owned());
            }
            _ => {}
        }
        let Expr::Call { func, .. } = Expr::of(node) else { return None };
        let Expr::Attribute { value, .. } = Expr::of(func) else { return None };
        node = value.peel();
    }
    None
}
