//! App labels: which app a module belongs to.

use super::Settings;
use super::values::Values;
use crate::python::touched::aside;
use crate::python::{ClassId, Def, Expr, KNOWN_ROOT, Member, Program};
use crate::text::FileId;
use rustc_hash::{FxHashMap, FxHashSet};

/// Every app by its directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Apps {
    labels: FxHashMap<String, String>,
    /// Directories that look like apps without saying so.
    likely: FxHashSet<String>,
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

impl Apps {
    pub fn new(program: &Program, settings: &Settings) -> Apps {
        let mut apps = Apps::default();
        let values = Values { program, settings };
        for id in program.file_ids() {
            let path = aside(|| program.file(id)).source.path();
            let dir = directory(path);
            match path.rsplit('/').next() {
                Some("models.py" | "apps.py") => {
                    apps.likely.insert(dir.to_owned());
                }
                Some("__init__.py") => {
                    if let Some(app) = dir.strip_suffix("/models").or(dir.strip_suffix("/migrations")) {
                        apps.likely.insert(app.to_owned());
                    }
                }
                _ => {}
            }
        }
        let mut installed_classes = FxHashSet::default();
        for entry in &settings.installed_apps {
            match program.dotted(entry, None) {
                Some(Def::Module(file)) => {
                    let label = entry.rsplit('.').next().unwrap_or(entry).to_owned();
                    if program.file(file).is_package {
                        apps.labels.insert(directory(program.file(file).source.path()).to_owned(), label);
                    }
                }
                Some(Def::Class(class)) => {
                    installed_classes.insert(class);
                }
                _ => {}
            }
        }
        let mut configs: Vec<(u8, ClassId)> = program
            .class_ids()
            .filter(|c| aside(|| program.class(*c)).external_bases.iter().any(|b| is_app_config(b)))
            .map(|c| {
                let class = program.class(c);
                let is_default = class.members.get("default").is_some_and(|m| match m {
                    Member::Value(v) => matches!(Expr::of(values.node(class.file, *v)), Expr::True),
                    _ => false,
                });
                let in_apps = program.file(class.file).source.path().ends_with("apps.py");
                let rank = match () {
                    () if installed_classes.contains(&c) => 0,
                    () if is_default => 1,
                    () if in_apps => 2,
                    () => 3,
                };
                (rank, c)
            })
            .collect();
        configs.sort();
        let mut taken = FxHashSet::default();
        for (_, config) in configs {
            let class = program.class(config);
            let text = |name: &str| {
                let (owner, member) = program.member(config, name)?;
                let Member::Value(value) = member else { return None };
                let file = program.class(owner).file;
                values.string(file, values.node(file, *value))
            };
            let own_dir = directory(program.file(class.file).source.path()).to_owned();
            let name = text("name");
            let dir = match &name {
                // The package that the config stands in goes by its last component, whatever the way to it.
                Some(name) if own_dir.rsplit('/').next() != name.rsplit('.').next() => {
                    match program.module_from(class.file, name) {
                        Some(file) if program.file(file).is_package => {
                            directory(program.file(file).source.path()).to_owned()
                        }
                        _ => own_dir,
                    }
                }
                _ => own_dir,
            };
            let label = text("label").or_else(|| name.and_then(|n| n.rsplit('.').next().map(str::to_owned)));
            if let Some(label) = label
                && taken.insert(dir.clone())
            {
                apps.labels.insert(dir, label);
            }
        }
        apps
    }

    /// The label of the app that `file` belongs to.
    pub fn label(&self, program: &Program, file: FileId) -> String {
        let path = program.file(file).source.path();
        let mut dir = directory(path);
        let mut likely = None;
        loop {
            if let Some(label) = self.labels.get(dir) {
                return label.clone();
            }
            if likely.is_none() && self.likely.contains(dir) {
                likely = Some(dir);
            }
            if dir.is_empty() {
                break;
            }
            dir = directory(dir);
        }
        let app = likely.unwrap_or_else(|| {
            let dir = directory(path);
            dir.strip_suffix("/models").unwrap_or(dir)
        });
        let app = app.strip_prefix(KNOWN_ROOT).unwrap_or(app);
        app.rsplit('/').next().unwrap_or("").to_owned()
    }
}

fn is_app_config(path: &str) -> bool {
    matches!(path, "django.apps.AppConfig" | "django.apps.config.AppConfig") || path.ends_with("AppConfig")
}
