//! What one field of a serializer reads of an instance.

use super::declared::{Declared, Options, framework_name, has_plain_bases, is_serializer};
use crate::django::Project;
use crate::infer::calls::Arg;
use crate::infer::frame::Frame;
use crate::infer::types::Type;
use crate::python::{Binding, ClassId, Def, Expr, Field, Kind, Member, Node, Stmt, parameters, string_value};

/// How a field writes what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// As another serializer says.
    Serializer(ClassId),
    /// What a method of the serializer returns.
    Method,
    /// The primary key of a related object.
    PrimaryKey,
    /// As `to_representation()` of the program says.
    Related,
    /// `str()` of a related object.
    StringRelated,
    /// An attribute of a related object.
    Slug,
    /// A URL that a key of a related object is part of.
    Hyperlink,
    /// A URL that a key of the object itself is part of.
    Identity,
    /// Each element by another field.
    List,
    /// `str()`
    Text,
    /// As it is, or without asking it for anything.
    Plain,
    /// Not at all.
    Nothing,
}

impl Writer {
    fn is_related(self) -> bool {
        use Writer::{Hyperlink, PrimaryKey, Related, Slug, StringRelated};
        matches!(self, PrimaryKey | Related | StringRelated | Slug | Hyperlink)
    }
}

/// The class of a field: one of the framework's, or one of the program below it.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldClass {
    writer: Writer,
    class: Option<ClassId>,
}

impl FieldClass {
    /// What the framework makes for the relations of a model.
    pub fn of_relations(is_hyperlinked: bool) -> FieldClass {
        let writer = if is_hyperlinked { Writer::Hyperlink } else { Writer::PrimaryKey };
        FieldClass { writer, class: None }
    }

    pub fn is_hyperlink(self) -> bool {
        self.writer == Writer::Hyperlink
    }

    /// The field class that `def` is; nothing for any other, and where it is not known what it does.
    pub fn of(project: &Project, def: &Def) -> Option<FieldClass> {
        match def {
            Def::External(path) => Some(FieldClass { writer: writer(framework_name(path)?)?, class: None }),
            Def::Class(class) if is_serializer(project, *class) => {
                Some(FieldClass { writer: Writer::Serializer(*class), class: Some(*class) })
            }
            Def::Class(class) if has_plain_bases(project, *class) => {
                let bases = &project.program().class(*class).external_bases;
                let writer = bases.iter().find_map(|base| writer(framework_name(base)?))?;
                Some(FieldClass { writer, class: Some(*class) })
            }
            _ => None,
        }
    }
}

/// What the fields of the framework do.
fn writer(name: &str) -> Option<Writer> {
    Some(match name {
        "SerializerMethodField" => Writer::Method,
        "PrimaryKeyRelatedField" => Writer::PrimaryKey,
        "RelatedField" => Writer::Related,
        "StringRelatedField" => Writer::StringRelated,
        "SlugRelatedField" => Writer::Slug,
        "HyperlinkedRelatedField" => Writer::Hyperlink,
        "HyperlinkedIdentityField" => Writer::Identity,
        "ListField" => Writer::List,
        "HiddenField" | "ModelField" => Writer::Nothing,
        "CharField" | "EmailField" | "RegexField" | "SlugField" | "URLField" => Writer::Text,
        "Field"
        | "ReadOnlyField"
        | "BooleanField"
        | "NullBooleanField"
        | "IntegerField"
        | "BigIntegerField"
        | "FloatField"
        | "DecimalField"
        | "DateTimeField"
        | "DateField"
        | "TimeField"
        | "DurationField"
        | "ChoiceField"
        | "MultipleChoiceField"
        | "FilePathField"
        | "FileField"
        | "ImageField"
        | "IPAddressField"
        | "UUIDField"
        | "JSONField"
        | "DictField"
        | "HStoreField" => Writer::Plain,
        _ => return None,
    })
}

/// The fields of a serializer, and what they are read from.
pub(super) struct Reader<'a> {
    /// The serializer; nothing for one that the framework makes for `Meta.depth`.
    pub serializer: Option<ClassId>,
    pub instance: Type,
    pub node: Node<'a>,
}

impl<'a> Frame<'a, '_> {
    fn field_method(&self, class: Option<ClassId>, name: &str) -> Option<&'a Member> {
        let project = self.az.project;
        project.program().member(class?, name).map(|(_, member)| member)
    }

    /// Read what a declared field reads.
    pub(super) fn declared_field(&mut self, reader: &Reader<'a>, field: &Declared<'a>) {
        let Some((def, options)) = &field.made else { return };
        let Some(class) = FieldClass::of(self.az.project, def) else { return };
        if options.is_open || options.is_on("write_only") != Some(false) {
            return;
        }
        self.at_site(field.site, |frame| {
            if class.writer == Writer::Method {
                frame.method_field(reader, field.name, class, options);
            } else {
                frame.field(reader, field.name, class, options);
            }
        });
    }

    fn method_field(&mut self, reader: &Reader<'a>, name: &str, class: FieldClass, options: &Options<'a>) {
        let changes = ["bind", "to_representation", "get_attribute"];
        if changes.iter().any(|name| self.field_method(class.class, name).is_some()) {
            return;
        }
        match self.field_method(class.class, "__init__") {
            Some(Member::Function(init, _)) => {
                let info = self.az.project.program().function(*init);
                if !keeps_method_name(self.az.project.program().file(info.file).node(info.node)) {
                    return;
                }
            }
            Some(_) => return,
            None => {}
        }
        let given = options.get("method_name").or_else(|| options.positional.first().copied());
        let method = match given {
            None => format!("get_{name}"),
            Some(node) => match string_value(node) {
                Some(name) => name,
                None => return,
            },
        };
        let Some(serializer) = reader.serializer else { return };
        let Some(Member::Function(function, binding)) = self.field_method(Some(serializer), &method) else {
            return;
        };
        let args = [Arg { name: None, ty: reader.instance.clone(), node: reader.node, stars: 0 }];
        let receiver = Type::Object(serializer);
        let class = Type::Def(Def::Class(serializer));
        self.call_bound(*function, *binding, class, &receiver, &args, reader.node);
    }

    /// Read what a field reads that gets its value from an attribute.
    pub(super) fn field(
        &mut self,
        reader: &Reader<'a>,
        name: &str,
        class: FieldClass,
        options: &Options<'a>,
    ) {
        if class.writer == Writer::Nothing {
            return;
        }
        let Some(many) = options.is_on("many") else { return };
        let Some(source) = self.source(name, class, options, many) else { return };
        let is_serializer = matches!(class.writer, Writer::Serializer(_));
        if ["many_init", "__new__", "bind"].iter().any(|name| self.field_method(class.class, name).is_some())
            || (many && !is_serializer && !class.writer.is_related() && class.writer != Writer::Identity)
            || (is_serializer && self.is_told_more(class, options))
        {
            return;
        }
        let steps: Vec<&str> = if source == "*" { Vec::new() } else { source.split('.').collect() };
        let node = reader.node;
        let (value, is_key) = match self.field_method(class.class, "get_attribute") {
            Some(Member::Function(function, Binding::Method)) if !many => {
                let args = [Arg { name: None, ty: reader.instance.clone(), node, stars: 0 }];
                let receiver = class.class.map(Type::Object);
                // What the framework would do, if it is asked for that.
                match self.asks_super(*function, "get_attribute") {
                    Some(true) => _ = self.walk(&reader.instance, &steps, node),
                    Some(false) => {
                        self.conditionally(|frame| frame.walk(&reader.instance, &steps, node));
                    }
                    None => {}
                }
                self.forget_site();
                (self.call_function(*function, receiver, &args, node), false)
            }
            Some(_) => return,
            None => match (self.reads_key(class, options), steps.split_last()) {
                (Some(true), Some((last, steps))) if !many => {
                    let owner = self.walk(&reader.instance, steps, node);
                    self.read_key(&owner, last, node);
                    (Type::Unknown, true)
                }
                (None, _) if !many => return,
                _ => (self.walk(&reader.instance, &steps, node), false),
            },
        };
        if !many {
            self.write(class, options, &value, is_key, node);
            return;
        }
        if let Writer::Serializer(child) = class.writer
            && !self.has_plain_list(child)
        {
            return;
        }
        self.write_each(&value, node, |frame, row| frame.write(class, options, row, false, node));
    }

    /// `source`, which a class may have fixed; nothing where it is not known.
    pub(super) fn source(
        &self,
        name: &str,
        class: FieldClass,
        options: &Options<'a>,
        many: bool,
    ) -> Option<String> {
        // Of many, it is the element that stands for itself.
        if class.writer == Writer::Identity && !many {
            return Some("*".to_owned());
        }
        let given = options.get("source");
        if !matches!(class.writer, Writer::Serializer(_))
            && let Some(member) = self.field_method(class.class, "__init__")
        {
            let Member::Function(function, _) = member else { return None };
            let program = self.az.project.program();
            let info = program.function(*function);
            let def = program.file(info.file).node(info.node);
            let mentions = |word: &str| {
                def.descendants().any(|n| match n.kind() {
                    Kind::Str => string_value(n).as_deref() == Some(word),
                    Kind::Name => n.text() == word,
                    _ => false,
                })
            };
            if mentions("write_only") || mentions("many") {
                return None;
            }
            if mentions("source") {
                return if given.is_none() { fixed_source(def) } else { None };
            }
        }
        match given {
            None => Some(name.to_owned()),
            Some(node) if matches!(Expr::of(node), Expr::None) => Some(name.to_owned()),
            Some(node) => string_value(node),
        }
    }

    /// Whether a nested serializer gets arguments that its own constructor acts on.
    fn is_told_more(&self, class: FieldClass, options: &Options<'a>) -> bool {
        const KNOWN: &[&str] = &[
            "read_only",
            "write_only",
            "required",
            "default",
            "initial",
            "source",
            "label",
            "help_text",
            "style",
            "error_messages",
            "allow_empty",
            "validators",
            "many",
            "context",
            "allow_null",
            "max_length",
            "min_length",
            "partial",
        ];
        self.field_method(class.class, "__init__").is_some()
            && options.named.iter().any(|(name, _)| !KNOWN.contains(&name.as_str()))
    }

    /// Whether a related field needs no more than the key that the object holds; nothing where that is not known.
    fn reads_key(&self, class: FieldClass, options: &Options<'a>) -> Option<bool> {
        if !class.writer.is_related() {
            return Some(false);
        }
        if let Some(member) = self.field_method(class.class, "use_pk_only_optimization") {
            let Member::Function(function, Binding::Method) = member else { return None };
            let program = self.az.project.program();
            let info = program.function(*function);
            let body = program.file(info.file).node(info.node).child(Field::Body)?;
            let mut statements =
                body.children().filter(|n| n.kind() != Kind::ExprStatement && n.kind() != Kind::Comment);
            return match (statements.next().map(Stmt::of), statements.next()) {
                (Some(Stmt::Return(Some(value))), None) => match Expr::of(value) {
                    Expr::True => Some(true),
                    Expr::False => Some(false),
                    _ => None,
                },
                _ => None,
            };
        }
        match class.writer {
            Writer::PrimaryKey => Some(true),
            Writer::Hyperlink => Some(self.lookup_field(class, options)? == "pk"),
            _ => Some(false),
        }
    }

    /// The attribute that a hyperlink is made of.
    fn lookup_field(&self, class: FieldClass, options: &Options<'a>) -> Option<String> {
        if let Some(node) = options.get("lookup_field") {
            return string_value(node);
        }
        let program = self.az.project.program();
        match class.class.and_then(|class| program.member(class, "lookup_field")) {
            Some((owner, Member::Value(value))) => {
                string_value(program.file(program.class(owner).file).node(*value))
            }
            Some(_) => None,
            None => Some("pk".to_owned()),
        }
    }

    /// Go over what is related, and `write` each.
    pub(super) fn write_each(&mut self, value: &Type, node: Node<'a>, write: impl FnOnce(&mut Self, &Type)) {
        let mut rows = value.without_none().clone();
        if let Type::Manager(manager) = &rows {
            let manager = manager.clone();
            rows = self.manager_method(&manager, "all", &[], node, node);
        }
        if !matches!(rows, Type::QuerySet(_) | Type::List(_) | Type::Set(_) | Type::Iterator(_)) {
            return;
        }
        let row = self.iterate(&rows, node);
        self.each(&rows, |frame| write(frame, &row));
    }

    /// Read what `to_representation()` reads of a value.
    pub(super) fn write(
        &mut self,
        class: FieldClass,
        options: &Options<'a>,
        value: &Type,
        is_key: bool,
        node: Node<'a>,
    ) {
        if let Writer::Serializer(serializer) = class.writer {
            self.represent(serializer, value, node);
            return;
        }
        if let Some(member) = self.field_method(class.class, "to_representation") {
            let Member::Function(function, Binding::Method) = member else { return };
            let args = [Arg { name: None, ty: value.clone(), node, stars: 0 }];
            self.call_function(*function, class.class.map(Type::Object), &args, node);
            return;
        }
        let is_instance = value.instance().is_some();
        match class.writer {
            Writer::StringRelated | Writer::Text if is_instance => self.stringify(value, node),
            Writer::Slug if is_instance => {
                let given = options.get("slug_field").or_else(|| options.positional.first().copied());
                let Some(slug) = given.and_then(string_value) else { return };
                let mut at = value.clone();
                for step in slug.replace("__", ".").split('.') {
                    self.forget_site();
                    at = self.attribute(&at, step, node);
                }
            }
            Writer::Hyperlink | Writer::Identity if self.field_method(class.class, "get_url").is_some() => {
                let Some(Member::Function(function, Binding::Method)) =
                    self.field_method(class.class, "get_url")
                else {
                    return;
                };
                let args = [Arg { name: None, ty: value.clone(), node, stars: 0 }];
                self.call_function(*function, class.class.map(Type::Object), &args, node);
            }
            Writer::Hyperlink | Writer::Identity if is_instance && !is_key => {
                if let Some(name) = self.lookup_field(class, options) {
                    self.attribute(value, &name, node);
                }
            }
            Writer::List => {
                let Some(Expr::Call { func, arguments }) = options.get("child").map(Expr::of) else { return };
                let file = self.foreign.map_or(self.file, |site| site.file);
                let program = self.az.project.program();
                let Some(def) = program.resolve_expr(file, func.peel().id()) else { return };
                let Some(child) = FieldClass::of(self.az.project, &def) else { return };
                let options = Options::of_call(arguments);
                // A manager is no list.
                if options.is_open || matches!(value.without_none(), Type::Manager(_)) {
                    return;
                }
                self.write_each(value, node, |frame, row| {
                    frame.write(child, &options, row, false, node);
                });
            }
            _ => {}
        }
    }
}

/// `def __init__(self, source="*")`, `kwargs["source"] = "*"`.
fn fixed_source(def: Node<'_>) -> Option<String> {
    let default = parameters(def).iter().find(|p| p.name == "source").and_then(|p| p.default);
    if let Some(default) = default {
        return string_value(default);
    }
    let mut found = def.descendants().filter_map(|n| {
        let Expr::Subscript { index, .. } = Expr::of(n) else { return None };
        let is_assigned = n.kind() == Kind::Subscript && n.field() == Field::Left;
        (is_assigned && string_value(index).as_deref() == Some("source"))
            .then(|| n.parent()?.child(Field::Right))
            .flatten()
    });
    match (found.next(), found.next()) {
        (Some(value), None) => string_value(value),
        _ => None,
    }
}

/// Whether the constructor of a field does what that of `SerializerMethodField` does, besides making it one that is not
/// read-only: `self.method_name = method_name; kwargs["source"] = "*"`.
fn keeps_method_name(init: Node<'_>) -> bool {
    let assigns = |is_target: &dyn Fn(Node<'_>) -> bool, is_value: &dyn Fn(Node<'_>) -> bool| {
        init.descendants().filter(|n| n.kind() == Kind::Assign).any(|n| {
            n.child(Field::Left).is_some_and(is_target) && n.child(Field::Right).is_some_and(is_value)
        })
    };
    let is_source = |n: Node<'_>| {
        matches!(Expr::of(n), Expr::Subscript { index, .. }
        if string_value(index).as_deref() == Some("source"))
    };
    parameters(init).get(1).is_some_and(|p| p.name == "method_name")
        && assigns(&|n| n.text() == "self.method_name", &|n| n.text() == "method_name")
        && assigns(&is_source, &|n| string_value(n).as_deref() == Some("*"))
}
