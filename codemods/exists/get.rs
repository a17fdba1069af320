//! `try: Model.objects.get(...)` whose row nobody uses: the handler asks whether there is none.

use ormend_engine::codemod::guards::handlers::catches_only;
use ormend_engine::codemod::guards::making::instances;
use ormend_engine::codemod::guards::projection::dropping_joins;
use ormend_engine::codemod::guards::queryset::shape;
use ormend_engine::codemod::guards::queryset::{rows_of, standard};
use ormend_engine::codemod::truth::{hands_out_names, in_async_code, names};
use ormend_engine::codemod::{Context, Fix, Hazard, HazardKind};
use ormend_engine::django::{Model, ModelId, RelationKind};
use ormend_engine::infer::{EventKind, Origin, QuerySet, Rows, Trait, Type};
use ormend_engine::python::emit::{indentation, reindent};
use ormend_engine::python::{Argument, Expr, Handler, Kind, Node, Stmt, arguments};
use ormend_engine::text::{Edit, Span};

/// A `get()` that is tried.
#[derive(Clone, Copy, Debug)]
pub struct Tried<'a> {
    statement: Node<'a>,
    receiver: Node<'a>,
    /// The name `get` in `receiver.get(...)`.
    method: Node<'a>,
    call: Node<'a>,
    /// The call, with its `await`.
    inner: Node<'a>,
    handler: Handler<'a>,
    form: Form<'a>,
}

/// What becomes of the statement.
#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    /// One answer for a row and its opposite for none: `return True`, `known = False`. Ends with the statement
    /// that holds the last of them.
    Answer { lead: Node<'a>, value: Node<'a>, if_found: bool, last: Node<'a> },
    /// `if not ...:` with the handler's body, and the `else` where there is one.
    Missing,
    /// The handler does nothing: `if ...:` with the body of the `else`.
    Found { orelse: Node<'a> },
}

/// The finding at a `try` statement.
pub fn tried<'a>(cx: &Context<'a>, statement: Node<'a>) -> Option<Tried<'a>> {
    let Stmt::Try { body, handlers, orelse, finally: None } = Stmt::of(statement) else { return None };
    let [handler] = handlers.as_slice() else { return None };
    let handler = *handler;
    let mut statements = body.children();
    let first = statements.next()?;
    let second = statements.next();
    if statements.next().is_some() {
        return None;
    }
    let value = match Stmt::of(first) {
        Stmt::Expr(value) => value,
        Stmt::Assign { targets, value: Some(value), annotation: None } => {
            let [target] = targets.as_slice() else { return None };
            let Expr::Name(name) = Expr::of(*target) else { return None };
            let scope = first.enclosing_function()?;
            if names(scope, name).any(is_read) || hands_out_names(scope) {
                return None;
            }
            value
        }
        _ => return None,
    };
    let inner = value.peel();
    let (call, is_async) = match Expr::of(inner) {
        Expr::Await(call) => (call.peel(), true),
        _ => (inner, false),
    };
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    let Expr::Attribute { value: receiver, attr, attr_node } = Expr::of(func) else { return None };
    if (attr, is_async) != ("get", false) && (attr, is_async) != ("aget", true) {
        return None;
    }
    if list.kind() != Kind::Arguments || (!is_async && in_async_code(call)) {
        return None;
    }
    rows_of(cx, receiver)?;
    let model = match cx.type_of(receiver) {
        Type::Manager(manager) => manager.model,
        Type::QuerySet(qs) => qs.model,
        _ => return None,
    };
    if !catches_only(cx, handler.class?, model) {
        return None;
    }
    let form = form(cx, statement, second, handler, orelse)?;
    Some(Tried { statement, receiver, method: attr_node, call, inner, handler, form })
}

/// Whether a name is more than a target.
fn is_read(name: Node<'_>) -> bool {
    let is_kept =
        |n: Node<'_>| matches!(n.kind(), Kind::AugAssign | Kind::Delete | Kind::Global | Kind::Nonlocal);
    !name.is_binding() || name.ancestors().take(3).any(is_kept)
}

fn form<'a>(
    cx: &Context<'a>,
    statement: Node<'a>,
    second: Option<Node<'a>>,
    handler: Handler<'a>,
    orelse: Option<Node<'a>>,
) -> Option<Form<'a>> {
    let absent = only_statement(handler.body);
    let present = match (second, orelse) {
        (Some(second), None) => Some((second, statement)),
        (None, Some(orelse)) => only_statement(orelse).map(|s| (s, statement)),
        (None, None) => next_statement(statement).map(|s| (s, s)),
        _ => return None,
    };
    if let Some((present, last)) = present
        && let Some(absent) = absent
        && let (Some((lead, value, truth)), Some((other, _, opposite))) = (answer(cx, present), answer(cx, absent))
        && truth != opposite
        && same_lead(lead, other)
        // What follows the statement is only reached by a row where it returns.
        && (last == statement || lead.kind() == Kind::Return)
    {
        return Some(Form::Answer { lead, value, if_found: truth, last });
    }
    if second.is_some() {
        return None;
    }
    match (absent.map(Stmt::of), orelse) {
        (Some(Stmt::Pass), None) => None,
        (Some(Stmt::Pass), Some(orelse)) => Some(Form::Found { orelse }),
        _ => Some(Form::Missing),
    }
}

fn only_statement(block: Node<'_>) -> Option<Node<'_>> {
    let mut statements = block.children();
    let only = statements.next()?;
    statements.next().is_none().then_some(only)
}

fn next_statement(statement: Node<'_>) -> Option<Node<'_>> {
    statement.parent()?.children().skip_while(|s| *s != statement).nth(1)
}

/// `return True` or `name = False`: the statement, its value, and which.
fn answer<'a>(cx: &Context<'a>, statement: Node<'a>) -> Option<(Node<'a>, Node<'a>, bool)> {
    let value = match Stmt::of(statement) {
        Stmt::Return(value) => value?,
        Stmt::Assign { targets, value, annotation: None } => {
            let [target] = targets.as_slice() else { return None };
            if !is_plain_target(cx, *target) {
                return None;
            }
            value?
        }
        _ => return None,
    };
    match Expr::of(value) {
        Expr::True => Some((statement, value, true)),
        Expr::False => Some((statement, value, false)),
        _ => None,
    }
}

/// `known`, `locale["known"]`, `person.known`: a place where assigning does nothing else.
fn is_plain_target<'a>(cx: &Context<'a>, target: Node<'a>) -> bool {
    match Expr::of(target) {
        Expr::Name(_) => true,
        Expr::Subscript { value, index, count: 1 } => {
            matches!(cx.type_of(value), Type::Dict(_))
                && matches!(Expr::of(value), Expr::Name(_))
                && matches!(Expr::of(index), Expr::Str(_) | Expr::Int(_))
        }
        Expr::Attribute { value, attr, .. } => {
            let Type::Instance(instance) = cx.type_of(value) else { return false };
            let model = cx.model(instance.model);
            matches!(Expr::of(value), Expr::Name(_))
                && cx.project.override_of(model.id, "__setattr__").is_none()
                && cx.project.program().member(model.class, attr).is_none()
                && model.reverse(attr).is_none()
        }
        _ => false,
    }
}

fn same_lead(a: Node<'_>, b: Node<'_>) -> bool {
    match (Stmt::of(a), Stmt::of(b)) {
        (Stmt::Return(_), Stmt::Return(_)) => true,
        (Stmt::Assign { targets: a, .. }, Stmt::Assign { targets: b, .. }) => {
            a.first().map(|n| n.text()) == b.first().map(|n| n.text())
        }
        _ => false,
    }
}

/// What could make the lookup raise where the test does not, or the handler see what is no longer raised.
pub fn hazards<'a>(cx: &Context<'a>, found: &Tried<'a>, out: &mut Vec<Hazard>) {
    for node in found.handler.body.descendants() {
        if asks_for_exception(found, node) {
            out.push(cx.hazard(HazardKind::HandlerAround, "", node));
        }
    }
    if let Some(name) = found.handler.name
        && names(found.handler.body, name).next().is_some()
    {
        out.push(cx.hazard(HazardKind::HandlerAround, "", found.handler.node));
    }
    let methods = ["get", "aget", "filter", "exists", "aexists", "_fetch_all", "__iter__", "__len__"];
    let Some(qs) = standard(cx, found.receiver, &methods, out) else { return };
    dropping_joins(cx, qs, out);
    shape(cx, qs, found.receiver, &[Trait::Combined, Trait::Sliced, Trait::DistinctOn, Trait::Dates], out);
    if qs.rows == Rows::Instances {
        instances(cx, qs.model, out);
    }
    if let Some(argument) = raising_argument(cx, found.call) {
        out.push(cx.hazard(
            HazardKind::LookupMayRaise,
            argument.text().lines().next().unwrap_or_default(),
            argument,
        ));
    }
    if !is_unique(cx, found, qs) {
        let text = found.call.text();
        let from = (found.method.span().start - found.call.span().start) as usize;
        let lookup: Vec<&str> = text.get(from..).unwrap_or(text).split_whitespace().collect();
        out.push(cx.hazard(HazardKind::LookupMayRaise, lookup.join(" "), found.call));
    }
}

/// An argument of the lookup that may itself raise what the handler catches: code of the project that raises, asks for rows,
/// or is not known.
fn raising_argument<'a>(cx: &Context<'a>, call: Node<'a>) -> Option<Node<'a>> {
    let Expr::Call { arguments: list, .. } = Expr::of(call) else { return None };
    arguments(list).into_iter().map(|a| a.value).find(|value| {
        cx.events_in(*value).any(|event| match &event.kind {
            EventKind::Raise | EventKind::Query { .. } => true,
            EventKind::UnknownCall { .. } | EventKind::CallNamed { .. } => true,
            // A reverse one-to-one relation without a row raises.
            EventKind::ReadRelation { path, model, .. } => path
                .last()
                .is_none_or(|name| cx.model(*model).field(name).is_none_or(|field| field.relation.is_none())),
            _ => false,
        })
    })
}

fn asks_for_exception<'a>(found: &Tried<'a>, node: Node<'a>) -> bool {
    match node.kind() {
        Kind::Raise => node.children().next().is_none(),
        Kind::Call => {
            let Expr::Call { func, arguments: list } = Expr::of(node) else { return false };
            if arguments(list).iter().any(|a| a.name == Some("exc_info")) {
                return true;
            }
            match Expr::of(func) {
                Expr::Attribute { attr, .. } => {
                    matches!(
                        attr,
                        "exception"
                            | "exc_info"
                            | "print_exc"
                            | "format_exc"
                            | "capture_exception"
                            | "print_exception"
                    )
                }
                Expr::Name(name) => {
                    matches!(name, "exc_info" | "print_exc" | "format_exc" | "capture_exception")
                        || found.handler.name == Some(name)
                }
                _ => false,
            }
        }
        _ => false,
    }
}

/// Whether at most one row can match.
fn is_unique<'a>(cx: &Context<'a>, found: &Tried<'a>, qs: &QuerySet) -> bool {
    let Expr::Call { arguments: list, .. } = Expr::of(found.call) else { return false };
    let args = arguments(list);
    let model = cx.model(qs.model);
    let Some(keys) = lookups(cx, model, &args) else { return false };
    if qs.is(Trait::RawSql) || model.has_unknown_base || !keeps_rows_single(cx, found.receiver, qs) {
        return false;
    }
    let is_given = |name: &String| {
        keys.iter().any(|k| k == name) && model.field(name).is_some_and(|f| !f.null || f.primary_key)
    };
    let key = model.fields.iter().find(|f| f.primary_key);
    if keys.iter().any(|k| k == "pk" || key.is_some_and(|f| f.name == *k)) {
        return true;
    }
    model.fields.iter().any(|f| f.unique && is_given(&f.name))
        || model.unique.iter().any(|set| !set.is_empty() && set.iter().all(is_given))
}

/// The fields that are compared exactly; `None` if a lookup may join other rows, or is not a plain keyword.
fn lookups(cx: &Context<'_>, model: &Model, args: &[Argument<'_>]) -> Option<Vec<String>> {
    let mut exact = Vec::new();
    for arg in args {
        let name = arg.name.filter(|_| arg.stars == 0)?;
        let parts: Vec<&str> = name.split("__").collect();
        if !stays_single(cx, model.id, &parts) {
            return None;
        }
        if let [field] | [field, "exact"] = parts.as_slice() {
            let field = model.field_by_attname(field).map_or(*field, |f| f.name.as_str());
            exact.push(field.to_owned());
        }
    }
    Some(exact)
}

/// Whether a lookup follows only relations to one row each.
fn stays_single(cx: &Context<'_>, model: ModelId, parts: &[&str]) -> bool {
    let mut model = cx.model(model);
    for part in parts {
        if *part == "pk" {
            continue;
        }
        let Some(field) = model.field(part).or_else(|| model.field_by_attname(part)) else {
            // A lookup or transform of the column before it, or a reverse relation.
            return model.reverse.iter().all(|r| r.query_name != *part)
                && !std::ptr::eq(*part, *parts.first().unwrap_or(&""));
        };
        let Some(relation) = &field.relation else { return true };
        if !matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne) {
            return false;
        }
        match relation.target {
            Some(target) => model = cx.model(target),
            None => return false,
        }
    }
    true
}

/// Whether every step of the chain before `get()` keeps at most one row for each row of the table.
fn keeps_rows_single<'a>(cx: &Context<'a>, receiver: Node<'a>, qs: &QuerySet) -> bool {
    if let Type::Manager(manager) = cx.type_of(receiver)
        && manager.is_many_to_many
    {
        return false;
    }
    let mut next = qs.values.first().copied();
    for _ in 0..50 {
        let Some(id) = next else { return true };
        let Some(value) = cx.value(id) else { return false };
        if !value.alternatives.is_empty() || value.site.is_some() {
            return false;
        }
        let Origin::Expr(node) = value.origin else { return false };
        let node = cx.node(node);
        match Expr::of(node) {
            Expr::Call { func, arguments: list } => {
                let Expr::Attribute { value: owner, attr, .. } = Expr::of(func) else { return false };
                if let Type::Manager(manager) = cx.type_of(owner)
                    && manager.is_many_to_many
                {
                    return false;
                }
                match attr {
                    "filter" | "exclude" => {
                        let single = arguments(list).iter().all(|a| {
                            a.stars == 0
                                && a.name.is_some_and(|n| {
                                    stays_single(cx, qs.model, &n.split("__").collect::<Vec<_>>())
                                })
                        });
                        if !single {
                            return false;
                        }
                    }
                    "all" | "order_by" | "select_related" | "prefetch_related" | "only" | "defer"
                    | "using" | "distinct" | "reverse" | "none" => {}
                    _ => return false,
                }
            }
            // The manager itself.
            Expr::Attribute { .. } | Expr::Name(_) => {}
            _ => return false,
        }
        next = value.parent;
    }
    false
}

/// The place of the finding.
pub fn place<'a>(found: &Tried<'a>) -> Node<'a> {
    found.statement
}

/// The edits.
pub fn rewrite<'a>(cx: &Context<'a>, found: &Tried<'a>) -> Result<Fix, Hazard> {
    let source = cx.source();
    let file = cx.project.program().file(cx.file);
    // The call moves one level out, with its lines.
    let outer = indentation(file, found.statement);
    let inner = indentation(file, found.call);
    let slice = |from: u32, to: u32| reindent(file, Span::new(from, to), inner, outer);
    let method = if found.method.text() == "aget" { "aexists" } else { "exists" };
    let test = format!(
        "{}filter{}.{method}()",
        slice(found.inner.span().start, found.method.span().start),
        slice(found.method.span().end, found.call.span().end),
    );
    let start = found.statement.span().start;
    let lose = |from: u32, to: u32| -> Result<(), Hazard> {
        let span = Span::new(from, to);
        let comment = cx
            .root()
            .descendants()
            .find(|n| n.kind() == Kind::Comment && span.contains(n.span()) && !found.call.contains(n.id()));
        comment.map_or(Ok(()), |c| Err(cx.hazard(HazardKind::CommentLost, "", c)))
    };
    let (end, text) = match found.form {
        Form::Answer { lead, value, if_found, last } => {
            let end = last.span().end;
            let not = if if_found { "" } else { "not " };
            let prefix = slice(lead.span().start, value.span().start);
            (end, format!("{prefix}{not}{test}"))
        }
        Form::Missing => {
            let body = found.handler.body;
            (header_end(source.text(), found.handler, body)?, format!("if not {test}:"))
        }
        Form::Found { orelse } => {
            let clause = orelse.parent().ok_or_else(|| cx.hazard(HazardKind::SyntaxError, "", orelse))?;
            let colon = clause.text().find(':').map(|i| clause.span().start + i as u32 + 1);
            let end = colon.ok_or_else(|| cx.hazard(HazardKind::SyntaxError, "", clause))?;
            (end, format!("if {test}:"))
        }
    };
    lose(start, end)?;
    Ok(cx.fix(vec![Edit::replace(Span::new(start, end), text)]))
}

/// Past the colon of the handler's header.
fn header_end(text: &str, handler: Handler<'_>, body: Node<'_>) -> Result<u32, Hazard> {
    let from = handler.class.map_or(handler.node.span().start, |c| c.with_parens().span().end);
    let between = text.get(from as usize..body.span().start as usize).unwrap_or("");
    match between.find(':') {
        Some(i) => Ok(from + i as u32 + 1),
        None => Err(Hazard { kind: HazardKind::SyntaxError, site: None, subject: String::new() }),
    }
}
