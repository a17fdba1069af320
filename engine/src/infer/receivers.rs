//! What methods are called on: the one thing about a call that is asked of every call of a name, be it anywhere in the
//! project. It is kept for all frames, for the whole facts of a frame take too much room to be kept for long.

use super::analyzer::Analyzer;
use super::facts::Facts;
use super::found::Answers;
use super::types::Type;
use crate::django::Project;
use crate::python::touched::Touched;
use crate::python::{ClassId, Field, FunctionId, Kind, Node, NodeId};
use crate::text::FileId;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What a method is called on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// An object of a class of the program, or the class itself.
    Class(ClassId),
    /// A string, a number, a list or a dict.
    Builtin,
    /// Anything else, or not known.
    Unknown,
}

impl Receiver {
    fn of(project: &Project, ty: &Type) -> Receiver {
        match ty {
            Type::Instance(instance) => Receiver::Class(project.model(instance.model).class),
            Type::ModelClass(model) => Receiver::Class(project.model(*model).class),
            Type::Object(object) => Receiver::Class(*object),
            Type::Str
            | Type::Bytes
            | Type::Int
            | Type::Float
            | Type::Bool
            | Type::Dict(_)
            | Type::List(_) => Receiver::Builtin,
            _ => Receiver::Unknown,
        }
    }
}

/// A function, or the body of a module.
type Frame = (FileId, Option<FunctionId>);

/// What is known of receivers, by the node of the receiver; for each frame that was evaluated.
pub(super) type Receivers = Answers<Frame, Arc<FxHashMap<NodeId, Receiver>>>;

impl Analyzer<'_> {
    /// What a method is called on in a frame: `value` of `value.method()`.
    pub fn receiver_of_call(&self, file: FileId, function: Option<FunctionId>, value: Node<'_>) -> Receiver {
        let known = self.receivers.get(&(file, function)).or_else(|| {
            self.caller(file, function);
            self.receivers.get(&(file, function))
        });
        known.and_then(|known| known.get(&value.peel().id()).copied()).unwrap_or(Receiver::Unknown)
    }

    /// The facts of a frame are found: what it calls methods on is known from here on.
    pub(super) fn note_receivers(&self, frame: Frame, facts: &Facts, touched: Touched) {
        let file = self.project.program().file(frame.0);
        let is_receiver = |node: NodeId| {
            let attribute = file.node(node).with_parens().parent();
            attribute
                .is_some_and(|a| a.kind() == Kind::Attribute && a.with_parens().field() == Field::Function)
        };
        let known = facts.types.known().map(|(node, ty)| (node, Receiver::of(self.project, ty)));
        let known = known.filter(|(node, receiver)| *receiver != Receiver::Unknown && is_receiver(*node));
        let known = Arc::new(known.collect());
        self.receivers.put(frame, known, touched);
    }
}
