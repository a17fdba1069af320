//! Insert the rows that a loop creates with one statement a batch.

mod find;
mod held;
mod obstacles;
mod rewrite;
mod uses;
mod values;

use find::{How, Loop, loop_at};
use ormend_engine::codemod::guards::writes;
use ormend_engine::codemod::{
    Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Outcome, Queries, naming,
};
use ormend_engine::python::{Expr, Kind, Node, innermost_loop};

/// The codemod.
pub struct BulkCreate;

/// What the pattern matcher binds.
pub struct Match<'a> {
    found: Loop<'a>,
    hazards: Vec<Hazard>,
}

const HAZARDS: &[HazardKind] = &[
    HazardKind::CustomSave,
    HazardKind::SaveReceiver,
    HazardKind::CustomManagerMethod,
    HazardKind::MultiTableParent,
    HazardKind::PrimaryKeyNeeded,
    HazardKind::InstanceUsedAfterwards,
    HazardKind::ReadsItsOwnWrites,
    HazardKind::ExistingRow,
    HazardKind::SharedValue,
    HazardKind::InterleavedWrites,
    HazardKind::OutsideEffect,
    HazardKind::UnknownCall,
    HazardKind::HandlerAround,
    HazardKind::EarlyExit,
    HazardKind::FieldHook,
    HazardKind::ValueMayDiffer,
    HazardKind::OtherDatabase,
    HazardKind::TransactionInside,
    HazardKind::UnknownType,
    HazardKind::ImportShadowed,
];

impl Codemod for BulkCreate {
    type Match<'a> = Match<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "bulk-create",
            group: Group::BulkWrites,
            summary: "Insert the rows that a loop creates with one statement a batch.",
            docs: include_str!("README.md"),
            hazards: HAZARDS,
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::For, Kind::While, Kind::ListComp, Kind::DictComp]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
        loop_at(cx, node)?;
        if matches!(node.kind(), Kind::ListComp | Kind::DictComp) {
            return judged(cx, node);
        }
        if node.kind() == Kind::While {
            let is_within = node
                .ancestors()
                .any(|a| a.kind() == Kind::For && a.enclosing_scope() == node.enclosing_scope());
            return if is_within { None } else { judged(cx, node) };
        }
        // Nested loops are decided together, from the outermost one.
        let outermost = node
            .ancestors()
            .filter(|a| a.kind() == Kind::For && a.enclosing_scope() == node.enclosing_scope())
            .last()
            .unwrap_or(node);
        select(cx, outermost, 0).into_iter().find(|m| m.found.node == node)
    }

    fn hazards<'a>(&self, _cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
        out.extend(found.hazards.iter().cloned());
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Description {
        let rows = &found.found.rows;
        let at = rows.first().map(|r| r.call).or(found.found.upserts.first().copied());
        let mut names: Vec<String> = obstacles::models(&found.found)
            .into_iter()
            .map(|model| format!("`{}`", cx.model(model).name))
            .collect();
        if names.is_empty() {
            names.extend(found.found.upserts.iter().filter_map(|call| upserted(cx, *call)));
            names.dedup();
        }
        let message = match names.as_slice() {
            [only] => format!("Create the {only} rows with one `bulk_create`"),
            [first @ .., last] => {
                format!("Create the {} and {last} rows with one `bulk_create` each", first.join(", "))
            }
            [] => "Create the rows with one `bulk_create`".to_owned(),
        };
        let size = cx.options.batch_size;
        Description {
            site: cx.site(at.unwrap_or(found.found.node)),
            message,
            related: Vec::new(),
            queries: Queries { before: "N inserts".to_owned(), after: format!("N/{size} inserts") },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, &found.found)
    }
}

fn upserted(cx: &Context<'_>, call: Node<'_>) -> Option<String> {
    let Expr::Call { func, .. } = Expr::of(call) else { return None };
    let Expr::Attribute { value, .. } = Expr::of(func) else { return None };
    match cx.type_of(value) {
        ormend_engine::infer::Type::Manager(m) => Some(format!("`{}`", cx.model(m.model).name)),
        ormend_engine::infer::Type::QuerySet(q) => Some(format!("`{}`", cx.model(q.model).name)),
        _ => None,
    }
}

/// The loops around which the lists stand: the outermost that nothing hinders.
fn select<'a>(cx: &Context<'a>, node: Node<'a>, depth: usize) -> Vec<Match<'a>> {
    if depth > 8 {
        return Vec::new();
    }
    let own = judged(cx, node);
    if own.as_ref().is_some_and(|m| Outcome::of(&m.hazards) == Outcome::Safe) {
        return own.into_iter().collect();
    }
    let inner: Vec<Match<'a>> =
        inner_loops(node).into_iter().flat_map(|l| select(cx, l, depth + 1)).collect();
    let Some(own) = own else { return inner };
    let best = |matches: &[Match<'a>]| matches.iter().map(|m| Outcome::of(&m.hazards)).min();
    let has_own_rows = own
        .found
        .rows
        .iter()
        .map(|r| r.call)
        .chain(own.found.upserts.iter().copied())
        .any(|call| innermost_loop(call).is_none_or(|l| l == node || l.kind() == Kind::While));
    match (best(&inner), Outcome::of(&own.hazards)) {
        (Some(better), outcome) if better < outcome => {
            let mut out = inner;
            if has_own_rows {
                out.push(own);
            }
            out
        }
        (Some(_), _) if !has_own_rows => inner,
        _ => vec![own],
    }
}

/// The `for` statements directly below `node`, other loops between not counted.
fn inner_loops<'a>(node: Node<'a>) -> Vec<Node<'a>> {
    let scope = node.enclosing_scope();
    node.descendants()
        .skip(1)
        .filter(|n| n.kind() == Kind::For && n.enclosing_scope() == scope)
        .filter(|n| n.ancestors().find(|a| a.kind() == Kind::For) == Some(node))
        .collect()
}

fn judged<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let found = loop_at(cx, node)?;
    let mut hazards = Vec::new();
    if found.rows.is_empty() {
        for call in &found.upserts {
            if let Expr::Call { func, .. } = Expr::of(*call) {
                hazards.push(cx.hazard(HazardKind::ReadsItsOwnWrites, writes::one_line(func.text()), *call));
            }
        }
        return Some(Match { found, hazards });
    }
    let uses = uses::uses(cx, &found);
    hazards.extend(uses.hazards.iter().cloned());
    for (index, row) in found.rows.iter().enumerate() {
        let family = if obstacles::is_open_class(&found, index) {
            cx.project.family(row.model)
        } else {
            vec![row.model]
        };
        for model in family {
            if row.is_async
                && let Some(site) = cx.project.override_of(model, "asave")
            {
                hazards.push(Hazard::at(HazardKind::CustomSave, cx.model(model).name.clone(), site));
            }
            writes::saving(cx, model, &mut hazards);
            writes::table_parents(cx, model, &mut hazards);
        }
        match &row.how {
            How::Create { name, manager_class, .. } => {
                let methods: &[&str] = match row.is_async {
                    true => &["create", "acreate", "bulk_create", "abulk_create"],
                    false => &["create", "bulk_create"],
                };
                writes::manager_methods(
                    cx,
                    row.model,
                    name.as_deref(),
                    *manager_class,
                    methods,
                    &mut hazards,
                );
            }
            How::Save { .. } => {
                let methods: &[&str] =
                    if row.is_async { &["bulk_create", "abulk_create"] } else { &["bulk_create"] };
                let name = naming::manager_name(cx, row.model);
                let class = ormend_engine::infer::QuerySetClass::Plain;
                writes::manager_methods(cx, row.model, Some(&name), class, methods, &mut hazards);
            }
        }
    }
    values::values(cx, &found, &mut hazards);
    obstacles::between(cx, &found, &uses, &mut hazards);
    rewrite::naming(cx, &found, &mut hazards);
    let mut unique: Vec<Hazard> = Vec::new();
    for hazard in hazards {
        if !unique.contains(&hazard) {
            unique.push(hazard);
        }
    }
    Some(Match { found, hazards: unique })
}
