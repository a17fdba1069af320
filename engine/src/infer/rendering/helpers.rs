//! Functions of the program that render the template that their callers name, or with the context that they give:
//! `self.render("books.html", {"books": books})`. Neither a literal nor the values of a dict cross a call, so that the
//! rendering is looked at where the function is called.

use super::Names;
use super::calls::{argument_of, assigned, signature};
use crate::infer::analyzer::Analyzer;
use crate::infer::calls::Arg;
use crate::infer::frame::Frame;
use crate::infer::types::{Name, Type};
use crate::python::touched::aside;
use crate::python::{
    ClassId, Def, Expr, Field, FunctionId, Kind, Node, NodeId, Parameter, ParameterKind, arguments,
    parameters, string_value,
};
use crate::text::FileId;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// A variable of a variable is followed so far.
const MAX_HOPS: usize = 4;

/// What a function of the program renders: the name of the template, and the context.
pub(in crate::infer) type Renderers = FxHashMap<FunctionId, (NodeId, NodeId)>;

impl Analyzer<'_> {
    /// The frames that render a template, by a function of Django's or of the program.
    pub(in crate::infer) fn rendering(&self) -> Vec<(FileId, Option<FunctionId>)> {
        let program = self.project.program();
        let helpers = self.renderers().keys().map(|f| program.function(*f).name.as_str());
        let names: BTreeSet<&str> = RENDERING.iter().copied().chain(helpers).collect();
        let sites = names.iter().flat_map(|name| self.call_sites().of(name));
        sites.map(|site| (site.file, site.function)).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The functions that render one template.
    fn renderers(&self) -> &Renderers {
        let find = || {
            let program = self.project.program();
            let mut out: FxHashMap<FunctionId, Vec<(NodeId, NodeId)>> = FxHashMap::default();
            for site in RENDERING.iter().flat_map(|name| self.call_sites().of(name)) {
                let call = program.file(site.file).node(site.call);
                let (Some(function), Expr::Call { func, arguments: list }) = (site.function, Expr::of(call))
                else {
                    continue;
                };
                let Some(Def::External(path)) = program.resolve_expr(site.file, func.peel().id()) else {
                    continue;
                };
                let Some([template, context]) = signature(&path) else { continue };
                let list = arguments(list);
                let (template, context) = (argument_of(&list, template), argument_of(&list, context));
                if let (Some(template), Some(context)) = (template, context) {
                    out.entry(function).or_default().push((template.id(), context.id()));
                }
            }
            out.into_iter()
                .filter_map(|(f, calls)| Some((f, *calls.first().filter(|_| calls.len() == 1)?)))
                .collect()
        };
        self.renderers.get_or_init(|| aside(find))
    }
}

/// The names of Django's functions that render.
const RENDERING: &[&str] =
    &["render", "render_to_response", "render_to_string", "TemplateResponse", "SimpleTemplateResponse"];

/// One call of a function that renders.
struct Helper<'a, 'x> {
    def: Node<'a>,
    params: Vec<Parameter<'a>>,
    /// The class of its receiver.
    class: Option<ClassId>,
    args: &'x [Arg<'a>],
    /// The types of its parameters in the caller.
    bound: &'x [Type],
    /// Which argument is given for a parameter.
    given: Vec<Option<usize>>,
}

impl<'a> Frame<'a, '_> {
    /// Render what `function`, which has been called with `args`, renders for its caller. `bound` are the types of its
    /// parameters, in terms of the caller; the first `shift` of them are no arguments.
    pub(in crate::infer) fn rendered_through(
        &mut self,
        function: FunctionId,
        args: &[Arg<'a>],
        bound: &[Type],
        shift: usize,
        node: Node<'a>,
    ) {
        let Some((template, context)) = self.az.renderers().get(&function).copied() else { return };
        let program = self.az.project.program();
        let info = program.function(function);
        let file = program.file(info.file);
        let (def, template, context) = (file.node(info.node), file.node(template), file.node(context));
        let params = parameters(def);
        let given = given(&params, args, shift);
        let class = match bound.first() {
            Some(Type::Object(class)) => Some(*class),
            _ => None,
        };
        let helper = Helper { def, params, class, args, bound, given };
        // What it names and gives by itself is seen in its own frame.
        if !helper.is_open(template) && !helper.takes_context(context) {
            return;
        }
        let mut names = Vec::new();
        self.templates_given(&helper, template, 0, &mut names);
        let Some(context) = self.context_given(&helper, context, 0) else { return };
        let is_read_elsewhere = helper.params.iter().any(|p| helper.is_looked_into(p.name));
        if (is_read_elsewhere || !is_reached(def, template)) && !names.is_empty() {
            // Whatever else it does with the rows is not seen, and it may leave before.
            names.push(Vec::new());
        }
        self.rendered(names, context, node);
    }

    /// The templates that an expression of the function names in this call.
    fn templates_given(
        &self,
        helper: &Helper<'a, '_>,
        node: Node<'a>,
        depth: usize,
        out: &mut Vec<Vec<String>>,
    ) {
        if depth > MAX_HOPS {
            return;
        }
        if let Some(name) = string_value(node) {
            out.push(vec![name]);
            return;
        }
        match Expr::of(node) {
            Expr::IfExp { body, orelse, .. } => {
                self.templates_given(helper, body, depth + 1, out);
                self.templates_given(helper, orelse, depth + 1, out);
            }
            Expr::BoolOp { left, op: Kind::Or, right } => {
                let known = out.len();
                self.templates_given(helper, left, depth + 1, out);
                if out.len() == known {
                    self.templates_given(helper, right, depth + 1, out);
                }
            }
            Expr::Attribute { value, attr, .. } if helper.is_receiver(value) => {
                if let Some(class) = helper.class {
                    self.attribute_choices(class, attr, out);
                }
            }
            Expr::Name(name) => {
                for value in assigned(helper.def, name) {
                    self.templates_given(helper, value, depth + 1, out);
                }
                match helper.argument(name) {
                    Some(arg) => out.extend(self.template_names(arg.node)),
                    None => {
                        let default = helper.parameter(name).and_then(|(_, p)| p.default);
                        out.extend(default.and_then(string_value).map(|name| vec![name]));
                    }
                }
            }
            _ => {}
        }
    }

    /// The names of a context that an expression of the function gives in this call; nothing where it is made in a way
    /// that is not followed.
    fn context_given(&self, helper: &Helper<'a, '_>, node: Node<'a>, depth: usize) -> Option<Names> {
        if depth > MAX_HOPS {
            return None;
        }
        match Expr::of(node) {
            Expr::Name(name) => {
                let mut out = match helper.parameter(name) {
                    Some((index, parameter)) => self.names_of_parameter(helper, index, parameter),
                    None => Names::default(),
                };
                let is_local = helper.parameter(name).is_none();
                let mut is_made = false;
                for value in assigned(helper.def, name) {
                    let is_own = value.has_name(name);
                    if !is_own && !is_made && is_local {
                        out = self.context_given(helper, value, depth + 1)?;
                        is_made = true;
                    } else if !is_own || !keeps(value, name) {
                        return None;
                    }
                }
                (is_made || !is_local).then_some(())?;
                self.changed(helper, name, &mut out, depth)?;
                Some(out)
            }
            Expr::Dict(dict) => {
                let mut out = Names::default();
                for pair in dict.children().filter(|c| c.kind() != Kind::Comment) {
                    match (pair.child(Field::Key), pair.child(Field::Value)) {
                        (Some(key), Some(value)) => {
                            let ty = helper.value(value);
                            out.insert(Name::from(string_value(key)?.as_str()), ty);
                        }
                        _ => out.extend(self.context_given(helper, pair.children().next()?, depth + 1)?),
                    }
                }
                Some(out)
            }
            Expr::Call { func, arguments: list } if matches!(Expr::of(func), Expr::Name("dict")) => {
                let mut out = Names::default();
                for arg in arguments(list) {
                    match arg.name {
                        Some(name) if arg.stars == 0 => {
                            out.insert(Name::from(name), helper.value(arg.value));
                        }
                        _ => out.extend(self.context_given(helper, arg.value, depth + 1)?),
                    }
                }
                Some(out)
            }
            Expr::BoolOp { left, op: Kind::Or, .. } => self.context_given(helper, left, depth + 1),
            _ => None,
        }
    }

    /// What `name["key"] = value` and `name.update(...)` make of the context.
    fn changed(&self, helper: &Helper<'a, '_>, name: &str, out: &mut Names, depth: usize) -> Option<()> {
        for used in helper.def.mentions(name) {
            let Some(parent) = used.with_parens().parent() else { continue };
            match Expr::of(parent) {
                Expr::Subscript { value, index, .. } if value.peel() == used && parent.is_binding() => {
                    let value = parent.parent().filter(|p| p.kind() == Kind::Assign)?.child(Field::Right)?;
                    out.insert(Name::from(string_value(index)?.as_str()), helper.value(value));
                }
                Expr::Attribute { attr: "update" | "setdefault" | "pop" | "clear", value, .. }
                    if value.peel() == used =>
                {
                    let call = parent.parent().filter(|p| p.kind() == Kind::Call)?;
                    let Expr::Call { arguments: list, .. } = Expr::of(call) else { return None };
                    let list = arguments(list);
                    match Expr::of(parent) {
                        Expr::Attribute { attr: "update", .. } => {
                            for arg in list {
                                match arg.name {
                                    Some(key) if arg.stars == 0 => {
                                        out.insert(Name::from(key), helper.value(arg.value));
                                    }
                                    _ => out.extend(self.context_given(helper, arg.value, depth + 1)?),
                                }
                            }
                        }
                        Expr::Attribute { attr: "setdefault", .. } => {
                            let [key, value] = list.as_slice() else { return None };
                            let key = Name::from(string_value(key.value)?.as_str());
                            out.entry(key).or_insert_with(|| helper.value(value.value));
                        }
                        _ => return None,
                    }
                }
                _ if parent.kind() == Kind::AugAssign && used.field() == Field::Left => {
                    out.extend(self.context_given(helper, parent.child(Field::Right)?, depth + 1)?);
                }
                // Somebody else may put anything into it.
                _ if parent.kind() == Kind::Arguments => {
                    let call = parent.parent()?;
                    let Expr::Call { func, .. } = Expr::of(call) else { return None };
                    let text = func.text();
                    let is_rendering = text.contains("render") || text.ends_with("TemplateResponse");
                    if !is_rendering && text != "dict" {
                        return None;
                    }
                }
                _ => {}
            }
        }
        Some(())
    }

    fn names_of_parameter(&self, helper: &Helper<'a, '_>, index: usize, parameter: &Parameter<'a>) -> Names {
        if parameter.kind != ParameterKind::VarKeyword {
            return helper.bound.get(index).map(|ty| self.context_of(ty)).unwrap_or_default();
        }
        let mut out = Names::default();
        for (i, arg) in helper.args.iter().enumerate() {
            let is_named = helper.given.contains(&Some(i));
            match arg.name {
                Some(name) if arg.stars == 0 && !is_named => {
                    out.insert(Name::from(name), arg.ty.clone());
                }
                None if arg.stars == 2 => out.extend(self.context_of(&arg.ty)),
                _ => {}
            }
        }
        out
    }
}

impl<'a> Helper<'a, '_> {
    fn parameter(&self, name: &str) -> Option<(usize, &Parameter<'a>)> {
        self.params.iter().enumerate().find(|(_, p)| p.name == name)
    }

    fn argument(&self, name: &str) -> Option<&Arg<'a>> {
        let (index, _) = self.parameter(name)?;
        self.args.get((*self.given.get(index)?)?)
    }

    fn is_receiver(&self, node: Node<'_>) -> bool {
        self.class.is_some()
            && matches!(Expr::of(node), Expr::Name(name) if self.params.first().is_some_and(|p| p.name == name))
    }

    /// What an expression of the function is in the caller: a parameter that is not bound again.
    fn value(&self, node: Node<'a>) -> Type {
        let Expr::Name(name) = Expr::of(node) else { return Type::Unknown };
        let is_bound_again = || assigned(self.def, name).next().is_some();
        match self.parameter(name) {
            Some((index, p)) if p.kind != ParameterKind::VarKeyword && !is_bound_again() => {
                self.bound.get(index).cloned().unwrap_or(Type::Unknown)
            }
            _ => Type::Unknown,
        }
    }

    /// Whether the call says which template an expression names.
    fn is_open(&self, node: Node<'a>) -> bool {
        node.descendants().any(|n| match Expr::of(n) {
            Expr::Name(name) if n.kind() == Kind::Name => {
                self.argument(name).is_some()
                    || self.is_receiver(n)
                    || assigned(self.def, name).any(|v| v != node && self.is_open_value(v))
            }
            _ => false,
        })
    }

    fn is_open_value(&self, node: Node<'a>) -> bool {
        node.descendants().any(|n| matches!(Expr::of(n), Expr::Name(name) if self.argument(name).is_some()))
    }

    /// Whether the names of the context come from the caller: in a dict that it gives, or as keywords.
    fn takes_context(&self, node: Node<'a>) -> bool {
        let mut names: Vec<&str> =
            node.descendants().filter(|n| n.kind() == Kind::Name).map(Node::text).collect();
        let local: Vec<Node<'a>> = names.iter().flat_map(|name| assigned(self.def, name)).collect();
        names.extend(
            local.iter().flat_map(|v| v.descendants()).filter(|n| n.kind() == Kind::Name).map(Node::text),
        );
        names.iter().any(|name| {
            self.parameter(name).is_some_and(|(index, p)| {
                p.kind == ParameterKind::VarKeyword || matches!(self.bound.get(index), Some(Type::Dict(_)))
            })
        })
    }

    /// Whether the function asks a dict that it is given for what is in it.
    fn is_looked_into(&self, name: &str) -> bool {
        let is_dict = self.parameter(name).is_some_and(|(index, p)| {
            p.kind == ParameterKind::VarKeyword || matches!(self.bound.get(index), Some(Type::Dict(_)))
        });
        is_dict
            && self.def.mentions(name).any(|used| {
                let Some(parent) = used.with_parens().parent() else { return false };
                match Expr::of(parent) {
                    Expr::Subscript { value, .. } => value.peel() == used && !parent.is_binding(),
                    Expr::Attribute { value, attr, .. } => {
                        value.peel() == used && !matches!(attr, "update" | "setdefault")
                    }
                    _ => matches!(parent.kind(), Kind::For | Kind::CompFor | Kind::Compare),
                }
            })
    }
}

/// Whether the function comes to what stands in `node` each time that it runs to its end.
fn is_reached(def: Node<'_>, node: Node<'_>) -> bool {
    let statement = node.statement();
    let is_in_body =
        statement.and_then(Node::parent).is_some_and(|block| def.child(Field::Body) == Some(block));
    let leaves = |n: Node<'_>| n.id() < node.id() && matches!(n.kind(), Kind::Return | Kind::Raise);
    let is_own = |n: Node<'_>| n.contains(node.id());
    is_in_body && !def.descendants().any(|n| leaves(n) && !is_own(n))
}

/// Which argument each parameter gets.
fn given(params: &[Parameter<'_>], args: &[Arg<'_>], shift: usize) -> Vec<Option<usize>> {
    let mut out = vec![None; params.len()];
    let mut at = shift;
    for (i, arg) in args.iter().enumerate() {
        if arg.stars > 0 {
            continue;
        }
        let index = match arg.name {
            Some(name) => params.iter().position(|p| p.name == name),
            None => {
                at += 1;
                Some(at - 1)
            }
        };
        if let Some(slot) = index.and_then(|index| out.get_mut(index)) {
            *slot = Some(i);
        }
    }
    out
}

/// Whether a name is bound to what it holds already, or to an empty dict: `context = context or {}`.
fn keeps(value: Node<'_>, name: &str) -> bool {
    let is_it = |n: Node<'_>| matches!(Expr::of(n), Expr::Name(own) if own == name);
    let is_empty = |n: Node<'_>| match Expr::of(n) {
        Expr::Dict(dict) => dict.children().next().is_none(),
        Expr::Call { func, arguments: list } => func.text() == "dict" && arguments(list).is_empty(),
        _ => false,
    };
    match Expr::of(value) {
        Expr::BoolOp { left, op: Kind::Or, right } => is_it(left) && is_empty(right),
        Expr::IfExp { body, orelse, .. } => {
            (is_it(body) || is_empty(body)) && (is_it(orelse) || is_empty(orelse))
        }
        Expr::Call { func, arguments: list } => match Expr::of(func) {
            Expr::Name("dict") => matches!(arguments(list).as_slice(), [only] if is_it(only.value)),
            Expr::Attribute { value, attr: "copy", .. } => is_it(value),
            _ => false,
        },
        _ => false,
    }
}
