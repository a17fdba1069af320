//! `ormend man`: manual pages, made of the command line's own definition: one for ormend, and one a command.

use crate::cli::{Cli, ManArgs};
use crate::discover::reason;
use crate::escape::escape_path;
use crate::report::plural;
use crate::terminal::Terminal;
use crate::write;
use crate::{Status, TOOL};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use miette::miette;
use std::fs;
use std::io;

pub fn run(args: &ManArgs, terminal: &Terminal) -> miette::Result<Status> {
    // Every command has a page, which says more than `help` would.
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(dir) = &args.output else {
        let page = page(&command)?;
        terminal.product(|out| out.write_all(&page))?;
        return Ok(Status::Clean);
    };
    fs::create_dir_all(dir).map_err(|error| {
        let dir = escape_path(dir);
        miette!(help = "check the path", "cannot make the directory `{dir}`: {}", reason(&error))
    })?;
    let commands = with_subcommands(&command);
    for command in &commands {
        write::output(&dir.join(format!("{}.1", name(command))), &page(command)?, "the manual page")?;
    }
    let pages = plural(commands.len(), "manual page", "manual pages");
    terminal.summary(&format!("Wrote {pages} into `{}`.", escape_path(dir)));
    Ok(Status::Clean)
}

/// `ormend-report-merge`
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// A command and all those below it.
fn with_subcommands(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().flat_map(with_subcommands);
    std::iter::once(command).chain(below).collect()
}

fn page(command: &Command) -> miette::Result<Vec<u8>> {
    let mut page = Vec::new();
    render(command, &mut page)
        .map_err(|error| miette!("cannot make the page of {}: {}", name(command), reason(&error)))?;
    Ok(page)
}

fn render(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let man = Man::new(command.clone()).source(TOOL);
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    if let Some(notes) = command.get_after_help() {
        page.extend(notes_section(&notes.to_string()).to_roff().into_bytes());
    }
    Ok(())
}

/// What stands at the end of the help: text, and lines of examples, which are indented.
fn notes_section(notes: &str) -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["NOTES"]);
    let mut is_example = false;
    for line in notes.lines() {
        if line.starts_with("  ") != is_example {
            is_example = !is_example;
            section.control(if is_example { "EX" } else { "EE" }, []);
        }
        match line {
            "" => section.control("PP", []),
            _ => section.text([roman(line)]),
        };
    }
    if is_example {
        section.control("EE", []);
    }
    section
}
