//! A plan in parts, each a pull request of its own. Every fix is in exactly one part, and each part can be applied to the
//! files that were planned, whether or not others are.

mod description;
mod folder;

pub use folder::write;

use crate::cli::SplitBy;
use crate::owners::Owners;
use crate::plan::{Plan, PlannedFix};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The longest name of a part, in characters: with an ending and a number a file can still have it.
const MAX_NAME: usize = 50;

/// A part.
pub struct Part {
    /// What its files are called. No other part has the name, even where case does not count.
    pub name: String,
    /// What it is a part by.
    pub key: Key,
    /// Its fixes and the files that they change.
    pub plan: Plan,
}

/// What the fixes of a part have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The name of the codemod.
    Codemod(String),
    /// The owners of the files of the findings; none for files without owners.
    Owners(Vec<String>),
    /// The directory that all findings have in common, or what stands directly below it.
    Directory {
        /// The common one, as a path; empty for the project root.
        common: String,
        /// What stands below; nothing for the files of the common one itself.
        below: Option<String>,
    },
}

impl Part {
    /// The fixes that `ormend apply` would apply.
    pub fn selected(&self) -> Vec<&PlannedFix> {
        self.plan.fixes.iter().filter(|fix| fix.selected).collect()
    }

    /// The name of the file of its plan.
    pub fn plan_file(&self) -> String {
        format!("{}.plan.json", self.name)
    }
}

/// The parts of `plan`, by their keys. `root` is the project root.
pub fn split(plan: &Plan, by: SplitBy, owners: &Owners, root: &Path) -> Vec<Part> {
    let common = common_directory(plan.fixes.iter().map(|fix| fix.path.as_str()));
    let key = |fix: &PlannedFix| match by {
        SplitBy::Codemod => Key::Codemod(fix.codemod.clone()),
        SplitBy::Owner => {
            let owners: BTreeSet<String> = owners.of(&fix.path).into_iter().collect();
            Key::Owners(owners.into_iter().collect())
        }
        SplitBy::Directory => {
            let rest = fix.path.strip_prefix(&common).unwrap_or(&fix.path).trim_start_matches('/');
            let below = rest.split_once('/').map(|(first, _)| first.to_owned());
            Key::Directory { common: common.clone(), below }
        }
    };
    let mut members: BTreeMap<Key, Vec<PlannedFix>> = BTreeMap::new();
    for fix in &plan.fixes {
        members.entry(key(fix)).or_default().push(fix.clone());
    }
    let mut taken = BTreeSet::new();
    let part =
        |(key, fixes)| Part { name: unused(&name(&key, root), &mut taken), key, plan: plan.part(fixes) };
    members.into_iter().map(part).collect()
}

/// The directory above all of `paths`, without a slash at its end; empty for the root.
fn common_directory<'a>(mut paths: impl Iterator<Item = &'a str>) -> String {
    fn directories(path: &str) -> Vec<&str> {
        let mut parts: Vec<&str> = path.split('/').collect();
        parts.pop();
        parts
    }
    let mut common = paths.next().map(directories).unwrap_or_default();
    for path in paths {
        let same = common.iter().zip(directories(path)).take_while(|(a, b)| *a == b).count();
        common.truncate(same);
    }
    common.join("/")
}

/// `select-related`, `org-shop_ann-example-com`, `catalog`
fn name(key: &Key, root: &Path) -> String {
    let last = |path: &str| path.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned);
    match key {
        Key::Codemod(name) => plain(name),
        Key::Owners(owners) if owners.is_empty() => "unowned".to_owned(),
        Key::Owners(owners) => owners.iter().map(|owner| plain(owner)).collect::<Vec<_>>().join("_"),
        Key::Directory { below: Some(name), .. } => plain(name),
        Key::Directory { common, below: None } => {
            let root = root.file_name().map(|name| name.to_string_lossy().into_owned());
            plain(&last(common).or(root).unwrap_or_default())
        }
    }
}

/// `name` without what means something to a shell, to git or to a file system: every run of it is a hyphen.
fn plain(name: &str) -> String {
    let is_kept = |c: char| c.is_alphanumeric() || c == '_';
    let words: Vec<&str> = name.split(|c| !is_kept(c)).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "part".to_owned() } else { words.join("-") }
}

/// `name`, cut to its longest and with a number if it is taken.
fn unused(name: &str, taken: &mut BTreeSet<String>) -> String {
    let name: String = name.chars().take(MAX_NAME).collect();
    let mut candidate = name.clone();
    let mut number = 2;
    while !taken.insert(candidate.to_lowercase()) {
        candidate = format!("{name}-{number}");
        number += 1;
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(common: &str, below: Option<&str>) -> Key {
        Key::Directory { common: common.into(), below: below.map(str::to_owned) }
    }

    #[test]
    fn directories_in_common() {
        let common = |paths: &[&str]| common_directory(paths.iter().copied());
        assert_eq!(common(&["src/shop/a.py", "src/shop/b.py"]), "src/shop");
        assert_eq!(common(&["src/shop/a.py", "src/web/b.py"]), "src");
        assert_eq!(common(&["src/shop/a.py", "src/b.py"]), "src");
        assert_eq!(common(&["shop/a.py", "shopping/a.py"]), "");
        assert_eq!(common(&["a.py"]), "");
        assert_eq!(common(&[]), "");
    }

    #[test]
    fn names_are_plain_and_none_is_taken_twice() {
        let root = Path::new("/home/my shop");
        let owners = |owners: &[&str]| Key::Owners(owners.iter().map(|o| (*o).to_owned()).collect());
        assert_eq!(name(&owners(&["@org/team"]), root), "org-team");
        assert_eq!(name(&owners(&["@web", "ann@example.com"]), root), "web_ann-example-com");
        assert_eq!(name(&owners(&[]), root), "unowned");
        assert_eq!(name(&directory("src/shop", None), root), "shop");
        assert_eq!(name(&directory("", None), root), "my-shop");
        assert_eq!(name(&directory("src", Some("..`a|b`\n")), root), "a-b");
        assert_eq!(name(&directory("src", Some("-\u{202e}")), root), "part");
        let mut taken = BTreeSet::new();
        let names =
            ["web", "Web", "web", "web-2", &"\u{e9}".repeat(300)].map(|name| unused(name, &mut taken));
        assert_eq!(names[..4], ["web", "Web-2", "web-3", "web-2-2"]);
        assert_eq!(names[4].chars().count(), MAX_NAME);
    }
}
