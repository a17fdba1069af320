//! What a name that is none was meant to be.

use super::paths::{How, Unresolved, is_known, leads_to, names};
use ormend_engine::codemod::Context;
use ormend_engine::django::{ModelId, RelationKind, ReverseRelation};
use ormend_engine::python::{Binding, Kind, Member, Node, string_value};

/// What was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meant {
    /// This path and no other.
    Certainly(String),
    /// The only name that is nearly the same.
    Perhaps(String),
    /// Several paths, run together.
    Several(Vec<String>),
    /// Nothing that is certain, and why.
    Nothing(String),
}

/// What `path` in `node` was meant to be.
pub fn meant(
    cx: &Context<'_>,
    node: Node<'_>,
    model: ModelId,
    path: &str,
    how: How,
    unresolved: &Unresolved,
) -> Meant {
    if let Some(paths) = run_together(cx, node, model, path, how) {
        return Meant::Several(paths);
    }
    let with = |name: &str| {
        let mut parts: Vec<&str> = path.split("__").collect();
        if let Some(part) = parts.get_mut(unresolved.index) {
            *part = name;
        }
        let out = parts.join("__");
        is_known(cx, model, &out, how).then_some(out)
    };
    if let Some(path) = other_name(cx, unresolved, how).and_then(|name| with(&name)) {
        return Meant::Certainly(path);
    }
    if let Some(path) =
        attributes(cx, model, path, how).or_else(|| relations(cx, model, path, how, unresolved))
    {
        return Meant::Certainly(path);
    }
    let guess = spelled_apart(cx, unresolved, how).or_else(|| of_its_model(cx, unresolved, how));
    if let Some(path) = guess.and_then(|name| with(&name)) {
        return Meant::Perhaps(path);
    }
    let info = cx.model(unresolved.model);
    let part = unresolved.part.as_str();
    if how.wants_relation() && info.field(part).is_some() {
        return Meant::Nothing(format!("`{part}` is a column of `{}`, and no relation", info.name));
    }
    if let Some((_, member)) = cx.project.program().member(info.class, part) {
        let what = match member {
            Member::Function(_, Binding::Property | Binding::CachedProperty) => "a property",
            Member::Function(..) => "a method",
            _ => "an attribute",
        };
        return Meant::Nothing(format!("`{part}` is {what} of `{}`, which no query knows", info.name));
    }
    let mut near: Vec<(usize, String)> = names(cx, unresolved.model, how)
        .into_iter()
        .map(|name| (strsim::osa_distance(part, &name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().min(part.len()) / 4)
        .collect();
    near.sort();
    match near.as_slice() {
        [(1, only)] if part.len() > 3 => match with(only) {
            Some(path) => Meant::Perhaps(path),
            None => Meant::Nothing(format!("the nearest name is `{only}`")),
        },
        [(_, first), ..] => Meant::Nothing(format!("the nearest name is `{first}`")),
        [] => Meant::Nothing(format!("`{}` has no name like it", info.name)),
    }
}

/// `"author" "editor"` and `"author, editor"`: a comma is missing, or stands inside of the quotes.
fn run_together(
    cx: &Context<'_>,
    node: Node<'_>,
    model: ModelId,
    path: &str,
    how: How,
) -> Option<Vec<String>> {
    let is_right = |piece: &String| is_known(cx, model, piece.trim_start_matches('-'), how);
    let pieces: Vec<String> = if node.kind() == Kind::ConcatStr {
        node.children().filter(|n| n.kind() == Kind::Str).map(string_value).collect::<Option<_>>()?
    } else {
        path.split(',').map(|p| p.trim().to_owned()).collect()
    };
    (pieces.len() > 1 && node.kind() != Kind::KeywordArgument && pieces.iter().all(is_right))
        .then_some(pieces)
}

/// `"book.author"`: attributes, which lookups spell with two underscores.
fn attributes(cx: &Context<'_>, model: ModelId, path: &str, how: How) -> Option<String> {
    // An order by "table.column" was one of columns once.
    let can_be = !matches!(how, How::Lookup | How::Order) && path.contains('.');
    let out = path.replace('.', "__");
    (can_be && is_known(cx, model, &out, how)).then_some(out)
}

/// `"book__author__name"` where relations are wanted: all but the column that it ends in.
fn relations(
    cx: &Context<'_>,
    model: ModelId,
    path: &str,
    how: How,
    unresolved: &Unresolved,
) -> Option<String> {
    let parts: Vec<&str> = path.split("__").collect();
    let is_column = cx.model(unresolved.model).field(&unresolved.part).is_some_and(|f| f.relation.is_none());
    if !how.wants_relation() || !is_column || unresolved.index == 0 || unresolved.index + 1 != parts.len() {
        return None;
    }
    let out = parts.get(..unresolved.index)?.join("__");
    is_known(cx, model, &out, how).then_some(out)
}

/// `book_author` with one underscore more, where that leads over a relation to a name, and in one place only.
fn spelled_apart(cx: &Context<'_>, unresolved: &Unresolved, how: How) -> Option<String> {
    let part = unresolved.part.as_str();
    let mut found = part.match_indices('_').filter_map(|(at, _)| {
        let (before, behind) = (part.get(..at)?, part.get(at + 1..)?);
        leads_to(cx, unresolved.model, before, behind, how).then(|| format!("{before}__{behind}"))
    });
    found.next().filter(|_| found.next().is_none())
}

/// The only relation backwards from a model, where it has another name than that of its model: `book_set`, `book`.
fn of_its_model(cx: &Context<'_>, unresolved: &Unresolved, how: How) -> Option<String> {
    let part = unresolved.part.as_str();
    let wanted = part.strip_suffix("_set").unwrap_or(part);
    let is_its = |r: &&ReverseRelation| cx.model(r.source).name.to_lowercase() == wanted;
    let mut found = cx.model(unresolved.model).reverse.iter().filter(is_its);
    let reverse = found.next().filter(|r| how != How::Join || r.is_single())?;
    found.next().is_none().then(|| name_of(reverse, how))
}

/// What a path calls a relation backwards.
fn name_of(reverse: &ReverseRelation, how: How) -> String {
    match how {
        How::Prefetch => reverse.accessor.clone(),
        _ => reverse.query_name.clone(),
    }
}

/// The name that the same thing has where it stands: the relation of a key's column, the attribute or the lookup of a
/// relation backwards.
fn other_name(cx: &Context<'_>, unresolved: &Unresolved, how: How) -> Option<String> {
    let info = cx.model(unresolved.model);
    let part = unresolved.part.as_str();
    if how.wants_relation()
        && let Some(field) = info.field_by_attname(part).filter(|f| f.name != part)
    {
        let relation = field.relation.as_ref()?;
        return matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne)
            .then(|| field.name.clone());
    }
    let of = |r: &&ReverseRelation| match how {
        How::Prefetch => r.query_name == part,
        _ => r.accessor == part,
    };
    let mut found = info.reverse.iter().filter(of);
    let reverse = found.next().filter(|r| how != How::Join || r.is_single())?;
    found.next().is_none().then(|| name_of(reverse, how))
}
