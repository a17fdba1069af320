//! Names in operands: what binds them, whether that has happened when the query is made, and whether the loop changes what
//! they hold.

use super::operand::Reader;
use crate::codemod::guards::flow::dominates;
use crate::codemod::guards::variable::is_assigned;
use crate::python::{Expr, Field, Kind, Node, Parameter, parameters};

/// What binds a name.
pub(super) enum Bound<'a> {
    /// The module.
    Module,
    /// The function's parameter, which nothing binds again, and its position.
    Parameter(Parameter<'a>, usize),
    /// A variable of the function, with the value of its only assignment.
    Local(Option<Node<'a>>),
}

impl<'a> Reader<'a, '_> {
    /// Whether the loop or comprehension itself gives the name another value.
    pub(super) fn is_bound_in_place(&self, name: &str) -> bool {
        self.place
            .descendants()
            .any(|n| n.kind() == Kind::Name && n.text() == name && n.is_binding() && !n.is_label())
    }

    /// Whether the place may change the collection that a name holds: it does anything with it but look, or lets others
    /// run between two rows.
    pub(super) fn may_change(&self, node: Node<'a>, name: &str) -> bool {
        self.place.descendants().any(|n| {
            matches!(n.kind(), Kind::Yield | Kind::Await)
                || n.kind() == Kind::Name
                    && n.text() == name
                    && n != node
                    && !n.is_label()
                    && !is_looked_at(n)
        })
    }

    /// Whether the body of a loop may change a collection without naming it: by another name, or in a function that does.
    pub(super) fn is_changed_by_others(&self, name: &str, is_of_module: bool) -> bool {
        if self.place.kind() != Kind::For {
            return false;
        }
        let scope = if is_of_module { self.cx.root() } else { self.cx.scope() };
        scope.descendants().any(|n| {
            if n.kind() != Kind::Name
                || n.text() != name
                || n.is_binding()
                || n.is_label()
                || self.place.contains(n.id())
                || is_looked_at(n)
            {
                return false;
            }
            let outer = n.with_parens();
            let Some(parent) = outer.parent() else { return true };
            match parent.kind() {
                // `words.append(word)` before the loop; in a module that is some other function's.
                Kind::Attribute | Kind::Subscript => is_of_module,
                Kind::For
                | Kind::CompFor
                | Kind::Return
                | Kind::BinOp
                | Kind::Not
                | Kind::If
                | Kind::BoolOp => false,
                Kind::AugAssign => is_of_module,
                _ => !is_of_module,
            }
        })
    }

    /// What binds the name where it is certainly bound.
    pub(super) fn binding(&self, name: &str) -> Option<Bound<'a>> {
        for scope in self.place.ancestors() {
            match scope.kind() {
                // The variable of a comprehension around this one.
                kind if kind.is_comprehension() => {
                    let is_target = |n: Node<'a>| {
                        n.kind() == Kind::Name
                            && n.text() == name
                            && n.is_binding()
                            && n.ancestors().any(|a| a.kind() == Kind::CompFor)
                    };
                    if scope.descendants().any(is_target) {
                        return Some(Bound::Local(None));
                    }
                }
                Kind::FunctionDef | Kind::Lambda => {
                    let all = parameters(scope);
                    let found = all.iter().position(|p| p.name == name);
                    let bindings: Vec<Node<'a>> = scope
                        .descendants()
                        .skip(1)
                        .filter(|n| n.kind() == Kind::Name && n.text() == name && n.is_binding())
                        .filter(|n| n.enclosing_scope() == Some(scope) && !is_of_comprehension(*n))
                        .filter(|n| {
                            !n.ancestors().take_while(|a| *a != scope).any(|a| a.kind() == Kind::Parameters)
                        })
                        .collect();
                    let is_foreign = bindings.iter().any(|n| {
                        n.parent()
                            .is_some_and(|p| matches!(p.kind(), Kind::Global | Kind::Nonlocal | Kind::Delete))
                    });
                    if is_foreign {
                        return None;
                    }
                    if let Some(index) = found {
                        let parameter = all.get(index).cloned()?;
                        if bindings.is_empty() && scope == self.cx.scope() {
                            return Some(Bound::Parameter(parameter, index));
                        }
                        return Some(Bound::Local(None));
                    }
                    if bindings.is_empty() {
                        continue;
                    }
                    let certain = bindings.iter().copied().find(|n| self.is_certain(*n))?;
                    let value = match bindings.as_slice() {
                        [_] => assigned(certain),
                        _ => None,
                    };
                    return Some(Bound::Local(value));
                }
                // Names of a class are not seen from its methods.
                Kind::ClassDef if self.place.enclosing_scope() == Some(scope) => return None,
                _ => {}
            }
        }
        self.cx.project.program().global(self.cx.file, name).map(|_| Bound::Module)
    }

    /// Whether a binding has happened whenever the place is reached.
    fn is_certain(&self, binding: Node<'a>) -> bool {
        let in_body = binding
            .ancestors()
            .find(|a| matches!(a.kind(), Kind::For | Kind::With) && binding.id() < self.place.id());
        if let Some(around) = in_body
            && around
                .child(Field::Body)
                .is_some_and(|b| b.contains(self.place.id()) && !b.contains(binding.id()))
        {
            return true;
        }
        binding.statement().is_some_and(|s| {
            !matches!(s.kind(), Kind::For | Kind::With | Kind::Try | Kind::If | Kind::While | Kind::Match)
                && dominates(s, self.place)
        })
    }
}

/// `x in name`, `name[0]`, `len(name)`
fn is_looked_at(name: Node<'_>) -> bool {
    let outer = name.with_parens();
    let Some(parent) = outer.parent() else { return false };
    match parent.kind() {
        Kind::Compare => true,
        Kind::Subscript => outer.field() == Field::Value && !is_assigned(parent),
        Kind::Attribute => {
            matches!(
                Expr::of(parent),
                Expr::Attribute { attr: "get" | "index" | "count" | "keys" | "items" | "values", .. }
            )
        }
        Kind::Arguments => {
            matches!(parent.parent().map(Expr::of), Some(Expr::Call { func, .. })
                if matches!(Expr::of(func), Expr::Name("len" | "sum" | "min" | "max" | "any" | "all" | "sorted")))
        }
        _ => false,
    }
}

fn is_of_comprehension(node: Node<'_>) -> bool {
    node.ancestors().take_while(|a| !a.kind().is_statement()).any(|a| a.kind() == Kind::CompFor)
}

/// The value that a plain assignment gives to the name.
fn assigned<'a>(name: Node<'a>) -> Option<Node<'a>> {
    let assignment = name.parent().filter(|p| p.kind() == Kind::Assign && name.field() == Field::Left)?;
    let value = assignment.child(Field::Right)?;
    (value.kind() != Kind::Assign).then_some(value)
}
