//! Which serializer classes a view has for one of its actions.

use super::declared::is_serializer;
use super::extra::Told;
use crate::django::Project;
use crate::infer::frame::Frame;
use crate::infer::types::Type;
use crate::python::{
    ClassId, Def, Expr, Field, Kind, Member, Node, Stmt, arguments, parameters, string_value,
};
use crate::text::FileId;
use rustc_hash::FxHashMap;

/// The classes that something may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Classes {
    pub found: Vec<ClassId>,
    /// It may be something else as well.
    pub is_open: bool,
}

impl Classes {
    fn unknown() -> Classes {
        Classes { found: Vec::new(), is_open: true }
    }

    fn only(class: ClassId) -> Classes {
        Classes { found: vec![class], is_open: false }
    }

    fn join(mut self, other: Classes) -> Classes {
        for class in other.found {
            if !self.found.contains(&class) {
                self.found.push(class);
            }
        }
        self.is_open |= other.is_open;
        self
    }
}

/// The classes of local names, where control flow arrives.
type Names<'a> = Option<FxHashMap<&'a str, Classes>>;

/// An action of a view.
struct Asked<'a> {
    project: &'a Project,
    /// The class of the view.
    view: ClassId,
    /// Its name; nothing where it may be any.
    action: Option<&'a str>,
    /// What its decorator says.
    told: Told<'a>,
}

/// The reading of one `get_serializer_class()`.
struct Reader<'r, 'a> {
    asked: &'r Asked<'a>,
    /// The class that has the method.
    owner: ClassId,
    file: FileId,
    receiver: &'a str,
    depth: usize,
    returned: Classes,
}

impl<'a> Frame<'a, '_> {
    /// The serializer classes of a view for an action; for any, where it is not known which.
    pub(super) fn serializer_classes(&self, view: ClassId, action: Option<&'a str>) -> Classes {
        if ["serializer_class", "get_serializer_class"].iter().any(|n| self.is_assigned_on_self(view, n)) {
            return Classes::unknown();
        }
        let project = self.az.project;
        let told = action.map_or_else(Told::default, |action| Told::of(project, view, action));
        let mut out = Asked { project, view, action, told }.given_by_method(None, 0);
        out.found.retain(|class| is_serializer(self.az.project, *class));
        out
    }

    /// The same as a type: what is called to make the serializer.
    pub(super) fn serializer_class_type(&self, view: ClassId, action: Option<&'a str>) -> Option<Type> {
        let classes = self.serializer_classes(view, action);
        let is_known = !classes.is_open && !classes.found.is_empty();
        is_known.then(|| {
            classes.found.into_iter().map(|c| Type::Def(Def::Class(c))).fold(Type::Never, Type::join)
        })
    }
}

impl<'a> Asked<'a> {
    /// What `get_serializer_class()` gives in an object of the view, by the first class behind `after` that defines it.
    fn given_by_method(&self, after: Option<ClassId>, depth: usize) -> Classes {
        let program = self.project.program();
        let mro = &program.class(self.view).mro;
        let skip = after.and_then(|after| mro.iter().position(|c| *c == after)).map_or(0, |at| at + 1);
        let found = mro.iter().skip(skip).find_map(|owner| {
            program.class(*owner).members.get("get_serializer_class").map(|member| (*owner, member))
        });
        let Some((owner, member)) = found else { return self.attribute("serializer_class") };
        let Member::Function(function, _) = member else { return Classes::unknown() };
        let info = program.function(*function);
        let def = program.file(info.file).node(info.node);
        let (Some(body), Some(receiver)) = (def.child(Field::Body), parameters(def).first().map(|p| p.name))
        else {
            return Classes::unknown();
        };
        if depth > 8 || !info.decorators.is_empty() {
            return Classes::unknown();
        }
        let returned = Classes::default();
        let mut reader = Reader { asked: self, owner, file: info.file, receiver, depth, returned };
        let end = reader.block(body, Some(FxHashMap::default()));
        if end.is_some() {
            // It gives None there, which fails.
            reader.returned.is_open |= reader.returned.found.is_empty();
        }
        reader.returned
    }

    /// The expression that an attribute of the view holds.
    fn value(&self, name: &str) -> Option<(FileId, Node<'a>)> {
        if let Some(told) = self.told.get(name) {
            return Some(told);
        }
        let program = self.project.program();
        let Some((owner, Member::Value(value))) = program.member(self.view, name) else { return None };
        let file = program.class(owner).file;
        Some((file, program.file(file).node(*value)))
    }

    /// An attribute of the view that is a class.
    fn attribute(&self, name: &str) -> Classes {
        let program = self.project.program();
        if self.told.is_open() {
            return Classes::unknown();
        }
        match (self.value(name), program.member(self.view, name)) {
            (Some((file, value)), _) => match program.resolve_expr(file, value.peel().id()) {
                Some(Def::Class(class)) => Classes::only(class),
                _ => Classes::unknown(),
            },
            (None, Some((_, Member::Class(class)))) => Classes::only(*class),
            _ => Classes::unknown(),
        }
    }

    /// The method of its request.
    fn method(&self) -> Option<&'static str> {
        let is_get = matches!(self.action?, "list" | "retrieve") || self.told.takes_get_alone();
        is_get.then_some("GET")
    }

    /// Whether it is for one object.
    fn detail(&self) -> Option<bool> {
        match self.action? {
            "list" => Some(false),
            "retrieve" => Some(true),
            _ => self.told.detail(),
        }
    }
}

impl<'a> Reader<'_, 'a> {
    fn block(&mut self, block: Node<'a>, mut names: Names<'a>) -> Names<'a> {
        for statement in block.children() {
            names.as_ref()?;
            names = self.statement(statement, names);
        }
        names
    }

    fn statement(&mut self, node: Node<'a>, names: Names<'a>) -> Names<'a> {
        let mut known = names?;
        match Stmt::of(node) {
            Stmt::Return(value) => {
                let classes = value.map_or_else(Classes::unknown, |v| self.classes(v, &known));
                self.returned = std::mem::take(&mut self.returned).join(classes);
                None
            }
            Stmt::Raise(_) => None,
            Stmt::Assign { targets, value: Some(value), .. } => {
                let classes = self.classes(value, &known);
                for target in targets {
                    for name in target.descendants().filter(|n| n.kind() == Kind::Name && n.is_binding()) {
                        let is_whole = name == target.peel();
                        known
                            .insert(name.text(), if is_whole { classes.clone() } else { Classes::unknown() });
                    }
                }
                Some(known)
            }
            Stmt::If { branches, orelse } => {
                let mut out: Names<'a> = None;
                for (test, body) in branches {
                    match self.test(test) {
                        Some(true) => {
                            let end = self.block(body, Some(known));
                            return join(out, end);
                        }
                        Some(false) => {}
                        None => {
                            let end = self.block(body, Some(known.clone()));
                            out = join(out, end);
                        }
                    }
                }
                let end = match orelse {
                    Some(body) => self.block(body, Some(known)),
                    None => Some(known),
                };
                join(out, end)
            }
            Stmt::Expr(_) | Stmt::Pass | Stmt::Assert(_) | Stmt::Import(_) => Some(known),
            _ => {
                // Loops, handlers and the like: whatever they return or bind.
                let returns = node.descendants().any(|n| n.kind() == Kind::Return);
                self.returned.is_open |= returns;
                for name in node.descendants().filter(|n| n.kind() == Kind::Name && n.is_binding()) {
                    known.insert(name.text(), Classes::unknown());
                }
                Some(known)
            }
        }
    }

    fn classes(&self, node: Node<'a>, names: &FxHashMap<&'a str, Classes>) -> Classes {
        let is_self = |n: Node<'_>| matches!(Expr::of(n), Expr::Name(name) if name == self.receiver);
        match Expr::of(node) {
            Expr::Name(name) if names.contains_key(name) => names.get(name).cloned().unwrap_or_default(),
            Expr::Attribute { value, attr, .. } if is_self(value) => self.asked.attribute(attr),
            Expr::Name(_) | Expr::Attribute { .. } => {
                match self.asked.project.program().resolve_expr(self.file, node.peel().id()) {
                    Some(Def::Class(class)) => Classes::only(class),
                    _ => Classes::unknown(),
                }
            }
            Expr::IfExp { body, test, orelse } => match self.test(test) {
                Some(true) => self.classes(body, names),
                Some(false) => self.classes(orelse, names),
                None => self.classes(body, names).join(self.classes(orelse, names)),
            },
            Expr::Subscript { value, index, .. } if self.is_action(index) => self.of_dict(value, None, names),
            Expr::Call { func, arguments: list } => {
                let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return Classes::unknown() };
                let is_super = matches!(Expr::of(value), Expr::Call { func, .. }
                    if matches!(Expr::of(func), Expr::Name("super")));
                let arguments = arguments(list);
                match (attr, arguments.as_slice()) {
                    ("get_serializer_class", []) if is_super => {
                        self.asked.given_by_method(Some(self.owner), self.depth + 1)
                    }
                    ("get", [key]) if self.is_action(key.value) => self.of_dict(value, None, names),
                    ("get", [key, default]) if self.is_action(key.value) => {
                        self.of_dict(value, Some(default.value), names)
                    }
                    _ => Classes::unknown(),
                }
            }
            _ => Classes::unknown(),
        }
    }

    /// The entry of a dict of actions.
    fn of_dict(
        &self,
        dict: Node<'a>,
        default: Option<Node<'a>>,
        names: &FxHashMap<&'a str, Classes>,
    ) -> Classes {
        let program = self.asked.project.program();
        let is_self = |n: Node<'_>| matches!(Expr::of(n), Expr::Name(name) if name == self.receiver);
        let (file, dict) = match Expr::of(dict) {
            Expr::Attribute { value, attr, .. } if is_self(value) => match self.asked.value(attr) {
                Some(found) => found,
                None => return Classes::unknown(),
            },
            _ => (self.file, dict),
        };
        let (Expr::Dict(dict), Some(action)) = (Expr::of(dict), self.asked.action) else {
            return Classes::unknown();
        };
        for pair in dict.children() {
            let key = pair.child(Field::Key).filter(|_| pair.kind() == Kind::Pair).and_then(string_value);
            let (Some(key), Some(value)) = (key, pair.child(Field::Value)) else { return Classes::unknown() };
            if key == action {
                return match program.resolve_expr(file, value.peel().id()) {
                    Some(Def::Class(class)) => Classes::only(class),
                    _ => Classes::unknown(),
                };
            }
        }
        default.map_or_else(Classes::unknown, |node| self.classes(node, names))
    }

    fn is_own(&self, node: Node<'_>, name: &str) -> bool {
        matches!(Expr::of(node), Expr::Attribute { value, attr, .. }
            if attr == name && matches!(Expr::of(value), Expr::Name(name) if name == self.receiver))
    }

    fn is_action(&self, node: Node<'_>) -> bool {
        self.is_own(node, "action")
    }

    /// Whether a condition holds in the action.
    fn test(&self, node: Node<'a>) -> Option<bool> {
        match Expr::of(node) {
            Expr::Not(inner) => self.test(inner).map(|known| !known),
            Expr::BoolOp { left, op, right } => {
                let (left, right) = (self.test(left), self.test(right));
                let settles = op == Kind::Or;
                match (left, right) {
                    (Some(known), _) | (_, Some(known)) if known == settles => Some(settles),
                    (Some(_), Some(_)) => Some(!settles),
                    _ => None,
                }
            }
            Expr::Compare { left, op, right } => {
                let (subject, is_method) = match Expr::of(left) {
                    _ if self.is_action(left) => (self.asked.action?, false),
                    Expr::Attribute { value, attr: "method", .. } if self.is_own(value, "request") => {
                        (self.asked.method()?, true)
                    }
                    _ => return None,
                };
                match op {
                    Kind::Eq => Some(string_value(right)? == subject),
                    Kind::NotEq => Some(string_value(right)? != subject),
                    Kind::In | Kind::NotIn => {
                        let is_in = match Expr::of(right) {
                            Expr::List(list) | Expr::Tuple(list) | Expr::Set(list) => {
                                let names: Option<Vec<String>> = list.children().map(string_value).collect();
                                names?.iter().any(|name| name == subject)
                            }
                            _ if is_method && right.text().ends_with("SAFE_METHODS") => true,
                            _ => return None,
                        };
                        Some(is_in == (op == Kind::In))
                    }
                    _ => None,
                }
            }
            _ if self.is_own(node, "detail") => self.asked.detail(),
            Expr::Call { func, arguments: list }
                if matches!(Expr::of(func), Expr::Name("getattr" | "hasattr")) =>
            {
                let name = arguments(list).get(1).and_then(|a| string_value(a.value));
                (name.as_deref() == Some("swagger_fake_view")).then_some(false)
            }
            _ => None,
        }
    }
}

/// What is known where control flow comes together.
fn join<'a>(a: Names<'a>, b: Names<'a>) -> Names<'a> {
    let (mut a, mut b) = match (a, b) {
        (None, other) | (other, None) => return other,
        (Some(a), Some(b)) => (a, b),
    };
    for (name, classes) in &mut a {
        let other = b.remove(name).unwrap_or_else(Classes::unknown);
        *classes = std::mem::take(classes).join(other);
    }
    for (name, classes) in b {
        a.insert(name, classes.join(Classes::unknown()));
    }
    Some(a)
}
