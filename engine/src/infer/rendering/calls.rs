//! Calls that render a template.

use super::Names;
use crate::infer::calls::Arg;
use crate::infer::facts::Escape;
use crate::infer::frame::Frame;
use crate::infer::types::{Dict, KnownKeys, Type};
use crate::python::{
    Argument, ClassId, Expr, Field, Kind, Member, Node, Program, arguments, parameters, string_value,
};
use std::sync::Arc;

/// Templates that one call may name and that are looked at.
const MAX_CHOICES: usize = 4;
/// A variable of a variable is followed so far.
const MAX_HOPS: usize = 4;

/// Where a function of Django's takes the names of templates and the context: positions, and names of parameters.
pub(super) fn signature(path: &str) -> Option<[(usize, &'static str); 2]> {
    Some(match path {
        "django.shortcuts.render" => [(1, "template_name"), (2, "context")],
        "django.template.response.TemplateResponse" => [(1, "template"), (2, "context")],
        "django.shortcuts.render_to_response" => [(0, "template_name"), (1, "context")],
        "django.template.response.SimpleTemplateResponse" => [(0, "template"), (1, "context")],
        "django.template.loader.render_to_string" => [(0, "template_name"), (1, "context")],
        _ => return None,
    })
}

impl<'a> Frame<'a, '_> {
    /// Render what a call of something outside the program renders, if it does.
    pub(in crate::infer) fn rendered_by(&mut self, path: &str, args: &[Arg<'a>], node: Node<'a>) {
        if let Some([template, context]) = signature(path) {
            let argument = |(index, name): (usize, &str)| {
                let named = args.iter().find(|a| a.name == Some(name));
                named.or_else(|| args.get(index).filter(|a| a.name.is_none() && a.stars == 0))
            };
            let Some(template) = argument(template) else { return };
            let names = self.template_names(template.node);
            let context = argument(context).map_or_else(Names::default, |a| self.context_of(&a.ty));
            self.rendered(names, context, node);
        } else if path == "django.template.loader.get_template.render"
            || path == "django.template.loader.select_template.render"
        {
            let Expr::Call { func, .. } = Expr::of(node) else { return };
            let Expr::Attribute { value, .. } = Expr::of(func) else { return };
            // The template may have been got into a variable, whose assignment is looked for.
            let got = match Expr::of(value) {
                Expr::Name(name) => assigned_once(self.scope, name),
                _ => Some(value),
            };
            let Some(Expr::Call { arguments: list, .. }) = got.map(Expr::of) else { return };
            let Some(first) = arguments(list).first().map(|a| a.value) else { return };
            let names = self.template_names(first);
            let context = args.first().map_or_else(Names::default, |a| self.context_of(&a.ty));
            self.rendered(names, context, node);
        }
    }

    /// Render the template that an expression names; of several that it may name each, under a condition.
    pub(super) fn rendered(&mut self, mut choices: Vec<Vec<String>>, context: Names, node: Node<'a>) {
        choices.sort();
        choices.dedup();
        let is_one = choices.len() == 1;
        for names in choices.into_iter().take(MAX_CHOICES) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            if is_one {
                self.render(&names, context.clone(), node);
                return;
            }
            let start = self.facts.own.len();
            self.conditionally(|frame| frame.render(&names, context.clone(), node));
            // The other template may show the same rows and read less of them.
            let events = self.facts.own.iter_mut().skip(start);
            events.flat_map(|e| &mut e.rounds).for_each(|round| round.is_certain = false);
        }
    }

    /// The names that an expression gives literally, also by a variable that is only assigned such: the choices, each of
    /// them one name or a list of which the first that exists is meant.
    pub(super) fn template_names(&self, node: Node<'a>) -> Vec<Vec<String>> {
        let mut out = Vec::new();
        self.name_choices(node, 0, &mut out);
        out
    }

    /// The template that an attribute of an object of `class` names; a class below may name another one.
    pub(super) fn attribute_choices(&self, class: ClassId, attr: &str, out: &mut Vec<Vec<String>>) {
        let program = self.az.project.program();
        out.extend(class_string(program, class, attr).map(|name| vec![name]));
        let below = program.descendants(class).into_iter().filter(|c| *c != class);
        if below.into_iter().any(|c| program.class(c).members.contains_key(attr)) {
            out.push(Vec::new());
        }
    }

    fn name_choices(&self, node: Node<'a>, depth: usize, out: &mut Vec<Vec<String>>) {
        if depth > MAX_HOPS {
            return;
        }
        if let Some(name) = string_value(node) {
            out.push(vec![name]);
            return;
        }
        match Expr::of(node) {
            Expr::List(items) | Expr::Tuple(items) => {
                out.push(items.children().filter_map(string_value).collect());
            }
            Expr::Attribute { value, attr, .. } if matches!(Expr::of(value), Expr::Name("self" | "cls")) => {
                // The class of the object, where that is known to be one below.
                let class = match self.lookup(value.text()) {
                    Some(Type::Object(class)) => Some(*class),
                    _ => self.class,
                };
                if let Some(class) = class {
                    self.attribute_choices(class, attr, out);
                }
            }
            Expr::IfExp { body, orelse, .. } => {
                self.name_choices(body, depth + 1, out);
                self.name_choices(orelse, depth + 1, out);
            }
            Expr::Name(name) => {
                for value in assigned(self.scope, name) {
                    self.name_choices(value, depth + 1, out);
                }
                // A caller may name another one than the default.
                if let Some(parameter) = parameters(self.scope).iter().find(|p| p.name == name) {
                    out.push(Vec::new());
                    out.extend(parameter.default.and_then(string_value).map(|name| vec![name]));
                }
            }
            _ => {}
        }
    }
}

/// The argument for a parameter, by its position or name.
pub(super) fn argument_of<'a>(args: &[Argument<'a>], (index, name): (usize, &str)) -> Option<Node<'a>> {
    let named = args.iter().find(|a| a.name == Some(name));
    named.or_else(|| args.get(index).filter(|a| a.name.is_none() && a.stars == 0)).map(|a| a.value)
}

/// The expressions that the frame assigns to a name.
pub(super) fn assigned<'a>(scope: Node<'a>, name: &'a str) -> impl Iterator<Item = Node<'a>> {
    let is_it = move |n: &Node<'a>| {
        n.kind() == Kind::Assign && n.child(Field::Left).is_some_and(|l| l.peel().text() == name)
    };
    scope.descendants().filter(is_it).filter_map(|n| n.child(Field::Right)).map(Node::peel)
}

/// The expression that the frame assigns to a name, where that is all that binds it or adds to it.
pub(in crate::infer) fn assigned_once<'a>(scope: Node<'a>, name: &str) -> Option<Node<'a>> {
    let is_it = |n: &Node<'a>| n.kind() == Kind::Name && n.text() == name;
    let is_added_to =
        |n: &Node<'a>| n.parent().is_some_and(|p| p.kind() == Kind::AugAssign) && n.field() == Field::Left;
    let mut found = scope.descendants().filter(|n| is_it(n) && (n.is_binding() || is_added_to(n)));
    let only = found.next()?.parent().filter(|p| p.kind() == Kind::Assign)?;
    if found.next().is_some() { None } else { only.child(Field::Right) }
}

/// The literal string that a class, or the nearest class above, gives an attribute.
pub(in crate::infer) fn class_string(program: &Program, class: ClassId, name: &str) -> Option<String> {
    match program.member(class, name)? {
        (owner, Member::Value(value)) => string_value(program.file(program.class(owner).file).node(*value)),
        _ => None,
    }
}

impl<'a> Frame<'a, '_> {
    /// The context that `get_context_data()` of a class of the program adds to the framework's.
    pub(in crate::infer) fn context_data(&mut self, class: ClassId, node: Node<'a>) -> Option<Type> {
        let Some((_, member)) = self.az.project.program().member(class, "get_context_data") else {
            return Some(Type::dict(Type::Str, Type::Unknown));
        };
        let Member::Function(function, _) = member else { return None };
        let function = *function;
        Some(self.call_function(function, Some(Type::Object(class)), &[], node))
    }

    /// What `get_context_data()` of Django's own views gives: its keyword arguments are names of the context.
    pub(in crate::infer) fn given_context(&mut self, class: ClassId, args: &[Arg<'a>]) -> Option<Type> {
        let info = self.az.project.program().class(class);
        let is_view = |base: &String| base.starts_with("django.views.generic");
        if info.has_unknown_base
            || !info.external_bases.iter().any(is_view)
            || !info.external_bases.iter().all(|base| base.starts_with("django."))
            || args.iter().any(|a| a.stars == 1 || (a.stars == 0 && a.name.is_none()))
        {
            return None;
        }
        for arg in args {
            self.escape(&arg.ty, arg.node, Escape::Container);
        }
        let mut known = KnownKeys::new();
        // No key is given twice: what is not known of `**kwargs` takes nothing away.
        let is_known = |a: &&Arg<'a>| a.stars == 0 || matches!(a.ty, Type::Dict(_));
        self.add_keys(args.iter().filter(is_known), &mut known);
        Some(Type::Dict(Arc::new(Dict(Type::Str, Type::Unknown, known))))
    }
}
