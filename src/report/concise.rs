//! One line a finding: `path:line:col: codemod [outcome] message`, and the reasons after a dash.

use super::Findings;
use crate::escape::escape_line;
use ormend_engine::text::LineColumn;
use std::io::{self, Write};

/// Write `findings`.
pub fn write(out: &mut dyn Write, findings: &Findings, with_withheld: bool) -> io::Result<()> {
    for (finding, _) in findings.shown(with_withheld) {
        let LineColumn { line, column } = findings.line_column(finding.site.file, finding.site.span.start);
        write!(
            out,
            "{}:{line}:{column}: {} [{}] {}",
            findings.show_path(finding.site.file),
            finding.codemod,
            finding.outcome().name(),
            escape_line(&finding.message)
        )?;
        for (index, hazard) in finding.hazards.iter().enumerate() {
            write!(out, "{} {}", if index == 0 { " -" } else { ";" }, findings.hazard_text(hazard))?;
        }
        if finding.unlisted > 0 {
            write!(out, "; and {} more", finding.unlisted)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn rendered() {
        let all = samples::rendered(|out, findings| write(out, findings, true).unwrap());
        insta::with_settings!({ snapshot_path => "../../snapshots" }, { insta::assert_snapshot!(all) });
        let fixable = samples::rendered(|out, findings| write(out, findings, false).unwrap());
        assert_eq!(fixable.lines().count(), 2);
    }
}
