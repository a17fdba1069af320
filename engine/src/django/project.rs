//! The index of a whole project.

use super::{Model, ModelId, Receiver, Signal};
use crate::python::{ClassId, KNOWN_ROOT, Program};
use crate::text::{FileId, Site, Source};
use rustc_hash::FxHashMap;

/// What the settings modules say. Where several disagree, the more cautious reading.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// INSTALLED_APPS, all settings modules together.
    pub installed_apps: Vec<String>,
    /// AUTH_USER_MODEL (`auth.User` unless set).
    pub auth_user_model: String,
    /// ATOMIC_REQUESTS somewhere in DATABASES.
    pub atomic_requests: bool,
    /// The ENGINE strings found in DATABASES.
    pub database_engines: Vec<String>,
    /// DEFAULT_AUTO_FIELD
    pub default_auto_field: Option<String>,
}

/// Everything known about the project, read-only.
#[derive(Clone, Debug, Default)]
pub struct Project {
    program: Program,
    models: Vec<Model>,
    receivers: Vec<Receiver>,
    settings: Settings,
}

impl Project {
    /// Index `sources`. Django's contrib models and those of some well-known packages are known without being
    /// among them.
    pub fn build(sources: Vec<Source>) -> Project {
        Project { program: Program::build(sources), ..Project::default() }
    }

    /// The same project with other texts for some files.
    pub fn with_texts(&self, texts: FxHashMap<FileId, String>) -> Project {
        let sources = self.program.files().iter().enumerate().filter_map(|(i, file)| {
            let source = &file.source;
            if source.path().starts_with(KNOWN_ROOT) {
                return None;
            }
            Some(match texts.get(&FileId(i as u32)).and_then(|text| source.encode(text)) {
                Some(bytes) => Source::new(source.path(), bytes),
                None => source.clone(),
            })
        });
        Project::build(sources.collect())
    }

    /// The Python side.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Every model, abstract ones included, by [`ModelId`].
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// One model.
    pub fn model(&self, id: ModelId) -> &Model {
        &self.models[id.0 as usize]
    }

    /// The model that `class` is, if it is one.
    pub fn model_of_class(&self, class: ClassId) -> Option<ModelId> {
        let _ = class;
        None
    }

    /// The model called `app.Model` (case-insensitive model name), as strings and settings name it.
    pub fn model_by_label(&self, label: &str) -> Option<ModelId> {
        let _ = label;
        None
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Every receiver that may hear `signal` for `model`: by class, by label, by an abstract or proxy
    /// relative, by no sender, or by a sender that could not be resolved.
    pub fn receivers(&self, model: ModelId, signal: Signal) -> Vec<&Receiver> {
        let _ = (model, signal);
        Vec::new()
    }

    /// Where `model` or a base in the program (not Django's `Model`) overrides the method `name`.
    pub fn override_of(&self, model: ModelId, name: &str) -> Option<Site> {
        let _ = (model, name);
        None
    }

    /// Every model that is `model` or inherits from it (proxies and multi-table children included).
    pub fn family(&self, model: ModelId) -> Vec<ModelId> {
        vec![model]
    }

    /// The class of a manager: `Some` when its rows or methods may differ from Django's own `Manager`.
    pub fn is_plain_manager(&self, model: ModelId, manager: &str) -> bool {
        let _ = (model, manager);
        false
    }
}
