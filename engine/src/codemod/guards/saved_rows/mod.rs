//! A loop over rows that sets columns of each row and saves it: what is set, what `save()` writes, and what would notice
//! if one statement wrote all rows.

mod around;
mod bulk;
mod columns;
mod obstacles;
mod repeated;
mod uniform;

pub use obstacles::hazards;
pub use uniform::{Assigned, REFUSED, Update, is_computed, is_constant, update};

use crate::codemod::loops::{awaited, statement_of};
use crate::codemod::{Context, Hazard, HazardKind, Outcome, Weight};
use crate::django::{Field, FieldKind, ModelId};
use crate::infer::{Event, EventKind, QuerySet, Root, Type, ValueId};
use crate::python::{Expr, Kind, Node, Stmt, arguments, innermost_loop, string_value};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// The loop.
#[derive(Clone, Debug)]
pub struct SavedRows<'a> {
    /// The `for` statement.
    pub node: Node<'a>,
    /// The loop behind which one statement writes the rows: this one, or one around it.
    pub around: Node<'a>,
    /// Statements before the loop, in the same block, that set columns of the rows: another loop over them, say.
    pub setters: Vec<Node<'a>>,
    /// What is iterated, as written.
    pub iter: Node<'a>,
    /// The statements of a turn.
    pub body: Node<'a>,
    /// The variable that holds the row, in the target of the loop.
    pub row: Node<'a>,
    /// `async for`
    pub is_async: bool,
    /// The model of the rows.
    pub model: ModelId,
    /// The queryset or list that the rows come from.
    pub value: ValueId,
    /// The state of that queryset, where it is one.
    pub queryset: Option<&'a QuerySet>,
    /// The calls of `save()`, in order of the text; never empty.
    pub saves: Vec<Save<'a>>,
}

/// A statement `row.save()`.
#[derive(Clone, Debug)]
pub struct Save<'a> {
    /// The statement.
    pub statement: Node<'a>,
    /// The call.
    pub call: Node<'a>,
    /// `await row.asave()`
    pub is_async: bool,
    /// The literal names in `update_fields`.
    pub update_fields: Option<Vec<String>>,
    /// `using=`
    pub using: Option<Node<'a>>,
}

/// What `save()` writes of what the loop has set.
#[derive(Clone, Debug, Default)]
pub struct Written<'a> {
    /// The columns, in order of the text or of `update_fields`.
    pub columns: Vec<&'a Field>,
    /// The auto_now columns that `save()` sets.
    pub auto_now: Vec<&'a Field>,
    /// `save()` without `update_fields`: every other column goes back as it is in memory.
    pub is_full: bool,
}

impl<'a> Written<'a> {
    /// Every column, the auto_now ones last.
    pub fn all(&self) -> impl Iterator<Item = &'a Field> {
        self.columns.iter().chain(&self.auto_now).copied()
    }
}

/// The loop at `node` that saves the rows it goes through; `None` where it does not.
pub fn saved_rows<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<SavedRows<'a>> {
    if node.kind() != Kind::For || node.has_error() || node.enclosing_scope()? != cx.scope() {
        return None;
    }
    let Stmt::For { target, iter, body, is_async, .. } = Stmt::of(node) else { return None };
    let names = target.descendants().filter(|n| n.kind() == Kind::Name && n.is_binding());
    names.filter_map(|row| rows_of(cx, node, (iter, body, is_async), row)).next()
}

fn rows_of<'a>(
    cx: &Context<'a>,
    node: Node<'a>,
    (iter, body, is_async): (Node<'a>, Node<'a>, bool),
    row: Node<'a>,
) -> Option<SavedRows<'a>> {
    let mut saves = Vec::new();
    let mut of: Option<(ModelId, ValueId)> = None;
    for call in body.descendants().filter(|n| n.kind() == Kind::Call) {
        let Expr::Call { func, arguments: list } = Expr::of(call) else { continue };
        let Expr::Attribute { value, attr: attr @ ("save" | "asave"), .. } = Expr::of(func) else { continue };
        if !matches!(Expr::of(value), Expr::Name(n) if n == row.text()) {
            continue;
        }
        let Type::Instance(instance) = cx.type_of(value) else { return None };
        let Root::Row(id) = instance.root else { return None };
        let is_own = instance.path.is_empty() && of.is_none_or(|o| o == (instance.model, id));
        if !is_own || call.enclosing_scope() != Some(cx.scope()) || innermost_loop(call) != Some(node) {
            return None;
        }
        of = Some((instance.model, id));
        saves.push(save_at(call, list, attr == "asave")?);
    }
    let (model, value) = of?;
    let first = saves.first()?;
    let is_alike = |s: &Save<'a>| {
        s.update_fields == first.update_fields
            && s.using.map(Node::text) == first.using.map(Node::text)
            && s.is_async == first.is_async
    };
    // The variable is the row for the whole turn.
    let rebinds = body.mentions(row.text()).any(Node::is_binding);
    if !saves.iter().all(is_alike) || rebinds {
        return None;
    }
    let queryset = cx.value(value).and_then(|v| v.queryset.as_deref());
    let setters = setters(cx, node, value);
    Some(SavedRows { node, around: node, setters, iter, body, row, is_async, model, value, queryset, saves })
}

/// The statements before `node`, in the same block, that set columns of its rows.
fn setters<'a>(cx: &Context<'a>, node: Node<'a>, value: ValueId) -> Vec<Node<'a>> {
    let Some(block) = node.parent() else { return Vec::new() };
    let sets = |l: &Node<'a>| {
        cx.events_in(*l).any(|e| {
            matches!(&e.kind, EventKind::WriteAttribute { root, path, .. }
                if *root == Root::Row(value) && path.is_empty())
        })
    };
    block.children().take_while(|s| *s != node).filter(sets).collect()
}

/// `row.save(...)` as a statement of its own, with arguments that a bulk statement can keep.
fn save_at<'a>(call: Node<'a>, list: Node<'a>, is_async: bool) -> Option<Save<'a>> {
    let statement = statement_of(if is_async { awaited(call)? } else { call })?;
    let mut save = Save { statement, call, is_async, update_fields: None, using: None };
    if list.kind() == Kind::GeneratorExp {
        return None;
    }
    for argument in arguments(list) {
        match argument.name {
            Some("using") => save.using = Some(argument.value),
            Some("update_fields") => {
                let names = match Expr::of(argument.value) {
                    Expr::List(inner) | Expr::Tuple(inner) | Expr::Set(inner) => {
                        inner.children().map(string_value).collect::<Option<Vec<_>>>()?
                    }
                    _ => return None,
                };
                save.update_fields = Some(names);
            }
            Some("force_update") if matches!(Expr::of(argument.value), Expr::True) => {}
            _ => return None,
        }
    }
    Some(save)
}

impl<'a> SavedRows<'a> {
    /// `Root::Row` of the rows.
    pub fn root(&self) -> Root {
        Root::Row(self.value)
    }

    /// The first `save()`.
    pub fn save(&self) -> Option<&Save<'a>> {
        self.saves.first()
    }

    /// Assignments to attributes of the row that happen in the loop or in the statements before it, here or in what is called; not in `save()` itself,
    /// which no longer runs.
    pub fn assignments(&self, cx: &Context<'a>) -> impl Iterator<Item = (Event<'a>, &'a str)> {
        let root = self.root();
        let saves: Vec<_> = self.saves.iter().map(|s| s.call.id()).collect();
        let regions = self.setters.iter().copied().chain([self.body]);
        regions.flat_map(|region| cx.events_in(region)).filter_map(move |e| match &e.kind {
            EventKind::WriteAttribute { root: r, path, name }
                if *r == root && path.is_empty() && !saves.contains(&e.at) =>
            {
                Some((e, &**name))
            }
            _ => None,
        })
    }

    /// What `save()` writes, and what of it no bulk statement can write.
    pub fn written(&self, cx: &Context<'a>, out: &mut Vec<Hazard>) -> Written<'a> {
        let model = cx.model(self.model);
        let find = |name: &str| model.field(name).or_else(|| model.field_by_attname(name));
        let mut written = Written::default();
        let update_fields = self.save().and_then(|s| s.update_fields.as_ref());
        let add = |field: &'a Field, written: &mut Written<'a>| {
            let list = if field.auto_now { &mut written.auto_now } else { &mut written.columns };
            if !list.iter().any(|f| f.name == field.name) {
                list.push(field);
            }
        };
        match update_fields {
            Some(names) => {
                for name in names {
                    match find(name) {
                        Some(field) => add(field, &mut written),
                        None => out.push(cx.hazard(HazardKind::NotAColumn, name.as_str(), self.node)),
                    }
                }
            }
            None => {
                written.is_full = true;
                let mut seen: Vec<(Event<'a>, &'a str)> = self.assignments(cx).collect();
                seen.sort_by_key(|(e, _)| e.at);
                for (event, name) in seen {
                    if name == "*" {
                        out.push(Hazard::at(HazardKind::OtherUnsavedChanges, self.row.text(), event.site));
                    } else if let Some(field) = find(name) {
                        add(field, &mut written);
                    } else if name == "pk" {
                        out.push(Hazard::at(HazardKind::UnsavedInstance, self.row.text(), event.site));
                    }
                }
                // What can be changed in place goes back as it is by then, as save() would write it.
                let regions = self.setters.iter().copied().chain([self.body]);
                for event in regions.flat_map(|region| cx.events_in(region)) {
                    if let EventKind::ReadAttribute { root, path, name } = &event.kind
                        && *root == self.root()
                        && path.is_empty()
                        && let Some(field) = find(name)
                        && is_mutable(field.kind)
                    {
                        add(field, &mut written);
                    }
                }
                for field in model.fields.iter().filter(|f| f.auto_now) {
                    add(field, &mut written);
                }
            }
        }
        for (event, name) in self.assignments(cx) {
            if model.primary_key().is_some_and(|k| k.name == name || k.attname == name) {
                out.push(Hazard::at(HazardKind::UnsavedInstance, self.row.text(), event.site));
            }
        }
        written
    }
}

fn is_mutable(kind: FieldKind) -> bool {
    matches!(kind, FieldKind::Json | FieldKind::Postgres | FieldKind::Other)
}

/// Which statement takes the place of the saves.
#[derive(Clone, Debug)]
pub enum Choice<'a> {
    /// `queryset.update(...)`: the same for every row. The loop goes.
    Update(Update<'a>, Vec<Hazard>),
    /// `bulk_update(rows, fields=[...])` behind the given loop.
    BulkUpdate(Written<'a>, Node<'a>, Vec<Hazard>),
}

/// The better one of the two: one `update()` where it can say it and nothing is in its way that is not in the way of
/// `bulk_update()` as well.
pub fn choose<'a>(cx: &Context<'a>, rows: &SavedRows<'a>) -> Option<Choice<'a>> {
    let mut obstacles = Vec::new();
    let written = rows.written(cx, &mut obstacles);
    // What is set may be unknown, but there is nothing to say where nothing is.
    if obstacles.is_empty() {
        written.all().next()?;
    }
    let judged = |rows: &SavedRows<'a>| {
        let mut out = obstacles.clone();
        hazards(cx, rows, &written, None, &mut out);
        bulk::of_bulk_update(cx, rows, &written, &mut out);
        around::hazards(cx, rows, &written, &mut out);
        out
    };
    let bulk = judged(rows);
    let blocking = |hazards: &[Hazard]| -> BTreeSet<HazardKind> {
        hazards.iter().map(|h| h.kind).filter(|k| k.weight() == Weight::Blocking).collect()
    };
    if let Some(update) = update(cx, rows, &written) {
        let mut hazards_of_update = obstacles.clone();
        hazards(cx, rows, &written, Some(&update), &mut hazards_of_update);
        update.hazards(cx, rows, &mut hazards_of_update);
        // A row that comes twice gets the same both times.
        let is_better = match Outcome::of(&hazards_of_update).cmp(&Outcome::of(&bulk)) {
            Ordering::Less => true,
            Ordering::Equal => blocking(&hazards_of_update).is_subset(&blocking(&bulk)),
            Ordering::Greater => false,
        };
        if is_better {
            return Some(Choice::Update(update, hazards_of_update));
        }
    }
    // Behind the outermost loop that nothing hinders.
    if Outcome::of(&bulk) == Outcome::Safe {
        for around in around::wider(cx, rows) {
            if Outcome::of(&judged(&SavedRows { around, ..rows.clone() })) == Outcome::Safe {
                return Some(Choice::BulkUpdate(written, around, bulk));
            }
        }
    }
    Some(Choice::BulkUpdate(written, rows.node, bulk))
}
