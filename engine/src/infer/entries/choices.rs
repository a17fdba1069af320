//! Forms that let choose among rows: each option is named by `label_from_instance()`, which is `str()` unless the
//! field's class says otherwise (django/forms/models.py, ModelChoiceIterator).

#[cfg(test)]
mod tests;

use super::named::{keeps, origins};
use super::{Entry, EntryKind, SingleObjects, Source};
use crate::infer::analyzer::Analyzer;
use crate::infer::calls::Arg;
use crate::infer::facts::Origin;
use crate::infer::framework::meta_model;
use crate::infer::types::{QuerySet, Rows, Type, ValueId};
use crate::python::{
    ClassId, Def, Expr, Field, Kind, Member, Node, NodeId, arguments, canonical, string_value,
};
use crate::text::{FileId, Site};
use std::sync::Arc;

const FIELDS: &[&str] = &[
    "django.forms.ModelChoiceField",
    "django.forms.ModelMultipleChoiceField",
    "django_filters.ModelChoiceFilter",
    "django_filters.ModelMultipleChoiceFilter",
    "django_filters.filters.ModelChoiceFilter",
    "django_filters.filters.ModelMultipleChoiceFilter",
];
const FILTER_SETS: &[&str] = &["django_filters.FilterSet", "django_filters.filterset.FilterSet"];
const ADMINS: &[&str] = &[
    "django.contrib.admin.ModelAdmin",
    "django.contrib.admin.TabularInline",
    "django.contrib.admin.StackedInline",
];
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
        if !analyzer.project.is_known_file(program.class(class).file) {
            out.extend(analyzer.entries_of(("choices", class.0, 0), || choices(analyzer, class)));
        }
    }
}

fn choices(analyzer: &Analyzer<'_>, class: ClassId) -> Vec<Entry> {
    let program = analyzer.project.program();
    let info = program.class(class);
    let mut out = Vec::new();
    let is_form = FORMS.iter().any(|f| program.inherits(class, f));
    if is_form || FILTER_SETS.iter().any(|f| program.inherits(class, f)) {
        for name in &info.order {
            if let Some(Member::Value(value)) = info.members.get(name) {
                out.extend(field(analyzer, class, name, (info.file, *value)));
            }
        }
    }
    if program.inherits(class, "django.forms.ModelForm") {
        of_model(analyzer, class, &mut out);
    }
    if ADMINS.iter().any(|f| program.inherits(class, f)) {
        of_admin(analyzer, class, &mut out);
    }
    out
}

/// Fields that a form has for keys of its model, where its code says which rows they offer.
fn of_model(analyzer: &Analyzer<'_>, class: ClassId, out: &mut Vec<Entry>) {
    let program = analyzer.project.program();
    let info = program.class(class);
    let Some(model) = meta_model(analyzer.project, class) else { return };
    let body = program.file(info.file).node(info.node);
    // `Meta` says of some fields what they are made of.
    let Some((_, Member::Class(meta))) = program.member(class, "Meta") else { return };
    let meta = *meta;
    let is_changed = |name: &str| {
        let options = ["widgets", "field_classes"].iter().filter_map(|option| program.member(meta, option));
        options.into_iter().any(|(owner, option)| match option {
            Member::Value(value) => {
                let names = program.file(program.class(owner).file).node(*value).descendants();
                names.filter(|n| n.kind() == Kind::Str).any(|n| string_value(n).as_deref() == Some(name))
            }
            _ => true,
        })
    };
    let mut seen: Vec<String> = Vec::new();
    for key in body.descendants().filter(|n| n.kind() == Kind::Str && is_field(*n)) {
        let Some(name) = string_value(key).map(|name| name.to_string()) else { continue };
        let field = analyzer.project.model(model).field(&name);
        let is_key = field.is_some_and(|f| f.relation.is_some());
        if !is_key || seen.contains(&name) || program.member(class, &name).is_some() || is_changed(&name) {
            continue;
        }
        let changes = changes(analyzer, class, &name);
        if let ([only], false) = (changes.querysets.as_slice(), changes.is_changed) {
            let place = Site { file: info.file, span: key.span() };
            out.extend(options(analyzer, class, None, *only, place));
        }
        seen.push(name);
    }
}

/// `self.fields["author"]`
fn is_field(key: Node<'_>) -> bool {
    let subscript = key.parent().filter(|p| p.kind() == Kind::Subscript);
    matches!(subscript.map(Expr::of), Some(Expr::Subscript { value, .. }) if value.text().ends_with(".fields"))
}

/// `kwargs["queryset"] = ...` in the method of a ModelAdmin that makes the fields of its forms.
fn of_admin(analyzer: &Analyzer<'_>, class: ClassId, out: &mut Vec<Entry>) {
    let program = analyzer.project.program();
    let other = ["raw_id_fields", "autocomplete_fields", "readonly_fields", "radio_fields"];
    if other.iter().any(|name| program.member(class, name).is_some()) {
        return;
    }
    for name in ["formfield_for_foreignkey", "formfield_for_manytomany"] {
        let Some(Member::Function(function, _)) = program.class(class).members.get(name) else { continue };
        let info = program.function(*function);
        let def = program.file(info.file).node(info.node);
        if ["widget", "form_class", "raw_id"].iter().any(|word| def.text().contains(word)) {
            continue;
        }
        for assignment in def.descendants().filter(|n| n.kind() == Kind::Assign) {
            let (Some(target), Some(value)) = (assignment.child(Field::Left), assignment.child(Field::Right))
            else {
                continue;
            };
            let is_queryset = target.kind() == Kind::Subscript
                && target.descendants().any(|n| string_value(n).as_deref() == Some("queryset"));
            if is_queryset {
                let place = Site { file: info.file, span: target.span() };
                out.extend(options(analyzer, class, None, (info.file, value.peel().id()), place));
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
    options(analyzer, class, of_program, (file, value), place)
}

/// The rows that a queryset offers as options of a field of `class`; `of_program` is the field's class.
fn options(
    analyzer: &Analyzer<'_>,
    class: ClassId,
    of_program: Option<ClassId>,
    value: (FileId, NodeId),
    place: Site,
) -> Option<Entry> {
    let (file, value, given) = begin(analyzer, value)?;
    let (rows, facts) = analyzer.on_behalf(class, |frame, node| {
        let summary = frame.az.outside(file, value, frame.stack);
        let ty = match frame.imported(&summary, file, value, node) {
            // A manager gives all of its rows.
            Type::Manager(manager) => frame.manager_queryset(&manager, node),
            other => other,
        };
        let mut qs = ty.queryset()?.clone();
        if let Some(given) = given {
            // What is loaded on the way is loaded.
            let values = qs.values.clone();
            qs = Arc::new(QuerySet { values, related: None, ..(*given).clone() });
        }
        let [rows] = qs.values.as_slice() else { return None };
        frame.set_queryset(*rows, &qs);
        let ty = Type::QuerySet(qs.clone());
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
    let entry = Entry::of_class(analyzer, EntryKind::Choices, class, (source, rows), Arc::new(facts));
    Some(Entry { single_objects: Some(SingleObjects::at(place)), ..entry })
}

/// Where the queryset of an expression begins: for a name, what it is bound to before anything narrows it, and what comes
/// of that.
fn begin(
    analyzer: &Analyzer<'_>,
    (file, value): (FileId, NodeId),
) -> Option<(FileId, NodeId, Option<Arc<QuerySet>>)> {
    let program = analyzer.project.program();
    let node = program.file(file).node(value);
    if node.kind() != Kind::Name {
        return Some((file, value, None));
    }
    let function = program.function_at(file, node.enclosing_function()?.id())?;
    let facts = analyzer.function(function);
    let Type::QuerySet(given) = facts.type_of(node) else { return None };
    let mut ends = Vec::new();
    for up in given.values.iter().flat_map(|value| origins(&facts, *value, 0)) {
        let info = facts.value(up)?;
        let made = |value: ValueId| match facts.value(value)?.origin {
            Origin::Expr(node) => matches!(facts.types.get(node)?, Type::QuerySet(_)).then_some(node),
            _ => None,
        };
        let Some(node) = made(up) else { continue };
        if info.parent.iter().chain(&info.alternatives).any(|up| made(*up).is_some()) {
            continue;
        }
        if !keeps(info.queryset.as_deref()?, given) {
            return None;
        }
        ends.push(node);
    }
    ends.sort();
    ends.dedup();
    match ends.as_slice() {
        [only] => Some((file, *only, Some(given.clone()))),
        _ => None,
    }
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
                    let target = assignment.and_then(|a| a.child(Field::Left));
                    let value = assignment.and_then(|a| a.child(Field::Right));
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
