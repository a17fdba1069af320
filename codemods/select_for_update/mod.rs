//! Lock a row that is read, changed and saved in one transaction.

mod depends;
mod find;
mod hazards;
mod idle;
mod next;

use find::Match;
use ormend_engine::codemod::atomic_block::{atomic_name, with_block};
use ormend_engine::codemod::guards::writes;
use ormend_engine::codemod::{
    Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries, Related, Site,
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
                HazardKind::AddedRows,
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
            Match::Outside(found) if found.statements.is_empty() => out.push(not_open(cx, found.load)),
            Match::Outside(_) => {}
            Match::Next(found) => {
                let subject = writes::one_line(found.load.text());
                out.push(cx.hazard(HazardKind::AddedRows, subject, found.load));
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
            Match::Next(found) => (
                cx.site(found.load),
                format!("Compute the next `{}` where others wait", found.column),
                None,
                "2 queries, and two rows may get one number",
                "2 queries, others wait",
            ),
            Match::Outside(found) => (
                cx.site(found.lock),
                "Call `select_for_update()` in a transaction".to_owned(),
                None,
                "an error wherever the database has locks",
                "1 query, others wait",
            ),
        };
        let made = match found {
            Match::Next(found) => Some((found.made, "the new row is made here")),
            _ => saved.map(|save| (save, "the row is saved here")),
        };
        let related = made
            .map(|(node, message)| Related { site: cx.site(node), message: message.to_owned() })
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
            Match::Next(found) => Err(cx.hazard(HazardKind::AddedRows, found.column, found.load)),
            Match::Outside(found) => {
                let (name, import) = atomic_name(cx, found.load).map_err(|_| not_open(cx, found.load))?;
                let edits = with_block(cx, &found.statements, &format!("{name}()"))
                    .map_err(|_| not_open(cx, found.load))?;
                let mut fix = cx.fix(edits);
                fix.imports.extend(import);
                // Nobody else may change the lines that move to the right, or add to them.
                if let (Some(first), Some(last)) = (found.statements.first(), found.statements.last()) {
                    let span = Span::new(first.span().start, last.span().end);
                    fix.reads.push(Site { file: cx.file, span });
                }
                Ok(fix)
            }
        }
    }
}

fn not_open<'a>(cx: &Context<'a>, load: Node<'a>) -> Hazard {
    cx.hazard(HazardKind::NoTransaction, writes::one_line(load.text()), load)
}
