//! `ormend diff`: the fixes as a unified diff, plain or in a JSON document, and nothing is written.

use super::{counts, looked_at};
use crate::Status;
use crate::cli::{DiffArgs, DiffFormat};
use crate::pipeline;
use crate::report::diff::{self, Style};
use crate::report::{plural, statistics};
use crate::terminal::Terminal;

pub fn run(args: &DiffArgs, terminal: &Terminal) -> miette::Result<Status> {
    let loaded = pipeline::load(&args.run, terminal)?;
    let (scanned, left_out) = (loaded.scanned, loaded.left_out);
    let analysis = loaded.analyse(true, terminal);
    let changes = &analysis.report.changes;
    let style = Style { color: terminal.stdout_color, escape: terminal.stdout_is_terminal };
    terminal.product(|out| match args.output_format {
        DiffFormat::Unified => diff::write(out, &analysis.paths, changes, style),
        DiffFormat::Json => diff::write_document(out, &analysis.paths, changes),
    })?;
    if !changes.is_empty() && !diff::is_relative_to_cwd(&analysis.paths, changes) {
        let root = analysis.paths.show_absolute(&analysis.paths.root);
        terminal.summary(&format!(
            "Paths in the diff are relative to {root}; apply it with `git -C {root} apply`."
        ));
    }
    let findings = analysis.findings();
    if args.run.statistics {
        terminal.summary(statistics::table(&findings).trim_end());
    }
    terminal.summary(&format!(
        "{}. {}",
        counts(&findings),
        looked_at(scanned, left_out, analysis.report.known.len())
    ));
    let fixes = changes.iter().map(|change| change.fixes).sum();
    if fixes > 0 {
        terminal.summary(&format!(
            "{} would change {}; `ormend fix` applies them.",
            plural(fixes, "fix", "fixes"),
            plural(changes.len(), "file", "files")
        ));
    }
    Ok(if changes.is_empty() || args.exit_zero { Status::Clean } else { Status::Findings })
}
