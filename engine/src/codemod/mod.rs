//! The contract of a codemod. A codemod implements [`Codemod`]; one driver runs its stages in order, so that none
//! can be skipped: find, hazards, rewrite. The engine derives the outcome from the hazards.

pub mod atomic_block;
pub mod conditions;
mod context;
pub mod eager;
mod finding;
pub mod foreign_key;
pub mod guards;
mod hazard;
pub mod loops;
pub mod naming;
mod options;
pub mod rows;
pub mod truth;

pub use crate::text::{FileId, Site};
pub use context::Context;
pub use finding::{FileEdit, Finding, Fix, ImportRequest, Outcome, Queries, Related, Relation};
pub use hazard::{Hazard, HazardKind, Weight};
pub use options::Options;

use crate::infer::EventKind;
use crate::python::emit::fit;
use crate::python::{Kind, Node};

/// A group of codemods, selectable by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// eager-loading
    EagerLoading,
    /// bulk-writes
    BulkWrites,
    /// expressions
    Expressions,
    /// projection
    Projection,
    /// transactions
    Transactions,
}

impl Group {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Group::EagerLoading => "eager-loading",
            Group::BulkWrites => "bulk-writes",
            Group::Expressions => "expressions",
            Group::Projection => "projection",
            Group::Transactions => "transactions",
        }
    }
}

/// What is known of a codemod without running it.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// `select-related`
    pub name: &'static str,
    /// Its group.
    pub group: Group,
    /// One sentence.
    pub summary: &'static str,
    /// Its README.
    pub docs: &'static str,
    /// Every hazard it may report. A test holds that its cases fire exactly these.
    pub hazards: &'static [HazardKind],
}

/// What a finding says, apart from its hazards and its fix.
#[derive(Clone, Debug)]
pub struct Description {
    /// The place: the loop, the call, the comprehension.
    pub site: Site,
    /// Imperative, with code in backticks.
    pub message: String,
    /// Other places.
    pub related: Vec<Related>,
    /// What it costs now and after.
    pub queries: Queries,
}

/// What looks like a codemod's shape, but for something whose type is not known.
#[derive(Clone, Debug)]
pub struct Untyped<'a> {
    /// The place.
    pub node: Node<'a>,
    /// What has no known type.
    pub unknown: Node<'a>,
    /// What is said of that.
    pub hazard: HazardKind,
    /// As in [`Description`].
    pub message: String,
    /// As in [`Description`].
    pub queries: Queries,
}

impl Untyped<'_> {
    fn finding(self, cx: &Context<'_>, codemod: &'static str) -> Finding {
        let subject = self.unknown.text().lines().next().unwrap_or("");
        Finding {
            codemod,
            site: cx.site(self.node),
            message: self.message,
            related: Vec::new(),
            queries: self.queries,
            hazards: vec![cx.hazard(self.hazard, subject, self.unknown)],
            unlisted: 0,
            fix: None,
        }
    }
}

/// A codemod, in stages. Every stage gets what the one before it has made.
pub trait Codemod: Sync {
    /// What the pattern matcher binds.
    type Match<'a>;

    /// What is known of it without running it.
    fn meta(&self) -> Meta;

    /// Whether it runs where nobody asks for it by its name. A matter of style does not.
    fn is_default(&self) -> bool {
        true
    }

    /// The kinds of node that [`find`](Codemod::find) is shown.
    fn kinds(&self) -> &'static [Kind];

    /// The pattern matcher: is `node` the shape, with these types? Nodes come in order of position; each finding
    /// must be found at exactly one node.
    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Self::Match<'a>>;

    /// Where [`find`](Codemod::find) finds nothing: whether `node` is the shape, with something whose type is not known. That is
    /// named and never rewritten.
    fn untyped<'a>(&self, _cx: &Context<'a>, _node: Node<'a>) -> Option<Untyped<'a>> {
        None
    }

    /// What could make the rewrite change behaviour here.
    fn hazards<'a>(&self, cx: &Context<'a>, found: &Self::Match<'a>, out: &mut Vec<Hazard>);

    /// What to say.
    fn describe<'a>(&self, cx: &Context<'a>, found: &Self::Match<'a>) -> Description;

    /// The transformation; an error is the hazard that stands in its way.
    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Self::Match<'a>) -> Result<Fix, Hazard>;
}

/// `fix` with the lines that it makes too long split.
fn fitted(cx: &Context<'_>, mut fix: Fix) -> Fix {
    let mut files: Vec<FileId> = fix.edits.iter().map(|e| e.file).collect();
    files.sort();
    files.dedup();
    let all = std::mem::take(&mut fix.edits);
    for file in files {
        let edits = all.iter().filter(|e| e.file == file).map(|e| e.edit.clone()).collect();
        let edits = fit(cx.project.program().file(file), edits, cx.options.line_length);
        fix.edits.extend(edits.into_iter().map(|edit| FileEdit { file, edit }));
    }
    fix
}

/// `fix` with the relations that the edited code reads: the reads that stand where it edits, in whatever frame, and those
/// of calls that it takes away. What an edit merely stands inside of, an argument or a loop, is not what it edits.
fn with_relations(cx: &Context<'_>, mut fix: Fix) -> Fix {
    for event in cx.facts.events() {
        let EventKind::ReadMany { path, model, .. } = &event.kind else { continue };
        let Some(accessor) = path.last() else { continue };
        let at = cx.node(event.at).span();
        let meets = |e: &FileEdit| {
            let (edit, read) = (e.edit.span, event.site.span);
            let touches = e.file == event.site.file && edit.start <= read.end && read.start <= edit.end;
            touches || (e.file == cx.file && edit.contains(at))
        };
        let relation = Relation { accessor: accessor.to_string(), model: Some(*model) };
        if !fix.reads_relations.contains(&relation) && fix.edits.iter().any(meets) {
            fix.reads_relations.push(relation);
        }
    }
    fix
}

/// Hazards of one kind that a finding lists.
const MOST_OF_A_KIND: usize = 4;

/// Leave the first places of each kind; the answer is how many hazards were taken out.
fn limit(hazards: &mut Vec<Hazard>) -> usize {
    let all = hazards.len();
    let mut kind = None;
    let mut count = 0;
    hazards.retain(|hazard| {
        count = if kind == Some(hazard.kind) { count + 1 } else { 1 };
        kind = Some(hazard.kind);
        count <= MOST_OF_A_KIND
    });
    all - hazards.len()
}

/// The object-safe face of a codemod, which the driver uses.
pub trait Rule: Sync {
    /// What is known of it.
    fn meta(&self) -> Meta;

    /// Whether it runs where nobody asks for it by its name.
    fn is_default(&self) -> bool;

    /// The kinds of node it wants to see.
    fn kinds(&self) -> &'static [Kind];

    /// All stages for one node.
    fn run(&self, cx: &Context<'_>, node: Node<'_>) -> Option<Finding>;
}

impl<T: Codemod> Rule for T {
    fn meta(&self) -> Meta {
        Codemod::meta(self)
    }

    fn is_default(&self) -> bool {
        Codemod::is_default(self)
    }

    fn kinds(&self) -> &'static [Kind] {
        Codemod::kinds(self)
    }

    fn run(&self, cx: &Context<'_>, node: Node<'_>) -> Option<Finding> {
        // One lifetime for the file and the frame: `node` belongs to `cx`.
        let node = cx.node(node.id());
        let Some(found) = self.find(cx, node) else {
            return Some(self.untyped(cx, node)?.finding(cx, Codemod::meta(self).name));
        };
        let mut hazards = Vec::new();
        self.hazards(cx, &found, &mut hazards);
        let mut unique: Vec<Hazard> = Vec::new();
        for hazard in hazards {
            if !unique.contains(&hazard) {
                unique.push(hazard);
            }
        }
        unique.sort_by_key(|h| (h.kind, h.site));
        let fix = if Outcome::of(&unique) == Outcome::Withheld {
            None
        } else {
            match self.rewrite(cx, &found) {
                // Lines that are split change nothing of what is read.
                Ok(fix) => Some(fitted(cx, with_relations(cx, fix))),
                Err(hazard) => {
                    unique.push(hazard);
                    None
                }
            }
        };
        let Description { site, message, related, queries } = self.describe(cx, &found);
        let unlisted = limit(&mut unique);
        Some(Finding {
            codemod: Codemod::meta(self).name,
            site,
            message,
            related,
            queries,
            hazards: unique,
            unlisted,
            fix,
        })
    }
}
