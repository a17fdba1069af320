//! What the settings modules say.

use super::certain::{Constant, certain};
use super::signs::{Sign, Signs};
use super::values::{Call, Values};
use crate::python::{Expr, Kind, Node, Program, Stmt, string_value};
use crate::text::{FileId, Site};
use rustc_hash::{FxHashMap, FxHashSet};

/// What the settings modules say. Where several disagree, the more cautious reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// INSTALLED_APPS, all settings modules together.
    pub installed_apps: Vec<String>,
    /// AUTH_USER_MODEL (`auth.User` unless set).
    pub auth_user_model: String,
    /// ATOMIC_REQUESTS somewhere in DATABASES.
    pub atomic_requests: bool,
    /// The ENGINE strings found in DATABASES.
    pub database_engines: Vec<String>,
    /// Where each of them is first named.
    pub engine_sites: Vec<Site>,
    /// The most entries that one DATABASES has.
    pub database_aliases: usize,
    /// DATABASE_ROUTERS holds something.
    pub has_database_routers: bool,
    /// DEFAULT_AUTO_FIELD
    pub default_auto_field: Option<String>,
    /// Other settings that are strings, by name; the first that is found.
    pub strings: FxHashMap<String, String>,
    /// Other settings that are `True` or `False`, by name; the first that is found.
    pub flags: FxHashMap<String, bool>,
    /// TIME_ZONE, where all settings modules certainly have the same.
    pub time_zone: Option<String>,
    /// USE_TZ, where all settings modules certainly have the same.
    pub use_tz: Option<bool>,
    /// The strings in settings that name models, by the setting.
    pub labels: FxHashMap<String, Vec<String>>,
    /// Where a setting is assigned, and where an installed app is named.
    pub sites: FxHashMap<String, Site>,
    /// The modules that were read.
    pub files: Vec<FileId>,
}

/// Read every settings module.
pub(super) fn settings(program: &Program, signs: &Signs) -> Settings {
    let mut out = Settings::default();
    let mut named: FxHashSet<FileId> = FxHashSet::default();
    for id in program.file_ids().filter(|id| signs.has(*id, Sign::SettingsModule)) {
        let file = program.file(id);
        for node in file.root().descendants().filter(|n| n.kind() == Kind::Call) {
            if let Some(call) = Call::of(node)
                && call
                    .positional
                    .iter()
                    .any(|a| string_value(*a).as_deref() == Some("DJANGO_SETTINGS_MODULE"))
                && let Some(module) = call.positional.iter().rev().find_map(|a| string_value(*a))
            {
                named.extend(program.module_from(id, &module));
            }
        }
    }
    for id in program.file_ids() {
        let path = program.file(id).source.path();
        let stem = path.rsplit('/').next().unwrap_or("");
        let in_package = path.rsplit('/').nth(1) == Some("settings");
        let is_settings = stem.starts_with("settings") && stem.ends_with(".py")
            || in_package
            || stem.ends_with("_settings.py")
            || signs.has(id, Sign::Databases) && sets_databases(program.file(id).source.text())
            || named.contains(&id);
        if is_settings && !program.file(id).ast.is_too_deep() {
            out.files.push(id);
        }
    }
    // Those that manage.py names come first, then the shallow ones.
    out.files.sort_by_key(|id| {
        let path = program.file(*id).source.path();
        (!named.contains(id), path.contains("test"), path.matches('/').count(), id.0)
    });
    let mut reader = Reader { program, out, apps: FxHashSet::default() };
    for id in reader.out.files.clone() {
        reader.block(id, program.file(id).root(), 0, true);
    }
    let mut out = reader.out;
    if out.auth_user_model.is_empty() {
        out.auth_user_model = "auth.User".to_owned();
    }
    if let Some(Constant::Text(zone)) = certain(program, &out.files, "TIME_ZONE") {
        out.time_zone = Some(zone);
    }
    if let Some(Constant::Flag(flag)) = certain(program, &out.files, "USE_TZ") {
        out.use_tz = Some(flag);
    }
    out
}

/// Whether a module assigns DATABASES at its top, as only a settings module does.
fn sets_databases(text: &str) -> bool {
    text.lines().any(|line| {
        line.strip_prefix("DATABASES").is_some_and(|rest| {
            let rest = rest.trim_start();
            rest.starts_with('[') || rest.starts_with('=') && !rest.starts_with("==")
        })
    })
}

struct Reader<'a> {
    program: &'a Program,
    out: Settings,
    apps: FxHashSet<String>,
}

impl<'a> Reader<'a> {
    /// `is_usual` is false below an `if` on the environment: what stands there is not the normal value.
    fn block(&mut self, file: FileId, block: Node<'a>, depth: usize, is_usual: bool) {
        if depth > 10 {
            return;
        }
        for statement in block.children() {
            match Stmt::of(statement) {
                Stmt::Assign { targets, value: Some(value), .. } => {
                    for target in targets {
                        self.assigned(file, target, value, is_usual);
                    }
                }
                Stmt::AugAssign { target, value, .. } if target.text() == "INSTALLED_APPS" => {
                    self.add_apps(file, value);
                }
                Stmt::Expr(node) => {
                    if let Some(call) = Call::of(node)
                        && call.func.text().starts_with("INSTALLED_APPS.")
                    {
                        for value in call.positional {
                            self.add_apps(file, value);
                        }
                    }
                }
                Stmt::If { branches, orelse } => {
                    for (test, body) in branches {
                        let text = test.text();
                        let is_switch = text.contains("environ") || text.contains("getenv");
                        let is_usual = is_usual && (!is_switch || matches!(Expr::of(test), Expr::Not(_)));
                        self.block(file, body, depth + 1, is_usual);
                    }
                    if let Some(body) = orelse {
                        self.block(file, body, depth + 1, is_usual);
                    }
                }
                Stmt::Try { body, handlers, orelse, finally } => {
                    let parts = std::iter::once(body).chain(handlers.iter().map(|h| h.body));
                    for part in parts.chain(orelse).chain(finally) {
                        self.block(file, part, depth + 1, is_usual);
                    }
                }
                Stmt::With { body, .. } => self.block(file, body, depth + 1, is_usual),
                _ => {}
            }
        }
    }

    fn assigned(&mut self, file: FileId, target: Node<'a>, value: Node<'a>, is_usual: bool) {
        let text = target.text();
        match Expr::of(target) {
            Expr::Name("INSTALLED_APPS") => self.add_apps(file, value),
            Expr::Name("DATABASES") => {
                if let Expr::Dict(dict) = Expr::of(value) {
                    let entries = dict.children().filter(|c| c.kind() != Kind::Comment).count();
                    self.out.database_aliases = self.out.database_aliases.max(entries);
                }
                self.databases(file, value);
            }
            Expr::Name("DATABASE_ROUTERS") => {
                let is_empty =
                    matches!(Expr::of(value), Expr::List(l) | Expr::Tuple(l) if l.children().count() == 0);
                self.out.has_database_routers |= !is_empty;
            }
            Expr::Subscript { .. } if text.starts_with("DATABASES") => {
                if text.contains("ATOMIC_REQUESTS") && !matches!(Expr::of(value), Expr::False) {
                    self.out.atomic_requests = true;
                }
                if !text.contains("default") {
                    self.out.database_aliases = self.out.database_aliases.max(2);
                }
                if text.contains("ENGINE") {
                    self.add_engine(file, value);
                }
                self.databases(file, value);
            }
            Expr::Name(name)
                if is_usual
                    && name.chars().all(|c| c == '_' || c.is_ascii_uppercase() || c.is_ascii_digit()) =>
            {
                self.plain(file, name, value);
                let empty = Settings { auth_user_model: "auth.User".to_owned(), ..Settings::default() };
                let values = Values { program: self.program, settings: &empty };
                let text =
                    string_value(value).or_else(|| values.string(file, value)).or_else(|| default(value));
                let Some(text) = text else { return };
                match name {
                    "AUTH_USER_MODEL" => {
                        if self.out.auth_user_model.is_empty() {
                            self.out.auth_user_model = text;
                        }
                    }
                    "DEFAULT_AUTO_FIELD" => {
                        self.out.default_auto_field.get_or_insert(text);
                    }
                    _ => {
                        self.out.strings.entry(name.to_owned()).or_insert(text);
                    }
                }
            }
            _ => {}
        }
    }

    /// Flags, and lists that name models.
    fn plain(&mut self, file: FileId, name: &str, value: Node<'a>) {
        let flag = match Expr::of(value) {
            Expr::True => Some(true),
            Expr::False => Some(false),
            _ => None,
        };
        if let Some(flag) = flag {
            self.out.flags.entry(name.to_owned()).or_insert(flag);
        }
        if name.ends_with("_MODELS") && flag.is_none() {
            let named = value.descendants().filter(|n| n.kind() == Kind::Str).filter_map(string_value);
            self.out.labels.entry(name.to_owned()).or_insert_with(|| named.collect());
        }
        self.out.sites.entry(name.to_owned()).or_insert(Site { file, span: value.span() });
    }

    /// Every string in the value, whatever it is built with: an app too many does no harm.
    fn add_apps(&mut self, file: FileId, value: Node<'a>) {
        let values = Values { program: self.program, settings: &self.out };
        let found = values.strings(file, value).unwrap_or_else(|| {
            value.descendants().filter(|n| n.kind() == Kind::Str).filter_map(string_value).collect()
        });
        for app in found {
            if self.apps.insert(app.clone()) {
                let names = value.descendants().filter(|n| n.kind() == Kind::Str);
                if let Some(node) = names.into_iter().find(|n| string_value(*n).as_deref() == Some(&*app)) {
                    self.out.sites.entry(app.clone()).or_insert(Site { file, span: node.span() });
                }
                self.out.installed_apps.push(app);
            }
        }
    }

    fn databases(&mut self, file: FileId, value: Node<'a>) {
        use crate::python::Field;
        for pair in value.descendants().filter(|n| n.kind() == Kind::Pair) {
            let (Some(key), Some(value)) = (pair.child(Field::Key), pair.child(Field::Value)) else {
                continue;
            };
            match string_value(key).as_deref() {
                Some("ATOMIC_REQUESTS") if !matches!(Expr::of(value), Expr::False) => {
                    self.out.atomic_requests = true;
                }
                Some("ENGINE") => self.add_engine(file, value),
                _ => {}
            }
        }
        for keyword in value.descendants().filter(|n| n.kind() == Kind::KeywordArgument) {
            let name = keyword.child(Field::Name).map(Node::text);
            if name == Some("ATOMIC_REQUESTS")
                && keyword.child(Field::Value).is_some_and(|v| v.kind() != Kind::False)
            {
                self.out.atomic_requests = true;
            }
        }
    }

    fn add_engine(&mut self, file: FileId, value: Node<'a>) {
        for node in value.descendants().filter(|n| n.kind() == Kind::Str) {
            let Some(engine) = string_value(node).filter(|e| e.contains('.')) else { continue };
            if !self.out.database_engines.contains(&engine) {
                self.out.database_engines.push(engine);
                self.out.engine_sites.push(Site { file, span: node.span() });
            }
        }
    }
}

/// The default of a look-up in the environment: `env("NAME", default="x")`, `os.environ.get("NAME", "x")`.
fn default(value: Node<'_>) -> Option<String> {
    let call = Call::of(value)?;
    call.keyword("default").or_else(|| call.positional.get(1).copied()).and_then(string_value)
}
