//! django-guardian's shortcuts: the rows of a model that somebody has permissions for.

use super::calls::Arg;
use super::frame::Frame;
use super::types::{Name, Type};
use crate::django::{ModelId, Project};
use crate::python::{Expr, Node, string_value};

/// What Django names the permissions that every model has.
const DEFAULT_PERMISSIONS: &[&str] = &["add", "change", "delete", "view"];

impl<'a> Frame<'a, '_> {
    /// `get_objects_for_user(user, "shop.view_book")`: rows of the default manager of the class that is given third, or
    /// else of the model that has the permission.
    pub(super) fn permitted(&mut self, path: &str, args: &[Arg<'a>], node: Node<'a>) -> Type {
        let argument = |name: &str, index: usize| {
            let positional = || args.get(index).filter(|a| a.name.is_none() && a.stars == 0);
            args.iter().find(|a| a.name == Some(name)).or_else(positional)
        };
        let model = match argument("klass", 2).filter(|_| args.iter().all(|a| a.stars == 0)) {
            Some(given) => match given.ty {
                Type::ModelClass(model) => Some(model),
                _ => None,
            },
            None => argument("perms", 1).and_then(|perms| of_permissions(self.az.project, perms.node)),
        };
        self.external_effect(path, args, node);
        let (Some(model), Expr::Call { func, .. }) = (model, Expr::of(node)) else {
            return Type::External(Name::from(path));
        };
        match self.model_attribute(model, "_default_manager", node) {
            Type::Manager(manager) => self.manager_method(&manager, "all", &[], node, func),
            _ => Type::Unknown,
        }
    }
}

/// The model that a permission, or each of several, belongs to: one of those that every model has.
fn of_permissions(project: &Project, perms: Node<'_>) -> Option<ModelId> {
    let of = |node: Node<'_>| {
        let name = string_value(node)?;
        let (app, codename) = name.split_once('.')?;
        let (action, model) = codename.split_once('_')?;
        DEFAULT_PERMISSIONS.contains(&action).then(|| project.model_by_label(&format!("{app}.{model}")))?
    };
    match Expr::of(perms) {
        Expr::List(list) | Expr::Tuple(list) => {
            let mut models = list.children().map(of);
            let first = models.next()??;
            models.all(|m| m == Some(first)).then_some(first)
        }
        _ => of(perms),
    }
}
