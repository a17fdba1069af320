//! `ormend codemods`: the list by group, with one sentence each; as data with the hazards that each may report, too.

use crate::Status;
use crate::cli::{CodemodsArgs, ListFormat};
use crate::guide::{effect, message};
use crate::terminal::Terminal;
use ormend_codemods::ALL;
use ormend_engine::codemod::Meta;
use serde_json::{Value, json};

pub fn run(args: &CodemodsArgs, terminal: &Terminal) -> miette::Result<Status> {
    let mut metas: Vec<_> = ALL.iter().map(|rule| (rule.meta(), rule.is_default())).collect();
    metas.sort_by_key(|(meta, _)| meta.group.name());
    let names = metas.iter().map(|(meta, _)| meta.name.len()).max().unwrap_or(0);
    let groups = metas.iter().map(|(meta, _)| meta.group.name().len()).max().unwrap_or(0);
    terminal.product(|out| match args.output_format {
        ListFormat::Text => {
            for (meta, is_default) in &metas {
                let off = if *is_default { "" } else { " (off unless selected by name)" };
                writeln!(out, "{:names$}  {:groups$}  {}{off}", meta.name, meta.group.name(), meta.summary)?;
            }
            Ok(())
        }
        ListFormat::Json => {
            let all: Vec<Value> = metas.iter().map(|(meta, is_default)| data(meta, *is_default)).collect();
            serde_json::to_writer_pretty(&mut *out, &json!({ "version": 1, "codemods": all }))?;
            writeln!(out)
        }
    })?;
    Ok(Status::Clean)
}

fn data(meta: &Meta, is_default: bool) -> Value {
    let hazards = meta
        .hazards
        .iter()
        .map(|kind| json!({ "name": kind.name(), "effect": effect(*kind), "message": message(*kind) }));
    json!({
        "name": meta.name,
        "group": meta.group.name(),
        "summary": meta.summary,
        "default": is_default,
        "hazards": hazards.collect::<Vec<Value>>(),
    })
}
