//! Annotations of GitHub Actions: a workflow command a finding, which the log of a run turns into a note at the line.

use super::Findings;
use ormend_engine::codemod::Outcome;
use std::io::{self, Write};

/// Write `findings`.
pub fn write(out: &mut dyn Write, findings: &Findings, with_withheld: bool) -> io::Result<()> {
    for (finding, _) in findings.shown(with_withheld) {
        let file = finding.site.file;
        let start = findings.line_column(file, finding.site.span.start);
        let end = findings.line_column(file, finding.site.span.end);
        let outcome = finding.outcome();
        let level = if outcome == Outcome::Withheld { "notice" } else { "warning" };
        writeln!(
            out,
            "::{level} file={},line={},endLine={},col={},endColumn={},title={}::{}",
            property(&findings.path(file)),
            start.line,
            end.line,
            start.column,
            end.column,
            property(&format!("{} [{}]", finding.codemod, outcome.name())),
            escaped(&findings.account(finding))
        )?;
    }
    Ok(())
}

/// The text of a command, after actions/toolkit, packages/core/src/command.ts.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property of a command.
fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn rendered() {
        let text = samples::rendered(|out, findings| write(out, findings, true).unwrap());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        let first = "::warning file=shop/views.py,line=6,endLine=7,col=5,endColumn=32,title=select-related [safe]::\
                     Fetch `author` with `select_related` (1 + N queries -> 1 query)";
        assert_eq!(lines[0], first);
        assert!(
            lines[1].contains("[unsafe]::Write with `bulk_create`") && lines[1].contains("%0ACustomSave: ")
        );
        assert!(lines[2].starts_with("::notice ") && !text.contains('\x1b'), "{text}");
        let fixable = samples::rendered(|out, findings| write(out, findings, false).unwrap());
        assert_eq!(fixable.lines().count(), 2);
    }

    #[test]
    fn what_means_something_to_a_command_is_escaped() {
        assert_eq!(escaped("100 %\r\nnext: a, b"), "100 %25%0D%0Anext: a, b");
        assert_eq!(property("a:b,c\n"), "a%3Ab%2Cc%0A");
    }
}
