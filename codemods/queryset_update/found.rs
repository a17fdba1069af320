//! Loops over keys, each turn of which updates the rows of one key with the same values.

use ormend_engine::codemod::guards::batch::{self, Batch};
use ormend_engine::codemod::guards::found::{Found, found_by};
use ormend_engine::codemod::guards::queryset::{Reading, reading, shape};
use ormend_engine::codemod::guards::saved_rows::{REFUSED, is_computed, is_constant};
use ormend_engine::codemod::guards::variable::read_elsewhere;
use ormend_engine::codemod::guards::writes::{one_line, shares_table};
use ormend_engine::codemod::loops::{awaited, instead, only_statement, statement_of};
use ormend_engine::codemod::{Context, Fix, Hazard, HazardKind};
use ormend_engine::infer::Type;
use ormend_engine::python::{Expr, Kind, Node, Stmt, arguments};

/// The loop.
#[derive(Clone, Debug)]
pub struct Keys<'a> {
    /// The `for` statement.
    pub node: Node<'a>,
    /// The call of `update()`.
    pub call: Node<'a>,
    /// The rows that it updates.
    pub found: Found<'a>,
    target: Node<'a>,
    iter: Node<'a>,
    is_async: bool,
}

/// Methods of a queryset class that stand between the lookup and the database.
const METHODS: &[&str] = &["filter", "_filter_or_exclude", "_chain", "_clone"];

/// The loop at `node` whose body is `Book.objects.filter(pk=pk).update(status="done")`: with values that are the same in every
/// turn a row may come twice, and rows that another turn has updated stay as they are.
pub fn keys<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Keys<'a>> {
    if node.has_error() || node.enclosing_scope()? != cx.scope() || cx.scope().kind() == Kind::Module {
        return None;
    }
    let Stmt::For { target, iter, body, orelse: None, is_async: false } = Stmt::of(node) else { return None };
    let Expr::Name(name) = Expr::of(target) else { return None };
    let call = body.descendants().find(|n| n.kind() == Kind::Call)?;
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    let Expr::Attribute { value: chain, attr: attr @ ("update" | "aupdate"), .. } = Expr::of(func) else {
        return None;
    };
    let is_async = attr == "aupdate";
    let statement = statement_of(if is_async { awaited(call)? } else { call })?;
    if only_statement(body, statement) != Some(Vec::new()) || list.kind() == Kind::GeneratorExp {
        return None;
    }
    let found = found_by(cx, chain.peel(), name, iter).filter(|f| !f.by_get)?;
    let is_same = arguments(list).iter().all(|a| {
        a.name.is_some()
            && is_constant(cx, name, a.value, 0)
            && !is_computed(cx, a.value)
            && match cx.type_of(a.value) {
                Type::External(path) => !path.starts_with("django.db.models"),
                ty => !matches!(ty, Type::QuerySet(_) | Type::Manager(_)),
            }
    });
    if !is_same || read_elsewhere(cx, node, &[name]) {
        return None;
    }
    Some(Keys { node, call, found, target, iter, is_async })
}

impl<'a> Keys<'a> {
    /// Everything that is in the way.
    pub fn hazards(&self, cx: &Context<'a>, out: &mut Vec<Hazard>) {
        let chain = self.found.chain;
        if let Type::QuerySet(queryset) = cx.type_of(chain) {
            match reading(cx, queryset.model, queryset.class, METHODS) {
                Reading::Standard => {}
                Reading::Custom(what, site) => out.push(Hazard::at(HazardKind::CustomQuerySet, what, site)),
                Reading::Unknown => {
                    out.push(cx.hazard(HazardKind::UnknownType, one_line(chain.text()), chain))
                }
            }
            if let Reading::Custom(what, site) =
                reading(cx, queryset.model, queryset.class, &["update", "aupdate"])
            {
                out.push(Hazard::at(HazardKind::CustomManagerMethod, what, site));
            }
            shape(cx, queryset, chain, REFUSED, out);
            // Whether a row is found depends on others.
            if let Some(joined) =
                queryset.joined.iter().find(|m| shares_table(cx.project, **m, queryset.model))
            {
                let subject = cx.model(*joined).name.clone();
                out.push(cx.hazard(HazardKind::ReadsItsOwnWrites, subject, chain));
            }
        }
        self.found.hazards(cx, out);
        let batch = Batch {
            node: self.node,
            iter: self.iter,
            tables: &[self.found.model],
            writes: &[self.call],
            judged: &[self.found.lookup.id()],
            is_update: true,
        };
        batch::between(cx, &batch, out);
    }

    /// One statement for all keys.
    pub fn rewrite(&self, cx: &Context<'a>) -> Result<Fix, Hazard> {
        let text = self.found.together(cx, self.call, self.target, self.iter)?;
        let text = if self.is_async { format!("await {text}") } else { text };
        let mut fix = cx.fix(vec![instead(cx, self.node, self.iter, self.call, &text)]);
        fix.reads.push(cx.site(self.node));
        Ok(fix)
    }
}
