//! Functions that make an instance and give it back unsaved: every call gives another one, whose row is not there yet.

use super::flow;
use super::writes::one_line;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{FieldKind, Model, ModelId};
use crate::infer::{Escape, EventKind, Facts, Made, Origin, Root, Type, ValueId};
use crate::python::{
    Argument, Binding, Def, Expr, Field, FunctionId, Kind, Member, Node, Stmt, arguments, parameters,
};
use crate::text::{FileId, Site};
use std::sync::Arc;

/// Such a function, as a call reaches it.
#[derive(Clone, Debug)]
pub struct Maker<'a> {
    /// The model of the instances.
    pub model: ModelId,
    /// The calls of the model's class in it.
    pub constructors: Vec<Node<'a>>,
    function: FunctionId,
    file: FileId,
    def: Node<'a>,
    values: Vec<ValueId>,
    facts: Arc<Facts>,
}

/// The function that `call` reaches, if it is certain, and if all that it can give back is an instance that it makes.
pub fn maker<'a>(cx: &Context<'a>, call: Node<'a>) -> Option<Maker<'a>> {
    let function = called(cx, call)?;
    let program = cx.project.program();
    let info = program.function(function);
    let is_plain = |d: &Option<Def>| matches!(d, Some(Def::External(path)) if matches!(path.as_str(), "builtins.staticmethod" | "builtins.classmethod"));
    if info.is_async || info.is_generator || !info.decorators.iter().all(is_plain) {
        return None;
    }
    let def = program.file(info.file).node(info.node);
    let body = def.child(Field::Body)?;
    body.children().filter(|n| n.kind() != Kind::Comment).last().filter(|last| flow::leaves(*last))?;
    let facts = cx.analyzer.caller(info.file, Some(function));
    let mut out = Maker {
        model: ModelId(0),
        constructors: Vec::new(),
        function,
        file: info.file,
        def,
        values: Vec::new(),
        facts: facts.clone(),
    };
    for node in body.descendants().filter(|n| n.enclosing_scope() == Some(def)) {
        let value = match Stmt::of(node) {
            Stmt::Return(value) if node.kind() == Kind::Return => value?,
            _ => continue,
        };
        let Type::Instance(instance) = facts.type_of(value) else { return None };
        let Root::Value(id) = instance.root else { return None };
        let made = facts.value(id)?;
        let (Made::Constructed, Origin::Expr(origin), true) =
            (made.made, made.origin, instance.path.is_empty())
        else {
            return None;
        };
        let constructor = program.file(info.file).node(origin).peel();
        let Expr::Call { func, .. } = Expr::of(constructor) else { return None };
        let Type::ModelClass(model) = facts.type_of(func) else { return None };
        let is_other = out.constructors.first().is_some_and(|_| out.model != *model);
        // In a loop of its own it may give one of several.
        if is_other || !def.contains(constructor.id()) || crate::python::innermost_loop(constructor).is_some()
        {
            return None;
        }
        out.model = *model;
        if !out.values.contains(&id) {
            out.values.push(id);
            out.constructors.push(constructor);
        }
    }
    // What it saves itself is another matter.
    let is_used = facts.events().any(|e| {
        matches!(&e.kind, EventKind::InstanceMethod { root, path, name }
            if out.is_it(*root) && path.is_empty() && !matches!(&**name, "full_clean" | "clean" | "clean_fields"))
    });
    (!out.constructors.is_empty() && !is_used).then_some(out)
}

/// The function of the program that `call` certainly calls.
fn called<'a>(cx: &Context<'a>, call: Node<'a>) -> Option<FunctionId> {
    let Expr::Call { func, .. } = Expr::of(call) else { return None };
    if let Type::Def(Def::Function(function)) = cx.type_of(func)
        && cx.project.program().function(*function).class.is_none()
    {
        return Some(*function);
    }
    let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return None };
    let class = match cx.type_of(value) {
        Type::Object(class) | Type::Def(Def::Class(class)) => *class,
        Type::Instance(instance) => cx.model(instance.model).class,
        Type::ModelClass(model) => cx.model(*model).class,
        _ => return None,
    };
    let program = cx.project.program();
    let (_, Member::Function(function, binding)) = program.member(class, attr)? else { return None };
    let is_method = matches!(binding, Binding::Method | Binding::ClassMethod | Binding::StaticMethod);
    let is_overridden = program
        .descendants(class)
        .iter()
        .any(|c| *c != class && program.class(*c).members.contains_key(attr));
    (is_method && !is_overridden).then_some(*function)
}

impl<'a> Maker<'a> {
    fn is_it(&self, root: Root) -> bool {
        matches!(root, Root::Value(id) if self.values.contains(&id)) || root == Root::Opaque
    }

    fn hazard(&self, kind: HazardKind, subject: impl Into<String>, at: Node<'a>) -> Hazard {
        Hazard::at(kind, subject, Site { file: self.file, span: at.span() })
    }

    /// The functions that run in the place of the model's class are called through a class that is not fixed.
    pub fn is_open(&self) -> bool {
        self.constructors.iter().any(|c| match Expr::of(*c) {
            Expr::Call { func, .. } => !matches!(Expr::of(func), Expr::Name(n) if n != "cls" && n != "self"),
            _ => true,
        })
    }

    /// The names that the instances get values by.
    pub fn names(&self) -> Vec<&'a str> {
        self.given().into_iter().filter_map(|(name, _)| name).collect()
    }

    /// What the instances are made of: keyword arguments, and what is assigned to attributes. Without a name it may be any
    /// column.
    fn given(&self) -> Vec<(Option<&'a str>, Node<'a>)> {
        let mut out = Vec::new();
        for constructor in &self.constructors {
            if let Expr::Call { arguments: list, .. } = Expr::of(*constructor) {
                out.extend(arguments(list).iter().map(|a: &Argument<'a>| (a.name, a.value)));
            }
        }
        for node in self.def.descendants().filter(|n| n.kind() == Kind::Assign) {
            if let (Some(left), Some(right)) = (node.child(Field::Left), node.child(Field::Right))
                && let Expr::Attribute { value, attr, .. } = Expr::of(left)
                && matches!(self.facts.type_of(value), Type::Instance(i) if self.is_it(i.root))
            {
                out.push((Some(attr), right));
            }
        }
        out
    }

    /// What stands against storing the rows of all instances at once.
    pub fn hazards(&self, cx: &Context<'a>, out: &mut Vec<Hazard>) {
        let model = cx.model(self.model);
        let name = &cx.project.program().function(self.function).name;
        for event in self.facts.events() {
            match &event.kind {
                EventKind::InstanceEscapes { root, path, how }
                    if self.is_it(*root) && path.is_empty() && *how != Escape::Return =>
                {
                    out.push(Hazard::at(HazardKind::InstanceUsedAfterwards, name.as_str(), event.site));
                }
                EventKind::WriteAttribute { root, path, name }
                    if self.is_it(*root) && path.is_empty() && (is_key(model, name) || &**name == "*") =>
                {
                    let subject = &cx.project.program().function(self.function).name;
                    out.push(Hazard::at(HazardKind::ExistingRow, subject.as_str(), event.site));
                }
                _ => {}
            }
        }
        for (column, value) in self.given() {
            // Positions and dictionaries may hold the key.
            if column.is_none_or(|c| is_key(model, c)) {
                out.push(self.hazard(HazardKind::ExistingRow, one_line(value.text()), value));
            }
            let field = column.and_then(|c| model.field(c).or_else(|| model.field_by_attname(c)));
            if field.is_none_or(|f| may_be_mutable(f.kind)) {
                self.shared(value, out);
            }
        }
        // Each insert asks a subquery anew.
        let subquery = self.def.descendants().filter(|n| n.kind() == Kind::Call).find(|n| {
            matches!(Expr::of(*n), Expr::Call { func, .. }
                if func.text().ends_with("Subquery") || func.text().rsplit('.').next() == Some("Exists"))
        });
        if let Some(subquery) = subquery {
            out.push(self.hazard(HazardKind::ReadsItsOwnWrites, one_line(subquery.text()), subquery));
        }
        let settings = cx.project.settings();
        if settings.database_aliases > 1 && model.fields.iter().any(|f| f.relation.is_some()) {
            out.push(self.hazard(HazardKind::OtherDatabase, name.as_str(), self.def));
        }
    }

    /// A value that may change once the row was made: an object that outlives the call.
    fn shared(&self, value: Node<'a>, out: &mut Vec<Hazard>) {
        let params = parameters(self.def);
        for used in value.descendants().filter(|n| n.kind() == Kind::Name) {
            let parent = used.with_parens().parent();
            let is_label = parent.is_some_and(|p| match p.kind() {
                Kind::Attribute => used.field() == Field::Attribute,
                Kind::KeywordArgument => used.field() == Field::Name,
                Kind::Call => used.field() == Field::Function,
                _ => false,
            });
            if is_label {
                continue;
            }
            let is_fresh = params.iter().any(|p| {
                p.name == used.text()
                    && !matches!(p.name, "self" | "cls")
                    && p.default
                        .is_none_or(|d| matches!(Expr::of(d), Expr::None | Expr::Str(_) | Expr::Int(_)))
            });
            let is_plain = matches!(
                self.facts.type_of(used),
                Type::Int | Type::Str | Type::Float | Type::Bool | Type::None
            );
            if !is_fresh && !is_plain {
                out.push(self.hazard(HazardKind::SharedValue, used.text(), used));
            }
        }
    }
}

fn is_key(model: &Model, name: &str) -> bool {
    name == "pk" || model.primary_key().is_some_and(|k| k.name == name || k.attname == name)
}

/// Whether a column's value in memory may be changed in place.
pub fn may_be_mutable(kind: FieldKind) -> bool {
    matches!(
        kind,
        FieldKind::Json | FieldKind::Postgres | FieldKind::Other | FieldKind::Binary | FieldKind::File
    )
}
