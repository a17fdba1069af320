//! What a shell gets of the command line: completions, asked of the shells themselves, and manual pages, set by groff.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// A run that ends well and says nothing on standard error; what it prints.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn ormend(args: &[&str]) -> String {
    printed(Command::new(env!("CARGO_BIN_EXE_ormend")).args(args))
}

fn failed(args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_ormend")).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    assert!(output.stdout.is_empty(), "{args:?}");
    output
}

/// The names below `heading` of a help, which its lines begin with.
fn commands(help: &str) -> Vec<String> {
    let (_, list) = help.split_once("\nCommands:\n").expect("it has commands");
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
}

/// The long flags that a help lists.
fn flags(help: &str) -> BTreeSet<String> {
    let names = help.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix('-')?;
        let (_, rest) = if line.starts_with('-') { ("", line) } else { line.split_once(", -")? };
        rest.strip_prefix('-')?.split([' ', '[', '=']).next()
    });
    names.map(|name| format!("--{name}")).collect()
}

/// What a shell offers for the last word of a command line.
fn offers(shell: &str, script: &Path, words: &[&str]) -> BTreeSet<String> {
    let words: Vec<&str> = std::iter::once("ormend").chain(words.iter().copied()).collect();
    let offered = match shell {
        "bash" => {
            let code = r#"
                . "$1"; shift
                complete -p ormend | grep -q -- '-F _ormend'
                COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
                _ormend "$1" "${@: -1}" "${@: -2:1}"
                printf '%s\n' "${COMPREPLY[@]}""#;
            printed(Command::new("bash").args(["--norc", "-e", "-c", code, "bash"]).arg(script).args(&words))
        }
        "fish" => {
            let code = "source $argv[1]; complete --do-complete $argv[2]";
            let line = words.join(" ");
            let mut command = Command::new("fish");
            printed(command.args(["--no-config", "--command", code]).arg(script).arg(line))
        }
        _ => unreachable!("no test asks {shell}"),
    };
    // fish adds what each is.
    offered.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
}

#[test]
fn shells_complete() {
    let dir = tempfile::tempdir().unwrap();
    let help = ormend(&["help"]);
    let formats = ["full", "concise", "json", "jsonl", "sarif", "github", "gitlab", "markdown"];
    for shell in ["bash", "fish"] {
        let script = dir.path().join(shell);
        fs::write(&script, ormend(&["completions", shell])).unwrap();
        let offers = |words: &[&str]| offers(shell, &script, words);
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();

        assert_eq!(offers(&["ch"]), of(&["check"]), "{shell}");
        let all = commands(&help);
        assert!(all.len() > 10 && all.iter().all(|name| offers(&[""]).contains(name)), "{shell}: {all:?}");
        assert_eq!(offers(&["check", "--out"]), of(&["--output-format"]), "{shell}");
        assert_eq!(offers(&["check", "--output-format", ""]), of(&formats), "{shell}");
        assert_eq!(offers(&["diff", "--output-format", "u"]), of(&["unified"]), "{shell}");
        assert_eq!(offers(&["fix", "--allow"]), of(&["--allow-dirty"]), "{shell}");
        assert_eq!(offers(&["report", "me"]), of(&["merge"]), "{shell}");
        // The script for fish knows values of flags only.
        if shell == "bash" {
            assert_eq!(offers(&["completions", "z"]), of(&["zsh"]), "{shell}");
        }
    }
}

#[test]
fn zsh_defines_its_completions() {
    let dir = tempfile::tempdir().unwrap();
    // As it is installed: a file of the function path, which `compinit` reads the first line of.
    fs::write(dir.path().join("_ormend"), ormend(&["completions", "zsh"])).unwrap();
    let code = r#"
        fpath=($1 $fpath)
        autoload -Uz compinit && compinit -u -D
        print -r -- $_comps[ormend]
        autoload -Uz +X _ormend && print -r -- ${functions[_ormend]}"#;
    let defined = printed(Command::new("zsh").args(["-f", "-e", "-c", code, "zsh"]).arg(dir.path()));
    assert!(defined.starts_with("_ormend\n"), "{defined}");
    assert!(defined.contains("--output-format") && defined.contains("sarif"), "{defined}");
}

#[test]
fn other_shells_have_their_scripts() {
    let start = |shell| ormend(&["completions", shell]);
    assert!(start("powershell").contains("Register-ArgumentCompleter -Native -CommandName 'ormend'"));
    assert!(start("elvish").contains("set edit:completion:arg-completer[ormend]"));
    let output = failed(&["completions", "csh"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("invalid value 'csh'") && said.contains("powershell"), "{said}");
    failed(&["completions"]);
}

/// A page as a terminal shows it, without its colours and with one blank between words. groff has nothing to say of it.
fn set(page: &Path) -> String {
    let mut groff = Command::new("groff");
    // Lines that hold a whole flag and its values.
    groff.args(["-man", "-ww", "-Tascii", "-P-cbou", "-rLL=400n"]).arg(page);
    printed(&mut groff).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_command_has_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("share/man/man1");
    ormend(&["man", "--quiet", "--output", pages.to_str().unwrap()]);

    let top = ormend(&["help"]);
    let mut helps = vec![("ormend".to_owned(), top.clone())];
    for name in commands(&top) {
        helps.push((format!("ormend-{name}"), ormend(&["help", &name])));
    }
    helps.push(("ormend-report-merge".to_owned(), ormend(&["report", "help", "merge"])));

    let mut expected = BTreeSet::new();
    for (name, help) in &helps {
        let file = pages.join(format!("{name}.1"));
        let text = set(&file);
        expected.insert(file);
        assert!(text.contains(&format!("NAME {name} - ")), "{text}");
        assert!(text.contains(&format!("SYNOPSIS {} ", name.replace('-', " "))), "{text}");
        let flags = flags(help);
        assert!(flags.contains("--color") && flags.contains("--help"), "{name}: {flags:?}");
        for flag in flags {
            let is_there = text.contains(&format!(" {flag} ")) || text.contains(&format!(" {flag}["));
            assert!(is_there, "the page {name} does not have {flag}");
        }
        if help.contains("\nCommands:\n") {
            for command in commands(help) {
                assert!(text.contains(&format!("{name}-{command}(1) ")), "{name}: {command}\n{text}");
            }
        }
    }
    let written: BTreeSet<_> = fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(written, expected);

    let check = set(&pages.join("ormend-check.1"));
    for part in ["sarif: SARIF 2.1.0, for code scanning", "NOTES Examples: ormend check", "[default: full]"] {
        assert!(check.contains(part), "{part}\n{check}");
    }
    assert_eq!(fs::read(pages.join("ormend.1")).unwrap(), ormend(&["man"]).into_bytes());
    // A second time, over what is there; and where there can be no directory.
    ormend(&["man", "--quiet", "-o", pages.to_str().unwrap()]);
    let taken = pages.join("ormend.1");
    let said = failed(&["man", "-o", taken.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("cannot make the directory"), "{said:?}");
}
