//! `ormend review`: fixes, looked at before any is applied, in the terminal or on a page.

use super::{apply, plan};
use crate::Status;
use crate::cli::{ReviewArgs, RunArgs, SettingArgs};
use crate::escape::escape_path;
use crate::paths::Paths;
use crate::pipeline;
use crate::plan::Plan;
use crate::report::plural;
use crate::review::html::{self, Rendered};
use crate::review::session::Session;
use crate::review::signals;
use crate::review::terminal::{self, End};
use crate::terminal::Terminal;
use crate::write;
use miette::miette;
use std::io::{IsTerminal, stdin};
use std::path::Path;

pub fn run(args: &ReviewArgs, terminal: &Terminal) -> miette::Result<Status> {
    if let Some(file) = &args.html {
        let (plan, paths) = asked(args, terminal)?;
        return write_page(args, file, &plan, &paths, terminal);
    }
    let is_stdin_taken = args.run.input.paths.iter().any(|path| path.as_os_str() == "-");
    if is_stdin_taken || !stdin().is_terminal() || !terminal.stdout_is_terminal {
        return Err(miette!(
            help = "without one, `ormend diff` shows the fixes, `ormend plan` writes them as data, and `ormend review --html FILE` as a page for a browser",
            "a review asks in a terminal: standard input and output must both be one"
        ));
    }
    let (plan, paths) = asked(args, terminal)?;
    step_through(args, plan, &paths, terminal)
}

/// Write the page `file` to review `plan` in a browser. No file of the project is written.
fn write_page(
    args: &ReviewArgs,
    file: &Path,
    plan: &Plan,
    paths: &Paths,
    terminal: &Terminal,
) -> miette::Result<Status> {
    let Rendered { page, inapplicable } = {
        let _progress = terminal.progress(format!("Looking at {} fixes", plan.fixes.len()));
        html::render(plan, paths, &pipeline::pool(args.run.input.jobs)?)?
    };
    write::output(file, page.as_bytes(), "the page")?;
    terminal.summary(&format!(
        "{} to review in {}{}.",
        plural(plan.fixes.len(), "fix", "fixes"),
        escape_path(file),
        match inapplicable {
            0 => String::new(),
            count => format!(", {count} of which cannot be applied"),
        }
    ));
    Ok(Status::Clean)
}

/// Ask about each fix in the terminal; then apply what was taken, or write it into a plan.
fn step_through(args: &ReviewArgs, plan: Plan, paths: &Paths, terminal: &Terminal) -> miette::Result<Status> {
    if plan.fixes.is_empty() {
        terminal.summary("There is no fix to review.");
        return Ok(Status::Clean);
    }
    let mut session = Session::new(plan, paths);
    if let End::Interrupted(signal) = terminal::run(&mut session, paths, terminal)? {
        terminal.summary("Nothing was applied.");
        signals::end_as(signal);
        return Ok(Status::Failed);
    }
    session.summary().iter().for_each(|line| terminal.summary(line));
    let plan = session.into_plan();
    let selected = plan.fixes.iter().filter(|fix| fix.selected).count();
    if let Some(file) = &args.output {
        write::output(file, &plan.to_json()?, "the plan")?;
        let name = escape_path(file);
        let selected = plural(selected, "fix", "fixes");
        terminal.summary(&format!("Wrote `{name}` with {selected} selected; `ormend apply` applies those."));
        return Ok(Status::Clean);
    }
    if selected == 0 {
        terminal.summary("Nothing was applied.");
        return Ok(Status::Clean);
    }
    apply::apply(&plan, paths, false, args.write, terminal)
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
    let RunArgs { input, settings, changed, baseline, statistics, .. } = run;
    let SettingArgs { select, ignore, unsafe_fixes, include_tests, include_migrations } = settings;
    let is_set = [*unsafe_fixes, *include_tests, *include_migrations, *statistics].contains(&true);
    is_set
        || changed.is_some()
        || baseline.is_some()
        || !select.is_empty()
        || !ignore.is_empty()
        || input.stdin_filename.is_some()
}
