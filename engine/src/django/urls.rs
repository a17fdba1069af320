//! Which functions the URLs of the project lead to.

use super::Project;
use crate::python::{Def, Expr, File, FunctionId, Kind, arguments};
use rustc_hash::FxHashSet;

/// What puts a view behind a pattern.
const ROUTES: &[&str] = &[
    "django.urls.path",
    "django.urls.re_path",
    "django.urls.conf.path",
    "django.urls.conf.re_path",
    "django.conf.urls.url",
];

/// Whether a file may have URLs.
pub(crate) fn may_route(file: &File) -> bool {
    file.source.mentions("urlpatterns")
}

/// The functions that the URLs of the project lead to: `path("books/", views.books)`, also inside of decorators.
pub(crate) fn routed(project: &Project) -> FxHashSet<FunctionId> {
    let program = project.program();
    let mut out = FxHashSet::default();
    for file in program.file_ids().filter(|f| !project.is_known_file(*f)) {
        let parsed = program.file(file);
        if parsed.ast.is_empty() || parsed.ast.is_too_deep() || !may_route(parsed) {
            continue;
        }
        for call in parsed.root().descendants().filter(|n| n.kind() == Kind::Call) {
            let Expr::Call { func, arguments: list } = Expr::of(call) else { continue };
            let is_route = match program.resolve_expr(file, func.peel().id()) {
                Some(Def::External(path)) => ROUTES.contains(&path.as_str()),
                _ => false,
            };
            if !is_route {
                continue;
            }
            let given = arguments(list);
            let view = given.iter().find(|a| a.name == Some("view")).or_else(|| given.get(1));
            let Some(view) = view else { continue };
            for node in view.value.descendants().filter(|n| matches!(n.kind(), Kind::Name | Kind::Attribute))
            {
                if let Some(Def::Function(function)) = program.resolve_expr(file, node.id()) {
                    out.insert(function);
                }
            }
        }
    }
    out
}
