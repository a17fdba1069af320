//! A session that goes on after edits says what a run over the same files says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ormend_codemods::ALL;
use ormend_engine::rewrite::{InputFile, Options, ParsedFiles, Report, Role, Session, run};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use support::{Random, files_below, python, relative, root, scratch};

type Files = BTreeMap<String, Vec<u8>>;

fn files_in(folder: &Path) -> Files {
    let read = |file: &std::path::PathBuf| (relative(folder, file), fs::read(file).unwrap());
    let is_read = |path: &String| path.ends_with(".py") || path.ends_with(".html");
    files_below(folder).iter().map(read).filter(|(path, _)| is_read(path)).collect()
}

fn is_looked_at(path: &str) -> bool {
    path.ends_with(".py") && !path.contains("/migrations/") && !path.contains("tests")
}

fn input(path: &str, bytes: &[u8], is_scanned: bool) -> InputFile {
    let role = match is_looked_at(path) {
        true if is_scanned => Role::Scan,
        true => Role::Index,
        false if path.ends_with(".html") => Role::Template,
        false => Role::Aside,
    };
    InputFile { path: path.to_owned(), bytes: bytes.to_owned(), role }
}

fn inputs(files: &Files, is_scanned: bool) -> Vec<InputFile> {
    files.iter().map(|(path, bytes)| input(path, bytes, is_scanned)).collect()
}

/// All that is said. The order of files, by which sources are told apart, is another one where files were added.
fn said(report: &Report) -> Vec<String> {
    let path = |file| report.sources.get(&file).map_or("", |source| source.path()).to_owned();
    let findings = report.findings.iter().zip(&report.fingerprints).map(|(finding, fingerprint)| {
        let site = finding.site;
        let edits = finding.fix.iter().flat_map(|fix| &fix.edits).map(|e| (path(e.file), &e.edit));
        let hazards =
            finding.hazards.iter().map(|h| (h.kind, h.site.map(|s| (path(s.file), s.span)), &h.subject));
        format!(
            "{fingerprint} {} {} {:?} {} {:?} {:?}",
            finding.codemod,
            path(site.file),
            site.span,
            finding.message,
            edits.collect::<Vec<_>>(),
            hazards.collect::<Vec<_>>()
        )
    });
    let warnings = report.warnings.iter().map(|warning| format!("{warning:?}"));
    findings.chain(warnings).collect()
}

/// Change a line: inside of a function, in a class or at the top of a file; what that was.
fn edit(files: &mut Files, session: &mut Session, words: &[String], random: &mut Random) -> String {
    let own: Vec<&String> = files.keys().filter(|path| is_looked_at(path)).collect();
    let path = (*random.one(&own)).clone();
    let mut lines: Vec<String> = String::from_utf8_lossy(&files[&path]).lines().map(str::to_owned).collect();
    let indent = ["", "    ", "        ", "        ", "        "][random.below(5)];
    let is_there = |line: &str| {
        let inner = line.get(indent.len()..).filter(|_| line.starts_with(indent));
        inner.is_some_and(|inner| !inner.trim().is_empty() && (indent.len() > 4 || !inner.starts_with(' ')))
    };
    let inside: Vec<usize> = (0..lines.len())
        .filter(|at| is_there(&lines[*at]))
        .filter(|at| indent.is_empty() || !lines[*at].trim_start().starts_with(['@', '"', ')', ']', '}']))
        .collect();
    if inside.is_empty() {
        return format!("{path} is left alone");
    }
    let at = *random.one(&inside);
    let spaces: String = lines[at].chars().take_while(|c| *c == ' ').collect();
    let word = random.one(words).clone();
    match random.below(10) {
        9 => lines.insert(0, format!("from .models import {word}")),
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[at].clone()),
        2 => lines.insert(at, format!("{spaces}{word} = {word}.objects.filter(pk=1)")),
        3 => lines.insert(at, format!("{spaces}[row.{word} for row in self.{word}.all()]")),
        4 => lines.insert(at, format!("{spaces}{word}(")),
        5 => {
            let other = lines[*random.one(&inside)].trim().to_owned();
            lines.insert(at, format!("{spaces}{other}"));
        }
        6 if random.below(4) == 0 => {
            let added = path.replace(".py", "_too.py");
            let bytes = files[&path].clone();
            session.set(input(&added, &bytes, false));
            files.insert(added, bytes);
            return format!("{path} has a copy");
        }
        7 if random.below(4) == 0 && path.ends_with("_too.py") => {
            files.remove(&path);
            session.remove(&path, Role::Index);
            return format!("{path} is removed");
        }
        _ => {
            let known: Vec<&str> = names(&lines[at]).collect();
            if !known.is_empty() {
                lines[at] = lines[at].replacen(*random.one(&known), &word, 1);
            }
        }
    }
    let bytes = (lines.join("\n") + "\n").into_bytes();
    session.set(input(&path, &bytes, false));
    files.insert(path.clone(), bytes);
    format!("line {at} of {path}: {}", lines.get(at).map_or("", String::as_str))
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| word.len() > 2)
}

fn holds(mut files: Files, steps: usize, seed: u64) {
    let (options, mut random) = (Options::default(), Random(seed));
    let mut session = Session::new(ParsedFiles::new(inputs(&files, false), |_| None));
    let text: String = files.values().map(|bytes| String::from_utf8_lossy(bytes)).collect();
    let is_name = |word: &&str| word.starts_with(char::is_alphabetic);
    let words: Vec<String> = names(&text).filter(is_name).step_by(7).map(str::to_owned).collect();
    let mut history = Vec::new();
    let mut findings = 0;
    for step in 0..steps {
        history.push(edit(&mut files, &mut session, &words, &mut random));
        // Several edits may come in a row.
        if random.below(3) == 0 && step + 1 < steps {
            continue;
        }
        let paths: Vec<&str> = files.keys().map(String::as_str).filter(|path| is_looked_at(path)).collect();
        let looked = session.look(&paths, ALL, &options, false, &|| false).unwrap();
        let fresh = run(inputs(&files, true), ALL, &options, false);
        findings += fresh.findings.len();
        let (mut looked, mut fresh) = (said(&looked), said(&fresh));
        looked.sort();
        fresh.sort();
        let more: Vec<_> = looked.iter().filter(|one| !fresh.contains(one)).collect();
        let less: Vec<_> = fresh.iter().filter(|one| !looked.contains(one)).collect();
        assert!(more.is_empty() && less.is_empty(), "seed {seed}: {history:#?}\n{more:#?}\n{less:#?}");
    }
    assert!(findings > steps, "hardly anything was found, so nothing was compared");
}

#[test]
fn a_session_over_the_example_says_what_runs_say() {
    let files = files_in(&root().join("examples/bookshop"));
    for seed in 1..=4 {
        holds(files.clone(), 60, seed);
    }
}

#[test]
fn a_session_over_a_real_project_says_what_runs_say() {
    let folder = scratch("session");
    python::unpack("django-helpdesk", "2.6.1", &[&folder]);
    holds(files_in(&folder), 60, 5);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_nobody_wants_to_know_any_more_is_not_said() {
    let files = files_in(&root().join("examples/bookshop"));
    let mut session = Session::new(ParsedFiles::new(inputs(&files, false), |_| None));
    let path = files.keys().find(|path| path.ends_with("views.py")).unwrap();
    assert!(session.look(&[path], ALL, &Options::default(), false, &|| true).is_none());
    assert!(session.look(&[path], ALL, &Options::default(), false, &|| false).is_some());
}
