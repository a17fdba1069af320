//! Forms that let choose among rows: each option is named by `label_from_instance()`, which is `str()` unless the
//! field's class says otherwise (django/forms/models.py, ModelChoiceIterator).

#[cfg(test)]
mod tests;

use super::{Entry, EntryKind, Source};
use crate::django::unknown_base;
use crate::infer::analyzer::Analyzer;
use crate::infer::calls::Arg;
use crate::infer::types::{Rows, Type};
use crate::python::{ClassId, Def, Expr, Kind, Member, Node, NodeId, arguments, canonical, string_value};
use crate::text::{FileId, Site};
use std::sync::Arc;

const FIELDS: &[&str] = &["django.forms.ModelChoiceField", "django.forms.ModelMultipleChoiceField"];
const FORMS: &[&str] = &["django.forms.Form", "django.forms.ModelForm", "django.forms.BaseForm"];

/// Widgets that show every option.
const WIDGETS: &[&str] = &["Select", "SelectMultiple", "RadioSelect", "CheckboxSelectMultiple"];

/// Attributes of a field that change what is shown.
const CHANGES: &[&str] = &["widget", "choices", "label_from_instance", "iterator", "queryset"];

/// What a form does with one of its fields in code.
#[derive(Default)]
struct Changes {
    /// The values of `self.fields[name].queryset = value`.
    querysets: Vec<(FileId, NodeId)>,
    /// Something else that is not followed.
    is_changed: bool,
}

/// The entries of forms.
pub(super) fn collect(analyzer: &Analyzer<'_>, out: &mut Vec<Entry>) {
    let program = analyzer.project.program();
    for class in program.class_ids() {
        let info = program.class(class);
        if analyzer.project.is_known_file(info.file) || !FORMS.iter().any(|f| program.inherits(class, f)) {
            continue;
        }
        for name in &info.order {
            if let Some(Member::Value(value)) = info.members.get(name) {
                out.extend(field(analyzer, class, name, (info.file, *value)));
            }
        }
    }
}

/// The options of the field `name`, which the call at `made` makes.
fn field(analyzer: &Analyzer<'_>, class: ClassId, name: &str, made: (FileId, NodeId)) -> Option<Entry> {
    let program = analyzer.project.program();
    let (file, made) = made;
    let made = program.file(file).node(made);
    let Expr::Call { func, arguments: list } = Expr::of(made) else { return None };
    let of_program = match program.resolve_expr(file, func.peel().id())? {
        Def::External(path) if FIELDS.contains(&&*canonical(&path)) => None,
        Def::Class(field) => {
            let info = program.class(field);
            let is_choice = FIELDS.iter().any(|f| program.inherits(field, f));
            let is_known = !info.has_unknown_base && info.external_bases.iter().all(|b| is_of_django(b));
            let changed = ["widget", "iterator", "choices", "_get_choices", "__init__", "get_queryset"];
            let is_plain = !changed.iter().any(|n| program.member(field, n).is_some());
            (is_choice && is_known && is_plain).then_some(Some(field))?
        }
        _ => return None,
    };
    let list = arguments(list);
    if list.iter().any(|a| a.stars > 0) {
        return None;
    }
    let keyword = |name: &str| list.iter().find(|a| a.name == Some(name)).map(|a| a.value);
    if keyword("widget").is_some_and(|w| !shows_options(analyzer, file, w)) {
        return None;
    }
    let first = list.first().filter(|a| a.name.is_none()).map(|a| a.value);
    let queryset = keyword("queryset").or(first)?;
    let changes = changes(analyzer, class, name);
    if changes.is_changed {
        return None;
    }
    let (file, value) = match changes.querysets.as_slice() {
        [] => (file, queryset.peel().id()),
        [only] => *only,
        _ => return None,
    };
    let place = Site { file: program.class(class).file, span: made.span() };
    let (rows, facts) = analyzer.on_behalf(class, |frame, node| {
        let summary = frame.az.outside(file, value, frame.stack);
        let ty = match frame.imported(&summary, file, value, node) {
            // A manager gives all of its rows.
            Type::Manager(manager) => frame.manager_queryset(&manager, node),
            other => other,
        };
        let qs = ty.queryset()?.clone();
        let [rows] = qs.values.as_slice() else { return None };
        if qs.rows != Rows::Instances {
            return None;
        }
        let row = frame.iterate(&ty, node);
        frame.each(&ty, |frame| {
            frame.at_site(place, |frame| {
                let label =
                    of_program.and_then(|c| frame.az.project.program().member(c, "label_from_instance"));
                match (of_program, label) {
                    (Some(field), Some((_, Member::Function(function, binding)))) => {
                        let given = Arg { name: None, ty: row.clone(), node, stars: 0 };
                        let (object, class) = (Type::Object(field), Type::Def(Def::Class(field)));
                        let label = frame.call_bound(*function, *binding, class, &object, &[given], node);
                        frame.stringify(&label, node);
                    }
                    _ => frame.stringify(&row, node),
                }
            });
        });
        Some(*rows)
    })?;
    let source = Source::Expression(file, value);
    // The choice that is made is asked for alone.
    Some(Entry {
        kind: EntryKind::Choices,
        class,
        source,
        rows,
        facts: Arc::new(facts),
        single_objects: Some(place),
        unknown_base: unknown_base(program, class),
    })
}

fn is_of_django(base: &str) -> bool {
    base.starts_with("django.") || base.starts_with("builtins.")
}

/// Whether a widget, or its class, is one of Django's that show every option.
fn shows_options(analyzer: &Analyzer<'_>, file: FileId, widget: Node<'_>) -> bool {
    let class = match Expr::of(widget) {
        Expr::Call { func, .. } => func,
        _ => widget,
    };
    matches!(analyzer.project.program().resolve_expr(file, class.peel().id()),
        Some(Def::External(path)) if path.starts_with("django.forms.")
            && path.rsplit('.').next().is_some_and(|name| WIDGETS.contains(&name)))
}

/// What the code of a form, and of the forms below it, does with its field `name`.
fn changes(analyzer: &Analyzer<'_>, class: ClassId, name: &str) -> Changes {
    let program = analyzer.project.program();
    let mut classes = program.class(class).mro.clone();
    classes.extend(program.descendants(class));
    classes.sort();
    classes.dedup();
    let mut out = Changes::default();
    for class in classes {
        let info = program.class(class);
        let body = program.file(info.file).node(info.node);
        for node in body.descendants().filter(|n| n.kind() == Kind::Str) {
            if string_value(node).as_deref() != Some(name) {
                continue;
            }
            let Some(subscript) = node.parent().filter(|p| p.kind() == Kind::Subscript) else {
                // `self.fields.pop("author")`
                out.is_changed |= node.ancestors().take(2).any(|a| {
                    matches!(Expr::of(a), Expr::Call { func, .. } if a.kind() == Kind::Call
                        && (func.text().ends_with("fields.pop") || func.text().ends_with("setattr")))
                });
                continue;
            };
            let Expr::Subscript { value: fields, .. } = Expr::of(subscript) else { continue };
            if !fields.text().ends_with("fields") {
                continue;
            }
            let parent = subscript.parent();
            match parent.map(|p| (p.kind(), Expr::of(p))) {
                Some((Kind::Attribute, Expr::Attribute { attr, .. })) if CHANGES.contains(&attr) => {
                    let assignment = parent.and_then(Node::parent).filter(|p| p.kind() == Kind::Assign);
                    let target = assignment.and_then(|a| a.child(crate::python::Field::Left));
                    let value = assignment.and_then(|a| a.child(crate::python::Field::Right));
                    match (attr, target == parent, value) {
                        ("queryset", true, Some(value)) => out.querysets.push((info.file, value.peel().id())),
                        // What it is made of before: `fields["x"].queryset.filter()`.
                        _ => out.is_changed = true,
                    }
                }
                Some((Kind::Attribute, _)) => {}
                // `self.fields["author"] = ...`, `del`, handed on, kept in a variable.
                _ => out.is_changed = true,
            }
        }
    }
    out.querysets.sort();
    out.querysets.dedup();
    out
}
