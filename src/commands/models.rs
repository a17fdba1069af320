//! `ormend models`: the model graph as the engine understands it.

use crate::Status;
use crate::cli::{ListFormat, ModelsArgs, RunArgs, SettingArgs};
use crate::pipeline;
use crate::report::{models, plural};
use crate::terminal::Terminal;

pub fn run(args: &ModelsArgs, terminal: &Terminal) -> miette::Result<Status> {
    let run = RunArgs {
        input: args.input.clone(),
        settings: SettingArgs { include_tests: true, include_migrations: true, ..SettingArgs::default() },
        ..RunArgs::default()
    };
    let mut loaded = pipeline::load(&run, terminal)?;
    let project = loaded.index(terminal);
    let graph = models::Graph::new(&project, &loaded.paths, &loaded.asked);
    terminal.product(|out| match args.output_format {
        ListFormat::Text => models::write_text(out, &graph),
        ListFormat::Json => models::write_json(out, &graph),
    })?;
    let count = graph.models.len();
    terminal.summary(&format!(
        "{} in {}.",
        plural(count, "model", "models"),
        plural(loaded.scanned, "file", "files")
    ));
    Ok(Status::Clean)
}
