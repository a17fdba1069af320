//! The recipes of docs/migrating.md, each run as a reader would, over local git repositories.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
mod support;

use common::shop::{MODELS, SETTINGS, TWO_VIEWS as VIEWS};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::python::must;
use support::{python, root, write};

const FIXED: &str = "\
from shop.models import Book


def names():
    for book in Book.objects.select_related(\"author\"):
        print(book.author.name)


def has_books():
    return Book.objects.exists()
";

/// The files of a project with findings.
fn shop() -> Vec<(&'static str, &'static str)> {
    vec![
        ("manage.py", ""),
        ("settings.py", SETTINGS),
        ("CODEOWNERS", "/shop/ @org/shop\n/web/ @web\n"),
        ("shop/__init__.py", ""),
        ("shop/models.py", MODELS),
        ("shop/views.py", VIEWS),
        ("web/__init__.py", ""),
        ("web/views.py", VIEWS),
        ("scripts/report.py", VIEWS),
    ]
}

/// A command that finds the ormend that was just built, and no configuration of the machine.
fn command(program: impl AsRef<std::ffi::OsStr>, dir: &Path) -> Command {
    let ormend = Path::new(env!("CARGO_BIN_EXE_ormend")).parent().unwrap().to_path_buf();
    let path = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths([ormend].into_iter().chain(std::env::split_paths(&path))).unwrap();
    let mut command = Command::new(program);
    command.current_dir(dir).env("PATH", path);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Ann").env(format!("GIT_{role}_EMAIL"), "ann@example.com");
    }
    for name in ["VIRTUAL_ENV", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    command
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = must(command("git", dir).args(args), "git");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A git repository with one commit of `files`.
fn repository(dir: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        write(dir, path, text.as_bytes());
    }
    git(dir, &["init", "--quiet", "--initial-branch=main"]);
    git(dir, &["add", "--all"]);
    git(dir, &["commit", "--quiet", "--message=Start"]);
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The Python that has what the recipes use.
fn recipes_python() -> PathBuf {
    python::packages("recipes", &root().join("tests/recipes/requirements.txt"))
}

/// A program that a package brought.
fn program(python: &Path, name: &str) -> PathBuf {
    let program = python.with_file_name(name);
    assert!(program.exists(), "{} is not installed", program.display());
    program
}

#[test]
fn many_repositories() {
    let python = recipes_python();
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let clean =
        [("manage.py", ""), ("shop/__init__.py", ""), ("shop/models.py", MODELS), ("shop/views.py", FIXED)];
    let mut broken = shop();
    broken.retain(|(path, _)| !path.ends_with("views.py") && !path.starts_with("scripts"));
    broken.push((
        "shop/views.py",
        "from shop.models import Book\n\n\ndef f():\n    x = (\n    return Book.objects.count() > 0\n",
    ));
    let other = [("setup.py", "from setuptools import setup\n\nsetup()\n"), ("old.py", "print 'Python 2'\n")];
    let mut sources = serde_json::Map::new();
    for (name, files) in
        [("shop", shop()), ("clean", clean.to_vec()), ("broken", broken), ("other", other.to_vec())]
    {
        let work = home.join("work").join(name);
        repository(&work, &files);
        let bare = home.join(format!("{name}.git"));
        git(home, &["clone", "--quiet", "--bare", work.to_str().unwrap(), bare.to_str().unwrap()]);
        sources.insert(name.to_owned(), bare.to_str().unwrap().into());
    }
    write(home, "repos.json", Value::Object(sources).to_string().as_bytes());
    let config = serde_json::json!({
        "output_dir": "clones",
        "source": "all_repos.source.json_file",
        "source_settings": {"filename": home.join("repos.json")},
        "push": "all_repos.push.merge_to_master",
        "push_settings": {},
    });
    write(home, "all-repos.json", config.to_string().as_bytes());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let only_ours = fs::Permissions::from_mode(0o600);
        fs::set_permissions(home.join("all-repos.json"), only_ours).unwrap();
    }
    let heads = || {
        ["shop", "clean", "broken", "other"]
            .map(|name| git(&home.join(format!("{name}.git")), &["rev-parse", "main"]))
    };
    let file =
        |name: &str, path: &str| git(&home.join(format!("{name}.git")), &["show", &format!("main:{path}")]);
    let clone = || must(&mut command(program(&python, "all-repos-clone"), home), "all-repos-clone");
    let run = |args: &[&str]| {
        let script = root().join("docs/recipes/all_repos_ormend.py");
        text(&must(command(&python, home).arg(script).args(args), "all_repos_ormend.py"))
    };
    let start = heads();
    clone();
    // Nothing is pushed where nobody wants it, or where the check fails.
    assert!(run(&["--dry-run"]).contains("ormend fix"));
    assert_eq!(heads(), start);
    let failed = run(&["--check", "false"]);
    assert!(failed.contains("***Errored"), "{failed}");
    assert_eq!(heads(), start);

    let said = run(&["--fix-args=--select exists,select-related", "--check", "git diff --check"]);
    assert!(!said.contains("***Errored"), "{said}");
    assert!(said.contains("$ ormend fix --select exists,select-related"), "{said}");
    assert!(said.contains("Applied 6 fixes to 3 files."), "{said}");
    assert!(said.contains("warning: shop/views.py:5: this statement did not parse"), "{said}");
    let after = heads();
    assert_ne!(after[0], start[0]);
    assert_eq!(after[1..], start[1..], "only the one with findings is changed: {said}");
    assert_eq!(file("shop", "web/views.py"), FIXED.trim_end());
    assert_eq!(file("shop", "shop/models.py"), MODELS.trim_end());
    let log = git(&home.join("shop.git"), &["log", "--no-merges", "--format=%B", "--max-count=1", "main"]);
    assert!(log.starts_with("Fix slow Django ORM queries\n\nFound and fixed by `ormend fix`."), "{log}");

    clone();
    let again = run(&["--fix-args=--select exists,select-related", "--jobs", "2"]);
    assert!(!again.contains("Applied") && !again.contains("***Errored"), "{again}");
    assert_eq!(heads(), after);
}

/// A repository with the hooks. What they build is tried by [`the_hooks_over_a_real_repository`]; here the command that was just
/// built stands in for it.
fn publish_hooks(dir: &Path) {
    let published = fs::read_to_string(root().join(".pre-commit-hooks.yaml")).unwrap();
    assert_eq!(published.matches("  language: rust\n").count(), 2);
    let hooks = published.replace("  language: rust\n", "  language: system\n");
    repository(dir, &[(".pre-commit-hooks.yaml", &hooks)]);
}

#[test]
fn every_commit() {
    let python = recipes_python();
    let pre_commit = program(&python, "pre-commit");
    let dir = tempfile::tempdir().unwrap();
    let (hooks, project) = (dir.path().join("hooks"), dir.path().join("project"));
    publish_hooks(&hooks);
    repository(&project, &shop());
    let run = |hook: &str, files: &[&str]| {
        let mut command = command(&pre_commit, &project);
        command.env("PRE_COMMIT_HOME", dir.path().join("cache"));
        command.arg("try-repo").arg(&hooks).args([hook, "--color=never", "--verbose", "--files"]).args(files);
        let output = command.output().unwrap();
        (output.status.code(), text(&output))
    };
    let read = |path: &str| fs::read_to_string(project.join(path)).unwrap();
    // The models are in a file that nobody changed.
    let (code, said) = run("ormend-check", &["web/views.py", "CODEOWNERS"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("select-related") && said.contains("web/views.py:5"), "{said}");
    assert!(!said.contains("shop/views.py") && said.contains("Looked at 1 file"), "{said}");
    let (code, said) = run("ormend-check", &["CODEOWNERS"]);
    assert!(code == Some(0) && said.contains("(no files to check)Skipped"), "{said}");
    let (code, said) = run("ormend-fix", &["web/views.py", "shop/models.py"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("files were modified by this hook"), "{said}");
    assert_eq!((read("web/views.py").as_str(), read("shop/views.py").as_str()), (FIXED, VIEWS));
    for hook in ["ormend-fix", "ormend-check"] {
        let (code, said) = run(hook, &["web/views.py", "shop/models.py"]);
        assert_eq!(code, Some(0), "{said}");
    }

    // What docs/migrating.md leaves out is what ormend leaves out where it is asked for no file.
    let page = fs::read_to_string(root().join("docs/migrating.md")).unwrap();
    let exclude = page.lines().find_map(|line| line.trim().strip_prefix("exclude: ")).unwrap();
    let script = "import re, sys; print([p for p in sys.argv[2:] if not re.search(sys.argv[1], p)])";
    let paths = [
        "shop/views.py",
        "shop/tests.py",
        "tests/a.py",
        "shop/migrations/0001_initial.py",
        "conftest.py",
        "shop/test_views.py",
        "shop/views_test.py",
        "shop/latest.py",
        "shop/contests/a.py",
        "test/a.py",
    ];
    let kept = must(command(&python, &project).args(["-c", script, exclude]).args(paths), "re");
    assert_eq!(text(&kept).trim(), "['shop/views.py', 'shop/latest.py', 'shop/contests/a.py']");
}

#[test]
fn a_commit_that_is_fixed() {
    let python = recipes_python();
    let dir = tempfile::tempdir().unwrap();
    let (hooks, project) = (dir.path().join("hooks"), dir.path().join("project"));
    publish_hooks(&hooks);
    let config = format!(
        "repos:\n- repo: {}\n  rev: {}\n  hooks:\n  - id: ormend-fix\n",
        hooks.display(),
        git(&hooks, &["rev-parse", "HEAD"])
    );
    let mut files = shop();
    files.push((".pre-commit-config.yaml", &config));
    repository(&project, &files);
    must(command(program(&python, "pre-commit"), &project).arg("install"), "pre-commit install");
    let read = |path: &str| fs::read_to_string(project.join(path)).unwrap();
    let commit = || {
        let mut commit = command("git", &project);
        commit.env("PRE_COMMIT_HOME", dir.path().join("cache")).args(["commit", "--message=Change"]);
        let output = commit.output().unwrap();
        (output.status.code(), text(&output))
    };
    let start = git(&project, &["rev-parse", "HEAD"]);
    let (staged, unstaged) = (format!("{VIEWS}\n\nLIMIT = 10\n"), format!("{VIEWS}\n\nLATER = 20\n"));
    write(&project, "web/views.py", staged.as_bytes());
    git(&project, &["add", "web/views.py"]);
    write(&project, "shop/views.py", unstaged.as_bytes());

    // What a commit holds is not committed yet, which is where ormend by itself writes nothing.
    let alone = command("ormend", &project).args(["fix", "web/views.py"]).output().unwrap();
    assert_eq!(alone.status.code(), Some(2), "{}", text(&alone));
    assert!(text(&alone).contains("--allow-dirty") && read("web/views.py") == staged, "{}", text(&alone));

    let (code, said) = commit();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("files were modified by this hook"), "{said}");
    assert_eq!(read("web/views.py"), format!("{FIXED}\n\nLIMIT = 10\n"));
    assert_eq!(read("shop/views.py"), unstaged, "what is not staged is left alone");
    assert_eq!(git(&project, &["rev-parse", "HEAD"]), start);
    git(&project, &["add", "web/views.py"]);
    let (code, said) = commit();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(git(&project, &["show", "HEAD:web/views.py"]), format!("{FIXED}\n\nLIMIT = 10"));
    assert_eq!(git(&project, &["status", "--porcelain"]), " M shop/views.py");
}

#[test]
fn a_commit_of_a_real_project() {
    let python = recipes_python();
    let dir = tempfile::tempdir().unwrap();
    let (hooks, project) = (dir.path().join("hooks"), dir.path().join("project"));
    publish_hooks(&hooks);
    python::unpack("django-helpdesk", "2.6.1", &[&project]);
    // Flags of the configuration stand before the files.
    let config = format!(
        "repos:\n- repo: {}\n  rev: {}\n  hooks:\n  - id: ormend-check\n    args: [--output-format, concise]\n",
        hooks.display(),
        git(&hooks, &["rev-parse", "HEAD"])
    );
    repository(&project, &[(".pre-commit-config.yaml", &config)]);
    let commands = |text: &str| -> Vec<String> {
        let in_commands = text.lines().filter(|line| line.starts_with("helpdesk/management/commands/"));
        in_commands.map(str::to_owned).collect()
    };
    let flags = ["check", "--exit-zero", "--no-cache", "--output-format", "concise"];
    let whole = text(&must(command("ormend", &project).args(flags), "ormend check"));
    let expected = commands(&whole);
    assert!(expected.iter().any(|line| line.contains(": m2m-add [safe] ")), "{whole}");

    // Models are in files that did not change.
    let changed = [
        "helpdesk/management/commands/create_escalation_exclusions.py",
        "helpdesk/management/commands/create_queue_permissions.py",
        "helpdesk/management/commands/escalate_tickets.py",
    ];
    let mut expected_here = expected;
    expected_here.retain(|line| changed.iter().any(|file| line.starts_with(file)));
    for file in changed {
        let mut text = fs::read_to_string(project.join(file)).unwrap();
        text += "\n# A change.\n";
        write(&project, file, text.as_bytes());
    }
    git(&project, &["add", "--all"]);
    let mut pre_commit = command(program(&python, "pre-commit"), &project);
    pre_commit.env("PRE_COMMIT_HOME", dir.path().join("cache")).args(["run", "--color=never"]);
    let output = pre_commit.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert_eq!(commands(&text(&output)), expected_here);
    assert!(text(&output).contains("Looked at 3 files"), "{}", text(&output));
}

#[test]
fn the_hooks_over_a_real_repository() {
    let python = recipes_python();
    let dir = tempfile::tempdir().unwrap();
    let (project, copy) = (dir.path().join("project"), dir.path().join("copy"));
    python::unpack("django-helpdesk", "2.6.1", &[&project, &copy]);
    repository(&project, &[]);
    let files = git(&project, &["ls-files", "*.py"]);
    let mut here = command("ormend", &copy);
    here.args(["check", "--exit-zero", "--no-cache"]).args(files.lines());
    let found = text(&must(&mut here, "ormend check"));
    assert!(found.contains("m2m-add"), "{found}");

    // pre-commit clones this repository as it stands, and has cargo build it. Not as it is released, which takes minutes.
    let built = tempfile::tempdir_in(python::target("ormend-hooks")).unwrap();
    let mut try_repo = command(program(&python, "pre-commit"), &project);
    try_repo.env("PATH", std::env::var_os("PATH").unwrap()).env("CARGO_TARGET_DIR", built.path());
    for (setting, value) in [("OPT_LEVEL", "0"), ("LTO", "off"), ("CODEGEN_UNITS", "256"), ("DEBUG", "false")]
    {
        try_repo.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
    }
    try_repo.env("PRE_COMMIT_HOME", dir.path().join("cache")).arg("try-repo").arg(root());
    let output = try_repo.args(["--color=never", "--verbose", "--all-files"]).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for hook in ["ormend-check", "ormend-fix"] {
        assert!(said.contains(&format!("- hook id: {hook}\n")), "{said}");
    }
    for line in found.lines() {
        assert!(said.contains(line), "{line} is not in\n{said}");
    }
    assert!(said.contains("- files were modified by this hook"), "{said}");
    must(command("ormend", &copy).args(["fix", "--no-cache"]).args(files.lines()), "ormend fix");
    for file in files.lines() {
        let [hooked, fixed] = [&project, &copy].map(|folder| fs::read(folder.join(file)).unwrap());
        assert!(hooked == fixed, "{file} is another one\n{said}");
    }
    assert_ne!(git(&project, &["status", "--porcelain"]), "");
}

/// The commands of a pipeline that do not install ormend, and what each of them printed, until one fails.
fn pipeline(file: &str, project: &Path, args: &str) -> (Vec<String>, Option<i32>) {
    let python = recipes_python();
    let steps = root().join("tests/recipes/steps.py");
    let output =
        must(command(&python, project).arg(steps).arg(root().join("docs/recipes").join(file)), "steps.py");
    let steps: Vec<(String, Option<String>)> = serde_json::from_slice(&output.stdout).unwrap();
    let mut printed = Vec::new();
    for (name, run) in steps {
        let Some(run) = run else {
            assert!(name.contains("@v"), "{name} runs nothing");
            continue;
        };
        if run.starts_with("cargo install ") {
            assert_eq!(run, "cargo install --locked --git \"$ORMEND_REPOSITORY\" ormend");
            continue;
        }
        let mut command = command("bash", project);
        // As the runners do.
        command.args(["-e", "-o", "pipefail", "-c", &run]);
        command.env("GITHUB_STEP_SUMMARY", project.join("summary.md")).env("ORMEND_ARGS", args);
        let output = command.output().unwrap();
        printed.push(String::from_utf8(output.stdout).unwrap());
        if !output.status.success() {
            return (printed, output.status.code());
        }
    }
    (printed, Some(0))
}

#[test]
fn every_pull_request() {
    for (file, count, report) in
        [("github-actions.yml", 4, "ormend.sarif"), ("gitlab-ci.yml", 2, "gl-code-quality-report.json")]
    {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path();
        repository(project, &shop());
        let (printed, code) = pipeline(file, project, "");
        // The last one fails where a safe fix is left.
        assert_eq!((printed.len(), code), (count, Some(1)), "{file}: {printed:?}");
        let report = project.join(report);
        let findings: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
        if file.starts_with("github") {
            assert!(printed[0].contains("::warning file=scripts/report.py,line=5"), "{}", printed[0]);
            let summary = fs::read_to_string(project.join("summary.md")).unwrap();
            assert!(summary.starts_with("## ormend: 6 findings in 3 files\n"), "{summary}");
            assert_eq!(findings["runs"][0]["results"].as_array().unwrap().len(), 6);
        } else {
            assert_eq!(findings.as_array().unwrap().len(), 6);
            let (printed, code) = pipeline(file, project, "--select exists shop/models.py web");
            assert_eq!((printed.len(), code), (count, Some(1)), "{printed:?}");
            let findings: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
            assert_eq!(findings.as_array().unwrap().len(), 1);
        }
        // What is uploaded is what was written.
        let recipe = fs::read_to_string(root().join("docs/recipes").join(file)).unwrap();
        assert_eq!(recipe.matches(report.file_name().unwrap().to_str().unwrap()).count(), 2);
        must(command(env!("CARGO_BIN_EXE_ormend"), project).arg("fix"), "ormend fix");
        let (printed, code) = pipeline(file, project, "");
        assert_eq!((printed.len(), code), (count, Some(0)), "{printed:?}");
    }
}

#[test]
fn a_pipeline_of_gitlab_reports_what_it_wrote() {
    let script =
        "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1], encoding='utf-8'))))";
    let recipe = root().join("docs/recipes/gitlab-ci.yml");
    let output = must(command(recipes_python(), root()).args(["-c", script]).arg(recipe), "yaml");
    let recipe: Value = serde_json::from_slice(&output.stdout).unwrap();
    let job = &recipe["ormend"];
    // One of the stages that there are by default.
    assert_eq!(job["stage"], "test");
    // Also where a finding stops the merge.
    let report = "gl-code-quality-report.json";
    let artifacts = serde_json::json!({"when": "always", "reports": {"codequality": report}});
    assert_eq!(job["artifacts"], artifacts);
    let writes = |line: &&Value| line.as_str().unwrap().ends_with(&format!(" > {report}"));
    assert_eq!(job["script"].as_array().unwrap().iter().filter(writes).count(), 1);
    assert_eq!(job["variables"]["ORMEND_ARGS"], "");
}

#[test]
fn a_branch_a_part() {
    let dir = tempfile::tempdir().unwrap();
    let (project, parts) = (dir.path().join("project"), dir.path().join("parts"));
    repository(&project, &shop());
    let start = git(&project, &["rev-parse", "HEAD"]);
    let plan = |dir: &Path| {
        must(
            command("ormend", &project).args(["plan", "--quiet", "--split-by", "owner", "-o"]).arg(dir),
            "ormend plan",
        )
    };
    let script = |args: &[&Path]| {
        let mut command = command(root().join("docs/recipes/branch-a-part.sh"), &project);
        let output = command.args(args).output().unwrap();
        (output.status.code(), text(&output))
    };
    assert_eq!(script(&[]).0, Some(2));
    assert_eq!(script(&[&project]).0, Some(2));
    plan(&parts);
    let (code, said) = script(&[&parts]);
    assert_eq!((code, said.as_str()), (Some(0), "ormend/org-shop\normend/unowned\normend/web\n"));
    assert_eq!(git(&project, &["status", "--porcelain", "--branch"]), "## main");
    assert_eq!(git(&project, &["rev-parse", "HEAD"]), start);
    let index: Value = serde_json::from_slice(&fs::read(parts.join("index.json")).unwrap()).unwrap();
    for part in index["parts"].as_array().unwrap() {
        let branch = format!("ormend/{}", part["name"].as_str().unwrap());
        assert_eq!(git(&project, &["rev-parse", &format!("{branch}~1")]), start);
        let message = fs::read_to_string(parts.join(part["commit"].as_str().unwrap())).unwrap();
        assert_eq!(git(&project, &["log", "--max-count=1", "--format=%B", &branch]), message.trim_end());
        let changed = git(&project, &["diff", "--name-only", "main", &branch]);
        let planned: Vec<&str> =
            part["files"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
        assert_eq!(changed.lines().collect::<Vec<_>>(), planned);
    }
    // Not again over branches that are there.
    let (code, said) = script(&[&parts]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("already exists"), "{said}");
    for branch in ["ormend/org-shop", "ormend/unowned", "ormend/web"] {
        git(&project, &["merge", "--quiet", "--no-edit", branch]);
    }
    for path in ["shop/views.py", "web/views.py", "scripts/report.py"] {
        assert_eq!(fs::read_to_string(project.join(path)).unwrap(), FIXED, "{path}");
    }

    // A part that does not fit any more has no branch; the others have theirs.
    git(&project, &["reset", "--quiet", "--hard", &start]);
    for branch in ["ormend/org-shop", "ormend/unowned", "ormend/web"] {
        git(&project, &["branch", "--quiet", "--delete", "--force", branch]);
    }
    write(&project, "web/views.py", format!("{VIEWS}\n").as_bytes());
    assert_eq!(script(&[&parts]).0, Some(2));
    git(&project, &["commit", "--quiet", "--all", "--message=Other"]);
    let (code, said) = script(&[&parts]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("`web/views.py` changed since the plan was written"), "{said}");
    let branches = git(&project, &["branch", "--format=%(refname:short)"]);
    let branches: BTreeSet<&str> = branches.lines().collect();
    assert_eq!(branches, BTreeSet::from(["main", "ormend/org-shop", "ormend/unowned"]));
    assert_eq!(git(&project, &["status", "--porcelain", "--branch"]), "## main");
}

#[test]
fn the_page_names_every_recipe() {
    let page = fs::read_to_string(root().join("docs/migrating.md")).unwrap();
    for file in support::files_below(&root().join("docs/recipes")) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(page.contains(&format!("[{name}](recipes/{name})")), "{name}");
    }
    let hooks = fs::read_to_string(root().join(".pre-commit-hooks.yaml")).unwrap();
    for id in hooks.lines().filter_map(|line| line.strip_prefix("- id: ")) {
        assert!(page.contains(&format!("`{id}`")), "{id}");
    }
}
