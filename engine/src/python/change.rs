//! What an edit changes: only what a file does, or also what other files know of it.

use super::ast::{Node, NodeId};
use super::imports::Target;
use super::kind::{Field, Kind};
use super::program::{Def, Member, Parsed, Program};
use super::search_path;
use super::symbols::{RawFunction, Symbols};
use super::touched::Things;
use crate::text::FileId;
use std::sync::Arc;

/// How far an edit of a file reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Bodies of functions: what other files know of it stays as it is.
    Bodies,
    /// What other files know of it, too, which has the same classes and functions.
    Outline,
    /// Other classes or functions, or other directories on the path of modules: numbers stand for other things then.
    Everything,
}

impl Program {
    /// This program with `after` in the place of `file`. Nothing where that changes more than bodies of functions.
    pub(crate) fn edited(&self, file: FileId, after: &Parsed) -> Option<Program> {
        (self.extent(file, after) == Extent::Bodies).then_some(())?;
        let before = self.parsed(file);
        let moved = Moved::between(&Version::of(&before)?, &Version::of(after)?)?;
        let index = file.0 as usize;
        let mut out = self.clone();
        *out.symbols.get_mut(index)? = after.symbols.clone();
        let slot = out.files.get_mut(index)?;
        (slot.source, slot.ast) = (after.source.clone(), after.ast.clone());
        let is_there = |def: &Def| matches!(def, Def::Variable { file: at, value: Some(_) } if *at == file);
        let move_def = |def: &mut Def| match def {
            Def::Variable { file: at, value: Some(value) } if *at == file => moved.change(value),
            _ => Some(()),
        };
        for scope in &mut out.linker.scopes {
            let is_told = |target: &Target| matches!(target, Target::Def(def) if is_there(def));
            if !scope.names.values().any(is_told) {
                continue;
            }
            for target in Arc::make_mut(scope).names.values_mut() {
                if let Target::Def(def) = target {
                    move_def(def)?;
                }
            }
        }
        for class in &mut out.classes {
            let defs = || class.bases.iter().chain(&class.decorators).flatten();
            if class.file != file && !defs().any(is_there) {
                continue;
            }
            let class = Arc::make_mut(class);
            class.bases.iter_mut().chain(&mut class.decorators).flatten().try_for_each(move_def)?;
            if class.file == file {
                moved.change(&mut class.node)?;
                class.base_nodes.iter_mut().try_for_each(|node| moved.change(node))?;
                class.members.values_mut().try_for_each(|member| match member {
                    Member::Value(node) | Member::Annotation(node) => moved.change(node),
                    Member::Function(..) | Member::Class(_) | Member::Other => Some(()),
                })?;
            }
        }
        for function in &mut out.functions {
            if function.file != file && !function.decorators.iter().flatten().any(is_there) {
                continue;
            }
            let function = Arc::make_mut(function);
            function.decorators.iter_mut().flatten().try_for_each(move_def)?;
            if function.file == file {
                moved.change(&mut function.node)?;
            }
        }
        Some(out)
    }

    /// The files that have changed since `before`, and those that know something else by that. Nothing where a file is another
    /// one, or has changed in [everything](Extent::Everything).
    pub(crate) fn changed_since(&self, before: &Program) -> Option<Things> {
        if self.files.len() != before.files.len() || self.starts != before.starts {
            return None;
        }
        let mut changed = Things::default();
        let mut are_bodies = true;
        for (file, (new, old)) in self.file_ids().zip(self.files.iter().zip(&before.files)) {
            if Arc::ptr_eq(&new.ast, &old.ast) && Arc::ptr_eq(&new.source, &old.source) {
                continue;
            }
            changed.add_file(file);
            match before.extent(file, &self.parsed(file)) {
                Extent::Bodies => {}
                Extent::Outline => {
                    changed.add_outline(file);
                    are_bodies = false;
                }
                Extent::Everything => return None,
            }
        }
        if !are_bodies {
            self.note_knowing(before, &mut changed);
        }
        Some(changed)
    }

    /// What has `changed` since `before`, with every name in a file that is another one now, or was.
    pub(crate) fn with_names(&self, before: &Program, changed: &Things) -> Things {
        let mut out = changed.clone();
        for (new, old) in self.files.iter().zip(&before.files) {
            if !Arc::ptr_eq(&new.source, &old.source) {
                let nodes = new.root().descendants().chain(old.root().descendants());
                nodes.filter(|n| n.kind() == Kind::Name).for_each(|name| out.add_name(name.text()));
            }
        }
        out
    }

    /// Add to what has `changed` since `before` the files that are the same, but that know other things of those that are not.
    fn note_knowing(&self, before: &Program, changed: &mut Things) {
        let edited = changed.clone();
        let is_like = |new: &Def, old: &Def| match (new, old) {
            // Who looks at the value looks into the file.
            (Def::Variable { file, value: Some(_) }, Def::Variable { file: other, value: Some(_) })
                if file == other && edited.has_file(*file) =>
            {
                true
            }
            _ => new == old,
        };
        let are_like = |new: &[Option<Def>], old: &[Option<Def>]| {
            new.len() == old.len()
                && new.iter().zip(old).all(|pair| match pair {
                    (Some(new), Some(old)) => is_like(new, old),
                    (new, old) => new == old,
                })
        };
        for (index, (new, old)) in self.linker.scopes.iter().zip(&before.linker.scopes).enumerate() {
            let is_known = |(name, new): (&String, &Target)| match (new, old.names.get(name)) {
                (Target::Def(new), Some(Target::Def(old))) => is_like(new, old),
                (Target::Import(new), Some(Target::Import(old))) => new == old,
                _ => false,
            };
            if new.names.len() != old.names.len() || !new.names.iter().all(is_known) {
                changed.add_outline(FileId(index as u32));
            }
        }
        for (new, old) in self.classes.iter().zip(&before.classes) {
            let is_same = are_like(&new.bases, &old.bases)
                && are_like(&new.decorators, &old.decorators)
                && (&new.mro, &new.external_bases, new.has_unknown_base)
                    == (&old.mro, &old.external_bases, old.has_unknown_base);
            if !is_same {
                changed.add_outline(new.file);
            }
        }
        for (new, old) in self.functions.iter().zip(&before.functions) {
            if !are_like(&new.decorators, &old.decorators) {
                changed.add_outline(new.file);
            }
        }
        for (class, (new, old)) in self.classes.iter().zip(self.children.iter().zip(before.children.iter())) {
            if new != old {
                changed.add_outline(class.file);
            }
        }
    }

    /// How far it reaches that `after` is going to be the file.
    pub(crate) fn extent(&self, file: FileId, after: &Parsed) -> Extent {
        let before = self.parsed(file);
        let (Some(old), Some(new)) = (Version::of(&before), Version::of(after)) else {
            return Extent::Everything;
        };
        let is_numbered_alike = before.source.path() == after.source.path()
            && old.defined().eq(new.defined())
            && search_path::added(&before) == search_path::added(after);
        if !is_numbered_alike {
            return Extent::Everything;
        }
        let is_like = |(old, new): (&RawFunction, &RawFunction)| old.is_generator == new.is_generator;
        let are_bodies = old.outside() == new.outside()
            && old.symbols.rebound == new.symbols.rebound
            && old.symbols.functions.iter().zip(&new.symbols.functions).all(is_like);
        if are_bodies { Extent::Bodies } else { Extent::Outline }
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

    /// Its classes and functions, by name and by what they stand in.
    fn defined(&self) -> impl Iterator<Item = (&'a str, Option<u32>, bool)> {
        let Symbols { classes, functions, .. } = self.symbols;
        let classes = classes.iter().map(|class| (&*class.name, class.outer, false));
        classes.chain(functions.iter().map(|f| (&*f.name, f.class, true)))
    }

    /// The first node of each body of a function that others know, and the first one after it.
    fn bodies(&self) -> Vec<(NodeId, NodeId)> {
        let functions = self.symbols.functions.iter();
        let body = |function: &RawFunction| self.root.at(function.node).child(Field::Body);
        functions.filter_map(body).map(|body| (body.id(), body.subtree_end())).collect()
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

/// Where the nodes outside of bodies stand after an edit of bodies.
struct Moved(Vec<Run>);

/// Nodes that follow each other, before and after.
struct Run {
    before: u32,
    after: u32,
    length: u32,
}

impl Moved {
    /// Nothing where the trees around the bodies are not alike.
    fn between(old: &Version<'_>, new: &Version<'_>) -> Option<Moved> {
        let (old_end, new_end) = (old.root.subtree_end(), new.root.subtree_end());
        let (olds, news) = (old.bodies(), new.bodies());
        (olds.len() == news.len()).then_some(())?;
        let mut runs = Vec::new();
        let (mut before, mut after) = (0, 0);
        for ((old_body, old_next), (new_body, new_next)) in
            olds.into_iter().zip(news).chain([((old_end, old_end), (new_end, new_end))])
        {
            let length = old_body.0.checked_sub(before)?;
            (new_body.0.checked_sub(after)? == length).then_some(())?;
            let is_like = |i: u32| {
                let (old, new) = (old.root.at(NodeId(before + i)), new.root.at(NodeId(after + i)));
                (old.kind(), old.field()) == (new.kind(), new.field())
            };
            (0..length).all(is_like).then_some(())?;
            runs.push(Run { before, after, length });
            (before, after) = (old_next.0, new_next.0);
        }
        Some(Moved(runs))
    }

    /// Put the node's new place in the place of the old one; nothing if it stands in a body.
    fn change(&self, node: &mut NodeId) -> Option<()> {
        let next = self.0.partition_point(|run| run.before <= node.0);
        let run = self.0.get(next.checked_sub(1)?)?;
        let within = node.0.checked_sub(run.before).filter(|within| *within < run.length)?;
        *node = NodeId(run.after + within);
        Some(())
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
        program.extent(FileId(0), &Parsed::new(source(&VIEW.replace(from, to)))) == Extent::Bodies
    }

    /// A program before and after an edit of a file that others know.
    fn versions(from: &str, to: &str) -> (Program, Program, Parsed) {
        let source = |path: &str, text: &str| Source::new(path, text.as_bytes().to_vec());
        let text = "from .base import Base\n\nLIMIT = 3\n\n\n@register(LIMIT)\ndef one(x):\n    return x\n\n\nclass A(Base):\n    size: int\n    kind = LIMIT\n\n    def two(self):\n        pass\n\n    class Meta:\n        ordering = ['pk']\n\n\nTOP = LIMIT\n";
        let parsed = |path: &str, text: &str| Parsed::new(source(path, text));
        let base = parsed("shop/base.py", "class Base:\n    pass\n\n\nclass Other:\n    pass\n");
        let user = parsed("shop/user.py", "from .views import LIMIT, A\n\n\nclass B(A):\n    pass\n");
        let alone = parsed("shop/alone.py", "import csv\n");
        assert!(text.contains(from));
        let (before, after) =
            (parsed("shop/views.py", text), parsed("shop/views.py", &text.replace(from, to)));
        let link =
            |views: &Parsed| Program::link(vec![base.clone(), views.clone(), user.clone(), alone.clone()]);
        (link(&before), link(&after), after)
    }

    /// All that is known of classes, functions and global names.
    fn known(program: &Program) -> (Vec<String>, Vec<String>) {
        let member = |member: &Member| format!("{member:?}");
        let classes = program.class_ids().map(|id| {
            let class = program.class(id);
            let mut members: Vec<_> = class.members.iter().map(|(name, m)| (name, member(m))).collect();
            members.sort();
            let around = (class.node, &class.bases, &class.base_nodes, &class.decorators, &class.mro);
            format!("{} {around:?} {:?} {members:?} {:?}", class.name, class.external_bases, class.order)
        });
        let functions = program.function_ids().map(|id| format!("{:?}", program.function(id)));
        let names = program.file_ids().flat_map(|file| {
            ["LIMIT", "TOP", "A", "B", "one", "Base"].map(|name| format!("{:?}", program.global(file, name)))
        });
        (classes.chain(functions).collect(), names.collect())
    }

    #[test]
    fn an_edited_program_is_the_program_of_the_edited_files() {
        for (from, to) in [
            ("return x", "y = [x, x]\n    return [y for y in y]"),
            ("pass\n\n    class", "return 1\n\n    class"),
        ] {
            let (before, after, parsed) = versions(from, to);
            let edited = before.edited(FileId(1), &parsed).unwrap();
            assert_ne!(known(&before), known(&after));
            assert_eq!(known(&edited), known(&after), "{to}");
        }
        let (before, _, parsed) = versions("LIMIT = 3", "LIMIT = 4");
        assert!(before.edited(FileId(1), &parsed).is_none());
    }

    #[test]
    fn another_path_of_modules_is_not_followed() {
        let manage = |text: &str| {
            let text = format!("import sys\n\n\ndef main():\n    sys.path.append({text})\n");
            Parsed::new(Source::new("manage.py", text.into_bytes()))
        };
        let program = Program::link(vec![manage("'apps'")]);
        assert!(program.edited(FileId(0), &manage("str('apps')")).is_some());
        assert!(program.edited(FileId(0), &manage("'more'")).is_none());
        assert_eq!(program.extent(FileId(0), &manage("'more'")), Extent::Everything);
    }

    #[test]
    fn files_that_know_something_else_have_changed() {
        let changed = |from: &str, to: &str| {
            let (before, after, _) = versions(from, to);
            let changed = after.changed_since(&before)?;
            Some(
                (0..4)
                    .filter(|file| changed.has_file(FileId(*file)) || changed.has_outline(FileId(*file)))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(changed("return x", "return [x]"), Some(vec![1]));
        // Who looks at the value looks into the file.
        assert_eq!(changed("LIMIT = 3", "LIMIT = [4]"), Some(vec![1]));
        assert_eq!(changed("LIMIT = 3", "LIMIT: int"), Some(vec![1, 2]));
        assert_eq!(changed("ordering = ['pk']", "ordering = []"), Some(vec![1]));
        // The ancestors of the class below, and those who descend from both bases.
        assert_eq!(changed("class A(Base)", "class A(Other)"), Some(vec![0, 1, 2]));
        assert_eq!(changed("def two", "def three"), None);
        assert_eq!(changed("class Meta", "class Options"), None);
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
