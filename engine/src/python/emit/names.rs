//! Names, quotes and parentheses.

use crate::python::{Field, File, Kind, Node};

/// The quote that most string literals of the file use: `"` where none tells. Docstrings and other triple-quoted
/// strings say nothing of the house's taste.
pub fn quote_of(file: &File) -> char {
    let (mut single, mut double) = (0usize, 0usize);
    for node in file.root().descendants().filter(|n| n.kind() == Kind::StrStart) {
        let quotes = node.text().trim_start_matches(|c: char| c.is_ascii_alphabetic());
        match quotes {
            "'" => single += 1,
            "\"" => double += 1,
            _ => {}
        }
    }
    if single > double { '\'' } else { '"' }
}

/// `value` as a string literal.
pub fn string_literal(value: &str, quote: char) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push(quote);
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// Whether a name is a keyword everywhere, so that nothing can be called by it ("Keywords" in Python's lexical analysis).
pub fn is_keyword(name: &str) -> bool {
    matches!(
        name,
        "False"
            | "None"
            | "True"
            | "and"
            | "as"
            | "assert"
            | "async"
            | "await"
            | "break"
            | "class"
            | "continue"
            | "def"
            | "del"
            | "elif"
            | "else"
            | "except"
            | "finally"
            | "for"
            | "from"
            | "global"
            | "if"
            | "import"
            | "in"
            | "is"
            | "lambda"
            | "nonlocal"
            | "not"
            | "or"
            | "pass"
            | "raise"
            | "return"
            | "try"
            | "while"
            | "with"
            | "yield"
    )
}

/// A name like `wanted` that nothing in `scope` (a function or module) binds or reads, and that is no keyword: `wanted`, then
/// `wanted_2`, `wanted_3` ...
pub fn fresh_name(scope: Node<'_>, wanted: &str) -> String {
    numbered(wanted, |name| is_keyword(name) || scope.has_name(name))
}

/// The first of `wanted`, `wanted_2`, `wanted_3` ... that is not taken.
pub fn numbered(wanted: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut name = wanted.to_owned();
    let mut next = 2;
    while is_taken(&name) {
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
    BitOr,
    BitXor,
    BitAnd,
    Shift,
    Sum,
    Product,
    Unary,
    Power,
    Await,
    Atom,
}

impl Precedence {
    /// That of an expression as it is written, its own parentheses counted.
    pub fn of(node: Node<'_>) -> Precedence {
        match node.kind() {
            Kind::NamedExpr | Kind::Yield => Precedence::NamedExpr,
            Kind::Lambda => Precedence::Lambda,
            Kind::IfExp => Precedence::IfExp,
            Kind::BoolOp => match node.child(Field::Operator).map(Node::kind) {
                Some(Kind::Or) => Precedence::Or,
                _ => Precedence::And,
            },
            Kind::Not => Precedence::Not,
            Kind::Compare => Precedence::Compare,
            Kind::BinOp => node.child(Field::Operator).map_or(Precedence::BitOr, |op| operator(op.kind())),
            Kind::UnaryOp => Precedence::Unary,
            Kind::Await => Precedence::Await,
            Kind::ExprList => Precedence::NamedExpr,
            _ => Precedence::Atom,
        }
    }
}

fn operator(kind: Kind) -> Precedence {
    match kind {
        Kind::BitOr => Precedence::BitOr,
        Kind::BitXor => Precedence::BitXor,
        Kind::BitAnd => Precedence::BitAnd,
        Kind::LShift | Kind::RShift => Precedence::Shift,
        Kind::Add | Kind::Sub => Precedence::Sum,
        Kind::Pow => Precedence::Power,
        _ => Precedence::Product,
    }
}

/// `text`, an expression of precedence `of`, as it must be written in the place of `node`: with parentheses if what
/// surrounds `node` binds more strongly.
pub fn parenthesized(node: Node<'_>, text: &str, of: Precedence) -> String {
    if of < wanted(node) { format!("({text})") } else { text.to_owned() }
}

/// The loosest precedence that may stand unparenthesized in the place of `node`.
fn wanted(node: Node<'_>) -> Precedence {
    let Some(parent) = node.parent() else { return Precedence::NamedExpr };
    let above = |p: Precedence| match p {
        Precedence::Or => Precedence::And,
        Precedence::And => Precedence::Not,
        Precedence::Compare => Precedence::BitOr,
        Precedence::BitOr => Precedence::BitXor,
        Precedence::BitXor => Precedence::BitAnd,
        Precedence::BitAnd => Precedence::Shift,
        Precedence::Shift => Precedence::Sum,
        Precedence::Sum => Precedence::Product,
        Precedence::Product => Precedence::Unary,
        _ => Precedence::Atom,
    };
    match parent.kind() {
        Kind::Not => Precedence::Not,
        Kind::BoolOp => {
            let own = Precedence::of(parent);
            if node.field() == Field::Left { own } else { above(own) }
        }
        Kind::Compare => Precedence::BitOr,
        Kind::BinOp => {
            let own = Precedence::of(parent);
            match (own, node.field()) {
                (Precedence::Power, Field::Left) => Precedence::Await,
                (Precedence::Power, _) => Precedence::Unary,
                (_, Field::Left) => own,
                _ => above(own),
            }
        }
        Kind::UnaryOp => Precedence::Unary,
        Kind::Await => Precedence::Atom,
        Kind::Attribute | Kind::Subscript if matches!(node.field(), Field::Object | Field::Value) => {
            Precedence::Atom
        }
        Kind::Call if node.field() == Field::Function => Precedence::Atom,
        // The condition of a conditional expression and its body bind above it; the `else` part does not.
        Kind::IfExp => match parent.children().position(|c| c == node) {
            Some(0 | 1) => Precedence::Or,
            _ => Precedence::Lambda,
        },
        Kind::CompFor | Kind::CompIf => Precedence::Or,
        Kind::Starred | Kind::DictSplat => Precedence::BitOr,
        Kind::Interpolation
        | Kind::KeywordArgument
        | Kind::Arguments
        | Kind::Pair
        | Kind::DefaultParameter => Precedence::Lambda,
        Kind::ExprStatement | Kind::Assign | Kind::AugAssign => Precedence::Lambda,
        _ => Precedence::Lambda,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::parse;

    fn in_place(text: &str, of: Precedence) -> String {
        let ast = parse(text);
        let node = ast.root(text).descendants().find(|n| n.kind() == Kind::Name && n.text() == "X").unwrap();
        parenthesized(node, "new", of)
    }

    #[test]
    fn parentheses_where_the_place_binds_tighter() {
        assert_eq!(in_place("if X: pass\n", Precedence::Not), "new");
        assert_eq!(in_place("if a and X: pass\n", Precedence::Not), "new");
        assert_eq!(in_place("if a == X: pass\n", Precedence::Not), "(new)");
        assert_eq!(in_place("not X\n", Precedence::Not), "new");
        assert_eq!(in_place("X.y\n", Precedence::Sum), "(new)");
        assert_eq!(in_place("a - X\n", Precedence::Sum), "(new)");
        assert_eq!(in_place("X - a\n", Precedence::Sum), "new");
        assert_eq!(in_place("f(X)\n", Precedence::IfExp), "new");
        assert_eq!(in_place("a if X else b\n", Precedence::IfExp), "(new)");
        assert_eq!(in_place("(X).y\n", Precedence::Not), "new");
        assert_eq!(in_place("x = X\n", Precedence::Compare), "new");
    }

    #[test]
    fn literals_are_escaped() {
        assert_eq!(string_literal("it's", '\''), "'it\\'s'");
        assert_eq!(string_literal("a", '"'), "\"a\"");
    }
}
