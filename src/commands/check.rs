//! `ormend check`: findings, and nothing is written.

use super::{counts, looked_at, next_step};
use crate::Status;
use crate::baseline;
use crate::cli::{CheckArgs, CheckFormat, RunArgs};
use crate::escape::escape_path;
use crate::pipeline;
use crate::report::{concise, full, github, gitlab, jsonl, markdown, plural, sarif, statistics};
use crate::terminal::Terminal;
use ormend_engine::codemod::Outcome;
use std::collections::BTreeSet;

pub fn run(args: &CheckArgs, terminal: &Terminal) -> miette::Result<Status> {
    // What is written anew is not to leave out what the old one lists.
    let baseline = args.run.baseline.clone().filter(|_| !args.write_baseline);
    let run = RunArgs { baseline, ..args.run.clone() };
    let loaded = pipeline::load(&run, terminal)?;
    let (scanned, left_out) = (loaded.scanned, loaded.left_out());
    // Of a part of the project nothing is said of the rest.
    let is_whole = args.run.is_whole() && loaded.asked.is_empty();
    let awaited = if is_whole { loaded.awaited.clone() } else { Vec::new() };
    let analysis = loaded.analyse(false, terminal);
    let findings = analysis.findings();
    if let Some(file) = args.run.baseline.as_deref().filter(|_| args.write_baseline) {
        baseline::write(file, &findings)?;
        let count = plural(findings.all().len(), "finding", "findings");
        let name = escape_path(file);
        terminal.summary(&format!("Wrote {count} to `{name}`. {}", looked_at(scanned, left_out, 0)));
        return Ok(Status::Clean);
    }
    let known = analysis.report.known.len();
    let withheld = args.show_withheld;
    // The table takes the place of findings for readers; programs get both, on separate streams.
    if args.run.statistics && !args.output_format.is_data() {
        terminal.product(|out| out.write_all(statistics::table(&findings).as_bytes()))?;
    } else {
        terminal.product(|out| match args.output_format {
            CheckFormat::Full => full::write(out, &findings, withheld, terminal.stdout_color, &analysis.pool),
            CheckFormat::Concise => concise::write(out, &findings, withheld),
            CheckFormat::Json => jsonl::write_document(out, &findings, withheld),
            CheckFormat::Jsonl => jsonl::write(out, &findings, withheld),
            CheckFormat::Sarif => sarif::write(out, &findings, withheld),
            CheckFormat::Github => github::write(out, &findings, withheld),
            CheckFormat::Gitlab => gitlab::write(out, &findings, withheld),
            CheckFormat::Markdown => markdown::write(out, &findings, withheld),
        })?;
        if args.run.statistics {
            terminal.summary(statistics::table(&findings).trim_end());
        }
    }
    let mut summary = counts(&findings);
    if findings.count(Outcome::Withheld) > 0 && !withheld {
        summary.push_str(" (--show-withheld)");
    }
    terminal.summary(&format!("{summary}. {}", looked_at(scanned, left_out, known)));
    let found: BTreeSet<&String> = analysis.report.known.iter().collect();
    let gone = awaited.iter().filter(|fingerprint| !found.contains(fingerprint)).count();
    if gone > 0 {
        let stale = plural(gone, "finding of the baseline is", "findings of the baseline are");
        terminal.summary(&format!("{stale} gone; --write-baseline brings it up to date."));
    }
    if let Some(step) = next_step(&findings) {
        terminal.summary(step);
    }
    let remains = findings.shown(withheld).next().is_some();
    Ok(if remains && !args.exit_zero { Status::Findings } else { Status::Clean })
}
