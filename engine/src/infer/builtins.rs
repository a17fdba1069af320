//! Functions outside the program whose results matter: Python's builtins, Django's shortcuts.

use super::calls::Arg;
use super::drawn::Drawn;
use super::facts::{Escape, EventKind, Made, Use};
use super::frame::Frame;
use super::prefetched::PREFETCH;
use super::types::{Instance, Manager, Name, QuerySet, QuerySetClass, Root, Type};
use crate::python::{Def, Node, string_value};
use std::sync::Arc;

/// What a migration's `RunPython` code gets first.
pub(super) const STATE_APPS: &str = "django.db.migrations.state.StateApps";

/// Methods that builtins call on what they are given.
const CONVERTING: &[&str] = &[
    "__int__",
    "__float__",
    "__complex__",
    "__index__",
    "__abs__",
    "__round__",
    "__hash__",
    "__bytes__",
    "__bool__",
    "__len__",
    "__iter__",
    "__next__",
    "__reversed__",
    "__str__",
    "__repr__",
    "__format__",
    "__dir__",
];

/// Iterators over what they are given, in that order: they show how far it has come, or leave some of it out.
const PASSING_ON: &[&str] = &[
    "tqdm.tqdm",
    "tqdm.auto.tqdm",
    "tqdm.std.tqdm",
    "tqdm.asyncio.tqdm",
    "tqdm.notebook.tqdm",
    "tqdm.autonotebook.tqdm",
    "rich.progress.track",
    "alive_progress.alive_it",
    "progressbar.progressbar",
    "click.progressbar",
    "more_itertools.peekable",
    "more_itertools.seekable",
];

/// Iterators over lists of so many elements of what they are given.
const CHUNKING: &[&str] = &[
    "itertools.batched",
    "itertools.pairwise",
    "more_itertools.batched",
    "more_itertools.chunked",
    "more_itertools.chunked_even",
    "more_itertools.divide",
    "more_itertools.grouper",
    "more_itertools.ichunked",
    "more_itertools.sliced",
    "more_itertools.windowed",
    "toolz.partition_all",
    "toolz.itertoolz.partition_all",
    "funcy.chunks",
];

impl<'a> Frame<'a, '_> {
    pub(super) fn call_external(&mut self, path: &str, args: &[Arg<'a>], node: Node<'a>) -> Type {
        let first = args.first();
        let looks_only =
            ["isinstance", "issubclass", "hasattr", "getattr", "setattr", "type", "id", "callable"];
        if path.strip_prefix("builtins.").is_some_and(|name| !looks_only.contains(&name)) {
            for arg in args.iter().filter(|a| a.ty.without_none().object_class().is_some()) {
                self.object_dunders(&arg.ty, CONVERTING, arg.node);
            }
        }
        match path.strip_prefix("builtins.").unwrap_or(path) {
            "len" => {
                if let Some(arg) = first
                    && let Type::QuerySet(qs) = &arg.ty
                {
                    self.use_queryset(qs, arg.node, Use::Len);
                    self.evaluated(&qs.clone(), arg.node, "__len__");
                } else if let Some(arg) = first {
                    self.object_dunders(&arg.ty, &["__len__"], arg.node);
                }
                Type::Int
            }
            "list" => self.collected(first, Type::list),
            "set" | "frozenset" => self.collected(first, |t| Type::Set(Arc::new(t))),
            "tuple" => self.collected(first, Type::list),
            // Called until it gives what ends it.
            "iter" if args.len() == 2 => {
                let element = first.map_or(Type::Unknown, |function| self.called_with(function, &[]));
                Type::iterator(element)
            }
            "iter" | "reversed" => self.collected(first, Type::iterator),
            path if PASSING_ON.contains(&path) => self.collected(first, Type::iterator),
            path if CHUNKING.contains(&path) => {
                self.collected(first, |element| Type::iterator(Type::list(element)))
            }
            "itertools.chain.from_iterable" => {
                let each = first.map_or(Type::Unknown, |a| self.iterate(&a.ty.clone(), a.node));
                match first {
                    Some(arg) => Type::iterator(self.iterate(&each, arg.node)),
                    None => Type::Unknown,
                }
            }
            "sorted" | "heapq.nlargest" | "heapq.nsmallest" => {
                let source = if path.starts_with("heapq") { args.get(1) } else { first };
                let ty = self.collected(source, Type::list);
                self.call_key(args, &ty);
                self.compared(args, &ty, node);
                ty
            }
            "min" | "max" => {
                if let [only] | [only, Arg { name: Some(_), .. }, ..] = args {
                    let ty = self.iterate(&only.ty.clone(), only.node);
                    self.call_key(args, &Type::list(ty.clone()));
                    self.compared(args, &Type::list(ty.clone()), node);
                    ty
                } else {
                    args.iter()
                        .filter(|a| a.name.is_none())
                        .map(|a| a.ty.clone())
                        .fold(Type::Never, Type::join)
                }
            }
            "sum" => {
                let ty = first.map_or(Type::Unknown, |a| self.iterate(&a.ty.clone(), a.node));
                let ty = match ty {
                    Type::Bool | Type::Never => Type::Int,
                    other => other,
                };
                match args.get(1) {
                    Some(start) => ty.join(start.ty.clone()),
                    None => ty,
                }
            }
            "any" | "all" => {
                if let Some(arg) = first {
                    self.iterate(&arg.ty.clone(), arg.node);
                }
                Type::Bool
            }
            "enumerate" => {
                let ty = first.map_or(Type::Unknown, |a| self.iterate(&a.ty.clone(), a.node));
                Type::iterator(Type::Tuple(vec![Type::Int, ty].into()))
            }
            "zip" | "itertools.zip_longest" | "itertools.product" => {
                let types: Vec<Type> = args
                    .iter()
                    .filter(|a| a.name.is_none())
                    .map(|a| self.iterate(&a.ty.clone(), a.node))
                    .collect();
                Type::iterator(Type::Tuple(types.into()))
            }
            "itertools.chain" => {
                let items: Vec<Type> = args.iter().map(|a| self.iterate(&a.ty.clone(), a.node)).collect();
                let element = items.into_iter().fold(Type::Never, |known, ty| self.either(known, ty, node));
                Type::iterator(element)
            }
            "itertools.islice" | "itertools.cycle" | "itertools.takewhile" | "itertools.dropwhile" => {
                let source = if path.ends_with("while") { args.get(1) } else { first };
                let ty = source.map_or(Type::Unknown, |a| self.iterate(&a.ty.clone(), a.node));
                if path.ends_with("while")
                    && let Some(function) = first
                {
                    self.call_with(function, std::slice::from_ref(&ty));
                }
                Type::iterator(ty)
            }
            "itertools.groupby" => {
                let ty = first.map_or(Type::Unknown, |a| self.iterate(&a.ty.clone(), a.node));
                let key = args.iter().find(|a| a.name == Some("key")).or(args.get(1));
                let key = key.map_or(ty.clone(), |k| self.call_with(k, std::slice::from_ref(&ty)));
                Type::iterator(Type::Tuple(vec![key, Type::iterator(ty)].into()))
            }
            "map" => {
                let items: Vec<Type> =
                    args.iter().skip(1).map(|a| self.iterate(&a.ty.clone(), a.node)).collect();
                // The shortest of several ends it.
                let may_skip = items.len() > 1 || self.drawn(node) == Drawn::Nothing;
                let elements = Type::list(Type::Tuple(items.clone().into()));
                let ty = first.map_or(Type::Unknown, |function| {
                    self.each(&elements, |frame| {
                        frame.conditional += u32::from(may_skip);
                        frame.called_with(function, &items)
                    })
                });
                Type::iterator(ty)
            }
            "filter" | "itertools.filterfalse" => {
                let ty = args.get(1).map_or(Type::Unknown, |a| self.iterate(&a.ty.clone(), a.node));
                if let Some(function) = first {
                    self.call_with(function, std::slice::from_ref(&ty));
                }
                Type::iterator(ty)
            }
            path if let Some(callable) = self.made_callable(path, args, node) => callable,
            "functools.partial" | "functools.partialmethod" => {
                for arg in args {
                    self.escape(&arg.ty.clone(), arg.node, Escape::Store);
                }
                // Called with other arguments than those that are seen at the call.
                Type::Unknown
            }
            "functools.reduce" => {
                let ty = args.get(1).map_or(Type::Unknown, |a| self.iterate(&a.ty.clone(), a.node));
                // What it begins with is given to the function, which makes what comes next of it:
                // `reduce(getattr, path.split("."), book)`.
                let begin = args.get(2).map(|a| (a.ty.clone(), a.node));
                let begin = begin.or_else(|| Some((ty.clone(), args.get(1)?.node)));
                if let Some((begin, at)) =
                    begin.filter(|(ty, _)| matches!(ty.without_none(), Type::Instance(_)))
                {
                    self.escape(&begin, at, Escape::External);
                }
                if let Some(function) = first {
                    self.call_with(function, &[Type::Unknown, ty]);
                }
                Type::Unknown
            }
            "next" => match first.map(|a| a.ty.clone()) {
                Some(Type::Iterator(t)) => {
                    let default = args.get(1).map_or(Type::Never, |a| a.ty.clone());
                    (*t).clone().join(default)
                }
                _ => Type::Unknown,
            },
            "dict" | "collections.OrderedDict" => {
                let element = first.map(|a| self.iterate(&a.ty.clone(), a.node));
                for arg in args.iter().filter(|a| a.name.is_some()) {
                    self.escape(&arg.ty.clone(), arg.node, Escape::Container);
                }
                let mut known = super::types::KnownKeys::new();
                self.add_keys(args.iter().filter(|a| a.stars == 0), &mut known);
                let (key, value) = match element.as_ref() {
                    // A copy of another one.
                    Some(_) if let Some(Type::Dict(kv)) = first.map(|a| &a.ty) => match args.len() {
                        1 => (kv.0.clone(), kv.1.clone()),
                        _ => (Type::Unknown, Type::Unknown),
                    },
                    Some(Type::Tuple(kv)) => match kv.as_ref() {
                        [key, value] => (key.clone(), value.clone()),
                        _ => (Type::Unknown, Type::Unknown),
                    },
                    _ => (Type::Unknown, Type::Unknown),
                };
                Type::Dict(Arc::new(super::types::Dict(key, value, known)))
            }
            "collections.defaultdict" | "collections.Counter" => {
                if let Some(arg) = first.filter(|_| path.ends_with("Counter")) {
                    self.iterate(&arg.ty.clone(), arg.node);
                }
                let made = first.filter(|_| path.ends_with("defaultdict") && args.len() == 1).map(|a| &a.ty);
                match made {
                    Some(Type::Def(Def::External(made))) => match made.as_str() {
                        "builtins.list" => Type::dict(Type::Never, Type::list(Type::Never)),
                        "builtins.set" => Type::dict(Type::Never, Type::Set(Arc::new(Type::Never))),
                        "builtins.dict" => Type::dict(Type::Never, Type::dict(Type::Never, Type::Never)),
                        _ => Type::dict(Type::Unknown, Type::Unknown),
                    },
                    // Called for each key that is not there.
                    Some(Type::Local(_) | Type::Callable(_)) => {
                        let value = first.map_or(Type::Unknown, |make| self.called_with(make, &[]));
                        Type::dict(Type::Never, value)
                    }
                    _ => Type::dict(Type::Unknown, Type::Unknown),
                }
            }
            "str"
            | "repr"
            | "format"
            | "ascii"
            | "django.utils.encoding.force_str"
            | "django.utils.html.escape"
            | "django.utils.html.conditional_escape" => {
                if let Some(arg) = first {
                    self.stringify(&arg.ty.clone(), arg.node);
                }
                Type::Str
            }
            "django.utils.html.format_html" => {
                for arg in args {
                    self.stringify(&arg.ty.clone(), arg.node);
                }
                Type::Str
            }
            "print" => {
                for arg in args {
                    self.stringify(&arg.ty.clone(), arg.node);
                }
                self.event(node, EventKind::Log);
                Type::None
            }
            "bool" => {
                if let Some(arg) = first {
                    match &arg.ty {
                        Type::QuerySet(qs) => {
                            let qs = qs.clone();
                            self.use_queryset(&qs, arg.node, Use::Truth);
                            self.evaluated(&qs, arg.node, "all");
                        }
                        Type::Instance(i) => {
                            let i = i.clone();
                            self.instance_truth(&i, arg.node);
                        }
                        _ => {}
                    }
                }
                Type::Bool
            }
            "round" if args.len() > 1 => Type::Unknown,
            "int" | "hash" | "id" | "ord" | "round" => Type::Int,
            "vars" => {
                // The attributes themselves: who has them may read and write every one.
                if let Some(arg) = first {
                    self.escape(&arg.ty.clone(), arg.node, Escape::External);
                }
                Type::dict(Type::Str, Type::Unknown)
            }
            "abs" => first.map_or(Type::Unknown, |a| a.ty.clone()),
            "float" => Type::Float,
            "isinstance" | "issubclass" | "callable" => Type::Bool,
            "hasattr" | "getattr" => {
                let Some(owner) = first else { return Type::Unknown };
                let Some(name) = args.get(1).and_then(|a| string_value(a.node)) else {
                    let ty = owner.ty.clone();
                    self.escape(&ty, owner.node, Escape::External);
                    return Type::Unknown;
                };
                let ty = self.attribute(&owner.ty.clone(), &name, node);
                if path.ends_with("hasattr") { Type::Bool } else { ty }
            }
            "setattr" | "delattr" => {
                let Some(owner) = first else { return Type::None };
                if let Type::Instance(i) = owner.ty.without_none() {
                    let name = args.get(1).and_then(|a| string_value(a.node));
                    let kind = match name {
                        Some(name) => EventKind::WriteAttribute {
                            root: i.root,
                            path: i.path.clone(),
                            name: Name::from(name.as_str()),
                        },
                        None => EventKind::WriteAttribute {
                            root: i.root,
                            path: i.path.clone(),
                            name: Name::from("*"),
                        },
                    };
                    self.event(node, kind);
                }
                if let Some(value) = args.get(2) {
                    self.escape(&value.ty.clone(), value.node, Escape::Store);
                }
                Type::None
            }
            "type" => match first.map(|a| a.ty.clone()) {
                Some(Type::Instance(i)) => Type::ModelClass(i.model),
                Some(Type::Object(class)) => Type::Def(Def::Class(class)),
                Some(Type::Record(record)) => Type::Def(Def::Class(record.class)),
                _ => Type::Unknown,
            },
            "range" => Type::iterator(Type::Int),
            "asgiref.sync.sync_to_async" | "asgiref.sync.async_to_sync" => {
                first.map_or(Type::Unknown, |a| a.ty.clone())
            }
            "copy.copy" | "copy.deepcopy" => match first.map(|a| a.ty.clone()) {
                Some(Type::Instance(i)) => Type::Instance(Instance::root(i.model, Root::Opaque)),
                Some(Type::QuerySet(qs)) => {
                    self.use_queryset(&qs, node, Use::Other);
                    Type::Unknown
                }
                Some(other) => other,
                None => Type::Unknown,
            },
            "django.shortcuts.get_object_or_404" | "django.shortcuts.aget_object_or_404" => {
                self.event(node, EventKind::Raise);
                match self.queried(first, node) {
                    Some(model) => {
                        let value = self.value_at(node, Made::Loaded, None);
                        Type::Instance(Instance::root(model, Root::Value(value)))
                    }
                    None => Type::Unknown,
                }
            }
            "django.shortcuts.get_list_or_404" | "django.shortcuts.aget_list_or_404" => {
                self.event(node, EventKind::Raise);
                match self.queried(first, node) {
                    Some(model) => {
                        let value = self.value_at(node, Made::Unknown, None);
                        Type::list(Type::Instance(Instance::root(model, Root::Row(value))))
                    }
                    None => Type::Unknown,
                }
            }
            "django.contrib.auth.get_user_model" => match self.user_model() {
                Some(model) => Type::ModelClass(model),
                None => Type::Unknown,
            },
            path if super::framework::GET_MODEL.contains(&path) => {
                self.named_model(args).map_or(Type::Unknown, Type::ModelClass)
            }
            "django.db.migrations.state.StateApps.get_model" => {
                let model = self.named_model(args).and_then(|m| self.az.project.historical(m));
                model.map_or(Type::Unknown, Type::ModelClass)
            }
            path if PREFETCH.contains(&path)
                && let Some(object) = self.prefetch_object(args, node) =>
            {
                object
            }
            "django.db.models.prefetch_related_objects" => {
                self.prefetched_for_objects(args);
                for arg in args {
                    self.escape(&arg.ty.clone(), arg.node, Escape::External);
                }
                Type::None
            }
            super::pages::PAGINATOR => self.paginator(args, node),
            path if let Some(page) = self.paginator_of_rest(path, args, node) => page,
            path if let Some(class) = self.form_set_class(path, args) => class,
            "guardian.shortcuts.get_objects_for_user" | "guardian.shortcuts.get_objects_for_group" => {
                self.permitted(path, args, node)
            }
            "django.db.transaction.atomic" | "django.db.transaction.on_commit" => {
                let name = if path.ends_with("atomic") { "atomic" } else { "on_commit" };
                self.event(node, EventKind::Transaction { name: Name::from(name) });
                for arg in args {
                    if let Type::Local(id) = arg.ty {
                        let def = self.scope.at(id);
                        self.call_local(def, &[], None);
                    } else if let Type::Def(Def::Function(function)) = arg.ty {
                        // Outside a transaction it runs at once.
                        self.call_function(function, None, &[], node);
                    }
                }
                Type::External(Name::from(path))
            }
            "django.db.connection.cursor" => Type::External(Name::from("django.db.backends.cursor")),
            "django.utils.timezone.now" => Type::Column(crate::django::FieldKind::DateTime),
            _ => {
                // `task.delay(...)` of a function of the program ends up here through its attribute.
                self.external_effect(path, args, node);
                Type::External(Name::from(path))
            }
        }
    }

    /// list(), set() and their like: what iterating gives, in a container.
    /// The model that `get_model("app", "Model")` or `get_model("app.Model")` names.
    fn named_model(&self, args: &[Arg<'a>]) -> Option<crate::django::ModelId> {
        let part = |name: &str, position: usize| {
            let positional = args.get(position).filter(|a| a.name.is_none() && a.stars == 0);
            string_value(args.iter().find(|a| a.name == Some(name)).or(positional)?.node)
        };
        let app = part("app_label", 0)?;
        let label = part("model_name", 1).map_or_else(|| app.clone(), |name| format!("{app}.{name}"));
        self.az.project.model_by_label(&label)
    }

    fn collected(&mut self, arg: Option<&Arg<'a>>, wrap: impl FnOnce(Type) -> Type) -> Type {
        match arg {
            Some(arg) => {
                let element = self.iterate(&arg.ty.clone(), arg.node);
                wrap(element)
            }
            None => wrap(Type::Never),
        }
    }

    /// sorted(), min() and max() without `key=` compare what they get.
    fn compared(&mut self, args: &[Arg<'a>], container: &Type, node: Node<'a>) {
        let Type::List(element) = container else { return };
        if args.iter().any(|a| a.name == Some("key")) {
            return;
        }
        self.object_dunders(element.without_none(), &["__lt__", "__gt__"], node);
    }

    /// The model behind the first argument of get_object_or_404(): a model, manager or queryset.
    fn queried(&mut self, arg: Option<&Arg<'a>>, node: Node<'a>) -> Option<crate::django::ModelId> {
        let arg = arg?;
        let model = match &arg.ty {
            Type::ModelClass(model) => *model,
            Type::Manager(manager) => manager.model,
            Type::QuerySet(qs) => {
                let qs = qs.clone();
                self.use_queryset(&qs, node, Use::Method(Name::from("get")));
                qs.model
            }
            _ => return None,
        };
        self.event(node, EventKind::Query { model: Some(model) });
        Some(model)
    }

    /// What `with x as y` binds to `y`.
    pub(super) fn entered(&mut self, ty: &Type, node: Node<'a>) -> Type {
        match ty {
            Type::External(path) if path.contains("atomic") => Type::None,
            Type::External(path) => Type::External(path.clone()),
            Type::Object(_) | Type::Record(_) => {
                let Some(class) = ty.object_class() else { return Type::Unknown };
                let out = self.method_of_class(class, "__enter__", ty, &[], node);
                self.method_of_class(class, "__exit__", ty, &[], node);
                out
            }
            Type::Iterator(t) => (**t).clone(),
            _ => Type::Unknown,
        }
    }

    // ---- annotations ----

    /// The type that an annotation promises.
    pub(super) fn annotation(&mut self, node: Node<'a>) -> Type {
        self.dry += 1;
        let ty = self.annotation_inner(node.peel(), 0);
        self.dry -= 1;
        ty
    }

    fn annotation_inner(&mut self, node: Node<'a>, depth: usize) -> Type {
        use crate::python::{Expr, Kind};
        if depth > 8 {
            return Type::Unknown;
        }
        let node = node.peel();
        match Expr::of(node) {
            Expr::Str(_) => match string_value(node) {
                Some(text) => self.annotation_text(text.trim()),
                None => Type::Unknown,
            },
            Expr::None => Type::None,
            Expr::BinOp { left, op: Kind::BitOr, right } => {
                let a = self.annotation_inner(left, depth + 1);
                a.join(self.annotation_inner(right, depth + 1))
            }
            Expr::Subscript { value, index, .. } => {
                let generic = self.expr(value);
                if let Some(dict) = self.annotated_dict(&generic, node, depth) {
                    return dict;
                }
                let of = self.annotation_inner(index, depth + 1);
                self.generic(&generic, value.text(), of)
            }
            Expr::Name(_) | Expr::Attribute { .. } => {
                let ty = self.expr(node);
                self.instance_of(&ty)
            }
            _ => Type::Unknown,
        }
    }

    /// An annotation in a string: `"Book"`, `"QuerySet[Book]"`, `"list[Book]"`, dotted names.
    fn annotation_text(&mut self, text: &str) -> Type {
        if let Some((generic, rest)) = text.split_once('[') {
            let of = self.annotation_text(rest.trim_end_matches(']').trim());
            return self.generic(&Type::Unknown, generic.trim(), of);
        }
        if let Some((a, b)) = text.split_once('|') {
            let a = self.annotation_text(a.trim());
            return a.join(self.annotation_text(b.trim()));
        }
        if text == "None" {
            return Type::None;
        }
        let mut parts = text.split('.');
        let Some(first) = parts.next() else { return Type::Unknown };
        let mut def = self.az.project.program().global(self.file, first);
        for part in parts {
            def = def.and_then(|d| self.az.project.program().attribute(&d, part));
        }
        match def {
            Some(def) => {
                let ty = self.type_of_def(def);
                self.instance_of(&ty)
            }
            None => {
                let ty = Type::Def(Def::External(format!("builtins.{text}")));
                self.instance_of(&ty)
            }
        }
    }

    /// `dict[int, Book]`
    fn annotated_dict(&mut self, generic: &Type, node: Node<'a>, depth: usize) -> Option<Type> {
        let Type::Def(Def::External(path)) = generic else { return None };
        if !matches!(path.as_str(), "builtins.dict" | "typing.Dict") {
            return None;
        }
        let items: Vec<Node<'a>> = match node.child_of_kind(crate::python::Kind::TypeParameters) {
            Some(list) => list.children().collect(),
            None => node.children_in(crate::python::Field::Subscript).collect(),
        };
        let [key, value] = items.as_slice() else { return None };
        let key = self.annotation_inner(*key, depth + 1);
        Some(Type::dict(key, self.annotation_inner(*value, depth + 1)))
    }

    fn generic(&mut self, generic: &Type, text: &str, of: Type) -> Type {
        let name = match generic {
            Type::Def(Def::External(path)) => path.rsplit('.').next().unwrap_or(path).to_owned(),
            _ => text.rsplit('.').next().unwrap_or(text).to_owned(),
        };
        match (name.as_str(), &of) {
            ("QuerySet" | "BaseQuerySet", Type::Instance(i)) => Type::QuerySet(Arc::new(QuerySet::new(
                i.model,
                QuerySetClass::Unknown,
                super::types::ValueId(0),
            ))),
            ("Manager" | "BaseManager", Type::Instance(i)) => Type::Manager(Arc::new(Manager {
                model: i.model,
                class: QuerySetClass::Unknown,
                name: None,
                related: None,
                known: Default::default(),
                is_many_to_many: false,
            })),
            ("Optional", _) => of.optional(),
            ("list" | "List", _) => Type::list(of),
            ("set" | "Set" | "frozenset" | "FrozenSet", _) => Type::Set(Arc::new(of)),
            ("Iterator" | "Generator", _) => Type::iterator(of),
            // May be a queryset or a list: only what both have is known.
            ("Iterable" | "Sequence" | "Collection", _) => Type::iterator(of),
            ("Annotated" | "ClassVar" | "Final", _) => of,
            ("Type" | "type", Type::Instance(i)) => Type::ModelClass(i.model),
            _ => Type::Unknown,
        }
    }

    fn instance_of(&self, ty: &Type) -> Type {
        match ty {
            Type::ModelClass(model) => Type::Instance(Instance::root(*model, Root::Opaque)),
            Type::Def(Def::Class(class)) => self.az.object_of_class(*class),
            Type::Def(Def::External(path)) => match path.as_str() {
                "builtins.int" => Type::Int,
                "builtins.str" => Type::Str,
                "builtins.bool" => Type::Bool,
                "builtins.float" => Type::Float,
                "builtins.bytes" => Type::Bytes,
                "builtins.list" => Type::list(Type::Unknown),
                "builtins.dict" => Type::dict(Type::Unknown, Type::Unknown),
                "builtins.object" | "typing.Any" | "typing.Self" => Type::Unknown,
                p if p.starts_with("builtins.") => Type::Unknown,
                p if p.starts_with("django.http") => Type::External(Name::from("django.http.HttpRequest")),
                p => Type::External(Name::from(p)),
            },
            _ => Type::Unknown,
        }
    }
}
