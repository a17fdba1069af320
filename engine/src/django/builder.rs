//! From classes to models: what Django's metaclass does, in the order in which it does it.

use super::apps::Apps;
use super::fields::{self, FieldClass, field_call};
use super::managers;
use super::values::{Call, Values};
use super::{Field, FieldKind, Manager, Model, ModelId, Relation, RelationKind, ReverseRelation, Settings};
use crate::python::{Class, ClassId, Def, Expr, KNOWN_ROOT, Member, Node, Program, is_models_export};
use crate::text::{FileId, Site};
use rustc_hash::{FxHashMap, FxHashSet};

const MODEL: &str = "django.db.models.Model";

/// A field before its relation is resolved, as it stands in the class that declares it.
#[derive(Clone, Debug)]
struct Declared {
    field: Field,
    file: FileId,
    target: Option<Target>,
    related_name: Option<Text>,
    related_query_name: Option<String>,
    through: Option<Target>,
    /// A `+`, or a name that could not be read.
    is_hidden: bool,
}

/// A string that may not be readable.
#[derive(Clone, Debug)]
enum Text {
    Known(String),
    Unknown,
}

#[derive(Clone, Debug)]
enum Target {
    Class(ClassId),
    /// As written: `self`, `Book`, `shop.Book`.
    Label(String),
    Unknown(String),
}

/// What the builder hands over.
pub(super) struct Built {
    pub models: Vec<Model>,
    pub by_class: FxHashMap<ClassId, ModelId>,
    pub by_label: FxHashMap<String, Vec<ModelId>>,
}

/// Classes whose base is a call that gives a model (`get_user_model()`, `get_model("app", "Model")`), or a
/// variable of one: what [`Program::rebase`] takes.
pub(super) fn looked_up_bases(
    program: &Program,
    settings: &Settings,
    built: &Built,
) -> Vec<(ClassId, usize, ClassId)> {
    let values = Values { program, settings };
    let mut out = Vec::new();
    for id in program.class_ids() {
        let class = program.class(id);
        for (position, base) in class.bases.iter().enumerate() {
            if base.is_some() {
                continue;
            }
            let Some(mut node) = class.base_nodes.get(position).map(|n| values.node(class.file, *n)) else {
                continue;
            };
            let mut file = class.file;
            if let Some(Def::Variable { file: at, value: Some(value) }) =
                program.resolve_expr(file, node.id())
            {
                file = at;
                node = values.node(at, value);
            }
            let Some(label) = looked_up(values, file, node) else { continue };
            let model = label
                .split_once('.')
                .and_then(|(app, name)| built.by_label.get(&format!("{app}.{}", name.to_lowercase())))
                .and_then(|found| found.first())
                .and_then(|model| built.models.get(model.0 as usize));
            if let Some(model) = model.filter(|m| m.class != id) {
                out.push((id, position, model.class));
            }
        }
    }
    out
}

/// The label of the model that a call looks up.
fn looked_up<'a>(values: Values<'a>, file: FileId, node: Node<'a>) -> Option<String> {
    let call = Call::of(node)?;
    match call.func.text().rsplit('.').next().unwrap_or("") {
        "get_user_model" => Some(values.settings.auth_user_model.clone()),
        "get_model" => {
            let parts: Vec<_> = call.positional.iter().filter_map(|a| values.string(file, *a)).collect();
            (!parts.is_empty()).then(|| parts.join("."))
        }
        _ => None,
    }
}

struct Builder<'a> {
    values: Values<'a>,
    program: &'a Program,
    apps: Apps,
    models: Vec<Model>,
    by_class: FxHashMap<ClassId, ModelId>,
    by_label: FxHashMap<String, Vec<ModelId>>,
    /// Fields of each model's own table (or, of an abstract one, own declarations), inherited copies included.
    local: Vec<Vec<Declared>>,
    local_managers: Vec<Vec<Manager>>,
    has_auto_manager: Vec<bool>,
    meta: Vec<Option<ClassId>>,
    explicit_default: Vec<Option<String>>,
}

/// Build every model of the program.
pub(super) fn build(program: &Program, settings: &Settings) -> Built {
    let mut builder = Builder {
        values: Values { program, settings },
        program,
        apps: Apps::new(program, settings),
        models: Vec::new(),
        by_class: FxHashMap::default(),
        by_label: FxHashMap::default(),
        local: Vec::new(),
        local_managers: Vec::new(),
        has_auto_manager: Vec::new(),
        meta: Vec::new(),
        explicit_default: Vec::new(),
    };
    builder.collect();
    let order = builder.parents_first();
    for &id in &order {
        builder.inherit(id);
    }
    for &id in &order {
        builder.relate(id);
    }
    for &id in &order {
        builder.complete(id);
    }
    builder.reverse();
    Built { models: builder.models, by_class: builder.by_class, by_label: builder.by_label }
}

impl<'a> Builder<'a> {
    /// Find the model classes, and what their `Meta` says.
    fn collect(&mut self) {
        for id in self.program.class_ids() {
            if !self.is_model(id) {
                continue;
            }
            let class = self.program.class(id);
            let model_id = ModelId(self.models.len() as u32);
            self.by_class.insert(id, model_id);
            let file = self.program.file(class.file);
            self.models.push(Model {
                id: model_id,
                name: class.name.clone(),
                module: file.module.clone(),
                app_label: String::new(),
                site: Site { file: class.file, span: file.node(class.node).span() },
                class: id,
                is_abstract: false,
                is_proxy: false,
                is_managed: true,
                swappable: None,
                bases: Vec::new(),
                table_parents: Vec::new(),
                concrete: model_id,
                has_unknown_base: class.has_unknown_base,
                fields: Vec::new(),
                reverse: Vec::new(),
                managers: Vec::new(),
                default_manager: String::new(),
                base_manager_name: None,
                ordering: Vec::new(),
                has_unknown_ordering: false,
                unique: Vec::new(),
                order_with_respect_to: None,
            });
        }
        for index in 0..self.models.len() {
            let Some(class) = self.models.get(index).map(|m| m.class) else { continue };
            let own = self.own_meta(class);
            let is_abstract = own.is_some_and(|meta| self.is_abstract_meta(meta));
            let meta = own.or_else(|| self.inherited_meta(class));
            self.meta.push(meta);
            let file = self.program.class(class).file;
            let label =
                self.meta_string(meta, "app_label").unwrap_or_else(|| self.apps.label(self.program, file));
            let flag = |name: &str| {
                meta.and_then(|m| self.meta_value(m, name)).and_then(|(f, v)| self.values.flag(f, v))
            };
            let (is_proxy, is_managed) = (flag("proxy") == Some(true), flag("managed") != Some(false));
            let swappable = self.meta_string(meta, "swappable");
            let bases = self
                .program
                .class(class)
                .mro
                .iter()
                .skip(1)
                .filter_map(|c| self.by_class.get(c).copied())
                .collect();
            let id = ModelId(index as u32);
            if !is_abstract {
                let name = self.program.class(class).name.to_lowercase();
                self.by_label.entry(format!("{label}.{name}")).or_default().push(id);
            }
            if let Some(model) = self.models.get_mut(index) {
                model.app_label = label;
                model.is_abstract = is_abstract;
                model.is_proxy = is_proxy && !is_abstract;
                model.is_managed = is_managed;
                model.swappable = swappable;
                model.bases = bases;
            }
        }
        self.local = vec![Vec::new(); self.models.len()];
        self.local_managers = vec![Vec::new(); self.models.len()];
        self.has_auto_manager = vec![false; self.models.len()];
        self.explicit_default = vec![None; self.models.len()];
    }

    fn is_model(&self, id: ClassId) -> bool {
        let class = self.program.class(id);
        if self.program.inherits(id, MODEL) {
            return true;
        }
        // A base from a package that is not here may be a model: fields of columns in the body say so.
        let has_foreign_base = class.has_unknown_base
            || class.external_bases.iter().any(|b| !b.starts_with("django.") && !b.starts_with("builtins."));
        let is_other = class.external_bases.iter().any(|b| {
            ["forms", "serializers", "filters", "graphene", "migrations", "TestCase"]
                .iter()
                .any(|p| b.contains(p))
        });
        has_foreign_base
            && !is_other
            && class.mro.iter().any(|ancestor| {
                let ancestor = self.program.class(*ancestor);
                ancestor.members.values().any(|m| match m {
                    Member::Value(value) => {
                        let node = self.values.node(ancestor.file, *value);
                        field_call(self.program, ancestor.file, node).is_some_and(|(_, class)| {
                            class.path.strip_prefix("django.db.models.").is_some_and(is_models_export)
                        })
                    }
                    _ => false,
                })
            })
    }

    fn own_meta(&self, class: ClassId) -> Option<ClassId> {
        match self.program.class(class).members.get("Meta") {
            Some(Member::Class(meta)) => Some(*meta),
            _ => None,
        }
    }

    /// Only the class whose `Meta` says so is abstract: Django resets the flag for those who inherit the `Meta`.
    fn is_abstract_meta(&self, meta: ClassId) -> bool {
        for (position, ancestor) in self.program.class(meta).mro.iter().enumerate() {
            let class = self.program.class(*ancestor);
            if position > 0 && class.outer.is_some_and(|o| self.by_class.contains_key(&o)) {
                return false;
            }
            if let Some(Member::Value(value)) = class.members.get("abstract") {
                return self.values.flag(class.file, self.values.node(class.file, *value)) == Some(true);
            }
        }
        false
    }

    fn inherited_meta(&self, class: ClassId) -> Option<ClassId> {
        self.program.class(class).mro.iter().skip(1).find_map(|ancestor| {
            let meta = self.own_meta(*ancestor)?;
            // A concrete model keeps no `Meta` attribute.
            (!self.by_class.contains_key(ancestor) || self.is_abstract_meta(meta)).then_some(meta)
        })
    }

    fn meta_value(&self, meta: ClassId, name: &str) -> Option<(FileId, Node<'a>)> {
        let (owner, member) = self.program.member(meta, name)?;
        let file = self.program.class(owner).file;
        match member {
            Member::Value(value) => Some((file, self.values.node(file, *value))),
            _ => None,
        }
    }

    fn meta_string(&self, meta: Option<ClassId>, name: &str) -> Option<String> {
        let (file, node) = self.meta_value(meta?, name)?;
        self.values.string(file, node)
    }

    /// Ids ordered so that every model follows the models it inherits from.
    fn parents_first(&self) -> Vec<ModelId> {
        let mut order: Vec<ModelId> = self.models.iter().map(|m| m.id).collect();
        order.sort_by_key(|id| (self.program.class(self.get(*id).class).mro.len(), id.0));
        order
    }

    fn get(&self, id: ModelId) -> &Model {
        &self.models[id.0 as usize]
    }

    /// The direct bases that are models.
    fn parents(&self, id: ModelId) -> Vec<ModelId> {
        let class = self.program.class(self.get(id).class);
        class
            .bases
            .iter()
            .filter_map(|b| match b {
                Some(Def::Class(c)) => self.by_class.get(c).copied(),
                _ => None,
            })
            .collect()
    }

    /// Local fields, parent links and managers, from the class and its abstract bases.
    fn inherit(&mut self, id: ModelId) {
        let class_id = self.get(id).class;
        let (mut own, managers) = self.declarations(class_id);
        let parents = self.parents(id);
        let is_proxy = self.get(id).is_proxy;
        let mut names: FxHashSet<String> = own.iter().map(|d| d.field.name.clone()).collect();
        let class = self.program.class(class_id);
        let own_attributes: FxHashSet<&str> = attributes(class).collect();
        let mut inherited: FxHashSet<String> = FxHashSet::default();
        let mut copies: Vec<Declared> = Vec::new();
        let mut links: Vec<Declared> = Vec::new();
        let mut table_parents: Vec<ModelId> = Vec::new();
        let mut concrete = id;

        for ancestor in &class.mro {
            let base = match self.by_class.get(ancestor) {
                Some(base) if parents.contains(base) => *base,
                other => {
                    let class = self.program.class(*ancestor);
                    // Mixins and remote ancestors win by their attributes only.
                    inherited.extend(attributes(class).map(str::to_owned));
                    if let Some(base) = other.filter(|b| **b != id) {
                        inherited.extend(self.local_of(*base).iter().map(|d| d.field.attname.clone()));
                    }
                    continue;
                }
            };
            if self.get(base).is_abstract {
                for declared in self.local_of(base) {
                    let name = declared.field.name.as_str();
                    let is_private = matches!(
                        declared.field.kind,
                        FieldKind::GenericForeignKey | FieldKind::GenericRelation
                    );
                    let is_free = !names.contains(name)
                        && !copies.iter().any(|c| c.field.name == name)
                        && (is_private || (!own_attributes.contains(name) && !inherited.contains(name)));
                    if is_free {
                        copies.push(declared.clone());
                    }
                }
                for parent in &self.get(base).table_parents {
                    if !table_parents.contains(parent) {
                        table_parents.push(*parent);
                    }
                }
                continue;
            }
            let base_concrete = self.get(base).concrete;
            if is_proxy {
                if concrete == id {
                    concrete = base_concrete;
                }
                continue;
            }
            if !table_parents.contains(&base_concrete) {
                table_parents.push(base_concrete);
            }
            let declared_link = own.iter().chain(&copies).any(|d| {
                d.field.relation.as_ref().is_some_and(|r| {
                    r.parent_link
                        && (self.target(d, id) == Some(base_concrete) || self.target(d, id) == Some(base))
                })
            });
            if !declared_link {
                links.push(self.parent_link(id, base_concrete));
            }
            inherited.extend(self.local_of(base).iter().map(|d| d.field.name.clone()));
        }

        names.extend(copies.iter().map(|c| c.field.name.clone()));
        links.retain(|l| !names.contains(&l.field.name));
        let mut local = links;
        local.append(&mut copies);
        local.append(&mut own);

        let has_parents = !table_parents.is_empty();
        if !self.get(id).is_abstract && !is_proxy && !local.iter().any(|d| d.field.primary_key) {
            if has_parents {
                let link =
                    local.iter_mut().find(|d| d.field.relation.as_ref().is_some_and(|r| r.parent_link));
                if let Some(link) = link {
                    link.field.primary_key = true;
                }
            } else {
                local.insert(0, self.auto_field(id));
            }
        }
        if let Some(slot) = self.local.get_mut(id.0 as usize) {
            *slot = local;
        }
        if let Some(slot) = self.local_managers.get_mut(id.0 as usize) {
            *slot = managers;
        }
        if let Some(model) = self.models.get_mut(id.0 as usize) {
            model.table_parents = table_parents;
            model.concrete = concrete;
        }
        self.managers(id);
        self.meta_facts(id);
    }

    fn local_of(&self, id: ModelId) -> &[Declared] {
        self.local.get(id.0 as usize).map_or(&[], Vec::as_slice)
    }

    fn auto_field(&self, id: ModelId) -> Declared {
        let model = self.get(id);
        let class = self
            .values
            .settings
            .default_auto_field
            .clone()
            .unwrap_or_else(|| "django.db.models.BigAutoField".to_owned());
        Declared {
            field: Field {
                name: "id".into(),
                attname: "id".into(),
                kind: FieldKind::Auto,
                class,
                null: false,
                unique: true,
                primary_key: true,
                auto_now: false,
                auto_now_add: false,
                has_default: false,
                is_auto: true,
                relation: None,
                has_hooks: false,
                site: model.site,
            },
            file: model.site.file,
            target: None,
            related_name: None,
            related_query_name: None,
            through: None,
            is_hidden: false,
        }
    }

    fn parent_link(&self, id: ModelId, parent: ModelId) -> Declared {
        let mut link = self.auto_field(id);
        let name = format!("{}_ptr", self.get(parent).name.to_lowercase());
        link.field.attname = format!("{name}_id");
        link.field.name = name;
        link.field.kind = FieldKind::ForeignKey;
        link.field.class = "django.db.models.OneToOneField".into();
        link.field.primary_key = false;
        link.field.relation = Some(relation(RelationKind::OneToOne, true));
        link.target = Some(Target::Class(self.get(parent).class));
        link
    }

    /// The fields and managers that a class body declares, in order.
    fn declarations(&self, class_id: ClassId) -> (Vec<Declared>, Vec<Manager>) {
        let class = self.program.class(class_id);
        let mut fields = Vec::new();
        let mut managers = Vec::new();
        for name in &class.order {
            let Some(Member::Value(value)) = class.members.get(name) else { continue };
            let node = self.values.node(class.file, *value);
            if let Some((call, field)) = field_call(self.program, class.file, node) {
                fields.push(self.declared(class_id, name, node, &call, &field));
            } else if let Some(manager) = managers::manager(self.program, class.file, name, node) {
                managers.push(manager);
            }
        }
        (fields, managers)
    }

    fn declared(
        &self,
        owner: ClassId,
        name: &str,
        node: Node<'a>,
        call: &Call<'a>,
        class: &FieldClass,
    ) -> Declared {
        let file = self.program.class(owner).file;
        let defaults = class.class.map_or_else(Vec::new, |c| fields::defaults(self.program, c));
        let given = |key: &str, position: Option<usize>| -> Option<(FileId, Node<'a>)> {
            let preset = defaults.iter().find(|(k, ..)| k == key);
            if let Some((_, f, node, true)) = preset {
                return Some((*f, self.values.node(*f, *node)));
            }
            let here = call.keyword(key).or_else(|| position.and_then(|p| call.positional.get(p).copied()));
            here.map(|node| (file, node))
                .or_else(|| preset.map(|(_, f, node, _)| (*f, self.values.node(*f, *node))))
        };
        let flag = |key: &str| given(key, None).and_then(|(f, n)| self.values.flag(f, n));
        let is_relation = matches!(
            class.kind,
            FieldKind::ForeignKey
                | FieldKind::ManyToMany
                | FieldKind::GenericForeignKey
                | FieldKind::GenericRelation
        );
        let is_many = class.kind == FieldKind::ManyToMany;
        let is_taggable = class.path.ends_with("TaggableManager");
        let primary_key = flag("primary_key") == Some(true);
        let mut out = Declared {
            field: Field {
                name: name.to_owned(),
                attname: if class.kind == FieldKind::ForeignKey {
                    format!("{name}_id")
                } else {
                    name.to_owned()
                },
                kind: class.kind,
                class: class.path.clone(),
                null: flag("null") == Some(true)
                    || class.kind == FieldKind::GenericRelation
                    || class.path.ends_with(".NullBooleanField"),
                unique: flag("unique") == Some(true) || primary_key || class.is_one_to_one,
                primary_key,
                auto_now: flag("auto_now") == Some(true),
                auto_now_add: flag("auto_now_add") == Some(true),
                has_default: given("default", None).is_some() || given("db_default", None).is_some(),
                is_auto: false,
                relation: None,
                has_hooks: class.has_hooks,
                site: Site { file, span: node.span() },
            },
            file,
            target: None,
            related_name: None,
            related_query_name: None,
            through: None,
            is_hidden: false,
        };
        if !is_relation {
            return out;
        }
        let kind = match class.kind {
            FieldKind::ForeignKey if class.is_one_to_one || self.is_one_to_one(class) => {
                RelationKind::OneToOne
            }
            FieldKind::ForeignKey => RelationKind::ForeignKey,
            FieldKind::ManyToMany => RelationKind::ManyToMany,
            FieldKind::GenericRelation => RelationKind::GenericRelation,
            _ => RelationKind::GenericForeignKey,
        };
        out.field.unique |= kind == RelationKind::OneToOne;
        let mut relation = relation(kind, flag("parent_link") == Some(true));
        if kind != RelationKind::GenericForeignKey {
            let position = if is_taggable { None } else { Some(0) };
            out.target = given("to", position).map(|(f, n)| self.target_of(f, n));
            let name_position = match kind {
                RelationKind::ManyToMany if !is_taggable => Some(1),
                RelationKind::ForeignKey if class.class.is_none() => Some(2),
                _ => None,
            };
            out.related_name = given("related_name", name_position)
                .filter(|(_, n)| !matches!(Expr::of(*n), Expr::None))
                .map(|(f, n)| self.values.string(f, n).map_or(Text::Unknown, Text::Known));
            out.related_query_name =
                given("related_query_name", None).and_then(|(f, n)| self.values.string(f, n));
            relation.db_constraint = flag("db_constraint") != Some(false);
            relation.to_field = given("to_field", None).and_then(|(f, n)| self.values.string(f, n));
            if is_many {
                out.through = given("through", None)
                    .filter(|(_, n)| !matches!(Expr::of(*n), Expr::None))
                    .map(|(f, n)| self.target_of(f, n));
                let is_self = matches!(&out.target, Some(Target::Label(l)) if l == "self");
                relation.symmetrical = flag("symmetrical").unwrap_or(is_self) && is_self;
            }
        }
        out.field.relation = Some(relation);
        out
    }

    fn is_one_to_one(&self, class: &FieldClass) -> bool {
        class.class.is_some_and(|c| {
            self.program.inherits(c, "django.db.models.OneToOneField")
                || self
                    .program
                    .class(c)
                    .mro
                    .iter()
                    .any(|a| self.program.class_path(*a) == "django.db.models.OneToOneField")
        })
    }

    fn target_of(&self, file: FileId, node: Node<'a>) -> Target {
        if let Some(label) = self.values.string(file, node) {
            return Target::Label(label);
        }
        if let Some(label) = looked_up(self.values, file, node) {
            return Target::Label(label);
        }
        match self.program.resolve_expr(file, node.id()) {
            Some(Def::Class(class)) => Target::Class(class),
            Some(Def::Variable { file, value: Some(value) }) => {
                let inner = self.values.node(file, value);
                if matches!(Expr::of(inner), Expr::Call { .. }) {
                    return self.target_of(file, inner);
                }
                Target::Unknown(node.text().to_owned())
            }
            Some(Def::External(path)) => Target::Unknown(path),
            _ => Target::Unknown(node.text().to_owned()),
        }
    }

    /// The model that a field of `model` points at.
    fn target(&self, declared: &Declared, model: ModelId) -> Option<ModelId> {
        self.resolve_target(declared.target.as_ref()?, model, declared.file)
    }

    fn resolve_target(&self, target: &Target, model: ModelId, file: FileId) -> Option<ModelId> {
        match target {
            Target::Class(class) => self.by_class.get(class).copied(),
            Target::Label(label) if label == "self" => Some(model),
            Target::Label(label) => {
                let mut parts = label.rsplit('.');
                let name = parts.next().unwrap_or("").to_lowercase();
                let key = match parts.next() {
                    Some(app) => format!("{app}.{name}"),
                    None => format!("{}.{name}", self.get(model).app_label),
                };
                self.labelled(&key, file)
            }
            Target::Unknown(_) => None,
        }
    }

    /// Of several models with one label, the one nearest to `file`.
    fn labelled(&self, key: &str, file: FileId) -> Option<ModelId> {
        let found = self.by_label.get(key)?;
        if let [only] = found.as_slice() {
            return Some(*only);
        }
        let here = self.program.file(file).source.path();
        found
            .iter()
            .min_by_key(|id| {
                let path = self.program.file(self.get(**id).site.file).source.path();
                let shared = path.split('/').zip(here.split('/')).take_while(|(a, b)| a == b).count();
                (path.starts_with(KNOWN_ROOT), usize::MAX - shared, id.0)
            })
            .copied()
    }

    fn managers(&mut self, id: ModelId) {
        let class = self.program.class(self.get(id).class);
        let mut out: Vec<Manager> = Vec::new();
        for ancestor in &class.mro {
            let Some(base) = self.by_class.get(ancestor) else { continue };
            for manager in self.local_managers.get(base.0 as usize).map_or(&[][..], Vec::as_slice) {
                if !out.iter().any(|m| m.name == manager.name) {
                    out.push(manager.clone());
                }
            }
        }
        // A base that is not here may bring managers of its own; Django's default is then only a guess.
        if out.is_empty() && !self.get(id).is_abstract {
            let manager = Manager {
                name: "objects".into(),
                class: None,
                queryset: None,
                is_unknown: self.get(id).has_unknown_base || self.has_foreign_base(id),
                site: None,
            };
            if let Some(slot) = self.local_managers.get_mut(id.0 as usize) {
                slot.push(manager.clone());
            }
            out.push(manager);
        }
        let meta = self.meta.get(id.0 as usize).copied().flatten();
        let nearest = self.get(id).bases.first().copied();
        let has_local =
            self.local_managers.get(id.0 as usize).is_some_and(|m| m.iter().any(|m| m.site.is_some()));
        let explicit = self.meta_string(meta, "default_manager_name").or_else(|| {
            if has_local {
                None
            } else {
                nearest.and_then(|b| self.explicit_default.get(b.0 as usize).cloned().flatten())
            }
        });
        let base_manager = self
            .meta_string(meta, "base_manager_name")
            .or_else(|| nearest.and_then(|b| self.get(b).base_manager_name.clone()));
        let default = explicit
            .clone()
            .or_else(|| out.first().map(|m| m.name.clone()))
            .unwrap_or_else(|| "objects".into());
        if let Some(slot) = self.explicit_default.get_mut(id.0 as usize) {
            *slot = explicit;
        }
        if let Some(model) = self.models.get_mut(id.0 as usize) {
            model.managers = out;
            model.default_manager = default;
            model.base_manager_name = base_manager;
        }
    }

    fn has_foreign_base(&self, id: ModelId) -> bool {
        self.program.class(self.get(id).class).external_bases.iter().any(|b| {
            !b.starts_with("django.")
                && !b.starts_with("builtins.")
                && !b.starts_with("typing.")
                && !b.starts_with("abc.")
        })
    }

    /// Ordering and uniqueness.
    fn meta_facts(&mut self, id: ModelId) {
        let meta = self.meta.get(id.0 as usize).copied().flatten();
        let mut ordering = Vec::new();
        let mut unknown_ordering = false;
        let declared =
            meta.and_then(|m| self.program.member(m, "ordering").map(|_| self.meta_value(m, "ordering")));
        match declared {
            Some(Some((file, node))) => match self.values.strings(file, node) {
                Some(strings) => ordering = strings,
                None => unknown_ordering = true,
            },
            Some(None) => unknown_ordering = true,
            None => {
                if let Some(base) = self.get(id).bases.first().map(|b| self.get(*b))
                    && !base.is_abstract
                    && !self.get(id).is_abstract
                {
                    ordering = base.ordering.clone();
                    unknown_ordering = base.has_unknown_ordering;
                }
            }
        }
        let respect = self.meta_string(meta, "order_with_respect_to");
        if respect.is_some() {
            ordering = vec!["_order".to_owned()];
            unknown_ordering = false;
        }
        let mut unique: Vec<Vec<String>> =
            self.local_of(id).iter().filter(|d| d.field.unique).map(|d| vec![d.field.name.clone()]).collect();
        if let Some((file, node)) = meta.and_then(|m| self.meta_value(m, "unique_together")) {
            match self.values.strings(file, node) {
                Some(names) => unique.push(names),
                None => {
                    if let Expr::List(list) | Expr::Tuple(list) | Expr::Set(list) = Expr::of(node) {
                        unique.extend(list.children().filter_map(|set| self.values.strings(file, set)));
                    }
                }
            }
        }
        if let Some((file, node)) = meta.and_then(|m| self.meta_value(m, "constraints")) {
            self.constraints(file, node, 0, &mut unique);
        }
        let order_field =
            (respect.is_some() && !self.get(id).is_abstract && !self.get(id).is_proxy).then(|| {
                let mut field = self.auto_field(id);
                field.field.name = "_order".into();
                field.field.attname = "_order".into();
                field.field.kind = FieldKind::Integer;
                field.field.class = "django.db.models.OrderWrt".into();
                field.field.unique = false;
                field.field.primary_key = false;
                field
            });
        if let Some(field) = order_field
            && let Some(local) = self.local.get_mut(id.0 as usize)
            && !local.iter().any(|d| d.field.name == "_order")
        {
            local.push(field);
        }
        if let Some(model) = self.models.get_mut(id.0 as usize) {
            model.ordering = ordering;
            model.has_unknown_ordering = unknown_ordering;
            model.unique = unique;
            model.order_with_respect_to = respect;
        }
    }

    fn constraints(&self, file: FileId, node: Node<'a>, depth: usize, unique: &mut Vec<Vec<String>>) {
        if depth > 5 {
            return;
        }
        match Expr::of(node) {
            Expr::List(list) | Expr::Tuple(list) => {
                for item in list.children() {
                    self.constraints(file, item, depth + 1, unique);
                }
            }
            Expr::BinOp { left, right, .. } => {
                self.constraints(file, left, depth + 1, unique);
                self.constraints(file, right, depth + 1, unique);
            }
            Expr::Call { func, .. } if func.text().ends_with("UniqueConstraint") => {
                let Some(call) = Call::of(node) else { return };
                if call.keyword("condition").is_none()
                    && call.positional.is_empty()
                    && let Some(fields) = call.keyword("fields").and_then(|f| self.values.strings(file, f))
                {
                    unique.push(fields);
                }
            }
            _ => {}
        }
    }

    /// Resolve the relations of a model's own fields.
    fn relate(&mut self, id: ModelId) {
        let Some(mut local) = self.local.get_mut(id.0 as usize).map(std::mem::take) else { return };
        for declared in &mut local {
            let Some(mut relation) = declared.field.relation.take() else { continue };
            relation.target =
                declared.target.as_ref().and_then(|t| self.resolve_target(t, id, declared.file));
            // Tags are what the `tag` of the items in between points at.
            if declared.field.class.ends_with("TaggableManager")
                && let Some(through) = &declared.through
                && let Some(items) = self.resolve_target(through, id, declared.file)
                && let Some(tag) = self.local_of(items).iter().find(|d| d.field.name == "tag")
            {
                relation.target = self.target(tag, items).or(relation.target);
            }
            relation.target_text = match (&relation.target, &declared.target) {
                (Some(target), _) => self.get(*target).label(),
                (None, Some(Target::Label(text) | Target::Unknown(text))) => text.clone(),
                (None, Some(Target::Class(class))) => self.program.class_path(*class),
                (None, None) => String::new(),
            };
            relation.through =
                declared.through.as_ref().and_then(|t| self.resolve_target(t, id, declared.file));
            self.name_accessor(id, declared, &mut relation);
            declared.field.relation = Some(relation);
        }
        if let Some(slot) = self.local.get_mut(id.0 as usize) {
            *slot = local;
        }
    }

    fn name_accessor(&self, id: ModelId, declared: &mut Declared, relation: &mut Relation) {
        let model = self.get(id);
        let class_name = model.name.to_lowercase();
        let format = |text: &str| {
            text.replace("%(class)s", &class_name)
                .replace("%(model_name)s", &class_name)
                .replace("%(app_label)s", &model.app_label.to_lowercase())
        };
        match relation.kind {
            RelationKind::GenericForeignKey => return,
            RelationKind::GenericRelation => {
                relation.query_name = declared.related_query_name.as_deref().map(format);
                return;
            }
            _ => {}
        }
        let is_self = declared.target.as_ref().is_some_and(|t| match t {
            Target::Label(label) => label == "self" || *label == model.name,
            _ => false,
        });
        if relation.symmetrical && is_self {
            declared.is_hidden = true;
            return;
        }
        let name = match &declared.related_name {
            Some(Text::Unknown) => {
                declared.is_hidden = true;
                return;
            }
            Some(Text::Known(name)) if !name.is_empty() => Some(name.clone()),
            _ if declared.field.is_auto => self.default_related_name(id),
            _ => self.default_related_name(id),
        };
        let name = name.as_deref().map(format);
        if name.as_deref().is_some_and(|n| n.ends_with('+')) {
            declared.is_hidden = true;
            return;
        }
        relation.query_name = declared
            .related_query_name
            .as_deref()
            .map(format)
            .or_else(|| name.clone())
            .or_else(|| Some(class_name.clone()));
        relation.accessor = name.or_else(|| {
            Some(if relation.kind == RelationKind::OneToOne {
                class_name.clone()
            } else {
                format!("{class_name}_set")
            })
        });
    }

    fn default_related_name(&self, id: ModelId) -> Option<String> {
        if self.get(id).is_abstract {
            return None;
        }
        let meta = self.meta.get(id.0 as usize).copied().flatten();
        self.meta_string(meta, "default_related_name")
    }

    /// All fields of a model: those of its table parents first, then its own.
    fn complete(&mut self, id: ModelId) {
        let model = self.get(id);
        let mut fields: Vec<Field> = Vec::new();
        if model.is_proxy && model.concrete != id {
            fields = self.get(model.concrete).fields.clone();
        } else {
            for parent in &model.table_parents {
                for field in &self.get(*parent).fields {
                    if fields.iter().any(|f| f.name == field.name) {
                        continue;
                    }
                    let mut field = field.clone();
                    // The copy of a generic relation in a child table gives up its name in lookups.
                    if let Some(relation) = &mut field.relation
                        && relation.kind == RelationKind::GenericRelation
                    {
                        relation.query_name = None;
                    }
                    fields.push(field);
                }
            }
            if !model.table_parents.is_empty() {
                // Only one primary key: the link to the first parent, or what the model declares.
                for field in &mut fields {
                    field.primary_key = false;
                }
            }
        }
        for declared in self.local_of(id) {
            fields.retain(|f| f.name != declared.field.name);
            fields.push(declared.field.clone());
        }
        if let Some(model) = self.models.get_mut(id.0 as usize) {
            model.fields = fields;
        }
    }

    /// Put the accessors on the targets, then hand them down to proxies and table children.
    fn reverse(&mut self) {
        let mut own: Vec<Vec<ReverseRelation>> = vec![Vec::new(); self.models.len()];
        for model in &self.models {
            if model.is_abstract || self.is_swapped(model) || !self.is_installed(model) {
                continue;
            }
            for declared in self.local_of(model.id) {
                let Some(relation) = &declared.field.relation else { continue };
                let (Some(target), Some(accessor), Some(query_name)) =
                    (relation.target, &relation.accessor, &relation.query_name)
                else {
                    continue;
                };
                if let Some(list) = own.get_mut(target.0 as usize) {
                    list.push(ReverseRelation {
                        accessor: accessor.clone(),
                        query_name: query_name.clone(),
                        kind: relation.kind,
                        source: model.id,
                        field: declared.field.name.clone(),
                    });
                }
            }
        }
        for index in 0..self.models.len() {
            let mut all = own.get(index).cloned().unwrap_or_default();
            let bases = self.models.get(index).map(|m| m.bases.clone()).unwrap_or_default();
            for base in bases {
                for relation in own.get(base.0 as usize).map_or(&[][..], Vec::as_slice) {
                    if !all.iter().any(|r| r.accessor == relation.accessor) {
                        all.push(relation.clone());
                    }
                }
            }
            if let Some(model) = self.models.get_mut(index) {
                let class = self.program.class(model.class);
                // What the class itself defines under that name hides an accessor that it inherits.
                all.retain(|r| {
                    own.get(index).is_some_and(|o| o.iter().any(|x| x.accessor == r.accessor))
                        || !attributes(class).any(|name| name == r.accessor)
                });
                model.reverse = all;
            }
        }
    }

    /// Another model stands in for this one, so that it has no table and makes no accessors.
    fn is_swapped(&self, model: &Model) -> bool {
        let Some(setting) = &model.swappable else { return false };
        let Some(value) = self.values.setting(setting) else { return false };
        value.to_lowercase() != model.label().to_lowercase()
    }

    /// Models that the engine brings along count only where their app is installed (or nothing is known of that).
    fn is_installed(&self, model: &Model) -> bool {
        let path = self.program.file(model.site.file).source.path();
        let Some(package) = path.strip_prefix(KNOWN_ROOT) else { return true };
        let apps = &self.values.settings.installed_apps;
        let package = package.split("/models").next().unwrap_or("").replace('/', ".");
        apps.is_empty() || apps.iter().any(|a| a.starts_with(package.as_str()))
    }
}

/// The names that a class body binds; an annotation without value binds nothing.
fn attributes(class: &Class) -> impl Iterator<Item = &str> {
    class.members.iter().filter(|(_, m)| !matches!(m, Member::Annotation(_))).map(|(name, _)| name.as_str())
}

fn relation(kind: RelationKind, parent_link: bool) -> Relation {
    Relation {
        kind,
        target: None,
        target_text: String::new(),
        accessor: None,
        query_name: None,
        through: None,
        db_constraint: true,
        to_field: None,
        parent_link,
        symmetrical: false,
    }
}
