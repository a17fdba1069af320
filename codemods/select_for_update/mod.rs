//! Lock a row that is read, changed and saved in one transaction.

mod depends;
mod find;
mod hazards;

use find::Match;
use ormend_engine::codemod::guards::writes;
use ormend_engine::codemod::{
    Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries, Related,
};
use ormend_engine::infer::Type;
use ormend_engine::python::emit::{append_call, quote_of, string_literal};
use ormend_engine::python::{Kind, Node};
use ormend_engine::text::{Edit, Span};

/// The codemod.
pub struct SelectForUpdate;

impl Codemod for SelectForUpdate {
    type Match<'a> = Match<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "select-for-update",
            group: Group::Transactions,
            summary: "Lock a row that is read, changed and saved in one transaction.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::CustomQuerySet,
                HazardKind::QuerySetShape,
                HazardKind::OtherDatabase,
                HazardKind::LockedRows,
                HazardKind::LockHeld,
                HazardKind::LockOrder,
                HazardKind::NoTransaction,
                HazardKind::LoadedElsewhere,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::ExprStatement, Kind::Call]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
        find::find(cx, node)
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
        match found {
            Match::Unlocked(found) => hazards::unlocked(cx, found, out),
            Match::Idle(found) => hazards::idle(cx, found, out),
            Match::Elsewhere(found) => out.push(match found.load {
                Some(load) => cx.hazard(HazardKind::NoTransaction, found.name, load),
                None => cx.hazard(HazardKind::LoadedElsewhere, found.name, cx.scope()),
            }),
            Match::Outside(_, evaluated) => {
                let subject = writes::one_line(evaluated.text());
                out.push(cx.hazard(HazardKind::NoTransaction, subject, *evaluated));
            }
        }
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Description {
        let unlocked = "2 queries, what others save in between is lost";
        let locked = "2 queries, others wait";
        let (site, message, saved, before, after) = match found {
            Match::Unlocked(found) => (
                cx.site(found.load.call),
                format!("Lock `{}` with `select_for_update()` before it is changed", found.name),
                Some(found.written.save),
                unlocked,
                locked,
            ),
            Match::Elsewhere(found) => (
                cx.site(found.load.unwrap_or(found.written.save)),
                format!("Lock `{}` with `select_for_update()` before it is changed", found.name),
                found.load.and(Some(found.written.save)),
                unlocked,
                locked,
            ),
            Match::Idle(found) => (
                cx.site(found.lock),
                format!("Leave out `select_for_update()`, which `{}()` ignores", found.method),
                None,
                "1 query, locks nothing",
                "1 query",
            ),
            Match::Outside(lock, _) => (
                cx.site(*lock),
                "Call `select_for_update()` in a transaction".to_owned(),
                None,
                "an error wherever the database has locks",
                "1 query, others wait",
            ),
        };
        let related = saved
            .map(|save| Related { site: cx.site(save), message: "the row is saved here".to_owned() })
            .into_iter()
            .collect();
        Description {
            site,
            message,
            related,
            queries: Queries { before: before.to_owned(), after: after.to_owned() },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
        match found {
            Match::Unlocked(found) => {
                let file = cx.project.program().file(cx.file);
                let source = found.load.source;
                let mut arguments = Vec::new();
                if hazards::needs_of(cx, found) {
                    arguments.push(format!("of=({},)", string_literal("self", quote_of(file))));
                }
                let edits = match cx.type_of(source) {
                    Type::ModelClass(model) => {
                        let manager = &cx.model(*model).default_manager;
                        let text = format!(".{manager}.select_for_update({})", arguments.join(", "));
                        vec![Edit::insert(source.span().end, text)]
                    }
                    _ => append_call(file, source, "select_for_update", &arguments, cx.options.line_length),
                };
                let mut fix = cx.fix(edits);
                fix.reads = vec![cx.site(found.load.statement), cx.site(found.written.save)];
                Ok(fix)
            }
            Match::Idle(found) => {
                let span = Span::new(found.source.with_parens().span().end, found.lock.span().end);
                Ok(cx.fix(vec![Edit::replace(span, String::new())]))
            }
            Match::Elsewhere(found) => {
                Err(cx.hazard(HazardKind::LoadedElsewhere, found.name, found.written.save))
            }
            Match::Outside(lock, _) => {
                Err(cx.hazard(HazardKind::NoTransaction, writes::one_line(lock.text()), *lock))
            }
        }
    }
}
