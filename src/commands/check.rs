//! `ormend check`: findings, and nothing is written.

use super::{counts, looked_at};
use crate::Status;
use crate::cli::{CheckArgs, CheckFormat};
use crate::pipeline;
use crate::report::{concise, full, github, gitlab, jsonl, markdown, sarif, statistics};
use crate::terminal::Terminal;
use ormend_engine::codemod::Outcome;

pub fn run(args: &CheckArgs, terminal: &Terminal) -> miette::Result<Status> {
    let loaded = pipeline::load(&args.run, terminal)?;
    let (scanned, left_out) = (loaded.scanned, loaded.left_out);
    let analysis = loaded.analyse(false, terminal);
    let findings = analysis.findings();
    let withheld = args.show_withheld;
    // The table takes the place of findings for readers; programs get both, on separate streams.
    if args.run.statistics && !args.output_format.is_data() {
        terminal.product(|out| out.write_all(statistics::table(&findings).as_bytes()))?;
    } else {
        terminal.product(|out| match args.output_format {
            CheckFormat::Full => full::write(out, &findings, withheld, terminal.stdout_color),
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
    terminal.summary(&format!("{summary}. {}", looked_at(scanned, left_out)));
    let fixable = findings.count(Outcome::Safe);
    if fixable > 0 {
        let what = if fixable == 1 { "the safe one" } else { "the safe ones" };
        terminal.summary(&format!("`ormend diff` shows the fixes, `ormend fix` applies {what}."));
    }
    let remains = findings.shown(withheld).next().is_some();
    Ok(if remains && !args.exit_zero { Status::Findings } else { Status::Clean })
}
