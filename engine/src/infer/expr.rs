//! Expressions: names, attributes, operators, displays, comprehensions, conditions.

use super::drawn::Drawn;
use super::facts::{Escape, EventKind, Use};
use super::frame::Frame;
use super::types::{Callable, Dict, Name, Type};
use crate::django::FieldKind;
use crate::python::{Def, Expr, Generator, Kind, Node, generators};
use std::collections::BTreeMap;
use std::sync::Arc;

const MAX_NESTING: usize = 220;

/// Methods behind binary operators, on either side.
pub(super) const BINARY: &[&str] = &[
    "__add__",
    "__radd__",
    "__iadd__",
    "__sub__",
    "__rsub__",
    "__mul__",
    "__rmul__",
    "__truediv__",
    "__floordiv__",
    "__mod__",
    "__pow__",
    "__or__",
    "__ror__",
    "__ior__",
    "__and__",
    "__rand__",
    "__xor__",
    "__lshift__",
    "__rshift__",
];

/// Methods behind comparisons.
const COMPARING: &[&str] = &["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"];

/// Methods behind `-x`, `+x` and `~x`.
const UNARY: &[&str] = &["__neg__", "__pos__", "__invert__"];

/// Methods by which sets and dicts find what they hold.
pub(super) const HASHING: &[&str] = &["__hash__", "__eq__"];

impl<'a> Frame<'a, '_> {
    /// The type of an expression; everything that evaluating it does is recorded.
    pub fn expr(&mut self, node: Node<'a>) -> Type {
        let node = node.peel();
        if self.nesting > MAX_NESTING {
            return Type::Unknown;
        }
        self.nesting += 1;
        let ty = if node.has_error() && node.kind() == Kind::Error {
            Type::Unknown
        } else {
            self.expr_inner(node)
        };
        self.nesting -= 1;
        let ty = self.or_supposed(node, ty);
        self.record(node, &ty);
        ty
    }

    fn or_supposed(&self, node: Node<'a>, ty: Type) -> Type {
        if self.supposed.is_empty() || !super::supposed::is_open(&ty) {
            return ty;
        }
        match self.supposed.get(node.text()) {
            Some(model) => Type::Instance(super::types::Instance::root(*model, super::types::Root::Opaque)),
            None => ty,
        }
    }

    fn record(&mut self, node: Node<'a>, ty: &Type) {
        if self.dry > 0 || self.env.is_none() {
            return;
        }
        self.facts.types.add(node.id(), ty.clone().without_records());
    }

    fn expr_inner(&mut self, node: Node<'a>) -> Type {
        match Expr::of(node) {
            Expr::Name(name) => self.name(name),
            Expr::Attribute { value, attr, .. } => {
                if self.has_overrides
                    && let Expr::Name(name) = Expr::of(value)
                    && let Some(ty) = self.lookup(&format!("{name}.{attr}")).cloned()
                {
                    self.expr(value);
                    return ty;
                }
                let owner = self.expr(value);
                if attr == "data" {
                    self.read_serializers(node);
                }
                self.attribute(&owner, attr, node)
            }
            Expr::Call { func, arguments } => self.call(node, func, arguments),
            Expr::Subscript { value, index, .. } => self.subscript(node, value, index),
            Expr::Slice { node } => {
                for part in node.children() {
                    self.expr(part);
                }
                Type::Unknown
            }
            Expr::BoolOp { left, op, right } => {
                let first = self.test(left);
                let before = self.env.clone();
                self.narrow(left, op == Kind::And);
                let second = self.conditionally(|frame| frame.expr(right));
                let after = self.env.take();
                self.env = self.join_env(before, after);
                if op == Kind::Or { first.without_none().clone().join(second) } else { first.join(second) }
            }
            Expr::BinOp { left, op, right } => {
                let a = self.expr(left);
                let b = self.expr(right);
                if op == Kind::Mod && a == Type::Str {
                    self.stringify(&b, right);
                    return Type::Str;
                }
                if let (Type::QuerySet(x), Type::QuerySet(y)) = (&a, &b)
                    && matches!(op, Kind::BitOr | Kind::BitAnd | Kind::BitXor)
                {
                    return self.combine(node, x.clone(), y.clone());
                }
                for (ty, operand) in [(&a, left), (&b, right)] {
                    if let Type::QuerySet(qs) = ty {
                        let qs = qs.clone();
                        self.use_queryset(&qs, operand, Use::Other);
                    }
                }
                let made = self.object_dunders(&a, BINARY, left);
                let made = made.join(self.object_dunders(&b, BINARY, right));
                match (&a, &b) {
                    _ if made != Type::Never => made,
                    (Type::List(_), Type::List(_)) if op == Kind::Add => self.either(a, b, node),
                    (Type::Dict(x), Type::Dict(y)) if op == Kind::BitOr => super::statements::merged(x, y),
                    _ => arithmetic(&a, op, &b),
                }
            }
            Expr::UnaryOp { op, operand } => {
                let ty = self.expr(operand);
                let made = self.object_dunders(&ty, UNARY, operand);
                match (op, ty) {
                    _ if made != Type::Never => made,
                    (Kind::Sub | Kind::Add | Kind::Invert, Type::Int | Type::Bool) => Type::Int,
                    (Kind::Sub | Kind::Add, Type::Float) => Type::Float,
                    (Kind::Sub | Kind::Add, Type::Column(k)) => Type::Column(k),
                    (_, Type::External(name)) => Type::External(name),
                    _ => Type::Unknown,
                }
            }
            Expr::Not(operand) => {
                self.test(operand);
                Type::Bool
            }
            Expr::Compare { left, op, right } => {
                let a = self.expr(left);
                let b = self.expr(right);
                if matches!(op, Kind::In | Kind::NotIn) {
                    for alternative in b.alternatives() {
                        if let Type::QuerySet(qs) = alternative {
                            let qs = qs.clone();
                            self.use_queryset(&qs, right, Use::Contains);
                            self.evaluated(&qs, right, "all");
                        }
                        self.object_dunders(alternative, &["__contains__", "__iter__", "__getitem__"], right);
                    }
                    self.object_dunders(&b, &["__contains__", "__iter__", "__next__"], right);
                    self.object_dunders(&a, HASHING, left);
                } else if !matches!(op, Kind::Is | Kind::IsNot) {
                    for (ty, operand) in [(&a, left), (&b, right)] {
                        if let Type::QuerySet(qs) = ty {
                            let qs = qs.clone();
                            self.use_queryset(&qs, operand, Use::Other);
                        }
                        self.object_dunders(ty, COMPARING, operand);
                    }
                }
                Type::Bool
            }
            Expr::CompareChain { node } => {
                for part in node.children() {
                    let ty = self.expr(part);
                    if let Type::QuerySet(qs) = &ty {
                        let qs = qs.clone();
                        self.use_queryset(&qs, part, Use::Other);
                    }
                    self.object_dunders(&ty, COMPARING, part);
                }
                Type::Bool
            }
            Expr::IfExp { body, test, orelse } => {
                self.test(test);
                let before = self.env.clone();
                self.narrow(test, true);
                let a = self.conditionally(|frame| frame.expr(body));
                self.env = before.clone();
                self.narrow(test, false);
                let b = self.conditionally(|frame| frame.expr(orelse));
                self.env = before;
                self.either(a, b, node)
            }
            Expr::Lambda { .. } => {
                self.defer_local(node);
                match is_outside_functions(node) {
                    true => Type::Callable(Arc::new(Callable::Lambda(self.file, node.id()))),
                    false => Type::Local(node.id()),
                }
            }
            Expr::Comp { node, element } => self.comprehension(node, element),
            Expr::Tuple(node) => {
                let types: Vec<Type> = node.children().map(|c| self.element_of_display(c)).collect();
                Type::Tuple(types.into())
            }
            Expr::List(node) => Type::list(self.elements_of_display(node)),
            Expr::Set(node) => {
                let element = self.elements_of_display(node);
                self.object_dunders(&element, HASHING, node);
                Type::Set(Arc::new(element))
            }
            Expr::Dict(node) => self.dict_display(node),
            Expr::Str(node) => {
                if node.text().trim_start_matches(['r', 'R']).starts_with(['b', 'B']) {
                    Type::Bytes
                } else {
                    Type::Str
                }
            }
            Expr::JoinedStr(node) => {
                for part in node.descendants().filter(|n| n.kind() == Kind::Interpolation) {
                    // A nested format specifier holds interpolations of its own, which come again.
                    if let Some(inner) = part.child(crate::python::Field::Expression) {
                        let ty = self.expr(inner);
                        self.stringify(&ty, inner);
                    }
                }
                Type::Str
            }
            Expr::Int(_) => Type::Int,
            Expr::Float => Type::Float,
            Expr::True | Expr::False => Type::Bool,
            Expr::None => Type::None,
            Expr::Ellipsis => Type::Unknown,
            Expr::Await(inner) => {
                let ty = self.expr(inner);
                self.event(node, EventKind::Suspend);
                ty
            }
            Expr::Yield { value, is_from, .. } => {
                let ty = match value {
                    Some(value) => {
                        let ty = self.expr(value);
                        let ty = if is_from { self.iterate(&ty, value) } else { ty };
                        self.escape(&ty, value, Escape::Yield);
                        ty
                    }
                    None => Type::None,
                };
                self.event(node, EventKind::Suspend);
                // Nobody needs to ask for more.
                self.conditional += 1;
                self.returned(Type::iterator(ty));
                Type::Unknown
            }
            Expr::NamedExpr { target, value } => {
                let ty = self.expr(value);
                self.assign(target, ty.clone(), None);
                ty
            }
            Expr::Starred(inner) => {
                let ty = self.expr(inner);
                self.iterate(&ty, inner)
            }
            Expr::Other(other) => {
                match other.kind() {
                    Kind::Assign | Kind::AugAssign => self.statement(other),
                    Kind::ExprStatement
                    | Kind::GenericType
                    | Kind::Unknown
                    | Kind::Pair
                    | Kind::DictSplat => {
                        for child in other.children() {
                            self.expr(child);
                        }
                    }
                    _ => {}
                }
                Type::Unknown
            }
        }
    }

    fn dict_display(&mut self, node: Node<'a>) -> Type {
        let (mut key, mut value) = (Type::Never, Type::Never);
        let mut known = BTreeMap::new();
        for child in node.children() {
            if child.kind() == Kind::Pair {
                let k = child.child(crate::python::Field::Key);
                if let Some(k) = k {
                    let ty = self.expr(k);
                    self.object_dunders(&ty, HASHING, k);
                    key = key.join(ty);
                }
                if let Some(v) = child.child(crate::python::Field::Value) {
                    let ty = self.expr(v);
                    self.escape(&ty, v, Escape::Container);
                    if let Some(text) = k.and_then(crate::python::string_value) {
                        known.insert(Name::from(text.as_str()), (ty.clone(), self.file, v.id()));
                    }
                    value = self.either(value, ty, v);
                }
                continue;
            }
            for inner in child.children() {
                let ty = self.expr(inner);
                match &ty {
                    Type::Dict(more) => known.extend(more.2.clone()),
                    _ => known.clear(),
                }
            }
            (key, value) = (Type::Unknown, Type::Unknown);
        }
        Type::Dict(Arc::new(Dict(key, value, known)))
    }

    /// What the elements of a list or set display are.
    fn elements_of_display(&mut self, node: Node<'a>) -> Type {
        node.children().fold(Type::Never, |known, child| {
            let element = self.element_of_display(child);
            self.either(known, element, node)
        })
    }

    fn element_of_display(&mut self, node: Node<'a>) -> Type {
        if node.kind() == Kind::Starred {
            let Some(inner) = node.children().next() else { return Type::Unknown };
            let ty = self.expr(inner);
            return self.iterate(&ty, inner);
        }
        let ty = self.expr(node);
        self.escape(&ty, node, Escape::Container);
        ty
    }

    /// The type of a name where control flow stands.
    pub fn name(&mut self, name: &'a str) -> Type {
        if self.volatile.contains(name) {
            return Type::Unknown;
        }
        if let Some(ty) = self.lookup(name) {
            return ty.clone();
        }
        if self.locals.contains(name) {
            return Type::Unknown;
        }
        match self.az.project.program().global(self.file, name) {
            Some(def) => self.type_of_def(def),
            None => Type::Def(Def::External(format!("builtins.{name}"))),
        }
    }

    /// What a definition is as a value.
    pub fn type_of_def(&mut self, def: Def) -> Type {
        match def {
            Def::Class(class) => match self.az.project.model_of_class(class) {
                Some(model) => Type::ModelClass(model),
                None => Type::Def(Def::Class(class)),
            },
            Def::Variable { file, value: Some(value) } => {
                if self.scope.kind() == Kind::Module && file == self.file {
                    return Type::Unknown;
                }
                let summary = self.az.outside(file, value, self.stack);
                let node = self.scope;
                self.imported(&summary, file, value, node)
            }
            Def::Variable { .. } => Type::Unknown,
            other => Type::Def(other),
        }
    }

    /// Evaluate a condition; its truth is used.
    pub fn test(&mut self, node: Node<'a>) -> Type {
        let ty = self.expr(node);
        for alternative in ty.alternatives() {
            match alternative {
                Type::QuerySet(qs) => {
                    // The operands of and/or were tested by themselves.
                    if matches!(Expr::of(node), Expr::BoolOp { .. }) {
                        continue;
                    }
                    let qs = qs.clone();
                    self.use_queryset(&qs, node, Use::Truth);
                    self.evaluated(&qs, node, "all");
                }
                Type::Instance(i) => {
                    let i = i.clone();
                    self.instance_truth(&i, node);
                }
                other => {
                    self.object_dunders(other, &["__bool__", "__len__"], node);
                }
            }
        }
        if let Expr::BoolOp { right, .. } = Expr::of(node)
            && let Type::QuerySet(qs) = self.facts.type_of(right).clone()
        {
            self.use_queryset(&qs, right, Use::Truth);
            self.evaluated(&qs, right, "all");
        }
        ty
    }

    /// What is known of names when `test` came out as `truth`.
    pub fn narrow(&mut self, test: Node<'a>, truth: bool) {
        match Expr::of(test) {
            Expr::Name(name) => {
                if truth && let Some(ty) = self.lookup(name) {
                    let ty = ty.without_none().clone();
                    self.rebind(name, ty);
                }
            }
            Expr::Not(inner) => self.narrow(inner, !truth),
            Expr::BoolOp { left, op, right } if (op == Kind::And) == truth => {
                self.narrow(left, truth);
                self.narrow(right, truth);
            }
            Expr::Compare { left, op, right } => {
                let (Expr::Name(name), Expr::None) = (Expr::of(left), Expr::of(right)) else { return };
                let is_none = matches!(op, Kind::Is | Kind::Eq);
                let Some(ty) = self.lookup(name) else { return };
                let ty = if is_none == truth { Type::None } else { ty.without_none().clone() };
                self.rebind(name, ty);
            }
            Expr::Call { func, arguments } if truth => {
                if !matches!(Expr::of(func), Expr::Name("isinstance")) {
                    return;
                }
                let args = crate::python::arguments(arguments);
                let [object, class] = args.as_slice() else { return };
                let (Expr::Name(name), false) =
                    (Expr::of(object.value), matches!(Expr::of(class.value), Expr::Tuple(_)))
                else {
                    return;
                };
                self.dry += 1;
                let class = self.expr(class.value);
                self.dry -= 1;
                let current = self.lookup(name).cloned().unwrap_or(Type::Unknown);
                let narrowed = match class {
                    Type::ModelClass(model) => match current.instance() {
                        Some(i) if i.model == model => current.without_none().clone(),
                        _ => Type::Instance(super::types::Instance::root(model, super::types::Root::Opaque)),
                    },
                    Type::Def(Def::Class(class)) => self.az.object_of_class(class),
                    _ => return,
                };
                if matches!(narrowed, Type::QuerySet(_)) {
                    return;
                }
                self.rebind(name, narrowed);
            }
            _ => {}
        }
    }

    /// Change what is known of a name without its having been assigned.
    fn rebind(&mut self, name: &str, ty: Type) {
        if let Some(env) = &mut self.env
            && env.get(name).is_some()
        {
            env.insert(name, ty);
        }
    }

    fn comprehension(&mut self, node: Node<'a>, element: Node<'a>) -> Type {
        let saved = self.env.clone();
        let all = generators(node);
        let ty = self.generated(node, element, &all);
        let inner = self.env.take();
        self.env = saved;
        // `[last := x for x in xs]` binds around the comprehension.
        for named in node.descendants().filter(|n| n.kind() == Kind::NamedExpr) {
            let Some(name) = named.child(crate::python::Field::Name) else { continue };
            let Some(ty) = inner.as_ref().and_then(|env| env.get(name.text())).cloned() else { continue };
            let ty = match self.lookup(name.text()) {
                Some(before) => before.clone().join(ty),
                None => ty,
            };
            self.bind(name.text(), ty);
        }
        ty
    }

    /// Whether what is gone over may leave out rows of what it is given: `islice(books, n)`, `zip(books, names)`.
    pub(super) fn may_skip(&self, iter: Node<'a>) -> bool {
        const SKIPPING: &[&str] = &[
            "itertools.compress",
            "itertools.dropwhile",
            "itertools.filterfalse",
            "itertools.islice",
            "itertools.takewhile",
        ];
        let program = self.az.project.program();
        iter.descendants().any(|n| match Expr::of(n) {
            Expr::Call { func, arguments } if n.kind() == Kind::Call => match Expr::of(func) {
                Expr::Name("zip" | "filter") => true,
                Expr::Name("map") => crate::python::arguments(arguments).len() > 2,
                _ => matches!(program.resolve_expr(self.file, func.peel().id()),
                    Some(Def::External(path)) if SKIPPING.contains(&path.as_str())),
            },
            _ => false,
        })
    }

    /// The rest of the clauses of a comprehension, and its element.
    fn generated(&mut self, node: Node<'a>, element: Node<'a>, rest: &[Generator<'a>]) -> Type {
        let Some((generator, rest)) = rest.split_first() else { return self.comprised(node, element) };
        if generator.is_async {
            self.event(generator.node, EventKind::Suspend);
        }
        let iterated = self.expr(generator.iter);
        let item = self.iterate(&iterated, generator.iter);
        let may_skip = self.may_skip(generator.iter)
            || node.kind() == Kind::GeneratorExp && self.drawn(node) == Drawn::Nothing;
        self.each(&iterated, |frame| {
            frame.conditional += u32::from(may_skip);
            frame.assign(generator.target, item, None);
            for condition in &generator.conditions {
                frame.test(*condition);
                frame.narrow(*condition, true);
                frame.conditional += 1;
            }
            frame.generated(node, element, rest)
        })
    }

    fn comprised(&mut self, node: Node<'a>, element: Node<'a>) -> Type {
        if element.kind() == Kind::Pair {
            let key = element.child(crate::python::Field::Key).map_or(Type::Unknown, |k| self.expr(k));
            let value = element.child(crate::python::Field::Value).map_or(Type::Unknown, |v| self.expr(v));
            self.object_dunders(&key, HASHING, element);
            self.escape(&value, element, Escape::Container);
            Type::dict(key, value)
        } else {
            let ty = self.expr(element);
            self.escape(&ty, element, Escape::Container);
            if node.kind() == Kind::SetComp {
                self.object_dunders(&ty, HASHING, element);
            }
            match node.kind() {
                Kind::ListComp => Type::list(ty),
                Kind::SetComp => Type::Set(Arc::new(ty)),
                _ => Type::iterator(ty),
            }
        }
    }

    /// Python calls those of `names` that the class of an object of the program defines. What comes back; `Never`
    /// where there are none.
    pub(super) fn object_dunders(&mut self, ty: &Type, names: &[&str], node: Node<'a>) -> Type {
        match ty {
            Type::Object(_) | Type::Record(_) => {
                let Some(class) = ty.object_class() else { return Type::Never };
                let program = self.az.project.program();
                let defined = names.iter().filter(|name| program.member(class, name).is_some());
                defined.fold(Type::Never, |made, name| {
                    made.join(self.method_of_class(class, name, ty, &[], node))
                })
            }
            Type::Union(types) => {
                let types = types.clone();
                types.iter().fold(Type::Never, |ty, t| ty.join(self.object_dunders(t, names, node)))
            }
            Type::Instance(instance) => {
                let instance = instance.clone();
                self.instance_dunders(&instance, names, node);
                Type::Never
            }
            _ => Type::Never,
        }
    }

    fn subscript(&mut self, node: Node<'a>, value: Node<'a>, index: Node<'a>) -> Type {
        let owner = self.expr(value);
        let index_type = self.expr(index);
        let is_slice = index.kind() == Kind::Slice;
        match owner.without_none() {
            Type::QuerySet(qs) => {
                let qs = qs.clone();
                if is_slice {
                    self.slice(node, &qs, index)
                } else {
                    self.use_queryset(&qs, node, Use::Index);
                    self.evaluated(&qs, node, "__getitem__");
                    match super::frame::row_type(&qs, super::types::ValueId(0)) {
                        Type::Instance(i) => {
                            let made = self.value_at(node, super::facts::Made::Loaded, None);
                            Type::Instance(super::types::Instance::root(
                                i.model,
                                super::types::Root::Value(made),
                            ))
                        }
                        other => other,
                    }
                }
            }
            Type::List(t) => {
                if is_slice {
                    Type::List(t.clone())
                } else {
                    (**t).clone()
                }
            }
            Type::Tuple(types) => match Expr::of(index) {
                Expr::Int(text) => {
                    text.parse::<usize>().ok().and_then(|i| types.get(i)).cloned().unwrap_or(Type::Unknown)
                }
                _ => Type::Unknown,
            },
            Type::Dict(kv) => {
                let kv = kv.clone();
                let known = crate::python::string_value(index).and_then(|text| kv.2.get(text.as_str()));
                let held = match (&kv.1, known) {
                    (Type::Unknown | Type::Union(_), Some((ty, ..))) => ty.clone(),
                    (Type::Unknown, None) => self.of_context(value, index).unwrap_or(Type::Unknown),
                    (any, _) => any.clone(),
                };
                self.object_dunders(&index_type, HASHING, index);
                held
            }
            Type::Str => Type::Str,
            Type::Bound(form, made) if &**made == super::cleaned::CLEANED => {
                let class = form.object_class();
                let key = crate::python::string_value(index);
                class
                    .zip(key)
                    .and_then(|(class, key)| self.cleaned_value(class, &key))
                    .unwrap_or(Type::Unknown)
            }
            Type::External(path) if &**path == super::requests::CONTEXT => {
                match crate::python::string_value(index).as_deref() {
                    Some("request") => Type::External(Name::from(super::requests::REQUEST)),
                    _ => Type::Unknown,
                }
            }
            // `caches["default"]`
            Type::Def(Def::External(path)) if path == "django.core.cache.caches" => {
                Type::External(super::types::Name::from("django.core.cache.cache"))
            }
            object => {
                self.object_dunders(object, &["__getitem__", "__missing__"], node);
                Type::Unknown
            }
        }
    }

    /// `str(x)`: through `__str__` for an instance, by evaluating a queryset.
    pub fn stringify(&mut self, ty: &Type, node: Node<'a>) {
        match ty {
            Type::Instance(i) => {
                let i = i.clone();
                self.instance_str(&i, node);
            }
            Type::QuerySet(qs) => {
                let qs = qs.clone();
                self.use_queryset(&qs, node, Use::Other);
                self.evaluated(&qs, node, "__repr__");
            }
            Type::List(t) | Type::Set(t) => {
                let t = (**t).clone();
                self.stringify(&t, node);
            }
            Type::Union(_) => self.each_alternative(ty, |frame, t| frame.stringify(t, node)),
            Type::Tuple(types) => {
                for t in types.clone().iter() {
                    self.stringify(t, node);
                }
            }
            Type::Dict(kv) => {
                let kv = kv.clone();
                self.stringify(&kv.0, node);
                self.stringify(&kv.1, node);
            }
            Type::Object(_) => {
                self.object_dunders(ty, &["__str__", "__repr__", "__format__"], node);
            }
            Type::Record(_) => {
                self.object_dunders(ty, &["__str__", "__repr__", "__format__"], node);
                // A data class shows its fields.
                self.escape(ty, node, Escape::External);
            }
            Type::Iterator(_) | Type::Bound(..) => self.escape(ty, node, Escape::External),
            _ => {}
        }
    }
}

/// The type of `left op right` for plain values.
pub(super) fn arithmetic(left: &Type, op: Kind, right: &Type) -> Type {
    let op = match op {
        Kind::AddAssign => Kind::Add,
        Kind::SubAssign => Kind::Sub,
        Kind::MultAssign => Kind::Mult,
        Kind::DivAssign => Kind::Div,
        Kind::FloorDivAssign => Kind::FloorDiv,
        Kind::ModAssign => Kind::Mod,
        Kind::PowAssign => Kind::Pow,
        other => other,
    };
    let integer = |t: &Type| matches!(t, Type::Int | Type::Bool);
    match (left, right) {
        (Type::External(name), _) | (_, Type::External(name)) if is_expression(name) => {
            Type::External(Name::from("django.db.models.expressions.CombinedExpression"))
        }
        (a, b) if integer(a) && integer(b) => match op {
            Kind::Div => Type::Float,
            Kind::Pow => Type::Unknown,
            _ => Type::Int,
        },
        (Type::Float, b) if integer(b) || *b == Type::Float => Type::Float,
        (a, Type::Float) if integer(a) => Type::Float,
        (Type::Str, Type::Str) if op == Kind::Add => Type::Str,
        (Type::Str, _) if op == Kind::Mod || op == Kind::Mult => Type::Str,
        (Type::Column(FieldKind::Decimal), b) if integer(b) => Type::Column(FieldKind::Decimal),
        _ => Type::Unknown,
    }
}

/// Whether an external thing is a query expression.
pub(super) fn is_expression(path: &str) -> bool {
    path.starts_with("django.db.models.") && !path.ends_with(".Prefetch")
}

/// Whether a lambda sees no names but those of its module: it stands in no function, lambda or comprehension.
fn is_outside_functions(lambda: Node<'_>) -> bool {
    lambda.ancestors().all(|n| {
        !matches!(
            n.kind(),
            Kind::FunctionDef
                | Kind::Lambda
                | Kind::ListComp
                | Kind::SetComp
                | Kind::DictComp
                | Kind::GeneratorExp
        )
    })
}
