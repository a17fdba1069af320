//! Rows that a filter or a tag of the project leaves out: of a list that it makes of the rows it gets, only its body tells whether
//! it holds all of them.

use super::Rendering;
use super::certainty::Values;
use crate::django::templates::Arg;
use crate::infer::every_row::gives_every_row;
use crate::infer::frame::Frame;
use crate::infer::types::Type;
use crate::python::{FunctionId, Member};

impl<'a> Frame<'a, '_> {
    /// The rows of `ty` that it holds itself, not as a queryset.
    fn rows_of_lists(&self, ty: &Type) -> Values {
        let mut out = Values::new();
        for alternative in ty.alternatives().iter().filter(|t| !matches!(t, Type::QuerySet(_))) {
            out.extend(self.rows_within(alternative));
            let kept: Vec<&Type> = match alternative {
                // The names that an inclusion tag gives to its template.
                Type::Dict(dict) => dict.2.values().map(|(given, ..)| given).collect(),
                Type::Record(record) => record.fields.iter().map(|(_, kept)| kept).collect(),
                _ => Vec::new(),
            };
            let lists =
                kept.into_iter().flat_map(Type::alternatives).filter(|t| !matches!(t, Type::QuerySet(_)));
            lists.for_each(|list| out.extend(self.rows_within(list)));
        }
        out
    }

    /// `made` was made of rows that `function` got; where it may have left some out, that is remembered.
    pub(super) fn left_out_by(&self, r: &mut Rendering<'a>, function: FunctionId, made: &Type) {
        let rows = self.rows_of_lists(made);
        if !rows.is_empty() && !gives_every_row(self.az.project.program(), function) {
            r.left_out.extend(rows);
        }
    }

    /// `made` is the attribute `name` of `owner`, or what its method gives: an object may give some of the rows that it keeps.
    pub(super) fn left_out_by_member(
        &self,
        r: &mut Rendering<'a>,
        (owner, name): (&Type, &str),
        made: &Type,
    ) {
        let program = self.az.project.program();
        for alternative in owner.alternatives() {
            let function = match alternative {
                Type::Instance(instance) => self.az.project.method(instance.model, name),
                other => other.object_class().and_then(|class| match program.member(class, name) {
                    Some((_, Member::Function(function, _))) => Some(*function),
                    _ => None,
                }),
            };
            if let Some(function) = function {
                self.left_out_by(r, function, made);
            }
        }
    }

    /// A part of the list `given` is taken.
    pub(super) fn left_out_by_slice(&self, r: &mut Rendering<'a>, given: &Type) {
        let rows = self.rows_of_lists(given);
        r.left_out.extend(rows);
    }

    /// The filter `name` of Django or Jinja gives a part of what it gets.
    pub(super) fn left_out_of(&self, r: &mut Rendering<'a>, name: &str, args: &[Arg], given: &Type) {
        let is_part = match name {
            "selectattr" | "rejectattr" | "select" | "reject" | "unique" => true,
            // The first ones: there is one if there is any.
            "slice" => !args.first().and_then(|a| a.value.as_str()).is_some_and(|bounds| {
                bounds.strip_prefix(':').is_some_and(|n| n.parse::<u32>().is_ok_and(|n| n > 0))
            }),
            _ => false,
        };
        if is_part {
            let rows = self.rows_of_lists(given);
            let evaluated = match name {
                "slice" => Values::new(),
                _ => self.rows_within(given),
            };
            r.left_out.extend(rows.into_iter().chain(evaluated));
        }
    }

    /// Whether rows may have been left out of the list `iterated`.
    pub(super) fn may_lack_rows(&self, r: &Rendering<'a>, iterated: &Type) -> bool {
        !r.left_out.is_empty() && self.rows_of_lists(iterated).iter().any(|row| r.left_out.contains(row))
    }
}
