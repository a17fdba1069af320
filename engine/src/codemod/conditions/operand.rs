//! What a row's column is compared with: an expression that is evaluated once instead of once a row. It must give the same
//! each time, do nothing else, and raise nothing where there are no rows; and it must be of a type that the database
//! compares as Python does.

use super::names::Bound;
use super::value::{Is, Literal, Value, is_date, literal, made_by, of_type};
use crate::codemod::Context;
use crate::codemod::guards::callers::call_sites;
use crate::infer::{EventKind, Root, Type};
use crate::python::emit::on_one_line;
use crate::python::{Argument, Def, Expr, Kind, Member, Node, Parameter, arguments, parameters};

/// Names and constants are followed so far.
pub(super) const MAX_DEPTH: usize = 8;

/// An operand.
#[derive(Clone, Debug)]
pub(super) struct Operand<'a> {
    pub node: Node<'a>,
    pub value: Value,
    pub text: String,
}

/// Reads operands of conditions that are evaluated at `place` for each row, which `variable` names.
pub(super) struct Reader<'a, 'c> {
    pub cx: &'c Context<'a>,
    pub place: Node<'a>,
    pub variable: &'a str,
    /// The expression itself moves, so that evaluating it must not raise. Of what a variable was given before, only the
    /// type is asked.
    pub is_moved: bool,
}

impl<'a> Reader<'a, '_> {
    /// The operand that `node` is; nothing where it may not be evaluated once and for all.
    pub fn operand(&self, node: Node<'a>) -> Option<Operand<'a>> {
        let value = self.value(node.peel(), 0)?;
        Some(Operand { node, value, text: on_one_line(node.peel())? })
    }

    /// A queryset whose rows are asked for once: a name, or a chain whose arguments do not depend on the row.
    pub fn queryset(&self, node: Node<'a>) -> Option<Operand<'a>> {
        let mut at = node.peel();
        loop {
            match Expr::of(at) {
                Expr::Name(name) => {
                    if name == self.variable || self.is_bound_in_place(name) {
                        return None;
                    }
                    self.binding(name)?;
                    break;
                }
                Expr::Call { func, arguments: list } => {
                    for argument in arguments(list) {
                        if argument.stars > 0 || self.operand(argument.value).is_none() {
                            return None;
                        }
                    }
                    at = func.peel();
                }
                Expr::Attribute { value, .. } => at = value.peel(),
                _ => return None,
            }
        }
        let value = Value { is: Vec::new(), may_be_none: false, literal: None };
        Some(Operand { node, value, text: on_one_line(node.peel())? })
    }

    pub(super) fn value(&self, node: Node<'a>, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        if let Some(literal) = literal(node) {
            return Some(literal);
        }
        match Expr::of(node) {
            Expr::List(items) | Expr::Tuple(items) | Expr::Set(items) => {
                let mut all = Value { is: Vec::new(), may_be_none: false, literal: None };
                for item in items.children() {
                    all = all.join(self.value(item.peel(), depth + 1)?);
                }
                let may_be_none = all.may_be_none;
                Some(Value { may_be_none, ..Value::of(Is::Many(all.is)) })
            }
            Expr::Name(name) => self.name(node, name, depth),
            Expr::Attribute { value, attr, .. } => self.attribute(node, value, attr, depth),
            Expr::Call { func, arguments: list } => self.call(func, list, depth),
            Expr::BoolOp { left, op: Kind::Or, right } => {
                let (a, b) = (self.value(left.peel(), depth + 1)?, self.value(right.peel(), depth + 1)?);
                Some(Value { may_be_none: false, ..a }.join(b))
            }
            Expr::BinOp { left, op: Kind::Add | Kind::Sub, right } => {
                let (a, b) = (self.value(left.peel(), depth + 1)?, self.value(right.peel(), depth + 1)?);
                if a.may_be_none || b.may_be_none {
                    return None;
                }
                match (a.is.as_slice(), b.is.as_slice()) {
                    ([moment @ (Is::Date | Is::Moment | Is::AnyMoment | Is::Delta)], [Is::Delta]) => {
                        Some(Value::of(moment.clone()))
                    }
                    ([Is::Int], [Is::Int]) => Some(Value::of(Is::Int)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn name(&self, node: Node<'a>, name: &'a str, depth: usize) -> Option<Value> {
        if name == self.variable || self.is_bound_in_place(name) {
            return None;
        }
        let bound = self.binding(name)?;
        let is_of_module = matches!(bound, Bound::Module);
        let value = match bound {
            Bound::Module => match self.cx.project.program().global(self.cx.file, name)? {
                Def::Variable { file, value: Some(value) } => self.constant(file, value.0, None, 0)?,
                // A variable of the module that is set more than once, or not by one assignment.
                Def::Variable { .. } => of_type(self.cx.type_of(node)),
                _ => return None,
            },
            Bound::Parameter(parameter, index) => self.parameter(node, &parameter, index),
            Bound::Local(assigned) => {
                let known = of_type(self.cx.type_of(node));
                match assigned {
                    Some(value) if known.is.contains(&Is::Unknown) => {
                        let given = Reader { is_moved: false, ..*self };
                        given.value(value.peel(), depth + 1).unwrap_or(known)
                    }
                    _ => known,
                }
            }
        };
        // A list that changes between two rows.
        let is_collection = value.is.iter().any(|is| matches!(is, Is::Many(_) | Is::Unknown | Is::Other));
        if is_collection && (self.may_change(node, name) || self.is_changed_by_others(name, is_of_module)) {
            return None;
        }
        Some(value)
    }

    /// What callers give for a parameter: what its annotation says, as long as no caller gives something else; without
    /// one, what all callers give, if there are any.
    fn parameter(&self, node: Node<'a>, parameter: &Parameter<'a>, index: usize) -> Value {
        let unknown = || Value::of(Is::Unknown);
        let said = of_type(self.cx.type_of(node));
        let is_said = parameter.annotation.is_some() && !said.is.contains(&Is::Unknown);
        let mut given: Option<Value> = None;
        let mut add = |value: Value| {
            given = Some(match given.take() {
                Some(before) => before.join(value),
                None => value,
            });
        };
        for site in call_sites(self.cx) {
            match site.argument(index, parameter.name) {
                Some(argument) => {
                    let facts = site.facts(self.cx);
                    add(literal(argument.peel()).unwrap_or_else(|| of_type(facts.type_of(argument))));
                }
                None => match parameter.default {
                    Some(default) => add(literal(default.peel()).unwrap_or_else(unknown)),
                    None => add(unknown()),
                },
            }
        }
        if is_said {
            let mut said = said;
            if let Some(default) = parameter.default {
                said = said.join(literal(default.peel()).unwrap_or_else(unknown));
            }
            let mut given = given.unwrap_or(Value { is: Vec::new(), may_be_none: false, literal: None });
            given.is.retain(|is| !matches!(is, Is::Unknown));
            return Value { literal: None, ..said.join(given) };
        }
        let is_called_by_others = self.cx.scope().parent().is_some_and(|p| p.kind() == Kind::DecoratedDef)
            || parameters(self.cx.scope()).iter().any(|p| p.name == "request");
        match given {
            Some(given) if !is_called_by_others => {
                let default = parameter.default.map(|d| literal(d.peel()).unwrap_or_else(unknown));
                let all = default.into_iter().fold(given, Value::join);
                Value { literal: None, ..all }
            }
            _ if said.is.is_empty() => unknown(),
            _ if parameter.annotation.is_none() => said.join(unknown()),
            _ => said,
        }
    }

    fn attribute(&self, node: Node<'a>, value: Node<'a>, attr: &'a str, depth: usize) -> Option<Value> {
        if let Some(found) = self.defined(node, 0) {
            return match found {
                (Def::Variable { file, value: Some(value) }, class) => self.constant(file, value.0, class, 0),
                (Def::External(path), _) => self.setting(&path),
                _ => None,
            };
        }
        if let Some(found) = self.member_value(value, attr).or_else(|| self.kept(node, value, attr)) {
            return Some(found);
        }
        // `today.year`
        if matches!(attr, "year" | "month" | "day") {
            let inner = self.value(value.peel(), depth + 1)?;
            let is_date = matches!(inner.is.as_slice(), [Is::Date]);
            return (is_date && !inner.may_be_none).then(|| match attr {
                "year" => Value::literal(Is::Int, Literal::Int(2000)),
                _ => Value::of(Is::Int),
            });
        }
        // A column of another row.
        let Type::Instance(instance) = self.cx.type_of(value) else { return None };
        if !self.is_plain_owner(value) {
            return None;
        }
        let model = self.cx.model(instance.model);
        let is_member = matches!(
            self.cx.project.program().member(model.class, attr),
            Some((_, Member::Function(..) | Member::Class(_)))
        );
        let field = match attr {
            "pk" => model.primary_key()?,
            _ => model
                .field(attr)
                .filter(|f| f.relation.is_none())
                .or_else(|| model.field_by_attname(attr).filter(|f| f.relation.is_some()))?,
        };
        // Whatever this function or its callees do to it between two rows.
        let is_written = self.cx.facts.events().any(|e| match &e.kind {
            EventKind::WriteAttribute { root, name, .. } => {
                (*root == instance.root || *root == Root::Opaque)
                    && [attr, "*", field.name.as_str(), field.attname.as_str()].contains(&&**name)
            }
            EventKind::InstanceMethod { root, name, .. } => {
                *root == instance.root
                    && !matches!(&**name, "full_clean" | "clean")
                    && self.place.contains(e.at)
            }
            _ => false,
        });
        if is_member || is_written || field.has_hooks {
            return None;
        }
        let is = self.kind_of_key(field, 0)?;
        // An instance that is not saved has no key.
        Some(Value { may_be_none: field.null || field.primary_key, ..Value::of(is) })
    }

    fn kind_of_key(&self, field: &crate::django::Field, depth: usize) -> Option<Is> {
        if depth > MAX_DEPTH {
            return None;
        }
        if let Some(relation) = &field.relation {
            let target = self.cx.model(relation.target?);
            let to = match &relation.to_field {
                Some(name) => target.field(name)?,
                None => target.primary_key()?,
            };
            return self.kind_of_key(to, depth + 1);
        }
        match of_type(&crate::infer::kind_type(field.kind)).is.as_slice() {
            [Is::Unknown | Is::Other] | [] => None,
            [only] => Some(only.clone()),
            _ => None,
        }
    }

    /// `book.pk` of an instance that a name holds, whose key nothing changes while the rows are tested.
    pub fn key_of(&self, node: Node<'a>) -> Option<String> {
        let Type::Instance(instance) = self.cx.type_of(node) else { return None };
        let key = self.cx.model(instance.model).primary_key()?;
        let is_changed = self.cx.facts.events().any(|e| match &e.kind {
            EventKind::WriteAttribute { root, name, .. } => {
                (*root == instance.root || *root == Root::Opaque)
                    && ["pk", "*", key.name.as_str(), key.attname.as_str()].contains(&&**name)
            }
            EventKind::InstanceMethod { root, .. } => *root == instance.root && self.place.contains(e.at),
            _ => false,
        });
        let is_plain = self.is_plain_owner(node) && instance.path.is_empty() && !is_changed;
        is_plain.then(|| format!("{}.pk", node.peel().text()))
    }

    /// A name, `self`, or `request.user`: looking at it again gives the same.
    fn is_plain_owner(&self, node: Node<'a>) -> bool {
        match Expr::of(node) {
            Expr::Name(name) => {
                name != self.variable && !self.is_bound_in_place(name) && self.binding(name).is_some()
            }
            Expr::Attribute { value, attr: "user" | "object" | "instance" | "request", .. } => {
                self.is_plain_owner(value)
            }
            _ => false,
        }
    }

    fn call(&self, func: Node<'a>, list: Node<'a>, depth: usize) -> Option<Value> {
        let all = arguments(list);
        if all.iter().any(|a| a.stars > 0) {
            return None;
        }
        if let Some(found) = self.of_request(func, &all, depth) {
            return Some(found);
        }
        let path = match self.defined(func, 0) {
            Some((Def::External(path), _)) => Some(path),
            Some(_) => return None,
            None => match self.cx.type_of(func) {
                Type::Def(Def::External(path)) => Some(path.clone()),
                _ => None,
            },
        };
        if let Some(path) = path {
            let literals: Vec<Option<Value>> = all.iter().map(|a| literal(a.value.peel())).collect();
            return match (path.as_str(), all.len()) {
                _ if !self.is_moved && made_by(&path).is_some() => made_by(&path).map(Value::of),
                ("django.utils.timezone.now", 0) => Some(Value::of(Is::Moment)),
                ("django.utils.timezone.localdate" | "datetime.date.today", 0) => Some(Value::of(Is::Date)),
                ("datetime.datetime.now", 0) => Some(Value::of(Is::AnyMoment)),
                ("datetime.timedelta", _) => {
                    let is_number = |a: &Argument<'a>| {
                        self.value(a.value.peel(), depth + 1).is_some_and(|v| {
                            !v.may_be_none && matches!(v.is.as_slice(), [Is::Int | Is::Float])
                        })
                    };
                    all.iter().all(is_number).then(|| Value::of(Is::Delta))
                }
                ("datetime.date", 3) if is_date(&literals) => Some(Value::of(Is::Date)),
                ("decimal.Decimal", 1) => {
                    let text = match literals.first().cloned().flatten()?.literal? {
                        Literal::Str(text) => text,
                        Literal::Int(n) => n.unsigned_abs().to_string(),
                        _ => return None,
                    };
                    let text = text.strip_prefix('-').unwrap_or(&text);
                    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
                    let is_number =
                        !whole.is_empty() && whole.chars().chain(rest.chars()).all(|c| c.is_ascii_digit());
                    is_number.then(|| Value::literal(Is::Decimal, Literal::Decimal(whole.len(), rest.len())))
                }
                ("builtins.str", 1) => {
                    let of = self.value(all.first()?.value.peel(), depth + 1)?;
                    let is_plain = of.is.iter().all(|is| matches!(is, Is::Int | Is::Str | Is::Uuid));
                    is_plain.then(|| Value::of(Is::Str))
                }
                ("builtins.len", 1) => {
                    let of = self.value(all.first()?.value.peel(), depth + 1)?;
                    let is_sized = of.is.iter().all(|is| matches!(is, Is::Many(_) | Is::Str));
                    (is_sized && !of.is.is_empty()).then(|| Value::of(Is::Int))
                }
                _ => None,
            };
        }
        // `timezone.now().date()`, `term.lower()`
        let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return None };
        if !all.is_empty()
            && (self.is_moved || attr != "replace" || all.iter().any(|a| a.name == Some("tzinfo")))
        {
            return None;
        }
        let of = self.value(value.peel(), depth + 1)?;
        if of.may_be_none {
            return None;
        }
        match (of.is.as_slice(), attr) {
            ([moment @ (Is::Moment | Is::AnyMoment | Is::Date)], "replace") if !self.is_moved => {
                Some(Value::of(moment.clone()))
            }
            ([Is::Moment | Is::AnyMoment], "date") => Some(Value::of(Is::Date)),
            ([Is::Str], "lower" | "upper" | "strip" | "lstrip" | "rstrip" | "title") => {
                Some(Value::of(Is::Str))
            }
            _ => None,
        }
    }
}
