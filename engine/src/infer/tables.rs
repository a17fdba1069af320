//! Tables of django-tables2: each row of a table asks its record for what the columns name.
//!
//! Whether a column is shown, and whether the table is, is said elsewhere; every read of a column is a possible one.
//! Facts about the package: django_tables2/rows.py and utils.py of 2.7 and 3.0.

use super::callables::Callable;
use super::calls::Arg;
use super::facts::{Escape, Use};
use super::frame::Frame;
use super::types::{Name, Type};
use crate::django::ModelId;
use crate::django::lists::listed;
use crate::python::{Binding, ClassId, Def, Expr, Kind, Member, Node, arguments, parameters, string_value};
use crate::text::{FileId, Site};
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// The class of tables, under its names.
const TABLES: &[&str] = &["django_tables2.Table", "django_tables2.tables.Table"];

/// Columns that show the key of the row, or nothing of it.
const BOXES: &[&str] = &["CheckBoxColumn"];

/// What chooses the columns of a table.
const CHOOSING: &[&str] = &["exclude", "sequence", "columns", "base_columns", "extra_columns"];

/// A column: where it is declared, and what it asks the record for.
struct Column<'a> {
    name: String,
    site: Site,
    /// The call that makes it; nothing where only `Meta.fields` names it.
    made: Option<(FileId, Node<'a>)>,
}

impl Column<'_> {
    /// `visible=` with anything but `True`.
    fn is_hidden(&self) -> bool {
        let Some((_, made)) = self.made else { return false };
        let Expr::Call { arguments: list, .. } = Expr::of(made) else { return false };
        arguments(list)
            .iter()
            .any(|a| a.stars == 2 || a.name == Some("visible") && !matches!(Expr::of(a.value), Expr::True))
    }
}

impl<'a> Frame<'a, '_> {
    /// Whether a class is a table.
    pub(super) fn is_table(&self, class: ClassId) -> bool {
        TABLES.iter().any(|table| self.az.project.program().inherits(class, table))
    }

    /// `BookTable(books)`: what rendering it reads of each row may be read. Whether the class is a table of known rows.
    pub(super) fn made_table(&mut self, class: ClassId, args: &[Arg<'a>], node: Node<'a>) -> bool {
        if !self.is_table(class) || args.iter().any(|a| a.stars == 1) {
            return false;
        }
        let first = args.first().filter(|a| a.name.is_none());
        let Some(data) = args.iter().find(|a| a.name == Some("data")).or(first) else { return false };
        let (ty, at) = (data.ty.clone(), data.node);
        let rows = match ty.without_none() {
            Type::Manager(manager) => {
                let manager = manager.clone();
                self.manager_method(&manager, "all", &[], node, node)
            }
            other => other.clone(),
        };
        match &rows {
            // It is counted, ordered and cut, each time as a new queryset.
            Type::QuerySet(qs) => self.use_queryset(&qs.clone(), at, Use::Escape(Escape::Store)),
            Type::List(element) if element.instance().is_some() => {}
            _ => return false,
        }
        let chooses = args.iter().any(|a| a.stars > 0 || a.name.is_some_and(|n| CHOOSING.contains(&n)));
        if !self.show_rows(class, &rows, chooses, node) {
            return false;
        }
        for other in args.iter().filter(|a| a.node != at) {
            self.escape(&other.ty.clone(), other.node, Escape::Store);
        }
        true
    }

    /// Whether a class of the program changes what is loaded with the rows that a table is made of.
    fn loads_by_itself(&self, class: ClassId) -> bool {
        let program = self.az.project.program();
        program.class(class).mro.iter().any(|above| {
            let Some(Member::Function(function, _)) = program.class(*above).members.get("__init__") else {
                return false;
            };
            let info = program.function(*function);
            program.file(info.file).node(info.node).descendants().any(|n| {
                matches!(Expr::of(n), Expr::Attribute { attr, .. }
                    if matches!(attr, "select_related" | "prefetch_related"))
            })
        })
    }

    /// A table of `class` may show every row of `rows`; `chooses` says that whoever makes it may leave out columns.
    /// Whether that is what the class does.
    pub(super) fn show_rows(&mut self, class: ClassId, rows: &Type, chooses: bool, node: Node<'a>) -> bool {
        if !self.is_table(class) || self.loads_by_itself(class) {
            return false;
        }
        let columns = self.columns(class);
        let changes = chooses || self.changes_columns(class);
        self.conditionally(|frame| {
            let row = frame.iterate(rows, node);
            let Some(model) = row.instance().map(|i| i.model) else { return };
            frame.each(rows, |frame| {
                // Nothing is certain of a table that chooses its columns when it is rendered.
                let outer = frame.conditional;
                frame.conditional += u32::from(changes);
                // Attributes of the row are computed before its cells are.
                for (file, part) in attributes(frame, class) {
                    frame.compute(file, part, &row, None, node);
                }
                for column in &columns {
                    let hidden = u32::from(column.is_hidden());
                    frame.conditional += hidden;
                    frame.at_site(column.site, |frame| frame.show(class, column, &row, node));
                    frame.conditional -= hidden;
                }
                // Without columns of its own a table has those of the model.
                let chosen = meta(frame, class)
                    .is_some_and(|m| frame.az.project.program().member(m, "fields").is_some());
                if !chosen {
                    frame.show_fields(class, model, &columns, &row, node);
                }
                frame.conditional = outer;
            });
        });
        true
    }

    /// Whether code of a table says which columns are shown. `Meta.sequence` leaves out none: what it does not name comes
    /// last (django_tables2/utils.py, `Sequence.expand`).
    fn changes_columns(&self, class: ClassId) -> bool {
        let program = self.az.project.program();
        let is_chosen = |n: Node<'_>| match Expr::of(n) {
            Expr::Attribute { attr, .. } => CHOOSING.contains(&attr),
            _ => n.kind() == Kind::Str && string_value(n).is_some_and(|s| CHOOSING.contains(&s.as_str())),
        };
        program.class(class).mro.iter().any(|above| {
            program.class(*above).members.iter().any(|(name, member)| match member {
                Member::Function(function, _) => {
                    let info = program.function(*function);
                    let def = program.file(info.file).node(info.node);
                    name == "before_render"
                        || name == "__init__" && def.descendants().any(is_chosen)
                        || def.text().contains(".columns")
                }
                _ => CHOOSING.contains(&name.as_str()),
            })
        })
    }

    /// The columns that a class and its `Meta` name, those of the classes above included.
    fn columns(&self, class: ClassId) -> Vec<Column<'a>> {
        let program = self.az.project.program();
        let mut out: Vec<Column<'a>> = Vec::new();
        let mut seen = FxHashSet::default();
        let excluded: Vec<String> = match meta(self, class).and_then(|m| listed(program, m, "exclude")) {
            Some((_, _, names)) => {
                names.iter().filter_map(|(f, n)| string_value(program.file(*f).node(*n))).collect()
            }
            None => Vec::new(),
        };
        for above in &program.class(class).mro {
            let info = program.class(*above);
            for name in &info.order {
                let Some(Member::Value(value)) = info.members.get(name) else { continue };
                let value = program.file(info.file).node(*value);
                if !seen.insert(name.clone()) || excluded.contains(name) {
                    continue;
                }
                let Expr::Call { func, .. } = Expr::of(value) else { continue };
                if is_column(self, info.file, func) {
                    let site = Site { file: info.file, span: value.span() };
                    out.push(Column { name: name.clone(), site, made: Some((info.file, value)) });
                }
            }
        }
        let named = meta(self, class).and_then(|m| listed(program, m, "fields"));
        for (file, node) in named.map(|(_, _, names)| names).unwrap_or_default() {
            let node = program.file(file).node(node);
            if let Some(name) = string_value(node)
                && seen.insert(name.clone())
                && !excluded.contains(&name)
            {
                out.push(Column { name, site: Site { file, span: node.span() }, made: None });
            }
        }
        out
    }

    /// A cell: the value of the column's accessor, and what the column makes of it.
    fn show(&mut self, class: ClassId, column: &Column<'a>, row: &Type, node: Node<'a>) {
        let program = self.az.project.program();
        let keyword = |name: &str| -> Option<Node<'a>> {
            let (_, made) = column.made?;
            let Expr::Call { arguments: list, .. } = Expr::of(made) else { return None };
            arguments(list).iter().find(|a| a.name == Some(name)).map(|a| a.value)
        };
        let accessor = match keyword("accessor") {
            Some(given) => accessor(given),
            None => Some(column.name.clone()),
        };
        let Some(accessor) = accessor else { return };
        let value = self.resolved(row, &accessor, node);
        let own = program.member(class, &format!("render_{}", column.name));
        let of_column = column.made.and_then(|(file, made)| {
            let Expr::Call { func, .. } = Expr::of(made) else { return None };
            match program.resolve_expr(file, func.peel().id())? {
                Def::Class(column) => program.member(column, "render").map(|m| (Some(column), m.1)),
                _ => None,
            }
        });
        let renders = own.map(|(_, member)| (Some(class), member)).or(of_column);
        if let Some((owner, Member::Function(function, Binding::Method))) = renders {
            let def = program.file(program.function(*function).file).node(program.function(*function).node);
            let given: Vec<Arg<'a>> = parameters(def)
                .iter()
                .filter_map(|p| match p.name {
                    "record" => Some(Arg { name: Some("record"), ty: row.clone(), node, stars: 0 }),
                    "value" => Some(Arg { name: Some("value"), ty: value.clone(), node, stars: 0 }),
                    _ => None,
                })
                .collect();
            let shown = self.call_function(*function, owner.map(Type::Object), &given, node);
            self.stringify(&shown, node);
            return;
        }
        let kind = column.made.and_then(|(file, made)| {
            let Expr::Call { func, .. } = Expr::of(made) else { return None };
            base(self, file, func)
        });
        let kind = kind.as_deref().unwrap_or("Column");
        if kind == "TemplateColumn" {
            let name = keyword("template_name").and_then(string_value);
            if let Some(name) = name {
                let context = [("record", row.clone()), ("value", value)];
                let context = context.into_iter().map(|(name, ty)| (Name::from(name), ty)).collect();
                self.render(&[&name], context, node);
            }
            return;
        }
        if let Some((file, _)) = column.made {
            for part in ["attrs", "linkify"].into_iter().filter_map(keyword) {
                self.compute(file, part, row, Some(&value), node);
            }
        }
        // The names of a link are asked for.
        for part in [keyword("args"), keyword("kwargs"), keyword("linkify")].into_iter().flatten() {
            for named in part.descendants().filter(|n| n.kind() == Kind::Call).filter_map(self::accessor) {
                self.resolved(row, &named, node);
            }
            if matches!(Expr::of(part), Expr::True) {
                self.linked_to(&value, node);
            }
        }
        if kind == "RelatedLinkColumn" {
            self.linked_to(&value, node);
        }
        if BOXES.contains(&kind) {
            return;
        }
        match &value {
            Type::Manager(manager) if kind == "ManyToManyColumn" => {
                let manager = manager.clone();
                let rows = self.manager_method(&manager, "all", &[], node, node);
                let object = self.iterate(&rows, node);
                self.each(&rows, |frame| frame.stringify(&object, node));
            }
            value => self.stringify(value, node),
        }
    }

    /// The functions that attributes and links name are called with what they have parameters for.
    fn compute(&mut self, file: FileId, part: Node<'a>, row: &Type, value: Option<&Type>, node: Node<'a>) {
        let program = self.az.project.program();
        let is_inside = |n: Node<'a>| {
            n.ancestors().take_while(|a| part.span().contains(a.span())).any(|a| a.kind() == Kind::Lambda)
        };
        for named in part.descendants().filter(|n| !is_inside(*n)) {
            let (callee, def) = match named.kind() {
                Kind::Lambda => (Type::Callable(Arc::new(Callable::Lambda(file, named.id()))), named),
                Kind::Name | Kind::Attribute => match program.resolve_expr(file, named.id()) {
                    Some(Def::Function(function)) => {
                        let info = program.function(function);
                        (Type::Def(Def::Function(function)), program.file(info.file).node(info.node))
                    }
                    _ => continue,
                },
                _ => continue,
            };
            let given: Vec<Arg<'a>> = parameters(def)
                .iter()
                .filter_map(|p| match p.name {
                    "record" => Some(Arg { name: Some("record"), ty: row.clone(), node, stars: 0 }),
                    "value" => Some(Arg { name: Some("value"), ty: value?.clone(), node, stars: 0 }),
                    _ => None,
                })
                .collect();
            self.call_value(&callee, &given, node, node);
        }
    }

    /// The columns of the model's own fields.
    fn show_fields(
        &mut self,
        class: ClassId,
        model: ModelId,
        columns: &[Column<'a>],
        row: &Type,
        node: Node<'a>,
    ) {
        let project = self.az.project;
        let named = meta(self, class).and_then(|m| project.program().member(m, "model"));
        let Some((owner, Member::Value(value))) = named else { return };
        let file = project.program().class(owner).file;
        let site = Site { file, span: project.program().file(file).node(*value).span() };
        let fields = project.model(model).fields.iter().filter(|f| f.relation.is_some());
        let names: Vec<String> = fields.map(|f| f.name.clone()).collect();
        for name in names.iter().filter(|n| !columns.iter().any(|c| c.name == **n)) {
            let column = Column { name: name.clone(), site, made: None };
            self.at_site(site, |frame| frame.show(class, &column, row, node));
        }
    }

    /// `Accessor("book__author.name").resolve(record)`: attributes, and what they give when they can be called.
    fn resolved(&mut self, row: &Type, accessor: &str, node: Node<'a>) -> Type {
        let separator = if accessor.contains("__") { "__" } else { "." };
        accessor.split(separator).fold(row.clone(), |ty, part| {
            let owner = ty.without_none().clone();
            match self.attribute(&owner, part, node) {
                callee @ (Type::Bound(..) | Type::Local(_)) => self.call_value(&callee, &[], node, node),
                value => value,
            }
        })
    }

    fn linked_to(&mut self, value: &Type, node: Node<'a>) {
        if value.without_none().instance().is_some() {
            let value = value.without_none().clone();
            self.method_call(&value, "get_absolute_url", &[], node, node);
        }
    }
}

/// The class `Meta` of a table.
fn meta(frame: &Frame<'_, '_>, class: ClassId) -> Option<ClassId> {
    match frame.az.project.program().member(class, "Meta")? {
        (_, Member::Class(meta)) => Some(*meta),
        _ => None,
    }
}

/// What `Meta` says of the attributes of the table and of its rows.
fn attributes<'a>(frame: &Frame<'a, '_>, class: ClassId) -> Vec<(FileId, Node<'a>)> {
    let program = frame.az.project.program();
    let Some(meta) = meta(frame, class) else { return Vec::new() };
    let value = |name: &&str| match program.member(meta, name)? {
        (owner, Member::Value(value)) => {
            let file = program.class(owner).file;
            Some((file, program.file(file).node(*value)))
        }
        _ => None,
    };
    ["attrs", "row_attrs"].iter().filter_map(value).collect()
}

/// `"book.author"`, `A("book__author")`
fn accessor(node: Node<'_>) -> Option<String> {
    match Expr::of(node) {
        Expr::Str(_) => string_value(node),
        Expr::Call { func, arguments: list }
            if matches!(func.text().rsplit('.').next(), Some("A" | "Accessor")) =>
        {
            arguments(list).first().filter(|a| a.name.is_none()).and_then(|a| string_value(a.value))
        }
        _ => None,
    }
}

/// The package's class that a call makes an object of: its own name, or that of the nearest one above.
fn base(frame: &Frame<'_, '_>, file: FileId, func: Node<'_>) -> Option<String> {
    let program = frame.az.project.program();
    let last = |path: &str| {
        path.starts_with("django_tables2.").then(|| path.rsplit('.').next().map(str::to_owned))?
    };
    match program.resolve_expr(file, func.peel().id())? {
        Def::External(path) => last(&path),
        Def::Class(class) => program.class(class).external_bases.iter().find_map(|b| last(b)),
        _ => None,
    }
}

/// Whether a call makes a column.
fn is_column(frame: &Frame<'_, '_>, file: FileId, func: Node<'_>) -> bool {
    base(frame, file, func).is_some_and(|name| name.ends_with("Column"))
}
