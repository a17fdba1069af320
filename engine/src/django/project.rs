//! The index of a whole project.

use super::models::Models;
use super::patches::{self, Part, Patch, Patched};
use super::replaced::{self, Replaced, Replacement};
use super::signs::{Sign, Signs};
use super::tables::Tables;
use super::templates::{Found, Template, Templates};
use super::values::{Mentions, Values};
use super::{
    Admin, Field, Manager, Model, ModelId, Names, Receiver, Registration, RelationKind, Settings, Signal,
    admin, historical, managers, settings, signals, stubs,
};
use crate::python::per_file::PerFile;
use crate::python::touched::{self, Things, Touched, touch_file};
use crate::python::{ClassId, Def, FunctionId, Member, NodeId, Parsed, Program};
use crate::text::{FileId, Site, Source};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::{Arc, OnceLock};

/// Everything known about the project, read-only.
#[derive(Clone, Debug, Default)]
pub struct Project {
    pub(super) program: Program,
    pub(super) models: Arc<Models>,
    pub(super) receivers: Vec<Receiver>,
    settings: Settings,
    templates: Templates,
    by_signal: FxHashMap<Signal, Vec<usize>>,
    pub(super) patches: Vec<Patch>,
    pub(super) replaced: Replaced,
    pub(super) admin: Admin,
    names: Names,
    pub(super) tables: Tables,
    /// Whether each file holds tests.
    is_test: Vec<bool>,
    in_files: InFiles,
    pub(super) signs: Signs,
    /// Whether it is noted what things are found in, see [`Project::noting_what_is_touched`].
    pub(super) is_noting: bool,
    /// See [`Project::field_droppers`].
    pub(super) field_droppers: OnceLock<Vec<FunctionId>>,
    /// What [`Project::unknown_parts`] says of each model.
    pub(super) unknown_parts: UnknownParts,
    /// What they were found in.
    parts_touched: Touched,
}

/// By model.
type UnknownParts = Arc<Vec<Vec<(String, Site)>>>;

/// What files say one by one.
#[derive(Clone, Debug, Default)]
struct InFiles {
    patches: PerFile<Vec<Patch>>,
    receivers: PerFile<signals::InFile>,
    replaced: PerFile<Vec<(String, Replacement)>>,
    registered: PerFile<Vec<Registration>>,
}

/// What all else of a project is found by.
pub(super) struct Basis {
    pub program: Program,
    pub settings: Settings,
    pub signs: Signs,
    pub models: Arc<Models>,
    pub is_noting: bool,
}

impl Basis {
    /// The files that have changed since `before`. Nothing where what was found there in files by themselves is of no use here.
    fn changed_since(&self, before: &Project) -> Option<Things> {
        let changed = self.program.changed_since(&before.program)?;
        self.is_like(before, &changed).then_some(changed)
    }

    /// Whether settings and models are those of `before`, places in files that have `changed` aside.
    pub fn is_like(&self, before: &Project, changed: &Things) -> bool {
        self.settings == before.settings && self.models.is_like(&before.models, changed)
    }

    /// The project; with what `before` has found, where it is known what has changed since also file by file.
    pub fn project(self, before: Option<&Project>, changed: Option<&Things>) -> Project {
        let Basis { program, settings, signs, models, is_noting } = self;
        let templates =
            Templates::new(&program, &settings, &signs, before.map(|b| (&b.program, &b.templates)));
        let is_test = program.file_ids().map(|file| is_test_path(&program, file)).collect();
        let mut project = Project {
            program,
            templates,
            models,
            receivers: Vec::new(),
            settings,
            by_signal: FxHashMap::default(),
            patches: Vec::new(),
            replaced: Replaced::default(),
            field_droppers: OnceLock::new(),
            admin: Admin::default(),
            names: Names::default(),
            tables: Tables::default(),
            is_test,
            unknown_parts: UnknownParts::default(),
            parts_touched: Touched::default(),
            in_files: InFiles::default(),
            signs,
            is_noting,
        };
        project.in_files = project.look_into_files(before.zip(changed));
        project.patches = project.in_files.patches.iter().flatten().cloned().collect();
        project.receivers = signals::receivers(
            &project.program,
            &project.settings,
            &project.in_files.receivers,
            project.models(),
            &project.models.by_class,
            |label| project.model_by_label(label),
        );
        for (index, receiver) in project.receivers.iter().enumerate() {
            project.by_signal.entry(receiver.signal).or_default().push(index);
        }
        let files: Vec<FileId> = project.program.file_ids().filter(|f| !project.is_known_file(*f)).collect();
        project.replaced = Replaced::new(&project.in_files.replaced);
        project.admin = project.admin_index().admin(&files, &project.in_files.registered);
        project.names = Names::new(project.models());
        project.tables = Tables::new(project.models.all.len());
        (project.unknown_parts, project.parts_touched) = project.find_unknown_parts(before.zip(changed));
        project
    }
}

impl Project {
    /// Index `sources`. Django's contrib models and those of some well-known packages are known without being
    /// among them.
    pub fn build(sources: Vec<Source>) -> Project {
        Project::of(sources.into_par_iter().map(Parsed::new).collect())
    }

    /// Index files that are parsed; see [`Project::build`].
    pub fn of(files: Vec<Parsed>) -> Project {
        Project::link(files, None, false).0
    }

    /// As [`Project::of`], for files that are going to be edited: see [`Project::changed`].
    pub(crate) fn noting_what_is_touched(files: Vec<Parsed>) -> Project {
        Project::link(files, None, true).0
    }

    /// Link `files`; with what `before` has found in those that are the same there. Also which files have changed since then,
    /// see [`Program::changed_since`].
    fn link(mut files: Vec<Parsed>, before: Option<&Project>, is_noting: bool) -> (Project, Option<Things>) {
        let known = stubs::files(&files);
        files.extend(known);
        let mut program = Program::link(files);
        let signs = Signs::read(&program, before.map(|before| &before.signs));
        let settings = settings::settings(&program, &signs);
        let mut build = || Arc::new(Models::build(&mut program, &settings));
        let models = if is_noting { touched::noting(build) } else { build() };
        let basis = Basis { program, settings, signs, models, is_noting };
        let changed = before.filter(|_| is_noting).and_then(|before| basis.changed_since(before));
        (basis.project(before, changed.as_ref()), changed)
    }

    /// What [`Project::unknown_parts`] says of each model, and what that was found in.
    fn find_unknown_parts(&self, before: Option<(&Project, &Things)>) -> (UnknownParts, Touched) {
        let all = &self.models.all;
        if !self.is_noting {
            let parts = all.par_iter().map(|model| self.parts_of(model)).collect();
            return (Arc::new(parts), Touched::default());
        }
        let is_known = |(before, changed): &(&Project, &Things)| {
            Arc::ptr_eq(&self.models, &before.models)
                && self.patches == before.patches
                && !before.parts_touched.any_of(changed)
        };
        if let Some((before, _)) = before.filter(is_known) {
            return (before.unknown_parts.clone(), before.parts_touched.clone());
        }
        let find = || all.iter().map(|model| self.parts_of(model)).collect();
        let (parts, touched) = touched::noting(|| touched::record(find));
        (Arc::new(parts), touched)
    }

    /// Look at each file for what it says by itself; what `before` found in what is the same is taken from there.
    fn look_into_files(&self, before: Option<(&Project, &Things)>) -> InFiles {
        let named = before.map(|(before, changed)| self.program.with_names(&before.program, changed));
        let changed = before.zip(named.as_ref()).map(|((before, _), named)| (&before.in_files, named));
        let (count, is_noting, program) = (self.program.files().len(), self.is_noting, &self.program);
        let is_own = |file: &FileId| !self.is_known_file(*file) && !self.is_test_file(*file);
        let values = Values { program, settings: &self.settings };
        let names: FxHashSet<&str> = program
            .file_ids()
            .filter(is_own)
            .flat_map(|file| replaced::function_names(program, file))
            .collect();
        let (admin, mentions) = (self.admin_index(), Mentions::default());
        InFiles {
            patches: PerFile::find(count, is_noting, changed.map(|(b, c)| (&b.patches, c)), |file| {
                patches::patches(values, &mentions, file)
            }),
            receivers: PerFile::find(count, is_noting, changed.map(|(b, c)| (&b.receivers, c)), |file| {
                if self.signs.has(file, Sign::Signal) {
                    signals::registered(values, file)
                } else {
                    Default::default()
                }
            }),
            replaced: PerFile::find(count, is_noting, changed.map(|(b, c)| (&b.replaced, c)), |file| {
                if is_own(&file) {
                    replaced::replacements(program, &names, &mentions, file)
                } else {
                    Vec::new()
                }
            }),
            registered: PerFile::find(count, is_noting, changed.map(|(b, c)| (&b.registered, c)), |file| {
                if self.signs.has(file, Sign::Register) { admin.in_file(file) } else { Vec::new() }
            }),
        }
    }

    /// What registrations in the admin are read with.
    fn admin_index(&self) -> admin::Index<'_> {
        admin::Index { project: self, program: &self.program }
    }

    /// The functions that may take something out of the `fields` of an object: of a serializer or form.
    pub fn field_droppers(&self) -> &[FunctionId] {
        self.field_droppers.get_or_init(|| {
            let files = self.program.file_ids().filter(|file| !self.is_known_file(*file));
            files.flat_map(|file| self.field_droppers_in(file)).collect()
        })
    }

    /// Those of one file.
    pub(super) fn field_droppers_in(&self, file: FileId) -> Vec<FunctionId> {
        let (program, source) = (&self.program, self.program.file(file));
        if !self.signs.has(file, Sign::Fields) || !drops_fields(source.source.text()) {
            return Vec::new();
        }
        let drops =
            |function: &FunctionId| drops_fields(source.node(program.function(*function).node).text());
        program.functions_in(file).filter(drops).collect()
    }

    /// The same project with other texts for some files; the others are not parsed again.
    pub fn with_texts(&self, texts: FxHashMap<FileId, String>) -> Project {
        let parsed = |(file, text): (FileId, String)| {
            let source = &self.program.file(file).source;
            Some((file, Parsed::new(Source::new(source.path(), source.encode(&text)?))))
        };
        let edits: Vec<(FileId, Parsed)> = texts.into_iter().filter_map(parsed).collect();
        self.with_edits(edits.iter().map(|(file, after)| (*file, after)))
    }

    /// The same project with others in the place of some files.
    pub(crate) fn with_edits<'f>(&self, edits: impl Iterator<Item = (FileId, &'f Parsed)>) -> Project {
        self.linked_with(edits).0
    }

    /// As [`Project::with_edits`]; also which files have changed, see [`Program::changed_since`].
    pub(super) fn linked_with<'f>(
        &self,
        edits: impl Iterator<Item = (FileId, &'f Parsed)>,
    ) -> (Project, Option<Things>) {
        let edits: FxHashMap<FileId, &Parsed> = edits.collect();
        let files = self.program.file_ids().filter(|id| !self.is_known_file(*id));
        let parsed = |id| edits.get(&id).map_or_else(|| self.program.parsed(id), |after| (*after).clone());
        Project::link(files.map(parsed).collect(), Some(self), self.is_noting)
    }

    /// The Python side.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What the names of attributes stand for.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Every model, abstract ones included and historical ones left out, by [`ModelId`].
    pub fn models(&self) -> &[Model] {
        self.models.present()
    }

    /// The models among which `model` lives: those of the project, or the historical ones.
    pub fn contemporaries(&self, model: ModelId) -> &[Model] {
        let end = self.models().len();
        let (present, historical) = self.models.all.split_at(end.min(self.models.all.len()));
        if (model.0 as usize) < end { present } else { historical }
    }

    /// Whether `model` is one that `apps.get_model()` gives in a migration: nothing can import it.
    pub fn is_historical(&self, model: ModelId) -> bool {
        self.models.historical.as_ref().is_some_and(|(from, _)| model.0 as usize >= *from)
    }

    /// The historical model of `model`, which `apps.get_model()` gives in a migration. Unknown where its real bases
    /// or managers come with it.
    pub fn historical(&self, model: ModelId) -> Option<ModelId> {
        let (from, followed) = self.models.historical.as_ref()?;
        let is_followed = followed.get(model.0 as usize).copied().unwrap_or(false);
        is_followed.then_some(ModelId(*from as u32 + model.0))
    }

    /// Whether `function` is run by a migration, with the historical apps.
    pub fn is_run_by_migration(&self, function: FunctionId) -> bool {
        historical::is_run(&self.program, function)
    }

    /// One model.
    pub fn model(&self, id: ModelId) -> &Model {
        &self.models.all[id.0 as usize]
    }

    /// Whether a lookup path from `model` goes over a relation that leads to several rows.
    pub fn is_to_many(&self, model: ModelId, path: &str) -> bool {
        let mut model = model;
        for part in path.split("__") {
            let info = self.model(model);
            if let Some(reverse) = info.reverse.iter().find(|r| r.query_name == part) {
                if !reverse.is_single() {
                    return true;
                }
                model = reverse.source;
                continue;
            }
            let Some(relation) = info.field(part).and_then(|f| f.relation.as_ref()) else { return false };
            if !matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne) {
                return true;
            }
            let Some(target) = relation.target else { return false };
            model = target;
        }
        false
    }

    /// Whether a file was brought along by the engine: it is not the user's, nothing in it is reported.
    pub fn is_known_file(&self, file: FileId) -> bool {
        self.program.is_known_file(file)
    }

    /// The model that the attribute `name` of a class names (`model = Book`), its own or inherited: with the expression.
    pub fn model_member(&self, class: ClassId, name: &str) -> Option<(ModelId, FileId, NodeId)> {
        let (owner, Member::Value(value)) = self.program.member(class, name)? else { return None };
        let file = self.program.class(owner).file;
        match self.program.resolve_expr(file, *value)? {
            Def::Class(model) => Some((self.model_of_class(model)?, file, *value)),
            _ => None,
        }
    }

    /// The model that `class` is, if it is one.
    pub fn model_of_class(&self, class: ClassId) -> Option<ModelId> {
        self.models.by_class.get(&class).copied()
    }

    /// The model called `app.Model` (case-insensitive model name), as strings and settings name it.
    pub fn model_by_label(&self, label: &str) -> Option<ModelId> {
        let (app, name) = label.split_once('.')?;
        let found = self.models.by_label.get(&format!("{app}.{}", name.to_lowercase()))?;
        found.iter().copied().min_by_key(|id| (self.is_known_file(self.model(*id).site.file), id.0))
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The template that `name` stands for, as Django looks it up. Unknown where the settings do not tell which of
    /// several files it is, and where it is a package's.
    pub fn template(&self, name: &str) -> Option<Found<'_>> {
        self.templates.find(&self.program, name, &[], None)
    }

    /// The template that the one in `file` names: an engine loads its own.
    pub fn template_beside(&self, name: &str, file: FileId) -> Option<Found<'_>> {
        self.templates.find(&self.program, name, &[], Some(file))
    }

    /// The template that one of `passed` names as its parent. A template may extend one of its own name: those that
    /// the chain has passed are not looked at again.
    pub fn parent_template(&self, name: &str, passed: &[FileId]) -> Option<Found<'_>> {
        self.templates.find(&self.program, name, passed, passed.first().copied())
    }

    /// The template in `file`, if it is one.
    pub fn template_in(&self, file: FileId) -> Option<&Template> {
        self.templates.of(&self.program, file)
    }

    /// Everything about templates: the settings, the libraries of tags.
    pub fn templates(&self) -> &Templates {
        &self.templates
    }

    /// The admin.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Every registered receiver, in order of files.
    pub fn all_receivers(&self) -> &[Receiver] {
        self.receivers.iter().for_each(|r| touch_file(r.site.file));
        &self.receivers
    }

    /// Every receiver that may hear `signal` for `model`: by class, by label, by no sender, or by a sender that could not be resolved.
    ///
    /// Django sends with the exact class of the instance, a proxy's being the proxy itself, so a receiver of a
    /// base does not hear a child; but deleting a row of a child table deletes the parents' rows as well, with
    /// signals of their own. Receivers that tests register are heard by the tests' own models only.
    pub fn receivers(&self, model: ModelId, signal: Signal) -> Vec<&Receiver> {
        let this = self.model(model);
        let is_delete = matches!(signal, Signal::PreDelete | Signal::PostDelete);
        let in_tests = self.is_test_file(this.site.file);
        let hears = |receiver: &Receiver| {
            if !in_tests && self.is_test_file(receiver.site.file) {
                return false;
            }
            if let Some((source, field)) = &receiver.link {
                return signal == Signal::M2mChanged && self.is_linked(this, *source, field);
            }
            let Some(sender) = receiver.sender else { return true };
            // The rows of a link table are what `m2m_changed` is sent for.
            let is_link = signal == Signal::M2mChanged && self.has_link(this, sender);
            sender == model || is_link || (is_delete && !this.is_proxy && this.bases.contains(&sender))
        };
        let indexes = self.by_signal.get(&signal).map_or(&[][..], Vec::as_slice);
        let heard = indexes.iter().filter_map(|i| self.receivers.get(*i)).filter(|r| hears(r));
        heard.inspect(|r| touch_file(r.site.file)).collect()
    }

    /// The field behind an attribute of `model` that leads to other models: its own, or, for the accessor of a relation
    /// backwards, the field of the model that points at it.
    pub fn relation_field(&self, model: ModelId, attribute: &str) -> Option<&Field> {
        let this = self.model(model);
        match this.reverse(attribute) {
            Some(reverse) => self.model(reverse.source).field(&reverse.field),
            None => this.field(attribute).filter(|f| f.relation.is_some()),
        }
    }

    /// Whether `field` of `source` is a many-to-many from or to `model`, or a relative of it.
    fn is_linked(&self, model: &Model, source: ModelId, field: &str) -> bool {
        let target = self.model(source).field(field).and_then(|f| f.relation.as_ref()?.target);
        let is_kin = |other: ModelId| {
            other == model.id || model.bases.contains(&other) || self.model(other).bases.contains(&model.id)
        };
        is_kin(source) || target.is_none_or(is_kin)
    }

    /// Whether `through` is the declared link of a many-to-many from or to `model`.
    fn has_link(&self, model: &Model, through: ModelId) -> bool {
        let names = |name: &str| {
            signals::through(&self.models.all, model.id, name)
                .is_some_and(|(_, _, link)| link == Some(through))
        };
        model.fields.iter().any(|f| names(&f.name)) || model.reverse.iter().any(|r| names(&r.accessor))
    }

    /// Every receiver that may hear `m2m_changed` for the many-to-many whose manager is the attribute `accessor` of
    /// `model`, from either side: by the link's model, declared or not, by no sender, or by one that could not be
    /// resolved.
    pub fn link_receivers(&self, model: ModelId, accessor: &str) -> Vec<&Receiver> {
        let Some((source, field, through)) = signals::through(&self.models.all, model, accessor) else {
            return self.receivers(model, Signal::M2mChanged);
        };
        let mut all = self.receivers(model, Signal::M2mChanged);
        all.retain(|receiver| match (&receiver.link, receiver.sender) {
            (Some((_, other)), _) => *other == field && self.is_linked(self.model(source), source, other),
            (None, Some(sender)) => through == Some(sender),
            (None, None) => true,
        });
        all
    }

    /// Decorators of the model's class and objects in its body that come from packages that are not known: what they
    /// listen to or change is not known either. So are fields and managers that may be added from outside of the class.
    pub fn unknown_parts(&self, model: ModelId) -> &[(String, Site)] {
        self.unknown_parts.get(model.0 as usize).map_or(&[], Vec::as_slice)
    }

    fn parts_of(&self, this: &Model) -> Vec<(String, Site)> {
        let mut out = signals::unknown_parts(&self.program, this);
        let added = self.patches.iter().filter(|patch| match patch.part {
            Part::Attribute => false,
            Part::Field => true,
            // Another manager is only asked by its name.
            Part::Manager => patch.name.as_deref().is_none_or(|name| this.manager(name).is_some()),
        });
        for patch in added.filter(|patch| self.concerns(patch, this)) {
            out.push((patch.name.clone().unwrap_or_else(|| "add_to_class()".to_owned()), patch.site));
        }
        out
    }

    /// Whether a patch may change `model`. What tests patch concerns the tests' own models only.
    fn concerns(&self, patch: &Patch, model: &Model) -> bool {
        let in_tests = self.is_test_file(model.site.file);
        patch.is_of(&self.program, model) && (in_tests || !self.is_test_file(patch.site.file))
    }

    /// Whether a file holds tests, by its name or a directory's: what it does is done to the tests' own objects.
    pub fn is_test_file(&self, file: FileId) -> bool {
        self.is_test.get(file.0 as usize).is_some_and(|is_test| *is_test)
    }

    /// Where code outside of the classes puts an attribute `name` into `model`, one of its bases, or Django's
    /// `Model`. What tests patch concerns the tests' own models only.
    pub fn patch_of(&self, model: ModelId, name: &str) -> Option<Site> {
        let this = self.model(model);
        let patch = self.patches.iter().find(|patch| {
            patch.part == Part::Attribute
                && patch.name.as_deref().is_none_or(|n| n == name)
                && self.concerns(patch, this)
        })?;
        touch_file(patch.site.file);
        Some(patch.site)
    }

    /// Where code, that of tests left out, puts something else in the place of a function, a method or a property while the
    /// program runs, on the class or on a single object.
    pub fn replacement_of(&self, function: FunctionId) -> Option<Site> {
        self.replaced.function(&self.program, function).inspect(|site| touch_file(site.file))
    }

    /// Where code, that of tests left out, puts something else in the place of a method by which a manager of `model` gives rows:
    /// `Book.objects.filter = ...`. With the method's name.
    pub fn replaced_manager(&self, model: ModelId) -> Option<(&'static str, Site)> {
        let info = self.model(model);
        let managers: Vec<ClassId> = info.managers.iter().filter_map(|m| m.class).collect();
        let found = self.replaced.of_manager(&self.program, info.class, &managers);
        found.inspect(|(_, site)| touch_file(site.file))
    }

    /// Where code puts an attribute `name` into Django's own managers or querysets, or into `class`.
    pub fn manager_patch(&self, class: Option<ClassId>, name: &str) -> Option<Site> {
        let own = class.map_or(&[][..], |c| &self.program.class(c).mro);
        let patch = self.patches.iter().find(|patch| {
            let is_of = match &patch.class {
                Patched::Class(id) => own.contains(id),
                Patched::External(path) => {
                    matches!(path.rsplit('.').next(), Some("Manager" | "BaseManager" | "QuerySet"))
                        && path.starts_with("django.db.models.")
                }
                Patched::Named(_) | Patched::Unknown => false,
            };
            is_of && patch.name.as_deref().is_none_or(|n| n == name) && !self.is_test_file(patch.site.file)
        })?;
        touch_file(patch.site.file);
        Some(patch.site)
    }

    /// Where `model` or a base in the program (not Django's `Model`) overrides the method `name`, in its body or from
    /// outside of it.
    pub fn override_of(&self, model: ModelId, name: &str) -> Option<Site> {
        if let Some(site) = self.patch_of(model, name) {
            return Some(site);
        }
        let (owner, member) = self.program.member(self.model(model).class, name)?;
        let class = self.program.class(owner);
        let file = self.program.file(class.file);
        let node = match member {
            Member::Function(function, _) => self.program.function(*function).node,
            Member::Value(node) => *node,
            Member::Class(nested) => self.program.class(*nested).node,
            Member::Annotation(_) => return None,
            Member::Other => class.node,
        };
        Some(Site { file: class.file, span: file.node(node).span() })
    }

    /// The function by which `model` or a base in the program defines the method `name`.
    pub fn method(&self, model: ModelId, name: &str) -> Option<FunctionId> {
        managers::method(&self.program, self.model(model).class, name)
    }

    /// Every model that is `model` or inherits from it (proxies and multi-table children included).
    pub fn family(&self, model: ModelId) -> Vec<ModelId> {
        let class = self.model(model).class;
        if self.models.by_class.get(&class) != Some(&model) {
            return vec![model];
        }
        self.program.descendants(class).into_iter().filter_map(|c| self.model_of_class(c)).collect()
    }

    /// Whether rows and standard methods of a manager are those of Django's own `Manager`: nothing in its class
    /// or its queryset's overrides them, and nothing about it is unknown. Methods of its own do no harm.
    pub fn is_plain_manager(&self, model: ModelId, manager: &str) -> bool {
        let Some(manager) = self.model(model).manager(manager) else { return false };
        !manager.is_unknown
            && [manager.class, manager.queryset]
                .into_iter()
                .flatten()
                .all(|class| managers::leaves_standard(&self.program, class))
    }

    /// The queryset class of the program whose instances a manager gives: by `from_queryset`, `as_manager`.
    /// A class that only `get_queryset` names is not found here.
    pub fn queryset_class(&self, model: ModelId, manager: &str) -> Option<ClassId> {
        self.model(model).manager(manager)?.queryset
    }

    /// The method `name` of a manager: of its class, else of its queryset's class.
    pub fn manager_method(&self, model: ModelId, manager: &str, name: &str) -> Option<FunctionId> {
        let manager = self.model(model).manager(manager)?;
        self.manager_function(manager, name)
    }

    /// As [`manager_method`](Self::manager_method), of a manager at hand.
    pub fn manager_function(&self, manager: &Manager, name: &str) -> Option<FunctionId> {
        [manager.class, manager.queryset]
            .into_iter()
            .flatten()
            .find_map(|class| managers::method(&self.program, class, name))
    }

    /// The method `name` of a queryset or manager class of the program, own or inherited.
    pub fn queryset_method(&self, class: ClassId, name: &str) -> Option<FunctionId> {
        managers::method(&self.program, class, name)
    }

    /// Whether a class of the program is a manager.
    pub fn is_manager_class(&self, class: ClassId) -> bool {
        managers::is_manager_class(&self.program, class)
    }

    /// Whether a class of the program is a queryset.
    pub fn is_queryset_class(&self, class: ClassId) -> bool {
        self.program.inherits(class, "django.db.models.QuerySet")
    }

    /// The queryset class that a manager class is made from by `from_queryset`, own or inherited.
    pub fn queryset_of_manager(&self, class: ClassId) -> Option<ClassId> {
        managers::queryset_of(&self.program, class)
    }

    /// Whether a manager or queryset class leaves alone which rows come and what the standard methods do.
    pub fn leaves_standard(&self, class: ClassId) -> bool {
        managers::leaves_standard(&self.program, class)
    }
}

fn is_test_path(program: &Program, file: FileId) -> bool {
    let mut parts = program.file(file).source.path().rsplit('/');
    let name = parts.next().unwrap_or("");
    name.starts_with("test_")
        || name.ends_with("_test.py")
        || matches!(name, "tests.py" | "conftest.py")
        || parts.any(|dir| matches!(dir, "tests" | "test" | "testing"))
}

/// Whether code with this text may take something out of the `fields` of an object.
fn drops_fields(text: &str) -> bool {
    let takes = [".pop", ".clear(", "del ", ".fields = "].iter().any(|word| text.contains(word));
    takes && text.contains(".fields")
}
