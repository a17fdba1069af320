//! `Model.objects.filter(pk=x.pk).update(n=x.n + k)`: the database writes, with the number that was read before.

use super::find::{Change, Form, Save, Unit, collect, is_number};
use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::instance::Subject;
use ormend_engine::codemod::guards::loads::{Load, Origin, origins};
use ormend_engine::infer::{QuerySetClass, Type};
use ormend_engine::python::{Expr, Kind, Node, Stmt, arguments};

/// The unit that a statement is.
pub fn unit<'a>(cx: &Context<'a>, statement: Node<'a>) -> Option<Unit<'a>> {
    let value = match Stmt::of(statement) {
        Stmt::Expr(value) | Stmt::Return(Some(value)) => value,
        Stmt::Assign { value: Some(value), .. } => value,
        _ => return None,
    };
    let call = value.peel();
    let scope = statement.enclosing_function()?;
    let Expr::Call { func, arguments: given } = Expr::of(call) else { return None };
    let Expr::Attribute { value: rows, attr: "update", .. } = Expr::of(func) else { return None };
    let queryset = cx.type_of(rows).queryset().filter(|qs| qs.class == QuerySetClass::Plain)?;
    let Expr::Call { func, arguments: lookups } = Expr::of(rows) else { return None };
    let Expr::Attribute { value: manager, attr: "filter", .. } = Expr::of(func) else { return None };
    matches!(cx.type_of(manager), Type::Manager(_)).then_some(())?;
    let mut changes: Vec<Change<'a>> = Vec::new();
    let mut names = Vec::new();
    for argument in arguments(given) {
        let name = argument.name.filter(|_| argument.stars == 0)?;
        names.push(name.to_owned());
        let field = cx.model(queryset.model).field(name)?;
        // The attribute of the same name of an instance of the model.
        let reads_column = |n: &Node<'a>| {
            matches!(Expr::of(*n), Expr::Attribute { value, attr, .. }
                if attr == name
                    && matches!(Expr::of(value), Expr::Name(_))
                    && cx.type_of(value).instance().is_some_and(|i| i.model == queryset.model))
        };
        let Some(target) =
            argument.value.descendants().find(|n| n.kind() == Kind::Attribute && reads_column(n))
        else {
            continue;
        };
        let Expr::Attribute { value: owner, .. } = Expr::of(target) else { return None };
        if field.relation.is_some() || field.primary_key || !is_number(field.kind) {
            continue;
        }
        let mut change = Change {
            statement,
            target,
            owner: owner.peel(),
            column: name,
            field,
            form: Form::Assigned { value: argument.value, reads: Vec::new() },
            operands: Vec::new(),
            is_sum: true,
            has_default: false,
            functions: Vec::new(),
        };
        let mut reads = Vec::new();
        collect(cx, &mut change, argument.value, &mut reads, 0)?;
        if reads.is_empty() || reads.iter().any(|r| *r == argument.value.peel()) {
            continue;
        }
        change.form = Form::Assigned { value: argument.value, reads };
        changes.push(change);
    }
    let owner = changes.first()?.owner;
    if changes.iter().any(|c| c.owner.text() != owner.text()) {
        return None;
    }
    let unit = Unit {
        model: queryset.model,
        scope,
        owner,
        subject: Subject::of(cx, scope, owner),
        changes,
        save: Save { statement, call, is_async: false, update_fields: Some(names) },
        is_update: true,
    };
    is_of_the_row(cx, &unit, lookups).then_some(unit)
}

/// Whether the update is of the row that was read: `pk=x.pk`, or the key by which it was loaded.
fn is_of_the_row<'a>(cx: &Context<'a>, unit: &Unit<'a>, lookups: Node<'a>) -> bool {
    let args = arguments(lookups);
    let [only] = args.as_slice() else { return false };
    let key = cx.model(unit.model).primary_key().map_or("id", |f| f.name.as_str());
    let is_key = |name: Option<&str>| name.is_some_and(|n| n == "pk" || n == key);
    if !is_key(only.name) || only.stars > 0 {
        return false;
    }
    if let Expr::Attribute { value, attr, .. } = Expr::of(only.value)
        && value.peel().text() == unit.owner.text()
        && is_key(Some(attr))
    {
        return true;
    }
    let Some(found) = origins(cx, &unit.changed()) else { return false };
    let [Origin::Loaded(load)] = found.as_slice() else { return false };
    // A literal or a name that nothing binds again.
    loaded_by(load).is_some_and(|value| {
        value.text() == only.value.peel().text()
            && match Expr::of(value) {
                Expr::Int(_) => true,
                Expr::Name(name) => !unit.scope.descendants().any(|n| {
                    n.kind() == Kind::Name
                        && n.text() == name
                        && n.is_binding()
                        && n.statement().is_some_and(|s| s.id() > unit.scope.id())
                }),
                _ => false,
            }
    })
}

fn loaded_by<'a>(load: &Load<'a>) -> Option<Node<'a>> {
    let Expr::Call { arguments: list, .. } = Expr::of(load.call) else { return None };
    let args = arguments(list);
    let skipped = usize::from(load.method == "get_object_or_404");
    match args.get(skipped..)? {
        [only] if only.stars == 0 && matches!(only.name, Some("pk" | "id")) => Some(only.value.peel()),
        _ => None,
    }
}
