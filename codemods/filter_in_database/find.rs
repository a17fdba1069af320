//! The shapes: comprehensions with a condition, loops that pass rows over, `filter()` with a lambda, and `next()`.

use ormend_engine::codemod::Context;
use ormend_engine::codemod::conditions::{Rows, Test, Translation, translate};
use ormend_engine::codemod::guards::variable::read_elsewhere;
use ormend_engine::codemod::rows::emit::quote_at;
use ormend_engine::codemod::rows::place::is_consumed;
use ormend_engine::codemod::rows::source::{Source, source};
use ormend_engine::codemod::truth::{bound, hands_out_names, names};
use ormend_engine::infer::{EventKind, Trait, Type};
use ormend_engine::python::{Def, Expr, Field, Kind, Node, Stmt, arguments, generators, parameters};

/// How the rows are tested.
#[derive(Clone, Debug)]
pub enum Shape<'a> {
    /// A comprehension that makes something of the rows, with the clauses that test them.
    Clauses(Vec<Node<'a>>),
    /// A comprehension whose elements are the rows themselves, all of whose conditions move.
    Only,
    /// `filter(lambda book: ..., books)`
    Lambda,
    /// `next((book for book in books if ...), None)`
    First,
    /// `any(... for book in books)`, or `all(...)`, which asks for rows that fail.
    Exists {
        /// `all(...)`
        negated: bool,
    },
    /// A loop that returns when a row passes, and the statement behind it that returns where none does.
    Search {
        /// That statement.
        last: Node<'a>,
        /// What is returned.
        answer: Answer,
    },
    /// A loop whose body is one `if`: the statement and its block.
    Wrapped(Node<'a>, Node<'a>),
    /// A loop that starts with `if ...: continue`.
    Guards(Vec<Node<'a>>),
}

/// What a loop that looks for a row returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// True where a row passes, and False where none does.
    Found,
    /// The other way round.
    Missing,
    /// The row, or None.
    Row,
}

/// What the pattern matcher binds.
pub struct Match<'a> {
    /// The comprehension, the loop or the call.
    pub node: Node<'a>,
    /// How the rows are tested.
    pub shape: Shape<'a>,
    /// What is iterated.
    pub source: Source<'a>,
    /// The conditions in lookups.
    pub translation: Translation<'a>,
}

/// The pattern matcher.
pub fn find<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let found = match node.kind() {
        _ if asked(cx, node).is_some_and(|(_, call)| call != node) => None,
        Kind::For => find_search(cx, node).or_else(|| find_loop(cx, node)),
        Kind::Call => find_call(cx, node),
        _ => find_comprehension(cx, node),
    }?;
    // Inside f-strings that use both quotes there is none left.
    quote_at(cx, node)?;
    Some(found)
}

/// What is iterated, `list()` around it taken off.
fn rows<'a>(cx: &Context<'a>, iter: Node<'a>) -> Option<Source<'a>> {
    let mut inner = iter.peel();
    if let Expr::Call { func, arguments: list } = Expr::of(inner)
        && let Type::Def(Def::External(path)) = cx.type_of(func)
        && matches!(path.as_str(), "builtins.list" | "builtins.tuple")
    {
        let all = arguments(list);
        let [only] = all.as_slice() else { return None };
        if only.stars > 0 || only.name.is_some() || list.kind() != Kind::Arguments {
            return None;
        }
        inner = only.value.peel();
    }
    source(cx, inner).filter(|s| s.keys.is_none())
}

fn find_comprehension<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let all = generators(node);
    let (first, inner) = all.split_first()?;
    let Expr::Name(variable) = Expr::of(first.target) else { return None };
    if first.conditions.is_empty() || is_first(cx, node).is_some() {
        return None;
    }
    let binds = |node: Node<'a>| node.has_name(variable);
    if inner.iter().any(|g| binds(g.target)) {
        return None;
    }
    let source = rows(cx, first.iter)?;
    let tests: Vec<Test<'a>> = first.conditions.iter().map(|c| Test::of(*c)).collect();
    let translation = translated(cx, node, variable, &source, &tests)?;
    // A generator that leaves is run later, when variables may hold something else.
    if node.kind() == Kind::GeneratorExp
        && !is_run_here(cx, node)
        && reads_variables(cx, &translation, variable)
    {
        return None;
    }
    let element = node.child(Field::Body)?;
    let is_only = inner.is_empty()
        && !first.is_async
        && node.kind() != Kind::DictComp
        && matches!(Expr::of(element), Expr::Name(name) if name == variable)
        && translation.rest.is_empty()
        && source.base == first.iter.peel()
        && (node.kind() != Kind::GeneratorExp || is_consumed(cx, node));
    let shape = if is_only {
        Shape::Only
    } else {
        let clauses = node.children().filter(|c| c.kind() == Kind::CompIf);
        Shape::Clauses(clauses.take(first.conditions.len()).collect())
    };
    Some(Match { node, shape, source, translation })
}

fn translated<'a>(
    cx: &Context<'a>,
    place: Node<'a>,
    variable: &'a str,
    source: &Source<'a>,
    tests: &[Test<'a>],
) -> Option<Translation<'a>> {
    if source.queryset.is(Trait::Sliced) || source.base != source.iter && !source.is_streamed {
        return None;
    }
    // What else looks at names by their text.
    if place.descendants().any(|n| {
        n.kind() == Kind::Call
            && matches!(Expr::of(n), Expr::Call { func, .. }
                if matches!(Expr::of(func), Expr::Name("eval" | "exec" | "locals" | "vars" | "globals")))
    }) {
        return None;
    }
    translate(cx, Rows { variable, queryset: &source.queryset, place }, tests)
}

/// Whether a generator is run to its end, or asked for its first element, where it stands.
fn is_run_here<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    is_consumed(cx, node) || called_with(cx, node).is_some_and(|(path, _)| path == "builtins.next")
}

/// Whether the rows that `filter()` lets through are gone over where they are asked for, or right behind that under a name
/// which nothing else reads, so that no code runs in between that the conditions would see.
pub fn is_read_at_once<'a>(cx: &Context<'a>, found: &Match<'a>) -> bool {
    let node = found.node;
    if is_consumed(cx, node) {
        return true;
    }
    let Some((target, scope)) = bound(node) else { return false };
    let mut reads = names(scope, target.text()).filter(|n| *n != target.peel());
    let (Some(read), None) = (reads.next(), reads.next()) else { return false };
    let follows = || {
        let statement = node.statement()?;
        let next = statement.parent()?.children().skip_while(|s| *s != statement).nth(1)?;
        Some(read.statement()? == next)
    };
    if hands_out_names(scope) || !is_consumed(cx, read) || follows() != Some(true) {
        return false;
    }
    // The body of a loop runs between two tests.
    let is_looped = read.with_parens().parent().is_some_and(|p| p.kind() == Kind::For);
    let parameter = || match Expr::of(arguments_of(node)?.first()?.value) {
        Expr::Lambda { .. } => parameters(arguments_of(node)?.first()?.value.peel()).first().map(|p| p.name),
        _ => None,
    };
    let follows_relation = found.translation.moved.iter().any(|t| {
        t.node.descendants().any(|n| {
            matches!(Expr::of(n), Expr::Attribute { value, .. } if matches!(Expr::of(value), Expr::Attribute { .. }))
        })
    });
    !is_looped
        || !follows_relation && parameter().is_some_and(|p| !reads_variables(cx, &found.translation, p))
}

fn arguments_of(call: Node<'_>) -> Option<Vec<ormend_engine::python::Argument<'_>>> {
    match Expr::of(call) {
        Expr::Call { arguments: list, .. } => Some(arguments(list)),
        _ => None,
    }
}

/// The builtin that `node` is the first argument of, and its call.
fn called_with<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<(&'a str, Node<'a>)> {
    let outer = node.with_parens();
    let parent = outer.parent()?;
    let call = match parent.kind() {
        Kind::Call if node.field() == Field::Arguments => parent,
        Kind::Arguments if arguments(parent).first().is_some_and(|a| a.node == outer) => parent.parent()?,
        _ => return None,
    };
    let Expr::Call { func, .. } = Expr::of(call) else { return None };
    let Type::Def(Def::External(path)) = cx.type_of(func) else { return None };
    Some((path.as_str(), call))
}

/// Whether what has moved names variables of a function.
fn reads_variables(cx: &Context<'_>, translation: &Translation<'_>, variable: &str) -> bool {
    let scope = cx.scope();
    translation.moved.iter().flat_map(|t| t.node.descendants()).any(|n| {
        n.kind() == Kind::Name
            && !n.is_label()
            && n.text() != variable
            && (scope.kind() == Kind::Module
                || scope
                    .descendants()
                    .any(|b| b.kind() == Kind::Name && b.text() == n.text() && b.is_binding()))
    })
}

/// `next((book for book in books if ...), None)`, of whose order the query is certain.
fn is_first<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Node<'a>> {
    if node.kind() != Kind::GeneratorExp {
        return None;
    }
    let (path, call) = called_with(cx, node)?;
    let Expr::Call { arguments: list, .. } = Expr::of(call) else { return None };
    let all = arguments(list);
    let [_, default] = all.as_slice() else { return None };
    let generators = generators(node);
    let [only] = generators.as_slice() else { return None };
    let is_row = node.child(Field::Body).is_some_and(|b| b.text() == only.target.text());
    (path == "builtins.next" && matches!(Expr::of(default.value), Expr::None) && is_row && !only.is_async)
        .then_some(call)
}

/// `any(...)` and `all(...)` over the rows of one queryset: the comprehension, and the call. Found at either of them.
fn asked<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<(Node<'a>, Node<'a>)> {
    let (call, inner) = match Expr::of(node) {
        Expr::Call { arguments: list, .. } => {
            let all = arguments(list);
            let [only] = all.as_slice() else { return None };
            (node.peel(), only.value.peel())
        }
        Expr::Comp { node, .. } => (called_with(cx, node)?.1, node),
        _ => return None,
    };
    if !matches!(inner.kind(), Kind::GeneratorExp | Kind::ListComp) {
        return None;
    }
    let (path, of) = called_with(cx, inner)?;
    let all = generators(inner);
    let [only] = all.as_slice() else { return None };
    let is_asked = matches!(path, "builtins.any" | "builtins.all") && of == call && !only.is_async;
    is_asked.then_some((inner, call))
}

fn find_asked<'a>(cx: &Context<'a>, call: Node<'a>, inner: Node<'a>) -> Option<Match<'a>> {
    let (path, _) = called_with(cx, inner)?;
    let negated = path == "builtins.all";
    let all = generators(inner);
    let only = all.first()?;
    let Expr::Name(variable) = Expr::of(only.target) else { return None };
    let element = inner.child(Field::Body)?;
    let source = rows(cx, only.iter).filter(|s| s.base == only.iter.peel() || s.is_streamed)?;
    let mut tests: Vec<Test<'a>> = only.conditions.iter().map(|c| Test::of(*c)).collect();
    tests.push(Test { node: element, negated });
    let translation = translated(cx, call, variable, &source, &tests)?;
    translation.rest.is_empty().then_some(Match {
        node: call,
        shape: Shape::Exists { negated },
        source,
        translation,
    })
}

fn find_call<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    if let Some((inner, call)) = asked(cx, node) {
        return find_asked(cx, call, inner);
    }
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
    let Type::Def(Def::External(path)) = cx.type_of(func) else { return None };
    let all = arguments(list);
    let [first, second] = all.as_slice() else { return None };
    if [first, second].iter().any(|a| a.stars > 0 || a.name.is_some()) {
        return None;
    }
    match path.as_str() {
        "builtins.filter" => {
            let Expr::Lambda { body, .. } = Expr::of(first.value) else { return None };
            let all = parameters(first.value.peel());
            let [only] = all.as_slice() else { return None };
            if only.default.is_some() {
                return None;
            }
            let source = rows(cx, second.value).filter(|s| s.base == second.value.peel())?;
            let translation = translated(cx, node, only.name, &source, &[Test::of(body)])?;
            translation.rest.is_empty().then_some(Match { node, shape: Shape::Lambda, source, translation })
        }
        "builtins.next" => {
            let generator = first.value.peel();
            is_first(cx, generator)?;
            let generators = generators(generator);
            let only = generators.first()?;
            let Expr::Name(variable) = Expr::of(only.target) else { return None };
            if only.conditions.is_empty() {
                return None;
            }
            let source = rows(cx, only.iter).filter(|s| s.base == only.iter.peel() || s.is_streamed)?;
            let tests: Vec<Test<'a>> = only.conditions.iter().map(|c| Test::of(*c)).collect();
            let translation = translated(cx, node, variable, &source, &tests)?;
            if translation.rest.is_empty() && is_ordered(cx, &source) {
                return Some(Match { node, shape: Shape::First, source, translation });
            }
            // Without an order `first()` would take the row with the lowest key.
            let clauses = generator.children().filter(|c| c.kind() == Kind::CompIf).collect();
            Some(Match { node: generator, shape: Shape::Clauses(clauses), source, translation })
        }
        _ => None,
    }
}

/// Whether it is certain which row comes first.
fn is_ordered(cx: &Context<'_>, source: &Source<'_>) -> bool {
    let queryset = &source.queryset;
    let model = cx.model(queryset.model);
    let by_model = (!model.ordering.is_empty() || model.order_with_respect_to.is_some())
        && !queryset.is(Trait::Unordered)
        && !queryset.is(Trait::Annotated);
    (queryset.is(Trait::Ordered) || by_model) && !queryset.is(Trait::OrderedSometimes)
}

/// `for book in books: if ...: return True`, and `return False` behind it.
fn find_search<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let Stmt::For { is_async: false, target, iter, body, orelse: None } = Stmt::of(node) else { return None };
    let Expr::Name(variable) = Expr::of(target) else { return None };
    let only = only_child(body)?;
    let Stmt::If { branches, orelse: None } = Stmt::of(only) else { return None };
    let [(test, block)] = branches.as_slice() else { return None };
    let Stmt::Return(Some(there)) = Stmt::of(only_child(*block)?) else { return None };
    let last = node.parent()?.children().skip_while(|s| *s != node).nth(1)?;
    let Stmt::Return(Some(nowhere)) = Stmt::of(last) else { return None };
    let answer = match (Expr::of(there), Expr::of(nowhere)) {
        (Expr::True, Expr::False) => Answer::Found,
        (Expr::False, Expr::True) => Answer::Missing,
        (Expr::Name(name), Expr::None) if name == variable => Answer::Row,
        _ => return None,
    };
    node.enclosing_function()?;
    let source = rows(cx, iter).filter(|s| s.base == iter.peel() || s.is_streamed)?;
    if answer == Answer::Row && !is_ordered(cx, &source) {
        return None;
    }
    let translation = translated(cx, node, variable, &source, &[Test::of(*test)])?;
    translation.rest.is_empty().then_some(Match {
        node,
        shape: Shape::Search { last, answer },
        source,
        translation,
    })
}

fn only_child(block: Node<'_>) -> Option<Node<'_>> {
    let mut children = block.children();
    let only = children.next()?;
    children.next().is_none().then_some(only)
}

fn find_loop<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let Stmt::For { target, iter, body, .. } = Stmt::of(node) else { return None };
    let Expr::Name(variable) = Expr::of(target) else { return None };
    let statements: Vec<Node<'a>> = body.children().collect();
    let (tests, shape) = match statements.as_slice() {
        [only] if let Stmt::If { branches, orelse: None } = Stmt::of(*only) => {
            let [(test, block)] = branches.as_slice() else { return None };
            // The first row that passes ends the loop: that is a question for `first()`.
            let is_idle = block.children().all(|s| matches!(Stmt::of(s), Stmt::Continue | Stmt::Pass));
            if is_idle || block.children().any(leaves) {
                return None;
            }
            (vec![Test::of(*test)], Shape::Wrapped(*only, *block))
        }
        _ => {
            let guards: Vec<(Node<'a>, Node<'a>)> =
                statements.iter().map_while(|s| guard(*s).map(|test| (*s, test))).collect();
            let rest = statements.get(guards.len()..)?;
            if guards.is_empty() || rest.is_empty() || rest.iter().any(|s| leaves(*s)) {
                return None;
            }
            let tests = guards.iter().map(|(_, test)| Test::not(*test)).collect();
            (tests, Shape::Guards(guards.iter().map(|(s, _)| *s).collect()))
        }
    };
    let source = rows(cx, iter)?;
    // After the loop the variable holds the last row, whether it passed or not.
    let scope_is_module = node.enclosing_function().is_none();
    if scope_is_module || read_elsewhere(cx, node, &[variable]) {
        return None;
    }
    let translation = translated(cx, node, variable, &source, &tests)?;
    // Rows that are fetched while the loop writes.
    if source.is_streamed && cx.events_in(body).any(|e| is_write(e.kind)) {
        return None;
    }
    Some(Match { node, shape, source, translation })
}

/// Whether an event may change rows.
pub fn is_write(kind: &EventKind) -> bool {
    match kind {
        EventKind::Write { .. } | EventKind::UnknownCall { .. } | EventKind::Suspend => true,
        EventKind::InstanceMethod { name, .. } => {
            !matches!(&**name, "full_clean" | "clean" | "clean_fields" | "refresh_from_db")
        }
        _ => false,
    }
}

/// `if test: continue`
fn guard<'a>(statement: Node<'a>) -> Option<Node<'a>> {
    let Stmt::If { branches, orelse: None } = Stmt::of(statement) else { return None };
    let [(test, block)] = branches.as_slice() else { return None };
    let mut inner = block.children();
    let (Some(only), None) = (inner.next(), inner.next()) else { return None };
    matches!(Stmt::of(only), Stmt::Continue).then_some(*test)
}

fn leaves(statement: Node<'_>) -> bool {
    matches!(Stmt::of(statement), Stmt::Return(_) | Stmt::Raise(_) | Stmt::Break)
}
