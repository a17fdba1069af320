//! Methods of Django's own managers that code replaces: `Book.objects.filter = ...`.

use super::{Owner, Replaced, are_related};
use crate::python::{ClassId, Program};
use crate::text::Site;

/// Methods of managers that give rows, which Django defines.
pub(super) const METHODS: &[&str] = &[
    "get_queryset",
    "all",
    "filter",
    "exclude",
    "order_by",
    "annotate",
    "select_related",
    "prefetch_related",
    "only",
    "defer",
    "using",
    "distinct",
    "values",
    "values_list",
];

impl Replaced {
    /// Where a method of Django's own is replaced that gives the rows of a model: of a manager that the class `model`
    /// holds, or of the classes of its managers. With the method's name.
    pub fn of_manager(
        &self,
        program: &Program,
        model: ClassId,
        managers: &[ClassId],
    ) -> Option<(&'static str, Site)> {
        METHODS.iter().find_map(|name| {
            let known = self.by_name.get(*name)?;
            let found = known.iter().find(|r| {
                r.may_be_called
                    && match r.owner {
                        Owner::Held(class) => are_related(program, model, class),
                        Owner::Class(class) => {
                            managers.iter().any(|m| program.class(*m).mro.contains(&class))
                        }
                        Owner::Module(_) | Owner::Unknown => false,
                    }
            });
            found.map(|r| (*name, r.site))
        })
    }
}
