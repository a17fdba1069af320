//! `ormend fix`: the fixes, in place, each file whole or not at all. Of standard input the result is printed.

use super::{counts, looked_at, worse};
use crate::Status;
use crate::cli::FixArgs;
use crate::pipeline::{self, Analysis};
use crate::report::{plural, statistics};
use crate::terminal::Terminal;
use crate::write;

pub fn run(args: &FixArgs, terminal: &Terminal) -> miette::Result<Status> {
    let loaded = pipeline::load(&args.run, terminal)?;
    let (scanned, left_out) = (loaded.scanned, loaded.left_out);
    let stdin = loaded.stdin.clone().map(|path| {
        let bytes = loaded.files.iter().find(|file| file.path == path).map(|file| file.bytes.clone());
        (path, bytes.unwrap_or_default())
    });
    let analysis = loaded.analyse(true, terminal);
    let (fixes, files, status) = match stdin {
        Some((path, bytes)) => print_fixed(&analysis, &path, &bytes, terminal)?,
        None => write_all(&analysis, terminal),
    };
    let findings = analysis.findings();
    if args.run.statistics {
        terminal.summary(statistics::table(&findings).trim_end());
    }
    terminal.summary(&format!("{}. {}", counts(&findings), looked_at(scanned, left_out)));
    if fixes > 0 {
        terminal.summary(&format!(
            "Applied {} to {}.",
            plural(fixes, "fix", "fixes"),
            plural(files, "file", "files")
        ));
    }
    Ok(match status {
        Status::Clean if fixes > 0 && args.exit_non_zero_on_fix => Status::Findings,
        status => status,
    })
}

/// Write every changed file. One that cannot be written is told, and the others go on.
fn write_all(analysis: &Analysis, terminal: &Terminal) -> (usize, usize, Status) {
    let (mut fixes, mut files, mut status) = (0, 0, Status::Clean);
    for change in &analysis.report.changes {
        match write::replace(&analysis.paths, change) {
            Ok(()) => {
                fixes += change.fixes;
                files += 1;
            }
            Err(error) => {
                terminal.failed(&format!("{}: {error}", analysis.paths.show(&change.path)));
                status = worse(status, &error);
            }
        }
    }
    (fixes, files, status)
}

/// Print the file of standard input with its fixes. Fixes that need other files changed too would be half a
/// change, so the engine's other changes are told and not made.
fn print_fixed(
    analysis: &Analysis,
    path: &str,
    bytes: &[u8],
    terminal: &Terminal,
) -> miette::Result<(usize, usize, Status)> {
    let others: Vec<_> = analysis.report.changes.iter().filter(|change| change.path != path).collect();
    for change in &others {
        terminal.warn(&format!("{}: a fix would change this file too", analysis.paths.show(&change.path)));
    }
    let change = analysis.report.changes.iter().find(|change| change.path == path && others.is_empty());
    terminal.product(|out| out.write_all(change.map_or(bytes, |change| &change.after)))?;
    Ok(change.map_or((0, 0, Status::Clean), |change| (change.fixes, 1, Status::Clean)))
}
