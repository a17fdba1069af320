//! Attributes that code puts into classes from outside their bodies: `Book.save = ...`, `setattr(Book, "save", ...)`,
//! `Book.add_to_class("save", ...)`, also in a function that gets the class and the name.

use super::FieldKind;
use super::made::{self, Made};
use super::model::Model;
use super::values::{self, Mentions, Values};
use crate::python::{
    ClassId, Def, Expr, Field, Kind, Node, ParameterKind, Program, Stmt, arguments, parameters, string_value,
};
use crate::text::{FileId, Site};

/// The class that is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Patched {
    Class(ClassId),
    /// A class outside the program, by its dotted path.
    External(String),
    /// The model of this name, whichever its app: `get_model("Entry")`.
    Named(String),
    /// One that a variable holds.
    Unknown,
}

/// What is put into a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A method or any other value.
    Attribute,
    /// `add_to_class()` with a field that does more than store its value when a row is saved, or with something that may
    /// be one.
    Field,
    /// `add_to_class()` with a manager.
    Manager,
}

/// One attribute put into a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    pub class: Patched,
    /// The attribute; `None` where its name is computed.
    pub name: Option<String>,
    pub part: Part,
    /// A test around it names these models, and no others: `if sender.__name__ == "Book":`.
    pub only: Vec<String>,
    pub site: Site,
}

impl Patch {
    /// Whether it may change `model`, one of its bases, or Django's `Model`.
    pub fn is_of(&self, program: &Program, model: &Model) -> bool {
        let class = program.class(model.class);
        let is_named = |name: &String| {
            let is_it = |class: &str| class.eq_ignore_ascii_case(name.rsplit('.').next().unwrap_or(name));
            is_it(&model.name) || class.mro.iter().any(|c| is_it(&program.class(*c).name))
        };
        let is_of = match &self.class {
            Patched::Class(id) => class.mro.contains(id),
            Patched::External(path) => {
                path == "django.db.models.Model" || class.external_bases.contains(path)
            }
            Patched::Named(name) => is_named(name),
            Patched::Unknown => true,
        };
        is_of && (self.only.is_empty() || self.only.iter().any(is_named))
    }
}

/// Every patch in a file.
pub(super) fn patches(values: Values<'_>, mentions: &Mentions, file: FileId) -> Vec<Patch> {
    Scan { values, mentions, id: file }.file()
}

/// What a call or an assignment puts into a class.
struct Put<'a> {
    class: Node<'a>,
    name: Result<String, Node<'a>>,
    value: Option<Node<'a>>,
    node: Node<'a>,
    /// `add_to_class()`, which tells fields and managers of their class.
    contributes: bool,
}

struct Scan<'a> {
    values: Values<'a>,
    mentions: &'a Mentions,
    id: FileId,
}

impl<'a> Scan<'a> {
    fn file(&self) -> Vec<Patch> {
        let file = self.values.program.file(self.id);
        let mut out = Vec::new();
        if self.values.program.is_known_file(self.id) {
            return out;
        }
        for node in file.root().descendants() {
            match node.kind() {
                Kind::Assign => {
                    let Some(left) = node.child(Field::Left) else { continue };
                    let Expr::Attribute { value, attr, .. } = Expr::of(left) else { continue };
                    if !matches!(Expr::of(value), Expr::Name("self" | "cls")) {
                        let value_of = node.child(Field::Right);
                        self.add(value, Ok(attr.to_owned()), value_of, node, false, &mut out);
                    }
                }
                Kind::Call => {
                    let Expr::Call { func, arguments: list } = Expr::of(node) else { continue };
                    let name = |node: Node<'a>| string_value(node).ok_or(node);
                    match Expr::of(func) {
                        Expr::Name("setattr") => {
                            if let [class, named, rest @ ..] = arguments(list).as_slice() {
                                let value = rest.first().map(|a| a.value);
                                self.add(class.value, name(named.value), value, node, false, &mut out);
                            }
                        }
                        Expr::Attribute { value, attr: "add_to_class", .. } => {
                            if let [named, rest @ ..] = arguments(list).as_slice() {
                                let given = rest.first().map(|a| a.value);
                                self.add(value, name(named.value), given, node, true, &mut out);
                            }
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        out
    }

    fn add(
        &self,
        class: Node<'a>,
        name: Result<String, Node<'a>>,
        value: Option<Node<'a>>,
        node: Node<'a>,
        contributes: bool,
        out: &mut Vec<Patch>,
    ) {
        let put = Put { class, name, value, node, contributes };
        let part = self.part(&put);
        let mut push = |class: Patched, name: Option<String>| {
            let site = Site { file: self.id, span: node.span() };
            out.push(Patch { class, name, part, only: only(node), site });
        };
        let literal = put.name.as_ref().ok().cloned();
        match self.class(self.id, class, 0) {
            Some(Patched::Unknown) | None => {}
            Some(known) => return push(known, literal),
        }
        if matches!(
            values::resolve_here(self.values.program, self.id, class),
            Some(Def::Function(_) | Def::Module(_))
        ) {
            return;
        }
        // The function is given the class, or the name.
        let is_method = || value.is_some_and(|value| is_function(self.values.program, self.id, value));
        if (contributes || (put.name.is_err() || literal.as_deref().is_some_and(saves)) && is_method())
            && let Some(calls) = self.callers(&put)
        {
            for (class, name) in calls {
                match class {
                    Patched::Unknown if !name.as_deref().is_some_and(saves) && part == Part::Attribute => {}
                    class => push(class, name),
                }
            }
            return;
        }
        let takes_instance = || value.is_none_or(|value| may_be_method(self.values.program, self.id, value));
        let is_class = || may_be_class(self.values.program, self.id, class);
        // `model.save = ...` in a loop over models.
        let is_save = literal.as_deref().is_some_and(saves) && part == Part::Attribute;
        // A field class that adds another field is looked at where it is used.
        let is_own = node
            .enclosing_function()
            .is_some_and(|f| f.child(Field::Name).is_some_and(|n| n.text() == "contribute_to_class"));
        if is_save && is_class() && takes_instance() || part != Part::Attribute && !is_own {
            push(Patched::Unknown, literal);
        }
    }

    fn part(&self, put: &Put<'a>) -> Part {
        let Some(value) = put.value.filter(|_| put.contributes) else { return Part::Attribute };
        match made::made(self.values.program, self.id, value) {
            Made::Plain => Part::Attribute,
            Made::Manager(_) => Part::Manager,
            Made::Unknown => Part::Field,
            Made::Field(call) => {
                let now = call.given.keyword("auto_now");
                let is_stamped = match now {
                    Some(now) => now.is_local || self.values.flag(now.file, now.node) != Some(false),
                    None => call.given.is_open && call.class.kind != FieldKind::ForeignKey,
                };
                if is_stamped || call.class.has_hooks { Part::Field } else { Part::Attribute }
            }
        }
    }

    /// The class that an expression names or looks up; `None` where it is no name that this module binds.
    fn class(&self, file: FileId, node: Node<'a>, depth: usize) -> Option<Patched> {
        let program = self.values.program;
        match values::resolve_here(program, file, node) {
            Some(Def::Class(class)) => return Some(Patched::Class(class)),
            Some(Def::External(path)) => return Some(Patched::External(path)),
            Some(_) => return Some(Patched::Unknown),
            None => {}
        }
        match Expr::of(node) {
            Expr::Call { func, arguments: list } if func.text().ends_with("get_model") => {
                let label = arguments(list).iter().rev().find_map(|a| string_value(a.value))?;
                Some(Patched::Named(label.rsplit('.').next().unwrap_or(&label).to_owned()))
            }
            Expr::Name(name) if depth < 3 => {
                let function = node.enclosing_function()?;
                let mut bindings = function.mentions(name).filter(|n| n.is_binding());
                let (only, None) = (bindings.next()?, bindings.next()) else { return None };
                let Stmt::Assign { value: Some(value), targets, .. } = Stmt::of(only.statement()?) else {
                    return None;
                };
                targets.contains(&only).then(|| self.class(file, value, depth + 1)).flatten()
            }
            _ => None,
        }
    }

    /// What the callers of the function around `put` give for its class and name, where those are its parameters: by a
    /// call, or by decorating a class. `None` where they are not, or where nobody is seen to call it.
    fn callers(&self, put: &Put<'a>) -> Option<Vec<(Patched, Option<String>)>> {
        let program = self.values.program;
        let def = put.node.enclosing_function()?;
        let list = parameters(def);
        let position = |node: Node<'a>| match Expr::of(node) {
            Expr::Name(name) => list.iter().position(|p| p.name == name),
            _ => None,
        };
        let class = position(put.class);
        let named = put.name.as_ref().err().and_then(|node| position(*node));
        if class.is_none() && named.is_none() {
            return None;
        }
        let function = program.function_at(self.id, def.id())?;
        if program.function(function).class.is_some() {
            return None;
        }
        let own = def.child(Field::Name)?.text();
        let mut out = Vec::new();
        for (file, name) in self.mentions.of(program, own) {
            let outer = name.with_parens().parent().filter(|p| p.kind() == Kind::Attribute);
            let called = outer.unwrap_or(name);
            let Some(parent) = called.with_parens().parent() else { continue };
            let is_it = || values::resolve_here(program, file, called) == Some(Def::Function(function));
            if parent.kind() == Kind::Decorator && is_it() {
                let node = parent.parent().and_then(|p| p.child_of_kind(Kind::ClassDef));
                let decorated = node.and_then(|n| program.class_at(file, n.id()));
                if let Some(decorated) = decorated {
                    out.push((Patched::Class(decorated), put.name.as_ref().ok().cloned()));
                }
            } else if parent.kind() == Kind::Call && called.field() == Field::Function && is_it() {
                let Expr::Call { arguments: given, .. } = Expr::of(parent) else { continue };
                let given = arguments(given);
                let argument = |index: Option<usize>| {
                    let parameter = list.get(index?)?;
                    given
                        .iter()
                        .find(|a| a.name == Some(parameter.name))
                        .or_else(|| given.get(index?).filter(|a| a.name.is_none() && a.stars == 0))
                        .map(|a| a.value)
                };
                let class = match class {
                    Some(_) => argument(class).and_then(|node| self.class(file, node, 0)),
                    None => self.class(self.id, put.class, 0),
                };
                let name = match &put.name {
                    Ok(name) => Some(name.clone()),
                    Err(_) => argument(named).and_then(string_value),
                };
                out.push((class.unwrap_or(Patched::Unknown), name));
            }
        }
        (!out.is_empty()).then_some(out)
    }
}

/// Whether a value is a function: a lambda, or the name of one that is defined around it or in the program.
fn is_function(program: &Program, file: FileId, value: Node<'_>) -> bool {
    match Expr::of(value) {
        Expr::Lambda { .. } => true,
        Expr::Name(name) => {
            let defines = |function: Node<'_>| {
                function.descendants().any(|n| {
                    n.kind() == Kind::FunctionDef && n.child(Field::Name).is_some_and(|n| n.text() == name)
                })
            };
            value.enclosing_function().is_some_and(defines)
                || matches!(values::resolve_here(program, file, value), Some(Def::Function(_)))
        }
        _ => false,
    }
}

fn saves(name: &str) -> bool {
    matches!(name, "save" | "save_base")
}

/// The names of models to which the tests around a node restrict it: `sender.__name__ == "Book"`,
/// `model._meta.label in ("shop.Book", "shop.Tag")`.
fn only(node: Node<'_>) -> Vec<String> {
    let mut out = Vec::new();
    for outer in node.ancestors().filter(|n| n.kind() == Kind::If) {
        let Stmt::If { branches, .. } = Stmt::of(outer) else { continue };
        let Some((test, _)) = branches.into_iter().find(|(_, body)| body.contains(node.id())) else {
            continue;
        };
        let Expr::Compare { left, op: Kind::Eq | Kind::In, right } = Expr::of(test) else { continue };
        let names = ["__name__", "object_name", "model_name", "label", "label_lower"];
        if matches!(Expr::of(left), Expr::Attribute { attr, .. } if names.contains(&attr)) {
            out.extend(right.descendants().filter(|n| n.kind() == Kind::Str).filter_map(string_value));
        }
    }
    out
}

/// Whether an expression that names nothing of the module may hold a class of model: not where the function around it
/// binds the name to instances of a class, and nothing else.
fn may_be_class(program: &Program, file: FileId, node: Node<'_>) -> bool {
    let Expr::Name(name) = Expr::of(node) else {
        // A call's result, an element, an attribute: `form.instance`, `apps.get_model("shop", "Book")`.
        return true;
    };
    let Some(function) = node.enclosing_function() else { return true };
    let makes_instance = |value: Node<'_>| match Expr::of(value) {
        Expr::Call { func, .. } => match values::resolve_here(program, file, func) {
            // A metaclass makes classes.
            Some(Def::Class(class)) => !program.inherits(class, "builtins.type"),
            _ => matches!(Expr::of(func), Expr::Name("super")),
        },
        _ => false,
    };
    let bound: Vec<Node<'_>> = function
        .descendants()
        .filter(|n| n.kind() == Kind::Name && n.is_binding() && n.text() == name)
        .collect();
    let is_instance = |binding: &Node<'_>| {
        binding
            .parent()
            .filter(|p| p.kind() == Kind::Assign && binding.field() == Field::Left)
            .and_then(|p| p.child(Field::Right))
            .is_some_and(makes_instance)
    };
    bound.is_empty() || !bound.iter().all(is_instance)
}

/// Whether a value that is put into a class would get the instance as a method does: not a function without a place
/// for it, nor a bound method.
fn may_be_method(program: &Program, file: FileId, value: Node<'_>) -> bool {
    let takes_one = |function: Node<'_>| {
        let list = parameters(function);
        list.iter().any(|p| {
            matches!(
                p.kind,
                ParameterKind::PositionalOnly
                    | ParameterKind::PositionalOrKeyword
                    | ParameterKind::VarPositional
            )
        })
    };
    match Expr::of(value) {
        Expr::Lambda { .. } => takes_one(value.peel()),
        Expr::Call { func, .. } => match values::resolve_here(program, file, func) {
            Some(Def::External(path)) => path != "types.MethodType" && !path.starts_with("unittest.mock."),
            _ => true,
        },
        Expr::Name(name) => {
            let local = value.enclosing_function().and_then(|function| {
                let mut inner = function.descendants().filter(|n| n.kind() == Kind::FunctionDef);
                inner.find(|n| n.child(Field::Name).is_some_and(|n| n.text() == name))
            });
            match (local, values::resolve_here(program, file, value)) {
                (Some(function), _) => takes_one(function),
                (None, Some(Def::Function(function))) => {
                    let info = program.function(function);
                    takes_one(program.file(info.file).node(info.node))
                }
                _ => true,
            }
        }
        _ => true,
    }
}
