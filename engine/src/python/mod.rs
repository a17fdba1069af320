//! Python, no Django: parse, arena, views, scopes, imports, emit.

mod ast;
mod change;
pub mod emit;
mod imports;
mod kind;
mod known;
mod lines;
mod link;
mod modules;
mod packed;
mod parse;
pub(crate) mod per_file;
mod program;
mod search_path;
mod symbols;
#[cfg(test)]
mod tests;
pub(crate) mod touched;
mod view;

pub(crate) use change::Extent;

pub use ast::{Ast, Node, NodeId};
pub use emit::insert_imports;
pub use kind::{Field, Kind};
pub use known::{canonical, is_models_export};
pub use lines::{loose_newline, reused_quotes};
pub use link::Rebase;
pub use modules::{KNOWN_ROOT, is_framework};
pub use parse::parse;
pub use program::{Binding, Class, ClassId, Def, File, Function, FunctionId, Member, Parsed, Program};
pub use view::{
    Argument, Expr, Generator, Handler, Parameter, ParameterKind, Stmt, arguments, generators,
    innermost_loop, is_super, parameters, string_value,
};
