//! A function whose returned value is looked at: what its names are bound to.

use super::{Arguments, Given};
use crate::python::{Field, Kind, Node, ParameterKind, parameters, string_value};
use crate::text::FileId;

/// The function whose body is read, and what its parameters are bound to.
#[derive(Clone)]
pub(super) struct Frame<'a> {
    def: Node<'a>,
    bound: Vec<(&'a str, Given<'a>)>,
    /// `**kwargs`, and what it holds.
    pub rest: Option<(&'a str, Vec<(String, Given<'a>)>)>,
    /// It was called with arguments that are not known.
    pub is_open: bool,
}

/// What a name is inside of a function.
pub(super) enum Local<'a> {
    /// A parameter, and what it is bound to.
    Bound(Given<'a>),
    /// A parameter without a known argument, or a name bound by something else than an assignment.
    Open,
    /// A function or class that is defined there.
    Def,
    /// Assigned there.
    Assigned(Vec<Node<'a>>),
}

impl<'a> Frame<'a> {
    pub fn new(file: FileId, def: Node<'a>, given: Arguments<'a>) -> Frame<'a> {
        let mut positional = given.positional.iter();
        let mut keywords = given.keywords;
        let mut frame = Frame { def, bound: Vec::new(), rest: None, is_open: given.is_open };
        for parameter in parameters(def) {
            let by_position =
                matches!(parameter.kind, ParameterKind::PositionalOnly | ParameterKind::PositionalOrKeyword);
            match parameter.kind {
                ParameterKind::VarKeyword => frame.rest = Some((parameter.name, Vec::new())),
                ParameterKind::VarPositional => {}
                _ => {
                    let first = if by_position { positional.next().copied() } else { None };
                    let by_name = keywords.iter().position(|(n, _)| n == parameter.name);
                    let value = first.or_else(|| by_name.map(|i| keywords.remove(i).1)).or_else(|| {
                        let node = parameter.default?;
                        (!frame.is_open).then_some(Given { file, node, is_local: false })
                    });
                    if let Some(value) = value {
                        frame.bound.push((parameter.name, value));
                    }
                }
            }
        }
        if let Some((_, held)) = &mut frame.rest {
            *held = keywords;
        }
        frame
    }

    /// Whether the body is one `return`, below its docstring.
    pub fn is_one_statement(&self) -> bool {
        let Some(body) = self.def.child(Field::Body) else { return false };
        let is_docstring = |n: &Node<'a>| {
            n.kind() == Kind::ExprStatement
                && n.children().next().is_some_and(|c| string_value(c).is_some() && c.kind() != Kind::Assign)
        };
        let mut statements = body.children().filter(|n| n.kind() != Kind::Comment && !is_docstring(n));
        statements.next().is_some_and(|n| n.kind() == Kind::Return) && statements.next().is_none()
    }

    /// The same function, called with arguments that are not known.
    pub fn opened(self) -> Frame<'a> {
        Frame { bound: Vec::new(), rest: None, is_open: true, ..self }
    }

    /// What a name is, where the function binds it.
    pub fn local(&self, name: &str) -> Option<Local<'a>> {
        if let Some((_, given)) = self.bound.iter().find(|(n, _)| *n == name) {
            return Some(Local::Bound(*given));
        }
        if parameters(self.def).iter().any(|p| p.name == name) {
            return Some(Local::Open);
        }
        let mut values = Vec::new();
        let mut bindings = self
            .def
            .descendants()
            .filter(|n| n.kind() == Kind::Name && n.text() == name && n.id() != self.def.id())
            .peekable();
        bindings.peek()?;
        for binding in bindings {
            let Some(parent) = binding.parent() else { continue };
            if matches!(parent.kind(), Kind::FunctionDef | Kind::ClassDef)
                && binding.field() == Field::Name
                && parent != self.def
            {
                return Some(Local::Def);
            }
            if !binding.is_binding() || binding.enclosing_scope() != Some(self.def) {
                continue;
            }
            match (parent.kind(), parent.child(Field::Right)) {
                (Kind::Assign, Some(value)) if binding.field() == Field::Left => values.push(value),
                _ => return Some(Local::Open),
            }
        }
        (!values.is_empty()).then_some(Local::Assigned(values))
    }
}
