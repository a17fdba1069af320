//! The expressions that count the rows of a relation, and whether they meet rows of this queryset alone.

use super::super::guards;
use super::super::reads::{Group, Read};
use super::super::remote::Remote;
use super::{helper, linked};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Entry, EntryKind, Root, Type};
use crate::python::{
    ClassId, Def, Expr, Field, FunctionId, Kind, Member, Node, arguments, generators, parameters,
    string_value,
};
use crate::text::{FileId, Site};

/// What is asked of the rows of a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// How many there are.
    Count,
    /// Whether there are any.
    Exists,
}

/// `row.books.count()` and its like, taken apart.
#[derive(Clone, Copy)]
pub(super) struct Spelled<'a> {
    /// All of it.
    pub whole: Node<'a>,
    /// The row.
    pub row: Node<'a>,
    pub what: What,
    /// The arguments of `filter()` or `exclude()`.
    pub condition: Option<Node<'a>>,
    /// Whether rows that meet the condition are left out.
    pub is_negated: bool,
    /// The one of them that says of which row, where the row is no owner of the relation.
    pub link: Option<Node<'a>>,
}

/// Takes apart the expression that reads: the call of `count()` or `exists()`, the argument of `len()`, the call of
/// `filter()` or `exclude()` before one of them.
pub(super) fn spelled(node: Node<'_>) -> Option<Spelled<'_>> {
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
    let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return None };
    let is_bare = arguments(list).is_empty();
    match attr {
        "count" | "exists" if is_bare => {
            let row = row_of(value)?;
            let (condition, is_negated, link) = (None, false, None);
            Some(Spelled { whole: node, row, what: what(attr), condition, is_negated, link })
        }
        "all" if is_bare => {
            let call = node.with_parens().ancestors().find(|n| n.kind() == Kind::Call)?;
            let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
            let args = arguments(list);
            let is_len = matches!(Expr::of(func), Expr::Name("len"))
                && matches!(args.as_slice(), [only] if only.value.peel() == node.peel());
            is_len.then_some(Spelled {
                whole: call,
                row: row_of(node)?,
                what: What::Count,
                condition: None,
                is_negated: false,
                link: None,
            })
        }
        "filter" | "exclude" if !is_bare => {
            let is_negated = attr == "exclude";
            let outer = node.with_parens().parent()?;
            let Expr::Attribute { attr, .. } = Expr::of(outer) else { return None };
            let call = outer.with_parens().parent().filter(|n| n.kind() == Kind::Call)?;
            let Expr::Call { func, arguments: none } = Expr::of(call) else { return None };
            let is_count = matches!(attr, "count" | "exists") && arguments(none).is_empty();
            (is_count && func.peel() == outer.peel()).then_some(Spelled {
                whole: call,
                row: row_of(value)?,
                what: what(attr),
                condition: Some(list),
                is_negated,
                link: None,
            })
        }
        _ => None,
    }
}

fn what(method: &str) -> What {
    if method == "exists" { What::Exists } else { What::Count }
}

/// The row in `row.books` and `row.books.all()`.
fn row_of(node: Node<'_>) -> Option<Node<'_>> {
    match Expr::of(node) {
        Expr::Attribute { value, .. } => Some(value),
        Expr::Call { func, arguments: list } if arguments(list).is_empty() => match Expr::of(func) {
            Expr::Attribute { value, attr: "all", .. } => match Expr::of(value) {
                Expr::Attribute { value, .. } => Some(value),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// A read of this frame: taken apart, with its file, where it asks a row of the group, here or in a function that gets no
/// other rows; nothing where it is no count.
pub(super) fn local<'a>(
    cx: &Context<'a>,
    group: &Group,
    read: &Read,
) -> Result<Option<(FileId, Spelled<'a>)>, Hazard> {
    let node = cx.node(read.at);
    let is_count = |method: &str| matches!(method, "count" | "exists" | "__len__");
    let method = cx.facts.event(read.event).and_then(|e| match &e.kind {
        crate::infer::EventKind::ReadMany { method, .. } => Some(&**method),
        _ => None,
    });
    if read.site != cx.site(node) {
        let found = elsewhere(cx, read.site);
        if let Ok(found) = &found
            && let Some(asked) = asked_through(node, found)
            && is_own_row(cx, group, asked.row)
        {
            return Ok(Some((cx.file, asked)));
        }
        return match found {
            Err(hazard) if method.is_some_and(is_count) => Err(hazard),
            Err(_) => Ok(None),
            Ok(found) if !helper::gets_rows_alone(cx, group, read.site.file, &found) => {
                Err(shared(cx, read.site))
            }
            Ok(found) => Ok(Some((read.site.file, found))),
        };
    }
    let Some(found) = spelled(node).or_else(|| linked::spelled(cx, node)) else {
        return if method.is_some_and(is_count) { Err(shared(cx, read.site)) } else { Ok(None) };
    };
    match is_own_row(cx, group, found.row) {
        true => Ok(Some((cx.file, found))),
        false => Err(shared(cx, read.site)),
    }
}

/// Whether an expression is a row that a loop over the rows of the group binds.
fn is_own_row(cx: &Context<'_>, group: &Group, row: Node<'_>) -> bool {
    let is_row = matches!(cx.type_of(cx.node(row.id())), Type::Instance(i)
        if i.path.is_empty() && matches!(i.root, Root::Row(v) if group.rows.contains(&v)));
    is_row && comes_of_loop(cx, row)
}

/// `book.chapter_total` or `book.chapter_total()` of the frame, at `node`, where the property or method does nothing but
/// return what `found` counts: who reads it here can read the number instead, whoever else may ask the method.
fn asked_through<'a>(node: Node<'a>, found: &Spelled<'a>) -> Option<Spelled<'a>> {
    let def = found.whole.enclosing_function()?;
    let own = parameters(def);
    let [only] = own.as_slice() else { return None };
    let is_own = matches!(Expr::of(found.row), Expr::Name(name) if name == only.name);
    let returned = found.whole.with_parens().parent().filter(|p| p.kind() == Kind::Return)?;
    let is_docstring = |n: Node<'_>| n.children().next().is_some_and(|c| c.kind() == Kind::Str);
    let body = def.child(Field::Body)?;
    let is_all = body.children().all(|s| s == returned || s.kind() == Kind::ExprStatement && is_docstring(s));
    if !is_own || !is_all || found.condition.is_some() || found.link.is_some() {
        return None;
    }
    let name = def.child(Field::Name)?.text();
    let attribute = match Expr::of(node) {
        Expr::Call { func, arguments: list } if arguments(list).is_empty() => func.peel(),
        _ => node.peel(),
    };
    match Expr::of(attribute) {
        Expr::Attribute { value, attr, .. } if attr == name => Some(Spelled {
            whole: node.peel(),
            row: value,
            what: found.what,
            condition: None,
            is_negated: false,
            link: None,
        }),
        _ => None,
    }
}

/// Whether the name of a row is bound by a loop or a lambda that gets the queryset itself, or a list of its rows that
/// nobody can have put others into.
pub(in super::super) fn comes_of_loop(cx: &Context<'_>, row: Node<'_>) -> bool {
    let Expr::Name(name) = Expr::of(row) else { return false };
    let binds = |target: Node<'_>| target.has_name(name);
    for outer in row.ancestors().take_while(|n| n.id() != cx.facts.scope) {
        match outer.kind() {
            Kind::For if outer.child(Field::Left).is_some_and(binds) => {
                return outer.child(Field::Right).is_some_and(|iter| gives_own_rows(cx, iter));
            }
            Kind::ListComp | Kind::SetComp | Kind::DictComp | Kind::GeneratorExp => {
                if let Some(generator) = generators(outer).into_iter().find(|g| binds(g.target)) {
                    return gives_own_rows(cx, generator.iter);
                }
            }
            Kind::Lambda if parameters(outer).iter().any(|p| p.name == name) => {
                let call = outer.ancestors().find(|n| n.kind() == Kind::Call);
                return call.is_some_and(|call| gives_own_rows(cx, call));
            }
            Kind::FunctionDef => return false,
            _ => {}
        }
    }
    false
}

/// Whether an expression is the queryset, a list of its rows, or a call that gets them.
fn gives_own_rows(cx: &Context<'_>, node: Node<'_>) -> bool {
    let ty = cx.type_of(cx.node(node.peel().id()));
    if ty.queryset().is_some() {
        return true;
    }
    match Expr::of(node) {
        Expr::Name(name) => is_unmixed(cx, name),
        Expr::Call { func, arguments: list } => {
            let args = arguments(list);
            let given = args.iter().filter(|a| a.name.is_none_or(|n| n != "key"));
            let owner = match Expr::of(func) {
                Expr::Attribute { value, .. } => cx.type_of(cx.node(value.peel().id())).queryset().is_some(),
                _ => false,
            };
            owner || given.into_iter().any(|a| gives_own_rows(cx, a.value))
        }
        Expr::Subscript { value, .. } => gives_own_rows(cx, value),
        _ => false,
    }
}

/// Whether a list of the function is only looked at: nothing is put into it, it has no other name, nor is it handed to code
/// that could put something into it.
fn is_unmixed(cx: &Context<'_>, name: &str) -> bool {
    const ADDING: &[&str] =
        &["append", "extend", "insert", "__setitem__", "__iadd__", "update", "setdefault"];
    let scope = cx.scope();
    let names = || scope.mentions(name);
    let is_local = scope.kind() == Kind::FunctionDef
        && names().any(|n| n.is_binding())
        && !scope.descendants().any(|n| matches!(n.kind(), Kind::Global | Kind::Nonlocal));
    is_local
        && names().all(|n| {
            let whole = n.with_parens();
            let Some(parent) = whole.parent() else { return false };
            if n.is_binding() {
                return matches!(parent.kind(), Kind::Assign | Kind::For | Kind::CompFor);
            }
            match Expr::of(parent) {
                Expr::Attribute { attr, value, .. } if value.peel() == n => !ADDING.contains(&attr),
                Expr::Attribute { .. } => true,
                Expr::Subscript { value, .. } if value.peel() == n => {
                    !crate::codemod::guards::variable::is_assigned(parent)
                }
                _ => match parent.kind() {
                    Kind::For | Kind::CompFor => whole.field() == Field::Right,
                    Kind::If | Kind::While | Kind::Not | Kind::Compare | Kind::Return => true,
                    Kind::KeywordArgument => whole.field() == Field::Name,
                    Kind::Arguments => parent.parent().is_some_and(|call| match Expr::of(call) {
                        Expr::Call { func, .. } => matches!(
                            cx.type_of(cx.node(func.peel().id())),
                            Type::Def(Def::External(path)) if path.starts_with("builtins.")
                        ),
                        _ => false,
                    }),
                    _ => false,
                },
            }
        })
}

/// Rows of other querysets may come there, too.
fn shared(cx: &Context<'_>, site: Site) -> Hazard {
    let node = guards::node_at(cx.project, site);
    let whole = node.map(|n| spelled(n).map_or(n, |s| s.whole));
    Hazard::at(HazardKind::SharedReader, whole.map_or("...", guards::first_line), site)
}

/// A count in another function, taken apart.
fn elsewhere<'a>(cx: &Context<'a>, site: Site) -> Result<Spelled<'a>, Hazard> {
    let source = &cx.project.program().file(site.file).source;
    if !source.path().ends_with(".py") || guards::node_at(cx.project, site).is_none() {
        let subject = source.slice(site.span).lines().next().unwrap_or_default().to_owned();
        return Err(Hazard::at(HazardKind::TemplateReader, subject, site));
    }
    let node = guards::node_at(cx.project, site);
    node.and_then(spelled).ok_or_else(|| shared(cx, site))
}

/// A read that a framework makes, in a method of a class that shows rows of this queryset alone.
pub(super) fn shown<'a>(
    cx: &Context<'a>,
    group: &Group,
    remote: &Remote,
) -> Result<(FileId, Spelled<'a>), Hazard> {
    let found = elsewhere(cx, remote.site)?;
    let file = remote.site.file;
    let program = cx.project.program();
    let alone = || {
        let class = remote.shown_by?;
        let def = found.whole.enclosing_function()?;
        let function = program.function_at(file, def.id())?;
        let owner = program.function(function).class?;
        let is_static = cx
            .project
            .program()
            .function(function)
            .decorators
            .iter()
            .any(|d| matches!(d, Some(Def::External(path)) if path == "builtins.staticmethod"));
        let own = parameters(def).get(usize::from(!is_static))?.name;
        let is_row = matches!(Expr::of(found.row), Expr::Name(name) if name == own) && !is_rebound(def, own);
        let is_called = !cx.analyzer.call_sites().of(&program.function(function).name).is_empty();
        // For a form without an object, a handler takes another error than the admin does.
        let is_handled =
            found.whole.ancestors().take_while(|n| n.id() != def.id()).any(|n| n.kind() == Kind::Try);
        if !is_row || is_called || is_handled || group.targets.len() > 1 {
            return None;
        }
        let mut entries = cx.analyzer.entries().iter().filter(|e| e.class == Some(class));
        let (Some(entry), None) = (entries.next(), entries.next()) else { return None };
        // A base that is not known may give the method other rows.
        if entry.unknown_base.is_some() {
            return None;
        }
        let is_alone = match entry.kind {
            EntryKind::Changelist | EntryKind::Inline => owner == class && is_column(cx, class, function),
            EntryKind::ListAction => is_serialized_alone(cx, entry, owner),
            _ => false,
        };
        is_alone.then_some(())
    };
    match alone().or_else(|| gets_one_queryset(cx, remote, &found)) {
        Some(()) => Ok((file, found)),
        None => Err(shared(cx, remote.site)),
    }
}

/// A read of rows that only one function ever has, in its own loop over them.
fn gets_one_queryset(cx: &Context<'_>, remote: &Remote, found: &Spelled<'_>) -> Option<()> {
    let (function, value) = remote.alone?;
    let info = cx.project.program().function(function);
    let facts = cx.analyzer.function(function);
    let reader = Context { facts: &facts, file: info.file, ..*cx };
    let row = reader.node(found.row.id());
    let is_row = info.file == remote.site.file
        && found.whole.enclosing_function().is_some_and(|def| def.id() == info.node)
        && matches!(reader.type_of(row), Type::Instance(i) if i.path.is_empty() && i.root == Root::Row(value))
        && comes_of_loop(&reader, row);
    // The error of a value that the database refuses would come where the rows are loaded, and what the lookups name is
    // not known where the queryset is built.
    let is_handled =
        found.whole.ancestors().take_while(|n| n.id() != info.node).any(|n| n.kind() == Kind::Try);
    let names = found.condition.is_some_and(|list| {
        arguments(list).iter().any(|a| a.value.descendants().any(|n| n.kind() == Kind::Name))
    });
    (is_row && !is_handled && !names && found.link.is_none()).then_some(())
}

fn is_rebound(def: Node<'_>, name: &str) -> bool {
    let bound = |n: &Node<'_>| n.kind() == Kind::Name && n.is_binding() && n.text() == name;
    def.child(Field::Body).is_some_and(|body| body.descendants().any(|n| bound(&n)))
}

/// Whether a method is asked by nobody but the admin, for a class that nobody inherits.
fn is_column(cx: &Context<'_>, class: ClassId, function: FunctionId) -> bool {
    let program = cx.project.program();
    let name = &program.function(function).name;
    let info = program.class(class);
    let dotted = format!(".{name}");
    let text = program.file(info.file).node(info.node).text();
    let is_handed_on = text.match_indices(&dotted).any(|(at, _)| {
        let rest = text.get(at + dotted.len()..).unwrap_or_default();
        !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
    });
    program.descendants(class).iter().all(|c| *c == class) && !is_handed_on
}

/// Words in the names of REST framework's classes that write.
const WRITING: &[&str] = &["Create", "Update", "Destroy"];
/// Methods of a view in which a serializer gets something else than rows of the queryset.
const OWN_ACTIONS: &[&str] =
    &["post", "put", "patch", "create", "update", "partial_update", "perform_create"];

/// Whether a serializer gets the rows of one view alone, which only reads.
fn is_serialized_alone(cx: &Context<'_>, entry: &Entry, serializer: ClassId) -> bool {
    let program = cx.project.program();
    let Some(class) = entry.class else { return false };
    let view = program.class(class);
    let writes = |name: &str| {
        let name = name.rsplit('.').next().unwrap_or(name);
        name == "ModelViewSet" || WRITING.iter().any(|w| name.contains(w))
    };
    let bases = view.mro.iter().map(|c| program.class(*c).name.as_str());
    let is_writing = view.external_bases.iter().map(String::as_str).chain(bases.skip(1)).any(writes)
        || OWN_ACTIONS.iter().any(|name| {
            program.member(class, name).is_some_and(|(owner, member)| {
                !cx.project.is_known_file(program.class(owner).file) && matches!(member, Member::Function(..))
            })
        });
    let asks_itself = view.mro.iter().any(|class| {
        let info = program.class(*class);
        let text = program.file(info.file).node(info.node).text();
        !cx.project.is_known_file(info.file)
            && ["get_serializer", ".serializer_class", "get_object(self"].iter().any(|t| text.contains(t))
    });
    if entry.single_objects.is_some()
        || is_writing
        || asks_itself
        || program.descendants(class).len() > 1
        || program.descendants(serializer).len() > 1
    {
        return false;
    }
    let name = &program.class(serializer).name;
    program.file_ids().filter(|f| !cx.project.is_known_file(*f)).all(|file| {
        let parsed = program.file(file);
        let text = parsed.source.text();
        if !text.contains(name.as_str()) && !text.contains(".serializer_class") {
            return true;
        }
        parsed.root().descendants().all(|n| match n.kind() {
            // `view.serializer_class(...)`: of whatever view.
            Kind::Attribute => !matches!(Expr::of(n), Expr::Attribute { value, attr: "serializer_class", .. }
                if !n.is_binding() && !matches!(Expr::of(value), Expr::Name("self" | "cls"))),
            Kind::Str => string_value(n).is_none_or(|text| !has_word(&text, name)),
            Kind::Name if n.text() == name => is_harmless_name(cx, file, n, class),
            _ => true,
        })
    })
}

/// Whether a text has the name, and not as part of another one.
fn has_word(text: &str, name: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name)
}

/// The name of the serializer in its definition, an import, or `serializer_class = ...` of the view.
fn is_harmless_name(cx: &Context<'_>, file: FileId, node: Node<'_>, view: ClassId) -> bool {
    let program = cx.project.program();
    if node.ancestors().any(|a| matches!(a.kind(), Kind::Import | Kind::ImportFrom))
        || node.field() == Field::Name && node.parent().is_some_and(|p| p.kind() == Kind::ClassDef)
    {
        return true;
    }
    let info = program.class(view);
    let assignment = node.ancestors().find(|a| a.kind() == Kind::Assign);
    let is_attribute = assignment.is_some_and(|a| {
        a.child(Field::Left).is_some_and(|l| l.text() == "serializer_class")
            && a.child(Field::Right).is_some_and(|r| match Expr::of(r) {
                Expr::Attribute { attr_node, .. } => attr_node == node,
                _ => r.peel() == node.peel(),
            })
    });
    is_attribute && info.file == file && program.file(file).node(info.node).contains(node.id())
}
