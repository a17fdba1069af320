//! Signal receivers and what else watches models being made, saved or deleted.

use super::values::{self, Call, Values};
use super::{Model, ModelId, Settings};
use crate::python::{ClassId, Def, Expr, Field, FunctionId, Kind, Member, Node, Program, Stmt};
use crate::text::{FileId, Site};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// The model signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Signal {
    PreInit,
    PostInit,
    PreSave,
    PostSave,
    PreDelete,
    PostDelete,
    M2mChanged,
}

/// One registration: a receiver function, or a package that hooks the model (auditlog, simple history ...).
#[derive(Clone, Debug)]
pub struct Receiver {
    /// The signal.
    pub signal: Signal,
    /// The senders; `None` for every model, or where the sender could not be resolved.
    pub sender: Option<ModelId>,
    /// The receiver's name: `index_book`, `auditlog`.
    pub name: String,
    /// Where it is registered.
    pub site: Site,
    /// The receiving function when it is in the program.
    pub function: Option<FunctionId>,
    /// A callable of the program that could not be resolved: it may do anything.
    pub is_opaque: bool,
}

impl Signal {
    fn named(name: &str) -> Option<Signal> {
        Some(match name {
            "pre_init" => Signal::PreInit,
            "post_init" => Signal::PostInit,
            "pre_save" => Signal::PreSave,
            "post_save" => Signal::PostSave,
            "pre_delete" => Signal::PreDelete,
            "post_delete" => Signal::PostDelete,
            "m2m_changed" => Signal::M2mChanged,
            _ => return None,
        })
    }
}

/// Who a registration listens to, before labels are resolved.
enum Sender {
    Any,
    Class(ClassId),
    Label(String),
}

struct Found {
    signal: Signal,
    sender: Sender,
    name: String,
    site: Site,
    function: Option<FunctionId>,
    is_opaque: bool,
}

/// Packages that watch every model once their app is installed.
const WATCHERS: &[(&str, &[Signal])] = &[
    ("cacheops", &[Signal::PreSave, Signal::PostSave, Signal::PostDelete, Signal::M2mChanged]),
    (
        "django_elasticsearch_dsl",
        &[Signal::PostSave, Signal::PreDelete, Signal::PostDelete, Signal::M2mChanged],
    ),
    ("easyaudit", &[Signal::PreSave, Signal::PostSave, Signal::PostDelete, Signal::M2mChanged]),
];

/// Calls by which a package is told to watch a model.
const REGISTRIES: &[(&str, &str, &[Signal])] = &[
    (
        "auditlog.registry.auditlog.register",
        "auditlog",
        &[Signal::PreSave, Signal::PostSave, Signal::PostDelete, Signal::M2mChanged],
    ),
    ("reversion.register", "reversion", &[Signal::PostSave, Signal::M2mChanged]),
    ("reversion.revisions.register", "reversion", &[Signal::PostSave, Signal::M2mChanged]),
    ("watson.search.register", "watson", &[Signal::PostSave, Signal::PreDelete]),
    ("simple_history.register", "simple_history", HISTORY),
    ("algoliasearch_django.register", "algoliasearch", &[Signal::PostSave, Signal::PreDelete]),
];

const HISTORY: &[Signal] = &[Signal::PostSave, Signal::PreDelete, Signal::PostDelete, Signal::M2mChanged];

/// Every registration in the program.
pub(super) fn receivers(
    program: &Program,
    settings: &Settings,
    models: &[Model],
    by_class: &FxHashMap<ClassId, ModelId>,
    by_label: impl Fn(&str) -> Option<ModelId>,
) -> Vec<Receiver> {
    let scan = Scan { program, values: Values { program, settings } };
    let files: Vec<FileId> = program.file_ids().collect();
    let found: Vec<Vec<Found>> = files.par_iter().map(|file| scan.file(*file)).collect();
    let mut out = Vec::new();
    for (file, found) in files.iter().zip(found) {
        for found in found {
            let sender = match &found.sender {
                Sender::Any => None,
                Sender::Class(class) => match by_class.get(class) {
                    Some(model) => Some(*model),
                    // A class that is no model never sends.
                    None if !program.class(*class).has_unknown_base => continue,
                    None => None,
                },
                Sender::Label(label) if label.contains('.') => by_label(label),
                Sender::Label(name) => {
                    models.iter().find(|m| m.site.file == *file && m.name == *name).map(|m| m.id)
                }
            };
            out.push(Receiver {
                signal: found.signal,
                sender,
                name: found.name,
                site: found.site,
                function: found.function,
                is_opaque: found.is_opaque,
            });
        }
    }
    packages(program, settings, models, &mut out);
    out
}

/// What packages connect without a call that names the model.
fn packages(program: &Program, settings: &Settings, models: &[Model], out: &mut Vec<Receiver>) {
    let mut add = |signals: &[Signal], sender: Option<ModelId>, name: &str, site: Site| {
        for &signal in signals {
            let name = name.to_owned();
            out.push(Receiver { signal, sender, name, site, function: None, is_opaque: false });
        }
    };
    for model in models.iter().filter(|m| !m.is_abstract) {
        let class = program.class(model.class);
        for ancestor in &class.mro {
            let owner = program.class(*ancestor);
            for value in owner.order.iter().filter_map(|n| match owner.members.get(n) {
                Some(Member::Value(value)) => Some(*value),
                _ => None,
            }) {
                let node = program.file(owner.file).node(value);
                let Some(call) = Call::of(node) else { continue };
                let site = Site { file: owner.file, span: node.span() };
                match call.func.text().rsplit('.').next() {
                    Some("HistoricalRecords") => add(HISTORY, Some(model.id), "simple_history", site),
                    Some("AuditlogHistoryField") => {}
                    Some("FieldTracker" | "ModelTracker") => {
                        add(&[Signal::PostInit, Signal::PostSave], Some(model.id), "FieldTracker", site);
                    }
                    _ => {}
                }
            }
        }
        let is_indexed = class.external_bases.iter().any(|b| {
            matches!(
                b.as_str(),
                "wagtail.search.index.Indexed" | "wagtail.models.Page" | "modelsearch.index.Indexed"
            )
        });
        if is_indexed {
            add(&[Signal::PostSave, Signal::PostDelete], Some(model.id), "wagtail.search", model.site);
        }
    }
    let site = settings.files.first().map(|file| Site { file: *file, span: crate::text::Span::at(0) });
    let Some(site) = site else { return };
    for (app, signals) in WATCHERS {
        if settings.installed_apps.iter().any(|a| a.split('.').next() == Some(app)) {
            add(signals, None, app, site);
        }
    }
    if let Some(processor) = settings.strings.get("HAYSTACK_SIGNAL_PROCESSOR")
        && !processor.ends_with("BaseSignalProcessor")
    {
        add(&[Signal::PostSave, Signal::PostDelete], None, "haystack", site);
    }
}

struct Scan<'a> {
    program: &'a Program,
    values: Values<'a>,
}

impl<'a> Scan<'a> {
    fn file(&self, id: FileId) -> Vec<Found> {
        let file = self.program.file(id);
        let text = file.source.text();
        let mut out = Vec::new();
        let needles =
            ["receiver", ".connect", ".register", "pre_save", "post_save", "pre_delete", "post_delete"];
        if !needles.iter().any(|needle| text.contains(needle)) {
            return out;
        }
        for node in file.root().descendants() {
            match node.kind() {
                Kind::Name | Kind::Attribute => self.escaping(id, node, &mut out),
                Kind::Call => self.call(id, node, &mut out),
                Kind::DecoratedDef => self.decorated(id, node, &mut out),
                _ => {}
            }
        }
        out
    }

    fn decorated(&self, file: FileId, node: Node<'a>, out: &mut Vec<Found>) {
        match Stmt::of(node) {
            Stmt::FunctionDef { def, decorators } => {
                let name = def.child(Field::Name).map_or("", Node::text);
                for decorator in decorators {
                    let Some(call) = Call::of(decorator) else { continue };
                    let is_receiver = match self.resolve(file, call.func) {
                        Some(Def::External(path)) => path == "django.dispatch.receiver",
                        Some(_) => false,
                        None => call.func.text().ends_with("receiver"),
                    };
                    if !is_receiver {
                        continue;
                    }
                    let Some(first) = call.argument("signal", 0) else { continue };
                    let sender = self.sender(file, call.keyword("sender"), call.is_open);
                    let mut signals = Vec::new();
                    match Expr::of(first) {
                        Expr::List(list) | Expr::Tuple(list) | Expr::Set(list) => {
                            signals.extend(list.children().flat_map(|s| self.signals(file, s)));
                        }
                        _ => signals = self.signals(file, first),
                    }
                    let function = self.program.function_at(file, def.id());
                    let site = Site { file, span: decorator.span() };
                    push(out, &signals, &sender, name, site, function);
                }
            }
            Stmt::ClassDef { def, decorators } => {
                for decorator in decorators {
                    let func = Call::of(decorator).map_or(decorator, |c| c.func);
                    let Some(Def::External(path)) = self.resolve(file, func) else { continue };
                    let Some((_, name, signals)) = REGISTRIES.iter().find(|(p, ..)| *p == path) else {
                        continue;
                    };
                    let sender = self.program.class_at(file, def.id()).map_or(Sender::Any, Sender::Class);
                    push(out, signals, &sender, name, Site { file, span: decorator.span() }, None);
                }
            }
            _ => {}
        }
    }

    fn call(&self, file: FileId, node: Node<'a>, out: &mut Vec<Found>) {
        let Expr::Call { func, .. } = Expr::of(node) else { return };
        let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return };
        let site = Site { file, span: node.span() };
        match attr {
            "connect" => {
                let signals = self.signals(file, value);
                if signals.is_empty() {
                    return;
                }
                let Some(call) = Call::of(node) else { return };
                let receiver = call.argument("receiver", 0);
                let name = receiver.map_or("", Node::text);
                let resolved = receiver.and_then(|r| self.resolve(file, r));
                let function = match &resolved {
                    Some(Def::Function(f)) => Some(*f),
                    _ => None,
                };
                let sender = self.sender(file, call.argument("sender", 1), call.is_open);
                let first = out.len();
                push(out, &signals, &sender, name, site, function);
                let is_opaque = function.is_none() && !matches!(resolved, Some(Def::External(_)));
                out.iter_mut().skip(first).for_each(|found| found.is_opaque = is_opaque);
            }
            "register" => {
                let Some(Def::External(path)) = self.resolve(file, func) else { return };
                let Some((_, name, signals)) = REGISTRIES.iter().find(|(p, ..)| *p == path) else { return };
                let Some(call) = Call::of(node) else { return };
                if let Some(model) = call.argument("model", 0) {
                    push(out, signals, &self.sender(file, Some(model), false), name, site, None);
                }
            }
            _ => {}
        }
    }

    /// A signal that is kept or handed on as a value (`SIGNALS = {"saved": post_save}`, `Bus(post_save)`) may get
    /// receivers through whatever has it.
    fn escaping(&self, file: FileId, node: Node<'a>, out: &mut Vec<Found>) {
        let name = match Expr::of(node) {
            Expr::Name(name) => name,
            Expr::Attribute { attr, .. } => attr,
            _ => return,
        };
        if Signal::named(name).is_none() {
            return;
        }
        let is_signal = matches!(self.resolve(file, node),
            Some(Def::External(path)) if path.starts_with("django.db.models.signals."));
        let Some(signal) = Signal::named(name).filter(|_| is_signal && !is_understood(node)) else { return };
        push(out, &[signal], &Sender::Any, node.text(), Site { file, span: node.span() }, None);
    }

    /// The model signals that an expression stands for: one, or those that a loop goes over.
    fn signals(&self, file: FileId, node: Node<'a>) -> Vec<Signal> {
        if let Some(signal) = self.signal(file, node) {
            return vec![signal];
        }
        if self.is_looked_up(file, node) {
            return vec![
                Signal::PreSave,
                Signal::PostSave,
                Signal::PreDelete,
                Signal::PostDelete,
                Signal::M2mChanged,
            ];
        }
        let Expr::Name(name) = Expr::of(node) else { return Vec::new() };
        for ancestor in node.ancestors() {
            if let Stmt::For { target, iter, .. } = Stmt::of(ancestor)
                && target.descendants().any(|n| n.kind() == Kind::Name && n.text() == name)
            {
                return iter
                    .descendants()
                    .filter(|n| matches!(n.kind(), Kind::Name | Kind::Attribute))
                    .filter(|n| n.parent().is_none_or(|p| p.kind() != Kind::Attribute))
                    .filter_map(|n| self.signal(file, n))
                    .collect();
            }
        }
        Vec::new()
    }

    /// `getattr(signals, name)`, or a variable of the function that holds it: any of them.
    fn is_looked_up(&self, file: FileId, node: Node<'a>) -> bool {
        if let Expr::Call { func, .. } = Expr::of(node) {
            return matches!(Expr::of(func), Expr::Name("getattr"))
                && Call::of(node).and_then(|call| call.argument("object", 0)).is_some_and(|module| {
                    matches!(self.resolve(file, module),
                        Some(Def::External(path)) if path == "django.db.models.signals")
                });
        }
        let Expr::Name(name) = Expr::of(node) else { return false };
        let Some(function) = node.ancestors().find(|a| a.kind() == Kind::FunctionDef) else { return false };
        function.descendants().filter(|n| n.kind() == Kind::ExprStatement).any(|n| {
            matches!(Stmt::of(n), Stmt::Assign { targets, value: Some(value), .. }
                if targets.iter().any(|t| t.text() == name)
                    && value.peel().kind() == Kind::Call
                    && self.is_looked_up(file, value.peel()))
        })
    }

    fn signal(&self, file: FileId, node: Node<'a>) -> Option<Signal> {
        let name = match Expr::of(node) {
            Expr::Name(name) => name,
            Expr::Attribute { attr, .. } => attr,
            _ => return None,
        };
        match self.resolve(file, node) {
            Some(Def::External(path)) => Signal::named(path.strip_prefix("django.db.models.signals.")?),
            // Two ways to import one name leave a variable; the name itself is telling enough.
            Some(Def::Variable { .. }) | None => Signal::named(name),
            Some(_) => None,
        }
    }

    fn resolve(&self, file: FileId, node: Node<'a>) -> Option<Def> {
        values::resolve_here(self.program, file, node)
    }

    fn sender(&self, file: FileId, node: Option<Node<'a>>, is_open: bool) -> Sender {
        let Some(node) = node.filter(|_| !is_open || node.is_some()) else { return Sender::Any };
        if let Some(label) = self.values.string(file, node) {
            return Sender::Label(label);
        }
        if let Some(call) = Call::of(node) {
            let name = call.func.text().rsplit('.').next().unwrap_or("");
            if name == "get_user_model" {
                return Sender::Label(self.values.settings.auth_user_model.clone());
            }
            if name == "get_model" {
                let parts: Vec<_> =
                    call.positional.iter().filter_map(|a| self.values.string(file, *a)).collect();
                if parts.len() == 2 || parts.iter().any(|p| p.contains('.')) {
                    return Sender::Label(parts.join("."));
                }
            }
            return Sender::Any;
        }
        match self.resolve(file, node) {
            Some(Def::Class(class)) => Sender::Class(class),
            Some(Def::Variable { file, value: Some(value) }) => {
                let inner = self.values.node(file, value);
                if matches!(Expr::of(inner), Expr::Call { .. }) {
                    self.sender(file, Some(inner), false)
                } else {
                    Sender::Any
                }
            }
            // `sender=settings.AUTH_USER_MODEL` is a string; another thing from outside is not one of ours.
            _ => Sender::Any,
        }
    }
}

/// Whether a signal stands where its use is plain: a method of it is called, it is given to `receiver()` or to a
/// helper that silences it, a loop goes over it, it is compared, imported or bound.
fn is_understood(node: Node<'_>) -> bool {
    let mut child = node.with_parens();
    for parent in node.ancestors() {
        match parent.kind() {
            // `signals.post_save`: the attribute itself is looked at.
            Kind::Attribute => {
                if child.field() == Field::Attribute {
                    return true;
                }
                // `listen = post_save.connect`
                return match Expr::of(parent) {
                    Expr::Attribute { attr: "connect", .. } => is_called(parent),
                    Expr::Attribute { attr, .. } => attr != "receivers",
                    _ => false,
                };
            }
            Kind::Import | Kind::ImportFrom | Kind::Compare | Kind::Parameters => {
                return true;
            }
            Kind::KeywordArgument if child.field() == Field::Name => return true,
            Kind::For => return child.field() != Field::Body,
            Kind::Call => {
                let Expr::Call { func, .. } = Expr::of(parent) else { return false };
                let name = func.text().rsplit('.').next().unwrap_or("");
                return matches!(name, "receiver" | "mute_signals") && !is_called(parent);
            }
            kind if kind.is_statement() => return false,
            _ => child = parent.with_parens(),
        }
    }
    false
}

/// `receiver(post_save)(function)`, which no decorator shows; `post_save.connect(function)`.
fn is_called(func: Node<'_>) -> bool {
    let func = func.with_parens();
    func.parent().is_some_and(|p| p.kind() == Kind::Call && p.child(Field::Function) == Some(func))
}

fn push(
    out: &mut Vec<Found>,
    signals: &[Signal],
    sender: &Sender,
    name: &str,
    site: Site,
    function: Option<FunctionId>,
) {
    for &signal in signals {
        let sender = match sender {
            Sender::Any => Sender::Any,
            Sender::Class(class) => Sender::Class(*class),
            Sender::Label(label) => Sender::Label(label.clone()),
        };
        out.push(Found { signal, sender, name: name.to_owned(), site, function, is_opaque: false });
    }
}
