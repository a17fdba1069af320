//! Who owns a file, as the CODEOWNERS file of a repository says: the last pattern that matches wins.

use crate::discover::read;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::path::{Path, PathBuf};

/// Where GitHub and GitLab look, in this order.
const PLACES: [&str; 4] = [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS"];

/// The rules of one file.
#[derive(Default)]
pub struct Owners {
    /// The project root below the directory that the patterns start from.
    below: PathBuf,
    rules: Vec<Rule>,
}

struct Rule {
    glob: Gitignore,
    /// `docs/*` is for the files of the directory alone, unlike in .gitignore.
    is_flat: bool,
    owners: Vec<String>,
}

impl Owners {
    /// Those of the repository that holds the project at `root`, or of nobody.
    pub fn load(root: &Path) -> Owners {
        let top = root.ancestors().find(|dir| dir.join(".git").exists()).unwrap_or(root);
        let below = root.strip_prefix(top).unwrap_or(Path::new("")).to_path_buf();
        let text = PLACES.iter().find_map(|place| String::from_utf8(read(&top.join(place)).ok()?).ok());
        let rules = text.as_deref().unwrap_or("").lines().filter_map(rule).collect();
        Owners { below, rules }
    }

    /// The owners of the file with this path below the project root.
    pub fn of(&self, path: &str) -> Vec<String> {
        let path = self.below.join(path);
        let matches = |rule: &&Rule| match rule.is_flat {
            true => rule.glob.matched(&path, false).is_ignore(),
            false => rule.glob.matched_path_or_any_parents(&path, false).is_ignore(),
        };
        self.rules.iter().rev().find(matches).map(|rule| rule.owners.clone()).unwrap_or_default()
    }
}

/// `/shop/ @shop-team ann@example.com`; nothing for comments, and for GitLab's section headings.
fn rule(line: &str) -> Option<Rule> {
    let line = line.split(" #").next().unwrap_or("").trim();
    if line.is_empty() || line.starts_with(['#', '[', '^', '!']) {
        return None;
    }
    let mut words = words(line).into_iter();
    let mut glob = GitignoreBuilder::new("");
    let pattern = words.next()?;
    glob.add_line(None, &pattern).ok()?;
    let is_flat = pattern.ends_with("/*");
    Some(Rule { glob: glob.build().ok()?, is_flat, owners: words.collect() })
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
    }
}
