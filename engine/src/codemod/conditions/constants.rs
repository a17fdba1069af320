//! Dotted names in operands: constants of modules and classes, members of choices, functions.

use super::names::Bound;
use super::operand::{MAX_DEPTH, Reader};
use super::value::{Is, Value, literal};
use crate::django::Model;
use crate::infer::Type;
use crate::python::{ClassId, Def, Expr, Kind, Member, Node, NodeId, arguments, string_value};
use crate::text::FileId;

impl<'a> Reader<'a, '_> {
    /// What a dotted name means, where it is no variable of the function; with the class that it is a member of.
    pub(super) fn defined(&self, node: Node<'a>, depth: usize) -> Option<(Def, Option<ClassId>)> {
        if depth > MAX_DEPTH {
            return None;
        }
        let program = self.cx.project.program();
        match Expr::of(node) {
            Expr::Name(name) => match self.binding(name) {
                Some(Bound::Module) => Some((program.global(self.cx.file, name)?, None)),
                Some(Bound::Local(None)) | None => match self.cx.type_of(node) {
                    // Imported in the function.
                    Type::ModelClass(model) => Some((Def::Class(self.cx.model(*model).class), None)),
                    Type::Def(def) => Some((def.clone(), None)),
                    _ => None,
                },
                Some(_) => None,
            },
            Expr::Attribute { value, attr, .. } => {
                let (owner, _) = match self.defined(value, depth + 1) {
                    Some(found) => found,
                    None => match (Expr::of(value), self.cx.type_of(value)) {
                        // Lower case is what methods assign.
                        _ if attr.chars().any(char::is_lowercase) => return None,
                        (Expr::Name("self" | "cls"), Type::Object(class)) => (Def::Class(*class), None),
                        (Expr::Name("self" | "cls"), Type::Instance(i)) => {
                            (Def::Class(self.cx.model(i.model).class), None)
                        }
                        _ => return None,
                    },
                };
                // A model's attribute is a column, not a constant.
                if let Def::Class(class) = owner
                    && let Some(model) = self.cx.project.model_of_class(class)
                    && (self.cx.model(model).field(attr).is_some()
                        || self.cx.model(model).field_by_attname(attr).is_some())
                {
                    return None;
                }
                let class = match owner {
                    Def::Class(class) => Some(class),
                    _ => None,
                };
                match (program.attribute(&owner, attr), &owner) {
                    (Some(found), _) => Some((found, class)),
                    // `Status.LIVE.value`
                    (None, Def::Variable { .. }) if attr == "value" => None,
                    (None, Def::External(path)) => Some((Def::External(format!("{path}.{attr}")), None)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// `book.LIVE`, `book.Status.LIVE`: a constant of the model, through a row of it. The name behind the row, and the value.
    pub(super) fn of_row(&self, node: Node<'a>, model: &Model) -> Option<(String, Value)> {
        let program = self.cx.project.program();
        let Expr::Attribute { value, attr, .. } = Expr::of(node) else { return None };
        let (path, owner) = match Expr::of(value) {
            Expr::Name(name) if name == self.variable => (attr.to_owned(), model.class),
            Expr::Attribute { value: row, attr: class, .. } if matches!(Expr::of(row), Expr::Name(name) if name == self.variable) => {
                match program.member(model.class, class) {
                    Some((_, Member::Class(inner))) => (format!("{class}.{attr}"), *inner),
                    _ => return None,
                }
            }
            _ => return None,
        };
        let is_column =
            owner == model.class && (model.field(attr).is_some() || model.field_by_attname(attr).is_some());
        match program.attribute(&Def::Class(owner), attr)? {
            Def::Variable { file, value: Some(value) } if !is_column => {
                Some((path, self.constant(file, value.0, Some(owner), 0)?))
            }
            _ => None,
        }
    }

    /// The value of a variable that is bound once, at the top of a module or class.
    pub(super) fn constant(
        &self,
        file: FileId,
        value: u32,
        class: Option<ClassId>,
        depth: usize,
    ) -> Option<Value> {
        let program = self.cx.project.program();
        let node = program.file(file).node(NodeId(value)).peel();
        if depth > MAX_DEPTH {
            return None;
        }
        if let Some(kind) = class.and_then(|c| self.enumeration(c)) {
            // Other members equal nothing but themselves.
            return Some(Value::of(kind));
        }
        if let Some(literal) = literal(node) {
            return Some(literal);
        }
        let next = |node: Node<'_>| match program.resolve_expr(file, node.id())? {
            Def::Variable { file, value: Some(value) } => self.constant(file, value.0, None, depth + 1),
            _ => None,
        };
        match Expr::of(node) {
            Expr::List(items) | Expr::Tuple(items) | Expr::Set(items) => {
                let mut all = Value { is: Vec::new(), may_be_none: false, literal: None };
                for item in items.children() {
                    let item = item.peel();
                    let value = match literal(item) {
                        Some(value) => value,
                        None => match Expr::of(item) {
                            Expr::Attribute { value: owner, .. } => {
                                let class = match program.resolve_expr(file, owner.peel().id()) {
                                    Some(Def::Class(class)) => Some(class),
                                    _ => None,
                                };
                                match program.resolve_expr(file, item.id())? {
                                    Def::Variable { file, value: Some(value) } => {
                                        self.constant(file, value.0, class, depth + 1)?
                                    }
                                    _ => return None,
                                }
                            }
                            _ => next(item)?,
                        },
                    };
                    all = all.join(value);
                }
                let may_be_none = all.may_be_none;
                Some(Value { may_be_none, ..Value::of(Is::Many(all.is)) })
            }
            Expr::Name(_) | Expr::Attribute { .. } => next(node),
            // `getattr(settings, "LIMIT", 10)`
            Expr::Call { func, arguments: list } if matches!(Expr::of(func), Expr::Name("getattr")) => {
                let all = arguments(list);
                let [owner, name, default] = all.as_slice() else { return None };
                let path = match program.resolve_expr(file, owner.value.peel().id())? {
                    Def::External(path) => path,
                    _ => return None,
                };
                let (name, default) = (string_value(name.value)?, literal(default.value.peel())?);
                if path != "django.conf.settings" {
                    return Some(Value::of(Is::Unknown));
                }
                let mut files = self.cx.project.settings().files.iter();
                let value = match files.any(|f| program.global(*f, &name).is_some()) {
                    true => self
                        .setting(&format!("{path}.{name}"))
                        .unwrap_or(Value::of(Is::Unknown))
                        .join(default),
                    false => default,
                };
                Some(Value { literal: None, ..value })
            }
            // `frozenset(["a", "b"])`
            Expr::Call { func, arguments: list } => match (Expr::of(func), arguments(list).as_slice()) {
                (Expr::Name("frozenset" | "set" | "tuple" | "list"), [only])
                    if only.stars == 0
                        && matches!(only.value.peel().kind(), Kind::List | Kind::Tuple | Kind::Set) =>
                {
                    self.constant(file, only.value.peel().id().0, None, depth + 1)
                }
                _ => Some(Value::of(Is::Unknown)),
            },
            _ => None,
        }
    }

    /// What the members of an enumeration are; nothing for another class.
    fn enumeration(&self, class: ClassId) -> Option<Is> {
        let class = self.cx.project.program().class(class);
        let has = |names: &[&str]| {
            class.external_bases.iter().any(|b| names.contains(&b.rsplit('.').next().unwrap_or("")))
        };
        if !has(&["Enum", "TextChoices", "IntegerChoices", "Choices", "StrEnum", "IntEnum", "Flag"]) {
            return None;
        }
        Some(if has(&["TextChoices", "StrEnum", "str"]) {
            Is::Str
        } else if has(&["IntegerChoices", "IntEnum", "int"]) {
            Is::Int
        } else {
            Is::Other
        })
    }

    /// `Status.LIVE.value`
    pub(super) fn member_value(&self, member: Node<'a>, attr: &str) -> Option<Value> {
        if attr != "value" {
            return None;
        }
        let (Def::Variable { file, value: Some(value) }, Some(class)) = self.defined(member, 0)? else {
            return None;
        };
        self.enumeration(class)?;
        let node = self.cx.project.program().file(file).node(NodeId(value.0)).peel();
        // `LIVE = "live", _("Live")`
        let first = match node.kind() {
            Kind::Tuple | Kind::ExprList => node.children().next()?,
            _ => node,
        };
        literal(first.peel())
    }

    /// `settings.LIMIT`: what every settings module that has it says, where that is a constant.
    pub(super) fn setting(&self, path: &str) -> Option<Value> {
        let name = path.strip_prefix("django.conf.settings.").filter(|n| !n.contains('.'))?;
        let program = self.cx.project.program();
        let mut found: Option<Value> = None;
        for file in &self.cx.project.settings().files {
            let Some(def) = program.global(*file, name) else { continue };
            let Def::Variable { file, value: Some(value) } = def else { return None };
            let value = self.constant(file, value.0, None, 0)?;
            found = Some(match found {
                Some(before) => before.join(value),
                None => value,
            });
        }
        // Another environment may have another number.
        found.map(|value| Value { literal: None, ..value })
    }
}
