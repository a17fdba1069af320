//! What a model gets from its bases: copies of abstract fields, links to tables, the fields of those tables.

use super::{Builder, Declared, Field, ModelId, RelationKind, Target, attributes, relation};
use crate::django::FieldKind;
use crate::python::Def;
use rustc_hash::FxHashSet;

impl<'a> Builder<'a> {
    /// The direct bases that are models.
    fn parents(&self, id: ModelId) -> Vec<ModelId> {
        let class = self.program.class(self.get(id).class);
        class
            .bases
            .iter()
            .filter_map(|b| match b {
                Some(Def::Class(c)) => self.by_class.get(c).copied(),
                _ => None,
            })
            .collect()
    }

    /// Local fields, parent links and managers, from the class and its abstract bases.
    pub(super) fn inherit(&mut self, id: ModelId) {
        let class_id = self.get(id).class;
        let (mut own, managers) = self.declarations(class_id);
        let parents = self.parents(id);
        let is_proxy = self.get(id).is_proxy;
        let mut names: FxHashSet<String> = own.iter().map(|d| d.field.name.clone()).collect();
        let class = self.program.class(class_id);
        let own_attributes: FxHashSet<&str> = attributes(class).collect();
        let mut inherited: FxHashSet<String> = FxHashSet::default();
        let mut copies: Vec<Declared> = Vec::new();
        let mut links: Vec<Declared> = Vec::new();
        let mut table_parents: Vec<ModelId> = Vec::new();
        let mut concrete = id;

        for ancestor in &class.mro {
            let base = match self.by_class.get(ancestor) {
                Some(base) if parents.contains(base) => *base,
                other => {
                    let class = self.program.class(*ancestor);
                    // Mixins and remote ancestors win by their attributes only.
                    inherited.extend(attributes(class).map(str::to_owned));
                    if let Some(base) = other.filter(|b| **b != id) {
                        inherited.extend(self.local_of(*base).iter().map(|d| d.field.attname.clone()));
                    }
                    continue;
                }
            };
            if self.get(base).is_abstract {
                for declared in self.local_of(base) {
                    let name = declared.field.name.as_str();
                    let is_private = matches!(
                        declared.field.kind,
                        FieldKind::GenericForeignKey | FieldKind::GenericRelation
                    );
                    let is_free = !names.contains(name)
                        && !copies.iter().any(|c| c.field.name == name)
                        && (is_private || (!own_attributes.contains(name) && !inherited.contains(name)));
                    if is_free {
                        copies.push(declared.clone());
                    }
                }
                for parent in &self.get(base).table_parents {
                    if !table_parents.contains(parent) {
                        table_parents.push(*parent);
                    }
                }
                continue;
            }
            let base_concrete = self.get(base).concrete;
            if is_proxy {
                if concrete == id {
                    concrete = base_concrete;
                }
                continue;
            }
            if !table_parents.contains(&base_concrete) {
                table_parents.push(base_concrete);
            }
            let declared_link = own.iter().chain(&copies).any(|d| {
                d.field.relation.as_ref().is_some_and(|r| {
                    r.parent_link
                        && (self.target(d, id) == Some(base_concrete) || self.target(d, id) == Some(base))
                })
            });
            if !declared_link {
                links.push(self.parent_link(id, base_concrete));
            }
            inherited.extend(self.local_of(base).iter().map(|d| d.field.name.clone()));
        }

        names.extend(copies.iter().map(|c| c.field.name.clone()));
        links.retain(|l| !names.contains(&l.field.name));
        let mut local = links;
        local.append(&mut copies);
        local.append(&mut own);

        let has_parents = !table_parents.is_empty();
        if !self.get(id).is_abstract && !is_proxy && !local.iter().any(|d| d.field.primary_key) {
            if has_parents {
                let link =
                    local.iter_mut().find(|d| d.field.relation.as_ref().is_some_and(|r| r.parent_link));
                if let Some(link) = link {
                    link.field.primary_key = true;
                }
            } else {
                local.insert(0, self.auto_field(id));
            }
        }
        if let Some(slot) = self.local.get_mut(id.0 as usize) {
            *slot = local;
        }
        if let Some(slot) = self.local_managers.get_mut(id.0 as usize) {
            *slot = managers;
        }
        if let Some(model) = self.models.get_mut(id.0 as usize) {
            model.table_parents = table_parents;
            model.concrete = concrete;
        }
        self.managers(id);
        self.meta_facts(id);
    }

    pub(super) fn auto_field(&self, id: ModelId) -> Declared {
        let model = self.get(id);
        let class = self
            .values
            .settings
            .default_auto_field
            .clone()
            .unwrap_or_else(|| "django.db.models.BigAutoField".to_owned());
        Declared {
            field: Field {
                name: "id".into(),
                attname: "id".into(),
                kind: FieldKind::Auto,
                class,
                null: false,
                unique: true,
                primary_key: true,
                auto_now: false,
                may_auto_now: false,
                auto_now_add: false,
                has_default: false,
                is_auto: true,
                relation: None,
                has_hooks: false,
                functions: Vec::new(),
                site: model.site,
            },
            file: model.site.file,
            target: None,
            related_name: None,
            related_query_name: None,
            through: None,
            is_hidden: false,
        }
    }

    fn parent_link(&self, id: ModelId, parent: ModelId) -> Declared {
        let mut link = self.auto_field(id);
        let name = format!("{}_ptr", self.get(parent).name.to_lowercase());
        link.field.attname = format!("{name}_id");
        link.field.name = name;
        link.field.kind = FieldKind::ForeignKey;
        link.field.class = "django.db.models.OneToOneField".into();
        link.field.primary_key = false;
        link.field.relation = Some(relation(RelationKind::OneToOne, true));
        link.target = Some(Target::Class(self.get(parent).class));
        link
    }

    /// All fields of a model: those of its table parents first, then its own.
    pub(super) fn complete(&mut self, id: ModelId) {
        let model = self.get(id);
        let mut fields: Vec<Field> = Vec::new();
        if model.is_proxy && model.concrete != id {
            fields = self.get(model.concrete).fields.clone();
        } else {
            for parent in &model.table_parents {
                for field in &self.get(*parent).fields {
                    if fields.iter().any(|f| f.name == field.name) {
                        continue;
                    }
                    let mut field = field.clone();
                    // The copy of a generic relation in a child table gives up its name in lookups.
                    if let Some(relation) = &mut field.relation
                        && relation.kind == RelationKind::GenericRelation
                    {
                        relation.query_name = None;
                    }
                    fields.push(field);
                }
            }
            if !model.table_parents.is_empty() {
                // Only one primary key: the link to the first parent, or what the model declares.
                for field in &mut fields {
                    field.primary_key = false;
                }
            }
        }
        for declared in self.local_of(id) {
            fields.retain(|f| f.name != declared.field.name);
            fields.push(declared.field.clone());
        }
        if let Some(model) = self.models.get_mut(id.0 as usize) {
            model.fields = fields;
        }
    }
}
