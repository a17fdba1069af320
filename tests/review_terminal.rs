//! `ormend review` in a real terminal: tmux holds one, keys are sent to it, and its screen is read.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Project;
use common::shop::{MODELS, RISKY, SETTINGS, TWO_VIEWS as VIEWS};
use std::process::Command;
use std::time::{Duration, Instant};

/// Two fixes want one place.
const TOTALS: &str = "\
from shop.models import Book


def pages():
    return sum(book.pages for book in Book.objects.all())
";

const RISKY_FIXED: &str = "return book.author_id";
const TOTALS_FIXED: &str = "return Book.objects.aggregate(total=Sum(\"pages\", default=0))[\"total\"]";
const NAMES_FIXED: &str = "for book in Book.objects.select_related(\"author\"):";
const EXISTS_FIXED: &str = "return Book.objects.exists()";

const PROMPT: &str = "Apply this fix [y,n,a,d,e,u,/,q,?]?";

/// In this order: fk-id (unsafe) in risky.py, aggregate and values-list in totals.py, select-related and exists in views.py.
fn project() -> Project {
    Project::new(&[
        ("manage.py", ""),
        ("settings.py", SETTINGS),
        ("shop/__init__.py", ""),
        ("shop/models.py", MODELS),
        ("shop/risky.py", RISKY),
        ("shop/totals.py", TOTALS),
        ("shop/views.py", VIEWS),
    ])
}

fn text(project: &Project, path: &str) -> String {
    String::from_utf8(project.read(path)).unwrap()
}

/// What is said of files that git does not know.
const WAY_BACK: &str = " This is no git repository: only `ormend fix --undo` takes it back.";

/// A terminal with a shell in it; gone when dropped.
struct Screen {
    dir: tempfile::TempDir,
    /// What was on it when the last keys were sent.
    before: String,
}

impl Screen {
    fn new(project: &Project, width: u32) -> Screen {
        let screen = Screen { dir: tempfile::tempdir().unwrap(), before: String::new() };
        let (width, dir) = (width.to_string(), project.path().to_str().unwrap());
        let start = ["-f", "/dev/null", "new-session", "-d", "-y", "40", "-x", &width, "-c", dir];
        screen.tmux(&[&start[..], &["env", "PS1=% ", "TERM=screen", "HISTFILE=", "sh"]].concat());
        screen.wait(|text| text.ends_with('%'), "the shell");
        screen
    }

    /// Start a review in it, and wait for the first question.
    fn review(project: &Project, width: u32, environment: &str, args: &str) -> Screen {
        let mut screen = Screen::new(project, width);
        let program = env!("CARGO_BIN_EXE_ormend");
        screen.line(&format!("clear; {environment} {program} review {args}; echo status=$?"));
        screen.wait(|text| text.ends_with(PROMPT), "the first question");
        screen
    }

    fn tmux(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-L", "review"]).args(args).env("TMUX_TMPDIR", self.dir.path()).env_remove("TMUX");
        let output = command.output().expect("tmux is needed (Debian, Ubuntu: apt-get install tmux)");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tmux {args:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// All that was printed, wrapped lines in one, without what is blank at the end.
    fn text(&self) -> String {
        let text = self.tmux(&["capture-pane", "-p", "-J", "-S", "-"]);
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    fn wait(&self, is_there: impl Fn(&str) -> bool, what: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let text = self.text();
            if is_there(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "waited for {what} in vain:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Type `line` and Enter.
    fn line(&mut self, line: &str) {
        self.before = self.text();
        self.tmux(&["send-keys", "-l", line]);
        self.tmux(&["send-keys", "Enter"]);
    }

    /// Press `keys`, and answer what is printed up to the next question, which comes after `part`.
    fn press(&mut self, keys: &[&str], part: &str) -> String {
        self.before = self.text();
        self.tmux(&[&["send-keys"], keys].concat());
        self.new_text(part, PROMPT)
    }

    /// The same up to the end of the review.
    fn finish(&mut self, keys: &[&str], part: &str) -> String {
        self.before = self.text();
        self.tmux(&[&["send-keys"], keys].concat());
        self.new_text(part, "%")
    }

    /// Run `command` in the shell, and answer what it prints.
    fn shell(&mut self, command: &str, part: &str) -> String {
        self.line(command);
        self.new_text(part, "%")
    }

    /// What is printed since the last keys, once it has `part` and then ends with `end`.
    fn new_text(&self, part: &str, end: &str) -> String {
        let new = |text: &str| text.strip_prefix(&self.before).unwrap_or(text).to_owned();
        let is_there = |text: &str| {
            let new = new(text);
            new.find(part).is_some_and(|at| new[at..].trim_end().ends_with(end))
        };
        new(&self.wait(is_there, &format!("{part:?} and {end:?}")))
    }

    /// Characters are echoed, and lines are edited, as before.
    fn assert_sane(&mut self) {
        let modes = self.shell("stty -a", "icanon");
        let modes: Vec<&str> = modes.split([' ', ';', '\n']).collect();
        for mode in ["echo", "icanon", "isig", "opost", "icrnl"] {
            assert!(modes.contains(&mode), "{mode}: {modes:?}");
        }
        let cursor = self.tmux(&["display-message", "-p", "#{cursor_flag}"]);
        assert_eq!(cursor.trim(), "1");
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        command.args(["-L", "review", "kill-server"]).env("TMUX_TMPDIR", self.dir.path());
        let _ = command.output();
    }
}

#[test]
fn one_key_answers_for_each_fix() {
    let project = project();
    project.write("CODEOWNERS", "/shop/ @shop\n/shop/risky.py @web ann@example.com\n");
    let mut screen = Screen::review(&project, 100, "", "");
    let first = screen.text();
    let expected = "\
(1/5) shop/risky.py:5: fk-id (unsafe)
Owners: @web ann@example.com
Read `author_id` instead of `book.author`
Queries: 1 query -> no query
Unsafe, because:
  HandedIn: `book` is handed in by code that is not all known: it may be unsaved, changed before,
    there twice, or looked at later (shop/risky.py:4)
--- a/shop/risky.py
+++ b/shop/risky.py
@@ -2,4 +2,4 @@


 def owner(book: Book):
-    return book.author.pk
+    return book.author_id
Apply this fix [y,n,a,d,e,u,/,q,?]?";
    assert!(first.ends_with(expected), "{first}");
    // Nothing is written before the end.
    screen.press(&["y"], "(2/5) shop/totals.py:5: aggregate (safe)");
    screen.press(&["y"], "(3/5) shop/totals.py:5: values-list (safe)");
    let refused = screen.press(&["y"], "It cannot be taken");
    assert!(refused.contains("it overlaps `aggregate` at shop/totals.py:5, which was taken."), "{refused}");
    screen.press(&["n"], "(4/5) shop/views.py:5: select-related (safe)");
    screen.press(&["n"], "(5/5) shop/views.py:10: exists (safe)");
    project.assert_unchanged();
    let end = screen.finish(&["y"], "status=");
    let expected = "
Took 3 of 5 fixes.
  aggregate       1 taken, 0 left
  exists          1 taken, 0 left
  fk-id           1 taken, 0 left
  select-related  0 taken, 1 left
  values-list     0 taken, 1 left
Applied 3 fixes to 3 files. This is no git repository: only `ormend fix --undo` takes it back.
status=0
%";
    assert!(end.ends_with(expected), "{end}");
    assert!(text(&project, "shop/risky.py").contains(RISKY_FIXED));
    assert!(text(&project, "shop/totals.py").contains(TOTALS_FIXED));
    assert_eq!(
        text(&project, "shop/views.py"),
        VIEWS.replace("return Book.objects.count() > 0", EXISTS_FIXED)
    );
    screen.assert_sane();
}

#[test]
fn answers_for_a_file_are_undone_and_a_filter_narrows() {
    let project = project();
    let mut screen = Screen::review(&project, 100, "", "");
    let said = screen.press(&["a"], "unsafe fix left");
    assert!(
        said.contains("Took 0 fixes of shop/risky.py.\n1 unsafe fix left: only `y` takes one."),
        "{said}"
    );
    screen.press(&["d"], "(2/5)");
    let said = screen.press(&["a"], "(4/5)");
    assert!(said.contains("Took 1 fix of shop/totals.py.\nLeft 1 fix"), "{said}");
    let said = screen.press(&["u"], "(2/5)");
    assert!(said.contains("aggregate (safe)\n"), "{said}");
    screen.press(&["n"], "(3/5)");
    screen.press(&["Down"], "(4/5)");
    let said = screen.press(&["Up"], "(3/5)");
    assert!(said.contains("values-list (safe)\n"), "{said}");
    let said = screen.press(&["/", "e", "x", "x", "BSpace", "i", "s", "Enter"], "(1/1 with `exis`)");
    assert!(said.contains("shop/views.py:10: exists (safe)"), "{said}");
    screen.press(&["/", "n", "o", "n", "e", "Enter"], "No fix has `none` in its codemod or file.");
    screen.press(&["/", "Escape"], PROMPT);
    screen.press(&["y"], "No fix with `exis` is left; here are the others.");
    let said = screen.press(&["l"], "exists");
    let expected = "
  left    shop/risky.py:5 fk-id (unsafe)
  left    shop/totals.py:5 aggregate
>         shop/totals.py:5 values-list
          shop/views.py:5 select-related
  taken   shop/views.py:10 exists
";
    assert!(said.contains(expected), "{said}");
    screen.press(&["?"], "Ctrl-C  give up: nothing is applied or written");
    let end = screen.finish(&["q"], "status=");
    assert!(
        end.contains("Took 1 of 5 fixes.")
            && end.contains(&format!("Applied 1 fix to 1 file.{WAY_BACK}\nstatus=0")),
        "{end}"
    );
    assert_eq!(text(&project, "shop/risky.py"), RISKY);
    assert_eq!(text(&project, "shop/totals.py"), TOTALS);
    assert_eq!(
        text(&project, "shop/views.py"),
        VIEWS.replace("return Book.objects.count() > 0", EXISTS_FIXED)
    );
}

#[test]
fn new_lines_are_edited() {
    let project = project();
    // The first edit is no Python; the second goes on with it.
    project.write(
        "editor.sh",
        "if grep -q '((' $2; then sed -i 's/((/(/; s/pk_/pk/' $2; else sed -i \"s/author_id/pk_((0)/$1\" $2; fi\n",
    );
    let mut screen = Screen::review(&project, 100, "VISUAL='sh editor.sh g'", "shop/risky.py");
    let said = screen.press(&["e"], "The edited fix cannot be taken");
    assert!(said.contains("it would not be Python any more. Press e to go on with it."), "{said}");
    let end = screen.finish(&["e"], "status=");
    assert!(end.contains("1 taken (1 edited), 0 left\nApplied 1 fix to 1 file."), "{end}");
    assert_eq!(text(&project, "shop/risky.py"), RISKY.replace("book.author.pk", "book.pk(0)"));

    // An edited fix loses the import that it does not need; an empty file leaves the fix; one without a change takes it.
    let editor = "VISUAL= EDITOR='sh -c \"case \\$(cat \\$1) in *aggregate*) sed -i s/aggregate.*/count\\(\\)/ \\$1;; \
                  *exists*) : > \\$1;; esac\" -'";
    project.write("shop/risky.py", RISKY);
    let mut screen = Screen::review(&project, 100, editor, "shop/totals.py shop/views.py");
    screen.press(&["e"], "(2/4)");
    let said = screen.press(&["l"], "exists");
    assert!(said.contains("  edited  shop/totals.py:5 aggregate\n"), "{said}");
    screen.press(&["n"], "(3/4)");
    screen.press(&["e"], "(4/4)");
    let end = screen.finish(&["e"], "status=");
    assert!(end.contains("exists          0 taken, 1 left"), "{end}");
    assert!(end.contains("Applied 2 fixes to 2 files."), "{end}");
    assert_eq!(
        text(&project, "shop/totals.py"),
        TOTALS.replace("sum(book.pages for book in Book.objects.all())", "Book.objects.count()")
    );
    assert_eq!(
        text(&project, "shop/views.py"),
        VIEWS.replace("for book in Book.objects.all():", NAMES_FIXED)
    );

    // An editor that fails changes nothing.
    project.write("shop/risky.py", RISKY);
    let mut screen = Screen::review(&project, 100, "VISUAL=false", "shop/risky.py");
    screen.press(&["e"], "The editor failed: `false` ended with exit status: 1.");
    screen.finish(&["q"], "Nothing was applied.\nstatus=0");
    assert_eq!(text(&project, "shop/risky.py"), RISKY);
    screen.assert_sane();
}

#[test]
fn a_plan_is_reviewed_and_written() {
    let project = project();
    let mut screen = Screen::review(&project, 100, "", "-o taken.json");
    screen.press(&["y"], "(2/5)");
    screen.finish(&["q"], "Wrote `taken.json` with 1 fix selected; `ormend apply` applies those.\nstatus=0");
    project.assert_unchanged();
    let plan: serde_json::Value = serde_json::from_slice(&project.read("taken.json")).unwrap();
    let selected: Vec<bool> =
        plan["fixes"].as_array().unwrap().iter().map(|fix| fix["selected"].as_bool().unwrap()).collect();
    assert_eq!(selected, [true, false, false, false, false]);

    // A plan outlives a change of a file, its fixes there do not.
    project.write("shop/risky.py", format!("{RISKY}\n"));
    let mut screen = Screen::review(&project, 100, "cd shop;", "../taken.json --root ..");
    let first = screen.text();
    assert!(
        first.contains("It cannot be applied: `shop/risky.py` changed since the plan was written.\n"),
        "{first}"
    );
    screen.press(&["y"], "It cannot be taken: `shop/risky.py` changed since the plan was written.");
    screen.press(&["n"], "(2/5)");
    screen.press(&["y"], "(3/5)");
    screen.finish(&["q"], &format!("Applied 1 fix to 1 file.{WAY_BACK}\nstatus=0"));
    assert!(text(&project, "shop/totals.py").contains(TOTALS_FIXED));
    screen.shell(
        &format!("{} review ../taken.json --select exists; echo status=$?", env!("CARGO_BIN_EXE_ormend")),
        "status=2",
    );
}

#[test]
fn giving_up_leaves_the_files_and_a_sane_terminal() {
    let project = project();
    let mut screen = Screen::review(&project, 100, "", "-o taken.json");
    screen.press(&["y"], "(2/5)");
    // The shell sees what ended it, and does not go on with its line either.
    let end = screen.finish(&["C-c"], "Nothing was applied.");
    assert!(!end.contains("status="), "{end}");
    screen.shell("echo status=$?", "status=130");
    screen.assert_sane();
    // While a filter is typed.
    let start = |screen: &mut Screen| {
        let program = env!("CARGO_BIN_EXE_ormend");
        screen.line(&format!("clear; sh -c 'echo $$ > pid; exec {program} review'"));
        screen.new_text("(1/5)", PROMPT);
    };
    start(&mut screen);
    screen.finish(&["/", "x", "C-c"], "Nothing was applied.");
    screen.shell("echo status=$?", "status=130");
    screen.assert_sane();
    // By a signal, while the terminal is raw.
    for (signal, status) in [("-TERM", "status=143"), ("-INT", "status=130")] {
        start(&mut screen);
        screen.press(&["y"], "(2/5)");
        let pid = text(&project, "pid");
        assert!(Command::new("kill").args([signal, pid.trim()]).status().unwrap().success());
        screen.new_text("Nothing was applied.", "%");
        screen.shell("echo status=$?", status);
        screen.assert_sane();
    }
    project.assert_unchanged();
    assert!(!project.path().join("taken.json").exists());
}

#[test]
fn it_can_be_stopped_and_go_on() {
    let project = project();
    let mut screen = Screen::review(&project, 100, "", "");
    screen.press(&["y"], "(2/5)");
    screen.finish(&["C-z"], "Stopped");
    screen.assert_sane();
    screen.line("fg");
    screen.new_text("review", PROMPT);
    screen.press(&["n"], "(3/5)");
    screen.finish(&["q"], "Applied 1 fix to 1 file.");
    assert!(text(&project, "shop/risky.py").contains(RISKY_FIXED));
}

#[test]
fn a_narrow_window_is_enough() {
    let project = project();
    let mut screen = Screen::review(&project, 40, "", "");
    screen.press(&["n"], "(2/5)");
    // In the middle of a question the window changes its size.
    screen.tmux(&["resize-window", "-x", "30", "-y", "10"]);
    screen.press(&["y"], "(3/5) shop/totals.py:5: values-list");
    screen.tmux(&["resize-window", "-x", "90", "-y", "30"]);
    screen.press(&["n"], "(4/5) shop/views.py:5: select-related");
    screen.finish(&["C-d"], &format!("Applied 1 fix to 1 file.{WAY_BACK}\nstatus=0"));
    assert!(text(&project, "shop/totals.py").contains(TOTALS_FIXED));
}

#[test]
fn the_terminal_obeys_nothing_of_the_project() {
    let project = Project::new(&[
        ("manage.py", ""),
        ("settings.py", SETTINGS),
        ("shop/__init__.py", ""),
        ("shop/models.py", MODELS),
    ]);
    let evil =
        VIEWS.replace("def has_books():", "# \x1b]2;pwned\x07\x1b[2J\u{9b}2J\u{202e}\ndef has_books():");
    project.write("shop/a\x1b]2;pwned\x07\u{202e}\u{9b}2J.py", &evil);
    project.write("CODEOWNERS", "*.py @x\x1b[2J\n");
    let mut screen = Screen::review(&project, 150, "", "");
    let first = screen.text();
    let name = "shop/a\\x1b]2;pwned\\x07\\u202e\\x9b2J.py";
    assert!(
        first.contains(&format!("(1/2) {name}:5: select-related (safe)\nOwners: @x\\x1b[2J\n")),
        "{first}"
    );
    let second = screen.press(&["n"], "(2/2)");
    assert!(second.contains(" # \\x1b]2;pwned\\x07\\x1b[2J\\x9b2J\\u202e\n def has_books():"), "{second}");
    let title = screen.tmux(&["display-message", "-p", "#{pane_title}"]);
    assert!(!title.contains("pwned"), "{title}");
    let listed = screen.press(&["l"], "exists");
    assert!(listed.contains(&format!("> {:7} {name}:11 exists", "")), "{listed}");
    let end = screen.finish(&["y"], "status=");
    assert!(end.contains(&format!("Applied 1 fix to 1 file.{WAY_BACK}\nstatus=0")), "{end}");
}

#[test]
fn colours_are_for_terminals_that_have_them() {
    let project = project();
    let screen = Screen::review(&project, 100, "", "");
    let coloured = screen.tmux(&["capture-pane", "-p", "-e"]);
    assert!(coloured.contains("\x1b[31m-    return book.author.pk"), "{coloured:?}");
    let plain = Screen::review(&project, 100, "NO_COLOR=1", "");
    let text = plain.tmux(&["capture-pane", "-p", "-e"]);
    assert!(text.contains("-    return book.author.pk") && !text.contains('\x1b'), "{text:?}");
}

#[test]
fn without_a_terminal_it_says_what_else_there_is() {
    let project = project();
    let run = project.run(&["review"]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    let said: Vec<&str> = run.stderr.split([' ', '\n', '\u{2502}']).filter(|w| !w.is_empty()).collect();
    let said = said.join(" ");
    for way in ["`ormend diff`", "`ormend plan`", "`ormend review --html FILE`"] {
        assert!(said.contains(way), "{way}: {said}");
    }
    project.assert_unchanged();
}

#[test]
fn where_nothing_is_found_nothing_is_asked() {
    let project = Project::new(&[("shop.py", "x = 1\n")]);
    let mut screen = Screen::new(&project, 100);
    let program = env!("CARGO_BIN_EXE_ormend");
    let said = screen.shell(&format!("{program} review; echo status=$?"), "status=0");
    assert!(said.contains("There is no fix to review."), "{said}");
}
