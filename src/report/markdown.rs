//! Findings in Markdown, for a comment on a pull request: a table of codemods, and a section for each. Text of the project
//! is in code spans, and all of it stays within what a comment may hold.

use super::{Findings, plural, statistics};
use crate::escape::{markdown_code as code, markdown_text};
use ormend_codemods::meta;
use ormend_engine::codemod::Finding;
use ormend_engine::text::Site;
use std::io::{self, Write};

/// What the rows of all sections may take: GitHub's limit for a comment is 65,536 characters.
const ROWS: usize = 50_000;

/// Write `findings`.
pub fn write(out: &mut dyn Write, findings: &Findings, with_withheld: bool) -> io::Result<()> {
    let shown: Vec<_> = findings.shown(with_withheld).map(|(finding, _)| finding).collect();
    let rows = statistics::rows(findings);
    if rows.is_empty() {
        return writeln!(out, "## ormend\n\nNo findings.");
    }
    let (all, files) = (findings.all().len(), findings.file_count());
    writeln!(
        out,
        "## ormend: {} in {}\n",
        plural(all, "finding", "findings"),
        plural(files, "file", "files")
    )?;
    writeln!(out, "| codemod | safe | unsafe | withheld | files |\n|---|---:|---:|---:|---:|")?;
    for (name, row) in &rows {
        let (safe, opt_in, withheld, files) = (row.safe, row.opt_in, row.withheld, row.files.len());
        writeln!(out, "| {} | {safe} | {opt_in} | {withheld} | {files} |", code(name))?;
    }
    writeln!(
        out,
        "\n`ormend fix` applies the safe fixes, `ormend fix --unsafe-fixes` the unsafe ones too; withheld findings have none."
    )?;
    if shown.len() < all {
        writeln!(out, "`ormend check --show-withheld` shows the {} withheld.", all - shown.len())?;
    }
    let mut room = ROWS;
    for (index, name) in rows.keys().enumerate() {
        let own: Vec<&&Finding> = shown.iter().filter(|finding| finding.codemod == *name).collect();
        if own.is_empty() {
            continue;
        }
        writeln!(out, "\n### {}\n", code(name))?;
        if let Some(meta) = meta(name) {
            writeln!(out, "{} `ormend explain {name}` says more.\n", meta.summary)?;
        }
        writeln!(out, "| place | finding | fix | before | after |\n|---|---|---|---|---|")?;
        let lines = own.into_iter().map(|finding| row(findings, finding)).collect();
        // What one section leaves the others share.
        let lines = limited(lines, room / (rows.len() - index), |count| format!("| and {count} more |"));
        room = room.saturating_sub(lines.len());
        out.write_all(lines.as_bytes())?;
    }
    Ok(())
}

/// The first of `rows`, a line each, that have room, and `more` of how many have none.
pub fn limited(rows: Vec<String>, room: usize, more: impl Fn(usize) -> String) -> String {
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        if out.len() + row.len() > room {
            out += &more(rows.len() - index);
            out.push('\n');
            break;
        }
        out += row;
        out.push('\n');
    }
    out
}

/// ``CustomSave: `Book` overrides `save()`, ... (`shop/models.py:41`)``
pub fn hazard_text(kind: &str, message: &str, place: Option<String>) -> String {
    let text = format!("{kind}: {}", markdown_text(message));
    match place {
        Some(place) => format!("{text} ({})", code(&place)),
        None => text,
    }
}

fn row(findings: &Findings, finding: &Finding) -> String {
    let mut text = markdown_text(&finding.message);
    for hazard in &finding.hazards {
        let place = hazard.site.map(|site| place(findings, site));
        text += &format!("<br>{}", hazard_text(hazard.kind.name(), &hazard.message(), place));
    }
    if finding.unlisted > 0 {
        text += &format!("<br>and {} more", finding.unlisted);
    }
    let place = code(&place(findings, finding.site));
    let queries = (markdown_text(&finding.queries.before), markdown_text(&finding.queries.after));
    format!("| {place} | {text} | {} | {} | {} |", finding.outcome().name(), queries.0, queries.1)
}

/// `shop/models.py:41`, as data.
fn place(findings: &Findings, site: Site) -> String {
    format!("{}:{}", findings.path(site.file), findings.line_column(site.file, site.span.start).line)
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn rendered() {
        let text = samples::rendered(|out, findings| write(out, findings, true).unwrap());
        insta::with_settings!({ snapshot_path => "../../snapshots" }, { insta::assert_snapshot!(text) });
        let fixable = samples::rendered(|out, findings| write(out, findings, false).unwrap());
        assert!(fixable.contains("`ormend check --show-withheld` shows the 2 withheld."), "{fixable}");
        assert!(!fixable.contains("| withheld | 1"), "{fixable}");
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let rows = || vec!["| one |".to_owned(), "| two |".to_owned(), "| three |".to_owned()];
        assert_eq!(limited(rows(), 100, |_| String::new()), "| one |\n| two |\n| three |\n");
        assert_eq!(limited(rows(), 14, |count| format!("| {count} more |")), "| one |\n| 2 more |\n");
        assert_eq!(limited(Vec::new(), 0, |_| "x".to_owned()), "");
    }
}
