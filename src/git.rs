//! What git says of a project. Git itself is asked; nothing that the project's own configuration names is run by it.

use crate::discover::reason;
use crate::escape::escape_line;
use crate::paths::Paths;
use miette::miette;
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How many files a message names.
const NAMED: usize = 3;

/// What turns off what git would run, or ask of another file, on its own account.
const GUARDS: [&str; 4] =
    ["core.fsmonitor=false", "core.hooksPath=/dev/null", "diff.relative=false", "diff.orderFile=/dev/null"];

/// What git sets for its hooks, and what else leads it to another repository, index or configuration than the one that
/// is found from the project's directory, or changes how it reads our arguments.
const ELSEWHERE: [&str; 17] = [
    "GIT_DIR",
    "GIT_COMMON_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_GRAFT_FILE",
    "GIT_SHALLOW_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_CONFIG",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
];

/// The name of an empty variable. Names of filters may hold `=`, which `-c` takes for the end of a name.
const EMPTY: &str = "ORMEND_EMPTY";

/// A repository that holds a project.
pub struct Repository {
    root: PathBuf,
    /// Its own directory, free of links.
    top: PathBuf,
    /// Options that turn off what its configuration would run.
    guards: Vec<OsString>,
}

impl Repository {
    /// That of the project at `root`; `None` if there is none. An error if git cannot say.
    pub fn find(root: &Path) -> miette::Result<Option<Repository>> {
        if !root.ancestors().any(|dir| dir.join(".git").exists()) {
            return Ok(None);
        }
        let mut repository = Repository {
            root: root.to_path_buf(),
            top: PathBuf::new(),
            guards: GUARDS.iter().flat_map(|guard| ["-c", guard]).map(OsString::from).collect(),
        };
        let top = match repository.ask(&["rev-parse", "--show-toplevel"]) {
            Ok(bytes) => path_of(bytes.strip_suffix(b"\n").unwrap_or(&bytes)),
            Err(why) if why.contains("not a git repository") => return Ok(None),
            Err(why) => return Err(failure(&why)),
        };
        repository.top = std::fs::canonicalize(&top).unwrap_or(top);
        if !root.starts_with(&repository.top) {
            // `core.worktree` leads it elsewhere: what it would say is not said of this project.
            return Ok(None);
        }
        // Filters turn what is stored into what is in the working tree, and git runs them to compare. Those of the user's
        // own configuration are the user's business.
        let settings = repository
            .ask(&["config", "--list", "--show-scope", "--name-only", "-z"])
            .map_err(|why| failure(&why))?;
        let mut fields = settings.split(|byte| *byte == 0);
        while let (Some(scope), Some(name)) = (fields.next(), fields.next()) {
            if matches!(scope, b"local" | b"worktree") && name.starts_with(b"filter.") {
                repository.guards.extend(without_filter(name));
            }
        }
        Ok(Some(repository))
    }

    /// Files with changes that are not committed, absolute: all that git knows, and of the others those among `paths`
    /// (absolute).
    pub fn dirty(&self, paths: &[PathBuf]) -> miette::Result<Vec<PathBuf>> {
        let status = [
            "status",
            "--porcelain=v1",
            "-z",
            "--untracked-files=all",
            "--ignore-submodules=all",
            "--no-renames",
        ];
        let bytes = self.ask(&status).map_err(|why| failure(&why))?;
        let paths: FxHashSet<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let entries =
            bytes.split(|byte| *byte == 0).filter_map(|entry| Some((entry.get(..2)?, entry.get(3..)?)));
        let files = entries.map(|(state, name)| (state, self.top.join(path_of(name))));
        let is_ours = |state: &[u8], file: &Path| state != b"??" || paths.contains(file);
        Ok(files.filter(|(state, file)| is_ours(state, file)).map(|(_, file)| file).collect())
    }

    /// The files that differ from the revision `since`, absolute, those that git does not know yet included. Without one, from
    /// where the branch left the default branch.
    pub fn changed(&self, since: Option<&str>) -> miette::Result<FxHashSet<PathBuf>> {
        let base = match since {
            Some(rev) => self.commit(rev).map_err(|why| {
                miette!(
                    help = "give a commit, a branch or a tag: `--changed=main`",
                    "`{}` is no revision that git knows: {}",
                    escape_line(rev),
                    escape_line(&why)
                )
            })?,
            None => self.fork_point()?,
        };
        let diff = [
            "diff",
            "--name-only",
            "-z",
            "--no-ext-diff",
            "--no-textconv",
            "--no-renames",
            "--diff-filter=d",
            "--ignore-submodules=all",
        ];
        let mut args = diff.to_vec();
        args.extend([base.as_str(), "--"]);
        let changed = self.ask(&args).map_err(|why| failure(&why))?;
        let new = ["ls-files", "--others", "--exclude-standard", "--full-name", "-z", "--", ":/"];
        let new = self.ask(&new).map_err(|why| failure(&why))?;
        let names = [changed, new].concat();
        let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| self.top.join(path_of(name))).collect())
    }

    /// Where HEAD left the default branch.
    fn fork_point(&self) -> miette::Result<String> {
        let remote = self.word(&["symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"]).ok();
        let configured = self.word(&["config", "init.defaultBranch"]).ok();
        let usual = ["origin/main", "origin/master", "main", "master"].map(str::to_owned);
        let names = remote.into_iter().chain(usual).chain(configured);
        let default = names.into_iter().find_map(|name| self.commit(&name).ok()).ok_or_else(|| {
            miette!(
                help = "name a revision: `--changed=REV`",
                "--changed: git does not say which branch is the default one"
            )
        })?;
        self.word(&["merge-base", &default, "HEAD"]).map_err(|_| {
            miette!(
                help = "fetch more of the history, or name a revision: `--changed=REV`",
                "--changed: the branch has no commit in common with the default branch"
            )
        })
    }

    /// The commit that `rev` names.
    fn commit(&self, rev: &str) -> Result<String, String> {
        let name = format!("{rev}^{{commit}}");
        let commit = self
            .word(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name])
            .map_err(|why| if why.is_empty() { "there is no such commit".to_owned() } else { why })?;
        // `^main` is what is not in it.
        if commit.starts_with('^') { Err("it names what is left out".to_owned()) } else { Ok(commit) }
    }

    /// The one line that git prints, or why it does not.
    fn word(&self, args: &[&str]) -> Result<String, String> {
        Ok(String::from_utf8_lossy(&self.ask(args)?).trim().to_owned())
    }

    /// What git prints, or why it does not.
    fn ask(&self, args: &[&str]) -> Result<Vec<u8>, String> {
        let mut git = Command::new("git");
        for name in ELSEWHERE {
            git.env_remove(name);
        }
        let output = git
            .args(&self.guards)
            .arg("-C")
            .arg(&self.root)
            .args(args)
            .env("LC_ALL", "C")
            // Looking must not write, nor wait for a lock.
            .env("GIT_OPTIONAL_LOCKS", "0")
            // What a partial clone lacks would be fetched, by programs that its configuration names.
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_ALLOW_PROTOCOL", "")
            .env(EMPTY, "")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("git cannot be run: {}", reason(&error)))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let text = String::from_utf8_lossy(&output.stderr);
        // Warnings may stand before it.
        let fatal = text.lines().find_map(|line| line.strip_prefix("fatal: "));
        Err(fatal.or_else(|| text.lines().next()).unwrap_or("").to_owned())
    }
}

/// The option that makes the setting `name` of a filter say that nothing is run, and that this is no failure.
fn without_filter(name: &[u8]) -> Option<OsString> {
    let keys: [&[u8]; 3] = [b".clean", b".process", b".required"];
    keys.iter()
        .any(|key| name.ends_with(key))
        .then(|| path_of(&[b"--config-env=", name, b"=", EMPTY.as_bytes()].concat()).into_os_string())
}

/// Refuse if files in the project's repository, or in one inside of it that holds what is to be written, have changes that are
/// not committed, for these would be mixed with ours. `changed` are the absolute paths of what is to be written. Whether
/// there is a repository.
pub fn require_clean(paths: &Paths, changed: &[PathBuf], allow_dirty: bool) -> miette::Result<bool> {
    let holder = |file: &PathBuf| {
        let mut dirs = file.ancestors().skip(1).take_while(|dir| dir.starts_with(&paths.root));
        dirs.find(|dir| dir.join(".git").exists()).map(Path::to_path_buf)
    };
    let mut roots: BTreeSet<PathBuf> = changed.iter().filter_map(holder).collect();
    roots.insert(paths.root.clone());
    let mut has_git = false;
    let mut dirty = BTreeSet::new();
    for root in roots {
        let found = Repository::find(&root);
        has_git |= root == paths.root && !matches!(found, Ok(None));
        match found {
            Ok(Some(repository)) if !allow_dirty => dirty.extend(repository.dirty(changed)?),
            Err(error) if !allow_dirty => {
                return Err(miette!(help = "give --allow-dirty to go on all the same", "{error}"));
            }
            _ => {}
        }
    }
    if dirty.is_empty() {
        return Ok(has_git);
    }
    let named: Vec<String> =
        dirty.iter().take(NAMED).map(|file| format!("`{}`", paths.show_absolute(file))).collect();
    let more = match dirty.len() - named.len() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    Err(miette!(
        help = "commit or stash them, or give --allow-dirty",
        "nothing was changed, for there are changes that are not committed, in {}{more}",
        named.join(", ")
    ))
}

fn failure(why: &str) -> miette::Report {
    miette!(
        help = "see what `git status` and `git diff` say in the project",
        "git cannot say what has changed: {}",
        escape_line(why)
    )
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}
