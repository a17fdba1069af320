//! The next number: a new row gets a number that is computed from the last row, the greatest one, or how many there are.

use super::find::locks;
use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::loads::load_at;
use ormend_engine::codemod::guards::transaction::{catches_database_errors, open_block};
use ormend_engine::django::ModelId;
use ormend_engine::infer::Type;
use ormend_engine::python::{Expr, Field, Kind, Node, Stmt, arguments, string_value};

/// A number for a new row that is computed from the rows that are there.
pub struct Next<'a> {
    /// What reads them.
    pub load: Node<'a>,
    /// The column.
    pub column: &'a str,
    /// What makes the new row.
    pub made: Node<'a>,
}

/// What the number is computed from.
enum Base {
    /// A column of the row.
    Row,
    /// `Max("number")`
    Greatest(String),
    /// `count()`
    Count,
}

/// `last = Invoice.objects.order_by("-number").first()` and `Invoice.objects.create(number=last.number + 1)`.
pub fn next<'a>(cx: &Context<'a>, statement: Node<'a>) -> Option<Next<'a>> {
    let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(statement) else { return None };
    let [target] = targets.as_slice() else { return None };
    let Expr::Name(name) = Expr::of(*target) else { return None };
    let (load, model, base) = base(cx, statement, value)?;
    let block = open_block(cx, statement)?;
    let waits = locks(block).any(|lock| lock.id() < load.id() || load.contains(lock.id()));
    // Who tries again when the database refuses the second one needs no lock.
    let retries =
        statement.ancestors().take_while(|a| a.kind() != Kind::FunctionDef).any(|a| match Stmt::of(a) {
            Stmt::Try { handlers, .. } => {
                handlers.iter().any(|h| catches_database_errors(cx, cx.file, h.class))
            }
            _ => false,
        });
    if waits || retries {
        return None;
    }
    let scope = statement.enclosing_function()?;
    let names = computed(scope, statement, name);
    let is_named =
        |node: Node<'a>| node.descendants().any(|n| n.kind() == Kind::Name && names.contains(&n.text()));
    let concrete = |m: ModelId| cx.model(m).concrete;
    for made in block.descendants().filter(|n| n.kind() == Kind::Call && n.id() >= statement.subtree_end()) {
        let is_new = matches!(cx.type_of(made), Type::Instance(i) if concrete(i.model) == concrete(model))
            && makes(made);
        let Expr::Call { arguments: list, .. } = Expr::of(made) else { continue };
        if !is_new {
            continue;
        }
        for argument in arguments(list) {
            let Some(column) = argument.name.filter(|_| is_named(argument.value)) else { continue };
            let same = match &base {
                Base::Row => reads_column(scope, name, column),
                Base::Greatest(of) => of == column,
                Base::Count => true,
            };
            if same && adds(scope, statement, &names) {
                return Some(Next { load, column, made });
            }
        }
    }
    None
}

fn base<'a>(cx: &Context<'a>, statement: Node<'a>, value: Node<'a>) -> Option<(Node<'a>, ModelId, Base)> {
    let call = value.peel();
    if let Some(load) = load_at(cx, statement, call) {
        let is_last = matches!(load.method, "first" | "last" | "earliest" | "latest");
        let instance = cx.type_of(value).without_none().instance()?;
        return is_last.then_some((load.call, instance.model, Base::Row));
    }
    // `Invoice.objects.aggregate(Max("number"))["number__max"] or 0`
    let asked = call.descendants().find(|n| {
        matches!(Expr::of(*n), Expr::Call { func, .. }
            if n.kind() == Kind::Call && matches!(Expr::of(func), Expr::Attribute { attr: "aggregate" | "count", .. }))
    })?;
    let Expr::Call { func, arguments: list } = Expr::of(asked) else { return None };
    let Expr::Attribute { value: source, attr, .. } = Expr::of(func) else { return None };
    let model = match cx.type_of(source) {
        Type::QuerySet(qs) => qs.model,
        Type::Manager(manager) => manager.model,
        _ => return None,
    };
    if attr == "count" {
        return Some((asked, model, Base::Count));
    }
    let greatest = list.descendants().find_map(|n| {
        let Expr::Call { func, arguments: list } = Expr::of(n) else { return None };
        let is_max = n.kind() == Kind::Call && func.text().rsplit('.').next() == Some("Max");
        if is_max { string_value(arguments(list).first()?.value) } else { None }
    })?;
    Some((asked, model, Base::Greatest(greatest)))
}

/// Whether a call makes a row: `create()`, or the class.
fn makes(call: Node<'_>) -> bool {
    let Expr::Call { func, .. } = Expr::of(call) else { return false };
    match Expr::of(func) {
        Expr::Attribute { attr, .. } => {
            attr == "create" || attr.chars().next().is_some_and(|c| c.is_ascii_uppercase())
        }
        _ => true,
    }
}

/// `name`, and the names that hold something computed from it.
fn computed<'a>(scope: Node<'a>, after: Node<'a>, name: &'a str) -> Vec<&'a str> {
    let mut out = vec![name];
    for node in scope.descendants().filter(|n| n.kind() == Kind::ExprStatement && n.id() > after.id()) {
        let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(node) else { continue };
        let uses = value.descendants().any(|n| n.kind() == Kind::Name && out.contains(&n.text()));
        // The row that is made is not the number that it is given.
        if uses && value.peel().kind() != Kind::Call {
            out.extend(targets.iter().filter(|t| t.kind() == Kind::Name).map(|t| t.text()));
        }
    }
    out
}

/// `last.number`
fn reads_column(scope: Node<'_>, name: &str, column: &str) -> bool {
    scope.descendants().any(|n| {
        n.kind() == Kind::Attribute
            && matches!(Expr::of(n), Expr::Attribute { value, attr, .. }
                if attr == column && matches!(Expr::of(value), Expr::Name(owner) if owner == name))
    })
}

/// Whether something is added to what was read.
fn adds(scope: Node<'_>, from: Node<'_>, names: &[&str]) -> bool {
    scope.descendants().filter(|n| n.id() >= from.id()).any(|n| {
        let sum = match n.kind() {
            Kind::BinOp => matches!(Expr::of(n), Expr::BinOp { op: Kind::Add, .. }),
            Kind::ExprStatement => matches!(Stmt::of(n), Stmt::AugAssign { op: Kind::AddAssign, .. }),
            _ => false,
        };
        sum && (from.contains(n.id())
            || n.descendants().any(|c| {
                c.kind() == Kind::Name && names.contains(&c.text()) && c.field() != Field::Attribute
            }))
    })
}
