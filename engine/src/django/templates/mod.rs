//! Templates in Django's language and in Jinja2: what they read, with a span for every expression.
//!
//! One tree serves both languages, so that who evaluates it does so once. Text between tags is dropped. Parsing is
//! total: a tag that is not known keeps its name and its arguments, one that is wrong becomes a [`Problem`], and
//! nothing that a file can hold makes it panic or recurse without bound.
//!
//! The parsers are our own because none that is published serves both needs, spans for each expression and good will
//! towards tags that are not known. `minijinja` has a kept-up Jinja parser, but it ends at the first error and refuses
//! the tags of extensions; a tree-sitter grammar cannot pair the tags that a project defines, for whether one is a block
//! shows only in the rest of the file, and none for Django's language is on crates.io; `oak-django` and `dtl` have
//! not come beyond 0.0. Both languages are small, and their lexers here follow Django's `tag_re` and `smart_split` and
//! Jinja's `lexer.py`.

mod ast;
mod backends;
mod django_expr;
mod django_tags;
mod index;
mod jinja_expr;
mod jinja_literal;
mod jinja_tags;
mod language;
mod lex;
mod libraries;
mod parse;
#[cfg(test)]
mod tests;
mod walk;

pub use ast::{
    Arg, ArgKind, Binding, Expr, ExprKind, Language, Node, NodeKind, Operator, Param, Problem, ProblemKind,
    Section, Tag, Target, Template,
};
pub use backends::{Backend, named_dirs};
pub use index::{Found, Templates, absolute_name, is_template_path};
pub use lex::has_tags;
pub use libraries::{Custom, CustomKind, Libraries};
pub use parse::parse;
