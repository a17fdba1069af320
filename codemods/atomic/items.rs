//! The writes of a function: which rows each of them writes, and which rows it mentions.

use super::identity::{Identity, foreign_keys, identity_of, keys, links, mentions, spelling};
use super::spelled::spelled;
use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::transaction::Written;
use ormend_engine::codemod::guards::{flow, writes};
use ormend_engine::django::ModelId;
use ormend_engine::infer::{
    Event, EventKind, Instance, Made, Origin, Root, Type, ValueId, Write, writing_method,
};
use ormend_engine::python::{Expr, Kind, Node, NodeId, Stmt, arguments};
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// A number that is added to or taken from a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// As it is spelled.
    pub text: String,
    /// It is taken away.
    pub is_minus: bool,
    /// A literal says little: `1` and `1` need not be the same thing.
    pub is_literal: bool,
}

impl<'a> Item<'a> {
    /// Whether `node` may run after this write.
    pub fn may_precede(&self, node: Node<'a>) -> bool {
        self.reach.get_or_init(|| flow::Reach::of(self.call, |_| false)).contains(node)
    }

    /// As the guards of transactions see it.
    pub fn written(&self) -> Written<'a> {
        Written {
            is_direct: self.how != How::Call,
            using: self.using.clone(),
            by_instance: self.by_instance,
            ..Written::new(self.call)
        }
    }
}

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A row, or several, are inserted.
    Insert,
    /// Rows that are there are changed.
    Update,
    /// Rows are deleted.
    Delete,
    /// Links of a many-to-many relation, or of a reverse foreign key.
    Link,
    /// A row is found or made; alone it is whole.
    Ensure,
    /// The function that is called writes.
    Call,
}

/// One write, or one call that writes.
pub struct Item<'a> {
    /// What may run after it, worked out when it is asked for.
    reach: OnceCell<flow::Reach<'a>>,
    /// The call.
    pub call: Node<'a>,
    /// What it does.
    pub how: How,
    /// The models of the rows; for a call all that the callee writes.
    pub models: Vec<ModelId>,
    /// The rows that it writes.
    pub rows: Vec<Identity>,
    /// The rows that it is made from: foreign keys, owners, keys in a filter, arguments.
    pub mentions: Vec<Identity>,
    /// What is added or taken away.
    pub amounts: Vec<Amount>,
    /// The columns that are set to something.
    pub columns: Vec<String>,
    /// The rows whose columns are put into those of this one, or given to the row that is made.
    pub sources: Vec<Identity>,
    /// `super().save()` in an override of it: any column may be another.
    pub is_override: bool,
    /// For links: the attribute, and whether links are taken away.
    pub link: Option<(String, bool)>,
    /// The alias of the database, where it is said by a literal.
    pub using: Option<String>,
    /// The database follows from an instance.
    pub by_instance: bool,
}

/// The writes of the frame, in order of evaluation.
pub fn items<'a>(cx: &Context<'a>) -> Vec<Item<'a>> {
    let mut calls: BTreeMap<NodeId, Vec<Event<'a>>> = BTreeMap::new();
    for event in cx.facts.events() {
        if matches!(event.kind, EventKind::Write { .. }) && !event.is_guess {
            calls.entry(event.at).or_default();
        }
    }
    if calls.len() < 2 {
        return Vec::new();
    }
    for event in cx.facts.events() {
        if let Some(events) = calls.get_mut(&event.at) {
            events.push(event);
        }
    }
    let mut out: Vec<Item<'a>> = Vec::new();
    for (id, events) in calls {
        let Some(item) = item(cx, cx.node(id).peel(), &events) else { continue };
        // `super().form_valid(form)` saves once more what `self.object = form.save()` has saved.
        let object = Identity::Word(OBJECT.to_owned());
        if item.rows.iter().eq([&object]) && out.iter().any(|other| other.rows.contains(&object)) {
            continue;
        }
        out.push(item);
    }
    out
}

/// Where the views of Django keep the row they save.
pub const OBJECT: &str = "self.object";

fn item<'a>(cx: &Context<'a>, call: Node<'a>, events: &[Event<'_>]) -> Option<Item<'a>> {
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    let mut item = Item {
        reach: OnceCell::new(),
        call,
        how: How::Call,
        models: Vec::new(),
        rows: Vec::new(),
        mentions: Vec::new(),
        amounts: Vec::new(),
        columns: Vec::new(),
        sources: Vec::new(),
        is_override: false,
        link: None,
        using: using(call),
        by_instance: false,
    };
    if let Expr::Attribute { value, attr, .. } = Expr::of(func) {
        direct(cx, &mut item, value, attr, list);
        if item.how == How::Call {
            spelled(cx, &mut item, value, attr, list);
        }
        if item.how != How::Call {
            return Some(item);
        }
    }
    of_callee(cx, &mut item, func, events);
    if item.models.is_empty() { None } else { Some(item) }
}

/// What Django's own methods write; `item.how` stays as it is for any other.
fn direct<'a>(cx: &Context<'a>, item: &mut Item<'a>, value: Node<'a>, attr: &str, list: Node<'a>) {
    let attr = writing_method(attr).unwrap_or(attr);
    match cx.type_of(value).without_none() {
        Type::Instance(instance) => saved(cx, item, instance, value, attr),
        Type::Super(_, receiver) => {
            if let Type::Instance(instance) = &**receiver {
                saved(cx, item, instance, value, attr);
                item.is_override = attr == "save";
            }
        }
        Type::Manager(manager) => {
            item.models.push(manager.model);
            if let Some(related) = &manager.related {
                item.by_instance = true;
                item.mentions.extend(identity_of(&related.owner));
                if matches!(attr, "add" | "remove" | "set" | "clear") {
                    item.how = How::Link;
                    item.link = Some((related.accessor.to_string(), attr != "add"));
                    mentions(cx, list, &mut item.mentions, 0);
                    return;
                }
            }
            bulk(cx, item, value, attr, list);
        }
        Type::QuerySet(queryset) => {
            item.models.push(queryset.model);
            if let Some(related) = &queryset.related {
                item.by_instance = true;
                item.mentions.extend(identity_of(&related.owner));
            }
            bulk(cx, item, value, attr, list);
        }
        _ => {}
    }
    if item.how == How::Call {
        item.models.clear();
        item.mentions.clear();
    }
}

/// `obj.save()`, `obj.delete()`
fn saved<'a>(cx: &Context<'a>, item: &mut Item<'a>, instance: &Instance, value: Node<'a>, attr: &str) {
    let made = match instance.root {
        Root::Value(v) if instance.path.is_empty() => cx.value(v).map(|v| v.made),
        _ => None,
    };
    item.how = match attr {
        "delete" => How::Delete,
        "save" | "save_base" if made == Some(Made::Constructed) => How::Insert,
        "save" | "save_base" => How::Update,
        _ => return,
    };
    item.by_instance = true;
    item.models.push(instance.model);
    item.rows.extend(identity_of(instance));
    item.rows.extend(spelling(cx, value));
    if let Root::Value(v) = instance.root {
        item.rows.extend(loaded_by_key(cx, instance, v));
        if made == Some(Made::Constructed)
            && let Some(Origin::Expr(id)) = cx.value(v).map(|v| v.origin)
        {
            mentions(cx, cx.node(id), &mut item.mentions, 0);
        }
    }
    assigned(cx, item, instance);
    item.mentions.retain(|m| !item.rows.contains(m));
}

/// The key by which an instance was loaded: `Account.objects.get(pk=account_id)`.
fn loaded_by_key(cx: &Context<'_>, instance: &Instance, value: ValueId) -> Vec<Identity> {
    match cx.value(value).map(|v| v.origin) {
        Some(Origin::Expr(id)) if instance.path.is_empty() => {
            let mut out = Vec::new();
            keys(cx, cx.node(id), instance.model, &mut out);
            out
        }
        _ => Vec::new(),
    }
}

/// What is assigned to the attributes of an instance before it is saved: `x.author = author`, `x.balance -= amount`.
fn assigned<'a>(cx: &Context<'a>, item: &mut Item<'a>, instance: &Instance) {
    let call = item.call;
    for event in cx.facts.events() {
        let EventKind::WriteAttribute { root, path, name } = &event.kind else { continue };
        if *root != instance.root || *path != instance.path || *root == Root::Opaque {
            continue;
        }
        if event.at >= call.id() || writes::is_in_callee(cx, event) {
            continue;
        }
        let Some(statement) = cx.node(event.at).statement() else { continue };
        item.columns.push(name.to_string());
        match Stmt::of(statement) {
            Stmt::Assign { value: Some(value), .. } => {
                mentions(cx, value, &mut item.mentions, 0);
                amounts_of_sum(cx, value, &mut item.amounts);
                let own = identity_of(instance);
                item.sources.extend(columns_of(cx, value).into_iter().filter(|s| Some(s) != own.as_ref()));
            }
            Stmt::AugAssign { op, value, .. } if matches!(op, Kind::AddAssign | Kind::SubAssign) => {
                amount(value, op == Kind::SubAssign, &mut item.amounts);
            }
            _ => {}
        }
    }
}

/// The rows whose attributes an expression reads.
fn columns_of<'a>(cx: &Context<'a>, node: Node<'a>) -> Vec<Identity> {
    node.descendants()
        .filter(|n| n.kind() == Kind::Attribute)
        .filter_map(|n| match Expr::of(n) {
            Expr::Attribute { value: owner, .. } => identity_of(cx.type_of(owner).instance()?),
            _ => None,
        })
        .collect()
}

/// A method of a manager or queryset.
fn bulk<'a>(cx: &Context<'a>, item: &mut Item<'a>, value: Node<'a>, attr: &str, list: Node<'a>) {
    item.how = match attr {
        "create" => How::Insert,
        "bulk_create" => How::Insert,
        "get_or_create" | "update_or_create" => How::Ensure,
        "update" | "bulk_update" => How::Update,
        "delete" => How::Delete,
        _ => return,
    };
    if let Type::Instance(instance) = cx.type_of(item.call) {
        item.rows.extend(identity_of(instance));
    }
    let Some(model) = item.models.first().copied() else { return };
    if matches!(attr, "update" | "delete") {
        keys(cx, value, model, &mut item.rows);
    }
    if item.how == How::Insert {
        item.sources = columns_of(cx, list);
    }
    // Keys of rows that a foreign key names.
    foreign_keys(cx, item.call, model, &mut item.mentions);
    mentions(cx, item.call, &mut item.mentions, 0);
    item.mentions.retain(|m| !item.rows.contains(m));
    if attr == "update" {
        for argument in arguments(list) {
            item.columns.extend(argument.name.map(str::to_owned));
            amounts_of_sum(cx, argument.value, &mut item.amounts);
        }
    }
}

/// A call of a function of the project: the rows it saves among those it is given, and the row that it gives back.
fn of_callee<'a>(cx: &Context<'a>, item: &mut Item<'a>, func: Node<'a>, events: &[Event<'_>]) {
    for event in events {
        match &event.kind {
            EventKind::Write { model: Some(model), .. }
                if writes::is_in_callee(cx, *event) && !item.models.contains(model) =>
            {
                item.models.push(*model);
            }
            EventKind::InstanceMethod { root, path, name }
                if matches!(&**name, "save" | "delete" | "asave" | "adelete") && *root != Root::Opaque =>
            {
                item.rows.push(Identity::Instance(*root, path.clone()));
            }
            _ => {}
        }
    }
    if let Type::Instance(instance) = cx.type_of(item.call).without_none() {
        let written = events.iter().any(
            |e| matches!(e.kind, EventKind::Write { model: Some(m), write: Write::Insert } if *m == instance.model),
        );
        if written {
            item.rows.extend(identity_of(instance));
        }
    }
    let Expr::Call { arguments: list, .. } = Expr::of(item.call) else { return };
    mentions(cx, list, &mut item.mentions, 0);
    if let Expr::Attribute { value, .. } = Expr::of(func)
        && let Type::Instance(instance) = cx.type_of(value).without_none()
    {
        item.mentions.extend(identity_of(instance));
        item.mentions.extend(spelling(cx, value));
        for argument in arguments(list).iter().filter(|a| a.stars == 0) {
            amount(argument.value, false, &mut item.amounts);
        }
    }
    item.mentions.retain(|m| !item.rows.contains(m));
}

/// `.using("x")`, `using="x"`
fn using(call: Node<'_>) -> Option<String> {
    links(call).into_iter().find_map(|link| {
        let Expr::Call { func, arguments: list } = Expr::of(link) else { return None };
        let Expr::Attribute { attr, .. } = Expr::of(func) else { return None };
        arguments(list).iter().enumerate().find_map(|(i, a)| {
            let is_it = a.name == Some("using") || i == 0 && matches!(attr, "using" | "db_manager");
            if is_it { Some(a.value.text().to_owned()) } else { None }
        })
    })
}

// ---- amounts ----

/// `F("balance") - amount`, `x.balance + amount`
fn amounts_of_sum<'a>(cx: &Context<'a>, value: Node<'a>, out: &mut Vec<Amount>) {
    let Expr::BinOp { left, op, right } = Expr::of(value) else { return };
    if !matches!(op, Kind::Add | Kind::Sub) {
        return;
    }
    let is_column = match Expr::of(left) {
        Expr::Call { func, .. } => func.text().rsplit('.').next() == Some("F"),
        Expr::Attribute { value, .. } => cx.type_of(value).instance().is_some(),
        _ => false,
    };
    if is_column {
        amount(right, op == Kind::Sub, out);
    }
}

fn amount(value: Node<'_>, is_minus: bool, out: &mut Vec<Amount>) {
    let is_literal = match Expr::of(value) {
        Expr::Int(_) | Expr::Float => true,
        Expr::Name(_) | Expr::Attribute { .. } | Expr::Subscript { .. } | Expr::Call { .. } => false,
        _ => return,
    };
    out.push(Amount { text: writes::one_line(value.peel().text()), is_minus, is_literal });
}
