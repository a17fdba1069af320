//! Methods, properties and functions that code replaces while the program runs: `report.get_queryset = lambda: rows`,
//! `setattr(Report, "get_queryset", ...)`, `mock.patch.object(...)`, `type("Frozen", (Report,), {"rows": ...})`. Tests do that
//! to their own objects.

mod managers;

use super::values::{self, Mentions};
use crate::python::per_file::PerFile;
use crate::python::{
    Binding, ClassId, Def, Expr, Field, FunctionId, Kind, Member, Node, ParameterKind, Program, arguments,
    parameters, string_value,
};
use crate::text::{FileId, Site, Span};
use rustc_hash::{FxHashMap, FxHashSet};

/// What an attribute is assigned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A class, or an object of it or of a class below.
    Class(ClassId),
    /// A module of the program.
    Module(FileId),
    /// What an attribute of a class holds: `Book.objects`.
    Held(ClassId),
    /// A variable that may hold anything.
    Unknown,
}

/// One replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replacement {
    owner: Owner,
    /// Whether what is put there may be called.
    may_be_called: bool,
    site: Site,
}

/// The replacements of the program, by the name that is replaced. Names that no function has are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Replaced {
    by_name: FxHashMap<String, Vec<Replacement>>,
}

impl Replaced {
    /// The replacements that were found in files, in their order.
    pub fn new(found: &PerFile<Vec<(String, Replacement)>>) -> Replaced {
        let mut out = Replaced::default();
        for (name, replacement) in found.iter().flatten() {
            out.by_name.entry(name.clone()).or_default().push(*replacement);
        }
        out
    }

    /// The same, but for where in `file` that is.
    pub fn without_places(&self, file: FileId) -> Replaced {
        let mut out = self.clone();
        let all = out.by_name.values_mut().flatten();
        all.filter(|r| r.site.file == file).for_each(|r| r.site.span = Span::default());
        out
    }

    /// Where a method or a property `name` of `class` is replaced.
    pub fn member(&self, program: &Program, class: ClassId, name: &str) -> Option<Site> {
        let known = self.by_name.get(name)?;
        let (owner, Member::Function(_, binding)) = program.member(class, name)? else { return None };
        let is_property = matches!(binding, Binding::Property | Binding::CachedProperty);
        let found = known.iter().find(|r| {
            (is_property || r.may_be_called)
                && match r.owner {
                    Owner::Class(other) => are_related(program, owner, other),
                    Owner::Module(_) => false,
                    Owner::Unknown | Owner::Held(_) => !is_property || *binding == Binding::CachedProperty,
                }
        });
        found.map(|r| r.site)
    }

    /// Where a function is replaced.
    pub fn function(&self, program: &Program, function: FunctionId) -> Option<Site> {
        let info = program.function(function);
        if let Some(class) = info.class {
            return self.member(program, class, &info.name);
        }
        let known = self.by_name.get(&*info.name)?;
        known.iter().find(|r| r.may_be_called && r.owner == Owner::Module(info.file)).map(|r| r.site)
    }
}

/// The names of the functions that a file defines.
pub(super) fn function_names(program: &Program, file: FileId) -> impl Iterator<Item = &str> {
    program.functions_in(file).map(|function| &*program.function(function).name)
}

/// Every replacement of a function of one of these `names` in a file.
pub(super) fn replacements(
    program: &Program,
    names: &FxHashSet<&str>,
    mentions: &Mentions,
    file: FileId,
) -> Vec<(String, Replacement)> {
    Scan { program, names, mentions, file }.found()
}

/// Whether an object may be of both classes.
fn are_related(program: &Program, one: ClassId, other: ClassId) -> bool {
    let has_both = |class: ClassId| {
        let mro = &program.class(class).mro;
        mro.contains(&one) && mro.contains(&other)
    };
    has_both(one) || has_both(other) || program.descendants(one).into_iter().any(has_both)
}

struct Scan<'a> {
    program: &'a Program,
    names: &'a FxHashSet<&'a str>,
    mentions: &'a Mentions,
    file: FileId,
}

impl<'a> Scan<'a> {
    /// Whether some function of the program has the name, or a method of managers.
    fn is_known(&self, name: &str) -> bool {
        self.names.contains(name) || managers::METHODS.contains(&name)
    }

    fn found(&self) -> Vec<(String, Replacement)> {
        let mut out = Vec::new();
        for node in self.program.file(self.file).root().descendants() {
            match node.kind() {
                Kind::Attribute => {
                    let Expr::Attribute { value, attr, .. } = Expr::of(node) else { continue };
                    let statement = node.with_parens().parent();
                    let adds = statement.is_some_and(|p| p.kind() == Kind::AugAssign);
                    if self.is_known(attr) && node.is_binding() && !adds {
                        let statement = statement.filter(|p| p.kind() == Kind::Assign);
                        let given = statement.and_then(|s| s.child(Field::Right));
                        self.add(value, attr, (given, node), &mut out);
                    }
                }
                // `table.__dict__["rows"] = ...`
                Kind::Subscript if node.is_binding() => {
                    let Expr::Subscript { value, index, .. } = Expr::of(node) else { continue };
                    let (Some(owner), Some(name)) = (whose_attributes(value), string_value(index)) else {
                        continue;
                    };
                    if self.is_known(&name) {
                        self.add(owner, &name, (None, node), &mut out);
                    }
                }
                Kind::Call => self.call(node, &mut out),
                // `global rows`, which is bound again.
                Kind::Global => {
                    for name in node.children().filter(|n| self.is_known(n.text())) {
                        self.push(Owner::Module(self.file), name.text(), (None, node), &mut out);
                    }
                }
                // A class below that a function makes.
                Kind::ClassDef if node.enclosing_function().is_some() => self.local_class(node, &mut out),
                _ => {}
            }
        }
        out
    }

    fn local_class(&self, class: Node<'a>, out: &mut Vec<(String, Replacement)>) {
        let Some(bases) = class.child(Field::Superclasses) else { return };
        let Some(body) = class.child(Field::Body) else { return };
        for statement in body.children() {
            let inner = statement.children().find(|n| matches!(n.kind(), Kind::FunctionDef | Kind::Assign));
            let name = match statement.kind() {
                Kind::FunctionDef => statement.child(Field::Name),
                _ => inner.and_then(|n| n.child(Field::Name).or_else(|| n.child(Field::Left))),
            };
            let Some(name) = name.map(Node::text).filter(|name| self.is_known(name)) else { continue };
            for base in arguments(bases).iter().filter(|a| a.name.is_none()) {
                self.below(base.value, name, statement, out);
            }
        }
    }

    fn call(&self, node: Node<'a>, out: &mut Vec<(String, Replacement)>) {
        let Expr::Call { func, arguments: list } = Expr::of(node) else { return };
        let list = arguments(list);
        let named = |node: Node<'a>| string_value(node).filter(|name| self.is_known(name.as_str()));
        match Expr::of(func) {
            // `setattr(table, "rows", ...)`
            Expr::Name("setattr") | Expr::Attribute { attr: "setattr" | "__setattr__", .. } => {
                let [.., owner, name, value] = list.as_slice() else { return };
                let given = (Some(value.value), node);
                match string_value(name.value) {
                    Some(name) if self.is_known(&name) => {
                        self.add(owner.value, &name, given, out);
                    }
                    Some(_) => {}
                    None => {
                        for name in self.names_of(name.value) {
                            self.add(owner.value, &name, given, out);
                        }
                    }
                }
            }
            // `mock.patch.object(table, "rows", ...)`
            Expr::Attribute { attr: "object", value, .. } if value.text().ends_with("patch") => {
                if let [owner, name, ..] = list.as_slice()
                    && let Some(name) = named(name.value)
                {
                    self.add(owner.value, &name, (None, node), out);
                }
            }
            // `mock.patch("shop.table.Table.rows", ...)`
            Expr::Name("patch") | Expr::Attribute { attr: "patch", .. } => {
                let Some(path) = list.first().and_then(|a| string_value(a.value)) else { return };
                let Some((owner, name)) = path.rsplit_once('.') else { return };
                if self.is_known(name) {
                    let owner = match self.program.dotted(owner, None) {
                        Some(Def::Class(class)) => Owner::Class(class),
                        Some(Def::Module(file)) => Owner::Module(file),
                        _ => Owner::Unknown,
                    };
                    self.push(owner, name, (None, node), out);
                }
            }
            // `vars(table).update(rows=...)`
            Expr::Attribute { attr: "update", value, .. } => {
                let Some(owner) = whose_attributes(value) else { return };
                let given = list.iter().filter_map(|a| a.name.map(str::to_owned));
                let keys = list.iter().flat_map(|a| keys(a.value));
                for name in given.chain(keys).filter(|name| self.is_known(name.as_str())) {
                    self.add(owner, &name, (None, node), out);
                }
                // `self.__dict__.update(options)`
                for options in list.iter().filter(|a| a.value.kind() == Kind::Name) {
                    for name in self.names_of(options.value) {
                        self.add(owner, &name, (None, node), out);
                    }
                }
            }
            // `type("Frozen", (Table,), {"rows": ...})`
            Expr::Name("type") => {
                let [_, bases, body] = list.as_slice() else { return };
                for name in keys(body.value).into_iter().filter(|name| self.is_known(name.as_str())) {
                    for base in bases.value.children() {
                        self.below(base, &name, node, out);
                    }
                }
            }
            _ => {}
        }
    }

    fn add(
        &self,
        owner: Node<'a>,
        name: &str,
        given: (Option<Node<'a>>, Node<'a>),
        out: &mut Vec<(String, Replacement)>,
    ) {
        self.push(self.owner(owner), name, given, out);
    }

    /// A class below `base` has something else under the name.
    fn below(&self, base: Node<'a>, name: &str, node: Node<'a>, out: &mut Vec<(String, Replacement)>) {
        if let owner @ Owner::Class(_) = self.owner(base) {
            self.push(owner, name, (None, node), out);
        }
    }

    fn push(
        &self,
        owner: Owner,
        name: &str,
        (given, node): (Option<Node<'a>>, Node<'a>),
        out: &mut Vec<(String, Replacement)>,
    ) {
        // Nothing of the program's is meant by a name that only managers have.
        if matches!(owner, Owner::Unknown | Owner::Module(_)) && !self.names.contains(name) {
            return;
        }
        let site = Site { file: self.file, span: node.statement().unwrap_or(node).span() };
        let may_be_called = !given.is_some_and(|value| is_data(value, 0));
        out.push((name.to_owned(), Replacement { owner, may_be_called, site }));
    }

    /// What an expression holds.
    fn owner(&self, node: Node<'a>) -> Owner {
        match values::resolve_here(self.program, self.file, node) {
            Some(Def::Class(class)) => return Owner::Class(class),
            Some(Def::Module(file)) => return Owner::Module(file),
            _ => {}
        }
        let class_of = |call: Node<'a>| match Expr::of(call) {
            Expr::Call { func, .. } => match values::resolve_here(self.program, self.file, func) {
                Some(Def::Class(class)) => Some(class),
                _ => None,
            },
            _ => None,
        };
        if let Some(class) = class_of(node) {
            return Owner::Class(class);
        }
        if let Expr::Attribute { value, .. } = Expr::of(node)
            && let Some(Def::Class(class)) = values::resolve_here(self.program, self.file, value)
        {
            return Owner::Held(class);
        }
        let (Expr::Name(name), Some(function)) = (Expr::of(node), node.enclosing_function()) else {
            return Owner::Unknown;
        };
        // The own object, or its class.
        let own = parameters(function).first().is_some_and(|p| p.name == name);
        let around = function.ancestors().find(|n| matches!(n.kind(), Kind::ClassDef | Kind::FunctionDef));
        if own && let Some(class) = around.and_then(|def| self.program.class_at(self.file, def.id())) {
            return Owner::Class(class);
        }
        let mut bindings = function.mentions(name).filter(|n| n.is_binding());
        let (Some(only), None) = (bindings.next(), bindings.next()) else { return Owner::Unknown };
        let assigned = only.parent().filter(|p| p.kind() == Kind::Assign && only.field() == Field::Left);
        match assigned.and_then(|p| p.child(Field::Right)) {
            Some(value) if value.kind() != Kind::Name => self.owner(value),
            _ => Owner::Unknown,
        }
    }

    /// The names that an expression may stand for which is no literal: strings that it is bound to, and those in calls of the
    /// function around it where it is a parameter.
    fn names_of(&self, name: Node<'a>) -> Vec<String> {
        let Some(function) = name.enclosing_function() else { return Vec::new() };
        let sources = |name: &str| -> Vec<Node<'a>> {
            let bindings = function.descendants().filter(|n| {
                n.kind() == Kind::Name && n.text() == name && n.is_binding() && n.id() != function.id()
            });
            let around = bindings.filter_map(|n| {
                n.ancestors().find(|a| {
                    matches!(a.kind(), Kind::For | Kind::CompFor | Kind::Assign | Kind::FunctionDef)
                })
            });
            around.filter_map(|statement| statement.child(Field::Right)).collect()
        };
        let mut out = Vec::new();
        for source in sources(name.text()) {
            out.extend(self.strings(source));
            // `names = ("rows", "columns")` before `for name in names`
            let inner =
                std::iter::once(source).chain(source.descendants()).filter(|n| n.kind() == Kind::Name);
            out.extend(inner.flat_map(|n| sources(n.text())).flat_map(|source| self.strings(source)));
        }
        let list = parameters(function);
        let is_parameter = list.iter().any(|p| p.name == name.text());
        let keywords = list.iter().find(|p| p.kind == ParameterKind::VarKeyword).map(|p| p.name);
        let from_keywords = keywords.is_some_and(|keywords| {
            keywords == name.text()
                || sources(name.text()).into_iter().any(|s| {
                    std::iter::once(s)
                        .chain(s.descendants())
                        .any(|n| n.kind() == Kind::Name && n.text() == keywords)
                })
        });
        // Who makes an object calls its class.
        let class = function.ancestors().find(|n| n.kind() == Kind::ClassDef);
        let own = match function.child(Field::Name).map(Node::text) {
            Some("__init__") => class.and_then(|c| c.child(Field::Name)).map(Node::text),
            own => own,
        };
        if let Some(own) = own.filter(|_| is_parameter || from_keywords) {
            let named = self.mentions.of(self.program, own);
            for call in named.into_iter().filter_map(|(_, name)| values::call_of(name)) {
                let Expr::Call { arguments: list, .. } = Expr::of(call) else { continue };
                for argument in arguments(list) {
                    let name = match from_keywords {
                        true => argument.name.map(str::to_owned),
                        false => string_value(argument.value),
                    };
                    out.extend(name.filter(|name| self.is_known(name.as_str())));
                }
            }
        }
        out
    }

    fn strings(&self, node: Node<'a>) -> Vec<String> {
        let strings = std::iter::once(node)
            .chain(node.descendants())
            .filter(|n| n.kind() == Kind::Str)
            .filter_map(string_value);
        strings.filter(|name| self.is_known(name.as_str())).collect()
    }
}

/// Whether a value is data, which nobody calls.
fn is_data(value: Node<'_>, depth: usize) -> bool {
    const MAKING: &[&str] = &[
        "bool",
        "bytes",
        "dict",
        "float",
        "frozenset",
        "int",
        "len",
        "list",
        "max",
        "min",
        "set",
        "sorted",
        "str",
        "sum",
        "tuple",
    ];
    let value = value.peel();
    match value.kind() {
        Kind::Str
        | Kind::ConcatStr
        | Kind::Int
        | Kind::Float
        | Kind::True
        | Kind::False
        | Kind::None
        | Kind::List
        | Kind::Tuple
        | Kind::ExprList
        | Kind::Set
        | Kind::Dict
        | Kind::Compare
        | Kind::Not
        | Kind::BinOp
        | Kind::UnaryOp => true,
        kind if kind.is_comprehension() => true,
        Kind::Call => {
            matches!(Expr::of(value), Expr::Call { func, .. }
                if matches!(Expr::of(func), Expr::Name(name) if MAKING.contains(&name)))
        }
        // A local variable that holds nothing else.
        Kind::Name if depth < 3 => {
            let Some(function) = value.enclosing_function() else { return false };
            let mut bindings = function.mentions(value.text()).filter(|n| n.is_binding()).peekable();
            let is_parameter = parameters(function).iter().any(|p| p.name == value.text());
            !is_parameter
                && bindings.peek().is_some()
                && bindings.all(|n| {
                    let assigned =
                        n.parent().filter(|p| p.kind() == Kind::Assign && n.field() == Field::Left);
                    assigned
                        .and_then(|p| p.child(Field::Right))
                        .is_some_and(|right| is_data(right, depth + 1))
                })
        }
        _ => false,
    }
}

/// The object whose attributes are asked for as a dict: `table.__dict__`, `vars(table)`.
fn whose_attributes(node: Node<'_>) -> Option<Node<'_>> {
    match Expr::of(node) {
        Expr::Attribute { value, attr: "__dict__", .. } => Some(value),
        Expr::Call { func, arguments: list } if matches!(Expr::of(func), Expr::Name("vars")) => {
            arguments(list).first().map(|a| a.value)
        }
        _ => None,
    }
}

/// The literal keys of a dict.
fn keys(node: Node<'_>) -> Vec<String> {
    let pairs = node.peel().children().filter(|n| n.kind() == Kind::Pair);
    pairs.filter_map(|pair| string_value(pair.child(Field::Key)?)).collect()
}
