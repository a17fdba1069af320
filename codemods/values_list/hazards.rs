//! What stands between a shape and its rewrite.

use super::find::{Match, Rowwise};
use super::rewrite::needed_builtin;
use ormend_engine::codemod::rows::emit::lost_comment;
use ormend_engine::codemod::rows::hazards::{reading, shadowed};
use ormend_engine::codemod::{Context, Hazard, HazardKind};

/// Every hazard of a match.
pub fn hazards<'a>(cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
    reading(cx, &found.shape, &found.columns, out);
    if let Some(name) = needed_builtin(cx, found)
        && let Some(site) = shadowed(cx, found.shape.node, name)
    {
        out.push(cx.hazard(HazardKind::ImportShadowed, name, site));
    }
    // A comprehension that stays is edited in place.
    let is_in_place = found.shape.filling.is_none() && found.rowwise == Rowwise::Mixed;
    if !is_in_place && let Some(comment) = lost_comment(&found.shape) {
        out.push(cx.hazard(HazardKind::CommentLost, "", comment));
    }
}
