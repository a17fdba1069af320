//! How new code names models, managers and lists of rows.

use super::guards;
use super::{Context, FileId, Hazard, HazardKind, ImportRequest};
use crate::django::{FieldKind, Model, ModelId};
use crate::python::emit::{ImportedName, bound_by_import, import_name, is_keyword, numbered};
use crate::python::{ClassId, Def, Field, Kind, Node};
use crate::text::Site;

/// The manager through which rows of a model are written where the code names none.
pub fn manager_name(cx: &Context<'_>, model: ModelId) -> String {
    let info = cx.model(model);
    match info.manager("objects") {
        Some(_) => "objects".to_owned(),
        None => info.default_manager.clone(),
    }
}

/// How `model` is written at `at`, and the import that this relies on.
pub fn model_name<'a>(
    cx: &Context<'a>,
    at: Node<'a>,
    model: ModelId,
) -> Result<(String, Option<ImportRequest>), Hazard> {
    let model = cx.model(model);
    let shadowed =
        |span| Hazard::at(HazardKind::ImportShadowed, model.name.clone(), Site { file: cx.file, span });
    if model.site.file == cx.file {
        let local =
            cx.scope().kind() != Kind::Module && cx.scope().mentions(&model.name).any(Node::is_binding);
        let is_global = matches!(
            cx.project.program().global(cx.file, &model.name),
            Some(Def::Class(class)) if class == model.class
        );
        return if local || !is_global {
            Err(shadowed(model.site.span))
        } else {
            Ok((model.name.clone(), None))
        };
    }
    if let Some(name) = bound_name(cx, at, model.class) {
        return Ok((name, None));
    }
    match import_name(cx.project.program().file(cx.file), at, &model.module, &model.name) {
        ImportedName::Bound(text) => Ok((text, None)),
        ImportedName::Insert(text) => {
            if imports(cx, model.site.file, 0, &mut Vec::new()) {
                // The module of the model imports this one.
                return Err(shadowed(model.site.span));
            }
            let module = module_at_hand(cx, model).unwrap_or_else(|| model.module.clone());
            Ok((text, Some(ImportRequest { file: cx.file, module, name: model.name.clone() })))
        }
        ImportedName::Shadowed(span) => Err(shadowed(span)),
    }
}

/// The name that an import of the function around `at`, or of the module, gives to `class`.
fn bound_name<'a>(cx: &Context<'a>, at: Node<'a>, class: ClassId) -> Option<String> {
    let program = cx.project.program();
    let is_it = |def: Option<Def>| matches!(def, Some(Def::Class(c)) if c == class);
    if let Some(function) = at.enclosing_scope().filter(|s| s.kind() == Kind::FunctionDef)
        && let Some(body) = function.child(Field::Body)
    {
        let above = body.children().filter(|s| {
            matches!(s.kind(), Kind::Import | Kind::ImportFrom) && s.span().end <= at.span().start
        });
        for import in above {
            for (name, def) in program.local_imports(cx.file, import.id()) {
                // Bound once in the whole function, so at `at`, too.
                let others = function.descendants().any(|n| {
                    n.kind() == Kind::Name
                        && n.text() == name
                        && n.is_binding()
                        && !import.span().contains(n.span())
                });
                if is_it(Some(def)) && !others {
                    return Some(name);
                }
            }
        }
    }
    bound_by_import(program.file(cx.file), at, &|name| is_it(program.global(cx.file, name)))
}

/// The module from which the file at hand imports other names and that gives `model`, too, under its own name; none
/// that imports the file, where it may be only half loaded.
fn module_at_hand(cx: &Context<'_>, model: &Model) -> Option<String> {
    let program = cx.project.program();
    let file = program.file(cx.file);
    file.root()
        .children()
        .filter(|s| s.kind() == Kind::ImportFrom)
        .filter_map(|s| s.child(Field::ModuleName))
        .map(|module| file.absolute(module.text()))
        .find(|module| {
            program.module_from(cx.file, module).is_some_and(|target| {
                matches!(program.global(target, &model.name), Some(Def::Class(c)) if c == model.class)
                    && !imports(cx, target, 0, &mut Vec::new())
            })
        })
}

/// Whether `from` imports the file at hand when it is loaded, by way of others or not.
fn imports(cx: &Context<'_>, from: FileId, depth: usize, seen: &mut Vec<FileId>) -> bool {
    if seen.contains(&from) || depth > 12 || cx.project.is_known_file(from) {
        return false;
    }
    seen.push(from);
    loaded_by(cx, from).iter().any(|target| *target == cx.file || imports(cx, *target, depth + 1, seen))
}

/// The files that `from` imports when it is loaded.
fn loaded_by(cx: &Context<'_>, from: FileId) -> Vec<FileId> {
    let program = cx.project.program();
    cx.analyzer.once_for("imported files", from, || {
        let is_import = |n: &Node<'_>| matches!(n.kind(), Kind::Import | Kind::ImportFrom);
        let is_loaded = |n: &Node<'_>| n.enclosing_scope().is_none_or(|s| s.kind() != Kind::FunctionDef);
        let statements = program.file(from).root().descendants().filter(is_import).filter(is_loaded);
        statements.flat_map(|statement| imported_files(cx, from, statement)).collect()
    })
}

fn imported_files(cx: &Context<'_>, from: FileId, statement: Node<'_>) -> Vec<FileId> {
    let program = cx.project.program();
    let text = guards::writes::one_line(statement.text()).replace(['(', ')'], " ");
    let file = program.file(from);
    let names = |list: &str| -> Vec<String> {
        list.split(',').filter_map(|n| n.split_whitespace().next()).map(str::to_owned).collect()
    };
    let mut wanted = Vec::new();
    if let Some(rest) = text.strip_prefix("from ") {
        let Some((module, list)) = rest.split_once(" import ") else { return Vec::new() };
        let module = file.absolute(module.trim());
        for name in names(list) {
            wanted.push(format!("{module}.{name}"));
        }
        wanted.push(module);
    } else if let Some(list) = text.strip_prefix("import ") {
        wanted.extend(names(list));
    }
    wanted.iter().filter_map(|module| program.module_from(from, module)).collect()
}

/// A name for a list of rows of `model`, snake_case and plural, that nothing in the function has, nor the module,
/// nor `taken`: `authors`, `new_authors`, `new_authors_2`.
pub fn list_name(cx: &Context<'_>, model: ModelId, taken: &[String]) -> String {
    let plural = plural(&snake_case(&cx.model(model).name));
    if !is_taken(cx, &plural, taken) {
        return plural;
    }
    numbered(&format!("new_{plural}"), |name| is_taken(cx, name, taken))
}

/// A name for a dict of rows of `model` by `key`, that nothing in the function has, nor the module: `books`, `books_by_pk`.
pub fn dict_name(cx: &Context<'_>, model: ModelId, key: &str) -> String {
    let plural = plural(&snake_case(&cx.model(model).name));
    if !is_taken(cx, &plural, &[]) {
        return plural;
    }
    numbered(&format!("{plural}_by_{key}"), |name| is_taken(cx, name, &[]))
}

/// A name for one row of `model`, snake_case, for a variable that nothing outside of a comprehension sees.
pub fn variable_name(cx: &Context<'_>, model: ModelId) -> String {
    variable(&cx.model(model).name)
}

/// `log_entry`, and `class_` for a class `Class`.
fn variable(class: &str) -> String {
    let name = snake_case(class);
    if is_keyword(&name) { format!("{name}_") } else { name }
}

/// A name for a list of keys of rows of `model` that nothing in the function or module has: `author_pks`,
/// `author_pks_2`.
pub fn key_list_name(cx: &Context<'_>, model: ModelId) -> String {
    numbered(&format!("{}_pks", snake_case(&cx.model(model).name)), |name| is_taken(cx, name, &[]))
}

/// A name for rows of `model` that are to be written, that nothing in the function or module has: `authors`,
/// `authors_to_update`.
pub fn update_list_name(cx: &Context<'_>, model: ModelId, plain: bool) -> String {
    let plural = plural(&snake_case(&cx.model(model).name));
    if plain && !is_taken(cx, &plural, &[]) {
        return plural;
    }
    numbered(&format!("{plural}_to_update"), |name| is_taken(cx, name, &[]))
}

/// What an auto_now column gets when a row is saved, and the import that it relies on: `timezone.now()`
/// (`pre_save()` of the date and time fields in django/db/models/fields/__init__.py).
pub fn now<'a>(
    cx: &Context<'a>,
    at: Node<'a>,
    kind: FieldKind,
) -> Result<(String, Option<ImportRequest>), Hazard> {
    let (module, name, rest) = match kind {
        FieldKind::Date => ("datetime", "date", ".today()"),
        FieldKind::Time => ("datetime", "datetime", ".now().time()"),
        _ => ("django.utils", "timezone", ".now()"),
    };
    let (name, request) = imported(cx, at, module, name)?;
    Ok((format!("{name}{rest}"), request))
}

/// How `name` of `module` is written at `at`, and the import that this relies on.
pub fn imported<'a>(
    cx: &Context<'a>,
    at: Node<'a>,
    module: &str,
    name: &str,
) -> Result<(String, Option<ImportRequest>), Hazard> {
    match import_name(cx.project.program().file(cx.file), at, module, name) {
        ImportedName::Bound(text) => Ok((text, None)),
        ImportedName::Insert(text) => {
            let request = ImportRequest { file: cx.file, module: module.to_owned(), name: name.to_owned() };
            Ok((text, Some(request)))
        }
        ImportedName::Shadowed(span) => {
            Err(Hazard::at(HazardKind::ImportShadowed, name, Site { file: cx.file, span }))
        }
    }
}

fn is_taken(cx: &Context<'_>, name: &str, taken: &[String]) -> bool {
    is_keyword(name)
        || taken.iter().any(|t| t == name)
        || cx.project.program().global(cx.file, name).is_some()
        || cx
            .scope()
            .descendants()
            .any(|n| n.kind() == Kind::Name && n.text() == name && !is_plain_attribute(n))
}

fn is_plain_attribute(node: Node<'_>) -> bool {
    match node.parent().map(|p| (p.kind(), node.field())) {
        Some((Kind::Attribute, field)) => field == Field::Attribute,
        Some((Kind::KeywordArgument, field)) => field == Field::Name,
        _ => false,
    }
}

fn snake_case(name: &str) -> String {
    let mut out = String::new();
    let chars: Vec<char> = name.chars().collect();
    for (i, c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|i| chars.get(i));
        let after = chars.get(i + 1);
        let starts = c.is_uppercase()
            && before.is_some_and(|b| {
                b.is_lowercase()
                    || b.is_numeric()
                    || b.is_uppercase() && after.is_some_and(|a| a.is_lowercase())
            });
        if starts {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

fn plural(word: &str) -> String {
    let ends = |suffixes: &[&str]| suffixes.iter().any(|s| word.ends_with(s));
    if let Some(stem) = word.strip_suffix('y')
        && !ends(&["ay", "ey", "iy", "oy", "uy"])
    {
        return format!("{stem}ies");
    }
    if ends(&["s", "x", "z", "ch", "sh"]) { format!("{word}es") } else { format!("{word}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_named_after_their_model() {
        let list = |name: &str| plural(&snake_case(name));
        assert_eq!(list("Author"), "authors");
        assert_eq!(list("LogEntry"), "log_entries");
        assert_eq!(list("Box"), "boxes");
        assert_eq!(list("HTTPDay"), "http_days");
    }

    #[test]
    fn rows_are_named_after_their_model() {
        assert_eq!(variable("LogEntry"), "log_entry");
        assert_eq!(variable("Class"), "class_");
        assert_eq!(variable("Import"), "import_");
        assert_eq!(variable("Match"), "match");
    }
}
