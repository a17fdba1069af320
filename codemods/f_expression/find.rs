//! The shape: changes of integer columns of one instance, and the `save()` that writes them.

use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::flow;
use ormend_engine::codemod::guards::instance::Subject;
use ormend_engine::codemod::guards::loads::Changed;
use ormend_engine::django::{Field, FieldKind, ModelId};
use ormend_engine::infer::{Root, Type};
use ormend_engine::python::{Def, Expr, Kind, Node, Stmt, arguments, string_value};

/// One change of a column: `x.n += k`, `x.n = x.n + k`.
#[derive(Clone)]
pub struct Change<'a> {
    /// The statement.
    pub statement: Node<'a>,
    /// `x.n`, where it is assigned.
    pub target: Node<'a>,
    /// `x`
    pub owner: Node<'a>,
    /// `n`
    pub column: &'a str,
    /// What is known of it.
    pub field: &'a Field,
    /// How it is written.
    pub form: Form<'a>,
    /// What the column is added to, taken from or multiplied by.
    pub operands: Vec<Node<'a>>,
    /// Every step is an addition.
    pub is_sum: bool,
    /// `x.n or 0`: None counts as nothing.
    pub has_default: bool,
    /// `max` and `min`, where they are called around the sum, with Django's name for it.
    pub functions: Vec<(Node<'a>, &'static str)>,
}

/// How a change is written.
#[derive(Clone)]
pub enum Form<'a> {
    /// `x.n += value`
    Augmented { operator: Kind, value: Node<'a> },
    /// `x.n = value`, with the places in `value` that read the column.
    Assigned { value: Node<'a>, reads: Vec<Node<'a>> },
}

/// The `save()` that writes the changes.
#[derive(Clone)]
pub struct Save<'a> {
    /// The statement.
    pub statement: Node<'a>,
    /// The call.
    pub call: Node<'a>,
    /// `await x.asave()`
    pub is_async: bool,
    /// The names in `update_fields`, where it is given.
    pub update_fields: Option<Vec<String>>,
}

/// One instance with its changes and their `save()`.
pub struct Unit<'a> {
    /// The model.
    pub model: ModelId,
    /// The function.
    pub scope: Node<'a>,
    /// The instance as it is written: `book`, `review.book`.
    pub owner: Node<'a>,
    /// The variable, where it is one.
    pub subject: Option<Subject<'a>>,
    /// In order of the text; never empty.
    pub changes: Vec<Change<'a>>,
    /// What writes them.
    pub save: Save<'a>,
    /// It is `Model.objects.filter(pk=x.pk).update(n=x.n + k)`, and the instance does not change.
    pub is_update: bool,
}

impl<'a> Unit<'a> {
    /// The instance and its changes, for the search of its loads.
    pub fn changed(&self) -> Changed<'_, 'a> {
        Changed {
            scope: self.scope,
            owner: self.owner,
            subject: self.subject.as_ref(),
            changes: self.changes.iter().map(|c| c.statement).collect(),
            columns: self.columns(),
        }
    }

    /// The columns that change, in order, each once.
    pub fn columns(&self) -> Vec<&'a str> {
        let mut out = Vec::new();
        for change in &self.changes {
            if !out.contains(&change.column) {
                out.push(change.column);
            }
        }
        out
    }
}

/// The changes and saves of the function that holds `statement`, grouped by instance and `save()`.
pub fn units<'a>(cx: &Context<'a>, statement: Node<'a>) -> Vec<Unit<'a>> {
    // `book.view_count += 1` at the top of a module: others may import `book`.
    let Some(scope) = statement.enclosing_function() else { return Vec::new() };
    let changes: Vec<Change<'a>> = scope
        .descendants()
        .filter(|n| n.kind() == Kind::ExprStatement && n.enclosing_scope() == Some(scope))
        .filter_map(|n| change(cx, n))
        .collect();
    let mut out: Vec<Unit<'a>> = Vec::new();
    for change in changes {
        let Some(save) = save_of(scope, &change) else { continue };
        let same = out.iter_mut().find(|u| u.owner.text() == change.owner.text() && u.save.call == save.call);
        if let Some(unit) = same {
            unit.changes.push(change);
            continue;
        }
        let Some(instance) = cx.type_of(change.owner).instance() else { continue };
        out.push(Unit {
            model: instance.model,
            scope,
            owner: change.owner,
            subject: Subject::of(cx, scope, change.owner),
            changes: vec![change],
            save,
            is_update: false,
        });
    }
    out
}

/// The change that a statement makes.
pub fn change<'a>(cx: &Context<'a>, statement: Node<'a>) -> Option<Change<'a>> {
    let (target, form) = match Stmt::of(statement) {
        Stmt::AugAssign { target, op, value } => {
            // `x.n //= 2`, `x.n %= 7`: Python's rounding and signs are not the database's.
            if !matches!(op, Kind::AddAssign | Kind::SubAssign | Kind::MultAssign) {
                return None;
            }
            (target, Form::Augmented { operator: op, value })
        }
        Stmt::Assign { targets, value: Some(value), annotation: None } => {
            let [target] = targets.as_slice() else { return None };
            (*target, Form::Assigned { value, reads: Vec::new() })
        }
        _ => return None,
    };
    let target = target.peel();
    let Expr::Attribute { value: owner, attr: column, .. } = Expr::of(target) else { return None };
    let instance = cx.type_of(owner).instance()?;
    // `for book in books: book.n += 1`: one statement for all rows is the better form.
    if matches!(instance.root, Root::Row(_)) && instance.path.is_empty() {
        return None;
    }
    let field = cx.model(instance.model).field(column)?;
    // `x.title += "!"`, `x.author_id += 1`, `x.pk += 1`: no numbers.
    if field.relation.is_some() || field.primary_key || !is_number(field.kind) {
        return None;
    }
    let mut change = Change {
        statement,
        target,
        owner: owner.peel(),
        column,
        field,
        form: form.clone(),
        operands: Vec::new(),
        is_sum: true,
        has_default: false,
        functions: Vec::new(),
    };
    match form {
        Form::Augmented { operator, value } => {
            change.is_sum = operator == Kind::AddAssign;
            change.operands.push(value);
        }
        Form::Assigned { value, .. } => {
            let mut reads = Vec::new();
            collect(cx, &mut change, value, &mut reads, 0)?;
            // `x.n = 0`, `x.n = y.n + 1`: not a change of the column itself.
            if reads.is_empty() || reads.iter().any(|r| *r == value.peel()) {
                return None;
            }
            change.form = Form::Assigned { value, reads };
        }
    }
    Some(change)
}

/// Whether a column of this kind holds something that can be added to.
pub fn is_number(kind: FieldKind) -> bool {
    matches!(
        kind,
        FieldKind::Integer
            | FieldKind::Decimal
            | FieldKind::Float
            | FieldKind::Date
            | FieldKind::DateTime
            | FieldKind::Time
            | FieldKind::Duration
    )
}

/// Take `value` apart: sums, differences and products of the column and of operands.
pub fn collect<'a>(
    cx: &Context<'a>,
    change: &mut Change<'a>,
    value: Node<'a>,
    reads: &mut Vec<Node<'a>>,
    depth: usize,
) -> Option<()> {
    let target = change.target.text();
    let is_column = |node: Node<'a>| node.kind() == Kind::Attribute && node.text() == target;
    if depth > 20 {
        return None;
    }
    let node = value.peel();
    if is_column(node) {
        reads.push(node);
        return Some(());
    }
    // `x.n or 0`
    if let Expr::BoolOp { left, op: Kind::Or, right } = Expr::of(node)
        && is_column(left.peel())
        && matches!(Expr::of(right), Expr::Int("0"))
    {
        change.has_default = true;
        reads.push(node.with_parens());
        return Some(());
    }
    if !node.descendants().any(is_column) {
        change.operands.push(node);
        return Some(());
    }
    match Expr::of(node) {
        Expr::BinOp { left, op: op @ (Kind::Add | Kind::Sub | Kind::Mult), right } => {
            change.is_sum &= op == Kind::Add;
            collect(cx, change, left, reads, depth + 1)?;
            collect(cx, change, right, reads, depth + 1)
        }
        // `max(x.n - 1, 0)`
        Expr::Call { func, arguments: list } => {
            let function = bound(cx, change, func)?;
            let args = arguments(list);
            let [first, second] = args.as_slice() else { return None };
            // Django mixes no types of columns, and a difference has that of a plain integer.
            let is_sum = |n: Node<'a>| matches!(Expr::of(n), Expr::BinOp { .. });
            let sums = [first, second].into_iter().filter(|a| a.value.descendants().any(is_column));
            if args.iter().any(|a| a.name.is_some() || a.stars > 0)
                || sums.clone().count() != 1
                || !sums.clone().all(|a| is_sum(a.value))
            {
                return None;
            }
            change.is_sum = false;
            change.functions.push((func, function));
            collect(cx, change, first.value, reads, depth + 1)?;
            collect(cx, change, second.value, reads, depth + 1)
        }
        // `x.n // 2`
        _ => None,
    }
}

/// `Greatest` for `max`, `Least` for `min`. MySQL raises where an unsigned column goes below zero on the way.
fn bound<'a>(cx: &Context<'a>, change: &Change<'a>, func: Node<'a>) -> Option<&'static str> {
    let Type::Def(Def::External(path)) = cx.type_of(func) else { return None };
    let name = match path.as_str() {
        "builtins.max" => "Greatest",
        "builtins.min" => "Least",
        _ => return None,
    };
    let engines = &cx.project.settings().database_engines;
    let is_signed = |engine: &String| {
        ["sqlite3", "postgresql", "postgis", "spatialite"].iter().any(|e| engine.ends_with(e))
    };
    let may_be_unsigned = change.field.class.contains("Positive");
    (!may_be_unsigned || !engines.is_empty() && engines.iter().all(is_signed)).then_some(name)
}

/// The first `save()` of the same instance that may run after the change and writes the column.
fn save_of<'a>(scope: Node<'a>, change: &Change<'a>) -> Option<Save<'a>> {
    let after = flow::after(change.statement, |_| false);
    let found = scope
        .descendants()
        .filter(|n| n.kind() == Kind::ExprStatement && n.id() > change.statement.id())
        .filter(|n| n.enclosing_scope() == Some(scope))
        .filter(|n| after.iter().any(|a| a.contains(n.id())))
        .find_map(|n| save(n, change.owner.text()))?;
    let found = found?;
    match &found.update_fields {
        Some(names) if !names.iter().any(|n| n == change.column) => None,
        _ => Some(found),
    }
}

/// The `save()` of `owner` that a statement is; `Some(None)` for one whose arguments are not understood.
fn save<'a>(statement: Node<'a>, owner: &str) -> Option<Option<Save<'a>>> {
    let Stmt::Expr(node) = Stmt::of(statement) else { return None };
    let (call, is_async) = match Expr::of(node) {
        Expr::Await(inner) => (inner.peel(), true),
        _ => (node.peel(), false),
    };
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return None };
    if value.text() != owner || attr != if is_async { "asave" } else { "save" } {
        return None;
    }
    let args = arguments(list);
    let update_fields = match args.as_slice() {
        [] => None,
        [only] if only.name == Some("update_fields") && only.stars == 0 => {
            let (Expr::List(list) | Expr::Tuple(list)) = Expr::of(only.value) else { return Some(None) };
            let names: Option<Vec<String>> = list.children().map(string_value).collect();
            match names {
                Some(names) => Some(names),
                None => return Some(None),
            }
        }
        // `save(force_insert=True)`, `save(using="other")`, `save(**options)`
        _ => return Some(None),
    };
    Some(Some(Save { statement, call, is_async, update_fields }))
}
