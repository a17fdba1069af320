//! The command from outside: help, exit status, configuration, bad input.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Project, shop};

const CLEAN: &str = "x = 1\n";

#[test]
fn help_and_version() {
    let project = Project::new(&[]);
    for command in ["check", "diff", "fix", "plan", "apply", "explain", "codemods", "models", "clean"] {
        let run = project.run(&["--help"]);
        assert!(run.stdout.contains(&format!("  {command} ")), "{}", run.stdout);
        let run = project.run(&[command, "--help"]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    }
    assert!(project.run(&["diff", "--help"]).stdout.contains("git apply"));
    assert!(project.run(&["--help"]).stdout.contains("Exit status"));
    assert!(project.run(&["check", "--help"]).stdout.contains("--no-cache"));
    assert_eq!(project.run(&["--version"]).stdout, format!("ormend {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn usage_errors_are_status_2() {
    let project = Project::new(&[("a.py", CLEAN)]);
    for args in [
        &[][..],
        &["chekc"],
        &["check", "--no-such-flag"],
        &["check", "--jobs", "0"],
        &["check", "--output-format", "xml"],
        &["check", "gone.py"],
        &["check", "-", "a.py"],
        &["check", "--stdin-filename", "a.py"],
        &["check", "--select", "no-such-codemod"],
        &["check", "--ignore", "no-such-codemod"],
        &["explain", "no-such-codemod"],
        &["check", "-q", "-v"],
    ] {
        let run = project.run(args);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{args:?}: {}", run.stderr);
        assert!(!run.stderr.is_empty());
    }
}

#[test]
fn a_wrong_name_names_the_nearest() {
    let project = Project::new(&[("a.py", CLEAN)]);
    let run = project.run(&["check", "--select", "bulk-writse"]);
    assert!(run.stderr.contains("--select: there is no codemod or group `bulk-writse`"), "{}", run.stderr);
    assert!(run.stderr.contains("did you mean `bulk-writes`?"), "{}", run.stderr);
    let run = project.run(&["check", "gone.py"]);
    assert!(run.stderr.contains("cannot look at `gone.py`: no such file or directory"), "{}", run.stderr);
}

#[test]
fn a_clean_project_is_status_0() {
    let project =
        Project::new(&[("manage.py", CLEAN), ("shop/a.py", CLEAN), ("shop/tests/test_a.py", CLEAN)]);
    for command in ["check", "diff", "fix"] {
        let run = project.run(&[command]);
        assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
        let summary = "Looked at 2 files; left out 1 test file (--include-tests).";
        assert!(run.stderr.contains(summary), "{}", run.stderr);
        assert_eq!(project.run(&[command, "-q"]).stderr, "");
        assert!(project.run(&[command, "--include-tests"]).stderr.contains("Looked at 3 files."));
    }
    for format in ["full", "concise", "jsonl", "github"] {
        assert_eq!(
            project.run(&["check", "--output-format", format, "--no-cache", "--jobs", "1"]).stdout,
            ""
        );
    }
    project.assert_unchanged();
}

#[test]
fn a_document_is_whole_without_findings() {
    let project = Project::new(&[("manage.py", CLEAN)]);
    let document = |format: &str| -> serde_json::Value {
        let run = project.run(&["check", "--output-format", format]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        serde_json::from_str(&run.stdout).unwrap()
    };
    assert_eq!(document("json")["findings"], serde_json::json!([]));
    assert_eq!(document("gitlab"), serde_json::json!([]));
    assert_eq!(document("sarif")["runs"][0]["results"], serde_json::json!([]));
}

#[test]
fn paths_pick_files_of_one_project() {
    let project = Project::new(&[("manage.py", CLEAN), ("shop/a.py", CLEAN), ("blog/b.py", CLEAN)]);
    assert!(project.run(&["check", "shop"]).stderr.contains("Looked at 1 file."));
    assert!(project.run(&["check", "shop", "blog/b.py"]).stderr.contains("Looked at 2 files."));
    let run = project.run_in("shop", &["check", "-v", "--no-cache"]);
    assert!(run.stderr.contains("project root: ..\n"), "{}", run.stderr);
    let bytes = 3 * CLEAN.len();
    assert!(run.stderr.contains(&format!("parsed 3 files, {bytes} bytes\n")), "{}", run.stderr);
    assert!(run.stderr.contains("Looked at 1 file."), "{}", run.stderr);
}

#[test]
fn nothing_to_look_at_is_said() {
    let run = Project::new(&[("readme.txt", "")]).run(&["check"]);
    assert_eq!(run.code, 0);
    assert!(run.stderr.contains("warning: there is no Python file to look at here"));
}

#[test]
fn configuration_is_read() {
    let project = Project::new(&[
        ("pyproject.toml", "[project]\ndependencies = ['Django>=5.2']\n[tool.black]\nline-length = 100\n"),
        ("a.py", CLEAN),
        ("vendored/b.py", CLEAN),
    ]);
    let run = project.run(&["check", "-v"]);
    assert!(run.stderr.contains("Django 5.2 and later, line length 100"), "{}", run.stderr);
    assert!(run.stderr.contains("configuration: none"), "{}", run.stderr);
    project.write("ormend.toml", "target-django = '4.2'\nline-length = 79\nexclude = ['vendored/']\n");
    let run = project.run(&["check", "-v"]);
    assert!(run.stderr.contains("Django 4.2 and later, line length 79"), "{}", run.stderr);
    assert!(run.stderr.contains("left out 1 excluded file."), "{}", run.stderr);
}

#[test]
fn configuration_errors_name_key_and_place() {
    let project = Project::new(&[("a.py", CLEAN)]);
    for (text, message, help) in [
        ("[tool.ormend]\nselct = []\n", "there is no key `selct`", "did you mean `select`?"),
        ("[tool.ormend]\nselect = ['exist']\n", "no codemod or group `exist`", "ormend codemods"),
        ("[tool.ormend]\nline-length = 'x'\n", "invalid type", "correct this value"),
        ("[tool.ormend\n", "the configuration in", "correct the TOML syntax"),
        ("[tool.ormend]\npython = 'gone'\n", "names no Python environment", "virtual environment"),
    ] {
        project.write("pyproject.toml", text);
        for command in ["check", "diff", "fix", "models"] {
            let run = project.run(&[command]);
            assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{text}");
            // Long lines are wrapped, and paths of temporary directories are long.
            let words = |text: &str| text.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words(&run.stderr).contains(message), "{text}: {}", run.stderr);
            assert!(words(&run.stderr).contains(help), "{text}: {}", run.stderr);
        }
    }
}

/// Files that are not plain UTF-8 text with LF. With a warning's text where they cannot be looked at.
#[test]
fn bad_input_is_a_warning_and_the_run_goes_on() {
    let nested = format!("x = {}1{}\n", "(".repeat(10_000), ")".repeat(10_000));
    let cases: &[(&[u8], Option<&str>)] = &[
        (b"", None),
        (b"x = 1", None),
        (b"\xef\xbb\xbfx = 1\n", None),
        (b"# coding: latin-1\nx = '\xe9'\n", None),
        (b"x = 1\r\ny = 2\r\n", None),
        (b"x = 1\ry = 2\r", None),
        (b"if x:\n\ty = 1\n\x0c\nz = 2\n", None),
        (nested.as_bytes(), None),
        (&[0; 4096], Some("it has a NUL byte at offset 0, which Python does not accept")),
        (b"\xff\xfe", Some("line 1 is not UTF-8, and the file declares no other encoding")),
        (b"# coding: x-y\n", Some("line 1 declares the encoding `x-y`, which is not supported")),
    ];
    for (bytes, warning) in cases {
        let project = Project::new(&[("good.py", CLEAN)]);
        project.write("bad.py", bytes);
        for command in ["check", "diff", "fix", "models"] {
            let run = project.run(&[command]);
            assert_eq!(run.code, 0, "{bytes:?}: {}", run.stderr);
            match warning {
                // The index tells which files it could not read as soon as there is one.
                Some(warning) if run.stderr.contains("warning:") => {
                    assert!(run.stderr.contains(&format!("warning: bad.py: {warning}")), "{}", run.stderr);
                }
                _ => {}
            }
        }
        project.assert_unchanged();
        assert_eq!(project.read("bad.py"), *bytes);
    }
}

#[test]
fn a_file_with_a_syntax_error_does_not_stop_the_run() {
    let project =
        Project::new(&[("good.py", CLEAN), ("bad.py", "def (:\n    x\n"), ("py2.py", "print 'x'\n")]);
    for command in ["check", "diff", "fix"] {
        assert_eq!(project.run(&[command]).code, 0);
    }
    project.assert_unchanged();
}

#[cfg(unix)]
#[test]
fn links() {
    use std::os::unix::fs::symlink;
    let outside = Project::new(&[("o.py", CLEAN)]);
    let project = Project::new(&[("manage.py", CLEAN), ("shop/a.py", CLEAN)]);
    symlink(outside.path(), project.path().join("out")).unwrap();
    symlink(outside.path().join("o.py"), project.path().join("o.py")).unwrap();
    symlink(project.path(), project.path().join("shop/up")).unwrap();
    symlink("me.py", project.path().join("me.py")).unwrap();
    let run = project.run(&["check"]);
    assert_eq!(run.code, 0);
    for (path, reason) in [
        ("me.py", "leads back to itself, a loop"),
        ("o.py", "leaves the project"),
        ("out", "leaves the project"),
        ("shop/up", "a directory that holds it, a loop"),
    ] {
        let line = run.stderr.lines().find(|line| line.starts_with(&format!("warning: {path}: ")));
        assert!(line.is_some_and(|line| line.contains(reason)), "{path}: {}", run.stderr);
    }
    assert!(run.stderr.contains("Looked at 2 files."), "{}", run.stderr);
}

#[cfg(unix)]
#[test]
fn what_may_not_be_read_is_a_warning() {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    let project = Project::new(&[("a.py", CLEAN), ("secret.py", CLEAN), ("dir/x.py", CLEAN)]);
    for path in ["secret.py", "dir"] {
        fs::set_permissions(project.path().join(path), Permissions::from_mode(0o000)).unwrap();
    }
    let is_root = fs::read(project.path().join("secret.py")).is_ok();
    let run = project.run(&["check"]);
    fs::set_permissions(project.path().join("dir"), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(run.code, 0);
    // The superuser may read everything.
    if !is_root {
        assert!(
            run.stderr.contains("warning: secret.py: it cannot be read: permission denied"),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains("warning: dir: it cannot be read: permission denied"), "{}", run.stderr);
    }
}

#[test]
fn names_with_control_characters_are_escaped() {
    let project = Project::new(&[("a.py", CLEAN)]);
    project.write("b\x1b[31m.py", b"\xff");
    let run = project.run(&["check"]);
    assert!(!run.stderr.contains('\x1b'), "{:?}", run.stderr);
    let run = project.run(&["check", "no\x1b[31m.py"]);
    assert!(!run.stderr.contains('\x1b') && run.stderr.contains("no\\x1b[31m.py"), "{:?}", run.stderr);
}

#[test]
fn colours_only_where_they_are_asked_for() {
    let project = Project::new(&[("a.py", CLEAN)]);
    assert!(!project.run(&["check", "gone.py"]).stderr.contains('\x1b'));
    assert!(!project.run(&["check", "gone.py", "--color", "never"]).stderr.contains('\x1b'));
    assert!(project.run(&["check", "gone.py", "--color", "always"]).stderr.contains('\x1b'));
}

#[test]
fn standard_input() {
    let project = Project::new(&[("shop/a.py", CLEAN)]);
    let text = b"\xef\xbb\xbf# \xc3\xa9\r\nx = 2\r\n";
    for args in
        [&["-"][..], &["-", "--stdin-filename", "shop/a.py"], &["--stdin-filename", "shop/new.py", "-"]]
    {
        for (command, out) in [("check", &b""[..]), ("diff", b""), ("fix", text)] {
            let args = [&[command], args].concat();
            let run = project.run_with(&args, text);
            assert_eq!((run.code, run.stdout.as_bytes()), (0, out), "{args:?}: {}", run.stderr);
            assert!(run.stderr.contains("Looked at 1 file."), "{}", run.stderr);
        }
    }
    let run = project.run_with(&["check", "-", "--stdin-filename", "gone/a.py"], text);
    assert_eq!(run.code, 2);
    project.assert_unchanged();
}

#[test]
fn models_as_json() {
    let project = Project::new(&[("shop/models.py", CLEAN)]);
    let run = project.run(&["models", "--output-format", "json"]);
    assert_eq!(run.code, 0);
    let graph: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(graph["models"].is_array());
    assert_eq!(project.run(&["models"]).code, 0);
}

#[test]
fn every_listed_codemod_is_explained() {
    let project = Project::new(&[]);
    let run = project.run(&["codemods"]);
    assert_eq!(run.code, 0);
    for line in run.stdout.lines() {
        let name = line.split_whitespace().next().unwrap();
        let run = project.run(&["explain", name]);
        assert!(run.code == 0 && run.stdout.starts_with(&format!("# {name}\n")), "{}", run.stdout);
        // What only tests is left out, and no label of a fence is left.
        let labels = run.stdout.lines().filter(|line| line.starts_with("```") && line.contains(' '));
        assert_eq!(labels.collect::<Vec<_>>(), [""; 0], "{name}");
        assert!(!run.stdout.contains("def setup()"), "{name}");
        let sections = run.stdout.lines().filter(|line| line.starts_with("## ")).collect::<Vec<_>>();
        let last = sections.last().copied();
        assert!(sections.contains(&"## Safe when") && last == Some("## Left alone"), "{name}: {sections:?}");
    }
}

#[test]
fn a_hazard_is_explained() {
    let project = Project::new(&[]);
    let guide = project.run(&["explain", "bulk-create"]).stdout;
    let line = guide.lines().find(|line| line.starts_with("- SaveReceiver (unsafe): ")).unwrap();
    assert!(line.len() > 40, "{line}");
    assert!(guide.lines().any(|line| line.starts_with("- ReadsItsOwnWrites (withheld): ")), "{guide}");

    let run = project.run(&["explain", "ReadsItsOwnWrites"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    for part in [
        "# ReadsItsOwnWrites\n\n",
        "A fix with it is withheld",
        "\n## bulk-create\n",
        "\n## bulk-update\n",
        "\nCode:\n\n```python\n",
        "\nNot written, for it does something else:\n\n```python\n",
        "\nWhat is said:\n\n```text\nReadsItsOwnWrites: ",
    ] {
        assert!(run.stdout.contains(part), "{part:?} is missing in\n{}", run.stdout);
    }
    assert!(!run.stdout.contains("\n## select-related\n"), "it reports no such hazard");
    let run = project.run(&["explain", "ReadItsOwnWrites"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("did you mean `ReadsItsOwnWrites`?"), "{}", run.stderr);
}

/// What is a matter of style runs where it is selected by its name, not as part of a group or of everything.
#[test]
fn a_matter_of_style_is_off_unless_it_is_named() {
    let project = Project::new(&[
        ("pyproject.toml", ""),
        ("shop/__init__.py", ""),
        (
            "shop/models.py",
            "from django.db import models\n\n\nclass Book(models.Model):\n    title = models.TextField()\n",
        ),
        (
            "shop/code.py",
            "from django.db.models import Count\n\nfrom shop.models import Book\n\n\n\
             def found():\n    return Book.objects.annotate(n=Count(\"pk\")).filter(title=\"x\")\n",
        ),
    ]);
    for (select, code) in
        [("all", 0), ("expressions", 0), ("filter-before-annotate", 1), ("exists,filter-before-annotate", 1)]
    {
        let run = project.run(&["check", "--select", select]);
        assert_eq!(run.code, code, "{select}: {}{}", run.stdout, run.stderr);
    }
    assert_eq!(project.run(&["check"]).code, 0);
    let line = project.run(&["codemods"]).stdout;
    let line = line.lines().find(|line| line.starts_with("filter-before-annotate ")).unwrap();
    assert!(line.ends_with("(off unless selected by name)"), "{line}");
}

/// What a run says at its end: what can be done, and why it did not do more.
#[test]
fn a_run_says_what_to_do_next() {
    let last = |project: &Project, args: &[&str]| -> String {
        project.run(args).stderr.lines().last().unwrap_or("").to_owned()
    };
    let safe = shop::shop();
    let (diff, fix) = ("`ormend diff` shows the safe fixes", "`ormend fix` applies them");
    assert_eq!(last(&safe, &["check"]), format!("{diff}, {fix}."));
    assert_eq!(last(&safe, &["diff"]), "2 fixes would change 2 files; `ormend fix` applies them.");
    let receiver = "from django.db.models.signals import post_save\nfrom django.dispatch import receiver\n\n\n\
                    @receiver(post_save)\ndef note(sender, **kwargs):\n    print(sender)\n";
    let authors = "from shop.models import Author\n\n\ndef authors(names):\n    for name in names:\n\
                   \x20       Author.objects.create(name=name)\n";
    safe.write("shop/signals.py", receiver);
    safe.write("shop/authors.py", authors);
    assert_eq!(
        last(&safe, &["check"]),
        format!("{diff}, {fix}; both take --unsafe-fixes for the unsafe ones.")
    );
    assert_eq!(
        last(&safe, &["diff", "--unsafe-fixes"]),
        "3 fixes would change 3 files; `ormend fix --unsafe-fixes` applies them."
    );
    assert_eq!(
        last(&safe, &["check", "shop/authors.py"]),
        "`ormend fix --unsafe-fixes` applies the unsafe fixes, `ormend diff --unsafe-fixes` shows them."
    );
    let nothing = "No safe fix changes anything; --unsafe-fixes shows the unsafe ones.";
    assert_eq!(last(&safe, &["diff", "shop/authors.py"]), nothing);
    let nothing = "Nothing was changed; --unsafe-fixes applies the unsafe fixes, too.";
    assert_eq!(last(&safe, &["fix", "shop/authors.py"]), nothing);
    safe.assert_unchanged();
    assert_eq!(last(&Project::new(&[("a.py", CLEAN)]), &["check"]), "No findings. Looked at 1 file.");

    // The key of a related object, and a whole row for one column: one rewrite does for both.
    let keys = "from shop.models import Book\n\n\ndef keys():\n\
                \x20   return {book.author.id for book in Book.objects.all()}\n";
    safe.write("shop/keys.py", keys);
    assert_eq!(
        last(&safe, &["diff", "shop/keys.py"]),
        "1 fix would change 1 file; `ormend fix` applies it. Of fixes that want the same place one is taken."
    );
    // A join that is not named yet stands in the way of one more name.
    let editor =
        "    editor = models.ForeignKey(Author, null=True, related_name=\"+\", on_delete=models.CASCADE)\n";
    safe.write("shop/models.py", format!("{}{editor}", shop::MODELS));
    let bare = "from shop.models import Book\n\n\ndef books():\n    return Book.objects.select_related()\n\n\n\
                def authors():\n    for book in books():\n        print(book.author.name)\n\n\n\
                def editors():\n    for book in books().order_by(\"title\"):\n        print(book.editor)\n";
    safe.write("shop/bare.py", bare);
    assert_eq!(
        last(&safe, &["diff", "shop/bare.py"]),
        "2 fixes would change 1 file; `ormend fix` applies them. Some are made possible by others."
    );
}

/// `assume-no-signals` lifts receivers, of the models that it names and of no others.
#[test]
fn receivers_are_lifted_for_the_models_that_are_named() {
    let project = Project::new(&[
        ("shop/__init__.py", ""),
        (
            "shop/models.py",
            "from django.db import models\n\n\nclass Book(models.Model):\n    title = models.CharField(max_length=9)\n\n\nclass Tag(models.Model):\n    name = models.CharField(max_length=9)\n",
        ),
        (
            "shop/signals.py",
            "from django.db.models.signals import post_save\nfrom django.dispatch import receiver\n\n\n@receiver(post_save)\ndef note(sender, **kwargs):\n    print(sender)\n",
        ),
        (
            "shop/code.py",
            "from shop.models import Book, Tag\n\n\ndef books(titles):\n    for title in titles:\n        Book.objects.create(title=title)\n\n\ndef tags(names):\n    for name in names:\n        Tag.objects.create(name=name)\n",
        ),
    ]);
    let outcomes = || {
        let args = ["check", "--select", "bulk-create", "--show-withheld", "--output-format", "concise"];
        let said = project.run(&args).stdout;
        let outcome = |model: &str| {
            let line = said.lines().find(|line| line.contains(&format!("`{model}` rows"))).unwrap_or("");
            let is_told = line.contains("SaveReceiver: `note`");
            (["safe", "unsafe"].into_iter().find(|o| line.contains(&format!("[{o}]"))), is_told)
        };
        [outcome("Book"), outcome("Tag")]
    };
    assert_eq!(outcomes(), [(Some("unsafe"), true), (Some("unsafe"), true)]);
    project.write("pyproject.toml", "[tool.ormend]\nassume-no-signals = ['shop.book']\n");
    assert_eq!(outcomes(), [(Some("safe"), false), (Some("unsafe"), true)]);
    project.write("pyproject.toml", "[tool.ormend]\nassume-no-signals = ['shop.Book', 'shop.Tag']\n");
    assert_eq!(outcomes(), [(Some("safe"), false), (Some("safe"), false)]);
}

#[test]
fn the_diff_as_data() {
    let project = Project::new(&[
        ("settings.py", "INSTALLED_APPS = [\"shop\"]\n"),
        ("shop/__init__.py", ""),
        (
            "shop/models.py",
            "from django.db import models\n\n\nclass Book(models.Model):\n    title = models.TextField()\n",
        ),
        (
            "shop/a.py",
            "from shop.models import Book\n\n\ndef any_books():\n    return Book.objects.count() > 0\n",
        ),
    ]);
    let latin_1 = b"# -*- coding: latin-1 -*-\r\nfrom shop.models import Book\r\n\r\n\r\n# caf\xe9\r\ndef any_books():\r\n    return Book.objects.count() > 0\r\n";
    project.write("shop/b c.py", latin_1);
    let unified = project.run(&["diff", "shop/a.py"]);
    let run = project.run(&["diff", "--output-format", "json"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    project.assert_unchanged();
    let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document["version"], 1);
    assert_eq!(document["tool"], format!("ormend {}", env!("CARGO_PKG_VERSION")));
    let files = document["files"].as_array().unwrap();
    let paths: Vec<_> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["shop/a.py", "shop/b c.py"]);
    assert_eq!(files[0]["diff"], unified.stdout);
    assert_eq!((&files[0]["exact"], &files[1]["exact"]), (&true.into(), &false.into()));
    assert!(files[1]["diff"].as_str().unwrap().contains("+    return Book.objects.exists()\r\n"));
    assert_eq!((&files[0]["fixes"], &files[1]["fixes"]), (&1.into(), &1.into()));
    let hashes =
        |key: &str| -> Vec<_> { files.iter().map(|file| file[key].as_str().unwrap().to_owned()).collect() };
    let sums = || -> Vec<String> {
        let files = ["shop/a.py", "shop/b c.py"];
        files.iter().map(|file| sha256(&project.read(file))).collect()
    };
    assert_eq!(hashes("before_sha256"), sums());
    assert_eq!(project.run(&["fix"]).code, 0);
    assert_eq!(hashes("after_sha256"), sums());
    let run = project.run(&["diff", "--output-format", "json"]);
    let empty: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &empty["files"]), (0, &serde_json::json!([])));
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
#[cfg(unix)]
fn what_the_project_says_of_itself_is_read_from_files_only() {
    for name in
        ["pyproject.toml", "ormend.toml", "requirements.txt", "CODEOWNERS", ".gitignore", "shop/.ignore"]
    {
        let project = common::shop::shop();
        let pipe = project.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
        let run = project.run(&["plan"]);
        let code = if matches!(name, "pyproject.toml" | "ormend.toml") { 2 } else { 0 };
        assert_eq!(run.code, code, "{name}: {}", run.stderr);
        let is_told = run.stderr.contains(name);
        assert_eq!(is_told, name != "requirements.txt", "{}", run.stderr);
    }
}

#[test]
fn a_terminal_obeys_no_configuration() {
    for text in [
        "\"k\\u001b[31m\" = 1",
        "x = \"\u{1b}[31m\"",
        "line-length = 5 # \u{202e}\u{9b}31m",
        "target-django = \"\\u001b[31m\"",
        "select = [\"\\u001b[31m\"]",
        "exclude = [\"\\u001b[31m{\"]",
        "python = \"\\u001b[31m\"",
        "assume-no-signals = [\"\\u001b[31m\"]",
        "unsafe-fixes = [\"\\u001b[31m\"]",
        "line-length = \"\\u001b[31m\"",
    ] {
        let project = Project::new(&[("manage.py", "")]);
        project.write("ormend.toml", format!("# first\r\n{text}\r\n"));
        let run = project.run(&["check"]);
        assert_eq!(run.code, 2, "{text}: {}", run.stderr);
        assert!(!run.stderr.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\r']), "{text}: {:?}", run.stderr);
        assert!(
            text.starts_with("python") || text.starts_with("unsafe") || run.stderr.contains("ormend.toml:2:"),
            "{text}: {}",
            run.stderr
        );
    }
}
