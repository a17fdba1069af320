//! Where a field gets its value.

use crate::django::RelationKind;
use crate::infer::frame::Frame;
use crate::infer::types::Type;
use crate::python::{Binding, Field, FunctionId, Kind, Member, Node, ParameterKind, parameters};

impl<'a> Frame<'a, '_> {
    /// Follow attributes as `rest_framework.fields.get_attribute()` does: a method without arguments is called.
    pub(super) fn walk(&mut self, from: &Type, steps: &[&str], node: Node<'a>) -> Type {
        steps.iter().fold(from.clone(), |at, step| self.step(&at, step, node))
    }

    pub(super) fn step(&mut self, owner: &Type, name: &str, node: Node<'a>) -> Type {
        self.forget_site();
        match owner.without_none() {
            Type::Manager(_) | Type::QuerySet(_) => {
                let plain = ["all", "first", "last", "count", "exists", "distinct", "none"];
                if !plain.contains(&name) {
                    return Type::Unknown;
                }
                self.method_call(&owner.without_none().clone(), name, &[], node, node)
            }
            Type::Instance(_) | Type::Object(_) => {
                let owner = owner.without_none().clone();
                match self.attribute(&owner, name, node) {
                    Type::Bound(receiver, method) => {
                        let class = match &*receiver {
                            Type::Instance(i) => self.az.project.model(i.model).class,
                            Type::Object(class) => *class,
                            _ => return Type::Unknown,
                        };
                        match self.az.project.program().member(class, &method) {
                            Some((_, Member::Function(function, binding)))
                                if self.is_simple_callable(*function, *binding) =>
                            {
                                self.method_call(&receiver, &method, &[], node, node)
                            }
                            _ => Type::Unknown,
                        }
                    }
                    other => other,
                }
            }
            _ => Type::Unknown,
        }
    }

    /// Whether a method calls that of its base, and whether it certainly does: in its first statement.
    pub(super) fn asks_super(&self, function: FunctionId, name: &str) -> Option<bool> {
        let program = self.az.project.program();
        let info = program.function(function);
        let body = program.file(info.file).node(info.node).child(Field::Body)?;
        let calls = |node: Node<'_>| node.descendants().any(|n| super::calls_super(n, name));
        let is_simple = |n: &Node<'_>| matches!(n.kind(), Kind::ExprStatement | Kind::Return);
        calls(body).then(|| body.children().next().filter(is_simple).is_some_and(calls))
    }

    fn is_simple_callable(&self, function: FunctionId, binding: Binding) -> bool {
        let program = self.az.project.program();
        let info = program.function(function);
        let skip = usize::from(binding != Binding::StaticMethod);
        parameters(program.file(info.file).node(info.node)).iter().skip(skip).all(|p| {
            p.default.is_some() || matches!(p.kind, ParameterKind::VarPositional | ParameterKind::VarKeyword)
        })
    }

    /// What `serializable_value()` reads: the column of a foreign key, or whatever else has that name.
    pub(super) fn read_key(&mut self, owner: &Type, name: &str, node: Node<'a>) {
        if let Type::Instance(instance) = owner.without_none()
            && let Some(field) = self.az.project.model(instance.model).field(name)
        {
            let name = match field.relation.as_ref().map(|r| r.kind) {
                Some(RelationKind::ForeignKey | RelationKind::OneToOne) => field.attname.clone(),
                _ => name.to_owned(),
            };
            let owner = owner.without_none().clone();
            self.attribute(&owner, &name, node);
            return;
        }
        self.step(owner, name, node);
    }

    /// What is made next at this place is another object.
    pub(super) fn forget_site(&mut self) {
        if let Some(site) = self.foreign {
            self.by_site.remove(&site);
        }
    }
}
