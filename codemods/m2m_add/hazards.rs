//! What makes one `add()` of many rows differ from one a row.

use super::find::{Link, Loop};
use super::rewrite;
use ormend_engine::codemod::guards::batch::{self, Batch};
use ormend_engine::codemod::guards::flow::dominates;
use ormend_engine::codemod::guards::projection::prefetched;
use ormend_engine::codemod::guards::variable::is_assigned;
use ormend_engine::codemod::guards::writes::{self, call_subject, shares_table};
use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::django::ModelId;
use ormend_engine::infer::{EventKind, Made, QuerySetClass, Root, Type};
use ormend_engine::python::{Expr, Field, Kind, Node, NodeId, Stmt};
use ormend_engine::text::FileId;
use std::sync::Arc;

/// Everything that is in the way.
pub fn hazards<'a>(cx: &Context<'a>, found: &Loop<'a>, out: &mut Vec<Hazard>) {
    let stays = rewrite::keeps_loop(cx, found);
    for (index, link) in found.links.iter().enumerate() {
        if link.is_many_to_many {
            writes::link_receivers(cx, link.instance.model, &link.accessor, out);
        }
        relation(cx, link, out);
        order(cx, link, out);
        if !stays {
            if !is_saved(cx, link, found.statement) {
                out.push(cx.hazard(HazardKind::UnsavedInstance, link.owner.text(), link.owner));
            }
            prefetched(cx, link.instance, &link.accessor, &link.written, out);
        }
        if let Some((row, accessor)) = &link.turned {
            prefetched(cx, row, accessor, link.manager.text(), out);
        }
        values(cx, found, link, out);
        let same = found.links.iter().take(index).any(|l| l.manager.text() == link.manager.text());
        if same {
            out.push(cx.hazard(HazardKind::InterleavedWrites, link.manager.text(), link.call));
        }
    }
    between(cx, found, out);
}

/// Whether the owner certainly has a row when the loop begins: an unsaved one has no links, and asking for them
/// raises even where there is nothing to add.
pub fn is_saved<'a>(cx: &Context<'a>, link: &Link<'a>, statement: Node<'a>) -> bool {
    if !link.instance.path.is_empty() {
        return false;
    }
    let root = link.instance.root;
    let loses_key = |kind: &EventKind| match kind {
        EventKind::InstanceMethod { root: r, path, name } => {
            *r == root && path.is_empty() && matches!(&**name, "delete" | "adelete")
        }
        EventKind::WriteAttribute { root: r, path, name } => {
            let key = cx.model(link.instance.model).primary_key();
            let is_key = &**name == "pk" || key.is_some_and(|k| k.name == **name || k.attname == **name);
            *r == root && path.is_empty() && is_key
        }
        _ => false,
    };
    if cx.facts.events().any(|e| loses_key(e.kind)) {
        return false;
    }
    let from_database = match root {
        Root::Row(id) => cx.value(id).is_some_and(|v| v.queryset.is_some()),
        Root::Value(id) => cx.value(id).is_some_and(|v| matches!(v.made, Made::Loaded | Made::Created)),
        Root::Opaque => false,
    };
    from_database || was_saved(cx, link, statement)
}

/// Whether a statement that has certainly run saves the owner, or asks for its links.
fn was_saved<'a>(cx: &Context<'a>, link: &Link<'a>, statement: Node<'a>) -> bool {
    let owner = link.owner.text();
    let scope = cx.scope();
    // Bound once, so that it is the same object all along.
    let first = link.owner.descendants().find(|n| n.kind() == Kind::Name);
    let bindings = scope
        .descendants()
        .filter(|n| n.kind() == Kind::Name && Some(n.text()) == first.map(Node::text) && n.is_binding())
        .filter(|n| !matches!(n.parent().map(Node::kind), Some(Kind::Parameters)))
        .collect::<Vec<_>>();
    scope.descendants().filter(|n| n.kind() == Kind::Call && n.span().end <= statement.span().start).any(|call| {
        let Expr::Call { func, .. } = Expr::of(call) else { return false };
        let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return false };
        let saves = attr == "save" && value.text() == owner;
        let asks = link.is_many_to_many && value.text() == link.written;
        let Some(own) = call.statement() else { return false };
        let is_simple = matches!(Stmt::of(own), Stmt::Expr(v) | Stmt::Assign { value: Some(v), .. } if v.peel() == call);
        let is_rebound = bindings.iter().any(|b| b.span().start > call.span().start && b.span().start < statement.span().start);
        (saves || asks) && is_simple && !is_rebound && dominates(own, statement)
    })
}

/// Whether the relation's rows may be in memory: `add()` of nothing forgets them as well.
pub fn may_be_prefetched(cx: &Context<'_>, link: &Link<'_>) -> bool {
    let mut found = Vec::new();
    prefetched(cx, link.instance, &link.accessor, &link.written, &mut found);
    !found.is_empty()
}

/// The name of the field at its own end.
fn forward_name(cx: &Context<'_>, link: &Link<'_>) -> String {
    let field = cx.project.relation_field(link.instance.model, &link.accessor);
    field.map_or_else(|| link.accessor.clone(), |f| f.name.clone())
}

/// Field classes and through models of the project's own.
fn relation(cx: &Context<'_>, link: &Link<'_>, out: &mut Vec<Hazard>) {
    if let Some(field) = cx.project.relation_field(link.instance.model, &link.accessor)
        && !field.class.starts_with("django.")
    {
        out.push(Hazard::at(HazardKind::FieldHook, field.name.clone(), field.site));
    }
    if let Some(through) = link.through {
        let through = cx.model(through);
        let name = Some(through.default_manager.as_str());
        writes::manager_methods(cx, through.id, name, QuerySetClass::Plain, &["bulk_create"], out);
    }
}

/// Methods that tell rows apart by their order.
const ORDERED: &[&str] = &["order_by", "latest", "earliest", "first", "last", "reverse"];

/// Code that shows in which order rows were linked: `add()` links many in the order of a set.
fn order(cx: &Context<'_>, link: &Link<'_>, out: &mut Vec<Hazard>) {
    if !link.is_many_to_many {
        return;
    }
    if let Some(through) = link.through.map(|t| cx.model(t)) {
        let has_times = through.fields.iter().any(|f| f.auto_now_add || f.auto_now || f.may_auto_now);
        if has_times || !through.ordering.is_empty() || through.has_unknown_ordering {
            out.push(Hazard::at(HazardKind::LinkOrder, through.name.clone(), through.site));
        }
    }
    let program = cx.project.program();
    let field = forward_name(cx, link);
    let mut last = None;
    for (file, node) in ordered_links(cx).iter().copied() {
        let node = program.file(file).node(node);
        let Expr::Attribute { value, .. } = Expr::of(node) else { continue };
        let Expr::Attribute { attr, .. } = Expr::of(value) else { continue };
        // One place of a file is enough.
        if last != Some(file) && (attr == link.accessor || attr == field) {
            last = Some(file);
            let site = ormend_engine::text::Site { file, span: node.span() };
            out.push(Hazard::at(HazardKind::LinkOrder, node.text(), site));
        }
    }
}

/// Where the program takes `.through` of a relation in a function that orders something, tests left out.
fn ordered_links(cx: &Context<'_>) -> Arc<Vec<(FileId, NodeId)>> {
    let program = cx.project.program();
    let is_ordered = |n: &Node<'_>| {
        let is_link = n.kind() == Kind::Attribute
            && matches!(Expr::of(*n), Expr::Attribute { value, attr: "through", .. }
                if matches!(Expr::of(value), Expr::Attribute { .. }));
        let is_sender = || {
            n.ancestors().any(|a| {
                a.kind() == Kind::KeywordArgument
                    && a.child(Field::Name).is_some_and(|k| k.text() == "sender")
            })
        };
        let orders =
            |d: Node<'_>| matches!(Expr::of(d), Expr::Attribute { attr, .. } if ORDERED.contains(&attr));
        is_link && !is_sender() && n.enclosing_scope().is_some_and(|s| s.descendants().any(orders))
    };
    let find = || {
        let files = cx.analyzer.files_naming("through").iter().copied();
        let own = files.filter(|file| !cx.project.is_test_file(*file));
        let links = own.flat_map(|file| {
            let nodes = program.file(file).root().descendants().filter(is_ordered);
            nodes.map(move |n| (file, n.id()))
        });
        links.collect()
    };
    cx.analyzer.once("ordered links", find)
}

/// What the loop does with the row besides linking it.
fn values<'a>(cx: &Context<'a>, found: &Loop<'a>, link: &Link<'a>, out: &mut Vec<Hazard>) {
    let Expr::Name(name) = Expr::of(link.value) else { return };
    let key = match cx.type_of(link.value) {
        Type::Instance(instance) => cx.model(instance.model).primary_key(),
        _ => None,
    };
    for node in found.node.mentions(name) {
        let parent = node.with_parens().parent();
        if let Some(Expr::Attribute { attr, .. }) = parent.map(Expr::of)
            && (matches!(attr, "pk" | "id") || key.is_some_and(|k| attr == k.name || attr == k.attname))
            && parent.is_some_and(is_assigned)
        {
            out.push(cx.hazard(HazardKind::SharedValue, name, node));
        }
        // `add()` of a foreign key's other end sets the key in memory as well.
        if !link.is_many_to_many && node.span().start > link.call.span().end && !node.is_binding() {
            out.push(cx.hazard(HazardKind::InstanceUsedAfterwards, name, node));
        }
    }
}

fn between<'a>(cx: &Context<'a>, found: &Loop<'a>, out: &mut Vec<Hazard>) {
    let mut tables: Vec<ModelId> = Vec::new();
    for link in &found.links {
        match link.is_many_to_many {
            true => {
                tables.push(link.instance.model);
                tables.extend(link.through);
            }
            false => tables.push(link.model),
        }
    }
    let writes: Vec<Node<'a>> = found.links.iter().map(|l| l.call).collect();
    let judged: Vec<NodeId> = Vec::new();
    let batch = Batch {
        node: found.node,
        iter: found.iter,
        tables: &tables,
        writes: &writes,
        judged: &judged,
        is_update: found.links.iter().any(|l| !l.is_many_to_many),
    };
    batch::between(cx, &batch, out);
    // The links have no model of their own.
    for event in cx.events_in(found.node) {
        if found.iter.contains(event.at) || writes.iter().any(|w| w.id() == event.at) {
            continue;
        }
        let reads = |link: &Link<'_>| match &event.kind {
            EventKind::ReadMany { path, .. } => path.last().is_some_and(|last| {
                let forward = forward_name(cx, link);
                let info = cx.model(link.model);
                let far = info.reverse.iter().find(|r| r.field == forward).map(|r| r.accessor.as_str());
                **last == *link.accessor || **last == *forward || Some(&**last) == far
            }),
            EventKind::Query { model: Some(model) } => {
                link.through.is_some_and(|t| shares_table(cx.project, *model, t))
            }
            _ => false,
        };
        if found.links.iter().any(reads) {
            out.push(Hazard::at(HazardKind::ReadsItsOwnWrites, call_subject(cx, event), event.site));
        }
    }
}
