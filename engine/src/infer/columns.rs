//! The columns of a changelist: `list_display`, and what `get_list_display()` makes of it.
//!
//! The method is followed statement by statement, as far as it builds one list; whatever it does with that in another
//! way leaves the columns unknown.

use crate::django::lists::{class_around, elements, listed};
use crate::python::{
    Argument, ClassId, Expr, Field, FunctionId, Kind, Member, Node, NodeId, Program, Stmt, arguments,
    is_super, parameters, string_value,
};
use crate::text::FileId;
use rustc_hash::FxHashMap;

/// Methods of classes above, and expressions in each other, are followed so far.
const MAX_DEPTH: usize = 8;

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// The file that names it.
    pub file: FileId,
    /// The name, or the function itself.
    pub node: NodeId,
    /// Whether every request is shown it.
    pub is_certain: bool,
}

type Columns = Vec<Column>;

/// The columns of the changelist of `class`; nothing where some of them may not be known.
pub(super) fn columns(program: &Program, class: ClassId) -> Option<Columns> {
    match program.member(class, "get_list_display") {
        None => declared(program, class),
        Some((owner, Member::Function(function, _))) => given(program, class, owner, *function, 0),
        Some(_) => None,
    }
}

/// What `list_display` of `class` names.
fn declared(program: &Program, class: ClassId) -> Option<Columns> {
    let (_, _, elements) = listed(program, class, "list_display")?;
    Some(all_certain(elements))
}

fn all_certain(elements: Vec<(FileId, NodeId)>) -> Columns {
    elements.into_iter().map(|(file, node)| Column { file, node, is_certain: true }).collect()
}

/// What `get_list_display()` of `owner` gives in an object of `class`.
fn given(
    program: &Program,
    class: ClassId,
    owner: ClassId,
    function: FunctionId,
    depth: usize,
) -> Option<Columns> {
    let info = program.function(function);
    let def = program.file(info.file).node(info.node);
    let is_plain = info.decorators.is_empty() && !info.is_generator && !info.is_async;
    let first = parameters(def).first().map(|p| p.name)?;
    let mut method = Method { program, class, owner, file: info.file, def, first, depth, returned: None };
    let mut lists = Lists::default();
    let ends = method.block(def.child(Field::Body)?, &mut lists)?;
    // At the end of the method there would be no list.
    method.returned.filter(|_| is_plain && depth < MAX_DEPTH && ends)
}

/// The variables that hold a list of columns.
type Lists<'a> = FxHashMap<&'a str, Columns>;

struct Method<'a> {
    program: &'a Program,
    class: ClassId,
    owner: ClassId,
    file: FileId,
    def: Node<'a>,
    first: &'a str,
    depth: usize,
    returned: Option<Columns>,
}

impl<'a> Method<'a> {
    /// Follow a block: whether it returns in any case. Nothing where a list may become another one that is not known.
    fn block(&mut self, body: Node<'a>, lists: &mut Lists<'a>) -> Option<bool> {
        for statement in body.children() {
            if self.statement(statement, lists)? {
                return Some(true);
            }
        }
        Some(false)
    }

    fn statement(&mut self, statement: Node<'a>, lists: &mut Lists<'a>) -> Option<bool> {
        match Stmt::of(statement) {
            Stmt::Return(value) => {
                let columns = self.list(value?, lists, 0)?;
                self.returned = Some(match self.returned.take() {
                    Some(known) => either(self.program, known, columns),
                    None => columns,
                });
                return Some(true);
            }
            Stmt::Raise(_) => return Some(true),
            Stmt::If { branches, orelse } => return self.branches(&branches, orelse, lists),
            Stmt::Assign { targets, value: Some(value), .. } => match targets.as_slice() {
                [target] if matches!(Expr::of(*target), Expr::Name(_)) => {
                    // Two names of one list.
                    if matches!(Expr::of(value), Expr::Name(name) if lists.contains_key(name)) {
                        return None;
                    }
                    let Expr::Name(name) = Expr::of(*target) else { return None };
                    match self.list(value, lists, 0) {
                        Some(columns) => lists.insert(name, columns),
                        None if self.mentions(value, lists) => return None,
                        None => lists.remove(name),
                    };
                }
                _ if self.mentions(statement, lists) => return None,
                _ => {}
            },
            Stmt::AugAssign { target, op: Kind::AddAssign, value } => match Expr::of(target) {
                Expr::Name(name) if lists.contains_key(name) => {
                    let added = self.list(value, lists, 0)?;
                    lists.entry(name).or_default().extend(added);
                }
                _ if self.mentions(statement, lists) => return None,
                _ => {}
            },
            Stmt::Expr(value) => {
                if !self.changed(value, lists)? && self.mentions(value, lists) {
                    return None;
                }
            }
            Stmt::Pass => {}
            // A function in the method, a loop, a handler: none of the lists, and no way out.
            _ => {
                let leaves = statement.descendants().any(|n| n.kind() == Kind::Return);
                if leaves || self.mentions(statement, lists) || self.binds(statement, lists) {
                    return None;
                }
            }
        }
        Some(false)
    }

    fn branches(
        &mut self,
        branches: &[(Node<'a>, Node<'a>)],
        orelse: Option<Node<'a>>,
        lists: &mut Lists<'a>,
    ) -> Option<bool> {
        let mut after: Option<Lists<'a>> = None;
        let blocks = branches.iter().map(|(_, body)| Some(*body)).chain([orelse]);
        for block in blocks {
            let mut own = lists.clone();
            let ends = match block {
                Some(body) => self.block(body, &mut own)?,
                None => false,
            };
            if ends {
                continue;
            }
            after = Some(match after.take() {
                None => own,
                Some(known) => self.merged(known, own),
            });
        }
        let ends = after.is_none();
        *lists = after.unwrap_or_default();
        Some(ends)
    }

    /// What a variable holds after either of two branches; one that only one of them gives a list holds none.
    fn merged(&self, one: Lists<'a>, mut other: Lists<'a>) -> Lists<'a> {
        one.into_iter()
            .filter_map(|(name, columns)| Some((name, either(self.program, columns, other.remove(name)?))))
            .collect()
    }

    /// `columns.append("author")`: whether an expression changes a list in a way that is followed. Nothing where the
    /// way is not.
    fn changed(&mut self, value: Node<'a>, lists: &mut Lists<'a>) -> Option<bool> {
        let Expr::Call { func, arguments: list } = Expr::of(value) else { return Some(false) };
        let Expr::Attribute { value: owner, attr, .. } = Expr::of(func) else { return Some(false) };
        let Expr::Name(name) = Expr::of(owner) else { return Some(false) };
        if !lists.contains_key(name) {
            return Some(false);
        }
        let given = arguments(list);
        if given.iter().any(|a| a.stars > 0 || a.name.is_some()) {
            return None;
        }
        let given: Vec<Node<'a>> = given.iter().map(|a| a.value).collect();
        let file = self.file;
        let column = |node: Node<'a>| Column { file, node: node.peel().id(), is_certain: true };
        let is_name = |node: &Node<'a>| string_value(*node).is_some();
        match (attr, given.as_slice()) {
            ("append", [only]) if is_name(only) => {
                lists.entry(name).or_default().push(column(*only));
            }
            ("insert", [_, only]) if is_name(only) => {
                lists.entry(name).or_default().push(column(*only));
            }
            ("extend", [only]) => {
                let added = self.list(*only, lists, 0)?;
                lists.entry(name).or_default().extend(added);
            }
            ("remove", [only]) => {
                let removed = string_value(*only)?;
                let program = self.program;
                let is_other =
                    |c: &Column| string_value(program.file(c.file).node(c.node)).as_ref() != Some(&removed);
                lists.entry(name).or_default().retain(is_other);
            }
            ("sort" | "reverse", _) => {}
            _ => return None,
        }
        Some(true)
    }

    /// The columns that an expression lists.
    fn list(&self, node: Node<'a>, lists: &Lists<'a>, depth: usize) -> Option<Columns> {
        if depth > MAX_DEPTH {
            return None;
        }
        let next = depth + 1;
        match Expr::of(node) {
            Expr::List(items) | Expr::Tuple(items) => {
                let mut out = Vec::new();
                for item in items.children() {
                    match Expr::of(item) {
                        Expr::Starred(inner) => out.extend(self.list(inner, lists, next)?),
                        // A name that the method binds may be anything.
                        Expr::Name(name) if self.is_bound(name) => return None,
                        _ => out.push(Column { file: self.file, node: item.peel().id(), is_certain: true }),
                    }
                }
                Some(out)
            }
            Expr::BinOp { left, op: Kind::Add, right } => {
                let mut out = self.list(left, lists, next)?;
                out.extend(self.list(right, lists, next)?);
                Some(out)
            }
            Expr::IfExp { body, orelse, .. } => {
                Some(either(self.program, self.list(body, lists, next)?, self.list(orelse, lists, next)?))
            }
            Expr::Name(name) if lists.contains_key(name) => lists.get(name).cloned(),
            Expr::Name(name) if self.is_bound(name) => None,
            Expr::Name(_) => elements(
                self.program,
                self.file,
                node.peel().id(),
                class_around(self.program, self.file, node),
            )
            .map(all_certain),
            Expr::Attribute { value, attr: "list_display", .. }
                if matches!(Expr::of(value), Expr::Name(name) if name == self.first) || is_super(value) =>
            {
                declared(self.program, self.class)
            }
            Expr::Attribute { value, attr, .. } if matches!(Expr::of(value), Expr::Name(name) if name == self.first) => {
                listed(self.program, self.class, attr).map(|(_, _, elements)| all_certain(elements))
            }
            Expr::Call { func, arguments: given } => self.called(func, &arguments(given), lists, next),
            // `[c for c in columns if c != "author"]`
            Expr::Comp { node: comp, element } if comp.kind() == Kind::ListComp => {
                let mut clauses = comp.children().filter(|c| c.kind() == Kind::CompFor);
                let (clause, None) = (clauses.next()?, clauses.next()) else { return None };
                let target = clause.child(Field::Left)?;
                if target.text() != element.text() {
                    return None;
                }
                let mut out = self.list(clause.child(Field::Right)?, lists, next)?;
                out.iter_mut().for_each(|column| column.is_certain = false);
                Some(out)
            }
            _ => None,
        }
    }

    fn called(
        &self,
        func: Node<'a>,
        given_here: &[Argument<'a>],
        lists: &Lists<'a>,
        depth: usize,
    ) -> Option<Columns> {
        match Expr::of(func) {
            Expr::Name("list" | "tuple") => match given_here {
                [] => Some(Vec::new()),
                [only] if only.name.is_none() && only.stars == 0 => self.list(only.value, lists, depth),
                _ => None,
            },
            Expr::Attribute { value, attr: "copy", .. } if given_here.is_empty() => {
                self.list(value, lists, depth)
            }
            Expr::Attribute { value, attr: "get_list_display", .. } if is_super(value) => self.above(),
            _ => None,
        }
    }

    /// What the method of the class above gives.
    fn above(&self) -> Option<Columns> {
        let mro = &self.program.class(self.class).mro;
        let above = mro.iter().skip_while(|c| **c != self.owner).skip(1);
        for class in above {
            match self.program.class(*class).members.get("get_list_display") {
                Some(Member::Function(function, _)) if self.depth < MAX_DEPTH => {
                    return given(self.program, self.class, *class, *function, self.depth + 1);
                }
                Some(_) => return None,
                None => {}
            }
        }
        declared(self.program, self.class)
    }

    /// Whether one of the lists, or the one of the object, is named in `node`.
    fn mentions(&self, node: Node<'a>, lists: &Lists<'a>) -> bool {
        std::iter::once(node).chain(node.descendants()).any(|n| match Expr::of(n) {
            Expr::Name(name) => n.kind() == Kind::Name && lists.contains_key(name),
            Expr::Attribute { attr, .. } => n.kind() == Kind::Attribute && attr == "list_display",
            _ => false,
        })
    }

    /// Whether a statement gives one of the lists' names to something else.
    fn binds(&self, statement: Node<'a>, lists: &Lists<'a>) -> bool {
        statement.descendants().any(|n| n.is_binding() && lists.contains_key(n.text()))
    }

    /// Whether the method gives a value to a name of its own.
    fn is_bound(&self, name: &str) -> bool {
        parameters(self.def).iter().any(|p| p.name == name)
            || self.def.descendants().any(|n| n.kind() == Kind::Name && n.is_binding() && n.text() == name)
    }
}

/// The columns of either of two lists: certain are those that both have for certain.
fn either(program: &Program, one: Columns, other: Columns) -> Columns {
    let name = |c: &Column| string_value(program.file(c.file).node(c.node));
    let is_same = |a: &Column, b: &Column| {
        (a.file, a.node) == (b.file, b.node) || name(a).is_some_and(|known| name(b) == Some(known))
    };
    let is_in = |c: &Column, columns: &Columns| columns.iter().any(|o| o.is_certain && is_same(c, o));
    let mut out: Columns =
        one.iter().map(|c| Column { is_certain: c.is_certain && is_in(c, &other), ..*c }).collect();
    for column in other {
        if !out.iter().any(|known| is_same(known, &column)) {
            out.push(Column { is_certain: false, ..column });
        }
    }
    out
}

/// Whether `class` says by itself which columns there are.
pub(super) fn has_columns_of_its_own(program: &Program, class: ClassId) -> bool {
    ["list_display", "get_list_display"].iter().any(|name| program.member(class, name).is_some())
}
