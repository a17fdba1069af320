//! The life of one model instance inside one function: how its variable came to it, and everything that is done with it
//! afterwards. What is not understood counts as giving the instance away.

use super::flow;
use crate::codemod::Context;
use crate::django::ModelId;
use crate::infer::{Escape, EventKind, Facts, Instance, Path, Root, Type};
use crate::python::{
    Argument, Def, Expr, Field, FunctionId, Kind, Member, Node, Stmt, arguments, string_value,
};

/// An instance as a function names it: a variable, or relations followed from one (`review.book`).
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The function.
    pub scope: Node<'a>,
    /// The variable.
    pub name: &'a str,
    /// The relations.
    pub path: Vec<&'a str>,
    /// What is known of the instance.
    pub instance: Instance,
}

/// Something done with the instance.
#[derive(Clone, Copy, Debug)]
pub struct Mention<'a> {
    /// The expression: the name, the attribute, or the call.
    pub node: Node<'a>,
    /// What.
    pub kind: MentionKind<'a>,
}

/// What is done with an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MentionKind<'a> {
    /// The variable becomes another thing.
    Rebinds,
    /// One of the watched columns is read, here or in what is called.
    Reads,
    /// It goes where it is not followed.
    Escapes,
    /// An attribute is assigned or deleted.
    Writes(&'a str),
    /// Any attribute may be assigned.
    WritesAny,
    /// `save()`
    Saves,
    /// `delete()`
    Deletes,
    /// `refresh_from_db()`
    Refreshes,
    /// `full_clean()`, `clean_fields()`, `clean()`, `validate_constraints()`
    Validates,
    /// A method is called or it is passed on; neither keeps it nor looks at the watched columns.
    Calls,
    /// Another column is read, its truth is tested.
    Harmless,
}

/// Lookups that take an instance for its primary key.
const LOOKUPS: &[&str] = &["filter", "exclude", "get", "aget", "contains", "acontains", "complex_filter"];

impl<'a> Subject<'a> {
    /// The instance that the expression `owner` names; `None` where it is not relations from a name.
    pub fn of(cx: &Context<'a>, scope: Node<'a>, owner: Node<'a>) -> Option<Subject<'a>> {
        let instance = cx.type_of(owner).instance()?.clone();
        let mut path = Vec::new();
        let mut node = owner.peel();
        loop {
            match Expr::of(node) {
                Expr::Name(name) => {
                    path.reverse();
                    return Some(Subject { scope, name, path, instance });
                }
                Expr::Attribute { value, attr, .. } => {
                    cx.type_of(value).instance()?;
                    path.push(attr);
                    node = value.peel();
                }
                _ => return None,
            }
        }
    }

    /// Every mention in its function, in order of the text.
    pub fn mentions(&self, cx: &Context<'a>, columns: &[&str]) -> Vec<Mention<'a>> {
        let names = self.scope.mentions(self.name);
        names.filter_map(|name| self.mention(cx, name, columns)).collect()
    }

    /// Whether `statement` binds the variable whenever it runs.
    pub fn is_bound_by(&self, statement: Node<'a>) -> bool {
        statement.kind() == Kind::ExprStatement
            && statement
                .descendants()
                .any(|n| n.kind() == Kind::Name && n.text() == self.name && n.is_binding() && !is_walrus(n))
    }

    fn mention(&self, cx: &Context<'a>, name: Node<'a>, columns: &[&str]) -> Option<Mention<'a>> {
        let parent = name.parent()?;
        let is_definition = matches!(parent.kind(), Kind::FunctionDef | Kind::ClassDef);
        if is_definition || name.is_label() || self.is_another(name) {
            return None;
        }
        let at = |node, kind| Some(Mention { node, kind });
        if name.enclosing_scope() != Some(self.scope) {
            if name.ancestors().take_while(|n| *n != self.scope).any(|n| n.kind() == Kind::Parameters) {
                return None;
            }
            return at(name, MentionKind::Escapes);
        }
        if name.is_binding() {
            return at(name, MentionKind::Rebinds);
        }
        // The chain of attributes from the name outwards.
        let mut chain = vec![name];
        let mut attributes = Vec::new();
        loop {
            let top = chain.last().copied().unwrap_or(name);
            let Some(outer) = top.with_parens().parent() else { break };
            let Expr::Attribute { value, attr, .. } = Expr::of(outer) else { break };
            if outer.kind() != Kind::Attribute || value.peel() != top {
                break;
            }
            chain.push(outer);
            attributes.push(attr);
        }
        let depth = self.path.len();
        if attributes.len() < depth {
            if attributes == self.path.get(..attributes.len())? {
                let top = *chain.last()?;
                return at(top, self.object(cx, top, columns));
            }
        } else if attributes.get(..depth)? == self.path {
            let object = *chain.get(depth)?;
            let Some(attribute) = attributes.get(depth) else {
                return at(object, self.object(cx, object, columns));
            };
            return self.attribute(cx, *chain.get(depth + 1)?, attribute, columns);
        }
        // Another attribute of what holds it: a method or property may look.
        let common = attributes.iter().zip(&self.path).take_while(|(a, b)| a == b).count();
        let used = *chain.get(common + 1)?;
        let call = call_of(used);
        let seen = call.is_some_and(|call| self.sees(cx, call, columns)) || self.sees(cx, used, columns);
        at(used, if seen { MentionKind::Reads } else { MentionKind::Harmless })
    }

    /// Whether the name is a variable of a comprehension or a nested function rather than this one.
    fn is_another(&self, name: Node<'a>) -> bool {
        let binds = |target: Node<'a>| target.has_name(self.name);
        for outer in name.ancestors().take_while(|n| *n != self.scope) {
            let bound = if outer.kind().is_comprehension() {
                outer
                    .children()
                    .filter(|c| c.kind() == Kind::CompFor)
                    .filter_map(|c| c.child(Field::Left))
                    .any(binds)
            } else if matches!(outer.kind(), Kind::FunctionDef | Kind::Lambda) {
                crate::python::parameters(outer).iter().any(|p| p.name == self.name)
                    || outer.descendants().any(|n| {
                        n.kind() == Kind::Name
                            && n.text() == self.name
                            && n.is_binding()
                            && n.enclosing_scope() == Some(outer)
                    })
            } else {
                false
            };
            if bound {
                return true;
            }
        }
        false
    }

    /// `x.attribute`, not followed by more that matters.
    fn attribute(
        &self,
        cx: &Context<'a>,
        node: Node<'a>,
        attribute: &'a str,
        columns: &[&str],
    ) -> Option<Mention<'a>> {
        let at = |node, kind| Some(Mention { node, kind });
        if is_stored(node) {
            return at(node, MentionKind::Writes(attribute));
        }
        if let Some(call) = call_of(node) {
            return at(call, self.method(cx, call, attribute, columns));
        }
        if columns.contains(&attribute) {
            return at(node, MentionKind::Reads);
        }
        if attribute == "__dict__" {
            return at(node, MentionKind::WritesAny);
        }
        let model = cx.model(self.instance.model);
        let member = cx.project.program().member(model.class, attribute);
        if let Some((_, Member::Function(_, binding))) = member
            && !matches!(binding, crate::python::Binding::Property | crate::python::Binding::CachedProperty)
        {
            // A bound method holds the instance.
            return at(node, MentionKind::Escapes);
        }
        if matches!(attribute, "save" | "delete" | "refresh_from_db" | "full_clean") {
            return at(node, MentionKind::Escapes);
        }
        if let Some(kind) = children(cx, node) {
            return at(node, kind);
        }
        at(node, if self.sees(cx, node, columns) { MentionKind::Reads } else { MentionKind::Harmless })
    }

    fn method(&self, cx: &Context<'a>, call: Node<'a>, name: &str, columns: &[&str]) -> MentionKind<'a> {
        match name {
            "save" | "asave" | "save_base" => return MentionKind::Saves,
            "delete" | "adelete" => return MentionKind::Deletes,
            "refresh_from_db" | "arefresh_from_db" => return MentionKind::Refreshes,
            "full_clean" | "clean_fields" | "clean" | "validate_constraints" | "validate_unique" => {
                return MentionKind::Validates;
            }
            _ => {}
        }
        let model = cx.model(self.instance.model);
        match cx.project.program().member(model.class, name) {
            Some((_, Member::Function(..))) => self.called(cx, call, columns),
            None if name.starts_with("get_") && name.ends_with("_display")
                || name.starts_with("get_next_by_")
                || name.starts_with("get_previous_by_")
                || name == "get_deferred_fields" =>
            {
                MentionKind::Harmless
            }
            _ => MentionKind::Escapes,
        }
    }

    /// The instance (or what holds it) is passed to, or is the receiver of, code of the program.
    fn called(&self, cx: &Context<'a>, call: Node<'a>, columns: &[&str]) -> MentionKind<'a> {
        // A generator, and what `@contextmanager` makes of one, runs on later.
        if is_generator(cx, call) || self.is_kept(cx, call) {
            return MentionKind::Escapes;
        }
        if self.sees(cx, call, columns) {
            return MentionKind::Reads;
        }
        let mut writes = None;
        for event in cx.facts.events().filter(|e| e.at == call.id()) {
            match &event.kind {
                EventKind::InstanceMethod { root, path, name } if self.is_it(*root, path) => match &**name {
                    "save" | "asave" | "save_base" => return MentionKind::Saves,
                    "refresh_from_db" | "arefresh_from_db" => {}
                    _ => return MentionKind::Escapes,
                },
                EventKind::WriteAttribute { root, path, name }
                    if self.is_it(*root, path) && (columns.contains(&&**name) || &**name == "*") =>
                {
                    writes = Some(MentionKind::WritesAny);
                }
                _ => {}
            }
        }
        if let Some(writes) = writes {
            return writes;
        }
        let is_statement = call.with_parens().parent().is_some_and(|p| p.kind() == Kind::ExprStatement);
        if !is_statement && self.may_be(cx.type_of(call)) {
            return MentionKind::Escapes;
        }
        MentionKind::Calls
    }

    /// Whether a value of this type may be, or hold, the instance.
    fn may_be(&self, ty: &Type) -> bool {
        match ty {
            Type::Unknown | Type::Local(_) | Type::Bound(..) | Type::Callable(_) => true,
            Type::Instance(i) => i.model == self.instance.model || self.is_held_by(i.root, &i.path),
            Type::List(t) | Type::Set(t) | Type::Iterator(t) => self.may_be(t),
            Type::Dict(kv) => self.may_be(&kv.0) || self.may_be(&kv.1),
            Type::Tuple(types) | Type::Union(types) => types.iter().any(|t| self.may_be(t)),
            _ => false,
        }
    }

    /// Whether what happens at `node` looks at a watched column of the instance, or gives it away.
    fn sees(&self, cx: &Context<'a>, node: Node<'a>, columns: &[&str]) -> bool {
        cx.facts.events().filter(|e| e.at == node.id()).any(|e| match &e.kind {
            EventKind::ReadAttribute { root, path, name } => {
                self.is_it(*root, path) && columns.contains(&&**name)
            }
            EventKind::InstanceEscapes { root, path, how } => {
                *how != Escape::Return && self.is_held_by(*root, path)
            }
            _ => false,
        })
    }

    /// Whether what is called at `node` puts the instance where it is found later.
    fn is_kept(&self, cx: &Context<'a>, node: Node<'a>) -> bool {
        cx.facts.events().filter(|e| e.at == node.id()).any(|e| {
            matches!(&e.kind, EventKind::InstanceEscapes { root, path, how: Escape::Store | Escape::Container }
                if self.is_held_by(*root, path))
        })
    }

    /// Whether an event is about this instance, as far as can be told.
    fn is_it(&self, root: Root, path: &Path) -> bool {
        let own = &self.instance;
        (root == own.root && *path == own.path) || root == Root::Opaque || own.root == Root::Opaque
    }

    /// Whether whoever has that object also has this instance.
    fn is_held_by(&self, root: Root, path: &Path) -> bool {
        let own = &self.instance;
        (root == own.root && own.path.starts_with(path)) || root == Root::Opaque || own.root == Root::Opaque
    }

    /// The instance, or what holds it, as a value.
    fn object(&self, cx: &Context<'a>, node: Node<'a>, columns: &[&str]) -> MentionKind<'a> {
        let outer = node.with_parens();
        let Some(parent) = outer.parent() else { return MentionKind::Escapes };
        let looks = |at: Node<'a>| {
            if self.sees(cx, at, columns) { MentionKind::Reads } else { MentionKind::Harmless }
        };
        if flow::is_tested(node) {
            return looks(node);
        }
        match parent.kind() {
            Kind::ExprStatement | Kind::Delete => MentionKind::Harmless,
            // `book == other`, `book < other` call what the model defines.
            Kind::Compare => looks(node),
            Kind::Interpolation => looks(node),
            Kind::BinOp if is_formatting(parent) && parent.child(Field::Right) == Some(outer) => looks(node),
            Kind::Tuple => match parent.with_parens().parent() {
                Some(format) if is_formatting(format) && format.child(Field::Right) == Some(parent) => {
                    // The display itself is thrown away.
                    let reads = cx.facts.events().any(|e| {
                        e.at == parent.id()
                            && matches!(&e.kind, EventKind::ReadAttribute { root, path, name }
                                if self.is_it(*root, path) && columns.contains(&&**name))
                    });
                    if reads { MentionKind::Reads } else { MentionKind::Harmless }
                }
                _ => MentionKind::Escapes,
            },
            Kind::Arguments => self.argument(cx, parent, node, columns),
            Kind::KeywordArgument => match parent.parent().filter(|p| p.kind() == Kind::Arguments) {
                Some(list) => self.argument(cx, list, node, columns),
                None => MentionKind::Escapes,
            },
            _ if is_stored(node) => MentionKind::Escapes,
            _ => MentionKind::Escapes,
        }
    }

    /// The instance is an argument of a call.
    fn argument(
        &self,
        cx: &Context<'a>,
        list: Node<'a>,
        node: Node<'a>,
        columns: &[&str],
    ) -> MentionKind<'a> {
        let Some(call) = list.parent() else { return MentionKind::Escapes };
        let Expr::Call { func, .. } = Expr::of(call) else { return MentionKind::Escapes };
        let args = arguments(list);
        let is_statement = call.with_parens().parent().is_some_and(|p| p.kind() == Kind::ExprStatement);
        let looks = || {
            if self.sees(cx, node, columns) { MentionKind::Reads } else { MentionKind::Calls }
        };
        match Expr::of(func) {
            Expr::Attribute { value, attr, .. } => match cx.type_of(value) {
                Type::Manager(_) | Type::QuerySet(_) if LOOKUPS.contains(&attr) => {
                    if self.sees(cx, call, columns) { MentionKind::Reads } else { MentionKind::Harmless }
                }
                Type::Manager(manager)
                    if (is_statement || is_quiet_row(cx, self.scope, call, manager.model))
                        && matches!(attr, "create" | "acreate")
                        && is_unwatched(cx, manager.model) =>
                {
                    MentionKind::Calls
                }
                Type::Instance(_) | Type::Object(_) | Type::Def(Def::Module(_) | Def::Class(_)) => {
                    if self.sees(cx, node, columns) {
                        MentionKind::Escapes
                    } else {
                        self.called(cx, call, columns)
                    }
                }
                Type::Def(Def::External(_)) | Type::External(_) => {
                    let logs = cx.facts.events().any(|e| e.at == call.id() && *e.kind == EventKind::Log);
                    if logs { looks() } else { MentionKind::Escapes }
                }
                _ => MentionKind::Escapes,
            },
            Expr::Name(_) => match cx.type_of(func) {
                Type::Def(Def::Function(_) | Def::Class(_)) | Type::Local(_) => {
                    if self.sees(cx, node, columns) {
                        MentionKind::Escapes
                    } else {
                        self.called(cx, call, columns)
                    }
                }
                Type::Def(Def::External(path)) => self.external(cx, path, &args, call, node, columns),
                _ => MentionKind::Escapes,
            },
            _ => MentionKind::Escapes,
        }
    }

    fn external(
        &self,
        cx: &Context<'a>,
        path: &str,
        args: &[Argument<'a>],
        call: Node<'a>,
        node: Node<'a>,
        columns: &[&str],
    ) -> MentionKind<'a> {
        let seen = |at: Node<'a>| {
            if self.sees(cx, at, columns) { MentionKind::Reads } else { MentionKind::Calls }
        };
        let named = args.get(1).and_then(|a| string_value(a.value));
        match path {
            "builtins.isinstance" | "builtins.type" | "builtins.id" | "builtins.callable" => {
                MentionKind::Harmless
            }
            "builtins.hash" if cx.project.override_of(self.instance.model, "__hash__").is_none() => {
                MentionKind::Harmless
            }
            "builtins.str" | "builtins.repr" | "builtins.format" | "builtins.print" | "builtins.bool" => {
                seen(node)
            }
            "builtins.getattr" | "builtins.hasattr" => match named {
                Some(_) => seen(call),
                None => MentionKind::Escapes,
            },
            "builtins.setattr" | "builtins.delattr" => match args.get(1) {
                Some(arg) if named.as_deref().is_some_and(|n| !columns.contains(&n)) => {
                    // The literal without its quotes, as the text has it.
                    let text = arg.value.descendants().find(|n| n.kind() == Kind::StrContent);
                    text.map_or(MentionKind::WritesAny, |t| MentionKind::Writes(t.text()))
                }
                _ => MentionKind::WritesAny,
            },
            "builtins.vars" => MentionKind::WritesAny,
            "django.shortcuts.redirect" => {
                let seen =
                    cx.project.method(self.instance.model, "get_absolute_url").is_some_and(|function| {
                        looks_at(cx, function, 0, &Type::Instance(self.instance.clone()), columns)
                    });
                if seen { MentionKind::Reads } else { MentionKind::Calls }
            }
            _ => MentionKind::Escapes,
        }
    }
}

/// Whether `function`, given the instance as its `parameter`, looks at one of the columns or passes it on.
pub fn looks_at(
    cx: &Context<'_>,
    function: FunctionId,
    parameter: usize,
    instance: &Type,
    columns: &[&str],
) -> bool {
    let facts = called_with(cx, function, parameter, instance);
    facts.events().any(|e| match &e.kind {
        EventKind::ReadAttribute { root, path, name } => {
            is_parameter(*root, path, parameter) && columns.contains(&&**name)
        }
        EventKind::InstanceEscapes { root, path, .. } => is_parameter(*root, path, parameter),
        _ => false,
    })
}

/// Methods of a related manager that make no instance which knows its owner.
const WITHOUT_ROWS: &[&str] = &[
    "count",
    "acount",
    "exists",
    "aexists",
    "aggregate",
    "aaggregate",
    "update",
    "aupdate",
    "values",
    "values_list",
    "contains",
    "acontains",
    "explain",
    "dates",
    "datetimes",
];

/// What `x.reviews` comes to: every row that is read or made through a reverse foreign key has `x` itself behind its
/// foreign key. `None` where the attribute is no such manager.
fn children<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<MentionKind<'a>> {
    let Type::Manager(manager) = cx.type_of(node) else { return None };
    manager.related.as_ref()?;
    // Rows behind a many-to-many relation do not know where they were read from.
    if manager.is_many_to_many {
        return None;
    }
    let scope = node.enclosing_scope()?;
    let mut node = node;
    for _ in 0..30 {
        let Some(outer) = node.with_parens().parent() else { break };
        let Expr::Attribute { attr, .. } = Expr::of(outer) else { break };
        let Some(call) = call_of(outer) else { break };
        if WITHOUT_ROWS.contains(&attr) {
            return Some(MentionKind::Harmless);
        }
        let is_statement = call.with_parens().parent().is_some_and(|p| p.kind() == Kind::ExprStatement);
        if matches!(attr, "create" | "acreate")
            && (is_statement || is_quiet_row(cx, scope, call, manager.model))
            && is_unwatched(cx, manager.model)
        {
            return Some(MentionKind::Calls);
        }
        node = call;
    }
    Some(MentionKind::Escapes)
}

/// The facts of `function`, given the instance as its `parameter`.
pub fn called_with(cx: &Context<'_>, function: FunctionId, parameter: usize, instance: &Type) -> Facts {
    let info = cx.project.program().function(function);
    let def = cx.project.program().file(info.file).node(info.node);
    let count = crate::python::parameters(def).len();
    let arguments: Vec<Type> =
        (0..count).map(|i| if i == parameter { instance.clone() } else { Type::Unknown }).collect();
    cx.analyzer.called(function, &arguments)
}

/// Whether an event of [`called_with`] is about the parameter itself.
pub fn is_parameter(root: Root, path: &Path, parameter: usize) -> bool {
    path.is_empty() && matches!(root, Root::Value(v) if v.0 as usize == parameter)
}

/// Whether a row that `call` makes goes to a variable of which only columns are read: `reply = Reply.objects.create(...)`,
/// then `reply.pk`. What its foreign keys hold is not looked at through it.
fn is_quiet_row<'a>(cx: &Context<'a>, scope: Node<'a>, call: Node<'a>, model: ModelId) -> bool {
    let Some(statement) = call.statement() else { return false };
    let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(statement) else { return false };
    let [target] = targets.as_slice() else { return false };
    let Expr::Name(name) = Expr::of(*target) else { return false };
    if value.peel() != call {
        return false;
    }
    let info = cx.model(model);
    let is_column = |attr: &str| {
        attr == "pk"
            || info.field(attr).is_some_and(|f| f.relation.is_none() && f.kind.is_plain_column())
            || info.primary_key().is_some_and(|f| f.name == attr)
            || info.field_by_attname(attr).is_some()
    };
    scope.mentions(name).all(|n| {
        let Some(parent) = n.with_parens().parent() else { return false };
        let is_label = match parent.kind() {
            Kind::Attribute => n.field() == Field::Attribute,
            Kind::KeywordArgument => n.field() == Field::Name,
            _ => false,
        };
        is_label
            || n == target.peel()
            || n.enclosing_scope() == Some(scope)
                && !is_stored(parent)
                && matches!(Expr::of(parent), Expr::Attribute { attr, .. } if is_column(attr))
    })
}

/// Whether nothing of the program sees an instance of `model` being made and saved.
fn is_unwatched(cx: &Context<'_>, model: ModelId) -> bool {
    use crate::django::Signal;
    let info = cx.model(model);
    !info.has_unknown_base
        && ["__init__", "save", "__new__"].iter().all(|name| cx.project.override_of(model, name).is_none())
        && [Signal::PreInit, Signal::PostInit, Signal::PreSave, Signal::PostSave]
            .iter()
            .all(|signal| cx.project.receivers(model, *signal).is_empty())
}

/// Whether a call only makes a generator.
fn is_generator<'a>(cx: &Context<'a>, call: Node<'a>) -> bool {
    let Expr::Call { func, .. } = Expr::of(call) else { return false };
    let program = cx.project.program();
    let def = match cx.type_of(func) {
        Type::Def(def) => Some(def.clone()),
        Type::Bound(..) => None,
        _ => program.resolve_expr(cx.file, func.peel().id()),
    };
    match def {
        Some(Def::Function(function)) => program.function(function).is_generator,
        _ => match (Expr::of(func), cx.type_of(call)) {
            (Expr::Attribute { attr, .. }, Type::Iterator(_)) => {
                program.functions_named(attr).iter().any(|f| program.function(*f).is_generator)
            }
            _ => false,
        },
    }
}

/// The call whose function `node` is.
fn call_of(node: Node<'_>) -> Option<Node<'_>> {
    let outer = node.with_parens();
    let call = outer.parent().filter(|p| p.kind() == Kind::Call)?;
    (call.child(Field::Function) == Some(outer)).then_some(call)
}

/// Whether an attribute is the target of an assignment or `del`.
fn is_stored(node: Node<'_>) -> bool {
    let mut node = node.with_parens();
    while let Some(parent) = node.parent() {
        match parent.kind() {
            Kind::PatternList | Kind::TuplePattern | Kind::ListPattern | Kind::SplatPattern => node = parent,
            Kind::Assign | Kind::AugAssign | Kind::For | Kind::CompFor => return node.field() == Field::Left,
            Kind::AsPatternTarget | Kind::Delete => return true,
            Kind::ExprList => node = parent,
            _ => return false,
        }
    }
    false
}

fn is_walrus(node: Node<'_>) -> bool {
    node.parent().is_some_and(|p| p.kind() == Kind::NamedExpr)
}

/// `"..." % x`
fn is_formatting(node: Node<'_>) -> bool {
    matches!(Expr::of(node), Expr::BinOp { left, op: Kind::Mod, .. } if matches!(Expr::of(left), Expr::Str(_)))
}
