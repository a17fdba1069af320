//! `ormend explain`: what a codemod's README says to a reader, or what all of them say of a hazard. The fences of a README are
//! tests as well; those that only test are left out, and the others are introduced by what they are.

use crate::Status;
use crate::cli::ExplainArgs;
use crate::config::nearest;
use crate::escape::escape_line;
use crate::terminal::Terminal;
use miette::miette;
use ormend_codemods::{ALL, meta};
use ormend_engine::codemod::{HazardKind, Meta, Weight};

pub fn run(args: &ExplainArgs, terminal: &Terminal) -> miette::Result<Status> {
    let metas = || ALL.iter().map(|rule| rule.meta());
    let hazards = || HazardKind::ALL.iter().copied().filter(|kind| metas().any(|m| m.hazards.contains(kind)));
    let codemod = meta(&args.name);
    let text = match (codemod, hazards().find(|kind| kind.name() == args.name)) {
        (Some(meta), _) => guide(&meta),
        (None, Some(kind)) => hazard(kind, metas().filter(|meta| meta.hazards.contains(&kind))),
        (None, None) => {
            let names = metas().map(|meta| meta.name).chain(hazards().map(HazardKind::name));
            let lists = "`ormend codemods` lists the codemods, and each names its hazards";
            let help = match nearest(&args.name, names) {
                Some(near) => format!("did you mean `{near}`? {lists}"),
                None => lists.to_string(),
            };
            let name = escape_line(&args.name);
            return Err(miette!(help = help, "there is no codemod or hazard `{name}`"));
        }
    };
    terminal.product(|out| writeln!(out, "{}", text.trim_end()))?;
    Ok(Status::Clean)
}

/// The section that a README ends with.
const LAST: &str = "Left alone";

/// The README of a codemod, with what it says of each hazard in one paragraph.
fn guide(meta: &Meta) -> String {
    let mut text = String::new();
    let mut hazards = String::new();
    let mut left_alone = String::new();
    for section in sections(meta.docs) {
        match meta.hazards.iter().find(|kind| kind.name() == section.title) {
            Some(kind) => {
                let said = section.text.split("\n\n").nth(1).unwrap_or("").trim();
                // A section may start with its first case.
                let said = if said.starts_with(['#', '`']) { "" } else { said };
                let said = said.replace('\n', " ");
                hazards += &format!("- {} ({}): {}\n", kind.name(), effect(*kind), said_or(&said, *kind));
            }
            None if section.title == LAST => left_alone = for_a_reader(section.text),
            None => text += &for_a_reader(section.text),
        }
    }
    if !hazards.is_empty() {
        text += &format!(
            "## Hazards\n\nWhat makes a fix unsafe (applied with `--unsafe-fixes`) or withheld. `ormend explain HAZARD` shows the \
             code of each.\n\n{hazards}\n"
        );
    }
    text + &left_alone
}

/// What every codemod that reports a hazard says of it.
fn hazard(kind: HazardKind, metas: impl Iterator<Item = Meta>) -> String {
    let effect = match kind.weight() {
        Weight::OptIn => "A fix with it is unsafe: it is applied with `--unsafe-fixes`.",
        Weight::Blocking => "A fix with it is withheld: it is never applied.",
    };
    let mut text = format!("# {}\n\n{}\n\n{effect}\n\n", kind.name(), said_or("", kind));
    for meta in metas {
        for section in sections(meta.docs).into_iter().filter(|section| section.title == kind.name()) {
            let (_, rest) = section.text.split_once('\n').unwrap_or_default();
            text += &format!("## {}\n{}", meta.name, for_a_reader(rest));
        }
    }
    text
}

/// What becomes of a fix with it.
pub fn effect(kind: HazardKind) -> &'static str {
    match kind.weight() {
        Weight::OptIn => "unsafe",
        Weight::Blocking => "withheld",
    }
}

/// What is said of it, with dots for what differs from place to place.
pub fn message(kind: HazardKind) -> String {
    kind.template().replace("{}", "...")
}

/// `said`, or without it the message of `kind`.
fn said_or(said: &str, kind: HazardKind) -> String {
    if said.is_empty() { message(kind) } else { said.to_owned() }
}

/// A part of a README.
struct Section<'a> {
    title: &'a str,
    /// From its heading on.
    text: &'a str,
}

/// What stands before the first heading of the second level, and each of these with what follows it.
fn sections(docs: &str) -> Vec<Section<'_>> {
    let mut starts = vec![0];
    let mut at = 0;
    let mut is_code = false;
    for line in docs.split_inclusive('\n') {
        is_code ^= line.starts_with("```");
        if !is_code && line.starts_with("## ") {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([docs.len()]);
    let texts = starts.iter().zip(ends).filter_map(|(start, end)| docs.get(*start..end));
    texts
        .map(|text| Section { title: text.lines().next().unwrap_or("").trim_start_matches('#').trim(), text })
        .collect()
}

/// `text` with each fence introduced by what it is, and without those that only test.
fn for_a_reader(text: &str) -> String {
    let mut out = String::new();
    let mut open = None;
    for line in text.split_inclusive('\n') {
        match (open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let mut words = info.split_whitespace();
                let (language, role) = (words.next().unwrap_or(""), words.next());
                let title = role.map(|role| introduction(role, words.next()));
                let is_shown = title.as_deref() != Some("");
                open = Some(is_shown);
                if is_shown {
                    if let Some(title) = title {
                        // Some fences follow their heading at once.
                        out.truncate(out.trim_end().len());
                        out += &format!("\n\n{title}\n\n");
                    }
                    out += &format!("```{language}\n");
                } else {
                    // The blank line before it.
                    out.truncate(out.trim_end().len());
                    out.push('\n');
                }
            }
            (Some(is_shown), end) => {
                if is_shown {
                    out += line;
                }
                if end.is_some() {
                    open = None;
                }
            }
            (None, None) => out += line,
        }
    }
    out
}

/// What stands above a fence; nothing for one that only tests.
fn introduction(role: &str, path: Option<&str>) -> String {
    let what = match role {
        "before" => "Code",
        "after" => "After `ormend fix`",
        "unsafe" => "After `ormend fix --unsafe-fixes`",
        "naive" => "Not written, for it does something else",
        "reason" => "What is said",
        "check" | "race" => return String::new(),
        file => return format!("`{file}`:"),
    };
    match path {
        Some(path) => format!("{what} (`{path}`):"),
        None => format!("{what}:"),
    }
}
