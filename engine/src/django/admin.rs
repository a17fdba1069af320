//! The admin: which ModelAdmin shows which model, and which functions it calls with what.
//!
//! Models and classes are those that names resolve to. A class that options of a registration change, or that a base
//! from elsewhere changes, is known for what it hands to its methods, and is not [plain](Registration::is_plain).

use super::bases::unknown_base;
use super::lists::{class_around, elements, listed, named};
use super::values::{Call, resolve_here};
use super::{ModelId, Project};
use crate::python::per_file::PerFile;
use crate::python::{
    ClassId, Def, Expr, FunctionId, Kind, Member, Node, NodeId, Program, Stmt, canonical, string_value,
};
use crate::text::FileId;
use rustc_hash::FxHashMap;

const MODEL_ADMIN: &str = "django.contrib.admin.ModelAdmin";
const SITE: &str = "django.contrib.admin.AdminSite";
const INLINES: &[&str] = &[
    "django.contrib.admin.TabularInline",
    "django.contrib.admin.StackedInline",
    "django.contrib.admin.options.InlineModelAdmin",
    "django.contrib.contenttypes.admin.GenericTabularInline",
    "django.contrib.contenttypes.admin.GenericStackedInline",
    "django.contrib.contenttypes.admin.GenericInlineModelAdmin",
];

/// Names are followed this far.
const MAX_DEPTH: usize = 8;

/// A model that is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The model.
    pub model: ModelId,
    /// The ModelAdmin; nothing for Django's own.
    pub class: Option<ClassId>,
    /// The file of the registration.
    pub file: FileId,
    /// The expression that names the model there.
    pub node: NodeId,
    /// No option of the registration changes the class.
    pub is_plain: bool,
}

/// A class of inlines in a ModelAdmin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inline {
    /// The model of its rows.
    pub model: ModelId,
    /// The class.
    pub class: ClassId,
    /// The ModelAdmin that lists it.
    pub admin: ClassId,
    /// Whose instance the rows belong to.
    pub parent: ModelId,
}

/// What the admin calls a function for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// An action: (modeladmin, request, queryset).
    Action,
    /// A column of a changelist, or a field that cannot be edited: the function gets the object.
    Column,
}

/// The admin of a project.
#[derive(Clone, Debug, Default)]
pub struct Admin {
    registrations: Vec<Registration>,
    inlines: Vec<Inline>,
    /// The models of a class of the admin, of those below it too.
    models: FxHashMap<ClassId, Vec<ModelId>>,
    roles: FxHashMap<FunctionId, (Role, Vec<(ClassId, ModelId)>)>,
}

impl Admin {
    /// Whether another one is the same, but for where in `file` models are registered.
    pub(super) fn is_like(&self, other: &Admin, file: FileId) -> bool {
        let plain =
            |r: &Registration| if r.file == file { Registration { node: NodeId(0), ..*r } } else { *r };
        self.registrations.iter().map(plain).eq(other.registrations.iter().map(plain))
            && (&self.inlines, &self.models, &self.roles) == (&other.inlines, &other.models, &other.roles)
    }

    /// Every model that is registered, in order of files and positions.
    pub fn registrations(&self) -> &[Registration] {
        &self.registrations
    }

    /// Every inline of a registered ModelAdmin.
    pub fn inlines(&self) -> &[Inline] {
        &self.inlines
    }

    /// The only model that a ModelAdmin or an inline, or one of a class below, is for.
    pub fn model(&self, class: ClassId) -> Option<ModelId> {
        match self.models.get(&class).map(Vec::as_slice) {
            Some([only]) => Some(*only),
            _ => None,
        }
    }

    /// Whether a class, or one below it, is registered for a model, or is one of inlines.
    pub fn is_registered(&self, class: ClassId) -> bool {
        self.models.contains_key(&class)
    }

    /// What the admin calls a function for: one that a class lists by name or as it is, or that is decorated to say so;
    /// and the class and model that it does that for, where there is only one model.
    pub fn role(&self, function: FunctionId) -> Option<(Role, ClassId, ModelId)> {
        let (role, users) = self.roles.get(&function)?;
        let (class, model) = users.first()?;
        users.iter().all(|(_, m)| m == model).then_some((*role, *class, *model))
    }

    /// The classes that list a function.
    pub fn users(&self, function: FunctionId) -> impl Iterator<Item = ClassId> {
        self.roles.get(&function).into_iter().flat_map(|(_, users)| users.iter().map(|(class, _)| *class))
    }
}

/// Whether a class is a ModelAdmin.
pub fn is_model_admin(program: &Program, class: ClassId) -> bool {
    program.inherits(class, MODEL_ADMIN)
        || program.class(class).external_bases.iter().any(|b| b.ends_with(".admin.ModelAdmin"))
}

/// Whether a class is one of inlines.
pub fn is_inline(program: &Program, class: ClassId) -> bool {
    INLINES.iter().any(|base| program.inherits(class, base))
}

/// Whether nothing but the class and Django says what it shows.
pub fn is_followed(program: &Program, class: ClassId) -> bool {
    unknown_base(program, class).is_none()
}

/// Reads the registrations of a project, of which models and settings are known.
pub(super) struct Index<'a> {
    pub project: &'a Project,
    pub program: &'a Program,
}

impl<'a> Index<'a> {
    /// The admin that these files make up, in which `found` is registered.
    pub fn admin(&self, files: &[FileId], found: &PerFile<Vec<Registration>>) -> Admin {
        let program = self.program;
        let mut registrations: Vec<Registration> = found.iter().flatten().copied().collect();
        // What tests register of the program's own classes is there for the tests.
        registrations.retain(|r| {
            !self.project.is_test_file(r.file)
                || r.class.is_some_and(|class| self.project.is_test_file(program.class(class).file))
        });
        let mut out = Admin { registrations, ..Admin::default() };
        for registration in out.registrations.clone() {
            let Some(class) = registration.class else { continue };
            self.note(class, registration.model, &mut out);
            let inlines = listed(program, class, "inlines").map(|(_, _, nodes)| nodes).unwrap_or_default();
            for (file, node) in inlines {
                let node = program.file(file).node(node);
                if let Some(Def::Class(inline)) =
                    named(program, file, node, class_around(program, file, node))
                    && is_inline(program, inline)
                    && let Some(model) = self.model_member(inline)
                {
                    out.inlines.push(Inline {
                        model,
                        class: inline,
                        admin: class,
                        parent: registration.model,
                    });
                }
            }
        }
        for file in files {
            for class in program.classes_in(*file).filter(|c| is_inline(program, *c)) {
                if let Some(model) = self.model_member(class) {
                    self.note(class, model, &mut out);
                }
            }
        }
        out
    }

    /// `class` is for `model`: what it and the classes above it list is called for that model.
    fn note(&self, class: ClassId, model: ModelId, out: &mut Admin) {
        let program = self.program;
        for above in &program.class(class).mro {
            let models = out.models.entry(*above).or_default();
            if !models.contains(&model) {
                models.push(model);
            }
        }
        let mut add = |function: FunctionId, role: Role| {
            let (known, users) = out.roles.entry(function).or_insert((role, Vec::new()));
            if *known != role {
                // One that is listed for both gets neither.
                users.clear();
            } else if !users.contains(&(class, model)) {
                users.push((class, model));
            }
        };
        for (list, role) in
            [("actions", Role::Action), ("list_display", Role::Column), ("readonly_fields", Role::Column)]
        {
            let Some((_, _, elements)) = listed(program, class, list) else { continue };
            for (file, node) in elements {
                let node = program.file(file).node(node);
                let found = match string_value(node) {
                    Some(name) => match program.member(class, &name) {
                        Some((_, Member::Function(function, _))) => Some(*function),
                        _ => None,
                    },
                    None => match named(program, file, node, class_around(program, file, node)) {
                        Some(Def::Function(function)) => Some(function),
                        _ => None,
                    },
                };
                if let Some(function) = found {
                    add(function, role);
                }
            }
        }
        let mro = program.class(class).mro.iter();
        for member in mro.flat_map(|above| program.class(*above).members.values()) {
            let Member::Function(function, _) = member else { continue };
            let says = |path: &str| {
                let decorators = &program.function(*function).decorators;
                decorators.iter().flatten().any(|d| matches!(d, Def::External(p) if canonical(p) == path))
            };
            if says("django.contrib.admin.action") {
                add(*function, Role::Action);
            } else if says("django.contrib.admin.display") {
                add(*function, Role::Column);
            }
        }
    }

    /// `model = Chapter`
    fn model_member(&self, class: ClassId) -> Option<ModelId> {
        let (owner, Member::Value(value)) = self.program.member(class, "model")? else { return None };
        let file = self.program.class(owner).file;
        self.model(file, self.program.file(file).node(*value), 0)
    }

    /// What a file registers.
    pub fn in_file(&self, id: FileId) -> Vec<Registration> {
        let file = self.program.file(id);
        let mut out = Vec::new();
        if self.program.is_known_file(id) {
            return out;
        }
        for node in file.root().descendants() {
            match node.kind() {
                Kind::DecoratedDef => {
                    if let Stmt::ClassDef { def, decorators } = Stmt::of(node) {
                        self.decorated(id, def, &decorators, &mut out);
                    }
                }
                Kind::Call => self.called(id, node, &mut out),
                _ => {}
            }
        }
        out
    }

    /// `@admin.register(Book, site=staff)`
    fn decorated(&self, file: FileId, def: Node<'a>, decorators: &[Node<'a>], out: &mut Vec<Registration>) {
        let Some(class) = self.program.class_at(file, def.id()) else { return };
        for decorator in decorators {
            let Some(call) = Call::of(*decorator) else { continue };
            let is_register = matches!(resolve_here(self.program, file, call.func),
                Some(Def::External(path)) if canonical(&path) == "django.contrib.admin.register");
            if !is_register || !self.may_be_model_admin(class) {
                continue;
            }
            for node in &call.positional {
                if let Some(model) = self.model(file, *node, 0) {
                    let (class, node) = (Some(class), node.peel().id());
                    out.push(Registration { model, class, file, node, is_plain: true });
                }
            }
        }
    }

    /// `admin.site.register(Book, BookAdmin)`
    fn called(&self, file: FileId, node: Node<'a>, out: &mut Vec<Registration>) {
        let Expr::Call { func, .. } = Expr::of(node) else { return };
        let Expr::Attribute { value: site, attr: "register", .. } = Expr::of(func) else { return };
        let Some(call) = Call::of(node) else { return };
        let Some(models) = call.argument("model_or_iterable", 0) else { return };
        let given = call.argument("admin_class", 1).filter(|n| !matches!(Expr::of(*n), Expr::None));
        let options =
            call.keywords.iter().filter(|(n, _)| !matches!(*n, "model_or_iterable" | "admin_class"));
        let is_plain = options.count() == 0 && !call.is_open;
        for (models, given) in self.rounds(models, given) {
            let is_site = || self.is_site(file, site);
            let class = match given.map(|g| resolve_here(self.program, file, g)) {
                Some(Some(Def::Class(class))) if is_model_admin(self.program, class) => Some(class),
                Some(Some(Def::Class(class))) if self.may_be_model_admin(class) && is_site() => Some(class),
                Some(Some(Def::External(path))) if canonical(&path) == MODEL_ADMIN => None,
                None => None,
                Some(_) => continue,
            };
            if class.is_none() && !is_site() {
                continue;
            }
            let models = match Expr::of(models) {
                Expr::List(_) | Expr::Tuple(_) => {
                    elements(self.program, file, models.id(), None).unwrap_or_default()
                }
                _ => vec![(file, models.peel().id())],
            };
            for (file, node) in models {
                if let Some(model) = self.model(file, self.program.file(file).node(node), 0) {
                    out.push(Registration { model, class, file, node, is_plain });
                }
            }
        }
    }

    /// What the arguments are in each round of a loop over a list that is written out:
    /// `for model, options in [(Book, BookAdmin), ...]`.
    fn rounds(&self, models: Node<'a>, class: Option<Node<'a>>) -> Vec<(Node<'a>, Option<Node<'a>>)> {
        let is_bound = |target: Node<'a>, node: Node<'a>| {
            matches!(Expr::of(node), Expr::Name(name)
                if target.descendants().any(|t| t.kind() == Kind::Name && t.text() == name))
        };
        let looped = models.ancestors().find_map(|a| match Stmt::of(a) {
            Stmt::For { target, iter, .. }
                if is_bound(target, models) || class.is_some_and(|c| is_bound(target, c)) =>
            {
                Some((target, iter))
            }
            _ => None,
        });
        let Some((target, iter)) = looped else { return vec![(models, class)] };
        let (Expr::List(list) | Expr::Tuple(list) | Expr::Set(list)) = Expr::of(iter) else {
            return Vec::new();
        };
        let pick = |item: Node<'a>, node: Node<'a>| -> Option<Node<'a>> {
            if !is_bound(target, node) {
                return Some(node);
            }
            match Expr::of(target) {
                Expr::Name(_) => Some(item),
                Expr::Tuple(targets) => {
                    let at = targets.children().position(|t| t.text() == node.peel().text())?;
                    let (Expr::Tuple(items) | Expr::List(items)) = Expr::of(item) else { return None };
                    items.children().nth(at)
                }
                _ => None,
            }
        };
        list.children()
            .filter_map(|item| {
                let class = match class {
                    Some(class) => Some(pick(item, class)?),
                    None => None,
                };
                Some((pick(item, models)?, class))
            })
            .collect()
    }

    /// Whether an expression is a site of the admin: Django's, or one that the program makes.
    /// Whether a class that is registered as one can be a ModelAdmin: its base comes from a package.
    fn may_be_model_admin(&self, class: ClassId) -> bool {
        let info = self.program.class(class);
        let is_plain = |base: &String| base.starts_with("builtins.");
        is_model_admin(self.program, class)
            || info.has_unknown_base
            || !info.external_bases.iter().all(is_plain)
    }

    fn is_site(&self, file: FileId, node: Node<'a>) -> bool {
        match resolve_here(self.program, file, node) {
            Some(Def::External(path)) => canonical(&path) == "django.contrib.admin.site",
            Some(Def::Variable { file, value: Some(value) }) => {
                let Some(call) = Call::of(self.program.file(file).node(value)) else { return false };
                match resolve_here(self.program, file, call.func) {
                    Some(Def::External(path)) => canonical(&path) == SITE,
                    Some(Def::Class(class)) => self.program.inherits(class, SITE),
                    _ => false,
                }
            }
            _ => false,
        }
    }

    /// The concrete model that an expression names.
    fn model(&self, file: FileId, node: Node<'a>, depth: usize) -> Option<ModelId> {
        if depth > MAX_DEPTH {
            return None;
        }
        let found = match Expr::of(node) {
            Expr::Call { .. } => {
                let call = Call::of(node)?;
                let user = &self.project.settings().auth_user_model;
                let by_label = |label: &str| self.project.model_by_label(label);
                match call.func.text().rsplit('.').next().unwrap_or("") {
                    "get_user_model" => by_label(if user.is_empty() { "auth.User" } else { user }),
                    "get_model" => {
                        let parts: Option<Vec<_>> =
                            call.positional.iter().map(|p| string_value(*p)).collect();
                        by_label(&parts?.join("."))
                    }
                    _ => None,
                }
            }
            _ => match resolve_here(self.program, file, node)? {
                Def::Class(class) => self.project.model_of_class(class),
                Def::Variable { file, value: Some(value) } => {
                    self.model(file, self.program.file(file).node(value), depth + 1)
                }
                _ => None,
            },
        };
        found.filter(|id| !self.project.model(*id).is_abstract)
    }
}
