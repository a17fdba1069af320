//! Methods of Python's own objects, and functions that are given to them.

use super::calls::Arg;
use super::facts::Escape;
use super::frame::Frame;
use super::types::{Dict, KnownKeys, Name, Type};
use crate::python::{Expr, Node, string_value};
use std::sync::Arc;

impl<'a> Frame<'a, '_> {
    pub(super) fn str_method(&mut self, name: &str, args: &[Arg<'a>]) -> Type {
        match name {
            "join" => {
                for arg in args {
                    self.iterate(&arg.ty.clone(), arg.node);
                }
                Type::Str
            }
            "format" => {
                for arg in args {
                    self.stringify(&arg.ty.clone(), arg.node);
                }
                Type::Str
            }
            "split" | "rsplit" | "splitlines" => Type::list(Type::Str),
            "count" | "find" | "rfind" | "index" | "rindex" => Type::Int,
            "encode" => Type::Bytes,
            _ if name.starts_with("is") || name == "startswith" || name == "endswith" => Type::Bool,
            _ => Type::Str,
        }
    }

    pub(super) fn container_method(
        &mut self,
        owner: &Type,
        name: &str,
        args: &[Arg<'a>],
        func: Node<'a>,
    ) -> Type {
        let first = args.first();
        for arg in args {
            self.escape(&arg.ty.clone(), arg.node, Escape::Container);
            self.object_dunders(&arg.ty, super::expr::HASHING, arg.node);
        }
        let receiver = match Expr::of(func) {
            Expr::Attribute { value, .. } => Some(value),
            _ => None,
        };
        // Which elements are added.
        let added = match (owner, name) {
            (Type::List(_), "append" | "insert") | (Type::Set(_), "add") => {
                Some(args.last().map_or(Type::Unknown, |a| a.ty.clone()))
            }
            (Type::List(_), "extend") | (Type::Set(_), "update") => {
                first.map(|arg| self.iterate(&arg.ty.clone(), arg.node))
            }
            _ => None,
        };
        match (owner, name) {
            (Type::List(t), _) if let Some(added) = added => {
                let element = self.either((**t).clone(), added, func);
                self.grown(receiver, Type::list(element));
                Type::None
            }
            (Type::Set(t), _) if let Some(added) = added => {
                let element = self.either((**t).clone(), added, func);
                self.grown(receiver, Type::Set(Arc::new(element)));
                Type::None
            }
            (Type::List(t) | Type::Set(t), "pop") => (**t).clone(),
            (Type::List(_) | Type::Set(_) | Type::Dict(_), "copy") => owner.clone(),
            (Type::List(_), "sort") => {
                self.call_key(args, owner);
                Type::None
            }
            (Type::List(_) | Type::Tuple(_), "index" | "count") => Type::Int,
            (Type::Dict(kv), "setdefault") if let [key, default] = args => {
                let value = self.either(kv.1.clone(), default.ty.clone(), func);
                let known = self.known_with_default(&kv.2, key, default);
                let key = self.either(kv.0.clone(), key.ty.clone(), func);
                self.grown(receiver, Type::Dict(Arc::new(Dict(key, value.clone(), known))));
                value
            }
            (Type::Dict(kv), "clear" | "popitem") => {
                self.grown(receiver, Type::dict(kv.0.clone(), kv.1.clone()));
                Type::Unknown
            }
            (Type::Dict(kv), "pop") => {
                let key = first.and_then(|a| crate::python::string_value(a.node));
                let mut known = kv.2.clone();
                let found = match key {
                    Some(key) => known.remove(key.as_str()).map(|(ty, ..)| ty),
                    None => {
                        known.clear();
                        None
                    }
                };
                self.grown(receiver, Type::Dict(Arc::new(Dict(kv.0.clone(), kv.1.clone(), known))));
                let value = found.unwrap_or_else(|| kv.1.clone());
                match args.get(1) {
                    Some(default) => value.join(default.ty.clone()),
                    None => value,
                }
            }
            (Type::Dict(kv), "get" | "setdefault") => kv.1.clone().join(match args.get(1) {
                Some(default) => default.ty.clone(),
                None => Type::None,
            }),
            (Type::Dict(kv), "values") => Type::iterator(kv.1.clone()),
            (Type::Dict(kv), "keys") => Type::iterator(kv.0.clone()),
            (Type::Dict(kv), "items") => Type::iterator(Type::Tuple(vec![kv.0.clone(), kv.1.clone()].into())),
            (Type::Dict(kv), "update") => {
                let mut known = kv.2.clone();
                self.add_keys(args, &mut known);
                self.grown(receiver, Type::Dict(Arc::new(Dict(Type::Unknown, Type::Unknown, known))));
                Type::None
            }
            _ => Type::Unknown,
        }
    }

    /// The container that an expression gives is `ty` from here on: what a name holds, or one of the values of a dict, which
    /// may itself be one of the values of another.
    fn grown(&mut self, container: Option<Node<'a>>, ty: Type) {
        let Some(container) = container else { return };
        let (owner, key) = match Expr::of(container) {
            Expr::Name(name) => return self.bind(name, ty),
            Expr::Attribute { value, attr, .. } => {
                let Expr::Name(name) = Expr::of(value) else { return };
                let key = format!("{name}.{attr}");
                if self.lookup(&key).is_some()
                    && let Some(env) = &mut self.env
                {
                    env.insert(&key, ty);
                }
                return;
            }
            Expr::Subscript { value, index, .. } => (value, Some(index)),
            Expr::Call { func, .. } => match Expr::of(func) {
                Expr::Attribute { value, attr: "setdefault", .. } => (value, None),
                _ => return,
            },
            _ => return,
        };
        let quietly = |frame: &mut Self, node| {
            frame.dry += 1;
            let ty = frame.expr(node);
            frame.dry -= 1;
            ty
        };
        let owner_type = match Expr::of(owner) {
            Expr::Name(name) => self.lookup(name).cloned(),
            _ => Some(quietly(self, owner)),
        };
        let Some(Type::Dict(kv)) = owner_type else { return };
        let mut known = kv.2.clone();
        let literal = key.and_then(crate::python::string_value);
        match literal.as_deref().and_then(|text| known.get_mut(text)) {
            Some((at_key, ..)) => *at_key = ty.clone(),
            None => known.clear(),
        }
        let key = key.map_or(kv.0.clone(), |index| {
            let ty = quietly(self, index);
            self.either(kv.0.clone(), ty, index)
        });
        let value = self.either(kv.1.clone(), ty, owner);
        self.grown(Some(owner), Type::Dict(Arc::new(Dict(key, value, known))));
    }

    /// What is known of a dict that is given these arguments, as by `update()`: keywords are keys, and what a positional one
    /// holds is known of a dict alone.
    pub(super) fn add_keys<'x>(&self, args: impl IntoIterator<Item = &'x Arg<'a>>, known: &mut KnownKeys)
    where
        'a: 'x,
    {
        for arg in args {
            match (arg.name, &arg.ty) {
                (Some(name), ty) if arg.stars == 0 => {
                    known.insert(Name::from(name), (ty.clone(), self.file, arg.node.id()));
                }
                (_, Type::Dict(more)) => known.extend(more.2.clone()),
                _ => known.clear(),
            }
        }
    }

    /// The keys that are known after `setdefault()`: what it puts there is a queryset that nothing is added to later.
    fn known_with_default(&mut self, known: &KnownKeys, key: &Arg<'a>, default: &Arg<'a>) -> KnownKeys {
        let (Some(key), Type::QuerySet(_)) = (string_value(key.node), &default.ty) else {
            return KnownKeys::new();
        };
        let mut out = known.clone();
        let ty = match known.get(key.as_str()) {
            Some((before, ..)) => self.either(before.clone(), default.ty.clone(), default.node),
            None => default.ty.clone(),
        };
        out.insert(Name::from(key), (ty, self.file, default.node.id()));
        out
    }

    /// `key=` of sorted(), min(), list.sort() and their like, called with the elements of `container`.
    pub(super) fn call_key(&mut self, args: &[Arg<'a>], container: &Type) {
        let Some(key) = args.iter().find(|a| a.name == Some("key")) else { return };
        let element = match container {
            Type::List(t) | Type::Set(t) | Type::Iterator(t) => (**t).clone(),
            other => other.clone(),
        };
        self.call_with(key, &[element]);
    }

    /// Call a function given as an argument with values of these types.
    pub(super) fn call_with(&mut self, function: &Arg<'a>, values: &[Type]) -> Type {
        let elements = Type::list(Type::Tuple(values.to_vec().into()));
        self.each(&elements, |frame| frame.called_with(function, values))
    }

    pub(super) fn called_with(&mut self, function: &Arg<'a>, values: &[Type]) -> Type {
        let args: Vec<Arg<'a>> = values
            .iter()
            .map(|ty| Arg { name: None, ty: ty.clone(), node: function.node, stars: 0 })
            .collect();
        match &function.ty {
            Type::Local(id) => {
                let def = self.scope.at(*id);
                // A lambda written here records at its own place.
                let at = if function.node.peel().id() == *id { None } else { Some(function.node) };
                self.call_local(def, values, at)
            }
            Type::None => Type::Unknown,
            other => {
                let other = other.clone();
                self.call_value(&other, &args, function.node, function.node)
            }
        }
    }
}
