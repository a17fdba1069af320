//! `ormend explain`: what a codemod does and when it is safe, or what a hazard means.

use crate::Status;
use crate::cli::ExplainArgs;
use crate::config::nearest;
use crate::escape::escape_line;
use crate::guide;
use crate::terminal::Terminal;
use miette::miette;

pub fn run(args: &ExplainArgs, terminal: &Terminal) -> miette::Result<Status> {
    let Some(text) = guide::of(&args.name) else {
        let lists = "`ormend codemods` lists the codemods, and each names its hazards";
        let help = match nearest(&args.name, guide::names()) {
            Some(near) => format!("did you mean `{near}`? {lists}"),
            None => lists.to_string(),
        };
        let name = escape_line(&args.name);
        return Err(miette!(help = help, "there is no codemod or hazard `{name}`"));
    };
    terminal.product(|out| writeln!(out, "{}", text.trim_end()))?;
    Ok(Status::Clean)
}
