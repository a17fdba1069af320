//! Which row an expression names, as far as one function can tell two rows apart.

use ormend_engine::codemod::Context;
use ormend_engine::django::ModelId;
use ormend_engine::infer::{Instance, Path, Root, Type};
use ormend_engine::python::{Expr, Field, Kind, Node, Stmt, arguments};

/// A row, as far as one function can tell two of them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// An instance: a value, and the relations from it.
    Instance(Root, Path),
    /// What an attribute of something holds, by its spelling: `self.object`.
    Spelling(ModelId, String),
    /// The row of a model that is named so, or whose key is: `from_account_id`, an `author` of unknown type that is
    /// given to a foreign key.
    Key(ModelId, String),
    /// What is spelled so and saved, deleted, or given to a form as its instance; of what model is not known.
    Word(String),
}

impl Identity {
    /// Whether both are certainly one row.
    pub fn is(&self, other: &Identity) -> bool {
        match (self, other) {
            (Identity::Word(a), Identity::Word(b) | Identity::Key(_, b) | Identity::Spelling(_, b))
            | (Identity::Key(_, a) | Identity::Spelling(_, a), Identity::Word(b)) => a == b,
            _ => self == other,
        }
    }
}

/// `None` for an object that nothing is known of.
pub fn identity_of(instance: &Instance) -> Option<Identity> {
    (instance.root != Root::Opaque).then(|| Identity::Instance(instance.root, instance.path.clone()))
}

/// `self.object`: an attribute holds the same row as long as nobody assigns it, which is for the caller to see.
pub fn spelling(cx: &Context<'_>, node: Node<'_>) -> Option<Identity> {
    let Expr::Attribute { .. } = Expr::of(node) else { return None };
    let node = cx.node(node.peel().id());
    match cx.type_of(node).without_none() {
        Type::Instance(i) if i.root == Root::Opaque || !i.path.is_empty() => {
            Some(Identity::Spelling(i.model, node.text().to_owned()))
        }
        _ => None,
    }
}

/// Every row that an expression names: an instance that stands alone, or its key. Other attributes say nothing of it.
pub fn mentions<'a>(cx: &Context<'a>, node: Node<'a>, out: &mut Vec<Identity>, depth: usize) {
    if depth > 40 {
        return;
    }
    let node = node.peel();
    if let Type::Instance(instance) = cx.type_of(node).without_none()
        && matches!(node.kind(), Kind::Name | Kind::Attribute)
    {
        out.extend(identity_of(instance));
        out.extend(spelling(cx, node));
        return;
    }
    // `author=Author.objects.create(name=name)`
    if let (Type::Instance(instance), Kind::Call) = (cx.type_of(node), node.kind()) {
        out.extend(identity_of(instance));
    }
    if let Type::List(element) | Type::Iterator(element) = cx.type_of(node)
        && let Expr::Name(name) = Expr::of(node)
    {
        if let Type::Instance(instance) = &**element {
            out.extend(identity_of(instance));
        }
        of_list(cx, node, name, out, depth);
        return;
    }
    match Expr::of(node) {
        Expr::Attribute { value, attr, .. } => {
            if let Type::Instance(instance) = cx.type_of(value).without_none() {
                let model = cx.model(instance.model);
                let is_key =
                    matches!(attr, "pk" | "id") || model.primary_key().is_some_and(|k| k.name == attr);
                if is_key {
                    out.extend(identity_of(instance));
                    out.extend(spelling(cx, value));
                } else if let Some(field) =
                    model.field_by_attname(attr).filter(|f| f.attname == attr && f.attname != f.name)
                {
                    let mut path = instance.path.clone();
                    path.push(field.name.as_str().into());
                    out.push(Identity::Instance(instance.root, path));
                }
            } else {
                mentions(cx, value, out, depth + 1);
            }
        }
        _ => {
            for child in node.children() {
                let child = match child.kind() {
                    Kind::KeywordArgument => child.child(Field::Value).unwrap_or(child),
                    _ => child,
                };
                mentions(cx, child, out, depth + 1);
            }
        }
    }
}

/// What is put into a list of the function: `items.append(Item(order=order))`, `items = [...]`.
fn of_list<'a>(cx: &Context<'a>, at: Node<'a>, name: &str, out: &mut Vec<Identity>, depth: usize) {
    let Some(function) = at.enclosing_function() else { return };
    for node in function.descendants() {
        match node.kind() {
            Kind::ExprStatement => {
                if let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(node)
                    && targets.iter().any(|t| matches!(Expr::of(*t), Expr::Name(n) if n == name))
                    && !matches!(Expr::of(value), Expr::Name(_))
                {
                    mentions(cx, value, out, depth + 20);
                }
            }
            Kind::Call => {
                if let Expr::Call { func, arguments: list } = Expr::of(node)
                    && let Expr::Attribute { value, attr: "append" | "extend", .. } = Expr::of(func)
                    && matches!(Expr::of(value), Expr::Name(n) if n == name)
                {
                    mentions(cx, list, out, depth + 20);
                }
            }
            _ => {}
        }
    }
}

/// The rows that a chain chooses by their key: `.filter(pk=x)`, `.get(id=book.pk)`, `get_object_or_404(Book, pk=x)`.
pub fn keys<'a>(cx: &Context<'a>, chain: Node<'a>, model: ModelId, out: &mut Vec<Identity>) {
    let key = cx.model(model).primary_key().map(|k| k.name.clone());
    for call in links(chain) {
        let Expr::Call { func, arguments: list } = Expr::of(call) else { continue };
        // The rows that are left out are others.
        if matches!(Expr::of(func), Expr::Attribute { attr: "exclude", .. }) {
            continue;
        }
        for argument in arguments(list) {
            let Some(name) = argument.name else { continue };
            let name = name.strip_suffix("__exact").unwrap_or(name);
            if !matches!(name, "pk" | "id") && Some(name) != key.as_deref() {
                continue;
            }
            named(cx, argument.value, model, out);
        }
    }
}

/// The rows that foreign keys of `model` are given: `author=author`, `author_id=pk`, by name or in `defaults`.
pub fn foreign_keys<'a>(cx: &Context<'a>, call: Node<'a>, model: ModelId, out: &mut Vec<Identity>) {
    for keyword in call.descendants().filter(|n| n.kind() == Kind::KeywordArgument) {
        let (Some(name), Some(value)) = (keyword.child(Field::Name), keyword.child(Field::Value)) else {
            continue;
        };
        let info = cx.model(model);
        let field = info.field(name.text()).or_else(|| info.field_by_attname(name.text()));
        if let Some(target) = field.and_then(|f| f.relation.as_ref()).and_then(|r| r.target) {
            named(cx, value, target, out);
        }
    }
}

/// The row of `model` that a key names.
fn named<'a>(cx: &Context<'a>, value: Node<'a>, model: ModelId, out: &mut Vec<Identity>) {
    let before = out.len();
    mentions(cx, value, out, 0);
    let is_plain = matches!(Expr::of(value), Expr::Name(_) | Expr::Attribute { .. } | Expr::Subscript { .. });
    if out.len() == before && is_plain {
        let text = value.peel().text();
        let text = text.strip_suffix(".pk").or_else(|| text.strip_suffix(".id")).unwrap_or(text);
        out.push(Identity::Key(cx.model(model).concrete, text.to_owned()));
    }
}

/// The calls of a chain.
pub fn links(chain: Node<'_>) -> Vec<Node<'_>> {
    let mut out = Vec::new();
    let mut node = chain.peel();
    loop {
        match Expr::of(node) {
            Expr::Call { func, .. } => {
                out.push(node);
                node = func.peel();
            }
            Expr::Attribute { value, .. } | Expr::Subscript { value, .. } => node = value.peel(),
            _ => return out,
        }
    }
}
