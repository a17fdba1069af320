//! Signal receivers and what else watches models being made, saved or deleted.

use super::ModelId;
use crate::text::Site;

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
#[derive(Clone, Debug)]
pub struct Receiver {
    /// The signal.
    pub signal: Signal,
    /// The senders; `None` for every model, or where the sender could not be resolved.
    pub sender: Option<ModelId>,
    /// The receiver's name: `index_book`, `auditlog`.
    pub name: String,
    /// Where it is registered.
    pub site: Site,
    /// The receiving function when it is in the program.
    pub function: Option<crate::python::FunctionId>,
}
