//! Sources of loops that run turn by turn with them: generators, iterators, arguments of callers.

use super::super::callers::call_sites;
use super::super::writes::{self, Effect, effect, is_in_callee};
use super::{Batch, hazard_of};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Event, Type};
use crate::python::{Expr, Kind, Node, Stmt};
use crate::text::FileId;

/// Whether what happens at `event`, in the source of a loop, happens at every turn rather than once before them.
pub(super) fn is_lazy<'a>(cx: &Context<'a>, source: Node<'a>, event: Event<'_>) -> bool {
    let at = cx.node(event.at);
    // `.iterator()` fetches while the loop runs.
    if let Expr::Call { func, .. } = Expr::of(at)
        && matches!(Expr::of(func), Expr::Attribute { attr: "iterator" | "aiterator", .. })
        && matches!(cx.type_of(at), Type::Iterator(_))
    {
        return true;
    }
    let mut child = at;
    let chain =
        std::iter::once(at).chain(at.ancestors()).take_while(|n| n.id() >= source.id()).collect::<Vec<_>>();
    for node in &chain {
        match node.kind() {
            Kind::Lambda => return true,
            // The first source of a generator expression is made at once, the rest when it is asked.
            Kind::GeneratorExp => {
                let first = crate::python::generators(*node).first().map(|g| g.iter);
                if !first.is_some_and(|f| f.contains(at.id())) {
                    return true;
                }
            }
            _ => {}
        }
        child = *node;
    }
    let _ = child;
    if !is_in_callee(cx, event) {
        return false;
    }
    // An object of the project may make its items one by one.
    if matches!(cx.type_of(at), Type::Object(_)) {
        return true;
    }
    // A generator function runs turn by turn, unless something below takes it all.
    for node in &chain {
        match cx.type_of(*node) {
            Type::List(_) | Type::Set(_) | Type::Dict(_) | Type::QuerySet(_) | Type::Tuple(_) | Type::Str => {
                return false;
            }
            Type::Iterator(_) | Type::Unknown if node.kind() == Kind::Call => return true,
            _ => {}
        }
    }
    false
}

/// A variable in the source that holds a generator: it runs turn by turn with the loop, wherever it was made.
pub(super) fn lazy_source<'a>(
    cx: &Context<'a>,
    batch: &Batch<'_, 'a>,
    name: Node<'a>,
    out: &mut Vec<Hazard>,
) {
    let scope = cx.scope();
    for other in scope.mentions(name.text()).filter(|n| n.is_binding()) {
        let Some(statement) = other.statement() else { continue };
        let Stmt::Assign { value: Some(value), .. } = Stmt::of(statement) else { continue };
        if !matches!(cx.type_of(value), Type::Iterator(_) | Type::Unknown) || batch.node.contains(other.id())
        {
            continue;
        }
        for event in cx.events_in(value) {
            if is_lazy(cx, value, event) {
                hazard_of(cx, batch, event, true, out);
            }
        }
    }
    callers(cx, batch, name, out);
}

/// The function's parameter is the source: a caller may hand in a generator that reads what the loop writes.
fn callers<'a>(cx: &Context<'a>, batch: &Batch<'_, 'a>, name: Node<'a>, out: &mut Vec<Hazard>) {
    let params = crate::python::parameters(cx.scope());
    let Some(index) = params.iter().position(|p| p.name == name.text()) else { return };
    for site in call_sites(cx) {
        let Some(value) = site.argument(index, name.text()) else { continue };
        if matches!(Expr::of(value), Expr::Name(_) | Expr::Str(_) | Expr::List(_) | Expr::Attribute { .. }) {
            continue;
        }
        lazy_argument(cx, batch, site.file, site.call, value, out);
    }
}

fn lazy_argument<'a>(
    cx: &Context<'a>,
    batch: &Batch<'_, 'a>,
    file: FileId,
    call: Node<'a>,
    value: Node<'a>,
    out: &mut Vec<Hazard>,
) {
    let program = cx.project.program();
    let function = call
        .ancestors()
        .filter(|a| a.kind() == Kind::FunctionDef)
        .find_map(|def| program.function_at(file, def.id()));
    let facts = cx.analyzer.caller(file, function);
    let node = |id| program.file(file).node(id);
    for event in facts.events().filter(|e| value.contains(e.at)) {
        let at = node(event.at);
        let inside = std::iter::once(at).chain(at.ancestors()).take_while(|n| n.id() >= value.peel().id()).any(|n| {
            match n.kind() {
                Kind::Lambda => true,
                Kind::GeneratorExp => {
                    !crate::python::generators(n).first().is_some_and(|g| g.iter.contains(at.id()))
                }
                Kind::Call => {
                    matches!(facts.type_of(n), Type::Iterator(_))
                        && (event.site.file != file || event.site.span != at.span()
                            || matches!(Expr::of(n), Expr::Call { func, .. } if func.text().ends_with(".iterator")))
                }
                _ => false,
            }
        });
        if !inside {
            continue;
        }
        let Some(what) = effect(cx, event, batch.tables) else { continue };
        let kind = match what {
            Effect::Reads => HazardKind::ReadsItsOwnWrites,
            Effect::Writes(_) | Effect::WritesOther(..) => HazardKind::InterleavedWrites,
            Effect::Unknown => HazardKind::UnknownCall,
            Effect::Outside => HazardKind::OutsideEffect,
            _ => continue,
        };
        out.push(Hazard::at(kind, writes::one_line(at.text()), event.site));
    }
}
