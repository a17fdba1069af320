//! What people read of a part: the commit message, and the text of a pull request in Markdown.
//!
//! The message holds no text of the project but the part's plain name, and the Markdown has it in code spans: nobody is
//! mentioned, nothing is linked. Neither is longer than a host of repositories takes.

use super::{Key, Part};
use crate::escape::{markdown_code as code, markdown_text};
use crate::plan::{PlannedFix, PlannedOutcome};
use crate::report::markdown::{hazard_text, limited};
use crate::report::plural;
use ormend_codemods::meta;
use ormend_engine::codemod::Meta;
use std::collections::{BTreeMap, BTreeSet};
use textwrap::{Options, WordSplitter};

/// The width of commit messages.
const WIDTH: usize = 72;

/// What the rows of one table may take: GitHub's limit for a text is 65,536 characters.
const TABLE: usize = 15_000;

/// `select-related`, `@org/team, ann@example.com`, `src/shop/`: what the part is a part by, as data.
pub fn title(part: &Part) -> String {
    match &part.key {
        Key::Codemod(name) => name.clone(),
        Key::Owners(owners) if owners.is_empty() => "unowned".to_owned(),
        Key::Owners(owners) => owners.join(", "),
        Key::Directory { common, below } => {
            let parts = [common.as_str(), below.as_deref().unwrap_or("")];
            let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            if parts.is_empty() { "./".to_owned() } else { format!("{}/", parts.join("/")) }
        }
    }
}

/// The message of a commit that holds what is selected.
pub fn commit_message(part: &Part) -> String {
    let selected = part.selected();
    let what = format!(": {}", extent(&selected, "Django ORM fix", "Django ORM fixes"));
    let room = WIDTH.saturating_sub(what.chars().count());
    let mut name: String = part.name.clone();
    if name.chars().count() > room {
        name = name.chars().take(room.saturating_sub(3)).collect::<String>() + "...";
    }
    let mut paragraphs = vec![name + &what];
    for (codemod, fixes) in by_codemod(&selected) {
        let why = meta(codemod).map_or("", |meta| meta.summary);
        paragraphs.push(format!("{codemod} ({}): {why}", plural(fixes.len(), "fix", "fixes")));
    }
    let hazards: BTreeSet<&str> =
        selected.iter().flat_map(|fix| &fix.hazards).map(|hazard| hazard.kind.as_str()).collect();
    paragraphs.push(match unsafe_ones(&selected) {
        0 => "All of them are safe: what the code returns, raises and stores stays the same.".to_owned(),
        count => format!(
            "{count} of them may change behaviour ({}); the others are safe: what the code returns, raises and \
             stores stays the same.",
            hazards.into_iter().collect::<Vec<_>>().join(", ")
        ),
    });
    paragraphs.push(format!(
        "Found and written by {}; `ormend explain NAME` says more of each codemod.",
        part.plan.tool
    ));
    let options = Options::new(WIDTH).word_splitter(WordSplitter::NoHyphenation).break_words(false);
    let paragraphs: Vec<String> = paragraphs.iter().map(|text| textwrap::fill(text, &options)).collect();
    paragraphs.join("\n\n") + "\n"
}

/// The text of a pull request that holds what is selected, and of the part as a whole.
pub fn description(part: &Part) -> String {
    let selected = part.selected();
    let fixes = &part.plan.fixes;
    let plan = part.plan_file();
    let more = |count: usize| format!("and {count} more: see `{plan}`");
    let mut out = String::from("## What\n\n");
    let by = match &part.key {
        Key::Codemod(name) => format!("codemod {}", code(name)),
        Key::Owners(owners) if owners.is_empty() => "no owners".to_owned(),
        Key::Owners(owners) => {
            format!("owners {}", owners.iter().map(|owner| code(owner)).collect::<Vec<_>>().join(", "))
        }
        Key::Directory { .. } => format!("directory {}", code(&title(part))),
    };
    if selected.is_empty() {
        let all = plural(fixes.len(), "fix", "fixes");
        out += &format!(
            "**Nothing is selected** of {all} ({by}): applied as it is, this part changes nothing. `ormend review {plan}` \
             selects.\n"
        );
    } else {
        out += &format!("{} ({by})", extent(&selected, "fix", "fixes"));
        if selected.len() < fixes.len() {
            out += &format!("; {} more planned and not selected", fixes.len() - selected.len());
        }
        out += &format!(". Found and written by {}.\n", code(&part.plan.tool));
    }

    out += "\n## Why\n\n";
    for (codemod, fixes) in by_codemod(&fixes.iter().collect::<Vec<_>>()) {
        let meta = meta(codemod);
        let why = meta.as_ref().map_or("", |meta| meta.summary);
        out += &format!("- {} ({}): {why}", code(codemod), plural(fixes.len(), "fix", "fixes"));
        if let Some(link) = meta.as_ref().and_then(django_docs) {
            out += &format!(" See [Django's documentation]({link}) and `ormend explain {codemod}`.");
        }
        out += "\n";
    }

    out += "\n## Safety\n\n\
        A fix is *safe* when it keeps the value returned, what is raised, the rows of every table, the signals received and \
        the order of what can be observed, and never issues more queries. An *unsafe* fix may differ in the way that is \
        named here.\n\n";
    let risky: Vec<&PlannedFix> = fixes.iter().filter(|fix| is_unsafe(fix)).collect();
    match (unsafe_ones(&selected), risky.len()) {
        (0, 0) => out += "All fixes are safe.\n",
        (0, _) => out += "What is selected is safe. These fixes are unsafe, and not selected:\n\n",
        (count, _) => {
            out += &format!("{count} of the selected fixes may change behaviour; look at them:\n\n");
        }
    }
    let hazards = risky.iter().map(|fix| {
        let mut text = format!("- {} {}", code(&place(fix)), code(&fix.codemod));
        if !fix.selected {
            text += " (not selected)";
        }
        for hazard in &fix.hazards {
            let place = hazard.path.as_ref().zip(hazard.line).map(|(path, line)| format!("{path}:{line}"));
            text += &format!("\n  - {}", hazard_text(&hazard.kind, &hazard.message, place));
        }
        if fix.unlisted > 0 {
            text += &format!("\n  - and {} more of these kinds", fix.unlisted);
        }
        text
    });
    out += &limited(hazards.collect(), TABLE, |count| format!("- {}", more(count)));

    out += "\n## Queries\n\nEstimates from the code, for N rows.\n\n\
        | place | codemod | fix | before | after |\n|---|---|---|---|---|\n";
    let rows = fixes.iter().map(|fix| {
        let outcome = match (is_unsafe(fix), fix.selected) {
            (false, true) => "safe",
            (true, true) => "unsafe",
            (false, false) => "safe, not selected",
            (true, false) => "unsafe, not selected",
        };
        let queries = (markdown_text(&fix.queries.before), markdown_text(&fix.queries.after));
        let (place, codemod) = (code(&place(fix)), code(&fix.codemod));
        format!("| {place} | {codemod} | {outcome} | {} | {} |", queries.0, queries.1)
    });
    out += &limited(rows.collect(), TABLE, |count| format!("| {}", more(count)));

    out += "\n## Files\n\n| file | fixes | owners |\n|---|---|---|\n";
    let rows = part.plan.files.iter().map(|(path, file)| {
        let count = fixes.iter().filter(|fix| fix.files().contains(&path.as_str())).count();
        let owners: Vec<String> = file.owners.iter().map(|owner| code(owner)).collect();
        format!("| {} | {count} | {} |", code(path), owners.join(" "))
    });
    out += &limited(rows.collect(), TABLE, |count| format!("| {}", more(count)));

    out + &format!(
        "\n## How to\n\n\
         - Review: `ormend review {plan}` goes through the fixes one by one and selects; `ormend explain NAME` says when the \
         fixes of a codemod are safe, and what stops one.\n\
         - Apply: `ormend apply {plan}`, from the root of the project as it was planned. A file that changed since is \
         refused.\n\
         - Undo: `ormend fix --undo` before anything is committed, `git revert` afterwards.\n"
    )
}

/// The first link of a codemod's documentation to Django's.
fn django_docs(meta: &Meta) -> Option<&'static str> {
    let start = meta.docs.find("https://docs.djangoproject.com/")?;
    meta.docs.get(start..)?.split([')', ' ', '\n']).next()
}

/// `3 fixes in 2 files`
fn extent(fixes: &[&PlannedFix], one: &str, many: &str) -> String {
    let files: BTreeSet<&str> = fixes.iter().flat_map(|fix| fix.files()).collect();
    format!("{} in {}", plural(fixes.len(), one, many), plural(files.len(), "file", "files"))
}

fn by_codemod<'a>(fixes: &[&'a PlannedFix]) -> BTreeMap<&'a str, Vec<&'a PlannedFix>> {
    let mut all: BTreeMap<&str, Vec<&PlannedFix>> = BTreeMap::new();
    for fix in fixes {
        all.entry(fix.codemod.as_str()).or_default().push(fix);
    }
    all
}

fn is_unsafe(fix: &PlannedFix) -> bool {
    fix.outcome == PlannedOutcome::Unsafe
}

fn unsafe_ones(fixes: &[&PlannedFix]) -> usize {
    fixes.iter().filter(|fix| is_unsafe(fix)).count()
}

/// `shop/views.py:6`
fn place(fix: &PlannedFix) -> String {
    format!("{}:{}", fix.path, fix.line)
}
