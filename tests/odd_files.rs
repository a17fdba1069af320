//! Odd files, names and sizes, through the command: what is fixed is fixed the same way by every command, bytes outside an
//! edit stay, and whatever a project holds, a run ends, in bounded time and memory, with the findings of its other files.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Project, Run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const MODELS: &str = "\
from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=100)


class Tag(models.Model):
    name = models.CharField(max_length=100)


class Book(models.Model):
    title = models.CharField(max_length=100)
    author = models.ForeignKey(Author, on_delete=models.CASCADE)
    stock = models.IntegerField(default=0)
";

/// A comparison, a longer chain, a moved statement, an import, and a line that becomes too long: five fixes that one pass makes.
const CODE: &str = "\
from shop.models import Book, Tag

NOTE = \"@\"


def has_books():
    note = \"@\"; found = Book.objects.count() > 0  # @
    return found, note


def names():
    for book in Book.objects.all():
        print(\"@\", book.author.name)


def tagged(request):
    # @
    for name in request.POST.getlist(\"names\"):
        # one @
        Tag.objects.create(name=name + \"@\")
    return \"@\"


def restock(pk):
    book = Book.objects.get(pk=pk)
    book.stock = book.stock + 1
    book.save(update_fields=[\"stock\"])


def wrapped():
    for a_book_of_the_shop in Book.objects.filter(title__startswith=\"@\").order_by(\"title\"):
        print(a_book_of_the_shop.author.name)
";

/// The fixes of [`CODE`], by line.
const FIXES: [&str; 5] = ["exists", "select-related", "bulk-create", "f-expression", "select-related"];

/// A file, and how its text is stored.
struct Form {
    name: &'static str,
    text: String,
    has_bom: bool,
    /// The characters that are not stored as UTF-8.
    codec: Vec<(char, Vec<u8>)>,
}

impl Form {
    fn new(name: &'static str, text: impl Into<String>) -> Form {
        Form { name, text: text.into(), has_bom: false, codec: Vec::new() }
    }

    /// [`CODE`] with `mark` for every `@`.
    fn marked(name: &'static str, mark: &str) -> Form {
        Form::new(name, CODE.replace('@', mark))
    }

    /// [`CODE`] in an encoding that is declared, with a character of it.
    fn coded(name: &'static str, label: &str, mark: char, bytes: &[u8]) -> Form {
        let text = format!("# -*- coding: {label} -*-\n{}", CODE.replace('@', &format!("a{mark}b{mark}")));
        Form { codec: vec![(mark, bytes.to_vec())], ..Form::new(name, text) }
    }

    fn path(&self) -> String {
        format!("shop/{}.py", self.name)
    }

    fn encode(&self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for c in text.chars() {
            match self.codec.iter().find(|(known, _)| *known == c) {
                Some((_, stored)) => bytes.extend(stored),
                None => bytes.extend(c.to_string().as_bytes()),
            }
        }
        bytes
    }

    fn bytes(&self) -> Vec<u8> {
        let bom: &[u8] = if self.has_bom { b"\xef\xbb\xbf" } else { b"" };
        [bom, &self.encode(&self.text)].concat()
    }

    /// Line and column of each offset in the stored bytes at which a character starts, and of the end. Lines end at LF, CR LF
    /// and CR, as for Python.
    fn places(&self) -> BTreeMap<u64, (u64, u64)> {
        let mut places = BTreeMap::new();
        let (mut at, mut line, mut column) = (if self.has_bom { 3 } else { 0 }, 1, 1);
        let mut chars = self.text.chars().peekable();
        while let Some(c) = chars.next() {
            places.insert(at, (line, column));
            at += self.encode(&c.to_string()).len() as u64;
            column += 1;
            if c == '\n' || c == '\r' && chars.peek() != Some(&'\n') {
                (line, column) = (line + 1, 1);
            }
        }
        places.insert(at, (line, column));
        places
    }
}

/// [`CODE`] in every form that is read.
fn forms() -> Vec<Form> {
    let plain = CODE.replace('@', "x");
    let ends = ["\n", "\r\n", "\r"];
    let mixed = |plain: &str, ends: &[&str]| -> String {
        plain.lines().enumerate().map(|(i, line)| format!("{line}{}", ends[i % ends.len()])).collect()
    };
    let padding = |n: usize| format!("def pad_{n}(x):\n    return [\"{n} \u{e9}\", x]\n\n\n");
    let large: String = (0..25_000).map(padding).collect();
    vec![
        Form::new("plain", &*plain),
        Form { has_bom: true, ..Form::marked("bom", "\u{e9}") },
        Form { has_bom: true, ..Form::new("bom_crlf", CODE.replace('@', "\u{e9}").replace('\n', "\r\n")) },
        Form { has_bom: true, ..Form::new("bom_declared", format!("# coding: utf-8\n{plain}")) },
        Form::new("crlf", plain.replace('\n', "\r\n")),
        Form::new("cr", plain.replace('\n', "\r")),
        Form::new("mixed_lf_crlf", mixed(&plain, &ends[..2])),
        Form::new("mixed_all", mixed(&plain, &ends)),
        Form::new("mixed_lf_cr", mixed(&plain, &["\n", "\r"])),
        Form::coded("latin_1", "latin-1", '\u{e9}', b"\xe9"),
        Form {
            text: Form::coded("", "latin-1", '\u{e9}', b"").text.replace('\n', "\r\n"),
            ..Form::coded("latin_1_crlf", "", '\u{e9}', b"\xe9")
        },
        Form::coded("cp1252", "cp1252", '\u{20ac}', b"\x80"),
        Form::coded("utf_8_sig", "utf-8-sig", '\u{20ac}', "\u{20ac}".as_bytes()),
        Form::coded("iso_8859_15", "iso-8859-15", '\u{20ac}', b"\xa4"),
        Form::coded("koi8_r", "koi8-r", '\u{44e}', b"\xc0"),
        Form::coded("cp1251", "windows-1251", '\u{44e}', b"\xfe"),
        // The second byte is that of a backslash.
        Form::coded("shift_jis", "shift_jis", '\u{8868}', b"\x95\x5c"),
        Form::coded("euc_jp", "euc-jp", '\u{8868}', b"\xc9\xbd"),
        Form::coded("gbk", "gbk", '\u{8868}', b"\xb1\xed"),
        Form::coded("big5", "big5", '\u{529f}', b"\xa5\x5c"),
        Form::new("tabs", plain.replace("    ", "\t")),
        Form::new("two_spaces", plain.replace("    ", "  ")),
        Form::new("form_feeds", plain.replace("\n\n\n", "\n\x0c\n\n").replace("def ", "\x0cdef ")),
        Form::new("no_final_newline", plain.trim_end()),
        Form::new("no_final_newline_crlf", plain.trim_end().replace('\n', "\r\n")),
        Form::new("trailing_space", plain.replace('\n', "  \n").replace("  \n  \n  \n", "\n \t\n  \n")),
        Form::marked("long_lines", &"long \u{e9} ".repeat(20_000)),
        Form::marked("controls", "\x01\x07\x1b[2J\x7f\x0b\x1c\x1d\x1e\u{85}\u{9b}\u{2028}\u{2029}"),
        Form::marked("non_bmp", "\u{1f40d}\u{1d54f}\u{10ffff}"),
        Form::marked("combining", "e\u{301}a\u{308}\u{1f469}\u{200d}\u{1f4bb}\u{202e}\u{feff}"),
        Form::new(
            "continued",
            plain
                .replace("Book.objects.count() > 0", "Book \\\n        .objects \\\n  .count() > \\\n 0")
                .replace("in Book.objects.all():", "in \\\n        Book.objects \\\n            .all():"),
        ),
        Form::new(
            "continued_crlf",
            plain
                .replace("Book.objects.count() > 0", "Book.objects \\\n    .count() \\\n    > 0")
                .replace('\n', "\r\n"),
        ),
        Form::new("large", format!("{large}{}", CODE.replace('@', "\u{e9}"))),
    ]
}

/// A project with `forms`, executable.
fn project(forms: &[Form]) -> Project {
    let project = Project::new(&[
        ("manage.py", ""),
        ("settings.py", "INSTALLED_APPS = [\"shop\"]\n"),
        ("shop/__init__.py", ""),
        ("shop/models.py", MODELS),
    ]);
    for form in forms {
        project.write(&form.path(), form.bytes());
        fs::set_permissions(project.path().join(form.path()), Permissions::from_mode(0o755)).unwrap();
    }
    project
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// A diff of the command, byte for byte.
fn bytes_of(project: &Project, args: &[&str]) -> Vec<u8> {
    Command::new(env!("CARGO_BIN_EXE_ormend")).args(args).current_dir(project.path()).output().unwrap().stdout
}

/// Give `program` the diff of `project` in a copy of it, and assert that it gives what `fixed` holds.
fn assert_taken(program: &[&str], diff: &[u8], forms: &[Form], fixed: &Project) {
    let copy = project(forms);
    let file = copy.path().join("the.patch");
    fs::write(&file, diff).unwrap();
    let output = Command::new(program[0])
        .args(&program[1..])
        .stdin(fs::File::open(&file).unwrap())
        .current_dir(copy.path())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&said));
    for form in forms {
        assert!(copy.read(&form.path()) == fixed.read(&form.path()), "{program:?}: {}", form.name);
    }
}

#[test]
fn a_fix_is_the_same_in_files_of_every_form() {
    let forms = forms();
    let before = project(&forms);
    let check = before.run(&["check", "--output-format", "jsonl", "--exit-zero"]);
    assert_eq!((check.code, check.stderr.contains("warning")), (0, false), "{}", check.stderr);
    let findings: Vec<Value> = check.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let diff = bytes_of(&before, &["diff"]);
    let json: Value =
        serde_json::from_slice(&bytes_of(&before, &["diff", "--output-format", "json"])).unwrap();
    let plan = before.run(&["plan", "-o", "plan.json"]);
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    before.assert_unchanged();

    let fixed = project(&forms);
    let fix = fixed.run(&["fix"]);
    assert_eq!(fix.code, 0, "{}", fix.stderr);
    for form in &forms {
        let name = form.name;
        let (stored, after) = (form.bytes(), fixed.read(&form.path()));
        let own: Vec<&Value> = findings.iter().filter(|finding| finding["path"] == *form.path()).collect();
        let codemods: Vec<&str> = own.iter().map(|finding| finding["codemod"].as_str().unwrap()).collect();
        assert_eq!(codemods, FIXES, "{name}");
        let places = form.places();
        let mut edits: Vec<(usize, usize, &str)> = Vec::new();
        for finding in &own {
            assert_eq!(finding["outcome"], "safe", "{name}: {finding}");
            let all = finding["edits"].as_array().unwrap();
            let related = finding["related"].as_array().unwrap();
            for value in std::iter::once(*finding).chain(all).chain(related) {
                for end in ["start", "end"] {
                    let (place, at) = (&value[end], number(&value[end]["offset"]));
                    if value["path"] == *form.path() {
                        let expected = places.get(&at).copied();
                        let told = (number(&place["line"]), number(&place["column"]));
                        assert_eq!(Some(told), expected, "{name}: {value}");
                    }
                }
            }
            for edit in all {
                let at = |end: &str| number(&edit[end]["offset"]) as usize;
                edits.push((at("start"), at("end"), edit["text"].as_str().unwrap()));
            }
        }
        edits.sort_by_key(|(start, ..)| *start);
        let mut expected = Vec::new();
        let mut last = 0;
        for (start, end, text) in edits {
            expected.extend(&stored[last..start]);
            expected.extend(form.encode(text));
            last = end;
        }
        expected.extend(&stored[last..]);
        assert!(
            after == expected,
            "{name}: bytes outside of the edits changed:\n{}",
            String::from_utf8_lossy(&after).chars().take(2000).collect::<String>()
        );
        let mode = fs::metadata(fixed.path().join(form.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755, "{name}");
        let file =
            json["files"].as_array().unwrap().iter().find(|file| file["path"] == *form.path()).unwrap();
        assert_eq!(
            (&file["before_sha256"], &file["after_sha256"]),
            (&sha256(&stored).into(), &sha256(&after).into())
        );
        assert_eq!(file["exact"], std::str::from_utf8(&stored).is_ok(), "{name}");
    }
    let whole: String =
        json["files"].as_array().unwrap().iter().map(|file| file["diff"].as_str().unwrap()).collect();
    assert!(whole == String::from_utf8_lossy(&diff), "the diff as JSON is another one");
    assert_taken(&["git", "apply", "--whitespace=nowarn"], &diff, &forms, &fixed);
    assert_taken(&["patch", "-p1"], &diff, &forms, &fixed);

    let apply = before.run(&["apply", "plan.json"]);
    assert_eq!(apply.code, 0, "{}", apply.stderr);
    for form in &forms {
        assert!(before.read(&form.path()) == fixed.read(&form.path()), "plan: {}", form.name);
    }
    let again = fixed.run(&["fix"]);
    assert!(again.stderr.contains("No findings."), "{}", again.stderr);
    for form in &forms {
        assert!(before.read(&form.path()) == fixed.read(&form.path()), "again: {}", form.name);
    }
}

/// A file with one fix, and what it becomes.
const GOOD: &str =
    "from shop.models import Book\n\n\ndef has_books():\n    return Book.objects.count() > 0\n";

fn fixed(text: &str) -> String {
    text.replace("count() > 0", "exists()")
}

/// A project whose `shop/good.py` has a fix, and these files.
fn shop(files: &[(&str, &[u8])]) -> Project {
    let project = project(&[]);
    project.write("shop/good.py", GOOD);
    for (path, bytes) in files {
        project.write(path, bytes);
    }
    project
}

/// Run the command with a gigabyte and a minute, in which no run may fail.
fn bounded(project: &Project, args: &[&str]) -> Run {
    let script = "ulimit -d 1048576 && exec timeout --signal=KILL 60 \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_ormend"), "--color", "never"])
        .args(args)
        .current_dir(project.path())
        .env_remove("VIRTUAL_ENV")
        .output()
        .unwrap();
    let run = Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    let told: String = run.stderr.chars().take(2000).collect();
    assert!((0..=2).contains(&run.code), "{args:?} ended with {}: {told}", run.code);
    assert!(!run.stderr.contains("internal error"), "{args:?}: {told}");
    run
}

/// Run `fix`, and assert that it fixed `shop/good.py`.
fn fix(project: &Project) -> Run {
    let run = bounded(project, &["fix", "--jobs", "2"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(project.read("shop/good.py") == fixed(GOOD).as_bytes(), "{}", run.stderr);
    run
}

fn warned(run: &Run, warning: &str) {
    let line = format!("warning: {warning}");
    assert!(run.stderr.lines().any(|told| told.starts_with(&line)), "no `{line}`: {}", run.stderr);
}

#[test]
fn what_is_not_read_is_left_with_a_warning() {
    let utf_16 = |mark: &[u8], unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        [mark, &GOOD.encode_utf16().flat_map(unit).collect::<Vec<_>>()].concat()
    };
    let (little, big) = (utf_16(b"\xff\xfe", u16::to_le_bytes), utf_16(b"\xfe\xff", u16::to_be_bytes));
    let with = |head: &[u8], tail: &[u8]| [head, GOOD.as_bytes(), tail].concat();
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("utf_16_le", little, "it has a NUL byte at offset 3, which Python does not accept"),
        ("utf_16_be", big, "it has a NUL byte at offset 2, which Python does not accept"),
        (
            "utf_16",
            with(b"# coding: utf-16\n", b""),
            "line 1 declares the encoding `utf-16`, which is not supported",
        ),
        (
            "utf_7",
            with(b"\n# coding: utf-7\n", b""),
            "line 2 declares the encoding `utf-7`, which is not supported",
        ),
        (
            "rot13",
            with(b"# coding: rot13\n", b""),
            "line 1 declares the encoding `rot13`, which is not supported",
        ),
        (
            "stateful",
            with(b"# coding: iso-2022-jp\n", b""),
            "line 1 declares the encoding `iso-2022-jp`, which is not supported",
        ),
        ("latin", with(b"", b"# \xe9\n"), "line 6 is not UTF-8, and the file declares no other encoding"),
        (
            "surrogate",
            with(b"", b"# \xed\xa0\x80\n"),
            "line 6 is not UTF-8, and the file declares no other encoding",
        ),
        (
            "ascii",
            with(b"# coding: ascii\n", b"# \xe9\n"),
            "it is not valid ascii, the encoding that it declares",
        ),
        (
            "euc",
            with(b"# coding: euc-jp\n", b"# \xff\n"),
            "it is not valid euc-jp, the encoding that it declares",
        ),
        (
            "two",
            with(b"\xef\xbb\xbf# coding: latin-1\n", b""),
            "it starts with a UTF-8 byte order mark, but line 1 declares `latin-1`",
        ),
        ("nul", with(b"", b"# \0\n"), "it has a NUL byte at offset "),
        ("nuls", vec![0; 1 << 20], "it has a NUL byte at offset 0, which Python does not accept"),
    ];
    let files: Vec<(String, &[u8])> =
        cases.iter().map(|(name, bytes, _)| (format!("shop/{name}.py"), bytes.as_slice())).collect();
    let project = shop(&files.iter().map(|(path, bytes)| (path.as_str(), *bytes)).collect::<Vec<_>>());
    let run = fix(&project);
    for ((path, bytes), (.., warning)) in files.iter().zip(cases) {
        warned(&run, &format!("{path}: {warning}"));
        assert!(project.read(path) == *bytes, "{path}");
    }
    assert!(run.stderr.contains("Applied 1 fix to 1 file."), "{}", run.stderr);
}

/// Names that a shell, a terminal, a browser, a log or a format could take for more than a name.
const NAMES: [&str; 40] = [
    "a\nb.py",
    "cr\rb.py",
    "tab\tb.py",
    "q'\"`x.py",
    "back\\slash.py",
    "sp ace.py",
    " lead.py",
    "trail .py",
    "-dash.py",
    "--help.py",
    "esc\x1b[31m\x07.py",
    "\x7fdel.py",
    "c1\u{9b}31m.py",
    "bidi\u{202e}gnp.py",
    "mark\u{61c}\u{200f}.py",
    "zero\u{200b}\u{feff}.py",
    "tag\u{e0041}.py",
    "filler\u{3164}.py",
    "line\u{2028}sep.py",
    "emoji\u{1f40d}\u{fe0f}.py",
    "e\u{301}.py",
    "\u{e9}.py",
    "pct%0A::error::x.py",
    "::warning::x.py",
    "a|b.py",
    "<script>alert(1)<script>.py",
    "comma,x.py",
    "colon:1:2.py",
    "$(touch x).py",
    "#h.py",
    "[x](y).py",
    "*.py",
    "{{x}}.py",
    "%s.py",
    "a&b;.py",
    "@me.py",
    "~.py",
    "<b>\u{202d}<b>.py",
    "\u{1f469}\u{200d}\u{1f4bb}.py",
    "new\n--- a\n+++ b.py",
];

/// Whether a terminal would obey `c`, or a reader not see it, or see it elsewhere.
fn is_hidden(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{3164}' | '\u{feff}' | '\u{e0041}')
}

#[test]
fn names_of_every_kind_in_every_format() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let long = format!("{}.py", "long".repeat(62));
    let names: Vec<&str> = NAMES.into_iter().chain([long.as_str()]).collect();
    let project = shop(&[]);
    for name in &names {
        project.write(&format!("shop/{name}"), GOOD);
    }
    project.write("shop/\u{1b}[2J\n\"dir\"/x.py", GOOD);
    let raw = project.path().join("shop").join(OsStr::from_bytes(b"raw\xff\xfe\x1b.py"));
    fs::write(&raw, GOOD).unwrap();
    let count = names.len() + 2;

    for args in [
        &["check", "-v"][..],
        &["check", "--output-format", "concise"],
        &["check", "--output-format", "markdown"],
        &["check", "--statistics"],
        &["models"],
        &["review", "--html", "page.html"],
    ] {
        let run = bounded(&project, args);
        for (stream, text) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
            let hidden: Vec<char> = text.chars().filter(|c| is_hidden(*c)).collect();
            assert!(hidden.is_empty(), "{args:?}: {stream} has {hidden:?}");
        }
        warned(&run, "shop/raw");
    }
    let page = String::from_utf8(project.read("page.html")).unwrap();
    // Behind `<script` stands data, up to its end.
    let shown =
        page.split("<script").map(|part| part.rsplit_once("</script>").map_or(part, |(_, shown)| shown));
    assert!(!shown.collect::<String>().contains(is_hidden) && !page.contains("<script>alert(1)"));

    // Data has the names as they are.
    let expected = |path: &Value| {
        let path = path.as_str().unwrap().strip_prefix("shop/").unwrap().to_owned();
        assert!(
            path == "good.py" || path.ends_with("dir\"/x.py") || names.contains(&path.as_str()),
            "{path:?}"
        );
        path
    };
    let data = |args: &[&str]| -> Value {
        let run = bounded(&project, args);
        assert!(!run.stderr.contains(is_hidden), "{args:?}: {:?}", run.stderr);
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    };
    let all = |values: &Value, path: fn(&Value) -> &Value| {
        let mut paths: Vec<String> = values.as_array().unwrap().iter().map(|v| expected(path(v))).collect();
        paths.dedup();
        assert_eq!(paths.len(), count);
    };
    all(&data(&["check", "--output-format", "json"])["findings"], |v| &v["path"]);
    all(&data(&["check", "--output-format", "gitlab"]), |v| &v["location"]["path"]);
    all(&data(&["diff", "--output-format", "json"])["files"], |v| &v["path"]);
    all(&data(&["plan"])["fixes"], |v| &v["path"]);
    let sarif = data(&["check", "--output-format", "sarif"]);
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), count);
    for result in sarif["runs"][0]["results"].as_array().unwrap() {
        let uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/%!$&'()*+,;=:@".contains(c);
        assert!(uri.chars().all(plain), "{uri}");
    }
    let jsonl = bounded(&project, &["check", "--output-format", "jsonl"]);
    let lines: Vec<Value> =
        jsonl.stdout.split_terminator('\n').map(|l| serde_json::from_str(l).unwrap()).collect();
    all(&Value::from(lines), |v| &v["path"]);
    // A line a finding, so that a name cannot make a command of its own.
    let github = bounded(&project, &["check", "--output-format", "github"]);
    let commands: Vec<&str> = github.stdout.split_terminator(['\n', '\r']).collect();
    assert_eq!(commands.len(), count);
    assert!(commands.iter().all(|line| line.starts_with("::warning file=shop/")), "{}", github.stdout);

    // The diff and the plan name the files so that they are found again.
    let diff = bytes_of(&project, &["diff"]);
    fs::write(project.path().join("the.patch"), &diff).unwrap();
    assert_eq!(bounded(&project, &["plan", "-o", "plan.json"]).code, 0);
    let is_fixed = |is_fixed: bool| {
        let text = if is_fixed { fixed(GOOD) } else { GOOD.to_owned() };
        for name in names.iter().copied().chain(["good.py", "\u{1b}[2J\n\"dir\"/x.py"]) {
            assert!(project.read(&format!("shop/{name}")) == text.as_bytes(), "{name:?}");
        }
    };
    project.git(&["apply", "the.patch"]);
    is_fixed(true);
    project.git(&["apply", "-R", "the.patch"]);
    is_fixed(false);
    assert_eq!(bounded(&project, &["apply", "plan.json"]).code, 0);
    is_fixed(true);
    assert_eq!(bounded(&project, &["fix", "--undo"]).code, 0);
    is_fixed(false);
    let parts = bounded(&project, &["plan", "--split-by", "directory", "-o", "parts"]);
    assert_eq!(parts.code, 0, "{}", parts.stderr);
    fix(&project);
    is_fixed(true);
    assert_eq!(fs::read(&raw).unwrap(), GOOD.as_bytes());
    // A name is no option.
    for (args, code) in
        [(&["check", "--", "-dash.py"][..], 0), (&["check", "./--help.py"], 0), (&["check", "-dash.py"], 2)]
    {
        assert_eq!(project.run_in("shop", args).code, code, "{args:?}");
    }
}

/// Code that is nested, long or broken, by name. [`GOOD`] stands behind it.
fn extremes() -> Vec<(&'static str, String)> {
    const N: usize = 10_000;
    let pair = |open: &str, close: &str| format!("x = {}1{}\n", open.repeat(N), close.repeat(N));
    let blocks = |head: &str| -> String {
        let lines: String = (0..1000).map(|depth| format!("{}{head}:\n", " ".repeat(depth))).collect();
        format!("{lines}{}pass\n", " ".repeat(1000))
    };
    let numbered = |piece: fn(usize) -> String, count: usize| (0..count).map(piece).collect::<String>();
    vec![
        ("parentheses", pair("(", ")")),
        ("brackets", pair("[", "]")),
        ("braces", pair("{", "}")),
        ("mixed", pair("([{", "}])")),
        ("dictionaries", pair("{1: ", "}")),
        ("calls", pair("f(", ")")),
        ("called", format!("x = f{}\n", "()".repeat(N))),
        ("subscripts", pair("a[", "]")),
        ("attributes", format!("x = a{}\n", ".b".repeat(N))),
        ("querysets", format!("x = Book.objects{}.count() > 0\n", ".all()".repeat(N))),
        ("comprehensions", pair("[a for a in ", "]")),
        ("conditions", format!("x = {}c\n", "a if b else ".repeat(N))),
        ("strings", format!("x = {}\"a\"\n", "\"a\" + ".repeat(N))),
        ("adjacent_strings", format!("x = ({})\n", "\"a\" ".repeat(N))),
        ("f_strings", pair("f\"{", "}\"")),
        ("adjacent_f_strings", format!("x = {}\n", "f\"{a}\" ".repeat(N))),
        ("lambdas", format!("x = {}1\n", "lambda: ".repeat(N))),
        ("nots", format!("x = {}1\n", "not ".repeat(N))),
        ("minuses", format!("x = {}1\n", "-".repeat(N))),
        ("stars", format!("x = {}1\n", "*".repeat(N))),
        ("ands", format!("x = {}a\n", "a and ".repeat(N))),
        ("comparisons", format!("x = {}a\n", "a < ".repeat(N))),
        ("powers", format!("x = {}a\n", "a ** ".repeat(N))),
        ("assignments", format!("{}1\n", "x = ".repeat(N))),
        ("walruses", pair("(y := ", ")")),
        ("ifs", blocks("if x")),
        ("fors", blocks("for x in y")),
        ("withs", blocks("with x")),
        ("functions", blocks("def f()")),
        ("classes", blocks("class A")),
        ("elifs", format!("if a:\n    pass\n{}", "elif b:\n    pass\n".repeat(N))),
        ("decorators", format!("{}def f(): pass\n", "@a\n".repeat(N))),
        ("patterns", format!("match x:\n    case {}a{}:\n        pass\n", "[".repeat(N), "]".repeat(N))),
        ("continued", format!("x = {}1\n", "\\\n".repeat(N))),
        ("statements", format!("{}\n", "x = 1; ".repeat(N))),
        ("arguments", format!("f({})\n", "1, ".repeat(N))),
        ("dots", format!("from {} import x\n", ".".repeat(N))),
        ("imports", format!("import a{}\n", ".b".repeat(N))),
        (
            "ancestors",
            format!("class C0: pass\n{}", numbered(|n| format!("class C{}(C{n}): pass\n", n + 1), N)),
        ),
        ("comments", "# more\n".repeat(20_000)),
        ("blank", "\n".repeat(1 << 20)),
        ("one_string", format!("x = \"{}\"\n", "a".repeat(2 << 20))),
        ("closed", ")\n".repeat(N)),
        ("quotes", format!("x = {}\n", "\"".repeat(N))),
        ("garbage", "$?!@ ".repeat(N)),
    ]
}

#[test]
fn nesting_and_length_cost_no_other_file() {
    let extremes = extremes();
    let files: Vec<(String, String)> = extremes
        .iter()
        .map(|(name, code)| {
            (format!("shop/{name}.py"), format!("from shop.models import Book\n{code}\n{GOOD}"))
        })
        .collect();
    let project =
        shop(&files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())).collect::<Vec<_>>());
    let run = fix(&project);
    let mut told = Vec::new();
    for (path, text) in &files {
        let now = project.read(path);
        let is_fixed = now == format!("{}{}", text.strip_suffix(GOOD).unwrap(), fixed(GOOD)).as_bytes();
        assert!(is_fixed || now == text.as_bytes(), "{path} holds something else");
        let warning = run.stderr.lines().find(|line| line.starts_with(&format!("warning: {path}:")));
        assert!(is_fixed || warning.is_some(), "{path} is not fixed, and nothing is said");
        told.extend(warning.filter(|_| !is_fixed));
    }
    let of = |reason: &str| told.iter().filter(|line| line.ends_with(reason)).count();
    assert_eq!(
        of("comments.py: it has more comments in a row than can be parsed, 20000 of them up to line 20001"),
        1
    );
    assert_eq!(of("nested too deeply to be looked at"), 27, "{}", told.join("\n"));
    for command in ["check", "diff", "models"] {
        bounded(&project, &[command]);
    }
}

/// What codemods ask of a frame they ask at many of its nodes: that must not take the square of the time.
#[test]
fn much_in_one_function() {
    let numbered = |piece: fn(usize) -> String, count: usize| (0..count).map(piece).collect::<String>();
    const READ: &str = "        print(book.author.name)\n";
    let bodies = [
        numbered(|n| format!("    for book in Book.objects.filter(stock={n}):\n{READ}"), 1000),
        format!(
            "    books = Book.objects.all()\n{}    for book in books:\n{READ}",
            numbered(|n| format!("    books = books.exclude(stock={n})\n"), 2000)
        ),
        format!(
            "    for author in Author.objects.prefetch_related(\"book_set\"):\n{}",
            numbered(|n| format!("        print(author.book_set.filter(stock={n}))\n"), 1000)
        ),
        numbered(
            |n| format!("    book = Book.objects.get(pk={n})\n    book.stock = 1\n    book.save()\n"),
            1000,
        ),
    ];
    let functions: Vec<String> =
        bodies.iter().enumerate().map(|(n, body)| format!("\n\ndef work_{n}():\n{body}")).collect();
    let code = format!("from shop.models import Author, Book\n{}", functions.concat());
    let project = shop(&[("shop/work.py", code.as_bytes())]);
    let run = bounded(&project, &["check", "--output-format", "concise"]);
    assert_eq!(run.stdout.matches("Fetch `author` with `select_related`").count(), 1001, "{}", run.stderr);
}

#[test]
fn large_files_are_left_with_a_warning() {
    let (line, data) = ("def f(x):\n    return [x, 1]\n\n\n", "    (1, \"abc\", {\"a\": None}),\n");
    let valid = format!("{GOOD}{}", line.repeat((50 << 20) / line.len()));
    let table = format!("{GOOD}DATA = [\n{}]\n", data.repeat((50 << 20) / data.len()));
    let files: [(&str, &[u8]); 4] = [
        ("shop/valid.py", valid.as_bytes()),
        ("shop/table.py", table.as_bytes()),
        ("shop/empty.py", b""),
        ("shop/comments.py", &b"# only\n".repeat(1000)),
    ];
    let project = shop(&files);
    let nul = fs::File::create(project.path().join("shop/nul.py")).unwrap();
    nul.set_len(50 << 20).unwrap();
    // More than there is room for, of which nothing is stored.
    fs::File::create(project.path().join("shop/sparse.py")).unwrap().set_len(1 << 40).unwrap();
    let run = fix(&project);
    for path in ["valid", "table"] {
        warned(&run, &format!("shop/{path}.py: it is larger than 4 MB, so it is not looked at"));
    }
    for path in ["nul", "sparse"] {
        warned(&run, &format!("shop/{path}.py: it has a NUL byte at offset 0"));
    }
    assert_eq!(run.stderr.matches("warning").count(), 4, "{}", run.stderr);
    for (path, bytes) in [("shop/valid.py", &valid), ("shop/table.py", &table)] {
        assert!(project.read(path) == bytes.as_bytes(), "{path}");
    }
}

#[test]
fn a_hundred_thousand_files() {
    let project = shop(&[]);
    for dir in 0..100 {
        let dir = project.path().join(format!("shop/d{dir}"));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("f0.py"), GOOD).unwrap();
        for file in 1..1000 {
            fs::write(dir.join(format!("f{file}.py")), "x = 1\n").unwrap();
        }
    }
    let run = fix(&project);
    assert!(
        run.stderr.contains("101 findings in 101 files: 101 safe. Looked at 100005 files."),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("Applied 101 fixes to 101 files."), "{}", run.stderr);
    for dir in 0..100 {
        assert!(project.read(&format!("shop/d{dir}/f0.py")) == fixed(GOOD).as_bytes());
        assert_eq!(project.read(&format!("shop/d{dir}/f999.py")), b"x = 1\n");
    }
}

fn mkfifo(project: &Project, path: &str) {
    let file = project.path().join(path);
    assert!(Command::new("mkfifo").arg(file).status().unwrap().success());
}

fn link(project: &Project, target: &str, path: &str) {
    std::os::unix::fs::symlink(target, project.path().join(path)).unwrap();
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let outside = shop(&[]);
    let deep = format!("shop/{}x.py", "d/".repeat(200));
    let project =
        shop(&[(&deep, GOOD.as_bytes()), ("shop/dir.py/x.py", GOOD.as_bytes()), ("shop/empty.py", b"")]);
    mkfifo(&project, "shop/fifo.py");
    let socket = std::os::unix::net::UnixListener::bind(project.path().join("shop/socket.py")).unwrap();
    for (target, path) in [
        ("/dev/zero", "shop/device.py"),
        ("fifo.py", "shop/to_fifo.py"),
        ("loop.py", "shop/loop.py"),
        (".", "shop/here"),
        ("../..", "shop/above"),
    ] {
        link(&project, target, path);
    }
    link(&project, outside.path().to_str().unwrap(), "shop/outside");
    let run = fix(&project);
    for path in [deep.as_str(), "shop/dir.py/x.py"] {
        assert!(project.read(path) == fixed(GOOD).as_bytes(), "{path}");
    }
    outside.assert_unchanged();
    warned(&run, "shop/loop.py: it is a link that leads back to itself, a loop, and is not followed");
    warned(&run, "shop/here: it is a link to a directory that holds it, a loop, and is not followed");
    warned(&run, "shop/outside: it is a link that leaves the project");
    assert!(run.stderr.contains("Looked at 8 files."), "{}", run.stderr);
    // What is asked for by its name is an error, with what it is.
    for (path, why) in [
        ("shop/fifo.py", "it is no regular file"),
        ("shop/socket.py", "it is no regular file"),
        ("shop/device.py", "it is no regular file"),
        ("shop/to_fifo.py", "it is no regular file"),
        ("shop/loop.py", "too many levels of symbolic links"),
        ("shop/gone.py", "no such file or directory"),
    ] {
        for command in ["check", "fix", "diff", "plan", "models"] {
            let run = bounded(&project, &[command, path]);
            assert_eq!(run.code, 2, "{command} {path}: {}", run.stderr);
            assert!(run.stderr.contains(&format!("cannot look at `{path}`: {why}")), "{}", run.stderr);
        }
    }
    drop(socket);
    // Nor does a plan of a stranger wait for one.
    let hash = "0".repeat(64);
    let plan = serde_json::json!({"version": 1, "tool": "x", "packages": [], "files": {"shop/fifo.py": {"sha256": hash}},
        "fixes": [{"fingerprint": "0", "codemod": "exists", "outcome": "safe", "selected": true, "path": "shop/fifo.py",
            "line": 1, "message": "", "queries": {"before": "", "after": ""},
            "edits": [{"path": "shop/fifo.py", "start": 0, "end": 0, "text": "x"}]}]});
    project.write("plan.json", plan.to_string());
    let run = bounded(&project, &["apply", "plan.json"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("`shop/fifo.py` cannot be read: it is no regular file"), "{}", run.stderr);
}

#[test]
fn a_file_that_may_not_be_read() {
    let project = shop(&[("shop/secret.py", GOOD.as_bytes()), ("shop/closed/x.py", GOOD.as_bytes())]);
    for (path, mode) in [("", 0o755), ("shop/secret.py", 0o000), ("shop/closed", 0o000)] {
        fs::set_permissions(project.path().join(path), Permissions::from_mode(mode)).unwrap();
    }
    // Nobody may do what the superuser may.
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let run = |args: &[&str]| {
        let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        let all = [if is_root { &nobody[..] } else { &[] }, &[env!("CARGO_BIN_EXE_ormend")], args].concat();
        let output = Command::new(all[0]).args(&all[1..]).current_dir(project.path()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    };
    let check = run(&["check", "--output-format", "concise"]);
    warned(&check, "shop/secret.py: it cannot be read: permission denied");
    warned(&check, "shop/closed: it cannot be read: permission denied");
    assert!(check.code == 1 && check.stdout.starts_with("shop/good.py:5:12: exists"), "{}", check.stdout);
    for path in ["shop/secret.py", "shop/closed"] {
        let asked = run(&["check", path]);
        assert_eq!(asked.code, 2, "{}", asked.stderr);
        assert!(
            asked.stderr.contains(&format!("cannot look at `{path}`: permission denied")),
            "{}",
            asked.stderr
        );
    }
    fs::set_permissions(project.path().join("shop/closed"), Permissions::from_mode(0o755)).unwrap();
}

/// Files that are not ours, but are read: what they hold decides nothing else.
#[test]
fn odd_settings() {
    let places = [
        "pyproject.toml",
        "ormend.toml",
        "ruff.toml",
        "requirements.txt",
        "setup.cfg",
        "Pipfile",
        "Pipfile.lock",
        "uv.lock",
        ".github/CODEOWNERS",
        ".gitignore",
        ".ignore",
        "shop/.gitignore",
    ];
    let plain = |text: &str| !text.contains(is_hidden) && text.lines().all(|line| line.len() < 1000);
    for place in places {
        let is_config = matches!(place, "pyproject.toml" | "ormend.toml");
        let deep = "[a".to_owned() + &".a".repeat(10_000) + "]\n";
        for (kind, bytes) in [
            ("fifo", None),
            ("device", None),
            ("directory", None),
            ("loop", None),
            ("bytes", Some((0..=255).collect::<Vec<u8>>())),
            ("broken", Some(b"[tool.ormend\x1b[31m\nselect = \"\x1b[31m\xc2\x9b\n".to_vec())),
            ("nul", Some(vec![0; 1 << 20])),
            ("deep", Some(deep.into_bytes())),
            ("long", Some([&b"x = "[..], &b"[".repeat(1 << 20)].concat())),
        ] {
            let project = shop(&[]);
            let file = project.path().join(place);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            match kind {
                "fifo" => mkfifo(&project, place),
                "device" => link(&project, "/dev/zero", place),
                "directory" => fs::create_dir(&file).unwrap(),
                "loop" => link(&project, place.rsplit('/').next().unwrap(), place),
                _ => project.write(place, bytes.unwrap()),
            }
            let run = bounded(&project, &["plan"]);
            assert!(plain(&run.stderr), "{place}, {kind}: {:?}", run.stderr);
            if is_config {
                assert_eq!(run.code, 2, "{place}, {kind}: {}", run.stderr);
                let words = run.stderr.replace(['\n', '│'], " ");
                assert!(words.contains("the configuration in") && words.contains("help: "), "{}", run.stderr);
                continue;
            }
            assert_eq!(run.code, 0, "{place}, {kind}: {}", run.stderr);
            let is_left = place == "shop/.gitignore" && matches!(kind, "fifo" | "device");
            assert_eq!(run.stdout.contains("shop/good.py"), !is_left, "{place}, {kind}: {}", run.stderr);
            if place.ends_with("ignore") && matches!(kind, "fifo" | "device") {
                warned(&run, &format!("{place}: it is no regular file, so"));
            }
            if place.ends_with("CODEOWNERS") && matches!(kind, "fifo" | "device" | "directory" | "loop") {
                warned(&run, ".github/CODEOWNERS: it cannot be read: ");
            }
        }
    }
}

#[test]
fn large_codeowners() {
    let rule = |n: usize| format!("/shop/directory_{n}/*.py @team-{n}\n");
    let under: String = (0..75_000).map(rule).collect::<String>() + "/shop/*.py @shop\n";
    assert!(under.len() < 3 << 20);
    let project = shop(&[("CODEOWNERS", under.as_bytes())]);
    let run = bounded(&project, &["plan"]);
    let plan: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(plan["files"]["shop/good.py"]["owners"], serde_json::json!(["@shop"]));
    project.write("CODEOWNERS", under.repeat(4));
    let run = bounded(&project, &["plan"]);
    warned(&run, "CODEOWNERS: it is larger than 3 MB, so it is left out");
    assert!(run.stdout.contains("shop/good.py") && !run.stdout.contains("@shop"));
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
