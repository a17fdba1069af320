//! What the admin gives to the code that it calls: the rows that an action is for, the object that a column shows, the
//! queryset of a changelist.

use super::analyzer::Analyzer;
use super::calls::Arg;
use super::columns::{Column, columns, has_columns_of_its_own};
use super::frame::Frame;
use super::memo::Stack;
use super::types::{Instance, Name, QuerySet, Root, Trait, Type};
use crate::django::admin::{is_followed, is_inline, is_model_admin};
use crate::django::lists::{class_around, listed, named};
use crate::django::{Field, ModelId, Project, RelationKind, Role};
use crate::python::{ClassId, Def, Expr, Field as Part, FunctionId, Member, Node, arguments, string_value};
use crate::text::FileId;
use std::sync::Arc;

/// Django joins no further by itself (django/db/models/sql/compiler.py, get_related_selections).
const MAX_JOINS: usize = 5;

/// Methods of a ModelAdmin that get an object of its model, and at which position.
const OBJECTS: &[(&str, usize)] = &[
    ("save_model", 2),
    ("delete_model", 2),
    ("log_addition", 2),
    ("log_change", 2),
    ("response_add", 2),
    ("response_change", 2),
    ("view_on_site", 1),
];

/// Those that get an object, or None where there is none yet.
const OPTIONAL_OBJECTS: &[(&str, usize)] = &[
    ("has_view_permission", 2),
    ("has_change_permission", 2),
    ("has_delete_permission", 2),
    ("get_readonly_fields", 2),
    ("get_fieldsets", 2),
    ("get_fields", 2),
    ("get_exclude", 2),
    ("get_form", 2),
    ("get_inlines", 2),
    ("get_inline_instances", 2),
    ("get_formsets_with_inlines", 2),
    ("get_prepopulated_fields", 2),
    ("get_view_on_site_url", 1),
];

/// Those that get rows of the changelist.
const QUERYSETS: &[(&str, usize)] = &[("delete_queryset", 2), ("get_search_results", 2)];

enum Given {
    Instance(ModelId),
    Optional(ModelId),
    Rows(ClassId, ModelId),
}

/// What the admin gives to the parameter at `index`.
fn given(project: &Project, function: FunctionId, index: usize) -> Option<Given> {
    let program = project.program();
    let info = program.function(function);
    if index == 0 && info.class.is_some() || info.is_async {
        return None;
    }
    if let Some((role, class, model)) = project.admin().role(function) {
        let takes_self = usize::from(info.class.is_some());
        return match role {
            Role::Action if index == 2 => Some(Given::Rows(class, model)),
            Role::Column if index == takes_self => Some(Given::Instance(model)),
            _ => None,
        };
    }
    let class = info
        .class
        .filter(|class| is_model_admin(program, *class) || project.admin().is_registered(*class))?;
    let model = || project.admin().model(class);
    let takes = |methods: &[(&str, usize)]| methods.contains(&(info.name.as_str(), index));
    if takes(OBJECTS) {
        return model().map(Given::Instance);
    }
    if takes(OPTIONAL_OBJECTS) {
        return model().map(Given::Optional);
    }
    takes(QUERYSETS).then(|| model().map(|model| Given::Rows(class, model)))?
}

impl Analyzer<'_> {
    /// The type of what the admin gives to the parameter at `index`.
    pub(super) fn given_by_admin(
        &self,
        function: FunctionId,
        index: usize,
        stack: &mut Stack,
    ) -> Option<Type> {
        let instance = |model| Type::Instance(Instance::root(model, Root::Opaque));
        match given(self.project, function, index)? {
            Given::Instance(model) => Some(instance(model)),
            Given::Optional(model) => Some(instance(model).optional()),
            // One that the program calls as well may get a list there.
            Given::Rows(..) if self.is_called_otherwise(function) => None,
            Given::Rows(class, model) => {
                let mut users: Vec<ClassId> = self.project.admin().users(function).collect();
                if users.is_empty() {
                    users.push(class);
                }
                let mut ty = Type::Never;
                for class in users {
                    let info = self.project.program().class(class);
                    let node = self.project.program().file(info.file).node(info.node);
                    let name = node.child(Part::Name)?;
                    let mut frame = Frame::new(self, stack, info.file, node, Some(class));
                    ty = ty.join(frame.listed_rows(class, model, name)?);
                }
                matches!(ty, Type::QuerySet(_)).then_some(ty)
            }
        }
    }

    /// Whether the parameter at `index` is a queryset that Django makes for this call and nobody else has: that of an
    /// action, which the changelist filters by what is selected and gives to the action alone
    /// (django/contrib/admin/options.py, response_action).
    pub fn is_made_for(&self, function: FunctionId, index: usize) -> bool {
        let project = self.project;
        let program = project.program();
        let info = program.function(function);
        let is_of_django = |d: &Option<Def>| matches!(d, Some(Def::External(p)) if p.starts_with("django."));
        if !matches!(project.admin().role(function), Some((Role::Action, ..)))
            || index != 2
            || info.is_generator
            || !info.decorators.iter().all(is_of_django)
        {
            return false;
        }
        // A class that answers to actions by itself may give them anything.
        let answers = |class| program.member(class, "response_action").is_some();
        !project.admin().users(function).any(answers) && !self.is_called_otherwise(function)
    }

    /// Whether code of the program, tests left out, calls a function that the admin calls.
    fn is_called_otherwise(&self, function: FunctionId) -> bool {
        let project = self.project;
        let program = project.program();
        let info = program.function(function);
        let takes = 2 + usize::from(info.class.is_none());
        self.call_sites().of(&info.name).iter().filter(|site| !project.is_test_file(site.file)).any(|site| {
            let call = program.file(site.file).node(site.call);
            let Expr::Call { func, arguments: list } = Expr::of(call) else { return true };
            let list = arguments(list);
            if list.iter().all(|a| a.stars == 0) && list.len() != takes && list.len() != 3 {
                return false;
            }
            match Expr::of(func) {
                Expr::Name(_) => program
                    .resolve_expr(site.file, func.peel().id())
                    .is_none_or(|def| def == Def::Function(function)),
                _ => true,
            }
        })
    }
}

impl<'a> Frame<'a, '_> {
    /// What `super().get_queryset(request)` gives in a ModelAdmin or an inline: every row of its model.
    pub(super) fn admin_queryset(&mut self, class: ClassId, node: Node<'a>) -> Option<Type> {
        let project = self.az.project;
        let program = project.program();
        if !is_followed(program, class)
            || !(is_model_admin(program, class)
                || project.admin().is_registered(class)
                || is_inline(program, class))
        {
            return None;
        }
        self.default_rows(project.admin().model(class)?, node)
    }

    /// All rows of a model by its default manager.
    pub(super) fn default_rows(&mut self, model: ModelId, node: Node<'a>) -> Option<Type> {
        match self.attribute(&Type::ModelClass(model), "_default_manager", node) {
            Type::Manager(manager) => Some(self.manager_queryset(&manager, node)),
            _ => None,
        }
    }

    /// The queryset that a changelist of `class` shows and that its actions get.
    fn listed_rows(&mut self, class: ClassId, model: ModelId, node: Node<'a>) -> Option<Type> {
        let program = self.az.project.program();
        if !is_followed(program, class) {
            return None;
        }
        let rows = match program.member(class, "get_queryset") {
            Some((_, Member::Function(function, _))) => {
                let function = *function;
                self.call_function(function, Some(Type::Object(class)), &[], node)
            }
            Some(_) => return None,
            None => self.default_rows(model, node)?,
        };
        let Type::QuerySet(qs) = rows else { return None };
        let mut out = (*qs).clone();
        if out.model != model {
            return None;
        }
        out.related = None;
        self.narrowed(class, &mut out, node);
        match self.joined_by_changelist(class, &out) {
            Some(Joins::Named(names)) => out.selected.extend(names),
            Some(Joins::All) => {
                out.traits.insert(Trait::BareSelectRelated);
            }
            None => {
                out.traits.insert(Trait::Mysterious);
            }
        }
        Some(Type::QuerySet(Arc::new(out)))
    }

    /// What the filters and the search of a changelist may do to its rows.
    fn narrowed(&mut self, class: ClassId, out: &mut QuerySet, node: Node<'a>) {
        let program = self.az.project.program();
        let opaque = ["get_list_filter", "get_search_results", "get_search_fields", "get_changelist"];
        if opaque.iter().any(|name| program.member(class, name).is_some()) {
            out.traits.insert(Trait::Mysterious);
            return;
        }
        for list in ["list_filter", "search_fields"] {
            if program.member(class, list).is_none() {
                continue;
            }
            let Some((_, _, elements)) = listed(program, class, list) else {
                out.traits.insert(Trait::Mysterious);
                return;
            };
            for (file, element) in elements {
                self.narrowed_by(file, program.file(file).node(element), out, node);
            }
        }
    }

    fn narrowed_by(&mut self, file: FileId, element: Node<'a>, out: &mut QuerySet, node: Node<'a>) {
        let program = self.az.project.program();
        if let Some(path) = string_value(element) {
            // A row that a join may give twice is made one by distinct().
            if self.az.project.is_to_many(out.model, path.trim_start_matches(['^', '=', '@'])) {
                out.traits.insert(Trait::Distinct);
            }
            return;
        }
        // `("author", AuthorFilter)`
        if let Expr::Tuple(pair) = Expr::of(element) {
            for part in pair.children() {
                self.narrowed_by(file, part, out, node);
            }
            return;
        }
        let filter = match named(program, file, element, class_around(program, file, element)) {
            Some(Def::External(path)) if path.starts_with("django.") => return,
            Some(Def::Class(filter)) if !program.class(filter).has_unknown_base => filter,
            _ => {
                out.traits.insert(Trait::Mysterious);
                return;
            }
        };
        match program.member(filter, "queryset") {
            Some((_, Member::Function(function, _))) => {
                let function = *function;
                let request = Arg { name: None, ty: Type::Unknown, node, stars: 0 };
                let given = Arg { name: None, ty: Type::QuerySet(Arc::new(out.clone())), node, stars: 0 };
                let ty = self.call_function(function, Some(Type::Object(filter)), &[request, given], node);
                match ty.without_none() {
                    Type::QuerySet(qs) if qs.model == out.model => {
                        out.traits.extend(qs.traits.iter().copied())
                    }
                    Type::None => {}
                    _ => {
                        out.traits.insert(Trait::Mysterious);
                    }
                }
            }
            Some(_) => {
                out.traits.insert(Trait::Mysterious);
            }
            None => {}
        }
    }

    /// What a changelist joins by itself to rows that are asked for without any join
    /// (django/contrib/admin/views/main.py, apply_select_related); nothing where that is not known.
    pub(super) fn joined_by_changelist(&self, class: ClassId, rows: &QuerySet) -> Option<Joins> {
        let program = self.az.project.program();
        if !rows.selected.is_empty() || rows.is(Trait::BareSelectRelated) {
            return Some(Joins::Named(Vec::new()));
        }
        if program.member(class, "get_list_select_related").is_some()
            || program.member(class, "get_changelist").is_some()
        {
            return None;
        }
        let is_named = match program.member(class, "list_select_related") {
            None => false,
            Some((owner, Member::Value(value))) => {
                let file = program.class(owner).file;
                match Expr::of(program.file(file).node(*value)) {
                    Expr::True => return Some(Joins::All),
                    Expr::False => false,
                    _ => true,
                }
            }
            Some(_) => return None,
        };
        if is_named {
            let (_, _, elements) = listed(program, class, "list_select_related")?;
            let names: Option<Vec<Name>> = elements
                .into_iter()
                .map(|(file, node)| {
                    string_value(program.file(file).node(node)).map(|s| Name::from(s.as_str()))
                })
                .collect();
            return names.map(Joins::Named);
        }
        // With a foreign key among the columns, all of them.
        let model = self.az.project.model(rows.model);
        let is_key = |name: &str| model.field(name).is_some_and(is_foreign_key);
        if !has_columns_of_its_own(program, class) {
            return Some(Joins::Named(Vec::new()));
        }
        let keys: Vec<Column> = columns(program, class)?
            .into_iter()
            .filter(|c| string_value(program.file(c.file).node(c.node)).is_some_and(|name| is_key(&name)))
            .collect();
        // One that only some requests are shown is joined for those alone.
        let has_key = keys.iter().any(|c| c.is_certain);
        if !has_key && !keys.is_empty() {
            return None;
        }
        Some(if has_key { Joins::All } else { Joins::Named(Vec::new()) })
    }
}

/// What a changelist joins by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Joins {
    /// These relations.
    Named(Vec<Name>),
    /// Every foreign key that is not null, and those of the rows behind it.
    All,
}

impl Joins {
    /// Whether they bring the object at the end of `path` from a row of `model`.
    pub fn bring(&self, project: &Project, model: ModelId, path: &[Name]) -> bool {
        match self {
            Joins::Named(names) => names.iter().any(|name| {
                let mut parts = name.split("__");
                path.iter().all(|step| parts.next() == Some(&**step))
            }),
            Joins::All => {
                let mut model = model;
                path.len() <= MAX_JOINS
                    && path.iter().all(|step| {
                        let field = project.model(model).field(step).filter(|f| is_foreign_key(f) && !f.null);
                        let target = field.and_then(|f| f.relation.as_ref()?.target);
                        model = target.unwrap_or(model);
                        target.is_some()
                    })
            }
        }
    }
}

fn is_foreign_key(field: &Field) -> bool {
    let kind = field.relation.as_ref().map(|r| r.kind);
    matches!(kind, Some(RelationKind::ForeignKey | RelationKind::OneToOne))
}
