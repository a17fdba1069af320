//! What was measured, as Markdown, and whether it is within the limits that ormend has set itself.

use crate::measure::{Run, sum};
use crate::trees::Code;
use crate::{CHANGED, COLD, WARM};
use std::thread::available_parallelism;
use std::time::Duration;

/// The title of the section about memory.
pub const MUCH: &str = "Whole projects in one tree";
/// The title of the section about size.
pub const TEN: &str = "The application code of all projects in one tree, and ten times that";
/// Its row of one copy.
pub const ONCE: &str = "ormend, cold, once";
/// Its row of ten copies.
pub const TEN_TIMES: &str = "ormend, cold, ten times";

/// One tool.
pub struct Row {
    pub name: String,
    /// Its numbers, or why there are none.
    pub measured: Result<Run, String>,
}

/// Several tools over the same tree.
pub struct Section {
    /// Which part of which projects; none for a tree that is no project's.
    code: Option<Code>,
    title: String,
    files: usize,
    bytes: u64,
    rows: Vec<Row>,
}

impl Section {
    pub fn new(code: Option<Code>, title: String, (files, bytes): (usize, u64), rows: Vec<Row>) -> Section {
        Section { code, title, files, bytes, rows }
    }

    /// Whether it is about a tree that was put together.
    pub fn is_of_trees(&self) -> bool {
        self.code.is_none()
    }

    pub fn print(&self) {
        let what = self.code.map(|code| format!(", {}", long(code))).unwrap_or_default();
        println!("\n## {}{what}\n", self.title);
        println!("{} Python files, {} MB.\n", self.files, megabytes(self.bytes));
        println!("| tool | wall, s | CPU, s | peak memory, MB | read, MB | parsed, MB | wall, × ruff |");
        println!("|---|--:|--:|--:|--:|--:|--:|");
        let ruff = self.run("ruff");
        for row in &self.rows {
            let Row { name, measured } = row;
            match measured {
                Err(why) => println!("| {name} | {} | | | | | |", why.replace('|', "\\|")),
                Ok(run) => {
                    let ruff = if name.ends_with(", once") {
                        self.run("ruff, once")
                    } else if name.ends_with(", ten times") {
                        self.run("ruff, ten times")
                    } else {
                        ruff
                    };
                    let ratio = ruff.map(|ruff| format!("{:.2}", ratio(run.wall, ruff.wall)));
                    println!(
                        "| {name} | {:.3} | {:.3} | {} | {} | {} | {} |",
                        run.wall.as_secs_f64(),
                        run.cpu.as_secs_f64(),
                        megabytes(run.peak),
                        run.read.map(megabytes).unwrap_or_default(),
                        run.parsed.map(megabytes).unwrap_or_default(),
                        ratio.unwrap_or_default(),
                    );
                }
            }
        }
    }

    fn run(&self, name: &str) -> Option<Run> {
        self.rows.iter().find(|row| row.name == name)?.measured.as_ref().ok().copied()
    }
}

/// What the numbers are of.
pub fn introduction(runs: usize, peers: &[String]) {
    let threads = available_parallelism().map_or(1, usize::from);
    println!("# ormend beside its peers\n");
    println!(
        "Medians of {runs} runs that take turns, on {threads} processors; of memory the most. Each tool gets the same tree."
    );
    println!("What was read is what the tool asked the kernel for, its own program and packages included.");
    println!("django-orm-lens never looks at migrations.\n");
    println!("- {} (all codemods)", concat!("ormend ", env!("CARGO_PKG_VERSION")));
    for peer in peers {
        println!("- {peer}");
    }
}

/// All projects, one after the other.
pub fn together(code: Code, sections: &[Section]) -> Option<Section> {
    let [first, _, ..] = sections else { return None };
    let rows = first.rows.iter().map(|row| {
        let runs: Result<Vec<Run>, String> = sections
            .iter()
            .filter_map(|section| Some((section, section.rows.iter().find(|other| other.name == row.name)?)))
            .map(|(section, row)| {
                row.measured.clone().map_err(|why| format!("{} over {}", why, section.title))
            })
            .collect();
        Row { name: row.name.clone(), measured: runs.map(|runs| sum(&runs)) }
    });
    let rows = rows.collect();
    let files = sections.iter().map(|section| section.files).sum();
    let bytes = sections.iter().map(|section| section.bytes).sum();
    let title = format!("{} projects, one after the other", sections.len());
    Some(Section { code: Some(code), title, files, bytes, rows })
}

/// How a measured number and its limit compare.
enum Limit {
    Most(f64),
    Least(f64),
}

/// The last table: what ormend has set itself, and what was measured over all projects.
pub fn limits(sections: &[Section]) {
    use Limit::{Least, Most};
    let get = |code: Code, name: &str| sections.iter().find(|section| section.code == Some(code))?.run(name);
    let of_tree = |title: &str, name: &str| sections.iter().find(|section| section.title == title)?.run(name);
    let slower = |code: Code, a: &str, b: &str| Some(ratio(get(code, a)?.wall, get(code, b)?.wall));
    let app = Code::Application;
    let (once, ten) = (of_tree(TEN, ONCE), of_tree(TEN, TEN_TIMES));
    let much = of_tree(MUCH, COLD).map(|run| run.peak as f64 / 1e6);
    let size =
        sections.iter().find(|section| section.title == MUCH).map_or(28_000_000, |section| section.bytes);
    let lines = [
        ("application code, cold: × ruff".to_owned(), slower(app, COLD, "ruff"), Most(1.0)),
        ("application code, cold: times as fast as djch".to_owned(), slower(app, "djch", COLD), Least(4.0)),
        (
            "application code, cold: times as fast as django-orm-lens".to_owned(),
            slower(app, "django-orm-lens", COLD),
            Least(40.0),
        ),
        (
            "tests and migrations in, cold: × ruff".to_owned(),
            slower(Code::Everything, COLD, "ruff"),
            Most(2.0),
        ),
        (
            "application code, warm: times as fast as ruff without cache".to_owned(),
            slower(app, "ruff", WARM),
            Least(5.0),
        ),
        ("application code, one file changed: × warm".to_owned(), slower(app, CHANGED, WARM), Most(1.3)),
        (
            "ten times the tree: × time".to_owned(),
            ten.zip(once).map(|(ten, once)| ratio(ten.wall, once.wall)),
            Most(10.5),
        ),
        (
            "ten times the tree: × memory".to_owned(),
            ten.zip(once).map(|(ten, once)| ten.peak as f64 / once.peak.max(1) as f64),
            Most(4.0),
        ),
        (format!("peak memory over {} MB of Python, MB", megabytes(size)), much, Most(250.0)),
    ];
    println!("\n## Limits\n");
    println!("| what | measured | limit | within |");
    println!("|---|--:|--:|---|");
    for (what, measured, limit) in lines {
        let limit_text = match limit {
            Most(most) => format!("at most {most}"),
            Least(least) => format!("at least {least}"),
        };
        match measured {
            None => println!("| {what} | | {limit_text} | not measured |"),
            Some(value) => {
                let is_within = match limit {
                    Most(most) => value <= most,
                    Least(least) => value >= least,
                };
                println!("| {what} | {value:.2} | {limit_text} | {} |", if is_within { "yes" } else { "no" });
            }
        }
    }
}

/// In names of folders.
pub fn short(code: Code) -> &'static str {
    match code {
        Code::Application => "application",
        Code::Everything => "everything",
    }
}

fn long(code: Code) -> &'static str {
    match code {
        Code::Application => "application code",
        Code::Everything => "tests and migrations in",
    }
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64().max(f64::EPSILON)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}
