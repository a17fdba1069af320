//! Classes that only name the model whose rows a framework shows: there is no queryset to extend, so what the framework
//! documents is added to the class.

use super::entries::{remote, shown};
use super::place::is_new;
use super::reads::{Group, Load};
use crate::codemod::naming::manager_name;
use crate::codemod::{Context, FileEdit, Fix, Hazard, HazardKind};
use crate::django::ModelId;
use crate::infer::{Entry, EntryKind, QuerySet, Source, Type};
use crate::python::emit::{indentation, quote_of, statement, string_literal};
use crate::python::{ClassId, Expr, Field, File, Kind, Member, Node, NodeId, string_value};
use crate::text::{Edit, Site};
use std::sync::Arc;

/// Where a class names its model.
#[derive(Clone, Debug)]
pub struct ClassPlace {
    /// What shows the rows.
    pub kind: EntryKind,
    /// The class that is edited.
    pub class: ClassId,
    /// What names the model.
    pub source: Source,
    /// The expression that names the model.
    pub node: NodeId,
    /// The rows.
    pub queryset: Arc<QuerySet>,
    /// What the framework joins by itself only as long as nobody asks for a join.
    pub joined: Vec<String>,
}

/// The groups of classes whose model the module of `cx` names.
pub(super) fn groups(cx: &Context<'_>, load: Load) -> Vec<Group> {
    if cx.facts.scope != cx.root().id() {
        return Vec::new();
    }
    let mut out: Vec<Group> = Vec::new();
    for entry in cx.analyzer.entries_from(cx.file) {
        let (Source::Model(file, node) | Source::Above(file, node)) = entry.source else { continue };
        if file != cx.file {
            continue;
        }
        let Some(queryset) = entry.facts.value(entry.rows).and_then(|v| v.queryset.clone()) else { continue };
        let reads = shown(cx, entry, load);
        if reads.is_empty() {
            continue;
        }
        // The attribute may stand in a class above.
        let Some(class) = owner_of(cx, entry, node).or(entry.class) else { continue };
        let is_same = |p: &ClassPlace| p.source == entry.source;
        let known = out.iter().position(|g| g.class_place.as_ref().is_some_and(is_same));
        let index = known.unwrap_or_else(|| {
            let mut group = Group::new(load, Vec::new());
            let joined = match load {
                Load::Join => entry.joined_by_framework().iter().map(|n| n.to_string()).collect(),
                Load::Prefetch | Load::Count => Vec::new(),
            };
            group.class_place =
                Some(ClassPlace { kind: entry.kind, class, source: entry.source, node, queryset, joined });
            out.push(group);
            out.len() - 1
        });
        if let Some(group) = out.get_mut(index) {
            for read in reads {
                group.remote.push(remote(cx, entry, read, load));
            }
        }
    }
    for group in &mut out {
        unread(cx, group);
    }
    out
}

/// The class whose body holds the expression, for views that inherit `model`.
fn owner_of(cx: &Context<'_>, entry: &Entry, node: NodeId) -> Option<ClassId> {
    let program = cx.project.program();
    program.class(entry.class?).mro.iter().copied().find(|class| {
        let info = program.class(*class);
        info.file == cx.file && program.file(info.file).node(info.node).contains(node)
    })
}

/// Other entries of the same place that read something else.
fn unread(cx: &Context<'_>, group: &mut Group) {
    let Some(place) = &group.class_place else { return };
    super::entries::others(cx, place.source, group.load, &mut group.remote);
}

/// What stands in the way of the edit.
pub(super) fn hazards(cx: &Context<'_>, place: &ClassPlace, load: Load, out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    let info = program.class(place.class);
    let node = program.file(info.file).node(info.node);
    let blocked = |text: &str, at: Site| Hazard::at(HazardKind::NoPlaceToEdit, text, at);
    let class_site = program.name_site(info.file, info.node);
    if cx.project.is_known_file(info.file) || node.child(Field::Body).is_none() {
        out.push(blocked("the class is not the project's", class_site));
        return;
    }
    if matches!(place.kind, EntryKind::Choices | EntryKind::Feed | EntryKind::Sitemap) {
        out.push(blocked("the class only names the model", class_site));
        return;
    }
    if matches!(place.kind, EntryKind::Changelist | EntryKind::Inline) {
        let is_column = load == Load::Join && place.kind == EntryKind::Changelist;
        let name = if is_column { "list_select_related" } else { "get_queryset" };
        if let Some((owner, member)) = program.member(place.class, name)
            && (owner != place.class || names_in(cx, place.class, member).is_none())
        {
            out.push(blocked(&format!("`{name}` is set in another way"), class_site));
        }
        return;
    }
    if let Source::Above(..) = place.source {
        let above = match program.member(place.class, "get_queryset") {
            Some((_, Member::Function(function, _))) => *function,
            _ => return,
        };
        let facts = cx.analyzer.method_below(above, place.class);
        let given = facts.returns.iter().flat_map(Type::alternatives).filter_map(Type::queryset);
        let kept = given.flat_map(|qs| qs.values.iter()).find_map(|v| is_new(cx, &facts, *v).err());
        if let Some(site) = kept {
            out.push(Hazard::at(HazardKind::ResultCacheUsed, "", site.unwrap_or(class_site)));
        }
        return;
    }
    if node.text().contains("self.queryset") {
        out.push(blocked("the class looks at `self.queryset`", class_site));
    }
    if cx.model(place.queryset.model).manager(&cx.model(place.queryset.model).default_manager).is_none() {
        out.push(blocked("the model has no manager", class_site));
    }
}

/// The class of the admin in whose body `list_select_related` is assigned, and the one model that it is registered for;
/// nothing where a method says what is joined.
pub fn joining_class(cx: &Context<'_>, assignment: Node<'_>) -> Option<(ClassId, ModelId)> {
    if assignment.child(Field::Left)?.text() != "list_select_related" {
        return None;
    }
    let program = cx.project.program();
    let def = assignment.ancestors().find(|n| n.kind() == Kind::ClassDef)?;
    let class = program.class_at(cx.file, def.id())?;
    let registrations = cx.project.admin().registrations().iter();
    let below = registrations.filter(|r| r.class.is_some_and(|c| program.class(c).mro.contains(&class)));
    let mut models: Vec<ModelId> = below.map(|r| r.model).collect();
    models.sort();
    models.dedup();
    let [model] = models.as_slice() else { return None };
    let is_method =
        matches!(program.member(class, "get_list_select_related"), Some((_, Member::Function(..))));
    (!is_method).then_some((class, *model))
}

/// The literal list of names that a class attribute is.
pub fn names_in<'a>(cx: &Context<'a>, class: ClassId, member: &Member) -> Option<Node<'a>> {
    let Member::Value(value) = member else { return None };
    let file = cx.project.program().file(cx.project.program().class(class).file);
    let node = file.node(*value);
    match Expr::of(node) {
        Expr::List(items) | Expr::Tuple(items) => {
            items.children().all(|i| string_value(i).is_some()).then_some(node)
        }
        _ => None,
    }
}

/// The edit: `calls` are those that the queryset gets.
pub(super) fn rewrite(
    cx: &Context<'_>,
    group: &Group,
    place: &ClassPlace,
    calls: &str,
) -> Result<Fix, Hazard> {
    let program = cx.project.program();
    let info = program.class(place.class);
    let file = program.file(info.file);
    let class = file.node(info.node);
    let nowhere = || {
        let site = Site { file: info.file, span: class.span() };
        Hazard::at(HazardKind::NoPlaceToEdit, "the class has no body to add to", site)
    };
    let quote = quote_of(file);
    let names: Vec<String> =
        with_joined(group.lookups(), &place.joined).iter().map(|l| string_literal(l, quote)).collect();
    let body = class.child(Field::Body).ok_or_else(nowhere)?;
    let first = body.children().next().ok_or_else(nowhere)?;
    let indent = indentation(file, first).to_owned();
    let newline = file.source.newline().as_str();
    let edit = match (place.kind, group.load) {
        (EntryKind::Changelist, Load::Join) => {
            let existing = program.member(place.class, "list_select_related");
            match existing.and_then(|(_, member)| names_in(cx, place.class, member)) {
                Some(list) => extended(list, &names),
                None => {
                    let columns = assignment(body, "list_display");
                    let text = format!("list_select_related = {}", like_columns(body, &names));
                    match columns.map(|(statement, _)| statement).or_else(|| last_attribute(body)) {
                        Some(after) => Edit::insert(after.span().end, format!("{newline}{indent}{text}")),
                        // Before the methods, where there is nothing else.
                        None => Edit::insert(first.span().start, format!("{text}{newline}{newline}{indent}")),
                    }
                }
            }
        }
        (EntryKind::Changelist | EntryKind::Inline, _) => {
            get_queryset_with(file, class, &["request"], calls, cx.options.line_length).ok_or_else(nowhere)?
        }
        _ if matches!(place.source, Source::Above(..)) => {
            get_queryset_with(file, class, &[], calls, cx.options.line_length).ok_or_else(nowhere)?
        }
        _ => {
            let after = assignment(body, "model").map_or(first, |(s, _)| s);
            let model = file.node(place.node).text();
            let manager = manager_name(cx, place.queryset.model);
            let text = format!("queryset = {model}.{manager}{calls}");
            let line = statement(file, &text, &indent, cx.options.line_length);
            Edit::insert(after.span().end, format!("{newline}{line}"))
        }
    };
    Ok(Fix { edits: vec![FileEdit { file: info.file, edit }], ..Fix::default() })
}

/// `names` as a list or a tuple, whichever the class body has for its columns.
pub fn like_columns(body: Node<'_>, names: &[String]) -> String {
    let is_list = |(_, value): (Node<'_>, Node<'_>)| matches!(Expr::of(value), Expr::List(_));
    match (assignment(body, "list_display").is_some_and(is_list), names) {
        (true, _) => format!("[{}]", names.join(", ")),
        (false, [only]) => format!("({only},)"),
        (false, _) => format!("({})", names.join(", ")),
    }
}

/// A `get_queryset()` at the end of a class that makes `calls`, `.prefetch_related("books")`, on the rows of the one above;
/// `given` are its parameters after `self`.
pub fn get_queryset_with(
    file: &File,
    class: Node<'_>,
    given: &[&str],
    calls: &str,
    line_length: usize,
) -> Option<Edit> {
    let body = class.child(Field::Body)?;
    let (first, last) = (body.children().next()?, body.children().last()?);
    let (newline, unit) = (file.source.newline().as_str(), file.source.indent_unit());
    let indent = indentation(file, first);
    let call = format!("return super().get_queryset({}){calls}", given.join(", "));
    let line = statement(file, &call, &format!("{indent}{unit}"), line_length);
    let parameters = [&["self"], given].concat().join(", ");
    let text = format!("{newline}{newline}{indent}def get_queryset({parameters}):{newline}{line}");
    Some(Edit::insert(last.span().end, text))
}

/// The lookups and what was joined without them: sorted, without those that a longer one holds.
fn with_joined(mut lookups: Vec<String>, joined: &[String]) -> Vec<String> {
    lookups.extend(joined.iter().cloned());
    lookups.sort();
    lookups.dedup();
    let all = lookups.clone();
    lookups.retain(|l| !all.iter().any(|o| o.starts_with(&format!("{l}__"))));
    lookups
}

/// `names` added to a list or tuple display.
fn extended(list: Node<'_>, names: &[String]) -> Edit {
    let last = list.children().last();
    match last {
        Some(last) => {
            let text: String = names.iter().map(|n| format!(", {n}")).collect();
            Edit::insert(last.span().end, text)
        }
        None => {
            let text = names.join(", ");
            let is_list = matches!(Expr::of(list), Expr::List(_));
            let text = if is_list { format!("[{text}]") } else { format!("({text},)") };
            Edit::replace(list.span(), text)
        }
    }
}

/// The statement of a class body that assigns `name`, and the value.
fn assignment<'a>(body: Node<'a>, name: &str) -> Option<(Node<'a>, Node<'a>)> {
    body.children().find_map(|statement| {
        let assign = match statement.kind() {
            Kind::Assign => statement,
            _ => statement.children().find(|c| c.kind() == Kind::Assign)?,
        };
        let target = assign.child(Field::Left)?;
        (target.text() == name).then_some((statement, assign.child(Field::Right)?))
    })
}

/// The last of the assignments that a class body begins with.
pub(super) fn last_attribute(body: Node<'_>) -> Option<Node<'_>> {
    body.children()
        .take_while(|s| !matches!(s.kind(), Kind::FunctionDef | Kind::DecoratedDef | Kind::ClassDef))
        .last()
}
