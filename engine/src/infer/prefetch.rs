//! Which relations the project prefetches anywhere: what an instance from elsewhere may bring along.

use super::analyzer::Analyzer;
use super::types::Name;
use crate::django::Project;
use crate::python::touched::{Things, aside, touch_file, touch_name};
use crate::python::{Expr, Kind, Node, NodeId, arguments, string_value};
use crate::text::{FileId, Site};
use rustc_hash::FxHashMap;
use std::sync::OnceLock;

/// What every text that prefetches has in it.
const WORD: &str = "refetch";

/// Every relation that some `prefetch_related()` or `Prefetch` of the program names.
#[derive(Debug, Default)]
pub struct Prefetches {
    names: FxHashMap<Name, Site>,
    /// A call whose arguments are not literal could prefetch anything.
    open: Option<Site>,
    /// The places that write the cache of prefetched rows by hand.
    filled: Vec<(FileId, NodeId)>,
}

impl Prefetches {
    /// Where the relation `accessor` of some model may be prefetched.
    pub fn of(&self, accessor: &str) -> Option<Site> {
        self.named(accessor).or_else(|| self.open.inspect(|site| touch_file(site.file)))
    }

    /// The places that write `_prefetched_objects_cache` by hand: the attribute, or its name as a string.
    pub fn filled(&self) -> &[(FileId, NodeId)] {
        self.filled.iter().for_each(|(file, _)| touch_file(*file));
        &self.filled
    }

    /// Where the relation `accessor` of some model is prefetched by that name.
    pub fn named(&self, accessor: &str) -> Option<Site> {
        touch_name(accessor);
        self.names.get(accessor).copied().inspect(|site| touch_file(site.file))
    }

    /// What is asked without the name of a relation, as far as it does not stand in `file`.
    fn open_beside(&self, file: FileId) -> (Option<FileId>, Vec<(FileId, NodeId)>) {
        let beside = self.filled.iter().copied().filter(|(other, _)| *other != file);
        (self.open.map(|site| site.file), beside.collect())
    }
}

impl Analyzer<'_> {
    /// What the project prefetches.
    pub fn prefetches(&self) -> &Prefetches {
        self.prefetches.get_or_init(|| aside(|| collect(self.project)))
    }
}

/// `file` has changed: also which relations are prefetched now, or were. False if other ones may be, whose names are not
/// known.
pub(super) fn update(
    known: &mut OnceLock<Prefetches>,
    file: FileId,
    (before, after): (&Project, &Project),
    changed: &mut Things,
) -> bool {
    let Some(old) = known.get() else { return true };
    let mentions = |project: &Project| project.program().file(file).source.mentions(WORD);
    if !mentions(before) && !mentions(after) {
        return true;
    }
    let new = collect(after);
    for name in old.names.keys().chain(new.names.keys()) {
        let place = |prefetches: &Prefetches| prefetches.names.get(name).map(|site| site.file);
        if place(old) != place(&new) {
            changed.add_name(name);
        }
    }
    let is_same = old.open_beside(file) == new.open_beside(file);
    *known = OnceLock::from(new);
    is_same
}

fn collect(project: &Project) -> Prefetches {
    let mut out = Prefetches::default();
    for id in project.program().file_ids() {
        let file = project.program().file(id);
        let text = file.source.text();
        if !text.contains(WORD) || file.ast.is_empty() || project.is_known_file(id) {
            continue;
        }
        for node in file.root().descendants() {
            match node.kind() {
                Kind::Call => call(node, id, &mut out),
                // Packages and base classes read such lists from attributes and arguments.
                Kind::Assign | Kind::KeywordArgument => {
                    let target = node.children().next().filter(|t| t.text().contains("prefetch"));
                    if target.is_some() {
                        strings(node, id, &mut out);
                    }
                }
                Kind::Attribute | Kind::Str
                    if node.text().contains("_prefetched_objects_cache") && fills_cache(node) =>
                {
                    out.open.get_or_insert(Site { file: id, span: node.span() });
                    out.filled.push((id, node.id()));
                }
                _ => {}
            }
        }
    }
    out
}

/// Whether the cache of prefetched rows is written by hand here, rather than read or cleared.
fn fills_cache(node: Node<'_>) -> bool {
    let Some(parent) = node.parent() else { return false };
    match parent.kind() {
        Kind::Assign => node.field() == crate::python::Field::Left,
        Kind::Subscript => parent.parent().is_some_and(|p| p.kind() == Kind::Assign),
        Kind::Attribute => {
            matches!(Expr::of(parent), Expr::Attribute { attr: "update" | "setdefault", .. })
        }
        Kind::Arguments => parent.parent().is_some_and(|c| c.text().starts_with("setattr")),
        _ => false,
    }
}

fn strings(node: Node<'_>, file: FileId, out: &mut Prefetches) {
    for text in node.descendants().filter_map(|n| string_value(n).map(|s| (n, s))) {
        lookup(&text.1, Site { file, span: text.0.span() }, out);
    }
}

fn lookup(path: &str, site: Site, out: &mut Prefetches) {
    for part in path.split("__") {
        out.names.entry(Name::from(part)).or_insert(site);
    }
}

fn call(node: Node<'_>, file: FileId, out: &mut Prefetches) {
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return };
    let name = match Expr::of(func) {
        Expr::Name(name) => name,
        Expr::Attribute { attr, .. } => attr,
        _ => return,
    };
    let site = Site { file, span: node.span() };
    let all = arguments(list);
    match name {
        "Prefetch" => match all.iter().find(|a| a.name.is_none() || a.name == Some("lookup")) {
            Some(first) if first.stars == 0 => match string_value(first.value) {
                Some(path) => lookup(&path, site, out),
                None => out.open = out.open.or(Some(site)),
            },
            _ => out.open = out.open.or(Some(site)),
        },
        "prefetch_related" | "prefetch_related_objects" | "aprefetch_related_objects" => {
            let skip = usize::from(name != "prefetch_related");
            for argument in all.iter().skip(skip) {
                if !literal(argument.value, argument.stars, site, out) {
                    out.open.get_or_insert(site);
                }
            }
        }
        _ => {}
    }
}

/// Note the lookups of one argument; false where it could be anything.
fn literal(value: Node<'_>, stars: u8, site: Site, out: &mut Prefetches) -> bool {
    if let Some(path) = string_value(value) {
        lookup(&path, site, out);
        return true;
    }
    match Expr::of(value) {
        Expr::None => true,
        Expr::List(list) | Expr::Tuple(list) if stars == 1 => {
            list.children().all(|item| literal(item, 0, site, out))
        }
        // A `Prefetch` speaks for itself, wherever it is made.
        Expr::Call { func, .. } => func.text().ends_with("Prefetch"),
        Expr::Name(name) => made_here(value, name),
        _ => false,
    }
}

/// Whether every assignment of `name` in its file makes a `Prefetch`.
fn made_here(node: Node<'_>, name: &str) -> bool {
    let mut found = false;
    for assign in node.at(crate::python::NodeId(0)).descendants().filter(|n| n.kind() == Kind::Name) {
        if assign.text() != name || assign == node.peel() {
            continue;
        }
        let parent = assign.parent().filter(|p| p.kind() == Kind::Assign);
        let made = parent.and_then(|p| p.child(crate::python::Field::Right)).is_some_and(
            |v| matches!(Expr::of(v), Expr::Call { func, .. } if func.text().ends_with("Prefetch")),
        );
        if made && assign.field() == crate::python::Field::Left {
            found = true;
        } else if assign.field() != crate::python::Field::None {
            return false;
        }
    }
    found
}
