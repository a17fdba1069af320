//! Writing into a project: each file whole or not at all, the files of one fix all or none, and nothing that cannot be taken
//! back.

mod directory;
mod file;
mod journal;

pub use directory::{DIR, make, make_own, read_own};
pub use file::{OPEN, PREFIX, TEMPORARY, WriteError, check, replace};
pub use journal::{Undone, Writer, has_journal, is_interrupted};

use crate::discover::reason;
use crate::escape::escape_path;
use miette::miette;
use std::path::Path;

/// Write `bytes`, which are `what`, to a file of the user's choice.
pub fn output(path: &Path, bytes: &[u8], what: &str) -> miette::Result<()> {
    file::create(path, bytes).map_err(|error| {
        let name = escape_path(path);
        miette!(help = "check the path", "cannot write {what} `{name}`: {}", reason(&error))
    })
}
