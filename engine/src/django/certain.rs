//! What a setting certainly is: what every settings module binds it to, with nothing that could bind it to something else.

use crate::python::{Expr, Field, Kind, Node, Program, string_value};
use crate::text::FileId;

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Constant {
    Text(String),
    Flag(bool),
}

/// Functions by which a module gets names that its text does not bind.
const DYNAMIC: &[&str] = &["globals", "locals", "vars", "exec", "eval", "setattr", "include", "configure"];

/// Modules that settings take everything from, looked at for each.
const MOST: usize = 100;

/// The one literal that the settings modules bind `name` to, wherever that stands and whatever it hangs on; `None` where they
/// disagree, bind it to something else, nowhere, or take names from elsewhere (a star import of a module that is not there,
/// `globals()`).
pub(super) fn certain(program: &Program, files: &[FileId], name: &str) -> Option<Constant> {
    let mut queue = files.to_vec();
    let mut found: Option<Constant> = None;
    let mut next = 0;
    while let Some(&id) = queue.get(next) {
        next += 1;
        let file = program.file(id);
        if next > MOST || file.ast.is_too_deep() {
            return None;
        }
        for node in file.root().descendants() {
            match node.kind() {
                Kind::WildcardImport => {
                    let from = node.parent().and_then(|import| import.child(Field::ModuleName))?;
                    let module = program.module_from(id, &file.absolute(from.text()))?;
                    if !queue.contains(&module) {
                        queue.push(module);
                    }
                }
                Kind::Call => {
                    let Expr::Call { func, .. } = Expr::of(node) else { continue };
                    if DYNAMIC.contains(&func.text().rsplit('.').next().unwrap_or("")) {
                        return None;
                    }
                }
                Kind::Name if node.text() == name && (node.is_binding() || is_imported(node)) => {
                    let value = bound(node)?;
                    if found.get_or_insert_with(|| value.clone()) != &value {
                        return None;
                    }
                }
                _ => {}
            }
        }
    }
    found
}

/// Whether the name comes from another module: `from project.local import TIME_ZONE`.
fn is_imported(name: Node<'_>) -> bool {
    name.ancestors().take(3).any(|a| matches!(a.kind(), Kind::ImportFrom | Kind::Import))
}

/// The literal that a name is assigned.
fn bound(name: Node<'_>) -> Option<Constant> {
    let assignment = name.parent().filter(|p| p.kind() == Kind::Assign && name.field() == Field::Left)?;
    let value = assignment.child(Field::Right)?;
    match Expr::of(value) {
        Expr::True => Some(Constant::Flag(true)),
        Expr::False => Some(Constant::Flag(false)),
        _ => string_value(value).map(Constant::Text),
    }
}
