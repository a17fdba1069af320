//! Callables that are values: what `operator` and `functools` make, and lambdas that a module or class keeps.

use super::calls::{Arg, bind_local};
use super::facts::Escape;
use super::frame::Frame;
use super::summary::{abstracted, opaque};
use super::types::{Name, Type};
use crate::python::{Expr, Node, NodeId, arguments, string_value};
use crate::text::{FileId, Site};
use std::sync::Arc;

/// A callable that Python's library has made, or that a module or class keeps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Callable {
    /// `attrgetter("author.name", "title")`: dotted names.
    Attributes(Arc<[Name]>),
    /// `itemgetter(1, "key")`
    Items(Arc<[Item]>),
    /// `methodcaller("get_label")`, without arguments.
    Method(Name),
    /// `partial(function, ...)`: the function, what was given besides, and the call that says how.
    Partial(Type, Arc<[Type]>, FileId, NodeId),
    /// A lambda outside functions.
    Lambda(FileId, NodeId),
}

/// What `itemgetter()` asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    /// A position.
    Index(usize),
    /// A key.
    Key(Name),
}

impl<'a> Frame<'a, '_> {
    /// What a maker of callables gives; nothing for what is none, or is made of something that is not spelled out.
    pub(super) fn made_callable(&mut self, path: &str, args: &[Arg<'a>], node: Node<'a>) -> Option<Type> {
        let is_plain = args.iter().all(|a| a.stars == 0);
        let is_positional = is_plain && args.iter().all(|a| a.name.is_none());
        let callable = match path {
            "operator.attrgetter" if is_positional => {
                let names: Option<Arc<[Name]>> =
                    args.iter().map(|a| string_value(a.node).map(|s| Name::from(s.as_str()))).collect();
                Callable::Attributes(names.filter(|names| !names.is_empty())?)
            }
            "operator.itemgetter" if is_positional => {
                let items: Option<Arc<[Item]>> = args.iter().map(|a| item(a.node)).collect();
                Callable::Items(items.filter(|items| !items.is_empty())?)
            }
            "operator.methodcaller" => match args {
                [name] => Callable::Method(Name::from(string_value(name.node)?.as_str())),
                _ => return None,
            },
            "functools.partial" if is_plain => {
                let (first, rest) = args.split_first()?;
                let is_known =
                    matches!(first.ty, Type::Def(_) | Type::Local(_) | Type::Callable(_) | Type::Bound(..));
                if first.name.is_some() || !is_known || !matches!(Expr::of(node), Expr::Call { .. }) {
                    return None;
                }
                let given: Vec<Type> = rest.iter().map(|a| a.ty.clone()).collect();
                Callable::Partial(first.ty.clone(), given.into(), self.file, node.id())
            }
            _ => return None,
        };
        if let Callable::Partial(_, given, ..) = &callable {
            for (ty, arg) in given.clone().iter().zip(args.iter().skip(1)) {
                self.escape(ty, arg.node, Escape::Store);
            }
        }
        Some(Type::Callable(Arc::new(callable)))
    }

    /// Call one of those.
    pub(super) fn call_made(
        &mut self,
        callable: &Callable,
        args: &[Arg<'a>],
        node: Node<'a>,
        func: Node<'a>,
    ) -> Type {
        match callable {
            Callable::Attributes(names) => {
                let Some(value) = args.first().map(|a| a.ty.clone()) else { return Type::Unknown };
                let read = |frame: &mut Self, path: &Name| {
                    path.split('.').fold(value.clone(), |owner, name| frame.attribute(&owner, name, node))
                };
                match names.as_ref() {
                    [only] => read(self, only),
                    several => {
                        let types: Vec<Type> = several.iter().map(|path| read(self, path)).collect();
                        Type::Tuple(types.into())
                    }
                }
            }
            Callable::Items(items) => {
                let Some(value) = args.first().map(|a| a.ty.clone()) else { return Type::Unknown };
                let types: Vec<Type> = items.iter().map(|item| self.got_item(&value, item, node)).collect();
                match types.as_slice() {
                    [only] => only.clone(),
                    _ => Type::Tuple(types.into()),
                }
            }
            Callable::Method(name) => {
                let Some(value) = args.first().map(|a| a.ty.clone()) else { return Type::Unknown };
                self.method_call(&value, name, &[], node, func)
            }
            Callable::Partial(function, given, file, call) => {
                let call = self.az.project.program().file(*file).node(*call);
                let Expr::Call { arguments: list, .. } = Expr::of(call) else { return Type::Unknown };
                let names: Vec<Option<&'a str>> = arguments(list).iter().skip(1).map(|a| a.name).collect();
                let first = |(ty, name): (&Type, &Option<&'a str>)| Arg {
                    name: *name,
                    ty: ty.clone(),
                    node,
                    stars: 0,
                };
                let (named, mut all): (Vec<Arg<'a>>, Vec<Arg<'a>>) =
                    given.iter().zip(&names).map(first).partition(|a| a.name.is_some());
                all.extend(args.iter().cloned());
                // A keyword of the call stands for the one that was given before.
                all.extend(named.into_iter().filter(|n| !args.iter().any(|a| a.name == n.name)));
                let function = function.clone();
                self.call_value(&function, &all, node, func)
            }
            Callable::Lambda(file, lambda) => self.call_lambda(*file, *lambda, args, node),
        }
    }

    fn got_item(&mut self, value: &Type, item: &Item, node: Node<'a>) -> Type {
        match (value.without_none(), item) {
            (Type::Tuple(types), Item::Index(i)) => types.get(*i).cloned().unwrap_or(Type::Unknown),
            (Type::List(element), Item::Index(_)) => (**element).clone(),
            (Type::Dict(kv), item) => match item {
                Item::Key(key) => kv.2.get(key).map_or_else(|| kv.1.clone(), |(ty, ..)| ty.clone()),
                Item::Index(_) => kv.1.clone(),
            },
            (other, _) => {
                self.object_dunders(other, &["__getitem__", "__missing__"], node);
                Type::Unknown
            }
        }
    }

    /// A lambda of a module or class body, which sees the names of its module.
    fn call_lambda(&mut self, file: FileId, lambda: NodeId, args: &[Arg<'a>], node: Node<'a>) -> Type {
        let def = self.az.project.program().file(file).node(lambda);
        let bound = bind_local(def, args);
        let inner: Vec<Type> = bound.iter().enumerate().map(|(i, ty)| abstracted(ty, i)).collect();
        let Some(summary) = self.az.lambda_summary(file, lambda, inner, self.stack) else {
            let name = Name::from("lambda");
            self.event(node, super::facts::EventKind::UnknownCall { name });
            return Type::Unknown;
        };
        let translation = self.take_over(&summary, &bound, node);
        match &summary.returns {
            Some(returns) => {
                self.translated_type(returns, &translation, node, Site { file, span: def.span() })
            }
            None => Type::Unknown,
        }
    }
}

/// A literal index or key.
fn item(node: Node<'_>) -> Option<Item> {
    match Expr::of(node) {
        Expr::Int(text) => text.parse().ok().map(Item::Index),
        _ => string_value(node).map(|key| Item::Key(Name::from(key.as_str()))),
    }
}

impl Callable {
    /// Without any reference to the values of its frame; nothing where it is of no use then.
    pub(super) fn opaque(&self) -> Option<Callable> {
        match self {
            Callable::Partial(function, given, file, call) => {
                let function = opaque(function);
                let given: Vec<Type> = given.iter().map(opaque).collect();
                (function != Type::Unknown).then(|| Callable::Partial(function, given.into(), *file, *call))
            }
            other => Some(other.clone()),
        }
    }
}
