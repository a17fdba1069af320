//! Typed views of arena nodes. They decode on demand and peel parentheses in one place.

use super::ast::Node;
use super::kind::{Field, Kind};

/// An expression, parentheses peeled.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Expr<'a> {
    Name(&'a str),
    Attribute {
        value: Node<'a>,
        attr: &'a str,
        attr_node: Node<'a>,
    },
    /// `arguments` is an argument list, or a bare generator expression.
    Call {
        func: Node<'a>,
        arguments: Node<'a>,
    },
    /// `x[index]`; the first index only, `count` says how many there are.
    Subscript {
        value: Node<'a>,
        index: Node<'a>,
        count: usize,
    },
    Slice {
        node: Node<'a>,
    },
    BoolOp {
        left: Node<'a>,
        op: Kind,
        right: Node<'a>,
    },
    BinOp {
        left: Node<'a>,
        op: Kind,
        right: Node<'a>,
    },
    UnaryOp {
        op: Kind,
        operand: Node<'a>,
    },
    Not(Node<'a>),
    /// A comparison with one operator; a chained one is [`Expr::CompareChain`].
    Compare {
        left: Node<'a>,
        op: Kind,
        right: Node<'a>,
    },
    CompareChain {
        node: Node<'a>,
    },
    IfExp {
        body: Node<'a>,
        test: Node<'a>,
        orelse: Node<'a>,
    },
    Lambda {
        parameters: Option<Node<'a>>,
        body: Node<'a>,
    },
    /// A list, set, dict comprehension or generator expression; see [`generators`](Expr::generators).
    Comp {
        node: Node<'a>,
        element: Node<'a>,
    },
    Tuple(Node<'a>),
    List(Node<'a>),
    Set(Node<'a>),
    Dict(Node<'a>),
    /// A string without interpolations, adjacent ones joined; `bytes` too.
    Str(Node<'a>),
    /// An f-string (or t-string), possibly joined with others.
    JoinedStr(Node<'a>),
    Int(&'a str),
    Float,
    True,
    False,
    None,
    Ellipsis,
    Await(Node<'a>),
    Yield {
        node: Node<'a>,
        value: Option<Node<'a>>,
        is_from: bool,
    },
    NamedExpr {
        target: Node<'a>,
        value: Node<'a>,
    },
    Starred(Node<'a>),
    Other(Node<'a>),
}

/// One argument of a call.
#[derive(Clone, Copy, Debug)]
pub struct Argument<'a> {
    /// The keyword, if any.
    pub name: Option<&'a str>,
    /// The value; without the star of `*args`, `**kwargs`.
    pub value: Node<'a>,
    /// 1 for `*args`, 2 for `**kwargs`.
    pub stars: u8,
    /// The whole argument.
    pub node: Node<'a>,
}

/// One `for` of a comprehension with the conditions that follow it.
#[derive(Clone, Debug)]
pub struct Generator<'a> {
    /// The `for` clause.
    pub node: Node<'a>,
    /// `async for`
    pub is_async: bool,
    /// What is bound.
    pub target: Node<'a>,
    /// What is iterated.
    pub iter: Node<'a>,
    /// The conditions.
    pub conditions: Vec<Node<'a>>,
}

/// The arguments of a call's argument list (or bare generator expression).
pub fn arguments<'a>(node: Node<'a>) -> Vec<Argument<'a>> {
    if node.kind() == Kind::GeneratorExp {
        return vec![Argument { name: None, value: node, stars: 0, node }];
    }
    node.children()
        .map(|child| match child.kind() {
            Kind::KeywordArgument => Argument {
                name: child.child(Field::Name).map(Node::text),
                value: child.child(Field::Value).unwrap_or(child),
                stars: 0,
                node: child,
            },
            Kind::Starred | Kind::DictSplat => Argument {
                name: None,
                value: child.children().next().unwrap_or(child),
                stars: if child.kind() == Kind::Starred { 1 } else { 2 },
                node: child,
            },
            _ => Argument { name: None, value: child, stars: 0, node: child },
        })
        .collect()
}

impl<'a> Expr<'a> {
    /// The view of `node`, parentheses peeled.
    pub fn of(node: Node<'a>) -> Expr<'a> {
        let node = node.peel();
        Self::decode(node).unwrap_or(Expr::Other(node))
    }

    fn decode(node: Node<'a>) -> Option<Expr<'a>> {
        let mut children = node.children();
        Some(match node.kind() {
            Kind::Name => Expr::Name(node.text()),
            Kind::Attribute => {
                let attr_node = node.child(Field::Attribute)?;
                Expr::Attribute { value: node.child(Field::Object)?, attr: attr_node.text(), attr_node }
            }
            Kind::Call => {
                Expr::Call { func: node.child(Field::Function)?, arguments: node.child(Field::Arguments)? }
            }
            Kind::Subscript => {
                let count = node.children_in(Field::Subscript).count();
                Expr::Subscript {
                    value: node.child(Field::Value)?,
                    index: node.child(Field::Subscript)?,
                    count,
                }
            }
            Kind::GenericType => {
                // `list[Book]` inside an annotation.
                let value = children.next()?;
                let parameters = children.next()?;
                let count = parameters.children().count();
                Expr::Subscript { value, index: parameters.children().next()?, count }
            }
            Kind::Slice => Expr::Slice { node },
            Kind::BoolOp => Expr::BoolOp {
                left: node.child(Field::Left)?,
                op: node.child(Field::Operator)?.kind(),
                right: node.child(Field::Right)?,
            },
            Kind::BinOp => Expr::BinOp {
                left: node.child(Field::Left)?,
                op: node.child(Field::Operator)?.kind(),
                right: node.child(Field::Right)?,
            },
            Kind::UnionType => {
                Expr::BinOp { left: children.next()?, op: Kind::BitOr, right: children.next()? }
            }
            Kind::UnaryOp => Expr::UnaryOp {
                op: node.child(Field::Operator)?.kind(),
                operand: node.child(Field::Argument)?,
            },
            Kind::Not => Expr::Not(node.child(Field::Argument)?),
            Kind::Compare => {
                let left = children.next()?;
                let right = children.next()?;
                if children.next().is_some() {
                    Expr::CompareChain { node }
                } else {
                    Expr::Compare { left, op: node.token()?, right }
                }
            }
            Kind::IfExp => {
                Expr::IfExp { body: children.next()?, test: children.next()?, orelse: children.next()? }
            }
            Kind::Lambda => {
                Expr::Lambda { parameters: node.child(Field::Parameters), body: node.child(Field::Body)? }
            }
            Kind::ListComp | Kind::SetComp | Kind::DictComp | Kind::GeneratorExp => {
                Expr::Comp { node, element: node.child(Field::Body)? }
            }
            Kind::Tuple | Kind::ExprList | Kind::PatternList | Kind::TuplePattern => Expr::Tuple(node),
            Kind::List | Kind::ListPattern => Expr::List(node),
            Kind::Set => Expr::Set(node),
            Kind::Dict => Expr::Dict(node),
            Kind::Str | Kind::ConcatStr => {
                if node.descendants().any(|n| n.kind() == Kind::Interpolation) {
                    Expr::JoinedStr(node)
                } else {
                    Expr::Str(node)
                }
            }
            Kind::Int => Expr::Int(node.text()),
            Kind::Float => Expr::Float,
            Kind::True => Expr::True,
            Kind::False => Expr::False,
            Kind::None => Expr::None,
            Kind::Ellipsis => Expr::Ellipsis,
            Kind::Await => Expr::Await(children.next()?),
            Kind::Yield => Expr::Yield {
                node,
                value: children.next(),
                is_from: node.child_of_kind(Kind::From).is_some(),
            },
            Kind::NamedExpr => {
                Expr::NamedExpr { target: node.child(Field::Name)?, value: node.child(Field::Value)? }
            }
            Kind::Starred | Kind::SplatPattern => Expr::Starred(children.next()?),
            _ => return None,
        })
    }
}

/// The innermost `for` or `while` statement around a node.
pub fn innermost_loop(node: Node<'_>) -> Option<Node<'_>> {
    node.ancestors().find(|a| matches!(a.kind(), Kind::For | Kind::While))
}

/// The `for` clauses of a comprehension, outermost first, each with its conditions.
pub fn generators<'a>(comprehension: Node<'a>) -> Vec<Generator<'a>> {
    let mut out: Vec<Generator<'a>> = Vec::new();
    for child in comprehension.children() {
        match child.kind() {
            Kind::CompFor => {
                let (Some(target), Some(iter)) = (child.child(Field::Left), child.child(Field::Right)) else {
                    continue;
                };
                out.push(Generator {
                    node: child,
                    is_async: child.is_async(),
                    target,
                    iter,
                    conditions: Vec::new(),
                });
            }
            Kind::CompIf => {
                if let (Some(last), Some(test)) = (out.last_mut(), child.children().next()) {
                    last.conditions.push(test);
                }
            }
            _ => {}
        }
    }
    out
}

/// A statement.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Stmt<'a> {
    Expr(Node<'a>),
    /// `a = b = value`: targets left to right. An annotation without value has no `value`.
    Assign {
        targets: Vec<Node<'a>>,
        value: Option<Node<'a>>,
        annotation: Option<Node<'a>>,
    },
    AugAssign {
        target: Node<'a>,
        op: Kind,
        value: Node<'a>,
    },
    Return(Option<Node<'a>>),
    Delete(Vec<Node<'a>>),
    Raise(Vec<Node<'a>>),
    Assert(Vec<Node<'a>>),
    /// Every test with its block in order, then the else block.
    If {
        branches: Vec<(Node<'a>, Node<'a>)>,
        orelse: Option<Node<'a>>,
    },
    For {
        is_async: bool,
        target: Node<'a>,
        iter: Node<'a>,
        body: Node<'a>,
        orelse: Option<Node<'a>>,
    },
    While {
        test: Node<'a>,
        body: Node<'a>,
        orelse: Option<Node<'a>>,
    },
    Try {
        body: Node<'a>,
        handlers: Vec<Handler<'a>>,
        orelse: Option<Node<'a>>,
        finally: Option<Node<'a>>,
    },
    /// Every item as (context expression, what it is bound to).
    With {
        is_async: bool,
        items: Vec<(Node<'a>, Option<Node<'a>>)>,
        body: Node<'a>,
    },
    Match {
        subject: Node<'a>,
        cases: Vec<Node<'a>>,
    },
    FunctionDef {
        def: Node<'a>,
        decorators: Vec<Node<'a>>,
    },
    ClassDef {
        def: Node<'a>,
        decorators: Vec<Node<'a>>,
    },
    Import(Node<'a>),
    Global(Vec<&'a str>),
    Pass,
    Break,
    Continue,
    /// Anything else, broken statements included: nothing is known of what it does.
    Other(Node<'a>),
}

/// An `except` clause.
#[derive(Clone, Copy, Debug)]
pub struct Handler<'a> {
    /// The clause.
    pub node: Node<'a>,
    /// The exception class or tuple; `None` for a bare `except:`.
    pub class: Option<Node<'a>>,
    /// The name it is bound to.
    pub name: Option<&'a str>,
    /// What it does.
    pub body: Node<'a>,
}

impl<'a> Stmt<'a> {
    /// The view of a statement node.
    pub fn of(node: Node<'a>) -> Stmt<'a> {
        if node.has_error() && !matches!(node.kind(), Kind::FunctionDef | Kind::ClassDef | Kind::DecoratedDef)
        {
            return Stmt::Other(node);
        }
        Self::decode(node).unwrap_or(Stmt::Other(node))
    }

    fn decode(node: Node<'a>) -> Option<Stmt<'a>> {
        let orelse = || {
            node.children_in(Field::Alternative)
                .chain(node.children())
                .find(|c| c.kind() == Kind::Else)
                .and_then(|c| c.child(Field::Body))
        };
        Some(match node.kind() {
            Kind::ExprStatement => {
                let mut children = node.children();
                let only = children.next()?;
                if children.next().is_some() {
                    return Some(Stmt::Expr(node));
                }
                match only.kind() {
                    Kind::Assign => decode_assign(only)?,
                    Kind::AugAssign => Stmt::AugAssign {
                        target: only.child(Field::Left)?,
                        op: only.child(Field::Operator)?.kind(),
                        value: only.child(Field::Right)?,
                    },
                    _ => Stmt::Expr(only),
                }
            }
            Kind::Return => Stmt::Return(node.children().next()),
            Kind::Delete => Stmt::Delete(
                node.children()
                    .flat_map(|c| if c.kind() == Kind::ExprList { c.children().collect() } else { vec![c] })
                    .collect(),
            ),
            Kind::Raise => Stmt::Raise(node.children().collect()),
            Kind::Assert => Stmt::Assert(node.children().collect()),
            Kind::If => {
                let mut branches = vec![(node.child(Field::Condition)?, node.child(Field::Consequence)?)];
                for clause in node.children().filter(|c| c.kind() == Kind::Elif) {
                    branches.push((clause.child(Field::Condition)?, clause.child(Field::Consequence)?));
                }
                Stmt::If { branches, orelse: orelse() }
            }
            Kind::For => Stmt::For {
                is_async: node.is_async(),
                target: node.child(Field::Left)?,
                iter: node.child(Field::Right)?,
                body: node.child(Field::Body)?,
                orelse: orelse(),
            },
            Kind::While => Stmt::While {
                test: node.child(Field::Condition)?,
                body: node.child(Field::Body)?,
                orelse: orelse(),
            },
            Kind::Try => {
                let mut handlers = Vec::new();
                let mut finally = None;
                for clause in node.children() {
                    match clause.kind() {
                        Kind::ExceptHandler => handlers.push(decode_handler(clause)?),
                        Kind::Finally => finally = clause.child_of_kind(Kind::Block),
                        _ => {}
                    }
                }
                Stmt::Try { body: node.child(Field::Body)?, handlers, orelse: orelse(), finally }
            }
            Kind::With => {
                let clause = node.child_of_kind(Kind::WithClause)?;
                let mut items = Vec::new();
                for item in clause.descendants().filter(|n| n.kind() == Kind::WithItem) {
                    let value = item.child(Field::Value)?;
                    if value.kind() == Kind::AsPattern {
                        let context = value.children().next()?;
                        let target = value.child(Field::Alias).and_then(|t| t.children().next());
                        items.push((context, target));
                    } else {
                        items.push((value, None));
                    }
                }
                Stmt::With { is_async: node.is_async(), items, body: node.child(Field::Body)? }
            }
            Kind::Match => Stmt::Match {
                subject: node.child(Field::Subject)?,
                cases: node.child(Field::Body)?.children().filter(|c| c.kind() == Kind::MatchCase).collect(),
            },
            Kind::FunctionDef => Stmt::FunctionDef { def: node, decorators: Vec::new() },
            Kind::ClassDef => Stmt::ClassDef { def: node, decorators: Vec::new() },
            Kind::DecoratedDef => {
                let def = node.child(Field::Definition)?;
                let decorators = node
                    .children()
                    .filter(|c| c.kind() == Kind::Decorator)
                    .filter_map(|c| c.children().next())
                    .collect();
                match def.kind() {
                    Kind::FunctionDef => Stmt::FunctionDef { def, decorators },
                    _ => Stmt::ClassDef { def, decorators },
                }
            }
            Kind::Import | Kind::ImportFrom => Stmt::Import(node),
            Kind::Global | Kind::Nonlocal => Stmt::Global(node.children().map(Node::text).collect()),
            Kind::Pass => Stmt::Pass,
            Kind::Break => Stmt::Break,
            Kind::Continue => Stmt::Continue,
            _ => return None,
        })
    }
}

fn decode_assign<'a>(node: Node<'a>) -> Option<Stmt<'a>> {
    let annotation = node.child(Field::Type);
    let mut targets = vec![node.child(Field::Left)?];
    let mut value = node.child(Field::Right);
    while let Some(inner) = value.filter(|v| v.kind() == Kind::Assign) {
        targets.push(inner.child(Field::Left)?);
        value = inner.child(Field::Right);
    }
    Some(Stmt::Assign { targets, value, annotation })
}

fn decode_handler<'a>(clause: Node<'a>) -> Option<Handler<'a>> {
    let body = clause.child_of_kind(Kind::Block)?;
    let mut class =
        clause.child(Field::Value).or_else(|| clause.children().find(|c| c.kind() != Kind::Block));
    let mut name = clause.child(Field::Alias).map(Node::text);
    if let Some(pattern) = class.filter(|c| c.kind() == Kind::AsPattern) {
        class = pattern.children().next();
        name = pattern.child(Field::Alias).map(Node::text);
    }
    Some(Handler { node: clause, class, name, body })
}

/// How a parameter takes its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ParameterKind {
    PositionalOnly,
    PositionalOrKeyword,
    VarPositional,
    KeywordOnly,
    VarKeyword,
}

/// A parameter of a function or lambda.
#[derive(Clone, Copy, Debug)]
pub struct Parameter<'a> {
    /// Its name.
    pub name: &'a str,
    /// The node of the name.
    pub name_node: Node<'a>,
    /// How it is passed.
    pub kind: ParameterKind,
    /// The annotation.
    pub annotation: Option<Node<'a>>,
    /// The default.
    pub default: Option<Node<'a>>,
}

/// The parameters of a function definition or lambda.
pub fn parameters<'a>(function: Node<'a>) -> Vec<Parameter<'a>> {
    let Some(list) = function.child(Field::Parameters) else { return Vec::new() };
    let mut out: Vec<Parameter<'a>> = Vec::new();
    let mut kind = ParameterKind::PositionalOrKeyword;
    for child in list.children() {
        let (name_node, annotation, default) = match child.kind() {
            Kind::PositionalSeparator => {
                for p in &mut out {
                    p.kind = ParameterKind::PositionalOnly;
                }
                continue;
            }
            Kind::KeywordSeparator => {
                kind = ParameterKind::KeywordOnly;
                continue;
            }
            Kind::TypedParameter => (child.children().next(), child.child(Field::Type), None),
            Kind::DefaultParameter => (child.child(Field::Name), None, child.child(Field::Value)),
            Kind::TypedDefaultParameter => {
                (child.child(Field::Name), child.child(Field::Type), child.child(Field::Value))
            }
            _ => (Some(child), None, None),
        };
        let Some(mut name_node) = name_node else { continue };
        let mut this = kind;
        match name_node.kind() {
            Kind::SplatPattern => {
                this = ParameterKind::VarPositional;
                kind = ParameterKind::KeywordOnly;
                name_node = name_node.children().next().unwrap_or(name_node);
            }
            Kind::DictSplatPattern => {
                this = ParameterKind::VarKeyword;
                name_node = name_node.children().next().unwrap_or(name_node);
            }
            _ => {}
        }
        out.push(Parameter { name: name_node.text(), name_node, kind: this, annotation, default });
    }
    out
}

/// Whether an expression is `super()`, with or without arguments.
pub fn is_super(node: Node<'_>) -> bool {
    matches!(Expr::of(node.peel()), Expr::Call { func, .. } if func.text() == "super")
}

/// The value of a string literal: no f-string, no bytes; adjacent literals joined. `None` for one with an
/// escape other than the simple ones.
pub fn string_value(node: Node<'_>) -> Option<String> {
    let node = node.peel();
    match node.kind() {
        Kind::ConcatStr => {
            let mut out = String::new();
            for part in node.children() {
                out.push_str(&string_value(part)?);
            }
            Some(out)
        }
        Kind::Str => {
            let prefix = node.child_of_kind(Kind::StrStart)?.text();
            let prefix = prefix.trim_end_matches(['"', '\'']).to_ascii_lowercase();
            if prefix.contains(['f', 'b', 't']) {
                return None;
            }
            let mut out = String::new();
            for part in node.all_children().filter(|c| c.kind() == Kind::StrContent) {
                if prefix.contains('r') || !part.text().contains('\\') {
                    out.push_str(part.text());
                } else {
                    unescape(part.text(), &mut out)?;
                }
            }
            Some(out)
        }
        _ => None,
    }
}

fn unescape(text: &str, out: &mut String) -> Option<()> {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            '\n' => {}
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            c @ ('\\' | '\'' | '"') => out.push(c),
            _ => return None,
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::parse;

    fn with_statements(text: &str, check: impl FnOnce(Vec<Stmt<'_>>)) {
        let ast = parse(text);
        let root = ast.root(text);
        assert!(!root.has_error(), "{text}");
        check(root.children().map(Stmt::of).collect());
    }

    #[test]
    fn statements_decode() {
        with_statements(
            "a = b = c\nx: int = 1\nn += 1\nfor i in y:\n  pass\nelse:\n  pass\ntry:\n  pass\nexcept (A, B) as e:\n  pass\nfinally:\n  pass\nwith a as b, c:\n  pass\n@d\ndef f(): pass\nif a: pass\nelif b: pass\nelse: pass\n",
            |s| {
                assert!(matches!(&s[0], Stmt::Assign { targets, value: Some(_), .. } if targets.len() == 2));
                assert!(matches!(&s[1], Stmt::Assign { annotation: Some(_), .. }));
                assert!(matches!(&s[2], Stmt::AugAssign { op: Kind::AddAssign, .. }));
                assert!(matches!(&s[3], Stmt::For { orelse: Some(_), .. }));
                let Stmt::Try { handlers, finally, .. } = &s[4] else { panic!() };
                assert_eq!(handlers[0].name, Some("e"));
                assert_eq!(handlers[0].class.map(|c| c.text()), Some("(A, B)"));
                assert!(finally.is_some());
                let Stmt::With { items, .. } = &s[5] else { panic!() };
                assert_eq!(items.len(), 2);
                assert_eq!(items[0].1.map(|n| n.text()), Some("b"));
                assert!(matches!(&s[6], Stmt::FunctionDef { decorators, .. } if decorators.len() == 1));
                assert!(matches!(&s[7], Stmt::If { branches, orelse: Some(_) } if branches.len() == 2));
            },
        );
    }

    #[test]
    fn parameters_decode() {
        with_statements("def f(a, /, b: int, c=1, *args, d, e: str = 'x', **kw): pass\n", |s| {
            let Stmt::FunctionDef { def, .. } = &s[0] else { panic!() };
            let kinds: Vec<_> = parameters(*def).iter().map(|p| (p.name, p.kind)).collect();
            use ParameterKind::*;
            assert_eq!(
                kinds,
                [
                    ("a", PositionalOnly),
                    ("b", PositionalOrKeyword),
                    ("c", PositionalOrKeyword),
                    ("args", VarPositional),
                    ("d", KeywordOnly),
                    ("e", KeywordOnly),
                    ("kw", VarKeyword)
                ]
            );
        });
    }

    #[test]
    fn strings_decode() {
        with_statements("'a' \"b\\n\"\nf'{x}'\nb'x'\nr'\\d'\n", |s| {
            let values: Vec<_> = s
                .iter()
                .map(|s| match s {
                    Stmt::Expr(n) => string_value(*n),
                    _ => None,
                })
                .collect();
            assert_eq!(values, [Some("ab\n".to_owned()), None, None, Some("\\d".to_owned())]);
        });
    }
}
