//! `ormend codemods`: the list, with group and one sentence.

use crate::Status;
use crate::terminal::Terminal;
use ormend_codemods::ALL;

pub fn run(terminal: &Terminal) -> miette::Result<Status> {
    let metas: Vec<_> = ALL.iter().map(|rule| rule.meta()).collect();
    let names = metas.iter().map(|meta| meta.name.len()).max().unwrap_or(0);
    let groups = metas.iter().map(|meta| meta.group.name().len()).max().unwrap_or(0);
    terminal.product(|out| {
        for meta in &metas {
            writeln!(out, "{:names$}  {:groups$}  {}", meta.name, meta.group.name(), meta.summary)?;
        }
        Ok(())
    })?;
    Ok(Status::Clean)
}
