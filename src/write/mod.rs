//! Writing into a project: each file whole or not at all, the files of one fix all or none, and nothing that cannot be taken
//! back.

mod file;
mod journal;

pub use file::{OPEN, WriteError, check, create, replace};
pub use journal::{Writer, has_journal, is_interrupted};
