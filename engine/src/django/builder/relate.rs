//! Where relations point, what they are called from the other side, and what the other side has for it.

use super::{Builder, Declared, Model, ModelId, Relation, RelationKind, Target, Text, attributes, relation};
use crate::django::{FieldKind, ReverseRelation};
use crate::python::{KNOWN_ROOT, Member};
use crate::text::FileId;

impl<'a> Builder<'a> {
    /// The model that a field of `model` points at.
    pub(super) fn target(&self, declared: &Declared, model: ModelId) -> Option<ModelId> {
        self.resolve_target(declared.target.as_ref()?, model, declared.file)
    }

    fn resolve_target(&self, target: &Target, model: ModelId, file: FileId) -> Option<ModelId> {
        match target {
            Target::Class(class) => self.by_class.get(class).copied(),
            Target::Label(label) if label == "self" => Some(model),
            Target::Label(label) => {
                let mut parts = label.rsplit('.');
                let name = parts.next().unwrap_or("").to_lowercase();
                let key = match parts.next() {
                    Some(app) => format!("{app}.{name}"),
                    None => format!("{}.{name}", self.get(model).app_label),
                };
                self.labelled(&key, file)
            }
            Target::Unknown(_) => None,
        }
    }

    /// Of several models with one label, the one nearest to `file`.
    fn labelled(&self, key: &str, file: FileId) -> Option<ModelId> {
        let found = self.by_label.get(key)?;
        if let [only] = found.as_slice() {
            return Some(*only);
        }
        let here = self.program.file(file).source.path();
        found
            .iter()
            .min_by_key(|id| {
                let path = self.program.file(self.get(**id).site.file).source.path();
                let shared = path.split('/').zip(here.split('/')).take_while(|(a, b)| a == b).count();
                (path.starts_with(KNOWN_ROOT), usize::MAX - shared, id.0)
            })
            .copied()
    }

    /// Resolve the relations of a model's own fields.
    pub(super) fn relate(&mut self, id: ModelId) {
        let Some(mut local) = self.local.get_mut(id.0 as usize).map(std::mem::take) else { return };
        for declared in &mut local {
            let Some(mut relation) = declared.field.relation.take() else { continue };
            relation.target =
                declared.target.as_ref().and_then(|t| self.resolve_target(t, id, declared.file));
            // Tags are what the `tag` of the items in between points at.
            if declared.field.class.ends_with("TaggableManager")
                && let Some(through) = &declared.through
                && let Some(items) = self.resolve_target(through, id, declared.file)
                && let Some(tag) = self.local_of(items).iter().find(|d| d.field.name == "tag")
            {
                relation.target = self.target(tag, items).or(relation.target);
            }
            relation.target_text = match (&relation.target, &declared.target) {
                (Some(target), _) => self.get(*target).label(),
                (None, Some(Target::Label(text) | Target::Unknown(text))) => text.clone(),
                (None, Some(Target::Class(class))) => self.program.class_path(*class),
                (None, None) => String::new(),
            };
            relation.through =
                declared.through.as_ref().and_then(|t| self.resolve_target(t, id, declared.file));
            self.name_accessor(id, declared, &mut relation);
            // Tags can be filtered by what they are on, but have no attribute for it.
            if declared.field.class.ends_with("TaggableManager") {
                relation.accessor = None;
            }
            declared.field.relation = Some(relation);
        }
        let added = self.added_by_packages(id, &local);
        local.extend(added);
        if let Some(slot) = self.local.get_mut(id.0 as usize) {
            *slot = local;
        }
    }

    /// Generic relations that no class body declares: packages add them to models from outside.
    fn added_by_packages(&self, id: ModelId, local: &[Declared]) -> Vec<Declared> {
        let model = self.get(id);
        if model.is_abstract || model.is_proxy {
            return Vec::new();
        }
        let descends = |model: ModelId, path: &str| {
            let class = self.program.class(self.get(model).class);
            class.mro.iter().any(|c| self.program.class_path(*c) == path)
        };
        let mut found = Vec::new();
        // taggit: the items in between of a field of tags, where they point at any model.
        let items = local.iter().filter(|d| d.field.class.ends_with("TaggableManager")).find_map(|d| {
            d.field
                .relation
                .as_ref()?
                .through
                .filter(|t| descends(*t, "taggit.models.CommonGenericTaggedItemBase"))
        });
        found.extend(items.map(|items| ("tagged_items", items)));
        // modelsearch: the entries of the search index, for models with something to search.
        let has_search_fields = match self.program.member(model.class, "search_fields") {
            Some((owner, Member::Value(value))) => {
                let file = self.program.class(owner).file;
                self.values.strings(file, self.values.node(file, *value)).is_none_or(|list| !list.is_empty())
            }
            _ => true,
        };
        if has_search_fields && descends(id, "modelsearch.index.Indexed") {
            let labels = ["wagtailsearch.indexentry", "modelsearch.indexentry"];
            let entries = labels.iter().find_map(|label| self.labelled(label, model.site.file));
            found.extend(entries.map(|entries| ("index_entries", entries)));
        }
        found.retain(|(name, _)| !local.iter().any(|d| d.field.name == *name));
        found
            .into_iter()
            .map(|(name, target)| {
                let mut relation = relation(RelationKind::GenericRelation, false);
                relation.target = Some(target);
                relation.target_text = self.get(target).label();
                let mut added = self.auto_field(id);
                added.field.name = name.into();
                added.field.attname = name.into();
                added.field.kind = FieldKind::GenericRelation;
                added.field.class = "django.contrib.contenttypes.fields.GenericRelation".into();
                added.field.null = true;
                added.field.unique = false;
                added.field.primary_key = false;
                added.field.relation = Some(relation);
                added
            })
            .collect()
    }

    fn name_accessor(&self, id: ModelId, declared: &mut Declared, relation: &mut Relation) {
        let model = self.get(id);
        let class_name = model.name.to_lowercase();
        let format = |text: &str| {
            text.replace("%(class)s", &class_name)
                .replace("%(model_name)s", &class_name)
                .replace("%(app_label)s", &model.app_label.to_lowercase())
        };
        match relation.kind {
            RelationKind::GenericForeignKey => return,
            RelationKind::GenericRelation => {
                relation.query_name = declared.related_query_name.as_deref().map(format);
                return;
            }
            _ => {}
        }
        let is_self = declared.target.as_ref().is_some_and(|t| match t {
            Target::Label(label) => label == "self" || *label == model.name,
            _ => false,
        });
        if relation.symmetrical && is_self {
            declared.is_hidden = true;
            return;
        }
        let name = match &declared.related_name {
            Some(Text::Unknown) => {
                declared.is_hidden = true;
                return;
            }
            Some(Text::Known(name)) if !name.is_empty() => Some(name.clone()),
            _ if declared.field.is_auto => self.default_related_name(id),
            _ => self.default_related_name(id),
        };
        let name = name.as_deref().map(format);
        if name.as_deref().is_some_and(|n| n.ends_with('+')) {
            declared.is_hidden = true;
            return;
        }
        relation.query_name = declared
            .related_query_name
            .as_deref()
            .map(format)
            .or_else(|| name.clone())
            .or_else(|| Some(class_name.clone()));
        relation.accessor = name.or_else(|| {
            Some(if relation.kind == RelationKind::OneToOne {
                class_name.clone()
            } else {
                format!("{class_name}_set")
            })
        });
    }

    /// Put the accessors on the targets, then hand them down to proxies and table children.
    pub(super) fn reverse(&mut self) {
        let mut own: Vec<Vec<ReverseRelation>> = vec![Vec::new(); self.models.len()];
        for model in &self.models {
            if model.is_abstract || self.is_swapped(model) || !self.is_installed(model) {
                continue;
            }
            for declared in self.local_of(model.id) {
                let Some(relation) = &declared.field.relation else { continue };
                let (Some(target), Some(accessor), Some(query_name)) =
                    (relation.target, &relation.accessor, &relation.query_name)
                else {
                    continue;
                };
                if let Some(list) = own.get_mut(target.0 as usize) {
                    list.push(ReverseRelation {
                        accessor: accessor.clone(),
                        query_name: query_name.clone(),
                        kind: relation.kind,
                        source: model.id,
                        field: declared.field.name.clone(),
                    });
                }
            }
        }
        for index in 0..self.models.len() {
            let mut all = own.get(index).cloned().unwrap_or_default();
            let bases = self.models.get(index).map(|m| m.bases.clone()).unwrap_or_default();
            for base in bases {
                for relation in own.get(base.0 as usize).map_or(&[][..], Vec::as_slice) {
                    if !all.iter().any(|r| r.accessor == relation.accessor) {
                        all.push(relation.clone());
                    }
                }
            }
            if let Some(model) = self.models.get_mut(index) {
                let class = self.program.class(model.class);
                // What the class itself defines under that name hides an accessor that it inherits.
                all.retain(|r| {
                    own.get(index).is_some_and(|o| o.iter().any(|x| x.accessor == r.accessor))
                        || !attributes(class).any(|name| name == r.accessor)
                });
                model.reverse = all;
            }
        }
    }

    /// An abstract model has the accessors that every concrete model below it has alike: its own methods run on
    /// instances of those.
    pub(super) fn reverse_of_abstract(&mut self) {
        let mut heirs: Vec<Vec<ModelId>> = vec![Vec::new(); self.models.len()];
        for model in self.models.iter().filter(|m| !m.is_abstract && !m.is_proxy) {
            for base in &model.bases {
                if let Some(list) = heirs.get_mut(base.0 as usize) {
                    list.push(model.id);
                }
            }
        }
        for (index, heirs) in heirs.iter().enumerate() {
            let Some(model) = self.models.get(index).filter(|m| m.is_abstract) else { continue };
            let Some((first, rest)) = heirs.split_first() else { continue };
            let class = self.program.class(model.class);
            let is_same = |a: &ReverseRelation, b: &ReverseRelation| {
                (&a.accessor, a.kind, a.source, &a.field) == (&b.accessor, b.kind, b.source, &b.field)
            };
            let shared: Vec<ReverseRelation> = self
                .get(*first)
                .reverse
                .iter()
                .filter(|r| rest.iter().all(|h| self.get(*h).reverse.iter().any(|o| is_same(r, o))))
                .filter(|r| !attributes(class).any(|name| name == r.accessor))
                .cloned()
                .collect();
            if let Some(model) = self.models.get_mut(index) {
                model.reverse.extend(shared);
            }
        }
    }

    /// Another model stands in for this one, so that it has no table and makes no accessors.
    fn is_swapped(&self, model: &Model) -> bool {
        let Some(setting) = &model.swappable else { return false };
        let Some(value) = self.values.setting(setting) else { return false };
        value.to_lowercase() != model.label().to_lowercase()
    }

    /// Models that the engine brings along count only where their app is installed (or nothing is known of that).
    fn is_installed(&self, model: &Model) -> bool {
        let path = self.program.file(model.site.file).source.path();
        let Some(package) = path.strip_prefix(KNOWN_ROOT) else { return true };
        let apps = &self.values.settings.installed_apps;
        let package = package.split("/models").next().unwrap_or("").replace('/', ".");
        apps.is_empty() || apps.iter().any(|a| a.starts_with(package.as_str()))
    }
}
