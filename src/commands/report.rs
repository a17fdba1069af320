//! `ormend report merge`: the findings of many repositories, put together.

use crate::Status;
use crate::cli::{MergeArgs, MergeFormat, ReportArgs, ReportCommand};
use crate::discover::reason;
use crate::escape::escape_path;
use crate::report::merge::{self, Run};
use crate::report::plural;
use crate::terminal::Terminal;
use crate::write;
use miette::miette;
use std::fs;
use std::path::PathBuf;

pub fn run(args: &ReportArgs, terminal: &Terminal) -> miette::Result<Status> {
    match &args.command {
        ReportCommand::Merge(args) => merge(args, terminal),
    }
}

fn merge(args: &MergeArgs, terminal: &Terminal) -> miette::Result<Status> {
    // Absolute, so that `findings.jsonl` and `../blog/findings.jsonl` are in directories with a name.
    let absolute = |file: &PathBuf| fs::canonicalize(file).unwrap_or_else(|_| file.clone());
    let files: Vec<PathBuf> = args.runs.iter().map(absolute).collect();
    let names = merge::names(&files)
        .ok_or_else(|| miette!(help = "name each run once", "a run is there twice, and would count twice"))?;
    let runs = args.runs.iter().zip(names).map(|(file, name)| {
        let bytes = fs::read(file).map_err(|error| {
            let name = escape_path(file);
            miette!(help = "check the path", "cannot read the run `{name}`: {}", reason(&error))
        })?;
        Run::parse(name, file, &bytes)
    });
    let mut runs = runs.collect::<miette::Result<Vec<Run>>>()?;
    runs.sort_by(|a, b| a.name.cmp(&b.name));
    let report = match args.output_format {
        MergeFormat::Table => merge::table(&runs),
        MergeFormat::Html => merge::html(&runs)?,
    };
    let findings = runs.iter().map(|run| run.findings.len()).sum();
    let mut summary = format!(
        "{} in {}",
        plural(findings, "finding", "findings"),
        plural(runs.len(), "repository", "repositories")
    );
    match &args.output {
        None => terminal.product(|out| out.write_all(report.as_bytes()))?,
        Some(file) => {
            write::output(file, report.as_bytes(), "the report")?;
            summary.push_str(&format!(", in {}", escape_path(file)));
        }
    }
    terminal.summary(&format!("{summary}."));
    Ok(Status::Clean)
}
