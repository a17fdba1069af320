//! A method of the model that changes a counter of `self`: what its callers hand it, and what they do afterwards.

use super::find::{Change, Form, Save, Unit};
use super::hazards::Judged;
use super::life;
use super::row;
use ormend_engine::codemod::guards::callers::{CallSite, call_sites};
use ormend_engine::codemod::guards::flow;
use ormend_engine::codemod::guards::instance::{MentionKind, Subject};
use ormend_engine::codemod::guards::loads::{self, Origin, origins};
use ormend_engine::codemod::{Context, Site};
use ormend_engine::infer::Type;
use ormend_engine::python::{Binding, Expr, Field, Kind, Member, Node, Stmt, parameters};

/// What is known of the instances that a method is called on: rows that its callers have loaded themselves, whose
/// counters are as they were read, and that nobody else writes in between.
pub struct Receivers {
    /// The manager by which the method finds the row again.
    pub manager: Option<String>,
    /// The first place of a caller that looks at the number afterwards, or gives the instance away.
    pub seen: Option<Site>,
    /// Nothing else of the instance was changed before, and all of it was loaded.
    pub is_whole: bool,
}

/// The receivers of the method that `unit` stands in; `None` where a call of it cannot be found or followed, or hands it
/// something else.
pub fn receivers<'a>(cx: &Context<'a>, unit: &Unit<'a>) -> Option<Receivers> {
    let program = cx.project.program();
    let subject = unit.subject.as_ref().filter(|s| s.path.is_empty())?;
    let function = program.function_at(cx.file, unit.scope.id())?;
    let class = program.function(function).class?;
    let name = unit.scope.child(Field::Name)?.text();
    let is_plain = matches!(program.class(class).members.get(name), Some(Member::Function(f, Binding::Method)) if *f == function);
    let model = cx.project.model_of_class(class)?;
    if !is_plain
        || model != unit.model
        || parameters(unit.scope).first().map(|p| p.name) != Some(subject.name)
        || cx.project.family(model).len() > 1
        || name.starts_with("__")
        || cx.project.patch_of(model, name).is_some()
        // Django calls these by itself.
        || ["save", "delete", "clean", "full_clean", "get_absolute_url"].contains(&name)
        || is_named_otherwise(cx, name)
    {
        return None;
    }
    let sites = call_sites(cx);
    if sites.is_empty() || unit.scope.is_async() {
        return None;
    }
    let mut out = Receivers { manager: manager(cx, unit), seen: None, is_whole: true };
    for site in sites {
        receiver(cx, unit, &site, &mut out)?;
    }
    Some(out)
}

/// `Link.objects`, where the name of the class means the class here and the manager is Django's own.
pub fn manager<'a>(cx: &Context<'a>, unit: &Unit<'a>) -> Option<String> {
    let info = cx.model(unit.model);
    let is_known = cx.project.is_plain_manager(unit.model, &info.default_manager);
    let is_bound = unit.scope.mentions(&info.name).any(|n| n.is_binding());
    let class = cx.project.program().global(cx.file, &info.name);
    let is_itself = class == Some(ormend_engine::python::Def::Class(info.class));
    (is_known && is_itself && !is_bound).then(|| format!("{}.{}", info.name, info.default_manager))
}

/// Whether the method is found without being called by its name: as an attribute, by a string.
fn is_named_otherwise(cx: &Context<'_>, name: &str) -> bool {
    let program = cx.project.program();
    let is_it = |node: Node<'_>| match node.kind() {
        Kind::Attribute => {
            matches!(Expr::of(node), Expr::Attribute { attr, .. } if attr == name)
                && !node.with_parens().parent().is_some_and(|p| {
                    p.kind() == Kind::Call && p.child(Field::Function) == Some(node.with_parens())
                })
        }
        Kind::StrContent => node.text() == name,
        _ => false,
    };
    cx.analyzer.once_for("methods named otherwise than by a call", Box::<str>::from(name), || {
        let files = cx.analyzer.files_mentioning(name);
        files.iter().any(|file| program.file(*file).root().descendants().any(is_it))
    })
}

/// One call: its receiver is loaded by the caller, and nothing is done with it that the method must know of.
fn receiver<'a>(cx: &Context<'a>, unit: &Unit<'a>, site: &CallSite<'a>, out: &mut Receivers) -> Option<()> {
    let program = cx.project.program();
    let function = site.caller?;
    let Expr::Call { func, .. } = Expr::of(site.call) else { return None };
    let Expr::Attribute { value, .. } = Expr::of(func) else { return None };
    let statement = site.call.statement()?;
    let facts = site.facts(cx);
    let is_number =
        matches!(facts.type_of(site.call), Type::Int | Type::Bool | Type::Str | Type::Float | Type::None);
    let is_alone = match Stmt::of(statement) {
        Stmt::Expr(node) => node.peel() == site.call,
        Stmt::Return(Some(node)) => node.peel() == site.call && is_number,
        Stmt::Assign { value: Some(node), .. } => node.peel() == site.call && is_number,
        _ => false,
    };
    if !site.is_certain || !site.is_bound || !is_alone {
        return None;
    }
    let around = Context { file: site.file, facts: &facts, ..*cx };
    let scope = program.file(site.file).node(program.function(function).node);
    if site.call.enclosing_scope() != Some(scope) || scope.is_async() {
        return None;
    }
    // `Link.objects.get(pk=pk).hit()`: nobody has it afterwards.
    if value.peel().kind() == Kind::Call {
        let load = loads::load_at(&around, statement, value.peel())?;
        out.is_whole &= loads::loads_whole(&around, &load);
        return Some(());
    }
    let change = unit.changes.first()?;
    let standing_in = |column| Change {
        statement,
        target: site.call,
        owner: value.peel(),
        column,
        field: change.field,
        form: Form::Augmented { operator: Kind::AddAssign, value: site.call },
        operands: Vec::new(),
        is_sum: true,
        has_default: false,
        functions: Vec::new(),
    };
    let caller = Unit {
        model: unit.model,
        scope,
        owner: value.peel(),
        subject: Some(Subject::of(&around, scope, value).filter(|s| s.path.is_empty())?),
        changes: unit.columns().into_iter().map(standing_in).collect(),
        save: Save {
            statement,
            call: site.call,
            is_async: false,
            update_fields: unit.save.update_fields.clone(),
        },
        is_update: false,
    };
    let mut judged = Judged::new();
    for origin in origins(&around, &caller.changed())? {
        match origin {
            Origin::Loaded(load) if !load.is_followed && !load.method.contains("or_create") => {
                judged.loads.push(load);
            }
            _ => return None,
        }
    }
    life::life(&around, &caller, &mut judged);
    row::between(&around, &caller, &[], &mut judged);
    let subject = caller.subject.as_ref()?;
    let after = flow::after(statement, |s| subject.is_bound_by(s));
    let again = subject.mentions(&around, &unit.columns()).into_iter().any(|m| {
        matches!(m.kind, MentionKind::Saves | MentionKind::WritesAny | MentionKind::Deletes)
            && after.iter().any(|n| n.contains(m.node.id()))
    });
    if !judged.hazards.is_empty()
        || judged.is_shared
        || again
        || after.iter().any(|n| n.contains(statement.id()))
    {
        return None;
    }
    out.is_whole &= judged.can_narrow && judged.loads.iter().all(|load| loads::loads_whole(&around, load));
    out.seen = out.seen.or(judged.seen);
    Some(())
}
