//! What the program puts on the request: `request.event = get_object_or_404(Event, ...)` in a middleware.
//!
//! An attribute is known where the code of the program that assigns it to a request assigns instances of one model, or
//! None; an assignment that is not understood is outweighed by one that is. Each of them is asked without this knowledge,
//! so that the answer depends on no order.

use super::analyzer::Analyzer;
use super::found::Answers;
use super::frame::Frame;
use super::types::{Instance, Root, Type};
use crate::django::{ModelId, Project};
use crate::python::touched::{self, Things};
use crate::python::{ClassId, Expr, Field, Kind, Member, Node, NodeId, arguments, string_value};
use crate::text::FileId;
use std::sync::OnceLock;

/// What a request is, of Django's or REST framework's.
pub(super) const REQUEST: &str = "django.http.HttpRequest";

/// The context that REST framework gives a serializer: it holds the request.
pub(super) const CONTEXT: &str = "rest_framework.serializers.context";

/// Places that assign one attribute and are asked.
const MAX_PLACES: usize = 12;

/// What an attribute of requests is: an instance of the model, and whether it may be None.
type Known = Option<(ModelId, bool)>;

/// What is known of requests, by attribute.
#[derive(Default)]
pub(super) struct Requests {
    /// Every attribute was asked for once.
    are_known: OnceLock<()>,
    answers: Answers<Box<str>, Known>,
    /// Nothing is known, nor asked for.
    are_left_out: bool,
}

impl Requests {
    /// Throw away what was found in `changed`.
    pub fn forget(&self, changed: &Things) {
        self.answers.forget(changed);
    }
}

impl Analyzer<'_> {
    /// What `request.name` is.
    pub(super) fn of_request(&self, name: &str) -> Option<Type> {
        if self.requests.are_left_out {
            return None;
        }
        self.requests.are_known.get_or_init(|| touched::aside(|| self.find_requests()));
        let find = || self.assigned_to_requests(name, |places| self.without_requests().one_model(places));
        let (model, may_be_none) = self.requests.answers.get_or(name.into(), find)?;
        let ty = Type::Instance(Instance::root(model, Root::Opaque));
        Some(if may_be_none { ty.optional() } else { ty })
    }

    /// One analyzer is asked for all attributes, for they have much in common.
    fn find_requests(&self) {
        let plain = self.without_requests();
        for (name, _) in self.assigned_from_outside() {
            let find = || self.assigned_to_requests(name, |places| plain.one_model(places));
            let (found, touched) = touched::record(find);
            self.requests.answers.put(name.into(), found, touched);
        }
    }

    /// An analyzer that knows nothing of requests. The calls of the program are the same for both. To collect them on all threads once
    /// more could hang: a thread that waits for its helpers takes other work, which may wait for what that thread is about.
    fn without_requests(&self) -> Analyzer<'_> {
        let mut plain = Analyzer::new(self.project);
        plain.remembered.requests.are_left_out = true;
        let _ = plain.call_sites.set(self.call_sites().clone());
        plain
    }

    /// What `ask` says of the places that assign the attribute to a request; it is not asked where there is none, or where they
    /// do not tell.
    fn assigned_to_requests(&self, name: &str, ask: impl FnOnce(&[(FileId, NodeId)]) -> Known) -> Known {
        let program = self.project.program();
        let is_of_request = |(file, node): &(FileId, NodeId)| {
            !self.project.is_test_file(*file) && is_of_request(program.file(*file).node(*node))
        };
        let places: Vec<_> = self.places_assigning(name).iter().copied().filter(is_of_request).collect();
        if places.is_empty() || places.len() > MAX_PLACES || self.is_set_on_request(name) {
            return None;
        }
        ask(&places)
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

/// Whether Django or REST framework gives objects of the class a request: views.
fn is_view(project: &Project, class: ClassId) -> bool {
    let bases = &project.program().class(class).external_bases;
    bases.iter().any(|b| b.starts_with("django.views") || b.starts_with("rest_framework"))
}

/// Whether REST framework gives objects of the class a context: serializers and their fields.
pub(super) fn has_context(project: &Project, class: ClassId) -> bool {
    let bases = &project.program().class(class).external_bases;
    ["rest_framework.serializers.", "rest_framework.fields.", "rest_framework.relations."]
        .iter()
        .any(|module| bases.iter().any(|base| base.starts_with(module)))
}

impl<'a> Frame<'a, '_> {
    /// Whether `self.request` is a request in objects of `class`, which has `member` of that name: in a view, in a
    /// part of views alone, or where every method that assigns it assigns one.
    pub(super) fn is_request(&self, class: ClassId, member: Option<&Member>) -> bool {
        let project = self.az.project;
        let program = project.program();
        match member {
            None | Some(Member::Annotation(_)) => {}
            Some(Member::Value(value)) => {
                let is_none = |class: &ClassId| {
                    let info = program.class(*class);
                    matches!(info.members.get("request"), Some(Member::Value(v)) if v == value)
                        && program.file(info.file).node(*value).kind() == Kind::None
                };
                if !program.class(class).mro.iter().any(is_none) {
                    return false;
                }
            }
            Some(_) => return false,
        }
        if is_view(project, class) {
            return true;
        }
        let is_assigned = |class: ClassId| {
            let mut all = self.assigned_on_self(class, "request").peekable();
            all.peek().is_some() && all.all(|value| value.is_some_and(is_request_value))
        };
        if self.is_assigned_on_self(class, "request") {
            return is_assigned(class);
        }
        // What views have in common is used with them.
        let info = program.class(class);
        let is_part =
            info.external_bases.iter().all(|base| base.starts_with("builtins.")) && !info.has_unknown_base;
        is_part
            && program
                .descendants(class)
                .into_iter()
                .filter(|below| *below != class)
                .take(MAX_PLACES)
                .any(|below| is_view(project, below) || is_assigned(below))
    }

    /// `context["request"]`, `context["object_list"]` and `context["object"]`, of a context that the frame got from
    /// `get_context_data()`.
    pub(super) fn of_context(&mut self, context: Node<'a>, index: Node<'a>) -> Option<Type> {
        let key = string_value(index)?;
        if !matches!(key.as_str(), "object" | "object_list") {
            return None;
        }
        let class = self.class?;
        let Expr::Name(name) = Expr::of(context) else { return None };
        let is_given = |n: Node<'a>| {
            n.kind() == Kind::Assign
                && matches!(n.child(Field::Left).map(Expr::of), Some(Expr::Name(target)) if target == name)
                && matches!(n.child(Field::Right).map(Expr::of), Some(Expr::Call { func, .. })
                    if matches!(Expr::of(func), Expr::Attribute { attr: "get_context_data", .. }))
        };
        let is_put = |n: Node<'a>| {
            n.kind() == Kind::Subscript
                && n.is_binding()
                && matches!(Expr::of(n), Expr::Subscript { index, .. }
                    if string_value(index).as_deref() == Some(key.as_str()))
        };
        if !self.scope.descendants().any(is_given) || self.scope.descendants().any(is_put) {
            return None;
        }
        match key.as_str() {
            "object" => self.framework_attribute(class, "object", context),
            _ => self.rows_of_list_view(class, context),
        }
    }
}

/// Whether a value is a request by the name that everybody gives it: the parameter, what it is taken out of, or that of
/// another object.
fn is_request_value(value: Node<'_>) -> bool {
    match Expr::of(value) {
        Expr::Name(name) => name == "request",
        Expr::Attribute { attr, .. } => attr == "request",
        Expr::Subscript { index, .. } => string_value(index).as_deref() == Some("request"),
        Expr::Call { func, arguments: list } => {
            matches!(Expr::of(func), Expr::Attribute { attr: "pop" | "get", .. })
                && arguments(list)
                    .first()
                    .is_some_and(|key| string_value(key.value).as_deref() == Some("request"))
        }
        Expr::None => true,
        _ => false,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Source;
    use std::sync::Arc;

    #[test]
    fn calls_are_collected_once_for_both_analyzers() {
        let text = "def middleware(request):\n    request.book = load()\n".to_owned();
        let project = Project::build(vec![Source::new("shop/middleware.py", text.into_bytes())]);
        let analyzer = Analyzer::new(&project);
        analyzer.prepare();
        let plain = analyzer.without_requests();
        assert!(plain.call_sites.get().is_some_and(|known| Arc::ptr_eq(known, analyzer.call_sites())));
        assert_eq!(plain.call_sites().of("load").len(), 1);
    }
}
