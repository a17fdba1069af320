//! Findings for a reader: the source code with every place, what it costs, every hazard, and the change.

use super::excerpt::Excerpt;
use super::{Findings, edits_of};
use crate::escape::{escape_line, escape_text};
use crate::terminal::graphical;
use miette::{Diagnostic, GraphicalReportHandler, LabeledSpan, Severity, SourceCode, SourceSpan};
use ormend_engine::codemod::{Finding, Outcome};
use ormend_engine::text::{Edit, FileId, Source, Span, apply};
use rayon::ThreadPool;
use rayon::prelude::*;
use similar::{ChangeTag, DiffTag, TextDiff};
use std::fmt;
use std::io::{self, Write};

/// So many findings are rendered before they are written.
const BATCH: usize = 32;

/// Write `findings`, a blank line between them, which the threads of `pool` render.
pub fn write(
    out: &mut dyn Write,
    findings: &Findings,
    with_withheld: bool,
    color: bool,
    pool: &ThreadPool,
) -> io::Result<()> {
    let handler = graphical(color);
    let shown: Vec<&Finding> = findings.shown(with_withheld).map(|(finding, _)| finding).collect();
    for batch in shown.chunks(BATCH) {
        let text = |finding: &&Finding| render(findings, finding, &handler, color);
        let texts: Vec<String> = pool.install(|| batch.par_iter().map(text).collect());
        for text in texts {
            writeln!(out, "{text}")?;
        }
    }
    Ok(())
}

/// A label: a place and what is to be said there.
struct Place {
    file: FileId,
    span: Span,
    text: String,
    is_primary: bool,
}

fn render(findings: &Findings, finding: &Finding, handler: &GraphicalReportHandler, color: bool) -> String {
    let mut places = vec![Place {
        file: finding.site.file,
        span: finding.site.span,
        text: escape_line(&finding.queries.before).into_owned(),
        is_primary: true,
    }];
    let hazards = finding.hazards.iter().filter_map(|hazard| Some((hazard.site?, hazard.message())));
    for (site, text) in finding.related.iter().map(|r| (r.site, r.message.clone())).chain(hazards) {
        let text = escape_line(&text).into_owned();
        places.push(Place { file: site.file, span: site.span, text, is_primary: false });
    }
    let mut files: Vec<FileId> = Vec::new();
    for place in &places {
        if !files.contains(&place.file) {
            files.push(place.file);
        }
    }
    let mut text = String::new();
    for (index, file) in files.into_iter().enumerate() {
        let here: Vec<&Place> = places.iter().filter(|place| place.file == file).collect();
        let snippet = Snippet::new(findings, finding, file, &here, index == 0);
        // Writing to a String cannot fail.
        let _ = handler.render_report(&mut text, &snippet);
    }
    let style = |text: &str, style: &str| {
        if color { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_string() }
    };
    let queries = &finding.queries;
    if !queries.before.is_empty() || !queries.after.is_empty() {
        let (before, after) = (escape_line(&queries.before), escape_line(&queries.after));
        text.push_str(&format!("  {} {before} -> {after}\n", style("queries:", "1")));
    }
    if !finding.hazards.is_empty() {
        let title = match finding.outcome() {
            Outcome::Withheld => "withheld, because:",
            _ => "unsafe, because:",
        };
        text.push_str(&format!("  {}\n", style(title, "1")));
        for hazard in &finding.hazards {
            text.push_str(&format!("    {}\n", findings.hazard_text(hazard)));
        }
        if finding.unlisted > 0 {
            text.push_str(&format!("    and {} more of these kinds\n", finding.unlisted));
        }
    }
    if !edits_of(finding).is_empty() {
        text.push_str(&format!("  {}\n", style("fix:", "1")));
        text.push_str(&change(findings, finding, &style));
    }
    text
}

/// The lines that the fix changes, as `-` and `+`.
fn change(findings: &Findings, finding: &Finding, style: &dyn Fn(&str, &str) -> String) -> String {
    let edits = edits_of(finding);
    let mut files: Vec<FileId> = edits.iter().map(|edit| edit.file).collect();
    files.sort();
    files.dedup();
    let mut text = String::new();
    for file in files {
        let Some(source) = findings.source(file) else { continue };
        let here: Vec<&Edit> = edits.iter().filter(|edit| edit.file == file).map(|edit| &edit.edit).collect();
        let Some((before, after)) = changed_lines(source, &here) else { continue };
        if file != finding.site.file {
            text.push_str(&format!("    in {}\n", findings.show_path(file)));
        }
        let diff = TextDiff::from_lines(&before, &after);
        for (index, group) in diff.grouped_ops(0).iter().enumerate() {
            if index > 0 {
                text.push_str("    ...\n");
            }
            for op in group.iter().filter(|op| op.tag() != DiffTag::Equal) {
                for change in diff.iter_changes(op) {
                    let line = escape_text(change.value().trim_end_matches(['\n', '\r'])).into_owned();
                    let (sign, ink) = match change.tag() {
                        ChangeTag::Delete => ("-", "31"),
                        _ => ("+", "32"),
                    };
                    text.push_str(&format!("    {}\n", style(&format!("{sign} {line}"), ink)));
                }
            }
        }
    }
    text
}

/// The lines that `edits` touch, before and after.
fn changed_lines(source: &Source, edits: &[&Edit]) -> Option<(String, String)> {
    let first = source.line_index(edits.iter().map(|edit| edit.span.start).min()?);
    let last = source.line_index(edits.iter().map(|edit| edit.span.end).max()?);
    let region = Span::new(source.line_start(first), source.line_start(last + 1));
    let moved: Vec<Edit> = edits
        .iter()
        .map(|edit| {
            let span = Span::new(edit.span.start - region.start, edit.span.end.checked_sub(region.start)?);
            Some(Edit::replace(span, edit.text.clone()))
        })
        .collect::<Option<_>>()?;
    let before = source.slice(region);
    Some((before.to_string(), apply(before, &moved)?))
}

/// One file's part of a finding, as a diagnostic.
#[derive(Debug)]
struct Snippet {
    title: String,
    code: Option<String>,
    severity: Severity,
    excerpt: Option<Excerpt>,
    labels: Vec<(SourceSpan, String, bool)>,
}

impl Snippet {
    fn new(
        findings: &Findings,
        finding: &Finding,
        file: FileId,
        places: &[&Place],
        is_first: bool,
    ) -> Snippet {
        let name = findings.show_path(file);
        let spans: Vec<Span> = places.iter().map(|place| place.span).collect();
        let excerpt = findings.source(file).and_then(|source| Excerpt::new(source, name, &spans));
        let (excerpt, places) = match excerpt {
            Some((excerpt, at)) => {
                let labels =
                    at.into_iter().zip(places).map(|(at, place)| (at, place.text.clone(), place.is_primary));
                (Some(excerpt), labels.collect())
            }
            None => (None, Vec::new()),
        };
        let outcome = finding.outcome();
        let place = findings.show_place(finding.site);
        Snippet {
            title: match (is_first, excerpt.is_some()) {
                (true, true) => escape_line(&finding.message).into_owned(),
                (true, false) => format!("{} ({place})", escape_line(&finding.message)),
                (false, _) => format!("see also {}", findings.show_path(file)),
            },
            code: is_first.then(|| format!("{} [{}]", finding.codemod, outcome.name())),
            severity: if is_first && outcome != Outcome::Withheld {
                Severity::Warning
            } else {
                Severity::Advice
            },
            excerpt,
            labels: places,
        }
    }
}

impl fmt::Display for Snippet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}

impl std::error::Error for Snippet {}

impl Diagnostic for Snippet {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.code.as_ref().map(|code| Box::new(code) as Box<dyn fmt::Display>)
    }

    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt.as_ref().map(|excerpt| excerpt as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.labels.is_empty() {
            return None;
        }
        Some(Box::new(self.labels.iter().map(|(span, text, is_primary)| {
            let text = (!text.is_empty()).then(|| text.clone());
            match is_primary {
                true => LabeledSpan::new_primary_with_span(text, *span),
                false => LabeledSpan::new_with_span(text, *span),
            }
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use ormend_engine::text::Site;

    fn write_all(out: &mut Vec<u8>, findings: &Findings) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        write(out, findings, true, false, &pool).unwrap();
    }

    #[test]
    fn rendered() {
        let text = samples::rendered(write_all);
        insta::with_settings!({ snapshot_path => "../../snapshots" }, { insta::assert_snapshot!(text) });
    }

    #[test]
    fn lines_between_labels_are_left_out() {
        let (list, paths) = (samples::findings(), samples::paths());
        let between = |count| "    # between\n".repeat(count);
        let text = format!(
            "{}built = Book.objects.all()\n{}kept = built\n{}for book in kept:\n    pass\n",
            between(40),
            between(20),
            between(20)
        );
        let at = |part: &str, len: u32| {
            let start = text.find(part).unwrap() as u32;
            Site { file: FileId(0), span: Span::new(start, start + len) }
        };
        let mut finding = list[0].clone();
        finding.site = at("for book", 8);
        finding.related[0].site = at("Book.objects", 12);
        finding.related[1].site = at("kept", 4);
        finding.fix = None;
        let (long, print) = (samples::source("shop/views.py", text.into_bytes()), ["0".repeat(16)]);
        let finding = [finding];
        let mut out = Vec::new();
        write_all(&mut out, &Findings::new(&finding, &print, &long, &paths));
        let out = String::from_utf8(out).unwrap();
        let places = ["41 │ built", "62 │ kept", "83 │ for book"];
        assert!(places.iter().all(|place| out.contains(place)), "{out}");
        assert_eq!(out.matches("# between").count(), 5, "{out}");
    }

    #[test]
    fn an_endless_line_is_not_shown() {
        let (list, paths) = (samples::findings(), samples::paths());
        let long = samples::source("shop/views.py", vec![b'x'; 1 << 20]);
        let print = ["0".repeat(16)];
        let findings = Findings::new(&list[..1], &print, &long, &paths);
        let mut out = Vec::new();
        write_all(&mut out, &findings);
        assert!(out.len() < 3 << 20, "{}", out.len());
        assert!(String::from_utf8(out).unwrap().contains("(shop/views.py:1)"));
    }
}
