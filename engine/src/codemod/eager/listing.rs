//! The list action of a viewset alone: where the other actions get one object of the same queryset, a prefetch in
//! `get_queryset()` under `if self.action == "list":` costs none of them a query.
//!
//! `ViewSetMixin.initialize_request()` sets `action` before anything asks for the queryset (rest_framework/viewsets.py).

use super::class_place::last_attribute;
use super::guards;
use super::reads::{Group, Load};
use crate::codemod::{Context, Fix, Hazard, HazardKind};
use crate::infer::{Entry, EntryKind, Source, Trait, Type};
use crate::python::emit::{indentation, quote_of, statement, string_literal};
use crate::python::{ClassId, Def, Expr, Field, FunctionId, Kind, Node, parameters};
use crate::text::{Edit, Span};

/// Handlers that the framework calls for another action than `list`.
const OTHER_ACTIONS: &[&str] = &["retrieve", "create", "update", "partial_update", "destroy"];

/// What the queryset of the action is called, where the method has no name for it.
const NAME: &str = "queryset";

/// Where the condition is written.
enum Place<'a> {
    /// Before the only `return` of the `get_queryset()` that is there, with the name of its receiver.
    Return(Node<'a>, &'a str),
    /// In a `get_queryset()` that the class has not yet.
    Class(Node<'a>),
}

/// Leave out what is no hazard where the rows of the list action alone get the prefetch.
pub(super) fn without_other_actions(cx: &Context<'_>, group: &Group, hazards: &mut Vec<Hazard>) {
    let Some((entry, _)) = place(cx, group) else { return };
    let name = entry.name(cx.project.program());
    hazards.retain(|hazard| {
        let is_of_class =
            hazard.site == entry.single_objects.as_ref().map(|s| s.site) && hazard.subject == name;
        hazard.kind != HazardKind::LoadedWithout
            || !(is_of_class || entry.class.is_some_and(|class| is_in_other_action(cx, class, hazard)))
    });
}

/// Whether the rows of the list action alone get the prefetch.
pub(super) fn is_left_to_list(cx: &Context<'_>, group: &Group) -> bool {
    place(cx, group).is_some()
}

/// The edit, where the group has such a place.
pub(super) fn rewrite(cx: &Context<'_>, group: &Group) -> Option<Fix> {
    let (_, place) = place(cx, group)?;
    let file = cx.project.program().file(cx.file);
    let quote = quote_of(file);
    let names: Vec<String> = group.lookups().iter().map(|l| string_literal(l, quote)).collect();
    let (newline, unit) = (file.source.newline().as_str(), file.source.indent_unit());
    let list = string_literal("list", quote);
    // The condition, with the prefetch in it.
    let under = |receiver: &str, name: &str, indent: &str| {
        let call = format!("{name} = {name}.{}({})", Load::Prefetch.method(), names.join(", "));
        let inner = statement(file, &call, &format!("{indent}{unit}"), cx.options.line_length);
        format!("{indent}if {receiver}.action == {list}:{newline}{inner}{newline}")
    };
    let edits = match place {
        Place::Return(returned, receiver) => {
            let value = returned.children().next()?.with_parens();
            let indent = indentation(file, returned);
            if let Expr::Name(name) = Expr::of(value) {
                let text = under(receiver, name, indent);
                let text = format!("{}{newline}{indent}", text.trim_start().trim_end());
                vec![Edit::insert(returned.span().start, text)]
            } else {
                let text = format!("{newline}{}{indent}return {NAME}", under(receiver, NAME, indent));
                let keyword = Span::new(returned.span().start, value.span().start);
                vec![Edit::replace(keyword, format!("{NAME} = ")), Edit::insert(returned.span().end, text)]
            }
        }
        Place::Class(class) => {
            let body = class.child(Field::Body)?;
            let (first, last) = (body.children().next()?, body.children().last()?);
            let outer = indentation(file, first);
            let indent = format!("{outer}{unit}");
            let head =
                format!("{outer}def get_queryset(self):{newline}{indent}{NAME} = super().get_queryset()");
            let text = format!(
                "{newline}{newline}{head}{newline}{}{indent}return {NAME}",
                under("self", NAME, &indent)
            );
            let after = last_attribute(body).unwrap_or(last).span().end;
            // Behind the comment at the end of its line.
            let rest = file.source.text().get(after as usize..)?.lines().next().unwrap_or("");
            let comment = if rest.trim_start().starts_with('#') { rest.trim_end().len() as u32 } else { 0 };
            vec![Edit::insert(after + comment, text)]
        }
    };
    Some(cx.fix(edits))
}

/// The entry whose list action is all that reads the relations of the group, and where to ask for them.
fn place<'a>(cx: &Context<'a>, group: &Group) -> Option<(&'a Entry, Place<'a>)> {
    if group.load != Load::Prefetch || group.class_place.is_some() || !group.reads.is_empty() {
        return None;
    }
    let class = group.remote.first()?.shown_by?;
    let program = cx.project.program();
    let entry = cx
        .analyzer
        .entries_from(cx.file)
        .find(|e| e.class == Some(class) && e.kind == EntryKind::ListAction)?;
    let info = program.class(class);
    let is_viewset = info.external_bases.iter().any(|base| base.starts_with("rest_framework.viewsets."));
    if !is_viewset
        || entry.single_objects.is_none()
        || entry.unknown_base.is_some()
        || group.remote.iter().any(|read| read.shown_by != Some(class))
        // A class below may have other rows, and an object that is made by hand has no action.
        || program.descendants(class).into_iter().any(|below| below != class)
        || !cx.analyzer.call_sites().of(&info.name).is_empty()
        || info.file != cx.file
        || is_action_its_own(cx, class)
    {
        return None;
    }
    let node = program.file(info.file).node(info.node);
    let place = match entry.source {
        Source::Function(function) => {
            let own = program.function(function);
            if own.class != Some(class) || !own.decorators.is_empty() || own.is_generator || own.is_async {
                return None;
            }
            returned(cx, program.file(own.file).node(own.node))?
        }
        Source::Expression(_, value) => {
            let is_block = node.child(Field::Body)?.text().contains('\n');
            if !node.contains(value) || !is_block || program.member(class, "get_queryset").is_some() {
                return None;
            }
            Place::Class(node)
        }
        Source::Model(..) | Source::Above(..) => return None,
    };
    Some((entry, place))
}

/// The only `return` of the method, which ends it and gives a queryset.
fn returned<'a>(cx: &Context<'a>, def: Node<'a>) -> Option<Place<'a>> {
    let receiver = parameters(def).first()?.name;
    let last = def.child(Field::Body)?.children().filter(|s| s.kind() != Kind::Comment).last()?;
    if last.kind() != Kind::Return || def.descendants().filter(|n| n.kind() == Kind::Return).count() > 1 {
        return None;
    }
    let value = last.children().next()?;
    let Type::QuerySet(queryset) = cx.type_of(value) else { return None };
    let is_free = !def.has_name(NAME);
    let file = cx.project.program().file(cx.file);
    let line = file.source.line_text(file.source.line_index(last.span().start));
    // Nothing else stands on its lines.
    let rest = file.source.text().get(last.span().end as usize..)?.lines().next().unwrap_or("");
    let stands_alone = line.trim_start().starts_with("return") && rest.trim().is_empty();
    let is_plain = ![Trait::Combined, Trait::Raw].iter().any(|t| queryset.is(*t));
    let is_named = matches!(Expr::of(value), Expr::Name(_));
    (stands_alone && is_plain && (is_named || is_free)).then_some(Place::Return(last, receiver))
}

/// Whether the class, or one above it, gives `action` another meaning.
fn is_action_its_own(cx: &Context<'_>, class: ClassId) -> bool {
    let program = cx.project.program();
    program.class(class).mro.iter().filter(|c| !cx.project.is_known_file(program.class(**c).file)).any(
        |above| {
            let info = program.class(*above);
            let body = program.file(info.file).node(info.node);
            let is_assigned = |n: Node<'_>| {
                n.kind() == Kind::Attribute
                    && n.is_binding()
                    && matches!(Expr::of(n), Expr::Attribute { attr: "action" | "action_map", .. })
            };
            info.members.contains_key("action")
                || ["initialize_request", "dispatch"].iter().any(|name| info.members.contains_key(*name))
                || body.descendants().any(is_assigned)
        },
    )
}

/// Whether the rows are loaded in a handler that runs for another action.
fn is_in_other_action(cx: &Context<'_>, class: ClassId, hazard: &Hazard) -> bool {
    let Some(site) = hazard.site else { return false };
    let def = guards::node_at(cx.project, site).and_then(Node::enclosing_function);
    let function = def.and_then(|def| cx.project.program().function_at(site.file, def.id()));
    function.is_some_and(|function| is_other_action(cx, class, function))
}

/// Whether a method of a view, its own or that of a class above it, runs for another action alone.
pub(super) fn is_other_action(cx: &Context<'_>, class: ClassId, function: FunctionId) -> bool {
    let program = cx.project.program();
    let info = program.function(function);
    if !info.class.is_some_and(|owner| program.class(class).mro.contains(&owner)) {
        return false;
    }
    // The framework's `list()` asks for no object.
    if info.name == "get_object" {
        return program.member(class, "list").is_none();
    }
    let is_action = |decorator: &Option<Def>| matches!(decorator, Some(Def::External(path)) if path == "rest_framework.decorators.action");
    (OTHER_ACTIONS.contains(&info.name.as_str()) || info.decorators.iter().any(is_action))
        && info.name != "list"
        && cx
            .analyzer
            .call_sites()
            .of(&info.name)
            .iter()
            .all(|call| ![cx.file, info.file].contains(&call.file))
}
