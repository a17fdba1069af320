//! What a run over a real project costs, in instructions and in bytes parsed, which are the same on every machine that has
//! the same compiler, whatever else it does. The limits are a little above what `benches/cost.toml` has on record.
//!
//! Valgrind counts. One thread, so that the order of work is the same each time; two runs differ by a thousandth of a percent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::python;

const PROJECT: (&str, &str) = ("django-oscar", "4.2.1");

/// How much more than recorded is allowed.
const ROOM: f64 = 1.05;

/// Set to write what is measured into the record.
const RENEW: &str = "ORMEND_RENEW_COST";

const HEAD: &str = "# What `ormend check` costs, as tests/cost.rs measures it. Renew with ORMEND_RENEW_COST=1 cargo test --test cost\n";

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Cost {
    project: String,
    compiler: String,
    instructions: u64,
    parsed_files: u64,
    parsed_bytes: u64,
}

#[test]
fn a_run_costs_no_more_than_recorded() {
    let record = support::root().join("benches/cost.toml");
    let measured = measure();
    if std::env::var_os(RENEW).is_some() {
        fs::write(&record, format!("{HEAD}{}", toml::to_string(&measured).unwrap())).unwrap();
        return;
    }
    let text = fs::read_to_string(&record).expect("the record is there");
    let recorded: Cost = toml::from_str(&text).expect("the record is what this test wrote");
    println!("{measured:#?}");
    let excess = excess(&recorded, &measured);
    assert!(
        excess.is_empty(),
        "ormend costs more than benches/cost.toml has on record:\n{}\nIf that is worth it, or the compiler is another \
         (recorded: {}; here: {}), renew the record: {RENEW}=1 cargo test --test cost",
        excess.join("\n"),
        recorded.compiler,
        measured.compiler
    );
}

#[test]
fn what_costs_more_is_named() {
    let cost = |instructions, parsed_bytes| Cost {
        project: "shop 1.0".into(),
        compiler: "rustc".into(),
        instructions,
        parsed_files: 1,
        parsed_bytes,
    };
    let recorded = cost(1000, 200);
    assert_eq!(excess(&recorded, &cost(1050, 210)), Vec::<String>::new());
    assert_eq!(excess(&recorded, &cost(10, 0)), Vec::<String>::new());
    assert_eq!(excess(&recorded, &cost(1060, 200)), ["instructions: 1060, recorded 1000 (+6.0%)"]);
    assert_eq!(excess(&recorded, &cost(1000, 220)), ["bytes parsed: 220, recorded 200 (+10.0%)"]);
    let other = Cost { project: "shop 2.0".into(), ..cost(1, 1) };
    assert_eq!(excess(&recorded, &other), ["the record is of shop 1.0, and shop 2.0 was measured"]);
}

/// What is above its limit.
fn excess(recorded: &Cost, measured: &Cost) -> Vec<String> {
    if recorded.project != measured.project {
        return vec![format!("the record is of {}, and {} was measured", recorded.project, measured.project)];
    }
    let numbers = [
        ("instructions", recorded.instructions, measured.instructions),
        ("bytes parsed", recorded.parsed_bytes, measured.parsed_bytes),
    ];
    let above =
        numbers.into_iter().filter(|(_, recorded, measured)| *measured as f64 > *recorded as f64 * ROOM);
    above
        .map(|(what, recorded, measured)| {
            let more = (measured as f64 / recorded as f64 - 1.0) * 100.0;
            format!("{what}: {measured}, recorded {recorded} (+{more:.1}%)")
        })
        .collect()
}

fn measure() -> Cost {
    let (name, version) = PROJECT;
    let folder = unpacked(name, version);
    let mut run = Command::new("valgrind");
    run.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    run.arg(env!("CARGO_BIN_EXE_ormend"));
    run.args(["check", "--no-cache", "--exit-zero", "-v", "--jobs", "1", "."]).current_dir(&folder);
    run.env_remove("VIRTUAL_ENV");
    let output = python::must(&mut run, "counting instructions (is valgrind installed?)");
    let said = String::from_utf8(output.stderr).unwrap();
    let (files, bytes) =
        parsed(&said).unwrap_or_else(|| panic!("nothing is said of what was parsed:\n{said}"));
    let instructions = instructions(&said).unwrap_or_else(|| panic!("valgrind counted nothing:\n{said}"));
    Cost {
        project: format!("{name} {version}"),
        compiler: compiler(),
        instructions,
        parsed_files: files,
        parsed_bytes: bytes,
    }
}

fn unpacked(name: &str, version: &str) -> PathBuf {
    let folder: &Path = &python::target("ormend-cost");
    let folder = folder.join(format!("{name}-{version}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    python::unpack(name, version, &[&folder]);
    folder
}

/// Of `==7== I refs: 1,234`, with any number of blanks.
fn instructions(said: &str) -> Option<u64> {
    let line = said
        .lines()
        .find(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").contains(" I refs:"))?;
    line.rsplit_once(':')?.1.trim().replace(',', "").parse().ok()
}

/// Of `info: parsed 12 files, 3456 bytes`.
fn parsed(said: &str) -> Option<(u64, u64)> {
    said.lines().find_map(|line| {
        let (files, bytes) = line.split_once("parsed ")?.1.split_once(", ")?;
        Some((files.split(' ').next()?.parse().ok()?, bytes.strip_suffix(" bytes")?.parse().ok()?))
    })
}

/// The compiler, and what it compiles for.
fn compiler() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = python::must(Command::new(rustc).arg("-vV"), "asking for the compiler's version");
    let said = String::from_utf8(output.stdout).unwrap();
    let of = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("unknown");
    format!("{} for {}", of("release: "), of("host: "))
}
