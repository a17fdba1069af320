//! The shapes: comprehensions, `map()`, and loops that fill a list, set or dict with columns of rows.

use super::columns::{Column, column, related_key};
use ormend_engine::codemod::Context;
use ormend_engine::infer::{Instance, Origin, QuerySet, QuerySetClass, Root, Rows, Trait, Type};
use ormend_engine::python::{
    Def, Expr, Field, Kind, Node, Parameter, arguments, generators, parameters, string_value,
};
use std::sync::Arc;

/// What is iterated.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// The expression that is iterated, parentheses peeled.
    pub iter: Node<'a>,
    /// What `values_list` is called on: `iter` without a slice or `iterator()` at its end.
    pub base: Node<'a>,
    /// The queryset that `base` is.
    pub queryset: Arc<QuerySet>,
    /// `iterator()` is called.
    pub is_streamed: bool,
    /// For rows that are dictionaries: the names given to `values()`, which `iter` ends with.
    pub keys: Option<Vec<String>>,
}

/// What is made of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rowwise {
    /// One column.
    Flat,
    /// A tuple of columns.
    Tuple,
    /// A key and a value, both columns.
    Pair,
    /// An expression over columns.
    Mixed,
}

/// What collects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collects {
    /// `[...]`
    List,
    /// `{...}`
    Set,
    /// `{k: v ...}`
    Dict,
    /// `(...)`
    Generator,
    /// `map(...)`
    Map,
}

/// A loop that fills a container.
#[derive(Clone, Copy, Debug)]
pub struct Filling<'a> {
    /// The container's name.
    pub name: Node<'a>,
    /// The statement directly before the loop that makes the empty container.
    pub init: Option<Node<'a>>,
}

/// What the pattern matcher binds.
pub struct Match<'a> {
    /// The comprehension, the call of `map` or the loop.
    pub node: Node<'a>,
    /// What it collects.
    pub collects: Collects,
    /// For a loop, what it fills.
    pub filling: Option<Filling<'a>>,
    /// What is iterated.
    pub source: Source<'a>,
    /// The row's variable.
    pub variable: &'a str,
    /// The loop's target, where one is written.
    pub target: Option<Node<'a>>,
    /// The element; for a dict the key.
    pub element: Node<'a>,
    /// For a dict, the value.
    pub value: Option<Node<'a>>,
    /// The conditions.
    pub conditions: Vec<Node<'a>>,
    /// The columns in order of their first reads.
    pub columns: Vec<Column>,
    /// Every read, with the index of its column.
    pub reads: Vec<(Node<'a>, usize)>,
    /// What is made of a row.
    pub rowwise: Rowwise,
}

/// The pattern matcher.
pub fn find<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let found = match node.kind() {
        Kind::Call => find_map(cx, node),
        Kind::For => super::loops::find_loop(cx, node),
        _ => find_comprehension(cx, node),
    };
    // The dictionaries of values() cost little: only what needs no comprehension any more reads better without them.
    found.filter(|m| m.source.keys.is_none() || m.rowwise != Rowwise::Mixed)
}

fn find_comprehension<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let all = generators(node);
    let (only, inner) = all.split_first()?;
    // [b.title async for b in books]
    if all.iter().any(|g| g.is_async) {
        return None;
    }
    let Expr::Name(variable) = Expr::of(only.target) else { return None };
    // [word for b in books for word in b.title.split()]
    let rebinds = |node: Node<'a>| node.descendants().any(|n| n.kind() == Kind::Name && n.text() == variable);
    if inner.iter().any(|g| rebinds(g.target)) {
        return None;
    }
    // Rows of two querysets side by side are no question of columns.
    let loops: Vec<Node<'a>> = inner.iter().map(|g| g.iter).collect();
    if loops.iter().any(|iter| matches!(cx.type_of(*iter), Type::QuerySet(_) | Type::Manager(_))) {
        return None;
    }
    let inner: Vec<Node<'a>> =
        inner.iter().flat_map(|g| std::iter::once(g.iter).chain(g.conditions.iter().copied())).collect();
    let body = node.child(Field::Body)?;
    let (collects, element, value) = match node.kind() {
        Kind::ListComp => (Collects::List, body, None),
        Kind::SetComp => (Collects::Set, body, None),
        Kind::GeneratorExp => (Collects::Generator, body, None),
        Kind::DictComp => (Collects::Dict, body.child(Field::Key)?, Some(body.child(Field::Value)?)),
        _ => return None,
    };
    // len([b.pk for b in books]): count() has the better answer.
    if collects == Collects::List && super::context::is_measured(cx, node) {
        return None;
    }
    let source = source(cx, only.iter)?;
    let reads = Reads { variable, element, value, inner: &inner, conditions: &only.conditions };
    let (columns, reads) = reads.columns(cx, &source)?;
    if loops.first().is_some_and(|iter| !reads.iter().any(|(read, _)| iter.contains(read.id()))) {
        return None;
    }
    let rowwise = match inner.as_slice() {
        [] => rowwise(element, value, &only.conditions, &columns, &reads)?,
        _ => Rowwise::Mixed,
    };
    Some(Match {
        node,
        collects,
        filling: None,
        source,
        variable,
        target: Some(only.target),
        element,
        value,
        conditions: only.conditions.clone(),
        columns,
        reads,
        rowwise,
    })
}

fn find_map<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
    let Type::Def(Def::External(path)) = cx.type_of(func) else { return None };
    if path != "builtins.map" {
        return None;
    }
    let all = arguments(list);
    let [function, rows] = all.as_slice() else { return None };
    if [function, rows].iter().any(|a| a.stars > 0 || a.name.is_some()) {
        return None;
    }
    // A map that leaves is an iterator, and whoever gets it decides when it is read.
    if !super::context::is_consumed(cx, node) {
        return None;
    }
    let source = source(cx, rows.value).filter(|s| s.keys.is_none())?;
    let (variable, element, columns, reads) = match Expr::of(function.value) {
        Expr::Lambda { body, .. } => {
            let params = parameters(function.value.peel());
            let [Parameter { name: variable, default: None, .. }] = params.as_slice() else { return None };
            let reads = Reads { variable, element: body.peel(), value: None, inner: &[], conditions: &[] };
            let (columns, reads) = reads.columns(cx, &source)?;
            (*variable, body.peel(), columns, reads)
        }
        Expr::Call { func, arguments: list } => {
            let Type::Def(Def::External(path)) = cx.type_of(func) else { return None };
            if path != "operator.attrgetter" {
                return None;
            }
            let mut columns: Vec<Column> = Vec::new();
            for argument in arguments(list) {
                let name = string_value(argument.value).filter(|n| !n.contains('.'))?;
                let found = column(cx, &source.queryset, &name)?;
                if columns.iter().any(|c| c.identity == found.identity) {
                    return None;
                }
                columns.push(found);
            }
            ("row", function.value, columns, Vec::new())
        }
        _ => return None,
    };
    let rowwise = match columns.len() {
        0 => return None,
        // attrgetter() gives a value or a tuple.
        1 if reads.is_empty() => Rowwise::Flat,
        _ if reads.is_empty() => Rowwise::Tuple,
        _ => rowwise(element, None, &[], &columns, &reads)?,
    };
    if !matches!(rowwise, Rowwise::Flat | Rowwise::Tuple) {
        return None;
    }
    Some(Match {
        node,
        collects: Collects::Map,
        filling: None,
        source,
        variable,
        target: None,
        element,
        value: None,
        conditions: Vec::new(),
        columns,
        reads,
        rowwise,
    })
}

/// The queryset that `iter` goes over, if its rows are instances of a known model.
pub fn source<'a>(cx: &Context<'a>, iter: Node<'a>) -> Option<Source<'a>> {
    let iter = iter.peel();
    let mut is_streamed = false;
    let mut base = iter;
    let mut keys = None;
    let queryset = match cx.type_of(iter) {
        Type::QuerySet(queryset) if queryset.rows == Rows::Dicts => {
            let (receiver, names) = dictionaries(cx, iter)?;
            base = receiver;
            keys = Some(names);
            queryset.clone()
        }
        Type::QuerySet(queryset) => {
            if let Expr::Subscript { value, index, count: 1 } = Expr::of(iter)
                && index.kind() == Kind::Slice
                && cx.type_of(value).queryset().is_some()
            {
                base = value.peel();
            }
            queryset.clone()
        }
        Type::Iterator(row) => {
            let Type::Instance(Instance { root: Root::Row(id), path, .. }) = &**row else { return None };
            let Expr::Call { func, .. } = Expr::of(iter) else { return None };
            let Expr::Attribute { value, attr: "iterator", .. } = Expr::of(func) else { return None };
            if !path.is_empty() {
                return None;
            }
            base = value.peel();
            is_streamed = true;
            if let Type::Manager(manager) = cx.type_of(base) {
                let own = |class| cx.project.program().member(class, "values_list").is_some();
                match manager.class {
                    QuerySetClass::Unknown => return None,
                    QuerySetClass::Custom(class) if own(class) => return None,
                    _ => {}
                }
            }
            cx.value(*id)?.queryset.clone()?
        }
        _ => return None,
    };
    if keys.is_none() && queryset.rows != Rows::Instances {
        return None;
    }
    // for book in books: [tag.name for tag in book.tags.all()]: a prefetch saves the query that every row costs
    // here, and values_list() would keep it from doing so.
    if queryset.related.as_ref().is_some_and(|related| matches!(related.owner.root, Root::Row(_))) {
        return None;
    }
    // raw(), dates() and values().annotate() give other rows; extra() puts SQL among the columns.
    if [Trait::Raw, Trait::Dates, Trait::Grouped, Trait::RawSql, Trait::LockedOf]
        .into_iter()
        .any(|t| queryset.is(t))
    {
        return None;
    }
    // Locks that select_related() extends to the joined rows.
    let joins = !queryset.selected.is_empty() || queryset.is(Trait::BareSelectRelated);
    if queryset.is(Trait::Locked) && joins {
        return None;
    }
    // dict() takes what has keys() for a mapping.
    if let QuerySetClass::Custom(class) = queryset.class
        && cx.project.program().member(class, "keys").is_some()
    {
        return None;
    }
    if cx.model(queryset.model).has_unknown_base || is_translated(cx) {
        return None;
    }
    let from_parameter =
        queryset.values.iter().any(|v| cx.value(*v).is_some_and(|v| !matches!(v.origin, Origin::Expr(_))));
    if queryset.class == QuerySetClass::Unknown
        && !from_parameter
        && !ormend_engine::codemod::guards::projection::has_plain_rows(cx, queryset.model)
    {
        return None;
    }
    Some(Source { iter, base, queryset, is_streamed, keys })
}

/// `books.values("id", "title")`: what `values()` is called on, and the names.
fn dictionaries<'a>(cx: &Context<'a>, iter: Node<'a>) -> Option<(Node<'a>, Vec<String>)> {
    let Expr::Call { func, arguments: list } = Expr::of(iter) else { return None };
    let Expr::Attribute { value: receiver, attr: "values", .. } = Expr::of(func) else { return None };
    let (class, is_rows) = match cx.type_of(receiver) {
        Type::QuerySet(queryset) => (queryset.class, queryset.rows == Rows::Instances),
        Type::Manager(manager) => (manager.class, true),
        _ => return None,
    };
    let is_own = match class {
        QuerySetClass::Plain => false,
        QuerySetClass::Custom(class) => {
            ["values", "values_list"].iter().any(|name| cx.project.program().member(class, name).is_some())
        }
        QuerySetClass::Unknown => true,
    };
    if is_own || !is_rows {
        return None;
    }
    let names: Vec<String> = arguments(list)
        .iter()
        .map(|a| string_value(a.value).filter(|n| a.name.is_none() && a.stars == 0 && is_identifier(n)))
        .collect::<Option<_>>()?;
    let is_unique = names.iter().enumerate().all(|(i, name)| !names.iter().take(i).any(|n| n == name));
    (!names.is_empty() && is_unique).then_some((receiver.peel(), names))
}

fn is_identifier(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// django-modeltranslation gives columns other meanings, on instances and in `values_list` each its own.
fn is_translated(cx: &Context<'_>) -> bool {
    cx.project.settings().installed_apps.iter().any(|app| app == "modeltranslation")
}

/// The parts of a comprehension or loop in which the row's variable may be read.
pub struct Reads<'a, 'c> {
    /// The variable.
    pub variable: &'a str,
    /// The element, or a dict's key.
    pub element: Node<'a>,
    /// A dict's value.
    pub value: Option<Node<'a>>,
    /// What further `for`s of a comprehension iterate and ask.
    pub inner: &'c [Node<'a>],
    /// The conditions.
    pub conditions: &'c [Node<'a>],
}

/// Columns, and reads with the index of their column.
pub type Found<'a> = (Vec<Column>, Vec<(Node<'a>, usize)>);

impl<'a> Reads<'a, '_> {
    /// Every column that is read of the row; `None` where the row is used in another way.
    pub fn columns(&self, cx: &Context<'a>, source: &Source<'a>) -> Option<Found<'a>> {
        let mut columns: Vec<Column> = Vec::new();
        let mut reads = Vec::new();
        let parts = std::iter::once(self.element).chain(self.value).chain(self.inner.iter().copied());
        for part in parts {
            self.read(cx, source, part, &mut columns, &mut reads)?;
        }
        let of_element = columns.len();
        for condition in self.conditions {
            self.read(cx, source, *condition, &mut columns, &mut reads)?;
        }
        // Other columns would make other rows of distinct ones.
        if source.keys.as_ref().is_some_and(|keys| keys.len() != columns.len()) {
            return None;
        }
        // [b.title for b in books if b.status == "live"] is filter-in-database's question.
        if of_element == 0 || columns.len() > of_element {
            return None;
        }
        // What values_list gives for one column named twice depends on Django's version.
        let mut identities: Vec<&str> = columns.iter().map(|c| c.identity.as_str()).collect();
        identities.sort_unstable();
        identities.dedup();
        (identities.len() == columns.len()).then_some((columns, reads))
    }

    fn read(
        &self,
        cx: &Context<'a>,
        source: &Source<'a>,
        part: Node<'a>,
        columns: &mut Vec<Column>,
        reads: &mut Vec<(Node<'a>, usize)>,
    ) -> Option<()> {
        for node in part.descendants() {
            match node.kind() {
                // Names that outlive the row, and code that runs later.
                Kind::NamedExpr | Kind::Lambda | Kind::Await | Kind::Yield | Kind::Error => return None,
                Kind::Interpolation if is_self_documenting(node) => return None,
                Kind::Name => {}
                _ => continue,
            }
            let parent = node.parent()?;
            let is_label = (parent.kind() == Kind::Attribute && node.field() == Field::Attribute)
                || (parent.kind() == Kind::KeywordArgument && node.field() == Field::Name);
            if is_label {
                continue;
            }
            if parent.kind() == Kind::Call && sees_names(node.text()) {
                return None;
            }
            if node.text() != self.variable {
                continue;
            }
            let (read, found) = match &source.keys {
                Some(keys) => {
                    let Expr::Subscript { value, index, count: 1 } = Expr::of(parent) else { return None };
                    let key = string_value(index).filter(|k| value.peel() == node && keys.contains(k))?;
                    (parent, Column { name: key.clone(), identity: key, hazard: None })
                }
                None => self.attribute(cx, &source.queryset, parent)?,
            };
            let index = match columns.iter().position(|c| c.name == found.name) {
                Some(index) => index,
                None => {
                    columns.push(found);
                    columns.len() - 1
                }
            };
            reads.push((read, index));
        }
        Some(())
    }

    /// `row.column`, or `row.relation.pk`: what is read, and the column that holds it.
    fn attribute(
        &self,
        cx: &Context<'a>,
        queryset: &QuerySet,
        parent: Node<'a>,
    ) -> Option<(Node<'a>, Column)> {
        // The row itself goes somewhere.
        let Expr::Attribute { attr, .. } = Expr::of(parent) else { return None };
        let is_called = |node: Node<'a>| {
            let outer = node.with_parens();
            outer.field() == Field::Function && outer.parent().is_some_and(|p| p.kind() == Kind::Call)
        };
        if is_called(parent) {
            return None;
        }
        let outer = parent.with_parens();
        if outer.field() == Field::Object
            && let Some(key) = outer.parent().filter(|p| p.kind() == Kind::Attribute && !is_called(*p))
            && let Expr::Attribute { attr: name, .. } = Expr::of(key)
            && let Some(found) = related_key(cx, queryset, attr, name)
        {
            return Some((key, found));
        }
        Some((parent, column(cx, queryset, attr)?))
    }
}

/// Functions that see variables without naming them.
pub fn sees_names(name: &str) -> bool {
    matches!(name, "eval" | "exec" | "locals" | "vars" | "globals" | "dir")
}

/// `{book.title=}` shows its own text.
fn is_self_documenting(node: Node<'_>) -> bool {
    let Some(inner) = node.child(Field::Expression).or_else(|| node.children().next()) else { return true };
    let rest = node.file_text().get(inner.span().end as usize..node.span().end as usize).unwrap_or("=");
    rest.trim_start().starts_with('=')
}

/// What is made of a row.
pub fn rowwise<'a>(
    element: Node<'a>,
    value: Option<Node<'a>>,
    conditions: &[Node<'a>],
    columns: &[Column],
    reads: &[(Node<'a>, usize)],
) -> Option<Rowwise> {
    let is_read = |node: Node<'a>| reads.iter().find(|(read, _)| *read == node.peel()).map(|(_, i)| *i);
    if let Some(value) = value {
        return Some(match (is_read(element), is_read(value)) {
            (Some(a), Some(b)) if a == b => return None,
            (Some(_), Some(_)) if conditions.is_empty() => Rowwise::Pair,
            _ => Rowwise::Mixed,
        });
    }
    let inner = element.peel();
    match inner.kind() {
        // A list or dict a row is no tuple; dicts belong to values().
        Kind::List | Kind::Dict => return None,
        Kind::Tuple => {
            let items: Vec<Option<usize>> = inner.children().map(is_read).collect();
            if items.iter().all(Option::is_some) {
                let mut unique = items.clone();
                unique.sort_unstable();
                unique.dedup();
                if unique.len() != items.len() || items.len() != columns.len() {
                    return None;
                }
                return Some(if conditions.is_empty() { Rowwise::Tuple } else { Rowwise::Mixed });
            }
        }
        _ => {}
    }
    Some(if is_read(inner).is_some() && conditions.is_empty() { Rowwise::Flat } else { Rowwise::Mixed })
}

/// The statement directly before `node` in its block.
pub fn statement_before<'a>(node: Node<'a>) -> Option<Node<'a>> {
    let parent = node.parent()?;
    parent.children().take_while(|c| *c != node).last()
}
