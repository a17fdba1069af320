//! What a framework does by itself with the rows of a queryset that the program gives it: a list view renders them, a
//! serializer writes their fields, the admin's changelist shows their columns.
//!
//! Such an *entry* is a frame without code. Its facts are made as if the framework's own steps stood in the class: the
//! queryset is asked for, its rows are gone over, and what is read of each is an event, at the place that asks for it (a
//! field of a serializer, a column of a changelist, a variable of a template). A new kind of reader is a module here that
//! makes entries; everything after that is shared.
//!
//! An entry says what certainly happens. Where a class of the program overrides a step in a way that is not followed,
//! there is no entry.

mod admin;
mod choices;
mod given;
mod handlers;
mod items;
mod named;
mod rest;
mod views;

pub(super) use rest::Unread;
pub use rest::{REFUSING, updates_one_object};

use super::analyzer::Analyzer;
use super::facts::Facts;
use super::frame::Frame;
use super::memo::Stack;
use super::types::{Name, Type, ValueId};
use crate::django::unknown_base;
use crate::python::touched::{self, Things, Touched};
use crate::python::{ClassId, Field, FunctionId, Kind, Member, Node, NodeId, Program};
use crate::text::{FileId, Site};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// Where the queryset of an entry is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A function of the program returns it: `get_queryset()`.
    Function(FunctionId),
    /// An expression in a class body: `queryset = Book.objects.all()`.
    Expression(FileId, NodeId),
    /// The class only names the model, at this expression: `model = Book`, or where the model is registered.
    Model(FileId, NodeId),
    /// A `get_queryset()` of a class above goes by the model that the class names at this expression.
    Above(FileId, NodeId),
}

/// What shows the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// The list action of a view or viewset of Django REST framework.
    ListAction,
    /// The changelist of a ModelAdmin.
    Changelist,
    /// The template of a generic view of Django's, for the rows of a list view or of a queryset in the context.
    ListView,
    /// The handler of a view of the project, which stands in a class above the view.
    Handler,
    /// The template of a generic view of one object: only what it reads of rows that hang on the object is shown row by
    /// row.
    DetailView,
    /// The rows of an inline below the form of an object in the admin.
    Inline,
    /// The options of a form's field that lets choose among rows.
    Choices,
    /// A feed.
    Feed,
    /// A sitemap.
    Sitemap,
    /// A template, for the rows that something of the program gives to it by itself: a tag, a property or a method of what
    /// its names stand for.
    Template,
}

/// A framework's use of the rows of one queryset.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What shows them.
    pub kind: EntryKind,
    /// The class that says so: the view, the ModelAdmin. A template may have none.
    pub class: Option<ClassId>,
    /// The place that says so: the name of the class, or what in a template asks for the rows.
    pub at: Site,
    /// Where the queryset is built.
    pub source: Source,
    /// The queryset in `facts`.
    pub rows: ValueId,
    /// What is read of its rows.
    pub facts: Arc<Facts>,
    /// Where the class asks for one object, or for rows, of the same queryset for something that no read of this entry
    /// stands for, so that a prefetch costs a query there.
    pub single_objects: Option<SingleObjects>,
    /// A base of the class that is not known, and may show other rows or in another way: where it comes from.
    pub unknown_base: Option<String>,
    /// What calls on unknown objects do is to be found again.
    are_guesses_outdated: bool,
}

/// What finds entries, and for which ids.
pub(super) type EntryKey = (&'static str, u32, u32);

/// Other uses of an entry's queryset: one object of it, rows for another action.
#[derive(Clone, Debug)]
pub struct SingleObjects {
    /// The name of the class that has such an action.
    pub site: Site,
    /// What each use reads of a row, where that is known to the end for all of them; else none.
    pub answers: Vec<Entry>,
}

impl SingleObjects {
    /// Nothing is known of what is read.
    pub fn at(site: Site) -> SingleObjects {
        SingleObjects { site, answers: Vec::new() }
    }
}

impl Entry {
    /// What is shown of the rows of a queryset, by no class.
    fn new(kind: EntryKind, at: Site, (source, rows): (Source, ValueId), facts: Arc<Facts>) -> Entry {
        Entry {
            kind,
            class: None,
            at,
            source,
            rows,
            facts,
            single_objects: None,
            unknown_base: None,
            are_guesses_outdated: false,
        }
    }

    /// What a class shows of the rows of a queryset.
    fn of_class(
        analyzer: &Analyzer<'_>,
        kind: EntryKind,
        class: ClassId,
        (source, rows): (Source, ValueId),
        facts: Arc<Facts>,
    ) -> Entry {
        let program = analyzer.project.program();
        let info = program.class(class);
        let at = program.name_site(info.file, info.node);
        let unknown_base = unknown_base(program, class);
        Entry { class: Some(class), unknown_base, ..Entry::new(kind, at, (source, rows), facts) }
    }

    /// What a template shows of the rows of a queryset that it asks for at `at`, in a view of `class` if that is known.
    fn of_template(
        class: Option<ClassId>,
        at: Site,
        (source, rows): (Source, ValueId),
        facts: Arc<Facts>,
    ) -> Entry {
        Entry { class, ..Entry::new(EntryKind::Template, at, (source, rows), facts) }
    }

    /// Throw away what was found in `changed`, by which the entry is not another one.
    pub(super) fn forget(&mut self, changed: &Things) {
        self.facts.found.forget(changed);
        self.are_guesses_outdated |= self.facts.guesses.are_outdated(changed);
        let answers = self.single_objects.iter_mut().flat_map(|other| &mut other.answers);
        answers.for_each(|answer| answer.forget(changed));
    }

    /// What shows the rows, for messages.
    pub fn name(&self, program: &Program) -> String {
        match self.class {
            Some(class) if self.kind != EntryKind::Template => program.class(class).name.clone(),
            _ => program.file(self.at.file).source.slice(self.at.span).to_owned(),
        }
    }

    /// The relations that the framework joins by itself and reads, as long as the queryset asks for no join: with an
    /// own `select_related()` in the queryset of a changelist all of them are read row by row.
    pub fn joined_by_framework(&self) -> Vec<&Name> {
        let Some(rows) = self.facts.value(self.rows) else { return Vec::new() };
        let given = rows.parent.and_then(|parent| self.facts.value(parent)?.queryset.as_deref());
        match (self.kind, &rows.queryset, given) {
            (EntryKind::Changelist, Some(rows), Some(given)) => {
                rows.selected.difference(&given.selected).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The entries of a program, and which files build their querysets.
#[derive(Debug, Default)]
pub(super) struct Entries {
    all: Vec<Entry>,
    by_file: FxHashMap<FileId, Vec<usize>>,
    named: FxHashSet<(FileId, NodeId)>,
    touched: Touched,
}

impl Analyzer<'_> {
    /// Every entry of the program, in order of files and positions.
    pub fn entries(&self) -> &[Entry] {
        &self.all_entries().all
    }

    /// The entries whose queryset `file` builds, or whose model it names.
    pub fn entries_from(&self, file: FileId) -> impl Iterator<Item = &Entry> {
        let entries = self.all_entries();
        let indexes = entries.by_file.get(&file).map_or(&[][..], Vec::as_slice);
        indexes.iter().filter_map(|i| entries.all.get(*i))
    }

    /// Whether the expression names the model of an entry.
    pub fn names_model_of_entry(&self, file: FileId, node: NodeId) -> bool {
        self.all_entries().named.contains(&(file, node))
    }

    fn all_entries(&self) -> &Entries {
        let entries = self.entries.get_or_init(|| {
            let collect = || self.noting(|| touched::record(|| self.collect_entries()));
            let (entries, touched) = touched::aside(collect);
            Entries { touched, ..entries }
        });
        touched::again(&entries.touched);
        entries
    }

    fn collect_entries(&self) -> Entries {
        let of_classes = || {
            let mut out = Vec::new();
            rest::collect(self, &mut out);
            admin::collect(self, &mut out);
            views::collect(self, &mut out);
            handlers::collect(self, &mut out);
            choices::collect(self, &mut out);
            items::collect(self, &mut out);
            out
        };
        let of_classes = || self.noting(|| touched::record(of_classes));
        let ((mut out, touched), given) = rayon::join(of_classes, || given::rendered(self));
        touched::again(&touched);
        given::collect(self, given, &mut out);
        let mut entries = Entries { all: out, ..Entries::default() };
        for (i, entry) in entries.all.iter().enumerate() {
            let file = match entry.source {
                Source::Function(function) => self.project.program().function(function).file,
                Source::Expression(file, _) => file,
                Source::Model(file, node) | Source::Above(file, node) => {
                    entries.named.insert((file, node));
                    file
                }
            };
            entries.by_file.entry(file).or_default().push(i);
        }
        entries
    }

    /// The entries that `find` finds for `key`. They are found once in a program that changes.
    fn entries_of(&self, key: EntryKey, find: impl FnOnce() -> Vec<Entry>) -> Vec<Entry> {
        if !self.is_noting() {
            return find();
        }
        let mut entries = self.entry_answers.get_or(key, find);
        let mut fresh = Vec::new();
        entries.iter_mut().for_each(|entry| self.refresh(entry, &mut fresh));
        if !fresh.is_empty() {
            self.entry_answers.set(&key, entries.clone());
        }
        entries
    }

    /// Find again what calls on unknown objects do. Entries with the same facts have the same ones afterwards: those before
    /// are in `fresh`, with those after.
    fn refresh(&self, entry: &mut Entry, fresh: &mut Vec<(Arc<Facts>, Arc<Facts>)>) {
        if std::mem::take(&mut entry.are_guesses_outdated) {
            let known = fresh.iter().find(|(before, _)| Arc::ptr_eq(before, &entry.facts));
            let after = known.map(|(_, after)| after.clone()).unwrap_or_else(|| {
                let after = self.expanded_again(&entry.facts);
                fresh.push((entry.facts.clone(), after.clone()));
                after
            });
            entry.facts = after;
        }
        let answers = entry.single_objects.iter_mut().flat_map(|other| &mut other.answers);
        answers.for_each(|answer| self.refresh(answer, fresh));
    }

    /// Work out what takes all of the project, on all threads. Not to be asked for inside of a parallel loop that asks for
    /// entries: a thread that waits there might be the one that is waited for.
    pub fn prepare(&self) {
        self.words();
        self.call_sites();
        self.all_entries();
    }

    /// A frame for what is done on behalf of `class`, and the node that its events are recorded at: the name of the class.
    pub(super) fn on_behalf<'f, T>(
        &'f self,
        class: ClassId,
        run: impl FnOnce(&mut Frame<'f, '_>, Node<'f>) -> Option<T>,
    ) -> Option<(T, Facts)> {
        let info = self.project.program().class(class);
        self.aside(info.file, info.node, Some(class), run)
    }

    /// A frame for what is done because of a definition, and the node that its events are recorded at: the name that is
    /// defined.
    fn aside<'f, T>(
        &'f self,
        file: FileId,
        definition: NodeId,
        class: Option<ClassId>,
        run: impl FnOnce(&mut Frame<'f, '_>, Node<'f>) -> Option<T>,
    ) -> Option<(T, Facts)> {
        let node = self.project.program().file(file).node(definition);
        let name = node.child(Field::Name)?;
        let mut stack = Stack::default();
        let mut frame = Frame::new(self, &mut stack, file, node, class);
        let out = run(&mut frame, name)?;
        let facts = frame.finish().0;
        Some((out, self.expanded(facts, &mut Stack::default())))
    }
}

/// Whether a class of the program defines the method and does not hand on to the framework's.
fn overrides_quietly(program: &Program, class: ClassId, name: &str) -> bool {
    let Some((_, member)) = program.member(class, name) else { return false };
    let Member::Function(function, _) = member else { return true };
    let info = program.function(*function);
    let def = program.file(info.file).node(info.node);
    !def.text().contains(&format!("super().{name}(")) && !def.text().contains(&format!(").{name}("))
}

impl<'a> Frame<'a, '_> {
    /// What `self.get_queryset()`, or else the attribute `queryset`, gives in an object of `class`, and where it is
    /// built. Nothing where the class says neither in a way that is followed, or only names a model.
    pub(super) fn class_queryset(&mut self, class: ClassId, node: Node<'a>) -> Option<(Source, Type)> {
        let program = self.az.project.program();
        if let Some((_, member)) = program.member(class, "get_queryset") {
            let Member::Function(function, _) = member else { return None };
            let function = *function;
            let ty = self.call_function(function, Some(Type::Object(class)), &[], node);
            // A base or a mixin narrows what the class names.
            let source = named::named_source(self, class, function)
                .or_else(|| named::source_above(self, class, function, &ty));
            return Some((source.unwrap_or(Source::Function(function)), ty));
        }
        let (owner, Member::Value(value)) = program.member(class, "queryset")? else { return None };
        let (owner, value) = (owner, *value);
        let file = program.class(owner).file;
        if program.file(file).node(value).kind() == Kind::None {
            return None;
        }
        let ty = self.class_value(owner, value, node);
        let ty = self.narrowed_on_self(class, "queryset", ty);
        Some((Source::Expression(file, value), ty))
    }
}
