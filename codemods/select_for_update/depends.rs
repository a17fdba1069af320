//! Whether what is saved was computed from what was read, or decided by it.

use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::flow;
use ormend_engine::codemod::guards::instance::{Mention, MentionKind, Subject};
use ormend_engine::django::{FieldKind, ModelId};
use ormend_engine::python::{Expr, Field, Kind, Node, Stmt, arguments, string_value};

/// A `save()` whose columns depend on what was read of the same row before.
pub struct Written<'a> {
    /// The call.
    pub save: Node<'a>,
}

/// What a function does with one instance in one block.
pub struct Life<'s, 'a> {
    cx: &'s Context<'a>,
    model: ModelId,
    subject: &'s Subject<'a>,
    block: Node<'a>,
    /// The load, where it stands in the function.
    load: Option<Node<'a>>,
    mentions: Vec<Mention<'a>>,
    /// Statements behind the load that bind the variable again.
    bound: Vec<Node<'a>>,
    /// Names that hold something computed from the row.
    tainted: Vec<&'a str>,
    /// Lookups by whose columns the row was chosen.
    chosen: Vec<&'a str>,
}

impl<'s, 'a> Life<'s, 'a> {
    /// The life of `subject` after `load`, as far as it is spent in `block`.
    pub fn of(
        cx: &'s Context<'a>,
        subject: &'s Subject<'a>,
        block: Node<'a>,
        load: Option<Node<'a>>,
    ) -> Life<'s, 'a> {
        let model = subject.instance.model;
        let columns: Vec<&str> = cx
            .model(model)
            .fields
            .iter()
            .filter(|f| !f.primary_key)
            .flat_map(|f| [f.name.as_str(), f.attname.as_str()])
            .collect();
        let mentions = subject
            .mentions(cx, &columns)
            .into_iter()
            .filter(|m| load.is_none_or(|l| m.node.id() >= l.subtree_end()))
            .collect();
        let bound = subject
            .scope
            .descendants()
            .filter(|s| load.is_some_and(|l| s.id() > l.id()) && subject.is_bound_by(*s))
            .collect();
        let mut life = Life {
            cx,
            model,
            subject,
            block,
            load,
            mentions,
            bound,
            tainted: Vec::new(),
            chosen: load.map_or(Vec::new(), chosen),
        };
        for statement in subject.scope.descendants().filter(|n| n.kind() == Kind::ExprStatement) {
            if let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(statement)
                && life.reads(value)
            {
                let names = targets.iter().flat_map(|t| t.descendants());
                life.tainted
                    .extend(names.filter(|n| n.kind() == Kind::Name && n.is_binding()).map(Node::text));
            }
        }
        life
    }

    /// The first `save()` of the block that writes back what was computed from the row; `None` also where a number is
    /// only counted up or down, which an expression does better.
    pub fn written(&self) -> Option<Written<'a>> {
        let saves = self
            .mentions
            .iter()
            .filter(|m| m.kind == MentionKind::Saves && self.is_inside(m.node) && self.is_after_load(m.node));
        for save in saves {
            let fields = update_fields(save.node);
            let is_direct = is_save(save.node);
            if !is_direct {
                // `order.mark_paid()`: what it writes is not looked at, when it is called is.
                if save.node.statement().is_some_and(|s| self.is_decided(s)) {
                    return Some(Written { save: save.node });
                }
                continue;
            }
            let mut depends = false;
            let mut counts_only = true;
            for mention in &self.mentions {
                let Some(statement) = mention.node.statement() else { continue };
                let Some(column) = self.column_written(mention) else { continue };
                let info = self.cx.model(self.model);
                let Some(field) = info.field(column).or_else(|| info.field_by_attname(column)) else {
                    continue;
                };
                let is_saved = fields
                    .as_ref()
                    .is_none_or(|names| names.iter().any(|n| *n == field.name || *n == field.attname));
                if field.primary_key
                    || !is_saved
                    || !self.is_after_load(mention.node)
                    || !flow::may_follow(mention.node, save.node, |s| Some(s) == self.load)
                {
                    continue;
                }
                let is_count =
                    field.kind == FieldKind::Integer && !field.null && counts(mention.node, statement);
                if is_count
                    || self.computes(mention, statement)
                    || self.is_decided(statement)
                    || self.chosen.iter().any(|c| *c == field.name || *c == field.attname)
                {
                    depends = true;
                    // An expression counts better than a lock, but not where the number read decides.
                    let decides = |test: Node<'a>| self.reads_column(test, column);
                    counts_only &= is_count && !self.is_decided_by(statement, decides);
                }
            }
            if depends && !counts_only {
                return Some(Written { save: save.node });
            }
        }
        None
    }

    /// The column that a mention writes: assigned, or changed in place.
    fn column_written(&self, mention: &Mention<'a>) -> Option<&'a str> {
        match mention.kind {
            MentionKind::Writes(name) => Some(name),
            MentionKind::Reads => {
                let Expr::Attribute { attr, .. } = Expr::of(mention.node) else { return None };
                let field = self.cx.model(self.model).field(attr)?;
                let is_mutable =
                    matches!(field.kind, FieldKind::Json | FieldKind::Postgres | FieldKind::Other);
                (is_mutable && changes_in_place(mention.node)).then_some(attr)
            }
            _ => None,
        }
    }

    /// Whether the value that a statement assigns is computed from the row.
    fn computes(&self, mention: &Mention<'a>, statement: Node<'a>) -> bool {
        if changes_in_place(mention.node) {
            return true;
        }
        match Stmt::of(statement) {
            Stmt::AugAssign { .. } => true,
            Stmt::Assign { value: Some(value), .. } => self.reads(value),
            _ => mention.kind == MentionKind::Reads,
        }
    }

    /// Whether a statement runs because of what was read: under a test of it, or behind one that leaves.
    fn is_decided(&self, statement: Node<'a>) -> bool {
        self.is_decided_by(statement, |test| self.reads(test))
    }

    fn is_decided_by(&self, statement: Node<'a>, reads: impl Fn(Node<'a>) -> bool) -> bool {
        let mut current = statement;
        while current != self.block {
            let Some(parent) = current.parent() else { return false };
            if parent.kind() == Kind::Block || parent == self.block {
                // Every guard before it in the same block.
                for earlier in parent.children().take_while(|s| s.id() < current.id()) {
                    if let Stmt::If { branches, .. } = Stmt::of(earlier)
                        && earlier.descendants().any(flow::leaves)
                        && branches.iter().any(|(test, _)| reads(*test))
                    {
                        return true;
                    }
                }
            }
            match Stmt::of(parent) {
                Stmt::If { branches, .. } if branches.iter().any(|(test, _)| reads(*test)) => {
                    return true;
                }
                Stmt::While { test, .. } if reads(test) => return true,
                Stmt::Match { subject, .. } if reads(subject) => return true,
                _ => {}
            }
            current = parent;
        }
        false
    }

    /// Whether an expression looks at the row, or at something computed from it.
    fn reads(&self, node: Node<'a>) -> bool {
        self.mentions.iter().any(|m| {
            matches!(m.kind, MentionKind::Reads) && node.contains(m.node.id()) && self.is_after_load(m.node)
        }) || node
            .descendants()
            .any(|n| n.kind() == Kind::Name && self.tainted.contains(&n.text()) && !n.is_label())
    }

    /// Whether an expression looks at this column of the row.
    fn reads_column(&self, node: Node<'a>, column: &str) -> bool {
        self.mentions.iter().any(|m| {
            m.kind == MentionKind::Reads
                && node.contains(m.node.id())
                && self.is_after_load(m.node)
                && matches!(Expr::of(m.node), Expr::Attribute { attr, .. } if attr == column)
        })
    }

    fn is_inside(&self, node: Node<'a>) -> bool {
        self.block.contains(node.id())
    }

    fn is_after_load(&self, node: Node<'a>) -> bool {
        // Bound again, the name is another instance.
        self.load.is_none_or(|load| {
            flow::may_follow(load, node, |s| self.subject.is_bound_by(s))
                && !self.bound.iter().any(|b| flow::dominates(*b, node))
        })
    }
}

/// The columns that the row which a statement loads was chosen by: a state, a date that has come, an owner that is not
/// there yet. A key that the caller names says which row is meant, not what it must be like.
fn chosen<'a>(load: Node<'a>) -> Vec<&'a str> {
    load.descendants()
        .filter(|n| n.kind() == Kind::KeywordArgument)
        .filter_map(|n| {
            let lookup = n.child(Field::Name)?.text();
            let (column, rest) = lookup.split_once("__").unwrap_or((lookup, "exact"));
            let value = n.child(Field::Value)?;
            let is_state = !matches!(rest, "exact" | "iexact") || is_constant(value);
            is_state.then_some(column)
        })
        .collect()
}

/// A literal, `Job.State.NEW`, `NEW`
fn is_constant(value: Node<'_>) -> bool {
    let is_upper =
        |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    match Expr::of(value) {
        Expr::Name(name) => is_upper(name),
        Expr::Attribute { attr, .. } => is_upper(attr),
        Expr::True | Expr::False | Expr::None | Expr::Int(_) => true,
        _ => string_value(value).is_some(),
    }
}

/// `x.save(...)`, written here.
pub fn is_save(call: Node<'_>) -> bool {
    let Expr::Call { func, .. } = Expr::of(call) else { return false };
    matches!(Expr::of(func), Expr::Attribute { attr: "save" | "save_base", .. })
}

/// The literal names of `update_fields`; `None` where every column may be written.
fn update_fields(call: Node<'_>) -> Option<Vec<String>> {
    let Expr::Call { arguments: list, .. } = Expr::of(call) else { return None };
    let argument = arguments(list).into_iter().find(|a| a.name == Some("update_fields"))?;
    let (Expr::List(list) | Expr::Tuple(list) | Expr::Set(list)) = Expr::of(argument.value) else {
        return None;
    };
    list.children().map(string_value).collect()
}

/// `x.n += k`, `x.n = x.n - k`
fn counts(target: Node<'_>, statement: Node<'_>) -> bool {
    match Stmt::of(statement) {
        Stmt::AugAssign { op, .. } => matches!(op, Kind::AddAssign | Kind::SubAssign | Kind::MultAssign),
        Stmt::Assign { value: Some(value), .. } => match Expr::of(value) {
            Expr::BinOp { left, op: Kind::Add | Kind::Sub | Kind::Mult, right } => {
                left.peel().text() == target.text() || right.peel().text() == target.text()
            }
            _ => false,
        },
        _ => false,
    }
}

/// `x.data["key"] = value`, `x.tags.append(tag)`
fn changes_in_place(node: Node<'_>) -> bool {
    let Some(outer) = node.with_parens().parent() else { return false };
    match outer.kind() {
        Kind::Subscript => {
            let mut top = outer;
            while let Some(parent) = top.with_parens().parent().filter(|p| p.kind() == Kind::Subscript) {
                top = parent;
            }
            top.field() == Field::Left
        }
        Kind::Attribute => {
            let Some(call) = outer.with_parens().parent().filter(|p| p.kind() == Kind::Call) else {
                return false;
            };
            let name = outer.text().rsplit('.').next().unwrap_or("");
            call.with_parens().parent().is_some_and(|p| p.kind() == Kind::ExprStatement)
                && [
                    "append",
                    "extend",
                    "insert",
                    "remove",
                    "pop",
                    "update",
                    "clear",
                    "setdefault",
                    "popitem",
                    "add",
                ]
                .contains(&name)
        }
        _ => false,
    }
}
