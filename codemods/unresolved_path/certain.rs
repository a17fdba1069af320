//! When a name that is not found is certainly none.
//!
//! Names come from many places that are not read here: packages that are not scanned, registered lookups, annotations made in
//! another module, translated fields. Where one of them could have made the name, nothing is said.

use super::paths::{How, Unresolved};
use ormend_engine::codemod::eager::has_foreign_base;
use ormend_engine::codemod::{Context, FileId};
use ormend_engine::django::{FieldKind, Model, ModelId};
use ormend_engine::infer::{Origin, QuerySet, QuerySetClass, Rows, Trait, ValueId};
use ormend_engine::python::{Def, Expr, Kind, Member, Node, Stmt, parameters, string_value};

/// Traits of querysets that may have names of their own.
const OPEN: &[Trait] = &[
    Trait::Mysterious,
    Trait::RawSql,
    Trait::FilteredRelation,
    Trait::Combined,
    Trait::Dates,
    Trait::Raw,
    Trait::Grouped,
];

/// Whether the queryset has no names but those of its model and its annotations, and its method is Django's.
pub fn is_plain(cx: &Context<'_>, queryset: &QuerySet, method: &str) -> bool {
    if OPEN.iter().any(|t| queryset.is(*t)) || queryset.rows != Rows::Instances {
        return false;
    }
    let program = cx.project.program();
    let model = cx.model(queryset.model);
    let own = match queryset.class {
        QuerySetClass::Plain => None,
        QuerySetClass::Custom(class) => Some(class),
        QuerySetClass::Unknown => return false,
    };
    let classes = own.into_iter().chain(model.managers.iter().flat_map(|m| [m.class, m.queryset]).flatten());
    let mut all = classes.map(|class| {
        let info = program.class(class);
        let is_foreign = |b: &String| !b.starts_with("django.") && !b.starts_with("builtins.");
        !info.has_unknown_base
            && !info.external_bases.iter().any(is_foreign)
            && program.member(class, method).is_none()
    });
    model.managers.iter().all(|m| !m.is_unknown) && all.all(|is_known| is_known)
}

/// Whether the queryset is built from a class that is named there: what `self` and parameters are differs from caller to
/// caller.
pub fn is_of_named_model(cx: &Context<'_>, receiver: Node<'_>, queryset: &QuerySet) -> bool {
    let mut node = cx.node(receiver.peel().id());
    let mut value: Option<ValueId> = queryset.values.first().copied();
    for _ in 0..30 {
        let Some(info) = value.and_then(|v| cx.value(v)) else { break };
        if !info.alternatives.is_empty() {
            return false;
        }
        match info.origin {
            Origin::Expr(id) => node = cx.node(id),
            _ => return false,
        }
        value = info.parent;
        if value.is_none() {
            // The other end of a relation is what its field says.
            if info.queryset.as_deref().is_some_and(|qs| qs.related.is_some()) {
                return true;
            }
            break;
        }
    }
    let root = leftmost(node);
    let Expr::Name(name) = Expr::of(root) else { return false };
    let is_parameter =
        cx.scope().kind() == Kind::FunctionDef && parameters(cx.scope()).iter().any(|p| p.name == name);
    if !is_parameter && name != "super" {
        return true;
    }
    // `self.books` in a method of a model.
    let program = cx.project.program();
    let class = program.function_at(cx.file, cx.facts.scope).and_then(|f| program.function(f).class);
    name == "self" && class.is_some_and(|c| cx.project.model_of_class(c).is_some())
}

fn leftmost(node: Node<'_>) -> Node<'_> {
    let mut node = node;
    for _ in 0..100 {
        node = match Expr::of(node) {
            Expr::Attribute { value, .. } | Expr::Subscript { value, .. } => value,
            Expr::Call { func, .. } => func,
            _ => return node,
        };
    }
    node
}

/// Whether nothing outside of what is read could have given the model the name.
pub fn is_certain(cx: &Context<'_>, unresolved: &Unresolved, how: How) -> bool {
    cx.project.family(unresolved.model).into_iter().chain([unresolved.model]).all(|m| is_closed(cx, m))
        && (is_column(cx, unresolved) || !is_named_elsewhere(cx, &unresolved.part, how))
}

/// Whether it is a column, so that nothing else can have its name: where a relation is wanted.
fn is_column(cx: &Context<'_>, unresolved: &Unresolved) -> bool {
    let info = cx.model(unresolved.model);
    info.field(&unresolved.part).is_some() || info.field_by_attname(&unresolved.part).is_some()
}

fn is_closed(cx: &Context<'_>, model: ModelId) -> bool {
    let project = cx.project;
    let info = project.model(model);
    let label = info.label().to_lowercase();
    let settings = project.settings();
    let names_model = |value: &String| value.to_lowercase() == label;
    let is_pointed_at = names_model(&settings.auth_user_model)
        || settings.strings.values().any(names_model)
        || settings.labels.values().flatten().any(names_model);
    !info.has_unknown_base
        && !has_foreign_base(project, model)
        && !project.is_known_file(info.site.file)
        && project.unknown_parts(model).is_empty()
        && !project.is_historical(model)
        && !info.is_abstract
        && info.swappable.is_none()
        && !is_pointed_at
        && !info.fields.iter().any(|f| f.kind == FieldKind::Other || adds_fields(cx, f.class.as_str()))
        && !is_translated(cx)
        && !is_decorated(cx, info)
        && !has_open_relation(cx, info)
}

/// Whether a field of this class of the program may add others.
fn adds_fields(cx: &Context<'_>, path: &str) -> bool {
    let program = cx.project.program();
    let name = path.rsplit('.').next().unwrap_or(path);
    program.class_ids().any(|class| {
        program.class(class).name == name
            && program.class_path(class) == path
            && !program.is_known_file(program.class(class).file)
            && program.member(class, "contribute_to_class").is_some()
    })
}

/// Whether a decorator that is not Django's may add something to the class.
fn is_decorated(cx: &Context<'_>, info: &Model) -> bool {
    let program = cx.project.program();
    program.class(info.class).mro.iter().any(|ancestor| {
        let class = program.class(*ancestor);
        let node = program.file(class.file).node(class.node);
        let Some(Stmt::ClassDef { decorators, .. }) =
            node.parent().filter(|p| p.kind() == Kind::DecoratedDef).map(Stmt::of)
        else {
            return false;
        };
        decorators.iter().any(|decorator| {
            let func = match Expr::of(*decorator) {
                Expr::Call { func, .. } => func,
                _ => *decorator,
            };
            !matches!(program.resolve_expr(class.file, func.peel().id()),
                Some(Def::External(path)) if path.starts_with("django."))
        })
    })
}

/// Packages that add a column for each language.
fn is_translated(cx: &Context<'_>) -> bool {
    const TRANSLATING: &[&str] =
        &["modeltranslation", "parler", "hvad", "linguo", "modeltrans", "multilingual"];
    let apps = &cx.project.settings().installed_apps;
    apps.iter().any(|app| TRANSLATING.iter().any(|t| app.split('.').any(|part| part == *t)))
}

/// Whether a relation of some model that leads nowhere known, or whose name is not known, may lead here.
fn has_open_relation(cx: &Context<'_>, info: &Model) -> bool {
    cx.project.models().iter().flat_map(|m| &m.fields).any(|field| {
        let Some(relation) = field.relation.as_ref().filter(|r| r.target == Some(info.id)) else {
            return false;
        };
        let text = || {
            let source = &cx.project.program().file(field.site.file).source;
            source.slice(field.site.span)
        };
        relation.query_name.is_none() && !relation.symmetrical && !text().contains("+")
    })
}

/// Whether the program has the name where names are made: an annotation, the other end of a relation that is not read, a
/// registered lookup, what a `Prefetch` is put into, a class.
fn is_named_elsewhere(cx: &Context<'_>, part: &str, how: How) -> bool {
    let program = cx.project.program();
    let lower = part.strip_suffix("_set").unwrap_or(part).to_lowercase();
    let unread = |name: &str| name.to_lowercase() == lower;
    if program.class_ids().any(|c| unread(&program.class(c).name) && cx.project.model_of_class(c).is_none()) {
        return true;
    }
    cx.analyzer
        .files_mentioning(part)
        .iter()
        .any(|file| program.file(*file).root().descendants().any(|n| makes_name(cx, *file, n, part, how)))
}

fn makes_name(cx: &Context<'_>, file: FileId, node: Node<'_>, part: &str, how: How) -> bool {
    match node.kind() {
        Kind::KeywordArgument => {
            let is_it = node.children().next().is_some_and(|n| n.text() == part);
            is_it
                && node.parent().and_then(|list| list.parent()).is_some_and(|call| {
                    matches!(
                        method(call),
                        "annotate" | "alias" | "values" | "values_list" | "aggregate" | "extra" | "dict"
                    )
                })
        }
        // A path is one of those that are looked at here; elsewhere a string may be any name.
        Kind::Str => {
            let is_given = |a: Node<'_>| match method(a) {
                "Prefetch" => how == How::Prefetch,
                name => How::of(name) == Some(how),
            };
            let is_path = || {
                let list = node.parent().filter(|p| p.kind() == Kind::Arguments);
                list.and_then(|l| l.parent()).is_some_and(is_given)
            };
            string_value(node).is_some_and(|s| s == part) && !is_path()
        }
        Kind::ClassDef => {
            let class = cx.project.program().class_at(file, node.id());
            class.is_some_and(|c| {
                matches!(cx.project.program().class(c).members.get(part), Some(Member::Other))
            })
        }
        _ => false,
    }
}

fn method(call: Node<'_>) -> &str {
    let Expr::Call { func, .. } = Expr::of(call) else { return "" };
    match Expr::of(func) {
        Expr::Attribute { attr, .. } => attr,
        Expr::Name(name) => name,
        _ => "",
    }
}
