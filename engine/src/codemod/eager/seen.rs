//! Code that looks at everything an instance has: `vars(author)`, `author.__dict__`, a pickle. It sees what a query has put
//! there besides the columns: annotations, and the rows that were prefetched (`_prefetched_objects_cache`).

use super::guards;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::ModelId;
use crate::infer::{Event, EventKind, Path, Root, ValueId};
use crate::python::{Expr, Kind, Member, Node, arguments, string_value};

/// The instance of which `event` looks at every attribute: its root, and the relations from there.
pub(super) fn opened<'e>(cx: &Context<'_>, event: Event<'e>) -> Option<(Root, &'e Path)> {
    let node = || guards::node_at(cx.project, event.site);
    match &event.kind {
        EventKind::ReadAttribute { root, path, name }
            if **name == *"__dict__" && !node().is_some_and(|n| is_keyed(n) || is_asked_for(n)) =>
        {
            Some((*root, path))
        }
        EventKind::InstanceEscapes { root, path, .. } => {
            node().is_some_and(is_opened).then_some((*root, path))
        }
        _ => None,
    }
}

/// Where the frame looks at every attribute of rows of the values that `is_ours` knows.
pub(super) fn opened_rows(cx: &Context<'_>, is_ours: &dyn Fn(&ValueId) -> bool, out: &mut Vec<Hazard>) {
    let is_row = |event: &Event<'_>| matches!(opened(cx, *event), Some((Root::Row(v), path)) if path.is_empty() && is_ours(&v));
    out.extend(cx.facts.events().filter(is_row).map(|event| hazard(cx, event)));
}

/// What to say of it.
pub(super) fn hazard(cx: &Context<'_>, event: Event<'_>) -> Hazard {
    let subject = guards::node_at(cx.project, event.site).map_or("vars", guards::first_line);
    Hazard::at(HazardKind::AttributesSeen, subject, event.site)
}

/// The method of `model`, or of a class above it, that looks at all that an instance has: `__repr__`, `__eq__`, a
/// method that makes a dict. Who calls it need not be seen. What runs before the query has put anything there does not count,
/// nor does what makes a copy. `is_private`: only names that begin with an underscore matter.
pub(super) fn by_own_methods(cx: &Context<'_>, model: ModelId, is_private: bool) -> Option<Hazard> {
    const EARLY: &[&str] = &["__init__", "__new__", "from_db"];
    const COPYING: &[&str] =
        &["__getstate__", "__setstate__", "__reduce__", "__reduce_ex__", "__copy__", "__deepcopy__"];
    let program = cx.project.program();
    program.class(cx.model(model).class).mro.iter().find_map(|owner| {
        let class = program.class(*owner);
        if cx.project.is_known_file(class.file) {
            return None;
        }
        class.members.iter().find_map(|(name, member)| {
            let Member::Function(function, _) = member else { return None };
            let info = program.function(*function);
            let def = program.file(info.file).node(info.node);
            let is_skipped = EARLY.contains(&name.as_str()) || COPYING.contains(&name.as_str());
            let is_seeing = !is_skipped && sees_all(def, is_private);
            is_seeing.then(|| {
                let subject = format!("{}.{name}", class.name);
                Hazard::at(HazardKind::AttributesSeen, subject, program.name_site(info.file, info.node))
            })
        })
    })
}

/// An encoder of the program that writes all that an object has: rows may come to it from anywhere.
pub(super) fn by_encoders(cx: &Context<'_>) -> Option<Hazard> {
    let program = cx.project.program();
    program.functions_named("default").iter().find_map(|function| {
        let info = program.function(*function);
        let class = program.class(info.class?);
        let is_encoder = class.external_bases.iter().any(|b| b.ends_with("Encoder"));
        let def = program.file(info.file).node(info.node);
        (is_encoder && !cx.project.is_known_file(info.file) && sees_all(def, false)).then(|| {
            let subject = format!("{}.default", class.name);
            Hazard::at(HazardKind::AttributesSeen, subject, program.name_site(info.file, info.node))
        })
    })
}

/// Whether code has `vars(x)` or `x.__dict__` as more than a dict that is asked for one name.
fn sees_all(def: Node<'_>, is_private: bool) -> bool {
    let is_open = |n: Node<'_>| match Expr::of(n) {
        Expr::Attribute { attr: "__dict__", .. } => n.kind() == Kind::Attribute,
        Expr::Call { func, .. } => n.kind() == Kind::Call && matches!(Expr::of(func), Expr::Name("vars")),
        _ => false,
    };
    def.descendants().any(|n| is_open(n) && !is_keyed(n) && !(is_private && skips_private(n)))
}

/// Whether the event leaves out names that begin with an underscore: `{k: v for k, v in vars(a).items() if k[0] != "_"}`.
pub(super) fn leaves_out_private(cx: &Context<'_>, event: Event<'_>) -> bool {
    guards::node_at(cx.project, event.site).is_some_and(skips_private)
}

fn skips_private(node: Node<'_>) -> bool {
    let comprehension = node
        .ancestors()
        .take_while(|a| !a.kind().is_statement())
        .find(|a| matches!(a.kind(), Kind::ListComp | Kind::SetComp | Kind::DictComp | Kind::GeneratorExp));
    let skips = |condition: &Node<'_>| match Expr::of(*condition) {
        Expr::Not(inner) => match Expr::of(inner) {
            Expr::Call { func, arguments: list } => {
                matches!(Expr::of(func), Expr::Attribute { attr: "startswith", .. })
                    && matches!(arguments(list).as_slice(), [only] if string_value(only.value).as_deref() == Some("_"))
            }
            _ => false,
        },
        _ => false,
    };
    comprehension.is_some_and(|c| {
        crate::python::generators(c)
            .iter()
            .any(|g| g.iter.contains(node.id()) && g.conditions.iter().any(skips))
    })
}

/// Whether a row is given to `vars()`, `dir()` or code that pickles it.
fn is_opened(node: Node<'_>) -> bool {
    node.ancestors().take(3).any(|n| match Expr::of(n) {
        Expr::Call { func, .. } if n.kind() == Kind::Call => match func.text() {
            "vars" => !is_keyed(n),
            text => text == "dir" || text.contains("pickle"),
        },
        _ => false,
    })
}

/// `hasattr(author, "__dict__")`
fn is_asked_for(node: Node<'_>) -> bool {
    matches!(Expr::of(node), Expr::Call { func, .. } if matches!(Expr::of(func), Expr::Name("hasattr")))
}

/// Whether a dict of attributes is asked for, or given, one name: `author.__dict__["name"]`, `"name" in vars(author)`.
fn is_keyed(dict: Node<'_>) -> bool {
    const OF_ONE: &[&str] = &["get", "pop", "setdefault", "update", "__contains__", "__getitem__"];
    let whole = dict.with_parens();
    let Some(parent) = whole.parent() else { return false };
    match Expr::of(parent) {
        Expr::Subscript { value, .. } => value.peel() == dict.peel(),
        Expr::Attribute { attr, .. } => OF_ONE.contains(&attr),
        Expr::Compare { op: Kind::In | Kind::NotIn, right, .. } => right.peel() == dict.peel(),
        _ => false,
    }
}
