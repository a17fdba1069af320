//! What the code does with an instance once its row was written: the row is not there yet when the rewritten code
//! gets to it.

use super::find::{How, Loop, Place, Row};
use ormend_engine::codemod::guards::handlers::external_path;
use ormend_engine::codemod::guards::variable::is_assigned;
use ormend_engine::codemod::guards::writes::{is_in_callee, one_line, shares_table};
use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::django::{FieldKind, Model};
use ormend_engine::infer::{Escape, EventKind, Root, Type};
use ormend_engine::python::{Expr, Field, Kind, Node, NodeId, Stmt, arguments};
use ormend_engine::text::Site;

/// What was found out about the uses of the rows of a loop.
#[derive(Default)]
pub struct Uses {
    /// What is in the way.
    pub hazards: Vec<Hazard>,
    /// Statements and expressions that a hazard names already.
    pub reported: Vec<NodeId>,
}

/// Everything that happens to the instances of the loop's rows.
pub fn uses(cx: &Context<'_>, found: &Loop<'_>) -> Uses {
    let mut out = Uses::default();
    for row in &found.rows {
        let mut walk = Walk { cx, found, row, needs_key: false, children: false, out: &mut out };
        walk.row();
    }
    out
}

struct Walk<'w, 'c, 'a> {
    cx: &'c Context<'a>,
    found: &'c Loop<'a>,

    row: &'c Row<'a>,
    /// The key is wanted once the loop is over.
    needs_key: bool,
    /// Another row of the loop points at this one.
    children: bool,
    out: &'w mut Uses,
}

impl<'a> Walk<'_, '_, 'a> {
    fn model(&self) -> &'a Model {
        self.cx.model(self.row.model)
    }

    fn row(&mut self) {
        match self.row.place {
            Place::Statement(_) => {}
            Place::Named(_, name) => self.variable(name),
            Place::Appended(_, list) => match bucket(self.cx, list) {
                Some(dict) => self.container(dict, true),
                None => self.container(list, false),
            },
            Place::Stored(_, target) => {
                if let Expr::Subscript { value, .. } = Expr::of(target) {
                    self.container(value.peel(), true);
                }
            }
            // The list is read wherever the code goes on with its rows.
            Place::Held(..) => self.needs_key = self.is_read_again(),
            Place::Element => {
                let statement = self.found.node.with_parens().parent();
                self.needs_key = statement.is_none_or(|s| s.kind() != Kind::ExprStatement);
            }
            Place::Elsewhere => {
                self.out.reported.extend(self.row.call.statement().map(Node::id));
                let hazard = self.cx.hazard(
                    HazardKind::InstanceUsedAfterwards,
                    one_line(self.row.call.text()),
                    self.row.call,
                );
                self.out.hazards.push(hazard);
            }
        }
        let has_own_key = has_own_key(self.model());
        if (self.needs_key || self.children)
            && !has_own_key
            && let Some(site) = no_keys(self.cx)
        {
            let subject = match self.row.name() {
                Some(name) => name.text().to_owned(),
                None => self.model().name.clone(),
            };
            // Where nothing says which database it is, the place is the row.
            let site = site.or_else(|| Some(self.cx.site(self.row.call)));
            let hazard = Hazard { kind: HazardKind::PrimaryKeyNeeded, site, subject };
            self.out.hazards.push(hazard);
        }
    }

    /// Whether the list that holds the rows, or the loop's variable, is named again once the loop is over.
    fn is_read_again(&self) -> bool {
        let Stmt::For { target, iter, .. } = Stmt::of(self.found.node) else { return true };
        self.cx.scope().descendants().any(|n| {
            n.kind() == Kind::Name
                && (n.text() == target.text() || n.text() == iter.text())
                && n.span().start >= self.found.node.span().end
        })
    }

    fn report(&mut self, kind: HazardKind, subject: &str, at: Node<'a>) {
        let told = |h: &Hazard| h.kind == kind && h.subject == subject;
        if !self.out.hazards.iter().any(told) {
            self.out.hazards.push(self.cx.hazard(kind, subject, at));
        }
        // What else happens in that statement follows from this.
        let statement = at.statement();
        let is_simple = statement.is_some_and(|s| {
            matches!(s.kind(), Kind::ExprStatement | Kind::Return | Kind::Delete | Kind::Assert)
        });
        let whole = if is_simple {
            statement
        } else {
            at.ancestors().take_while(|a| !a.kind().is_statement() && a.kind() != Kind::Block).last()
        };
        self.out.reported.push(whole.unwrap_or(at).id());
    }

    fn used(&mut self, subject: &str, at: Node<'a>) {
        self.report(HazardKind::InstanceUsedAfterwards, subject, at);
    }

    /// Every other place that names the variable.
    fn variable(&mut self, name: Node<'a>) {
        let own_statement = self.row.statement();
        let scope = self.cx.scope();
        let outermost = outermost_loop(self.found.node);
        for node in scope.mentions(name.text()) {
            if node == name || is_not_a_variable(node) {
                continue;
            }
            if node.enclosing_scope() != Some(scope) && !self.row.call.contains(node.id()) {
                if node.ancestors().any(|a| matches!(a.kind(), Kind::FunctionDef | Kind::Lambda))
                    && !is_own_name(node)
                {
                    self.used(name.text(), node);
                }
                continue;
            }
            if node.parent().is_some_and(|p| matches!(p.kind(), Kind::Global | Kind::Nonlocal)) {
                self.used(name.text(), node);
                continue;
            }
            if node.is_binding() {
                let is_deleted = node.statement().is_some_and(|s| s.kind() == Kind::Delete);
                if is_deleted && self.found.node.contains(node.id()) {
                    self.used(name.text(), node);
                }
                continue;
            }
            if !self.found.node.contains(node.id()) {
                if node.span().start > self.found.node.span().start || outermost.contains(node.id()) {
                    self.needs_key = true;
                }
                continue;
            }
            if let How::Save { constructor, .. } = &self.row.how
                && constructor.span().end <= node.span().start
                && node.span().end <= self.row.call.span().start
            {
                // Not saved yet, then as now; but it may be handed to somebody who looks later.
                if self.is_kept(node) {
                    self.occurrence(node, name.text());
                }
                continue;
            }
            let _ = own_statement;
            self.occurrence(node, name.text());
        }
    }

    /// Whether an instance that is not saved yet is put where it can be seen after its save.
    fn is_kept(&self, node: Node<'a>) -> bool {
        let Some(parent) = node.with_parens().parent() else { return false };
        match parent.kind() {
            Kind::Attribute | Kind::Compare | Kind::Not | Kind::BoolOp | Kind::If => false,
            Kind::Arguments => {
                // `self.fill(author)`: whoever gets it may keep it, which only matters if it is looked at between.
                let call = parent.parent();
                call.is_some_and(|c| self.keeps(c, node))
                    || call.and_then(|c| c.child(Field::Function)).is_some_and(|f| {
                        matches!(
                            Expr::of(f),
                            Expr::Attribute { attr: "append" | "add" | "insert" | "appendleft", .. }
                        )
                    })
            }
            Kind::KeywordArgument => {
                let call = parent.parent().and_then(Node::parent);
                self.child_row(parent).is_some() || call.is_some_and(|c| self.keeps(c, node))
            }
            _ => true,
        }
    }

    /// Whether a function of the project that gets the instance puts it where others find it.
    fn keeps(&self, call: Node<'a>, node: Node<'a>) -> bool {
        let Type::Instance(instance) = self.cx.type_of(node) else { return false };
        self.cx.facts.events().any(|e| {
            e.at == call.id()
                && is_in_callee(self.cx, e)
                && matches!(&e.kind, EventKind::InstanceEscapes { root, how, .. }
                    if *root == instance.root && matches!(how, Escape::Store | Escape::Container))
        })
    }

    /// One place in the loop that names the instance, after its row was written.
    fn occurrence(&mut self, node: Node<'a>, name: &str) {
        let Some(parent) = node.with_parens().parent() else { return self.used(name, node) };
        match parent.kind() {
            Kind::KeywordArgument => self.keyword(parent, node, name),
            Kind::Attribute => self.attribute(parent, node, name),
            Kind::Arguments => {
                let Some(call) = parent.parent() else { return self.used(name, node) };
                let func = call.child(Field::Function);
                if let Some(Expr::Attribute { value, attr: "append", .. }) = func.map(Expr::of)
                    && matches!(Expr::of(value), Expr::Name(_))
                    && arguments(parent).len() == 1
                    && call.parent().is_some_and(|p| p.kind() == Kind::ExprStatement)
                {
                    return self.container(value.peel(), false);
                }
                // `by_state[state].append(ticket)`
                if let Some(Expr::Attribute { value, attr: "append", .. }) = func.map(Expr::of)
                    && let Some(dict) = bucket(self.cx, value)
                    && arguments(parent).len() == 1
                    && call.parent().is_some_and(|p| p.kind() == Kind::ExprStatement)
                {
                    return self.container(dict, true);
                }
                if self.is_shown(node) {
                    return;
                }
                self.used(name, node);
            }
            Kind::Assign if node.with_parens().field() == Field::Right => {
                if let Some(target) = parent.child(Field::Left)
                    && let Expr::Subscript { value, count: 1, .. } = Expr::of(target)
                    && matches!(Expr::of(value), Expr::Name(_))
                    && !matches!(self.cx.type_of(value), Type::Instance(_))
                {
                    return self.container(value.peel(), true);
                }
                self.used(name, node);
            }
            Kind::Compare if matches!(parent.token(), Some(Kind::Is | Kind::IsNot)) => {}
            Kind::Not | Kind::If | Kind::Elif | Kind::BoolOp if self.has_plain_truth() => {
                // `author or other` is one of the two.
                if parent.kind() == Kind::BoolOp && !is_tested(parent) {
                    self.used(name, node);
                }
            }
            Kind::Interpolation if self.is_shown(node) => {}
            _ => self.used(name, node),
        }
    }

    /// The row whose keyword argument `keyword` is.
    fn child_row(&self, keyword: Node<'a>) -> Option<(usize, &Row<'a>)> {
        let call = keyword.parent()?.parent()?;
        self.found.rows.iter().enumerate().find(|(_, r)| r.constructor() == call && r.maker().is_none())
    }

    fn keyword(&mut self, keyword: Node<'a>, node: Node<'a>, name: &str) {
        let Some((_, child)) = self.child_row(keyword) else {
            if self.is_shown(node) {
                return;
            }
            return self.used(name, node);
        };
        let child_model = self.cx.model(child.model);
        let field = keyword.child(Field::Name).and_then(|n| child_model.field(n.text()));
        let Some(field) = field else { return self.used(name, node) };
        match field.kind {
            FieldKind::GenericForeignKey => self.report(HazardKind::PrimaryKeyNeeded, name, node),
            FieldKind::ForeignKey => {
                let by_other = field.relation.as_ref().is_some_and(|r| r.to_field.is_some());
                let is_same = shares_table(self.cx.project, child.model, self.row.model);
                let is_key = field.primary_key;
                if is_same || by_other || is_key {
                    self.report(HazardKind::PrimaryKeyNeeded, name, node);
                } else {
                    self.children = true;
                }
            }
            _ => self.used(name, node),
        }
    }

    fn attribute(&mut self, attribute: Node<'a>, node: Node<'a>, name: &str) {
        let Expr::Attribute { attr, .. } = Expr::of(attribute) else { return self.used(name, node) };
        let model = self.model();
        let is_written = is_assigned(attribute);
        let key = model.primary_key();
        if attr == "pk" || key.is_some_and(|k| attr == k.name || attr == k.attname) {
            if is_written {
                return self.used(name, node);
            }
            if !has_own_key(model) {
                self.report(HazardKind::PrimaryKeyNeeded, name, node);
            }
            return;
        }
        // `author.books.create(...)` of a row that is collected too.
        let is_owner = self.found.rows.iter().any(|r| match &r.how {
            How::Create { owner: Some((owner, _)), .. } => owner.peel() == node,
            _ => false,
        });
        if is_owner {
            self.children = true;
            return;
        }
        let field = model.field(attr);
        let is_plain = field.is_some_and(|f| {
            !f.auto_now
                && !f.auto_now_add
                && !f.has_hooks
                && f.relation.is_none()
                && f.kind.is_plain_column()
                && f.kind != FieldKind::Generated
        });
        if is_written || !is_plain {
            self.used(name, node);
        }
    }

    /// Whether the instance is only turned into text, from values that it has without its row.
    fn is_shown(&self, node: Node<'a>) -> bool {
        let shown = node.ancestors().take_while(|a| !a.kind().is_statement()).find(|a| {
            a.kind() == Kind::Interpolation
                || a.kind() == Kind::Call
                    && self.cx.facts.events().any(|e| e.at == a.id() && *e.kind == EventKind::Log)
        });
        let Some(shown) = shown else { return false };
        // Between the instance and the text nothing else may get it.
        let direct = node.with_parens().parent().is_some_and(|p| {
            p.kind() == Kind::Interpolation || p.kind() == Kind::Arguments && p.parent() == Some(shown)
        });
        let class = self.model().class;
        if !direct || self.cx.project.program().member(class, "__str__").is_none() {
            return false;
        }
        let Type::Instance(instance) = self.cx.type_of(node) else { return false };
        let Root::Value(id) = instance.root else { return false };
        let mut seen = false;
        for event in self.cx.events_in(shown) {
            match &event.kind {
                EventKind::ReadAttribute { root: Root::Value(v), path, name } if *v == id => {
                    let plain = path.is_empty()
                        && self.model().field(name).is_some_and(|f| {
                            !f.primary_key
                                && !f.auto_now
                                && !f.auto_now_add
                                && !f.has_hooks
                                && f.relation.is_none()
                                && f.kind.is_plain_column()
                        });
                    if !plain {
                        return false;
                    }
                    seen = true;
                }
                EventKind::Log => {}
                EventKind::ReadAttribute { .. } => {}
                _ => return false,
            }
        }
        seen
    }

    /// A list or dictionary that holds the instance: in the loop it is only filled, and later the keys are there.
    fn container(&mut self, name: Node<'a>, is_dict: bool) {
        let scope = self.cx.scope();
        if is_dict && matches!(self.cx.type_of(name), Type::Set(_)) {
            return self.used(name.text(), name);
        }
        // A class of the project may do anything with what is put into it.
        if matches!(self.cx.type_of(name), Type::Object(_)) {
            return self.used(name.text(), name);
        }
        let outermost = outermost_loop(self.found.node);
        for node in scope.mentions(name.text()) {
            if is_not_a_variable(node) {
                continue;
            }
            let may_run_in_the_loop =
                node.span().start < self.found.node.span().start || outermost.contains(node.id());
            if !self.found.node.contains(node.id())
                && may_run_in_the_loop
                && (is_shared(node) || in_function(node, scope) && !is_own_name(node))
            {
                self.used(name.text(), node);
                continue;
            }
            if node.is_binding() && !self.found.node.contains(node.id()) {
                continue;
            }
            if !self.found.node.contains(node.id()) {
                if node.span().start > self.found.node.span().start
                    || outermost != self.found.node && outermost.contains(node.id())
                {
                    self.needs_key = true;
                }
                continue;
            }
            if node.enclosing_scope() != Some(scope) || node.is_binding() {
                self.used(name.text(), node);
                continue;
            }
            if self.only_fills(node, is_dict) {
                continue;
            }
            // `author=cache[name]`: the row in the dictionary is the parent of another.
            if let Some(subscript) = node.parent().filter(|p| is_dict && p.kind() == Kind::Subscript)
                && let Some(keyword) = subscript.with_parens().parent()
                && keyword.kind() == Kind::KeywordArgument
                && self.child_row(keyword).is_some()
            {
                self.keyword(keyword, subscript, name.text());
                continue;
            }
            self.used(name.text(), node);
        }
        // A parameter or a global: others have it.
        if !super::find::is_bound_in(scope_body(scope), name.text()) {
            self.needs_key = true;
        }
    }

    /// `by_state[state].append(...)` as a statement, of the dictionary that `node` names.
    fn fills_bucket(&self, node: Node<'a>) -> bool {
        let append = node
            .ancestors()
            .take_while(|a| !a.kind().is_statement())
            .find(|a| matches!(Expr::of(*a), Expr::Attribute { attr: "append", .. }));
        let Some(append) = append else { return false };
        let Expr::Attribute { value, .. } = Expr::of(append) else { return false };
        let is_statement = append
            .with_parens()
            .parent()
            .filter(|c| c.kind() == Kind::Call)
            .and_then(Node::parent)
            .is_some_and(|s| s.kind() == Kind::ExprStatement);
        is_statement && bucket(self.cx, value) == Some(node)
    }

    fn has_plain_truth(&self) -> bool {
        let program = self.cx.project.program();
        let class = self.model().class;
        program.member(class, "__bool__").is_none() && program.member(class, "__len__").is_none()
    }

    /// Whether an expression is assigned to the variable of the row, whose uses are all looked at.
    fn goes_to_the_variable(&self, node: Node<'a>) -> bool {
        let Some(name) = self.row.name() else { return false };
        node.with_parens().parent().is_some_and(|p| {
            p.kind() == Kind::Assign
                && node.with_parens().field() == Field::Right
                && p.child(Field::Left).is_some_and(|l| l.text() == name.text())
        })
    }

    /// Whether this place only puts something into the container, or asks for its size or its keys.
    fn only_fills(&self, node: Node<'a>, is_dict: bool) -> bool {
        let Some(parent) = node.with_parens().parent() else { return false };
        if is_dict && self.fills_bucket(node) {
            return true;
        }
        match parent.kind() {
            Kind::Attribute => {
                let Expr::Attribute { attr, .. } = Expr::of(parent) else { return false };
                let is_statement = parent
                    .parent()
                    .filter(|c| c.kind() == Kind::Call)
                    .and_then(Node::parent)
                    .is_some_and(|s| s.kind() == Kind::ExprStatement);
                attr == "append" && is_statement
                    || is_dict
                        && attr == "get"
                        && parent.parent().is_some_and(|call| self.goes_to_the_variable(call))
            }
            Kind::Subscript if is_dict && self.goes_to_the_variable(parent) => true,
            Kind::Subscript => {
                parent.parent().is_some_and(|p| p.kind() == Kind::Assign) && parent.field() == Field::Left
            }
            Kind::Arguments => parent
                .parent()
                .and_then(|c| c.child(Field::Function))
                .is_some_and(|f| matches!(Expr::of(f), Expr::Name("len"))),
            Kind::Compare => {
                is_dict
                    && matches!(parent.token(), Some(Kind::In | Kind::NotIn))
                    && parent.children().nth(1) == Some(node.with_parens())
            }
            Kind::Not | Kind::If | Kind::BoolOp => true,
            _ => false,
        }
    }
}

/// The dictionary of lists in `by_state[state]` and `by_state.setdefault(state, [])`, an expression to which something is
/// appended: a variable that this function makes, of whose values nothing else is known but that they are lists.
pub fn bucket<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Node<'a>> {
    let is_empty_list = |n: Node<'_>| matches!(Expr::of(n), Expr::List(list) if list.children().count() == 0);
    let (dict, key, makes_lists) = match Expr::of(node) {
        Expr::Subscript { value, index, count: 1 } => (value.peel(), index, false),
        Expr::Call { func, arguments: list } => {
            let Expr::Attribute { value, attr: "setdefault", .. } = Expr::of(func) else { return None };
            let args = arguments(list);
            let [key, default] = args.as_slice() else { return None };
            if !is_empty_list(default.value) {
                return None;
            }
            (value.peel(), key.value, true)
        }
        _ => return None,
    };
    let Expr::Name(name) = Expr::of(dict) else { return None };
    if !super::find::is_repeatable(key) {
        return None;
    }
    let mut values = cx.scope().descendants().filter(|n| n.kind() == Kind::ExprStatement).filter_map(|s| {
        match Stmt::of(s) {
            Stmt::Assign { targets, value: Some(value), .. }
                if targets.iter().any(|t| matches!(Expr::of(*t), Expr::Name(n) if n == name)) =>
            {
                Some(value)
            }
            _ => None,
        }
    });
    let (Some(made), None) = (values.next(), values.next()) else { return None };
    let is_known = match Expr::of(made) {
        Expr::Call { func, arguments: list } => match external_path(cx, func).as_deref() {
            Some("collections.defaultdict") => {
                arguments(list).first().is_some_and(|a| matches!(Expr::of(a.value), Expr::Name("list")))
            }
            Some("builtins.dict") => makes_lists && arguments(list).is_empty(),
            _ => false,
        },
        Expr::Dict(display) => {
            let values: Vec<_> = display.children().map(|pair| pair.child(Field::Value)).collect();
            values.iter().all(|v| v.is_some_and(is_empty_list)) && (makes_lists || !values.is_empty())
        }
        _ => {
            made.kind() == Kind::DictComp
                && made
                    .child(Field::Body)
                    .and_then(|pair| pair.child(Field::Value))
                    .is_some_and(is_empty_list)
        }
    };
    // No other kind of value is stored.
    let stores = cx.scope().descendants().filter(|n| n.kind() == Kind::Assign).any(|n| {
        n.child(Field::Left).is_some_and(
            |left| matches!(Expr::of(left), Expr::Subscript { value, .. } if value.text() == name),
        ) && !n.child(Field::Right).is_some_and(is_empty_list)
    });
    (is_known && !stores).then_some(dict)
}

fn scope_body(scope: Node<'_>) -> Node<'_> {
    scope.child(Field::Body).unwrap_or(scope)
}

/// Whether a boolean operation is only asked for its truth.
fn is_tested(node: Node<'_>) -> bool {
    let parent = node.with_parens().parent();
    parent.is_some_and(|p| match p.kind() {
        Kind::If | Kind::Elif | Kind::While | Kind::Not => true,
        Kind::BoolOp => is_tested(p),
        _ => false,
    })
}

/// A name that is an attribute, keyword or parameter's name rather than a variable.
fn is_not_a_variable(node: Node<'_>) -> bool {
    node.parent().is_none() || node.is_label()
}

/// Whether a function inside of `scope` stands around the node.
fn in_function(node: Node<'_>, scope: Node<'_>) -> bool {
    node.ancestors().take_while(|a| *a != scope).any(|a| matches!(a.kind(), Kind::FunctionDef | Kind::Lambda))
}

/// Whether this place gives the object of a variable another name, or hands it to somebody.
fn is_shared(node: Node<'_>) -> bool {
    let place = node.with_parens();
    let Some(parent) = place.parent() else { return false };
    match parent.kind() {
        // `out = other = []`
        Kind::Assign if place.field() == Field::Left => node
            .statement()
            .is_some_and(|s| matches!(Stmt::of(s), Stmt::Assign { targets, .. } if targets.len() > 1)),
        Kind::Assign | Kind::NamedExpr => place.field() == Field::Right || place.field() == Field::Value,
        Kind::Arguments => {
            let func = parent.parent().and_then(|call| call.child(Field::Function));
            !func.is_some_and(|f| {
                matches!(
                    Expr::of(f),
                    Expr::Name(
                        "len" | "bool" | "print" | "sorted" | "list" | "set" | "tuple" | "dict" | "enumerate"
                    )
                )
            })
        }
        Kind::KeywordArgument => place.field() == Field::Value,
        Kind::List | Kind::Tuple | Kind::Pair | Kind::ExprList => {
            !node.is_binding() && parent.kind() != Kind::PatternList
        }
        _ => false,
    }
}

/// A name that a nested function or comprehension has for itself.
fn is_own_name(node: Node<'_>) -> bool {
    let Some(scope) = node.enclosing_scope() else { return false };
    ormend_engine::python::parameters(scope).iter().any(|p| p.name == node.text())
        || super::find::is_bound_in(scope_body(scope), node.text())
}

fn outermost_loop(node: Node<'_>) -> Node<'_> {
    let scope = node.enclosing_scope();
    node.ancestors()
        .filter(|a| matches!(a.kind(), Kind::For | Kind::While) && a.enclosing_scope() == scope)
        .last()
        .unwrap_or(node)
}

/// Whether an instance has its key as soon as it is made.
pub fn has_own_key(model: &Model) -> bool {
    model
        .primary_key()
        .is_some_and(|pk| pk.kind != FieldKind::Auto && pk.has_default && pk.kind == FieldKind::Uuid)
}

/// The place of a setting by which a bulk insert may set no keys; `Some(None)` where no database is known.
fn no_keys(cx: &Context<'_>) -> Option<Option<Site>> {
    let returning = [
        "sqlite3",
        "spatialite",
        "postgresql",
        "postgresql_psycopg2",
        "postgis",
        "cockroachdb",
        "django_cockroachdb",
    ];
    let settings = cx.project.settings();
    if settings.database_engines.is_empty() {
        return Some(None);
    }
    let sites = &settings.engine_sites;
    let other = settings.database_engines.iter().position(|engine| {
        let name = engine.rsplit('.').find(|part| *part != "backend" && *part != "backends").unwrap_or("");
        !returning.contains(&name)
    })?;
    Some(sites.get(other).copied())
}

/// The statement list that a statement stands in.
pub fn siblings<'a>(statement: Node<'a>) -> Vec<Node<'a>> {
    statement.parent().map(|b| b.children().collect()).unwrap_or_default()
}

/// The list of the code's own that holds exactly the rows of one model, in order, when the loop is over.
pub fn own_list<'a>(cx: &Context<'a>, found: &Loop<'a>, rows: &[&Row<'a>]) -> Option<Node<'a>> {
    if found.node.kind() != Kind::For {
        return None;
    }
    let mut name: Option<Node<'a>> = None;
    let mut appends = Vec::new();
    for row in rows {
        let (list, append) = match row.place {
            Place::Appended(_, list) => (list, list),
            Place::Named(statement, variable) => {
                let next = siblings(statement).into_iter().skip_while(|s| *s != statement).skip(1);
                let list = next
                    .take_while(|s| !rebinds(*s, variable.text()))
                    .find_map(|s| appended(s, variable.text()))?;
                (list, list)
            }
            _ => return None,
        };
        if name.is_some_and(|n| n.text() != list.text()) {
            return None;
        }
        name = Some(list);
        appends.push(append);
    }
    let name = name?;
    // Empty when the loop starts: made in the same block, and nothing in between names it.
    let before: Vec<Node<'a>> = siblings(found.node).into_iter().take_while(|s| *s != found.node).collect();
    let made = before.iter().rposition(|s| match Stmt::of(*s) {
        Stmt::Assign { targets, value: Some(value), .. } => {
            matches!(targets.as_slice(), [only] if matches!(Expr::of(*only), Expr::Name(n) if n == name.text()))
                && matches!(Expr::of(value), Expr::List(list) if list.children().count() == 0)
        }
        _ => false,
    })?;
    let untouched = before.iter().skip(made + 1).all(|s| !names(*s, name.text()));
    // Only these appends fill it.
    let others = found
        .node
        .descendants()
        .filter(|n| n.kind() == Kind::Name && n.text() == name.text() && !is_not_a_variable(*n))
        .any(|n| !appends.contains(&n));
    let _ = cx;
    (untouched && !others).then_some(name)
}

fn names(statement: Node<'_>, name: &str) -> bool {
    statement.descendants().any(|n| n.kind() == Kind::Name && n.text() == name && !is_not_a_variable(n))
}

fn rebinds(statement: Node<'_>, name: &str) -> bool {
    super::find::is_bound_in(statement, name)
        || statement
            .descendants()
            .any(|n| matches!(n.kind(), Kind::Continue | Kind::Break | Kind::Return | Kind::Raise))
}

/// The list in `list.append(name)`, if the statement is that.
fn appended<'a>(statement: Node<'a>, name: &str) -> Option<Node<'a>> {
    let Stmt::Expr(expr) = Stmt::of(statement) else { return None };
    let Expr::Call { func, arguments: list } = Expr::of(expr) else { return None };
    let Expr::Attribute { value, attr: "append", .. } = Expr::of(func) else { return None };
    let args = arguments(list);
    let [only] = args.as_slice() else { return None };
    let is_name = matches!(Expr::of(only.value), Expr::Name(n) if n == name);
    (is_name && only.name.is_none() && only.stars == 0 && matches!(Expr::of(value), Expr::Name(_)))
        .then_some(value.peel())
}
