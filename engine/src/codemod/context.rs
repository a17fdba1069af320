//! What a codemod sees of the place it looks at.

use super::{FileEdit, Fix, Hazard, HazardKind, Options};
use crate::django::{Model, ModelId, Project};
use crate::infer::{Analyzer, Event, Facts, Origin, Type, Value, ValueId};
use crate::python::{Node, NodeId, parameters};
use crate::text::{Edit, FileId, Site, Source};
use std::sync::Arc;

/// One frame (a function with what is nested in it, or a module body) of one file, with its facts and the project.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// For types and facts of other frames.
    pub analyzer: &'a Analyzer<'a>,
    /// The whole project.
    pub project: &'a Project,
    /// The file.
    pub file: FileId,
    /// The facts of the frame.
    pub facts: &'a Facts,
    /// What the user has set.
    pub options: &'a Options,
}

impl<'a> Context<'a> {
    /// The text of the file.
    pub fn source(&self) -> &'a Source {
        &self.project.program().file(self.file).source
    }

    /// The root of the file.
    pub fn root(&self) -> Node<'a> {
        self.project.program().file(self.file).root()
    }

    /// What `find` finds for this frame, found once; `name` says who looks for it, and stands for one type. A context that looks
    /// from another file asks anew.
    pub fn once<T: Send + Sync + 'static>(&self, name: &'static str, find: impl FnOnce() -> T) -> Arc<T> {
        match self.file == self.facts.file {
            true => self.facts.once(name, find),
            false => Arc::new(find()),
        }
    }

    /// The node of the frame: a function definition, or the module.
    pub fn scope(&self) -> Node<'a> {
        self.node(self.facts.scope)
    }

    /// A node of the file.
    pub fn node(&self, id: NodeId) -> Node<'a> {
        self.project.program().file(self.file).node(id)
    }

    /// The type of an expression of the frame.
    pub fn type_of(&self, node: Node<'a>) -> &'a Type {
        self.facts.type_of(node)
    }

    /// The type of an expression of the frame, from a node that need not live as long.
    pub(super) fn type_of_any(&self, node: Node<'_>) -> &'a Type {
        self.facts.type_of(node)
    }

    /// An object of the frame.
    pub fn value(&self, id: ValueId) -> Option<&'a Value> {
        self.facts.value(id)
    }

    /// Where an object is made for this run of the frame alone: the expression, or the parameter that gets it from a
    /// caller who makes it and keeps nothing of it.
    pub fn maker(&self, value: &Value) -> Option<Node<'a>> {
        match value.origin {
            Origin::Expr(node) => Some(self.node(node)),
            Origin::Parameter(index) => {
                let function = self.project.program().function_at(self.file, self.facts.scope)?;
                let parameter = parameters(self.scope()).get(index).map(|p| p.name_node);
                parameter.filter(|_| self.analyzer.is_made_for(function, index))
            }
            Origin::Outside | Origin::Callee => None,
        }
    }

    /// What happens at or below `node`, in order of evaluation.
    pub fn events_in(&self, node: Node<'a>) -> impl Iterator<Item = Event<'a>> + use<'a> {
        self.facts.events_in(node)
    }

    /// A model.
    pub fn model(&self, id: ModelId) -> &'a Model {
        self.project.model(id)
    }

    /// The place of a node.
    pub fn site(&self, node: Node<'a>) -> Site {
        Site { file: self.file, span: node.span() }
    }

    /// A hazard caused at a node of this file.
    pub fn hazard(&self, kind: HazardKind, subject: impl Into<String>, at: Node<'a>) -> Hazard {
        Hazard { kind, site: Some(self.site(at)), subject: subject.into() }
    }

    /// An edit of this file.
    pub fn edit(&self, edit: Edit) -> FileEdit {
        FileEdit { file: self.file, edit }
    }

    /// A fix of this file from its edits.
    pub fn fix(&self, edits: Vec<Edit>) -> Fix {
        let newline = self.project.program().file(self.file).source.newline().as_str();
        let in_lines = |mut edit: Edit| {
            // What was laid out has `\n`; what was copied has the file's own.
            if newline != "\n" {
                edit.text = edit.text.replace("\r\n", "\n").replace('\n', newline);
            }
            self.edit(edit)
        };
        Fix { edits: edits.into_iter().map(in_lines).collect(), ..Fix::default() }
    }

    /// Whether the user lets us take it that this model has no receivers.
    pub fn assumes_no_signals(&self, model: ModelId) -> bool {
        let label = self.model(model).label();
        self.options.assume_no_signals.iter().any(|l| l.eq_ignore_ascii_case(&label))
    }
}

impl Hazard {
    /// A hazard at a known place.
    pub fn at(kind: HazardKind, subject: impl Into<String>, site: Site) -> Hazard {
        Hazard { kind, site: Some(site), subject: subject.into() }
    }
}
