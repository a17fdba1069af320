//! What a codemod found, as plain data for reports and for the rewriter.

use super::hazard::{Hazard, Weight};
use crate::django::ModelId;
use crate::text::{Edit, FileId, Site};
use serde::{Deserialize, Serialize};

/// What may be done with a finding. Derived from its hazards, never set by a codemod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// No hazard: applied by `fix`.
    Safe,
    /// Only opt-in hazards: applied with `--unsafe-fixes`.
    Unsafe,
    /// A blocking hazard: shown, never applied.
    Withheld,
}

impl Outcome {
    /// `safe`, `unsafe` or `withheld`.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Safe => "safe",
            Outcome::Unsafe => "unsafe",
            Outcome::Withheld => "withheld",
        }
    }

    /// The outcome that these hazards leave.
    pub fn of(hazards: &[Hazard]) -> Outcome {
        match hazards.iter().map(|h| h.kind.weight()).max() {
            None => Outcome::Safe,
            Some(Weight::OptIn) => Outcome::Unsafe,
            Some(Weight::Blocking) => Outcome::Withheld,
        }
    }
}

/// A place with something to say about it, beside the finding's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Related {
    /// Where.
    pub site: Site,
    /// What, in a few words: "the queryset is built here".
    pub message: String,
}

/// What it costs, in words: `1 + N queries`, `N inserts`, `1 query`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queries {
    /// As the code stands.
    pub before: String,
    /// After the fix.
    pub after: String,
}

impl Queries {
    /// Of rows that are in memory already.
    pub fn none() -> Queries {
        Queries { before: "no query, the rows are prefetched".to_owned(), after: "no query".to_owned() }
    }
}

/// An edit in one file of the project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEdit {
    /// The file.
    pub file: FileId,
    /// What is replaced there.
    pub edit: Edit,
}

/// A name that a fix needs at the top of a module: `from {module} import {name}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ImportRequest {
    /// The file that needs it.
    pub file: FileId,
    /// `django.db.models`
    pub module: String,
    /// `F`
    pub name: String,
}

/// A rewrite: edits, the imports they rely on, and the places whose text they were derived from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// The edits; within one file they do not overlap.
    pub edits: Vec<FileEdit>,
    /// The imports that the new text relies on.
    pub imports: Vec<ImportRequest>,
    /// What was read to decide; another fix that writes here conflicts.
    pub reads: Vec<Site>,
    /// Relations that the new code prefetches.
    pub prefetches: Vec<Relation>,
    /// Relations whose rows the edited code reads: where they are prefetched, it would be another edit.
    pub reads_relations: Vec<Relation>,
}

/// A relation, as code reads it and a prefetch names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Relation {
    /// The attribute.
    pub accessor: String,
    /// The model of the rows that it leads to; `None` where that may be any.
    pub model: Option<ModelId>,
}

impl Relation {
    /// Whether both may be one relation.
    pub fn meets(&self, other: &Relation) -> bool {
        let is_same_model = self.model.is_none() || other.model.is_none() || self.model == other.model;
        self.accessor == other.accessor && is_same_model
    }
}

/// One finding of one codemod.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// The codemod's name. It is not serialised: whoever reads a finding has to find it among the codemods.
    #[serde(skip)]
    pub codemod: &'static str,
    /// The place: the loop, the call, the comprehension.
    pub site: Site,
    /// Imperative, with code in backticks: ``Fetch `author` with `select_related` ``.
    pub message: String,
    /// Other places: where the queryset is built, where the relation is read.
    pub related: Vec<Related>,
    /// What it costs now and after.
    pub queries: Queries,
    /// The obstacles, by kind and place.
    pub hazards: Vec<Hazard>,
    /// How many more there are, of the kinds that are listed.
    pub unlisted: usize,
    /// The rewrite; `None` where a blocking hazard stands or none could be made.
    pub fix: Option<Fix>,
}

impl Finding {
    /// The files that it refers to, some of them several times.
    pub fn files(&self) -> impl Iterator<Item = FileId> {
        let sites = std::iter::once(self.site)
            .chain(self.related.iter().map(|related| related.site))
            .chain(self.hazards.iter().filter_map(|hazard| hazard.site));
        let of_fix = self.fix.iter().flat_map(|fix| {
            let edits = fix.edits.iter().map(|edit| edit.file);
            let imports = fix.imports.iter().map(|import| import.file);
            edits.chain(imports).chain(fix.reads.iter().map(|site| site.file))
        });
        sites.map(|site| site.file).chain(of_fix)
    }

    /// What may be done with it.
    pub fn outcome(&self) -> Outcome {
        if self.fix.is_none() { Outcome::Withheld } else { Outcome::of(&self.hazards) }
    }
}
