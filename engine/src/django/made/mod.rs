//! What the value of an attribute in a class body is made by: a field class, a manager, something without a part in
//! saving rows, or code that is not followed and may have made any of them.

mod frame;

use super::fields::{FieldClass, field_class};
use super::managers::{self, ManagerClass};
use super::signals::is_known;
use super::values::{self, Call};
use crate::python::{
    Def, Expr, Field, FunctionId, Kind, Member, Node, NodeId, Program, Stmt, canonical, string_value,
};
use crate::text::FileId;
use frame::{Frame, Local};

/// Names, functions and dicts are followed this far.
const MAX_HOPS: usize = 8;

/// What the value of an attribute is.
pub(super) enum Made<'a> {
    Field(FieldCall<'a>),
    Manager(ManagerClass),
    /// A value that takes no part in saving rows.
    Plain,
    /// Perhaps a field or a manager, that may do anything.
    Unknown,
}

/// A call of a field class, through whatever functions and partials.
pub(super) struct FieldCall<'a> {
    pub class: FieldClass,
    pub given: Arguments<'a>,
}

/// The arguments that reach a class or function.
#[derive(Clone, Default)]
pub(super) struct Arguments<'a> {
    pub positional: Vec<Given<'a>>,
    pub keywords: Vec<(String, Given<'a>)>,
    /// Others may reach it that are not here.
    pub is_open: bool,
}

/// The expression of one argument.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub file: FileId,
    pub node: Node<'a>,
    /// Its names are variables of a function: nothing can be read off it.
    pub is_local: bool,
}

impl<'a> Arguments<'a> {
    pub fn keyword(&self, name: &str) -> Option<Given<'a>> {
        self.keywords.iter().find(|(n, _)| n == name).map(|(_, v)| *v)
    }

    fn set(&mut self, name: &str, value: Given<'a>) {
        match self.keywords.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.keywords.push((name.to_owned(), value)),
        }
    }
}

/// What the value `node` at the top of `file`, or in the body of a class there, is made by.
pub(super) fn made<'a>(program: &'a Program, file: FileId, node: Node<'a>) -> Made<'a> {
    Maker { program }.value(file, node, None, 0)
}

/// Whether a class body binds `name` in several branches, a loop or a pattern, to what may be a field or a manager.
pub(super) fn may_bind_part<'a>(program: &'a Program, file: FileId, class: Node<'a>, name: &str) -> bool {
    let maker = Maker { program };
    let names = |target: Node<'a>| target.mentions(name).any(Node::is_binding);
    class.descendants().filter(|n| n.kind() == Kind::ExprStatement).any(|statement| {
        let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(statement) else { return false };
        statement.enclosing_scope() == Some(class)
            && targets.iter().any(|t| names(*t))
            && !maker.is_plain_or_items(file, value)
    })
}

/// The call by which a class body writes names that are not spelled out: `locals()["name"] = ...`.
pub(super) fn writes_namespace(class: Node<'_>) -> Option<Node<'_>> {
    class.descendants().find(|n| {
        n.kind() == Kind::Call
            && n.enclosing_scope() == Some(class)
            && matches!(Expr::of(*n), Expr::Call { func, .. }
                if matches!(Expr::of(func), Expr::Name("locals" | "vars" | "exec")))
    })
}

struct Maker<'a> {
    program: &'a Program,
}

impl<'a> Maker<'a> {
    fn node(&self, file: FileId, node: NodeId) -> Node<'a> {
        self.program.file(file).node(node)
    }

    fn is_plain(&self, file: FileId, node: Node<'a>, frame: Option<&Frame<'a>>, depth: usize) -> bool {
        matches!(self.value(file, node, frame, depth), Made::Plain)
    }

    /// Whether a value, and what a literal holds, is plain.
    fn is_plain_or_items(&self, file: FileId, node: Node<'a>) -> bool {
        match Expr::of(node) {
            Expr::Tuple(list) | Expr::List(list) => {
                list.children().all(|item| self.is_plain(file, item, None, 1))
            }
            Expr::Dict(dict) => {
                let mut values = dict.children().filter_map(|pair| pair.child(Field::Value));
                values.all(|value| self.is_plain(file, value, None, 1))
            }
            _ => self.is_plain(file, node, None, 1),
        }
    }

    fn value(&self, file: FileId, node: Node<'a>, frame: Option<&Frame<'a>>, depth: usize) -> Made<'a> {
        if depth > MAX_HOPS {
            return Made::Unknown;
        }
        let both = |parts: [Node<'a>; 2]| {
            let is_plain = parts.iter().all(|part| self.is_plain(file, *part, frame, depth + 1));
            if is_plain { Made::Plain } else { Made::Unknown }
        };
        match Expr::of(node) {
            Expr::Name(name) => match frame.and_then(|f| f.local(name)) {
                Some(local) => self.local(file, local, frame, depth),
                None => self.named(file, node, depth),
            },
            Expr::Attribute { .. } => self.named(file, node, depth),
            Expr::IfExp { body, orelse, .. } => both([body, orelse]),
            Expr::BoolOp { left, right, .. } => both([left, right]),
            Expr::Subscript { value, .. } => match self.program.resolve_expr(file, value.id()) {
                Some(Def::Variable { file, value: Some(value) })
                    if !self.is_plain_or_items(file, self.node(file, value)) =>
                {
                    Made::Unknown
                }
                _ => Made::Plain,
            },
            Expr::Call { func, .. } => self.call(file, node, func, frame, depth),
            _ => Made::Plain,
        }
    }

    /// The value that a name at the top of a module has.
    fn named(&self, file: FileId, node: Node<'a>, depth: usize) -> Made<'a> {
        match values::resolve_here(self.program, file, node) {
            Some(Def::Variable { file, value: Some(value) }) => {
                self.value(file, self.node(file, value), None, depth + 1)
            }
            _ => Made::Plain,
        }
    }

    fn local(&self, file: FileId, local: Local<'a>, frame: Option<&Frame<'a>>, depth: usize) -> Made<'a> {
        match local {
            Local::Bound(given) if !given.is_local => self.value(given.file, given.node, None, depth + 1),
            Local::Bound(_) | Local::Open => Made::Unknown,
            // A function or class, not what it gives.
            Local::Def => Made::Plain,
            Local::Assigned(values) => {
                let is_plain = values.iter().all(|value| self.is_plain(file, *value, frame, depth + 1));
                if is_plain { Made::Plain } else { Made::Unknown }
            }
        }
    }

    fn call(
        &self,
        file: FileId,
        node: Node<'a>,
        func: Node<'a>,
        frame: Option<&Frame<'a>>,
        depth: usize,
    ) -> Made<'a> {
        if let Expr::Name(name) = Expr::of(func)
            && frame.is_some_and(|f| f.local(name).is_some())
        {
            return Made::Unknown;
        }
        // A class that the function makes, `as_manager()` of whatever.
        if let (Expr::Attribute { value, attr, .. }, Some(frame)) = (Expr::of(func), frame)
            && let Expr::Name(name) = Expr::of(value)
            && let Some(local) = frame.local(name)
            && (matches!(local, Local::Def) || attr == "as_manager")
        {
            return Made::Unknown;
        }
        let given = self.arguments(file, node, frame);
        // A manager says so by its class, or by its name.
        let manager = || managers::instance(self.program, file, node, 0).map(Made::Manager);
        if frame.is_none()
            && let Some(manager) = manager()
        {
            return manager;
        }
        self.called(file, func, given, depth).unwrap_or_else(|| manager().unwrap_or(Made::Unknown))
    }

    /// What a call of `func` with these arguments makes; `None` where it is not known.
    fn called(&self, file: FileId, func: Node<'a>, given: Arguments<'a>, depth: usize) -> Option<Made<'a>> {
        if depth > MAX_HOPS {
            return None;
        }
        match Expr::of(func) {
            Expr::Call { func: inner, .. } => {
                // `partial(Field, null=True)()`
                if self.is_partial(file, inner) {
                    return self.partial(file, func, given, depth);
                }
                // What a decorator makes of a function; only a class found by its path makes anything else.
                let Some(Def::External(path)) = values::resolve_here(self.program, file, inner) else {
                    return None;
                };
                let is_finder = ["import_string", "get_class", "type"].iter().any(|f| path.ends_with(f));
                return (path.starts_with("django.") && !is_finder).then_some(Made::Plain);
            }
            Expr::Lambda { .. } => return None,
            _ => {}
        }
        let def = values::resolve_here(self.program, file, func);
        if let Some(class) = def.as_ref().and_then(|def| field_class(self.program, def)) {
            return Some(Made::Field(FieldCall { class, given }));
        }
        match def {
            Some(Def::Variable { file, value: Some(value) }) => {
                let value = self.node(file, value);
                match Expr::of(value) {
                    Expr::Name(_) | Expr::Attribute { .. } => self.called(file, value, given, depth + 1),
                    Expr::Call { func: inner, .. } if self.is_partial(file, inner) => {
                        self.partial(file, value, given, depth + 1)
                    }
                    _ => None,
                }
            }
            Some(Def::Function(function)) => Some(self.returned(function, given, depth)),
            Some(Def::Class(class)) => {
                let class = self.program.class(class);
                // Receivers that it connects are found where they are.
                let contributes = class.mro.iter().any(|c| {
                    let ancestor = self.program.class(*c);
                    let Some(Member::Function(function, _)) = ancestor.members.get("contribute_to_class")
                    else {
                        return false;
                    };
                    !self.program.is_known_file(ancestor.file) && self.adds_parts(*function)
                });
                if contributes { None } else { Some(Made::Plain) }
            }
            Some(Def::External(path)) => is_known(&canonical(&path)).then_some(Made::Plain),
            Some(Def::Module(_)) => Some(Made::Plain),
            Some(Def::Variable { value: None, .. }) => None,
            None => self.method(file, func, given, depth),
        }
    }

    /// Whether a `contribute_to_class()` adds other fields or managers to the class.
    fn adds_parts(&self, function: FunctionId) -> bool {
        let info = self.program.function(function);
        let body = self.node(info.file, info.node).descendants();
        body.filter(|n| n.kind() == Kind::Attribute).any(|n| match Expr::of(n) {
            Expr::Attribute { attr: "add_to_class" | "add_field", .. } => true,
            Expr::Attribute { value, attr: "contribute_to_class", .. } => !value.text().starts_with("super("),
            _ => false,
        })
    }

    /// What a method makes: `"".join(...)`, `Status.choices()`, `fields.money()`.
    fn method(&self, file: FileId, func: Node<'a>, given: Arguments<'a>, depth: usize) -> Option<Made<'a>> {
        let Expr::Attribute { value, attr, .. } = Expr::of(func) else {
            let name = func.text();
            let says_part = ["Field", "Key", "Manager"].iter().any(|end| name.ends_with(end));
            return (!says_part).then_some(Made::Plain);
        };
        let class = match Expr::of(value) {
            Expr::Name(_) | Expr::Attribute { .. } => match values::resolve_here(self.program, file, value) {
                Some(Def::Class(class)) => Some(class),
                Some(Def::Variable { file, value: Some(value) }) => {
                    let value = self.node(file, value);
                    Call::of(value).and_then(|call| {
                        match values::resolve_here(self.program, file, call.func) {
                            Some(Def::Class(class)) => Some(class),
                            _ => None,
                        }
                    })
                }
                _ => None,
            },
            _ => None,
        };
        let member = class.and_then(|class| self.program.member(class, attr));
        match member {
            Some((owner, Member::Function(function, _))) => {
                let is_known = self.program.is_known_file(self.program.class(owner).file);
                let mut given = given;
                // `self` or `cls` comes first.
                given.positional.insert(0, Given { file, node: value, is_local: true });
                if is_known { Some(Made::Plain) } else { Some(self.returned(*function, given, depth)) }
            }
            _ => Some(Made::Plain),
        }
    }

    fn is_partial(&self, file: FileId, func: Node<'a>) -> bool {
        matches!(values::resolve_here(self.program, file, func),
            Some(Def::External(path)) if path == "functools.partial")
    }

    /// What a call of `partial(target, ...)` makes.
    fn partial(&self, file: FileId, node: Node<'a>, given: Arguments<'a>, depth: usize) -> Option<Made<'a>> {
        let mut all = self.arguments(file, node, None);
        if all.positional.is_empty() {
            return None;
        }
        let target = all.positional.remove(0);
        all.positional.extend(given.positional);
        for (name, value) in given.keywords {
            all.set(&name, value);
        }
        all.is_open |= given.is_open;
        self.called(target.file, target.node, all, depth + 1)
    }

    /// What a function of the program returns when it is called with these arguments.
    fn returned(&self, function: FunctionId, given: Arguments<'a>, depth: usize) -> Made<'a> {
        let info = self.program.function(function);
        let def = self.node(info.file, info.node);
        let returns: Vec<Node<'a>> = def
            .descendants()
            .filter(|n| n.kind() == Kind::Return && n.enclosing_function() == Some(def))
            .filter_map(|n| match Stmt::of(n) {
                Stmt::Return(value) => value,
                _ => None,
            })
            .collect();
        let frame = Frame::new(info.file, def, given);
        match returns.as_slice() {
            // A function that does nothing but return.
            [only] if frame.is_one_statement() => self.value(info.file, *only, Some(&frame), depth + 1),
            _ => {
                let frame = frame.opened();
                let is_plain = |value: &Node<'a>| self.is_plain(info.file, *value, Some(&frame), depth + 1);
                if returns.iter().all(is_plain) { Made::Plain } else { Made::Unknown }
            }
        }
    }

    /// The arguments of a call, `**` of dicts that can be read spliced in.
    fn arguments(&self, file: FileId, node: Node<'a>, frame: Option<&Frame<'a>>) -> Arguments<'a> {
        let mut out = Arguments::default();
        let Expr::Call { arguments: list, .. } = Expr::of(node) else { return out };
        let given = |value: Node<'a>| match (Expr::of(value), frame) {
            (Expr::Name(name), Some(frame)) => match frame.local(name) {
                Some(Local::Bound(given)) => given,
                Some(_) => Given { file, node: value, is_local: true },
                None => Given { file, node: value, is_local: false },
            },
            (_, Some(frame)) => {
                let is_local = |n: Node<'a>| n.kind() == Kind::Name && frame.local(n.text()).is_some();
                Given { file, node: value, is_local: value.descendants().any(is_local) }
            }
            (_, None) => Given { file, node: value, is_local: false },
        };
        for argument in crate::python::arguments(list) {
            match (argument.name, argument.stars) {
                (_, 2) => self.spread(file, argument.value, frame, &mut out),
                (_, 1) => out.is_open = true,
                (Some(name), _) => out.set(name, given(argument.value)),
                (None, _) => out.positional.push(given(argument.value)),
            }
        }
        out
    }

    /// `**value`
    fn spread(&self, file: FileId, value: Node<'a>, frame: Option<&Frame<'a>>, out: &mut Arguments<'a>) {
        if let (Expr::Name(name), Some(frame)) = (Expr::of(value), frame)
            && let Some((rest, held)) = &frame.rest
            && *rest == name
        {
            out.is_open |= frame.is_open;
            for (name, value) in held {
                out.set(name, *value);
            }
            return;
        }
        let is_local = frame.is_some_and(|frame| {
            value.descendants().any(|n| n.kind() == Kind::Name && frame.local(n.text()).is_some())
        });
        match self.items(file, value, 0).filter(|_| !is_local) {
            Some(items) => items.into_iter().for_each(|(name, value)| out.set(&name, value)),
            None => out.is_open = true,
        }
    }

    /// The items of a dict with keys that are strings; `None` where something in it cannot be read.
    fn items(&self, file: FileId, node: Node<'a>, depth: usize) -> Option<Vec<(String, Given<'a>)>> {
        if depth > MAX_HOPS {
            return None;
        }
        match Expr::of(node) {
            Expr::Dict(dict) => {
                let mut out = Vec::new();
                for pair in dict.children().filter(|c| c.kind() != Kind::Comment) {
                    match (pair.child(Field::Key), pair.child(Field::Value)) {
                        (Some(key), Some(value)) => {
                            out.push((string_value(key)?, Given { file, node: value, is_local: false }));
                        }
                        _ => out.extend(self.items(file, pair.children().next()?, depth + 1)?),
                    }
                }
                Some(out)
            }
            Expr::Call { func, .. } if matches!(Expr::of(func), Expr::Name("dict")) => {
                let given = self.arguments(file, node, None);
                (given.positional.is_empty() && !given.is_open).then_some(given.keywords)
            }
            Expr::Name(_) | Expr::Attribute { .. } => {
                let Def::Variable { file: at, value: Some(value) } =
                    self.program.resolve_expr(file, node.id())?
                else {
                    return None;
                };
                let value = self.node(at, value);
                let name = node.text().rsplit('.').next().unwrap_or("");
                // An item that is set later, `OPTIONS.update(...)`.
                let is_changed = self.program.file(at).root().descendants().any(|n| {
                    n.kind() == Kind::Name
                        && n.text() == name
                        && n.with_parens().parent().is_some_and(|p| {
                            matches!(p.kind(), Kind::Attribute | Kind::Subscript | Kind::AugAssign)
                        })
                });
                if is_changed { None } else { self.items(at, value, depth + 1) }
            }
            _ => None,
        }
    }
}
