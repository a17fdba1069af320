//! Filters of templates: what they give, and what they read of the rows that they get.

use super::{Current, Rendering, place};
use crate::django::templates::{Arg as Given, ArgKind, Expr, ExprKind, Language};
use crate::infer::calls::Arg;
use crate::infer::facts::Use;
use crate::infer::frame::Frame;
use crate::infer::types::Type;
use crate::python::Node;
use crate::text::Span;

/// Filters whose value is the value that they get, or a part of it.
const KEEPING: &[&str] =
    &["safe", "slice", "dictsort", "dictsortreversed", "default_if_none", "list", "sort"];

/// Filters of Jinja that read an attribute of each element as soon as they are asked, and those that take the elements of
/// others (`jinja2/filters.py`).
const CONSUMING: &[&str] =
    &["join", "list", "sum", "sort", "min", "max", "groupby", "first", "last", "length", "count"];

/// Whether a filter of Jinja is a generator, which reads nothing before somebody takes its elements.
pub(super) fn is_lazy(name: &str) -> bool {
    matches!(name, "map" | "selectattr" | "rejectattr" | "unique")
}

impl<'a> Frame<'a, '_> {
    /// The attribute that a filter of Jinja reads of each element: `map(attribute="author.name")`.
    pub(super) fn attribute_given(&self, of: Current<'a>, name: &str, args: &'a [Given]) -> Option<&'a str> {
        if of.template.language != Language::Jinja
            || self.az.project.templates().libraries().filter(of.template, name).is_some()
        {
            return None;
        }
        let positional = match name {
            "selectattr" | "rejectattr" | "groupby" | "sum" => Some(0),
            "join" => Some(1),
            "map" | "sort" | "unique" | "min" | "max" => None,
            _ => return None,
        };
        let by_name = args.iter().find(|a| matches!(&a.kind, ArgKind::Keyword(k) if k == "attribute"));
        let by_place = || positional.and_then(|at| args.get(at)).filter(|a| a.kind == ArgKind::Positional);
        match &by_name.or_else(by_place)?.value.kind {
            ExprKind::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The value of what the filter `name` gets: a generator that it takes the elements of reads them for certain.
    pub(super) fn consumed(
        &mut self,
        r: &mut Rendering<'a>,
        of: Current<'a>,
        value: &'a Expr,
        name: &str,
        node: Node<'a>,
    ) -> Type {
        if let ExprKind::Filter { value: inner, name: lazy, args } = &value.kind
            && CONSUMING.contains(&name)
            && is_lazy(lazy)
            && let Some(attribute) = self.attribute_given(of, lazy, args)
        {
            let ty = self.by_attribute(r, of, value, (inner, lazy, attribute), node);
            self.left_out_of(r, lazy, &[], &ty);
            return ty;
        }
        self.value_of(r, of, value, node)
    }

    /// What a filter gives that reads an attribute of each element.
    pub(super) fn by_attribute(
        &mut self,
        r: &mut Rendering<'a>,
        of: Current<'a>,
        expr: &'a Expr,
        (value, name, attribute): (&'a Expr, &str, &str),
        node: Node<'a>,
    ) -> Type {
        let given = self.consumed(r, of, value, "list", node);
        let iterated = given.without_none().clone();
        let element = self.at_site(place(of, expr.span), |frame| frame.iterate(&iterated, node));
        let read = self.each(&iterated, |frame| {
            let mut read = element.clone();
            for part in attribute.split('.').filter(|part| part.parse::<usize>().is_err()) {
                read = frame.attribute_of(of, &read, part, expr.span, node);
            }
            if name == "join" {
                frame.at_site(place(of, expr.span), |frame| frame.stringify(&read, node));
            }
            read
        });
        match name {
            "map" => Type::list(read),
            "join" => Type::Str,
            "sum" => Type::Unknown,
            "min" | "max" => element,
            "groupby" => Type::list(Type::Tuple([read, Type::list(element)].into())),
            _ => Type::list(element),
        }
    }

    /// What a filter gives, and what it reads.
    pub(super) fn filtered(
        &mut self,
        r: &mut Rendering<'a>,
        (of, span): (Current<'a>, Span),
        ty: Type,
        (name, args): (&str, &[Type]),
        node: Node<'a>,
    ) -> Type {
        if let Some(custom) = self.az.project.templates().libraries().filter(of.template, name) {
            let Some(function) = custom.function else {
                self.handed_to_unknown(place(of, span), std::iter::once(&ty).chain(args), node);
                return Type::Unknown;
            };
            let all: Vec<Arg<'a>> = std::iter::once(&ty)
                .chain(args)
                .map(|ty| Arg { name: None, ty: ty.clone(), node, stars: 0 })
                .collect();
            let made = self.at_site(place(of, span), |frame| frame.call_registered(function, &all, node));
            self.left_out_by(r, function, &made);
            return made;
        }
        let queryset = ty.without_none().queryset().cloned();
        self.at_site(place(of, span), |frame| match (name, queryset) {
            ("length" | "count" | "length_is", Some(qs)) => {
                frame.use_queryset(&qs, node, Use::Len);
                frame.evaluated(&qs, node, "all");
                Type::Int
            }
            ("first" | "last", Some(qs)) => {
                frame.use_queryset(&qs, node, Use::Index);
                frame.evaluated(&qs, node, "__getitem__");
                frame.element(&Type::QuerySet(qs), node)
            }
            ("yesno" | "default" | "pluralize", Some(qs)) => {
                frame.use_queryset(&qs, node, Use::Len);
                frame.evaluated(&qs, node, "all");
                if name == "default" {
                    args.first().map_or(Type::Unknown, |other| Type::QuerySet(qs).join(other.clone()))
                } else {
                    Type::Str
                }
            }
            ("slice", Some(qs)) => frame.sliced(Type::QuerySet(qs), node),
            ("dictsort" | "dictsortreversed" | "list" | "sort" | "unique" | "reverse", Some(qs)) => {
                let element = frame.iterate(&Type::QuerySet(qs), node);
                Type::list(element)
            }
            ("join" | "unordered_list" | "random" | "json_script" | "sum" | "tojson", Some(qs)) => {
                let iterated = Type::QuerySet(qs);
                let element = frame.iterate(&iterated, node);
                frame.each(&iterated, |frame| frame.stringify(&element, node));
                Type::Str
            }
            ("first" | "last" | "random", None) => match ty.without_none() {
                Type::List(element) => (**element).clone(),
                _ => Type::Unknown,
            },
            ("join", None) => {
                let element = frame.element(&ty, node);
                frame.each(&ty, |frame| frame.stringify(&element, node));
                Type::Str
            }
            ("default" | "default_if_none" | "d", None) => {
                args.iter().fold(ty.without_none().clone(), |a, b| a.join(b.clone()))
            }
            (name, None) if KEEPING.contains(&name) => ty,
            ("length" | "count", None) => Type::Int,
            (_, Some(qs)) => {
                frame.use_queryset(&qs, node, Use::Other);
                Type::Unknown
            }
            (_, None) => {
                if let Type::Instance(i) = ty.without_none() {
                    let i = i.clone();
                    frame.instance_str(&i, node);
                }
                Type::Str
            }
        })
    }
}
