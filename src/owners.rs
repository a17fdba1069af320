//! Who owns a file, as the CODEOWNERS file of a repository says: the last pattern that matches wins.

use crate::discover::reason;
use crate::read;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where GitHub and GitLab look, in this order.
const PLACES: [&str; 4] = [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS"];

/// A larger file says nothing, as on GitHub.
const MAX_BYTES: usize = 3 << 20;

/// The rules of one file.
#[derive(Default)]
pub struct Owners {
    /// The project root below the directory that the patterns start from.
    below: PathBuf,
    rules: Vec<Rule>,
    /// Why the file that is there says nothing, in one line.
    pub problem: Option<String>,
}

struct Rule {
    pattern: String,
    /// Made when a path may match: a glob takes a thousand times the room of its pattern.
    glob: OnceLock<Gitignore>,
    owners: Vec<String>,
}

impl Owners {
    /// Those of the repository that holds the project at `root`, or of nobody.
    pub fn load(root: &Path) -> Owners {
        let top = root.ancestors().find(|dir| dir.join(".git").exists()).unwrap_or(root);
        let below = root.strip_prefix(top).unwrap_or(Path::new("")).to_path_buf();
        let mut owners = Owners { below, ..Owners::default() };
        for place in PLACES {
            match read::at_most(&top.join(place), MAX_BYTES + 1) {
                Ok(bytes) if bytes.len() > MAX_BYTES => {
                    let why = format!("{place}: it is larger than {} MB, so it is left out", MAX_BYTES >> 20);
                    owners.problem = Some(why);
                }
                Ok(bytes) => {
                    owners.rules = String::from_utf8_lossy(&bytes).lines().filter_map(rule).collect()
                }
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    continue;
                }
                Err(error) => {
                    owners.problem = Some(format!("{place}: it cannot be read: {}", reason(&error)));
                }
            }
            break;
        }
        owners
    }

    /// The owners of the file with this path below the project root.
    pub fn of(&self, path: &str) -> Vec<String> {
        let path = self.below.join(path);
        let text = path.to_string_lossy();
        self.rules
            .iter()
            .rev()
            .find(|rule| rule.matches(&path, &text))
            .map(|rule| rule.owners.clone())
            .unwrap_or_default()
    }
}

impl Rule {
    /// Whether it is for the file `path`, which `text` is too.
    fn matches(&self, path: &Path, text: &str) -> bool {
        if !text.starts_with(self.start()) {
            return false;
        }
        let glob = self.glob.get_or_init(|| {
            let mut glob = GitignoreBuilder::new("");
            // A pattern that is none matches nothing.
            let _ = glob.add_line(None, &self.pattern);
            glob.build().unwrap_or_else(|_| Gitignore::empty())
        });
        // `docs/*` is for the files of the directory alone, unlike in .gitignore.
        match self.pattern.ends_with("/*") {
            true => glob.matched(path, false).is_ignore(),
            false => glob.matched_path_or_any_parents(path, false).is_ignore(),
        }
    }

    /// What every path that it matches starts with.
    fn start(&self) -> &str {
        let pattern = self.pattern.trim_end_matches('/');
        // Without a slash in it, it is for a name in any directory.
        if !pattern.contains('/') {
            return "";
        }
        let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
        pattern.split(['*', '?', '[', '{', '\\']).next().unwrap_or("")
    }
}

/// `/shop/ @shop-team ann@example.com`; nothing for comments, and for GitLab's section headings.
fn rule(line: &str) -> Option<Rule> {
    let line = line.split(" #").next().unwrap_or("").trim();
    if line.is_empty() || line.starts_with(['#', '[', '^', '!']) {
        return None;
    }
    let mut words = words(line).into_iter();
    Some(Rule { pattern: words.next()?, glob: OnceLock::new(), owners: words.collect() })
}

/// The words of a line; a backslash keeps a space inside of one.
fn words(line: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut is_escaped = false;
    for c in line.chars() {
        if c.is_whitespace() && !is_escaped {
            out.push(String::new());
        } else if let Some(word) = out.last_mut() {
            word.push(c);
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    out.retain(|word| !word.is_empty());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_last_pattern_that_matches_wins() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        fs::create_dir_all(root.join(".github")).unwrap();
        let text = "\
# owners
*            @everyone
*.py         @python ann@example.com   # of code
/web/shop/   @shop
/web/a\\ b/   @space
/web/shop/free.py
/web/docs/*  @docs
";
        fs::write(root.join(".github/CODEOWNERS"), text).unwrap();
        let owners = Owners::load(&root.join("web"));
        assert_eq!(owners.of("x.html"), ["@everyone"]);
        assert_eq!(owners.of("x.py"), ["@python", "ann@example.com"]);
        assert_eq!(owners.of("shop/views.py"), ["@shop"]);
        assert_eq!(owners.of("other/shop/views.py"), ["@python", "ann@example.com"]);
        assert_eq!(owners.of("a b/views.py"), ["@space"]);
        assert_eq!(owners.of("shop/free.py"), [""; 0]);
        assert_eq!(owners.of("docs/a.txt"), ["@docs"]);
        assert_eq!(owners.of("docs/more/a.txt"), ["@everyone"]);
        assert_eq!(
            Owners::load(&root.join("nowhere/else")).of("shop/views.py"),
            ["@python", "ann@example.com"]
        );
        assert_eq!(Owners::default().of("x.py"), [""; 0]);
        fs::write(
            root.join(".github/CODEOWNERS"),
            "shop @a\n/shop/*/x.py @b\n/shop @c\n/sho @d\n/s?op/y.py @e\nz/ @f\n",
        )
        .unwrap();
        let owners = Owners::load(&root);
        assert_eq!(owners.of("shop/a/x.py"), ["@c"]);
        assert_eq!(owners.of("web/shop/a.py"), ["@a"]);
        assert_eq!(owners.of("shop/y.py"), ["@e"]);
        assert_eq!(owners.of("a/z/y.py"), ["@f"]);
        assert_eq!(owners.of("shopping.py"), [""; 0]);
        fs::write(root.join(".github/CODEOWNERS"), "* @a\n".repeat(MAX_BYTES / 4)).unwrap();
        let owners = Owners::load(&root);
        assert_eq!(owners.of("x.py"), [""; 0]);
        assert_eq!(
            owners.problem.as_deref(),
            Some(".github/CODEOWNERS: it is larger than 3 MB, so it is left out")
        );
    }
}
