//! Managers and querysets: which class serves a model's rows, and which methods it has.

use super::Manager;
use super::values::Call;
use crate::python::{ClassId, Def, Expr, FunctionId, Member, Node, Program};
use crate::text::{FileId, Site};

const MANAGERS: &[&str] = &[
    "django.db.models.Manager",
    "django.db.models.manager.BaseManager",
    "django.db.models.manager.ManagerDescriptor",
];

/// Methods whose override changes which rows a manager gives, or what their methods do.
const STANDARD: &[&str] = &[
    "__getattr__",
    "__getattribute__",
    "__init__",
    "__iter__",
    "__len__",
    "__getitem__",
    "_clone",
    "_chain",
    "_fetch_all",
    "aggregate",
    "all",
    "annotate",
    "bulk_create",
    "bulk_update",
    "count",
    "create",
    "defer",
    "delete",
    "distinct",
    "earliest",
    "exclude",
    "exists",
    "filter",
    "first",
    "get",
    "get_or_create",
    "get_queryset",
    "in_bulk",
    "iterator",
    "last",
    "latest",
    "none",
    "only",
    "order_by",
    "prefetch_related",
    "select_for_update",
    "select_related",
    "update",
    "update_or_create",
    "using",
    "values",
    "values_list",
];

/// A manager class with the querysets that `from_queryset` adds to it.
#[derive(Clone, Debug, Default)]
pub(super) struct ManagerClass {
    pub class: Option<ClassId>,
    pub queryset: Option<ClassId>,
    pub is_unknown: bool,
}

impl ManagerClass {
    /// A manager of which nothing is known.
    pub fn unknown() -> ManagerClass {
        ManagerClass { is_unknown: true, ..ManagerClass::default() }
    }

    /// The manager that an attribute `name` of this class is.
    pub fn named(self, name: &str, site: Site) -> Manager {
        Manager {
            name: name.to_owned(),
            class: self.class,
            queryset: self.queryset,
            is_unknown: self.is_unknown,
            site: Some(site),
        }
    }
}

/// Whether an attribute of this name is what code asks for rows.
pub(super) fn is_manager_name(name: &str) -> bool {
    name.ends_with("objects") || name.ends_with("manager")
}

/// The manager that an expression makes, if it makes one.
pub(super) fn instance<'a>(
    program: &'a Program,
    file: FileId,
    node: Node<'a>,
    depth: usize,
) -> Option<ManagerClass> {
    if depth > 6 {
        return None;
    }
    if let Expr::Name(_) = Expr::of(node)
        && let Some(Def::Variable { file, value: Some(value) }) = program.resolve_expr(file, node.id())
    {
        return instance(program, file, program.file(file).node(value), depth + 1);
    }
    let call = Call::of(node)?;
    if let Expr::Attribute { value, attr: "as_manager", .. } = Expr::of(call.func) {
        let queryset = match program.resolve_expr(file, value.id()) {
            Some(Def::Class(class)) => Some(class),
            Some(Def::External(path)) if path == "django.db.models.QuerySet" => None,
            _ => return Some(ManagerClass::unknown()),
        };
        return Some(ManagerClass { class: None, queryset, is_unknown: false });
    }
    let unknown = || {
        // A class that is loaded by name, say: what it gives is not known, but that it is a manager is.
        let name = call.func.text().rsplit('.').next().unwrap_or("");
        let is_resolved = matches!(
            program.resolve_expr(file, call.func.id()),
            Some(Def::Class(_) | Def::Function(_) | Def::External(_))
        );
        (!is_resolved && name.ends_with("Manager")).then(ManagerClass::unknown)
    };
    class_of(program, file, call.func, depth + 1).or_else(unknown)
}

/// The manager class that an expression names or makes.
fn class_of<'a>(program: &'a Program, file: FileId, node: Node<'a>, depth: usize) -> Option<ManagerClass> {
    if depth > 6 {
        return None;
    }
    if let Some(call) = Call::of(node) {
        let Expr::Attribute { value, attr: "from_queryset", .. } = Expr::of(call.func) else { return None };
        let mut found = class_of(program, file, value, depth + 1)?;
        let queryset = call.argument("queryset_class", 0)?;
        match program.resolve_expr(file, queryset.id()) {
            Some(Def::Class(class)) => found.queryset = Some(class),
            Some(Def::External(path)) if path == "django.db.models.QuerySet" => {}
            _ => found.is_unknown = true,
        }
        return Some(found);
    }
    match program.resolve_expr(file, node.id())? {
        Def::External(path) if MANAGERS.contains(&path.as_str()) => Some(ManagerClass::default()),
        Def::External(path) => {
            let name = path.rsplit('.').next().unwrap_or("");
            (name.ends_with("Manager") && name != "TaggableManager").then(ManagerClass::unknown)
        }
        Def::Class(class) => {
            if !is_manager_class(program, class) {
                return None;
            }
            Some(ManagerClass {
                class: Some(class),
                queryset: queryset_of(program, class),
                is_unknown: program.class(class).has_unknown_base
                    || program.class(class).external_bases.iter().any(|b| is_foreign(b)),
            })
        }
        Def::Variable { file, value: Some(value) } => {
            class_of(program, file, program.file(file).node(value), depth + 1)
        }
        _ => None,
    }
}

fn is_foreign(path: &str) -> bool {
    !["django.", "builtins.", "typing.", "abc."].iter().any(|p| path.starts_with(p))
}

/// Whether a class is a manager: by its ancestors, or by its name where they are not known.
pub(super) fn is_manager_class(program: &Program, class: ClassId) -> bool {
    let this = program.class(class);
    this.external_bases.iter().any(|b| MANAGERS.contains(&b.as_str()))
        || (this.name.ends_with("Manager")
            && (this.has_unknown_base || this.external_bases.iter().any(|b| b.ends_with("Manager"))))
}

/// The queryset class that a manager class takes its methods from, by `from_queryset` in its bases or ancestors'.
pub(super) fn queryset_of(program: &Program, class: ClassId) -> Option<ClassId> {
    program.class(class).mro.iter().find_map(|ancestor| {
        let ancestor = program.class(*ancestor);
        ancestor.base_nodes.iter().find_map(|base| {
            let node = program.file(ancestor.file).node(*base);
            let made = match Expr::of(node) {
                Expr::Call { .. } => class_of(program, ancestor.file, node, 0),
                Expr::Name(_) | Expr::Attribute { .. } => match program.resolve_expr(ancestor.file, *base) {
                    Some(Def::Variable { file, value: Some(value) }) => {
                        class_of(program, file, program.file(file).node(value), 0)
                    }
                    _ => None,
                },
                _ => None,
            };
            made.and_then(|m| m.queryset)
        })
    })
}

/// The method `name` of a class of the program, own or inherited.
pub(super) fn method(program: &Program, class: ClassId, name: &str) -> Option<FunctionId> {
    match program.member(class, name)?.1 {
        Member::Function(function, _) => Some(*function),
        _ => None,
    }
}

/// Whether a class of manager or queryset leaves alone what Django's own does.
pub(super) fn leaves_standard(program: &Program, class: ClassId) -> bool {
    let this = program.class(class);
    !this.has_unknown_base
        && !this.external_bases.iter().any(|b| is_foreign(b))
        && this.mro.iter().all(|a| STANDARD.iter().all(|m| !program.class(*a).members.contains_key(*m)))
}
