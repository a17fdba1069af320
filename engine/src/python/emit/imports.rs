//! Which name a module gives to something it must import, and where the import goes.

use super::layout::wrapped_list;
use crate::python::modules::STANDARD;
use crate::python::{Field, File, Kind, Node};
use crate::text::{Edit, Span};
use std::collections::BTreeMap;

/// How a name can be written at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportedName {
    /// It is bound already, under this expression: `F`, `models.F`.
    Bound(String),
    /// It is written so once `from module import name` stands at the top of the file.
    Insert(String),
    /// The name means something else there; the place that binds it.
    Shadowed(Span),
}

/// One name that an import statement binds.
struct Binding<'a> {
    /// The local name.
    name: &'a str,
    /// What it means: `django.db.models.F`, or a module `django.db.models`.
    path: String,
    node: Node<'a>,
}

/// How `name` of `module` is written at `at`.
pub fn import_name(file: &File, at: Node<'_>, module: &str, name: &str) -> ImportedName {
    let root = file.root();
    let wanted = format!("{module}.{name}");
    let bindings = top_level_bindings(file);
    let mut via_module = None;
    for binding in &bindings {
        let is_it = binding.path == wanted;
        let holds_it = binding.path == module && via_module.is_none();
        if !(is_it || holds_it) || shadow(at, binding.name).is_some() || rebound(root, binding.name).is_some()
        {
            continue;
        }
        if is_it {
            return ImportedName::Bound(binding.name.to_owned());
        }
        via_module = Some(format!("{}.{name}", binding.name));
    }
    if let Some(expression) = via_module {
        return ImportedName::Bound(expression);
    }
    if let Some(span) = shadow(at, name) {
        return ImportedName::Shadowed(span);
    }
    // Anything in the module that binds the name already would be replaced.
    if let Some(other) = bindings.iter().find(|b| b.name == name) {
        return ImportedName::Shadowed(other.node.span());
    }
    match rebound(root, name) {
        Some(span) => ImportedName::Shadowed(span),
        None => ImportedName::Insert(name.to_owned()),
    }
}

/// The first name that an import of the module binds, that is bound by nothing else at `at`, and of which `is_it` holds.
pub fn bound_by_import(file: &File, at: Node<'_>, is_it: &dyn Fn(&str) -> bool) -> Option<String> {
    let name = |b: &Binding<'_>| {
        is_it(b.name) && shadow(at, b.name).is_none() && rebound(file.root(), b.name).is_none()
    };
    top_level_bindings(file).into_iter().find(name).map(|b| b.name.to_owned())
}

/// Where a function or comprehension around `at` binds `name`.
fn shadow(at: Node<'_>, name: &str) -> Option<Span> {
    at.ancestors()
        .filter(|n| matches!(n.kind(), Kind::FunctionDef | Kind::Lambda) || n.kind().is_comprehension())
        .find_map(|scope| {
            scope
                .descendants()
                .skip(1)
                .find(|n| n.kind() == Kind::Name && n.text() == name && n.is_binding())
                .map(Node::span)
        })
}

/// Where the module binds `name` by anything but an import.
fn rebound(root: Node<'_>, name: &str) -> Option<Span> {
    root.mentions(name)
        .filter(|n| n.is_binding())
        .find(|n| {
            !n.ancestors().any(|a| matches!(a.kind(), Kind::Import | Kind::ImportFrom))
                && n.enclosing_scope().is_some_and(|s| {
                    s.kind() == Kind::Module
                        || (s.parent().is_some()
                            && matches!(s.kind(), Kind::FunctionDef | Kind::ClassDef)
                            && s.child(Field::Name) == Some(*n))
                })
        })
        .map(Node::span)
}

/// What the unconditional imports at the top of the module bind. An import under `if TYPE_CHECKING` binds nothing
/// at run time.
fn top_level_bindings(file: &File) -> Vec<Binding<'_>> {
    let mut out = Vec::new();
    for statement in file.root().children() {
        match statement.kind() {
            Kind::Import => {
                for name in statement.children_in(Field::Name) {
                    match name.kind() {
                        Kind::AliasedImport => {
                            if let (Some(path), Some(alias)) =
                                (name.child(Field::Name), name.child(Field::Alias))
                            {
                                out.push(Binding {
                                    name: alias.text(),
                                    path: path.text().to_owned(),
                                    node: name,
                                });
                            }
                        }
                        // `import a.b` binds `a`; the module is reached as `a.b`.
                        _ if !name.text().contains('.') => {
                            out.push(Binding { name: name.text(), path: name.text().to_owned(), node: name });
                        }
                        _ => {}
                    }
                }
            }
            Kind::ImportFrom => {
                let Some(module) = statement.child(Field::ModuleName) else { continue };
                for name in statement.children_in(Field::Name) {
                    let (local, original) = match name.kind() {
                        Kind::AliasedImport => match (name.child(Field::Alias), name.child(Field::Name)) {
                            (Some(alias), Some(original)) => (alias.text(), original.text()),
                            _ => continue,
                        },
                        _ => (name.text(), name.text()),
                    };
                    out.push(Binding {
                        name: local,
                        path: format!("{}.{original}", file.absolute(module.text())),
                        node: name,
                    });
                }
            }
            _ => {}
        }
    }
    out
}

/// The edits that add `from module import name` for each pair, merged into imports that stand there, placed and sorted
/// as isort would. `is_first_party` says of a top-level package whether it is the project's own.
pub fn insert_imports(
    file: &File,
    requests: &[(&str, &str)],
    is_first_party: &dyn Fn(&str) -> bool,
) -> Vec<Edit> {
    let root = file.root();
    // Under another name it is asked for because that name is taken where it is needed.
    let is_plain = |b: &Binding<'_>| b.path.rsplit('.').next() == Some(b.name);
    let bound: Vec<String> = top_level_bindings(file).into_iter().filter(is_plain).map(|b| b.path).collect();
    let mut by_module: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (module, name) in requests {
        let names = by_module.entry(module).or_default();
        if !names.contains(name) && !bound.contains(&format!("{module}.{name}")) {
            names.push(name);
        }
    }
    let mut edits: Vec<Edit> = Vec::new();
    let mut last: Option<(Section, usize)> = None;
    for (module, mut names) in by_module {
        if names.is_empty() {
            continue;
        }
        names.sort_by_key(|n| sort_key(n));
        let existing = root.children().find(|s| {
            s.kind() == Kind::ImportFrom
                && s.child(Field::ModuleName).is_some_and(|m| file.absolute(m.text()) == module)
                && s.child_of_kind(Kind::WildcardImport).is_none()
        });
        match existing {
            Some(statement) => edits.extend(merge(file, statement, &names)),
            None => {
                let mut edit = insert_statement(file, module, &names, is_first_party);
                let own = section(module, is_first_party);
                // Several new statements of a section at one place come in their own order, with one gap.
                if let Some((before, at)) = last
                    && before == own
                    && let Some(previous) = edits.get_mut(at)
                    && previous.span == edit.span
                {
                    let newline = newline(file);
                    if edit.text.starts_with(newline) {
                        edit.text = format!("{newline}{}", edit.text.trim_start());
                    } else {
                        previous.text = format!("{}{newline}", previous.text.trim_end());
                    }
                }
                last = Some((own, edits.len()));
                edits.push(edit);
            }
        }
    }
    edits
}

/// isort's default: constants, then classes, then the rest.
fn sort_key(name: &str) -> (u8, String) {
    let class = if name.len() > 1 && name.chars().all(|c| c.is_uppercase() || c == '_' || c.is_ascii_digit())
    {
        0
    } else if name.starts_with(char::is_uppercase) {
        1
    } else {
        2
    };
    (class, name.to_owned())
}

/// Add names to a `from m import ...` that stands there.
fn merge<'a>(file: &File, statement: Node<'a>, names: &[&str]) -> Vec<Edit> {
    let present: Vec<Node<'a>> = statement.children_in(Field::Name).collect();
    let text = statement.text();
    let has_comment = statement.descendants().any(|n| n.kind() == Kind::Comment);
    let one_line = !text.contains('\n');
    let last_part = |n: &Node<'a>| match n.kind() {
        Kind::AliasedImport => n.child(Field::Name).map_or(n.text(), Node::text),
        _ => n.text(),
    };
    let case_sorted = present.windows(2).all(|w| match w {
        [a, b] => sort_key(last_part(a)) <= sort_key(last_part(b)),
        _ => true,
    });
    let plain_sorted = present.windows(2).all(|w| match w {
        [a, b] => last_part(a).to_lowercase() <= last_part(b).to_lowercase(),
        _ => true,
    });
    let before = |a: &str, b: &str| {
        if case_sorted || !plain_sorted {
            sort_key(a) < sort_key(b)
        } else {
            a.to_lowercase() < b.to_lowercase()
        }
    };
    // One line that stays within bounds, or that must be wrapped anew.
    if one_line && !has_comment {
        let mut all: Vec<&str> = present.iter().map(|n| n.text()).collect();
        for name in names {
            let at =
                all.iter().position(|other| before(name, other.split_whitespace().next().unwrap_or(other)));
            all.insert(at.unwrap_or(all.len()), name);
        }
        let (Some(first), Some(last)) = (present.first(), present.last()) else { return Vec::new() };
        let parenthesized = text.trim_end().ends_with(')');
        let joined = all.join(", ");
        let indent_free = file.source.line_column(statement.span().start).column == 1;
        let length = first.span().start - statement.span().start;
        if length as usize + joined.chars().count() + usize::from(parenthesized) * 2 <= 88 || !indent_free {
            return vec![Edit::replace(Span::new(first.span().start, last.span().end), joined)];
        }
        let Some(module) = statement.child(Field::ModuleName) else { return Vec::new() };
        let body = wrapped_list(
            "",
            file.source.indent_unit(),
            &format!("from {} import (", module.text()),
            &all,
            ")",
            newline(file),
        );
        return vec![Edit::replace(statement.span(), body)];
    }
    // Without parentheses a line of its own would end in a comma.
    let in_lines = text.trim_end().ends_with(')');
    // One name a line: a line of its own in its place.
    names
        .iter()
        .map(|name| {
            let next = present.iter().find(|other| before(name, last_part(other)));
            match (next, present.last()) {
                (Some(next), _) => {
                    let line = file.source.line_index(next.span().start);
                    let start = file.source.line_start(line);
                    let lead = file.source.slice(Span::new(start, next.span().start));
                    if in_lines && lead.trim().is_empty() {
                        Edit::insert(next.span().start, format!("{name},{}{lead}", newline(file)))
                    } else {
                        Edit::insert(next.span().start, format!("{name}, "))
                    }
                }
                (None, Some(last)) => {
                    let line = file.source.line_index(last.span().start);
                    let start = file.source.line_start(line);
                    let lead = file.source.slice(Span::new(start, last.span().start));
                    if in_lines && lead.trim().is_empty() && !lead.is_empty() {
                        Edit::insert(last.span().end, format!(",{}{lead}{name}", newline(file)))
                    } else {
                        Edit::insert(last.span().end, format!(", {name}"))
                    }
                }
                (None, None) => Edit::insert(statement.span().end, String::new()),
            }
        })
        .collect()
}

fn newline(file: &File) -> &'static str {
    file.source.newline().as_str()
}

/// The section of a module as isort orders them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Future,
    Library,
    ThirdParty,
    FirstParty,
    Local,
}

fn section(module: &str, is_first_party: &dyn Fn(&str) -> bool) -> Section {
    let first = module.split('.').next().unwrap_or(module);
    if first == "__future__" {
        Section::Future
    } else if module.starts_with('.') {
        Section::Local
    } else if STANDARD.contains(&first) {
        Section::Library
    } else if is_first_party(first) {
        Section::FirstParty
    } else {
        Section::ThirdParty
    }
}

/// A new import statement in its place.
fn insert_statement(
    file: &File,
    module: &str,
    names: &[&str],
    is_first_party: &dyn Fn(&str) -> bool,
) -> Edit {
    let root = file.root();
    let newline = newline(file);
    let statement = format!("from {module} import {}", names.join(", "));
    let own = section(module, is_first_party);
    // Only the imports at the top: those after other code are somebody's circular import.
    let mut imports: Vec<(Node<'_>, Section, bool, String)> = Vec::new();
    let mut docstring = None;
    for (i, node) in root.children().enumerate() {
        match node.kind() {
            Kind::ImportFrom => {
                let name = if node.text().starts_with("from __future__") {
                    "__future__".to_owned()
                } else {
                    node.child(Field::ModuleName).map_or(String::new(), |m| m.text().to_owned())
                };
                imports.push((node, section(&name, is_first_party), true, name));
            }
            Kind::Import => {
                let name = node
                    .children_in(Field::Name)
                    .next()
                    .map_or(String::new(), |n| n.child(Field::Name).unwrap_or(n).text().to_owned());
                imports.push((node, section(&name, is_first_party), false, name));
            }
            Kind::ExprStatement
                if i == 0 && node.children().all(|c| matches!(c.kind(), Kind::Str | Kind::ConcatStr)) =>
            {
                docstring = Some(node);
            }
            // Guards around imports may stand between them.
            Kind::Try | Kind::If if !imports.is_empty() => {}
            _ => break,
        }
    }
    // Where the file sorts its sections: `import x` before `from x import` (isort) or mixed by name.
    let force_sort_within = imports.windows(2).any(|w| match w {
        [a, b] => a.1 == b.1 && a.2 && !b.2,
        _ => false,
    });
    let goes_before = |other: &(Node<'_>, Section, bool, String)| {
        if own != other.1 {
            return own < other.1;
        }
        if !force_sort_within && !other.2 {
            return false;
        }
        module.to_lowercase() < other.3.to_lowercase()
    };
    if let Some(position) = imports.iter().position(goes_before) {
        let next = &imports[position];
        let line_start = file.source.line_start(file.source.line_index(leading_comments(file, next.0)));
        let same_section = next.1 == own;
        let joins_previous = position > 0 && imports[position - 1].1 == own;
        if same_section || !joins_previous {
            let gap = if same_section { "" } else { newline };
            return Edit::insert(line_start, format!("{statement}{newline}{gap}"));
        }
        return Edit::insert(end_of_line(file, imports[position - 1].0), format!("{newline}{statement}"));
    }
    if let Some(last) = imports.last() {
        let gap = if last.1 == own { "" } else { newline };
        return Edit::insert(end_of_line(file, last.0), format!("{newline}{gap}{statement}"));
    }
    if let Some(docstring) = docstring {
        return Edit::insert(end_of_line(file, docstring), format!("{newline}{newline}{statement}"));
    }
    match root.children().next() {
        Some(first) => {
            let start = leading_comments(file, first);
            let at = file.source.line_start(file.source.line_index(start));
            let gap = if matches!(first.kind(), Kind::FunctionDef | Kind::ClassDef | Kind::DecoratedDef) {
                format!("{newline}{newline}")
            } else {
                newline.to_owned()
            };
            Edit::insert(at, format!("{statement}{newline}{gap}"))
        }
        None => Edit::insert(0, format!("{statement}{newline}")),
    }
}

/// The end of the line on which `node` ends, a comment behind it included.
fn end_of_line(file: &File, node: Node<'_>) -> u32 {
    let line = file.source.line_index(node.span().end);
    file.source.line_start(line) + file.source.line_text(line).len() as u32
}

/// The start of the comments that stand directly above `node`, or of the node. A comment at the very top of the file
/// (shebang, coding, licence) belongs to the file.
fn leading_comments(file: &File, node: Node<'_>) -> u32 {
    let mut start = node.span().start;
    let mut line = file.source.line_index(start);
    while line > 0 {
        let text = file.source.line_text(line - 1);
        if !text.starts_with('#') {
            break;
        }
        line -= 1;
        if line == 0 {
            return node.span().start;
        }
        start = file.source.line_start(line);
    }
    start
}
