//! Expressions of templates.

use super::filters::is_lazy;
use super::{Current, Names, Rendering, place};
use crate::django::templates::{Expr, ExprKind, Language, Operator};
use crate::infer::calls::{Arg, is_of_rows};
use crate::infer::facts::Use;
use crate::infer::frame::Frame;
use crate::infer::types::{Name, Type};
use crate::python::{Def, Node};
use crate::text::Span;

impl<'a> Frame<'a, '_> {
    /// What an expression is; what evaluating it reads is recorded at its place.
    pub(super) fn value_of(
        &mut self,
        r: &mut Rendering<'a>,
        of: Current<'a>,
        expr: &'a Expr,
        node: Node<'a>,
    ) -> Type {
        match &expr.kind {
            ExprKind::Name(name) => {
                let found = r.scopes.iter().rev().find_map(|scope| scope.get(name.as_str()));
                let ty = found.cloned().unwrap_or(Type::Unknown);
                self.called(of, ty, expr.span, node)
            }
            ExprKind::Attribute { value, name } => {
                if name == "super" && matches!(&value.kind, ExprKind::Name(n) if n == "block") {
                    self.render_super(r, node);
                    return Type::Str;
                }
                let owner = self.value_of(r, of, value, node);
                let ty = self.attribute_of(of, &owner, name, expr.span, node);
                self.left_out_by_member(r, (&owner, name), &ty);
                ty
            }
            ExprKind::Item { value, index } => {
                let owner = self.value_of(r, of, value, node);
                match &index.kind {
                    ExprKind::Str(name) => self.attribute_of(of, &owner, name, expr.span, node),
                    ExprKind::Int(i) => {
                        let at = usize::try_from(*i).ok();
                        self.at_site(place(of, expr.span), |frame| frame.item_of(&owner, at, node))
                    }
                    _ => {
                        self.value_of(r, of, index, node);
                        match owner.without_none() {
                            Type::Dict(dict) => dict.1.clone(),
                            other => {
                                let other = other.clone();
                                self.at_site(place(of, expr.span), |frame| frame.item_of(&other, None, node))
                            }
                        }
                    }
                }
            }
            ExprKind::Slice { value, bounds } => {
                let owner = self.value_of(r, of, value, node);
                for bound in bounds {
                    self.value_of(r, of, bound, node);
                }
                self.left_out_by_slice(r, &owner);
                self.at_site(place(of, expr.span), |frame| frame.sliced(owner, node))
            }
            ExprKind::Call { func, args } => self.call_in_template(r, of, expr, (func, args), node),
            ExprKind::Filter { value, name, args } => {
                if let Some(attribute) = self.attribute_given(of, name, args) {
                    let given = (&**value, name.as_str(), attribute);
                    let ty = match is_lazy(name) {
                        true => self.conditionally(|frame| frame.by_attribute(r, of, expr, given, node)),
                        false => self.by_attribute(r, of, expr, given, node),
                    };
                    self.left_out_of(r, name, &[], &ty);
                    return ty;
                }
                let ty = self.consumed(r, of, value, name, node);
                let types: Vec<Type> = args.iter().map(|a| self.value_of(r, of, &a.value, node)).collect();
                self.left_out_of(r, name, args, &ty);
                self.filtered(r, (of, expr.span), ty, (name, &types), node)
            }
            ExprKind::Test { value, name, args } => {
                let ty = self.value_of(r, of, value, node);
                for arg in args {
                    self.value_of(r, of, &arg.value, node);
                }
                // Only those that look at the rows.
                if matches!(name.as_str(), "iterable" | "sequence" | "in") {
                    self.at_site(place(of, expr.span), |frame| frame.iterate(&ty, node));
                }
                Type::Bool
            }
            ExprKind::Not(operand) => {
                self.tested(r, of, operand, node);
                Type::Bool
            }
            ExprKind::Sign(operand) => self.value_of(r, of, operand, node),
            ExprKind::Binary { op, left, right } => self.binary(r, of, *op, (left, right), node),
            ExprKind::Conditional { test, body, orelse } => {
                self.tested(r, of, test, node);
                let a = self.conditionally(|frame| frame.value_of(r, of, body, node));
                match orelse {
                    Some(orelse) => a.join(self.conditionally(|frame| frame.value_of(r, of, orelse, node))),
                    None => a,
                }
            }
            ExprKind::List(items) => {
                let types = items.iter().map(|i| self.value_of(r, of, i, node));
                Type::list(types.fold(Type::Never, Type::join))
            }
            ExprKind::Tuple(items) => {
                let types: Vec<Type> = items.iter().map(|i| self.value_of(r, of, i, node)).collect();
                Type::Tuple(types.into())
            }
            ExprKind::Dict(pairs) => {
                for (key, value) in pairs {
                    self.value_of(r, of, key, node);
                    self.value_of(r, of, value, node);
                }
                Type::dict(Type::Unknown, Type::Unknown)
            }
            ExprKind::Str(_) | ExprKind::Body => Type::Str,
            ExprKind::Int(_) => Type::Int,
            ExprKind::Float(_) => Type::Float,
            ExprKind::Bool(_) => Type::Bool,
            ExprKind::None => Type::None,
            ExprKind::Unknown(parts) => {
                for part in parts {
                    self.value_of(r, of, part, node);
                }
                Type::Unknown
            }
        }
    }

    fn binary(
        &mut self,
        r: &mut Rendering<'a>,
        of: Current<'a>,
        op: Operator,
        (left, right): (&'a Expr, &'a Expr),
        node: Node<'a>,
    ) -> Type {
        match op {
            Operator::And | Operator::Or => {
                let a = self.tested(r, of, left, node);
                let b = self.conditionally(|frame| frame.tested(r, of, right, node));
                a.join(b)
            }
            Operator::In | Operator::NotIn => {
                self.value_of(r, of, left, node);
                let container = self.value_of(r, of, right, node);
                self.at_site(place(of, right.span), |frame| {
                    for alternative in container.alternatives() {
                        if let Type::QuerySet(qs) = alternative {
                            let qs = qs.clone();
                            frame.use_queryset(&qs, node, Use::Contains);
                            frame.evaluated(&qs, node, "all");
                        }
                    }
                });
                Type::Bool
            }
            Operator::Concat => {
                for operand in [left, right] {
                    let ty = self.value_of(r, of, operand, node);
                    self.at_site(place(of, operand.span), |frame| frame.stringify(&ty, node));
                }
                Type::Str
            }
            _ => {
                self.value_of(r, of, left, node);
                self.value_of(r, of, right, node);
                Type::Unknown
            }
        }
    }

    /// `owner.name`: a key, else an attribute; in Django's language what can be called is called.
    pub(super) fn attribute_of(
        &mut self,
        of: Current<'a>,
        owner: &Type,
        name: &str,
        span: Span,
        node: Node<'a>,
    ) -> Type {
        let ty = match owner.without_none() {
            Type::Dict(dict) => match dict.2.get(name) {
                Some((ty, ..)) => ty.clone(),
                None if matches!(name, "items" | "keys" | "values") => {
                    let element = match name {
                        "items" => Type::Tuple(vec![dict.0.clone(), dict.1.clone()].into()),
                        "keys" => dict.0.clone(),
                        _ => dict.1.clone(),
                    };
                    return Type::iterator(element);
                }
                None => dict.1.clone(),
            },
            other => {
                let other = other.clone();
                self.at_site(place(of, span), |frame| frame.attribute(&other, name, node))
            }
        };
        match of.template.language {
            Language::Django => self.called(of, ty, span, node),
            Language::Jinja => ty,
        }
    }

    /// Django calls what can be called without arguments.
    fn called(&mut self, of: Current<'a>, ty: Type, span: Span, node: Node<'a>) -> Type {
        if of.template.language != Language::Django {
            return ty;
        }
        match &ty {
            Type::Bound(_, name) if is_of_rows(name) => ty,
            Type::Bound(..) | Type::Def(Def::Function(_)) | Type::Local(_) => {
                self.at_site(place(of, span), |frame| frame.call_value(&ty, &[], node, node))
            }
            _ => ty,
        }
    }

    fn item_of(&mut self, owner: &Type, at: Option<usize>, node: Node<'a>) -> Type {
        match owner.without_none() {
            Type::QuerySet(qs) => {
                let qs = qs.clone();
                self.use_queryset(&qs, node, Use::Index);
                self.evaluated(&qs, node, "__getitem__");
                self.element(&Type::QuerySet(qs), node)
            }
            Type::Tuple(types) => at.and_then(|i| types.get(i)).cloned().unwrap_or(Type::Unknown),
            Type::List(element) => (**element).clone(),
            Type::Dict(dict) => dict.1.clone(),
            _ => Type::Unknown,
        }
    }

    pub(super) fn sliced(&mut self, ty: Type, node: Node<'a>) -> Type {
        match &ty {
            Type::QuerySet(qs) => {
                let qs = qs.clone();
                self.use_queryset(&qs, node, Use::Slice);
                self.derive(&qs, node, |q| {
                    q.traits.insert(crate::infer::types::Trait::Sliced);
                })
            }
            _ => ty,
        }
    }

    fn call_in_template(
        &mut self,
        r: &mut Rendering<'a>,
        of: Current<'a>,
        expr: &'a Expr,
        (func, args): (&'a Expr, &'a [crate::django::templates::Arg]),
        node: Node<'a>,
    ) -> Type {
        let given = self.arguments_in(r, of, args, node);
        match &func.kind {
            ExprKind::Name(name) if name == "super" => {
                self.render_super(r, node);
                Type::Str
            }
            ExprKind::Name(name) if r.macros.contains_key(name) => {
                self.call_macro(r, name.clone(), &given, node);
                Type::Str
            }
            ExprKind::Attribute { value, name } => {
                let module = match &value.kind {
                    ExprKind::Name(module) => Some(format!("{module}.{name}")),
                    _ => None,
                };
                if let Some(key) = module.filter(|key| r.macros.contains_key(key)) {
                    self.call_macro(r, key, &given, node);
                    return Type::Str;
                }
                let owner = self.value_of(r, of, value, node);
                match owner.without_none() {
                    Type::Unknown | Type::None | Type::Never => Type::Unknown,
                    known => {
                        let known = known.clone();
                        let ty = self.at_site(place(of, expr.span), |frame| {
                            frame.method_call(&known, name, &given, node, node)
                        });
                        self.left_out_by_member(r, (&known, name), &ty);
                        ty
                    }
                }
            }
            ExprKind::Name(name) => {
                let found = r.scopes.iter().rev().find_map(|scope| scope.get(name.as_str())).cloned();
                let global = || self.az.project.templates().libraries().global(name)?.function;
                let ty = found.or_else(|| global().map(|f| Type::Def(Def::Function(f))));
                match ty {
                    Some(ty @ (Type::Bound(..) | Type::Def(Def::Function(_)) | Type::Local(_))) => {
                        let made = self
                            .at_site(place(of, expr.span), |frame| frame.call_value(&ty, &given, node, node));
                        match &ty {
                            Type::Def(Def::Function(function)) => self.left_out_by(r, *function, &made),
                            Type::Bound(owner, name) => self.left_out_by_member(r, (owner, name), &made),
                            _ => self.left_out_by_slice(r, &made),
                        }
                        made
                    }
                    _ => Type::Unknown,
                }
            }
            _ => Type::Unknown,
        }
    }

    fn call_macro(&mut self, r: &mut Rendering<'a>, key: String, args: &[Arg<'a>], node: Node<'a>) {
        let Some(found) = r.macros.get(&key).copied() else { return };
        if r.depth >= super::MAX_DEPTH {
            return;
        }
        let mut names = Names::default();
        let positional: Vec<&Arg<'a>> = args.iter().filter(|a| a.name.is_none() && a.stars == 0).collect();
        for (i, param) in found.params.iter().enumerate() {
            let named = args.iter().find(|a| a.name == Some(param.name.as_str()));
            if let Some(arg) = named.or(positional.get(i).copied()) {
                names.insert(Name::from(param.name.as_str()), arg.ty.clone());
            }
        }
        r.depth += 1;
        let outer = std::mem::take(&mut r.scopes);
        self.scoped(r, names, |frame, r| frame.render_body(r, found.of, found.body, node));
        r.scopes = outer;
        r.depth -= 1;
    }
}
