//! What the class of a serializer says of its fields: those that it declares, the names in its `Meta`, and what its own
//! methods do to them before they are used.

use super::dropped::{by_others, by_serializer};
use crate::django::Project;
use crate::infer::Analyzer;
use crate::infer::framework::is_nested_writer;
use crate::python::{
    ClassId, Def, Expr, Field, Kind, Member, Node, Stmt, arguments, parameters, string_value,
};
use crate::text::{FileId, Site};
use rustc_hash::FxHashSet;

/// Bases of other packages that leave alone how instances are written.
const PASSIVE_BASES: &[&str] = &[
    "drf_writable_nested.NestedCreateMixin",
    "drf_writable_nested.NestedUpdateMixin",
    "drf_writable_nested.UniqueFieldsMixin",
    "drf_writable_nested.mixins.NestedCreateMixin",
    "drf_writable_nested.mixins.NestedUpdateMixin",
    "drf_writable_nested.mixins.UniqueFieldsMixin",
    "drf_writable_nested.serializers.NestedCreateMixin",
    "drf_writable_nested.serializers.NestedUpdateMixin",
    "taggit.serializers.TaggitSerializer",
    "taggit_serializer.serializers.TaggitSerializer",
];

/// The name of a class of Django REST framework, or of the class that stands for one of another package.
pub(super) fn framework_name(path: &str) -> Option<&str> {
    if is_nested_writer(path) {
        return Some("ModelSerializer");
    }
    path.strip_prefix("rest_framework.")?.rsplit('.').next()
}

/// Whether a class has one of these classes of the framework above it.
pub(super) fn has_base(project: &Project, class: ClassId, names: &[&str]) -> bool {
    let bases = &project.program().class(class).external_bases;
    bases.iter().any(|base| framework_name(base).is_some_and(|name| names.contains(&name)))
}

/// Whether a class is a serializer of single objects.
pub(super) fn is_serializer(project: &Project, class: ClassId) -> bool {
    let names = ["BaseSerializer", "Serializer", "ModelSerializer", "HyperlinkedModelSerializer"];
    has_base(project, class, &names)
}

/// Whether a serializer makes fields for the fields of a model.
pub(super) fn is_of_model(project: &Project, class: ClassId) -> bool {
    has_base(project, class, &["ModelSerializer", "HyperlinkedModelSerializer"])
}

/// Whether nothing but the program and the framework stands above a serializer or field.
pub(super) fn has_plain_bases(project: &Project, class: ClassId) -> bool {
    !project.program().class(class).has_unknown_base && base_of_package(project, class).is_none()
}

/// A class of a package above a serializer or field, which may do anything with its fields.
pub(super) fn base_of_package(project: &Project, class: ClassId) -> Option<&str> {
    let is_plain = |base: &str| {
        ["rest_framework.", "builtins.", "typing.", "abc."].iter().any(|p| base.starts_with(p))
            || is_nested_writer(base)
            || PASSIVE_BASES.contains(&base)
    };
    project.program().class(class).external_bases.iter().map(String::as_str).find(|base| !is_plain(base))
}

/// Arguments of a field, or what `Meta.extra_kwargs` has for it.
#[derive(Default)]
pub(super) struct Options<'a> {
    pub positional: Vec<Node<'a>>,
    pub named: Vec<(String, Node<'a>)>,
    /// Something is spread into it.
    pub is_open: bool,
}

impl<'a> Options<'a> {
    pub fn of_call(list: Node<'a>) -> Options<'a> {
        let mut out = Options::default();
        for argument in arguments(list) {
            match argument.name {
                _ if argument.stars > 0 => out.is_open = true,
                Some(name) => out.named.push((name.to_owned(), argument.value)),
                None => out.positional.push(argument.value),
            }
        }
        out
    }

    fn of_dict(dict: Node<'a>) -> Options<'a> {
        let mut out = Options::default();
        for (key, value) in pairs(dict) {
            match key.and_then(string_value) {
                Some(key) => out.named.push((key, value)),
                None => out.is_open = true,
            }
        }
        out
    }

    pub fn get(&self, name: &str) -> Option<Node<'a>> {
        self.named.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }

    /// Whether a switch is on; nothing where that is not known.
    pub fn is_on(&self, name: &str) -> Option<bool> {
        match self.get(name).map(Expr::of) {
            None | Some(Expr::False) => Some(false),
            Some(Expr::True) => Some(true),
            Some(_) => None,
        }
    }
}

/// The keys and values of a dict display; a spread one has no key.
fn pairs<'a>(dict: Node<'a>) -> Vec<(Option<Node<'a>>, Node<'a>)> {
    dict.children()
        .map(|child| match child.kind() {
            Kind::Pair => (child.child(Field::Key), child.child(Field::Value).unwrap_or(child)),
            _ => (None, child),
        })
        .collect()
}

/// A field that a serializer declares.
pub(super) struct Declared<'a> {
    pub name: &'a str,
    pub site: Site,
    /// It stands in the class itself, so that `Meta.fields` has to name it.
    pub is_own: bool,
    /// The class that is called for it, and with what; nothing where that is not known.
    pub made: Option<(Def, Options<'a>)>,
}

/// The fields that a serializer and its bases declare, the nearest of a name.
pub(super) fn declared(project: &Project, class: ClassId) -> Vec<Declared<'_>> {
    let program = project.program();
    let mut known = FxHashSet::default();
    let mut out = Vec::new();
    // What a base that is no serializer has is not collected.
    for owner in program.class(class).mro.iter().filter(|c| is_serializer(project, **c)) {
        let info = program.class(*owner);
        for name in info.order.iter().filter(|n| known.insert(n.as_str())) {
            let is_own = *owner == class;
            let value = match info.members.get(name) {
                Some(Member::Value(value)) => program.file(info.file).node(*value),
                Some(Member::Other) => {
                    let site = program.name_site(info.file, info.node);
                    out.push(Declared { name, site, is_own: false, made: None });
                    continue;
                }
                _ => continue,
            };
            let made = match Expr::of(value) {
                Expr::Call { func, arguments } => program
                    .resolve_expr(info.file, func.peel().id())
                    .map(|def| (def, Options::of_call(arguments))),
                // Somebody may have made a field before.
                Expr::Name(_) | Expr::Attribute { .. } | Expr::Subscript { .. } | Expr::IfExp { .. } => None,
                _ => continue,
            };
            let target = value.with_parens().parent().filter(|p| p.kind() == Kind::Assign);
            let target = target.and_then(|p| p.child(Field::Left)).unwrap_or(value);
            let site = Site { file: info.file, span: target.span() };
            out.push(Declared { name, site, is_own, made });
        }
    }
    out
}

/// Names of fields, each with the place that says it.
#[derive(Default)]
pub(super) struct Names {
    pub found: Vec<(String, Site)>,
    /// There are no others.
    pub is_complete: bool,
}

/// What `Meta` chooses.
pub(super) enum Chosen {
    /// These.
    Only(Names),
    /// All but these, and the place that says so.
    All(Vec<String>, Site),
    /// Not known.
    Unknown,
}

/// The options of a serializer's `Meta`.
pub(super) struct Meta<'a> {
    project: &'a Project,
    class: ClassId,
}

impl<'a> Meta<'a> {
    pub fn of(project: &'a Project, class: ClassId) -> Option<Meta<'a>> {
        match project.program().member(class, "Meta")? {
            (_, Member::Class(meta)) => Some(Meta { project, class: *meta }),
            _ => None,
        }
    }

    fn get(&self, name: &str) -> Option<(FileId, Node<'a>)> {
        let program = self.project.program();
        let (owner, Member::Value(value)) = program.member(self.class, name)? else { return None };
        let file = program.class(owner).file;
        Some((file, program.file(file).node(*value)))
    }

    pub fn has(&self, name: &str) -> bool {
        self.project.program().member(self.class, name).is_some()
    }

    /// What an option resolves to.
    pub fn def(&self, name: &str) -> Option<Def> {
        let (file, value) = self.get(name)?;
        self.project.program().resolve_expr(file, value.peel().id())
    }

    pub fn chosen(&self) -> Chosen {
        let is_none = |name: &str| self.get(name).is_some_and(|(_, v)| matches!(Expr::of(v), Expr::None));
        if self.has("fields") && !is_none("fields") {
            let Some((file, value)) = self.get("fields") else { return Chosen::Unknown };
            let site = Site { file, span: value.span() };
            return match Expr::of(value) {
                Expr::Str(_) if string_value(value).as_deref() == Some("__all__") => {
                    Chosen::All(Vec::new(), site)
                }
                _ if self.is_all(file, value) => Chosen::All(Vec::new(), site),
                _ => Chosen::Only(self.names(file, value, 0)),
            };
        }
        let Some((file, value)) = self.get("exclude") else { return Chosen::Unknown };
        let names = self.names(file, value, 0);
        if !names.is_complete {
            return Chosen::Unknown;
        }
        let names = names.found.into_iter().map(|(name, _)| name).collect();
        Chosen::All(names, Site { file, span: value.span() })
    }

    /// `fields = serializers.ALL_FIELDS`
    fn is_all(&self, file: FileId, value: Node<'_>) -> bool {
        matches!(self.project.program().resolve_expr(file, value.peel().id()), Some(Def::External(path))
            if framework_name(&path) == Some("ALL_FIELDS"))
    }

    /// The strings in a list or tuple, and in sums of such.
    fn names(&self, file: FileId, value: Node<'a>, depth: usize) -> Names {
        let mut out = Names { found: Vec::new(), is_complete: true };
        if depth > 8 {
            return Names::default();
        }
        let mut add = |names: Names| {
            out.found.extend(names.found);
            out.is_complete &= names.is_complete;
        };
        let program = self.project.program();
        match Expr::of(value) {
            Expr::List(node) | Expr::Tuple(node) | Expr::Set(node) => {
                for element in node.children() {
                    match Expr::of(element) {
                        Expr::Starred(inner) => add(self.names(file, inner, depth + 1)),
                        _ => add(match string_value(element) {
                            Some(name) => {
                                let site = Site { file, span: element.span() };
                                Names { found: vec![(name, site)], is_complete: true }
                            }
                            None => Names::default(),
                        }),
                    }
                }
            }
            Expr::BinOp { left, op: Kind::Add, right } => {
                add(self.names(file, left, depth + 1));
                add(self.names(file, right, depth + 1));
            }
            Expr::Call { func, arguments: list } => {
                let is_copy = matches!(Expr::of(func), Expr::Name("list" | "tuple" | "sorted"))
                    && program.resolve_expr(file, func.peel().id()).is_none();
                match arguments(list).as_slice() {
                    [only] if is_copy && only.stars == 0 => add(self.names(file, only.value, depth + 1)),
                    _ => return Names::default(),
                }
            }
            Expr::Name(_) | Expr::Attribute { .. } => match program.resolve_expr(file, value.peel().id()) {
                Some(Def::Variable { file, value: Some(value) }) => {
                    add(self.names(file, program.file(file).node(value), depth + 1));
                }
                _ => return Names::default(),
            },
            _ => return Names::default(),
        }
        out
    }

    /// `Meta.depth`; nothing where it is not known.
    pub fn depth(&self) -> Option<u32> {
        match self.get("depth") {
            Some((_, value)) => match Expr::of(value) {
                Expr::Int(text) => text.parse().ok(),
                _ => None,
            },
            None if self.has("depth") => None,
            None => Some(0),
        }
    }

    /// What `Meta.extra_kwargs` has for each field; nothing where that is not known.
    pub fn extra(&self) -> Option<Vec<(String, Options<'a>)>> {
        let program = self.project.program();
        let Some((file, mut value)) = self.get("extra_kwargs") else {
            return if self.has("extra_kwargs") { None } else { Some(Vec::new()) };
        };
        if let Some(Def::Variable { file, value: Some(found) }) =
            program.resolve_expr(file, value.peel().id())
        {
            value = program.file(file).node(found);
        }
        let Expr::Dict(dict) = Expr::of(value) else { return None };
        pairs(dict)
            .into_iter()
            .map(|(key, value)| {
                let Expr::Dict(options) = Expr::of(value) else { return None };
                Some((string_value(key?)?, Options::of_dict(options)))
            })
            .collect()
    }
}

/// What the methods of a serializer do to its fields.
#[derive(Default)]
pub(super) struct Edits {
    /// Which fields there are is not known.
    pub is_unknown: bool,
    /// What the framework makes for fields of the model is not known.
    pub is_built: bool,
    /// Some may be taken out.
    pub is_partial: bool,
    /// These are taken out, or others stand in their place.
    pub gone: FxHashSet<String>,
    /// These may be.
    pub doubtful: FxHashSet<String>,
}

/// The methods that say which fields there are.
const CHOOSING: &[&str] = &["get_fields", "fields", "_readable_fields", "get_field_names"];
/// The methods that make fields for those of the model.
const BUILDING: &[&str] = &[
    "build_field",
    "build_relational_field",
    "build_nested_field",
    "build_property_field",
    "get_extra_kwargs",
    "include_extra_kwargs",
    "get_default_field_names",
];

pub(super) fn edits(analyzer: &Analyzer<'_>, class: ClassId) -> Edits {
    let project = analyzer.project();
    let program = project.program();
    let mut out = Edits::default();
    for owner in &program.class(class).mro {
        let info = program.class(*owner);
        for name in CHOOSING {
            let Some(member) = info.members.get(*name) else { continue };
            let Member::Function(function, _) = member else {
                out.is_unknown = true;
                continue;
            };
            let info = program.function(*function);
            let def = program.file(info.file).node(info.node);
            let asks_super = def.has_name("super");
            out.is_unknown |= !asks_super || !edits_of(def, &mut out);
        }
        if let Some(Member::Function(function, _)) = info.members.get("__init__") {
            let info = program.function(*function);
            out.is_partial |= !edits_of(program.file(info.file).node(info.node), &mut out);
        }
        out.is_built |= BUILDING.iter().any(|name| info.members.contains_key(*name));
        out.is_unknown |= ["__new__", "_declared_fields"].iter().any(|n| info.members.contains_key(*n));
    }
    by_serializer(project, class, |name| name == "__init__" || CHOOSING.contains(&name)).add_to(&mut out);
    by_others(analyzer, class).add_to(&mut out);
    out
}

/// Collect what a method does to the fields of `self` and to what its base gives. Whether all of it is understood.
fn edits_of(def: Node<'_>, out: &mut Edits) -> bool {
    let Some(receiver) = parameters(def).first().map(|p| p.name) else { return false };
    let is_attribute = |n: Node<'_>| {
        matches!(Expr::of(n), Expr::Attribute { value, attr: "fields", .. }
            if n.kind() == Kind::Attribute && matches!(Expr::of(value), Expr::Name(name) if name == receiver))
    };
    let own = def.child(Field::Name).map_or("", Node::text);
    let mut names: FxHashSet<&str> = FxHashSet::default();
    for assign in def.descendants().filter(|n| n.kind() == Kind::Assign) {
        let (Some(left), Some(right)) = (assign.child(Field::Left), assign.child(Field::Right)) else {
            continue;
        };
        let is_super = |n: Node<'_>| n.kind() == Kind::Name && n.text() == "super";
        let holds = is_attribute(right.peel()) || (own != "__init__" && right.descendants().any(is_super));
        if holds && left.kind() == Kind::Name {
            names.insert(left.text());
        }
    }
    let mut is_understood = true;
    for node in def.descendants() {
        let is_ours = match node.kind() {
            Kind::Attribute => is_attribute(node),
            Kind::Name => names.contains(node.text()) && node.field() != Field::Attribute,
            _ => false,
        };
        if is_ours {
            is_understood &= edit_at(node, def, out);
        } else if own != "__init__" && is_super_call(node) {
            is_understood &= edit_at(whole(node), def, out);
        }
    }
    is_understood
}

fn is_super_call(node: Node<'_>) -> bool {
    matches!(Expr::of(node), Expr::Call { func, .. } if matches!(Expr::of(func), Expr::Name("super")))
        && node.kind() == Kind::Call
}

/// `list(super().get_field_names(...))` around `super()`.
fn whole(node: Node<'_>) -> Node<'_> {
    let mut at = node;
    while let Some(parent) = at.with_parens().parent() {
        let is_part = match Expr::of(parent) {
            Expr::Attribute { value, .. } => parent.kind() == Kind::Attribute && value.peel() == at.peel(),
            Expr::Call { func, .. } => func.peel() == at.peel(),
            Expr::Other(list) if list.kind() == Kind::Arguments => {
                let call = parent.parent().map(Expr::of);
                let is_copy = matches!(call, Some(Expr::Call { func, .. })
                    if matches!(Expr::of(func), Expr::Name("list" | "dict" | "tuple" | "OrderedDict")));
                if let (true, Some(call)) = (is_copy && list.children().count() == 1, parent.parent()) {
                    at = call;
                    continue;
                }
                false
            }
            _ => false,
        };
        if !is_part {
            break;
        }
        at = parent;
    }
    at
}

/// What is done with the fields at one place where they are named; whether it is understood.
fn edit_at(node: Node<'_>, def: Node<'_>, out: &mut Edits) -> bool {
    let Some(parent) = node.with_parens().parent() else { return false };
    let mut take = |name: String, at: Node<'_>| {
        let is_sure = !at.ancestors().take_while(|a| *a != def).any(|a| {
            matches!(a.kind(), Kind::If | Kind::For | Kind::While | Kind::Try | Kind::IfExp | Kind::BoolOp)
        });
        if is_sure {
            out.gone.insert(name);
        } else {
            out.doubtful.insert(name);
        }
    };
    match Expr::of(parent) {
        Expr::Attribute { attr, .. } if parent.kind() == Kind::Attribute => {
            let Some(call) = parent.parent().filter(|p| p.kind() == Kind::Call) else { return false };
            let Expr::Call { arguments: list, .. } = Expr::of(call) else { return false };
            let arguments = arguments(list);
            let first = arguments.first().and_then(|a| string_value(a.value));
            match (attr, first) {
                ("pop" | "remove", Some(name)) => take(name, call),
                ("get", Some(_)) | ("append" | "insert", _) => {}
                _ => return false,
            }
            true
        }
        Expr::Subscript { index, value, .. } if value.peel() == node.peel() => {
            let Some(name) = string_value(index) else { return false };
            let Some(around) = parent.parent() else { return false };
            if parent.field() == Field::Left && around.kind() == Kind::Assign {
                out.gone.insert(name);
            } else if around.kind() == Kind::Delete {
                take(name, around);
            } else if let Expr::Attribute {
                attr: "write_only" | "source" | "source_attrs" | "child", ..
            } = Expr::of(around)
            {
                out.gone.insert(name);
            }
            true
        }
        Expr::Compare { op: Kind::In | Kind::NotIn, .. } => true,
        _ => match Stmt::of(parent) {
            Stmt::Return(_) => true,
            _ => parent.kind() == Kind::Assign,
        },
    }
}
