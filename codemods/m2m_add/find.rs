//! Which loop links rows one by one, and in which statements.

use ormend_engine::codemod::Context;
use ormend_engine::codemod::loops::{awaited, only_statement, statement_of};
use ormend_engine::django::{ModelId, RelationKind};
use ormend_engine::infer::{Instance, Manager, Root, Type};
use ormend_engine::python::{Argument, Expr, Field, Kind, Node, Stmt, arguments, generators, innermost_loop};

/// A loop that links or unlinks a row a turn.
#[derive(Clone, Debug)]
pub struct Loop<'a> {
    /// The `for` statement or the list comprehension.
    pub node: Node<'a>,
    /// The statement that is the loop.
    pub statement: Node<'a>,
    /// The loop's variable or variables.
    pub target: Node<'a>,
    /// What is iterated.
    pub iter: Node<'a>,
    /// `async for`
    pub is_async: bool,
    /// The calls, in order; each of another relation.
    pub links: Vec<Link<'a>>,
    /// Conditions of the comprehension, or of an `if` that is the loop's whole body.
    pub conditions: Vec<Node<'a>>,
    /// The loop does other work as well.
    pub is_among: bool,
}

/// One call of `add()` or `remove()`.
#[derive(Clone, Debug)]
pub struct Link<'a> {
    /// The call.
    pub call: Node<'a>,
    /// Its statement; none in a comprehension.
    pub place: Option<Node<'a>>,
    /// `book.tags`
    pub manager: Node<'a>,
    /// As it is written in the one call: `tag.books` where the loop goes over the owners of one relation.
    pub written: String,
    /// For a relation that is written from its other end: the owner and the attribute in the loop.
    pub turned: Option<(&'a Instance, String)>,
    /// `book`
    pub owner: Node<'a>,
    /// Whose row that is.
    pub instance: &'a Instance,
    /// The model of the rows that are linked.
    pub model: ModelId,
    /// The attribute: `tags`.
    pub accessor: String,
    /// `add`, `remove`, `aadd`, `aremove`
    pub method: &'a str,
    /// What is added.
    pub value: Node<'a>,
    /// `through_defaults=...`
    pub rest: Vec<Argument<'a>>,
    /// A many-to-many relation rather than the rows of a foreign key.
    pub is_many_to_many: bool,
    /// The through model, where one is declared.
    pub through: Option<ModelId>,
}

impl Link<'_> {
    /// Whether it is awaited.
    pub fn is_async(&self) -> bool {
        self.method.starts_with('a') && self.method != "add"
    }
}

/// The loop at `node`.
pub fn loop_at<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Loop<'a>> {
    if node.has_error() || node.enclosing_scope()? != cx.scope() || cx.scope().kind() == Kind::Module {
        return None;
    }
    let found = match node.kind() {
        Kind::For => in_statement(cx, node),
        Kind::ListComp => in_comprehension(cx, node),
        _ => None,
    };
    // A stream brings its items when they come; a queryset has them all before the first turn.
    found.filter(|f| !f.is_async || matches!(cx.type_of(f.iter), Type::QuerySet(_)))
}

fn in_statement<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Loop<'a>> {
    let Stmt::For { is_async, target, iter, body, orelse: None } = Stmt::of(node) else { return None };
    let mut links = Vec::new();
    for call in body.descendants().filter(|n| n.kind() == Kind::Call) {
        if call.enclosing_scope() != Some(cx.scope()) || innermost_loop(call) != Some(node) {
            continue;
        }
        if let Some(mut link) = link_at(cx, node, call) {
            let whole = if link.is_async() { awaited(call)? } else { call };
            link.place = Some(statement_of(whole)?);
            links.push(link);
        }
    }
    let first = links.first()?;
    let only = if links.len() == 1 { only_statement(body, first.place?) } else { None };
    let is_among = only.is_none();
    if is_among && links.iter().any(|l| l.turned.is_some()) {
        return None;
    }
    Some(Loop {
        node,
        statement: node,
        target,
        iter,
        is_async,
        links,
        conditions: only.unwrap_or_default(),
        is_among,
    })
}

fn in_comprehension<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Loop<'a>> {
    let statement = node.with_parens().parent().filter(|s| s.kind() == Kind::ExprStatement)?;
    let generators = generators(node);
    let [only] = generators.as_slice() else { return None };
    let element = node.child(Field::Body)?.peel();
    let call = match Expr::of(element) {
        Expr::Await(inner) => inner.peel(),
        _ => element,
    };
    let link = link_at(cx, node, call)?;
    (link.is_async() == (element.kind() == Kind::Await)).then_some(())?;
    Some(Loop {
        node,
        statement,
        target: only.target,
        iter: only.iter,
        is_async: only.is_async,
        links: vec![link],
        conditions: only.conditions.clone(),
        is_among: false,
    })
}

/// `owner.relation.add(value)`, where the loop does not change the owner but the value.
fn link_at<'a>(cx: &Context<'a>, outer: Node<'a>, call: Node<'a>) -> Option<Link<'a>> {
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    let Expr::Attribute { value: manager, attr, .. } = Expr::of(func) else { return None };
    if !matches!(attr, "add" | "remove" | "aadd" | "aremove") || list.kind() == Kind::GeneratorExp {
        return None;
    }
    let Type::Manager(related) = cx.type_of(manager) else { return None };
    let related: &'a Manager = related;
    let accessor = related.related.as_ref()?.accessor.to_string();
    let Expr::Attribute { value: owner, .. } = Expr::of(manager) else { return None };
    let Type::Instance(instance) = cx.type_of(owner) else { return None };
    let args = arguments(list);
    let (values, rest): (Vec<_>, Vec<_>) = args.into_iter().partition(|a| a.name.is_none());
    let [only] = values.as_slice() else { return None };
    let is_known = rest.iter().all(|a| matches!(a.name, Some("through_defaults" | "bulk")));
    if only.stars != 0 || !is_known || rest.iter().any(|a| !is_constant(outer, a.value)) {
        return None;
    }
    let is_fixed = is_constant(outer, owner);
    if !is_path(owner) || is_fixed == is_constant(outer, only.value) {
        return None;
    }
    let relation = cx.project.relation_field(instance.model, &accessor)?.relation.as_ref()?;
    let is_backwards = cx.model(instance.model).reverse(&accessor).is_some();
    let is_many_to_many = match relation.kind {
        RelationKind::ManyToMany => true,
        RelationKind::ForeignKey if is_backwards => false,
        _ => return None,
    };
    let link = Link {
        call,
        place: None,
        written: manager.text().to_owned(),
        turned: None,
        manager: manager.peel(),
        owner: owner.peel(),
        instance,
        model: related.model,
        accessor,
        method: attr,
        value: only.value,
        rest,
        is_many_to_many,
        through: if is_many_to_many { relation.through } else { None },
    };
    if is_fixed { Some(link) } else { turned(cx, outer, link) }
}

/// `book.tags.add(tag)` for every book, as `tag.books.add(*books)` says it.
fn turned<'a>(cx: &Context<'a>, outer: Node<'a>, link: Link<'a>) -> Option<Link<'a>> {
    let target = match Stmt::of(outer) {
        Stmt::For { target, .. } => target,
        _ => generators(outer).first()?.target,
    };
    let (Expr::Name(name), Expr::Name(own)) = (Expr::of(target), Expr::of(link.owner)) else { return None };
    let (row, Type::Instance(instance)) = (link.instance, cx.type_of(link.value)) else { return None };
    if name != own || !is_path(link.value) || !row.path.is_empty() || !matches!(row.root, Root::Row(_)) {
        return None;
    }
    let field = cx.project.relation_field(row.model, &link.accessor)?;
    let relation = field.relation.as_ref()?;
    let back = match cx.model(row.model).reverse(&link.accessor) {
        Some(_) => field.name.clone(),
        None => relation.accessor.clone()?,
    };
    if !link.is_many_to_many || relation.target == Some(row.model) && relation.symmetrical {
        return None;
    }
    let target_info = cx.model(instance.model);
    let is_there = target_info.field(&back).is_some_and(|f| f.relation.is_some())
        || target_info.reverse(&back).is_some_and(|r| r.kind == RelationKind::ManyToMany);
    is_there.then(|| Link {
        written: format!("{}.{back}", link.value.text()),
        turned: Some((row, link.accessor)),
        owner: link.value.peel(),
        instance,
        model: row.model,
        accessor: back,
        value: link.owner,
        ..link
    })
}

/// A name, or attributes of a name.
fn is_path(node: Node<'_>) -> bool {
    match Expr::of(node) {
        Expr::Name(_) => true,
        Expr::Attribute { value, .. } => is_path(value),
        _ => false,
    }
}

/// Whether no turn of the loop gives the expression another value.
fn is_constant(outer: Node<'_>, node: Node<'_>) -> bool {
    let names: Vec<&str> = node.descendants().filter(|n| n.kind() == Kind::Name).map(Node::text).collect();
    let is_bound =
        outer.descendants().any(|n| n.kind() == Kind::Name && n.is_binding() && names.contains(&n.text()));
    let text = node.text();
    let is_set = outer.descendants().any(|n| {
        matches!(n.kind(), Kind::Assign | Kind::AugAssign)
            && n.child(Field::Left).is_some_and(|left| left.text() == text && left.kind() == Kind::Attribute)
    });
    !is_bound && !is_set && !node.descendants().any(|n| n.kind() == Kind::Call)
}
