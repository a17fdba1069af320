//! `ormend diff`: the fixes as a unified diff, plain or in a JSON document, and nothing is written.

use super::{difference, tell};
use crate::Status;
use crate::cli::{DiffArgs, DiffFormat};
use crate::pipeline;
use crate::report::diff::{self, Style};
use crate::report::plural;
use crate::terminal::Terminal;
use ormend_engine::codemod::Outcome;

pub fn run(args: &DiffArgs, terminal: &Terminal) -> miette::Result<Status> {
    let loaded = pipeline::load(&args.run, terminal)?;
    let (scanned, left_out, options) = (loaded.scanned, loaded.left_out(), loaded.options.clone());
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
    tell(&args.run, &analysis, scanned, left_out, terminal);
    let fixes = changes.iter().map(|change| change.fixes).sum();
    let unsafe_fixes = if args.run.settings.unsafe_fixes { " --unsafe-fixes" } else { "" };
    if fixes > 0 {
        terminal.summary(&format!(
            "{} would change {}; `ormend fix{unsafe_fixes}` applies {}.{}",
            plural(fixes, "fix", "fixes"),
            plural(changes.len(), "file", "files"),
            if fixes == 1 { "it" } else { "them" },
            difference(fixes, &findings, &options),
        ));
    } else if findings.count(Outcome::Unsafe) > 0 && !args.run.settings.unsafe_fixes {
        terminal.summary("No safe fix changes anything; --unsafe-fixes shows the unsafe ones.");
    }
    Ok(if changes.is_empty() || args.exit_zero { Status::Clean } else { Status::Findings })
}
