//! What code would mean if a name without a known type were a row of the only model that has the attributes which are asked
//! of it, or if a mixin were part of a class that has it.
//!
//! Nothing is rewritten for a supposition: it serves to say where a query is, and what one would have to know.

use super::analyzer::Analyzer;
use super::facts::Facts;
use super::frame::Frame;
use super::memo::Stack;
use super::types::{Name, Type};
use crate::django::ModelId;
use crate::python::touched;
use crate::python::{ClassId, Expr, FunctionId, Kind, Node, parameters};
use crate::text::Site;
use rustc_hash::{FxHashMap, FxHashSet};

/// Names asked for more attributes than this have some interface of their own.
const MOST_ATTRIBUTES: usize = 30;
/// An expression longer than this is no name for a thing.
const LONGEST: usize = 60;

/// What every model instance has (django/db/models/base.py).
const OF_EVERY_MODEL: &[&str] = &[
    "pk",
    "id",
    "_meta",
    "_state",
    "save",
    "delete",
    "full_clean",
    "clean",
    "refresh_from_db",
    "asave",
    "adelete",
    "arefresh_from_db",
    "objects",
    "DoesNotExist",
    "MultipleObjectsReturned",
    "__class__",
    "validate_unique",
    "clean_fields",
];
/// What tells a manager from other things.
const OF_MANAGERS: &[&str] = &[
    "all",
    "filter",
    "exclude",
    "count",
    "exists",
    "first",
    "last",
    "values",
    "values_list",
    "order_by",
    "select_related",
    "prefetch_related",
    "aggregate",
    "annotate",
    "iterator",
    "in_bulk",
];

/// Facts that hold if the suppositions do.
pub struct Supposed {
    /// The facts.
    pub facts: Facts,
    /// What is supposed, by place.
    pub about: Vec<Supposition>,
}

/// One thing whose type is supposed.
pub struct Supposition {
    /// As it is written.
    pub subject: String,
    /// Where it stands first.
    pub site: Site,
}

/// The models that have a relation under a name.
pub(super) type Owners = FxHashMap<String, Vec<ModelId>>;

/// What is asked of one expression of unknown type.
struct Asked<'a> {
    first: Node<'a>,
    attributes: FxHashSet<&'a str>,
    /// Those that are treated as managers.
    managers: FxHashSet<&'a str>,
}

impl Analyzer<'_> {
    /// The facts of the function of `facts`, with what can be supposed about names that `facts` know nothing of; `None` where
    /// that is nothing.
    pub fn supposing(&self, facts: &Facts) -> Option<Supposed> {
        let program = self.project.program();
        let function = program.function_at(facts.file, facts.scope)?;
        let info = program.function(function);
        let def = program.file(info.file).node(info.node);
        let mut about = Vec::new();
        let mut models: FxHashMap<Name, ModelId> = FxHashMap::default();
        let owned: Vec<(&str, Asked<'_>, ModelId)> = asked(facts, def)
            .into_iter()
            .filter_map(|(text, asked)| self.only_owner(&asked).map(|model| (text, asked, model)))
            .collect();
        for (text, asked, model) in &owned {
            // What hangs on another one follows from it.
            let hangs_on = |other: &str| text.strip_prefix(other).is_some_and(|rest| rest.starts_with('.'));
            if owned.iter().any(|(other, ..)| hangs_on(other)) {
                continue;
            }
            models.insert(Name::from(*text), *model);
            let site = Site { file: info.file, span: asked.first.span() };
            about.push(Supposition { subject: (*text).to_owned(), site });
        }
        let heir = self.heir(function).filter(|_| asks_itself(facts, def));
        if let Some(heir) = heir {
            let (file, node) = (program.class(heir).file, program.class(heir).node);
            let span = program.file(file).node(node).span();
            about.push(Supposition { subject: "self".to_owned(), site: Site { file, span } });
        }
        if about.is_empty() {
            return None;
        }
        about.sort_by_key(|s| s.site);
        let mut stack = Stack::of(function);
        let mut arguments = self.default_arguments(function, &mut stack);
        self.fill_in(function, &mut arguments, super::passed::DEPTH);
        if let (Some(heir), Some(receiver)) = (heir, arguments.first_mut()) {
            *receiver = super::summary::abstracted(&self.object_of_class(heir), 0);
        }
        models.extend(self.constructed_with(function, super::passed::DEPTH));
        let mut frame = Frame::new(self, &mut stack, info.file, def, heir.or(info.class));
        frame.supposed = models;
        frame.run_function(&arguments);
        let facts = frame.finish().0;
        Some(Supposed { facts: self.expanded(facts, &mut Stack::default()), about })
    }

    /// The first class that has the function from a class which is no model, view or form by itself.
    fn heir(&self, function: FunctionId) -> Option<ClassId> {
        let program = self.project.program();
        let class = program.function(function).class?;
        if !matches!(self.receiver(function), Some(Type::Object(_))) {
            return None;
        }
        let is_heir = |c: &ClassId| *c != class && !self.project.is_test_file(program.class(*c).file);
        program.descendants(class).into_iter().filter(is_heir).min_by_key(|c| {
            let model = self.project.model_of_class(*c).map(|m| self.project.model(m).is_abstract);
            (model.is_none(), model == Some(true), program.class(*c).file, c.0)
        })
    }

    /// The model, with those that inherit from it, that alone has all that is asked, a relation to several rows among it.
    fn only_owner(&self, asked: &Asked<'_>) -> Option<ModelId> {
        if asked.managers.is_empty() || asked.attributes.len() > MOST_ATTRIBUTES {
            return None;
        }
        let owners = self.owners.get_or_init(|| touched::aside(|| owners(self)));
        let rarest = asked.attributes.iter().filter_map(|a| owners.get(*a)).min_by_key(|o| o.len())?;
        let mut fitting: Vec<ModelId> = rarest.iter().copied().filter(|m| self.has_all(*m, asked)).collect();
        // Those below another one are of its family.
        let all = fitting.clone();
        fitting.retain(|m| !all.iter().any(|other| other != m && self.project.family(*other).contains(m)));
        let [only] = fitting.as_slice() else { return None };
        let is_managed = asked.managers.iter().any(|a| {
            let model = self.project.model(*only);
            model.reverse(a).is_some() || model.field(a).is_some_and(|f| f.relation.is_some())
        });
        is_managed.then_some(*only)
    }

    fn has_all(&self, model: ModelId, asked: &Asked<'_>) -> bool {
        let info = self.project.model(model);
        let program = self.project.program();
        asked.attributes.iter().all(|name| {
            info.field(name).is_some()
                || info.field_by_attname(name).is_some()
                || info.reverse(name).is_some()
                || info.manager(name).is_some()
                || OF_EVERY_MODEL.contains(name)
                || name.starts_with("get_") && name.ends_with("_display")
                || program.member(info.class, name).is_some()
                || program.class(info.class).has_unknown_base
        })
    }
}

/// Whether nothing is known of what has the type: neither is of what some middleware puts on a request.
pub(super) fn is_open(ty: &Type) -> bool {
    match ty {
        Type::Unknown => true,
        Type::External(path) => path.starts_with("django.http.HttpRequest."),
        _ => false,
    }
}

/// Every relation of the models of the program by the name of its attribute.
fn owners(analyzer: &Analyzer<'_>) -> Owners {
    let project = analyzer.project;
    let mut out = Owners::default();
    for model in project.models() {
        let file = model.site.file;
        if model.is_abstract || project.is_known_file(file) || project.is_test_file(file) {
            continue;
        }
        let forward = model.fields.iter().filter(|f| f.relation.is_some()).map(|f| &f.name);
        for name in forward.chain(model.reverse.iter().map(|r| &r.accessor)) {
            out.entry(name.clone()).or_default().push(model.id);
        }
    }
    out
}

/// Whether a method asks its object for something that nothing is known of.
fn asks_itself(facts: &Facts, def: Node<'_>) -> bool {
    let Some(receiver) = parameters(def).first().map(|p| p.name) else { return false };
    def.descendants().any(|n| {
        matches!(Expr::of(n), Expr::Attribute { value, .. } if matches!(Expr::of(value), Expr::Name(name) if name == receiver))
            && facts.types.get(n.id()).is_none_or(|ty| *ty == Type::Unknown)
    })
}

/// What the function asks of names and attributes that nothing is known of.
fn asked<'a>(facts: &Facts, def: Node<'a>) -> FxHashMap<&'a str, Asked<'a>> {
    let mut out: FxHashMap<&'a str, Asked<'a>> = FxHashMap::default();
    for node in def.descendants().filter(|n| n.kind() == Kind::Attribute) {
        let Expr::Attribute { value, attr, .. } = Expr::of(node) else { continue };
        let value = value.peel();
        if !matches!(value.kind(), Kind::Name | Kind::Attribute | Kind::Call)
            || value.text().len() > LONGEST
            || matches!(Expr::of(value), Expr::Name("self" | "cls"))
            || facts.types.get(value.id()).is_some_and(|ty| !is_open(ty))
        {
            continue;
        }
        let asked = out.entry(value.text()).or_insert_with(|| Asked {
            first: value,
            attributes: FxHashSet::default(),
            managers: FxHashSet::default(),
        });
        asked.attributes.insert(attr);
        let is_manager = node.with_parens().parent().is_some_and(
            |up| matches!(Expr::of(up), Expr::Attribute { attr, .. } if OF_MANAGERS.contains(&attr)),
        );
        if is_manager {
            asked.managers.insert(attr);
        }
    }
    out
}
