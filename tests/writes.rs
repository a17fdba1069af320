//! What is written can be taken back, is not mixed with changes that are not committed, and fixes of several files are whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Project;
use common::shop::{REPORTS, VIEWS, reports_fixed, shop, shop_with_pair, views_fixed};
use std::fs;

fn assert_fixed(project: &Project) {
    assert_eq!(String::from_utf8(project.read("shop/views.py")).unwrap(), views_fixed());
    assert_eq!(String::from_utf8(project.read("shop/reports.py")).unwrap(), reports_fixed());
}

/// Everything below the project's root but git's own.
fn entries(project: &Project) -> Vec<String> {
    let mut all = Vec::new();
    let mut dirs = vec![project.path().to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with(".git") {
                dirs.push(path);
            } else {
                all.push(path.strip_prefix(project.path()).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    all.sort();
    all
}

#[test]
fn a_run_is_undone_once() {
    let project = shop();
    let run = project.run(&["fix"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let done =
        "Applied 2 fixes to 2 files. This is no git repository: only `ormend fix --undo` takes it back.\n";
    assert!(run.stderr.ends_with(done), "{}", run.stderr);
    assert_fixed(&project);
    assert_eq!(project.read(".ormend/.gitignore"), b"*\n");

    let run = project.run(&["fix", "--undo"]);
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, "", "Restored 2 files.\n"));
    project.assert_unchanged();
    assert!(!entries(&project).iter().any(|path| path.contains("before") || path.contains("json")));
    let run = project.run(&["fix", "--undo"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, "There is nothing to undo.\n"));
}

#[test]
fn the_way_back_is_told_for_where_the_command_is_run() {
    let project = shop();
    fs::create_dir(project.path().join("web")).unwrap();
    for name in ["manage.py", "settings.py", "shop"] {
        fs::rename(project.path().join(name), project.path().join("web").join(name)).unwrap();
    }
    // The root is that of the path, and then one that no marker tells.
    let plan = project.run(&["plan", "web"]).stdout;
    for round in 0..2 {
        let run = match round {
            0 => project.run(&["fix", "web"]),
            _ => {
                fs::remove_file(project.path().join("web/manage.py")).unwrap();
                project.run_with(&["apply", "-", "--root", "web"], plan.as_bytes())
            }
        };
        assert!(run.stderr.ends_with("only `ormend fix --undo web` takes it back.\n"), "{}", run.stderr);
        assert_eq!(project.run(&["fix", "--undo"]).stderr, "There is nothing to undo.\n");
        assert_eq!(project.run(&["fix", "--undo", "web"]).stderr, "Restored 2 files.\n");
        assert_eq!(project.read("web/shop/views.py"), VIEWS.as_bytes());
    }
}

#[test]
#[cfg(unix)]
fn pipes_and_links_in_the_place_of_a_journal() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("journal.json");
    fs::write(&target, "{\"version\":1,\"run\":\"a-1\",\"files\":[]}").unwrap();
    for name in ["writing.json", "last.json"] {
        let project = shop();
        project.write(".ormend/.gitignore", "");
        let file = project.path().join(".ormend").join(name);
        assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
        let run = project.run(&["fix", "--undo"]);
        assert_eq!(run.code, 2, "{}", run.stderr);
        assert!(run.stderr.contains("it is no regular file"), "{}", run.stderr);
        fs::remove_file(&file).unwrap();
        symlink(&target, &file).unwrap();
        let run = project.run(&["fix", "--undo"]);
        assert_eq!(run.code, 2, "{}", run.stderr);
        assert!(run.stderr.contains("it is a link"), "{}", run.stderr);
    }
    // What is not there yet is made in the project and nowhere else.
    let project = shop();
    fs::create_dir(project.path().join(".ormend")).unwrap();
    symlink(outside.path().join("new"), project.path().join(".ormend/.gitignore")).unwrap();
    assert_eq!(project.run(&["fix"]).code, 0);
    assert_fixed(&project);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
#[cfg(unix)]
fn an_output_that_is_a_link_is_written_through() {
    use std::os::unix::fs::symlink;
    let project = shop();
    // As `/dev/stdout` is one, which leads to no path where standard output is a pipe.
    let out = project.path().join("stdout");
    symlink("/proc/self/fd/1", &out).unwrap();
    let run = project.run(&["plan", "-o", "stdout"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.starts_with("{\n  \"version\": 1,"), "{}", run.stdout);
    assert!(fs::symlink_metadata(&out).unwrap().is_symlink());
    symlink("later.json", project.path().join("link.json")).unwrap();
    for _ in 0..2 {
        assert_eq!(project.run(&["plan", "-o", "link.json"]).code, 0);
        assert!(fs::symlink_metadata(project.path().join("link.json")).unwrap().is_symlink());
        assert_eq!(String::from_utf8(project.read("later.json")).unwrap(), run.stdout);
    }
}

#[test]
#[cfg(unix)]
fn who_may_not_read_a_file_may_not_read_its_old_content() {
    use std::os::unix::fs::PermissionsExt;
    let project = shop();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = project.path().join("shop/views.py");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(project.run(&["fix"]).code, 0);
    assert_eq!(mode(&file), 0o600);
    let kept = entries(&project).into_iter().find(|path| path.ends_with(".before")).unwrap();
    assert_eq!(mode(&project.path().join(kept)), 0o600);
    project.run(&["fix", "--undo"]);
    project.assert_unchanged();
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn what_changed_since_is_not_undone() {
    let project = shop();
    project.run(&["fix"]);
    let mine = format!("{}# mine\n", views_fixed());
    fs::write(project.path().join("shop/views.py"), &mine).unwrap();
    let run = project.run(&["fix", "--undo"]);
    assert_eq!(run.code, 1);
    let refused =
        "error: shop/views.py: it changed since ormend wrote it, so it was left as it is\nRestored 1 file.\n";
    assert_eq!(run.stderr, refused);
    assert_eq!(project.read("shop/views.py"), mine.as_bytes());
    assert_eq!(project.read("shop/reports.py"), REPORTS.as_bytes());
    // Its old content is kept.
    fs::write(project.path().join("shop/views.py"), views_fixed()).unwrap();
    assert_eq!(project.run(&["fix", "--undo"]).stderr, "Restored 1 file.\n");
    project.assert_unchanged();
}

#[test]
fn a_run_without_changes_leaves_the_last_one() {
    let project = shop();
    project.run(&["fix"]);
    assert_eq!(project.run(&["fix"]).code, 0);
    assert_eq!(project.run(&["fix", "--undo"]).stderr, "Restored 2 files.\n");
    project.assert_unchanged();
    // And nothing at all is left where there was nothing to do, but for the cache.
    let clean = Project::new(&[("manage.py", ""), ("a.py", "x = 1\n")]);
    assert_eq!(clean.run(&["fix", "--no-cache"]).code, 0);
    assert_eq!(entries(&clean), [".git", "a.py", "manage.py"]);
}

#[test]
fn what_apply_wrote_is_undone() {
    let project = shop();
    project.run(&["plan", "-o", "plan.json"]);
    let run = project.run(&["apply", "plan.json"]);
    assert!(run.stderr.ends_with("only `ormend fix --undo` takes it back.\n"), "{}", run.stderr);
    assert_fixed(&project);
    project.run(&["fix", "--undo"]);
    project.assert_unchanged();
}

#[test]
fn uncommitted_changes_are_a_reason_to_write_nothing() {
    let project = shop();
    project.commit_all();
    project.write("README", "mine");
    // What git does not know and we do not touch is no reason.
    project.run(&["plan", "-o", "plan.json"]);
    project.write("settings.py", "INSTALLED_APPS = [\"shop\"]\n# mine\n");
    for args in [&["fix"][..], &["apply", "plan.json"]] {
        let run = project.run(args);
        assert_eq!(run.code, 2, "{}", run.stderr);
        assert!(run.stderr.contains("changes that are not committed, in `settings.py`"), "{}", run.stderr);
        assert!(run.stderr.contains("--allow-dirty"), "{}", run.stderr);
        project.assert_unchanged();
        assert!(!entries(&project).iter().any(|path| path.starts_with(".ormend/writing")));
    }
    let run = project.run(&["fix", "--allow-dirty"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stderr.ends_with("Applied 2 fixes to 2 files. `ormend fix --undo` takes it back.\n"),
        "{}",
        run.stderr
    );
    assert_fixed(&project);
    project.run(&["fix", "--undo"]);
    project.git(&["add", "settings.py"]);
    assert_eq!(project.run(&["fix"]).code, 2);
    project.git(&["commit", "--quiet", "-m", "mine"]);
    assert_eq!(project.run(&["fix"]).code, 0);
    assert_fixed(&project);
    // Of what we wrote git sees the two files, and not the journal.
    assert_eq!(
        project.git(&["status", "--porcelain", "--", "shop", ".ormend"]),
        " M shop/reports.py\n M shop/views.py\n"
    );
}

#[test]
fn a_file_that_git_does_not_know_is_not_replaced() {
    let project = shop();
    fs::remove_file(project.path().join("shop/reports.py")).unwrap();
    project.commit_all();
    project.write("shop/reports.py", REPORTS);
    let run = project.run(&["fix"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("in `shop/reports.py`"), "{}", run.stderr);
    project.assert_unchanged();
    assert_eq!(project.run(&["fix", "shop/views.py"]).code, 0);
}

/// A program that leaves a mark when it runs, and its mark.
#[cfg(unix)]
fn program(project: &Project) -> (String, std::path::PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let (script, mark) = (project.path().join("hook.sh"), project.path().join("ran"));
    fs::write(&script, format!("#!/bin/sh\ntouch {}\ncat\n", mark.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    (script.to_str().unwrap().to_owned(), mark)
}

/// Make git compare `shop/views.py`, for its time stamp is another.
#[cfg(unix)]
fn touch(project: &Project) {
    let file = fs::File::options().append(true).open(project.path().join("shop/views.py")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
}

#[test]
#[cfg(unix)]
fn git_runs_nothing_of_the_project() {
    for filter in [&b"own"[..], b"a=b", b"\xff"] {
        let project = shop();
        project.write(".gitattributes", [b"*.py filter=", filter, b"\n"].concat());
        project.commit_all();
        let (script, mark) = program(&project);
        let settings =
            format!("\"]\n\tclean = {script}\n\trequired = true\n[core]\n\tfsmonitor = {script}\n");
        let mut config = project.read(".git/config");
        config.extend([b"[filter \"", filter, settings.as_bytes()].concat());
        fs::write(project.path().join(".git/config"), config).unwrap();
        fs::copy(&script, project.path().join(".git/hooks/post-index-change")).unwrap();
        touch(&project);
        let run = project.run(&["check", "--changed", "--exit-zero"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        touch(&project);
        let run = project.run(&["fix"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(!mark.exists(), "git ran what the project's configuration names: {filter:?}");
        // The case holds: git on its own does.
        project.git(&["status"]);
        assert!(mark.exists());
    }
}

#[test]
#[cfg(unix)]
fn git_fetches_nothing_that_a_partial_clone_lacks() {
    let project = shop();
    project.commit_all();
    let tree = project.git(&["rev-parse", "HEAD:shop"]);
    project.write("shop/views.py", format!("{VIEWS}# more\n"));
    project.git(&["commit", "--quiet", "-am", "more"]);
    let (script, mark) = program(&project);
    for (key, value) in [
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", &format!("ext::{script}")),
        ("protocol.ext.allow", "always"),
    ] {
        project.git(&["config", key, value]);
    }
    let (dir, name) = tree.trim().split_at(2);
    fs::remove_file(project.path().join(format!(".git/objects/{dir}/{name}"))).unwrap();
    let run = project.run(&["check", "--changed=HEAD~1"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("git cannot say what has changed: "), "{}", run.stderr);
    assert!(!mark.exists(), "git fetched with what the project's configuration names");
}

#[test]
fn what_git_sets_for_its_hooks_leads_nowhere_else() {
    let (project, other) = (shop(), shop());
    other.commit_all();
    fs::create_dir(project.path().join("web")).unwrap();
    for name in ["manage.py", "settings.py", "shop"] {
        fs::rename(project.path().join(name), project.path().join("web").join(name)).unwrap();
    }
    project.commit_all();
    fs::write(project.path().join("web/settings.py"), "INSTALLED_APPS = [\"shop\"]\n# mine\n").unwrap();
    let own = project.path().join(".git");
    let run = |git_dir: &std::path::Path, args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ormend"));
        command.args(args).current_dir(project.path().join("web")).env("GIT_DIR", git_dir);
        command.env("GIT_INDEX_FILE", git_dir.join("next-index")).env("GIT_PREFIX", "");
        if git_dir.starts_with(other.path()) {
            command.env("GIT_WORK_TREE", other.path());
        }
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for git_dir in [std::path::Path::new(".git"), &own, &other.path().join(".git")] {
        let (code, stderr) = run(git_dir, &["fix"]);
        assert_eq!(code, Some(2), "{git_dir:?}: {stderr}");
        assert!(stderr.contains("changes that are not committed, in `settings.py`"), "{git_dir:?}: {stderr}");
        let (code, stderr) = run(git_dir, &["check", "--changed"]);
        assert_eq!(code, Some(0), "{git_dir:?}: {stderr}");
        assert!(stderr.contains("Looked at 1 file; left out 5 unchanged files"), "{git_dir:?}: {stderr}");
    }
}

#[test]
fn a_repository_inside_of_the_project_is_asked_too() {
    let project = shop();
    project.commit_all();
    let inner = ["-C", "lib"];
    project.write("lib/__init__.py", "");
    project.write("lib/reports.py", REPORTS);
    for args in [&["init", "--quiet"][..], &["add", "--all"], &["commit", "--quiet", "-m", "all"]] {
        project.git(&[&inner, args].concat());
    }
    project.write("lib/reports.py", format!("{REPORTS}# mine\n"));
    let run = project.run(&["fix"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.contains("changes that are not committed, in `lib/reports.py`"), "{}", run.stderr);
    project.assert_unchanged();
    project.git(&[&inner, &["commit", "--quiet", "-am", "mine"][..]].concat());
    assert_eq!(project.run(&["fix"]).code, 0);
}

#[test]
#[cfg(unix)]
fn a_fix_of_two_files_is_whole() {
    use std::os::unix::fs::PermissionsExt;
    let project = shop_with_pair();
    let diff = project.run(&["diff", "--select", "annotate-count,select-related"]).stdout;
    assert!(diff.contains("+++ b/shop/api.py") && diff.contains("+++ b/shop/serializers.py"), "{diff}");
    let file = project.path().join("shop/serializers.py");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    for round in 0..2 {
        let run = project.run(&["fix", "--select", "annotate-count,select-related"]);
        assert_eq!(run.code, 1, "{}", run.stderr);
        assert!(run.stderr.contains("shop/serializers.py: it is not writable"), "{}", run.stderr);
        let whole = "shop/api.py: a fix changes it together with `shop/serializers.py`";
        assert!(run.stderr.contains(whole), "{}", run.stderr);
        // The fix of the third file is none of it.
        assert_eq!(project.read("shop/views.py"), views_fixed().as_bytes(), "round {round}");
        assert_eq!(run.stderr.contains("Applied 1 fix to 1 file."), round == 0, "{}", run.stderr);
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let run = project.run(&["fix", "--select", "annotate-count,select-related"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(project.run(&["diff", "--select", "annotate-count,select-related"]).stdout, "");
}

#[test]
#[cfg(unix)]
fn a_journal_is_not_believed() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("x.py");
    fs::write(&target, "new").unwrap();
    let sha = |bytes: &str| {
        let output = std::process::Command::new("sha256sum")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn();
        let mut child = output.unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), bytes.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()[..64].to_owned()
    };
    let project = Project::new(&[("manage.py", ""), ("a.py", "x = 1\n"), (".git/config", "new")]);
    symlink(&target, project.path().join("link.py")).unwrap();
    let up = format!("../{}/x.py", outside.path().file_name().unwrap().to_str().unwrap());
    for path in
        [up.as_str(), target.to_str().unwrap(), "link.py", ".git/config", ".GIT/config", "a//../.git/config"]
    {
        for name in ["last.json", "writing.json"] {
            let journal = serde_json::json!({"version": 1, "run": "ab-1", "files": [
                {"path": path, "before": sha("old"), "after": sha("new"), "start": 0, "length": 3}]});
            project.write(&format!(".ormend/{name}"), journal.to_string());
            project.write(".ormend/ab-1.before", "old");
            let run = project.run(&["fix", "--undo"]);
            assert_eq!(run.code, 1, "{path} {name}: {}", run.stderr);
            assert_eq!(fs::read(&target).unwrap(), b"new", "{path}");
            assert_eq!(project.read(".git/config"), b"new", "{path}");
            fs::remove_dir_all(project.path().join(".ormend")).unwrap();
        }
    }
    for bad in [
        "",
        "{}",
        "{\"version\": 2, \"run\": \"a-1\", \"files\": []}",
        "{\"version\": 1, \"run\": \"../a\", \"files\": []}",
    ] {
        project.write(".ormend/writing.json", bad);
        let run = project.run(&["fix"]);
        assert_eq!(run.code, 2, "{bad}");
        assert!(run.stderr.contains("`.ormend/writing.json`"), "{}", run.stderr);
        fs::remove_dir_all(project.path().join(".ormend")).unwrap();
    }
    symlink(outside.path(), project.path().join(".ormend")).unwrap();
    fs::write(project.path().join("a.py"), "x = 1\n").unwrap();
    let run = shop_with_link(outside.path());
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.contains("cannot keep a journal in `.ormend`: it is no directory"), "{}", run.stderr);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

/// What `fix` says where the directory of the journal is a link.
#[cfg(unix)]
fn shop_with_link(target: &std::path::Path) -> common::Run {
    let project = shop();
    std::os::unix::fs::symlink(target, project.path().join(".ormend")).unwrap();
    let run = project.run(&["fix"]);
    project.assert_unchanged();
    run
}
