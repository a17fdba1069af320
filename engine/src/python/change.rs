//! What an edit changes, where it only changes the bodies of functions: everything that other files know of this one stays
//! as it is.

use super::ast::{Ast, Node};
use super::kind::{Field, Kind};
use super::program::{Parsed, Program};
use super::symbols::{RawFunction, Symbols};
use super::touched::Things;
use crate::text::FileId;
use rustc_hash::FxHashMap;

/// Words that ask by parts of names, or for anything: who asks so is not known by names.
const OPEN: &[&str] = &["setattr", "_prefetched_objects_cache"];

impl Program {
    /// The file, and the names in the statements, that differ between this program and `after`, which is going to be the
    /// file. Nothing where more differs than bodies of functions.
    pub(crate) fn change(&self, file: FileId, after: &Parsed) -> Option<Things> {
        let before = self.parsed(file);
        let (old, new) = (Version::of(&before)?, Version::of(after)?);
        if before.source.path() != after.source.path() || old.outside() != new.outside() {
            return None;
        }
        let mut changed = Things::default();
        changed.add_file(file);
        for ((old_function, old_body), (new_function, new_body)) in old.bodies().zip(new.bodies()) {
            if old_function.is_generator != new_function.is_generator {
                return None;
            }
            if old_body.text() != new_body.text() {
                for text in differing(old_body, new_body) {
                    if OPEN.iter().any(|word| text.contains(word)) {
                        return None;
                    }
                    words(text).for_each(|word| changed.add_name(word));
                }
            }
        }
        (old.symbols.rebound == new.symbols.rebound).then_some(changed)
    }
}

/// One of the two.
struct Version<'a> {
    root: Node<'a>,
    symbols: &'a Symbols,
}

impl<'a> Version<'a> {
    fn of(parsed: &'a Parsed) -> Option<Version<'a>> {
        let ast: &Ast = parsed.ast();
        let source = parsed.source();
        if ast.is_empty() || ast.is_too_deep() || source.is_template() || source.problem().is_some() {
            return None;
        }
        Some(Version { root: ast.root(source.text()), symbols: &parsed.symbols })
    }

    /// Every function that others know, with its body.
    fn bodies(&self) -> impl Iterator<Item = (&'a RawFunction, Node<'a>)> {
        let root = self.root;
        let functions = self.symbols.functions.iter();
        functions.filter_map(move |function| Some((function, root.at(function.node).child(Field::Body)?)))
    }

    /// What stands around the bodies, without the space at their ends.
    fn outside(&self) -> Vec<&'a str> {
        let text = self.root.file_text();
        let mut out = Vec::new();
        let mut at = 0;
        for (_, body) in self.bodies() {
            let span = body.span();
            out.push(text.get(at..span.start as usize).unwrap_or_default().trim());
            at = span.end as usize;
        }
        out.push(text.get(at..).unwrap_or_default().trim());
        out
    }
}

/// The statements, and headers of compound ones, that only one of two bodies has. What did not parse is compared as a whole.
fn differing<'a>(before: Node<'a>, after: Node<'a>) -> Vec<&'a str> {
    if before.has_error() || after.has_error() {
        return vec![before.text(), after.text()];
    }
    let mut count: FxHashMap<&str, i32> = FxHashMap::default();
    for (body, step) in [(before, 1), (after, -1)] {
        for node in body.descendants() {
            let has_block = node.child_of_kind(Kind::Block).is_some();
            if has_block || node.parent().is_some_and(|parent| parent.kind() == Kind::Block) {
                let span = node.header();
                let text = node.file_text().get(span.start as usize..span.end as usize);
                *count.entry(text.unwrap_or_default()).or_default() += step;
            }
        }
    }
    count.into_iter().filter(|(_, count)| *count != 0).map(|(text, _)| text).collect()
}

/// The names in a text, and those that lookups join by `__`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    words.flat_map(|word| std::iter::once(word).chain(word.split("__").filter(move |part| *part != word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::touched;
    use crate::text::Source;

    fn change(before: &str, after: &str) -> Option<Things> {
        let source = |text: &str| Source::new("shop/views.py", text.as_bytes().to_vec());
        Program::build(vec![source(before)]).change(FileId(0), &Parsed::new(source(after)))
    }

    fn names(change: &Things, name: &str) -> bool {
        let ((), touched) = touched::noting(|| touched::record(|| touched::touch_name(name)));
        touched.any_of(change)
    }

    const VIEW: &str = "import a\n\n\ndef one(x):\n    y = first(x)\n    return y\n\n\nclass A:\n    def two(self):\n        return second()\n";

    #[test]
    fn names_in_statements_that_differ_are_changed() {
        let changed = change(VIEW, &VIEW.replace("first(x)", "third(x, 'book__author')")).unwrap();
        for name in ["y", "x", "first", "third", "book__author", "book", "author"] {
            assert!(names(&changed, name), "{name}");
        }
        assert!(!names(&changed, "second") && !names(&changed, "one"));
    }

    #[test]
    fn what_others_know_of_the_file_is_no_body() {
        for (from, to) in [
            ("import a", "import b"),
            ("def one(x)", "def one(x, z)"),
            ("class A", "class B"),
            ("        return second()", "        yield second()"),
            ("    y = first", "    global y\n    y = first"),
            ("\n\nclass A", "\n\nX = 1\n\n\nclass A"),
            ("    return y\n", "    setattr(y, 'name', 1)\n"),
            ("def one", "@cached\ndef one"),
        ] {
            assert!(change(VIEW, &VIEW.replace(from, to)).is_none(), "{to}");
        }
    }

    #[test]
    fn a_header_is_compared_without_its_block() {
        let loop_of = |over: &str, does: &str| format!("def f():\n    for x in {over}:\n        {does}\n");
        let changed = change(&loop_of("rows", "first(x)"), &loop_of("rows", "second(x)")).unwrap();
        assert!(names(&changed, "second") && !names(&changed, "rows"));
        let changed = change(&loop_of("rows", "first(x)"), &loop_of("others", "first(x)")).unwrap();
        assert!(names(&changed, "others") && names(&changed, "rows") && !names(&changed, "first"));
    }

    #[test]
    fn what_does_not_parse_is_changed_as_a_whole() {
        let changed = change(VIEW, &VIEW.replace("y = first(x)", "y = = first(x)")).unwrap();
        assert!(names(&changed, "return") && names(&changed, "first") && !names(&changed, "second"));
    }
}
