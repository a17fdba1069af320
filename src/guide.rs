//! What a codemod's README says to a reader, or what all of them say of a hazard. The fences of a README are tests as well; those
//! that only test are left out, and the others are introduced by what they are.

use ormend_codemods::{ALL, meta};
use ormend_engine::codemod::{HazardKind, Meta, Weight};

/// What is said of the codemod or the hazard `name`, if there is one.
pub fn of(name: &str) -> Option<String> {
    if let Some(meta) = meta(name) {
        return Some(guide(&meta));
    }
    let kind = hazards().find(|kind| kind.name() == name)?;
    Some(hazard(kind, metas().filter(|meta| meta.hazards.contains(&kind))))
}

/// What there is something to say of.
pub fn names() -> impl Iterator<Item = &'static str> {
    metas().map(|meta| meta.name).chain(hazards().map(HazardKind::name))
}

fn metas() -> impl Iterator<Item = Meta> {
    ALL.iter().map(|rule| rule.meta())
}

/// The hazards that a codemod may report.
fn hazards() -> impl Iterator<Item = HazardKind> {
    HazardKind::ALL.iter().copied().filter(|kind| metas().any(|meta| meta.hazards.contains(kind)))
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
