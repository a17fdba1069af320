//! Signal receivers and what else watches models being made, saved or deleted.

mod packages;
mod scan;

use super::values::Values;
use super::{Model, ModelId, RelationKind, Settings};
use crate::python::per_file::PerFile;
use crate::python::{ClassId, FunctionId, Program};
use crate::text::{FileId, Site};
use rustc_hash::FxHashMap;
use scan::Scan;

pub(super) use packages::{is_known, unknown_parts};

/// The model signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Signal {
    PreInit,
    PostInit,
    PreSave,
    PostSave,
    PreDelete,
    PostDelete,
    M2mChanged,
}

/// One registration: a receiver function, or a package that hooks the model (auditlog, simple history ...).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// The signal.
    pub signal: Signal,
    /// The senders; `None` for every model, or where the sender could not be resolved.
    pub sender: Option<ModelId>,
    /// For `m2m_changed`, the field whose link table sends it: the model that has the field, and its name.
    pub link: Option<(ModelId, String)>,
    /// The receiver's name: `index_book`, `auditlog`.
    pub name: String,
    /// Where it is registered.
    pub site: Site,
    /// The receiving function when it is in the program.
    pub function: Option<FunctionId>,
    /// A callable of the program that could not be resolved: it may do anything.
    pub is_opaque: bool,
}

impl Signal {
    fn named(name: &str) -> Option<Signal> {
        Some(match name {
            "pre_init" => Signal::PreInit,
            "post_init" => Signal::PostInit,
            "pre_save" => Signal::PreSave,
            "post_save" => Signal::PostSave,
            "pre_delete" => Signal::PreDelete,
            "post_delete" => Signal::PostDelete,
            "m2m_changed" => Signal::M2mChanged,
            _ => return None,
        })
    }
}

/// Who a registration listens to, before labels are resolved.
#[derive(Clone, Debug)]
enum Sender {
    Any,
    Class(ClassId),
    Label(String),
    /// `Book.tags.through`
    Through(ClassId, String),
}

#[derive(Debug)]
struct Found {
    signal: Signal,
    sender: Sender,
    name: String,
    site: Site,
    function: Option<FunctionId>,
    is_opaque: bool,
    /// Only what connects to an unknown object may have made this registration.
    escapes: bool,
}

/// What one file registers.
#[derive(Debug, Default)]
pub(super) struct InFile {
    found: Vec<Found>,
    /// Something is connected to an object that may be any signal.
    connects_unknown: bool,
}

/// What a file registers.
pub(super) fn registered(values: Values<'_>, file: FileId) -> InFile {
    Scan { program: values.program, values }.file(file)
}

/// Every registration in the program, of those in its files.
pub(super) fn receivers(
    program: &Program,
    settings: &Settings,
    found: &PerFile<InFile>,
    models: &[Model],
    by_class: &FxHashMap<ClassId, ModelId>,
    by_label: impl Fn(&str) -> Option<ModelId>,
) -> Vec<Receiver> {
    let connects_unknown = found.iter().any(|f| f.connects_unknown);
    let mut out = Vec::new();
    for (file, found) in program.file_ids().zip(found.iter()) {
        for found in found.found.iter().filter(|f| !f.escapes || connects_unknown) {
            let mut link = None;
            let sender = match &found.sender {
                Sender::Any => None,
                Sender::Through(class, attribute) => {
                    let through = by_class.get(class).and_then(|model| through(models, *model, attribute));
                    match through {
                        Some((_, _, Some(model))) => Some(model),
                        Some((model, field, None)) => {
                            link = Some((model, field));
                            None
                        }
                        None => None,
                    }
                }
                Sender::Class(class) => match by_class.get(class) {
                    Some(model) => Some(*model),
                    // A class that is no model never sends.
                    None if !program.class(*class).has_unknown_base => continue,
                    None => None,
                },
                Sender::Label(label) if label.contains('.') => by_label(label),
                Sender::Label(name) => {
                    models.iter().find(|m| m.site.file == file && m.name == *name).map(|m| m.id)
                }
            };
            out.push(Receiver {
                signal: found.signal,
                sender,
                link,
                name: found.name.clone(),
                site: found.site,
                function: found.function,
                is_opaque: found.is_opaque,
            });
        }
    }
    packages::watching(Values { program, settings }, models, &mut out);
    out
}

/// The many-to-many behind `attribute` of `model`: the model that has the field, the field's name, and the declared
/// model of the link.
pub(super) fn through(
    models: &[Model],
    model: ModelId,
    attribute: &str,
) -> Option<(ModelId, String, Option<ModelId>)> {
    let this = models.get(model.0 as usize)?;
    let (source, name) = match this.field(attribute) {
        Some(field) => (model, field.name.clone()),
        None => this.reverse(attribute).map(|r| (r.source, r.field.clone()))?,
    };
    let relation = models.get(source.0 as usize)?.field(&name)?.relation.as_ref()?;
    (relation.kind == RelationKind::ManyToMany).then_some((source, name, relation.through))
}
