//! Functions that give every row of what they get, in whatever order: `sorted(books, key=...)`, a list that a loop fills.

use crate::python::{Def, Expr, Field, FunctionId, Kind, Node, Program, arguments, generators, parameters};

/// Expressions inside one another are followed so far.
const MAX_DEPTH: usize = 12;

/// Whether each list that `function` returns holds all of the rows that it gets.
pub fn gives_every_row(program: &Program, function: FunctionId) -> bool {
    let info = program.function(function);
    let def = program.file(info.file).node(info.node);
    let Some(body) = def.child(Field::Body).filter(|_| !info.is_generator) else { return false };
    // What stands around it may give something else.
    let is_wrapped = info.decorators.iter().flatten().any(|decorator| match decorator {
        Def::Function(_) | Def::Class(_) => true,
        Def::External(path) => {
            !["django.", "functools.", "builtins."].iter().any(|known| path.starts_with(known))
        }
        _ => false,
    });
    if is_wrapped {
        return false;
    }
    let list = parameters(def);
    let own = list.first().map(|p| p.name).filter(|_| info.class.is_some());
    let mut known =
        Whole { names: list.iter().map(|p| p.name).filter(|name| Some(*name) != own).collect(), own };
    for statement in body.children() {
        known.statement(statement);
    }
    // A name that is bound under a condition may hold something else.
    let is_elsewhere = |n: &Node<'_>| {
        n.kind() == Kind::Name
            && n.is_binding()
            && known.names.contains(&n.text())
            && n.statement().is_none_or(|s| s.parent() != Some(body))
            && !n.ancestors().any(|a| a.kind() == Kind::CompFor)
    };
    if body.descendants().any(|n| is_elsewhere(&n) || known.takes_out(n)) {
        return false;
    }
    let mut returns =
        body.descendants().filter(|n| n.kind() == Kind::Return && n.enclosing_function() == Some(def));
    returns.all(|n| n.children().next().is_some_and(|value| known.is_whole_or_none(value)))
}

/// The names that hold all of the rows.
struct Whole<'a> {
    names: Vec<&'a str>,
    /// The object whose method it is: what it keeps is all that it got.
    own: Option<&'a str>,
}

impl<'a> Whole<'a> {
    /// What a statement of the body changes.
    fn statement(&mut self, statement: Node<'a>) {
        let inner = statement.children().next().filter(|_| statement.kind() == Kind::ExprStatement);
        let statement = inner.unwrap_or(statement);
        match statement.kind() {
            Kind::Assign => {
                let Some(Expr::Name(target)) = statement.child(Field::Left).map(Expr::of) else { return };
                let is_whole = statement.child(Field::Right).is_some_and(|value| self.is_whole(value, 0));
                self.names.retain(|name| *name != target);
                if is_whole {
                    self.names.push(target);
                }
            }
            // `for book in books: out.append(book)`
            Kind::For => {
                let (Some(iter), Some(body)) = (statement.child(Field::Right), statement.child(Field::Body))
                else {
                    return;
                };
                let leaves = |n: Node<'_>| {
                    matches!(n.kind(), Kind::Break | Kind::Continue | Kind::Return | Kind::Raise)
                };
                if !self.is_whole(iter, 0) || body.descendants().any(leaves) {
                    return;
                }
                for added in body.children().filter_map(added_to) {
                    self.names.push(added);
                }
            }
            _ => {}
        }
    }

    /// What a list or a dict of lists is made of.
    fn is_whole(&self, node: Node<'a>, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            return false;
        }
        match Expr::of(node) {
            Expr::Name(name) => self.names.contains(&name),
            Expr::Attribute { value, .. } => {
                matches!(Expr::of(value), Expr::Name(name) if Some(name) == self.own)
            }
            Expr::Call { func, arguments: list } => {
                let list = arguments(list);
                let first =
                    || list.first().is_some_and(|a| a.stars == 0 && self.is_whole(a.value, depth + 1));
                match Expr::of(func) {
                    Expr::Name("list" | "sorted" | "tuple" | "reversed" | "enumerate" | "iter") => first(),
                    Expr::Attribute { value, attr: "all" | "items" | "values" | "copy", .. } => {
                        list.is_empty() && self.is_whole(value, depth + 1)
                    }
                    _ => false,
                }
            }
            _ if node.peel().kind().is_comprehension() => {
                let all = generators(node.peel());
                all.len() == 1
                    && all.iter().all(|g| g.conditions.is_empty() && self.is_whole(g.iter, depth + 1))
            }
            _ => false,
        }
    }

    /// Whether rows are taken out of one of the lists: `rows.remove(book)`, `del rows[1:]`, `rows[:] = []`.
    fn takes_out(&self, node: Node<'a>) -> bool {
        const TAKING: &[&str] = &["remove", "pop", "popitem", "clear", "discard"];
        let is_ours = |owner: Node<'a>| self.is_whole(owner, 0);
        match Expr::of(node) {
            Expr::Attribute { value, attr, .. } if node.kind() == Kind::Attribute => {
                TAKING.contains(&attr) && is_ours(value)
            }
            Expr::Subscript { value, .. } if node.kind() == Kind::Subscript => {
                node.is_binding() && is_ours(value)
            }
            _ => node.kind() == Kind::AugAssign && node.child(Field::Left).is_some_and(is_ours),
        }
    }

    /// What may be returned: all of the rows, or none of their lists.
    fn is_whole_or_none(&self, node: Node<'a>) -> bool {
        let mentions = |n: Node<'a>| n.kind() == Kind::Name && self.names.contains(&n.text());
        let is_number = |n: Node<'a>| match Expr::of(n) {
            Expr::Call { func, .. } => {
                matches!(Expr::of(func), Expr::Name("len" | "bool" | "any" | "all" | "sum" | "str"))
            }
            _ => false,
        };
        match node.peel().kind() {
            Kind::Dict => node.peel().children().filter(|n| n.kind() == Kind::Pair).all(|pair| {
                pair.child(Field::Value).is_some_and(|value| {
                    self.is_whole(value, 0)
                        || is_number(value)
                        || !std::iter::once(value).chain(value.descendants()).any(mentions)
                })
            }),
            _ => self.is_whole(node, 0),
        }
    }
}

/// The name to which a statement adds a row: `out.append(book)`, `out.setdefault(key, []).append(book)`, `out[key].append(book)`.
fn added_to(statement: Node<'_>) -> Option<&str> {
    let call = statement.children().next().filter(|_| statement.kind() == Kind::ExprStatement)?;
    let Expr::Call { func, .. } = Expr::of(call) else { return None };
    let Expr::Attribute { value, attr: "append" | "add", .. } = Expr::of(func) else { return None };
    let mut owner = value;
    for _ in 0..MAX_DEPTH {
        owner = match Expr::of(owner) {
            Expr::Name(name) => return Some(name),
            Expr::Subscript { value, .. } => value,
            Expr::Call { func, .. } => match Expr::of(func) {
                Expr::Attribute { value, attr: "setdefault", .. } => value,
                _ => return None,
            },
            _ => return None,
        };
    }
    None
}
