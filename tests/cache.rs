//! The cache: whatever is edited, a run with it says what a run without it says. What is damaged, foreign or not to be
//! written is as if there were none.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
mod support;

use common::shop::{VIEWS, shop_with_pair};
use common::{Project, Run};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};
use support::{Random, files_below, python, relative, scratch};

const HIT: &str = "cache: the result of an earlier run";
#[cfg(unix)]
const UNREAD: &str = "cache: the result of an earlier run over files that have not changed since";
const KEPT: &str = "cache: the result is kept";

const FORMATS: [&str; 8] = ["full", "concise", "json", "jsonl", "sarif", "github", "gitlab", "markdown"];

/// A run of `args` with more arguments behind them.
fn run(project: &Project, args: &[&str], more: &[&str]) -> Run {
    project.run(&[args, more].concat())
}

fn is_hit(project: &Project, args: &[&str]) -> bool {
    run(project, args, &["-v"]).stderr.contains(HIT)
}

/// A run says the same without the cache, with it, and with what it has put there.
fn assert_same(project: &Project, args: &[&str], what: &str) {
    let cold = run(project, args, &["--no-cache"]);
    for with in ["first", "second"] {
        let run = project.run(args);
        assert_eq!(
            (run.code, &run.stdout, &run.stderr),
            (cold.code, &cold.stdout, &cold.stderr),
            "{what}, {with}"
        );
    }
    assert!(is_hit(project, args), "{what}: {args:?} is not kept");
}

/// The files of the cache that are no notes on the project's files.
fn entries(project: &Project) -> Vec<PathBuf> {
    let mut all = kept(project);
    all.retain(|path| path.extension().is_none_or(|extension| extension != "seen" && extension != "trees"));
    all
}

/// All files of the cache.
fn kept(project: &Project) -> Vec<PathBuf> {
    let entries = fs::read_dir(project.path().join(".ormend/cache")).into_iter().flatten();
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn only_entry(project: &Project) -> PathBuf {
    let all = entries(project);
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

#[test]
fn a_second_run_takes_the_result_of_the_first() {
    let project = shop_with_pair();
    let first = project.run(&["check", "-v"]);
    assert!(first.stderr.contains(KEPT) && !first.stderr.contains(HIT), "{}", first.stderr);
    // What only shows the result in another way takes it, too.
    for more in [
        &["--show-withheld"][..],
        &["--output-format", "json"],
        &["--jobs", "1"],
        &["--exit-zero"],
        &["shop", "."],
    ] {
        assert!(is_hit(&project, &[&["check"], more].concat()), "{more:?}");
    }
    let without = project.run(&["check", "-v", "--no-cache"]);
    assert!(without.stderr.contains("cache: none") && !without.stderr.contains(HIT), "{}", without.stderr);
    assert_eq!(first.stdout, without.stdout);
    assert_eq!(entries(&project).len(), 1);
    project.write("shop/views.py", format!("{VIEWS}\n"));
    assert!(!is_hit(&project, &["check"]));
    project.write("shop/views.py", VIEWS);
    assert!(is_hit(&project, &["check"]));
}

#[test]
fn what_has_not_changed_is_not_parsed() {
    let project = shop_with_pair();
    for number in 0..40 {
        project.write(
            &format!("shop/part_{number}.py"),
            format!("from shop.views import names\n\nx = {number}\n"),
        );
    }
    let parsed = |args: &[&str]| {
        let stderr = run(&project, args, &["-v"]).stderr;
        let line = stderr.lines().find_map(|line| line.strip_prefix("info: parsed "));
        line.unwrap_or_else(|| panic!("{stderr}")).split_once(',').unwrap().0.to_owned()
    };
    let cold = project.run(&["check", "--show-withheld"]);
    let all = parsed(&["check", "--no-cache"]);
    assert!(all.ends_with(" files") && all.len() == "40 files".len() && all != "40 files", "{all}");
    assert_eq!(parsed(&["diff"]), "0 files");
    project.write("shop/views.py", format!("{VIEWS}\n"));
    assert_eq!(parsed(&["check"]), "1 file");
    assert_same(&project, &["diff", "--unsafe-fixes"], "one file is another");
    // A file with the content of another one has its tree, too.
    project.write("shop/copy.py", VIEWS);
    assert_eq!(parsed(&["check"]), "1 file");
    assert_same(&project, &["diff", "--unsafe-fixes"], "a file twice");
    fs::remove_file(project.path().join("shop/copy.py")).unwrap();
    project.write("shop/views.py", VIEWS);
    assert_eq!(project.run(&["check", "--show-withheld"]).stdout, cold.stdout);
    let trees =
        kept(&project).into_iter().find(|path| path.extension().is_some_and(|e| e == "trees")).unwrap();
    let whole = fs::read(&trees).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&trees, &bytes).unwrap();
        project.write("shop/other.py", format!("y = {at}\n"));
        assert_ne!(parsed(&["check"]), "1 file", "{at}");
        assert_ne!(fs::read(&trees).unwrap(), bytes, "{at}: they are kept anew");
        fs::remove_file(project.path().join("shop/other.py")).unwrap();
    }
}

/// Wait until whatever is done to files shows in what the system tells of them.
#[cfg(unix)]
fn settle() {
    std::thread::sleep(Duration::from_millis(2100));
}

#[cfg(unix)]
fn is_unread(project: &Project, args: &[&str]) -> bool {
    run(project, args, &["-v"]).stderr.contains(UNREAD)
}

/// A project with an environment and templates, and nothing read of it yet.
#[cfg(unix)]
fn shop_with_all() -> Project {
    let project = shop_with_pair();
    let packages = ".venv/lib/python3.11/site-packages";
    project.write(&format!("{packages}/tree/__init__.py"), "");
    project.write(&format!("{packages}/tree/models.py"), "from django.db import models\n");
    project.write("shop/uses.py", "import tree.models\nimport tree.more\n");
    project.write("shop/plain.py", "x = 1\n");
    project.write("shop/templates/shop/list.html", "{% for book in books %}{{ book.title }}{% endfor %}\n");
    project.write("pages/more.html", "{{ x }}\n");
    project
}

#[cfg(unix)]
#[test]
fn what_has_not_changed_is_not_read() {
    let project = shop_with_all();
    let cold = project.run(&["check", "--no-cache", "-v"]);
    settle();
    assert!(!is_hit(&project, &["check"]));
    let trace = project.path().join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "trace=open,openat", "-o"]).arg(&trace);
    command.arg(env!("CARGO_BIN_EXE_ormend")).args(["check", "-v"]).current_dir(project.path());
    let output = command.output().expect("strace is installed");
    let trace = fs::read_to_string(trace).unwrap();
    let is_opened = |file: &str| trace.contains(file);
    // Only what is shown.
    assert!(is_opened("shop/views.py"), "{trace}");
    for file in ["plain.py", "uses.py", "list.html", "more.html", "tree/models.py"] {
        assert!(!is_opened(file), "{file}: {trace}");
    }
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(UNREAD), "{stderr}");
    // It says the same, the cache apart.
    assert_eq!(String::from_utf8(output.stdout).unwrap(), cold.stdout);
    let said = |text: &str| -> Vec<String> {
        let is_of_all = |line: &&str| !line.contains("cache: ") && !line.contains(" parsed ");
        text.lines().filter(is_of_all).map(str::to_owned).collect()
    };
    assert_eq!(said(&stderr), said(&cold.stderr));
    // Other arguments need all files for the first time.
    assert!(!is_hit(&project, &["diff"]) && is_unread(&project, &["diff"]));
    assert!(is_unread(&project, &["check", "--show-withheld"]));
    // What is going to be written, and what goes with standard input, is read.
    project.commit_all();
    let fix = project.run(&["fix", "-v", "--select", "unresolved-path"]);
    assert_eq!(fix.code, 0, "{}", fix.stderr);
    assert!(!is_unread(&project, &["fix", "--select", "unresolved-path"]));
    let stdin = || project.run_with(&["check", "-v", "--stdin-filename", "shop/views.py", "-"], b"x = 1\n");
    stdin();
    assert!(stdin().stderr.contains(HIT) && !stdin().stderr.contains(UNREAD));
}

/// Each thing that can be done to a project shows, although it was not read.
#[cfg(unix)]
#[test]
fn what_has_changed_is_read() {
    const PACKAGES: &str = ".venv/lib/python3.11/site-packages/tree";
    let set_age = |path: &Path, age: SystemTime| {
        fs::File::options().append(true).open(path).unwrap().set_modified(age).unwrap();
    };
    type Change<'a> = (&'a str, &'a dyn Fn(&Project));
    let changes: [Change; 9] = [
        ("the same length and age", &|project| {
            let views = project.path().join("shop/views.py");
            let age = fs::metadata(&views).unwrap().modified().unwrap();
            let text = VIEWS.replacen("author", "writer", 1);
            assert_eq!(text.len(), VIEWS.len());
            fs::write(&views, text).unwrap();
            set_age(&views, age);
        }),
        ("an older file in its place", &|project| {
            let new = project.path().join("new");
            fs::write(&new, VIEWS).unwrap();
            set_age(&new, SystemTime::now() - Duration::from_secs(1000));
            fs::rename(new, project.path().join("shop/views.py")).unwrap();
        }),
        ("a file more", &|project| project.write("shop/more.py", "")),
        ("a file less", &|project| fs::remove_file(project.path().join("shop/plain.py")).unwrap()),
        ("a template", &|project| project.write("shop/templates/shop/list.html", "{{ y }}\n")),
        ("what may be a template", &|project| project.write("pages/more.html", "{{ y }}\n")),
        ("a package", &|project| project.write(&format!("{PACKAGES}/models.py"), "import django\n")),
        ("a module that a package lacked", &|project| {
            project.write(&format!("{PACKAGES}/more.py"), "import django\n")
        }),
        ("a package less", &|project| fs::remove_dir_all(project.path().join(PACKAGES)).unwrap()),
    ];
    let changes = changes.map(|(what, change)| (what, change, shop_with_all()));
    settle();
    for (what, change, project) in &changes {
        project.run(&["check"]);
        assert!(is_unread(project, &["check"]), "before {what}");
        change(project);
        assert!(!is_unread(project, &["check"]), "{what}");
        let (cold, cached) = (project.run(&["check", "--no-cache"]), project.run(&["check"]));
        assert_eq!(
            (cold.code, cold.stdout, cold.stderr),
            (cached.code, cached.stdout, cached.stderr),
            "{what}"
        );
        if !what.ends_with("less") {
            // It may change again at once, and that would not show.
            assert!(!is_unread(project, &["check"]), "{what}, at once");
        }
    }
    settle();
    for (what, _, project) in &changes {
        assert!(is_hit(project, &["check"]) && is_unread(project, &["check"]), "{what}, later");
    }
    let (.., project) = &changes[0];
    for entry in kept(project).iter().filter(|entry| entry.extension().is_some()) {
        let mut bytes = fs::read(entry).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(entry, bytes).unwrap();
    }
    assert!(!is_unread(project, &["check"]) && is_unread(project, &["check"]));
    for entry in entries(project) {
        fs::remove_file(entry).unwrap();
    }
    assert!(!is_unread(project, &["check"]) && is_unread(project, &["check"]));
    assert_eq!(project.run(&["clean"]).code, 0);
    assert!(kept(project).is_empty());
}

/// What a link leads to can turn up without a change of anything that is looked at.
#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_looked_at_again() {
    let (project, outside) = (shop_with_all(), tempfile::tempdir().unwrap());
    let packages = project.path().join(".venv/lib/python3.11/site-packages");
    for (name, target) in [("linked", "later"), ("single.py", "single.py")] {
        std::os::unix::fs::symlink(outside.path().join(target), packages.join(name)).unwrap();
    }
    let model = "from django.db import models\n\n\nclass Base(models.Model):\n    class Meta:\n        abstract = True\n";
    let uses = |module: &str| format!("from {module} import Base\n\n\nclass Shelf(Base):\n    pass\n");
    for (module, target) in [("linked.models", "later/models.py"), ("single", "single.py")] {
        project.write("shop/shelves.py", uses(module));
        project.write(
            "shop/more.py",
            "from shop.shelves import Shelf\n\n\ndef f():\n    return len(Shelf.objects.all()) > 0\n",
        );
        settle();
        project.run(&["check"]);
        assert!(!is_unread(&project, &["check"]), "{module}");
        fs::create_dir_all(outside.path().join(target).parent().unwrap()).unwrap();
        fs::write(outside.path().join(target), model).unwrap();
        let (cold, cached) = (project.run(&["check", "--no-cache"]), project.run(&["check"]));
        assert_eq!((cold.code, &cold.stdout), (cached.code, &cached.stdout), "{module}");
    }
}

#[test]
fn another_run_has_another_result() {
    let project = shop_with_pair();
    project.write("shop/tests/test_views.py", VIEWS);
    let runs: [&[&str]; 10] = [
        &["check"],
        &["check", "--unsafe-fixes"],
        &["check", "--select", "select-related"],
        &["check", "--ignore", "select-related"],
        &["check", "--include-tests"],
        &["check", "shop/views.py"],
        &["diff"],
        &["diff", "--unsafe-fixes"],
        &["diff", "shop/views.py"],
        &["diff", "--select", "exists"],
    ];
    for args in runs {
        assert!(!is_hit(&project, args), "{args:?}");
    }
    let configs = [
        "line-length = 60",
        "batch-size = 7",
        "target-django = '5.2'",
        "exclude = ['shop/views.py']",
        "unsafe-fixes = ['exists']",
        "assume-no-signals = ['shop.Book']",
        "per-file-ignores = { 'shop/views.py' = ['select-related'] }",
    ];
    for config in configs {
        project.write("pyproject.toml", format!("[tool.ormend]\n{config}\n"));
        assert!(!is_hit(&project, &["check"]), "{config}");
    }
    fs::remove_file(project.path().join("pyproject.toml")).unwrap();
    for args in runs {
        assert_same(&project, args, "again");
    }
    let stdin = |text: &str| {
        project.run_with(&["check", "-v", "--stdin-filename", "shop/views.py", "-"], text.as_bytes())
    };
    assert!(!stdin("x = 1\n").stderr.contains(HIT));
    assert!(!stdin("x = 2\n").stderr.contains(HIT));
    assert!(stdin("x = 1\n").stderr.contains(HIT));
}

#[test]
fn another_executable_has_another_result() {
    let project = shop_with_pair();
    let other = tempfile::tempdir().unwrap();
    let other = other.path().join("ormend");
    fs::copy(env!("CARGO_BIN_EXE_ormend"), &other).unwrap();
    let run = || {
        let output = Command::new(&other).args(["check", "-v"]).current_dir(project.path()).output().unwrap();
        String::from_utf8(output.stderr).unwrap().contains(HIT)
    };
    assert!(!is_hit(&project, &["check"]));
    assert!(!run() && run());
    let file = fs::File::options().append(true).open(&other).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(100)).unwrap();
    drop(file);
    assert!(!run());
    assert!(is_hit(&project, &["check"]));
}

#[test]
fn what_is_damaged_is_not_believed() {
    let project = shop_with_pair();
    let cold = project.run(&["diff", "--no-cache"]);
    project.run(&["diff"]);
    let entry = only_entry(&project);
    let whole = fs::read(&entry).unwrap();
    let mut damaged: Vec<Vec<u8>> =
        [0, 1, 31, 32, 33, whole.len() / 2, whole.len() - 1].map(|length| whole[..length].to_vec()).to_vec();
    for at in (0..whole.len()).step_by(whole.len() / 20) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        damaged.push(bytes);
    }
    damaged.push([&whole[..], b"x"].concat());
    damaged.push(b"\xff".repeat(100));
    // What belongs to another run.
    project.run(&["diff", "--unsafe-fixes"]);
    let other = entries(&project).into_iter().find(|other| *other != entry).unwrap();
    damaged.push(fs::read(&other).unwrap());
    for (index, bytes) in damaged.iter().enumerate() {
        fs::write(&entry, bytes).unwrap();
        let run = project.run(&["diff"]);
        assert_eq!((run.code, &run.stdout, &run.stderr), (cold.code, &cold.stdout, &cold.stderr), "{index}");
        // It has been replaced.
        assert_eq!(fs::read(&entry).unwrap(), whole, "{index}");
    }
    fs::remove_file(&entry).unwrap();
    fs::create_dir(&entry).unwrap();
    let run = project.run(&["diff"]);
    assert_eq!((run.code, &run.stdout, &run.stderr), (cold.code, &cold.stdout, &cold.stderr));
}

#[cfg(unix)]
#[test]
fn what_came_with_the_project_is_not_believed() {
    let (project, outside) = (shop_with_pair(), tempfile::tempdir().unwrap());
    let cold = project.run(&["check", "--no-cache"]);
    project.run(&["check"]);
    let copy = outside.path().join("copy");
    python::must(Command::new("cp").arg("-a").arg(project.path()).arg(&copy), "cp");
    let check = |root: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ormend"));
        let output = command.args(["check", "-v"]).current_dir(root).output().unwrap();
        String::from_utf8(output.stderr).unwrap().contains(HIT)
    };
    assert!(!check(&copy) && check(&copy) && check(project.path()));
    // A link is not followed, and nothing is written where it leads.
    for linked in [".ormend", ".ormend/cache"] {
        let (link, target) = (project.path().join(linked), outside.path().join(linked.replace('/', "-")));
        fs::rename(&link, &target).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let before = listing(&target);
        let run = project.run(&["check", "-v"]);
        assert!(run.stderr.contains("cache: the result is not kept: it is no directory"), "{}", run.stderr);
        assert_eq!((run.code, &run.stdout), (cold.code, &cold.stdout));
        assert_eq!(project.run(&["clean"]).code, 0);
        assert_eq!(listing(&target), before);
        fs::remove_file(&link).unwrap();
        fs::rename(&target, &link).unwrap();
    }
    let entry = only_entry(&project);
    fs::rename(&entry, outside.path().join("entry")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("entry"), &entry).unwrap();
    assert!(!is_hit(&project, &["check"]));
    assert!(!fs::symlink_metadata(&entry).unwrap().is_symlink() && is_hit(&project, &["check"]));
}

/// Every file below `dir` with what it holds.
fn listing(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir_here) = dirs.pop() {
        for entry in fs::read_dir(dir_here).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => dirs.push(path),
                false => drop(all.insert(relative(dir, &path), fs::read(&path).unwrap())),
            }
        }
    }
    all
}

/// Another user may neither write there nor is believed; the superuser is needed to be two users.
#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_stops_nothing() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let project = shop_with_pair();
    let cold = project.run(&["check", "--no-cache"]);
    let program = project.path().join("ormend");
    fs::copy(env!("CARGO_BIN_EXE_ormend"), &program).unwrap();
    let is_root = fs::metadata(project.path()).unwrap().uid() == 0;
    let run = || {
        let mut command = Command::new(if is_root { "setpriv" } else { "env" });
        if is_root {
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        }
        let output =
            command.arg(&program).args(["check", "-v"]).current_dir(project.path()).output().unwrap();
        let said = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), said(output.stdout), said(output.stderr))
    };
    fs::set_permissions(project.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let (code, stdout, stderr) = run();
    assert_eq!((code, stdout), (Some(cold.code), cold.stdout.clone()), "{stderr}");
    assert!(stderr.contains("cache: the result is not kept: permission denied"), "{stderr}");
    assert!(!project.path().join(".ormend").exists());
    fs::set_permissions(project.path(), fs::Permissions::from_mode(0o755)).unwrap();
    if is_root {
        project.run(&["check"]);
        // Even if everybody may write there.
        for dir in [".ormend", ".ormend/cache"] {
            fs::set_permissions(project.path().join(dir), fs::Permissions::from_mode(0o777)).unwrap();
        }
        let (code, stdout, stderr) = run();
        assert_eq!((code, stdout), (Some(cold.code), cold.stdout), "{stderr}");
        assert!(
            stderr.contains("cache: the result is not kept: its directory is another user's"),
            "{stderr}"
        );
    }
    fs::write(project.path().join("shop/more.py"), "x = 1\n").unwrap();
    fs::remove_dir_all(project.path().join(".ormend")).ok();
    fs::write(project.path().join(".ormend"), "mine").unwrap();
    assert_eq!(project.run(&["check"]).code, cold.code);
    assert_eq!(project.read(".ormend"), b"mine");
}

#[test]
fn runs_at_once() {
    let project = shop_with_pair();
    let cold = project.run(&["check", "--no-cache"]);
    for _ in 0..3 {
        let start = |_| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_ormend"));
            command.arg("check").current_dir(project.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        };
        for child in (0..8).map(start).collect::<Vec<_>>() {
            let output = child.wait_with_output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), cold.stdout);
            assert_eq!(String::from_utf8(output.stderr).unwrap(), cold.stderr);
        }
        assert!(is_hit(&project, &["check"]));
        only_entry(&project);
        assert_eq!(project.run(&["clean"]).code, 0);
    }
}

#[test]
fn its_size_is_bounded() {
    let project = shop_with_pair();
    project.run(&["check"]);
    let dir = project.path().join(".ormend/cache");
    let make = |name: &str, length: u64, age: u64| {
        let file = fs::File::create(dir.join(name)).unwrap();
        file.set_len(length).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    };
    for number in 0..100 {
        make(&format!("{number:064x}"), 10, 1000 + number);
    }
    make(".ormend-old.tmp", 10, 7200);
    make(".ormend-new.tmp", 10, 60);
    make("of another kind", 10, 7200);
    project.run(&["diff"]);
    let left = entries(&project);
    assert_eq!(left.len(), 64 + 2);
    assert!(left.contains(&dir.join(".ormend-new.tmp")) && left.contains(&dir.join("of another kind")));
    // The newest are left.
    assert!(
        left.contains(&dir.join(format!("{:064x}", 61))) && !left.contains(&dir.join(format!("{:064x}", 62)))
    );
    assert!(is_hit(&project, &["check"]) && is_hit(&project, &["diff"]));

    make(&format!("{:064x}", 7), 63 << 20, 1);
    make(&format!("{:064x}", 8), 63 << 20, 2);
    project.run(&["check", "--unsafe-fixes"]);
    let total: u64 = entries(&project).iter().map(|entry| fs::metadata(entry).unwrap().len()).sum();
    assert!(total < 64 << 20, "{total}");
    assert!(is_hit(&project, &["check", "--unsafe-fixes"]));
}

#[test]
fn clean_removes_it_and_nothing_else() {
    let project = shop_with_pair();
    let none = project.run(&["clean"]);
    assert_eq!((none.code, none.stdout.as_str()), (0, ""));
    assert_eq!(none.stderr, "There is no result of an earlier run in `.ormend/cache`.\n");
    project.run(&["diff"]);
    project.run(&["check"]);
    assert_eq!(project.run(&["fix"]).code, 0);
    let clean = project.run_in("shop", &["clean"]);
    assert_eq!((clean.code, clean.stdout.as_str()), (0, ""));
    assert!(clean.stderr.starts_with("Removed 2 results of earlier runs, "), "{}", clean.stderr);
    assert!(clean.stderr.ends_with(" kB, from `../.ormend/cache`.\n"), "{}", clean.stderr);
    assert!(!project.path().join(".ormend/cache").exists());
    assert!(!is_hit(&project, &["check"]));
    assert_eq!(project.run(&["clean", "shop/views.py"]).code, 0);
    assert_eq!(project.run(&["fix", "--undo"]).code, 0);
    project.assert_unchanged();
    assert_eq!(project.run(&["clean", "gone"]).code, 2);
}

#[test]
fn git_does_not_see_it_and_fix_takes_what_diff_found() {
    let project = shop_with_pair();
    project.commit_all();
    let diff = project.run(&["diff", "-v"]);
    assert!(diff.stderr.contains(KEPT), "{}", diff.stderr);
    assert_eq!(project.git(&["status", "--porcelain"]), "");
    // There is nothing to undo.
    assert_eq!(project.run(&["fix", "--undo"]).stderr, "There is nothing to undo.\n");
    let other = shop_with_pair();
    other.commit_all();
    let (cached, cold) = (project.run(&["fix"]), other.run(&["fix", "--no-cache"]));
    assert_eq!((cached.code, &cached.stdout, &cached.stderr), (cold.code, &cold.stdout, &cold.stderr));
    assert_eq!(cached.code, 0, "{}", cached.stderr);
    assert_eq!(listing(&project.path().join("shop")), listing(&other.path().join("shop")));
    assert_ne!(project.git(&["status", "--porcelain"]), "");
    project.run(&["fix", "--undo"]);
    assert!(is_hit(&project, &["fix"]));
}

type Files = BTreeMap<String, Vec<u8>>;

/// Change one thing; what that was.
fn edit(files: &mut Files, original: &Files, random: &mut Random) -> String {
    let paths = |ending: &str| -> Vec<String> {
        files.keys().filter(|path| path.ends_with(ending)).cloned().collect()
    };
    let python = random.one(&paths(".py")).clone();
    let mut lines: Vec<String> =
        String::from_utf8_lossy(&files[&python]).lines().map(str::to_owned).collect();
    let at = random.below(lines.len());
    match random.below(10) {
        0 if !lines.is_empty() => drop(lines.remove(at)),
        1 if !lines.is_empty() => lines.insert(at, lines[at].clone()),
        2 => lines.insert(at, format!("# {at}")),
        3 => {
            files.remove(&python);
            return format!("{python} is removed");
        }
        4 => {
            let text = files.remove(&python).unwrap();
            files.insert(python.replace(".py", "_too.py"), text);
            return format!("{python} is renamed");
        }
        5 => {
            let text = format!(
                "from {} import *\n\n\ndef f(rows):\n    return len(rows.all()) > {at}\n",
                python.replace('/', ".").trim_end_matches(".py")
            );
            files.insert(format!("added_{at}.py"), text.into_bytes());
            return "a file is added".to_owned();
        }
        6 => {
            let templates = paths(".html");
            let template = random.one(&templates).clone();
            files
                .get_mut(&template)
                .unwrap()
                .extend(b"{% for row in rows %}{{ row.owner.name }}{% endfor %}");
            return format!("{template} is longer");
        }
        7 => {
            let keys = [
                "line-length = 100",
                "ignore = ['exists']",
                "exclude = ['/a*']",
                "include-tests = true",
                "unsafe-fixes = true",
            ];
            let text = format!("[tool.ormend]\n{}\n", random.one(&keys));
            files.insert("pyproject.toml".to_owned(), text.into_bytes());
            return "the configuration is another".to_owned();
        }
        8 => {
            files.clone_from(original);
            return "all is as it was".to_owned();
        }
        _ => lines.extend(
            ["", "", "def g(rows):", "    for row in rows.all():", "        print(row.author.name)"]
                .map(str::to_owned),
        ),
    }
    files.insert(python.clone(), (lines.join("\n") + "\n").into_bytes());
    format!("line {at} of {python} is another")
}

/// Make the files of `project` what they are to be.
fn put(project: &Project, before: &Files, after: &Files) {
    for path in before.keys().filter(|path| !after.contains_key(*path)) {
        fs::remove_file(project.path().join(path)).unwrap();
    }
    for (path, bytes) in after.iter().filter(|(path, bytes)| before.get(*path) != Some(bytes)) {
        project.write(path, bytes);
    }
}

fn holds(original: Files, steps: usize, seed: u64) {
    let project = Project::new(&[]);
    put(&project, &Files::new(), &original);
    let mut random = Random(seed);
    let mut files = original.clone();
    let mut history = Vec::new();
    let runs: [&[&str]; 7] = [
        &["check"],
        &["check", "--show-withheld", "--output-format", "json"],
        &["diff"],
        &["diff", "--unsafe-fixes", "--output-format", "json"],
        &["plan"],
        &["plan", "--unsafe-fixes"],
        &["check", "--statistics", "--include-tests"],
    ];
    for _ in 0..steps {
        assert_same(&project, runs[random.below(runs.len())], &format!("seed {seed}: {history:#?}"));
        let before = files.clone();
        history.push(edit(&mut files, &original, &mut random));
        put(&project, &before, &files);
    }
    for format in FORMATS {
        assert_same(&project, &["check", "--show-withheld", "--output-format", format], format);
    }
    // What is written, with a result that is kept and without.
    let other = Project::new(&[]);
    put(&other, &Files::new(), &files);
    project.run(&["diff"]);
    let (cached, cold) = (project.run(&["fix", "-v"]), other.run(&["fix", "--no-cache", "-v"]));
    assert!(cached.stderr.contains(HIT) && !cold.stderr.contains(HIT), "{}", cached.stderr);
    // What was parsed for it differs: nothing where a result is taken.
    assert!(cached.stderr.contains("parsed 0 files, 0 bytes\n"), "{}", cached.stderr);
    let said = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with("info: parsed ")).map(str::to_owned).collect()
    };
    assert_eq!(
        (cached.code, cached.stdout, said(&cached.stderr.replace(HIT, "cache: none"))),
        (cold.code, cold.stdout, said(&cold.stderr))
    );
    let of_project = |project: &Project| {
        let mut files = listing(project.path());
        files.retain(|path, _| !path.starts_with(".ormend/"));
        files
    };
    assert_eq!(of_project(&project), of_project(&other));
}

/// The files below `folder` that a run may look at.
fn read(folder: &Path) -> Files {
    let files = files_below(folder).into_iter();
    let files = files.filter(|file| {
        [".py", ".html", ".toml", ".txt"].iter().any(|end| file.to_string_lossy().ends_with(end))
    });
    files.map(|file| (relative(folder, &file), fs::read(&file).unwrap())).collect()
}

#[test]
fn edits_of_the_example_project() {
    let mut example = read(&support::root().join("examples/bookshop"));
    example.insert("catalog/templates/catalog/more.html".to_owned(), b"{{ x }}".to_vec());
    holds(example, 24, 0x5eed);
}

#[test]
fn edits_of_a_real_project() {
    let folder = scratch("cache");
    let script = support::root().join("tests/support/unpack.py");
    let mut unpack = Command::new(python::system());
    unpack.arg(script).arg(python::wheel("django-helpdesk", "2.6.1")).arg(".py,.html,.txt,.toml");
    python::must(unpack.args([folder.join("keep"), folder.join("work")]), "unpacking a wheel");
    let original = read(&folder.join("keep"));
    assert!(original.len() > 80, "{}", original.len());
    holds(original, 5, 0xd1a1);
    fs::remove_dir_all(folder).unwrap();
}
