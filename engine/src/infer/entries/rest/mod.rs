//! Django REST framework: list actions of its views, and what serializers read of the instances that they write.
//!
//! The rules are those of `rest_framework.serializers`, `fields` and `relations`: which fields a serializer has, where
//! each gets its value, and what writing the value reads. A field whose class, source or arguments are not known reads
//! nothing here, and neither does a serializer that chooses its fields in a way that is not followed: what is missing is
//! not found, what is there does happen.

mod actions;
mod declared;
mod dropped;
mod extra;
mod fields;
mod lists;
mod model_fields;
mod serializers;
#[cfg(test)]
mod tests;
mod unread;
mod values;

pub(in crate::infer) use unread::Unread;

use super::{Entry, EntryKind, SingleObjects};
use crate::django::Project;
use crate::infer::EventKind;
use crate::infer::analyzer::Analyzer;
use crate::infer::calls::{Arg, argument};
use crate::infer::facts::Use;
use crate::infer::frame::Frame;
use crate::infer::types::{Name, Rows, Type};
use crate::python::{
    Binding, ClassId, Def, Expr, Field, FunctionId, Kind, Member, Node, arguments, string_value,
};
use declared::has_base;
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Views that list rows.
const LISTING: &[&str] =
    &["ListAPIView", "ListCreateAPIView", "ModelViewSet", "ReadOnlyModelViewSet", "ListModelMixin"];

/// Views that get one object to show it.
const SHOWING: &[&str] = &[
    "RetrieveAPIView",
    "RetrieveUpdateAPIView",
    "RetrieveDestroyAPIView",
    "RetrieveUpdateDestroyAPIView",
    "ModelViewSet",
    "ReadOnlyModelViewSet",
    "RetrieveModelMixin",
];

/// Views that get one object to write or delete it.
const WRITING: &[&str] = &[
    "UpdateAPIView",
    "DestroyAPIView",
    "RetrieveUpdateAPIView",
    "RetrieveDestroyAPIView",
    "RetrieveUpdateDestroyAPIView",
    "ModelViewSet",
    "UpdateModelMixin",
    "DestroyModelMixin",
];

/// Views that write one object and answer with it.
const UPDATING: &[&str] = &[
    "UpdateAPIView",
    "RetrieveUpdateAPIView",
    "RetrieveUpdateDestroyAPIView",
    "ModelViewSet",
    "UpdateModelMixin",
];

/// Whether a view of REST framework saves one object of its queryset and answers with it.
pub fn updates_one_object(project: &Project, class: ClassId) -> bool {
    has_base(project, class, UPDATING)
}

/// Methods of a view that raise what it answers with (rest_framework/views.py, `APIView`).
pub const REFUSING: &[&str] = &["check_object_permissions", "check_permissions", "permission_denied"];

/// The module of the paginators.
const PAGINATION: &str = "rest_framework.pagination.";

/// The entries of views and viewsets.
pub(super) fn collect(analyzer: &Analyzer<'_>, out: &mut Vec<Entry>) {
    let project = analyzer.project();
    for class in project.program().class_ids() {
        if has_base(project, class, LISTING) && !project.is_known_file(project.program().class(class).file) {
            let find = || entry(analyzer, class).into_iter().collect();
            out.extend(analyzer.entries_of(("viewset", class.0, 0), find));
        }
    }
}

fn entry(analyzer: &Analyzer<'_>, class: ClassId) -> Option<Entry> {
    if !lists(analyzer, class) {
        return None;
    }
    let mut entry = shown_by(analyzer, class, "list")?;
    if let Some((actions, _)) = analyzer.on_behalf(class, |frame, _| frame.other_actions(class)) {
        let answers = actions.iter().map(|action| shown_by(analyzer, class, action));
        let answers = answers.collect::<Option<Vec<Entry>>>().unwrap_or_default();
        entry.single_objects = Some(SingleObjects { site: entry.at, answers });
    }
    Some(entry)
}

/// What the serializers of an action read of each row of the view's queryset.
fn shown_by(analyzer: &Analyzer<'_>, class: ClassId, action: &str) -> Option<Entry> {
    let dropped = dropped::by_view(analyzer.project(), class);
    let ((source, rows), facts) = analyzer.on_behalf(class, |frame, node| {
        let classes = frame.serializer_classes(class, Some(action));
        if classes.found.is_empty() {
            return None;
        }
        let (source, ty) = frame.class_queryset(class, node)?;
        let ty = frame.as_queryset(&ty, node)?;
        let ty = frame.filtered_by_view(class, &ty, node)?;
        let ty = frame.as_queryset(&ty, node)?;
        let queryset = ty.queryset().filter(|qs| qs.rows == Rows::Instances)?.clone();
        let rows = frame.single(&queryset, node);
        let one = {
            let mut one = (*queryset).clone();
            one.values = smallvec::SmallVec::from_slice(&[rows]);
            Type::QuerySet(Arc::new(one))
        };
        let row = frame.iterate(&one, node);
        // However much it took to build the queryset, the rows are looked at.
        frame.cost = 1;
        frame.each(&one, |frame| {
            let is_sure = !classes.is_open && classes.found.len() == 1;
            for serializer in &classes.found {
                if !frame.has_plain_list(*serializer) {
                    continue;
                }
                if is_sure && !dropped.touches(analyzer.project(), *serializer) {
                    frame.represent(*serializer, &row, node);
                } else {
                    frame.conditionally(|frame| frame.represent(*serializer, &row, node));
                }
            }
        });
        Some((source, rows))
    })?;
    Some(Entry::of_class(analyzer, EntryKind::ListAction, class, (source, rows), Arc::new(facts)))
}

/// Whether a view lists its rows as the framework does, whatever it does besides.
fn lists(analyzer: &Analyzer<'_>, class: ClassId) -> bool {
    let program = analyzer.project().program();
    let info = program.class(class);
    // A class that only gives itself to others has no view above it.
    let is_view = |base: &String| {
        let name = declared::framework_name(base);
        name.is_some_and(|n| n.ends_with("View") || n.ends_with("ViewSet"))
    };
    if !info.external_bases.iter().any(is_view) {
        return false;
    }
    let hands_on = |name: &str, to: &[&str]| match program.member(class, name) {
        None => true,
        Some((_, Member::Function(function, Binding::Method))) => {
            let info = program.function(*function);
            let def = program.file(info.file).node(info.node);
            def.descendants().any(|n| calls_super(n, name) || to.iter().any(|to| calls_own(n, to)))
        }
        Some(_) => false,
    };
    let is_viewset =
        has_base(analyzer.project(), class, &["ModelViewSet", "ReadOnlyModelViewSet", "GenericViewSet"]);
    !is_told_elsewhere(analyzer, class)
        && hands_on("list", &[])
        && (is_viewset || hands_on("get", &["list"]))
        && hands_on("get_serializer", &[])
        && hands_on("paginate_queryset", &[])
        && takes_get(analyzer, class)
}

/// `Books.as_view(queryset=..., serializer_class=...)` sets attributes of the view.
fn is_told_elsewhere(analyzer: &Analyzer<'_>, class: ClassId) -> bool {
    let program = analyzer.project().program();
    let told = analyzer.once("names of views that as_view() tells of rows", || {
        let sites = analyzer.call_sites().of("as_view").iter();
        let names = sites.filter_map(|site| match Expr::of(program.file(site.file).node(site.call)) {
            Expr::Call { func, arguments: list } if sets_rows(list) => Some(func.text().split('.')),
            _ => None,
        });
        names.flatten().map(Box::<str>::from).collect::<FxHashSet<_>>()
    });
    told.contains(program.class(class).name.as_str())
}

/// Whether a list of arguments gives a view another queryset or serializer.
fn sets_rows(list: Node<'_>) -> bool {
    let sets = |name: &str| matches!(name, "queryset" | "serializer_class");
    arguments(list).iter().any(|a| a.stars > 1 || a.name.is_some_and(sets))
}

/// `http_method_names`
fn takes_get(analyzer: &Analyzer<'_>, class: ClassId) -> bool {
    let program = analyzer.project().program();
    let Some((owner, Member::Value(value))) = program.member(class, "http_method_names") else { return true };
    let node = program.file(program.class(owner).file).node(*value);
    match Expr::of(node) {
        Expr::List(list) | Expr::Tuple(list) => {
            list.children().any(|n| string_value(n).is_none_or(|name| name == "get"))
        }
        _ => true,
    }
}

/// `super().name(...)`
fn calls_super(node: Node<'_>, name: &str) -> bool {
    let Expr::Call { func, .. } = Expr::of(node) else { return false };
    let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return false };
    let Expr::Call { func, .. } = Expr::of(value) else { return false };
    attr == name && matches!(Expr::of(func), Expr::Name("super"))
}

/// `self.name(...)`
fn calls_own(node: Node<'_>, name: &str) -> bool {
    let Expr::Call { func, .. } = Expr::of(node) else { return false };
    matches!(Expr::of(func), Expr::Attribute { value, attr, .. }
        if attr == name && matches!(Expr::of(value), Expr::Name("self")))
}

impl<'a> Frame<'a, '_> {
    fn as_queryset(&mut self, ty: &Type, node: Node<'a>) -> Option<Type> {
        match ty {
            Type::QuerySet(_) => Some(ty.clone()),
            Type::Manager(manager) => {
                let manager = manager.clone();
                match self.manager_method(&manager, "all", &[], node, node) {
                    ty @ Type::QuerySet(_) => Some(ty),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// What `filter_queryset()` of a view gives.
    fn filtered_by_view(&mut self, class: ClassId, ty: &Type, node: Node<'a>) -> Option<Type> {
        let args = [Arg { name: None, ty: ty.clone(), node, stars: 0 }];
        match self.az.project.program().member(class, "filter_queryset") {
            None => Some(ty.clone()),
            Some((_, Member::Function(function, Binding::Method))) => {
                Some(self.call_function(*function, Some(Type::Object(class)), &args, node))
            }
            Some(_) => None,
        }
    }

    /// The actions of a view that show rows of its queryset by another serializer than its list action does; none where
    /// it gets one object for something that is not known. Nothing where the list action stands for all of them.
    fn other_actions(&self, class: ClassId) -> Option<Vec<&'a str>> {
        let project = self.az.project;
        let program = project.program();
        let list = self.serializer_classes(class, Some("list"));
        let gets_object = |member: &Member| match member {
            Member::Function(function, _) => {
                let info = program.function(*function);
                let def = program.file(info.file).node(info.node);
                def.descendants().any(|n| calls_own(n, "get_object"))
            }
            _ => false,
        };
        let does_more = has_base(project, class, WRITING)
            || program.class(class).mro.iter().any(|c| program.class(*c).members.values().any(gets_object));
        if does_more {
            return Some(Vec::new());
        }
        let mut out = Vec::new();
        let mut are_known = true;
        let shows = has_base(project, class, SHOWING).then_some("retrieve");
        let extra = extra::actions(project, class);
        for action in shows.into_iter().chain(extra.iter().map(|extra| extra.name)) {
            if self.serializer_classes(class, Some(action)) != list {
                out.push(action);
            }
        }
        for action in extra.iter().filter(|extra| !extra.is_plain) {
            are_known = false;
            out.push(action.name);
        }
        (!out.is_empty()).then(|| if are_known { out } else { Vec::new() })
    }

    /// A method that a class of the program has from a class of REST framework.
    pub(in crate::infer) fn rest_method(
        &mut self,
        class: ClassId,
        name: &str,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Option<Type> {
        let project = self.az.project;
        if REFUSING.contains(&name)
            && project.program().class(class).external_bases.iter().any(|b| b.starts_with("rest_framework."))
        {
            self.event(node, EventKind::Raise);
            return None;
        }
        let names = [
            "to_representation",
            "get_serializer",
            "get_serializer_class",
            "filter_queryset",
            "paginate_queryset",
        ];
        if !names.contains(&name) {
            return None;
        }
        if name == "to_representation" {
            return self.serializer_method(class, name, args, node);
        }
        let info = project.program().class(class);
        let is_view = info.external_bases.iter().any(|b| b.starts_with("rest_framework."));
        if !is_view || info.has_unknown_base {
            return None;
        }
        if matches!(name, "get_serializer" | "get_serializer_class") && self.is_action_told(class) {
            return None;
        }
        match (name, args) {
            ("get_serializer_class", []) => self.serializer_class_type(class, self.action()),
            ("get_serializer", _) => {
                let classes = match project.program().member(class, "get_serializer_class") {
                    Some(_) => self.serializer_classes(class, self.action()),
                    None => self.serializer_classes(class, None),
                };
                let start = self.facts.own.len();
                let made = self.one_of(classes.found.clone(), |frame, serializer| {
                    frame.made_serializer(serializer, args, node)
                });
                if classes.is_open {
                    self.put_off(node, start);
                }
                // One more than are known, where there may be others.
                self.doubt_unread(node, classes.found.len() + usize::from(classes.is_open));
                let is_followed = !classes.is_open && !made.is_empty() && made.iter().all(|is_made| *is_made);
                is_followed.then(|| {
                    let objects = classes.found.into_iter().map(Type::Object);
                    objects.fold(Type::Never, Type::join)
                })
            }
            ("filter_queryset", [only]) => {
                let qs = only.ty.queryset()?.clone();
                self.use_queryset(&qs, node, Use::Method(Name::from("filter")));
                Some(self.derive(&qs, node, |q| q.related = None))
            }
            // A paginator gets the request as well.
            ("paginate_queryset", _) => {
                let is_paginator = info.external_bases.iter().any(|b| b.starts_with(PAGINATION));
                let cuts = project.program().member(class, "django_paginator_class").is_none();
                match args {
                    [_] if !is_paginator => self.paginated(args, node),
                    _ if is_paginator && cuts => self.paginated(args, node),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// A method of one of REST framework's own paginators.
    pub(in crate::infer) fn paginator_of_rest(
        &mut self,
        path: &str,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Option<Type> {
        let (class, method) = path.strip_prefix(PAGINATION)?.split_once('.')?;
        (class.ends_with("Pagination") && method == "paginate_queryset")
            .then(|| self.paginated(args, node))?
    }

    /// The paginator of a view: `self.paginator`.
    pub(in crate::infer) fn rest_attribute(
        &mut self,
        class: ClassId,
        name: &str,
        node: Node<'a>,
    ) -> Option<Type> {
        let program = self.az.project.program();
        let is_view =
            |b: &String| b.starts_with("rest_framework.generics") || b.starts_with("rest_framework.viewsets");
        if name != "paginator" || !program.class(class).external_bases.iter().any(is_view) {
            return None;
        }
        let made = match program.member(class, "pagination_class") {
            Some((owner, Member::Value(value))) => self.class_value(owner, *value, node),
            _ => return None,
        };
        match made {
            Type::Def(Def::Class(paginator)) => Some(self.az.object_of_class(paginator)),
            Type::Def(Def::External(path)) => Some(Type::External(Name::from(path.as_str()))),
            _ => None,
        }
    }

    /// The rows of a page of the queryset that comes first.
    fn paginated(&mut self, args: &[Arg<'a>], node: Node<'a>) -> Option<Type> {
        let qs = argument(args, 0, "queryset")?.ty.queryset()?.clone();
        self.use_queryset(&qs, node, Use::Slice);
        self.evaluated(&qs, node, "__getitem__");
        let value = self.single(&qs, node);
        Some(Type::list(crate::infer::frame::row_type(&qs, value)).optional())
    }

    /// Whether the view may have another queryset or serializer here than its class says: `@action(serializer_class=...)`.
    fn is_action_told(&self, class: ClassId) -> bool {
        let program = self.az.project.program();
        let tells = |function: FunctionId| {
            let info = program.function(function);
            let around = program.file(info.file).node(info.node).parent();
            around.filter(|p| p.kind() == Kind::DecoratedDef).is_some_and(|decorated| {
                let decorators = decorated.children().filter(|n| n.kind() == Kind::Decorator);
                decorators.filter_map(|d| d.children().next()).any(|d| match Expr::of(d) {
                    Expr::Call { arguments: list, .. } => sets_rows(list),
                    _ => false,
                })
            })
        };
        if self.action().is_some() {
            return program.function_at(self.file, self.scope.id()).is_some_and(tells);
        }
        let members = program.class(class).mro.iter().flat_map(|c| program.class(*c).members.values());
        members.into_iter().any(|m| matches!(m, Member::Function(function, _) if tells(*function)))
    }

    /// The action whose method this frame is.
    fn action(&self) -> Option<&'a str> {
        let name = self.scope.child(Field::Name).filter(|_| self.scope.kind() == Kind::FunctionDef)?.text();
        if matches!(name, "list" | "retrieve" | "create" | "update" | "partial_update" | "destroy") {
            return Some(name);
        }
        let program = self.az.project.program();
        let function = program.function_at(self.file, self.scope.id())?;
        let is_action = |def: &Option<Def>| {
            matches!(def, Some(Def::External(path))
                if matches!(declared::framework_name(path), Some("action" | "list_route" | "detail_route")))
        };
        program.function(function).decorators.iter().any(is_action).then_some(name)
    }
}
