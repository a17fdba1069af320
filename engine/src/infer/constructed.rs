//! What objects of a class keep on `self`, by what everybody who makes one gives to its `__init__()`.

use super::analyzer::Analyzer;
use super::attributes::is_bound_again;
use super::passed::Given;
use super::types::Name;
use crate::django::ModelId;
use crate::python::{ClassId, Expr, Field, FunctionId, Kind, Node, ParameterKind, parameters};
use rustc_hash::FxHashMap;

impl Analyzer<'_> {
    /// The models of the rows that the object of a method keeps under names of its parameters: `self.book` of a class whose
    /// every call is given a book. By the text that reads them; callers of callers are asked `depth` times over.
    pub(super) fn constructed_with(&self, function: FunctionId, depth: usize) -> FxHashMap<Name, ModelId> {
        self.find_constructed(function, depth).unwrap_or_default()
    }

    fn find_constructed(&self, function: FunctionId, depth: usize) -> Option<FxHashMap<Name, ModelId>> {
        let program = self.project.program();
        let info = program.function(function);
        let class = info.class?;
        let def = program.file(info.file).node(info.node);
        let receiver = parameters(def).first()?.name;
        let init = self.constructor(class).filter(|init| *init != function)?;
        let of_init = program.function(init);
        let init_def = program.file(of_init.file).node(of_init.node);
        let params = parameters(init_def);
        let mut names = Vec::new();
        let mut indexes = Vec::new();
        for (index, parameter) in params.iter().enumerate().skip(1) {
            let is_plain = parameter.annotation.is_none()
                && matches!(parameter.kind, ParameterKind::PositionalOrKeyword | ParameterKind::KeywordOnly)
                && !is_bound_again(init_def, parameter.name);
            if !is_plain {
                continue;
            }
            let Some(attr) = kept_as(init_def, parameter.name) else { continue };
            let is_followed = def.descendants().any(|n| {
                n.field() == Field::Object
                    && matches!(Expr::of(n), Expr::Attribute { value, attr: read, .. }
                        if read == attr && matches!(Expr::of(value), Expr::Name(name) if name == receiver))
            });
            // Nobody else assigns it.
            if is_followed
                && self.assigned_to(class, attr).len() == 1
                && program.member(class, attr).is_none()
            {
                names.push(attr);
                indexes.push(index);
            }
        }
        if indexes.is_empty() || !self.is_made_by_calls_alone(class) {
            return None;
        }
        let given = self.passed(init, &indexes, depth)?;
        let known = names.into_iter().zip(given).filter_map(|(attr, given)| match given {
            Some(Given::Instance(model)) => Some((Name::from(format!("{receiver}.{attr}")), model)),
            _ => None,
        });
        Some(known.collect())
    }

    /// The class's own `__init__()`.
    pub(super) fn constructor(&self, class: ClassId) -> Option<FunctionId> {
        self.project.program().constructor(class)
    }

    /// Whether nothing but the calls of a class that can be seen makes objects of it.
    fn is_made_by_calls_alone(&self, class: ClassId) -> bool {
        let program = self.project.program();
        let info = program.class(class);
        !self.project.is_known_file(info.file)
            && !info.has_unknown_base
            && info.decorators.is_empty()
            && info.external_bases.iter().all(|b| b == "builtins.object")
            && info.mro.len() == 1
            && program.descendants(class).iter().all(|c| *c == class)
            && !info.members.contains_key("__new__")
            && !self.is_mentioned(&info.name)
    }
}

/// The attribute that `__init__()` gives the parameter to, in a statement that always runs.
fn kept_as<'a>(init: Node<'a>, parameter: &str) -> Option<&'a str> {
    let receiver = parameters(init).first()?.name;
    init.child(Field::Body)?.children().find_map(|statement| {
        let assignment = statement.children().find(|n| n.kind() == Kind::Assign)?;
        let value = assignment.child(Field::Right)?;
        let Expr::Attribute { value: owner, attr, .. } = Expr::of(assignment.child(Field::Left)?) else {
            return None;
        };
        let is_kept = matches!(Expr::of(value), Expr::Name(name) if name == parameter)
            && matches!(Expr::of(owner), Expr::Name(name) if name == receiver);
        is_kept.then_some(attr)
    })
}
