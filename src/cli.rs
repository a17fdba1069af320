//! The command line: every subcommand and flag, and its help.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Find Django ORM performance anti-patterns in a project and rewrite them.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub output: Output,
}

const AFTER_HELP: &str = "\
Exit status: 0 nothing left to report; 1 findings remain (check), the diff is not empty (diff), or a fix was \
refused (fix, apply); 2 the run itself failed.

Configuration: [tool.ormend] in pyproject.toml, or ormend.toml.";

const DIFF_HELP: &str = "\
Paths in the diff are relative to the working directory, so that `ormend diff | git apply` works from where it \
was made. If a changed file lies outside the working directory, all of them are relative to the project root, \
and a note on standard error says so; apply it there with `git -C ROOT apply`.";

const REVIEW_HELP: &str = "\
A key answers for each fix: y takes it, n leaves it, ? shows the other keys. Unsafe fixes are shown too, and only `y` takes \
one. What was taken is applied at the end. Ctrl-C gives up: nothing is applied or written, and the run ends as \
interrupted (130 in a shell).";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show findings: their place, why they matter, and what the fix would be
    Check(CheckArgs),
    /// Show the unified diff of the fixes; writes nothing
    #[command(after_help = DIFF_HELP)]
    Diff(DiffArgs),
    /// Apply the fixes in place
    Fix(FixArgs),
    /// Write every fix as data, to be reviewed, split and applied later
    Plan(PlanArgs),
    /// Apply the selected fixes of a plan; what no longer fits is refused
    Apply(ApplyArgs),
    /// Look at fixes one by one, and apply those that are taken
    #[command(after_help = REVIEW_HELP)]
    Review(ReviewArgs),
    /// Show the documentation of a codemod
    Explain(ExplainArgs),
    /// List the codemods
    Codemods,
    /// Show the project's models as ormend understands them
    Models(ModelsArgs),
}

#[derive(Debug, Args)]
pub struct Output {
    /// When to use colours; by default where the stream is a terminal
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Print the result and errors only: no warnings, no summary
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Also print what was read and decided
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// Which files.
#[derive(Clone, Debug, Default, Args)]
pub struct InputArgs {
    /// Files and directories; `-` reads one file from standard input
    ///
    /// Models are indexed for the whole project, however few paths are asked for. A file that is named here is
    /// looked at even if it is a test, a migration, or ignored.
    #[arg(value_name = "PATH", default_value = ".")]
    pub paths: Vec<PathBuf>,
    /// With `-`: the path of the file that standard input holds
    #[arg(long, value_name = "PATH")]
    pub stdin_filename: Option<PathBuf>,
    /// How many threads to use; by default one a core
    #[arg(long, short, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// Do not read or write the cache
    #[arg(long)]
    pub no_cache: bool,
}

/// Which codemods, over which files.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Only these codemods or groups, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub select: Vec<String>,
    /// Leave these codemods or groups out, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub ignore: Vec<String>,
    /// Also apply fixes that change behaviour in a way the finding names
    #[arg(long)]
    pub unsafe_fixes: bool,
    /// Also look at tests
    #[arg(long)]
    pub include_tests: bool,
    /// Also look at migrations
    #[arg(long)]
    pub include_migrations: bool,
    /// Show a table: codemod, safe, unsafe, withheld (by reason), files
    #[arg(long)]
    pub statistics: bool,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// The form of the findings
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "full")]
    pub output_format: CheckFormat,
    /// Also show findings that have no fix, with the reason
    #[arg(long)]
    pub show_withheld: bool,
    /// Exit with 0 even if there are findings
    #[arg(long)]
    pub exit_zero: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// With the source code and every place
    Full,
    /// One line a finding
    Concise,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations of GitHub Actions
    Github,
    /// GitLab's code quality report
    Gitlab,
}

impl CheckFormat {
    /// Whether it is for programs.
    pub fn is_data(self) -> bool {
        !matches!(self, CheckFormat::Full | CheckFormat::Concise)
    }
}

#[derive(Debug, Args)]
pub struct DiffArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Exit with 0 even if the diff is not empty
    #[arg(long)]
    pub exit_zero: bool,
}

#[derive(Debug, Args)]
pub struct FixArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Exit with 1 if anything was fixed
    #[arg(long)]
    pub exit_non_zero_on_fix: bool,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Write the plan to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print the JSON schema of plans, and look at nothing
    #[arg(long, exclusive = true)]
    pub schema: bool,
}

#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The plan; `-` reads it from standard input
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// The project root that the paths of the plan start from; by default that of the working directory
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Apply all of the selected fixes or, where one is refused, none
    #[arg(long)]
    pub atomic: bool,
}

#[derive(Debug, Args)]
pub struct ReviewArgs {
    // The flags choose what is planned; a plan is shown as it is. One path with the ending .json is a plan.
    #[command(flatten)]
    pub run: RunArgs,
    /// With a plan: the project root that its paths start from; by default that of the working directory
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Write the plan, with what was taken selected, to this file instead of applying it
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The name of the codemod, as `ormend codemods` lists it
    pub codemod: String,
}

#[derive(Debug, Args)]
pub struct ModelsArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// The form of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub output_format: ModelsFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModelsFormat {
    /// For reading
    Text,
    /// Everything that is known, as one JSON document
    Json,
}
