//! Whether an edit changes only what a file does, not what other files know of it.

use super::ast::Node;
use super::kind::Field;
use super::program::{Parsed, Program};
use super::symbols::{RawFunction, Symbols};
use crate::text::FileId;

impl Program {
    /// Whether nothing but bodies of functions differs between `file` and `after`, which is going to be the file: it has the
    /// same classes and functions then, and they are of the same kinds.
    pub(crate) fn differs_in_bodies(&self, file: FileId, after: &Parsed) -> bool {
        let before = self.parsed(file);
        let (Some(old), Some(new)) = (Version::of(&before), Version::of(after)) else { return false };
        let is_like = |(old, new): (&RawFunction, &RawFunction)| old.is_generator == new.is_generator;
        before.source.path() == after.source.path()
            && old.outside() == new.outside()
            && old.symbols.rebound == new.symbols.rebound
            && old.symbols.functions.iter().zip(&new.symbols.functions).all(is_like)
    }
}

/// One of the two.
struct Version<'a> {
    root: Node<'a>,
    symbols: &'a Symbols,
}

impl<'a> Version<'a> {
    fn of(parsed: &'a Parsed) -> Option<Version<'a>> {
        let (ast, source) = (parsed.ast(), parsed.source());
        if ast.is_empty() || ast.is_too_deep() || source.is_template() || source.problem().is_some() {
            return None;
        }
        Some(Version { root: ast.root(source.text()), symbols: &parsed.symbols })
    }

    /// What stands around the bodies of the functions that others know, without the space at their ends.
    fn outside(&self) -> Vec<&'a str> {
        let text = self.root.file_text();
        let mut out = Vec::new();
        let mut at = 0;
        for function in &self.symbols.functions {
            let Some(body) = self.root.at(function.node).child(Field::Body) else { continue };
            let span = body.span();
            out.push(text.get(at..span.start as usize).unwrap_or_default().trim());
            at = span.end as usize;
        }
        out.push(text.get(at..).unwrap_or_default().trim());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Source;

    const VIEW: &str = "import a\n\n\ndef one(x):\n    y = first(x)\n    return y\n\n\nclass A:\n    def two(self):\n        return second()\n";

    fn differs_in_bodies(from: &str, to: &str) -> bool {
        let source = |text: &str| Source::new("shop/views.py", text.as_bytes().to_vec());
        let program = Program::build(vec![source(VIEW)]);
        program.differs_in_bodies(FileId(0), &Parsed::new(source(&VIEW.replace(from, to))))
    }

    #[test]
    fn an_edit_inside_of_functions_is_one_of_bodies() {
        for (from, to) in [
            ("first(x)", "third(x, 'book')"),
            ("    return y", "    z = y\n    return z"),
            ("    return y", "    # All.\n    return y"),
            ("return second()\n", "return second()\n\n\n"),
        ] {
            assert!(differs_in_bodies(from, to), "{to}");
        }
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
            ("def one", "@cached\ndef one"),
            // What does not parse takes the class with it.
            ("return second()", "return second("),
        ] {
            assert!(!differs_in_bodies(from, to), "{to}");
        }
    }
}
