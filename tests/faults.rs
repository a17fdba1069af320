//! Kills, full disks and failing system calls at every step of a run that writes. Whatever happens, a file holds what it held or
//! what it was to hold, the files of one fix agree, and the next run repairs the rest.
//!
//! strace injects the faults, and setpriv takes the superuser's rights away.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::shop::{REPORTS, VIEWS, reports_fixed, shop_with_pair, views_fixed};
use common::{Project, Run};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The system calls that change what is on the disk.
const WRITING: [&str; 9] =
    ["mkdir", "openat", "write", "fchmod", "fsync", "rename", "renameat", "unlink", "unlinkat"];

/// The one that puts a new file in its place.
const PUT: &str = "renameat";

fn ormend() -> &'static str {
    env!("CARGO_BIN_EXE_ormend")
}

/// Run the command under strace with these faults.
fn inject(project: &Project, faults: &[String], args: &[&str]) -> Run {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null"]);
    for fault in faults {
        strace.args(["-e", &format!("inject={fault}")]);
    }
    let output = strace.arg(ormend()).args(args).current_dir(project.path()).output();
    let output = output.expect("strace is installed (Debian: apt-get install strace)");
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// How often a run of `fix` makes each of the [`WRITING`] calls below the project or, without saying where, at all.
fn calls(name: &str) -> Vec<usize> {
    let project = shop_with_pair();
    let log = project.path().join("strace.log");
    let status = Command::new("strace")
        .args(["-f", "-qq", "-y", "-e", &format!("trace={name}"), "-o"])
        .arg(&log)
        .args([ormend(), "fix", "--jobs", "1"])
        .current_dir(project.path())
        .stderr(Stdio::null())
        .status()
        .expect("strace is installed (Debian: apt-get install strace)");
    assert!(status.success());
    let log = fs::read_to_string(log).unwrap();
    let of_ours = |line: &str| {
        let is_other = line.contains("pipe:")
            || line.contains("eventfd")
            || line.contains("/dev/")
            || line.contains("/proc/");
        // Files are opened to be read all the time.
        let is_reading = name == "openat"
            && !line.contains("O_WRONLY")
            && !line.contains("O_RDWR")
            && !line.contains("O_CREAT");
        !is_other && !is_reading
    };
    let lines = log.lines().filter(|line| line.contains(&format!(" {name}(")));
    lines.enumerate().filter(|(_, line)| of_ours(line)).map(|(index, _)| index + 1).collect()
}

/// Every fixable file is as it was or as it should be, and the pair is of one kind; whether each is fixed.
fn state(project: &Project, what: &str) -> [bool; 3] {
    let is_fixed = |path: &str, before: &str, after: &str| {
        let now = String::from_utf8(project.read(path)).unwrap();
        assert!(now == before || now == after, "{what}: {path} holds neither:\n{now}");
        now == after
    };
    let (api, serializers) = common::shop::PAIR;
    [
        is_fixed("shop/views.py", VIEWS, &views_fixed()),
        is_fixed("shop/reports.py", REPORTS, &reports_fixed()),
        is_fixed("shop/api.py", api, &common::shop::api_fixed())
            | is_fixed("shop/serializers.py", serializers, &common::shop::serializers_fixed()),
    ]
}

fn pair_agrees(project: &Project) -> bool {
    let is_fixed = |path: &str, text: &str| project.read(path) == text.as_bytes();
    is_fixed("shop/api.py", &common::shop::api_fixed())
        == is_fixed("shop/serializers.py", &common::shop::serializers_fixed())
}

/// Nothing of a run is left but what it takes to undo one.
fn assert_tidy(project: &Project, what: &str) {
    for dir in ["", "shop", ".ormend"] {
        for entry in fs::read_dir(project.path().join(dir)).into_iter().flatten() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.ends_with(".tmp") && name != "writing.json", "{what}: {dir}/{name} is left");
        }
    }
}

#[test]
fn a_kill_at_every_step() {
    let mut killed = 0;
    for name in WRITING {
        let nths = calls(name);
        assert!(!nths.is_empty() || !matches!(name, "write" | "fsync" | PUT), "a run makes no {name}");
        for nth in nths {
            let what = format!("killed at {name} {nth}");
            let fault = [format!("{name}:signal=KILL:when={nth}")];
            let project = shop_with_pair();
            let run = inject(&project, &fault, &["fix", "--jobs", "1"]);
            killed += usize::from(run.code != 0);
            state(&project, &what);
            let is_open = project.path().join(".ormend/writing.json").exists();
            // Who only looks is told, and nothing is changed for it.
            let check = project.run(&["check", "--exit-zero", "-q"]);
            assert_eq!(check.code, 0);
            let told =
                project.run(&["diff", "--exit-zero"]).stderr.contains("an earlier run was interrupted");
            assert_eq!(told, is_open, "{what}");
            let undo = project.run(&["fix", "--undo"]);
            assert_eq!(undo.code, 0, "{what}: {}", undo.stderr);
            project.assert_unchanged();
            assert_tidy(&project, &what);

            // Killed once more, now while it takes the run back; then the next run does all there is to do.
            let project = shop_with_pair();
            inject(&project, &fault, &["fix", "--jobs", "1"]);
            inject(&project, &[format!("{PUT}:signal=KILL:when=1")], &["fix", "--undo"]);
            let fix = project.run(&["fix"]);
            assert_eq!(fix.code, 0, "{what}: {}", fix.stderr);
            assert_eq!(state(&project, &what), [true; 3], "{what}");
            assert!(pair_agrees(&project), "{what}");
            assert_tidy(&project, &what);
            assert_eq!(project.run(&["fix", "--undo"]).code, 0);
        }
    }
    assert!(killed > 20, "only {killed} runs were killed");
}

#[test]
fn a_kill_while_a_run_is_taken_back() {
    for nth in 1..=8 {
        let project = shop_with_pair();
        project.run(&["fix"]);
        inject(&project, &[format!("{PUT}:signal=KILL:when={nth}")], &["fix", "--undo"]);
        state(&project, "undo");
        let undo = project.run(&["fix", "--undo"]);
        assert_eq!(undo.code, 0, "{}", undo.stderr);
        project.assert_unchanged();
        assert_tidy(&project, "undo");
    }
}

#[test]
fn an_interrupted_run_is_the_last_one() {
    let project = shop_with_pair();
    project.run(&["fix", "--select", "exists"]);
    let run = inject(&project, &[format!("{PUT}:signal=KILL:when=4")], &["fix", "--jobs", "1"]);
    assert!(project.path().join(".ormend/writing.json").exists(), "{}", run.stderr);
    let undo = project.run(&["fix", "--undo"]);
    assert!(undo.stderr.contains("an earlier run was interrupted"), "{}", undo.stderr);
    // The run before it stands, and is the last one now.
    assert_eq!(state(&project, "undo"), [false, true, false]);
    assert_eq!(project.run(&["fix", "--undo"]).stderr, "Restored 1 file.\n");
    project.assert_unchanged();
}

#[test]
fn a_call_that_fails() {
    let mut failed = 0;
    for (name, error) in [
        ("mkdir", "EROFS"),
        ("write", "ENOSPC"),
        ("fsync", "EIO"),
        ("rename", "EACCES"),
        ("renameat", "EACCES"),
        ("fchmod", "EPERM"),
        ("openat", "EMFILE"),
    ] {
        for nth in calls(name) {
            let what = format!("{error} of {name} {nth}");
            let project = shop_with_pair();
            let run =
                inject(&project, &[format!("{name}:error={error}:when={nth}")], &["fix", "--jobs", "1"]);
            let fixed = state(&project, &what);
            assert!(pair_agrees(&project), "{what}: {}", run.stderr);
            if run.code == 0 {
                assert_eq!(fixed, [true; 3], "{what}: {}", run.stderr);
            } else {
                failed += 1;
                assert_eq!(run.code, 2, "{what}: {}", run.stderr);
                assert!(run.stderr.contains("cannot"), "{what}: {}", run.stderr);
                assert!(!run.stderr.contains("internal error"), "{what}: {}", run.stderr);
            }
            let undo = project.run(&["fix", "--undo"]);
            assert_eq!(undo.code, 0, "{what}: {}", undo.stderr);
            project.assert_unchanged();
            assert_tidy(&project, &what);
        }
    }
    assert!(failed > 10, "only {failed} runs failed");
}

#[test]
fn an_atomic_apply_that_fails_writes_all_or_nothing() {
    for nth in 1..=8 {
        let project = shop_with_pair();
        project.run(&["plan", "-o", "plan.json"]);
        let fault = format!("{PUT}:error=EACCES:when={nth}");
        let run = inject(&project, &[fault], &["apply", "--atomic", "plan.json"]);
        let fixed = state(&project, &run.stderr);
        assert_eq!(fixed, [fixed[0]; 3], "{nth}: {}", run.stderr);
        assert!(fixed[0] || run.code == 2, "{nth}: {}", run.stderr);
    }
}

#[test]
fn a_kill_while_parts_are_replaced() {
    let project = shop_with_pair();
    let args = ["plan", "--split-by", "codemod", "-o", "parts"];
    project.run(&args);
    let (mut killed, wanted) = (0, listing(&project));
    for fault in ["unlink:signal=KILL:when=", "renameat:signal=KILL:when="] {
        for nth in 1..=12 {
            killed += usize::from(inject(&project, &[format!("{fault}{nth}")], &args).code != 0);
            let run = project.run(&args);
            assert_eq!(run.code, 0, "{fault}{nth}: {}", run.stderr);
            let left = listing(&project).into_iter().filter(|(name, _)| !name.starts_with(".ormend-"));
            assert_eq!(left.collect::<Vec<_>>(), wanted, "{fault}{nth}");
        }
    }
    assert!(killed > 10, "only {killed} runs were killed");
}

/// The files of the directory of the parts, and what they hold.
fn listing(project: &Project) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(project.path().join("parts")).unwrap().map(Result::unwrap);
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut all: Vec<_> = entries.map(|entry| (name(&entry), fs::read(entry.path()).unwrap())).collect();
    all.sort();
    all
}

#[test]
fn a_full_disk() {
    // In a name space of its own, so that nobody else sees what is mounted.
    let project = shop_with_pair();
    let script = "mount -t tmpfs -o size=$1 tmpfs \"$3\" && cp -r \"$2\"/. \"$3\" && cd \"$3\" && \"$4\" fix; code=$?; \
                  cp -r . \"$5\"; exit $code";
    let mut sizes = Vec::new();
    for size in (32..=72).step_by(4).chain([512]) {
        let mount = tempfile::tempdir().unwrap();
        let after = Project::new(&[]);
        let mut command = Command::new("unshare");
        if !is_root() {
            command.arg("--map-root-user");
        }
        let output = command
            .args(["--mount", "sh", "-c", script, "sh", &format!("{size}k")])
            .args([project.path(), mount.path(), Path::new(ormend()), after.path()])
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        if stderr.contains("cp:") {
            // Too small for the project itself.
            continue;
        }
        let fixed = state(&after, &stderr);
        assert!(pair_agrees(&after), "{stderr}");
        let is_done = output.status.code() == Some(0);
        assert_eq!(is_done, fixed == [true; 3], "{stderr}");
        assert!(is_done || stderr.contains("no space left on device"), "{stderr}");
        assert_tidy(&after, &stderr);
        sizes.push(is_done);
    }
    assert!(sizes.contains(&true) && sizes.contains(&false), "{sizes:?}");
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}

/// Start `fix` so that it waits for `seconds` at its first flush, when the files are read and none is written.
fn slow(project: &Project, seconds: u32) -> Child {
    let fault = format!("inject=fsync:delay_enter={seconds}s:when=1");
    Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &fault, ormend(), "fix"])
        .current_dir(project.path())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("strace is installed (Debian: apt-get install strace)")
}

/// Wait until the journal is begun.
fn wait_for_journal(project: &Project) {
    let start = Instant::now();
    while !project.path().join(".ormend").exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "the run does not start to write");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_file_that_changes_or_vanishes_meanwhile() {
    let project = shop_with_pair();
    let run = slow(&project, 2);
    wait_for_journal(&project);
    let mine = format!("{VIEWS}# mine\n");
    project.write("shop/views.py", &mine);
    fs::remove_file(project.path().join("shop/reports.py")).unwrap();
    let serializers = format!("{}# mine\n", common::shop::PAIR.1);
    project.write("shop/serializers.py", &serializers);
    let output = run.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("shop/views.py: it changed since it was read"), "{stderr}");
    assert!(stderr.contains("shop/reports.py: cannot find it"), "{stderr}");
    assert!(stderr.contains("shop/serializers.py: it changed since it was read"), "{stderr}");
    assert!(stderr.contains("shop/api.py: a fix changes it together with `shop/serializers.py`"), "{stderr}");
    assert_eq!(project.read("shop/views.py"), mine.as_bytes());
    assert_eq!(project.read("shop/serializers.py"), serializers.as_bytes());
    assert_eq!(project.read("shop/api.py"), common::shop::PAIR.0.as_bytes());
    assert!(!project.path().join("shop/reports.py").exists());
    assert_tidy(&project, "changed");
}

#[test]
fn two_runs_at_once() {
    let project = shop_with_pair();
    let first = slow(&project, 2);
    wait_for_journal(&project);
    let second = project.run(&["fix"]);
    let first = first.wait_with_output().unwrap();
    assert!(first.status.success());
    assert!(String::from_utf8_lossy(&first.stderr).contains("Applied 3 fixes to 4 files."));
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert!(second.stderr.contains("waiting for another run of ormend in this project"), "{}", second.stderr);
    assert!(second.stderr.contains("No findings."), "{}", second.stderr);
    assert_eq!(state(&project, "both"), [true; 3]);
    assert_tidy(&project, "both");
}

/// Another's file in a directory that both may write stays readable to their group.
#[test]
fn a_file_keeps_its_group() {
    use std::os::unix::fs::MetadataExt;
    let project = shop_with_pair();
    let mut command = Command::new(ormend());
    if is_root() {
        let shared = "chown -R 65533:65532 . && chmod -R g+rwX . && chmod a+rx .";
        let shared = Command::new("sh").args(["-c", shared]).current_dir(project.path()).status();
        assert!(shared.unwrap().success());
        command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--groups=65532", ormend()]);
    }
    let file = project.path().join("shop/views.py");
    let before = fs::metadata(&file).unwrap();
    let output = command.arg("fix").current_dir(project.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(state(&project, "group"), [true; 3]);
    let after = fs::metadata(&file).unwrap();
    assert_eq!((after.gid(), after.mode()), (before.gid(), before.mode()));
}

#[test]
fn a_directory_that_may_not_be_written() {
    let project = shop_with_pair();
    let set = |mode: &str, path: &str| {
        assert!(
            Command::new("chmod")
                .args(["-R", mode])
                .arg(project.path().join(path))
                .status()
                .unwrap()
                .success()
        );
    };
    let run = || {
        let mut command = match is_root() {
            true => {
                // Nobody may do what the superuser may.
                let owner = Command::new("chown").args(["-R", "65534:65534"]).arg(project.path()).status();
                assert!(owner.unwrap().success());
                let mut command = Command::new("setpriv");
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups", ormend()]);
                command
            }
            false => Command::new(ormend()),
        };
        let output = command.arg("fix").current_dir(project.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // Others may go through the temporary directory's directories.
    set("a+rX", "");
    set("a-w", "shop");
    set("u+w", "shop/views.py");
    let (code, stderr) = run();
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stderr.contains("shop/views.py: cannot make a temporary file next to it: permission denied"),
        "{stderr}"
    );
    assert!(stderr.contains("shop/reports.py: it is not writable"), "{stderr}");
    project.assert_unchanged();
    set("u+w", "shop");
    fs::remove_dir_all(project.path().join(".ormend")).unwrap();
    assert!(Command::new("chmod").arg("u-w").arg(project.path()).status().unwrap().success());
    let (code, stderr) = run();
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stderr.contains("cannot keep a journal in `.ormend`: permission denied; nothing was changed"),
        "{stderr}"
    );
    project.assert_unchanged();
    assert!(Command::new("chmod").arg("u+w").arg(project.path()).status().unwrap().success());
    assert_eq!(run().0, Some(0));
    assert_eq!(state(&project, "after"), [true; 3]);
}
