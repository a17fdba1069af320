//! Change a number in the database instead of reading, changing and saving it.

mod find;
mod forms;
mod given;
mod hazards;
mod life;
mod method;
mod model;
mod rewrite;
mod row;

use find::Unit;
use forms::Form;
use hazards::Judged;
use ormend_engine::codemod::guards::{flow, writes};
use ormend_engine::codemod::{
    Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries, Related,
};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct FExpression;

/// The instances whose counters change together: one, or the two of a transfer.
pub struct Match<'a> {
    parts: Vec<Part<'a>>,
}

struct Part<'a> {
    unit: Unit<'a>,
    judged: Judged<'a>,
    form: Option<Form<'a>>,
}

impl Codemod for FExpression {
    type Match<'a> = Match<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "f-expression",
            group: Group::Expressions,
            summary: "Change a number in the database instead of reading, changing and saving it.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::FieldHook,
                HazardKind::UnknownCall,
                HazardKind::UnprovenOperand,
                HazardKind::AssumedInteger,
                HazardKind::HandedIn,
                HazardKind::FieldArithmetic,
                HazardKind::NullableField,
                HazardKind::ValueReadAfterwards,
                HazardKind::OtherUnsavedChanges,
                HazardKind::UnsavedInstance,
                HazardKind::ValidationSkipped,
                HazardKind::StaleValue,
                HazardKind::DecidedBefore,
                HazardKind::SaveSeesExpression,
                HazardKind::SameRow,
                HazardKind::CustomInstance,
                HazardKind::ImportShadowed,
                HazardKind::UnknownType,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::ExprStatement, Kind::Return]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
        if let Some(unit) = given::unit(cx, node) {
            let mut judged = hazards::judge(cx, &unit, &[])?;
            // The instance keeps its number, and a second round writes the same one again.
            judged.seen = None;
            let is_load = |s: Node<'a>| judged.loads.iter().any(|l| l.statement == s);
            if flow::after(node, is_load).iter().any(|n| n.contains(node.id())) {
                let subject = writes::one_line(unit.save.call.text());
                judged.hazards.push(cx.hazard(HazardKind::StaleValue, subject, node));
            }
            let form = forms::choose(cx, &unit, &judged);
            return Some(Match { parts: vec![Part { unit, judged, form }] });
        }
        find::change(cx, node)?;
        let mut units = find::units(cx, node);
        let first = units.iter().position(|u| u.changes.first().is_some_and(|c| c.statement == node))?;
        // Everything that is written across this one, directly or through others.
        let mut group = vec![first];
        let mut next = 0;
        while let Some(index) = group.get(next).copied() {
            next += 1;
            for other in 0..units.len() {
                if !group.contains(&other)
                    && let (Some(a), Some(b)) = (units.get(index), units.get(other))
                    && row::crosses(cx, a, b)
                {
                    group.push(other);
                }
            }
        }
        // The finding stands at the first change.
        if group.iter().any(|i| *i < first) {
            return None;
        }
        group.sort_unstable();
        let mut judged = Vec::new();
        for index in &group {
            judged.push(hazards::judge(cx, units.get(*index)?, &units)?);
        }
        let mut parts = Vec::new();
        for (index, judged) in group.into_iter().rev().zip(judged.into_iter().rev()) {
            let unit = units.remove(index);
            let form = forms::choose(cx, &unit, &judged);
            parts.push(Part { unit, judged, form });
        }
        parts.reverse();
        Some(Match { parts })
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
        let mut all = Vec::new();
        for part in &found.parts {
            all.extend(part.judged.hazards.iter().cloned());
            if part.form.is_none()
                && let Some(seen) = part.judged.seen
            {
                all.push(Hazard::at(HazardKind::ValueReadAfterwards, hazards::attribute(&part.unit), seen));
            }
            all.extend(rewrite::shadowed(cx, part));
        }
        for (i, a) in found.parts.iter().enumerate() {
            for b in found.parts.iter().skip(i + 1) {
                if row::crosses(cx, &a.unit, &b.unit) {
                    all.extend(row::pair(cx, (&a.unit, &a.judged), (&b.unit, &b.judged)));
                }
            }
        }
        // The first obstacle of each kind: those of this file come first, in order of the text.
        all.sort_by_key(|h| (h.site.map(|s| s.file != cx.file), h.site.map(|s| s.span)));
        for hazard in all {
            if !out.iter().any(|h| h.kind == hazard.kind) {
                out.push(hazard);
            }
        }
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Description {
        let mut columns = Vec::new();
        let mut is_sum = true;
        for change in found.parts.iter().flat_map(|p| &p.unit.changes) {
            is_sum &= change.is_sum;
            let column = format!("`{}`", change.column);
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        let verb = if is_sum { "Increment" } else { "Change" };
        let last = columns.pop().unwrap_or_default();
        let names = if columns.is_empty() { last } else { format!("{} and {last}", columns.join(", ")) };
        let related = found
            .parts
            .iter()
            .map(|p| Related {
                site: cx.site(p.unit.save.call),
                message: "the number is saved here".to_owned(),
            })
            .collect();
        let first = found.parts.first().and_then(|p| p.unit.changes.first());
        let gone = found.parts.iter().all(|p| matches!(p.form, Some(Form::Update(_))));
        Description {
            site: cx.site(first.map_or(cx.scope(), |c| c.statement)),
            message: format!("{verb} {names} in the database with `F()`"),
            related,
            queries: Queries {
                before: "2 queries, updates can be lost".to_owned(),
                after: if gone { "1 query" } else { "2 queries, no update is lost" }.to_owned(),
            },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, found)
    }
}
