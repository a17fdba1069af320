//! Rows that each turn of a loop finds by a key: `Book.objects.filter(pk=pk)` for `pk` in a collection, which one
//! `filter(pk__in=...)` finds together.

use super::writes::one_line;
use crate::codemod::{Context, Hazard, HazardKind, loops};
use crate::django::{FieldKind, ModelId};
use crate::infer::{Rows, Type};
use crate::python::emit::on_one_line;
use crate::python::{Argument, Expr, Field, Kind, Node, arguments};
use crate::text::Span;

/// A lookup by the loop's variable.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// The model of the rows.
    pub model: ModelId,
    /// The expression that gives the rows, or the row.
    pub chain: Node<'a>,
    /// The call of `filter()` or `get()` in it.
    pub lookup: Node<'a>,
    /// `pk=pk` in that.
    pub keyword: Argument<'a>,
    /// It is `get()`, which raises for a missing row.
    pub by_get: bool,
    /// The loop goes through rows, and the value is a column of one: `pk=book.pk`.
    pub of_row: bool,
}

/// `Book.objects.filter(pk=pk)` and `get(pk=pk)`, where `pk` is the variable `name` of a loop over `iter`, or the row's key
/// where that is a row.
pub fn found_by<'a>(cx: &Context<'a>, chain: Node<'a>, name: &str, iter: Node<'a>) -> Option<Found<'a>> {
    let (model, by_get) = match cx.type_of(chain) {
        Type::QuerySet(qs) if qs.rows == Rows::Instances => (qs.model, false),
        Type::Instance(instance) if instance.path.is_empty() => (instance.model, true),
        _ => return None,
    };
    // One place names the variable: the value of a keyword of `filter()` or `get()`.
    let mut uses = chain
        .mentions(name)
        .filter(|n| n.parent().is_none_or(|p| p.kind() != Kind::KeywordArgument || n.field() != Field::Name));
    let (Some(used), None) = (uses.next(), uses.next()) else { return None };
    let lookup = used.ancestors().find(|a| a.kind() == Kind::Call)?;
    let Expr::Call { func, arguments: list } = Expr::of(lookup) else { return None };
    let Expr::Attribute { value: base, attr, .. } = Expr::of(func) else { return None };
    if attr != if by_get { "get" } else { "filter" } || by_get && lookup != chain {
        return None;
    }
    if !matches!(cx.type_of(base), Type::Manager(_) | Type::QuerySet(_)) {
        return None;
    }
    let keyword = arguments(list).into_iter().find(|a| a.name.is_some() && a.value.contains(used.id()))?;
    let of_row = keyword.value.peel() != used;
    if of_row && !is_column_of_row(cx, keyword.value, used) {
        return None;
    }
    let field = field(cx, model, keyword)?;
    let kind_is_plain = (field.kind.is_plain_column() || field.kind == FieldKind::ForeignKey)
        && !matches!(field.kind, FieldKind::Json | FieldKind::Postgres | FieldKind::Binary);
    let is_source = if of_row { is_row_source(cx, iter) } else { is_collection(cx, iter) };
    if !kind_is_plain || field.has_hooks || !is_fixed(cx, chain) || !is_source {
        return None;
    }
    Some(Found { model, chain, lookup, keyword, by_get, of_row })
}

fn field<'a>(cx: &Context<'a>, model: ModelId, keyword: Argument<'a>) -> Option<&'a crate::django::Field> {
    let looked_up = keyword.name?;
    let info = cx.model(model);
    match looked_up.strip_suffix("__exact").unwrap_or(looked_up) {
        "pk" => info.primary_key(),
        plain => info.field(plain).or_else(|| info.field_by_attname(plain)),
    }
}

/// Whether everything else in the chain is the same in every turn: no call but those of the chain itself, no other query.
fn is_fixed<'a>(cx: &Context<'a>, chain: Node<'a>) -> bool {
    let mut spine = vec![chain.peel()];
    while let Some(Expr::Call { func, .. }) = spine.last().map(|n| Expr::of(*n)) {
        let Expr::Attribute { value, .. } = Expr::of(func) else { return false };
        if !matches!(cx.type_of(value), Type::Manager(_) | Type::QuerySet(_)) {
            return false;
        }
        spine.push(value.peel());
    }
    let asks = |n: Node<'a>| {
        n.kind() == Kind::Call
            || matches!(n.kind(), Kind::Name | Kind::Attribute)
                && matches!(cx.type_of(n), Type::QuerySet(_) | Type::Manager(_))
            || n.kind().is_comprehension()
            || matches!(n.kind(), Kind::Lambda | Kind::NamedExpr | Kind::Await | Kind::Yield)
    };
    let is_of_spine =
        |n: Node<'a>| spine.last().is_some_and(|base| base.contains(n.id())) || spine.contains(&n);
    chain.descendants().filter(|n| !is_of_spine(*n)).all(|n| !asks(n))
}

/// `book.pk`, `book.author_id` of the row `used`.
fn is_column_of_row<'a>(cx: &Context<'a>, value: Node<'a>, used: Node<'a>) -> bool {
    let Expr::Attribute { value: row, attr, .. } = Expr::of(value) else { return false };
    let Type::Instance(instance) = cx.type_of(row) else { return false };
    let model = cx.model(instance.model);
    let is_column = attr == "pk"
        || model.primary_key().is_some_and(|k| k.name == attr)
        || model
            .field_by_attname(attr)
            .is_some_and(|f| !f.has_hooks && (f.kind.is_plain_column() || f.relation.is_some()));
    row.peel() == used && is_column
}

fn is_row_source<'a>(cx: &Context<'a>, iter: Node<'a>) -> bool {
    let is_bound =
        iter.descendants().any(|n| matches!(n.kind(), Kind::NamedExpr | Kind::Yield | Kind::Await));
    !is_bound && matches!(cx.type_of(iter), Type::QuerySet(_) | Type::List(_) | Type::Iterator(_))
}

/// Whether the loop's source can stand behind `__in`.
fn is_collection<'a>(cx: &Context<'a>, iter: Node<'a>) -> bool {
    let is_bound =
        iter.descendants().any(|n| matches!(n.kind(), Kind::NamedExpr | Kind::Yield | Kind::Await));
    !is_bound
        && match cx.type_of(iter) {
            Type::QuerySet(_) | Type::Manager(_) | Type::Str | Type::Bytes | Type::Instance(_) => false,
            Type::Object(_) | Type::External(_) => false,
            _ => !matches!(iter.kind(), Kind::GeneratorExp | Kind::Lambda),
        }
}

impl<'a> Found<'a> {
    /// What `=` finds and `__in` does not.
    pub fn hazards(&self, cx: &Context<'a>, out: &mut Vec<Hazard>) {
        let value = self.keyword.value;
        let is_known = match Expr::of(value) {
            Expr::Attribute { value: row, attr, .. } if self.of_row => {
                let model = cx.type_of(row).instance().map(|i| cx.model(i.model));
                model.is_some_and(|m| attr == "pk" || m.field_by_attname(attr).is_some_and(|f| !f.null))
            }
            _ => matches!(cx.type_of(value), Type::Int | Type::Str | Type::Instance(_)),
        };
        // `filter(x=None)` asks for NULL, which `__in` never finds.
        if field(cx, self.model, self.keyword).is_none_or(|f| f.null) && !is_known {
            out.push(cx.hazard(HazardKind::ValueMayDiffer, value.text(), value));
        }
    }

    /// `call`, in which the lookup stands, with all keys that a loop over `iter` goes through: `filter(pk__in=pks)`.
    pub fn together(
        &self,
        cx: &Context<'a>,
        call: Node<'a>,
        target: Node<'a>,
        iter: Node<'a>,
    ) -> Result<String, Hazard> {
        let source = cx.source();
        let refused = |node: Node<'a>| cx.hazard(HazardKind::NoPlaceToEdit, one_line(node.text()), node);
        let whole = call.with_parens();
        on_one_line(call).ok_or_else(|| refused(call))?;
        let keys = if self.of_row {
            let clauses = loops::clauses(target, iter, false, &[]).ok_or_else(|| refused(iter))?;
            format!("[{} {}]", self.keyword.value.text(), clauses.join(" "))
        } else {
            loops::operand(iter).ok_or_else(|| refused(iter))?
        };
        let name = self.keyword.name.unwrap_or("pk");
        let name = name.strip_suffix("__exact").unwrap_or(name);
        let mut changes = vec![(self.keyword.node.span(), format!("{name}__in={keys}"))];
        if self.by_get
            && let Expr::Call { func, .. } = Expr::of(self.lookup)
            && let Expr::Attribute { attr_node, .. } = Expr::of(func)
        {
            changes.insert(0, (attr_node.span(), "filter".to_owned()));
        }
        let mut text = String::new();
        let mut at = whole.span().start;
        for (span, new) in changes {
            text.push_str(source.slice(Span::new(at, span.start)));
            text.push_str(&new);
            at = span.end;
        }
        text.push_str(source.slice(Span::new(at, whole.span().end)));
        Ok(one_line(&text))
    }
}
