//! The command line: every subcommand and flag, and its help.

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
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
To begin with: `ormend check` says what there is, `ormend diff` shows what would change, `ormend fix` changes it, and \
`ormend fix --undo` changes it back. `ormend help COMMAND` says more of each command.

Exit status: 0 nothing left to report; 1 findings remain (check), the diff is not empty (diff), or a fix was \
refused (fix, apply, review); 2 the run itself failed.

Configuration: [tool.ormend] in pyproject.toml, or ormend.toml.";

const CHECK_HELP: &str = "\
Examples:
  ormend check
  ormend check --select eager-loading --show-withheld shop/
  ormend check --changed --output-format github

Exit status: 0 there are no findings; 1 there are (withheld ones count with --show-withheld); 2 the run itself failed.";

const FIX_HELP: &str = "\
Examples:
  ormend fix
  ormend fix --select select-related,exists shop/views.py
  ormend fix --undo

Files are replaced whole or not at all. Where the git repository has changes that are not committed nothing is written.

Exit status: 0 what could be applied is applied; 1 a file was left as it is, which is told; 2 the run itself failed.";

const PLAN_HELP: &str = "\
Examples:
  ormend plan -o plan.json
  ormend plan --split-by owner -o parts/

Exit status: 0 the plan is written; 2 the run itself failed.";

const APPLY_HELP: &str = "\
Examples:
  ormend apply plan.json
  ormend apply --atomic parts/*.plan.json

`ormend fix --undo` takes it back. Exit status: 0 all selected fixes are applied; 1 some were refused; 2 the run itself \
failed.";

const MERGE_HELP: &str = "\
Example, with a run of each repository in runs/:
  ormend check --exit-zero --show-withheld --output-format jsonl > runs/shop.jsonl
  ormend report merge runs/*.jsonl --output-format html -o report.html";

const DIFF_HELP: &str = "\
Examples:
  ormend diff | git apply
  ormend diff --unsafe-fixes --select bulk-writes shop/

Exit status: 0 nothing would change; 1 something would; 2 the run itself failed.

Paths in the diff are relative to the working directory, so that `ormend diff | git apply` works from where it \
was made. If a changed file lies outside the working directory, all of them are relative to the project root, \
and a note on standard error says so; apply it there with `git -C ROOT apply`.";

const CONFIG_HELP: &str = "\
The flags of `ormend check` that change the configuration are taken here too. What is printed as text is a configuration that \
says the same.

Examples:
  ormend config
  ormend config --output-format json shop/
  ormend config --schema > ormend.schema.json

Exit status: 0; 2 the configuration is wrong.";

const REVIEW_HELP: &str = "\
A key answers for each fix: y takes it, n leaves it, ? shows the other keys. Unsafe fixes are shown too, and only `y` takes \
one. What was taken is applied at the end. Ctrl-C gives up: nothing is applied or written, and the run ends as \
interrupted (130 in a shell).\n\n\
A single PATH that ends in .json is a plan of `ormend plan`, and so is what `-` reads: it is shown as it is. Of other \
paths a plan is made with the flags given here.";

const COMPLETIONS_HELP: &str = "\
Examples:
  ormend completions bash > ~/.local/share/bash-completion/completions/ormend
  ormend completions zsh > ~/.zfunc/_ormend
  ormend completions fish > ~/.config/fish/completions/ormend.fish
  ormend completions powershell >> $PROFILE

zsh looks into ~/.zfunc where ~/.zshrc has `fpath+=~/.zfunc` before `compinit`. New shells complete.";

const SERVER_HELP: &str = "\
An editor starts it and speaks the Language Server Protocol with it on standard input and output. It reads the project as \
`ormend check` does, with the open buffers in the place of their files, and writes nothing.

Exit status: 0 after the client has said that it is over; 1 the client is gone; 2 the run itself failed.";

const MAN_HELP: &str = "\
Examples:
  ormend man | man -l -
  ormend man -o ~/.local/share/man/man1";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show findings: their place, why they matter, and what the fix would be
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Show the unified diff of the fixes; writes nothing
    #[command(after_help = DIFF_HELP)]
    Diff(DiffArgs),
    /// Apply the fixes in place, or undo the last run
    #[command(after_help = FIX_HELP)]
    Fix(FixArgs),
    /// Write every fix as data, to be reviewed, split and applied later
    #[command(after_help = PLAN_HELP)]
    Plan(PlanArgs),
    /// Apply the selected fixes of a plan; what no longer fits is refused
    #[command(after_help = APPLY_HELP)]
    Apply(ApplyArgs),
    /// Look at fixes one by one, in the terminal or in a browser, and apply those that are taken
    #[command(after_help = REVIEW_HELP)]
    Review(ReviewArgs),
    /// Put the findings of many repositories together
    Report(ReportArgs),
    /// Say what a codemod does and when it is safe, or what a hazard means
    Explain(ExplainArgs),
    /// List the codemods by group
    Codemods(CodemodsArgs),
    /// Show the project's models as ormend understands them
    Models(ModelsArgs),
    /// Show the configuration that holds, and where each value comes from
    #[command(after_help = CONFIG_HELP)]
    Config(ConfigArgs),
    /// Remove the results of earlier runs that are kept to make the next one fast
    Clean(CleanArgs),
    /// Serve an editor: findings while one types, fixes, what is known of an expression
    #[command(after_help = SERVER_HELP)]
    Server(ServerArgs),
    /// Print what makes a shell complete commands, flags and their values
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(CompletionsArgs),
    /// Print the manual page, or write those of all commands
    #[command(after_help = MAN_HELP)]
    Man(ManArgs),
}

#[derive(Debug, Args)]
pub struct Output {
    /// When to use colours; by default where the stream is a terminal
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto", display_order = 900)]
    pub color: Color,
    /// Print the result and errors only: no warnings, no summary
    #[arg(long, short, global = true, conflicts_with = "verbose", display_order = 901)]
    pub quiet: bool,
    /// Also print what was read and decided
    #[arg(long, short, global = true, display_order = 902)]
    pub verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// Headings of the flags that commands have in common.
const FILES: &str = "Files";
const CODEMODS: &str = "Codemods";

/// Which files.
#[derive(Clone, Debug, Default, Args)]
pub struct InputArgs {
    /// Files and directories; `-` reads one file from standard input (check, diff, fix)
    ///
    /// Models are read from the whole project, however few paths are asked for. A file that is named here is
    /// looked at even if it is a test, a migration, or ignored.
    #[arg(value_name = "PATH", default_value = ".")]
    pub paths: Vec<PathBuf>,
    /// With `-`: the path of the file that standard input holds
    #[arg(long, value_name = "PATH", help_heading = FILES)]
    pub stdin_filename: Option<PathBuf>,
    /// How many threads to use; by default one a core
    #[arg(long, short, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
}

/// What the configuration says otherwise.
#[derive(Clone, Debug, Default, Args)]
pub struct SettingArgs {
    /// Only these codemods or groups, separated by commas; `ormend codemods` lists them
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = CODEMODS)]
    pub select: Vec<String>,
    /// Leave these codemods or groups out, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = CODEMODS)]
    pub ignore: Vec<String>,
    /// Also choose unsafe fixes, which may change behaviour in the way that the finding names
    #[arg(long, help_heading = CODEMODS)]
    pub unsafe_fixes: bool,
    /// Also look at tests
    #[arg(long, help_heading = FILES)]
    pub include_tests: bool,
    /// Also look at migrations
    #[arg(long, help_heading = FILES)]
    pub include_migrations: bool,
}

/// Which codemods, over which files.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub settings: SettingArgs,
    /// Only files that differ from this revision of git, those that git does not know yet included
    ///
    /// Without a revision: from where the branch left the default branch.
    #[arg(long, value_name = "REV", num_args = 0..=1, require_equals = true, help_heading = FILES)]
    pub changed: Option<Option<String>>,
    /// Leave out the findings that this file lists; --write-baseline makes it
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Show a table: codemod, safe, unsafe and withheld (by reason), files
    ///
    /// `ormend explain REASON` says what a reason means.
    #[arg(long)]
    pub statistics: bool,
    /// Neither use the result of an earlier run nor keep this one's
    ///
    /// Results are kept in .ormend/cache of the project, for runs over exactly the same files with the same settings.
    #[arg(long)]
    pub no_cache: bool,
}

impl RunArgs {
    /// Whether no flag narrows what the project's configuration asks for.
    pub fn is_whole(&self) -> bool {
        self.settings.select.is_empty() && self.settings.ignore.is_empty() && self.changed.is_none()
    }
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
    /// Write all findings to the file of --baseline instead of showing them
    #[arg(long, requires = "baseline", conflicts_with = "changed")]
    pub write_baseline: bool,
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
    /// A table and a section a codemod, for a comment on a pull request
    Markdown,
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
    /// The form of the diff
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "unified")]
    pub output_format: DiffFormat,
    /// Exit with 0 even if the diff is not empty
    #[arg(long)]
    pub exit_zero: bool,
}

/// What is to hold before anything is written.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct WriteArgs {
    /// Write although the git repository has changes that are not committed
    #[arg(long)]
    pub allow_dirty: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// As `git apply` takes it
    Unified,
    /// One JSON document: each file with its diff and the hashes before and after
    Json,
}

#[derive(Debug, Args)]
pub struct FixArgs {
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub write: WriteArgs,
    /// Give the files of the last `fix`, `apply` or `review` in the project their old content again
    ///
    /// Files that changed since are left as they are.
    #[arg(long, conflicts_with_all = ["select", "ignore", "unsafe_fixes", "changed", "baseline", "statistics"])]
    pub undo: bool,
    /// Exit with 1 if anything was fixed
    #[arg(long)]
    pub exit_non_zero_on_fix: bool,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Write the plan to this file instead of standard output; with --split-by, the parts into this directory
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write a plan a part, each with a commit message and the text of a pull request, and a list of them
    ///
    /// Every fix is in one part. The parts are made to be applied each on a branch of its own, all of them from the
    /// commit that was planned, or together: `ormend apply DIR/*.plan.json`. What an earlier run wrote into the
    /// directory is replaced.
    #[arg(long, value_enum, value_name = "WHAT", requires = "output")]
    pub split_by: Option<SplitBy>,
    /// Print the JSON schema of plans, and look at nothing
    #[arg(long, exclusive = true)]
    pub schema: bool,
}

/// What makes a part of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SplitBy {
    /// A part a codemod
    Codemod,
    /// A part for the owners of the file of the finding, after CODEOWNERS
    Owner,
    /// A part a directory, below the one that all findings have in common
    Directory,
}

#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The plan, or several that were written from the same files; `-` reads one from standard input
    #[arg(value_name = "PLAN", required = true)]
    pub plans: Vec<PathBuf>,
    /// The project root that the paths of the plan start from; by default that of the working directory
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Apply all of the selected fixes or, where one is refused, none
    #[arg(long)]
    pub atomic: bool,
    #[command(flatten)]
    pub write: WriteArgs,
}

#[derive(Debug, Args)]
pub struct ReviewArgs {
    // The flags choose what is planned; a plan is shown as it is. One path with the ending .json is a plan.
    #[command(flatten)]
    pub run: RunArgs,
    /// Write one page to review the fixes in a browser instead of asking; it loads nothing from anywhere
    #[arg(long, value_name = "FILE", conflicts_with = "output")]
    pub html: Option<PathBuf>,
    /// With a plan: the project root that its paths start from; by default that of the working directory
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Write the plan, with what was taken selected, to this file instead of applying it
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub write: WriteArgs,
}

#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(subcommand)]
    pub command: ReportCommand,
}

#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    /// Put runs of `ormend check --output-format jsonl` together, each of one repository
    #[command(after_help = MERGE_HELP)]
    Merge(MergeArgs),
}

#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The runs. A repository is called as its file, or as the directory that this is in if files have equal names
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// The form of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub output_format: MergeFormat,
    /// Write the report to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MergeFormat {
    /// For reading
    Table,
    /// One page for a browser, which loads nothing from anywhere
    Html,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The name of a codemod, as `ormend codemods` lists it, or of a hazard, as a finding or --statistics names it
    pub name: String,
}

#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The project, or anything in it
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
    #[command(flatten)]
    pub settings: SettingArgs,
    /// The form of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub output_format: ListFormat,
    /// Print the JSON schema of the configuration, and look at nothing
    #[arg(long, exclusive = true)]
    pub schema: bool,
}

#[derive(Debug, Args)]
pub struct CodemodsArgs {
    /// The form of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub output_format: ListFormat,
}

#[derive(Debug, Args)]
pub struct CleanArgs {
    /// The project, or anything in it
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
}

#[derive(Debug, Args)]
pub struct ServerArgs {
    // What some clients add to every command.
    #[arg(long, hide = true)]
    stdio: bool,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page a command into this directory, as `man` looks for them: ormend.1, ormend-check.1, ...
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ModelsArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// The form of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub output_format: ListFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For reading
    Text,
    /// Everything that is known, as one JSON document
    Json,
}
