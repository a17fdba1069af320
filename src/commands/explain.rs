//! `ormend explain`: the documentation of a codemod, which is its README.

use crate::Status;
use crate::cli::ExplainArgs;
use crate::config::nearest;
use crate::escape::escape_line;
use crate::terminal::Terminal;
use miette::miette;
use ormend_codemods::ALL;

pub fn run(args: &ExplainArgs, terminal: &Terminal) -> miette::Result<Status> {
    let mut metas = ALL.iter().map(|rule| rule.meta());
    let Some(meta) = metas.find(|meta| meta.name == args.codemod) else {
        let help = match nearest(&args.codemod, ALL.iter().map(|rule| rule.meta().name)) {
            Some(near) => format!("did you mean `{near}`? `ormend codemods` lists them"),
            None => "`ormend codemods` lists them".to_string(),
        };
        return Err(miette!(help = help, "there is no codemod `{}`", escape_line(&args.codemod)));
    };
    terminal.product(|out| {
        out.write_all(meta.docs.trim_end().as_bytes())?;
        out.write_all(b"\n")
    })?;
    Ok(Status::Clean)
}
