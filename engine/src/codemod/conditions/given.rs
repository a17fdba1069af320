//! What a request gives, and operands of which little is known.

use super::operand::{Operand, Reader};
use super::value::{Is, Value};
use crate::infer::{EventKind, Type};
use crate::python::emit::on_one_line;
use crate::python::{Argument, Expr, Kind, Member, Node};

/// Query parameters and form data: text, whatever the name (`QueryDict`, django/http/request.py).
const DATA: &[&str] = &["GET", "POST", "query_params"];

impl<'a> Reader<'a, '_> {
    /// `request.GET.get("status")`, `request.GET.getlist("status")`
    pub(super) fn of_request(&self, func: Node<'a>, all: &[Argument<'a>], depth: usize) -> Option<Value> {
        let Expr::Attribute { value: data, attr: method, .. } = Expr::of(func) else { return None };
        let Expr::Attribute { value: owner, attr, .. } = Expr::of(data) else { return None };
        let is_request = matches!(self.cx.type_of(owner),
            Type::External(path) if &**path == "django.http.HttpRequest");
        if !is_request
            || !DATA.contains(&attr)
            || self.cx.analyzer.is_assigned_from_outside(attr)
            || all.iter().any(|a| a.name.is_some())
        {
            return None;
        }
        match (method, all) {
            ("get", [_]) => Some(Value { may_be_none: true, ..Value::of(Is::Str) }),
            ("get", [_, default]) => {
                Some(Value::of(Is::Str).join(self.value(default.value.peel(), depth + 1)?))
            }
            ("getlist", [_]) => Some(Value::of(Is::Many(vec![Is::Str]))),
            _ => None,
        }
    }

    /// An operand of which it is not proven what it is; whether it is at least the same for every row, as far as can be seen:
    /// attributes and items of what has a name.
    pub(super) fn unproven(&self, node: Node<'a>) -> Option<(Operand<'a>, bool)> {
        let node = node.peel();
        let is_odd = node.descendants().any(|n| {
            matches!(
                n.kind(),
                Kind::Await | Kind::Yield | Kind::NamedExpr | Kind::Lambda | Kind::Error | Kind::Starred
            ) || n.kind().is_comprehension()
        });
        if is_odd || matches!(self.cx.type_of(node), Type::QuerySet(_) | Type::Manager(_)) {
            return None;
        }
        let mut attributes = Vec::new();
        let mut has_name = false;
        let is_whole = node.kind() == Kind::Name;
        let mut is_steady = !is_whole;
        for inner in node.descendants() {
            match inner.kind() {
                Kind::Name => {
                    if inner.is_label() {
                        attributes.push(inner.text());
                        continue;
                    }
                    if inner.text() == self.variable || self.is_bound_in_place(inner.text()) {
                        return None;
                    }
                    // What the place itself changes is no condition for a query.
                    if is_whole && self.may_change(inner, inner.text()) {
                        return None;
                    }
                    has_name = true;
                }
                Kind::Attribute => is_steady &= !self.is_computed(inner),
                Kind::Call => is_steady = false,
                _ => {}
            }
        }
        let is_written = self.place.descendants().any(|n| {
            n.kind() == Kind::Attribute
                && n.is_binding()
                && matches!(Expr::of(n), Expr::Attribute { attr, .. } if attributes.contains(&attr))
        }) || self.cx.events_in(self.place).any(|e| {
            matches!(&e.kind, EventKind::WriteAttribute { name, .. }
                if **name == *"*" || attributes.iter().any(|a| **name == **a))
        });
        let is = if is_steady { vec![Is::Unknown] } else { Vec::new() };
        let value = Value { is, may_be_none: false, literal: None };
        let operand = Operand { node, value, text: on_one_line(node)? };
        (has_name && !is_written).then_some((operand, is_steady))
    }

    /// Whether a class of the program computes the attribute.
    fn is_computed(&self, node: Node<'a>) -> bool {
        let Expr::Attribute { value, attr, .. } = Expr::of(node) else { return false };
        let class = match self.cx.type_of(value) {
            Type::Object(class) => *class,
            Type::Instance(instance) => self.cx.model(instance.model).class,
            _ => return false,
        };
        matches!(self.cx.project.program().member(class, attr), Some((_, Member::Function(..))))
    }
}
