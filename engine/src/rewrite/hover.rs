//! What is known of the expression at a place of a file, in words. What is not known is not said.

use crate::django::{ModelId, Project};
use crate::infer::{
    Analyzer, Event, EventKind, Facts, Instance, Name, Origin, QuerySet, Root, Rounds, Rows, Trait, Type,
    Use, ValueId,
};
use crate::python::{Field, Kind, Node};
use crate::text::{FileId, Span};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What there is to say of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hover {
    /// The expression.
    pub span: Span,
    /// Its type, in the form of an annotation with models by their labels: `QuerySet[shop.Book]`.
    pub title: String,
    /// What else is known, in Markdown: a line each.
    pub facts: Vec<String>,
}

/// What is known of the expression at the byte `offset` of the file at `path`.
pub fn hover(analyzer: &Analyzer<'_>, path: &str, offset: usize) -> Option<Hover> {
    let offset = u32::try_from(offset).ok()?;
    let program = analyzer.project().program();
    let id = program.file_at(path)?;
    let file = program.file(id);
    if file.ast.is_empty() || file.ast.is_too_deep() {
        return None;
    }
    let around: Vec<Node<'_>> = file
        .root()
        .descendants()
        .filter(|node| node.span().start <= offset && offset < node.span().end)
        .collect();
    let innermost = *around.last()?;
    if !matches!(innermost.kind(), Kind::Name) {
        return None;
    }
    let facts = facts_at(analyzer, id, innermost);
    // A name, the attribute that it is the end of, and the call of that.
    let mut node = innermost;
    if node.is_label() {
        node = node.parent().filter(|parent| parent.kind() == Kind::Attribute)?;
    }
    let mut found = known(analyzer.project(), &facts, node);
    if found.is_none()
        && let Some(call) = node.parent().filter(|parent| {
            parent.kind() == Kind::Call && parent.child(Field::Function).is_some_and(|f| f.id() == node.id())
        })
    {
        found = known(analyzer.project(), &facts, call);
        node = call;
    }
    let (title, mut said) = found?;
    said.extend(queries(analyzer.project(), &facts, node));
    Some(Hover { span: node.span(), title, facts: said })
}

/// The facts of the frame that `node` belongs to.
fn facts_at(analyzer: &Analyzer<'_>, id: FileId, node: Node<'_>) -> Arc<Facts> {
    let program = analyzer.project().program();
    // A function inside a function belongs to the frame of the outer one.
    let mut functions = node.ancestors().filter(|around| around.kind() == Kind::FunctionDef);
    let function = functions.find_map(|def| program.function_at(id, def.id()));
    analyzer.caller(id, function)
}

/// The type of `node` and what is known of it, if models have to do with it.
fn known(project: &Project, facts: &Facts, node: Node<'_>) -> Option<(String, Vec<String>)> {
    let ty = match facts.types.get(node.peel().id()) {
        Some(ty) => ty.clone(),
        None => bound(facts, node)?,
    };
    let title = title(project, &ty, 0)?;
    let mut said = Vec::new();
    let model = models(&ty);
    if let [model] = model.into_iter().collect::<Vec<_>>().as_slice() {
        said.push(format!("`{}`", project.model(*model).dotted()));
    }
    if let Type::QuerySet(queryset) = ty.without_none() {
        said.extend(of_queryset(queryset));
    }
    if let Type::Manager(manager) = ty.without_none()
        && let Some(related) = &manager.related
    {
        said.push(format!("`{}` of `{}`", related.accessor, project.model(related.owner.model).label()));
    }
    Some((title, said))
}

/// The type that a name gets where it is bound.
fn bound(facts: &Facts, node: Node<'_>) -> Option<Type> {
    let parent = node.parent()?;
    match parent.kind() {
        Kind::Assign if node.field() == Field::Left => {
            Some(facts.type_of(parent.child(Field::Right)?).clone())
        }
        Kind::For | Kind::CompFor if node.field() == Field::Left => {
            element(facts.type_of(parent.child(Field::Right)?))
        }
        _ => None,
    }
}

/// What iterating `ty` gives.
fn element(ty: &Type) -> Option<Type> {
    match ty {
        Type::QuerySet(queryset) if queryset.rows == Rows::Instances => {
            Some(Type::Instance(Instance::root(queryset.model, Root::Opaque)))
        }
        Type::List(inner) | Type::Set(inner) | Type::Iterator(inner) => Some((**inner).clone()),
        _ => None,
    }
}

/// `ty` in the form of an annotation; nothing where no model is in it.
fn title(project: &Project, ty: &Type, depth: usize) -> Option<String> {
    let label = |model: ModelId| project.model(model).label();
    let inner = |ty: &Type| if depth < 4 { title(project, ty, depth + 1) } else { None };
    Some(match ty {
        Type::Instance(instance) => label(instance.model),
        Type::ModelClass(model) => format!("type[{}]", label(*model)),
        Type::Manager(manager) => format!("Manager[{}]", label(manager.model)),
        Type::QuerySet(queryset) => {
            let rows = match queryset.rows {
                Rows::Instances | Rows::Unknown => "",
                Rows::Dicts => ", dict",
                Rows::Tuples => ", tuple",
                Rows::Flat(_) => ", flat",
            };
            format!("QuerySet[{}{rows}]", label(queryset.model))
        }
        Type::List(of) => format!("list[{}]", inner(of)?),
        Type::Set(of) => format!("set[{}]", inner(of)?),
        Type::Iterator(of) => format!("Iterator[{}]", inner(of)?),
        Type::Union(_) if ty.may_be_none() && !matches!(ty.without_none(), Type::Union(_)) => {
            format!("{} | None", inner(ty.without_none())?)
        }
        _ => return None,
    })
}

/// The models of which rows are.
fn models(ty: &Type) -> BTreeSet<ModelId> {
    match ty {
        Type::Instance(instance) => BTreeSet::from([instance.model]),
        Type::ModelClass(model) => BTreeSet::from([*model]),
        Type::Manager(manager) => BTreeSet::from([manager.model]),
        Type::QuerySet(queryset) => BTreeSet::from([queryset.model]),
        Type::List(of) | Type::Set(of) | Type::Iterator(of) => models(of),
        Type::Union(types) => types.iter().flat_map(models).collect(),
        _ => BTreeSet::new(),
    }
}

/// What the rows of a queryset come with.
fn of_queryset(queryset: &QuerySet) -> Vec<String> {
    let names = |names: &BTreeSet<Name>, start: &str| {
        let names = names.iter().filter_map(|name| name.strip_prefix(start));
        names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    let mut said = Vec::new();
    for (what, names) in [
        ("select_related", names(&queryset.selected, "")),
        ("prefetch_related", names(&queryset.prefetched, "")),
        ("only", names(&queryset.deferred, "+")),
        ("defer", names(&queryset.deferred, "-")),
        ("annotated", names(&queryset.annotations, "")),
    ] {
        if !names.is_empty() {
            said.push(format!("{what}: {names}"));
        }
    }
    for (which, words) in [
        (Trait::Sliced, "a slice"),
        (Trait::Distinct, "distinct"),
        (Trait::Locked, "locks its rows"),
        (Trait::Raw, "raw SQL"),
        (Trait::Empty, "empty, without a query"),
    ] {
        if queryset.traits.contains(&which) {
            said.push(words.to_owned());
        }
    }
    said
}

/// Which queries run at `node`.
fn queries(project: &Project, facts: &Facts, node: Node<'_>) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    let node = node.peel();
    for event in facts.events().filter(|event| event.at == node.id() && !event.is_guess) {
        let line = match event.kind {
            EventKind::Use { value, how } if how.evaluates() && runs_query(facts, *value, &event) => {
                format!("runs its query here{}", times(project, facts, event.rounds))
            }
            // What a call reads inside of it is no matter of its value.
            EventKind::ReadRelation { path, .. } if !is_read_of(node, path) => continue,
            EventKind::ReadRelation { root, path, .. } => match is_fetched(facts, *root, path) {
                true => format!("no query: `{}` is fetched with its row", path.join("__")),
                false => {
                    format!("a query{}, unless it is loaded already", times(project, facts, event.rounds))
                }
            },
            EventKind::Query { model: Some(model) } => {
                let label = project.model(*model).label();
                format!("a query of `{label}`{}", times(project, facts, event.rounds))
            }
            _ => continue,
        };
        if !said.contains(&line) {
            said.push(line);
        }
    }
    said
}

/// Whether `node` is the attribute that the last step of `path` names.
fn is_read_of(node: Node<'_>, path: &[Name]) -> bool {
    let name = node.child(Field::Attribute).filter(|_| node.kind() == Kind::Attribute);
    name.is_some_and(|name| path.last().is_some_and(|last| **last == *name.text()))
}

/// Whether the queryset `value` is made in the frame, and nothing has loaded its rows before `event`.
fn runs_query(facts: &Facts, value: ValueId, event: &Event<'_>) -> bool {
    let is_made_here = facts
        .value(value)
        .is_some_and(|value| matches!(value.origin, Origin::Expr(_)) && value.kept.is_none());
    let first = facts.uses(value).find(|(_, how)| how.may_load() || matches!(how, Use::Index));
    is_made_here && first.is_some_and(|(first, _)| first.at == event.at)
}

/// Whether the rows of `root` come with what `path` leads to.
fn is_fetched(facts: &Facts, root: Root, path: &[Name]) -> bool {
    let Root::Row(value) = root else { return false };
    let Some(queryset) = facts.value(value).and_then(|value| value.queryset.as_ref()) else { return false };
    let name = path.join("__");
    let below = format!("{name}__");
    let has =
        |names: &BTreeSet<Name>| names.iter().any(|known| **known == *name || known.starts_with(&below));
    has(&queryset.selected) || has(&queryset.prefetched) || has(&queryset.known)
}

/// ` for each row of shop.Book`, by the innermost loop.
fn times(project: &Project, facts: &Facts, rounds: &Rounds) -> String {
    let Some(round) = rounds.last() else { return String::new() };
    let queryset = facts.value(round.value).and_then(|value| value.queryset.as_ref());
    match queryset {
        Some(queryset) => format!(" for each row of `{}`", project.model(queryset.model).label()),
        None => " in each round of a loop".to_owned(),
    }
}
