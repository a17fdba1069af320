//! What code outside the program may do when it is called.

use super::analyzer::Analyzer;
use super::calls::{Arg, short};
use super::external::{self, Effect};
use super::facts::{Escape, EventKind, Write};
use super::frame::Frame;
use super::types::{Name, Type};
use crate::python::{Def, Expr, FunctionId, Node};
use std::sync::Arc;

/// What `connection.cursor()` gives.
const CURSOR: &str = "django.db.backends.cursor";

impl Analyzer<'_> {
    /// The methods of handlers and filters that are given the records of logs.
    fn seeing_records(&self) -> Arc<Vec<FunctionId>> {
        let program = self.project.program();
        let is_given = |function: &FunctionId| {
            let class = program.function(*function).class.map(|class| program.class(class));
            class.is_some_and(|class| class.external_bases.iter().any(|base| base.starts_with("logging.")))
        };
        self.once("methods that see records of logs", || {
            let named =
                ["emit", "filter", "format", "handle"].into_iter().flat_map(|n| program.functions_named(n));
            named.copied().filter(is_given).collect()
        })
    }
}

impl<'a> Frame<'a, '_> {
    /// Handlers and filters of the program see every record.
    pub(super) fn logged(&mut self, node: Node<'a>) {
        for function in self.az.seeing_records().iter() {
            self.call_function(*function, None, &[], node);
        }
    }

    pub(super) fn external_effect(&mut self, path: &str, args: &[Arg<'a>], node: Node<'a>) {
        // `cache.get_or_set(key, load)`, `partial(load)`: what is handed over may be called.
        self.conditionally(|frame| {
            for arg in args {
                match arg.ty.clone() {
                    Type::Def(Def::Function(function)) => {
                        frame.call_function(function, None, &[], node);
                    }
                    Type::Local(id) => {
                        let def = frame.scope.at(id);
                        frame.call_local(def, &[], Some(node));
                    }
                    Type::Callable(callable) => {
                        frame.call_made(&callable, &[], node, node);
                    }
                    _ => {}
                }
            }
        });
        let kind = match external::effect(path) {
            Effect::Pure => None,
            Effect::Log => {
                for arg in args {
                    // `logger.debug("%s", row)` makes text where the level is on (`LogRecord.getMessage`).
                    match path.starts_with("logging.") {
                        true => self.conditionally(|frame| frame.stringify(&arg.ty.clone(), arg.node)),
                        false => self.stringify(&arg.ty.clone(), arg.node),
                    }
                }
                self.logged(node);
                Some(EventKind::Log)
            }
            Effect::Renders => {
                for arg in args {
                    self.escape(&arg.ty.clone(), arg.node, Escape::External);
                }
                self.rendered_by(path, args, node);
                Some(EventKind::Query { model: None })
            }
            Effect::Outside | Effect::Unknown => {
                for arg in args {
                    self.escape(&arg.ty.clone(), arg.node, Escape::External);
                }
                Some(EventKind::Outside { name: Name::from(path) })
            }
            Effect::Anything => {
                for arg in args {
                    self.escape(&arg.ty.clone(), arg.node, Escape::External);
                }
                if path.starts_with("importlib") || path.starts_with("builtins.e") {
                    let text = match Expr::of(node) {
                        Expr::Call { func, .. } => short(func.text()),
                        _ => path,
                    };
                    self.event(node, EventKind::UnknownCall { name: Name::from(text) });
                    return;
                }
                self.event(node, EventKind::Outside { name: Name::from(path) });
                let reads = match path.strip_prefix(CURSOR) {
                    Some(".execute") => args.first().is_some_and(|sql| {
                        // `sql = "SELECT ..."`, once.
                        let text = match Expr::of(sql.node) {
                            Expr::Name(name) => super::rendering::assigned_once(self.scope, name),
                            _ => None,
                        };
                        is_select(text.unwrap_or(sql.node))
                    }),
                    Some(name) => matches!(name, ".fetchone" | ".fetchmany" | ".fetchall"),
                    None => false,
                };
                Some(match reads {
                    true => EventKind::Query { model: None },
                    false => EventKind::Write { model: None, write: Write::Other },
                })
            }
            Effect::Transaction => {
                Some(EventKind::Transaction { name: Name::from(path.rsplit('.').next().unwrap_or(path)) })
            }
        };
        if let Some(kind) = kind {
            self.event(node, kind);
        } else {
            for arg in args {
                self.escape(&arg.ty.clone(), arg.node, Escape::External);
            }
        }
        // A function handed to a library may be called by it.
        for arg in args {
            if let Type::Local(id) = arg.ty {
                let def = self.scope.at(id);
                self.conditionally(|frame| frame.call_local(def, &[], None));
            }
        }
    }
}

/// Whether an external thing was reached through a model's `_meta`.
pub(super) fn within_options(path: &str) -> bool {
    path.starts_with("django.db.models.options.Options.")
}

/// Whether SQL that is written out, but for what an f-string puts into it, reads rows of tables and writes none.
fn is_select(sql: Node<'_>) -> bool {
    if !matches!(Expr::of(sql), Expr::Str(_) | Expr::JoinedStr(_)) {
        return false;
    }
    let text = sql.text().to_ascii_lowercase();
    let text = text.trim_start_matches(|c: char| "rbuf\"'".contains(c));
    let has = |word: &str| text.split_whitespace().any(|w| w == word);
    text.trim_start().starts_with("select") && has("from") && !has("into") && !text.contains(';')
}
