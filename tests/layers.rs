//! The rules of the house that the compiler does not hold: who may use whom, and what core code never does.
//!
//! Every rule is a function of a path and its text, so that each is also shown to fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use support::{files_below, relative, report, root};

/// The floors of the engine, each of which may use those before it.
const FLOORS: [&str; 6] = ["text", "python", "django", "infer", "codemod", "rewrite"];

/// Plain data that all floors share: what a place and an obstacle are, and what comes in.
const SHARED: &[(&str, &[&str])] = &[
    ("codemod", &["FileId", "Hazard", "HazardKind", "ImportRequest", "Site", "Weight"]),
    ("rewrite", &["InputFile", "Options", "Role", "Warning"]),
];

/// What nothing in the engine or in a codemod may name.
const NO_IO: &[&str] = &[
    "std::fs",
    "std::env",
    "std::io",
    "std::net",
    "std::process",
    "std::thread::sleep",
    "println!",
    "eprintln!",
    "print!",
    "eprint!",
    "dbg!",
    "include_bytes!",
];

/// What may end the program on a user's file.
const PANICS: &[&str] = &[
    ".unwrap()",
    ".expect(",
    ".unwrap_err()",
    ".expect_err(",
    "panic!",
    "todo!",
    "unimplemented!",
    "unreachable!",
];

#[test]
fn the_tree_follows_the_rules() {
    let mut failures = Vec::new();
    let mut seen = 0;
    for folder in ["engine", "codemods", "src"] {
        for file in files_below(&root().join(folder)) {
            if file.extension().is_some_and(|e| e == "rs") {
                seen += 1;
                let text = fs::read_to_string(&file).unwrap();
                failures.extend(violations(&relative(root(), &file), &text));
            }
        }
    }
    assert!(seen > 10, "only {seen} files were found");
    report("layers", &failures);
}

#[test]
fn unsafe_code_is_forbidden_in_every_package() {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("unsafe_code = \"forbid\""));
    for package in ["Cargo.toml", "engine/Cargo.toml", "codemods/Cargo.toml"] {
        let text = fs::read_to_string(root().join(package)).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{package} does not take the workspace's lints");
    }
}

#[test]
fn dependencies_point_downwards() {
    let of = |package: &str| fs::read_to_string(root().join(package)).unwrap();
    for name in ["ormend-codemods", "clap", "miette"] {
        assert!(!of("engine/Cargo.toml").contains(name), "the engine depends on {name}");
    }
    for name in ["clap", "miette", "tree-sitter"] {
        let dependencies = of("codemods/Cargo.toml").replace("tree-sitter-python", "tree-sitter");
        assert!(!dependencies.contains(name), "the codemods depend on {name}");
    }
}

#[test]
fn each_rule_can_fail() {
    let broken = [
        ("engine/src/text/a.rs", "use crate::python::Ast;", "`text` uses `python`"),
        ("engine/src/python/a.rs", "use crate::{text::Span, django::Model};", "`python` uses `django`"),
        ("engine/src/django/a.rs", "fn f(x: crate::infer::Type) {}", "`django` uses `infer`"),
        ("engine/src/infer/a.rs", "use crate::codemod::{Site, Rule};", "`infer` uses `codemod`"),
        ("engine/src/codemod/a.rs", "use super::super::rewrite::run;", "`codemod` uses `rewrite`"),
        ("engine/src/python/view.rs", "use tree_sitter::Node;", "tree_sitter"),
        ("engine/src/rewrite/a.rs", "fn f() { std::fs::read(\"x\"); }", "std::fs"),
        ("engine/src/rewrite/a.rs", "use std::{collections::HashMap, fs};", "std::fs"),
        ("codemods/exists/mod.rs", "fn f() { println!(\"x\"); }", "println!"),
        ("codemods/exists/mod.rs", "use crate::values_list::shape;", "another codemod"),
        ("codemods/exists/mod.rs", "use super::values_list::shape;", "another codemod"),
        ("codemods/exists/mod.rs", "use ormend_engine::rewrite::run;", "ormend_engine::rewrite"),
        ("engine/src/text/a.rs", "fn f() { x.unwrap(); }", ".unwrap()"),
        ("src/main.rs", "fn f() { x\n        .expect(\"y\"); }", ".expect("),
        ("src/main.rs", "#[cfg(test)]\nmod tests { fn f() { x.unwrap(); } }\nfn g() { panic!(); }", "panic!"),
    ];
    for (path, text, part) in broken {
        let found = violations(path, text);
        assert!(found.iter().any(|v| v.contains(part)), "{path}: {text}: {found:?}");
    }
    let right = [
        ("engine/src/rewrite/a.rs", "use crate::{codemod::Rule, django::{Model, Project}};"),
        ("engine/src/python/a.rs", "use crate::codemod::{FileId, Site};\nuse crate::text::Span;"),
        ("engine/src/python/parse.rs", "use tree_sitter::Parser;"),
        (
            "engine/src/text/a.rs",
            "// std::fs and x.unwrap()\nlet s = \"std::fs\\\" .unwrap()\"; let c = '\"';",
        ),
        ("engine/src/text/a.rs", "let s = r#\"std::fs \" panic!\"#; fn f<'a>(x: &'a str) {}"),
        ("engine/src/text/a.rs", "#[cfg(test)]\nmod tests {\n    fn f() { x.unwrap(); println!(); }\n}"),
        (
            "codemods/exists/mod.rs",
            "use super::find; use crate::exists::find; use ormend_engine::codemod::Rule;",
        ),
        ("codemods/lib.rs", "mod exists; use crate::exists::Exists;"),
        ("src/main.rs", "fn main() { println!(); std::fs::read(\"x\"); x.unwrap_or(1); }"),
    ];
    for (path, text) in right {
        assert_eq!(violations(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

/// Every rule that the file at `path` breaks.
fn violations(path: &str, text: &str) -> Vec<String> {
    let parts: Vec<&str> = path.split('/').collect();
    if path.ends_with("/tests.rs") || parts.contains(&"tests") || parts.contains(&"benches") {
        return Vec::new();
    }
    let code = without_tests(&blank(text));
    let mut found = Vec::new();
    let core = parts[0] == "engine" || parts[0] == "codemods";
    let paths = paths(&code);
    for (line, used) in &paths {
        let mut fail = |what: String| found.push(format!("{path}:{line}: {what}"));
        let joined = used.join("::");
        if used.iter().any(|name| name == "tree_sitter" || name == "tree_sitter_python")
            && path != "engine/src/python/parse.rs"
        {
            fail("tree_sitter is named in engine/src/python/parse.rs alone".to_owned());
        }
        if let ["engine", "src", floor, _, ..] = parts.as_slice() {
            engine_path(floor, used, &mut fail);
        }
        if let ["codemods", folder, _, ..] = parts.as_slice() {
            codemod_path(folder, parts.len(), used, &mut fail);
        }
        for name in NO_IO.iter().filter(|name| core && name.contains("::")) {
            if joined == *name || joined.starts_with(&format!("{name}::")) {
                fail(format!("{name} in core code"));
            }
        }
    }
    let macros = NO_IO.iter().filter(|name| core && name.ends_with('!')).chain(PANICS);
    for name in macros {
        for (position, _) in code.match_indices(name) {
            let before = code[..position].chars().next_back();
            let inside = name.starts_with(char::is_alphabetic)
                && before.is_some_and(|c| c.is_alphanumeric() || c == '_');
            if !inside {
                let line = code[..position].matches('\n').count() + 1;
                found.push(format!("{path}:{line}: {name} outside tests"));
            }
        }
    }
    // One `use` of several names is one mistake.
    found.sort();
    found.dedup();
    found
}

/// Only floors before one's own, and the plain data that all share.
fn engine_path(floor: &str, used: &[String], fail: &mut impl FnMut(String)) {
    let above: &[String] = match used {
        [first, rest @ ..] if first == "crate" => rest,
        [first, second, rest @ ..] if first == "super" && second == "super" => rest,
        _ => return,
    };
    let rank = |name: &str| FLOORS.iter().position(|floor| *floor == name);
    let (Some(own), Some(other)) = (rank(floor), above.first().and_then(|name| rank(name))) else { return };
    let shared = SHARED.iter().any(|(name, items)| {
        above[0] == *name && above.get(1).is_some_and(|item| items.contains(&item.as_str()))
    });
    if other > own && !shared {
        fail(format!("`{floor}` uses `{}`", above[0]));
    }
}

/// From the engine its contract and the floors that it speaks of, never the driver, and nothing from another codemod.
fn codemod_path(folder: &str, depth: usize, used: &[String], fail: &mut impl FnMut(String)) {
    match used {
        [first, second, ..] if first == "ormend_engine" && second == "rewrite" => {
            fail(format!("a codemod uses the contract and the floors below it, not ormend_engine::{second}"));
        }
        [first, second, ..] if first == "crate" && second != folder => {
            fail(format!("`{second}` is another codemod"));
        }
        [first, second, ..] if first == "super" && depth == 3 && is_sibling(second) && second != folder => {
            fail(format!("`{second}` is another codemod"));
        }
        [first, second, third, ..] if first == "super" && second == "super" && third != folder => {
            fail(format!("`{third}` is another codemod"));
        }
        _ => {}
    }
}

/// Whether `super::NAME`, said in a codemod's `mod.rs`, names a codemod.
fn is_sibling(name: &str) -> bool {
    name == "values_list" || root().join("codemods").join(name).is_dir()
}

/// Every path in the code, `use` groups multiplied out, with its line.
fn paths(code: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let bytes = code.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let starts = bytes[at].is_ascii_alphabetic() || bytes[at] == b'_';
        if !starts {
            at += 1;
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let before = found.len();
        at = path(code, at, &mut Vec::new(), &mut found, 0);
        for entry in &mut found[before..] {
            entry.0 = line;
        }
    }
    found
}

/// Read the path at `at` (an identifier), and answer where it ends.
fn path(
    code: &str,
    at: usize,
    prefix: &mut Vec<String>,
    found: &mut Vec<(usize, Vec<String>)>,
    depth: usize,
) -> usize {
    let bytes = code.as_bytes();
    let mut end = at;
    while end < bytes.len() && (bytes[end].is_ascii_alphanumeric() || bytes[end] == b'_' || bytes[end] >= 128)
    {
        end += 1;
    }
    prefix.push(code[at..end].to_owned());
    let length = prefix.len();
    let space = |mut i: usize| {
        while i < bytes.len() && bytes[i].is_ascii_whitespace() {
            i += 1;
        }
        i
    };
    let mut next = end;
    if code[space(end)..].starts_with("::") {
        let after = space(space(end) + 2);
        match bytes.get(after) {
            Some(b'{') if depth < 20 => {
                let mut i = space(after + 1);
                while i < bytes.len() && bytes[i] != b'}' {
                    if bytes[i].is_ascii_alphabetic() || bytes[i] == b'_' {
                        i = space(path(code, i, prefix, found, depth + 1));
                    } else {
                        i = space(i + 1);
                    }
                }
                prefix.truncate(length - 1);
                return (i + 1).min(bytes.len());
            }
            Some(c) if c.is_ascii_alphabetic() || *c == b'_' => {
                next = path(code, after, prefix, found, depth);
                prefix.truncate(length - 1);
                return next;
            }
            _ => next = after,
        }
    }
    found.push((0, prefix.clone()));
    prefix.truncate(length - 1);
    next
}

/// The code with comments, strings and characters blanked, line ends kept.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let keep = |c: char| if c == '\n' { '\n' } else { ' ' };
    while at < chars.len() {
        let end = token_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| keep(*c)));
            at = end;
        }
    }
    out
}

/// Where the comment or literal that starts at `at` ends; `at` itself if none does.
fn token_end(chars: &[char], at: usize) -> usize {
    let is = |i: usize, c: char| chars.get(i) == Some(&c);
    let name = |i: usize| chars.get(i).is_some_and(|c| c.is_alphanumeric() || *c == '_');
    let find = |from: usize, ends: &dyn Fn(usize) -> bool| {
        (from..chars.len()).find(|i| ends(*i)).unwrap_or(chars.len())
    };
    if is(at, '/') && is(at + 1, '/') {
        return find(at, &|i| is(i, '\n'));
    }
    if is(at, '/') && is(at + 1, '*') {
        return (find(at + 2, &|i| is(i, '*') && is(i + 1, '/')) + 2).min(chars.len());
    }
    if is(at, 'r') && (at == 0 || !name(at - 1) || is(at - 1, 'b')) {
        let hashes = (at + 1..).take_while(|i| is(*i, '#')).count();
        if is(at + 1 + hashes, '"') {
            let closes = |i: usize| is(i, '"') && (1..=hashes).all(|k| is(i + k, '#'));
            return (find(at + 2 + hashes, &closes) + 1 + hashes).min(chars.len());
        }
    }
    if is(at, '"') {
        let mut i = at + 1;
        while i < chars.len() && chars[i] != '"' {
            i += if chars[i] == '\\' { 2 } else { 1 };
        }
        return (i + 1).min(chars.len());
    }
    if is(at, '\'') && is(at + 1, '\\') {
        return (find(at + 3, &|i| is(i, '\'')) + 1).min(chars.len());
    }
    if is(at, '\'') && is(at + 2, '\'') {
        return at + 3;
    }
    at
}

/// The code without the items marked `#[cfg(test)]`, line ends kept.
fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(position) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..position]);
        let item = &rest[position..];
        let mut depth = 0usize;
        let end = item
            .char_indices()
            .find(|(_, c)| match c {
                '{' => {
                    depth += 1;
                    false
                }
                '}' => {
                    depth = depth.saturating_sub(1);
                    depth == 0
                }
                ';' => depth == 0,
                _ => false,
            })
            .map_or(item.len(), |(i, _)| i + 1);
        out.extend(item[..end].chars().filter(|c| *c == '\n'));
        rest = &item[end..];
    }
    out.push_str(rest);
    out
}
