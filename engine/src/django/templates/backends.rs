//! What the settings say about templates: TEMPLATES.

use super::ast::Language;
use crate::django::Settings;
use crate::django::values::{Call, Values};
use crate::python::{Def, Expr, Field, Kind, Node, Program, Stmt, arguments, string_value};
use crate::text::FileId;

/// Names and paths are followed this far.
const MAX_HOPS: usize = 8;

/// One entry of TEMPLATES.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backend {
    /// The settings module.
    pub file: FileId,
    /// BACKEND, a dotted path.
    pub engine: String,
    /// DIRS, what is known of each: the end of its path, from where it leaves the base directory.
    pub dirs: Vec<String>,
    /// `context_processors`, dotted paths.
    pub context_processors: Vec<String>,
    /// Modules of tags that every template has.
    pub builtins: Vec<String>,
    /// Modules of tags by the name to load them.
    pub libraries: Vec<(String, String)>,
    /// `loaders`, dotted paths.
    pub loaders: Vec<String>,
    /// The function that makes Jinja's environment.
    pub environment: Option<String>,
    /// Globals of Jinja's environment: names and dotted paths.
    pub globals: Vec<(String, String)>,
    /// Filters of Jinja's environment.
    pub filters: Vec<(String, String)>,
}

impl Backend {
    /// The language of its templates.
    pub fn language(&self) -> Language {
        if self.engine.to_ascii_lowercase().contains("jinja") { Language::Jinja } else { Language::Django }
    }
}

/// The entries of TEMPLATES in every settings module, those of tests left out.
pub(super) fn backends(program: &Program, settings: &Settings) -> Vec<Backend> {
    let mut out = Vec::new();
    for &file in &settings.files {
        if program.file(file).source.path().contains("test")
            || !program.file(file).source.mentions("TEMPLATES")
        {
            continue;
        }
        let values = Values { program, settings };
        for node in program.file(file).root().descendants().filter(|n| n.kind() == Kind::ExprStatement) {
            if let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(node)
                && targets.iter().any(|target| target.text() == "TEMPLATES")
                && let Expr::List(list) | Expr::Tuple(list) = Expr::of(value)
            {
                out.extend(list.children().filter_map(|entry| backend(values, file, entry)));
            }
        }
    }
    out
}

/// The entries of a dict literal.
fn pairs<'a>(node: Node<'a>) -> Vec<(String, Node<'a>)> {
    let Expr::Dict(dict) = Expr::of(node) else { return Vec::new() };
    let pair = |pair: Node<'a>| Some((string_value(pair.child(Field::Key)?)?, pair.child(Field::Value)?));
    dict.children().filter(|child| child.kind() == Kind::Pair).filter_map(pair).collect()
}

fn strings(node: Node<'_>) -> Vec<String> {
    node.descendants().filter(|n| n.kind() == Kind::Str).filter_map(string_value).collect()
}

fn mapping(node: Node<'_>) -> Vec<(String, String)> {
    pairs(node).into_iter().filter_map(|(name, value)| Some((name, string_value(value)?))).collect()
}

fn backend<'a>(values: Values<'a>, file: FileId, entry: Node<'a>) -> Option<Backend> {
    if !matches!(Expr::of(entry), Expr::Dict(_)) {
        return None;
    }
    let mut out = Backend { file, ..Backend::default() };
    for (key, value) in pairs(entry) {
        match key.as_str() {
            "BACKEND" => out.engine = values.string(file, value).unwrap_or_default(),
            "DIRS" => out.dirs = dirs(values, file, value, 0),
            "OPTIONS" => {
                for (key, value) in pairs(value) {
                    match key.as_str() {
                        "context_processors" => out.context_processors = strings(value),
                        "builtins" => out.builtins = strings(value),
                        "libraries" => out.libraries = mapping(value),
                        "loaders" => out.loaders = strings(value),
                        "environment" => out.environment = values.string(file, value),
                        "globals" => out.globals = mapping(value),
                        "filters" => out.filters = mapping(value),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Some(out)
}

fn dirs<'a>(values: Values<'a>, file: FileId, node: Node<'a>, depth: usize) -> Vec<String> {
    if depth > MAX_HOPS {
        return Vec::new();
    }
    match Expr::of(node) {
        Expr::List(list) | Expr::Tuple(list) => list
            .children()
            .flat_map(|item| match Expr::of(item) {
                Expr::Starred(inner) => dirs(values, file, inner, depth + 1),
                _ => end_of_path(values, file, item, 0).into_iter().collect(),
            })
            .collect(),
        Expr::BinOp { left, op: Kind::Add, right } => {
            [dirs(values, file, left, depth + 1), dirs(values, file, right, depth + 1)].concat()
        }
        Expr::Name(_) | Expr::Attribute { .. } => match values.program.resolve_expr(file, node.id()) {
            Some(Def::Variable { file, value: Some(value) }) => {
                dirs(values, file, values.node(file, value), depth + 1)
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The literal end of a path: `a/b` of `BASE_DIR / "a" / "b"` and of `os.path.join(BASE_DIR, "a", "b")`. Nothing where
/// no part is literal.
fn end_of_path<'a>(values: Values<'a>, file: FileId, node: Node<'a>, depth: usize) -> Option<String> {
    if depth > MAX_HOPS {
        return None;
    }
    let next = |node: Node<'a>| end_of_path(values, file, node, depth + 1);
    let join = |parts: Vec<Option<String>>| {
        let mut out = String::new();
        for part in parts {
            match part {
                // What comes before a part that is not known is of no use.
                None => out.clear(),
                Some(part) => out = format!("{out}/{part}"),
            }
        }
        Some(out)
    };
    let text = match Expr::of(node) {
        Expr::Str(_) => string_value(node)?,
        Expr::BinOp { left, op: Kind::Div, right } => join(vec![next(left), Some(next(right)?)])?,
        Expr::BinOp { left, op: Kind::Add, right } => {
            format!("{}{}", next(left).unwrap_or_default(), next(right)?)
        }
        Expr::Call { func, arguments: list } => {
            let name = func.text().rsplit('.').next().unwrap_or("");
            let list = arguments(list);
            match name {
                "join" | "joinpath" | "child" | "path" | "root" | "Path" | "str" => {
                    join(list.iter().map(|argument| next(argument.value)).collect())?
                }
                "abspath" | "realpath" | "normpath" | "fspath" => next(list.first()?.value)?,
                "resolve" | "absolute" | "as_posix" => match Expr::of(func) {
                    Expr::Attribute { value, .. } => next(value)?,
                    _ => return None,
                },
                _ => return None,
            }
        }
        Expr::Name(_) | Expr::Attribute { .. } => match values.program.resolve_expr(file, node.id())? {
            Def::Variable { file, value: Some(value) } => {
                end_of_path(values, file, values.node(file, value), depth + 1)?
            }
            _ => return None,
        },
        _ => return None,
    };
    let parts: Vec<&str> = text.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").collect();
    // Above the base directory nothing is known.
    let from = parts.iter().rposition(|part| *part == "..").map_or(0, |at| at + 1);
    let end = parts.get(from..)?.join("/");
    (!end.is_empty()).then_some(end)
}

/// The names of directories of templates that the text of a settings module gives, without parsing it: each string
/// behind `DIRS`, up to where its list ends.
pub fn named_dirs(bytes: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    if memchr::memmem::find(bytes, b"DIRS").is_none() {
        return out;
    }
    let text = String::from_utf8_lossy(bytes);
    for (at, _) in text.match_indices("DIRS\"").chain(text.match_indices("DIRS'")) {
        let rest = text.get(at + 5..).unwrap_or("");
        let list = rest.get(..rest.find(']').unwrap_or(0)).unwrap_or("");
        let mut parts = list.split(['"', '\'']);
        parts.next();
        while let Some(inside) = parts.next() {
            let name = inside.trim_matches('/');
            if !name.is_empty() && !name.contains(['\n', ',', '(']) {
                out.push(name.to_owned());
            }
            parts.next();
        }
    }
    out
}

/// The keyword or positional argument of a registration.
pub(super) fn text_argument<'a>(
    values: Values<'a>,
    file: FileId,
    call: &Call<'a>,
    name: &str,
    position: usize,
) -> Option<String> {
    values.string(file, call.argument(name, position)?)
}
