//! A project after an edit of one file.

use super::patches::Patch;
use super::project::Basis;
use super::signs::Signs;
use super::{Project, Receiver, settings};
use crate::python::touched::{self, Things};
use crate::python::{Extent, Parsed};
use crate::text::{FileId, Site, Span};

impl Project {
    /// Whether an edit is likely to be one that [`Project::changed`] can follow.
    pub(crate) fn may_follow(&self, file: FileId, after: &Parsed) -> bool {
        match self.program().extent(file, after) {
            Extent::Bodies => true,
            Extent::Outline => {
                let has_models = self.models().iter().any(|model| model.site.file == file);
                !has_models && !self.settings().files.contains(&file)
            }
            Extent::Everything => false,
        }
    }

    /// This project with `after` in the place of `file`, and the files that have changed by that. Nothing where it is not known
    /// what else has: other classes and functions, models, or what is found by looking at all files.
    pub(crate) fn changed(&self, file: FileId, after: &Parsed) -> Option<(Project, Things)> {
        if self.settings().files.contains(&file) || self.is_known_file(file) {
            return None;
        }
        (self.program().extent(file, after) != Extent::Everything).then_some(())?;
        let (mut project, changed) = match self.edited(file, after) {
            Some(edited) => edited,
            None => {
                let (project, changed) = self.linked_with(std::iter::once((file, after)));
                (project, changed?)
            }
        };
        project.is_like(self, file).then_some(())?;
        // The functions are the same.
        project.field_droppers = self.field_droppers.clone();
        Some((project, changed))
    }

    /// As [`Project::linked_with`], of one file; nothing where that changes more than bodies of functions.
    fn edited(&self, file: FileId, after: &Parsed) -> Option<(Project, Things)> {
        let program = self.program().edited(file, after)?;
        let signs = Signs::read(&program, Some(&self.signs));
        let settings = settings::settings(&program, &signs);
        let changed = program.changed_since(self.program())?;
        let models = touched::noting(|| self.models.after(&program, &settings, &changed))?;
        let basis = Basis { program, settings, signs, models, is_noting: self.is_noting };
        basis.is_like(self, &changed).then_some(())?;
        Some((basis.project(Some(self), Some(&changed)), changed))
    }

    /// Whether both, which have the same files, settings and models, say the same of signals, the admin, templates and what is put
    /// in the place of other things, places in `file` aside.
    fn is_like(&self, other: &Project, file: FileId) -> bool {
        let place =
            |site: Site| if site.file == file { Site { span: Span::default(), ..site } } else { site };
        let receiver = |r: &Receiver| Receiver { site: place(r.site), ..r.clone() };
        let patch = |p: &Patch| Patch { site: place(p.site), ..p.clone() };
        is_like(&self.receivers, &other.receivers, receiver)
            && is_like(&self.patches, &other.patches, patch)
            && self.replaced.without_places(file) == other.replaced.without_places(file)
            && self.admin.is_like(&other.admin, file)
            && self.templates().is_like(other.templates(), file)
            && is_like(&self.unknown_parts, &other.unknown_parts, |parts| {
                parts.iter().map(|(name, site)| (name.clone(), place(*site))).collect()
            })
            && self.field_droppers_in(file) == other.field_droppers_in(file)
    }
}

fn is_like<T: PartialEq>(these: &[T], those: &[T], without_place: impl Fn(&T) -> T) -> bool {
    these.len() == those.len() && these.iter().zip(those).all(|(a, b)| without_place(a) == without_place(b))
}
