//! From tokens to a tree: what both languages share. Blocks nest by a stack of what may close them.

use super::ast::{
    Arg, ArgKind, Expr, ExprKind, Language, Node, NodeKind, Problem, ProblemKind, Section, Tag, Target,
    Template,
};
use super::lex::{self, Token};
use super::{django_expr, django_tags, jinja_expr, jinja_tags};
use crate::text::Span;
use rustc_hash::FxHashMap;

/// How deep blocks may nest.
const MAX_DEPTH: usize = 100;

/// What begins another body in a block tag that is not known.
const SECTIONS: [&str; 5] = ["else", "elif", "empty", "plural", "pluralize"];

/// Parse `text`.
pub fn parse(text: &str, language: Language) -> Template {
    let (tokens, unclosed) = lex::tokens(text, language);
    let ends = ends(text, language, &tokens);
    let mut parser = Parser { text, language, tokens, ends, at: 0, frames: Vec::new(), problems: Vec::new() };
    let mut body = Vec::new();
    loop {
        body.extend(parser.nodes());
        // Only a tag that closes nothing stops the parser here.
        let Some(token) = parser.tokens.get(parser.at) else { break };
        parser.problems.push(Problem { span: token.span, kind: ProblemKind::Unexpected });
        parser.at += 1;
    }
    parser.problems.extend(unclosed.map(|span| Problem { span, kind: ProblemKind::Unclosed }));
    Template { language, body, problems: parser.problems }
}

/// For each token, whether it is a tag `x` with an `endx` of its own behind it: an `endx` belongs to the nearest
/// `x` before it that has none.
fn ends(text: &str, language: Language, tokens: &[Token]) -> Vec<bool> {
    let mut waiting: FxHashMap<&str, u32> = FxHashMap::default();
    let mut out = vec![false; tokens.len()];
    for (token, is_block) in tokens.iter().zip(&mut out).rev() {
        if !token.is_tag {
            continue;
        }
        let name = name(text.get(token.inner.range()).unwrap_or(""), language);
        if let Some(count) = waiting.get_mut(name).filter(|count| **count > 0) {
            *count -= 1;
            *is_block = true;
        } else if let Some(opened) = name.strip_prefix("end") {
            let opened = opened.strip_prefix('_').unwrap_or(opened);
            *waiting.entry(opened).or_default() += 1;
        }
    }
    out
}

/// The name of a tag: a word, in Jinja an identifier.
fn name(content: &str, language: Language) -> &str {
    let is_end = |c: char| match language {
        Language::Django => c.is_whitespace(),
        Language::Jinja => !(c.is_alphanumeric() || c == '_'),
    };
    let end = content.find(is_end).unwrap_or(content.len());
    content.get(..end).unwrap_or("")
}

/// What closes or continues the block that is read.
enum Frame {
    /// One of these.
    Known(&'static [&'static str]),
    /// The end of a tag with this name, or one of [`SECTIONS`].
    Any(String),
}

impl Frame {
    fn takes(&self, name: &str) -> bool {
        match self {
            Frame::Known(names) => names.contains(&name),
            Frame::Any(opened) => SECTIONS.contains(&name) || is_end_of(name, opened),
        }
    }
}

fn is_end_of(name: &str, opened: &str) -> bool {
    name.strip_prefix("end").is_some_and(|rest| rest == opened || rest.strip_prefix('_') == Some(opened))
}

/// A tag as it is read: its name and where the rest stands.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub name: &'a str,
    pub name_span: Span,
    /// Behind the name, white space stripped.
    pub rest: Span,
    /// With its delimiters.
    pub span: Span,
    /// It has an end tag of its own.
    pub is_block: bool,
}

pub(super) struct Parser<'a> {
    pub text: &'a str,
    pub language: Language,
    tokens: Vec<Token>,
    ends: Vec<bool>,
    at: usize,
    frames: Vec<Frame>,
    pub problems: Vec<Problem>,
}

impl<'a> Parser<'a> {
    pub fn slice(&self, span: Span) -> &'a str {
        self.text.get(span.range()).unwrap_or("")
    }

    pub fn problem(&mut self, span: Span, kind: ProblemKind) {
        self.problems.push(Problem { span, kind });
    }

    fn head(&self, index: usize) -> Option<Head<'a>> {
        let token = self.tokens.get(index).filter(|token| token.is_tag)?;
        let content = self.slice(token.inner);
        let name = name(content, self.language);
        let name_end = token.inner.start + name.len() as u32;
        let rest = content.get(name.len()..).unwrap_or("");
        let gap = rest.len() - rest.trim_start().len();
        // Jinja lets a colon follow, as in Python.
        let tail = match self.language {
            Language::Jinja => {
                rest.len() - rest.trim_end_matches(|c: char| c == ':' || c.is_whitespace()).len()
            }
            Language::Django => 0,
        };
        let end = token.inner.end - tail as u32;
        let rest_start = (name_end + gap as u32).min(end);
        Some(Head {
            name,
            name_span: Span::new(token.inner.start, name_end),
            rest: Span::new(rest_start, end),
            span: token.span,
            is_block: self.ends.get(index).copied().unwrap_or(false),
        })
    }

    /// Nodes up to a tag that closes a block, which is not taken, or to the end.
    fn nodes(&mut self) -> Vec<Node> {
        let mut out = Vec::new();
        while let Some(token) = self.tokens.get(self.at).copied() {
            let Some(head) = self.head(self.at) else {
                self.at += 1;
                let expr = self.output(token.inner);
                out.push(Node { span: token.span, kind: NodeKind::Output(expr) });
                continue;
            };
            if self.frames.iter().any(|frame| frame.takes(head.name)) {
                break;
            }
            if head.name.is_empty() || is_closer(&head) {
                self.problem(token.span, ProblemKind::Unexpected);
                self.at += 1;
                continue;
            }
            self.at += 1;
            if self.frames.len() >= MAX_DEPTH {
                self.problem(token.span, ProblemKind::TooDeep);
                self.at = self.tokens.len();
                break;
            }
            let kinds = match self.language {
                Language::Django => django_tags::tag(self, head),
                Language::Jinja => jinja_tags::tag(self, head),
            };
            let end =
                self.at.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(token.span, |t| t.span);
            let span = Span::new(token.span.start, end.end.max(token.span.end));
            out.extend(kinds.into_iter().map(|kind| Node { span, kind }));
        }
        out
    }

    fn output(&mut self, span: Span) -> Expr {
        let expr = self.expr(span);
        self.check(&expr, span);
        expr
    }

    /// The expression that is all of `span`.
    pub fn expr(&self, span: Span) -> Expr {
        match self.language {
            Language::Django => django_expr::filters(self.text, span),
            Language::Jinja => jinja_expr::whole(self.text, span),
        }
    }

    /// Report an expression that could not be read in full.
    pub fn check(&mut self, expr: &Expr, span: Span) {
        let mut is_known = true;
        expr.walk(&mut |part| is_known &= !matches!(part.kind, ExprKind::Unknown(_)));
        if !is_known {
            self.problem(span, ProblemKind::Malformed);
        }
    }

    /// The bodies of a block that `closers` continue or, those that begin with `end`, close. With each the tag that
    /// ends it; `None` where it is never closed.
    fn bodies(&mut self, opened: Head<'a>, frame: Frame) -> Vec<(Vec<Node>, Option<Head<'a>>)> {
        let mut out = Vec::new();
        self.frames.push(frame);
        loop {
            let body = self.nodes();
            let closer =
                self.head(self.at).filter(|head| self.frames.last().is_some_and(|f| f.takes(head.name)));
            let is_end = closer.is_none_or(|head| head.name.starts_with("end"));
            if closer.is_some() {
                self.at += 1;
            } else {
                self.problem(opened.span, ProblemKind::Unclosed);
            }
            out.push((body, closer));
            if is_end {
                break;
            }
        }
        self.frames.pop();
        out
    }

    /// The branches of an `if` tag, whose tests the language reads.
    pub fn branches(
        &mut self,
        head: Head<'a>,
        mut test: impl FnMut(&mut Self, Head<'a>) -> Expr,
    ) -> NodeKind {
        let mut branches = Vec::new();
        let mut orelse = Vec::new();
        let mut opened = Some(head);
        for (body, closer) in self.known_bodies(head, &["elif", "else", "endif"]) {
            match opened {
                Some(tag) if tag.name != "else" => branches.push((test(self, tag), body)),
                _ => orelse.extend(body),
            }
            opened = closer;
        }
        NodeKind::If { branches, orelse }
    }

    /// The bodies of a known block tag, with the tag that ends each.
    pub fn known_bodies(
        &mut self,
        opened: Head<'a>,
        closers: &'static [&'static str],
    ) -> Vec<(Vec<Node>, Option<Head<'a>>)> {
        self.bodies(opened, Frame::Known(closers))
    }

    /// The one body of a known block tag.
    pub fn known_body(&mut self, opened: Head<'a>, closer: &'static [&'static str]) -> Vec<Node> {
        self.bodies(opened, Frame::Known(closer)).into_iter().flat_map(|(body, _)| body).collect()
    }

    /// Any other tag.
    pub fn any_tag(&mut self, head: Head<'a>, args: Vec<Arg>, as_var: Option<Target>) -> NodeKind {
        let mut sections = Vec::new();
        if head.is_block {
            let mut next = (String::new(), Vec::new());
            for (body, closer) in self.bodies(head, Frame::Any(head.name.to_owned())) {
                let (name, args) = std::mem::take(&mut next);
                sections.push(Section { name, args, body });
                if let Some(closer) = closer.filter(|closer| !closer.name.starts_with("end")) {
                    next = (closer.name.to_owned(), self.args(closer.rest).0);
                }
            }
        }
        NodeKind::Tag(Tag {
            name: head.name.to_owned(),
            name_span: head.name_span,
            args,
            as_var,
            sections,
            is_block: head.is_block,
        })
    }

    /// The arguments of a tag, read with good will.
    pub fn args(&self, rest: Span) -> (Vec<Arg>, Option<Target>) {
        match self.language {
            Language::Django => django_expr::args(self.text, rest),
            Language::Jinja => (jinja_expr::loose(self.text, rest), None),
        }
    }
}

/// Whether a tag can only close or continue a block.
fn is_closer(head: &Head) -> bool {
    matches!(head.name, "else" | "elif" | "empty" | "pluralize")
        || matches!(
            head.name,
            "endif" | "endfor" | "endwith" | "endblock" | "endmacro" | "endcall" | "endset" | "endfilter"
        )
}

pub(super) fn positional(value: Expr) -> Arg {
    Arg { kind: ArgKind::Positional, value }
}
