//! What is taken of each row, as an expression of Django's.

use ormend_engine::codemod::guards::handlers::external_path;
use ormend_engine::codemod::guards::integer::is_integer;
use ormend_engine::codemod::guards::queryset::link;
use ormend_engine::codemod::rows::column::{column, related_key};
use ormend_engine::codemod::rows::{Shape, hazards::instances};
use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::django::{FieldKind, ModelId, RelationKind};
use ormend_engine::infer::{QuerySet, Trait};
use ormend_engine::python::{Expr, Kind, Member, Node, arguments, string_value};
use ormend_engine::text::Site;
use std::collections::BTreeSet;

/// The most foreign keys on the way to a column.
const MOST_STEPS: usize = 5;

/// Deeper arithmetic is left alone.
const MOST_NESTED: usize = 20;

/// A column that is read of each row.
#[derive(Clone, Debug)]
pub struct Column<'a> {
    /// Where it is read.
    pub node: Node<'a>,
    /// For Django: `product__price`.
    pub path: String,
    /// What it stores.
    pub kind: FieldKind,
    /// The field class is Django's own, without hooks.
    pub is_plain: bool,
    /// The field sets `db_collation`.
    pub is_collated: bool,
    /// A field that may be NULL: its name and where it is declared.
    pub null: Option<(String, Site)>,
    /// Where the field is declared.
    pub site: Option<Site>,
    /// What stands against reading it in the database.
    pub hazards: Vec<Hazard>,
}

/// What arithmetic gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Whole numbers, which are the same everywhere.
    Integer,
    /// Decimals.
    Decimal,
    /// Floats.
    Float,
    /// No number.
    Other,
}

impl Number {
    /// What a column of this kind holds.
    pub fn of(kind: FieldKind) -> Number {
        match kind {
            FieldKind::Integer | FieldKind::Auto => Number::Integer,
            FieldKind::Decimal => Number::Decimal,
            FieldKind::Float => Number::Float,
            _ => Number::Other,
        }
    }
}

/// An expression over the columns of a row.
#[derive(Clone, Debug)]
pub struct Term<'a> {
    /// As it is written.
    pub node: Node<'a>,
    /// Its columns.
    pub columns: Vec<Column<'a>>,
    /// What it gives.
    pub number: Number,
    /// It is one column and nothing else.
    pub is_column: bool,
}

impl<'a> Term<'a> {
    /// Whether NULL in this column leaves the row out.
    pub fn reads(&self, path: &str) -> bool {
        self.columns.iter().any(|c| c.path == path)
    }
}

/// The term that `node` is, for rows of `shape`.
pub fn term<'a>(cx: &Context<'a>, shape: &Shape<'a>, node: Node<'a>) -> Option<Term<'a>> {
    let mut columns = Vec::new();
    let number = arithmetic(cx, shape, node, &mut columns, 0)?;
    if columns.is_empty() || node.text().contains('\n') {
        return None;
    }
    let is_column = columns.first().is_some_and(|c: &Column<'_>| c.node == node.peel());
    Some(Term { node, columns, number, is_column })
}

fn arithmetic<'a>(
    cx: &Context<'a>,
    shape: &Shape<'a>,
    node: Node<'a>,
    columns: &mut Vec<Column<'a>>,
    depth: usize,
) -> Option<Number> {
    if depth > MOST_NESTED {
        return None;
    }
    match Expr::of(node) {
        Expr::Attribute { .. } | Expr::Subscript { .. } => {
            let column = read(cx, shape, node)?;
            let number = Number::of(column.kind);
            columns.push(column);
            (number != Number::Other || depth == 0).then_some(number)
        }
        Expr::Int(_) if depth > 0 => Some(Number::Integer),
        Expr::Name(name) if depth > 0 && name != shape.variable && is_integer(cx, node) => {
            Some(Number::Integer)
        }
        Expr::UnaryOp { op: Kind::Sub, operand } => arithmetic(cx, shape, operand, columns, depth + 1),
        Expr::BinOp { left, op: Kind::Add | Kind::Sub | Kind::Mult, right } => {
            let left = arithmetic(cx, shape, left, columns, depth + 1)?;
            let right = arithmetic(cx, shape, right, columns, depth + 1)?;
            let number = match (left, right) {
                (Number::Integer, Number::Integer) => Number::Integer,
                (Number::Decimal | Number::Integer, Number::Decimal | Number::Integer) => Number::Decimal,
                (Number::Float | Number::Integer, Number::Float | Number::Integer) => Number::Float,
                _ => return None,
            };
            // Before 4.2 Django asks for the type of what is mixed.
            if left != right && cx.options.target_django < (4, 2) {
                return None;
            }
            Some(number)
        }
        _ => None,
    }
}

/// The column that `row.column`, `row.relation.column` or `row["column"]` reads.
pub fn read<'a>(cx: &Context<'a>, shape: &Shape<'a>, node: Node<'a>) -> Option<Column<'a>> {
    let node = node.peel();
    if let Some(keys) = &shape.source.keys {
        let Expr::Subscript { value, index, count: 1 } = Expr::of(node) else { return None };
        let key = string_value(index).filter(|k| keys.contains(k))?;
        return match Expr::of(value) {
            Expr::Name(name) if name == shape.variable => stored(cx, &shape.source.queryset, node, &key),
            _ => None,
        };
    }
    let mut names = Vec::new();
    let mut owner = node;
    while let Expr::Attribute { value, attr, .. } = Expr::of(owner) {
        names.push(attr);
        owner = value.peel();
        if names.len() > MOST_STEPS {
            return None;
        }
    }
    if !matches!(Expr::of(owner), Expr::Name(name) if name == shape.variable) {
        return None;
    }
    names.reverse();
    along(cx, &shape.source.queryset, node, &names)
}

/// The column at the end of `names`, all of which but the last are foreign keys.
fn along<'a>(cx: &Context<'a>, queryset: &QuerySet, node: Node<'a>, names: &[&str]) -> Option<Column<'a>> {
    let (last, steps) = names.split_last()?;
    // `row.author.pk` is a column of the row.
    if let [name] = steps
        && let Some(key) = related_key(cx, queryset, name, last)
    {
        let mut found = stored(cx, queryset, node, &key.name)?;
        found.hazards.extend(key.hazard);
        return Some(found);
    }
    let mut at = queryset.clone();
    let mut path = String::new();
    let mut hazards = Vec::new();
    let mut null = None;
    for name in steps {
        at = step(cx, &at, name, &mut hazards, &mut null)?;
        path.push_str(name);
        path.push_str("__");
    }
    let own = column(cx, &at, last)?;
    let mut found = stored(cx, &at, node, last)?;
    hazards.extend(own.hazard);
    found.path.insert_str(0, &path);
    found.hazards.extend(hazards);
    found.null = null.or(found.null);
    Some(found)
}

/// The rows that the foreign key `name` leads to, read one by one by the code and joined by the database.
fn step(
    cx: &Context<'_>,
    queryset: &QuerySet,
    name: &str,
    hazards: &mut Vec<Hazard>,
    null: &mut Option<(String, Site)>,
) -> Option<QuerySet> {
    let model = cx.model(queryset.model);
    let field = model.field(name)?;
    let relation = field.relation.as_ref()?;
    let is_one = matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne);
    let is_plain = field.class.starts_with("django.db.models") && !relation.parent_link;
    // An instance that somebody has set may hold other values than its row, and so may one that was fetched with a queryset.
    let is_held = queryset.known.contains(name)
        || queryset.prefetched.iter().any(|p| p.split("__").next() == Some(name))
        || queryset.is(Trait::OpaquePrefetch);
    let is_own = matches!(
        cx.project.program().member(model.class, name),
        Some((_, Member::Function(..) | Member::Class(_)))
    );
    if !is_one || !is_plain || is_held || is_own {
        return None;
    }
    let subject = format!("{}.{}", model.name, field.name);
    if field.null && null.is_none() {
        *null = Some((field.name.clone(), field.site));
    }
    if !relation.db_constraint || !model.is_managed {
        hazards.push(Hazard::at(HazardKind::NoConstraint, subject, field.site));
    }
    let target = cx.model(relation.target?);
    if target.has_unknown_base || relation.to_field.is_some() {
        return None;
    }
    if target.base_manager_name.is_some() {
        hazards.push(Hazard::at(HazardKind::RelatedBaseManager, target.name.clone(), target.site));
    }
    let rows = QuerySet {
        model: target.id,
        annotations: BTreeSet::new(),
        known: BTreeSet::new(),
        prefetched: BTreeSet::new(),
        deferred: BTreeSet::new(),
        traits: BTreeSet::new(),
        ..queryset.clone()
    };
    instances(cx, &rows, hazards);
    Some(rows)
}

/// The stored column `name` of a queryset's rows, or what an annotation of that name counts.
pub fn stored<'a>(cx: &Context<'a>, queryset: &QuerySet, node: Node<'a>, name: &str) -> Option<Column<'a>> {
    let model = cx.model(queryset.model);
    let plain = Column {
        node,
        path: name.to_owned(),
        kind: FieldKind::Integer,
        is_plain: true,
        is_collated: false,
        null: None,
        site: None,
        hazards: Vec::new(),
    };
    if queryset.annotations.contains(name) {
        // Of what else is computed neither type nor NULL is known.
        let kind = if is_count(cx, queryset, name) { FieldKind::Integer } else { FieldKind::Json };
        return Some(Column { kind, is_plain: kind == FieldKind::Integer, ..plain });
    }
    let field = match name {
        "pk" => model.primary_key()?,
        _ => model.field(name).or_else(|| model.field_by_attname(name))?,
    };
    if field.relation.is_some() && field.name == name {
        return None;
    }
    let kind = match &field.relation {
        Some(_) => FieldKind::ForeignKey,
        None => field.kind,
    };
    let declared = cx.project.program().file(field.site.file).source.slice(field.site.span);
    Some(Column {
        kind,
        is_plain: !field.has_hooks,
        is_collated: declared.contains("db_collation"),
        null: field.null.then(|| (field.name.clone(), field.site)),
        site: Some(field.site),
        ..plain
    })
}

/// Whether the annotation is `name=Count(...)`.
fn is_count(cx: &Context<'_>, queryset: &QuerySet, name: &str) -> bool {
    let given = |node: Node<'_>| {
        let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
        let Expr::Attribute { attr: "annotate", .. } = Expr::of(func) else { return None };
        arguments(list).into_iter().find(|a| a.name == Some(name)).map(|a| a.value.id())
    };
    let Some(value) = link(cx, queryset, |node| given(node).is_some()).and_then(given) else { return false };
    let Expr::Call { func, .. } = Expr::of(cx.node(value)) else { return false };
    external_path(cx, func).is_some_and(|p| p.starts_with("django.db.models") && p.ends_with(".Count"))
}

/// The model of the rows.
pub fn model(shape: &Shape<'_>) -> ModelId {
    shape.source.queryset.model
}
