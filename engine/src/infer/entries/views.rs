//! Generic views of Django's: the template shows the rows of a list view, what hangs on the object of a detail view, and
//! every queryset that `get_context_data()` adds.

use super::given;
use super::named::listed;
use super::{Entry, EntryKind, Source, overrides_quietly};
use crate::infer::analyzer::Analyzer;
use crate::infer::calls::Arg;
use crate::infer::frame::{Frame, row_type};
use crate::infer::rendering::{Names, class_string};
use crate::infer::types::{Instance, Name, QuerySet, QuerySetClass, Root, Type, ValueId};
use crate::python::{ClassId, Def, Expr, FunctionId, Member, Node, Program};
use std::sync::Arc;

const LIST_VIEWS: &[&str] = &[
    "django.views.generic.ListView",
    "django.views.generic.list.ListView",
    "django_tables2.SingleTableView",
    "django_tables2.views.SingleTableView",
    "django_filters.views.FilterView",
];
/// Views that make a table of their rows.
const TABLE_VIEWS: &[&str] = &[
    "django_tables2.SingleTableMixin",
    "django_tables2.views.SingleTableMixin",
    "django_tables2.SingleTableView",
    "django_tables2.views.SingleTableView",
];
const DETAIL_VIEWS: &[&str] = &["django.views.generic.DetailView", "django.views.generic.detail.DetailView"];
const OTHER_VIEWS: &[&str] = &[
    "django.views.generic.TemplateView",
    "django.views.generic.base.TemplateView",
    "django.views.generic.FormView",
    "django.views.generic.edit.FormView",
    "django.views.generic.CreateView",
    "django.views.generic.edit.CreateView",
    "django.views.generic.UpdateView",
    "django.views.generic.edit.UpdateView",
];

/// What the template of a view gets its rows from.
struct Shown {
    kind: EntryKind,
    source: Source,
    rows: ValueId,
}

/// The entries of generic views.
pub(super) fn collect(analyzer: &Analyzer<'_>, out: &mut Vec<Entry>) {
    let program = analyzer.project.program();
    for class in program.class_ids() {
        let info = program.class(class);
        if analyzer.project.is_known_file(info.file) || !info.external_bases.iter().any(|b| is_view(b)) {
            continue;
        }
        for entry in analyzer.entries_of(("view", class.0, 0), || entries(analyzer, class)) {
            entry.put_into(out);
        }
    }
}

fn entries(analyzer: &Analyzer<'_>, class: ClassId) -> Vec<Entry> {
    let mut out = Vec::new();
    let found = analyzer.on_behalf(class, |frame, node| view(frame, class, node));
    let Some((shown, facts)) = found else { return out };
    let facts = Arc::new(facts);
    for Shown { kind, source, rows } in shown {
        out.push(Entry::of_class(analyzer, kind, class, (source, rows), facts.clone()));
    }
    given::shown(analyzer, &facts, Some(class), &mut out);
    out
}

fn is_view(base: &str) -> bool {
    base.starts_with("django.views.generic") || LIST_VIEWS.contains(&base)
}

fn view<'a>(frame: &mut Frame<'a, '_>, class: ClassId, node: Node<'a>) -> Option<Vec<Shown>> {
    let program = frame.az.project.program();
    let inherits = |names: &[&str]| names.iter().any(|n| program.inherits(class, n));
    // Whoever overrides how the response is made may do anything.
    if ["render_to_response", "get", "dispatch"].iter().any(|n| overrides_quietly(program, class, n)) {
        return None;
    }
    let mut shown = Vec::new();
    let mut has_table = false;
    let mut context = Names::default();
    let mut names: Vec<String> = class_string(program, class, "template_name").into_iter().collect();
    let is_list = inherits(LIST_VIEWS);
    if is_list || inherits(DETAIL_VIEWS) {
        let kind = if is_list { EntryKind::ListView } else { EntryKind::DetailView };
        if let Some((source, qs, given)) = rows(frame, class, node) {
            let value = frame.single(&qs, node);
            shown.push(Shown { kind, source, rows: value });
            if is_list && inherits(TABLE_VIEWS) {
                has_table = frame.table_of_view(class, &qs, value, node);
            }
            let model = frame.az.project.model(qs.model);
            let name = class_string(program, class, "context_object_name");
            let lower = model.name.to_lowercase();
            let default = if is_list { format!("{lower}_list") } else { lower.clone() };
            let ty = if is_list { given } else { row_type(&qs, value) };
            context.insert(Name::from(if is_list { "object_list" } else { "object" }), ty.clone());
            context.insert(Name::from(name.unwrap_or(default)), ty.clone());
            if is_list {
                // A page is gone over like the list of its rows.
                context.insert(Name::from("page_obj"), Type::list(row_type(&qs, value)));
            }
            let suffix = class_string(program, class, "template_name_suffix");
            let suffix = suffix.unwrap_or_else(|| if is_list { "_list" } else { "_detail" }.to_owned());
            names.push(format!("{}/{lower}{suffix}.html", model.app_label));
        }
    } else if !inherits(OTHER_VIEWS) {
        return None;
    }
    if let Some(Type::Dict(dict)) = frame.context_data(class, node) {
        for (name, (ty, file, value)) in &dict.2 {
            if let Some((source, rows)) = frame.given_rows(ty, (*file, *value), node) {
                shown.push(Shown { kind: EntryKind::ListView, source, rows });
            }
            context.insert(name.clone(), ty.clone());
        }
    }
    for (name, function) in decorated_names(program, class) {
        let given = [Arg { name: None, ty: Type::Object(class), node, stars: 0 }];
        let ty = frame.call_registered(function, &given, node);
        if let Type::QuerySet(qs) = &ty {
            let rows = frame.single(qs, node);
            shown.push(Shown { kind: EntryKind::ListView, source: Source::Function(function), rows });
        }
        context.insert(Name::from(name), ty);
    }
    context.insert(Name::from("view"), Type::Object(class));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    (frame.render(&names, context, node) || has_table).then_some(shown)
}

impl<'a> Frame<'a, '_> {
    /// `table_class` of a view may show its rows. Whether it is known.
    fn table_of_view(&mut self, class: ClassId, qs: &QuerySet, value: ValueId, node: Node<'a>) -> bool {
        let program = self.az.project.program();
        let own = ["get_table", "get_table_class", "get_table_data"];
        let Some((owner, Member::Value(table))) = program.member(class, "table_class") else { return false };
        let file = program.class(owner).file;
        let Some(Def::Class(table)) = program.resolve_expr(file, *table) else { return false };
        if own.iter().any(|name| program.member(class, name).is_some()) {
            return false;
        }
        let mut rows = qs.clone();
        rows.values = smallvec::SmallVec::from_slice(&[value]);
        let chooses =
            ["get_table_kwargs", "exclude_columns"].iter().any(|n| program.member(class, n).is_some());
        self.show_rows(table, &Type::QuerySet(Arc::new(rows)), chooses, node)
    }
}

/// Methods of a view that a decorator adds to its context by their names.
fn decorated_names(program: &Program, class: ClassId) -> Vec<(&str, FunctionId)> {
    let is_context = |d: &Option<Def>| matches!(d, Some(Def::External(path)) if path == "django_context_decorator.context");
    let mut out = Vec::new();
    for owner in &program.class(class).mro {
        let info = program.class(*owner);
        for name in &info.order {
            let Some(Member::Function(function, _)) = info.members.get(name) else { continue };
            let is_first = program.member(class, name).is_some_and(|(first, _)| first == *owner);
            if is_first && program.function(*function).decorators.iter().any(is_context) {
                out.push((name.as_str(), *function));
            }
        }
    }
    out
}

/// The rows of a list or detail view, and what its `get_queryset()` gives: these rows, or a list or page of them.
fn rows<'a>(
    frame: &mut Frame<'a, '_>,
    class: ClassId,
    node: Node<'a>,
) -> Option<(Source, Arc<QuerySet>, Type)> {
    let program = frame.az.project.program();
    let has = |name: &str| program.member(class, name).is_some();
    if has("get_queryset") || has("queryset") {
        let (source, ty) = frame.class_queryset(class, node)?;
        let (source, qs) = match &ty {
            Type::QuerySet(qs) => (source, qs.clone()),
            Type::List(row) => {
                let Type::Instance(Instance { root: Root::Row(value), .. }) = &**row else { return None };
                let (_, Member::Function(function, _)) = program.member(class, "get_queryset")? else {
                    return None;
                };
                let (begin, qs) = listed(frame.az, class, *function)?;
                let source = if source == Source::Function(*function) { begin } else { source };
                let mut qs = (*qs).clone();
                (qs.values, qs.related) = (smallvec::smallvec![*value], None);
                let qs = Arc::new(qs);
                frame.set_queryset(*value, &qs);
                (source, qs)
            }
            _ => return None,
        };
        return Some((source, qs, ty));
    }
    if is_mere_base(frame.az, class) {
        return None;
    }
    let (model, file, value) = frame.az.project.model_member(class, "model")?;
    let manager = frame.model_attribute(model, "_default_manager", node);
    let Type::Manager(manager) = manager else { return None };
    let mut qs = QuerySet::new(model, QuerySetClass::Unknown, ValueId(0));
    if let Type::QuerySet(known) = frame.manager_queryset(&manager, node) {
        qs = (*known).clone();
    }
    let given = frame.made_queryset(qs, node);
    Some((Source::Model(file, value), given.queryset()?.clone(), given))
}

/// Whether a class is no view by itself: nothing routes it, and every class below gets its rows in its own way.
fn is_mere_base(az: &Analyzer<'_>, class: ClassId) -> bool {
    let program = az.project.program();
    let has_own = |below: &ClassId| {
        ["get_queryset", "queryset"].iter().any(|name| program.member(*below, name).is_some())
    };
    let mut below = program.descendants(class).into_iter().filter(|c| *c != class).peekable();
    let name = program.class(class).name.as_str();
    let is_routed = || {
        az.call_sites().of("as_view").iter().any(|site| {
            let call = program.file(site.file).node(site.call);
            matches!(Expr::of(call), Expr::Call { func, .. } if func.text().split('.').any(|p| p == name))
        })
    };
    below.peek().is_some() && below.all(|c| has_own(&c)) && !is_routed()
}
