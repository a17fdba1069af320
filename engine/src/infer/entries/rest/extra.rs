//! Actions of a viewset that the project has beside those of the framework: `self.action` is their own name, and the
//! keywords of their decorator are attributes of the view for them (rest_framework/decorators.py, `action()`).

use super::declared::has_base;
use crate::django::Project;
use crate::python::{ClassId, Def, Expr, Kind, Member, Node, arguments, is_super, parameters, string_value};
use crate::text::FileId;

/// The actions of the framework's own viewsets, and the methods that a request comes in by.
const OF_FRAMEWORK: &[&str] = &[
    "list",
    "retrieve",
    "create",
    "update",
    "partial_update",
    "destroy",
    "get",
    "post",
    "put",
    "patch",
    "delete",
    "head",
    "options",
    "dispatch",
];
/// Methods of a view that go over its rows without being an action.
const HOOKS: &[&str] = &[
    "get_serializer",
    "get_serializer_class",
    "get_serializer_context",
    "get_queryset",
    "filter_queryset",
    "paginate_queryset",
    "get_object",
];
/// Methods that call one another are followed so far.
const MAX_HELPERS: usize = 3;

/// What the decorators of an action say of the view.
#[derive(Default)]
pub(super) struct Told<'a> {
    file: FileId,
    /// The arguments of their calls.
    lists: Vec<Node<'a>>,
}

impl<'a> Told<'a> {
    /// Of the action of that name.
    pub fn of(project: &'a Project, view: ClassId, action: &str) -> Told<'a> {
        let program = project.program();
        let Some((_, Member::Function(function, _))) = program.member(view, action) else {
            return Told::default();
        };
        let info = program.function(*function);
        let def = program.file(info.file).node(info.node);
        let around = def.parent().filter(|p| p.kind() == Kind::DecoratedDef);
        let decorators = around.into_iter().flat_map(Node::children).filter(|n| n.kind() == Kind::Decorator);
        let lists = decorators.filter_map(|d| match Expr::of(d.children().next()?) {
            Expr::Call { arguments, .. } => Some(arguments),
            _ => None,
        });
        Told { file: info.file, lists: lists.collect() }
    }

    /// The value of an attribute of the view, and its file.
    pub fn get(&self, name: &str) -> Option<(FileId, Node<'a>)> {
        let named = self.lists.iter().flat_map(|list| arguments(*list)).find(|a| a.name == Some(name));
        named.map(|a| (self.file, a.value))
    }

    /// Keywords that nobody knows.
    pub fn is_open(&self) -> bool {
        self.lists.iter().flat_map(|list| arguments(*list)).any(|a| a.stars > 1)
    }

    /// The only method of a request that comes to it.
    pub fn takes_get_alone(&self) -> bool {
        match self.get("methods").map(|(_, value)| Expr::of(value)) {
            Some(Expr::List(list) | Expr::Tuple(list)) => {
                list.children().all(|n| string_value(n).is_some_and(|name| name.eq_ignore_ascii_case("get")))
            }
            Some(_) => false,
            None => self.get("detail").is_some(),
        }
    }

    /// Whether it is for one object.
    pub fn detail(&self) -> Option<bool> {
        match Expr::of(self.get("detail")?.1) {
            Expr::True => Some(true),
            Expr::False => Some(false),
            _ => None,
        }
    }

    /// Whether pages or filters of the project stand before its rows.
    fn has_hooks(&self, project: &Project) -> bool {
        let is_plain = |(file, node): (FileId, Node<'_>)| match Expr::of(node) {
            Expr::None => true,
            _ => match project.program().resolve_expr(file, node.peel().id()) {
                Some(Def::External(path)) => {
                    ["rest_framework.", "django_filters."].iter().any(|p| path.starts_with(p))
                }
                _ => false,
            },
        };
        let filters =
            self.get("filter_backends").into_iter().flat_map(|(file, value)| match Expr::of(value) {
                Expr::List(list) | Expr::Tuple(list) => list.children().map(|n| (file, n)).collect(),
                _ => vec![(file, value)],
            });
        self.get("pagination_class").into_iter().chain(filters).any(|named| !is_plain(named))
    }
}

/// An action of the project that shows rows of the view's queryset.
pub(super) struct Extra<'a> {
    /// Its name.
    pub name: &'a str,
    /// It shows them as the framework's list action does, but for the serializer.
    pub is_plain: bool,
}

/// The actions of the project in a viewset that write rows of its queryset by a serializer.
pub(super) fn actions(project: &Project, view: ClassId) -> Vec<Extra<'_>> {
    let program = project.program();
    let mut out: Vec<Extra<'_>> = Vec::new();
    if !has_base(
        project,
        view,
        &["ViewSetMixin", "ViewSet", "GenericViewSet", "ModelViewSet", "ReadOnlyModelViewSet"],
    ) {
        return out;
    }
    let owners = program.class(view).mro.iter().map(|owner| program.class(*owner));
    for info in owners.filter(|info| !project.is_known_file(info.file)) {
        for name in &info.order {
            let Some(Member::Function(..)) = info.members.get(name) else { continue };
            if OF_FRAMEWORK.contains(&name.as_str())
                || HOOKS.contains(&name.as_str())
                || out.iter().any(|known| known.name == name)
            {
                continue;
            }
            let mut uses = Uses::default();
            uses.look(project, view, name, 0);
            let told = Told::of(project, view, name);
            // Rows of its own.
            let is_other = told.get("queryset").is_some() && program.member(view, "get_queryset").is_none();
            if (uses.lists || uses.serializes && uses.loads) && !is_other {
                let is_plain = !told.is_open() && !told.has_hooks(project);
                out.push(Extra { name, is_plain });
            }
        }
    }
    out
}

/// What a method of a view does with its rows.
#[derive(Default)]
struct Uses {
    /// It hands on to an action of the framework.
    lists: bool,
    /// It asks for the serializer.
    serializes: bool,
    /// It asks for the rows.
    loads: bool,
}

impl Uses {
    fn look(&mut self, project: &Project, view: ClassId, name: &str, depth: usize) {
        let program = project.program();
        let Some((_, Member::Function(function, _))) = program.member(view, name) else { return };
        let info = program.function(*function);
        let def = program.file(info.file).node(info.node);
        let Some(receiver) = parameters(def).first().map(|p| p.name).filter(|_| depth <= MAX_HELPERS) else {
            return;
        };
        let is_own = |n: Node<'_>| matches!(Expr::of(n), Expr::Name(name) if name == receiver);
        for node in def.descendants() {
            // `ListModelMixin.list(self, request)`
            let is_given = || {
                let call = node.parent().filter(|p| p.kind() == Kind::Call).map(Expr::of);
                matches!(call, Some(Expr::Call { arguments: list, .. })
                    if arguments(list).first().is_some_and(|a| is_own(a.value)))
            };
            let Expr::Attribute { value, attr, .. } = Expr::of(node) else { continue };
            if node.kind() != Kind::Attribute || !(is_own(value) || is_super(value) || is_given()) {
                continue;
            }
            match attr {
                "list" | "retrieve" => self.lists = true,
                "get_serializer" | "get_serializer_class" | "serializer_class" => self.serializes = true,
                "get_queryset" | "queryset" | "filter_queryset" | "paginate_queryset" => self.loads = true,
                helper if !OF_FRAMEWORK.contains(&helper) && !HOOKS.contains(&helper) && helper != name => {
                    self.look(project, view, helper, depth + 1);
                }
                _ => {}
            }
        }
    }
}

/// Whether a method only runs for what is no list: it writes, or is an action with a name of its own.
pub(super) fn is_beside_list(project: &Project, view: ClassId, name: &str) -> bool {
    const WRITING: &[&str] =
        &["create", "update", "partial_update", "destroy", "post", "put", "patch", "delete"];
    WRITING.contains(&name)
        || name.starts_with("perform_")
        || name == "retrieve"
        || Told::of(project, view, name).detail().is_some()
}
