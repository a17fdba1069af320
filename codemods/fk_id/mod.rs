//! Read the key that a row has instead of the object behind it.

mod hazards;
mod rewrite;
mod untyped;

use ormend_engine::codemod::foreign_key::{Followed, Form, KeyRead, Other, is_loaded_anyway, key_read};
use ormend_engine::codemod::{
    Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries, Untyped,
};
use ormend_engine::infer::{EventKind, Instance, Made, Root};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct FkId;

impl Codemod for FkId {
    type Match<'a> = KeyRead<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "fk-id",
            group: Group::Projection,
            summary: "Read the key that a row has instead of the object behind it.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::HandedIn,
                HazardKind::NullableKey,
                HazardKind::UnsavedInstance,
                HazardKind::DanglingKey,
                HazardKind::KeyChanged,
                HazardKind::NotAColumn,
                HazardKind::WatchedInit,
                HazardKind::RelatedAccessor,
                HazardKind::UnknownBase,
                HazardKind::InstanceUsedAfterwards,
                HazardKind::StaleCopy,
                HazardKind::HandlerAround,
                HazardKind::MayBeNone,
                HazardKind::ValueMayDiffer,
                HazardKind::UnknownType,
                HazardKind::CommentLost,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Attribute]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<KeyRead<'a>> {
        let found = key_read(cx, node)?;
        let is_worth = |f: &Followed<'a>| !is_made_here(cx, &f.instance) && !is_loaded_anyway(cx, f);
        let found = if is_worth(&found.followed) { Some(found) } else { turned(found, is_worth) };
        found.filter(|f| !is_read_of_new_row(cx, f))
    }

    fn untyped<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Untyped<'a>> {
        untyped::untyped(cx, node)
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &KeyRead<'a>, out: &mut Vec<Hazard>) {
        hazards::hazards(cx, found, out);
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &KeyRead<'a>) -> Description {
        let followed = &found.followed;
        let repeats = cx.facts.events().any(|e| {
            e.at == followed.node.id()
                && matches!(&e.kind, EventKind::ReadRelation { root: Root::Row(v), .. }
                    if e.rounds.iter().any(|round| round.value == *v))
        });
        let (before, after) = if repeats { ("1 + N queries", "1 query") } else { ("1 query", "no query") };
        Description {
            site: cx.site(found.whole),
            message: format!("Read `{}` instead of `{}`", followed.field.attname, followed.node.text()),
            related: Vec::new(),
            queries: Queries { before: before.to_owned(), after: after.to_owned() },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &KeyRead<'a>) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, found)
    }
}

/// A comparison of two foreign keys as its right side says it, whose object is worth leaving alone where that of the left
/// one is in memory all the same.
fn turned<'a>(found: KeyRead<'a>, is_worth: impl Fn(&Followed<'a>) -> bool) -> Option<KeyRead<'a>> {
    let KeyRead { followed: left, whole, form: Form::Compared(other) } = found else { return None };
    let right = other.followed.filter(is_worth)?;
    let form = Form::Compared(Other { node: left.node, followed: Some(left), ..other });
    Some(KeyRead { followed: right, whole, form })
}

/// Whether the object was constructed here: what it was given is in memory.
fn is_made_here(cx: &Context<'_>, instance: &Instance) -> bool {
    let Root::Value(id) = instance.root else { return false };
    instance.path.is_empty()
        && cx.value(id).is_some_and(|v| matches!(v.made, Made::Constructed | Made::Created))
}

/// Whether the row that is made with the object is asked for the object as well.
fn is_read_of_new_row(cx: &Context<'_>, found: &KeyRead<'_>) -> bool {
    let Form::Argument(given) = &found.form else { return false };
    let (Some(_), Some(made)) = (given.makes, cx.type_of(given.call).instance()) else { return false };
    cx.facts.events().any(|e| {
        matches!(&e.kind, EventKind::ReadRelation { root, path, .. }
            if *root == made.root && path.first().map(|p| &**p) == given.argument.name)
    })
}
