//! What packages listen to once they are installed, told to, or named in a model: by the dotted paths of what is
//! called, never by bare names.
//!
//! The facts are those of the packages' own sources: django-auditlog 3.4 (registry.py), django-simple-history 3.13
//! (models.py), django-reversion 6.4 (revisions.py), django-cleanup 9.0 (handlers.py), django-elasticsearch-dsl 9.0 and
//! django-opensearch-dsl 0.8 (signals.py), easy-thumbnails 2.10 (models.py), django-imagekit 6.1 (specs/sourcegroups.py),
//! django-cacheops 7.2 (query.py), django-watson 1.6 (search.py), algoliasearch-django 4.0 (registration.py).

use super::super::made::{self, Made};
use super::super::values::{Call, Values};
use super::super::{FieldKind, Model, ModelId};
use super::{Receiver, Signal};
use crate::python::{ClassId, Def, Kind, Member, Node, Program, Stmt, canonical};
use crate::text::{FileId, Site};

const ALL: &[Signal] = &[Signal::PreSave, Signal::PostSave, Signal::PostDelete, Signal::M2mChanged];
const HISTORY: &[Signal] = &[Signal::PostSave, Signal::PreDelete, Signal::PostDelete, Signal::M2mChanged];
const INDEX: &[Signal] = &[Signal::PostSave, Signal::PreDelete];
const REVISION: &[Signal] = &[Signal::PostSave, Signal::M2mChanged];
const TRACKER: &[Signal] = &[Signal::PostInit, Signal::PostSave];
const DOCUMENT: &[Signal] = &[Signal::PostSave, Signal::PreDelete, Signal::PostDelete, Signal::M2mChanged];

const THUMBNAIL: &[Signal] = &[Signal::PreSave, Signal::PostSave];

/// Registers a model for the admin: as a function, and as a decorator of the admin class.
pub(super) const ADMIN_REGISTER: &str = "django.contrib.admin.site.register";
pub(super) const ADMIN_DECORATOR: &str = "django.contrib.admin.register";

/// A call or decorator by which a package is told to watch a model.
pub(super) struct Registry {
    path: &'static str,
    pub name: &'static str,
    pub signals: &'static [Signal],
    /// The nested class of the decorated one that names the model; `None` where the decorated class is the model.
    pub inner: Option<&'static str>,
}

const fn registry_of(path: &'static str, name: &'static str, signals: &'static [Signal]) -> Registry {
    Registry { path, name, signals, inner: None }
}

const REGISTRIES: &[Registry] = &[
    registry_of("auditlog.registry.auditlog.register", "auditlog", ALL),
    registry_of("reversion.register", "reversion", REVISION),
    registry_of("reversion.revisions.register", "reversion", REVISION),
    registry_of("watson.search.register", "watson", INDEX),
    registry_of("simple_history.register", "simple_history", HISTORY),
    registry_of("simple_history.utils.register", "simple_history", HISTORY),
    registry_of("algoliasearch_django.register", "algoliasearch", INDEX),
    registry_of("algoliasearch_django.decorators.register", "algoliasearch", INDEX),
    registry_of("mptt.register", "mptt", &[Signal::PreSave, Signal::PostSave]),
    registry_of("mptt.models.register", "mptt", &[Signal::PreSave, Signal::PostSave]),
    Registry {
        path: "django_elasticsearch_dsl.registries.registry.register_document",
        name: "django_elasticsearch_dsl",
        signals: DOCUMENT,
        inner: Some("Django"),
    },
    Registry {
        path: "django_opensearch_dsl.registries.registry.register_document",
        name: "django_opensearch_dsl",
        signals: DOCUMENT,
        inner: Some("Django"),
    },
];

/// Admin classes that register their model with a package.
const ADMINS: &[(&str, &str)] = &[
    ("reversion.admin.VersionAdmin", "reversion.register"),
    ("reversion_compare.admin.CompareVersionAdmin", "reversion.register"),
    ("watson.admin.SearchAdmin", "watson.search.register"),
];

/// Class attributes of a model that watch it.
const ATTRIBUTES: &[(&str, &str, &[Signal])] = &[
    ("simple_history.models.HistoricalRecords", "simple_history", HISTORY),
    ("model_utils.FieldTracker", "FieldTracker", TRACKER),
    ("model_utils.ModelTracker", "ModelTracker", TRACKER),
    ("model_utils.tracker.FieldTracker", "FieldTracker", TRACKER),
    ("model_utils.tracker.ModelTracker", "ModelTracker", TRACKER),
    ("field_history.tracker.FieldHistoryTracker", "field_history", TRACKER),
    ("audit_log.models.managers.AuditLog", "audit_log", &[Signal::PostSave, Signal::PostDelete]),
    ("easy_thumbnails.fields.ThumbnailerField", "easy_thumbnails", THUMBNAIL),
    ("easy_thumbnails.fields.ThumbnailerImageField", "easy_thumbnails", THUMBNAIL),
    ("imagekit.models.ImageSpecField", "imagekit", &[Signal::PostInit, Signal::PostSave, Signal::PostDelete]),
];

/// Bases that put a model into a search index.
const INDEXED: &[&str] =
    &["wagtail.search.index.Indexed", "wagtail.models.Page", "modelsearch.index.Indexed"];

/// A package that watches every model once its app is installed.
struct Watcher {
    app: &'static str,
    signals: &'static [Signal],
    /// Only models with a file.
    files_only: bool,
    /// The setting that switches it off where it is `False`.
    switch: &'static str,
}

const fn watcher(app: &'static str, signals: &'static [Signal]) -> Watcher {
    Watcher { app, signals, files_only: false, switch: "" }
}

const WATCHERS: &[Watcher] = &[
    watcher("cacheops", ALL),
    watcher("easyaudit", ALL),
    Watcher { switch: "ELASTICSEARCH_DSL_AUTOSYNC", ..watcher("django_elasticsearch_dsl", DOCUMENT) },
    Watcher { switch: "OPENSEARCH_DSL_AUTOSYNC", ..watcher("django_opensearch_dsl", DOCUMENT) },
    Watcher {
        files_only: true,
        ..watcher(
            "django_cleanup",
            &[Signal::PostInit, Signal::PreSave, Signal::PostSave, Signal::PostDelete],
        )
    },
    Watcher { files_only: true, ..watcher("easy_thumbnails", THUMBNAIL) },
];

/// Modules whose calls in the body of a model, and whose class decorators, neither listen to signals nor change
/// what saving does; what they do in models that use their bases or fields is known from those.
const HARMLESS: &[&str] = &[
    "abc",
    "attr",
    "attrs",
    "builtins",
    "cached_property",
    "collections",
    "dataclasses",
    "datetime",
    "dateutil",
    "decimal",
    "django",
    "django_countries",
    "django_extensions",
    "django_stubs_ext",
    "djmoney",
    "enum",
    "extended_choices",
    "functools",
    "gettext",
    "graphene",
    "itertools",
    "json",
    "logging",
    "loguru",
    "math",
    "modelcluster",
    "model_utils",
    "mptt",
    "operator",
    "os",
    "parler",
    "pathlib",
    "pghistory",
    "pgtrigger",
    "phonenumber_field",
    "polymorphic",
    "pytz",
    "random",
    "re",
    "rest_framework",
    "simple_history",
    "six",
    "string",
    "structlog",
    "taggit",
    "threading",
    "treebeard",
    "typing",
    "typing_extensions",
    "uuid",
    "wagtail",
    "weakref",
    "zoneinfo",
];

/// The registry that is called by this path.
pub(super) fn registry(path: &str) -> Option<&'static Registry> {
    REGISTRIES.iter().find(|r| r.path == path)
}

/// The registry that an admin class tells of its model.
pub(super) fn admin(program: &Program, class: ClassId) -> Option<&'static Registry> {
    ADMINS.iter().find(|(path, _)| program.inherits(class, path)).and_then(|(_, path)| registry(path))
}

/// The dotted path of a thing outside the program, or of one that the engine brought along.
pub(super) fn known_path(program: &Program, def: &Def) -> Option<String> {
    let file = match def {
        Def::External(path) => return Some(canonical(path).into_owned()),
        Def::Class(class) => program.class(*class).file,
        Def::Function(function) => program.function(*function).file,
        Def::Module(_) | Def::Variable { .. } => return None,
    };
    program.is_known_file(file).then(|| program.dotted_of(def)).flatten()
}

/// The dotted paths of the classes whose instance an expression makes: the class outside the program, those that one
/// of the program descends from, or what a function of the program returns.
fn made_by<'a>(program: &'a Program, file: FileId, node: Node<'a>, depth: usize) -> Vec<String> {
    let Some(call) = Call::of(node).filter(|_| depth < 4) else { return Vec::new() };
    match program.resolve_expr(file, call.func.id()) {
        Some(Def::Class(class)) => {
            let class = program.class(class);
            let own = class.mro.iter().map(|c| program.class_path(*c));
            own.chain(class.external_bases.iter().cloned()).collect()
        }
        Some(Def::Function(function)) => {
            let info = program.function(function);
            let returns = program.file(info.file).node(info.node).descendants();
            returns
                .filter_map(|n| match Stmt::of(n) {
                    Stmt::Return(value) => value,
                    _ => None,
                })
                .flat_map(|value| made_by(program, info.file, value, depth + 1))
                .collect()
        }
        Some(Def::External(path)) => vec![canonical(&path).into_owned()],
        _ => Vec::new(),
    }
}

/// The values in the bodies of a class and of what it inherits from.
fn values_of<'a>(program: &'a Program, class: ClassId) -> impl Iterator<Item = (&'a str, FileId, Node<'a>)> {
    program.class(class).mro.iter().flat_map(move |ancestor| {
        let owner = program.class(*ancestor);
        owner.order.iter().filter_map(move |name| match owner.members.get(name) {
            Some(Member::Value(value)) => {
                Some((name.as_str(), owner.file, program.file(owner.file).node(*value)))
            }
            _ => None,
        })
    })
}

/// What packages connect without a call that names the model.
pub(super) fn watching(values: Values<'_>, models: &[Model], out: &mut Vec<Receiver>) {
    let (program, settings) = (values.program, values.settings);
    let mut add = |signals: &[Signal], sender: Option<ModelId>, name: &str, site: Site| {
        for &signal in signals {
            let name = name.to_owned();
            out.push(Receiver { signal, sender, link: None, name, site, function: None, is_opaque: false });
        }
    };
    let concrete = || models.iter().filter(|m| !m.is_abstract);
    for model in concrete() {
        for (_, file, node) in values_of(program, model.class) {
            let paths = made_by(program, file, node, 0);
            if let Some((_, name, signals)) =
                ATTRIBUTES.iter().find(|(path, ..)| paths.iter().any(|p| p == path))
            {
                add(signals, Some(model.id), name, Site { file, span: node.span() });
            }
        }
        if program.class(model.class).external_bases.iter().any(|b| INDEXED.contains(&b.as_str())) {
            add(&[Signal::PostSave, Signal::PostDelete], Some(model.id), "wagtail.search", model.site);
        }
    }
    let first = settings.files.first().map(|file| Site { file: *file, span: crate::text::Span::at(0) });
    let Some(first) = first else { return };
    let installed = |app: &str| {
        let entry = settings.installed_apps.iter().find(|a| a.split('.').next() == Some(app))?;
        Some(settings.sites.get(entry).copied().unwrap_or(first))
    };
    for watcher in WATCHERS {
        let Some(site) = installed(watcher.app) else { continue };
        if settings.flags.get(watcher.switch) == Some(&false) {
            continue;
        }
        if !watcher.files_only {
            add(watcher.signals, None, watcher.app, site);
            continue;
        }
        for model in concrete().filter(|m| m.fields.iter().any(|f| f.kind == FieldKind::File)) {
            add(watcher.signals, Some(model.id), watcher.app, site);
        }
    }
    if let Some(processor) = settings.strings.get("HAYSTACK_SIGNAL_PROCESSOR")
        && processor != "haystack.signals.BaseSignalProcessor"
    {
        let site = settings.sites.get("HAYSTACK_SIGNAL_PROCESSOR").copied().unwrap_or(first);
        add(&[Signal::PostSave, Signal::PostDelete], None, "haystack", site);
    }
    if installed("auditlog").is_some() {
        let named = |setting: &str, model: &Model| {
            let of = |label: &String| {
                label.eq_ignore_ascii_case(&model.label()) || label.eq_ignore_ascii_case(&model.app_label)
            };
            settings.labels.get(setting).is_some_and(|labels| labels.iter().any(of))
        };
        let all = "AUDITLOG_INCLUDE_ALL_MODELS";
        let some = "AUDITLOG_INCLUDE_TRACKING_MODELS";
        let takes_all = settings.flags.get(all) == Some(&true);
        for model in concrete() {
            let is_left_out = named("AUDITLOG_EXCLUDE_TRACKING_MODELS", model);
            let by = match () {
                () if named(some, model) => some,
                () if takes_all && !is_left_out => all,
                () => continue,
            };
            add(ALL, Some(model.id), "auditlog", settings.sites.get(by).copied().unwrap_or(first));
        }
    }
}

/// Whether what is outside the program and called by this path neither listens to signals nor changes what saving does, or
/// is known to do so.
pub(in super::super) fn is_known(path: &str) -> bool {
    let top = path.split('.').next().unwrap_or(path);
    HARMLESS.contains(&top) || registry(path).is_some() || ATTRIBUTES.iter().any(|(known, ..)| *known == path)
}

/// Class decorators, and objects in a model's body, of packages that are not known: they may listen to its signals or
/// change its methods. So may attributes whose value is made by code that is not followed: fields or managers perhaps.
/// Those that are known to be fields and managers are looked at elsewhere.
pub(in super::super) fn unknown_parts(program: &Program, model: &Model) -> Vec<(String, Site)> {
    let mut out = Vec::new();
    for ancestor in &program.class(model.class).mro {
        let class = program.class(*ancestor);
        let file = program.file(class.file);
        if program.is_known_file(class.file) {
            continue;
        }
        let decorated = file.node(class.node).parent().filter(|p| p.kind() == Kind::DecoratedDef);
        let decorators = decorated.map(|node| match Stmt::of(node) {
            Stmt::ClassDef { decorators, .. } => decorators,
            _ => Vec::new(),
        });
        for decorator in decorators.into_iter().flatten() {
            let func = Call::of(decorator).map_or(decorator, |c| c.func);
            if let Some(Def::External(path)) = program.resolve_expr(class.file, func.id())
                && !is_known(&canonical(&path))
            {
                out.push((func.text().to_owned(), Site { file: class.file, span: decorator.span() }));
            }
        }
    }
    for (name, file, node) in values_of(program, model.class) {
        if program.is_known_file(file) || model.manager(name).is_some() {
            continue;
        }
        let site = Site { file, span: node.span() };
        if matches!(made::made(program, file, node), Made::Unknown) {
            let func = Call::of(node).map(|call| call.func);
            out.push((func.map_or(name, Node::text).to_owned(), site));
        }
    }
    for ancestor in &program.class(model.class).mro {
        let class = program.class(*ancestor);
        if program.is_known_file(class.file) {
            continue;
        }
        let node = program.file(class.file).node(class.node);
        let others = class.order.iter().filter(|name| class.members.get(*name) == Some(&Member::Other));
        for name in others.filter(|name| made::may_bind_part(program, class.file, node, name)) {
            out.push((name.clone(), Site { file: class.file, span: node.span() }));
        }
        // `locals()["name"] = ...`
        if let Some(call) = made::writes_namespace(node) {
            out.push((call.text().to_owned(), Site { file: class.file, span: call.span() }));
        }
    }
    out
}
