//! Which loop creates rows one by one, and in which statements.

use super::held::held;
use super::uses::bucket;
use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::maker::{Maker, maker};
use ormend_engine::codemod::guards::making::instances;
use ormend_engine::codemod::loops::{awaited, statement_of};
use ormend_engine::django::{FieldKind, ModelId, RelationKind};
use ormend_engine::infer::{EventKind, Made, Manager, Origin, QuerySetClass, Root, Rows, Trait, Type};
use ormend_engine::python::{Expr, Field, Kind, Node, Stmt, arguments, generators, innermost_loop};

/// A loop, or a list comprehension, and the rows that it makes.
#[derive(Clone, Debug)]
pub struct Loop<'a> {
    /// The `for` statement or the comprehension.
    pub node: Node<'a>,
    /// What is iterated first.
    pub iter: Node<'a>,
    /// The creates, in order.
    pub rows: Vec<Row<'a>>,
    /// Calls of `get_or_create()` and `update_or_create()`, where there is nothing else.
    pub upserts: Vec<Node<'a>>,
}

/// One statement that makes a row.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The call of `create()` or `save()`.
    pub call: Node<'a>,
    /// `acreate()` or `asave()`, which are awaited.
    pub is_async: bool,
    /// The model that is named.
    pub model: ModelId,
    /// How the row is written.
    pub how: How<'a>,
    /// Where the row goes.
    pub place: Place<'a>,
}

/// How a row is written.
#[derive(Clone, Debug)]
pub enum How<'a> {
    /// `manager.create(...)`
    Create {
        /// The manager or queryset, as written.
        manager: Node<'a>,
        /// The expression of the model at its start; none for a related manager or a name.
        class: Option<Node<'a>>,
        /// For a related manager: the owner and the foreign key.
        owner: Option<(Node<'a>, String)>,
        /// The manager's attribute on the model.
        name: Option<String>,
        /// Its class.
        manager_class: QuerySetClass,
    },
    /// `instance.save()`
    Save {
        /// `Model(...)`, or a call of the function that makes the instance.
        constructor: Node<'a>,
        /// That function.
        maker: Option<Maker<'a>>,
        /// `using=`
        using: Option<Node<'a>>,
        /// `force_insert=True`
        inserts: bool,
    },
}

/// Where a row goes.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// The statement is the call.
    Statement(Node<'a>),
    /// `name = create(...)`: the statement and the name. For `name.save()` too, with the statement of the save.
    Named(Node<'a>, Node<'a>),
    /// `list.append(create(...))`: the statement and the list.
    Appended(Node<'a>, Node<'a>),
    /// `dict[key] = create(...)`: the statement and the target.
    Stored(Node<'a>, Node<'a>),
    /// `name.save()` of the instances of a list that was filled before: the statement and the list.
    Held(Node<'a>, Node<'a>),
    /// The element of a list comprehension.
    Element,
    /// Anything else.
    Elsewhere,
}

impl<'a> Row<'a> {
    /// The call of the model or of `create()` that has the values.
    pub fn constructor(&self) -> Node<'a> {
        match &self.how {
            How::Create { .. } => self.call,
            How::Save { constructor, .. } => *constructor,
        }
    }

    /// The variable that holds the instance.
    pub fn name(&self) -> Option<Node<'a>> {
        match self.place {
            Place::Named(_, name) => Some(name),
            _ => None,
        }
    }

    /// What `save()` is called on.
    pub fn instance(&self) -> Option<Node<'a>> {
        let (How::Save { .. }, Expr::Call { func, .. }) = (&self.how, Expr::of(self.call)) else {
            return None;
        };
        match Expr::of(func) {
            Expr::Attribute { value, .. } => Some(value.peel()),
            _ => None,
        }
    }

    /// The call, with the `await` before it.
    pub fn whole(&self) -> Node<'a> {
        match self.is_async {
            true => awaited(self.call).unwrap_or(self.call),
            false => self.call,
        }
    }

    /// The function that makes the instance.
    pub fn maker(&self) -> Option<&Maker<'a>> {
        match &self.how {
            How::Save { maker, .. } => maker.as_ref(),
            How::Create { .. } => None,
        }
    }

    /// The arguments of the constructor or `create()`; those of a function that makes the instance have no names, since
    /// each may become any column.
    pub fn arguments(&self) -> Vec<ormend_engine::python::Argument<'a>> {
        let Expr::Call { arguments: list, .. } = Expr::of(self.constructor()) else { return Vec::new() };
        let mut out = arguments(list);
        if self.maker().is_some() {
            out.iter_mut().for_each(|a| a.name = None);
        }
        out
    }

    /// The statement.
    pub fn statement(&self) -> Option<Node<'a>> {
        match self.place {
            Place::Statement(s)
            | Place::Named(s, _)
            | Place::Appended(s, _)
            | Place::Stored(s, _)
            | Place::Held(s, _) => Some(s),
            Place::Element | Place::Elsewhere => self.call.statement(),
        }
    }
}

/// The loop at `node`, a `for` statement or a list comprehension; none where it makes no row.
pub fn loop_at<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Loop<'a>> {
    if node.has_error() || node.enclosing_scope()? != cx.scope() {
        return None;
    }
    let (iter, regions): (Node<'a>, Vec<Node<'a>>) = match node.kind() {
        Kind::For => {
            let Stmt::For { iter, body, .. } = Stmt::of(node) else { return None };
            (iter, vec![body])
        }
        Kind::ListComp => {
            let generators = generators(node);
            (generators.first()?.iter, vec![node.child(Field::Body)?])
        }
        Kind::DictComp => {
            let generators = generators(node);
            (generators.first()?.iter, vec![node.child(Field::Body)?.child(Field::Value)?])
        }
        Kind::While => {
            let Stmt::While { test, body, orelse: None } = Stmt::of(node) else { return None };
            ends(cx, test, body).then_some((test, vec![body]))?
        }
        _ => return None,
    };
    let mut rows: Vec<Row<'a>> = Vec::new();
    let mut upserts = Vec::new();
    for region in regions {
        for call in region.descendants().filter(|n| n.kind() == Kind::Call) {
            if call.enclosing_scope() != Some(cx.scope()) || inner_comprehension(call, node) {
                continue;
            }
            if is_upsert(cx, call) {
                upserts.push(call);
                continue;
            }
            let Some(row) = row_at(cx, node, call) else { continue };
            // What the analysis has not reached is not known.
            let is_written =
                cx.facts.events().any(|e| e.at == call.id() && matches!(e.kind, EventKind::Write { .. }));
            let is_statement = matches!(node.kind(), Kind::For | Kind::While);
            if !is_written || is_statement && leaves(&row, node) {
                continue;
            }
            // A second save() of one instance is a use of it.
            let again = rows.iter().any(|r| {
                matches!((&r.how, &row.how), (How::Save { constructor: a, .. }, How::Save { constructor: b, .. }) if a == b)
            });
            if !again {
                rows.push(row);
            }
        }
    }
    // A stream brings its items when they come; a queryset has them all before the first turn.
    let streams = node.is_async() && !is_queryset(cx, iter)
        || generators(node).iter().any(|g| g.is_async && !is_queryset(cx, g.iter));
    if streams {
        return None;
    }
    // The rows of one loop are all awaited, or none is.
    if rows.iter().any(|r| r.is_async) && !rows.iter().all(|r| r.is_async) {
        return None;
    }
    if !rows.iter().any(|r| r.is_async) && (node.is_async() || has_await(cx, node)) {
        return None;
    }
    if node.kind() == Kind::While {
        // Rows of a loop further in are that loop's.
        rows.retain(|r| innermost_loop(r.call) == Some(node));
        upserts.clear();
    }
    // A list whose items are saved among other rows is not stored as it is.
    if rows.len() > 1 {
        rows.retain(|r| !matches!(r.place, Place::Held(..)));
    }
    if node.kind() == Kind::DictComp {
        let key = node.child(Field::Body)?.child(Field::Key)?;
        let element = node.child(Field::Body)?.child(Field::Value)?.peel();
        rows.retain(|r| r.call == element && !r.is_async && key_column(cx, r, key).is_some());
        for row in &mut rows {
            row.place = Place::Element;
        }
    }
    if node.kind() == Kind::ListComp {
        // Only the element itself is what the list holds.
        let element = node.child(Field::Body)?.peel();
        rows.retain(|r| r.whole() == element);
        for row in &mut rows {
            row.place = Place::Element;
        }
    }
    if !rows.is_empty() {
        upserts.clear();
    }
    (!rows.is_empty() || !upserts.is_empty()).then_some(Loop { node, iter, rows, upserts })
}

/// The column of a row that holds what `key` is, so that the row itself gives it back.
pub fn key_column<'a>(cx: &Context<'a>, row: &Row<'a>, key: Node<'a>) -> Option<&'a str> {
    let model = cx.model(row.model);
    let mut watched = Vec::new();
    instances(cx, row.model, &mut watched);
    let given = row.arguments().into_iter().find(|a| a.name.is_some() && a.value.text() == key.text())?;
    let field = model.field(given.name?)?;
    let is_plain = field.class.starts_with("django.")
        && !field.has_hooks
        && !field.auto_now
        && !field.auto_now_add
        && (field.kind.is_plain_column() || field.kind == FieldKind::ForeignKey);
    (watched.is_empty() && is_plain && is_repeatable(key) && row.maker().is_none()).then_some(given.name?)
}

/// Whether a `while` goes through something that its body makes shorter, or counts up to an end, so that what stands behind
/// it is reached.
fn ends<'a>(cx: &Context<'a>, test: Node<'a>, body: Node<'a>) -> bool {
    if cx.events_in(test).next().is_some() {
        return false;
    }
    let is_of_turn =
        |n: &Node<'a>| innermost_loop(*n) == innermost_loop(body.children().next().unwrap_or(*n));
    match Expr::of(test) {
        Expr::Name(name) => {
            body.descendants().filter(|n| n.kind() == Kind::Call).filter(is_of_turn).any(|call| {
                matches!(Expr::of(call), Expr::Call { func, .. }
                if matches!(Expr::of(func), Expr::Attribute { value, attr: "pop" | "popleft" | "popitem", .. }
                    if matches!(Expr::of(value), Expr::Name(n) if n == name)))
            })
        }
        Expr::Compare { left, op: Kind::Lt | Kind::LtE, right: _ } => {
            let Expr::Name(name) = Expr::of(left) else { return false };
            body.children().any(|s| {
                matches!(Stmt::of(s), Stmt::AugAssign { target, op: Kind::AddAssign, .. }
                    if matches!(Expr::of(target), Expr::Name(n) if n == name))
            })
        }
        _ => false,
    }
}

fn has_await<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    node.descendants().any(|n| {
        (n.kind() == Kind::Await || n.kind() == Kind::CompFor && n.is_async())
            && n.enclosing_scope() == Some(cx.scope())
    })
}

fn is_queryset<'a>(cx: &Context<'a>, iter: Node<'a>) -> bool {
    match cx.type_of(iter) {
        Type::QuerySet(_) => true,
        _ => matches!(Expr::of(iter), Expr::Call { func, .. }
            if matches!(Expr::of(func), Expr::Attribute { value, attr: "aiterator", .. }
                if matches!(cx.type_of(value), Type::QuerySet(_) | Type::Manager(_)))),
    }
}

/// Whether a comprehension stands between `call` and the loop.
fn inner_comprehension(call: Node<'_>, outer: Node<'_>) -> bool {
    call.ancestors().take_while(|a| *a != outer).any(|a| {
        matches!(
            a.kind(),
            Kind::ListComp | Kind::SetComp | Kind::DictComp | Kind::GeneratorExp | Kind::Lambda
        )
    })
}

fn is_upsert(cx: &Context<'_>, call: Node<'_>) -> bool {
    let Expr::Call { func, .. } = Expr::of(call) else { return false };
    let Expr::Attribute { value, attr: "get_or_create" | "update_or_create", .. } = Expr::of(func) else {
        return false;
    };
    match cx.type_of(value) {
        Type::Manager(manager) => !manager.is_many_to_many,
        Type::QuerySet(_) => true,
        _ => false,
    }
}

/// The row that `call` makes inside of `outer`.
fn row_at<'a>(cx: &Context<'a>, outer: Node<'a>, call: Node<'a>) -> Option<Row<'a>> {
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return None };
    let is_async = matches!(attr, "acreate" | "asave");
    if is_async && awaited(call).is_none() {
        return None;
    }
    match attr {
        "create" | "acreate" => {
            let args = arguments(list);
            if args.iter().any(|a| a.name.is_none() && a.stars != 2) {
                return None;
            }
            let (model, how) = manager_of(cx, outer, value.peel())?;
            let whole = if is_async { awaited(call)? } else { call };
            Some(Row { call, is_async, model, how, place: place_of(cx, whole) })
        }
        "save" | "asave" => {
            let (using, inserts) = save_arguments(list)?;
            let Type::Instance(instance) = cx.type_of(value) else { return None };
            let Root::Value(id) = instance.root else { return None };
            let made = cx.value(id)?;
            let (Made::Constructed | Made::Unknown, Origin::Expr(origin)) = (made.made, made.origin) else {
                return None;
            };
            let constructor = cx.node(origin).peel();
            let Expr::Call { func: class, .. } = Expr::of(constructor) else { return None };
            // A factory's instance may be anybody's.
            let (model, maker) = match cx.type_of(class) {
                Type::ModelClass(model) if made.made == Made::Constructed => (*model, None),
                Type::ModelClass(_) => return None,
                _ => {
                    let maker = maker(cx, constructor)?;
                    (maker.model, Some(maker))
                }
            };
            if !instance.path.is_empty() {
                return None;
            }
            let statement = statement_of(if is_async { awaited(call)? } else { call })?;
            let how = How::Save { constructor, maker, using, inserts };
            if !outer.contains(constructor.id()) {
                let list = held(cx, outer, constructor, statement, value.peel(), id)?;
                return Some(Row { call, is_async, model, how, place: Place::Held(statement, list) });
            }
            let place = if constructor == value.peel() {
                Place::Statement(statement)
            } else {
                let name = value.peel();
                // One instance a turn: made and saved in the same round of the same loop.
                if !matches!(Expr::of(name), Expr::Name(_))
                    || !is_assigned_to(constructor, name.text())
                    || innermost_loop(constructor) != innermost_loop(call)
                    // In a branch only, the save may store the instance of an earlier round again.
                    || !constructor.statement()?.parent()?.contains(call.id())
                {
                    return None;
                }
                Place::Named(statement, name)
            };
            Some(Row { call, is_async, model, how, place })
        }
        _ => None,
    }
}

/// The arguments of `save()` that a bulk statement can keep: the database, and whether it only inserts.
fn save_arguments(list: Node<'_>) -> Option<(Option<Node<'_>>, bool)> {
    let mut using = None;
    let mut inserts = false;
    for argument in arguments(list) {
        match argument.name {
            Some("using") => using = Some(argument.value),
            Some("force_insert") if matches!(Expr::of(argument.value), Expr::True) => inserts = true,
            _ => return None,
        }
    }
    Some((using, inserts))
}

fn manager_of<'a>(cx: &Context<'a>, outer: Node<'a>, manager: Node<'a>) -> Option<(ModelId, How<'a>)> {
    let how = |class, owner, name: Option<&str>, manager_class| How::Create {
        manager,
        class,
        owner,
        name: name.map(str::to_owned),
        manager_class,
    };
    match cx.type_of(manager) {
        Type::Manager(m) => {
            let m: &Manager = m;
            if m.is_many_to_many {
                return None;
            }
            if let Some(related) = &m.related {
                let Expr::Attribute { value: owner, .. } = Expr::of(manager) else { return None };
                let reverse = cx.model(related.owner.model).reverse(&related.accessor)?;
                if reverse.kind != RelationKind::ForeignKey {
                    return None;
                }
                let owner = Some((owner, reverse.field.clone()));
                return Some((m.model, how(None, owner, m.name.as_deref(), m.class)));
            }
            is_fixed(cx, outer, manager).then_some(())?;
            Some((m.model, how(class_of(cx, manager), None, m.name.as_deref(), m.class)))
        }
        Type::QuerySet(qs) => {
            let plain = qs.related.is_none()
                && qs.known.is_empty()
                && qs.rows == Rows::Instances
                && qs.traits.iter().all(|t| *t == Trait::Using);
            // Only `manager.using(alias)`: other methods say something that create() does not keep.
            let Expr::Call { func, arguments: list } = Expr::of(manager) else { return None };
            let Expr::Attribute { value, attr: "using" | "db_manager", .. } = Expr::of(func) else {
                return None;
            };
            let Type::Manager(m) = cx.type_of(value) else { return None };
            if !plain || m.related.is_some() || !is_fixed(cx, outer, value.peel()) {
                return None;
            }
            let constant = arguments(list).iter().all(|a| is_fixed(cx, outer, a.value.peel()));
            constant.then_some(())?;
            Some((qs.model, how(class_of(cx, value.peel()), None, m.name.as_deref(), m.class)))
        }
        _ => None,
    }
}

/// The expression of the model in `Model.objects`.
fn class_of<'a>(cx: &Context<'a>, manager: Node<'a>) -> Option<Node<'a>> {
    let Expr::Attribute { value, .. } = Expr::of(manager) else { return None };
    matches!(cx.type_of(value), Type::ModelClass(_)).then_some(value.peel())
}

/// Whether an expression is a literal, a name or a chain of attributes that the loop does not change.
pub fn is_fixed<'a>(cx: &Context<'a>, outer: Node<'a>, node: Node<'a>) -> bool {
    match Expr::of(node) {
        Expr::Str(_) | Expr::Int(_) => true,
        Expr::Name(name) => !is_bound_in(outer, name) && cx.scope().span().contains(node.span()),
        Expr::Attribute { value, .. } => is_fixed(cx, outer, value.peel()),
        _ => false,
    }
}

/// Whether anything in `region` binds `name`.
pub fn is_bound_in(region: Node<'_>, name: &str) -> bool {
    region.mentions(name).any(Node::is_binding)
}

fn is_assigned_to(constructor: Node<'_>, name: &str) -> bool {
    let Some(statement) = constructor.statement() else { return false };
    match Stmt::of(statement) {
        Stmt::Assign { targets, value: Some(value), .. } => {
            value.peel() == constructor
                && matches!(targets.as_slice(), [only] if matches!(Expr::of(*only), Expr::Name(n) if n == name))
        }
        _ => false,
    }
}

fn place_of<'a>(cx: &Context<'a>, call: Node<'a>) -> Place<'a> {
    if let Some(statement) = statement_of(call) {
        return Place::Statement(statement);
    }
    let Some(statement) = call.statement() else { return Place::Elsewhere };
    match Stmt::of(statement) {
        Stmt::Assign { targets, value: Some(value), .. } if value.peel() == call => {
            let [target] = targets.as_slice() else { return Place::Elsewhere };
            match Expr::of(*target) {
                Expr::Name(_) => Place::Named(statement, target.peel()),
                Expr::Subscript { value, index, count: 1 }
                    if matches!(Expr::of(value), Expr::Name(_))
                        && !matches!(cx.type_of(value), Type::Instance(_))
                        && is_repeatable(index) =>
                {
                    Place::Stored(statement, target.peel())
                }
                _ => Place::Elsewhere,
            }
        }
        Stmt::Expr(expr) => {
            let Expr::Call { func, arguments: list } = Expr::of(expr) else { return Place::Elsewhere };
            let Expr::Attribute { value, attr: "append", .. } = Expr::of(func) else {
                return Place::Elsewhere;
            };
            let args = arguments(list);
            match args.as_slice() {
                [only]
                    if only.value.peel() == call
                        && only.name.is_none()
                        && only.stars == 0
                        && (matches!(Expr::of(value), Expr::Name(_)) || bucket(cx, value).is_some()) =>
                {
                    Place::Appended(statement, value.peel())
                }
                _ => Place::Elsewhere,
            }
        }
        _ => Place::Elsewhere,
    }
}

/// Whether an expression may be written twice.
pub fn is_repeatable(node: Node<'_>) -> bool {
    match Expr::of(node) {
        Expr::Name(_) | Expr::Str(_) | Expr::Int(_) => true,
        Expr::Attribute { value, .. } => is_repeatable(value),
        Expr::Subscript { value, index, count: 1 } => is_repeatable(value) && is_repeatable(index),
        Expr::Tuple(node) => node.children().all(is_repeatable),
        _ => false,
    }
}

/// Whether the loop always ends once the row was made: there is one insert at most.
fn leaves(row: &Row<'_>, outer: Node<'_>) -> bool {
    let Some(mut statement) = row.call.statement() else { return false };
    if matches!(statement.kind(), Kind::Return | Kind::Raise) {
        return true;
    }
    loop {
        let Some(block) = statement.parent() else { return false };
        for next in block.children().skip_while(|s| *s != statement).skip(1) {
            match next.kind() {
                Kind::Return | Kind::Raise => return true,
                Kind::Break => return innermost_loop(next) == Some(outer),
                Kind::Continue => return false,
                _ => {}
            }
        }
        let Some(next) = block.parent().and_then(|p| p.statement()) else { return false };
        // A loop further in may make several rows before it ends.
        if next == outer || !outer.contains(next.id()) || matches!(next.kind(), Kind::For | Kind::While) {
            return false;
        }
        statement = next;
    }
}
