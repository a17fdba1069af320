//! The managers of a model: which ones, and which of them is the default.

use super::{Builder, Manager, ModelId};

impl<'a> Builder<'a> {
    pub(super) fn managers(&mut self, id: ModelId) {
        let class = self.program.class(self.get(id).class);
        let mut out: Vec<Manager> = Vec::new();
        for ancestor in &class.mro {
            let Some(base) = self.by_class.get(ancestor) else { continue };
            for manager in self.local_managers.get(base.0 as usize).map_or(&[][..], Vec::as_slice) {
                if !out.iter().any(|m| m.name == manager.name) {
                    out.push(manager.clone());
                }
            }
        }
        // A base that is not here may bring managers of its own; Django's default is then only a guess.
        if out.is_empty() && !self.get(id).is_abstract {
            let manager = Manager {
                name: "objects".into(),
                class: None,
                queryset: None,
                is_unknown: self.get(id).has_unknown_base || self.has_foreign_base(id),
                site: None,
            };
            if let Some(slot) = self.local_managers.get_mut(id.0 as usize) {
                slot.push(manager.clone());
            }
            out.push(manager);
        }
        let meta = self.meta.get(id.0 as usize).copied().flatten();
        let nearest = self.get(id).bases.first().copied();
        let has_local =
            self.local_managers.get(id.0 as usize).is_some_and(|m| m.iter().any(|m| m.site.is_some()));
        let explicit = self.meta_string(meta, "default_manager_name").or_else(|| {
            if has_local {
                None
            } else {
                nearest.and_then(|b| self.explicit_default.get(b.0 as usize).cloned().flatten())
            }
        });
        let base_manager = self
            .meta_string(meta, "base_manager_name")
            .or_else(|| nearest.and_then(|b| self.get(b).base_manager_name.clone()));
        let default = explicit
            .clone()
            .or_else(|| out.first().map(|m| m.name.clone()))
            .unwrap_or_else(|| "objects".into());
        if let Some(slot) = self.explicit_default.get_mut(id.0 as usize) {
            *slot = explicit;
        }
        if let Some(model) = self.models.get_mut(id.0 as usize) {
            model.managers = out;
            model.default_manager = default;
            model.base_manager_name = base_manager;
        }
    }

    fn has_foreign_base(&self, id: ModelId) -> bool {
        self.program.class(self.get(id).class).external_bases.iter().any(|b| {
            !b.starts_with("django.")
                && !b.starts_with("builtins.")
                && !b.starts_with("typing.")
                && !b.starts_with("abc.")
        })
    }
}
