//! Report a path in a queryset's arguments that names no field.

mod certain;
mod find;
mod meant;
mod paths;

use find::Found;
use meant::Meant;
use ormend_engine::codemod::eager::relied_on;
use ormend_engine::codemod::{
    Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries, Related,
};
use ormend_engine::infer::Type;
use ormend_engine::python::emit::string_literal;
use ormend_engine::python::{Kind, Node};
use ormend_engine::text::Edit;

/// The codemod.
pub struct UnresolvedPath;

impl Codemod for UnresolvedPath {
    type Match<'a> = Found<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "unresolved-path",
            group: Group::EagerLoading,
            summary: "Report a path in a queryset's arguments that names no field.",
            docs: include_str!("README.md"),
            hazards: &[HazardKind::NameUnclear, HazardKind::GuessedName, HazardKind::HandlerAround],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Str, Kind::ConcatStr, Kind::KeywordArgument]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Found<'a>> {
        find::found(cx, node)
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Found<'a>, out: &mut Vec<Hazard>) {
        match &found.meant {
            Meant::Nothing(why) => {
                out.push(cx.hazard(HazardKind::NameUnclear, why.clone(), found.node));
                return;
            }
            Meant::Perhaps(name) => out.push(cx.hazard(HazardKind::GuessedName, name.clone(), found.node)),
            Meant::Certainly(_) | Meant::Several(_) => {}
        }
        let made = match cx.type_of(found.call) {
            Type::QuerySet(qs) => qs.values.first().copied(),
            _ => None,
        };
        relied_on(cx, made, found.how.errors(), out);
        if made.is_none() {
            find::handled_here(cx, found, out);
        }
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Found<'a>) -> Description {
        let model = cx.model(found.unresolved.model);
        let what = if found.how.wants_relation() { "relation" } else { "field" };
        let message = match &found.meant {
            Meant::Several(paths) => {
                let names: Vec<String> = paths.iter().map(|p| format!("`{p}`")).collect();
                format!("Separate {}, which are one name here", names.join(" and "))
            }
            Meant::Certainly(path) | Meant::Perhaps(path) => {
                format!("Write `{path}`: `{}` names no {what} of `{}`", found.unresolved.part, model.name)
            }
            Meant::Nothing(_) => format!("`{}` names no {what} of `{}`", found.unresolved.part, model.name),
        };
        let after = match &found.meant {
            Meant::Nothing(_) => found.how.error().to_owned(),
            _ => "a path that Django knows".to_owned(),
        };
        Description {
            site: cx.site(found.node),
            message,
            related: vec![Related { site: model.site, message: "the model stands here".to_owned() }],
            queries: Queries { before: found.how.error().to_owned(), after },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Found<'a>) -> Result<Fix, Hazard> {
        let replaced = |path: &str| match found.node.kind() {
            Kind::KeywordArgument => {
                let name = found.node.children().next().unwrap_or(found.node);
                Edit::replace(name.span(), path.to_owned())
            }
            _ => Edit::replace(found.node.span(), string_literal(path, quote(found.node))),
        };
        let edits = match &found.meant {
            Meant::Nothing(_) => Vec::new(),
            Meant::Certainly(path) | Meant::Perhaps(path) => vec![replaced(path)],
            Meant::Several(_) if found.node.kind() == Kind::ConcatStr => {
                let pieces: Vec<Node<'a>> = found.node.children().filter(|n| n.kind() == Kind::Str).collect();
                let all_but_last = pieces.len().saturating_sub(1);
                pieces.iter().take(all_but_last).map(|p| Edit::insert(p.span().end, ",".to_owned())).collect()
            }
            Meant::Several(paths) => {
                let quote = quote(found.node);
                let names: Vec<String> = paths.iter().map(|p| string_literal(p, quote)).collect();
                vec![Edit::replace(found.node.span(), names.join(", "))]
            }
        };
        Ok(cx.fix(edits))
    }
}

fn quote(node: Node<'_>) -> char {
    let start = node.descendants().find(|n| n.kind() == Kind::StrStart);
    start.and_then(|s| s.text().chars().last()).unwrap_or('"')
}
