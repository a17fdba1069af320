//! Tags and filters that the project itself defines, and the functions behind them.

use super::ast::{NodeKind, Template};
use super::backends::{Backend, text_argument};
use crate::django::Settings;
use crate::django::signs::{Sign, Signs};
use crate::django::values::{Call, Values, resolve_here};
use crate::python::{Def, Expr, Field, FunctionId, Kind, Node, Program, Stmt, string_value};
use crate::text::{FileId, Site, Span};
use rustc_hash::FxHashMap;

/// What a registration makes of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CustomKind {
    /// `simple_tag`: the arguments are passed to the function, its result is output.
    Simple,
    /// `simple_block_tag`: the rendered body comes first.
    SimpleBlock,
    /// `inclusion_tag`: the function gives the context of this template, whose name may be unknown.
    Inclusion(Option<String>),
    /// `tag`: the function gets the parser and returns a node; what that reads is not known.
    Compiled,
    /// A filter: the value comes first.
    Filter,
    /// A global of Jinja's environment.
    Global,
}

/// A tag, filter or global of the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custom {
    /// The name by which templates use it.
    pub name: String,
    /// What it is.
    pub kind: CustomKind,
    /// The function behind it, where it is one of the program's.
    pub function: Option<FunctionId>,
    /// The context is the function's first argument.
    pub takes_context: bool,
    /// Where it is registered.
    pub site: Site,
}

/// Every library of tags of the project.
#[derive(Clone, Debug, Default)]
pub struct Libraries {
    /// Modules by the name to load them; several where apps use the same.
    modules: FxHashMap<String, Vec<FileId>>,
    entries: FxHashMap<FileId, Vec<Custom>>,
    /// Modules that every template has.
    builtins: Vec<FileId>,
    /// What Jinja's environments have.
    environment: Vec<Custom>,
}

impl Libraries {
    /// Whether others are the same, but for where in `file` things are registered.
    pub(super) fn is_like(&self, other: &Libraries, file: FileId) -> bool {
        let without_place = |custom: &Custom| {
            let is_here = custom.site.file == file;
            let span = if is_here { Span::default() } else { custom.site.span };
            Custom { site: Site { span, ..custom.site }, ..custom.clone() }
        };
        let are_like = |these: &[Custom], those: &[Custom]| {
            these.iter().map(without_place).eq(those.iter().map(without_place))
        };
        (&self.modules, &self.builtins) == (&other.modules, &other.builtins)
            && are_like(&self.environment, &other.environment)
            && self.entries.len() == other.entries.len()
            && self
                .entries
                .iter()
                .all(|(file, these)| other.entries.get(file).is_some_and(|those| are_like(these, those)))
    }

    /// The tag that `name` is in `template`, if it is one of the project's: the last that is loaded wins.
    pub fn tag(&self, template: &Template, name: &str) -> Option<&Custom> {
        self.named(template, name, |custom| !matches!(custom.kind, CustomKind::Filter | CustomKind::Global))
    }

    /// The filter that `name` is in `template`, if it is one of the project's.
    pub fn filter(&self, template: &Template, name: &str) -> Option<&Custom> {
        let is_filter = |custom: &Custom| custom.kind == CustomKind::Filter;
        self.named(template, name, is_filter)
            .or_else(|| self.environment.iter().rev().find(|c| is_filter(c) && c.name == name))
    }

    /// The global of Jinja's environment called `name`, if it is one of the project's functions.
    pub fn global(&self, name: &str) -> Option<&Custom> {
        self.environment.iter().rev().find(|c| c.kind == CustomKind::Global && c.name == name)
    }

    /// Every tag and filter, with the module that registers it.
    pub fn all(&self) -> impl Iterator<Item = &Custom> {
        self.entries.values().flatten().chain(&self.environment)
    }

    fn named(&self, template: &Template, name: &str, is_wanted: impl Fn(&Custom) -> bool) -> Option<&Custom> {
        let mut found = None;
        let mut look = |modules: &[FileId]| {
            let mut here = modules.iter().filter_map(|file| {
                self.entries.get(file)?.iter().rev().find(|custom| custom.name == name && is_wanted(custom))
            });
            if let Some(first) = here.next() {
                // Two apps with a library of the same name: the order of apps would tell.
                found = (here.next().is_none() && modules.len() == 1).then_some(first);
            }
        };
        self.builtins.iter().for_each(|file| look(std::slice::from_ref(file)));
        template.walk(&mut |node| {
            let NodeKind::Load { libraries, names } = &node.kind else { return };
            if names.as_ref().is_some_and(|names| !names.iter().any(|n| n == name)) {
                return;
            }
            for library in libraries {
                look(self.modules.get(library).map_or(&[][..], Vec::as_slice));
            }
        });
        found
    }
}

/// Find the libraries of the project.
pub(super) fn libraries(
    program: &Program,
    settings: &Settings,
    signs: &Signs,
    backends: &[Backend],
) -> Libraries {
    let mut out = Libraries::default();
    for id in program.file_ids() {
        let path = program.file(id).source.path();
        if let Some((_, module)) = path.split_once("templatetags/")
            && let Some(stem) = module.strip_suffix(".py")
            && !stem.ends_with("__init__")
        {
            out.modules.entry(stem.replace('/', ".")).or_default().push(id);
        }
    }
    let module = |path: &str| program.module(path);
    for backend in backends {
        for (name, path) in &backend.libraries {
            if let Some(file) = module(path) {
                out.modules.insert(name.clone(), vec![file]);
            }
        }
        out.builtins.extend(backend.builtins.iter().filter_map(|path| module(path)));
    }
    let mut files: Vec<FileId> = out.modules.values().flatten().chain(&out.builtins).copied().collect();
    // Registrations for Jinja by `django_jinja` may stand in any module.
    files.extend(program.file_ids().filter(|&id| signs.has(id, Sign::Jinja)));
    files.sort_unstable();
    files.dedup();
    let values = Values { program, settings };
    for file in files {
        let mut found = Vec::new();
        Registrations { values, file, out: &mut found, jinja: &mut out.environment }.read();
        out.entries.insert(file, found);
    }
    for backend in backends {
        let kinds = [(&backend.globals, CustomKind::Global), (&backend.filters, CustomKind::Filter)];
        for (named, kind) in kinds {
            for (name, path) in named {
                if let Some(Def::Function(function)) = program.dotted(path, Some(backend.file)) {
                    out.environment.push(custom(program, name.clone(), kind.clone(), function));
                }
            }
        }
        if let Some(path) = &backend.environment
            && let Some(Def::Function(function)) = program.dotted(path, Some(backend.file))
        {
            environment(values, function, &mut out.environment);
        }
    }
    out
}

fn custom(program: &Program, name: String, kind: CustomKind, function: FunctionId) -> Custom {
    let info = program.function(function);
    let span = program.file(info.file).node(info.node).span();
    let site = Site { file: info.file, span };
    Custom { name, kind, function: Some(function), takes_context: false, site }
}

/// Reads the registrations of one module.
struct Registrations<'a, 'o> {
    values: Values<'a>,
    file: FileId,
    out: &'o mut Vec<Custom>,
    jinja: &'o mut Vec<Custom>,
}

impl<'a> Registrations<'a, '_> {
    fn read(&mut self) {
        let program = self.values.program;
        let file = program.file(self.file);
        if file.ast.is_too_deep() || file.ast.is_empty() {
            return;
        }
        for function in program.functions_in(self.file) {
            let info = program.function(function);
            let node = file.node(info.node);
            let Some(decorated) = node.parent().filter(|p| p.kind() == Kind::DecoratedDef) else { continue };
            let Stmt::FunctionDef { decorators, .. } = Stmt::of(decorated) else { continue };
            for decorator in decorators {
                let call = Call::of(decorator);
                let func = call.as_ref().map_or(decorator, |call| call.func);
                self.register(func, call.as_ref(), Some(function), &info.name, decorator);
            }
        }
        for node in file.root().descendants().filter(|n| n.kind() == Kind::Call) {
            let Some(call) = Call::of(node) else { continue };
            if node.parent().is_some_and(|p| p.kind() == Kind::Decorator) {
                continue;
            }
            // `register.inclusion_tag("x.html")(function)`
            if let Some(inner) = Call::of(call.func) {
                let function = call.positional.first().copied();
                self.called(inner.func, Some(&inner), function, node);
            } else {
                // `register.filter("name", function)`, `register.simple_tag(function)`
                let function =
                    call.argument("compile_function", 1).or_else(|| call.argument("filter_func", 1));
                let is_named = call.positional.first().is_some_and(|first| first.peel().kind() == Kind::Str);
                let function = if is_named { function } else { call.positional.first().copied() };
                self.called(call.func, Some(&call), function, node);
            }
        }
    }

    fn called(&mut self, func: Node<'a>, call: Option<&Call<'a>>, function: Option<Node<'a>>, at: Node<'a>) {
        let Some(function) = function else { return };
        let program = self.values.program;
        let id = match resolve_here(program, self.file, function) {
            Some(Def::Function(id)) => Some(id),
            _ => None,
        };
        let own = function.text().rsplit('.').next().unwrap_or("").to_owned();
        if function.peel().kind() != Kind::Str {
            self.register(func, call, id, &own, at);
        }
    }

    fn register(
        &mut self,
        func: Node<'a>,
        call: Option<&Call<'a>>,
        function: Option<FunctionId>,
        own_name: &str,
        at: Node<'a>,
    ) {
        let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return };
        let text = |name: &str, position: usize| {
            call.and_then(|call| text_argument(self.values, self.file, call, name, position))
        };
        let kind = match attr {
            "simple_tag" | "assignment_tag" => CustomKind::Simple,
            "simple_block_tag" => CustomKind::SimpleBlock,
            "inclusion_tag" => CustomKind::Inclusion(text("filename", 0)),
            "tag" => CustomKind::Compiled,
            "filter" => CustomKind::Filter,
            "global_function" => CustomKind::Global,
            _ => return,
        };
        let name = match kind {
            CustomKind::Compiled | CustomKind::Filter | CustomKind::Global => text("name", 0),
            _ => text("name", usize::MAX),
        };
        let takes_context = call
            .and_then(|call| call.keyword("takes_context"))
            .is_some_and(|value| !matches!(Expr::of(value), Expr::False));
        let site = Site { file: self.file, span: at.span() };
        let name = name.unwrap_or_else(|| own_name.to_owned());
        let custom = Custom { name, kind, function, takes_context, site };
        match self.registry(value) {
            Some(true) => self.jinja.push(custom),
            Some(false) if custom.kind != CustomKind::Global => self.out.push(custom),
            _ => {}
        }
    }

    /// Whether `register` is Django's library or, `true`, that of `django_jinja`.
    fn registry(&self, register: Node<'a>) -> Option<bool> {
        let program = self.values.program;
        match program.resolve_expr(self.file, register.id())? {
            Def::External(path) => path.starts_with("django_jinja").then_some(true),
            Def::Variable { file, value: Some(value) } => {
                let call = Call::of(self.values.node(file, value))?;
                match program.resolve_expr(file, call.func.id())? {
                    Def::External(path) if path.starts_with("django.") && path.ends_with("Library") => {
                        Some(false)
                    }
                    Def::Class(class) => {
                        let bases = &program.class(class).external_bases;
                        bases
                            .iter()
                            .any(|b| b.starts_with("django.") && b.ends_with("Library"))
                            .then_some(false)
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// What the function that makes Jinja's environment puts into `globals` and `filters`.
fn environment(values: Values<'_>, function: FunctionId, out: &mut Vec<Custom>) {
    let program = values.program;
    let info = program.function(function);
    let file = info.file;
    let def = program.file(file).node(info.node);
    let kind_of = |node: Node<'_>| match Expr::of(node) {
        Expr::Attribute { attr: "globals", .. } => Some(CustomKind::Global),
        Expr::Attribute { attr: "filters", .. } => Some(CustomKind::Filter),
        _ => None,
    };
    let mut add = |name: String, kind: CustomKind, value: Node<'_>| {
        if let Some(Def::Function(function)) = resolve_here(program, file, value) {
            out.push(custom(program, name, kind, function));
        }
    };
    for node in def.descendants() {
        match node.kind() {
            Kind::Call => {
                let Some(call) = Call::of(node) else { continue };
                let Expr::Attribute { value, attr: "update", .. } = Expr::of(call.func) else { continue };
                let Some(kind) = kind_of(value) else { continue };
                for (name, value) in &call.keywords {
                    add((*name).to_owned(), kind.clone(), *value);
                }
                let Some(dict) = call.positional.first() else { continue };
                for pair in dict.descendants().filter(|n| n.kind() == Kind::Pair) {
                    if let Some(name) = pair.child(Field::Key).and_then(string_value)
                        && let Some(value) = pair.child(Field::Value)
                    {
                        add(name, kind.clone(), value);
                    }
                }
            }
            Kind::ExprStatement => {
                let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(node) else { continue };
                for target in targets {
                    if let Expr::Subscript { value: object, .. } = Expr::of(target)
                        && let Some(kind) = kind_of(object)
                        && let Some(name) =
                            target.descendants().find(|n| n.kind() == Kind::Str).and_then(string_value)
                    {
                        add(name, kind, value);
                    }
                }
            }
            _ => {}
        }
    }
}
