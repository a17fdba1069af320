//! What the object behind a foreign key is compared with.

use super::forms::compares_itself;
use super::{Followed, Held, agree, followed, held, is_there};
use crate::codemod::Context;
use crate::django::RelationKind;
use crate::infer::Type;
use crate::python::{Expr, Node, parameters};
use crate::text::Site;

/// The other side of a comparison, whose key can be asked for.
#[derive(Clone, Debug)]
pub struct Other<'a> {
    /// The expression.
    pub node: Node<'a>,
    /// It follows a foreign key itself, whose key is then read instead.
    pub followed: Option<Followed<'a>>,
    /// It may have no key: not saved, or nobody's.
    pub may_be_keyless: bool,
    /// Where it was handed in by code that is not known: an annotation does not keep anyone from giving None.
    pub may_be_none: Option<Site>,
}

/// The other side `node` of a comparison with the object of `own`; `None` where it is no row of the same table, or may be
/// None.
pub fn other<'a>(cx: &Context<'a>, own: &Followed<'a>, node: Node<'a>) -> Option<Other<'a>> {
    if let Some(second) = followed(cx, node.peel())
        && agree(cx.project, own.relation, second.relation)
        && !compares_itself(cx, second.target)
        && is_as_known(cx, own, &second)
    {
        return Some(Other { node, followed: Some(second), may_be_keyless: false, may_be_none: None });
    }
    // Another column than the primary key may have changed in memory.
    if own.relation.to_field.is_some() {
        return None;
    }
    let instance = match cx.type_of(node) {
        Type::Instance(instance) => instance,
        ty if is_one_to_one_backwards(cx, node) => ty.instance()?,
        _ => return None,
    };
    let is_same = cx.model(instance.model).concrete == cx.model(own.target).concrete;
    if !is_same || compares_itself(cx, instance.model) {
        return None;
    }
    let key = cx.model(instance.model).primary_key();
    let columns: Vec<&str> =
        key.iter().flat_map(|k| [k.name.as_str(), k.attname.as_str()]).chain(["pk"]).collect();
    let held = held(cx, instance, node, &columns, 0);
    let may_be_none = match held {
        Held::HandedIn(site) if is_parameter(node) && !is_there(node) => Some(site),
        _ => None,
    };
    Some(Other { node, followed: None, may_be_keyless: held != Held::Loaded, may_be_none })
}

/// Whether the key of `second` is known as well as that of `own` is.
fn is_as_known<'a>(cx: &Context<'a>, own: &Followed<'a>, second: &Followed<'a>) -> bool {
    let held_by = |f: &Followed<'a>| held(cx, &f.instance, f.owner, &[], 0);
    match held_by(second) {
        Held::Loaded => true,
        Held::HandedIn(_) => matches!(held_by(own), Held::HandedIn(_)),
        _ => false,
    }
}

fn is_parameter(node: Node<'_>) -> bool {
    let Expr::Name(name) = Expr::of(node.peel()) else { return false };
    node.enclosing_function().is_some_and(|def| parameters(def).iter().any(|p| p.name == name))
}

/// Whether the expression follows a one-to-one from its other end: that raises where there is nothing, and is never None.
fn is_one_to_one_backwards(cx: &Context<'_>, node: Node<'_>) -> bool {
    let Expr::Attribute { value, attr, .. } = Expr::of(node.peel()) else { return false };
    cx.type_of(value).instance().is_some_and(|owner| {
        let reverse = cx.model(owner.model).reverse(attr);
        reverse.is_some_and(|reverse| reverse.kind == RelationKind::OneToOne)
    })
}
