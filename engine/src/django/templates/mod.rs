//! Templates in Django's language and in Jinja2: what they read, with a span for every expression.
//!
//! One tree serves both languages, so that who evaluates it does so once. Text between tags is dropped. Parsing is
//! total: a tag that is not known keeps its name and its arguments, one that is wrong becomes a [`Problem`], and
//! nothing that a file can hold makes it panic, recurse without bound or take more than linear time.
//!
//! The parsers are our own because none that is published serves. `minijinja` has a kept-up Jinja parser, but it ends
//! at the first error and refuses each tag that it does not know, as the extensions of Jinja and all of Django's
//! tags are; the tree-sitter grammars for Jinja and for Django's language are made for highlighting, have one node for
//! a whole tag or know a fixed list of tags, and Django's is on no registry; `oak-django` and `dtl` are sketches.
//! Both languages are small and have not changed for years, and their lexers here follow Django's `tag_re` and
//! `smart_split` and Jinja's `lexer.py` to the letter.

mod ast;
mod backends;
mod django_expr;
mod django_tags;
mod index;
#[cfg(test)]
mod index_tests;
mod jinja_expr;
mod jinja_literal;
mod jinja_tags;
mod lex;
mod libraries;
mod parse;
#[cfg(test)]
mod property_tests;
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
