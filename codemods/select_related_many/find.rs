//! Names of `select_related()` that lead to several rows: in a call on a queryset, or in `list_select_related`.

use ormend_engine::codemod::eager::{Named, joining_class, named, names_in};
use ormend_engine::codemod::guards::queryset::{calls_after, queryset_of};
use ormend_engine::codemod::{Context, FileId};
use ormend_engine::django::ModelId;
use ormend_engine::infer::{QuerySet, Rows, Trait, Type};
use ormend_engine::python::{Argument, ClassId, Def, Expr, Kind, Node, arguments, string_value};

/// Where such names stand.
pub struct Found<'a> {
    /// The file.
    pub file: FileId,
    /// The call, or the assignment in the class.
    pub node: Node<'a>,
    /// The whole chain of calls around the call.
    pub chain: Node<'a>,
    /// What holds the names: the list of arguments, or a list or tuple display.
    pub list: Node<'a>,
    /// The file of `list` and of the names: another one where a constant is imported.
    pub list_file: FileId,
    /// The argument that spreads the list, where `list` is a display that a call is given with a star.
    pub spread: Option<Node<'a>>,
    /// Which of the two.
    pub place: Place<'a>,
    /// The model of the rows.
    pub model: ModelId,
    /// The names that move.
    pub moved: Vec<Moved<'a>>,
}

/// What is told to join.
pub enum Place<'a> {
    /// `books.select_related("tags")`
    Call {
        /// What the method is called on.
        receiver: Node<'a>,
        /// The queryset there.
        queryset: &'a QuerySet,
    },
    /// `list_select_related = ["tags"]`
    Admin {
        /// The class.
        class: ClassId,
    },
}

/// One of the names.
pub struct Moved<'a> {
    /// The literal.
    pub node: Node<'a>,
    /// What it names.
    pub named: Named,
}

/// The match at a call or an assignment.
pub fn found<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Found<'a>> {
    if cx.project.is_known_file(cx.file) {
        return None;
    }
    if node.kind() == Kind::Assign { in_class(cx, node) } else { in_call(cx, node) }
}

fn in_call<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Found<'a>> {
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
    let Expr::Attribute { value: receiver, attr: "select_related", .. } = Expr::of(func) else { return None };
    let queryset = queryset_of(cx, receiver)?;
    let is_one = matches!(cx.type_of(receiver), Type::QuerySet(_) | Type::Manager(_));
    if !is_one || queryset.rows != Rows::Instances || queryset.is(Trait::Raw) {
        return None;
    }
    let args = arguments(list);
    if args.iter().any(|a| a.name.is_some()) {
        return None;
    }
    // A name that annotate() has made stands for a filtered relation.
    let is_own = |name: &str| {
        let first = name.split("__").next().unwrap_or(name);
        queryset.annotations.iter().any(|a| **a == *first)
    };
    let spread = spread(cx, &args);
    let literals: Vec<Node<'a>> = match spread {
        Some((_, _, display)) => display.children().collect(),
        None => args.iter().filter(|a| a.stars == 0).map(|a| a.value).collect(),
    };
    let literals = literals.into_iter().filter(|n| string_value(*n).is_some_and(|s| !is_own(&s)));
    let moved = moved(cx, queryset.model, literals);
    let place = Place::Call { receiver, queryset };
    let chain = calls_after(cx, node).last().copied().unwrap_or(node);
    (!moved.is_empty()).then_some(Found {
        file: cx.file,
        node,
        chain,
        list: spread.map_or(list, |(_, _, display)| display),
        list_file: spread.map_or(cx.file, |(_, file, _)| file),
        spread: spread.map(|(value, _, _)| value),
        place,
        model: queryset.model,
        moved,
    })
}

/// `*["author", "tags"]`, or `*NAMES` of a module, as the only argument: what is spread, and the display with its file.
fn spread<'a>(cx: &Context<'a>, args: &[Argument<'a>]) -> Option<(Node<'a>, FileId, Node<'a>)> {
    let [only] = args else { return None };
    let program = cx.project.program();
    let (file, display) = match Expr::of(only.value) {
        _ if only.stars != 1 => return None,
        Expr::Name(_) | Expr::Attribute { .. } => {
            let root = only.value.descendants().find(|n| n.kind() == Kind::Name)?.text();
            let is_local = |f: Node<'a>| f.descendants().any(|n| n.is_binding() && n.text() == root);
            if only.value.enclosing_function().is_some_and(is_local) {
                return None;
            }
            match program.resolve_expr(cx.file, only.value.id())? {
                Def::Variable { file, value: Some(value) } => (file, program.file(file).node(value).peel()),
                _ => return None,
            }
        }
        _ => (cx.file, only.value.peel()),
    };
    let is_written = matches!(Expr::of(display), Expr::List(_) | Expr::Tuple(_))
        && display.children().filter(|n| n.kind() != Kind::Comment).all(|n| string_value(n).is_some());
    is_written.then_some((only.value, file, display))
}

fn moved<'a>(cx: &Context<'a>, model: ModelId, literals: impl Iterator<Item = Node<'a>>) -> Vec<Moved<'a>> {
    literals
        .filter_map(|node| {
            let named = named(cx.project, model, &string_value(node)?)?;
            Some(Moved { node, named })
        })
        .collect()
}

fn in_class<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Found<'a>> {
    let (class, model) = joining_class(cx, node)?;
    let (owner, member) = cx.project.program().member(class, "list_select_related")?;
    let list = names_in(cx, class, member).filter(|list| owner == class && node.contains(list.id()))?;
    let moved = moved(cx, model, list.children());
    let place = Place::Admin { class };
    (!moved.is_empty()).then_some(Found {
        file: cx.file,
        node,
        chain: node,
        list,
        list_file: cx.file,
        spread: None,
        place,
        model,
        moved,
    })
}
