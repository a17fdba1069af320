//! Bases that are no plain name of a class: looked up in the app registry, or chosen when the module is loaded.

use super::{Models, Settings, Values};
use crate::django::values::Call;
use crate::python::touched::{aside, touch_file};
use crate::python::{ClassId, Def, Expr, Kind, Node, Program, Rebase, Stmt};
use crate::text::FileId;
use std::cell::RefCell;

/// Statements nested deeper than this are not looked into.
const MAX_NESTING: usize = 10;

/// What [`Program::rebase`] takes: the models that stand in the place of bases which are calls
/// (`get_user_model()`, `get_model("app", "Model")`, a function that returns a model) or variables of one.
pub(in crate::django) fn looked_up_bases(
    program: &Program,
    settings: &Settings,
    built: &Models,
) -> Vec<Rebase> {
    let look = Look { values: Values { program, settings }, program, built, followed: RefCell::default() };
    let found = aside(|| look.found());
    // Bodies of functions tell nothing else of bases.
    look.followed.take().into_iter().for_each(touch_file);
    found
}

impl Look<'_> {
    fn found(&self) -> Vec<Rebase> {
        let mut out = Vec::new();
        for id in self.program.class_ids() {
            self.found_of(id, &mut out);
        }
        out
    }

    fn found_of(&self, id: ClassId, out: &mut Vec<Rebase>) {
        let class = self.program.class(id);
        for (position, base) in class.bases.iter().enumerate() {
            if base.is_some() {
                continue;
            }
            let Some(node) = class.base_nodes.get(position).map(|n| self.values.node(class.file, *n)) else {
                continue;
            };
            if let Some((base, is_certain)) = self.base(class.file, node)
                && base != id
            {
                out.push(Rebase { class: id, position, base, is_certain });
            }
        }
    }
}

/// The label of the model that a call looks up.
pub(super) fn looked_up<'a>(values: Values<'a>, file: FileId, node: Node<'a>) -> Option<String> {
    let call = Call::of(node)?;
    match call.func.text().rsplit('.').next().unwrap_or("") {
        "get_user_model" => Some(values.settings.auth_user_model.clone()),
        "get_model" | "get_registered_model" => {
            let parts: Vec<_> = call
                .positional
                .iter()
                .filter_map(|a| values.string(file, *a).or_else(|| part_of_label(values, file, *a)))
                .collect();
            (!parts.is_empty()).then(|| parts.join("."))
        }
        _ => None,
    }
}

/// A name bound by `app, model = LABEL.split(".")`.
fn part_of_label<'a>(values: Values<'a>, file: FileId, node: Node<'a>) -> Option<String> {
    let Expr::Name(name) = Expr::of(node) else { return None };
    let statements = values.program.file(file).root().children();
    let (position, count, value) = statements.into_iter().find_map(|statement| {
        let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(statement) else { return None };
        let [target] = targets.as_slice() else { return None };
        if matches!(Expr::of(*target), Expr::Name(_)) {
            return None;
        }
        let names: Vec<&str> = target.children().map(Node::text).collect();
        Some((names.iter().position(|n| *n == name)?, names.len(), value))
    })?;
    let call = Call::of(value)?;
    let Expr::Attribute { value: label, attr: "split" | "rsplit", .. } = Expr::of(call.func) else {
        return None;
    };
    let label = values.string(file, label)?;
    let parts: Vec<&str> = label.split('.').collect();
    if parts.len() == count { parts.get(position).map(|part| (*part).to_owned()) } else { None }
}

struct Look<'a> {
    values: Values<'a>,
    program: &'a Program,
    built: &'a Models,
    /// The files of functions whose bodies were looked into.
    followed: RefCell<Vec<FileId>>,
}

impl<'a> Look<'a> {
    /// The model that an expression at the top of `file` gives, and whether it cannot give another one.
    fn base(&self, file: FileId, node: Node<'a>) -> Option<(ClassId, bool)> {
        let name = match Expr::of(node) {
            Expr::Name(name) | Expr::Attribute { attr: name, .. } => name,
            _ => return self.value(file, node),
        };
        let file = match self.program.resolve_expr(file, node.id()) {
            Some(Def::Variable { file: at, value: Some(value) }) => {
                return self.value(at, self.values.node(at, value));
            }
            Some(Def::Variable { file: at, value: None }) => at,
            _ => return None,
        };
        let mut values = Vec::new();
        assigned(self.program.file(file).root(), name, 0, &mut values);
        values.retain(|value| !matches!(Expr::of(*value), Expr::None));
        // Of the values in several branches the first is as good as any, but it is not the only one.
        let (class, is_certain) = values.iter().find_map(|value| self.value(file, *value))?;
        Some((class, is_certain && values.len() == 1))
    }

    fn value(&self, file: FileId, node: Node<'a>) -> Option<(ClassId, bool)> {
        if let Some(label) = looked_up(self.values, file, node) {
            let (app, name) = label.split_once('.')?;
            let found = self.built.by_label.get(&format!("{app}.{}", name.to_lowercase()))?;
            let model = self.built.all.get(found.first()?.0 as usize)?;
            return Some((model.class, true));
        }
        match Expr::of(node) {
            Expr::Name(_) | Expr::Attribute { .. } => {
                self.model(self.program.resolve_expr(file, node.id())?).map(|class| (class, true))
            }
            Expr::Call { func, .. } => {
                let Def::Function(function) = self.program.resolve_expr(file, func.id())? else {
                    return None;
                };
                self.returned(function)
            }
            _ => None,
        }
    }

    fn model(&self, def: Def) -> Option<ClassId> {
        match def {
            Def::Class(class) if self.built.by_class.contains_key(&class) => Some(class),
            _ => None,
        }
    }

    /// The model that a function returns, the last `return` being the usual one.
    fn returned(&self, function: crate::python::FunctionId) -> Option<(ClassId, bool)> {
        let function = self.program.function(function);
        self.followed.borrow_mut().push(function.file);
        let def = self.values.node(function.file, function.node);
        let returns: Vec<Node<'a>> = def
            .descendants()
            .filter(|n| n.kind() == Kind::Return)
            .filter_map(|n| match Stmt::of(n) {
                Stmt::Return(value) => value,
                _ => None,
            })
            .collect();
        let last = returns.last()?;
        let Expr::Name(name) = Expr::of(*last) else { return None };
        let imported = def
            .descendants()
            .filter(|n| matches!(n.kind(), Kind::Import | Kind::ImportFrom))
            .flat_map(|n| self.program.local_imports(function.file, n.id()))
            .find_map(|(bound, def)| (bound == name).then_some(def));
        let def = imported.or_else(|| self.program.global(function.file, name))?;
        Some((self.model(def)?, returns.len() == 1))
    }
}

/// The values that the statements of a module bind `name` to.
fn assigned<'a>(block: Node<'a>, name: &str, depth: usize, out: &mut Vec<Node<'a>>) {
    if depth > MAX_NESTING {
        return;
    }
    for statement in block.children() {
        match Stmt::of(statement) {
            Stmt::Assign { targets, value: Some(value), .. } if targets.iter().any(|t| t.text() == name) => {
                out.push(value);
            }
            Stmt::If { branches, orelse } => {
                for body in branches.iter().map(|(_, body)| *body).chain(orelse) {
                    assigned(body, name, depth + 1, out);
                }
            }
            Stmt::Try { body, handlers, orelse, finally } => {
                let handlers = handlers.iter().map(|h| h.body);
                for body in std::iter::once(body).chain(handlers).chain(orelse).chain(finally) {
                    assigned(body, name, depth + 1, out);
                }
            }
            _ => {}
        }
    }
}
