//! `ormend review`: fixes, looked at before any is applied. No file of the project is written.

use super::{apply, plan, write_to};
use crate::Status;
use crate::cli::{ReviewArgs, RunArgs};
use crate::escape::escape_line;
use crate::paths::Paths;
use crate::pipeline;
use crate::plan::Plan;
use crate::report::plural;
use crate::review::html::{self, Rendered};
use crate::terminal::Terminal;
use miette::miette;
use std::path::Path;

pub fn run(args: &ReviewArgs, terminal: &Terminal) -> miette::Result<Status> {
    let Some(file) = &args.html else {
        return Err(miette!(help = "give `--html FILE`", "a review needs a page to be written to"));
    };
    let (plan, paths) = asked(args, terminal)?;
    let Rendered { page, inapplicable } = {
        let _progress = terminal.progress(format!("Looking at {} fixes", plan.fixes.len()));
        html::render(&plan, &paths, &pipeline::pool(&args.run.input)?)?
    };
    write_to(file, page.as_bytes(), "the page")?;
    terminal.summary(&format!(
        "{} to review in {}{}.",
        plural(plan.fixes.len(), "fix", "fixes"),
        escape_line(&file.to_string_lossy()),
        match inapplicable {
            0 => String::new(),
            count => format!(", {count} of which cannot be applied"),
        }
    ));
    Ok(Status::Clean)
}

/// The plan to look at, and the paths that it speaks of: one that is given, or that of the given paths.
fn asked(args: &ReviewArgs, terminal: &Terminal) -> miette::Result<(Plan, Paths)> {
    match args.run.input.paths.as_slice() {
        [one] if is_plan(one) => {
            if chooses(&args.run) {
                return Err(miette!(
                    help = "give such flags to `ormend plan`",
                    "a plan is shown as it is: no flag chooses what is in it"
                ));
            }
            let plan = Plan::parse(&apply::read(one)?, &one.to_string_lossy())?;
            Ok((plan, apply::paths(args.root.as_deref())?))
        }
        _ if args.root.is_some() => {
            Err(miette!(help = "leave it out, or give a plan", "--root is for a plan only"))
        }
        _ => plan::make(&args.run, terminal),
    }
}

/// A plan is standard input or has the name of a JSON file.
fn is_plan(path: &Path) -> bool {
    path.as_os_str() == "-" || (path.extension().is_some_and(|ending| ending == "json") && !path.is_dir())
}

/// Whether a flag chooses fixes.
fn chooses(run: &RunArgs) -> bool {
    let RunArgs { input, select, ignore, changed, baseline, statistics, .. } = run;
    let RunArgs { unsafe_fixes, include_tests, include_migrations, .. } = run;
    let is_set = [*unsafe_fixes, *include_tests, *include_migrations, *statistics].contains(&true);
    is_set
        || changed.is_some()
        || baseline.is_some()
        || !select.is_empty()
        || !ignore.is_empty()
        || input.stdin_filename.is_some()
}
