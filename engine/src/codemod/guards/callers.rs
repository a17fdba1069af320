//! Where the program calls the function of a frame.

use crate::codemod::Context;
use crate::infer::{self, Facts, Receiver, Type};
use crate::python::{ClassId, Def, Expr, Field, FunctionId, Kind, Node, arguments, parameters};
use crate::text::FileId;
use std::sync::Arc;

/// One call of the function.
#[derive(Clone, Copy, Debug)]
pub struct CallSite<'a> {
    /// The file of the call.
    pub file: FileId,
    /// The call.
    pub call: Node<'a>,
    /// The function around it; `None` at the top of a module.
    pub caller: Option<FunctionId>,
    /// The function is a method called on an object, whose first parameter is not among the arguments.
    pub is_bound: bool,
    /// It is certainly this function that is called, and not another of the same name.
    pub is_certain: bool,
}

impl<'a> CallSite<'a> {
    /// What is given for the parameter at `index` called `name`; `None` where that cannot be told, or its default is
    /// taken.
    pub fn argument(&self, index: usize, name: &str) -> Option<Node<'a>> {
        let Expr::Call { arguments: list, .. } = Expr::of(self.call) else { return None };
        let args = arguments(list);
        let positional: Vec<_> =
            args.iter().take_while(|a| a.stars == 0).filter(|a| a.name.is_none()).collect();
        args.iter()
            .find(|a| a.name == Some(name))
            .or_else(|| positional.get(index.checked_sub(usize::from(self.is_bound))?).copied())
            .map(|a| a.value)
    }

    /// The facts of the frame around the call.
    pub fn facts(&self, cx: &Context<'_>) -> Arc<Facts> {
        cx.analyzer.caller(self.file, self.caller)
    }
}

/// Whether it is the function of the frame that a call reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It is.
    Sure,
    /// A method of that name, of an object whose class is not known.
    Maybe,
    /// It is a method of another class.
    Other,
}

/// Every call in the program that may reach the function of the frame. Files that the engine brought along are left out.
pub fn call_sites<'a>(cx: &Context<'a>) -> Vec<CallSite<'a>> {
    let sites = || {
        let mut sites = call_sites_where(cx, |_| true);
        for site in &mut sites {
            site.is_certain = certainty(cx, site) == Certainty::Sure;
        }
        sites
    };
    once(cx, "call sites", sites)
}

/// As [`call_sites`], of those calls that are `wanted`; of a method, `is_certain` says what the text says. The rest takes
/// the facts of the caller: see [`certainty`].
pub fn call_sites_where<'a>(cx: &Context<'a>, wanted: impl Fn(&CallSite<'a>) -> bool) -> Vec<CallSite<'a>> {
    let mut sites = once(cx, "call sites by their text", || all_sites(cx));
    sites.retain(wanted);
    sites
}

/// The call sites that `find` finds, remembered with the frame.
fn once<'a>(
    cx: &Context<'a>,
    name: &'static str,
    find: impl FnOnce() -> Vec<CallSite<'a>>,
) -> Vec<CallSite<'a>> {
    let program = cx.project.program();
    let plain = |s: CallSite<'a>| (s.file, s.call.id(), s.caller, s.is_bound, s.is_certain);
    let found = cx.once(name, || find().into_iter().map(plain).collect::<Vec<_>>());
    let site = |&(file, call, caller, is_bound, is_certain): &_| {
        let call = program.file(file).node(call);
        CallSite { file, call, caller, is_bound, is_certain }
    };
    found.iter().map(site).collect()
}

fn all_sites<'a>(cx: &Context<'a>) -> Vec<CallSite<'a>> {
    let program = cx.project.program();
    let scope = cx.scope();
    let (Some(this), Some(name)) = (program.function_at(cx.file, scope.id()), scope.child(Field::Name))
    else {
        return Vec::new();
    };
    let class = program.function(this).class;
    let mut out = Vec::new();
    for (known, reach) in calls_of_name(cx, name.text()).iter() {
        let is_certain = match reach {
            Reach::Function(function) if *function == this => true,
            Reach::Name { is_same } if class.is_none() => *is_same,
            Reach::Method => false,
            _ => continue,
        };
        let is_bound = class.is_some() && matches!(reach, Reach::Method);
        let call = program.file(known.file).node(known.call);
        out.push(CallSite { file: known.file, call, caller: known.function, is_bound, is_certain });
    }
    out
}

/// What the text of a call by some name says of what it reaches.
enum Reach {
    /// This function.
    Function(FunctionId),
    /// A local import or a variable: that of the name, or another name for it.
    Name { is_same: bool },
    /// A method of that name.
    Method,
}

/// The calls of the program that may reach something called `name`.
fn calls_of_name(cx: &Context<'_>, name: &str) -> Arc<[(infer::CallSite, Reach)]> {
    let program = cx.project.program();
    let reach = |site: &infer::CallSite| {
        let Expr::Call { func, .. } = Expr::of(program.file(site.file).node(site.call)) else { return None };
        let resolved = || program.resolve_expr(site.file, func.peel().id());
        let reach = match Expr::of(func) {
            Expr::Name(own) => match resolved() {
                Some(Def::Function(function)) => Reach::Function(function),
                Some(_) => return None,
                None => Reach::Name { is_same: own == name },
            },
            Expr::Attribute { attr, .. } if attr == name => match resolved() {
                Some(Def::Function(function)) => Reach::Function(function),
                _ => Reach::Method,
            },
            _ => return None,
        };
        Some((*site, reach))
    };
    let find = || cx.analyzer.call_sites().of(name).iter().filter_map(reach).collect();
    cx.analyzer.once_for("calls of a name", name.to_owned(), find)
}

/// Whether a call of [`call_sites_where`] reaches the function of the frame.
pub fn certainty<'a>(cx: &Context<'a>, site: &CallSite<'a>) -> Certainty {
    if site.is_certain {
        return Certainty::Sure;
    }
    let program = cx.project.program();
    let Some(this) = program.function_at(cx.file, cx.scope().id()) else { return Certainty::Maybe };
    let Some(class) = program.function(this).class else { return Certainty::Maybe };
    let Expr::Call { func, .. } = Expr::of(site.call) else { return Certainty::Maybe };
    let Expr::Attribute { value, .. } = Expr::of(func) else { return Certainty::Maybe };
    let inherits = |other: ClassId| {
        if program.class(other).mro.contains(&class) || program.class(class).mro.contains(&other) {
            Certainty::Sure
        } else if program.class(other).has_unknown_base {
            Certainty::Maybe
        } else {
            Certainty::Other
        }
    };
    let own = site.caller.and_then(|f| program.function(f).class);
    if let (Expr::Name("self" | "cls"), Some(own)) = (Expr::of(value), own) {
        return inherits(own);
    }
    match cx.analyzer.receiver_of_call(site.file, site.caller, value) {
        Receiver::Class(class) => inherits(class),
        Receiver::Builtin => Certainty::Other,
        // Managers and querysets that a class of the program may stand behind are not told apart here.
        Receiver::Unknown => Certainty::Maybe,
    }
}

/// Whether a call gives something for a parameter that is certainly no integer.
pub fn gives_no_integer<'a>(cx: &Context<'a>, name: &str) -> bool {
    let Some(index) = parameters(cx.scope()).iter().position(|p| p.name == name) else { return false };
    call_sites(cx).iter().any(|site| {
        let Some(value) = site.argument(index, name) else { return false };
        is_no_integer(&site.facts(cx), value)
    })
}

fn is_no_integer(facts: &Facts, value: Node<'_>) -> bool {
    match Expr::of(value) {
        Expr::BinOp { op: Kind::Div, .. } | Expr::None => return true,
        Expr::IfExp { body, orelse, .. } => {
            return is_no_integer(facts, body) || is_no_integer(facts, orelse);
        }
        Expr::UnaryOp { operand, .. } => return is_no_integer(facts, operand),
        _ => {}
    }
    match facts.type_of(value) {
        Type::Union(types) => {
            types.iter().any(|t| !matches!(t, Type::Int | Type::Bool | Type::None | Type::Unknown))
        }
        other => !matches!(other, Type::Int | Type::Unknown),
    }
}
