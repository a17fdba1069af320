//! The names leave one call and come to another.

use super::find::{Found, Moved, Place};
use ormend_engine::codemod::eager::{Load, existing, extend_arguments, get_queryset_with};
use ormend_engine::codemod::guards::taken_out::{keeps_comments, without_call};
use ormend_engine::codemod::{Context, FileId, Fix, Hazard, HazardKind, Relation, Site};
use ormend_engine::infer::Type;
use ormend_engine::python::emit::{append_call, string_literal, whole_line};
use ormend_engine::python::{ClassId, Expr, Kind, Node, arguments, string_value};
use ormend_engine::text::{Edit, Span};

/// The edits.
pub fn rewrite<'a>(cx: &Context<'a>, found: &Found<'a>) -> Result<Fix, Hazard> {
    let edits = match &found.place {
        Place::Call { receiver, .. } => in_call(cx, found, *receiver)?,
        Place::Admin { class } => in_class(cx, found, *class)?,
    };
    let mut fix = cx.fix(edits);
    let names = found.moved.iter().flat_map(|m| m.named.lookup.split("__"));
    fix.prefetches = names.map(|name| Relation { accessor: name.to_owned(), model: None }).collect();
    Ok(fix)
}

fn in_call<'a>(cx: &Context<'a>, found: &Found<'a>, receiver: Node<'a>) -> Result<Vec<Edit>, Hazard> {
    let file = cx.project.program().file(cx.file);
    let Expr::Call { func, .. } = Expr::of(found.node) else { return Ok(Vec::new()) };
    let Expr::Attribute { attr_node: method, .. } = Expr::of(func) else { return Ok(Vec::new()) };
    let kept = Kept::of(found);
    let quote = quote(found);
    let lookups = missing(cx, found);
    let target = existing(cx, found.chain, Load::Prefetch);
    let mut edits = Vec::new();
    match target {
        Some(call) if !lookups.is_empty() => edits.extend(extend_arguments(cx, call, &lookups, quote)),
        _ => {}
    }
    if !kept.is_empty() {
        let constant = found.spread.filter(|s| found.list_file != cx.file || s.id() != found.list.id());
        match constant.and_then(|name| Some((name, other_use(cx, found, name)?))) {
            // Whoever else uses the constant keeps it, and the names that stay are written out.
            Some((name, _)) if !may_change(cx, found, name) => {
                let Some(argument) = name.with_parens().parent() else { return Ok(Vec::new()) };
                keeps_comments(cx, argument.span())?;
                edits.push(Edit::replace(argument.span(), kept.written_out(quote)));
            }
            Some((name, site)) => {
                let text = format!("`{}` is used elsewhere", name.text());
                return Err(Hazard::at(HazardKind::NoPlaceToEdit, text, site));
            }
            None => edits.extend(kept.edits(cx, found, quote)?),
        }
        if target.is_none() && !lookups.is_empty() {
            let names: Vec<String> = lookups.iter().map(|l| string_literal(l, quote)).collect();
            match one_a_line(cx, found, &names).filter(|_| found.spread.is_none()) {
                Some(edit) => edits.push(edit),
                None => {
                    let method = Load::Prefetch.method();
                    edits.extend(append_call(file, found.node, method, &names, cx.options.line_length));
                }
            }
        }
        return Ok(edits);
    }
    if target.is_some() || lookups.is_empty() {
        edits.push(without_call(cx, receiver, found.node)?);
        return Ok(edits);
    }
    edits.push(Edit::replace(method.span(), Load::Prefetch.method().to_owned()));
    // What is spread may be so elsewhere, too, and stays as it is where it can.
    let is_same = |m: &Moved<'_>| string_value(m.node).as_deref() == Some(m.named.lookup.as_str());
    if let Some(argument) = found.spread.and_then(|s| s.with_parens().parent()) {
        if !found.moved.iter().all(is_same) {
            let names: Vec<String> = lookups.iter().map(|l| string_literal(l, quote)).collect();
            keeps_comments(cx, argument.span())?;
            edits.push(Edit::replace(argument.span(), names.join(", ")));
        }
        return Ok(edits);
    }
    for moved in &found.moved {
        if string_value(moved.node).as_deref() != Some(moved.named.lookup.as_str()) {
            edits.push(Edit::replace(moved.node.span(), string_literal(&moved.named.lookup, quote)));
        }
    }
    Ok(edits)
}

/// Where else the constant is used that `spread` names, or where it is imported.
fn other_use<'a>(cx: &Context<'a>, found: &Found<'a>, spread: Node<'a>) -> Option<Site> {
    uses(cx, found, spread).into_iter().next().map(|(file, node)| Site { file, span: node.span() })
}

/// Every other place with the name of the constant.
fn uses<'a>(cx: &Context<'a>, found: &Found<'a>, spread: Node<'a>) -> Vec<(FileId, Node<'a>)> {
    let program = cx.project.program();
    let Some(name) = spread.descendants().filter(|n| n.kind() == Kind::Name).last().map(Node::text) else {
        return Vec::new();
    };
    let is_target = |n: &Node<'_>| {
        let assign = n.with_parens().parent();
        n.is_binding() && assign.is_some_and(|a| a.contains(found.list.id()) && a.kind() == Kind::Assign)
    };
    let mut out = Vec::new();
    for file in cx.analyzer.files_mentioning(name).iter().copied() {
        let source = program.file(file);
        let is_own = |n: &Node<'_>| {
            file == cx.file && spread.contains(n.id()) || file == found.list_file && is_target(n)
        };
        let named = source.root().mentions(name);
        out.extend(named.filter(|n| !is_own(n)).map(|n| (file, n)));
    }
    out
}

/// Whether the constant is a list that somebody may change: who does more than to import it or to spread it, too.
fn may_change<'a>(cx: &Context<'a>, found: &Found<'a>, spread: Node<'a>) -> bool {
    let is_import = |k: Kind| matches!(k, Kind::Import | Kind::ImportFrom | Kind::AliasedImport);
    let is_spread = |n: Node<'_>| {
        let mut around = n.ancestors().take_while(|a| matches!(a.kind(), Kind::Attribute | Kind::Starred));
        around.any(|a| a.kind() == Kind::Starred)
    };
    matches!(Expr::of(found.list), Expr::List(_))
        && uses(cx, found, spread)
            .into_iter()
            .any(|(_, n)| !is_spread(n) && !n.ancestors().take(4).any(|a| is_import(a.kind())))
}

/// The call with one name a line, where the names stood so and do not fit on one.
fn one_a_line(cx: &Context<'_>, found: &Found<'_>, names: &[String]) -> Option<Edit> {
    let source = cx.source();
    let end = found.list.span().end;
    let first = found.list.children().find(|n| n.kind() != Kind::Comment)?;
    let lead = |offset: u32| {
        let text = source.line_text(source.line_index(offset));
        text.get(..text.len() - text.trim_start().len()).unwrap_or("")
    };
    let is_last_line = source.line_text(source.line_index(end)).trim_start().starts_with(')');
    let flat = format!(".{}({})", Load::Prefetch.method(), names.join(", "));
    let line = source.line_text(source.line_index(end)).trim_end().chars().count();
    if !is_last_line || line + flat.chars().count() <= cx.options.line_length {
        return None;
    }
    let newline = source.newline().as_str();
    let (inner, outer) = (lead(first.span().start), lead(end));
    let items: String = names.iter().map(|n| format!("{newline}{inner}{n},")).collect();
    Some(Edit::insert(end, format!(".{}({items}{newline}{outer})", Load::Prefetch.method())))
}

/// The lookups that the chain does not load by itself.
fn missing<'a>(cx: &Context<'a>, found: &Found<'a>) -> Vec<String> {
    let loaded: Vec<&str> = match cx.type_of(found.chain) {
        Type::QuerySet(qs) => qs.prefetched.iter().map(|p| &**p).collect(),
        _ => Vec::new(),
    };
    let is_loaded = |lookup: &str| {
        loaded
            .iter()
            .any(|p| p.strip_suffix("__*").unwrap_or(p) == lookup || p.starts_with(&format!("{lookup}__")))
    };
    let mut out: Vec<String> = Vec::new();
    for moved in &found.moved {
        let lookup = &moved.named.lookup;
        let is_longer = |other: &Moved<'_>| other.named.lookup.starts_with(&format!("{lookup}__"));
        if !is_loaded(lookup) && !out.contains(lookup) && !found.moved.iter().any(is_longer) {
            out.push(lookup.clone());
        }
    }
    out
}

/// The quote of the names that move.
fn quote(found: &Found<'_>) -> char {
    let literal = found.moved.first().and_then(|m| m.node.descendants().find(|n| n.kind() == Kind::StrStart));
    literal.and_then(|s| s.text().chars().last()).unwrap_or('"')
}

/// What happens to each item of the list of names.
struct Kept<'a> {
    items: Vec<(Node<'a>, Option<String>)>,
    stay: Vec<Node<'a>>,
}

impl<'a> Kept<'a> {
    fn of(found: &Found<'a>) -> Kept<'a> {
        let all: Vec<Node<'a>> = match Expr::of(found.node) {
            Expr::Call { .. } if found.spread.is_none() => {
                arguments(found.list).iter().map(|a| a.node).collect()
            }
            _ => found.list.children().filter(|n| n.kind() != Kind::Comment).collect(),
        };
        let moves = |n: &Node<'a>| found.moved.iter().find(|m| n.contains(m.node.id()));
        let stay: Vec<Node<'a>> = all.iter().copied().filter(|n| moves(n).is_none()).collect();
        let mut joined: Vec<String> = stay.iter().filter_map(|n| string_value(*n)).collect();
        if let Place::Call { queryset, .. } = &found.place {
            joined.extend(queryset.selected.iter().map(|n| n.to_string()));
        }
        let mut items = Vec::new();
        for item in all {
            let Some(moved) = moves(&item) else { continue };
            let before = &moved.named.before;
            let is_joined = |path: &String| path == before || path.starts_with(&format!("{before}__"));
            let stays = !before.is_empty() && !joined.iter().any(is_joined);
            if stays {
                joined.push(before.clone());
            }
            items.push((item, stays.then(|| before.clone())));
        }
        Kept { items, stay }
    }

    fn is_empty(&self) -> bool {
        self.stay.is_empty() && self.items.iter().all(|(_, before)| before.is_none())
    }

    /// What is left of the names, as arguments.
    fn written_out(&self, quote: char) -> String {
        let stay = self.stay.iter().filter_map(|n| string_value(*n));
        let cut = self.items.iter().filter_map(|(_, before)| before.clone());
        stay.chain(cut).map(|name| string_literal(&name, quote)).collect::<Vec<_>>().join(", ")
    }

    /// What goes is taken out with its comma, what is cut short is replaced.
    fn edits(&self, cx: &Context<'a>, found: &Found<'a>, quote: char) -> Result<Vec<Edit>, Hazard> {
        let mut edits = Vec::new();
        let left = self.stay.len() + self.items.iter().filter(|(_, before)| before.is_some()).count();
        if left == 1 && matches!(Expr::of(found.list), Expr::Tuple(_)) {
            // One name in a tuple keeps its comma.
            keeps_comments(cx, found.list.span())?;
            let shortened = self.items.iter().find_map(|(_, before)| before.as_ref());
            let text = match (self.stay.first(), shortened) {
                (Some(name), _) => name.text().to_owned(),
                (None, before) => string_literal(before.map_or("", String::as_str), quote),
            };
            return Ok(vec![Edit::replace(found.list.span(), format!("({text},)"))]);
        }
        let mut gone: Vec<Span> = Vec::new();
        for (item, before) in &self.items {
            match before {
                Some(before) => edits.push(Edit::replace(item.span(), string_literal(before, quote))),
                None => {
                    let span = without(cx, found.list, *item);
                    keeps_comments(cx, span)?;
                    match gone.last_mut().filter(|last| span.start <= last.end) {
                        Some(last) => *last = Span::new(last.start, span.end),
                        None => gone.push(span),
                    }
                }
            }
        }
        edits.extend(gone.into_iter().map(|span| Edit::delete(with_empty_line(cx, span))));
        Ok(edits)
    }
}

/// An item of a list with its comma: up to the next one, or back to the one before where it is the last.
fn without<'a>(cx: &Context<'a>, list: Node<'a>, item: Node<'a>) -> Span {
    let source = cx.source();
    let span = item.with_parens().span();
    let rest = source.slice(Span::new(span.end, list.span().end));
    let before = source.slice(Span::new(list.span().start, span.start));
    let comma = rest
        .find(|c: char| !c.is_whitespace())
        .filter(|at| rest.get(*at..).is_some_and(|r| r.starts_with(',')));
    let lead = before.len() - before.trim_end_matches([' ', '\t']).len();
    let is_own_line = before.trim_end_matches([' ', '\t']).ends_with('\n');
    if let Some(comma) = comma {
        let behind = rest.get(comma + 1..).unwrap_or("");
        let blanks = behind.len() - behind.trim_start_matches([' ', '\t']).len();
        let ends_line = behind.trim_start_matches([' ', '\t', '\r']).starts_with('\n');
        let end = span.end + (comma + 1) as u32;
        if is_own_line && ends_line {
            let line = behind.find('\n').map_or(0, |n| n + 1) as u32;
            return Span::new(span.start - lead as u32, end + line);
        }
        // A comment behind it speaks of it.
        if is_own_line && behind.trim_start_matches([' ', '\t']).starts_with('#') {
            return Span::new(span.start, end + behind.find('\n').unwrap_or(0) as u32);
        }
        let is_last = behind.trim_start().starts_with([')', ']']);
        if !is_last {
            return Span::new(span.start, end + blanks as u32);
        }
    }
    // The last: the comma before goes, one behind stays.
    let back = before.trim_end();
    match back.strip_suffix(',') {
        Some(kept) => Span::new(list.span().start + kept.len() as u32, span.end),
        None => Span::new(span.start, span.end),
    }
}

/// What goes, with the line that nothing else is left on.
fn with_empty_line(cx: &Context<'_>, span: Span) -> Span {
    let source = cx.source();
    let (first, last) = (source.line_index(span.start), source.line_index(span.end));
    let start = source.line_start(first);
    let text = source.line_text(last);
    let end = source.line_start(last) + text.len() as u32;
    let is_empty = |from, to| source.slice(Span::new(from, to)).trim().is_empty();
    if span.end > start && span.start != start && is_empty(start, span.start) && is_empty(span.end, end) {
        let newline = source
            .text()
            .get(end as usize..)
            .map_or(0, |rest| rest.len() - rest.trim_start_matches(['\r', '\n']).len());
        return Span::new(start, end + newline.min(source.newline().as_str().len()) as u32);
    }
    span
}

fn in_class<'a>(cx: &Context<'a>, found: &Found<'a>, class: ClassId) -> Result<Vec<Edit>, Hazard> {
    let program = cx.project.program();
    let info = program.class(class);
    let file = program.file(info.file);
    let quote = quote(found);
    let kept = Kept::of(found);
    let mut lookups = missing(cx, found);
    lookups.sort();
    let names: Vec<String> = lookups.iter().map(|l| string_literal(l, quote)).collect();
    let nowhere =
        || cx.hazard(HazardKind::NoPlaceToEdit, "the class has no body to add to", cx.node(found.node.id()));
    let calls = format!(".prefetch_related({})", names.join(", "));
    let own = get_queryset_with(file, file.node(info.node), &["request"], &calls, cx.options.line_length);
    let mut edits = vec![own.ok_or_else(nowhere)?];
    if kept.is_empty() {
        let statement = found.node.parent().filter(|p| p.kind() == Kind::ExprStatement).unwrap_or(found.node);
        keeps_comments(cx, statement.span())?;
        edits.push(whole_line(file.source.text(), statement.span()));
    } else {
        edits.extend(kept.edits(cx, found, quote)?);
    }
    Ok(edits)
}
