//! The filter sets of django-filter: `qs` is the queryset that they were given, filtered.

use super::calls::Arg;
use super::facts::{EventKind, Use};
use super::frame::Frame;
use super::framework::meta_model;
use super::types::{Name, QuerySet, Rows, Type};
use crate::python::{
    Binding, ClassId, Def, Expr, Field, FunctionId, Kind, Member, Node, ParameterKind, Program, Stmt,
    arguments, is_super, parameters, string_value,
};
use crate::text::Site;
use std::sync::Arc;

/// The name that stands for an object of a filter set: [`Type::Bound`] to what its `qs` gives.
pub(super) const FILTER_SET: &str = "django_filters.FilterSet";

/// Methods of a queryset that leave its rows instances of the same kind.
const NARROWING: &[&str] = &["all", "filter", "exclude", "order_by", "distinct"];

impl<'a> Frame<'a, '_> {
    /// `BookFilter(request.GET, queryset=books)`: the object, where its rows are those of what it is given.
    pub(super) fn filter_set(&mut self, class: ClassId, args: &[Arg<'a>], node: Node<'a>) -> Option<Type> {
        let program = self.az.project.program();
        if !is_filter_set(program, class) || args.iter().any(|a| a.stars == 1) {
            return None;
        }
        let own = program.member(class, "__init__");
        let named = args.iter().position(|a| a.name == Some("queryset"));
        let index = named.or_else(|| args.get(1).filter(|a| a.name.is_none()).map(|_| 1))?;
        let given = match &args.get(index)?.ty {
            Type::QuerySet(qs) => qs.clone(),
            Type::Manager(manager) => {
                let manager = manager.clone();
                let ty = self.manager_queryset(&manager, args.get(index)?.node);
                ty.queryset()?.clone()
            }
            _ => return None,
        };
        if given.rows != Rows::Instances {
            return None;
        }
        if let Some((_, member)) = own {
            let Member::Function(init, Binding::Method) = member else { return None };
            if !hands_on(program, *init, named.is_some()) {
                return None;
            }
            let init = *init;
            let rest: Vec<Arg<'a>> =
                args.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, a)| a.clone()).collect();
            self.call_function(init, Some(Type::Object(class)), &rest, node);
        }
        self.use_queryset(&given, node, Use::Method(Name::from("filter")));
        let Type::QuerySet(filtered) = self.derive(&given, node, |q| q.related = None) else { return None };
        let filtered = self.filtered_by_methods(class, filtered, node)?;
        Some(Type::Bound(Arc::new(Type::QuerySet(filtered)), Name::from(FILTER_SET)))
    }

    /// `self.queryset` and `self.qs` in the methods of a filter set: rows of its model that its maker chose.
    pub(super) fn rows_of_filter_set(&mut self, class: ClassId, name: &str) -> Option<Type> {
        let project = self.az.project;
        let program = project.program();
        let info = program.class(class);
        let model =
            info.external_bases.iter().any(|base| is_filter(base)).then(|| meta_model(project, class))??;
        let is_other = |below: &ClassId| meta_model(project, *below) != Some(model);
        if program.descendants(class).iter().any(is_other)
            || ["queryset", name].iter().any(|name| self.is_assigned_on_self(class, name))
        {
            return None;
        }
        let site = Site { file: info.file, span: program.file(info.file).node(info.node).span() };
        Some(self.handed_in(model, site))
    }

    /// What the methods of the class that filters name do to the queryset, each of them perhaps.
    fn filtered_by_methods(
        &mut self,
        class: ClassId,
        filtered: Arc<QuerySet>,
        node: Node<'a>,
    ) -> Option<Arc<QuerySet>> {
        let mut out = (*filtered).clone();
        for Filtering { function, receiver, is_named } in filtering(self.az.project.program(), class)? {
            let arg = |ty: Type| Arg { name: None, ty, node, stars: 0 };
            let mut args = vec![arg(Type::QuerySet(filtered.clone())), arg(Type::Str), arg(Type::Unknown)];
            if !is_named {
                args.remove(1);
            }
            let receiver = receiver.map(Type::Object);
            let program = self.az.project.program();
            let info = program.function(function);
            // What the method makes is a value of its own.
            let place = program.name_site(info.file, info.node);
            let ty = self.at_site(place, |frame| {
                frame.conditionally(|frame| frame.call_function(function, receiver, &args, node))
            });
            match ty {
                Type::QuerySet(qs) if qs.model == out.model && qs.rows == Rows::Instances => {
                    out.traits.extend(qs.traits.iter().copied());
                    out.deferred.extend(qs.deferred.iter().cloned());
                }
                // Taken for some of the rows; what gave it may do anything.
                Type::Unknown => {
                    let program = self.az.project.program();
                    let name = Name::from(program.function(function).name.as_str());
                    self.event(node, EventKind::UnknownCall { name });
                }
                _ => return None,
            }
        }
        let value = *filtered.values.first()?;
        let out = Arc::new(out);
        self.set_queryset(value, &out);
        Some(out)
    }
}

/// Whether a base is one of the framework's filter sets.
fn is_filter(base: &str) -> bool {
    base.starts_with("django_filters.") && base.rsplit('.').next().is_some_and(|n| n.ends_with("FilterSet"))
}

/// Whether a class of the program is a filter set whose `qs` is the framework's, or some of its rows.
fn is_filter_set(program: &Program, class: ClassId) -> bool {
    let info = program.class(class);
    let is_known = |base: &String| {
        ["django_filters.", "django.", "builtins.", "typing."].iter().any(|p| base.starts_with(p))
    };
    !info.has_unknown_base
        && info.external_bases.iter().any(|base| is_filter(base))
        && info.external_bases.iter().all(is_known)
        && ["qs", "filter_queryset"].iter().all(|name| match program.member(class, name) {
            None => true,
            Some((_, Member::Function(function, _))) => narrows(program, *function, name),
            Some(_) => false,
        })
}

/// Whether an own `__init__` leaves the queryset alone: it hands on what it was given, by name or second.
fn hands_on(program: &Program, init: FunctionId, is_named: bool) -> bool {
    let info = program.function(init);
    let def = program.file(info.file).node(info.node);
    let params = parameters(def);
    let Some(own) = params.first().map(|p| p.name) else { return false };
    let is_second = match params.get(1) {
        Some(first) if first.kind != ParameterKind::VarPositional => params.get(2).is_some_and(|p| {
            p.kind == ParameterKind::VarPositional
                || (p.kind == ParameterKind::PositionalOrKeyword && p.name == "queryset")
        }),
        _ => true,
    };
    if !is_named && !is_second {
        return false;
    }
    let is_changed = def.descendants().any(|n| match Expr::of(n) {
        Expr::Attribute { value, attr: "queryset", .. } => {
            n.kind() == Kind::Attribute
                && n.is_binding()
                && matches!(Expr::of(value), Expr::Name(name) if name == own)
        }
        Expr::Name("queryset") => n.kind() == Kind::Name && n.is_binding() && !is_parameter(def, n),
        Expr::Str(_) => n.kind() == Kind::Str && string_value(n).as_deref() == Some("queryset"),
        _ => false,
    });
    !is_changed && def.descendants().any(|n| n.text() == "super" && n.kind() == Kind::Name)
}

fn is_parameter(def: Node<'_>, name: Node<'_>) -> bool {
    def.child(Field::Parameters).is_some_and(|list| list.contains(name.id()))
}

/// Whether a property or method gives what the one above gives, or some rows of it.
fn narrows(program: &Program, function: FunctionId, name: &str) -> bool {
    let info = program.function(function);
    let def = program.file(info.file).node(info.node);
    let mut from_above: Vec<&str> = Vec::new();
    let gives = |node: Node<'_>, from_above: &[&str]| {
        let mut node = node.peel();
        for _ in 0..50 {
            match Expr::of(node) {
                Expr::Name(name) => return from_above.contains(&name),
                Expr::Attribute { value, attr, .. } if attr == name => return is_super(value),
                Expr::Call { func, .. } => match Expr::of(func) {
                    Expr::Attribute { value, attr, .. } if attr == name => return is_super(value),
                    Expr::Attribute { value, attr, .. } if NARROWING.contains(&attr) => node = value.peel(),
                    _ => return false,
                },
                _ => return false,
            }
        }
        false
    };
    let mut returns = 0usize;
    for node in def.descendants() {
        match Stmt::of(node) {
            Stmt::Assign { targets, value: Some(value), .. } => {
                for target in targets {
                    let Expr::Name(target) = Expr::of(target) else { continue };
                    if gives(value, &from_above) {
                        from_above.push(target);
                    } else if from_above.contains(&target) {
                        return false;
                    }
                }
            }
            Stmt::AugAssign { .. } => return false,
            Stmt::Return(value) => {
                returns += 1;
                if !value.is_some_and(|value| gives(value, &from_above)) {
                    return false;
                }
            }
            _ => {}
        }
    }
    returns > 0
}

/// What a filter of a filter set calls with the queryset.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Filtering {
    function: FunctionId,
    /// Whose method it is: the filter set's, a filter's, or a plain function.
    receiver: Option<ClassId>,
    /// Whether it is given the name of the filter before the value.
    is_named: bool,
}

/// What the filters of the class call: the methods and functions that they name (`method=...`), and the `filter()` of
/// filters that the program defines. Nothing where one of them is not known.
fn filtering(program: &Program, class: ClassId) -> Option<Vec<Filtering>> {
    let mut out = Vec::new();
    for above in &program.class(class).mro {
        let info = program.class(*above);
        for member in info.members.values() {
            let Member::Value(value) = member else { continue };
            let Expr::Call { func, arguments: list } = Expr::of(program.file(info.file).node(*value)) else {
                continue;
            };
            let mut found = Vec::new();
            if let Some(Def::Class(filter)) = program.resolve_expr(info.file, func.peel().id())
                && let Some((_, member)) = program.member(filter, "filter")
            {
                let Member::Function(function, Binding::Method) = member else { return None };
                found.push(Filtering { function: *function, receiver: Some(filter), is_named: false });
            }
            for argument in arguments(list).iter().filter(|a| a.name == Some("method")) {
                found.push(match string_value(argument.value) {
                    Some(name) => {
                        let (_, Member::Function(function, Binding::Method)) =
                            program.member(class, &name)?
                        else {
                            return None;
                        };
                        Filtering { function: *function, receiver: Some(class), is_named: true }
                    }
                    None => match program.resolve_expr(info.file, argument.value.peel().id())? {
                        Def::Function(function) => Filtering { function, receiver: None, is_named: true },
                        _ => return None,
                    },
                });
            }
            for filtering in found {
                if !out.contains(&filtering) {
                    out.push(filtering);
                }
            }
        }
    }
    (out.len() <= 30).then_some(out)
}
