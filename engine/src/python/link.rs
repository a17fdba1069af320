//! From the symbols of every file to the program: ids, bases, linearised ancestors, members, indexes.

use super::ast::{Node, NodeId};
use super::imports::{Linker, View, grouped, winner};
use super::modules::Modules;
use super::program::{Binding, Class, ClassId, Def, File, Function, FunctionId, Member, Program};
use super::symbols::{RawClass, Symbols, What};
use super::view::{Expr, arguments};
use crate::text::FileId;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// Class hierarchies deeper than this are cut, with an unknown base.
const MAX_ANCESTRY: usize = 100;

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

pub(super) fn link(files: Vec<File>, symbols: Vec<Arc<Symbols>>, modules: Modules) -> Program {
    let mut starts = Vec::with_capacity(symbols.len() + 1);
    let mut next = (0u32, 0u32);
    for file in &symbols {
        starts.push(next);
        next = (next.0 + file.classes.len() as u32, next.1 + file.functions.len() as u32);
    }
    starts.push(next);

    let mut linker = Linker::new(modules, &symbols, &starts);
    linker.settle(&files);

    let (mut classes, functions) = definitions(&files, &symbols, &starts, &linker);
    linearise(&mut classes);
    let children = descendants(&classes);
    let mut by_name: FxHashMap<String, Vec<FunctionId>> = FxHashMap::default();
    for (index, function) in functions.iter().enumerate() {
        by_name.entry(function.name.clone()).or_default().push(FunctionId(index as u32));
    }
    Program { files, symbols, classes, functions, linker, starts, children, by_name }
}

/// Every class's descendants, itself first.
fn descendants(classes: &[Class]) -> Vec<Vec<ClassId>> {
    let mut children: Vec<Vec<ClassId>> = vec![Vec::new(); classes.len()];
    for (index, class) in classes.iter().enumerate() {
        for ancestor in &class.mro {
            if let Some(list) = children.get_mut(ancestor.0 as usize) {
                list.push(ClassId(index as u32));
            }
        }
    }
    children
}

impl Program {
    /// Put classes in the place of bases that only a framework's rules could tell (`get_user_model()`), given as
    /// class, position among its bases, and base.
    pub fn rebase(&mut self, found: &[(ClassId, usize, ClassId)]) {
        for (class, position, base) in found {
            let slot = self.classes.get_mut(class.0 as usize).and_then(|c| c.bases.get_mut(*position));
            if let Some(slot) = slot {
                *slot = Some(Def::Class(*base));
            }
        }
        if !found.is_empty() {
            linearise(&mut self.classes);
            self.children = descendants(&self.classes);
        }
    }
}

fn definitions(
    files: &[File],
    symbols: &[Arc<Symbols>],
    starts: &[(u32, u32)],
    linker: &Linker,
) -> (Vec<Class>, Vec<Function>) {
    let view = linker.view(files, &[]);
    let per_file: Vec<(Vec<Class>, Vec<Function>)> = files
        .par_iter()
        .zip(symbols)
        .zip(starts)
        .enumerate()
        .map(|(index, ((file, symbols), &start))| {
            let reader = Reader { id: FileId(index as u32), file, symbols, start, view };
            let functions: Vec<Function> = symbols
                .functions
                .iter()
                .map(|raw| Function {
                    name: raw.name.clone(),
                    file: reader.id,
                    node: raw.node,
                    class: raw.class.map(|c| ClassId(start.0 + c)),
                    decorators: raw.decorators.iter().map(|d| reader.decorator(*d, raw.class)).collect(),
                    is_async: raw.is_async,
                    is_generator: raw.is_generator,
                })
                .collect();
            let classes = symbols.classes.iter().map(|raw| reader.class(raw, &functions)).collect();
            (classes, functions)
        })
        .collect();
    let mut classes = Vec::new();
    let mut functions = Vec::new();
    for (c, f) in per_file {
        classes.extend(c);
        functions.extend(f);
    }
    (classes, functions)
}

struct Reader<'a> {
    id: FileId,
    file: &'a File,
    symbols: &'a Symbols,
    start: (u32, u32),
    view: View<'a>,
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

    fn decorator(&self, node: NodeId, within: Option<u32>) -> Option<Def> {
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

    fn class(&self, raw: &RawClass, functions: &[Function]) -> Class {
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

    fn member(&self, bind: &Option<&super::symbols::Bind>, functions: &[Function]) -> Option<Member> {
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

/// Marks a base that is a class nested in another: `<nested>12.Meta`.
const NESTED: &str = "<nested>";

/// Fill in `mro`, `external_bases` and `has_unknown_base`.
fn linearise(classes: &mut [Class]) {
    link_nested(classes);
    let mut done: Vec<Option<Vec<ClassId>>> = vec![None; classes.len()];
    // Classes with a base whose ancestry goes in a circle or too far.
    let mut cut: FxHashSet<ClassId> = FxHashSet::default();
    for index in 0..classes.len() {
        let mut open = Vec::new();
        mro_of(ClassId(index as u32), classes, &mut done, &mut open, &mut cut);
    }
    let direct: Vec<(Vec<String>, bool)> = classes
        .iter()
        .map(|class| {
            let mut external = Vec::new();
            let mut unknown = false;
            for base in &class.bases {
                match base {
                    Some(Def::External(path)) => external.push(path.clone()),
                    Some(Def::Class(_)) => {}
                    _ => unknown = true,
                }
            }
            (external, unknown)
        })
        .collect();
    for (index, mro) in done.into_iter().enumerate() {
        let mro = mro.unwrap_or_default();
        let mut seen: FxHashSet<&str> = FxHashSet::default();
        let mut external = Vec::new();
        let mut unknown = mro.iter().any(|c| cut.contains(c));
        for ancestor in &mro {
            if let Some((paths, is_unknown)) = direct.get(ancestor.0 as usize) {
                unknown |= is_unknown;
                external.extend(paths.iter().filter(|p| seen.insert(p)).cloned());
            }
        }
        if let Some(class) = classes.get_mut(index) {
            class.external_bases = external;
            class.has_unknown_base = unknown;
            class.mro = if mro.is_empty() { vec![ClassId(index as u32)] } else { mro };
        }
    }
}

/// Replace the paths of nested bases by the classes, which may themselves be inherited by the outer class.
fn link_nested(classes: &mut [Class]) {
    let mut found = Vec::new();
    for (index, class) in classes.iter().enumerate() {
        for (position, base) in class.bases.iter().enumerate() {
            if let Some(Def::External(path)) = base
                && let Some(rest) = path.strip_prefix(NESTED)
            {
                let mut parts = rest.split('.');
                let outer = parts.next().and_then(|n| n.parse().ok()).map(ClassId);
                let mut def = outer.map(Def::Class);
                for part in parts {
                    def = match def {
                        Some(Def::Class(c)) => nested_member(c, part, classes, 0),
                        _ => None,
                    };
                }
                found.push((index, position, def));
            }
        }
    }
    for (index, position, def) in found {
        if let Some(slot) = classes.get_mut(index).and_then(|c| c.bases.get_mut(position)) {
            *slot = def;
        }
    }
}

fn nested_member(class: ClassId, name: &str, classes: &[Class], depth: usize) -> Option<Def> {
    if depth > 30 {
        return None;
    }
    let this = classes.get(class.0 as usize)?;
    match this.members.get(name) {
        Some(Member::Class(c)) => Some(Def::Class(*c)),
        Some(_) => None,
        None => this.bases.iter().find_map(|base| match base {
            Some(Def::Class(c)) => nested_member(*c, name, classes, depth + 1),
            Some(Def::External(path)) if !path.starts_with("builtins.") => {
                Some(Def::External(format!("{path}.{name}")))
            }
            _ => None,
        }),
    }
}

fn mro_of(
    id: ClassId,
    classes: &[Class],
    done: &mut Vec<Option<Vec<ClassId>>>,
    open: &mut Vec<ClassId>,
    cut: &mut FxHashSet<ClassId>,
) -> Vec<ClassId> {
    if let Some(Some(mro)) = done.get(id.0 as usize) {
        return mro.clone();
    }
    let Some(class) = classes.get(id.0 as usize) else { return Vec::new() };
    // An empty list says that the ancestry is not known.
    if open.len() >= MAX_ANCESTRY || open.contains(&id) {
        return Vec::new();
    }
    open.push(id);
    let mut sequences: Vec<Vec<ClassId>> = Vec::new();
    let mut parents = Vec::new();
    for base in &class.bases {
        if let Some(Def::Class(base)) = base {
            let mro = mro_of(*base, classes, done, open, cut);
            if mro.is_empty() {
                cut.insert(id);
            } else {
                sequences.push(mro);
                parents.push(*base);
            }
        }
    }
    open.pop();
    sequences.push(parents);
    let mro = merge(id, sequences.clone()).unwrap_or_else(|| depth_first(id, &sequences));
    if let Some(slot) = done.get_mut(id.0 as usize) {
        *slot = Some(mro.clone());
    }
    mro
}

/// The C3 merge; `None` where the bases contradict each other.
fn merge(id: ClassId, mut sequences: Vec<Vec<ClassId>>) -> Option<Vec<ClassId>> {
    let mut out = vec![id];
    for sequence in &mut sequences {
        sequence.reverse();
    }
    loop {
        sequences.retain(|s| !s.is_empty());
        if sequences.is_empty() {
            return Some(out);
        }
        let next = sequences.iter().filter_map(|s| s.last().copied()).find(|head| {
            !sequences.iter().any(|s| s.split_last().is_some_and(|(_, tail)| tail.contains(head)))
        })?;
        out.push(next);
        for sequence in &mut sequences {
            if sequence.last() == Some(&next) {
                sequence.pop();
            }
        }
    }
}

fn depth_first(id: ClassId, sequences: &[Vec<ClassId>]) -> Vec<ClassId> {
    let mut out = vec![id];
    for &class in sequences.iter().flatten() {
        if !out.contains(&class) {
            out.push(class);
        }
    }
    out
}
