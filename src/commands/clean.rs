//! `ormend clean`: the results of earlier runs are removed, and nothing that undoing needs.

use crate::Status;
use crate::cache::Cache;
use crate::cli::CleanArgs;
use crate::discover::reason;
use crate::paths::{Paths, working_directory};
use crate::pipeline;
use crate::report::plural;
use crate::root;
use crate::terminal::Terminal;
use miette::miette;

pub fn run(args: &CleanArgs, terminal: &Terminal) -> miette::Result<Status> {
    let path = pipeline::resolve(&args.path)?;
    let paths = Paths::new(root::find(&[path]), working_directory()?);
    let cache = Cache::new(&paths.root);
    let dir = paths.show_absolute(cache.dir());
    let (count, bytes) = cache.clean().map_err(|error| {
        miette!(help = "see to it that it can be written", "cannot remove `{dir}`: {}", reason(&error))
    })?;
    terminal.summary(&match count {
        0 => format!("There is no result of an earlier run in `{dir}`."),
        _ => {
            let results = plural(count, "result", "results");
            format!("Removed {results} of earlier runs, {} kB, from `{dir}`.", bytes.div_ceil(1000))
        }
    });
    Ok(Status::Clean)
}
