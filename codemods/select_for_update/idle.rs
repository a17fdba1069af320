//! Locks that are none: `select_for_update()` in a query that takes none, and outside of a transaction.

use super::find::{locked_model, locks, top_of_chain};
use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::callers::{Certainty, call_sites_where, certainty};
use ormend_engine::codemod::guards::transaction::{self as guard, Around, Written, open_block};
use ormend_engine::django::ModelId;
use ormend_engine::infer::{EventKind, Rows, Trait, Type};
use ormend_engine::python::{Def, Expr, Kind, Node, Stmt};

/// `select_for_update()` that locks nothing.
pub struct Idle<'a> {
    /// The call.
    pub lock: Node<'a>,
    /// What it is called on.
    pub source: Node<'a>,
    /// The model.
    pub model: ModelId,
    /// `count`, `aggregate`
    pub method: &'a str,
}

/// `select_for_update()` outside of a transaction.
pub struct Outside<'a> {
    /// The call.
    pub lock: Node<'a>,
    /// Where the rows are loaded.
    pub load: Node<'a>,
    /// The statements that can be put into a transaction: from the load to the last write. Empty where they cannot.
    pub statements: Vec<Node<'a>>,
}

/// `Model.objects.select_for_update().filter(...).count()`, by way of a name as well.
pub fn idle<'a>(cx: &Context<'a>, call: Node<'a>) -> Option<Idle<'a>> {
    let Expr::Call { func, .. } = Expr::of(call) else { return None };
    let Expr::Attribute { value, attr: method @ ("count" | "aggregate"), .. } = Expr::of(func) else {
        return None;
    };
    let queryset = cx.type_of(value).queryset()?;
    let value = match Expr::of(value) {
        Expr::Name(name) if queryset.is(Trait::Locked) => only_counted(call, name)?,
        _ => value,
    };
    let mut node = value.peel();
    for _ in 0..30 {
        let Expr::Call { func, .. } = Expr::of(node) else { return None };
        let Expr::Attribute { value: source, attr, .. } = Expr::of(func) else { return None };
        if attr == "select_for_update" {
            return Some(Idle { lock: node, source: source.peel(), model: queryset.model, method });
        }
        node = source.peel();
    }
    None
}

/// What a name is bound to, where `call` is the first thing that is done with it, and nothing but counting is.
fn only_counted<'a>(call: Node<'a>, name: &str) -> Option<Node<'a>> {
    let scope = call.enclosing_scope()?;
    let mut bound = None;
    let mut first = None;
    for node in scope.mentions(name) {
        let statement = node.statement()?;
        if node.is_binding() {
            let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(statement) else { return None };
            if targets.len() != 1 || targets.first().map(|t| t.peel()) != Some(node) || bound.is_some() {
                return None;
            }
            bound = Some(value);
            continue;
        }
        let attribute = node.with_parens().parent().filter(|p| p.kind() == Kind::Attribute)?;
        let counted = attribute.with_parens().parent().filter(|p| p.kind() == Kind::Call)?;
        let is_counted = matches!(Expr::of(attribute), Expr::Attribute { value, attr: "count" | "aggregate", .. }
            if value.peel() == node);
        if !is_counted || node.enclosing_scope() != Some(scope) {
            return None;
        }
        first = first.or(Some(counted));
    }
    bound.filter(|_| first == Some(call))
}

/// `select_for_update()` in a function that opens no transaction, and that nobody calls in one.
pub fn outside<'a>(cx: &Context<'a>, lock: Node<'a>) -> Option<Outside<'a>> {
    locks(lock).next().filter(|n| *n == lock)?;
    let scope = lock.enclosing_function().filter(|s| *s == cx.scope() && !s.is_async())?;
    locked_model(cx, lock)?;
    if open_block(cx, lock).is_some()
        || cx.project.settings().atomic_requests && !guard::is_outside_requests(cx)
    {
        return None;
    }
    let with_atomic = lock.ancestors().take_while(|a| *a != scope).any(|a| a.kind() == Kind::With);
    let program = cx.project.program();
    let function = program.function_at(cx.file, scope.id())?;
    let info = program.function(function);
    let is_decorated =
        info.decorators.iter().any(|d| !matches!(d, Some(Def::External(path)) if !path.contains("atomic")));
    let by_class = info.class.is_some_and(|c| guard::class_opens_one(cx, c));
    if with_atomic || is_decorated || by_class || may_be_called_in_one(cx, 3) {
        return None;
    }
    // Where the rows are loaded: the end of the chain, if it loads them.
    let load = top_of_chain(lock);
    let is_loaded = cx.type_of(load).instance().is_some()
        || matches!(cx.type_of(load), Type::Union(types) if types.iter().any(|t| t.instance().is_some()))
        || cx.type_of(load).queryset().is_some_and(|qs| qs.rows == Rows::Instances)
            && load.with_parens().parent().is_some_and(|p| {
                p.kind() == Kind::For
                    || p.kind() == Kind::Arguments
                        && p.parent().is_some_and(|c| {
                            matches!(Expr::of(c), Expr::Call { func, .. } if matches!(Expr::of(func), Expr::Name("list")))
                        })
            });
    if !is_loaded {
        return None;
    }
    let statements = to_hold(cx, load).unwrap_or_default();
    Some(Outside { lock, load, statements })
}

/// Whether a caller may have opened it.
fn may_be_called_in_one(cx: &Context<'_>, depth: usize) -> bool {
    let sites = call_sites_where(cx, |site| !cx.project.is_test_file(site.file));
    sites.iter().any(|site| match certainty(cx, site) {
        Certainty::Other => false,
        Certainty::Maybe => true,
        Certainty::Sure if depth == 0 || !guard::opened(cx, site.file, site.call).is_empty() => true,
        Certainty::Sure => {
            if site.caller.is_none() {
                return false;
            }
            let facts = site.facts(cx);
            let caller = Context { file: site.file, facts: &facts, ..*cx };
            caller.scope() == cx.scope() || may_be_called_in_one(&caller, depth - 1)
        }
    })
}

/// The statements from the load to the last write, where a transaction around them changes nothing but that it works.
fn to_hold<'a>(cx: &Context<'a>, load: Node<'a>) -> Option<Vec<Node<'a>>> {
    let first = load.statement()?;
    let first = match first.kind() {
        Kind::ExprStatement | Kind::For => first,
        _ => return None,
    };
    let block = first.parent().filter(|p| p.kind() == Kind::Block)?;
    let mut writes: Vec<Node<'a>> = Vec::new();
    for event in cx.facts.events() {
        let at = cx.node(event.at).peel();
        if matches!(event.kind, EventKind::Write { .. }) && event.at > first.id() && !writes.contains(&at) {
            writes.push(at);
        }
    }
    // A lock that ends with its query is of no use; one that is held elsewhere is not for us to say.
    if writes.is_empty() || !writes.iter().all(|w| block.contains(w.id())) {
        return None;
    }
    let last = block.children().filter(|s| writes.iter().any(|w| s.contains(w.id()))).last()?;
    let statements: Vec<Node<'a>> = block
        .children()
        .filter(|s| s.kind() != Kind::Comment && s.id() >= first.id() && s.id() <= last.id())
        .collect();
    let function = load.enclosing_function()?;
    let around = Around { function, writes: writes.into_iter().map(Written::new).collect() };
    let mut out = Vec::new();
    guard::hazards(cx, &around, &statements, &mut out);
    out.is_empty().then_some(statements)
}
