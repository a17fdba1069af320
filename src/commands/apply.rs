//! `ormend apply`: the selected fixes of one plan or of several, each whole or not at all. What no longer fits is refused and told.

use super::make;
use crate::Status;
use crate::apply::{Resolved, resolve};
use crate::cli::{ApplyArgs, WriteArgs};
use crate::discover::reason;
use crate::escape::{escape_line, escape_path};
use crate::paths::{Paths, working_directory};
use crate::plan::Plan;
use crate::report::plural;
use crate::root;
use crate::terminal::Terminal;
use crate::write::Writer;
use miette::miette;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub fn run(args: &ApplyArgs, terminal: &Terminal) -> miette::Result<Status> {
    if args.plans.iter().filter(|plan| plan.as_os_str() == "-").count() > 1 {
        return Err(miette!(help = "give `-` once", "standard input holds one plan"));
    }
    let plans = args.plans.iter().map(|file| {
        let name = file.to_string_lossy().into_owned();
        Ok((name.clone(), Plan::parse(&read(file)?, &name)?))
    });
    let plan = Plan::merge(plans.collect::<miette::Result<_>>()?)?;
    apply(&plan, &paths(args.root.as_deref())?, args.atomic, args.write, terminal)
}

/// Write the selected fixes of `plan` that still fit, and say what was done and what was not.
pub fn apply(
    plan: &Plan,
    paths: &Paths,
    atomic: bool,
    write: WriteArgs,
    terminal: &Terminal,
) -> miette::Result<Status> {
    let writer = Writer::begin(paths, terminal)?;
    let Resolved { changes, refused } = resolve(plan, paths, atomic);
    let made = make(&writer, paths, &changes, write, terminal)?;
    for (fix, why) in &refused {
        let place = format!("{}:{}", paths.show(&fix.path), fix.line);
        let codemod = escape_line(&fix.codemod);
        terminal.failed(&format!("{place}: {codemod} was not applied: {}", escape_line(why)));
    }
    if atomic && !refused.is_empty() {
        terminal.summary("Nothing was applied, as --atomic asks; write a new plan with `ormend plan`.");
    } else {
        let refused = match refused.len() {
            0 => String::new(),
            count => format!(", refused {count}"),
        };
        let back = made.way_back(paths);
        terminal.summary(&format!(
            "Applied {} to {}{refused}.{back}",
            plural(made.fixes, "fix", "fixes"),
            plural(made.files, "file", "files"),
        ));
    }
    Ok(match made.status {
        Status::Clean if !refused.is_empty() => Status::Findings,
        status => status,
    })
}

/// The plan that the file `plan` holds, as bytes; `-` is standard input.
pub fn read(plan: &Path) -> miette::Result<Vec<u8>> {
    let result = match plan.as_os_str() == "-" {
        false => fs::read(plan),
        true => {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
        }
    };
    result.map_err(|error| {
        let name = escape_path(plan);
        miette!(help = "check the path", "cannot read the plan `{name}`: {}", reason(&error))
    })
}

fn directory(path: PathBuf) -> io::Result<PathBuf> {
    if path.is_dir() { Ok(path) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// The root `root`, or without one that of the working directory.
pub fn paths(root: Option<&Path>) -> miette::Result<Paths> {
    let cwd = working_directory()?;
    let root = match root {
        None => root::find(std::slice::from_ref(&cwd)),
        Some(dir) => fs::canonicalize(dir).and_then(directory).map_err(|error| {
            let name = escape_path(dir);
            miette!(help = "check the path", "cannot use `{name}` as the root: {}", reason(&error))
        })?,
    };
    Ok(Paths::new(root, cwd))
}
