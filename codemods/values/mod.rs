//! Read dictionaries of columns instead of whole rows.

use ormend_engine::codemod::naming::imported;
use ormend_engine::codemod::rows::dicts::{Plan, plan};
use ormend_engine::codemod::rows::emit::{
    collected, filled_with, lost_comment, on_lines, projected, quote_at,
};
use ormend_engine::codemod::rows::filling::filling_loop;
use ormend_engine::codemod::rows::hazards::{reading, shadowed};
use ormend_engine::codemod::rows::place::{is_consumed, needs_no_collection};
use ormend_engine::codemod::rows::{Collects, Shape, comprehension};
use ormend_engine::codemod::{Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries};
use ormend_engine::python::emit::string_literal;
use ormend_engine::python::{Kind, Node};
use ormend_engine::text::Edit;

/// The codemod.
pub struct Values;

/// What the pattern matcher binds.
pub struct Match<'a> {
    shape: Shape<'a>,
    plan: Plan,
}

impl Codemod for Values {
    type Match<'a> = Match<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "values",
            group: Group::Projection,
            summary: "Read dictionaries of columns instead of whole rows.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::NullableField,
                HazardKind::MayBeLoaded,
                HazardKind::ResultCacheUsed,
                HazardKind::QuerySetEscapes,
                HazardKind::CustomQuerySet,
                HazardKind::QuerySetShape,
                HazardKind::NoConstraint,
                HazardKind::NotAColumn,
                HazardKind::CustomInstance,
                HazardKind::HandlerAround,
                HazardKind::CommentLost,
                HazardKind::ImportShadowed,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::ListComp, Kind::GeneratorExp, Kind::For]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
        let shape = match node.kind() {
            Kind::For => filling_loop(cx, node)?,
            _ => comprehension(cx, node)?,
        };
        // A generator that leaves is read by whoever gets it, when he wants.
        if shape.collects == Collects::Generator && !is_consumed(cx, node) {
            return None;
        }
        // Inside f-strings that use both quotes there is none left for the column.
        quote_at(cx, node)?;
        let plan = plan(cx, &shape)?;
        Some(Match { shape, plan })
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
        reading(cx, &found.shape, &found.plan.columns, out);
        if needs_list(cx, &found.shape)
            && let Some(site) = shadowed(cx, found.shape.node, "list")
        {
            out.push(cx.hazard(HazardKind::ImportShadowed, "list", site));
        }
        if let Some(comment) = lost_comment(&found.shape) {
            out.push(cx.hazard(HazardKind::CommentLost, "", comment));
        }
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Description {
        let paths = found.plan.names.iter().chain(found.plan.aliases.iter().map(|(_, path)| path));
        let names: Vec<String> = paths.map(|name| format!("`{name}`")).collect();
        let listed = match names.as_slice() {
            [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
            _ => names.join(", "),
        };
        let columns =
            if names.len() == 1 { "1 column".to_owned() } else { format!("{} columns", names.len()) };
        let before = if found.plan.follows { "1 + N queries" } else { "1 query, whole rows" };
        Description {
            site: cx.site(found.shape.node),
            message: format!("Read {listed} with `values`"),
            related: Vec::new(),
            queries: Queries { before: before.to_owned(), after: format!("1 query, {columns}") },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
        let shape = &found.shape;
        let quote = quote_at(cx, shape.node).unwrap_or('"');
        let mut imports = Vec::new();
        let mut arguments: Vec<String> = found.plan.names.iter().map(|n| string_literal(n, quote)).collect();
        for (key, path) in &found.plan.aliases {
            let (f, request) = imported(cx, shape.node, "django.db.models", "F")?;
            imports.extend(request);
            arguments.push(format!("{key}={f}({})", string_literal(path, quote)));
        }
        imports.dedup();
        let call = format!("values({})", arguments.join(", "));
        let callee = if needs_list(cx, shape) { "list" } else { "" };
        let edit = match shape.filling {
            None => Edit::replace(shape.node.span(), collected(cx, shape, &call, callee)),
            Some(filling) => {
                let rows = projected(shape, &call);
                let lines = if callee.is_empty() { None } else { on_lines(cx, shape, &call, callee, true) };
                filled_with(shape, filling, &lines.unwrap_or_else(|| format!("list({rows})")), &rows)
            }
        };
        let mut fix = cx.fix(vec![edit]);
        fix.imports = imports;
        // The keys, the queryset's definition and the other readers were looked at.
        fix.reads.push(cx.site(shape.source.iter));
        Ok(fix)
    }
}

/// Whether the new text calls `list`.
fn needs_list(cx: &Context<'_>, shape: &Shape<'_>) -> bool {
    match shape.filling {
        Some(filling) => filling.init.is_some(),
        None => !needs_no_collection(cx, shape),
    }
}
