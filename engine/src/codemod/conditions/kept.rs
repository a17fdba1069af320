//! Plain values that an object keeps in its attributes: `self.limit`.

use super::operand::Reader;
use super::value::{Is, Value, literal, of_type};
use crate::infer::Type;
use crate::python::{Expr, Field, Kind, Member, Node, arguments};

impl<'a> Reader<'a, '_> {
    /// The value of `self.limit`, which the class or its `__init__()` gives every object, and nothing changes later.
    pub(super) fn kept(&self, node: Node<'a>, owner: Node<'a>, attr: &str) -> Option<Value> {
        let Expr::Name("self") = Expr::of(owner) else { return None };
        let Type::Object(class) = self.cx.type_of(owner) else { return None };
        let program = self.cx.project.program();
        let value = of_type(self.cx.type_of(node));
        let is_plain = !value.is.is_empty()
            && value.is.iter().all(|is| matches!(is, Is::Str | Is::Int | Is::Float | Is::Bool));
        if !is_plain || self.is_bound_in_place("self") {
            return None;
        }
        let assigned = self.cx.analyzer.assigned_to(*class, attr);
        match program.member(*class, attr) {
            Some((_, Member::Value(_))) if assigned.is_empty() => {
                let mut value = Value { literal: None, ..value };
                for below in program.descendants(*class) {
                    let info = program.class(below);
                    if sets(program.file(info.file).node(info.node), attr) {
                        return None;
                    }
                    match info.members.get(attr).filter(|_| below != *class) {
                        None => {}
                        // A class below gives it another number, or another text.
                        Some(Member::Value(other)) => {
                            let other = literal(program.file(info.file).node(*other).peel())?;
                            value = Value { literal: None, ..value.join(other) };
                        }
                        Some(_) => return None,
                    }
                }
                let az = self.cx.analyzer;
                let is_set = az.is_assigned_from_outside(attr) || az.is_set_by_name(attr);
                (!is_set && !self.is_given_to_view(attr)).then_some(value)
            }
            None => {
                let in_init = assigned.iter().all(|(file, node)| {
                    let node = program.file(*file).node(*node);
                    let is_init = |f: Node<'_>| f.child(Field::Name).is_some_and(|n| n.text() == "__init__");
                    node.enclosing_function().is_some_and(is_init)
                        && node.statement().and_then(|s| s.parent()?.parent()).is_some_and(is_init)
                });
                // Every object has been given one.
                (!assigned.is_empty() && in_init).then_some(value)
            }
            _ => None,
        }
    }

    /// `Books.as_view(limit=20)`
    fn is_given_to_view(&self, attr: &str) -> bool {
        let program = self.cx.project.program();
        self.cx.analyzer.call_sites().of("as_view").iter().any(|site| {
            let call = program.file(site.file).node(site.call);
            match Expr::of(call) {
                Expr::Call { arguments: list, .. } => {
                    list.kind() == Kind::Arguments
                        && arguments(list).iter().any(|a| a.stars > 0 || a.name == Some(attr))
                }
                _ => true,
            }
        })
    }
}

/// Whether code assigns to an attribute of that name.
fn sets(body: Node<'_>, attr: &str) -> bool {
    body.descendants().any(|n| {
        n.kind() == Kind::Attribute
            && n.is_binding()
            && matches!(Expr::of(n), Expr::Attribute { attr: name, .. } if name == attr)
    })
}
