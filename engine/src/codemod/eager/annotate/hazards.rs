//! What makes a count that comes with the rows another number than one that is asked for each row, or gives other rows.

use super::super::{
    class_place, conditions, descriptors, guards, narrowed, other_models, place, prefetch, region, routers,
    seen, shape,
};
use super::reader::What;
use super::rewrite::rewrite;
use super::settings;
use super::{Annotation, Counting};
use super::{chained, later};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::lists::listed;
use crate::django::{Model, ModelId, RelationKind};
use crate::infer::{EntryKind, EventKind, QuerySet, Root, Trait, ValueId};
use crate::python::{Expr, Kind, Member, Node, arguments, string_value};
use crate::text::Site;

/// Hazards of the annotations of `found`.
pub(super) fn hazards(cx: &Context<'_>, found: &Counting, out: &mut Vec<Hazard>) {
    let group = &found.group;
    let steps = group.steps();
    if let Some(place) = &group.class_place {
        class_place::hazards(cx, place, group.load, out);
        shape::custom(cx, &place.queryset, group.load, out);
        state(cx, found, None, &place.queryset, out);
    }
    place::hazards(cx, group, out);
    other_models::hazards(cx, group, out);
    if !found.foreign.is_empty() {
        out.extend(found.foreign.iter().cloned());
        return;
    }
    shape::hazards(cx, group, out);
    narrowed::hazards(cx, group, out);
    routers::routed(cx.project, &steps, out);
    descriptors::own(cx.project, &steps, out);
    region::hazards(cx, group, out);
    prefetch::cloned(cx, group, out);
    looked_at(cx, found, out);
    multiplied(cx, found, out);
    for (index, annotation) in found.annotations.iter().enumerate() {
        related(cx, annotation, out);
        condition(cx, found, annotation, out);
        let mut readers = found.readers.iter().filter(|r| r.annotation == index);
        if !annotation.is_certain && !readers.any(|r| chained::is_reached(cx, r.file, r.whole)) {
            out.push(Hazard::at(
                HazardKind::RarelyCounted,
                annotation.step.attribute.clone(),
                annotation.site,
            ));
        }
    }
    for target in &group.targets {
        if let Some(queryset) = cx.value(*target).and_then(|v| v.queryset.clone()) {
            state(cx, found, Some(*target), &queryset, out);
        }
    }
    later::hazards(cx, found, out);
}

/// Whether numbers of joined rows would be wrong, lose the order or cost too much, and those of subqueries would not.
pub(super) fn ask_for_subqueries(cx: &Context<'_>, found: &mut Counting) -> bool {
    let is_of_joins = |h: &Hazard| {
        matches!(h.kind, HazardKind::MultipliedRows | HazardKind::QuerySetShape | HazardKind::LostOrder)
    };
    let mut joined = Vec::new();
    hazards(cx, found, &mut joined);
    if !joined.iter().any(is_of_joins) {
        return false;
    }
    found.is_apart = true;
    let mut apart = Vec::new();
    hazards(cx, found, &mut apart);
    let can_be_written = rewrite(cx, found).is_ok();
    found.is_apart = false;
    can_be_written && !apart.iter().any(is_of_joins)
}

/// Relations that are joined and counted together, at most; the database goes over every combination of their rows.
const MOST_JOINED: usize = 2;

/// Each relation that is counted is a join more.
fn multiplied(cx: &Context<'_>, found: &Counting, out: &mut Vec<Hazard>) {
    let mut joined: Vec<&str> =
        found.annotations.iter().filter(|a| a.what == What::Count).map(|a| a.step.lookup.as_str()).collect();
    joined.sort();
    joined.dedup();
    let there = found.group.targets.iter().filter_map(|t| cx.value(*t)?.queryset.clone());
    let there = there.map(|q| q.annotations.len()).max().unwrap_or(0);
    if let Some(last) = found.annotations.last()
        && found.is_grouped()
        && joined.len() > 1
        && joined.len() + there > MOST_JOINED
    {
        out.push(Hazard::at(HazardKind::MultipliedRows, joined.join("`, `"), last.site));
    }
}

/// Code that looks at all attributes of a row sees the annotation.
fn looked_at(cx: &Context<'_>, found: &Counting, out: &mut Vec<Hazard>) {
    if let Some(model) = found.annotations.first().map(|a| a.step.from) {
        out.extend(seen::by_own_methods(cx, model, false));
        let escapes = cx.facts.events().any(|event| {
            matches!(&event.kind, EventKind::InstanceEscapes { root: Root::Row(v), path, .. }
                if path.is_empty() && found.group.rows.contains(v))
        });
        if escapes {
            out.extend(seen::by_encoders(cx));
        }
    }
    seen::opened_rows(cx, &|v| found.group.rows.contains(v), out);
}

/// The rows of the relation, as a join sees them.
fn related(cx: &Context<'_>, annotation: &Annotation, out: &mut Vec<Hazard>) {
    let step = &annotation.step;
    let target = cx.model(step.to);
    managed(cx, target, out);
    let from = cx.model(step.from);
    if from.has_unknown_base {
        out.push(Hazard::at(HazardKind::UnknownBase, from.name.clone(), from.site));
    }
    let field = from.field(&step.attribute).or_else(|| {
        let reverse = from.reverse(&step.attribute)?;
        cx.model(reverse.source).field(&reverse.field)
    });
    let relation = field.and_then(|f| f.relation.as_ref());
    if let (Some(field), true) = (field, relation.is_some_and(|r| step.is_linked && !r.db_constraint)) {
        out.push(Hazard::at(HazardKind::NoConstraint, format!("{}.{}", from.name, field.name), field.site));
    }
    if let Some(through) = step.through.map(|m| cx.model(m)) {
        managed(cx, through, out);
        if annotation.what == What::Count && !links_once(through, step.from, step.to) {
            out.push(Hazard::at(HazardKind::RepeatedLink, through.name.clone(), through.site));
        }
    }
}

/// The related manager asks the default manager, a join asks nobody.
fn managed(cx: &Context<'_>, model: &Model, out: &mut Vec<Hazard>) {
    if cx.project.is_plain_manager(model.id, &model.default_manager) {
        return;
    }
    let site = model.manager(&model.default_manager).and_then(|m| m.site).unwrap_or(model.site);
    out.push(Hazard::at(
        HazardKind::RelatedManager,
        format!("{}.{}", model.name, model.default_manager),
        site,
    ));
}

/// Whether a constraint keeps two links between the same rows apart.
fn links_once(through: &Model, from: ModelId, to: ModelId) -> bool {
    let points = |name: &String, at: ModelId| {
        through.field(name).and_then(|f| f.relation.as_ref()).is_some_and(|r| {
            matches!(r.kind, RelationKind::ForeignKey | RelationKind::OneToOne) && r.target == Some(at)
        })
    };
    through.unique.iter().any(|names| match names.as_slice() {
        [a, b] => points(a, from) && points(b, to) || points(a, to) && points(b, from),
        _ => false,
    })
}

/// The lookups of a filter before the count become part of the annotation, which is made once.
fn condition(cx: &Context<'_>, found: &Counting, annotation: &Annotation, out: &mut Vec<Hazard>) {
    let Some(condition) = annotation.condition else { return };
    conditions::hazards(cx, &found.group, annotation.step.to, condition.file, &condition.arguments(cx), out);
}

/// The state of the queryset where the annotation is added; `target` is nothing where there is none yet.
fn state(
    cx: &Context<'_>,
    found: &Counting,
    target: Option<ValueId>,
    queryset: &QuerySet,
    out: &mut Vec<Hazard>,
) {
    let at = |names: &[&str]| match target {
        Some(target) => shape::made_by(cx, target, names),
        None => cx.site(cx.scope()),
    };
    let mut refuse = |property: Trait, names: &[&str]| {
        if queryset.is(property) {
            let site = target.and_then(|t| introduced(cx, t, property, 0)).unwrap_or_else(|| at(names));
            let name = match guards::called_name(cx.project, site) {
                name if names.contains(&name.as_str()) => name,
                _ => names.first().unwrap_or(&"").to_string(),
            };
            out.push(Hazard::at(HazardKind::QuerySetShape, format!("{name}()"), site));
        }
    };
    refuse(Trait::Raw, &["raw"]);
    // A lock may have to wait, and what is counted with the rows is from before
    // (https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED).
    refuse(Trait::Locked, &["select_for_update"]);
    refuse(Trait::LockedOf, &["select_for_update"]);
    if !found.is_grouped() {
        return;
    }
    refuse(Trait::ToMany, &["filter", "order_by", "annotate", "extra", "complex_filter"]);
    refuse(Trait::OpaqueLookup, &["filter", "order_by", "complex_filter"]);
    refuse(Trait::DistinctOn, &["distinct"]);
    refuse(Trait::Grouped, &["annotate"]);
    refuse(Trait::RawSql, &["extra", "annotate", "filter", "order_by"]);
    refuse(Trait::FilteredRelation, &["annotate", "alias"]);
    if queryset.is(Trait::Annotated) {
        annotated(cx, target, queryset, out);
    }
    if let Some(hazard) = lost_order(cx, found, queryset, at(&["reverse"])) {
        out.push(hazard);
    }
}

/// The call in this frame that gave a queryset the property.
fn introduced(cx: &Context<'_>, value: ValueId, property: Trait, depth: usize) -> Option<Site> {
    let has = |v: &ValueId| cx.value(*v).and_then(|v| v.queryset.as_deref()).is_some_and(|q| q.is(property));
    let info = cx.value(value).filter(|_| depth < 30)?;
    match info.parent.iter().chain(&info.alternatives).find(|v| has(v)) {
        Some(earlier) => introduced(cx, *earlier, property, depth + 1),
        None => place::origin(cx, value).map(|n| cx.site(cx.node(n))),
    }
}

/// Annotations that are there already: a join more multiplies what they add up.
fn annotated(cx: &Context<'_>, target: Option<ValueId>, queryset: &QuerySet, out: &mut Vec<Hazard>) {
    let mut known: Vec<&str> = Vec::new();
    let mut bad = None;
    if let Some(target) = target {
        shape::chain(cx, target, 0, &mut |node, attr| {
            let Expr::Call { arguments: list, .. } = Expr::of(node) else { return None::<()> };
            if matches!(attr, "annotate" | "alias") {
                for argument in arguments(list) {
                    known.extend(argument.name);
                    if !keeps_value(argument.value) {
                        bad = bad.or(Some(node));
                    }
                }
            }
            None
        });
    }
    let is_known = queryset.annotations.iter().all(|a| known.contains(&&**a));
    if bad.is_some() || !is_known {
        let site = match (bad, target) {
            (Some(node), _) => cx.site(node),
            (None, Some(target)) => shape::made_by(cx, target, &["annotate", "alias"]),
            (None, None) => cx.site(cx.scope()),
        };
        out.push(Hazard::at(HazardKind::QuerySetShape, "annotate()", site));
    }
}

/// Whether an expression has the same value when rows of another relation are joined: no aggregate but those that look at
/// different values alone.
fn keeps_value(value: Node<'_>) -> bool {
    const PLAIN: &[&str] = &[
        "F",
        "Q",
        "Value",
        "Case",
        "When",
        "Exists",
        "Subquery",
        "OuterRef",
        "Coalesce",
        "Concat",
        "Lower",
        "Upper",
        "Length",
        "Now",
        "ExpressionWrapper",
        "Cast",
        "Greatest",
        "Least",
        "Max",
        "Min",
        "TruncDate",
        "TruncMonth",
        "TruncYear",
        "ExtractYear",
        "ExtractMonth",
        "NullIf",
        "Trim",
        "Left",
        "Right",
        "Substr",
        "BooleanField",
        "CharField",
        "IntegerField",
        "DateField",
        "DateTimeField",
        "DecimalField",
        "FloatField",
    ];
    value.descendants().filter(|n| n.kind() == Kind::Call).all(|call| {
        let Expr::Call { func, arguments: list } = Expr::of(call) else { return false };
        let name = func.text().rsplit('.').next().unwrap_or_default();
        // What stands in a subquery is a query of its own.
        let is_in_subquery = call.ancestors().take_while(|a| a.id() != value.id()).any(|a| {
            matches!(Expr::of(a), Expr::Call { func, .. } if a.kind() == Kind::Call
                && matches!(func.text().rsplit('.').next(), Some("Exists" | "Subquery")))
        }) || matches!(Expr::of(value), Expr::Call { func, .. }
            if call.id() != value.peel().id()
                && matches!(func.text().rsplit('.').next(), Some("Exists" | "Subquery")));
        let is_distinct = name == "Count"
            && arguments(list).iter().any(|a| a.name == Some("distinct") && a.value.text() == "True");
        is_in_subquery || is_distinct || PLAIN.contains(&name)
    })
}

/// The order of the model is left out of a query that groups; what can be written out is.
pub(super) fn order(cx: &Context<'_>, found: &Counting, queryset: &QuerySet) -> Option<Vec<String>> {
    let is_explicit =
        queryset.is(Trait::Ordered) || queryset.is(Trait::Unordered) || is_ordered_by_admin(cx, found);
    let model = cx.model(queryset.model);
    (!is_explicit && !model.ordering.is_empty()).then(|| model.ordering.clone())
}

/// Whether a class of the admin orders its rows itself. A changelist always does, by what the model says if need be
/// (django/contrib/admin/views/main.py, `ChangeList.get_ordering`), and an order of the queryset would come between.
fn is_ordered_by_admin(cx: &Context<'_>, found: &Counting) -> bool {
    let program = cx.project.program();
    found.group.remote.iter().filter_map(|r| r.shown_by).any(|class| {
        let entries = cx.analyzer.entries().iter().filter(|e| e.class == Some(class));
        let has_own = || {
            ["ordering", "get_ordering"].iter().any(|name| {
                let owner = program.member(class, name).map(|(owner, _)| owner);
                owner.is_some_and(|owner| !cx.project.is_known_file(program.class(owner).file))
            })
        };
        entries
            .into_iter()
            .any(|e| e.kind == EntryKind::Changelist || e.kind == EntryKind::Inline && has_own())
    })
}

/// Where a class of the admin gives its rows to something else than the changelist: a field that completes names, or
/// a method of its own. There nobody orders them.
fn unordered_use(cx: &Context<'_>, found: &Counting) -> Option<Site> {
    let program = cx.project.program();
    let class = found.group.remote.iter().find_map(|r| r.shown_by)?;
    let has_own_order = ["ordering", "get_ordering"].iter().any(|n| program.member(class, n).is_some());
    if has_own_order || !is_ordered_by_admin(cx, found) {
        return None;
    }
    let completes = || !cx.analyzer.files_mentioning("autocomplete_fields").is_empty();
    if let Some((owner, Member::Value(fields))) = program.member(class, "search_fields")
        && completes()
    {
        let file = program.class(owner).file;
        return Some(Site { file, span: program.file(file).node(*fields).span() });
    }
    program.class(class).mro.iter().filter(|c| !cx.project.is_known_file(program.class(**c).file)).find_map(
        |c| {
            program.class(*c).members.iter().find_map(|(name, member)| {
                let Member::Function(function, _) = member else { return None };
                let info = program.function(*function);
                let def = program.file(info.file).node(info.node);
                (name != "get_queryset" && def.text().contains("get_queryset("))
                    .then(|| program.name_site(info.file, info.node))
            })
        },
    )
}

/// Where a class of the admin orders its rows by those of a relation: the order shares the join with the count, and
/// splits its groups.
fn ordered_by_many(cx: &Context<'_>, found: &Counting, model: ModelId) -> Option<Site> {
    let program = cx.project.program();
    let class = found.group.remote.iter().find_map(|r| r.shown_by)?;
    if let Some((owner, Member::Function(function, _))) = program.member(class, "get_ordering")
        && !cx.project.is_known_file(program.class(owner).file)
    {
        let info = program.function(*function);
        let def = program.file(info.file).node(info.node);
        let paths = def.descendants().filter(|n| n.kind() == Kind::Str).filter_map(string_value);
        if paths.into_iter().any(|path| settings::goes_to_many(cx, model, &path)) {
            return Some(program.name_site(info.file, info.node));
        }
    }
    let (_, _, items) = listed(program, class, "ordering")?;
    items.into_iter().find_map(|(file, node)| {
        let node = program.file(file).node(node);
        let path = string_value(node)?;
        settings::goes_to_many(cx, model, &path).then(|| Site { file, span: node.span() })
    })
}

fn lost_order(cx: &Context<'_>, found: &Counting, queryset: &QuerySet, reversed: Site) -> Option<Hazard> {
    let model = cx.model(queryset.model);
    let is_ordered =
        !model.ordering.is_empty() || model.has_unknown_ordering || model.order_with_respect_to.is_some();
    let subject = format!("{}.Meta.ordering", model.name);
    if is_ordered && let Some(site) = unordered_use(cx, found) {
        return Some(Hazard::at(HazardKind::LostOrder, subject, site));
    }
    if let Some(site) = ordered_by_many(cx, found, queryset.model) {
        return Some(Hazard::at(HazardKind::LostOrder, subject, site));
    }
    // Without an order of the model there is none to lose, but what is cut cannot be ordered.
    if queryset.is(Trait::OrderedSometimes) && is_ordered {
        return Some(Hazard::at(HazardKind::LostOrder, subject, reversed));
    }
    if queryset.is(Trait::Reversed) && is_ordered {
        return Some(Hazard::at(HazardKind::LostOrder, subject, reversed));
    }
    if queryset.is(Trait::Ordered) || queryset.is(Trait::Unordered) || is_ordered_by_admin(cx, found) {
        return None;
    }
    let is_plain = |name: &String| is_column_path(cx, queryset.model, name.trim_start_matches('-'));
    let is_lost = model.has_unknown_ordering
        || model.order_with_respect_to.is_some()
        || !model.ordering.iter().all(is_plain);
    is_lost.then(|| Hazard::at(HazardKind::LostOrder, subject, model.site))
}

/// Whether a path leads over foreign keys to a column.
fn is_column_path(cx: &Context<'_>, mut model: ModelId, path: &str) -> bool {
    for part in path.split("__") {
        let info = cx.model(model);
        let Some(field) = info.field(part).or_else(|| info.field_by_attname(part)) else {
            return part == "pk";
        };
        let Some(relation) = &field.relation else { continue };
        if !matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne) {
            return false;
        }
        // The order of the model at the end counts, too.
        let Some(target) = relation.target else { return false };
        model = target;
        let ends_here = path.ends_with(part);
        if ends_here && !cx.model(model).ordering.iter().all(|o| !o.contains("__")) {
            return false;
        }
    }
    true
}
