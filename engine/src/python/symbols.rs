//! What one file binds at its top and in its classes, read off its arena without looking at any other file.

use super::ast::{Node, NodeId};
use super::kind::{Field, Kind};
use super::view::{Expr, Stmt, string_value};
use rustc_hash::FxHashSet;

/// Blocks nested deeper than this are not followed.
const MAX_NESTING: usize = 60;

/// A `from ... import` or `import` clause, not resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    /// Number of leading dots.
    pub level: usize,
    /// The dotted module, may be empty in `from . import x`.
    pub module: String,
    /// What is taken from it; `None` binds the module itself.
    pub name: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// Index into [`Symbols::classes`].
    Class(u32),
    /// Index into [`Symbols::functions`].
    Function(u32),
    Value(NodeId),
    Annotation(NodeId),
    Import(Import),
    Other,
}

/// One binding of a name in a module or class body.
#[derive(Clone, Debug)]
pub(super) struct Bind {
    pub name: String,
    pub what: What,
    /// In an `except`, `elif` or `else` branch, or for type checkers only: another binding is preferred.
    pub is_alternative: bool,
    /// Below any `if`, `try` or loop.
    pub is_conditional: bool,
}

#[derive(Clone, Debug)]
pub(super) struct RawClass {
    pub name: String,
    pub node: NodeId,
    pub outer: Option<u32>,
    pub bases: Vec<NodeId>,
    pub decorators: Vec<NodeId>,
    pub binds: Vec<Bind>,
}

#[derive(Clone, Debug)]
pub(super) struct RawFunction {
    pub name: String,
    pub node: NodeId,
    pub class: Option<u32>,
    pub decorators: Vec<NodeId>,
    pub is_async: bool,
    pub is_generator: bool,
}

/// Everything one file defines. Classes and functions stand in source order.
#[derive(Clone, Debug, Default)]
pub(super) struct Symbols {
    pub binds: Vec<Bind>,
    pub stars: Vec<Import>,
    /// `__all__`, where it is made of literals only.
    pub all: Option<Vec<String>>,
    pub classes: Vec<RawClass>,
    pub functions: Vec<RawFunction>,
    /// Names that some function declares `global`.
    pub rebound: FxHashSet<String>,
    /// Every import statement, those inside functions as well, in source order.
    pub imports: Vec<NodeId>,
}

#[derive(Clone, Copy)]
struct Place {
    class: Option<u32>,
    is_alternative: bool,
    is_conditional: bool,
    in_loop: bool,
    depth: usize,
}

impl Place {
    fn below(self) -> Place {
        Place { is_conditional: true, depth: self.depth + 1, ..self }
    }

    fn alternative(self) -> Place {
        Place { is_alternative: true, ..self.below() }
    }
}

/// Read the symbols of the file with this root.
pub(super) fn symbols(root: Node<'_>) -> Symbols {
    let mut out = Symbols::default();
    let top = Place { class: None, is_alternative: false, is_conditional: false, in_loop: false, depth: 0 };
    let mut dynamic_all = false;
    for statement in root.children() {
        read_all(statement, &mut out.all, &mut dynamic_all);
    }
    if dynamic_all {
        out.all = None;
    }
    block(root, top, &mut out);
    for node in root.descendants() {
        match node.kind() {
            Kind::Global => out.rebound.extend(node.children().map(|n| n.text().to_owned())),
            Kind::Import | Kind::ImportFrom => out.imports.push(node.id()),
            _ => {}
        }
    }
    out
}

/// The symbols of a file that is too deep to be looked through: none but its imports.
pub(super) fn imports_only(root: Node<'_>) -> Symbols {
    let is_import = |n: &Node<'_>| matches!(n.kind(), Kind::Import | Kind::ImportFrom);
    Symbols { imports: root.descendants().filter(is_import).map(Node::id).collect(), ..Symbols::default() }
}

fn read_all(statement: Node<'_>, all: &mut Option<Vec<String>>, dynamic: &mut bool) {
    let value = match Stmt::of(statement) {
        Stmt::Assign { targets, value: Some(value), .. } if targets.iter().any(|t| t.text() == "__all__") => {
            *all = Some(Vec::new());
            value
        }
        Stmt::AugAssign { target, value, .. } if target.text() == "__all__" => value,
        Stmt::Expr(call) if call.text().starts_with("__all__") => {
            *dynamic = true;
            return;
        }
        _ => return,
    };
    let names = all.get_or_insert_default();
    match Expr::of(value) {
        Expr::List(node) | Expr::Tuple(node) => {
            for item in node.children() {
                match string_value(item) {
                    Some(name) => names.push(name),
                    None => *dynamic = true,
                }
            }
        }
        _ => *dynamic = true,
    }
}

fn block(node: Node<'_>, place: Place, out: &mut Symbols) {
    if place.depth > MAX_NESTING {
        return;
    }
    for statement in node.children() {
        self::statement(statement, place, out);
    }
}

fn statement(node: Node<'_>, place: Place, out: &mut Symbols) {
    match Stmt::of(node) {
        Stmt::FunctionDef { def, decorators } => function(def, &decorators, place, out),
        Stmt::ClassDef { def, decorators } => class(def, &decorators, place, out),
        Stmt::Import(import) => {
            for (name, target) in imports(import) {
                match name {
                    Some(name) => bind(name, What::Import(target), place, out),
                    None => {
                        if place.class.is_none() {
                            out.stars.push(target);
                        }
                    }
                }
            }
        }
        Stmt::Assign { targets, value, annotation } => {
            for target in targets {
                if target.kind() != Kind::Name {
                    names_in(target, place, out);
                    continue;
                }
                let what = match (value, annotation) {
                    _ if place.in_loop => What::Other,
                    (Some(value), _) => What::Value(value.id()),
                    (None, Some(annotation)) => What::Annotation(annotation.id()),
                    (None, None) => What::Other,
                };
                bind(target.text().to_owned(), what, place, out);
            }
        }
        Stmt::AugAssign { target, .. } => names_in(target, place, out),
        Stmt::If { branches, orelse } => {
            // What only type checkers or a switch in the environment turn on is not the usual branch.
            let is_unusual = |test: Node<'_>| {
                let text = test.peel().text();
                !matches!(Expr::of(test), Expr::Not(_))
                    && (text.ends_with("TYPE_CHECKING")
                        || ["environ", "getenv", "is_swapped("].iter().any(|sign| text.contains(sign)))
            };
            for (i, (test, body)) in branches.iter().enumerate() {
                let inner = if i > 0 || is_unusual(*test) { place.alternative() } else { place.below() };
                block(*body, inner, out);
            }
            if let Some(orelse) = orelse {
                let is_usual = matches!(branches.as_slice(), [(test, _)] if is_unusual(*test));
                block(orelse, if is_usual { place.below() } else { place.alternative() }, out);
            }
        }
        Stmt::For { target, body, orelse, .. } => {
            let inner = Place { in_loop: true, ..place.below() };
            names_in(target, inner, out);
            block(body, inner, out);
            if let Some(orelse) = orelse {
                block(orelse, place.below(), out);
            }
        }
        Stmt::While { body, orelse, .. } => {
            block(body, Place { in_loop: true, ..place.below() }, out);
            if let Some(orelse) = orelse {
                block(orelse, place.below(), out);
            }
        }
        Stmt::Try { body, handlers, orelse, finally } => {
            block(body, place.below(), out);
            for handler in handlers {
                block(handler.body, place.alternative(), out);
            }
            for part in [orelse, finally].into_iter().flatten() {
                block(part, place.below(), out);
            }
        }
        Stmt::With { items, body, .. } => {
            for (_, target) in items {
                if let Some(target) = target {
                    names_in(target, place, out);
                }
            }
            block(body, Place { depth: place.depth + 1, ..place }, out);
        }
        Stmt::Match { cases, .. } => {
            for case in cases {
                for body in case.children().filter(|c| c.kind() == Kind::Block) {
                    block(body, place.alternative(), out);
                }
            }
        }
        _ => {}
    }
}

fn bind(name: String, what: What, place: Place, out: &mut Symbols) {
    let bind =
        Bind { name, what, is_alternative: place.is_alternative, is_conditional: place.is_conditional };
    match place.class {
        None => out.binds.push(bind),
        Some(class) => {
            if let Some(class) = out.classes.get_mut(class as usize) {
                class.binds.push(bind);
            }
        }
    }
}

/// Bind every name of a target that is more than a name.
fn names_in(target: Node<'_>, place: Place, out: &mut Symbols) {
    match target.kind() {
        Kind::Name => bind(target.text().to_owned(), What::Other, place, out),
        Kind::Attribute | Kind::Subscript => {}
        _ => {
            let mut next = target.id().0;
            while next < target.subtree_end().0 {
                let node = target.at(NodeId(next));
                next += 1;
                match node.kind() {
                    Kind::Attribute | Kind::Subscript => next = node.subtree_end().0.max(next),
                    Kind::Name => bind(node.text().to_owned(), What::Other, place, out),
                    _ => {}
                }
            }
        }
    }
}

fn function(def: Node<'_>, decorators: &[Node<'_>], place: Place, out: &mut Symbols) {
    let Some(name) = def.child(Field::Name) else { return };
    let index = out.functions.len() as u32;
    out.functions.push(RawFunction {
        name: name.text().to_owned(),
        node: def.id(),
        class: place.class,
        decorators: decorators.iter().map(|d| d.id()).collect(),
        is_async: def.is_async(),
        is_generator: is_generator(def),
    });
    bind(name.text().to_owned(), What::Function(index), place, out);
}

fn is_generator(def: Node<'_>) -> bool {
    let Some(body) = def.child(Field::Body) else { return false };
    let mut next = body.id().0;
    while next < body.subtree_end().0 {
        let node = body.at(NodeId(next));
        next += 1;
        match node.kind() {
            Kind::Yield => return true,
            Kind::FunctionDef | Kind::Lambda => next = node.subtree_end().0.max(next),
            _ => {}
        }
    }
    false
}

fn class(def: Node<'_>, decorators: &[Node<'_>], place: Place, out: &mut Symbols) {
    let (Some(name), Some(body)) = (def.child(Field::Name), def.child(Field::Body)) else { return };
    let index = out.classes.len() as u32;
    let bases = def.child(Field::Superclasses).map_or_else(Vec::new, |list| {
        list.children().filter(|c| c.kind() != Kind::KeywordArgument).map(Node::id).collect()
    });
    out.classes.push(RawClass {
        name: name.text().to_owned(),
        node: def.id(),
        outer: place.class,
        bases,
        decorators: decorators.iter().map(|d| d.id()).collect(),
        binds: Vec::new(),
    });
    bind(name.text().to_owned(), What::Class(index), place, out);
    let inner = Place {
        class: Some(index),
        is_alternative: false,
        is_conditional: false,
        in_loop: false,
        depth: place.depth + 1,
    };
    block(body, inner, out);
}

/// What an import statement binds: the name (`None` for a star) and where it comes from.
pub(super) fn imports(node: Node<'_>) -> Vec<(Option<String>, Import)> {
    let mut out = Vec::new();
    match node.kind() {
        Kind::Import => {
            for child in node.children() {
                let (path, alias) = clause(child);
                let (name, module) = match alias {
                    Some(alias) => (alias, path),
                    None => {
                        let top = path.split('.').next().unwrap_or("").to_owned();
                        (top.clone(), top)
                    }
                };
                out.push((Some(name), Import { level: 0, module, name: None }));
            }
        }
        Kind::ImportFrom => {
            let (mut level, mut module) = (0, String::new());
            if let Some(from) = node.child(Field::ModuleName) {
                let text = dotted_text(from);
                level = text.bytes().take_while(|b| *b == b'.').count();
                module = text.trim_start_matches('.').to_owned();
            }
            for child in node.children() {
                if child.field() == Field::ModuleName {
                    continue;
                }
                if child.kind() == Kind::WildcardImport {
                    out.push((None, Import { level, module: module.clone(), name: None }));
                    continue;
                }
                if !matches!(child.kind(), Kind::DottedName | Kind::AliasedImport) {
                    continue;
                }
                let (path, alias) = clause(child);
                let name = alias.unwrap_or_else(|| path.clone());
                out.push((Some(name), Import { level, module: module.clone(), name: Some(path) }));
            }
        }
        _ => {}
    }
    out
}

fn clause(node: Node<'_>) -> (String, Option<String>) {
    if node.kind() == Kind::AliasedImport {
        let path = node.child(Field::Name).map(dotted_text).unwrap_or_default();
        (path, node.child(Field::Alias).map(|a| a.text().to_owned()))
    } else {
        (dotted_text(node), None)
    }
}

fn dotted_text(node: Node<'_>) -> String {
    node.text().chars().filter(|c| !c.is_whitespace() && *c != '\\').collect()
}
