//! The transformation.

use super::find::{self, Change, Unit};
use super::forms::Form;
use super::{Match, Part};
use ormend_engine::codemod::{Context, Fix, Hazard, HazardKind, ImportRequest, Site};
use ormend_engine::python::emit::{
    ImportedName, Precedence, call, import_name, indentation, quote_of, string_literal,
};
use ormend_engine::python::{File, Kind, Node};
use ormend_engine::text::{Edit, Span};

const MODELS: &str = "django.db.models";
const FUNCTIONS: &str = "django.db.models.functions";

fn file<'a>(cx: &Context<'a>) -> &'a File {
    cx.project.program().file(cx.file)
}

/// Names that the rewritten code needs and that mean something else here.
pub fn shadowed<'a>(cx: &Context<'a>, part: &Part<'a>) -> Option<Hazard> {
    needs(part).into_iter().find_map(|(module, name)| {
        match import_name(file(cx), part.unit.save.statement, module, name) {
            ImportedName::Shadowed(span) => {
                Some(Hazard::at(HazardKind::ImportShadowed, name, Site { file: cx.file, span }))
            }
            _ => None,
        }
    })
}

fn needs(part: &Part<'_>) -> Vec<(&'static str, &'static str)> {
    let mut out = vec![(MODELS, "F")];
    out.extend(part.unit.changes.iter().flat_map(|c| &c.functions).map(|(_, name)| (FUNCTIONS, *name)));
    let stamps = match &part.form {
        Some(Form::Update(update)) => !update.auto_now.is_empty(),
        Some(Form::Beside(beside)) => !beside.auto_now.is_empty(),
        _ => false,
    };
    if stamps {
        out.push(("django.utils", "timezone"));
    }
    out
}

/// The fix of a whole match.
pub fn rewrite<'a>(cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
    let mut edits = Vec::new();
    let mut imports = Vec::new();
    for part in &found.parts {
        let Some(form) = &part.form else {
            return Err(cx.hazard(
                HazardKind::ValueReadAfterwards,
                super::hazards::attribute(&part.unit),
                part.unit.save.statement,
            ));
        };
        let mut written = Writer { cx, at: part.unit.save.statement, imports: &mut imports };
        written.part(&part.unit, form, &mut edits)?;
    }
    let mut fix = cx.fix(edits);
    fix.imports = imports;
    fix.reads = found.parts.iter().map(|p| cx.site(p.unit.scope)).collect();
    Ok(fix)
}

struct Writer<'c, 'a> {
    cx: &'c Context<'a>,
    at: Node<'a>,
    imports: &'c mut Vec<ImportRequest>,
}

impl<'a> Writer<'_, 'a> {
    /// How a name is written here, imported if it has to be.
    fn name(&mut self, module: &str, name: &str) -> Result<String, Hazard> {
        match import_name(file(self.cx), self.at, module, name) {
            ImportedName::Bound(text) => Ok(text),
            ImportedName::Insert(text) => {
                let request =
                    ImportRequest { file: self.cx.file, module: module.to_owned(), name: name.to_owned() };
                if !self.imports.contains(&request) {
                    self.imports.push(request);
                }
                Ok(text)
            }
            ImportedName::Shadowed(span) => {
                Err(Hazard::at(HazardKind::ImportShadowed, name, Site { file: self.cx.file, span }))
            }
        }
    }

    fn part(&mut self, unit: &Unit<'a>, form: &Form<'a>, edits: &mut Vec<Edit>) -> Result<(), Hazard> {
        match form {
            Form::Expression { update_fields } => {
                for change in &unit.changes {
                    self.expression(change, edits)?;
                }
                if let Some(names) = update_fields {
                    let quote = quote_of(file(self.cx));
                    let names: Vec<String> = names.iter().map(|n| string_literal(n, quote)).collect();
                    let argument = format!("update_fields=[{}]", names.join(", "));
                    let method = if unit.save.is_async { "asave" } else { "save" };
                    let callee = format!("{}.{method}", unit.owner.text());
                    let prefix = if unit.save.is_async { "await " } else { "" };
                    let text = self.laid_out(unit.save.statement, prefix, &callee, &[argument]);
                    let text = text.strip_prefix(prefix).unwrap_or(&text).to_owned();
                    edits.push(Edit::replace(unit.save.call.span(), text));
                }
            }
            Form::Beside(beside) => {
                let owner = unit.owner.text();
                let callee = format!("{}.filter(pk={owner}.pk).update", beside.manager);
                let mut arguments = self.assignments(unit)?;
                let mut text = String::new();
                let indent = indentation(file(self.cx), unit.save.statement);
                for column in &beside.auto_now {
                    let timezone = self.name("django.utils", "timezone")?;
                    text += &format!("{owner}.{column} = {timezone}.now()\n{indent}");
                    arguments.push(format!("{column}={owner}.{column}"));
                }
                text += &self.laid_out(unit.save.statement, "", &callee, &arguments);
                edits.push(Edit::replace(unit.save.call.span(), text));
            }
            Form::Given => {
                for change in &unit.changes {
                    self.expression(change, edits)?;
                }
            }
            Form::Update(update) => {
                let callee = format!("{}.update", update.queryset.text());
                let mut arguments = self.assignments(unit)?;
                if !update.auto_now.is_empty() {
                    let timezone = self.name("django.utils", "timezone")?;
                    arguments.extend(update.auto_now.iter().map(|n| format!("{n}={timezone}.now()")));
                }
                let text = self.laid_out(update.first, "", &callee, &arguments);
                let span = Span::new(update.first.span().start, update.last.span().end);
                edits.push(Edit::replace(span, text));
            }
        }
        Ok(())
    }

    fn laid_out(&self, statement: Node<'a>, prefix: &str, callee: &str, arguments: &[String]) -> String {
        let file = file(self.cx);
        let indent = indentation(file, statement);
        let unit = if indent.starts_with('\t') { "\t" } else { "    " };
        call(indent, unit, prefix, callee, arguments, "", self.cx.options.line_length)
    }

    /// `x.n = F("n") + k`
    fn expression(&mut self, change: &Change<'a>, edits: &mut Vec<Edit>) -> Result<(), Hazard> {
        let column = self.column(change)?;
        match &change.form {
            find::Form::Augmented { operator, value } => {
                let (sign, operand) = operand(*operator, *value);
                let span = Span::new(change.target.span().end, value.span().end);
                edits.push(Edit::replace(span, format!(" = {column} {sign} {operand}")));
            }
            find::Form::Assigned { reads, .. } => {
                for (node, text) in self.replacements(change, reads, &column)? {
                    edits.push(Edit::replace(node.span(), text));
                }
            }
        }
        Ok(())
    }

    /// What takes the place of the column and of `max` and `min`, in order of the text.
    fn replacements(
        &mut self,
        change: &Change<'a>,
        reads: &[Node<'a>],
        column: &str,
    ) -> Result<Vec<(Node<'a>, String)>, Hazard> {
        let mut out: Vec<(Node<'a>, String)> = reads.iter().map(|read| (*read, column.to_owned())).collect();
        for (node, function) in &change.functions {
            out.push((*node, self.name(FUNCTIONS, function)?));
        }
        out.sort_by_key(|(node, _)| node.span());
        Ok(out)
    }

    /// `F("n")`
    fn column(&mut self, change: &Change<'a>) -> Result<String, Hazard> {
        let name = self.name(MODELS, "F")?;
        let quote = quote_of(file(self.cx));
        Ok(format!("{name}({})", string_literal(change.column, quote)))
    }

    /// `n=F("n") + k`, one a column.
    fn assignments(&mut self, unit: &Unit<'a>) -> Result<Vec<String>, Hazard> {
        let mut out = Vec::new();
        for change in &unit.changes {
            let column = self.column(change)?;
            let value = match &change.form {
                find::Form::Augmented { operator, value } => {
                    let (sign, operand) = operand(*operator, *value);
                    format!("{column} {sign} {operand}")
                }
                find::Form::Assigned { value, reads } => {
                    let value = value.peel();
                    let mut text = String::new();
                    let mut at = value.span().start;
                    for (node, replacement) in self.replacements(change, reads, &column)? {
                        text += file(self.cx).source.slice(Span::new(at, node.span().start));
                        text += &replacement;
                        at = node.span().end;
                    }
                    text += file(self.cx).source.slice(Span::new(at, value.span().end));
                    text
                }
            };
            out.push(format!("{}={value}", change.column));
        }
        Ok(out)
    }
}

/// The operator behind the column, and the operand, in parentheses where its own operator binds no tighter.
fn operand(operator: Kind, value: Node<'_>) -> (&'static str, String) {
    let (sign, least) = match operator {
        Kind::AddAssign => ("+", Precedence::Product),
        Kind::SubAssign => ("-", Precedence::Product),
        _ => ("*", Precedence::Unary),
    };
    let text = value.text();
    if value.kind() == Kind::Paren || Precedence::of(value) >= least {
        (sign, text.to_owned())
    } else {
        (sign, format!("({text})"))
    }
}
