//! Strings, lists and flags read off expressions, names and settings followed.

use super::Settings;
use crate::python::touched::{aside, touch_name};
use crate::python::{Def, Expr, Field, Kind, Node, NodeId, Program, Stmt, arguments, string_value};
use crate::text::FileId;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Names are followed this far.
const MAX_HOPS: usize = 8;

/// Reads values in the light of the program and its settings.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub program: &'a Program,
    pub settings: &'a Settings,
}

impl<'a> Values<'a> {
    pub fn node(self, file: FileId, node: NodeId) -> Node<'a> {
        self.program.file(file).node(node)
    }

    /// The string that an expression stands for.
    pub fn string(self, file: FileId, node: Node<'a>) -> Option<String> {
        self.string_at(file, node, 0)
    }

    fn string_at(self, file: FileId, node: Node<'a>, depth: usize) -> Option<String> {
        if depth > MAX_HOPS {
            return None;
        }
        match Expr::of(node) {
            Expr::Str(node) => string_value(node),
            Expr::Name(_) | Expr::Attribute { .. } => match self.program.resolve_expr(file, node.id())? {
                Def::Variable { file, value: Some(value) } => {
                    self.string_at(file, self.node(file, value), depth + 1)
                }
                Def::External(path) => self.setting(path.strip_prefix("django.conf.settings.")?),
                _ => None,
            },
            Expr::BinOp { left, op: Kind::Add, right } => {
                Some(self.string_at(file, left, depth + 1)? + &self.string_at(file, right, depth + 1)?)
            }
            Expr::BoolOp { left, op: Kind::Or, right } => self
                .string_at(file, left, depth + 1)
                .filter(|s| !s.is_empty())
                .or_else(|| self.string_at(file, right, depth + 1)),
            Expr::Call { func, arguments: list } => {
                let list = arguments(list);
                let first = list.first().map(|a| a.value);
                match func.text() {
                    "getattr" => {
                        if first?.text().ends_with("settings") {
                            let name = string_value(list.get(1)?.value)?;
                            return self
                                .setting(&name)
                                .or_else(|| self.string_at(file, list.get(2)?.value, depth + 1));
                        }
                        None
                    }
                    // `swapper` names the setting by app and model.
                    "swapper.swappable_setting" => {
                        let app = string_value(first?)?;
                        let model = string_value(list.get(1)?.value)?;
                        Some(format!("{app}_{model}_MODEL").to_uppercase())
                    }
                    "swapper.get_model_name" => {
                        let app = string_value(first?)?;
                        let model = string_value(list.get(1)?.value)?;
                        let setting = format!("{app}_{model}_MODEL").to_uppercase();
                        self.setting(&setting).or_else(|| Some(format!("{app}.{model}")))
                    }
                    // Translations are their text.
                    "_" | "gettext_lazy" | "gettext" | "str" => self.string_at(file, first?, depth + 1),
                    _ => self.returned(file, func, depth),
                }
            }
            _ => None,
        }
    }

    /// What a project function of settings returns: the value of its last `return`.
    fn returned(self, file: FileId, func: Node<'a>, depth: usize) -> Option<String> {
        let Def::Function(function) = self.program.resolve_expr(file, func.id())? else { return None };
        let function = self.program.function(function);
        let def = self.node(function.file, function.node);
        let value =
            def.descendants().filter(|n| n.kind() == Kind::Return).last().and_then(|n| {
                match Stmt::of(n) {
                    Stmt::Return(value) => value,
                    _ => None,
                }
            })?;
        self.string_at(function.file, value, depth + 1)
    }

    /// The one string that the settings modules bind `name` to.
    pub fn setting(self, name: &str) -> Option<String> {
        if name == "AUTH_USER_MODEL" {
            return Some(self.settings.auth_user_model.clone());
        }
        self.settings.strings.get(name).cloned()
    }

    /// The strings of a list or tuple; `None` when anything in it is not one.
    pub fn strings(self, file: FileId, node: Node<'a>) -> Option<Vec<String>> {
        self.strings_at(file, node, 0)
    }

    fn strings_at(self, file: FileId, node: Node<'a>, depth: usize) -> Option<Vec<String>> {
        if depth > MAX_HOPS {
            return None;
        }
        match Expr::of(node) {
            Expr::List(list) | Expr::Tuple(list) | Expr::Set(list) => {
                let mut out = Vec::new();
                for item in list.children() {
                    match Expr::of(item) {
                        Expr::Starred(inner) => out.extend(self.strings_at(file, inner, depth + 1)?),
                        _ => out.push(self.string_at(file, item, depth + 1)?),
                    }
                }
                Some(out)
            }
            Expr::BinOp { left, op: Kind::Add, right } => {
                let mut out = self.strings_at(file, left, depth + 1)?;
                out.extend(self.strings_at(file, right, depth + 1)?);
                Some(out)
            }
            Expr::Name(_) | Expr::Attribute { .. } => match self.program.resolve_expr(file, node.id())? {
                Def::Variable { file, value: Some(value) } => {
                    self.strings_at(file, self.node(file, value), depth + 1)
                }
                _ => None,
            },
            Expr::Str(_) => Some(vec![self.string_at(file, node, depth + 1)?]),
            _ => None,
        }
    }

    /// `True`, `False`, or a name of one.
    pub fn flag(self, file: FileId, node: Node<'a>) -> Option<bool> {
        match Expr::of(node) {
            Expr::True => Some(true),
            Expr::False | Expr::None => Some(false),
            Expr::Name(_) => match self.program.resolve_expr(file, node.id())? {
                Def::Variable { file, value: Some(value) } => match Expr::of(self.node(file, value)) {
                    Expr::True => Some(true),
                    Expr::False | Expr::None => Some(false),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }
}

/// A call's function and arguments, with keywords by name.
pub(super) struct Call<'a> {
    pub func: Node<'a>,
    pub positional: Vec<Node<'a>>,
    pub keywords: Vec<(&'a str, Node<'a>)>,
    /// `*args` or `**kwargs` hide some.
    pub is_open: bool,
}

impl<'a> Call<'a> {
    pub fn of(node: Node<'a>) -> Option<Call<'a>> {
        let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
        let mut call = Call { func, positional: Vec::new(), keywords: Vec::new(), is_open: false };
        for argument in arguments(list) {
            match (argument.name, argument.stars) {
                (_, 1 | 2) => call.is_open = true,
                (Some(name), _) => call.keywords.push((name, argument.value)),
                (None, _) => call.positional.push(argument.value),
            }
        }
        Some(call)
    }

    pub fn keyword(&self, name: &str) -> Option<Node<'a>> {
        self.keywords.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }

    pub fn argument(&self, name: &str, position: usize) -> Option<Node<'a>> {
        self.keyword(name).or_else(|| self.positional.get(position).copied())
    }
}

/// Where names stand in the project's own files; each name is looked for once.
#[derive(Default)]
pub(super) struct Mentions(Mutex<FxHashMap<Box<str>, Places>>);

type Places = Arc<[(FileId, NodeId)]>;

impl Mentions {
    /// Every place of `name`. Who asks has not looked into files without one.
    pub fn of<'a>(&self, program: &'a Program, name: &str) -> Vec<(FileId, Node<'a>)> {
        touch_name(name);
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let places = known().get(name).cloned();
        let places = places.unwrap_or_else(|| {
            let found = aside(|| find_mentions(program, name));
            known().insert(name.into(), found.clone());
            found
        });
        places.iter().map(|(file, node)| (*file, program.file(*file).node(*node))).collect()
    }
}

fn find_mentions(program: &Program, name: &str) -> Places {
    let own = program.file_ids().filter(|file| !program.is_known_file(*file));
    own.flat_map(|file| program.file(file).root().mentions(name).map(move |node| (file, node.id()))).collect()
}

/// The call of what `name` names: `name()`, `x.name()`.
pub(super) fn call_of(name: Node<'_>) -> Option<Node<'_>> {
    let outer = name.with_parens().parent().filter(|p| p.kind() == Kind::Attribute);
    let called = match outer {
        Some(outer) if name.field() == Field::Attribute => outer,
        Some(_) => return None,
        None => name,
    };
    let called = called.with_parens();
    called.parent().filter(|p| p.kind() == Kind::Call && called.field() == Field::Function)
}

/// What a dotted name means at `node`: imported in a function around it, or global.
pub(super) fn resolve_here(program: &Program, file: FileId, node: Node<'_>) -> Option<Def> {
    let mut attributes = Vec::new();
    let mut base = node.peel();
    while let Expr::Attribute { value, attr, .. } = Expr::of(base) {
        attributes.push(attr);
        base = value.peel();
    }
    let Expr::Name(name) = Expr::of(base) else { return None };
    let mut def = match program.local_import(file, base, name) {
        Some(def) => def,
        None => program.global(file, name)?,
    };
    for attr in attributes.iter().rev() {
        def = program.attribute(&def, attr)?;
    }
    Some(def)
}
