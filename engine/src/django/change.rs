//! A project after an edit of one file.

use super::patches::Patch;
use super::{Project, Receiver};
use crate::python::Parsed;
use crate::text::{FileId, Site, Span};

impl Project {
    /// This project with `after` in the place of `file`. Nothing where that changes more than bodies of functions, and what is
    /// found by looking at them.
    pub(crate) fn changed(&self, file: FileId, after: Parsed) -> Option<Project> {
        let is_read = self.settings().files.contains(&file) || self.is_known_file(file);
        if is_read || !self.program().differs_in_bodies(file, &after) {
            return None;
        }
        let project = self.with_edits(std::iter::once((file, &after)));
        project.is_like(self, file).then_some(project)
    }

    /// Whether both say the same of models, signals, the admin and what is put in the place of other things, places in
    /// `file` aside.
    fn is_like(&self, other: &Project, file: FileId) -> bool {
        let place =
            |site: Site| if site.file == file { Site { span: Span::default(), ..site } } else { site };
        let receiver = |r: &Receiver| Receiver { site: place(r.site), ..r.clone() };
        let patch = |p: &Patch| Patch { site: place(p.site), ..p.clone() };
        // Which known modules are brought along depends on what the project holds.
        self.paths().eq(other.paths())
            && is_like(&self.receivers, &other.receivers, receiver)
            && is_like(&self.patches, &other.patches, patch)
            && self.replaced.without_places(file) == other.replaced.without_places(file)
            && self.admin.is_like(&other.admin, file)
            && self.has_same_models(other)
            && self.field_droppers_in(file) == other.field_droppers_in(file)
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        self.program().files().iter().map(|file| file.source.path())
    }

    /// Whether there are the same models, in name and number: what they have stands in their bodies.
    fn has_same_models(&self, other: &Project) -> bool {
        let names = |project: &Project| {
            project.models.iter().map(|model| (model.class, model.name.clone())).collect::<Vec<_>>()
        };
        self.historical == other.historical && names(self) == names(other)
    }
}

fn is_like<T: PartialEq>(these: &[T], those: &[T], without_place: impl Fn(&T) -> T) -> bool {
    these.len() == those.len() && these.iter().zip(those).all(|(a, b)| without_place(a) == without_place(b))
}
