//! The new text.

use super::find::{Empty, Function, Match, Part, What};
use super::groups::{Groups, Holder};
use super::hazards::key_order;
use super::term::{Term, model};
use ormend_engine::codemod::guards::queryset::{Reading, reading};
use ormend_engine::codemod::naming::imported;
use ormend_engine::codemod::rows::emit::{on_lines, quote_at, value_start};
use ormend_engine::codemod::rows::{Shape, Source};
use ormend_engine::codemod::{Context, Fix, Hazard, ImportRequest};
use ormend_engine::infer::{Origin, Trait, Type, Value};
use ormend_engine::python::emit::{
    self, Precedence, fresh_name, indentation, line_with_break, parenthesized, string_literal,
};
use ormend_engine::python::{Expr, Kind, Node};
use ormend_engine::text::{Edit, Span};

/// The text and what it needs.
struct Writer<'a, 'c> {
    cx: &'c Context<'a>,
    found: &'c Match<'a>,
    quote: char,
    imports: Vec<ImportRequest>,
}

/// The fix.
pub fn rewrite<'a>(cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
    let quote = quote_at(cx, found.node).unwrap_or('"');
    let mut writer = Writer { cx, found, quote, imports: Vec::new() };
    let edits = match &found.what {
        What::Values(parts) => writer.values(parts)?,
        What::Groups(groups) => writer.groups(groups)?,
    };
    let mut fix = cx.fix(edits);
    fix.imports = writer.imports;
    fix.reads.push(cx.site(found.shape.source.iter));
    Ok(fix)
}

impl<'a> Writer<'a, '_> {
    fn values(&mut self, parts: &[Part<'a>]) -> Result<Vec<Edit>, Hazard> {
        let node = self.found.node;
        let aliases = self.aliases(parts);
        let mut arguments = Vec::new();
        for (part, alias) in parts.iter().zip(&aliases) {
            arguments.push(format!("{alias}={}", self.aggregate(part)?));
        }
        let base = self.base();
        let narrowing = self.narrowing();
        let call = self.called(base, &format!("{narrowing}aggregate({})", arguments.join(", ")));
        let key_at = |at: Node<'a>, alias: &str| {
            let quote = quote_at(self.cx, at).unwrap_or(self.quote);
            format!("[{}]", string_literal(alias, quote))
        };
        let key = |alias: &str| key_at(node, alias);
        let or = |part: &Part<'a>| match &part.empty {
            Empty::Value(value) if !self.has_default() && part.function == Function::Sum => {
                format!(" or {value}")
            }
            _ => String::new(),
        };
        if let ([part], [alias]) = (parts, aliases.as_slice())
            && self.found.asked.is_none()
        {
            let or = or(part);
            let text = format!("{call}{}{or}", key(alias));
            if self.found.shape.filling.is_none() {
                let of = if or.is_empty() { Precedence::Atom } else { Precedence::Or };
                let text = self.on_lines(base, &narrowing, &arguments, &text, &format!("{}{or}", key(alias)));
                return Ok(vec![Edit::replace(node.span(), parenthesized(node.with_parens(), &text, of))]);
            }
            let binding = binding(part);
            let text = self.on_lines(base, &narrowing, &arguments, &text, &format!("{}{or}", key(alias)));
            let text = format!("{binding}{text}");
            return Ok(self.in_place_of_loop(parts, text));
        }
        let scope = node.enclosing_function().unwrap_or_else(|| self.cx.root());
        let name = fresh_name(scope, "totals");
        let indent = indentation(self.cx.project.program().file(self.cx.file), node);
        let newline = format!("\n{indent}");
        let mut text = if call.contains('\n') || Precedence::of(base) < Precedence::Atom {
            format!("{name} = {call}")
        } else {
            let callee = format!("{}.{narrowing}aggregate", base.text());
            let unit = self.cx.source().indent_unit();
            let prefix = format!("{name} = ");
            emit::call(indent, unit, &prefix, &callee, &arguments, "", self.cx.options.line_length)
        };
        if let Some(asked) = &self.found.asked {
            let mut edits = vec![Edit::replace(asked.statement.span(), text)];
            for (node, number) in &asked.uses {
                let (Some(part), Some(alias)) = (parts.get(*number), aliases.get(*number)) else { continue };
                let or = or(part);
                let of = if or.is_empty() { Precedence::Atom } else { Precedence::Or };
                let text =
                    parenthesized(node.with_parens(), &format!("{name}{}{or}", key_at(*node, alias)), of);
                edits.push(Edit::replace(node.span(), text));
            }
            return Ok(edits);
        }
        if !self.found.members.is_empty() {
            let statement = node.statement().unwrap_or(node);
            let mut edits = vec![Edit::insert(statement.span().start, format!("{text}{newline}"))];
            for ((member, part), alias) in self.found.members.iter().zip(parts).zip(&aliases) {
                let or = or(part);
                let of = if or.is_empty() { Precedence::Atom } else { Precedence::Or };
                let text =
                    parenthesized(member.with_parens(), &format!("{name}{}{or}", key_at(*member, alias)), of);
                edits.push(Edit::replace(member.span(), text));
            }
            return Ok(edits);
        }
        for (part, alias) in parts.iter().zip(&aliases) {
            text.push_str(&format!("{newline}{}{name}{}{}", binding(part), key(alias), or(part)));
        }
        Ok(self.in_place_of_loop(parts, text))
    }

    /// `text`, or where it would make its line too long the arguments on lines of their own: what is split last would be the
    /// subscript behind them.
    fn on_lines(
        &self,
        base: Node<'a>,
        narrowing: &str,
        arguments: &[String],
        text: &str,
        end: &str,
    ) -> String {
        let source = self.cx.source();
        let span = self.found.node.span();
        let line = source.line_text(source.line_index(span.start));
        let after = source.line_text(source.line_index(span.end)).trim_end();
        let column = |at: u32| source.line_column(at).column as usize;
        let rest = after.chars().count().saturating_sub(column(span.end).saturating_sub(1));
        let lead = match self.found.shape.filling {
            Some(filling) => column(span.start).saturating_sub(1) + filling.name.text().chars().count() + 3,
            None => column(span.start).saturating_sub(1),
        };
        if text.contains('\n') || lead + text.chars().count() + rest <= self.cx.options.line_length {
            return text.to_owned();
        }
        // An f-string of one line stays one.
        if self.found.node.ancestors().any(|a| a.kind() == Kind::Interpolation) {
            return text.to_owned();
        }
        let head = format!("{}.{narrowing}aggregate(", base.text());
        if Precedence::of(base) < Precedence::Atom
            || lead + head.chars().count() > self.cx.options.line_length
        {
            return text.to_owned();
        }
        let indent = line.get(..line.len() - line.trim_start().len()).unwrap_or("");
        let unit = source.indent_unit();
        let items: String = arguments.iter().map(|a| format!("\n{indent}{unit}{a},")).collect();
        format!("{head}{items}\n{indent}){end}")
    }

    /// `text` instead of the loop, without the statements that gave its variables their first values.
    fn in_place_of_loop(&self, parts: &[Part<'a>], text: String) -> Vec<Edit> {
        let inits = parts.iter().filter_map(|p| p.init);
        self.instead(inits.collect(), text)
    }

    fn instead(&self, mut inits: Vec<Node<'a>>, text: String) -> Vec<Edit> {
        let node = self.found.node;
        inits.sort_by_key(|i| i.span().start);
        inits.dedup();
        // Those directly before the loop go with it.
        let mut start = node.span().start;
        while let Some(last) = inits.last()
            && next(*last).is_some_and(|n| n.span().start == start)
        {
            start = last.span().start;
            inits.pop();
        }
        let source = self.cx.source().text();
        let mut edits: Vec<Edit> = inits.iter().map(|i| line_with_break(source, i.span())).collect();
        edits.push(Edit::replace(Span::new(start, node.span().end), text));
        edits
    }

    /// `filter(status="live").`
    fn narrowing(&mut self) -> String {
        let Some(filter) = &self.found.filter else { return String::new() };
        self.imports.extend(filter.imports.iter().cloned());
        let calls = filter.calls().into_iter();
        calls.map(|(method, arguments)| format!("{method}({}).", arguments.join(", "))).collect()
    }

    /// Names for the values: those of the variables, where Django would not take them for something else.
    fn aliases(&self, parts: &[Part<'a>]) -> Vec<String> {
        let queryset = &self.found.shape.source.queryset;
        let own = self.cx.model(model(&self.found.shape));
        let used: Vec<&str> =
            self.found.columns().map(|c| c.path.split("__").next().unwrap_or(&c.path)).collect();
        let mut out: Vec<String> = Vec::new();
        for part in parts {
            let usual = match part.function {
                Function::Sum => "total",
                Function::Min => "lowest",
                Function::Max => "highest",
                Function::Count => "count",
                Function::Avg => "average",
            };
            let name = part.target.unwrap_or(usual);
            let is_taken = |name: &str| {
                // What a later value's filter names is looked for among the earlier values first.
                let is_filtered = parts.iter().any(|p| p.filter.is_some()) && own.field(name).is_some();
                is_filtered
                    || queryset.annotations.contains(name)
                    || (parts.len() > 1 && used.contains(&name))
                    || (part.target.is_none() && own.field(name).is_some() && !used.contains(&name))
                    || out.iter().any(|o| o == name)
            };
            let mut alias = name.to_owned();
            let mut number = 2;
            while is_taken(&alias) {
                let function = part.function.name().to_lowercase();
                alias = if number == 2 { format!("{name}_{function}") } else { format!("{name}_{number}") };
                number += 1;
            }
            out.push(alias);
        }
        out
    }

    /// `Sum("price", default=0)`
    fn aggregate(&mut self, part: &Part<'a>) -> Result<String, Hazard> {
        let name = self.import(part.function.name())?;
        let filter = match &part.filter {
            Some(filter) => {
                let q = self.import("Q")?;
                format!(", filter={}", filter.as_q(&q))
            }
            None => String::new(),
        };
        let Some(term) = &part.term else {
            return Ok(format!("{name}({}{filter})", string_literal("pk", self.quote)));
        };
        let of = self.expression(term)?;
        Ok(match &part.empty {
            Empty::Value(value) if self.has_default() => format!("{name}({of}{filter}, default={value})"),
            _ => format!("{name}({of}{filter})"),
        })
    }

    /// `"price"`, `F("price") * F("quantity")`
    fn expression(&mut self, term: &Term<'a>) -> Result<String, Hazard> {
        if let [only] = term.columns.as_slice()
            && term.is_column
        {
            return Ok(string_literal(&only.path, self.quote));
        }
        let name = self.import("F")?;
        let mut out = String::new();
        let mut at = term.node.span().start;
        let text = term.node.file_text();
        for column in &term.columns {
            let span = column.node.span();
            out.push_str(text.get(at as usize..span.start as usize).unwrap_or(""));
            out.push_str(&format!("{name}({})", string_literal(&column.path, self.quote)));
            at = span.end;
        }
        out.push_str(text.get(at as usize..term.node.span().end as usize).unwrap_or(""));
        Ok(out)
    }

    fn groups(&mut self, groups: &Groups<'a>) -> Result<Vec<Edit>, Hazard> {
        let key = string_literal(&groups.key.path, self.quote);
        let measure = match &groups.term {
            None => format!("{}({})", self.import("Count")?, string_literal("pk", self.quote)),
            Some(term) => {
                let sum = format!("{}({})", self.import("Sum")?, self.expression(term)?);
                if term.is_column { sum } else { format!("{}={sum}", self.group_alias()) }
            }
        };
        let mut call = format!("{}values_list({key}).annotate({measure})", self.narrowing());
        // What else the rows are ordered by would be one of the things that make a group.
        let base = self.base();
        let base = last_order(self.cx, base).unwrap_or(base);
        if let Some(first) = key_order(self.cx, self.found, &groups.key.path) {
            call.push_str(&format!(".order_by({})", string_literal(&first, self.quote)));
        } else if self.may_be_ordered(base) {
            call.push_str(".order_by()");
        }
        let rows = self.called(base, &call);
        let text = match groups.holder {
            Holder::Dict => format!("dict({rows})"),
            Holder::Counter(callee) => format!("{}(dict({rows}))", callee.text()),
            Holder::Ordered(callee) => format!("{}({rows})", callee.text()),
            Holder::Default(callee, factory) => format!("{}({}, {rows})", callee.text(), factory.text()),
        };
        let Some((_, init)) = groups.filled else {
            return Ok(vec![Edit::replace(self.found.node.span(), text)]);
        };
        let start = value_start(init);
        let target = init.file_text().get(init.span().start as usize..start).unwrap_or("");
        Ok(self.instead(vec![init], format!("{target}{text}")))
    }

    /// Whether something orders the queryset `base` by a call. `Meta.ordering` is no part of groups.
    fn may_be_ordered(&self, base: Node<'a>) -> bool {
        let Type::QuerySet(queryset) = self.cx.type_of(base) else { return false };
        let is_foreign = |v: &Value| !matches!(v.origin, Origin::Expr(_)) && v.parent.is_none();
        [Trait::Ordered, Trait::OrderedSometimes, Trait::Reversed].iter().any(|t| queryset.is(*t))
            || queryset.values.iter().any(|v| self.cx.value(*v).is_none_or(is_foreign))
    }

    /// A name that is no field, as `annotate()` wants it.
    fn group_alias(&self) -> String {
        let own = self.cx.model(model(&self.found.shape));
        let is_taken = |name: &str| own.field(name).is_some() || own.field_by_attname(name).is_some();
        let names = ["total", "total_sum", "sum_of_rows"];
        names.into_iter().find(|n| !is_taken(n)).unwrap_or("sum_of_rows").to_owned()
    }

    fn has_default(&self) -> bool {
        self.cx.options.target_django >= (4, 0)
    }

    fn import(&mut self, name: &str) -> Result<String, Hazard> {
        let (text, request) = imported(self.cx, self.found.node, "django.db.models", name)?;
        self.imports.extend(request);
        Ok(text)
    }

    /// The queryset with a call at its end.
    fn called(&self, base: Node<'a>, call: &str) -> String {
        let source = Source { iter: base, base, ..self.found.shape.source.clone() };
        let shape = Shape { source, ..self.found.shape.clone() };
        if let Some(lines) = on_lines(self.cx, &shape, call, "", true) {
            return lines;
        }
        let text = base.text();
        if Precedence::of(base) < Precedence::Atom {
            format!("({text}).{call}")
        } else {
            format!("{text}.{call}")
        }
    }

    /// `Book.objects` of `Book.objects.all()`
    fn base(&self) -> Node<'a> {
        let base = self.found.shape.source.base;
        let Expr::Call { func, arguments } = Expr::of(base) else { return base };
        let Expr::Attribute { value, attr: "all", .. } = Expr::of(func) else { return base };
        let is_plain = match self.cx.type_of(value) {
            Type::Manager(manager) => {
                reading(self.cx, manager.model, manager.class, &["all"]) == Reading::Standard
            }
            _ => false,
        };
        if is_plain && arguments.children().next().is_none() { value.peel() } else { base }
    }
}

/// `total = ` or `total += `
fn binding(part: &Part<'_>) -> String {
    let name = part.target.unwrap_or("total");
    if part.is_added { format!("{name} += ") } else { format!("{name} = ") }
}

/// What an `order_by()` at the end of the chain is called on.
fn last_order<'a>(cx: &Context<'a>, base: Node<'a>) -> Option<Node<'a>> {
    let Expr::Call { func, .. } = Expr::of(base) else { return None };
    let Expr::Attribute { value, attr: "order_by", .. } = Expr::of(func) else { return None };
    matches!(cx.type_of(value), Type::QuerySet(_) | Type::Manager(_)).then(|| value.peel())
}

/// What stands directly behind a statement in its block.
fn next(statement: Node<'_>) -> Option<Node<'_>> {
    statement.parent()?.children().skip_while(|c| *c != statement).nth(1)
}
