//! `ormend plan`: every fix as data, as one plan or in parts, and no file of the project is written.

use super::tell;
use crate::Status;
use crate::cli::{PlanArgs, RunArgs};
use crate::escape::escape_path;
use crate::owners::Owners;
use crate::parts;
use crate::paths::Paths;
use crate::pipeline;
use crate::plan::{self, Plan};
use crate::report::plural;
use crate::terminal::Terminal;
use crate::write;
use miette::miette;

pub fn run(args: &PlanArgs, terminal: &Terminal) -> miette::Result<Status> {
    if args.schema {
        let schema = plan::schema()?;
        terminal.product(|out| out.write_all(schema.as_bytes()))?;
        return Ok(Status::Clean);
    }
    let (plan, paths) = make(&args.run, terminal)?;
    let mut parts = None;
    match (&args.output, args.split_by) {
        (Some(dir), Some(by)) => {
            let split = parts::split(&plan, by, &Owners::load(&paths.root), &paths.root);
            parts::write(dir, by, &split)?;
            parts = Some((dir, split.len()));
        }
        (Some(file), None) => write::output(file, &plan.to_json()?, "the plan")?,
        (None, _) => {
            let json = plan.to_json()?;
            terminal.product(|out| out.write_all(&json))?;
        }
    }
    let selected = plan.fixes.iter().filter(|fix| fix.selected).count();
    terminal.summary(&format!(
        "{} planned, {selected} of them selected; `ormend apply` applies those.",
        plural(plan.fixes.len(), "fix", "fixes")
    ));
    if let Some((dir, count)) = parts {
        terminal.summary(&format!(
            "Wrote {} into `{dir}`; `{dir}/index.json` lists them.",
            plural(count, "part", "parts"),
            dir = escape_path(dir)
        ));
    }
    Ok(Status::Clean)
}

/// The plan of what `run` asks for, and the paths that it speaks of. What was looked at is told.
pub fn make(run: &RunArgs, terminal: &Terminal) -> miette::Result<(Plan, Paths)> {
    let loaded = pipeline::load(run, terminal)?;
    if loaded.stdin().is_some() {
        return Err(miette!(
            help = "give the path of the file",
            "a plan of standard input could not be applied"
        ));
    }
    let (scanned, left_out, options) = (loaded.scanned, loaded.left_out(), loaded.options.clone());
    let analysis = loaded.analyse_apart(false, terminal);
    let owners = Owners::load(&analysis.paths.root);
    if let Some(problem) = &owners.problem {
        terminal.warn(problem);
    }
    let plan = Plan::of(&analysis, &options, &owners);
    tell(run, &analysis, scanned, left_out, terminal);
    Ok((plan, analysis.paths))
}
