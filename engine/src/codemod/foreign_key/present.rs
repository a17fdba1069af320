//! Whether a nullable foreign key certainly leads to a row where it is read: by a test in front of it, or by the queryset.

use super::{Followed, is_path};
use crate::codemod::Context;
use crate::codemod::guards::flow;
use crate::codemod::guards::read_before::{is_read_before, is_rebound};
use crate::infer::{Origin, QuerySet, Root, Type, ValueId};
use crate::python::{Expr, Field, Kind, Node, Stmt, arguments, generators};

/// Whether the foreign key is certainly not NULL.
pub fn is_present(cx: &Context<'_>, followed: &Followed<'_>) -> bool {
    !followed.field.null || has_tested_key(followed) || is_filtered(cx, followed)
}

/// Whether the object that a name stands for is certainly not None where `node` reads it: by a test in front of it, or
/// because an attribute of it was read before.
pub fn is_there(node: Node<'_>) -> bool {
    let node = node.peel();
    let Expr::Name(name) = Expr::of(node) else { return false };
    is_tested_before(&Asked::Name(name), node) || is_read_before(name, node)
}

/// What a test says, as it is written.
enum Asked<'s> {
    /// The object behind a foreign key, or its key.
    Object { owner: String, object: &'s str, key: &'s str },
    /// A name.
    Name(&'s str),
}

impl Asked<'_> {
    fn is(&self, node: Node<'_>) -> bool {
        match (self, Expr::of(node)) {
            (Asked::Object { owner, object, key }, Expr::Attribute { value, attr, .. }) => {
                (attr == *object || attr == *key) && value.peel().text() == owner
            }
            (Asked::Name(name), Expr::Name(asked)) => *name == asked,
            _ => false,
        }
    }

    /// Whether there certainly is an object where `test` came out as `truth`.
    fn follows(&self, test: Node<'_>, truth: bool, depth: usize) -> bool {
        if depth > 40 {
            return false;
        }
        match Expr::of(test) {
            Expr::Attribute { .. } | Expr::Name(_) => truth && self.is(test),
            Expr::Not(inner) => self.follows(inner, !truth, depth + 1),
            Expr::BoolOp { left, op, right } => {
                let (left, right) =
                    (self.follows(left, truth, depth + 1), self.follows(right, truth, depth + 1));
                if (op == Kind::And) == truth { left || right } else { left && right }
            }
            Expr::Compare { left, op, right } if matches!(Expr::of(right), Expr::None) && self.is(left) => {
                match op {
                    Kind::Is | Kind::Eq => !truth,
                    Kind::IsNot | Kind::NotEq => truth,
                    _ => false,
                }
            }
            _ => false,
        }
    }
}

fn has_tested_key(followed: &Followed<'_>) -> bool {
    let asked = Asked::Object {
        owner: followed.owner.peel().text().to_owned(),
        object: &followed.field.name,
        key: &followed.field.attname,
    };
    is_path(followed.owner) && is_tested_before(&asked, followed.node)
}

fn is_tested_before<'a>(asked: &Asked<'_>, node: Node<'a>) -> bool {
    let holds = |test: Node<'_>, truth: bool| asked.follows(test, truth, 0) && !is_rebound(test, node);
    let mut inner = node;
    for outer in node.ancestors() {
        let is_known = match outer.kind() {
            Kind::FunctionDef | Kind::Lambda | Kind::ClassDef => return false,
            Kind::Block | Kind::Module => is_left_before(&holds, outer, inner),
            Kind::If => match Stmt::of(outer) {
                Stmt::If { branches, .. } => in_branch(&holds, &branches, node),
                _ => false,
            },
            Kind::While => match Stmt::of(outer) {
                Stmt::While { test, body, .. } => body.contains(node.id()) && holds(test, true),
                _ => false,
            },
            kind if kind.is_comprehension() => {
                let is_element = outer.child(Field::Body).is_some_and(|body| body.contains(node.id()));
                let all = generators(outer);
                let mut before = all.iter().flat_map(|g| g.conditions.iter());
                before
                    .any(|c| (is_element || c.id() < node.id() && !c.contains(node.id())) && holds(*c, true))
            }
            _ => match Expr::of(outer) {
                Expr::IfExp { body, test, orelse } => {
                    body.contains(node.id()) && holds(test, true)
                        || orelse.contains(node.id()) && holds(test, false)
                }
                Expr::BoolOp { left, op, right } => right.contains(node.id()) && holds(left, op == Kind::And),
                _ => false,
            },
        };
        if is_known {
            return true;
        }
        inner = outer;
    }
    false
}

/// Whether the branch that holds `node` is only taken where there is an object.
fn in_branch<'a>(
    holds: &dyn Fn(Node<'a>, bool) -> bool,
    branches: &[(Node<'a>, Node<'a>)],
    node: Node<'a>,
) -> bool {
    for (test, body) in branches {
        if test.contains(node.id()) {
            return false;
        }
        if body.contains(node.id()) {
            return holds(*test, true);
        }
        if holds(*test, false) {
            return true;
        }
    }
    false
}

/// Whether a statement of `block` in front of `inner` leaves where there is no object.
fn is_left_before<'a>(holds: &dyn Fn(Node<'a>, bool) -> bool, block: Node<'a>, inner: Node<'a>) -> bool {
    block.children().take_while(|s| s.id() < inner.id()).any(|statement| match Stmt::of(statement) {
        Stmt::If { branches, .. } => branches
            .first()
            .is_some_and(|(test, body)| body.children().any(flow::leaves) && holds(*test, false)),
        Stmt::Assert(parts) => parts.first().is_some_and(|test| holds(*test, true)),
        _ => false,
    })
}

/// Whether the queryset of the row asks for rows that have the foreign key.
fn is_filtered(cx: &Context<'_>, followed: &Followed<'_>) -> bool {
    let Root::Row(id) = followed.instance.root else { return false };
    followed.instance.path.is_empty() && filtered(cx, id, followed, 0)
}

fn filtered(cx: &Context<'_>, id: ValueId, followed: &Followed<'_>, depth: usize) -> bool {
    let Some(value) = cx.value(id).filter(|_| depth < 40) else { return false };
    if !value.alternatives.is_empty() {
        return value.alternatives.iter().all(|id| filtered(cx, *id, followed, depth + 1));
    }
    let is_combined = |q: &QuerySet| q.is(crate::infer::Trait::Combined);
    if value.queryset.as_deref().is_some_and(is_combined) {
        return false;
    }
    if let Origin::Expr(node) = value.origin
        && let Expr::Call { func, arguments: list } = Expr::of(cx.node(node))
        && let Expr::Attribute { attr, .. } = Expr::of(func)
    {
        let args = arguments(list);
        let asks = |name: &str, value: Node<'_>| {
            let (field, key) = (followed.field.name.as_str(), followed.field.attname.as_str());
            let is_none = matches!(Expr::of(value), Expr::None);
            let rest = name.strip_prefix(field).filter(|r| r.is_empty() || r.starts_with("__"));
            match (attr, rest) {
                ("filter", Some("__isnull")) => matches!(Expr::of(value), Expr::False),
                ("exclude", Some("__isnull")) => matches!(Expr::of(value), Expr::True),
                ("exclude", rest) => is_none && (rest == Some("") || name == key),
                ("filter", rest) => {
                    let is_lookup = rest.is_some_and(|r| !r.ends_with("__isnull")) || name == key;
                    is_lookup && !is_none && is_something(cx.type_of_any(value))
                }
                _ => false,
            }
        };
        let is_single = attr != "exclude" || args.len() == 1;
        if is_single && args.iter().any(|a| a.name.is_some_and(|name| asks(name, a.value))) {
            return true;
        }
    }
    value.parent.is_some_and(|parent| filtered(cx, parent, followed, depth + 1))
}

/// Whether a value is certainly not None.
fn is_something(ty: &Type) -> bool {
    match ty {
        Type::Unknown | Type::Never | Type::None => false,
        Type::Union(types) => types.iter().all(is_something),
        _ => true,
    }
}
