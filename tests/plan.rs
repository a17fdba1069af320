//! Plans: what is written into one, what is applied of it, and what of a hand-made one is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Project;
use common::shop::{LATIN_TOTALS as TOTALS, MODELS, SETTINGS, TWO_VIEWS as VIEWS, latin_1};
use serde_json::{Value, json};

const NAMES_FIXED: &str = "for book in Book.objects.select_related(\"author\"):";

fn project() -> Project {
    let project = Project::new(&[
        ("manage.py", ""),
        ("settings.py", SETTINGS),
        ("shop/__init__.py", ""),
        ("shop/models.py", MODELS),
        ("shop/views.py", VIEWS),
    ]);
    project.write("shop/totals.py", latin_1(TOTALS));
    project
}

/// The plan of `project`, as data.
fn plan(project: &Project, args: &[&str]) -> Value {
    let run = project.run(&[&["plan"], args].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

fn fix<'v>(plan: &'v mut Value, codemod: &str) -> &'v mut Value {
    plan["fixes"].as_array_mut().unwrap().iter_mut().find(|fix| fix["codemod"] == codemod).unwrap()
}

fn apply(project: &Project, plan: &Value, args: &[&str]) -> common::Run {
    let run = project.run_with(&[&["apply", "-"], args].concat(), plan.to_string().as_bytes());
    assert_eq!(run.stdout, "");
    run
}

fn text(project: &Project, path: &str) -> String {
    project.read(path).iter().map(|byte| char::from(*byte)).collect()
}

#[test]
fn a_plan_says_all_of_every_fix() {
    let project = project();
    project.write("CODEOWNERS", "/shop/ @shop\n/shop/views.py @web ann@example.com\n");
    let mut plan = plan(&project, &[]);
    project.assert_unchanged();
    assert_eq!(plan["version"], 1);
    assert_eq!(plan["tool"], format!("ormend {}", env!("CARGO_PKG_VERSION")));
    let names: Vec<_> =
        plan["fixes"].as_array().unwrap().iter().map(|f| f["codemod"].as_str().unwrap()).collect();
    assert_eq!(names, ["aggregate", "values-list", "select-related", "exists"]);
    assert_eq!(plan["files"]["shop/views.py"]["owners"], json!(["@web", "ann@example.com"]));
    assert_eq!(plan["files"]["shop/totals.py"]["owners"], json!(["@shop"]));
    assert_eq!(plan["files"]["shop/views.py"]["sha256"].as_str().unwrap().len(), 64);
    let packages = plan["packages"].clone();
    let aggregate = fix(&mut plan, "aggregate");
    assert_eq!(aggregate["path"], "shop/totals.py");
    assert_eq!(aggregate["line"], 8);
    assert_eq!((&aggregate["outcome"], &aggregate["selected"]), (&json!("safe"), &json!(true)));
    let import = json!({"path": "shop/totals.py", "module": "django.db.models", "name": "Sum"});
    assert_eq!(aggregate["imports"], json!([import]));
    assert_eq!(packages, json!(["manage", "settings", "shop"]));
    // Bytes of the file as it is stored.
    let edit = aggregate["edits"][0].clone();
    let bytes = project.read("shop/totals.py");
    let (start, end) = (edit["start"].as_u64().unwrap() as usize, edit["end"].as_u64().unwrap() as usize);
    assert_eq!(&bytes[start..end], b"sum(book.pages for book in Book.objects.all())");
    // Two codemods want this place, and one of them gets it.
    let other = fix(&mut plan, "values-list");
    assert_eq!((&other["outcome"], &other["selected"]), (&json!("safe"), &json!(false)));
    assert_eq!(other["path"], "shop/totals.py");
}

#[test]
fn what_is_selected_is_applied() {
    let project = project();
    let run = project.run(&["plan", "-o", "plan.json"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
    assert!(
        run.stderr.contains("4 fixes planned, 3 of them selected; `ormend apply` applies those."),
        "{}",
        run.stderr
    );
    let run = project.run(&["apply", "plan.json"]);
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (
            0,
            "Applied 3 fixes to 2 files. This is no git repository: only `ormend fix --undo` takes it back.\n"
        )
    );
    assert!(text(&project, "shop/views.py").contains(NAMES_FIXED));
    assert!(text(&project, "shop/views.py").contains("return Book.objects.exists()"));
    let totals = text(&project, "shop/totals.py");
    assert!(
        totals
            .starts_with("# -*- coding: latin-1 -*-\r\n# Caf\u{e9}\r\nfrom django.db.models import Sum\r\n"),
        "{totals}"
    );
    assert!(totals.contains("\u{c0} la carte."), "{totals}");
    assert!(!totals.replace("\r\n", "").contains(['\r', '\n']), "{totals}");
    // It is the same as what `ormend fix` does.
    let other = self::project();
    assert_eq!(other.run(&["fix"]).code, 0);
    assert_eq!(other.read("shop/totals.py"), project.read("shop/totals.py"));
    assert_eq!(other.read("shop/views.py"), project.read("shop/views.py"));
    // What was applied does not fit any more.
    let run = project.run(&["apply", "plan.json"]);
    assert_eq!(run.code, 1);
    let refused = "error: shop/views.py:5: select-related was not applied: `shop/views.py` changed since the plan was written\n";
    assert!(run.stderr.contains(refused), "{}", run.stderr);
    assert!(run.stderr.ends_with("Applied 0 fixes to 0 files, refused 3.\n"), "{}", run.stderr);
}

#[test]
fn a_part_is_selected() {
    let project = project();
    let mut plan = plan(&project, &[]);
    for codemod in ["aggregate", "exists"] {
        fix(&mut plan, codemod)["selected"] = json!(false);
    }
    let run = apply(&project, &plan, &[]);
    assert_eq!(run.code, 0);
    assert!(run.stderr.starts_with("Applied 1 fix to 1 file."), "{}", run.stderr);
    assert_eq!(project.read("shop/totals.py"), latin_1(TOTALS));
    let views = text(&project, "shop/views.py");
    assert!(views.contains(NAMES_FIXED) && views.contains("Book.objects.count() > 0"), "{views}");
    // From a directory below, and from outside.
    let again = self::project();
    again.write("plan.json", plan.to_string());
    for (root, why) in [("nowhere", "no such file or directory"), ("../manage.py", "not a directory")] {
        let run = again.run_in("shop", &["apply", "../plan.json", "--root", root]);
        assert_eq!(run.code, 2, "{}", run.stderr);
        assert!(run.stderr.contains(&format!("cannot use `{root}` as the root: {why}")), "{}", run.stderr);
    }
    let run = again.run_in("shop", &["apply", "../plan.json"]);
    assert_eq!(run.code, 0);
    assert!(run.stderr.starts_with("Applied 1 fix to 1 file."), "{}", run.stderr);
    let third = self::project();
    let root = third.path().to_str().unwrap();
    let run = again.run(&["apply", "plan.json", "--root", root]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(text(&third, "shop/views.py"), views);
}

#[test]
fn unsafe_fixes_are_planned_and_selected_by_hand() {
    let project = project();
    let risky = "from shop.models import Book\n\n\ndef owner(book: Book):\n    return book.author.pk\n";
    project.write("shop/risky.py", risky);
    let mut plan = plan(&project, &[]);
    let unsafe_one = fix(&mut plan, "fk-id");
    assert_eq!((&unsafe_one["outcome"], &unsafe_one["selected"]), (&json!("unsafe"), &json!(false)));
    assert_eq!(unsafe_one["hazards"][0]["kind"], "HandedIn");
    assert_eq!(unsafe_one["hazards"][0]["line"], 4);
    unsafe_one["selected"] = json!(true);
    assert_eq!(apply(&project, &plan, &[]).code, 0);
    assert!(text(&project, "shop/risky.py").ends_with("return book.author_id\n"));
    project.write("shop/risky.py", risky);
    let mut plan = self::plan(&project, &["--unsafe-fixes", "shop/risky.py"]);
    assert_eq!(fix(&mut plan, "fk-id")["selected"], true);
    assert_eq!(plan["fixes"].as_array().unwrap().len(), 1);
}

#[test]
fn a_file_that_changed_is_refused_and_the_rest_goes_on() {
    let project = project();
    let plan = plan(&project, &[]);
    project.write("shop/views.py", format!("{VIEWS}\n"));
    let run = apply(&project, &plan, &["--atomic"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("shop/views.py:5: select-related was not applied"), "{}", run.stderr);
    assert!(run.stderr.contains("Nothing was applied, as --atomic asks"), "{}", run.stderr);
    assert_eq!(project.read("shop/totals.py"), latin_1(TOTALS));
    let run = apply(&project, &plan, &[]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("\nApplied 1 fix to 1 file, refused 2."), "{}", run.stderr);
    assert!(text(&project, "shop/totals.py").contains("Sum("));
    assert_eq!(text(&project, "shop/views.py"), format!("{VIEWS}\n"));
}

#[test]
fn hand_made_plans_stay_inside() {
    let project = project();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("views.py"), VIEWS).unwrap();
    let good = plan(&project, &["--select", "exists"]);
    let up = format!("../{}/views.py", outside.path().file_name().unwrap().to_str().unwrap());
    let absolute = outside.path().join("views.py").to_str().unwrap().to_owned();
    #[cfg(unix)]
    std::os::unix::fs::symlink(outside.path(), project.path().join("linked")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("views.py", project.path().join("shop/link.py")).unwrap();
    let cases = [
        (up.as_str(), "is no path below the project root"),
        (absolute.as_str(), "is no path below the project root"),
        ("shop/../shop/views.py", "is no path below the project root"),
        ("./shop/views.py", "is no path below the project root"),
        ("shop//views.py", "is no path below the project root"),
        ("", "is no path below the project root"),
        // A name like any other, but where it separates directories.
        ("shop\\views.py", if cfg!(windows) { "is no path below" } else { "cannot be read: no such file" }),
        #[cfg(unix)]
        ("linked/views.py", "leads through a link"),
        #[cfg(unix)]
        ("shop/link.py", "leads through a link"),
        ("shop/gone.py", "cannot be read: no such file or directory"),
        ("shop", "cannot be read"),
    ];
    for (path, why) in cases {
        let mut plan = good.clone();
        plan["files"][path] = plan["files"]["shop/views.py"].clone();
        plan["fixes"][0]["edits"][0]["path"] = json!(path);
        let run = apply(&project, &plan, &[]);
        assert_eq!(run.code, 1, "{path}: {}", run.stderr);
        assert!(run.stderr.contains(why), "{path}: {}", run.stderr);
        project.assert_unchanged();
        assert_eq!(std::fs::read_to_string(outside.path().join("views.py")).unwrap(), VIEWS);
    }
    let mut plan = good.clone();
    plan["files"] = json!({});
    assert!(
        apply(&project, &plan, &[]).stderr.contains("the plan does not say what `shop/views.py` was like")
    );
    project.assert_unchanged();
}

#[test]
fn edits_that_do_not_fit_are_refused() {
    let project = project();
    let good = plan(&project, &["--select", "exists"]);
    let edit = |start: u64, end: u64, text: &str| json!({"path": "shop/views.py", "start": start, "end": end, "text": text});
    let cases = [
        (vec![edit(5, 4, "")], "an edit lies outside of the text of `shop/views.py`"),
        (vec![edit(0, 100_000, "")], "an edit lies outside of the text of `shop/views.py`"),
        (
            vec![edit(4_000_000_000, 4_000_000_000, "x")],
            "an edit lies outside of the text of `shop/views.py`",
        ),
        (vec![edit(0, 10, ""), edit(5, 12, "")], "it overlaps a fix before it"),
        (vec![edit(0, 4, "form")], "with the fixes of `shop/views.py` it would not be Python any more"),
        (vec![], "it has no edits"),
    ];
    for (edits, why) in cases {
        let mut plan = good.clone();
        plan["fixes"][0]["edits"] = json!(edits);
        let run = apply(&project, &plan, &[]);
        assert_eq!(run.code, 1, "{}", run.stderr);
        assert!(run.stderr.contains(why), "{why}: {}", run.stderr);
        project.assert_unchanged();
    }
    // The same fix twice.
    let mut plan = good.clone();
    plan["fixes"] = json!([good["fixes"][0], good["fixes"][0]]);
    let run = apply(&project, &plan, &["--atomic"]);
    assert!(run.stderr.contains("it overlaps a fix before it"), "{}", run.stderr);
    project.assert_unchanged();
    assert!(apply(&project, &plan, &[]).stderr.contains("\nApplied 1 fix to 1 file, refused 1."));
    // Inside of a character of two bytes.
    project.write("shop/views.py", format!("# \u{e9}\n{VIEWS}"));
    let mut plan = self::plan(&project, &["--select", "exists"]);
    plan["fixes"][0]["edits"] = json!([edit(3, 3, "x")]);
    assert!(apply(&project, &plan, &[]).stderr.contains("lies outside of the text"));
    // An import is code.
    let mut plan = self::plan(&project, &["--select", "exists"]);
    for (module, name) in [("os; import sys", "path"), ("os", "path\nboom()"), ("", "x"), ("os..path", "x")] {
        let import = json!({"path": "shop/views.py", "module": module, "name": name});
        plan["fixes"][0]["imports"] = json!([import]);
        let run = apply(&project, &plan, &[]);
        assert!(run.stderr.contains("an import is no name"), "{}", run.stderr);
    }
}

#[test]
fn a_fix_of_two_files_is_whole_or_not_at_all() {
    let project = project();
    let mut plan = plan(&project, &["--select", "exists,aggregate"]);
    let first = plan["fixes"][0]["edits"][0].clone();
    plan["fixes"][1]["edits"].as_array_mut().unwrap().push(first);
    plan["fixes"].as_array_mut().unwrap().remove(0);
    // `exists` now changes both files; one of them may not be written.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let file = project.path().join("shop/views.py");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o444)).unwrap();
        let run = apply(&project, &plan, &[]);
        assert_eq!(run.code, 1, "{}", run.stderr);
        assert!(run.stderr.contains("`shop/views.py`: it is not writable"), "{}", run.stderr);
        project.assert_unchanged();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    project.write("shop/totals.py", "x = 1\n");
    let run = apply(&project, &plan, &[]);
    assert!(run.stderr.contains("`shop/totals.py` changed since the plan was written"), "{}", run.stderr);
    project.assert_unchanged();
}

#[test]
fn what_is_no_plan_is_status_2() {
    let project = project();
    let mut other = plan(&project, &[]);
    other["version"] = json!(2);
    let mut typo = plan(&project, &[]);
    typo["fixes"][0]["selcted"] = json!(true);
    let texts = [
        (String::new(), "is not a plan"),
        ("[]".to_owned(), "is not a plan"),
        ("{\"version\": 1".to_owned(), "is not a plan"),
        ("[".repeat(100_000), "is not a plan"),
        (other.to_string(), "is a plan of version 2, and this ormend reads version 1"),
        (typo.to_string(), "unknown field `selcted`"),
    ];
    for (text, why) in texts {
        let run = project.run_with(&["apply", "-"], text.as_bytes());
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{}", run.stderr);
        // Lines are wrapped for the terminal.
        let said: Vec<&str> = run.stderr.split([' ', '\n', '\u{2502}']).filter(|w| !w.is_empty()).collect();
        assert!(said.join(" ").contains(why), "{}", run.stderr);
    }
    assert_eq!(project.run(&["apply", "gone.json"]).code, 2);
    assert_eq!(project.run_with(&["plan", "-"], b"x = 1\n").code, 2);
    assert_eq!(project.run(&["plan", "-o", "nowhere/plan.json"]).code, 2);
}

#[test]
fn the_schema_is_published() {
    let project = Project::new(&[]);
    let run = project.run(&["plan", "--schema"]);
    assert_eq!(run.code, 0);
    let published =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/plan.schema.json")).unwrap();
    assert_eq!(run.stdout, published, "write it with `ormend plan --schema > docs/plan.schema.json`");
}

#[test]
#[cfg(unix)]
fn a_pipe_is_no_file_of_a_plan() {
    let project = project();
    let mut plan = plan(&project, &[]);
    fix(&mut plan, "exists")["edits"][0]["path"] = json!("shop/pipe.py");
    plan["files"]["shop/pipe.py"] = plan["files"]["shop/views.py"].clone();
    let pipe = project.path().join("shop/pipe.py");
    assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let run = apply(&project, &plan, &[]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("`shop/pipe.py` cannot be read: it is no regular file"), "{}", run.stderr);
}

#[test]
fn a_plan_of_very_many_fixes() {
    const COUNT: usize = 200_000;
    let project = project();
    let mut plan = plan(&project, &[]);
    let text = "x = 1\n".repeat(COUNT);
    project.write("many.py", &text);
    let one = fix(&mut plan, "exists").clone();
    let sha = sha256(text.as_bytes());
    plan["files"] = json!({"many.py": {"sha256": sha}});
    let edit = |start: usize| json!([{"path": "many.py", "start": start, "end": start + 1, "text": "2"}]);
    let fixes = (0..=COUNT).map(|index| {
        let mut fix = one.clone();
        // The last one wants a place that another has.
        fix["edits"] = edit(6 * (index % COUNT) + 4);
        fix
    });
    plan["fixes"] = fixes.collect();
    let start = std::time::Instant::now();
    let run = apply(&project, &plan, &[]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("Applied 200000 fixes to 1 file, refused 1."), "{}", run.stderr);
    assert_eq!(project.read("many.py"), text.replace('1', "2").as_bytes());
    // Each against each would take many times as long.
    assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn more_hazards_than_are_named_are_counted() {
    let project = project();
    let receivers: String = (0..7)
        .map(|n| format!("\n\n@receiver(post_save, sender=Author)\ndef heard_{n}(sender, instance, **kwargs):\n    print(instance)\n"))
        .collect();
    let imports = "from django.db.models.signals import post_save\nfrom django.dispatch import receiver\n";
    project.write("shop/models.py", format!("{imports}{MODELS}{receivers}"));
    let create = "from shop.models import Author\n\n\ndef add(names):\n    for name in names:\n        Author.objects.create(name=name)\n";
    project.write("shop/views.py", create);
    let plan = plan(&project, &["--select", "bulk-create"]);
    let fix = &plan["fixes"][0];
    let hazards = fix["hazards"].as_array().unwrap();
    let listed = hazards.iter().filter(|hazard| hazard["kind"] == "SaveReceiver").count();
    assert_eq!((listed, fix["unlisted"].as_u64()), (4, Some(3)), "{fix}");
    project.run(&["plan", "--select", "bulk-create", "--split-by", "codemod", "-o", "parts"]);
    let text = String::from_utf8(project.read("parts/bulk-create.md")).unwrap();
    assert!(text.contains("\n  - and 3 more of these kinds"), "{text}");
}
