//! What a read of a foreign key's object is for, by the code right around it.

use super::{Followed, Other, agree, followed, is_key, is_path, other};
use crate::codemod::Context;
use crate::codemod::eager::{Step, step};
use crate::codemod::guards::flow;
use crate::codemod::guards::making::is_plain;
use crate::codemod::guards::queryset::{Reading, reading_of};
use crate::django::{ModelId, RelationKind};
use crate::infer::Type;
use crate::python::{Argument, Def, Expr, Kind, Node, arguments, string_value};

/// A read of a foreign key's object of which only the key is wanted.
#[derive(Clone, Debug)]
pub struct KeyRead<'a> {
    /// The foreign key.
    pub followed: Followed<'a>,
    /// The expression that the key takes the place of.
    pub whole: Node<'a>,
    /// What it is for.
    pub form: Form<'a>,
}

/// What a read is for.
#[derive(Clone, Debug)]
pub enum Form<'a> {
    /// `book.author.pk`
    Key,
    /// `book.editor.pk if book.editor else None`
    KeyOrNone,
    /// `book.editor is None`, `book.editor != None`
    Nothing,
    /// `if book.editor:`, `bool(book.editor)`, `not book.editor`
    Truth {
        /// `not`
        is_negated: bool,
    },
    /// `book.author == author`
    Compared(Other<'a>),
    /// `Review(book=chapter.book)`, `filter(author=book.author)`
    Argument(Given<'a>),
}

/// A keyword that is given the object.
#[derive(Clone, Debug)]
pub struct Given<'a> {
    /// The call.
    pub call: Node<'a>,
    /// The argument.
    pub argument: Argument<'a>,
    /// The keyword that takes the key.
    pub keyword: String,
    /// The model whose new row keeps the object; `None` for lookups.
    pub makes: Option<ModelId>,
}

/// Methods that take lookups.
const LOOKUPS: &[&str] = &["filter", "exclude", "get", "aget"];
/// Methods that make a row, which then has the object as well.
const MAKING: &[&str] = &["create", "acreate", "get_or_create", "aget_or_create"];
/// Methods that take columns.
const SETTING: &[&str] = &["update", "aupdate"];

/// What the foreign key at `node` is read for, where that is its key alone.
pub fn key_read<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<KeyRead<'a>> {
    let followed = followed(cx, node)?;
    let (whole, form) = form(cx, &followed)?;
    Some(KeyRead { followed, whole, form })
}

/// Whether the row that has the foreign key at `node` can say all that is wanted of the object: then nothing is gained by
/// loading that.
pub fn is_key_wanted<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    let Some(followed) = followed(cx, node) else { return false };
    match form(cx, &followed) {
        Some((_, Form::Compared(other))) => !followed.field.null || !other.may_be_keyless,
        Some(_) => true,
        None => test_of_key(cx, &followed) || is_other_side(cx, &followed),
    }
}

/// Whether it is the right side of a comparison of two foreign keys, whose left side speaks for both.
fn is_other_side<'a>(cx: &Context<'a>, own: &Followed<'a>) -> bool {
    let compare = own.node.with_parens().parent().filter(|p| p.kind() == Kind::Compare);
    let Some(Expr::Compare { left, right, .. }) = compare.map(Expr::of) else { return false };
    right.peel() == own.node
        && key_read(cx, left.peel()).is_some_and(|read| {
            matches!(read.form, Form::Compared(Other { followed: Some(second), .. }) if second.node == own.node)
        })
}

fn form<'a>(cx: &Context<'a>, followed: &Followed<'a>) -> Option<(Node<'a>, Form<'a>)> {
    let outer = followed.node.with_parens();
    let parent = outer.parent()?;
    match parent.kind() {
        Kind::Attribute => {
            let Expr::Attribute { value, attr, .. } = Expr::of(parent) else { return None };
            if value.peel() != followed.node
                || parent.is_binding()
                || !is_key(cx.project, followed.relation, attr)
            {
                return None;
            }
            Some(or_none(cx, followed, parent).map_or((parent, Form::Key), |whole| (whole, Form::KeyOrNone)))
        }
        Kind::Compare => {
            if test_of_key(cx, followed) {
                return None;
            }
            compared(cx, followed, parent)
        }
        Kind::Arguments => called(cx, followed, parent),
        Kind::KeywordArgument => given(cx, followed, parent).map(|given| (outer, Form::Argument(given))),
        _ if flow::is_tested(followed.node) && !decides_truth(cx, followed) && !test_of_key(cx, followed) => {
            let negated = parent.kind() == Kind::Not;
            Some((if negated { parent } else { outer }, Form::Truth { is_negated: negated }))
        }
        _ => None,
    }
}

/// Whether the target says itself what its truth is.
fn decides_truth(cx: &Context<'_>, followed: &Followed<'_>) -> bool {
    let decides = |name: &&str| cx.project.override_of(followed.target, name).is_some();
    ["__bool__", "__len__"].iter().any(decides)
}

/// The conditional expression around `key` that gives None where there is no object: `book.editor.pk if book.editor else
/// None`, `book.editor and book.editor.pk`.
fn or_none<'a>(cx: &Context<'a>, followed: &Followed<'a>, key: Node<'a>) -> Option<Node<'a>> {
    let outer = key.with_parens();
    let around = outer.parent()?;
    if !is_path(followed.owner) {
        return None;
    }
    match Expr::of(around) {
        Expr::IfExp { body, test, orelse } => {
            let (there, nothing) = if body.peel() == key { (true, orelse) } else { (false, body) };
            let is_ours = body.peel() == key || orelse.peel() == key;
            (is_ours
                && matches!(Expr::of(nothing), Expr::None)
                && asks_for(cx, followed, test) == Some(there))
            .then_some(around)
        }
        Expr::BoolOp { left, op: Kind::And, right } => {
            // Where it is only tested, the parts are what they are.
            let is_value = !flow::is_tested(around);
            let is_same = left.peel().text() == followed.node.text() && !decides_truth(cx, followed);
            (right.peel() == key && is_same && is_value).then_some(around)
        }
        _ => None,
    }
}

/// Whether `test` is true exactly where there is an object (or, for `false`, exactly where there is none).
fn asks_for(cx: &Context<'_>, followed: &Followed<'_>, test: Node<'_>) -> Option<bool> {
    let is_object = |n: Node<'_>| n.peel().text() == followed.node.text();
    let is_column = |n: Node<'_>| match Expr::of(n) {
        Expr::Attribute { value, attr, .. } => {
            attr == followed.field.attname && value.peel().text() == followed.owner.peel().text()
        }
        _ => false,
    };
    match Expr::of(test) {
        Expr::Attribute { .. } => (is_object(test) && !decides_truth(cx, followed)).then_some(true),
        Expr::Not(inner) => asks_for(cx, followed, inner).map(|there| !there),
        Expr::Compare { left, op, right } if matches!(Expr::of(right), Expr::None) => {
            let is_none = match op {
                Kind::Is | Kind::Eq => true,
                Kind::IsNot | Kind::NotEq => false,
                _ => return None,
            };
            (is_object(left) || is_column(left)).then_some(!is_none)
        }
        _ => None,
    }
}

/// Whether the read is the test of a conditional expression that [`or_none`] takes as a whole.
fn test_of_key<'a>(cx: &Context<'a>, own: &Followed<'a>) -> bool {
    for around in own.node.ancestors().take_while(|a| !a.kind().is_statement()).take(6) {
        let branches = match Expr::of(around) {
            Expr::IfExp { body, test, orelse } if test.contains(own.node.id()) => vec![body, orelse],
            Expr::BoolOp { left, right, .. } if left.peel() == own.node => vec![right],
            _ => continue,
        };
        for branch in branches {
            let Expr::Attribute { value, .. } = Expr::of(branch) else { continue };
            let taken = followed(cx, value.peel())
                .filter(|f| {
                    f.node.text() == own.node.text() && is_key(cx.project, f.relation, attr_of(branch))
                })
                .and_then(|f| or_none(cx, &f, branch.peel()));
            if taken == Some(around) {
                return true;
            }
        }
    }
    false
}

fn attr_of(node: Node<'_>) -> &str {
    match Expr::of(node) {
        Expr::Attribute { attr, .. } => attr,
        _ => "",
    }
}

fn compared<'a>(
    cx: &Context<'a>,
    followed: &Followed<'a>,
    compare: Node<'a>,
) -> Option<(Node<'a>, Form<'a>)> {
    let Expr::Compare { left, op, right } = Expr::of(compare) else { return None };
    let is_left = left.peel() == followed.node;
    let against = if is_left { right } else { left };
    if matches!(Expr::of(against), Expr::None) {
        let is_plain = matches!(op, Kind::Is | Kind::IsNot | Kind::Eq | Kind::NotEq);
        let is_own = !matches!(op, Kind::Eq | Kind::NotEq) || !compares_itself(cx, followed.target);
        return (is_plain && is_own).then_some((followed.node, Form::Nothing));
    }
    if !matches!(op, Kind::Eq | Kind::NotEq) || compares_itself(cx, followed.target) {
        return None;
    }
    let other = other(cx, followed, against)?;
    // Of two foreign keys the left one speaks.
    if !is_left && other.followed.is_some() {
        return None;
    }
    Some((compare, Form::Compared(other)))
}

/// Whether a model compares its rows in its own way.
pub(super) fn compares_itself(cx: &Context<'_>, model: ModelId) -> bool {
    ["__eq__", "__ne__"].iter().any(|name| cx.project.override_of(model, name).is_some())
}

/// `bool(book.editor)`, `getattr(book.editor, "pk", None)`.
fn called<'a>(cx: &Context<'a>, followed: &Followed<'a>, list: Node<'a>) -> Option<(Node<'a>, Form<'a>)> {
    let call = list.parent().filter(|c| c.kind() == Kind::Call)?;
    let Expr::Call { func, .. } = Expr::of(call) else { return None };
    let Type::Def(Def::External(path)) = cx.type_of(func) else { return None };
    let all = arguments(list);
    if all.iter().any(|a| a.name.is_some() || a.stars > 0) {
        return None;
    }
    match (path.as_str(), all.as_slice()) {
        ("builtins.bool", [_]) if !decides_truth(cx, followed) => {
            Some((call, Form::Truth { is_negated: false }))
        }
        ("builtins.getattr", [object, name, default]) => {
            let name = string_value(name.value)?;
            let is_ours =
                object.value.peel() == followed.node && is_key(cx.project, followed.relation, &name);
            (is_ours && matches!(Expr::of(default.value), Expr::None)).then_some((call, Form::KeyOrNone))
        }
        _ => None,
    }
}

fn given<'a>(cx: &Context<'a>, followed: &Followed<'a>, node: Node<'a>) -> Option<Given<'a>> {
    let list = node.parent().filter(|p| p.kind() == Kind::Arguments)?;
    let call = list.parent().filter(|c| c.kind() == Kind::Call)?;
    let Expr::Call { func, .. } = Expr::of(call) else { return None };
    let all = arguments(list);
    let argument = *all.iter().find(|a| a.node == node)?;
    let name = argument.name?;
    let (model, makes) = match cx.type_of(func) {
        Type::ModelClass(model) => {
            let is_own =
                cx.project.override_of(*model, "__init__").is_none() || is_plain(cx, *model, "__init__");
            (is_own.then_some(*model)?, true)
        }
        Type::Def(Def::External(path)) if path.starts_with("django.shortcuts.get_object_or_404") => {
            let first = all.first().filter(|a| a.name.is_none() && a.stars == 0)?;
            (rows(cx, cx.type_of(first.value), "get")?, false)
        }
        _ => {
            let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return None };
            let is_known = [LOOKUPS, MAKING, SETTING].iter().any(|names| names.contains(&attr));
            (rows(cx, cx.type_of(value), attr).filter(|_| is_known)?, MAKING.contains(&attr))
        }
    };
    let is_lookup =
        !makes && !matches!(Expr::of(func), Expr::Attribute { attr, .. } if SETTING.contains(&attr));
    let keyword = keyword(cx, followed, model, name, is_lookup)?;
    if all.iter().any(|a| a.name == Some(keyword.as_str()) && a.node != node) {
        return None;
    }
    Some(Given { call, argument, keyword, makes: makes.then_some(model) })
}

/// The model of the rows that a method is called for, where the method is Django's own.
fn rows(cx: &Context<'_>, receiver: &Type, method: &str) -> Option<ModelId> {
    let model = match receiver {
        Type::Manager(manager) => manager.model,
        Type::QuerySet(queryset) => queryset.model,
        Type::ModelClass(model) => *model,
        _ => return None,
    };
    (reading_of(cx, receiver, &[method]) == Reading::Standard).then_some(model)
}

/// The keyword that takes the key where `name` takes the object: `author_id` for `author`.
fn keyword<'a>(
    cx: &Context<'a>,
    followed: &Followed<'a>,
    model: ModelId,
    name: &str,
    is_lookup: bool,
) -> Option<String> {
    let mut from = model;
    let mut before = String::new();
    let mut last = name;
    while let Some((first, rest)) = last.split_once("__") {
        if !is_lookup {
            return None;
        }
        let step: Step = step(cx.project, from, first)?;
        from = step.to;
        before.push_str(first);
        before.push_str("__");
        last = rest;
    }
    let info = cx.model(from);
    let field = info.field(last)?;
    let relation = field.relation.as_ref()?;
    if field.has_hooks && !makes_key(field) {
        return None;
    }
    match relation.kind {
        RelationKind::ForeignKey | RelationKind::OneToOne
            if agree(cx.project, relation, followed.relation) =>
        {
            Some(format!("{before}{}", field.attname))
        }
        // `filter(tags=link.tag_id)`: the name stays.
        RelationKind::ManyToMany if is_lookup && followed.relation.to_field.is_none() => {
            let is_same =
                relation.target.map(|t| cx.model(t).concrete) == Some(cx.model(followed.target).concrete);
            is_same.then(|| name.to_owned())
        }
        _ => None,
    }
}

/// Whether a field with hooks of its own is a foreign key all the same.
fn makes_key(field: &crate::django::Field) -> bool {
    field.class.ends_with("ForeignKey")
        || field.class.ends_with("ParentalKey")
        || field.class.ends_with("OneToOneField")
}
