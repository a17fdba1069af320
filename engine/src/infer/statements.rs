//! Statements: control flow, assignments, local functions.

use super::env::Env;
use super::facts::{Escape, EventKind, Use};
use super::frame::{Frame, LoopExits};
use super::types::{Dict, Name, Type};
use crate::python::{ClassId, Kind, Node, Stmt, parameters};
use std::sync::Arc;

/// Expressions and statements nested deeper than this are not followed.
const MAX_NESTING: usize = 220;
/// Loops nested deeper than this are evaluated once.
const MAX_LOOPS: u32 = 4;

/// Methods behind the assignment and the deletion of an attribute.
const STORING: &[&str] = &["__setattr__", "__delattr__"];

impl<'a> Frame<'a, '_> {
    pub fn block(&mut self, block: Node<'a>) {
        for statement in block.children() {
            self.statement(statement);
        }
    }

    pub fn statement(&mut self, node: Node<'a>) {
        if self.env.is_none() {
            return;
        }
        if self.nesting > MAX_NESTING {
            self.event(node, EventKind::UnknownCall { name: Name::from("...") });
            return;
        }
        self.nesting += 1;
        self.statement_inner(node);
        self.nesting -= 1;
        // Only what binds changes what a handler sees.
        if node.kind() == Kind::ExprStatement && node.descendants().any(|n| is_assignment(n.kind())) {
            self.may_raise();
        }
    }

    /// An exception may leave the innermost `try` body with the names as they are.
    pub(super) fn may_raise(&mut self) {
        if let Some(exit) = self.tries.pop() {
            let env = self.env.clone();
            let env = self.join_env(exit, env);
            self.tries.push(env);
        }
    }

    pub(super) fn statement_inner(&mut self, node: Node<'a>) {
        match Stmt::of(node) {
            Stmt::Expr(expr) => {
                self.expr(expr);
            }
            Stmt::Assign { targets, value, annotation } => {
                let mut ty = match value {
                    Some(value) => self.expr(value),
                    None => Type::Unknown,
                };
                if let (Type::Unknown, Some(annotation)) = (&ty, annotation) {
                    ty = self.annotation(annotation);
                    ty = super::summary::opaque(&ty);
                }
                if value.is_some() || annotation.is_some() {
                    for target in targets {
                        self.assign(target, ty.clone(), value);
                    }
                }
            }
            Stmt::AugAssign { target, op, value } => self.aug_assign(node, target, op, value),
            Stmt::Return(value) => {
                let ty = match value {
                    Some(value) => {
                        let ty = self.expr(value);
                        self.escape(&ty, value, Escape::Return);
                        ty
                    }
                    None => Type::None,
                };
                self.returned(ty);
                self.env = None;
            }
            Stmt::Raise(parts) => {
                for part in parts {
                    self.expr(part);
                }
                self.event(node, EventKind::Raise);
                self.may_raise();
                self.env = None;
            }
            Stmt::Assert(parts) => {
                for (i, part) in parts.into_iter().enumerate() {
                    if i == 0 {
                        self.test(part);
                        self.event(node, EventKind::Raise);
                        self.narrow(part, true);
                    } else {
                        let ty = self.expr(part);
                        self.stringify(&ty, part);
                    }
                }
            }
            Stmt::Delete(targets) => {
                for target in targets {
                    self.assign(target, Type::Unknown, None);
                }
            }
            Stmt::If { branches, orelse } => self.if_statement(&branches, orelse),
            Stmt::For { target, iter, body, orelse, is_async } => {
                if is_async {
                    self.event(node, EventKind::Suspend);
                }
                let iterated = self.expr(iter);
                let element = self.iterate(&iterated, iter);
                let may_skip = self.may_skip(iter);
                let enter = |frame: &mut Self| {
                    frame.conditional += u32::from(may_skip);
                    frame.assign(target, element.clone(), None);
                };
                self.looped(body, orelse, &iterated, enter, |_| {}, true);
            }
            Stmt::While { test, body, orelse } => {
                self.looped(
                    body,
                    orelse,
                    &Type::Never,
                    |frame| {
                        frame.test(test);
                        frame.narrow(test, true);
                    },
                    |frame| frame.narrow(test, false),
                    !matches!(crate::python::Expr::of(test), crate::python::Expr::True),
                );
            }
            Stmt::Try { body, handlers, orelse, finally } => {
                // What stands behind the first statement is not reached where that one raises.
                let swallows = u32::from(handlers.iter().any(|h| !ends_in_raise(h.body)));
                self.tries.push(self.env.clone());
                let mut statements = body.children().filter(|s| s.kind() != Kind::Comment);
                if let Some(first) = statements.next() {
                    self.statement(first);
                }
                self.conditional += swallows;
                for statement in statements {
                    self.statement(statement);
                }
                let before = self.tries.pop().flatten();
                let after_body = self.env.clone();
                if let Some(orelse) = orelse {
                    self.block(orelse);
                }
                self.conditional -= swallows;
                let mut out = self.env.take();
                let outer = self.conditional;
                let mut may_leave = false;
                for handler in handlers {
                    self.conditional = outer + 1;
                    self.env = self.join_env(before.clone(), after_body.clone());
                    if let Some(class) = handler.class {
                        self.expr(class);
                    }
                    if let Some(name) = handler.name {
                        self.bind(name, Type::External(Name::from("builtins.Exception")));
                    }
                    self.block(handler.body);
                    may_leave |= self.env.is_none() && !ends_in_raise(handler.body);
                    let end = self.env.take();
                    out = self.join_env(out, end);
                }
                self.conditional = outer + u32::from(may_leave);
                self.env = out;
                if let Some(finally) = finally {
                    let was_dead = self.env.is_none();
                    if was_dead {
                        self.env = before;
                    }
                    self.block(finally);
                    if was_dead {
                        self.env = None;
                    }
                }
            }
            Stmt::With { items, body, is_async } => {
                if is_async {
                    self.event(node, EventKind::Suspend);
                }
                for (context, target) in items {
                    let ty = self.expr(context);
                    let entered = self.entered(&ty, context);
                    if let Some(target) = target {
                        self.assign(target, entered, None);
                    }
                }
                self.tries.push(self.env.clone());
                self.block(body);
                let before = self.tries.pop().flatten();
                // A context manager may swallow what the body raises.
                if self.env.is_none() && suppresses(node) {
                    self.env = before;
                }
            }
            Stmt::Match { subject, cases } => {
                self.expr(subject);
                let before = self.env.clone();
                // Without `case _:` it may be that none of them is taken.
                let mut out = before.clone().filter(|_| !cases.iter().any(|case| takes_all(*case)));
                let outer = self.conditional;
                for case in cases {
                    self.conditional = outer + 1;
                    self.env = before.clone();
                    for part in case.children() {
                        match part.kind() {
                            Kind::Block => self.block(part),
                            Kind::CompIf => {
                                if let Some(test) = part.children().next() {
                                    self.test(test);
                                }
                            }
                            _ => {
                                let names: Vec<&str> = part
                                    .descendants()
                                    .filter(|n| n.kind() == Kind::Name)
                                    .map(Node::text)
                                    .collect();
                                for name in names {
                                    if self.locals.contains(name) {
                                        self.bind(name, Type::Unknown);
                                    }
                                }
                            }
                        }
                    }
                    let end = self.env.take();
                    out = self.join_env(out, end);
                }
                self.conditional = outer;
                self.env = out;
            }
            Stmt::FunctionDef { def, decorators } => {
                let decorators: Vec<Type> = decorators.into_iter().map(|d| self.expr(d)).collect();
                if self.scope.kind() == Kind::Module
                    || self.az.project.program().function_at(self.file, def.id()).is_some()
                {
                    return;
                }
                for parameter in parameters(def) {
                    if let Some(default) = parameter.default {
                        self.expr(default);
                    }
                }
                self.define_local(def);
                // A decorator of the project may call what it is given.
                for decorator in decorators {
                    if matches!(decorator, Type::Local(_) | Type::Def(crate::python::Def::Function(_))) {
                        let ty = Type::Local(def.id());
                        let made = super::calls::Arg { name: None, ty, node: def, stars: 0 };
                        self.call_value(&decorator, &[made], def, def);
                    }
                }
            }
            Stmt::ClassDef { def, .. } => {
                let Some(body) = def.child(crate::python::Field::Body) else { return };
                // Names of a class body are not seen by the functions around or below it.
                let saved = self.env.clone();
                self.block(body);
                self.env = saved;
                if let Some(name) = def.child(crate::python::Field::Name)
                    && self.scope.kind() != Kind::Module
                {
                    self.bind(name.text(), Type::Unknown);
                }
            }
            Stmt::Import(import) => {
                if self.scope.kind() != Kind::Module {
                    for (name, def) in self.az.project.program().local_imports(self.file, import.id()) {
                        let ty = self.type_of_def(def);
                        self.bind(&name, ty);
                    }
                }
            }
            Stmt::Global(_) | Stmt::Pass => {}
            Stmt::Break => {
                if let (Some(exits), Some(env)) = (self.loops.last_mut(), self.env.take()) {
                    exits.breaks.push(env);
                }
                self.env = None;
            }
            Stmt::Continue => {
                if let (Some(exits), Some(env)) = (self.loops.last_mut(), self.env.take()) {
                    exits.continues.push(env);
                }
                self.env = None;
            }
            Stmt::Other(other) => {
                if other.has_error()
                    || matches!(other.kind(), Kind::ExecStatement | Kind::Error | Kind::Unknown)
                {
                    self.event(
                        node,
                        EventKind::UnknownCall { name: Name::from("a statement that did not parse") },
                    );
                    // Whatever it binds is not known.
                    for name in other
                        .descendants()
                        .filter(|n| n.kind() == Kind::Name)
                        .map(Node::text)
                        .collect::<Vec<_>>()
                    {
                        if self.lookup(name).is_some() {
                            self.bind(name, Type::Unknown);
                        }
                    }
                }
            }
        }
    }

    pub fn returned(&mut self, ty: Type) {
        let scope = self.scope;
        self.returns = Some(match self.returns.take() {
            Some(before) => self.either(before, ty, scope),
            None => ty,
        });
    }

    pub(super) fn if_statement(&mut self, branches: &[(Node<'a>, Node<'a>)], orelse: Option<Node<'a>>) {
        let mut out: Option<Env> = None;
        let outer = self.conditional;
        let mut may_leave = false;
        for (i, (test, body)) in branches.iter().enumerate() {
            self.conditional = outer + u32::from(i > 0);
            self.test(*test);
            let before = self.env.clone();
            self.narrow(*test, true);
            self.conditional = outer + 1;
            self.block(*body);
            may_leave |= self.env.is_none() && !ends_in_raise(*body);
            let end = self.env.take();
            out = self.join_env(out, end);
            self.env = before;
            self.narrow(*test, false);
        }
        if let Some(orelse) = orelse {
            self.block(orelse);
            may_leave |= self.env.is_none() && !ends_in_raise(orelse);
        }
        // What follows is not reached on some path.
        self.conditional = outer + u32::from(may_leave);
        let end = self.env.take();
        self.env = self.join_env(out, end);
    }

    pub(super) fn looped(
        &mut self,
        body: Node<'a>,
        orelse: Option<Node<'a>>,
        iterated: &Type,
        mut enter: impl FnMut(&mut Self),
        mut leave: impl FnMut(&mut Self),
        may_end: bool,
    ) {
        let entry = self.env.clone();
        let mut head = entry.clone();
        self.loop_depth += 1;
        if self.loop_depth <= MAX_LOOPS {
            self.dry += 1;
            self.loops.push(LoopExits::default());
            let outer = self.conditional;
            enter(self);
            self.block(body);
            self.conditional = outer;
            let exits = self.loops.pop().unwrap_or_default();
            let mut end = self.env.take();
            for env in exits.continues {
                end = self.join_env(end, Some(env));
            }
            head = self.join_env(head, end);
            self.dry -= 1;
        }
        self.env = head;
        self.loops.push(LoopExits::default());
        self.each(iterated, |frame| {
            enter(frame);
            frame.block(body);
        });
        let exits = self.loops.pop().unwrap_or_default();
        self.loop_depth -= 1;
        let mut end = self.env.take();
        for env in exits.continues {
            end = self.join_env(end, Some(env));
        }
        self.env = if may_end { self.join_env(entry, end) } else { None };
        if may_end {
            leave(self);
        }
        if let Some(orelse) = orelse {
            self.block(orelse);
        }
        let mut out = self.env.take();
        for env in exits.breaks {
            out = self.join_env(out, Some(env));
        }
        self.env = out;
    }

    pub(super) fn aug_assign(&mut self, node: Node<'a>, target: Node<'a>, op: Kind, value: Node<'a>) {
        let right = self.expr(value);
        let left = self.expr(target);
        if let (Type::List(element), Kind::AddAssign) = (&left, op) {
            let added = self.iterate(&right, value);
            let ty = Type::list(self.either((**element).clone(), added, node));
            self.assign(target, ty, None);
            return;
        }
        if let (Type::QuerySet(a), Type::QuerySet(b)) = (&left, &right)
            && a.model == b.model
            && matches!(op, Kind::BitOrAssign | Kind::BitAndAssign)
        {
            let ty = self.combine(node, a.clone(), b.clone());
            self.assign(target, ty, None);
            return;
        }
        if let (Type::Dict(a), Type::Dict(b), Kind::BitOrAssign) = (&left, &right, op) {
            self.assign(target, merged(a, b), None);
            return;
        }
        for ty in [&left, &right] {
            if let Type::QuerySet(qs) = ty {
                let qs = qs.clone();
                self.use_queryset(&qs, node, Use::Other);
            }
        }
        let made = self.object_dunders(&left, super::expr::BINARY, node);
        let ty = if made == Type::Never { super::expr::arithmetic(&left, op, &right) } else { made };
        self.assign(target, ty, None);
    }

    /// Bind or store `ty` in `target`.
    pub fn assign(&mut self, target: Node<'a>, ty: Type, value: Option<Node<'a>>) {
        use crate::python::Expr;
        match Expr::of(target) {
            Expr::Name(name) => {
                if self.volatile.contains(name) {
                    self.escape(&ty, target, Escape::Store);
                } else {
                    self.bind(name, ty);
                }
            }
            Expr::Tuple(node) | Expr::List(node) => {
                let targets: Vec<Node<'a>> = node.children().collect();
                let starred = targets.iter().any(|t| matches!(Expr::of(*t), Expr::Starred(_)));
                match &ty {
                    Type::Tuple(types) if types.len() == targets.len() && !starred => {
                        let types = types.clone();
                        for (target, ty) in targets.into_iter().zip(types.iter()) {
                            self.assign(target, ty.clone(), None);
                        }
                    }
                    _ => {
                        let element = match value {
                            Some(value) => self.iterate(&ty, value),
                            None => self.element(&ty, target),
                        };
                        for target in targets {
                            let ty = match Expr::of(target) {
                                Expr::Starred(_) => Type::list(element.clone()),
                                _ => element.clone(),
                            };
                            self.assign(target, ty, None);
                        }
                    }
                }
            }
            Expr::Starred(inner) => self.assign(inner, ty, None),
            Expr::Attribute { value: owner, attr, .. } => {
                let owner_type = self.expr(owner);
                match owner_type.without_none() {
                    Type::Instance(i) => {
                        let (root, path) = (i.root, i.path.clone());
                        let class = self.az.project.model(i.model).class;
                        self.event(target, EventKind::WriteAttribute { root, path, name: Name::from(attr) });
                        self.escape(&ty, target, Escape::Store);
                        self.object_dunders(owner_type.without_none(), STORING, target);
                        self.set_property(class, owner_type.without_none(), attr, target);
                    }
                    other => {
                        self.escape(&ty, target, Escape::Store);
                        self.object_dunders(other, STORING, target);
                        if let Some(class) = other.object_class() {
                            self.set_property(class, other, attr, target);
                            self.set_descriptor(class, attr, target);
                        }
                    }
                }
                if let (Expr::Name(name), Some(env)) = (Expr::of(owner), &mut self.env) {
                    let attribute = format!("{name}.{attr}");
                    env.forget_attributes(&attribute);
                    env.insert(&attribute, ty);
                    self.has_overrides = true;
                }
            }
            Expr::Subscript { value: owner, index, .. } => {
                let owner_type = self.expr(owner);
                let key = self.expr(index);
                self.escape(&ty, target, Escape::Container);
                self.object_dunders(&owner_type, &["__setitem__", "__delitem__"], target);
                self.object_dunders(&key, super::expr::HASHING, index);
                if let (Expr::Name(name), Type::Dict(kv)) = (Expr::of(owner), &owner_type) {
                    let mut known = kv.2.clone();
                    match (crate::python::string_value(index), value) {
                        (Some(text), Some(value)) => {
                            known.insert(Name::from(text.as_str()), (ty.clone(), self.file, value.id()));
                        }
                        (Some(text), None) => {
                            known.remove(text.as_str());
                        }
                        // Any key.
                        (None, _) => known.clear(),
                    }
                    let value = self.either(kv.1.clone(), ty, target);
                    let joined = super::types::Dict(self.either(kv.0.clone(), key, target), value, known);
                    let joined = Type::Dict(Arc::new(joined));
                    self.bind(name, joined);
                }
            }
            _ => self.escape(&ty, target, Escape::Store),
        }
    }

    /// The descriptor in a class is told where the attribute of an object is assigned.
    pub(super) fn set_descriptor(&mut self, class: ClassId, name: &str, node: Node<'a>) {
        let Some((owner, crate::python::Member::Value(value))) =
            self.az.project.program().member(class, name)
        else {
            return;
        };
        let (owner, value) = (owner, *value);
        let ty = self.class_value(owner, value, node);
        self.object_dunders(&ty, &["__set__", "__delete__"], node);
    }

    /// The setter of a property runs where the attribute of an object is assigned.
    pub(super) fn set_property(
        &mut self,
        class: crate::python::ClassId,
        owner: &Type,
        name: &str,
        node: Node<'a>,
    ) {
        let program = self.az.project.program();
        let mut setters = Vec::new();
        for class in &program.class(class).mro {
            let info = program.class(*class);
            if !info.members.contains_key(name) {
                continue;
            }
            let decorator = format!("{name}.setter");
            let class = program.file(info.file).node(info.node);
            for outer in class.descendants().filter(|n| n.kind() == Kind::DecoratedDef) {
                let is_setter = outer.children().any(|c| {
                    c.kind() == Kind::Decorator && c.text().trim_start_matches('@').trim() == decorator
                });
                let def = outer.children().find(|c| c.kind() == Kind::FunctionDef).filter(|_| is_setter);
                setters.extend(def.and_then(|d| program.function_at(info.file, d.id())));
            }
        }
        for function in setters {
            self.call_function(function, Some(owner.clone()), &[], node);
        }
    }

    pub(super) fn define_local(&mut self, def: Node<'a>) {
        if let Some(name) = def.child(crate::python::Field::Name) {
            self.bind(name.text(), Type::Local(def.id()));
        }
        self.defer_local(def);
    }

    /// A local function or lambda is made: its body is looked at when it is called, or else at the end.
    pub fn defer_local(&mut self, def: Node<'a>) {
        // Defaults are evaluated here, and the function keeps them.
        for default in parameters(def).iter().filter_map(|p| p.default) {
            let ty = self.expr(default);
            self.escape(&ty, default, Escape::Store);
        }
        if self.dry == 0
            && let Some(env) = &self.env
            && !self.pending.iter().any(|(other, _)| *other == def)
        {
            self.pending.push((def, env.clone()));
        }
    }

    /// Evaluate a local function's or lambda's body with these arguments; what happens there is recorded at
    /// `at`, the call, if given. Returns what it returns.
    pub fn call_local(&mut self, def: Node<'a>, arguments: &[Type], at: Option<Node<'a>>) -> Type {
        if self.local_calls.contains(&def.id()) || self.local_calls.len() > 6 {
            return Type::Unknown;
        }
        if self.dry == 0 {
            self.pending.retain(|(other, _)| *other != def);
        }
        let saved_env = self.env.clone();
        let saved_returns = self.returns.take();
        let saved_at = self.at_override;
        let saved_loops = std::mem::take(&mut self.loops);
        let saved_tries = std::mem::take(&mut self.tries);
        let saved_conditional = self.conditional;
        if at.is_some() && saved_at.is_none() {
            self.at_override = at;
        }
        self.local_calls.push(def.id());
        for (i, parameter) in parameters(def).iter().enumerate() {
            let mut ty = arguments.get(i).cloned().unwrap_or(Type::Unknown);
            if let (Type::Unknown, Some(annotation)) = (&ty, parameter.annotation) {
                ty = super::summary::opaque(&self.annotation(annotation));
            }
            self.bind(parameter.name, ty);
        }
        let result = if def.kind() == Kind::Lambda {
            match def.child(crate::python::Field::Body) {
                Some(body) => self.expr(body),
                None => Type::Unknown,
            }
        } else {
            if let Some(body) = def.child(crate::python::Field::Body) {
                self.block(body);
            }
            self.returns.take().unwrap_or(Type::None)
        };
        self.local_calls.pop();
        self.at_override = saved_at;
        self.returns = saved_returns;
        self.loops = saved_loops;
        self.tries = saved_tries;
        self.conditional = saved_conditional;
        self.env = saved_env;
        // A nested function that rebinds outer names makes them unknown.
        if def.kind() == Kind::FunctionDef {
            for name in def.descendants().filter(|n| n.kind() == Kind::Nonlocal).flat_map(Node::children) {
                self.bind(name.text(), Type::Unknown);
            }
        }
        result
    }
}

/// `a | b`: what both hold of a key is that of the second.
pub(super) fn merged(a: &Dict, b: &Dict) -> Type {
    let mut known = a.2.clone();
    known.extend(b.2.clone());
    Type::Dict(Arc::new(Dict(Type::Unknown, Type::Unknown, known)))
}

/// `case _:`, which is taken whatever the subject is.
fn takes_all(case: Node<'_>) -> bool {
    let head = case.text().trim_start_matches("case").trim_start();
    head.strip_prefix('_').is_some_and(|rest| rest.trim_start().starts_with(':'))
}

/// Whether a block ends with `raise`: what follows runs unless there is an exception.
fn ends_in_raise(block: Node<'_>) -> bool {
    block.children().last().is_some_and(|s| s.kind() == Kind::Raise)
}

fn is_assignment(kind: Kind) -> bool {
    matches!(kind, Kind::Assign | Kind::AugAssign | Kind::NamedExpr)
}

/// Whether a with statement may swallow exceptions: `contextlib.suppress` or anything that is not known.
fn suppresses(with: Node<'_>) -> bool {
    with.child_of_kind(Kind::WithClause).is_some_and(|c| !c.text().contains("atomic"))
}
