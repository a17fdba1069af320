//! The model graph as text and as JSON. Models are named by module and class; `label` is Django's name for them.

use crate::escape::escape_line;
use crate::paths::Paths;
use crate::pipeline::sources;
use ormend_engine::django::{
    Field, FieldKind, Manager, Model, ModelId, Project, RelationKind, ReverseRelation,
};
use ormend_engine::python::ClassId;
use ormend_engine::text::Site;
use serde::Serialize;
use std::io::{self, Write};

/// Everything that is known of the models, with ids replaced by names.
#[derive(Serialize)]
pub struct Graph {
    /// By label and module.
    pub models: Vec<ModelEntry>,
}

/// One model.
#[derive(Serialize)]
pub struct ModelEntry {
    label: String,
    name: String,
    module: String,
    app_label: String,
    path: Option<String>,
    line: Option<u32>,
    #[serde(rename = "abstract")]
    is_abstract: bool,
    #[serde(rename = "proxy")]
    is_proxy: bool,
    #[serde(rename = "managed")]
    is_managed: bool,
    swappable: Option<String>,
    bases: Vec<String>,
    table_parents: Vec<String>,
    concrete: Option<String>,
    has_unknown_base: bool,
    fields: Vec<FieldEntry>,
    reverse: Vec<ReverseEntry>,
    managers: Vec<ManagerEntry>,
    default_manager: String,
    base_manager_name: Option<String>,
    ordering: Vec<String>,
    has_unknown_ordering: bool,
    unique: Vec<Vec<String>>,
    order_with_respect_to: Option<String>,
}

#[derive(Serialize)]
struct FieldEntry {
    name: String,
    attname: String,
    kind: FieldKind,
    class: String,
    null: bool,
    unique: bool,
    primary_key: bool,
    auto_now: bool,
    auto_now_add: bool,
    has_default: bool,
    is_auto: bool,
    has_hooks: bool,
    path: Option<String>,
    line: Option<u32>,
    relation: Option<RelationEntry>,
}

#[derive(Serialize)]
struct RelationEntry {
    kind: RelationKind,
    target: Option<String>,
    target_label: Option<String>,
    target_text: String,
    accessor: Option<String>,
    query_name: Option<String>,
    through: Option<String>,
    db_constraint: bool,
    to_field: Option<String>,
    parent_link: bool,
    symmetrical: bool,
}

#[derive(Serialize)]
struct ReverseEntry {
    accessor: String,
    query_name: String,
    kind: RelationKind,
    single: bool,
    source: Option<String>,
    source_label: Option<String>,
    field: String,
}

#[derive(Serialize)]
struct ManagerEntry {
    name: String,
    class: Option<String>,
    queryset: Option<String>,
    is_unknown: bool,
}

impl Graph {
    /// The models of `project` that are defined below `asked`, or all of them where nothing is asked for.
    pub fn new(project: &Project, paths: &Paths, asked: &[String]) -> Graph {
        let names = Names { project, sources: sources(project), paths };
        let is_asked = |model: &&Model| {
            asked.is_empty()
                || names
                    .engine_path(model.site)
                    .is_some_and(|path| asked.iter().any(|dir| is_below(path, dir)))
        };
        let mut models: Vec<ModelEntry> =
            project.models().iter().filter(is_asked).map(|model| names.model(model)).collect();
        models.sort_by(|a, b| (&a.label, &a.module).cmp(&(&b.label, &b.module)));
        Graph { models }
    }
}

fn is_below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Replaces ids by names.
struct Names<'a> {
    project: &'a Project,
    sources: Vec<&'a ormend_engine::text::Source>,
    paths: &'a Paths,
}

impl<'a> Names<'a> {
    /// Models that are known without being scanned have no file.
    fn engine_path(&self, site: Site) -> Option<&'a str> {
        self.sources.get(site.file.0 as usize).map(|source| source.path())
    }

    fn place(&self, site: Site) -> (Option<String>, Option<u32>) {
        let source = self.sources.get(site.file.0 as usize);
        let path = source.map(|source| self.paths.relative(source.path()));
        (path, source.map(|source| source.line_column(site.span.start).line))
    }

    fn get(&self, id: ModelId) -> Option<&'a Model> {
        self.project.models().get(id.0 as usize)
    }

    fn dotted(&self, id: ModelId) -> Option<String> {
        self.get(id).map(Model::dotted)
    }

    fn label(&self, id: ModelId) -> Option<String> {
        self.get(id).map(Model::label)
    }

    fn class(&self, id: ClassId) -> String {
        let program = self.project.program();
        let class = program.class(id);
        format!("{}.{}", program.file(class.file).module, class.name)
    }

    fn model(&self, model: &Model) -> ModelEntry {
        let (path, line) = self.place(model.site);
        ModelEntry {
            label: model.label(),
            name: model.name.clone(),
            module: model.module.clone(),
            app_label: model.app_label.clone(),
            path,
            line,
            is_abstract: model.is_abstract,
            is_proxy: model.is_proxy,
            is_managed: model.is_managed,
            swappable: model.swappable.clone(),
            bases: model.bases.iter().filter_map(|&id| self.dotted(id)).collect(),
            table_parents: model.table_parents.iter().filter_map(|&id| self.dotted(id)).collect(),
            concrete: self.dotted(model.concrete),
            has_unknown_base: model.has_unknown_base,
            fields: model.fields.iter().map(|field| self.field(field)).collect(),
            reverse: model.reverse.iter().map(|reverse| self.reverse(reverse)).collect(),
            managers: model.managers.iter().map(|manager| self.manager(manager)).collect(),
            default_manager: model.default_manager.clone(),
            base_manager_name: model.base_manager_name.clone(),
            ordering: model.ordering.clone(),
            has_unknown_ordering: model.has_unknown_ordering,
            unique: model.unique.clone(),
            order_with_respect_to: model.order_with_respect_to.clone(),
        }
    }

    fn field(&self, field: &Field) -> FieldEntry {
        let (path, line) = self.place(field.site);
        FieldEntry {
            name: field.name.clone(),
            attname: field.attname.clone(),
            kind: field.kind,
            class: field.class.clone(),
            null: field.null,
            unique: field.unique,
            primary_key: field.primary_key,
            auto_now: field.auto_now,
            auto_now_add: field.auto_now_add,
            has_default: field.has_default,
            is_auto: field.is_auto,
            has_hooks: field.has_hooks,
            path,
            line,
            relation: field.relation.as_ref().map(|relation| RelationEntry {
                kind: relation.kind,
                target: relation.target.and_then(|id| self.dotted(id)),
                target_label: relation.target.and_then(|id| self.label(id)),
                target_text: relation.target_text.clone(),
                accessor: relation.accessor.clone(),
                query_name: relation.query_name.clone(),
                through: relation.through.and_then(|id| self.dotted(id)),
                db_constraint: relation.db_constraint,
                to_field: relation.to_field.clone(),
                parent_link: relation.parent_link,
                symmetrical: relation.symmetrical,
            }),
        }
    }

    fn reverse(&self, reverse: &ReverseRelation) -> ReverseEntry {
        ReverseEntry {
            accessor: reverse.accessor.clone(),
            query_name: reverse.query_name.clone(),
            kind: reverse.kind,
            single: reverse.is_single(),
            source: self.dotted(reverse.source),
            source_label: self.label(reverse.source),
            field: reverse.field.clone(),
        }
    }

    fn manager(&self, manager: &Manager) -> ManagerEntry {
        ManagerEntry {
            name: manager.name.clone(),
            class: manager.class.map(|id| self.class(id)),
            queryset: manager.queryset.map(|id| self.class(id)),
            is_unknown: manager.is_unknown,
        }
    }
}

/// One JSON document.
pub fn write_json(out: &mut dyn Write, graph: &Graph) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, graph)?;
    writeln!(out)
}

/// A paragraph a model: its fields and relations, and what points at it.
pub fn write_text(out: &mut dyn Write, graph: &Graph) -> io::Result<()> {
    for (index, model) in graph.models.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        let flags = [
            (model.is_abstract, "abstract"),
            (model.is_proxy, "proxy"),
            (!model.is_managed, "not managed"),
            (model.swappable.is_some(), "swappable"),
            (model.has_unknown_base, "has an unknown base"),
        ];
        let flags: Vec<&str> = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name).collect();
        let flags = if flags.is_empty() { String::new() } else { format!(" [{}]", flags.join(", ")) };
        let place = match (&model.path, model.line) {
            (Some(path), Some(line)) => format!("  {}:{line}", escape_line(path)),
            _ => String::new(),
        };
        writeln!(out, "{}{flags}{place}", escape_line(&model.label))?;
        let width = model.fields.iter().map(|field| field.name.chars().count());
        let reverse = model.reverse.iter().map(|reverse| reverse.accessor.chars().count());
        let width = width.chain(reverse).max().unwrap_or(0);
        for field in &model.fields {
            let class = field.class.rsplit('.').next().unwrap_or(&field.class);
            let target = field.relation.as_ref().map(|relation| {
                let name = relation
                    .target_label
                    .clone()
                    .unwrap_or_else(|| format!("{} (not found)", relation.target_text));
                format!(" -> {name}")
            });
            let flags = [
                (field.primary_key, "primary key"),
                (field.null, "null"),
                (field.unique && !field.primary_key, "unique"),
                (field.has_hooks, "has hooks"),
            ];
            let flags: Vec<&str> =
                flags.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name).collect();
            let flags = if flags.is_empty() { String::new() } else { format!(" ({})", flags.join(", ")) };
            writeln!(
                out,
                "  {:width$}  {}{}{flags}",
                escape_line(&field.name),
                escape_line(class),
                escape_line(&target.unwrap_or_default())
            )?;
        }
        for reverse in &model.reverse {
            let source = reverse.source_label.as_deref().unwrap_or("?");
            writeln!(
                out,
                "  {:width$}  <- {}.{}",
                escape_line(&reverse.accessor),
                escape_line(source),
                escape_line(&reverse.field)
            )?;
        }
    }
    Ok(())
}
