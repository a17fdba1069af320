//! Which classes are models, and what their `Meta` says of that.

use super::{Builder, Model, ModelId};
use crate::django::fields::field_call;
use crate::python::touched::aside;
use crate::python::{ClassId, Member, is_models_export};
use crate::text::Site;

const MODEL: &str = "django.db.models.Model";

impl<'a> Builder<'a> {
    /// Find the model classes, and what their `Meta` says.
    pub(super) fn collect(&mut self) {
        for id in self.program.class_ids() {
            // A class is a model, or is not, whatever functions do.
            if !aside(|| self.is_model(id)) {
                continue;
            }
            let class = self.program.class(id);
            let model_id = ModelId(self.models.len() as u32);
            self.by_class.insert(id, model_id);
            let file = self.program.file(class.file);
            self.models.push(Model {
                id: model_id,
                name: class.name.clone(),
                module: file.module.clone(),
                app_label: String::new(),
                site: Site { file: class.file, span: file.node(class.node).span() },
                class: id,
                is_abstract: false,
                is_proxy: false,
                is_managed: true,
                swappable: None,
                bases: Vec::new(),
                table_parents: Vec::new(),
                concrete: model_id,
                has_unknown_base: class.has_unknown_base,
                fields: Vec::new(),
                reverse: Vec::new(),
                managers: Vec::new(),
                default_manager: String::new(),
                base_manager_name: None,
                ordering: Vec::new(),
                has_unknown_ordering: false,
                unique: Vec::new(),
                order_with_respect_to: None,
            });
        }
        for index in 0..self.models.len() {
            let Some(class) = self.models.get(index).map(|m| m.class) else { continue };
            let own = self.own_meta(class);
            let is_abstract = own.is_some_and(|meta| self.is_abstract_meta(meta));
            let meta = own.or_else(|| self.inherited_meta(class));
            self.meta.push(meta);
            let file = self.program.class(class).file;
            let label =
                self.meta_string(meta, "app_label").unwrap_or_else(|| self.apps.label(self.program, file));
            let flag = |name: &str| {
                meta.and_then(|m| self.meta_value(m, name)).and_then(|(f, v)| self.values.flag(f, v))
            };
            let (is_proxy, is_managed) = (flag("proxy") == Some(true), flag("managed") != Some(false));
            let swappable = self.meta_string(meta, "swappable");
            let bases = self
                .program
                .class(class)
                .mro
                .iter()
                .skip(1)
                .filter_map(|c| self.by_class.get(c).copied())
                .collect();
            let id = ModelId(index as u32);
            if !is_abstract {
                let name = self.program.class(class).name.to_lowercase();
                self.by_label.entry(format!("{label}.{name}")).or_default().push(id);
            }
            if let Some(model) = self.models.get_mut(index) {
                model.app_label = label;
                model.is_abstract = is_abstract;
                model.is_proxy = is_proxy && !is_abstract;
                model.is_managed = is_managed;
                model.swappable = swappable;
                model.bases = bases;
            }
        }
        self.local = vec![Vec::new(); self.models.len()];
        self.local_managers = vec![Vec::new(); self.models.len()];
        self.has_auto_manager = vec![false; self.models.len()];
        self.explicit_default = vec![None; self.models.len()];
    }

    fn is_model(&self, id: ClassId) -> bool {
        let class = self.program.class(id);
        if self.program.inherits(id, MODEL) {
            return true;
        }
        // A base from a package that is not here may be a model: fields of columns in the body say so.
        let has_foreign_base = class.has_unknown_base
            || class.external_bases.iter().any(|b| !b.starts_with("django.") && !b.starts_with("builtins."));
        let is_other = class.external_bases.iter().any(|b| {
            ["forms", "serializers", "filters", "graphene", "migrations", "TestCase"]
                .iter()
                .any(|p| b.contains(p))
        });
        has_foreign_base
            && !is_other
            && class.mro.iter().any(|ancestor| {
                let ancestor = self.program.class(*ancestor);
                ancestor.members.values().any(|m| match m {
                    Member::Value(value) => {
                        let node = self.values.node(ancestor.file, *value);
                        field_call(self.program, ancestor.file, node).is_some_and(|(_, class)| {
                            class.path.strip_prefix("django.db.models.").is_some_and(is_models_export)
                        })
                    }
                    _ => false,
                })
            })
    }
}
