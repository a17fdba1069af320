//! ormend beside its peers, over real projects: `cargo bench --bench peers`.
//!
//! Every tool gets the same files, and the runs of all of them take turns, so that what else the machine does meets all alike.
//! A tool that cannot be had, or fails, keeps its row, which says why. The tables are Markdown, on standard output.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod measure;
#[path = "../../tests/support/mod.rs"]
mod support;
mod table;
mod trees;

use clap::Parser;
use measure::Run;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use support::python;
use table::{Row, Section};
use trees::{Code, PROJECTS, Project, Views};

/// Measure ormend beside ruff, djch, django-orm-lens and ast-grep.
#[derive(Parser)]
#[command(name = "peers")]
struct Options {
    /// How often everything is measured; medians are shown
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// One run, over application code
    #[arg(long)]
    quick: bool,
    /// This project and no other
    #[arg(long, value_parser = PROJECTS.each_ref().map(|project| project.name))]
    project: Option<String>,
    /// Without django-check, django-orm-lens and ast-grep
    #[arg(long)]
    no_peers: bool,
    /// Also a tree ten times as large
    #[arg(long)]
    ten_times: bool,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// A tool of the package registry.
struct Peer {
    package: &'static str,
    version: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    /// The exit statuses of a run that did its work.
    codes: &'static [i32],
}

const RUFF: Peer = Peer {
    package: "ruff",
    version: "0.17.6",
    program: "ruff",
    arguments: &["check", "--select", "PERF,DJ", "--no-cache", "--isolated", "--exit-zero"],
    codes: &[0],
};

const OTHERS: [Peer; 3] = [
    Peer { package: "djch", version: "0.1.9", program: "djch", arguments: &["check"], codes: &[0, 1] },
    Peer {
        package: "django-orm-lens",
        version: "1.13.5",
        program: "django-orm-lens",
        arguments: &["nplusone", "--exit-zero"],
        codes: &[0],
    },
    Peer {
        package: "ast-grep-cli",
        version: "0.51.1",
        program: "ast-grep",
        arguments: &["run", "--lang", "python", "--pattern", "for $X in $Y: $$$Z"],
        codes: &[0, 1],
    },
];

/// Without what an earlier run has left.
pub const COLD: &str = "ormend, cold";
/// With what an earlier run has left.
pub const WARM: &str = "ormend, warm";
/// With what an earlier run has left, but for one file.
pub const CHANGED: &str = "ormend, one file changed";

/// One command in one tree, and its runs.
struct Job {
    row: String,
    command: Result<Vec<String>, String>,
    codes: &'static [i32],
    tree: PathBuf,
    /// What is changed before each run.
    change: Option<Views>,
    runs: Vec<Run>,
}

/// A peer that takes longer than this, in seconds, is not run over ten times as much.
const PATIENCE: u64 = 20;

fn main() {
    let options = Options::parse();
    let runs = if options.quick { 1 } else { options.runs.max(1) };
    let is_wanted =
        |project: &&Project| options.project.as_deref().is_none_or(|wanted| wanted == project.name);
    let projects: Vec<&Project> = PROJECTS.iter().filter(is_wanted).collect();
    let peers: Vec<&Peer> =
        if options.no_peers { vec![&RUFF] } else { [&RUFF].into_iter().chain(&OTHERS).collect() };
    let commands: Vec<(&Peer, Result<Vec<String>, String>)> =
        peers.into_iter().map(|peer| (peer, command(peer))).collect();

    table::introduction(runs, &commands.iter().map(|(peer, _)| peer.title()).collect::<Vec<_>>());
    let codes: &[Code] =
        if options.quick { &[Code::Application] } else { &[Code::Application, Code::Everything] };
    // Those that limits are about: sums of all projects, and trees that were put together.
    let mut sections = Vec::new();
    for &code in codes {
        let each: Vec<Section> =
            projects.iter().map(|project| of_project(project, code, &commands, runs)).collect();
        let all = table::together(code, &each);
        for section in each.iter().chain(&all) {
            section.print();
        }
        sections.extend(all);
    }
    if projects.len() == PROJECTS.len() {
        sections.push(of_much(&projects, runs));
        if options.ten_times {
            sections.push(of_ten_times(&projects, &commands, runs));
        }
        for section in sections.iter().filter(|section| section.is_of_trees()) {
            section.print();
        }
    }
    table::limits(&sections);
}

/// All tools over one project.
fn of_project(
    project: &Project,
    code: Code,
    commands: &[(&Peer, Result<Vec<String>, String>)],
    runs: usize,
) -> Section {
    let tree = |what: &str| {
        let folder = trees::folder(&format!("{}-{}-{what}", project.name, table::short(code)));
        project.unpack(code, &folder);
        folder
    };
    let (plain, warm, changed) = (tree("plain"), tree("warm"), tree("changed"));
    let views = project.views(&changed);
    let mut jobs = vec![
        Job::ormend(COLD, code, true, &plain),
        Job::ormend(WARM, code, false, &warm),
        Job { change: Some(views), ..Job::ormend(CHANGED, code, false, &changed) },
    ];
    jobs.extend(commands.iter().map(|(peer, command)| Job::peer(peer, command, "", &plain)));
    take_turns(&mut jobs, 0..=runs);
    Section::new(Some(code), project.title(), trees::size(&plain), rows(jobs))
}

/// ormend over 28 MB of Python: as many whole projects as it takes.
fn of_much(projects: &[&Project], runs: usize) -> Section {
    let tree = trees::folder("much");
    for project in projects {
        if trees::size(&tree).1 < 28_000_000 {
            project.unpack(Code::Everything, &tree);
        }
    }
    let mut jobs = vec![Job::ormend(COLD, Code::Everything, true, &tree)];
    take_turns(&mut jobs, 1..=runs.min(3));
    Section::new(None, table::MUCH.into(), trees::size(&tree), rows(jobs))
}

/// The application code of all projects in one tree, and ten copies of it.
fn of_ten_times(
    projects: &[&Project],
    commands: &[(&Peer, Result<Vec<String>, String>)],
    runs: usize,
) -> Section {
    let one = trees::together("once", projects, Code::Application, 1);
    let ten = trees::together("ten-times", projects, Code::Application, 10);
    let mut jobs = Vec::new();
    for (row, tree) in [(table::ONCE, &one), (table::TEN_TIMES, &ten)] {
        jobs.push(Job::ormend(row, Code::Application, true, tree));
    }
    for (peer, command) in commands {
        let mut once = Job::peer(peer, command, ", once", &one);
        let first = once.run();
        let slow = first.is_some_and(|run| run.wall.as_secs() > PATIENCE);
        let why = format!("not run: it takes more than {PATIENCE} seconds for a tenth");
        let command = if slow { &Err(why) } else { command };
        jobs.push(once);
        jobs.push(Job::peer(peer, command, ", ten times", &ten));
    }
    take_turns(&mut jobs, 1..=runs);
    Section::new(None, table::TEN.into(), trees::size(&ten), rows(jobs))
}

/// Rounds in which each job runs once. What round 0 took does not count: it leaves caches behind.
fn take_turns(jobs: &mut [Job], rounds: RangeInclusive<usize>) {
    let runs = *rounds.end();
    for round in rounds {
        for job in &mut *jobs {
            if let Some(views) = job.change.as_ref().filter(|_| round > 0) {
                views.change(round);
            }
            eprintln!("{}: {} ({round} of {runs})", job.tree.display(), job.row);
            let run = job.run();
            job.runs.extend(run.filter(|_| round > 0));
        }
    }
}

fn rows(jobs: Vec<Job>) -> Vec<Row> {
    let row = |job: Job| Row {
        name: job.row,
        measured: job.command.and_then(|_| measure::median(&job.runs).ok_or_else(|| "not run".to_owned())),
    };
    jobs.into_iter().map(row).collect()
}

impl Job {
    fn ormend(row: &str, code: Code, is_cold: bool, tree: &Path) -> Job {
        let mut command = vec![env!("CARGO_BIN_EXE_ormend"), "check", "--exit-zero", "-v"];
        if is_cold {
            command.push("--no-cache");
        }
        if code == Code::Everything {
            command.extend(["--include-tests", "--include-migrations"]);
        }
        let command = Ok(command.into_iter().map(str::to_owned).collect());
        Job { row: row.into(), command, codes: &[0], tree: tree.into(), change: None, runs: Vec::new() }
    }

    fn peer(peer: &Peer, command: &Result<Vec<String>, String>, what: &str, tree: &Path) -> Job {
        let row = format!("{}{what}", peer.program);
        Job {
            row,
            command: command.clone(),
            codes: peer.codes,
            tree: tree.into(),
            change: None,
            runs: Vec::new(),
        }
    }

    /// Run it once. A job that has failed is not run again.
    fn run(&mut self) -> Option<Run> {
        let command = self.command.as_ref().ok()?;
        match measure::run(command, &self.tree, self.codes) {
            Ok(run) => Some(run),
            Err(why) => {
                self.command = Err(format!("failed: {why}"));
                None
            }
        }
    }
}

impl Peer {
    fn title(&self) -> String {
        format!("{} {} (`{} {}`)", self.package, self.version, self.program, self.arguments.join(" "))
    }
}

/// The command line of a peer, installed on first use; or why it cannot be had.
fn command(peer: &Peer) -> Result<Vec<String>, String> {
    let python = python::package(peer.package, peer.version).map_err(|why| {
        format!("not installed: {}", why.lines().rfind(|line| !line.is_empty()).unwrap_or(""))
    })?;
    let program = python.with_file_name(peer.program);
    let arguments = peer.arguments.iter().map(|argument| (*argument).to_owned());
    Ok([program.to_string_lossy().into_owned()].into_iter().chain(arguments).collect())
}
