//! Every call of the program by the name that is called, for questions about the callers of a function.

use super::analyzer::Analyzer;
use super::by_name::{ByName, Placed, replace_in};
use crate::django::Project;
use crate::python::touched::{Things, aside, touch_name};
use crate::python::{ClassId, Expr, Field, FunctionId, Kind, Node, NodeId, Program, arguments, string_value};
use crate::text::FileId;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A call.
#[derive(Clone, Copy, Debug)]
pub struct CallSite {
    /// The file it stands in.
    pub file: FileId,
    /// The call.
    pub call: NodeId,
    /// The function whose frame it belongs to; nothing for the module's.
    pub function: Option<FunctionId>,
}

impl Placed for CallSite {
    fn file(&self) -> FileId {
        self.file
    }

    fn is_like(&self, other: &CallSite) -> bool {
        (self.file, self.function) == (other.file, other.function)
    }
}

/// The name under which it is asked for what asks for `queryset`.
const QUERYSET: &str = ".queryset";

/// The calls of the program, those in the modules that ormend brings along left out.
#[derive(Debug, Default)]
pub struct CallSites {
    by_name: ByName<CallSite>,
    querysets: Vec<CallSite>,
}

impl CallSites {
    /// The calls of something called `name`, by file and position: `name()`, `x.name()`, and `alias()` where the file
    /// has imported or assigned `name` under that alias.
    pub fn of(&self, name: &str) -> &[CallSite] {
        self.by_name.of(name)
    }

    /// The places that ask something for its attribute `queryset`, also by name: `getattr(view, "queryset")`.
    pub fn querysets(&self) -> &[CallSite] {
        touch_name(QUERYSET);
        &self.querysets
    }
}

impl Analyzer<'_> {
    /// Every call of the program. Parallel: see [`Analyzer::prepare`].
    pub fn call_sites(&self) -> &Arc<CallSites> {
        self.call_sites.get_or_init(|| Arc::new(collect(self.project)))
    }

    /// The classes of the program whose bodies name forms, or inlines of the admin, for the framework.
    pub fn form_users(&self) -> &[ClassId] {
        self.form_users.get_or_init(|| aside(|| form_users(self.project)))
    }
}

pub(super) fn form_users(project: &Project) -> Vec<ClassId> {
    let program = project.program();
    let names = ["form_class", "form", "get_form_class", "inlines"];
    let has_one = |class: &ClassId| names.iter().any(|n| program.class(*class).members.contains_key(*n));
    program.class_ids().filter(has_one).collect()
}

fn collect(project: &Project) -> CallSites {
    let own: Vec<FileId> = project.program().file_ids().filter(|f| !project.is_known_file(*f)).collect();
    let of_files: Vec<OfFile<'_>> =
        own.into_par_iter().map(|file| aside(|| of_file(project.program(), file))).collect();
    let mut out = CallSites::default();
    for OfFile { named, querysets } in of_files {
        out.querysets.extend(querysets);
        named.into_iter().for_each(|(name, site)| out.by_name.push(name, site));
    }
    out
}

impl CallSites {
    /// `file` has changed: also which calls it has, and had.
    pub(super) fn update(&mut self, file: FileId, before: &Project, after: &Project, changed: &mut Things) {
        let (before, after) = (of_file(before.program(), file), of_file(after.program(), file));
        let functions = |sites: &[CallSite]| sites.iter().map(|site| site.function).collect::<Vec<_>>();
        if functions(&before.querysets) != functions(&after.querysets) {
            changed.add_name(QUERYSET);
        }
        self.by_name.replace(file, before.named, after.named, changed);
        replace_in(&mut self.querysets, file, after.querysets);
    }
}

/// The calls of a file, each under the names that it may stand for.
#[derive(Default)]
struct OfFile<'a> {
    named: Vec<(&'a str, CallSite)>,
    querysets: Vec<CallSite>,
}

fn of_file(program: &Program, file: FileId) -> OfFile<'_> {
    let mut out = OfFile::default();
    let parsed = program.file(file);
    if parsed.ast.is_empty() || parsed.ast.is_too_deep() {
        return out;
    }
    let mut aliases: FxHashMap<&str, Vec<&str>> = FxHashMap::default();
    let mut calls: Vec<(&str, bool, NodeId)> = Vec::new();
    let around = |node: NodeId| {
        let mut around = parsed.node(node).ancestors().filter(|a| a.kind() == Kind::FunctionDef);
        around.find_map(|def| program.function_at(file, def.id()))
    };
    let site = |call: NodeId| CallSite { file, call, function: around(call) };
    for node in parsed.root().descendants() {
        match node.kind() {
            Kind::Call => {
                let Some((name, is_bare)) = called(node) else { continue };
                calls.push((name, is_bare, node.id()));
                if name == "getattr" && names_queryset(node) {
                    out.querysets.push(site(node.id()));
                }
            }
            Kind::Attribute if !node.is_binding() => {
                if matches!(Expr::of(node), Expr::Attribute { attr: "queryset", .. }) {
                    out.querysets.push(site(node.id()));
                }
            }
            Kind::AliasedImport | Kind::Assign => {
                if let Some((alias, name)) = alias(node) {
                    aliases.entry(alias).or_default().push(name);
                }
            }
            _ => {}
        }
    }
    for (name, is_bare, call) in calls {
        let site = site(call);
        let others = aliases.get(name).filter(|_| is_bare).into_iter().flatten().copied();
        out.named.extend(std::iter::once(name).chain(others).map(|name| (name, site)));
    }
    out
}

/// `getattr(view, "queryset")`
fn names_queryset(call: Node<'_>) -> bool {
    let Expr::Call { arguments: list, .. } = Expr::of(call) else { return false };
    arguments(list).get(1).and_then(|a| string_value(a.value)).is_some_and(|name| name == "queryset")
}

/// The name that a call calls, and whether it stands alone.
fn called(call: Node<'_>) -> Option<(&str, bool)> {
    let Expr::Call { func, .. } = Expr::of(call) else { return None };
    match Expr::of(func) {
        Expr::Name(name) => Some((name, true)),
        Expr::Attribute { attr, .. } => Some((attr, false)),
        _ => None,
    }
}

/// `from m import name as alias`, `alias = name`, `alias = x.name`
fn alias(node: Node<'_>) -> Option<(&str, &str)> {
    let (left, right) = match node.kind() {
        Kind::AliasedImport => (node.child(Field::Alias)?, node.child(Field::Name)?),
        _ => (node.child(Field::Left)?, node.child(Field::Right)?),
    };
    let Expr::Name(alias) = Expr::of(left) else { return None };
    let name = match Expr::of(right) {
        Expr::Name(name) => name,
        Expr::Attribute { attr, .. } => attr,
        _ if right.kind() == Kind::DottedName => right.text().rsplit('.').next()?,
        _ => return None,
    };
    (alias != name).then_some((alias, name))
}
