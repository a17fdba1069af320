//! The models of a project, as they are built from its classes and settings.

use super::{Model, ModelId, Settings, builder, historical};
use crate::python::touched::{self, Things, Touched};
use crate::python::{ClassId, NodeId, Program};
use crate::text::Span;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Every model.
#[derive(Debug, Default)]
pub(super) struct Models {
    /// By [`ModelId`], historical ones last.
    pub all: Vec<Model>,
    pub by_class: FxHashMap<ClassId, ModelId>,
    pub by_label: FxHashMap<String, Vec<ModelId>>,
    /// The first historical model, and which of those before it are followed.
    pub historical: Option<(usize, Vec<bool>)>,
    /// What they were found in.
    touched: Touched,
    /// What functions were looked into for bases that only models could tell.
    bases_touched: Touched,
}

impl Models {
    /// These, without historical ones.
    pub fn of(
        all: Vec<Model>,
        by_class: FxHashMap<ClassId, ModelId>,
        by_label: FxHashMap<String, Vec<ModelId>>,
    ) -> Models {
        Models { all, by_class, by_label, ..Models::default() }
    }

    /// The models of `program`, which gets the bases that only they tell.
    pub fn build(program: &mut Program, settings: &Settings) -> Models {
        let mut out = Models::found(program, settings);
        let (bases, touched) = touched::record(|| builder::looked_up_bases(program, settings, &out));
        if !bases.is_empty() {
            program.rebase(&bases);
            out = Models::found(program, settings);
        }
        out.bases_touched = touched;
        out
    }

    /// The models after bodies of functions have `changed` in a program that had these. Nothing where another base may be
    /// found there.
    pub fn after(
        self: &Arc<Models>,
        program: &Program,
        settings: &Settings,
        changed: &Things,
    ) -> Option<Arc<Models>> {
        if self.bases_touched.any_of(changed) {
            return None;
        }
        if !self.touched.any_of(changed) {
            return Some(self.clone());
        }
        let bases_touched = self.bases_touched.clone();
        Some(Arc::new(Models { bases_touched, ..Models::found(program, settings) }))
    }

    fn found(program: &Program, settings: &Settings) -> Models {
        let (found, touched) = touched::record(|| {
            let mut built = builder::build(program, settings);
            if let Some((models, followed)) = historical::models(program, &built.all, &built.by_class) {
                built.historical = Some((built.all.len(), followed));
                built.all.extend(models);
            }
            built
        });
        Models { touched, ..found }
    }

    /// Whether others are the same, but for places in files that have `changed`.
    pub fn is_like(self: &Arc<Models>, other: &Arc<Models>, changed: &Things) -> bool {
        let is_like = |(this, that): (&Model, &Model)| {
            this == that || without_places(this, changed) == without_places(that, changed)
        };
        Arc::ptr_eq(self, other)
            || self.all.len() == other.all.len()
                && (&self.by_class, &self.by_label, &self.historical)
                    == (&other.by_class, &other.by_label, &other.historical)
                && self.all.iter().zip(&other.all).all(is_like)
    }

    /// Those that are not historical.
    pub fn present(&self) -> &[Model] {
        let end = self.historical.as_ref().map_or(self.all.len(), |(from, _)| *from);
        self.all.get(..end).unwrap_or_default()
    }
}

/// The model, but for where in files that have `changed` its parts stand.
fn without_places(model: &Model, changed: &Things) -> Model {
    let mut out = model.clone();
    let sites = std::iter::once(&mut out.site)
        .chain(out.fields.iter_mut().map(|field| &mut field.site))
        .chain(out.managers.iter_mut().filter_map(|manager| manager.site.as_mut()));
    sites.filter(|site| changed.has_file(site.file)).for_each(|site| site.span = Span::default());
    let given = out.fields.iter_mut().flat_map(|field| &mut field.functions);
    given.filter(|(_, file, _)| changed.has_file(*file)).for_each(|(_, _, node)| *node = NodeId::default());
    out
}
