//! Loops around the loop that saves its rows: behind which of them one statement can write the rows of all turns.

use super::super::writes::shares_table;
use super::repeated::may_repeat;
use super::{SavedRows, Written};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::RelationKind;
use crate::infer::{EventKind, Origin, QuerySet, Root, Trait, Type, ValueId};
use crate::python::{Expr, Field, Kind, Node, Stmt, arguments};

/// Querysets whose rows may depend on more than their own columns and the parent's key.
const MIXED: &[Trait] = &[
    Trait::Raw,
    Trait::RawSql,
    Trait::Combined,
    Trait::Mysterious,
    Trait::Annotated,
    Trait::Grouped,
    Trait::FilteredRelation,
    Trait::ToMany,
];

/// The `for` statements of the function around `node`, innermost first; a `while` ends them.
fn loops_around<'a>(node: Node<'a>) -> impl Iterator<Item = Node<'a>> {
    let scope = node.enclosing_scope();
    node.ancestors()
        .take_while(move |a| a.enclosing_scope() == scope)
        .filter(|a| matches!(a.kind(), Kind::For | Kind::While))
        .take_while(|a| a.kind() == Kind::For)
        .take(8)
}

/// The loops around that of `rows`, outermost first, over whose turns no row comes twice: each loop goes through the
/// children of the row of the loop around it.
pub(super) fn wider<'a>(cx: &Context<'a>, rows: &SavedRows<'a>) -> Vec<Node<'a>> {
    let mut out = Vec::new();
    let mut value = rows.value;
    for outer in loops_around(rows.node) {
        let Some(parent) = parent_of(cx, value, outer) else { break };
        value = parent;
        out.push(outer);
    }
    out.reverse();
    out
}

/// The rows of the loop `outer` of which the queryset `value` gives the children, other ones in every turn.
fn parent_of<'a>(cx: &Context<'a>, value: ValueId, outer: Node<'a>) -> Option<ValueId> {
    let Stmt::For { target, iter, body, orelse: None, .. } = Stmt::of(outer) else { return None };
    let children = cx.value(value)?;
    let Origin::Expr(origin) = children.origin else { return None };
    let queryset = children.queryset.as_deref()?;
    let is_mixed = MIXED.iter().any(|t| queryset.is(*t))
        || queryset.joined.iter().any(|m| shares_table(cx.project, *m, queryset.model));
    if is_mixed || !body.contains(origin) {
        return None;
    }
    let Expr::Name(name) = Expr::of(target) else { return None };
    let is_rebound = body.mentions(name).any(Node::is_binding);
    if is_rebound {
        return None;
    }
    let (key, parent) = related(cx, queryset).or_else(|| looked_up(cx, queryset, cx.node(origin), name))?;
    let field = cx.model(queryset.model).field(&key)?;
    let is_moved = cx.events_in(outer).any(|e| {
        matches!(&e.kind, EventKind::WriteAttribute { name, .. }
            if **name == *field.name || **name == *field.attname || &**name == "*")
    });
    let parents = cx.value(parent)?.queryset.as_deref()?;
    let is_of_loop = match cx.type_of(iter) {
        Type::QuerySet(qs) => qs.values.contains(&parent),
        Type::List(inner) | Type::Iterator(inner) => {
            matches!(&**inner, Type::Instance(i) if i.root == Root::Row(parent) && i.path.is_empty())
        }
        _ => false,
    };
    (!is_moved && is_of_loop && !may_repeat(cx, parents)).then_some(parent)
}

/// `book.chapters`: the foreign key and the rows that `book` is one of.
fn related(cx: &Context<'_>, queryset: &QuerySet) -> Option<(String, ValueId)> {
    let related = queryset.related.as_deref()?;
    let Root::Row(parent) = related.owner.root else { return None };
    let reverse = cx.model(related.owner.model).reverse(&related.accessor)?;
    (related.owner.path.is_empty()
        && reverse.kind == RelationKind::ForeignKey
        && reverse.source == queryset.model)
        .then(|| (reverse.field.clone(), parent))
}

/// `Chapter.objects.filter(book=book)`, with `book` or its key: the same.
fn looked_up<'a>(
    cx: &Context<'a>,
    queryset: &QuerySet,
    chain: Node<'a>,
    name: &str,
) -> Option<(String, ValueId)> {
    let model = cx.model(queryset.model);
    for call in chain.descendants().filter(|n| n.kind() == Kind::Call) {
        let Expr::Call { func, arguments: list } = Expr::of(call) else { continue };
        let Expr::Attribute { value: owner, attr: "filter", .. } = Expr::of(func) else { continue };
        if !matches!(cx.type_of(owner), Type::Manager(_) | Type::QuerySet(_)) {
            continue;
        }
        for argument in arguments(list) {
            let Some(keyword) = argument.name else { continue };
            let Some(field) = model.field(keyword).or_else(|| model.field_by_attname(keyword)) else {
                continue;
            };
            let Some(relation) = field.relation.as_ref().filter(|r| r.kind == RelationKind::ForeignKey)
            else {
                continue;
            };
            let value = argument.value.peel();
            let row = match Expr::of(value) {
                Expr::Name(_) => value,
                Expr::Attribute { value: row, attr, .. } => {
                    let key = relation.target.and_then(|t| cx.model(t).primary_key());
                    let is_key = attr == "pk" || key.is_some_and(|k| k.name == attr);
                    if !is_key || relation.to_field.is_some() {
                        continue;
                    }
                    row.peel()
                }
                _ => continue,
            };
            if let Type::Instance(instance) = cx.type_of(row)
                && let Root::Row(parent) = instance.root
                && instance.path.is_empty()
                && row.text() == name
            {
                return Some((field.name.clone(), parent));
            }
        }
    }
    None
}

/// What only matters where the statement stands behind a loop further out.
pub(super) fn hazards<'a>(
    cx: &Context<'a>,
    rows: &SavedRows<'a>,
    written: &Written<'a>,
    out: &mut Vec<Hazard>,
) {
    if rows.around == rows.node {
        return;
    }
    let outer: Vec<&str> = loops_around(rows.node)
        .filter(|l| rows.around.contains(l.id()))
        .filter_map(|l| l.child(Field::Left))
        .map(Node::text)
        .collect();
    // The same rows by another way, changed and not saved.
    let is_own = |at| rows.node.contains(at) || rows.setters.iter().any(|setter| setter.contains(at));
    for event in cx.events_in(rows.around).filter(|e| !is_own(e.at)) {
        let EventKind::WriteAttribute { name, .. } = &event.kind else { continue };
        let node = cx.node(event.at);
        let is_outer_row =
            matches!(Expr::of(node), Expr::Attribute { value, .. } if outer.contains(&value.text()));
        let is_written = &**name == "*" || written.all().any(|f| f.name == **name || f.attname == **name);
        if is_written && !is_outer_row {
            out.push(Hazard::at(HazardKind::OtherUnsavedChanges, rows.row.text(), event.site));
        }
    }
}
