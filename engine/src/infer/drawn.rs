//! How much of a lazy iterator is drawn: a generator expression, `map()`, the call of a generator function. What it does for
//! an element is done when somebody asks for that element, and perhaps never.
//!
//! Whoever is not known to draw draws nothing.

use super::frame::Frame;
use crate::python::{
    Binding, Def, Expr, Field, FunctionId, Kind, Member, Node, ParameterKind, arguments, generators,
    parameters,
};
use crate::text::FileId;

/// Names and calls that give the iterator on are followed so far in a function and those that it calls.
const MAX_DEPTH: usize = 6;
/// Callers of callers are asked so far.
const MAX_HOPS: usize = 3;
/// Callers of a function that returns the iterator: of more, some may not draw.
const MAX_CALLERS: usize = 40;

/// What is drawn for certain, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Drawn {
    /// Perhaps nothing.
    Nothing,
    /// The first element.
    First,
    /// Every element.
    All,
}

/// How far the question may still go.
#[derive(Clone, Copy)]
struct Budget {
    depth: usize,
    /// Callers further out. What a function's callers draw depends on it alone, so that the answers are remembered by both.
    hops: usize,
}

impl Budget {
    fn next(self) -> Budget {
        Budget { depth: self.depth + 1, ..self }
    }
}

/// Functions that draw all elements of every argument.
const DRAWING: &[&str] = &[
    "bytes",
    "dict",
    "frozenset",
    "list",
    "max",
    "min",
    "print",
    "set",
    "sorted",
    "sum",
    "tuple",
    "collections.Counter",
    "collections.OrderedDict",
    "functools.reduce",
    "itertools.product",
    "itertools.combinations",
    "itertools.permutations",
    "math.fsum",
    "math.prod",
];

/// Iterators over another one, which draw of it what is drawn of them.
const PASSING: &[&str] = &[
    "enumerate",
    "filter",
    "iter",
    "map",
    "itertools.accumulate",
    "itertools.batched",
    "itertools.cycle",
    "itertools.dropwhile",
    "itertools.filterfalse",
    "itertools.groupby",
    "itertools.pairwise",
    "itertools.starmap",
];

/// Methods of Python's own types and of what takes rows that draw all elements.
const METHODS: &[&str] = &[
    "abulk_create",
    "abulk_update",
    "bulk_create",
    "bulk_update",
    "difference",
    "difference_update",
    "executemany",
    "extend",
    "extendleft",
    "fromkeys",
    "intersection",
    "intersection_update",
    "join",
    "symmetric_difference",
    "union",
    "update",
    "writelines",
    "writerows",
];

impl<'a> Frame<'a, '_> {
    /// How much of the lazy iterator `node` of this frame's file is drawn.
    pub(super) fn drawn(&self, node: Node<'a>) -> Drawn {
        self.drawn_of(self.file, node, Budget { depth: 0, hops: 0 })
    }

    fn drawn_of(&self, file: FileId, node: Node<'a>, budget: Budget) -> Drawn {
        let whole = node.with_parens();
        let Some(parent) = whole.parent().filter(|_| budget.depth < MAX_DEPTH) else { return Drawn::Nothing };
        match parent.kind() {
            Kind::For if whole.field() == Field::Right => drawn_by_loop(parent),
            Kind::CompFor if whole.field() == Field::Right => match parent.parent() {
                Some(lazy) if lazy.kind() == Kind::GeneratorExp => {
                    let is_first = generators(lazy).first().is_some_and(|g| g.iter.contains(node.id()));
                    let drawn = self.drawn_of(file, lazy, budget.next());
                    if is_first { drawn } else { drawn.min(Drawn::First) }
                }
                _ => Drawn::All,
            },
            // `[*entries]`, `show(*entries)`
            Kind::Starred => Drawn::All,
            Kind::Compare => Drawn::First,
            Kind::BoolOp | Kind::IfExp | Kind::NamedExpr | Kind::Await => {
                self.drawn_of(file, parent, budget.next())
            }
            Kind::Return => self.drawn_by_callers(file, parent, budget),
            Kind::Yield if parent.text().trim_start().starts_with("yield from") => {
                self.drawn_by_callers(file, parent, budget)
            }
            // A generator expression may stand for the list of arguments.
            Kind::Call => self.drawn_by_call(file, parent, whole, budget),
            Kind::Arguments | Kind::KeywordArgument => {
                let call = parent.ancestors().find(|n| n.kind() == Kind::Call);
                call.map_or(Drawn::Nothing, |call| self.drawn_by_call(file, call, whole, budget))
            }
            Kind::AugAssign => Drawn::All,
            Kind::Assign if whole.field() == Field::Right => match parent.child(Field::Left) {
                Some(target) if target.kind() == Kind::Name => {
                    self.drawn_by_name(file, (parent, target.text()), budget)
                }
                // `first, second = entries`
                Some(target)
                    if matches!(target.kind(), Kind::PatternList | Kind::TuplePattern | Kind::Tuple) =>
                {
                    Drawn::First
                }
                _ => Drawn::Nothing,
            },
            _ => Drawn::Nothing,
        }
    }

    /// By what stands further down and has the name that the statement `bound` gives it, which is the body of a function where
    /// that is a parameter.
    fn drawn_by_name(&self, file: FileId, (bound, name): (Node<'a>, &str), budget: Budget) -> Drawn {
        let Some(scope) = bound.enclosing_scope() else { return Drawn::Nothing };
        let start = if bound.kind() == Kind::Assign { bound.subtree_end() } else { bound.id() };
        scope
            .descendants()
            .filter(|n| n.id() >= start && n.kind() == Kind::Name && n.text() == name && !n.is_binding())
            .filter(|used| is_reached(bound, *used, scope))
            .map(|used| self.drawn_of(file, used, budget.next()))
            .max()
            .unwrap_or(Drawn::Nothing)
    }

    /// By those who call the function around `node`: each of them, so far as there are any.
    fn drawn_by_callers(&self, file: FileId, node: Node<'a>, budget: Budget) -> Drawn {
        let program = self.az.project.program();
        let def = node.ancestors().find(|n| matches!(n.kind(), Kind::FunctionDef | Kind::Lambda));
        let function = def.filter(|d| d.kind() == Kind::FunctionDef);
        // Who reads a property calls nothing.
        let is_property = |d: &Node<'_>| {
            d.parent().is_some_and(|p| {
                p.kind() == Kind::DecoratedDef
                    && p.children().any(|c| c.kind() == Kind::Decorator && c.text().contains("property"))
            })
        };
        let function = function.filter(|d| !is_property(d));
        let Some(function) = function.and_then(|d| program.function_at(file, d.id())) else {
            return Drawn::Nothing;
        };
        if budget.hops >= MAX_HOPS {
            return Drawn::Nothing;
        }
        let further = Budget { depth: 0, hops: budget.hops + 1 };
        self.az.drawn.get_or((function, budget.hops), || self.drawn_by_calls(function, further))
    }

    fn drawn_by_calls(&self, function: FunctionId, budget: Budget) -> Drawn {
        let program = self.az.project.program();
        let sites = self.az.call_sites().of(&program.function(function).name);
        if sites.len() > MAX_CALLERS {
            return Drawn::Nothing;
        }
        let mut least = Drawn::All;
        for site in sites.iter().filter(|site| !self.az.project.is_test_file(site.file)) {
            let call = program.file(site.file).node(site.call);
            if self.may_call(site.file, call, function) {
                least = least.min(self.drawn_of(site.file, call, budget));
            }
            if least == Drawn::Nothing {
                break;
            }
        }
        least
    }

    /// Whether a call by the name of `function` may be one of it: not where the name is known to be another one.
    fn may_call(&self, file: FileId, call: Node<'a>, function: FunctionId) -> bool {
        let Expr::Call { func, .. } = Expr::of(call) else { return false };
        match self.az.project.program().resolve_expr(file, func.peel().id()) {
            Some(Def::Function(found)) => found == function,
            Some(Def::External(_) | Def::Class(_)) => false,
            _ => true,
        }
    }

    /// By the call that gets it as the argument `given`.
    fn drawn_by_call(&self, file: FileId, call: Node<'a>, given: Node<'a>, budget: Budget) -> Drawn {
        let Expr::Call { func, arguments: list } = Expr::of(call) else { return Drawn::Nothing };
        let list = arguments(list);
        let Some(at) = list.iter().position(|a| a.node.contains(given.id())) else { return Drawn::Nothing };
        let program = self.az.project.program();
        let path = match program.resolve_expr(file, func.peel().id()) {
            Some(Def::External(path)) => path,
            Some(Def::Function(function)) => {
                let argument = list.get(at).map(|a| (a.name, at, a.stars));
                return self.drawn_by_callee(function, argument, budget);
            }
            Some(_) => return Drawn::Nothing,
            None => match Expr::of(func) {
                Expr::Attribute { value, attr, .. }
                    if matches!(Expr::of(value), Expr::Name("self" | "cls")) =>
                {
                    let class = call.ancestors().find(|n| n.kind() == Kind::ClassDef);
                    let class = class.and_then(|c| program.class_at(file, c.id()));
                    let Some((_, Member::Function(function, binding))) =
                        class.and_then(|class| program.member(class, attr))
                    else {
                        return Drawn::Nothing;
                    };
                    let own = usize::from(*binding != Binding::StaticMethod);
                    let argument = list.get(at).map(|a| (a.name, at + own, a.stars));
                    return self.drawn_by_callee(*function, argument, budget);
                }
                Expr::Attribute { attr, .. } if METHODS.contains(&attr) => return Drawn::All,
                // A built-in function that nothing hides.
                Expr::Name(name) => name.to_owned(),
                _ => return Drawn::Nothing,
            },
        };
        let name = path.strip_prefix("builtins.").unwrap_or(&path);
        let of_call = || self.drawn_of(file, call, budget.next());
        match name {
            "any" | "all" | "next" => Drawn::First,
            "zip" if at == 0 => {
                let most = if list.len() == 1 { Drawn::All } else { Drawn::First };
                of_call().min(most)
            }
            "itertools.zip_longest" => of_call(),
            "itertools.takewhile" => of_call().min(Drawn::First),
            "itertools.compress" if at == 0 => of_call().min(Drawn::First),
            "itertools.chain" if at == 0 => of_call(),
            // What stands before it is drawn first.
            "itertools.chain" if of_call() == Drawn::All => Drawn::All,
            "itertools.islice" if at == 0 => {
                let stop = if list.len() > 2 { list.get(2) } else { list.get(1) };
                match stop.map(|a| Expr::of(a.value)) {
                    Some(Expr::None) => of_call().min(Drawn::First),
                    Some(Expr::Int(n)) if !matches!(n, "0") => of_call().min(Drawn::First),
                    _ => Drawn::Nothing,
                }
            }
            "collections.deque" if list.len() == 1 => Drawn::All,
            name if DRAWING.contains(&name) => Drawn::All,
            name if PASSING.contains(&name) => of_call(),
            // Django and its relatives render what they get.
            name if name.starts_with("django.") || name.starts_with("rest_framework.") => Drawn::All,
            _ => Drawn::Nothing,
        }
    }
}

impl<'a> Frame<'a, '_> {
    /// By a function that gets it as the argument of this name, or at this place.
    fn drawn_by_callee(
        &self,
        function: FunctionId,
        argument: Option<(Option<&str>, usize, u8)>,
        budget: Budget,
    ) -> Drawn {
        let program = self.az.project.program();
        let info = program.function(function);
        let def = program.file(info.file).node(info.node);
        let list = parameters(def);
        let parameter = match argument {
            Some((Some(name), _, 0)) => list.iter().find(|p| p.name == name),
            Some((None, at, 0)) => list.get(at),
            _ => None,
        };
        let is_one = |kind| {
            matches!(
                kind,
                ParameterKind::PositionalOnly
                    | ParameterKind::PositionalOrKeyword
                    | ParameterKind::KeywordOnly
            )
        };
        match (parameter, def.child(Field::Body)) {
            (Some(parameter), Some(body)) if is_one(parameter.kind) && !info.is_generator => {
                self.drawn_by_name(info.file, (body, parameter.name), budget)
            }
            _ => Drawn::Nothing,
        }
    }
}

/// A loop draws all unless it may be left.
fn drawn_by_loop(statement: Node<'_>) -> Drawn {
    let leaves = |n: Node<'_>| matches!(n.kind(), Kind::Break | Kind::Return | Kind::Raise);
    match statement.child(Field::Body) {
        Some(body) if !body.descendants().any(leaves) => Drawn::All,
        _ => Drawn::First,
    }
}

/// Whether `to`, which stands further down, is evaluated whenever `from` is.
fn is_reached<'a>(from: Node<'a>, to: Node<'a>, scope: Node<'a>) -> bool {
    let mut child = to;
    for outer in to.ancestors() {
        match outer.kind() {
            // Both stand in the block, or below it.
            Kind::Block | Kind::Module if outer.contains(from.id()) => break,
            Kind::Block | Kind::Lambda | Kind::IfExp => return false,
            Kind::BoolOp if outer.children().next().is_some_and(|first| first.id() != child.id()) => {
                return false;
            }
            // Only what the first clause goes over is evaluated once.
            kind if kind.is_comprehension()
                && !generators(outer).first().is_some_and(|g| g.iter.contains(to.id())) =>
            {
                return false;
            }
            _ => {}
        }
        child = outer;
    }
    let leaves = |n: &Node<'a>| {
        matches!(n.kind(), Kind::Return | Kind::Raise | Kind::Break | Kind::Continue) && !n.contains(to.id())
    };
    !scope.descendants().filter(|n| n.id() > from.id() && n.id() < to.id()).any(|n| leaves(&n))
}
