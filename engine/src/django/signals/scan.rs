//! Registrations that the code of the program makes: `connect()`, `@receiver`, and what packages call `register()`.

use super::super::values::{self, Call, Values};
use super::packages::{self, Registry};
use super::{Found, InFile, Sender, Signal};
use crate::python::{ClassId, Def, Expr, Field, FunctionId, Kind, Member, Node, Program, Stmt, string_value};
use crate::text::{FileId, Site};

/// What `receiver` is called.
const RECEIVER: &str = "django.dispatch.receiver";

pub(super) struct Scan<'a> {
    pub program: &'a Program,
    pub values: Values<'a>,
}

impl<'a> Scan<'a> {
    pub fn file(&self, id: FileId) -> InFile {
        let file = self.program.file(id);
        let mut out = InFile::default();
        for node in file.root().descendants() {
            match node.kind() {
                Kind::Name => self.escaping(id, node, &mut out.found),
                Kind::Attribute => {
                    self.escaping(id, node, &mut out.found);
                    out.connects_unknown |= self.connects_unknown(id, node);
                }
                Kind::Call => self.call(id, node, &mut out.found),
                Kind::DecoratedDef => self.decorated(id, node, &mut out.found),
                Kind::Str => out.connects_unknown |= string_value(node).is_some_and(|s| s == "connect"),
                _ => {}
            }
        }
        out
    }

    /// `x.connect`, where `x` may be a signal that was handed on: it is neither a name of the module that means
    /// something else, nor made by a call of a library in the same function, nor `super()`.
    fn connects_unknown(&self, file: FileId, node: Node<'a>) -> bool {
        let Expr::Attribute { value, attr: "connect", .. } = Expr::of(node) else { return false };
        if !self.signals(file, value).is_empty() {
            // A `connect` that is kept may be called anywhere.
            return !is_called(node);
        }
        match self.resolve(file, value) {
            Some(Def::Variable { file, value: Some(made) }) => {
                let made = self.program.file(file).node(made);
                let is_made = |func: Node<'_>| self.program.resolve_expr(file, func.peel().id()).is_some();
                return !matches!(Expr::of(made), Expr::Call { func, .. } if is_made(func));
            }
            Some(Def::Variable { .. }) => return true,
            Some(_) => return false,
            None => {}
        }
        let of_library = |made: Node<'a>| match Expr::of(made) {
            Expr::Call { func, .. } => matches!(self.resolve(file, func), Some(Def::External(_))),
            Expr::None => true,
            _ => false,
        };
        match Expr::of(value) {
            Expr::Call { func, .. } => func.text() != "super",
            Expr::Name(name) => {
                let Some(function) = node.enclosing_function() else { return true };
                let names = function.mentions(name);
                let bound: Vec<Node<'a>> = names.filter(|n| n.is_binding()).collect();
                let is_made = |n: &Node<'a>| {
                    n.parent()
                        .filter(|p| p.kind() == Kind::Assign && n.field() == Field::Left)
                        .and_then(|p| p.child(Field::Right))
                        .is_some_and(of_library)
                };
                bound.is_empty() || !bound.iter().all(is_made)
            }
            _ => true,
        }
    }

    fn decorated(&self, file: FileId, node: Node<'a>, out: &mut Vec<Found>) {
        match Stmt::of(node) {
            Stmt::FunctionDef { def, decorators } => {
                let name = def.child(Field::Name).map_or("", Node::text);
                for decorator in decorators {
                    let Some(call) = Call::of(decorator) else { continue };
                    let is_receiver = match self.resolve(file, call.func) {
                        Some(Def::External(path)) => path == "django.dispatch.receiver",
                        Some(_) => false,
                        None => call.func.text().ends_with("receiver"),
                    };
                    if !is_receiver {
                        continue;
                    }
                    let Some((signals, sender)) = self.received(file, &call) else { continue };
                    let function = self.program.function_at(file, def.id());
                    let site = Site { file, span: decorator.span() };
                    push(out, &signals, &sender, name, site, function);
                }
            }
            Stmt::ClassDef { def, decorators } => {
                for decorator in decorators {
                    let call = Call::of(decorator);
                    let func = call.as_ref().map_or(decorator, |c| c.func);
                    let Some(path) = self.path(file, func) else { continue };
                    let site = Site { file, span: decorator.span() };
                    let Some(class) = self.program.class_at(file, def.id()) else { continue };
                    if let Some(registry) = packages::registry(&path) {
                        let sender = self.registered(file, registry, call.as_ref(), class);
                        push(out, registry.signals, &sender, registry.name, site, None);
                    } else if path == packages::ADMIN_DECORATOR
                        && let Some(registry) = packages::admin(self.program, class)
                    {
                        for model in call.iter().flat_map(|c| c.positional.iter()) {
                            let sender = self.sender(file, Some(*model), false);
                            push(out, registry.signals, &sender, registry.name, site, None);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn call(&self, file: FileId, node: Node<'a>, out: &mut Vec<Found>) {
        let Expr::Call { func, .. } = Expr::of(node) else { return };
        let site = Site { file, span: node.span() };
        if let Some(path) = self.path(file, func)
            && self.library(file, node, &path, out)
        {
            return;
        }
        let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return };
        match attr {
            "connect" => {
                let signals = self.signals(file, value);
                if signals.is_empty() {
                    return;
                }
                let Some(call) = Call::of(node) else { return };
                let receiver = call.argument("receiver", 0);
                let name = receiver.map_or("", Node::text);
                let resolved = receiver.and_then(|r| self.resolve(file, r));
                let function = match &resolved {
                    Some(Def::Function(f)) => Some(*f),
                    _ => None,
                };
                let sender = self.sender(file, call.argument("sender", 1), call.is_open);
                let first = out.len();
                push(out, &signals, &sender, name, site, function);
                let is_opaque = function.is_none() && !matches!(resolved, Some(Def::External(_)));
                out.iter_mut().skip(first).for_each(|found| found.is_opaque = is_opaque);
            }
            // `post_save.receivers.append(...)`
            "append" | "extend" | "insert" => {
                if let Expr::Attribute { value: signal, attr: "receivers", .. } = Expr::of(value) {
                    let first = out.len();
                    push(out, &self.signals(file, signal), &Sender::Any, signal.text(), site, None);
                    out.iter_mut().skip(first).for_each(|found| found.is_opaque = true);
                }
            }
            _ => {}
        }
    }

    /// A call of something outside the program; whether it is one that registers.
    fn library(&self, file: FileId, node: Node<'a>, path: &str, out: &mut Vec<Found>) -> bool {
        let Some(call) = Call::of(node) else { return false };
        let first = out.len();
        let mut add = |registry: &Registry, model: Option<Node<'a>>| {
            let sender = self.sender(file, model, false);
            push(out, registry.signals, &sender, registry.name, Site { file, span: node.span() }, None);
        };
        // As a decorator it is seen with what it decorates.
        if node.with_parens().parent().is_some_and(|p| p.kind() == Kind::Decorator) {
            return path == RECEIVER || packages::registry(path).is_some();
        }
        if path == RECEIVER {
            if let Some((signals, sender)) = self.received(file, &call) {
                push(out, &signals, &sender, "receiver()", Site { file, span: node.span() }, None);
                out.iter_mut().skip(first).for_each(|found| found.is_opaque = true);
            }
        } else if path == packages::ADMIN_REGISTER {
            let admin = call.argument("admin_class", 1).and_then(|a| self.resolve(file, a));
            if let Some(Def::Class(admin)) = admin
                && let Some(registry) = packages::admin(self.program, admin)
            {
                add(registry, call.argument("model_or_iterable", 0));
            }
        } else if let Some(registry) = packages::registry(path) {
            // Without a model it makes a decorator.
            if let Some(model) = call.argument("model", 0) {
                add(registry, Some(model));
            }
        } else {
            return false;
        }
        true
    }

    /// Whom a registered class watches: itself, or the model that it names (`class Django: model = Book`).
    fn registered(
        &self,
        file: FileId,
        registry: &Registry,
        call: Option<&Call<'a>>,
        class: ClassId,
    ) -> Sender {
        if let Some(model) = call.and_then(|c| c.argument("model", 0)) {
            return self.sender(file, Some(model), false);
        }
        let Some(inner) = registry.inner else { return Sender::Class(class) };
        let model = self.program.member(class, inner).and_then(|(_, member)| match member {
            Member::Class(inner) => self.program.member(*inner, "model"),
            _ => None,
        });
        match model {
            Some((owner, Member::Value(value))) => {
                let file = self.program.class(owner).file;
                self.sender(file, Some(self.values.node(file, *value)), false)
            }
            _ => Sender::Any,
        }
    }

    /// The signals and the sender of `receiver(...)`.
    fn received(&self, file: FileId, call: &Call<'a>) -> Option<(Vec<Signal>, Sender)> {
        let first = call.argument("signal", 0)?;
        let signals = match Expr::of(first) {
            Expr::List(list) | Expr::Tuple(list) | Expr::Set(list) => {
                list.children().flat_map(|s| self.signals(file, s)).collect()
            }
            _ => self.signals(file, first),
        };
        Some((signals, self.sender(file, call.keyword("sender"), call.is_open)))
    }

    /// The dotted path of a class or function outside the program, or of the engine's own knowledge of one.
    fn path(&self, file: FileId, node: Node<'a>) -> Option<String> {
        packages::known_path(self.program, &self.resolve(file, node)?)
    }

    /// A signal that is kept or handed on as a value (`SIGNALS = {"saved": post_save}`, `Bus(post_save)`) may get
    /// receivers through whatever has it.
    fn escaping(&self, file: FileId, node: Node<'a>, out: &mut Vec<Found>) {
        let name = match Expr::of(node) {
            Expr::Name(name) => name,
            Expr::Attribute { attr, .. } => attr,
            _ => return,
        };
        if Signal::named(name).is_none() {
            return;
        }
        let is_signal = matches!(self.resolve(file, node),
            Some(Def::External(path)) if path.starts_with("django.db.models.signals."));
        let Some(signal) = Signal::named(name).filter(|_| is_signal && !is_understood(node)) else { return };
        let first = out.len();
        push(out, &[signal], &Sender::Any, node.text(), Site { file, span: node.span() }, None);
        out.iter_mut().skip(first).for_each(|found| found.escapes = true);
    }

    /// The model signals that an expression stands for: one, or those that a loop goes over.
    fn signals(&self, file: FileId, node: Node<'a>) -> Vec<Signal> {
        if let Some(signal) = self.signal(file, node) {
            return vec![signal];
        }
        if self.is_looked_up(file, node) {
            return vec![
                Signal::PreSave,
                Signal::PostSave,
                Signal::PreDelete,
                Signal::PostDelete,
                Signal::M2mChanged,
            ];
        }
        let Expr::Name(name) = Expr::of(node) else { return Vec::new() };
        for ancestor in node.ancestors() {
            if let Stmt::For { target, iter, .. } = Stmt::of(ancestor)
                && target.has_name(name)
            {
                return iter
                    .descendants()
                    .filter(|n| matches!(n.kind(), Kind::Name | Kind::Attribute))
                    .filter(|n| n.parent().is_none_or(|p| p.kind() != Kind::Attribute))
                    .filter_map(|n| self.signal(file, n))
                    .collect();
            }
        }
        Vec::new()
    }

    /// `getattr(signals, name)`, or a variable of the function that holds it: any of them.
    fn is_looked_up(&self, file: FileId, node: Node<'a>) -> bool {
        if let Expr::Call { func, .. } = Expr::of(node) {
            return matches!(Expr::of(func), Expr::Name("getattr"))
                && Call::of(node).and_then(|call| call.argument("object", 0)).is_some_and(|module| {
                    matches!(self.resolve(file, module),
                        Some(Def::External(path)) if path == "django.db.models.signals")
                });
        }
        let Expr::Name(name) = Expr::of(node) else { return false };
        let Some(function) = node.ancestors().find(|a| a.kind() == Kind::FunctionDef) else { return false };
        function.descendants().filter(|n| n.kind() == Kind::ExprStatement).any(|n| {
            matches!(Stmt::of(n), Stmt::Assign { targets, value: Some(value), .. }
                if targets.iter().any(|t| t.text() == name)
                    && value.peel().kind() == Kind::Call
                    && self.is_looked_up(file, value.peel()))
        })
    }

    fn signal(&self, file: FileId, node: Node<'a>) -> Option<Signal> {
        let name = match Expr::of(node) {
            Expr::Name(name) => name,
            Expr::Attribute { attr, .. } => attr,
            _ => return None,
        };
        match self.resolve(file, node) {
            Some(Def::External(path)) => Signal::named(path.strip_prefix("django.db.models.signals.")?),
            // Two ways to import one name leave a variable; the name itself is telling enough.
            Some(Def::Variable { .. }) | None => Signal::named(name),
            Some(_) => None,
        }
    }

    fn resolve(&self, file: FileId, node: Node<'a>) -> Option<Def> {
        values::resolve_here(self.program, file, node)
    }

    fn sender(&self, file: FileId, node: Option<Node<'a>>, is_open: bool) -> Sender {
        let Some(node) = node.filter(|_| !is_open || node.is_some()) else { return Sender::Any };
        if let Some(label) = self.values.string(file, node) {
            return Sender::Label(label);
        }
        if let Some(call) = Call::of(node) {
            let name = call.func.text().rsplit('.').next().unwrap_or("");
            if name == "get_user_model" {
                return Sender::Label(self.values.settings.auth_user_model.clone());
            }
            if name == "get_model" {
                let parts: Vec<_> =
                    call.positional.iter().filter_map(|a| self.values.string(file, *a)).collect();
                if parts.len() == 2 || parts.iter().any(|p| p.contains('.')) {
                    return Sender::Label(parts.join("."));
                }
            }
            return Sender::Any;
        }
        if let Expr::Attribute { value, attr: "through", .. } = Expr::of(node)
            && let Expr::Attribute { value: model, attr, .. } = Expr::of(value)
        {
            return match self.resolve(file, model) {
                Some(Def::Class(class)) => Sender::Through(class, attr.to_owned()),
                _ => Sender::Any,
            };
        }
        match self.resolve(file, node) {
            Some(Def::Class(class)) => Sender::Class(class),
            Some(Def::Variable { file, value: Some(value) }) => {
                let inner = self.values.node(file, value);
                let is_through = matches!(Expr::of(inner), Expr::Attribute { attr: "through", .. });
                if matches!(Expr::of(inner), Expr::Call { .. }) || is_through {
                    self.sender(file, Some(inner), false)
                } else {
                    Sender::Any
                }
            }
            // `sender=settings.AUTH_USER_MODEL` is a string; another thing from outside is not one of ours.
            _ => Sender::Any,
        }
    }
}

/// Whether a signal stands where its use is plain: a method of it is called, it is given to `receiver()` or to a
/// helper that silences it, a loop goes over it, it is compared, imported or bound.
fn is_understood(node: Node<'_>) -> bool {
    let mut child = node.with_parens();
    for parent in node.ancestors() {
        match parent.kind() {
            // `signals.post_save`: the attribute itself is looked at.
            Kind::Attribute => {
                if child.field() == Field::Attribute {
                    return true;
                }
                // `listen = post_save.connect`
                return match Expr::of(parent) {
                    Expr::Attribute { attr: "connect", .. } => is_called(parent),
                    Expr::Attribute { attr, .. } => attr != "receivers",
                    _ => false,
                };
            }
            Kind::Import | Kind::ImportFrom | Kind::Compare | Kind::Parameters => {
                return true;
            }
            Kind::KeywordArgument if child.field() == Field::Name => return true,
            Kind::For => return child.field() != Field::Body,
            Kind::Call => {
                let Expr::Call { func, .. } = Expr::of(parent) else { return false };
                let name = func.text().rsplit('.').next().unwrap_or("");
                return matches!(name, "receiver" | "mute_signals");
            }
            kind if kind.is_statement() => return false,
            _ => child = parent.with_parens(),
        }
    }
    false
}

/// `post_save.connect(function)`
fn is_called(func: Node<'_>) -> bool {
    let func = func.with_parens();
    func.parent().is_some_and(|p| p.kind() == Kind::Call && p.child(Field::Function) == Some(func))
}

fn push(
    out: &mut Vec<Found>,
    signals: &[Signal],
    sender: &Sender,
    name: &str,
    site: Site,
    function: Option<FunctionId>,
) {
    for &signal in signals {
        out.push(Found {
            signal,
            sender: sender.clone(),
            name: name.to_owned(),
            site,
            function,
            is_opaque: false,
            escapes: false,
        });
    }
}
