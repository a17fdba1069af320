//! The models that `apps.get_model()` gives in a migration: fields, relations and plain managers, but none of the
//! methods, and no receiver that names the model's class.
//!
//! Django builds them from the state of the migrations (`ModelState.from_model` and `render` in
//! django/db/migrations/state.py, 4.2 to 6.0). Here they have the fields of today's models: what a migration names and
//! the index does not know stays unknown.

use super::{Manager, Model, ModelId};
use crate::python::touched::aside;
use crate::python::{ClassId, Def, Expr, File, FunctionId, Kind, Program, arguments};
use rustc_hash::FxHashMap;

/// Holds the class of every historical model, which has no members.
const FILE: &str = "<known>/django/historical.py";

/// A historical model for every model, in the same order; nothing where no migration runs Python.
///
/// The second list says which can be followed: a base that is no model is a real class in migrations, too, and so is
/// a manager with `use_in_migrations`.
pub(super) fn models(
    program: &Program,
    models: &[Model],
    by_class: &FxHashMap<ClassId, ModelId>,
) -> Option<(Vec<Model>, Vec<bool>)> {
    let mut migrations = program.file_ids().filter(|file| aside(|| is_migration(program.file(*file))));
    migrations.find(|file| runs_python(program.file(*file)))?;
    let file = program.file_at(FILE)?;
    let class = program.classes_in(file).next()?;
    let offset = models.len() as u32;
    let moved = |id: ModelId| ModelId(id.0 + offset);
    let is_followed = models.iter().map(|model| is_followed(program, model, by_class)).collect();
    let historical = models
        .iter()
        .map(|model| {
            let mut out = model.clone();
            out.id = moved(model.id);
            out.class = class;
            out.bases.clear();
            out.table_parents.iter_mut().for_each(|id| *id = moved(*id));
            for relation in out.fields.iter_mut().filter_map(|f| f.relation.as_mut()) {
                relation.target = relation.target.map(moved);
                relation.through = relation.through.map(moved);
            }
            out.reverse.iter_mut().for_each(|r| r.source = moved(r.source));
            out.managers = vec![Manager {
                name: "objects".to_owned(),
                class: None,
                queryset: None,
                is_unknown: false,
                site: None,
            }];
            out.default_manager = "objects".to_owned();
            out
        })
        .collect();
    Some((historical, is_followed))
}

fn is_followed(program: &Program, model: &Model, by_class: &FxHashMap<ClassId, ModelId>) -> bool {
    let brings_managers = |manager: &Manager| {
        manager.is_unknown
            || manager.class.is_some_and(|class| program.member(class, "use_in_migrations").is_some())
    };
    !model.is_abstract
        && !model.has_unknown_base
        && model.base_manager_name.is_none()
        && !model.managers.iter().any(brings_managers)
        && program.class(model.class).mro.iter().all(|class| by_class.contains_key(class))
}

fn is_migration(file: &File) -> bool {
    file.module.contains("migrations")
}

fn runs_python(file: &File) -> bool {
    is_migration(file) && file.source.mentions("RunPython")
}

/// Whether `function` is the code of a `RunPython` operation of its module: it gets the historical apps.
pub(super) fn is_run(program: &Program, function: FunctionId) -> bool {
    let info = program.function(function);
    let file = program.file(info.file);
    if !runs_python(file) || info.class.is_some() {
        return false;
    }
    file.root().descendants().filter(|n| n.kind() == Kind::Call).any(|call| {
        let Expr::Call { func, arguments: list } = Expr::of(call) else { return false };
        let is_operation = || {
            matches!(program.resolve_expr(info.file, func.peel().id()),
                Some(Def::External(path)) if path.ends_with("migrations.RunPython") || path.ends_with("special.RunPython"))
        };
        func.text().ends_with("RunPython")
            && arguments(list).iter().any(|a| {
                program.resolve_expr(info.file, a.value.peel().id()) == Some(Def::Function(function))
            })
            && is_operation()
    })
}
