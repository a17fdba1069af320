//! What can be done about findings: fixed one by one or all at once, suppressed, explained.
//!
//! All fixes at once are what the command would write for this file, for the engine composes them. What has to be worked out for
//! that waits until an action is taken, where the client can wait.

use super::EXPLAIN;
use super::client::{Client, Refusal, fix_all_kind};
use super::diagnostics::{self, in_file};
use super::documents::Document;
use super::edits::{Open, Places};
use super::worker::Looked;
use super::workspace::Workspace;
use crate::escape::escape_line;
use crate::report::Findings;
use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionParams, Command, Diagnostic, WorkspaceEdit,
};
use ormend_engine::codemod::{FileEdit, Finding, Outcome};
use ormend_engine::rewrite::suppression;
use ormend_engine::text::Edit;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A document that is asked about, and what is known of it.
pub struct Asked<'a> {
    pub client: &'a Client,
    pub open: &'a Open,
    pub document: &'a Document,
    pub looked: &'a Looked,
    pub is_stale: &'a (dyn Fn() -> bool + Sync),
}

/// What an action needs to be worked out when it is taken.
#[derive(Debug, Deserialize, Serialize)]
pub struct Later {
    pub uri: String,
    version: i32,
    /// The codemod whose fixes are wanted; without one those of all.
    codemod: Option<String>,
}

/// The actions for a range.
pub fn find(
    asked: &Asked,
    workspace: &mut Workspace,
    params: &CodeActionParams,
) -> Result<Vec<CodeActionOrCommand>, Refusal> {
    let encoding = asked.client.abilities.encoding;
    let start = asked.document.offset(params.range.start, encoding);
    let end = asked.document.offset(params.range.end, encoding).max(start);
    let is_wanted = |kind: &CodeActionKind| {
        let only = params.context.only.as_deref();
        only.is_none_or(|only| only.iter().any(|wanted| is_below(kind.as_str(), wanted.as_str())))
    };
    let (report, path) = (&asked.looked.report, asked.looked.path.as_str());
    let here: Vec<(&Finding, &str)> = in_file(report, path)
        .filter(|(finding, _)| {
            let span = finding.site.span;
            span.start as usize <= end && start <= span.end as usize
        })
        .collect();
    let mut actions = Vec::new();
    if is_wanted(&CodeActionKind::QUICKFIX) {
        for (finding, fingerprint) in &here {
            actions.extend(fix(asked, workspace, finding, fingerprint));
        }
        let fixable = in_file(report, path).filter(|(finding, _)| workspace.options.wants(finding));
        let fixable: BTreeSet<&str> = fixable.map(|(finding, _)| finding.codemod).collect();
        let named: BTreeSet<&str> = here.iter().map(|(finding, _)| finding.codemod).collect();
        for codemod in named.intersection(&fixable) {
            let title = format!("Fix all `{codemod}` in this file");
            actions.extend(fix_all(asked, workspace, title, CodeActionKind::QUICKFIX, Some(codemod))?);
        }
        actions.extend(suppress(asked, workspace, &here));
    }
    if is_wanted(&fix_all_kind())
        && in_file(report, path).any(|(finding, _)| workspace.options.wants(finding))
    {
        let title = "Fix everything that is safe in this file (ormend)".to_owned();
        actions.extend(fix_all(asked, workspace, title, fix_all_kind(), None)?);
    }
    let mut all: Vec<CodeActionOrCommand> =
        actions.into_iter().map(CodeActionOrCommand::CodeAction).collect();
    if is_wanted(&CodeActionKind::EMPTY) {
        let named: BTreeSet<&str> = here.iter().map(|(finding, _)| finding.codemod).collect();
        all.extend(named.into_iter().map(explain));
    }
    Ok(all)
}

/// `action` with the edit that it waits for.
pub fn resolve(asked: &Asked, workspace: &mut Workspace, action: CodeAction) -> Result<CodeAction, Refusal> {
    let later = action.data.clone().and_then(|data| serde_json::from_value::<Later>(data).ok());
    let Some(later) = later.filter(|_| action.edit.is_none()) else { return Ok(action) };
    if later.version != asked.document.version {
        return Err(Refusal::outdated());
    }
    let edit = all_edits(asked, workspace, later.codemod.as_deref())?;
    Ok(CodeAction { edit, ..action })
}

/// Whether an action of the kind `kind` is one of the kind `wanted`.
fn is_below(kind: &str, wanted: &str) -> bool {
    wanted.is_empty()
        || kind.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The diagnostic of a finding, which the action is for.
fn diagnostic(
    asked: &Asked,
    workspace: &Workspace,
    finding: &Finding,
    fingerprint: &str,
) -> Option<Vec<Diagnostic>> {
    let report = &asked.looked.report;
    let findings = Findings::new(&report.findings, &report.fingerprints, &report.sources, &workspace.paths);
    let places = places(asked, workspace);
    diagnostics::diagnostic(report, &findings, finding, fingerprint, &places).map(|one| vec![one])
}

fn places<'a>(asked: &Asked<'a>, workspace: &'a Workspace) -> Places<'a> {
    Places { client: asked.client, paths: &workspace.paths, open: asked.open }
}

/// The fix of one finding, if it has one.
fn fix(asked: &Asked, workspace: &Workspace, finding: &Finding, fingerprint: &str) -> Option<CodeAction> {
    let fix = finding.fix.as_ref()?;
    let edit = places(asked, workspace).of_fix(&fix.edits, &asked.looked.report.sources)?;
    let mut title = escape_line(&finding.message).into_owned();
    if finding.outcome() == Outcome::Unsafe {
        let reasons: BTreeSet<&str> = finding.hazards.iter().map(|hazard| hazard.kind.name()).collect();
        title += &format!(" (unsafe: {})", Vec::from_iter(reasons).join(", "));
    }
    Some(CodeAction {
        title,
        kind: Some(CodeActionKind::QUICKFIX),
        diagnostics: diagnostic(asked, workspace, finding, fingerprint),
        edit: Some(edit),
        is_preferred: Some(workspace.options.wants(finding)),
        ..CodeAction::default()
    })
}

/// All fixes of `codemod`, or of all of them, in the file.
fn fix_all(
    asked: &Asked,
    workspace: &mut Workspace,
    title: String,
    kind: CodeActionKind,
    codemod: Option<&str>,
) -> Result<Option<CodeAction>, Refusal> {
    let action = CodeAction { title, kind: Some(kind), ..CodeAction::default() };
    if asked.client.abilities.lazy_edits {
        let later = Later {
            uri: asked.document.uri.as_str().to_owned(),
            version: asked.document.version,
            codemod: codemod.map(str::to_owned),
        };
        return Ok(Some(CodeAction { data: serde_json::to_value(later).ok(), ..action }));
    }
    let edit = all_edits(asked, workspace, codemod)?;
    Ok(edit.is_some().then_some(CodeAction { edit, ..action }))
}

/// What the command would write with this codemod, or with all of them, for this file.
fn all_edits(
    asked: &Asked,
    workspace: &mut Workspace,
    codemod: Option<&str>,
) -> Result<Option<WorkspaceEdit>, Refusal> {
    let report = workspace.look(&[&asked.looked.path], codemod, true, asked.is_stale);
    let report = report.ok_or_else(Refusal::outdated)?;
    if report.changes.is_empty() {
        return Ok(None);
    }
    Ok(places(asked, workspace).of_changes(&report.changes))
}

/// For each of the findings a comment that suppresses it, where one can stand.
fn suppress(asked: &Asked, workspace: &mut Workspace, here: &[(&Finding, &str)]) -> Vec<CodeAction> {
    let path = asked.looked.path.as_str();
    let edits: Vec<Option<Edit>> = match here {
        [] => Vec::new(),
        here => workspace.ask(|analyzer| {
            let comment =
                |finding: &Finding| suppression(analyzer.project(), path, finding.site.span, finding.codemod);
            here.iter().map(|(finding, _)| comment(finding)).collect()
        }),
    };
    let action = |((finding, fingerprint), edit): (&(&Finding, &str), Option<Edit>)| {
        let edit = FileEdit { file: finding.site.file, edit: edit? };
        Some(CodeAction {
            title: format!("Suppress `{}` here", finding.codemod),
            kind: Some(CodeActionKind::QUICKFIX),
            diagnostics: diagnostic(asked, workspace, finding, fingerprint),
            edit: places(asked, workspace).of_fix(&[edit], &asked.looked.report.sources),
            is_preferred: Some(false),
            ..CodeAction::default()
        })
    };
    here.iter().zip(edits).filter_map(action).collect()
}

/// What `ormend explain` says of a codemod.
fn explain(codemod: &str) -> CodeActionOrCommand {
    CodeActionOrCommand::Command(Command {
        title: format!("Explain `{codemod}`"),
        command: EXPLAIN.to_owned(),
        arguments: Some(vec![codemod.into()]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_below_those_that_they_begin_with() {
        assert!(is_below("source.fixAll.ormend", "source.fixAll") && is_below("quickfix", "quickfix"));
        assert!(is_below("quickfix", "") && is_below("", ""));
        assert!(!is_below("source.fixAll.ormend", "source.fix") && !is_below("", "quickfix"));
        assert!(!is_below("source.fixAll.ormend", "source.fixAll.ruff"));
    }
}
