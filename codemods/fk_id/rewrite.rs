//! The edits.

use ormend_engine::codemod::foreign_key::{Followed, Form, KeyRead};
use ormend_engine::codemod::guards::taken_out::keeps_comments;
use ormend_engine::codemod::{Context, Fix, Hazard};
use ormend_engine::python::emit::{Precedence, parenthesized};
use ormend_engine::python::{Expr, Node};
use ormend_engine::text::{Edit, Span};

/// The fix.
pub fn rewrite<'a>(cx: &Context<'a>, found: &KeyRead<'a>) -> Result<Fix, Hazard> {
    let followed = &found.followed;
    let edits = match &found.form {
        Form::Key => {
            let from = last_name(followed).map_or(followed.node, |(name, _)| name).span().start;
            let span = Span::new(from, found.whole.span().end);
            // `(book.author).pk`
            if followed.node.with_parens() == followed.node {
                keeps_comments(cx, span)?;
                vec![Edit::replace(span, followed.field.attname.clone())]
            } else {
                keeps_comments(cx, found.whole.span())?;
                vec![Edit::replace(found.whole.span(), key(followed))]
            }
        }
        Form::Nothing => vec![renamed(followed)],
        Form::KeyOrNone => vec![whole(cx, found.whole, &key(followed), Precedence::Atom)?],
        Form::Truth { is_negated } => {
            let word = if *is_negated { "is" } else { "is not" };
            let text = format!("{} {word} None", key(followed));
            vec![whole(cx, found.whole.peel(), &text, Precedence::Compare)?]
        }
        Form::Compared(other) => {
            let second = match &other.followed {
                Some(second) => vec![renamed(second)],
                None => with_key(other.node),
            };
            [vec![renamed(followed)], second].concat()
        }
        Form::Argument(given) => {
            let mut edits = vec![renamed(followed)];
            if let Some(name) = given.argument.node.children().next()
                && given.argument.name != Some(given.keyword.as_str())
            {
                edits.push(Edit::replace(name.span(), given.keyword.clone()));
            }
            edits
        }
    };
    let mut fix = cx.fix(edits);
    fix.reads.push(cx.site(found.whole));
    Ok(fix)
}

/// The last name of a followed foreign key, and what is in front of it.
fn last_name<'a>(followed: &Followed<'a>) -> Option<(Node<'a>, Node<'a>)> {
    match Expr::of(followed.node) {
        Expr::Attribute { attr_node, value, .. } => Some((attr_node, value)),
        _ => None,
    }
}

/// `book.author_id` as a whole, on one line where the owner is.
fn key(followed: &Followed<'_>) -> String {
    format!("{}.{}", followed.owner.with_parens().text(), followed.field.attname)
}

/// `author` becomes `author_id` where it stands.
fn renamed(followed: &Followed<'_>) -> Edit {
    let name = last_name(followed).map_or(followed.node, |(name, _)| name);
    Edit::replace(name.span(), followed.field.attname.clone())
}

/// `author` becomes `author.pk`.
fn with_key(node: Node<'_>) -> Vec<Edit> {
    let node = node.peel();
    if node.with_parens() == node && Precedence::of(node) < Precedence::Atom {
        return vec![Edit::insert(node.span().start, "("), Edit::insert(node.span().end, ").pk")];
    }
    vec![Edit::insert(node.with_parens().span().end, ".pk")]
}

/// `text` in the place of a whole expression, and of parentheses that it needs no more.
fn whole<'a>(cx: &Context<'a>, node: Node<'a>, text: &str, of: Precedence) -> Result<Edit, Hazard> {
    let outer = node.with_parens();
    let before = outer.file_text().get(..outer.span().start as usize).and_then(|t| t.chars().last());
    // `return(x)`
    let touches = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let place = if outer != node && !touches && !text.contains('\n') { outer } else { node };
    keeps_comments(cx, place.span())?;
    Ok(Edit::replace(place.span(), parenthesized(place, text, of)))
}
