//! Directories that the entry points of a project put on `sys.path`.
//!
//! Many layouts keep the applications in a directory that is a package itself and import them from inside it, after
//! `sys.path.append(os.path.join(current_path, "bookshop"))` in `manage.py` and `wsgi.py` (cookiecutter-django's
//! templates write this).

use super::program::Parsed;
use super::view::{Expr, string_value};
use super::{Kind, Node};

/// The directories, relative to the project, that the file may put on `sys.path`, nearest first for each call: the
/// strings of the argument below the file's directory, and below the two above it (`BASE_DIR` of settings). Whether
/// they exist is for the caller to say. Empty for a file that no process starts with.
pub(super) fn added(file: &Parsed) -> Vec<Vec<String>> {
    let (source, ast) = (file.source(), file.ast());
    let (directory, name) = source.path().rsplit_once('/').unwrap_or(("", source.path()));
    let is_entry = matches!(name, "manage.py" | "wsgi.py" | "asgi.py" | "conftest.py" | "settings.py")
        || directory.rsplit('/').next() == Some("settings");
    if !is_entry || !(source.text().contains("sys.path.") || source.text().contains("addsitedir")) {
        return Vec::new();
    }
    if ast.is_too_deep() || ast.is_empty() {
        return Vec::new();
    }
    let root = ast.root(source.text());
    root.descendants().filter_map(pushed).map(|below| candidates(directory, &below)).collect()
}

/// What a call puts on the path, by the strings of its argument.
fn pushed(node: Node<'_>) -> Option<String> {
    if node.kind() != Kind::Call {
        return None;
    }
    let Expr::Call { func, .. } = Expr::of(node) else { return None };
    if !matches!(func.text(), "sys.path.append" | "sys.path.insert" | "site.addsitedir") {
        return None;
    }
    let mut parts = Vec::new();
    for string in node.descendants().filter(|n| n.kind() == Kind::Str) {
        let value = string_value(string)?;
        for part in value.split('/').filter(|p| !p.is_empty() && *p != ".") {
            if part == ".." {
                return None;
            }
            parts.push(part.to_owned());
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn candidates(directory: &str, below: &str) -> Vec<String> {
    let above = std::iter::successors(Some(directory), |d| {
        (!d.is_empty()).then(|| d.rsplit_once('/').map_or("", |(parent, _)| parent))
    });
    above.take(3).map(|d| if d.is_empty() { below.to_owned() } else { format!("{d}/{below}") }).collect()
}
