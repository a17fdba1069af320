//! `ormend codemods`: the list by group, with one sentence each.

use crate::Status;
use crate::terminal::Terminal;
use ormend_codemods::ALL;

pub fn run(terminal: &Terminal) -> miette::Result<Status> {
    let mut metas: Vec<_> = ALL.iter().map(|rule| (rule.meta(), rule.is_default())).collect();
    metas.sort_by_key(|(meta, _)| meta.group.name());
    let names = metas.iter().map(|(meta, _)| meta.name.len()).max().unwrap_or(0);
    let groups = metas.iter().map(|(meta, _)| meta.group.name().len()).max().unwrap_or(0);
    terminal.product(|out| {
        for (meta, is_default) in &metas {
            let off = if *is_default { "" } else { " (off unless selected by name)" };
            writeln!(out, "{:names$}  {:groups$}  {}{off}", meta.name, meta.group.name(), meta.summary)?;
        }
        Ok(())
    })?;
    Ok(Status::Clean)
}
