//! Shows every node of every frame to the codemods that asked for its kind.

use super::{Warning, supposed, suppress};
use crate::codemod::{Context, Finding, Options, Rule};
use crate::django::Project;
use crate::infer::{Analyzer, Facts};
use crate::python::{Kind, Node, NodeId};
use crate::text::{FileId, Source};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// What a scan gives.
pub(super) struct Scanned {
    /// By file path and position; suppressed ones left out.
    pub findings: Vec<Finding>,
    /// Suppressions that suppress nothing.
    pub warnings: Vec<Warning>,
}

/// What is said of a file that cannot be read as text.
pub fn unreadable(source: &Source) -> Option<Warning> {
    let message = source.problem()?.to_owned();
    Some(Warning { path: source.path().to_owned(), line: None, message })
}

/// Why a file, or a part of it, cannot be looked at.
pub(super) fn problems(project: &Project, file: FileId) -> Vec<Warning> {
    let file = project.program().file(file);
    if let Some(problem) = unreadable(&file.source) {
        return vec![problem];
    }
    let path = file.source.path().to_owned();
    if file.ast.is_too_deep() {
        let message = "nested too deeply to be looked at".to_owned();
        return vec![Warning { path, line: None, message }];
    }
    if file.ast.is_empty() {
        return Vec::new();
    }
    if let Some(old) =
        file.root().descendants().find(|n| matches!(n.kind(), Kind::PrintStatement | Kind::ExecStatement))
    {
        let line = Some(file.source.line_column(old.span().start).line);
        let message = "this is Python 2, whose statements are left alone".to_owned();
        return vec![Warning { path, line, message }];
    }
    if !file.root().has_error() {
        return Vec::new();
    }
    let first = file
        .root()
        .descendants()
        .filter(|n| n.has_error())
        .find(|n| n.kind() == Kind::Error || !n.all_children().any(|c| c.has_error()));
    let line = first.map(|n| file.source.line_column(n.span().start).line);
    let message = "this statement did not parse and is left alone".to_owned();
    vec![Warning { path, line, message }]
}

/// Run `rules` over `files`.
pub(super) fn scan(
    analyzer: &Analyzer<'_>,
    files: &[FileId],
    rules: &[&dyn Rule],
    options: &Options,
) -> Scanned {
    let project = analyzer.project();
    if !files.is_empty() && !rules.is_empty() {
        analyzer.prepare();
    }
    // The largest first, one by one, so that no thread is left with a large one while the others have nothing to do.
    let mut by_size = files.to_vec();
    by_size.sort_by_key(|file| std::cmp::Reverse(project.program().file(*file).ast.len()));
    let mut per_file: Vec<(FileId, Vec<Finding>, Vec<Warning>)> = by_size
        .into_iter()
        .par_bridge()
        .map(|file| {
            let (findings, warnings) = analyzer.noting(|| scan_file(analyzer, file, rules, options));
            (file, findings, warnings)
        })
        .collect();
    per_file.sort_by(|a, b| {
        let path = |f: FileId| project.program().file(f).source.path();
        path(a.0).cmp(path(b.0))
    });
    let mut out = Scanned { findings: Vec::new(), warnings: Vec::new() };
    for (_, findings, warnings) in per_file {
        out.findings.extend(findings);
        out.warnings.extend(warnings);
    }
    out
}

fn scan_file(
    analyzer: &Analyzer<'_>,
    file: FileId,
    rules: &[&dyn Rule],
    options: &Options,
) -> (Vec<Finding>, Vec<Warning>) {
    let project = analyzer.project();
    let parsed = project.program().file(file);
    let suppressions = suppress::Suppressions::of(parsed);
    let mut by_kind: FxHashMap<Kind, Vec<usize>> = FxHashMap::default();
    let path = parsed.source.path();
    let skipped = |name: &str| options.skip.iter().any(|(file, codemod)| file == path && codemod == name);
    for (i, rule) in rules.iter().enumerate().filter(|(_, rule)| !skipped(rule.meta().name)) {
        for kind in rule.kinds() {
            by_kind.entry(*kind).or_default().push(i);
        }
    }
    let mut findings = Vec::new();
    let look = |facts: &Facts, is_wanted: &dyn Fn(&dyn Rule) -> bool, findings: &mut Vec<Finding>| {
        let cx = Context { analyzer, project, file, facts, options };
        for node in nodes_of_frame(&cx, facts) {
            let Some(interested) = by_kind.get(&node.kind()) else { continue };
            if node.has_error() {
                continue;
            }
            for rule in interested.iter().filter_map(|i| rules.get(*i)).filter(|r| is_wanted(**r)) {
                findings.extend(rule.run(&cx, node));
            }
        }
    };
    for facts in analyzer.frames(file) {
        let begin = findings.len();
        look(&facts, &|_| true, &mut findings);
        if let Some(supposed) = analyzer.supposing(&facts) {
            let known = findings.len();
            look(&supposed.facts, &supposed::minds, &mut findings);
            let more = findings.split_off(known);
            let is_new =
                |f: &Finding| !findings.iter().skip(begin).any(|k| k.site.span.overlaps(f.site.span));
            let more: Vec<Finding> =
                more.into_iter().filter(is_new).map(|f| supposed::withheld(f, &supposed, parsed)).collect();
            findings.extend(more);
        }
    }
    // At one place the first of the list goes first.
    let order = |name: &str| rules.iter().position(|r| r.meta().name == name);
    findings.sort_by_key(|f| (f.site.span, order(f.codemod)));
    let ran = suppress::Ran::new(rules.iter().filter(|rule| !skipped(rule.meta().name)), options);
    suppressions.filter(findings, &parsed.source, &ran)
}

/// The nodes that belong to a frame: not those of functions and methods that are frames of their own.
fn nodes_of_frame<'a>(cx: &Context<'a>, facts: &Facts) -> Vec<Node<'a>> {
    let scope = cx.node(facts.scope);
    let end = scope.subtree_end();
    let mut out = Vec::new();
    let mut next = scope.id().0 + 1;
    while next < end.0 {
        let node = scope.at(NodeId(next));
        if node.kind() == Kind::FunctionDef && cx.project.program().function_at(cx.file, node.id()).is_some()
        {
            next = node.subtree_end().0;
            continue;
        }
        out.push(node);
        next += 1;
    }
    out
}
