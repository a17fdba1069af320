//! Relations whose field class reads them in its own way: a descriptor that looks into a cache, hides rows or writes a log.
//! Django's own descriptor is the only one of which eager loading knows what a read would have given.

use super::step::Step;
use crate::codemod::{Hazard, HazardKind};
use crate::django::{Field as Column, Project};
use crate::python::{ClassId, Def, Expr, FunctionId, Kind, Member, Node, parameters};
use crate::text::Site;

/// Members of a relational field that give the attribute, choose its rows, or say what is kept of them
/// (django/db/models/fields/related.py, related_descriptors.py and mixins.py).
const READING: &[&str] = &[
    "forward_related_accessor_class",
    "related_accessor_class",
    "get_extra_descriptor_filter",
    "get_forward_related_filter",
    "get_reverse_related_filter",
    "get_cache_name",
    "cache_name",
    "get_cached_value",
    "is_cached",
    "set_cached_value",
];

/// Members that put the attributes on the models.
const CONTRIBUTING: &[&str] = &["contribute_to_class", "contribute_to_related_class"];

/// Relations that are read in the way of their own field class.
pub fn own(project: &Project, steps: &[Step], out: &mut Vec<Hazard>) {
    for step in steps {
        let from = project.model(step.from);
        let field = from.field(&step.attribute).or_else(|| {
            let reverse = from.reverse(&step.attribute)?;
            project.model(reverse.source).field(&reverse.field)
        });
        let Some((name, site)) = field.and_then(|field| own_reading(project, field)) else { continue };
        let hazard = Hazard::at(HazardKind::RelatedAccessor, name, site);
        if !out.contains(&hazard) {
            out.push(hazard);
        }
    }
}

/// The member of a field's class by which it reads its relation in its own way.
fn own_reading(project: &Project, field: &Column) -> Option<(String, Site)> {
    let program = project.program();
    let Some(Def::Class(class)) = program.dotted(&field.class, Some(field.site.file)) else { return None };
    let own = program.class(class).mro.iter().filter(|c| !project.is_known_file(program.class(**c).file));
    own.flat_map(|c| READING.iter().chain(CONTRIBUTING).map(move |name| (*c, *name))).find_map(
        |(class, name)| {
            let site = reads(project, class, name)?;
            Some((format!("{}.{name}", program.class(class).name), site))
        },
    )
}

/// Where `class` itself defines the member, otherwise than Django does.
fn reads(project: &Project, class: ClassId, name: &str) -> Option<Site> {
    let program = project.program();
    let info = program.class(class);
    let site = |node: Node<'_>| Site { file: info.file, span: node.span() };
    match info.members.get(name)? {
        Member::Function(function, _) => {
            let is_harmless = CONTRIBUTING.contains(&name) && hands_on(project, *function, name);
            let function = program.function(*function);
            (!is_harmless).then(|| program.name_site(function.file, function.node))
        }
        Member::Value(value) => {
            let is_django = matches!(program.resolve_expr(info.file, *value),
                Some(Def::External(path)) if path.starts_with("django."));
            (!is_django).then(|| site(program.file(info.file).node(*value)))
        }
        _ => Some(site(program.file(info.file).node(info.node))),
    }
}

/// Whether `contribute_to_class()` only calls the one above and connects receivers, with nothing set on the model.
fn hands_on(project: &Project, function: FunctionId, name: &str) -> bool {
    let info = project.program().function(function);
    let def = project.program().file(info.file).node(info.node);
    let Some(model) = parameters(def).get(1).map(|p| p.name) else { return false };
    def.descendants().filter(|n| n.id() > def.id()).all(|node| match Expr::of(node) {
        Expr::Call { func, .. } if node.kind() == Kind::Call => match Expr::of(func) {
            Expr::Attribute { attr, .. } => attr == name || attr == "connect",
            Expr::Name(called) => matches!(called, "super" | "isinstance" | "hasattr" | "getattr"),
            _ => false,
        },
        // `cls.author = ...`
        Expr::Attribute { value, .. } if node.kind() == Kind::Attribute && node.is_binding() => {
            !matches!(Expr::of(value), Expr::Name(owner) if owner == model)
        }
        _ => true,
    })
}
