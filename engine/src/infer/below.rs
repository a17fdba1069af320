//! What classes below a mixin give to the attributes that it reads of itself.

use super::frame::Frame;
use super::types::Type;
use crate::python::{ClassId, Member, Node};

impl<'a> Frame<'a, '_> {
    /// The queryset or manager that every class below a mixin has as `name`, where that is one expression, and nobody assigns
    /// to it. Frameworks set attributes of their own classes, which are left out.
    pub(super) fn rows_given_below(&mut self, class: ClassId, name: &str, node: Node<'a>) -> Option<Type> {
        let program = self.az.project.program();
        let below: Vec<ClassId> = program.descendants(class).into_iter().filter(|c| *c != class).collect();
        let is_plain = |c: &ClassId| {
            let info = program.class(*c);
            !info.has_unknown_base
                && !self.az.project.is_known_file(info.file)
                && info
                    .external_bases
                    .iter()
                    .all(|b| ["builtins.", "abc.", "typing."].iter().any(|p| b.starts_with(p)))
        };
        if below.is_empty()
            || !below.iter().chain(&[class]).all(is_plain)
            || below.iter().any(|c| self.is_assigned_on_self(*c, name))
            || self.az.is_assigned_from_outside(name)
            || self.az.is_set_by_name(name)
        {
            return None;
        }
        let mut given = below.iter().map(|c| match program.member(*c, name) {
            Some((owner, Member::Value(value))) if owner != class => Some((owner, *value)),
            _ => None,
        });
        let (owner, value) = given.next()??;
        if !given.all(|other| other == Some((owner, value))) {
            return None;
        }
        let ty = self.class_value(owner, value, node);
        matches!(ty, Type::QuerySet(_) | Type::Manager(_)).then_some(ty)
    }
}
