//! Python, no Django: parse, arena, views, scopes, imports, emit.

mod ast;
mod kind;
mod parse;
mod program;
mod view;

pub use ast::{Ast, Node, NodeId};
pub use kind::{Field, Kind};
pub use parse::parse;
pub use program::{Binding, Class, ClassId, Def, File, Function, FunctionId, Member, Program};
pub use view::{
    Argument, Expr, Generator, Handler, Parameter, ParameterKind, Stmt, arguments, generators, parameters,
    string_value,
};
