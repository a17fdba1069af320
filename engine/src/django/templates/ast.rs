//! The tree of a template, of either language.
//!
//! Invariants: every span lies in the text; no expression is higher than a bound and no node is nested
//! deeper than the parser's bound, so that walking and dropping a tree may recurse.

use crate::text::Span;

/// Which language a template is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// Django's own.
    Django,
    /// Jinja2.
    Jinja,
}

/// A parsed template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Its language.
    pub language: Language,
    /// What it does, in order; text is left out.
    pub body: Vec<Node>,
    /// What could not be read. A template without problems is read in full.
    pub problems: Vec<Problem>,
}

/// A place that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The tag, with its delimiters.
    pub span: Span,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// What is wrong with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// A block tag is never closed, or a tag around it is closed first.
    Unclosed,
    /// A tag that closes or continues a block stands outside of one.
    Unexpected,
    /// The arguments of a known tag, or an expression, cannot be read.
    Malformed,
    /// Blocks are nested too deeply; the rest of the template is left out.
    TooDeep,
}

/// A tag or an output.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// From its first delimiter to the last of the tag that closes it.
    pub span: Span,
    /// What it does.
    pub kind: NodeKind,
}

/// What a node does.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeKind {
    /// `{{ expr }}`; also Jinja's `do` and `print`.
    Output(Expr),
    /// `{% for targets in iter if test %}body{% empty %}empty{% endfor %}`
    For {
        /// What each row is bound to.
        target: Target,
        /// What is iterated.
        iter: Expr,
        /// Jinja's filter of the rows, which sees the target.
        test: Option<Expr>,
        /// For each row.
        body: Vec<Node>,
        /// Where there is no row.
        empty: Vec<Node>,
        /// Django's `reversed`: the rows become a list first.
        is_reversed: bool,
        /// Jinja's `recursive`: the body calls `loop(rows)` to run itself over other rows.
        is_recursive: bool,
    },
    /// `{% if %}{% elif %}{% else %}`
    If {
        /// Tests and what follows each.
        branches: Vec<(Expr, Vec<Node>)>,
        /// The `else`.
        orelse: Vec<Node>,
    },
    /// Names for the span of a body: `with`, `blocktranslate` and Jinja's `trans`, whose `count` is a binding too
    /// and whose plural is part of the body.
    With {
        /// The names. Each value is evaluated outside, without those before it.
        bindings: Vec<Binding>,
        /// Where they hold.
        body: Vec<Node>,
        /// A name that the rendered text is bound to instead of being output: `blocktranslate asvar`.
        as_var: Option<Target>,
    },
    /// `{% include template with bindings only %}`
    Include {
        /// The name of the template, a list of names, or a template object.
        template: Expr,
        /// More names.
        bindings: Vec<Binding>,
        /// Nothing but the bindings is passed on.
        is_only: bool,
    },
    /// `{% extends template %}`
    Extends(Expr),
    /// `{% block name %}`. What `{{ block.super }}` or `{{ super() }}` gives is the parent's block.
    Block {
        /// Its name.
        name: String,
        /// Its body.
        body: Vec<Node>,
    },
    /// `{% regroup value by key as target %}`: a list of `grouper` and `list`.
    Regroup {
        /// The rows.
        value: Expr,
        /// Evaluated for each row, which is bound to the target.
        key: Expr,
        /// The name.
        target: Target,
    },
    /// `{% set target = value %}`
    Set {
        /// What is bound, in the scope where the tag stands.
        target: Target,
        /// Its value.
        value: Expr,
    },
    /// `{% set target | filters %}body{% endset %}`: a name for rendered text.
    SetBlock {
        /// The name.
        target: Target,
        /// The filters, applied to [`ExprKind::Body`].
        value: Expr,
        /// What is rendered.
        body: Vec<Node>,
    },
    /// `{% filter filters %}body{% endfilter %}`
    Filter {
        /// The filters, applied to [`ExprKind::Body`].
        value: Expr,
        /// What is rendered.
        body: Vec<Node>,
    },
    /// `{% macro name(params) %}`. Its body sees the names of its template and of no caller.
    Macro {
        /// Its name.
        name: String,
        /// Its parameters.
        params: Vec<Param>,
        /// Its body; `caller(...)` in it runs the body of a [`NodeKind::CallBlock`].
        body: Vec<Node>,
    },
    /// `{% call(params) call %}body{% endcall %}`
    CallBlock {
        /// The parameters of `caller`.
        params: Vec<Param>,
        /// The call of the macro.
        call: Expr,
        /// What `caller` renders.
        body: Vec<Node>,
    },
    /// `{% import template as target %}`
    Import {
        /// The template.
        template: Expr,
        /// The name of its module.
        target: Target,
    },
    /// `{% from template import name, name as alias %}`
    FromImport {
        /// The template.
        template: Expr,
        /// Names in it, and what each is called here.
        names: Vec<(String, Target)>,
    },
    /// `{% load lib lib %}`, `{% load name from lib %}`
    Load {
        /// The libraries.
        libraries: Vec<String>,
        /// The names that are loaded where not all are.
        names: Option<Vec<String>>,
    },
    /// `{% partialdef name inline %}body{% endpartialdef %}`
    PartialDef {
        /// Its name.
        name: String,
        /// It is rendered where it is defined as well.
        is_inline: bool,
        /// Its body.
        body: Vec<Node>,
    },
    /// `{% partial name %}`, with the names of where it stands.
    Partial(String),
    /// Any other tag: built in, the project's, or not known. What it does depends on its name.
    Tag(Tag),
}

/// A tag that only evaluates its arguments and renders its bodies, or that is not known.
#[derive(Clone, Debug, PartialEq)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// Its arguments. A word that only is syntax (`on`, `noop`, `by`) reads as a variable that is not defined.
    pub args: Vec<Arg>,
    /// `as name` at the end: its result is bound in place of being output.
    pub as_var: Option<Target>,
    /// Its bodies, for a block tag: the first without a name, then one for each `else`, `empty`, `plural`.
    pub sections: Vec<Section>,
    /// Whether the tag has an end tag.
    pub is_block: bool,
}

/// One body of a block tag.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// The tag that begins it; empty for the first.
    pub name: String,
    /// That tag's arguments.
    pub args: Vec<Arg>,
    /// The body.
    pub body: Vec<Node>,
}

/// An argument of a call, a filter or a tag.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// How it is passed.
    pub kind: ArgKind,
    /// What is passed.
    pub value: Expr,
}

/// How an argument is passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgKind {
    /// By position.
    Positional,
    /// By this name.
    Keyword(String),
    /// `*value`
    Star,
    /// `**value`
    DoubleStar,
}

/// A name and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// The name.
    pub target: Target,
    /// The value.
    pub value: Expr,
}

/// A parameter of a macro.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its default.
    pub default: Option<Expr>,
}

/// What something is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A name.
    Name {
        /// The name.
        name: String,
        /// Where it stands.
        span: Span,
    },
    /// `object.name`, of one of Jinja's namespaces.
    Attribute {
        /// The namespace.
        object: String,
        /// The attribute.
        name: String,
        /// Where both stand.
        span: Span,
    },
    /// Several, unpacked.
    Tuple(Vec<Target>),
}

impl Target {
    /// The name, if it is one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Target::Name { name, .. } => Some(name),
            _ => None,
        }
    }
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands, without parentheses around it.
    pub span: Span,
    pub(super) height: u16,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A variable of the context.
    Name(String),
    /// `value.name`: a key, an attribute or, in Django's language, a method that is called without arguments.
    Attribute {
        /// Of what.
        value: Box<Expr>,
        /// The name.
        name: String,
    },
    /// `value[index]`, or `value.0` in Django's language.
    Item {
        /// Of what.
        value: Box<Expr>,
        /// Which.
        index: Box<Expr>,
    },
    /// `value[start:stop:step]`
    Slice {
        /// Of what.
        value: Box<Expr>,
        /// Start, stop and step, those that are given.
        bounds: Vec<Expr>,
    },
    /// `func(args)`, of Jinja.
    Call {
        /// What is called.
        func: Box<Expr>,
        /// With what.
        args: Vec<Arg>,
    },
    /// `value|name:arg` or `value|name(args)`
    Filter {
        /// What is filtered.
        value: Box<Expr>,
        /// The filter.
        name: String,
        /// Its further arguments.
        args: Vec<Arg>,
    },
    /// `value is name(args)`, of Jinja. `is not` is a [`ExprKind::Not`] of it.
    Test {
        /// What is tested.
        value: Box<Expr>,
        /// The test.
        name: String,
        /// Its further arguments.
        args: Vec<Arg>,
    },
    /// A string; also one that is marked for translation, `_("text")`.
    Str(String),
    /// An integer.
    Int(i64),
    /// Another number.
    Float(f64),
    /// `True` or `False`.
    Bool(bool),
    /// `None`
    None,
    /// `not operand`
    Not(Box<Expr>),
    /// `-operand` or `+operand`
    Sign(Box<Expr>),
    /// `left op right`. Jinja's chain `a < b < c` nests to the left as well, though its pairs are compared.
    Binary {
        /// The operator.
        op: Operator,
        /// On its left.
        left: Box<Expr>,
        /// On its right.
        right: Box<Expr>,
    },
    /// `body if test else orelse`
    Conditional {
        /// The test.
        test: Box<Expr>,
        /// Where it holds.
        body: Box<Expr>,
        /// Where it does not.
        orelse: Option<Box<Expr>>,
    },
    /// `[a, b]`
    List(Vec<Expr>),
    /// `(a, b)`
    Tuple(Vec<Expr>),
    /// `{a: b}`
    Dict(Vec<(Expr, Expr)>),
    /// The rendered body of the tag where it stands.
    Body,
    /// What could not be read, with the parts that could.
    Unknown(Vec<Expr>),
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Named as in Python's `ast`.
pub enum Operator {
    Or,
    And,
    Eq,
    NotEq,
    Lt,
    LtE,
    Gt,
    GtE,
    In,
    NotIn,
    Is,
    IsNot,
    Add,
    Sub,
    Mult,
    Div,
    FloorDiv,
    Mod,
    Pow,
    /// Jinja's `~`, which joins the text of both.
    Concat,
}
