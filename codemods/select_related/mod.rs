//! Fetch single-valued relations that every row reads with a join instead of a query a row.

use ormend_engine::codemod::{Codemod, Context, Description, Fix, Group, Hazard, Meta};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct SelectRelated;

/// What the pattern matcher binds.
pub struct Match<'a> {
    node: Node<'a>,
}

impl Codemod for SelectRelated {
    type Match<'a> = Match<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "select-related",
            group: Group::EagerLoading,
            summary: "Fetch single-valued relations that every row reads with a join instead of a query a row.",
            docs: include_str!("README.md"),
            hazards: &[],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[]
    }

    fn find<'a>(&self, _cx: &Context<'a>, _node: Node<'a>) -> Option<Match<'a>> {
        None
    }

    fn hazards<'a>(&self, _cx: &Context<'a>, _found: &Match<'a>, _out: &mut Vec<Hazard>) {}

    fn describe<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Description {
        Description {
            site: cx.site(found.node),
            message: String::new(),
            related: Vec::new(),
            queries: ormend_engine::codemod::Queries { before: String::new(), after: String::new() },
        }
    }

    fn rewrite<'a>(&self, _cx: &Context<'a>, _found: &Match<'a>) -> Result<Fix, Hazard> {
        Ok(Fix::default())
    }
}
