//! Tags of the project, and imports of macros.

use super::certainty::Values;
use super::{Current, Macro, Rendering, absolute, place};
use crate::django::templates::{Arg as TagArg, ArgKind, CustomKind, Expr, NodeKind, Tag, Target};
use crate::infer::calls::Arg;
use crate::infer::facts::Escape;
use crate::infer::frame::Frame;
use crate::infer::types::Type;
use crate::python::{Expr as Python, Field, FunctionId, Kind, Node, arguments, parameters, string_value};
use crate::text::Site;

/// Tags of Django's that take values; none of them does more with a queryset than to look at its rows.
const OF_DJANGO: &[&str] = &[
    "blocktrans",
    "blocktranslate",
    "cache",
    "cycle",
    "debug",
    "firstof",
    "ifchanged",
    "localtime",
    "language",
    "querystring",
    "static",
    "timezone",
    "trans",
    "translate",
    "url",
    "widthratio",
];

impl<'a> Frame<'a, '_> {
    /// Querysets are given to a tag or filter whose code is not followed.
    pub(super) fn handed_to_unknown<'t>(
        &mut self,
        site: Site,
        given: impl Iterator<Item = &'t Type>,
        node: Node<'a>,
    ) {
        for ty in given.filter(|ty| ty.without_none().queryset().is_some()) {
            self.at_site(site, |frame| frame.escape(ty, node, Escape::UnknownCall));
        }
    }

    pub(super) fn render_custom(
        &mut self,
        r: &mut Rendering<'a>,
        of: Current<'a>,
        tag: &'a Tag,
        node: Node<'a>,
    ) {
        let project = self.az.project;
        let custom = project.templates().libraries().tag(of.template, &tag.name);
        if custom.is_none() && matches!(tag.name.as_str(), "firstof" | "cycle") {
            return self.render_choice(r, of, tag, node);
        }
        let args = self.arguments_in(r, of, &tag.args, node);
        let is_followed = custom.is_some_and(|c| c.function.is_some() && c.kind != CustomKind::Compiled);
        let is_of_django = custom.is_none() && OF_DJANGO.contains(&tag.name.as_str());
        if !is_followed && !is_of_django {
            self.handed_to_unknown(place(of, tag.name_span), args.iter().map(|a| &a.ty), node);
        }
        let Some(custom) = custom else {
            // Of Django's own, and of packages: the arguments are looked at, and the bodies as far as they run.
            for section in &tag.sections {
                self.arguments_in(r, of, &section.args, node);
                self.behind(r, Values::new(), |frame, r| frame.render_body(r, of, &section.body, node));
            }
            if let Some(target) = &tag.as_var {
                r.assign(target, Type::Unknown);
            }
            return;
        };
        let Some(function) = custom.function else { return };
        let mut all = Vec::new();
        if custom.takes_context {
            // Names and their values, which are added to and taken away like those of a dict.
            all.push(Arg { name: None, ty: Type::dict(Type::Str, Type::Unknown), node, stars: 0 });
            let taken: Vec<Type> = self
                .taken_from_context(function)
                .iter()
                .filter_map(|name| r.scopes.iter().rev().find_map(|scope| scope.get(name.as_str())).cloned())
                .collect();
            self.handed_to_unknown(place(of, tag.name_span), taken.iter(), node);
        }
        if custom.kind == CustomKind::SimpleBlock {
            all.push(Arg { name: None, ty: Type::Str, node, stars: 0 });
        }
        all.extend(args);
        match &custom.kind {
            CustomKind::Simple | CustomKind::SimpleBlock => {
                for section in &tag.sections {
                    self.render_body(r, of, &section.body, node);
                }
                let site = place(of, tag.name_span);
                let ty = self.at_site(site, |frame| frame.call_registered(function, &all, node));
                self.left_out_by(r, function, &ty);
                match &tag.as_var {
                    Some(target) => r.assign(target, ty),
                    None => self.at_site(site, |frame| frame.stringify(&ty, node)),
                }
            }
            CustomKind::Inclusion(template) => {
                let site = place(of, tag.name_span);
                let given = self.at_site(site, |frame| frame.call_registered(function, &all, node));
                self.left_out_by(r, function, &given);
                let Some(found) = template.as_deref().and_then(|name| project.template_beside(name, of.file))
                else {
                    return;
                };
                let names = self.context_of(&given);
                let outer = std::mem::take(&mut r.scopes);
                self.scoped(r, names, |frame, r| frame.render_found(r, found.into(), node));
                r.scopes = outer;
            }
            CustomKind::Compiled | CustomKind::Filter | CustomKind::Global => {
                for section in &tag.sections {
                    self.behind(r, Values::new(), |frame, r| frame.render_body(r, of, &section.body, node));
                }
                if let Some(target) = &tag.as_var {
                    r.assign(target, Type::Unknown);
                }
            }
        }
    }

    /// The names that a tag takes out of the context to do more with them than to go over their rows:
    /// `context["books"].only("title")`.
    fn taken_from_context(&self, function: FunctionId) -> Vec<String> {
        let program = self.az.project.program();
        let info = program.function(function);
        let def = program.file(info.file).node(info.node);
        let Some(context) = parameters(def).first().map(|p| p.name) else { return Vec::new() };
        let is_context = |node: Node<'_>| matches!(Python::of(node), Python::Name(name) if name == context);
        let taken = |n: Node<'a>| match Python::of(n) {
            Python::Subscript { value, index, .. } if is_context(value) => string_value(index),
            Python::Call { func, arguments: list } if n.kind() == Kind::Call => match Python::of(func) {
                Python::Attribute { value, attr: "get", .. } if is_context(value) => {
                    arguments(list).first().and_then(|a| string_value(a.value))
                }
                _ => None,
            },
            _ => None,
        };
        let is_gone_over = |n: &Node<'a>| {
            let whole = n.with_parens();
            whole.field() == Field::Right
                && whole.parent().is_some_and(|p| matches!(p.kind(), Kind::For | Kind::CompFor))
        };
        def.descendants().filter(|n| !is_gone_over(n)).filter_map(taken).collect()
    }

    /// One of the arguments is shown: `firstof` asks them for their truth in turn, `cycle` shows another each time.
    fn render_choice(&mut self, r: &mut Rendering<'a>, of: Current<'a>, tag: &'a Tag, node: Node<'a>) {
        for (i, arg) in tag.args.iter().enumerate() {
            let mut show = |frame: &mut Self| {
                let ty = if tag.name == "firstof" {
                    frame.tested(r, of, &arg.value, node)
                } else {
                    frame.value_of(r, of, &arg.value, node)
                };
                let site = place(of, arg.value.span);
                frame.conditionally(|frame| frame.at_site(site, |frame| frame.stringify(&ty, node)));
            };
            if i == 0 && tag.name == "firstof" { show(self) } else { self.conditionally(show) }
        }
        if let Some(target) = &tag.as_var {
            r.assign(target, Type::Str);
        }
    }

    /// The arguments of a tag or a call.
    pub(super) fn arguments_in(
        &mut self,
        r: &mut Rendering<'a>,
        of: Current<'a>,
        args: &'a [TagArg],
        node: Node<'a>,
    ) -> Vec<Arg<'a>> {
        args.iter()
            .map(|arg| {
                let ty = self.value_of(r, of, &arg.value, node);
                let (name, stars) = match &arg.kind {
                    ArgKind::Positional => (None, 0),
                    ArgKind::Keyword(name) => (Some(name.as_str()), 0),
                    ArgKind::Star => (None, 1),
                    ArgKind::DoubleStar => (None, 2),
                };
                Arg { name, ty, node, stars }
            })
            .collect()
    }

    /// `{% import "forms.html" as forms %}`
    pub(super) fn import_macros(
        &mut self,
        r: &mut Rendering<'a>,
        of: Current<'a>,
        template: &Expr,
        module: Option<&str>,
    ) {
        let (Some(name), Some(module)) = (template.as_str(), module) else { return };
        let Some(found) = self.az.project.template_beside(&absolute(of.name, name), of.file) else { return };
        for (name, found) in macros(found.into()) {
            r.macros.insert(format!("{module}.{name}"), found);
        }
    }

    /// `{% from "forms.html" import field as input %}`
    pub(super) fn import_names(
        &mut self,
        r: &mut Rendering<'a>,
        of: Current<'a>,
        template: &Expr,
        names: &[(String, Target)],
    ) {
        let Some(name) = template.as_str() else { return };
        let Some(found) = self.az.project.template_beside(&absolute(of.name, name), of.file) else { return };
        for (name, found) in macros(found.into()) {
            for (_, target) in names.iter().filter(|(wanted, _)| *wanted == name) {
                if let Some(alias) = target.name() {
                    r.macros.insert(alias.to_owned(), found);
                }
            }
        }
    }
}

/// The macros that a template defines.
fn macros(of: Current<'_>) -> Vec<(String, Macro<'_>)> {
    let mut out = Vec::new();
    of.template.walk(&mut |tag| {
        if let NodeKind::Macro { name, params, body } = &tag.kind {
            out.push((name.clone(), Macro { of, params, body }));
        }
    });
    out
}
