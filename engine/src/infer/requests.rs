//! What the program puts on the request: `request.event = get_object_or_404(Event, ...)` in a middleware.
//!
//! An attribute is known where the code of the program that assigns it to a request assigns instances of one model, or
//! None; an assignment that is not understood is outweighed by one that is. Each of them is asked without this knowledge,
//! so that the answer depends on no order.

use super::analyzer::Analyzer;
use super::types::{Instance, Root, Type};
use crate::django::ModelId;
use crate::python::{Expr, Field, Kind, Node, NodeId};
use crate::text::FileId;
use rustc_hash::FxHashMap;

/// Places that assign one attribute and are asked.
const MAX_PLACES: usize = 12;

/// The instances that attributes of requests are, and whether they may be None.
pub(super) type Requests = FxHashMap<String, (ModelId, bool)>;

impl Analyzer<'_> {
    /// What `request.name` is.
    pub(super) fn of_request(&self, name: &str) -> Option<Type> {
        let known = self.requests.get_or_init(|| {
            let plain = Analyzer::new(self.project);
            let _ = plain.requests.set(Requests::default());
            plain.assigned_to_requests()
        });
        let (model, may_be_none) = *known.get(name)?;
        let ty = Type::Instance(Instance::root(model, Root::Opaque));
        Some(if may_be_none { ty.optional() } else { ty })
    }

    fn assigned_to_requests(&self) -> Requests {
        let program = self.project.program();
        let mut out = Requests::default();
        for (name, places) in self.assigned_from_outside() {
            let of_requests: Vec<(FileId, NodeId)> = places
                .iter()
                .copied()
                .filter(|(file, node)| {
                    !self.project.is_test_file(*file) && is_of_request(program.file(*file).node(*node))
                })
                .collect();
            if of_requests.is_empty() || of_requests.len() > MAX_PLACES || self.is_set_by_name(name) {
                continue;
            }
            if let Some(known) = self.one_model(&of_requests) {
                out.insert(name.to_owned(), known);
            }
        }
        out
    }

    /// The model whose instances all of these places assign.
    fn one_model(&self, places: &[(FileId, NodeId)]) -> Option<(ModelId, bool)> {
        let program = self.project.program();
        let (mut model, mut may_be_none, mut weight) = (None, false, 0);
        for (file, target) in places {
            let target = program.file(*file).node(*target);
            let assignment = target.parent().filter(|p| p.kind() == Kind::Assign)?;
            let value = assignment.child(Field::Right).filter(|_| target.field() == Field::Left)?;
            let function = target.ancestors().filter(|a| a.kind() == Kind::FunctionDef);
            let function = function.filter_map(|def| program.function_at(*file, def.id())).last();
            match self.caller(*file, function).type_of(value) {
                Type::None => may_be_none = true,
                Type::Unknown => weight -= 1,
                ty => {
                    let found = ty.instance()?.model;
                    may_be_none |= ty.may_be_none();
                    weight += 1;
                    if *model.get_or_insert(found) != found {
                        return None;
                    }
                }
            }
        }
        model.filter(|_| weight >= 0).map(|model| (model, may_be_none))
    }
}

/// Whether an attribute is one of `request` or of `self.request`.
fn is_of_request(target: Node<'_>) -> bool {
    let Expr::Attribute { value, .. } = Expr::of(target) else { return false };
    match Expr::of(value) {
        Expr::Name(name) => name == "request",
        Expr::Attribute { attr, .. } => attr == "request",
        _ => false,
    }
}
