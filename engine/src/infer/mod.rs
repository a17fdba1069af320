//! Types of expressions, queryset states, function summaries, effects.
//!
//! One forward evaluation of a function gives everything that codemods ask for: a type for every expression,
//! every object with what is done to it, and every effect, those of callees included ([`Facts`]).

mod admin;
mod alternatives;
mod analyzer;
mod attributes;
mod below;
mod builtins;
mod by_name;
mod callables;
mod calls;
mod callsites;
mod cleaned;
mod columns;
mod constructed;
mod containers;
mod decorators;
mod derived;
mod drawn;
mod effects;
mod entries;
mod env;
mod every_row;
mod expr;
mod external;
mod facts;
mod filtersets;
mod forms;
mod formsets;
mod found;
mod frame;
mod framework;
mod functions;
mod guardian;
mod guesses;
mod instances;
mod lookups;
mod managers;
mod members;
mod memo;
mod modules;
mod pages;
mod passed;
mod paths;
mod prefetch;
mod prefetched;
mod querysets;
mod receivers;
mod records;
mod rendering;
mod requests;
mod statements;
mod summary;
mod supposed;
mod tables;
#[cfg(test)]
mod tests;
mod types;
mod words;

pub use analyzer::{Analyzer, Remembered};
pub use callsites::{CallSite, CallSites};
pub use entries::{Entry, EntryKind, REFUSING, SingleObjects, Source, updates_one_object};
pub use every_row::gives_every_row;
pub use external::writing_method;
pub use facts::{Escape, Event, EventData, EventKind, Facts, Made, Origin, Round, Rounds, Use, Value, Write};
pub use members::kind_type;
pub use prefetch::Prefetches;
pub use querysets::is_queryset_method;
pub use receivers::Receiver;
pub use supposed::{Supposed, Supposition};
pub use types::{
    Callable, Dict, Instance, Item, Manager, Name, Path, PrefetchObject, PrefetchedRows, QuerySet,
    QuerySetClass, Record, Related, Root, Rows, Trait, Type, ValueId,
};
