//! One file's classes and functions, in the terms of the program.

use super::ancestry::NESTED;
use crate::python::ast::{Node, NodeId};
use crate::python::imports::{View, grouped, winner};
use crate::python::program::{Binding, Class, ClassId, Def, File, Function, FunctionId, Member};
use crate::python::symbols::{Bind, RawClass, Symbols, What};
use crate::python::view::{Expr, arguments};
use crate::text::FileId;
use rustc_hash::FxHashMap;

/// Builtins that classes derive from.
const BUILTIN_BASES: &[&str] = &[
    "ArithmeticError",
    "AssertionError",
    "AttributeError",
    "BaseException",
    "BaseExceptionGroup",
    "EOFError",
    "Exception",
    "ExceptionGroup",
    "IOError",
    "ImportError",
    "IndexError",
    "KeyError",
    "KeyboardInterrupt",
    "LookupError",
    "NameError",
    "NotImplementedError",
    "OSError",
    "PermissionError",
    "RuntimeError",
    "RuntimeWarning",
    "StopIteration",
    "SyntaxError",
    "SystemExit",
    "TimeoutError",
    "TypeError",
    "UnicodeDecodeError",
    "UserWarning",
    "ValueError",
    "Warning",
    "bool",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "object",
    "property",
    "set",
    "str",
    "tuple",
    "type",
];

/// Decorators that give back a function which is called as the method itself would be.
const TRANSPARENT: &[&str] = &[
    "abc.abstractmethod",
    "typing.override",
    "typing.overload",
    "typing.final",
    "typing.no_type_check",
    "typing_extensions.override",
    "typing_extensions.overload",
    "typing_extensions.final",
    "typing_extensions.deprecated",
    "warnings.deprecated",
    "django.contrib.admin.display",
    "django.contrib.admin.action",
    "django.db.transaction.atomic",
    "django.dispatch.receiver",
    "django.utils.decorators.method_decorator",
];

/// Reads the definitions of one file.
pub(super) struct Reader<'a> {
    pub(super) id: FileId,
    pub(super) file: &'a File,
    pub(super) symbols: &'a Symbols,
    pub(super) start: (u32, u32),
    pub(super) view: View<'a>,
}

impl<'a> Reader<'a> {
    /// What a dotted expression means in the body of class `within`, or at the top.
    fn resolve(&self, node: Node<'a>, within: Option<u32>, depth: usize) -> Option<Def> {
        if depth > 20 {
            return None;
        }
        match Expr::of(node) {
            Expr::Name(name) => self.in_class(within, name).or_else(|| self.view.global(self.id, name)),
            Expr::Attribute { value, attr, .. } => {
                let value = self.resolve(value, within, depth + 1)?;
                match value {
                    Def::Class(id) => self.class_attribute(id, attr),
                    _ => self.view.attribute(&value, attr),
                }
            }
            _ => None,
        }
    }

    fn in_class(&self, within: Option<u32>, name: &str) -> Option<Def> {
        let class = self.symbols.classes.get(within? as usize)?;
        let binds: Vec<_> = class.binds.iter().filter(|b| b.name == name).collect();
        match &winner(&binds)?.what {
            What::Class(i) => Some(Def::Class(ClassId(self.start.0 + i))),
            What::Function(i) => Some(Def::Function(FunctionId(self.start.1 + i))),
            What::Import(import) => self.view.import(self.id, import),
            _ => None,
        }
    }

    /// `Parent.Meta`: nested classes are linked by a path until the class itself is known; see `link_nested`.
    fn class_attribute(&self, id: ClassId, attr: &str) -> Option<Def> {
        Some(Def::External(format!("{NESTED}{}.{attr}", id.0)))
    }

    pub(super) fn decorator(&self, node: NodeId, within: Option<u32>) -> Option<Def> {
        let mut node = self.file.node(node);
        if let Expr::Call { func, .. } = Expr::of(node) {
            node = func;
        }
        match Expr::of(node) {
            Expr::Name(name @ ("property" | "classmethod" | "staticmethod"))
                if self.view.global(self.id, name).is_none() =>
            {
                Some(Def::External(format!("builtins.{name}")))
            }
            _ => self.resolve(node, within, 0),
        }
    }

    pub(super) fn class(&self, raw: &RawClass, functions: &[Function]) -> Class {
        let mut bases = Vec::new();
        let mut base_nodes = Vec::new();
        for base in &raw.bases {
            self.base(self.file.node(*base), raw.outer, 0, &mut bases, &mut base_nodes);
        }
        let mut members = FxHashMap::default();
        let mut order = Vec::new();
        for (name, binds) in grouped(&raw.binds) {
            let member = if binds.len() > 1 && binds.iter().any(|b| b.is_conditional) {
                let mut kinds = binds.iter().map(|b| matches!(b.what, What::Function(_)));
                // Alternative definitions of one method are still a method.
                if kinds.all(|k| k) { self.member(&winner(&binds), functions) } else { Some(Member::Other) }
            } else {
                // `@name.setter` and its like return the property again.
                let first = binds.first().copied();
                let is_property = first.is_some_and(|b| {
                    matches!(
                        self.member(&Some(b), functions),
                        Some(Member::Function(_, Binding::Property | Binding::CachedProperty))
                    )
                });
                let last = winner(&binds);
                let refines = last.is_some_and(|b| match b.what {
                    What::Function(i) => self.refines(i, name),
                    _ => false,
                });
                self.member(if is_property && refines { &first } else { &last }, functions)
            };
            if let Some(member) = member {
                members.insert(name.to_owned(), member);
                order.push(name.to_owned());
            }
        }
        Class {
            name: raw.name.clone(),
            file: self.id,
            node: raw.node,
            bases,
            base_nodes,
            decorators: raw.decorators.iter().map(|d| self.decorator(*d, raw.outer)).collect(),
            mro: Vec::new(),
            external_bases: Vec::new(),
            has_unknown_base: false,
            outer: raw.outer.map(|c| ClassId(self.start.0 + c)),
            members,
            order,
        }
    }

    /// Whether the function is decorated by `@name.setter`, `@name.deleter` or `@name.getter`.
    fn refines(&self, function: u32, name: &str) -> bool {
        self.symbols.functions.get(function as usize).is_some_and(|f| {
            f.decorators.iter().any(|d| match Expr::of(self.file.node(*d)) {
                Expr::Attribute { value, attr, .. } => {
                    value.text() == name && matches!(attr, "setter" | "deleter" | "getter")
                }
                _ => false,
            })
        })
    }

    fn member(&self, bind: &Option<&Bind>, functions: &[Function]) -> Option<Member> {
        Some(match &bind.as_ref()?.what {
            What::Class(i) => Member::Class(ClassId(self.start.0 + i)),
            What::Function(i) => {
                let binding = self.binding(functions.get(*i as usize)?, *i);
                Member::Function(FunctionId(self.start.1 + i), binding)
            }
            What::Value(value) => Member::Value(*value),
            What::Annotation(annotation) => Member::Annotation(*annotation),
            What::Import(_) | What::Other => Member::Other,
        })
    }

    fn binding(&self, function: &Function, index: u32) -> Binding {
        let mut binding = match function.name.as_str() {
            "__new__" => Binding::StaticMethod,
            "__init_subclass__" | "__class_getitem__" => Binding::ClassMethod,
            _ => Binding::Method,
        };
        for (position, decorator) in function.decorators.iter().enumerate() {
            let path = match decorator {
                Some(Def::External(path)) => path.as_str(),
                Some(Def::Function(_) | Def::Class(_)) => "",
                _ => {
                    let text = self
                        .symbols
                        .functions
                        .get(index as usize)
                        .and_then(|f| f.decorators.get(position))
                        .map_or("", |d| self.file.node(*d).text());
                    if text.ends_with(".setter") || text.ends_with(".deleter") || text.ends_with(".getter") {
                        binding = Binding::Property;
                        continue;
                    }
                    ""
                }
            };
            match path {
                "builtins.property" | "abc.abstractproperty" | "functools.property" => {
                    binding = Binding::Property;
                }
                "builtins.classmethod" | "abc.abstractclassmethod" => binding = Binding::ClassMethod,
                "builtins.staticmethod" | "abc.abstractstaticmethod" => binding = Binding::StaticMethod,
                _ if path.ends_with(".cached_property") => binding = Binding::CachedProperty,
                _ if TRANSPARENT.contains(&path) => {}
                _ => return Binding::Decorated,
            }
        }
        binding
    }

    fn base(
        &self,
        node: Node<'a>,
        outer: Option<u32>,
        depth: usize,
        bases: &mut Vec<Option<Def>>,
        nodes: &mut Vec<NodeId>,
    ) {
        let mut push = |def| {
            bases.push(def);
            nodes.push(node.id());
        };
        match Expr::of(node) {
            _ if depth > 4 => push(None),
            Expr::Name(name) => {
                let def = self.resolve(node, outer, 0);
                push(match def {
                    None if BUILTIN_BASES.binary_search(&name).is_ok() => {
                        Some(Def::External(format!("builtins.{name}")))
                    }
                    Some(Def::Variable { file, value }) => self.base_of_variable(file, value),
                    def => def,
                });
            }
            Expr::Attribute { .. } => push(match self.resolve(node, outer, 0) {
                Some(Def::Variable { file, value }) => self.base_of_variable(file, value),
                def => def,
            }),
            Expr::Subscript { value, .. } => self.base(value, outer, depth + 1, bases, nodes),
            Expr::Call { func, arguments: list } => {
                let name = match Expr::of(func) {
                    Expr::Name(name) => name,
                    Expr::Attribute { attr, .. } => attr,
                    _ => "",
                };
                match name {
                    // `with_metaclass(Meta, Base, ...)` makes a class with those bases.
                    "with_metaclass" => {
                        for argument in arguments(list).iter().skip(1) {
                            self.base(argument.value, outer, depth + 1, bases, nodes);
                        }
                    }
                    _ => push(self.made_by_call(node, outer)),
                }
            }
            _ => push(None),
        }
    }

    /// `Manager.from_queryset(...)` makes a subclass of `Manager`: as a base it stands for `Manager`.
    fn made_by_call(&self, node: Node<'a>, outer: Option<u32>) -> Option<Def> {
        let Expr::Call { func, .. } = Expr::of(node) else { return None };
        let Expr::Attribute { value, attr: "from_queryset", .. } = Expr::of(func) else { return None };
        match self.resolve(value, outer, 0) {
            Some(Def::Variable { .. }) => None,
            def => def,
        }
    }

    fn base_of_variable(&self, file: FileId, value: Option<NodeId>) -> Option<Def> {
        let (file, node) = self.view.variable(file, value?)?;
        if file == self.id {
            if let Some(def) = self.made_by_call(node, None) {
                return Some(def);
            }
        } else if let Expr::Call { func, .. } = Expr::of(node)
            && let Expr::Attribute { value, attr: "from_queryset", .. } = Expr::of(func)
        {
            return match self.view.expr_at(file, value) {
                Some(Def::Variable { .. }) => None,
                def => def,
            };
        }
        match self.view.expr_at(file, node) {
            Some(Def::Variable { .. }) => None,
            def => def,
        }
    }
}
