//! What names mean across files: imports, star imports and re-exports followed, with bounds on cycles.

use super::ast::{Node, NodeId};
use super::known::{canonical, is_models_export};
use super::modules::{Modules, Relative};
use super::program::{Class, ClassId, Def, File, FunctionId, Member};
use super::symbols::{Bind, Import, Symbols, What};
use super::touched::touch_outline;
use super::view::Expr;
use crate::text::FileId;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// Re-exports are followed this far.
const MAX_HOPS: usize = 200;

#[derive(Clone, Debug)]
pub(super) enum Target {
    Def(Def),
    Import(Import),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub names: FxHashMap<String, Target>,
    stars: Vec<Import>,
    all: Option<FxHashSet<String>>,
}

/// The global scopes of every file.
#[derive(Clone, Debug, Default)]
pub(super) struct Linker {
    pub modules: Arc<Modules>,
    pub scopes: Vec<Arc<Scope>>,
}

/// A linker with what it needs to look inside values and classes.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    linker: &'a Linker,
    files: &'a [File],
    classes: &'a [Arc<Class>],
}

/// Of several bindings of one name the one that counts: the last that is not an alternative, else the first.
pub(super) fn winner<'a>(binds: &[&'a Bind]) -> Option<&'a Bind> {
    binds.iter().rev().find(|b| !b.is_alternative).or(binds.first()).copied()
}

/// The bindings of a body grouped by name, names in order of first appearance.
pub(super) fn grouped(binds: &[Bind]) -> Vec<(&str, Vec<&Bind>)> {
    let mut index: FxHashMap<&str, usize> = FxHashMap::default();
    let mut groups: Vec<(&str, Vec<&Bind>)> = Vec::new();
    for bind in binds {
        let at = *index.entry(&bind.name).or_insert_with(|| {
            groups.push((&bind.name, Vec::new()));
            groups.len() - 1
        });
        if let Some((_, group)) = groups.get_mut(at) {
            group.push(bind);
        }
    }
    groups
}

impl Linker {
    /// Collect the scopes; `starts` gives every file's first class and function id.
    pub fn new(modules: Modules, symbols: &[Arc<Symbols>], starts: &[(u32, u32)]) -> Linker {
        let scopes = symbols
            .par_iter()
            .enumerate()
            .map(|(index, symbols)| {
                let file = FileId(index as u32);
                let (classes, functions) = starts.get(index).copied().unwrap_or((0, 0));
                let mut names = FxHashMap::default();
                for (name, binds) in grouped(&symbols.binds) {
                    let Some(bind) = winner(&binds) else { continue };
                    let target = match &bind.what {
                        What::Class(i) => Target::Def(Def::Class(ClassId(classes + i))),
                        What::Function(i) => Target::Def(Def::Function(FunctionId(functions + i))),
                        What::Import(import) => Target::Import(import.clone()),
                        What::Value(value) => {
                            let is_only = binds.len() == 1 && !symbols.rebound.contains(name);
                            Target::Def(Def::Variable { file, value: is_only.then_some(*value) })
                        }
                        What::Annotation(_) | What::Other => Target::Def(Def::Variable { file, value: None }),
                    };
                    names.insert(name.to_owned(), target);
                }
                let all = symbols.all.as_ref().map(|all| all.iter().cloned().collect());
                Arc::new(Scope { names, stars: symbols.stars.clone(), all })
            })
            .collect();
        Linker { modules: Arc::new(modules), scopes }
    }

    /// Follow every import once, so that later look-ups are direct.
    pub fn settle(&mut self, files: &[File]) {
        let settled: Vec<Vec<(String, Def)>> = {
            let view = self.view(files, &[]);
            (0..self.scopes.len())
                .into_par_iter()
                .map(|index| {
                    let file = FileId(index as u32);
                    let mut out = Vec::new();
                    if let Some(scope) = view.linker.scopes.get(index) {
                        for (name, target) in &scope.names {
                            let follow = match target {
                                Target::Import(_) => true,
                                Target::Def(def) => view.alias_of(def).is_some(),
                            };
                            if follow && let Some(def) = view.global(file, name) {
                                out.push((name.clone(), def));
                            }
                        }
                    }
                    out
                })
                .collect()
        };
        for (scope, found) in self.scopes.iter_mut().zip(settled) {
            let scope = Arc::make_mut(scope);
            for (name, def) in found {
                scope.names.insert(name, Target::Def(def));
            }
        }
    }

    pub fn view<'a>(&'a self, files: &'a [File], classes: &'a [Arc<Class>]) -> View<'a> {
        View { linker: self, files, classes }
    }
}

type Seen<'n> = Vec<(FileId, &'n str)>;

impl<'a> View<'a> {
    /// See [`Program::global`](super::Program::global).
    pub fn global(self, file: FileId, name: &str) -> Option<Def> {
        self.global_in(file, name, &mut Vec::new())
    }

    fn global_in<'n>(self, file: FileId, name: &'n str, seen: &mut Seen<'n>) -> Option<Def>
    where
        'a: 'n,
    {
        if seen.len() > MAX_HOPS || seen.contains(&(file, name)) {
            return None;
        }
        seen.push((file, name));
        touch_outline(file);
        let scope = self.linker.scopes.get(file.0 as usize)?;
        match scope.names.get(name) {
            Some(Target::Def(def)) => {
                if let Some(value) = self.alias_of(def) {
                    match self.expr(file, value, seen) {
                        Some(aliased @ (Def::Class(_) | Def::Function(_))) => return Some(aliased),
                        _ => return Some(def.clone()),
                    }
                }
                Some(def.clone())
            }
            Some(Target::Import(import)) => self.import_in(file, import, seen),
            None => scope.stars.iter().rev().find_map(|star| self.through_star(file, star, name, seen)),
        }
    }

    fn through_star<'n>(self, file: FileId, star: &Import, name: &'n str, seen: &mut Seen<'n>) -> Option<Def>
    where
        'a: 'n,
    {
        match self.module(file, star)? {
            Def::Module(target) => {
                let scope = self.linker.scopes.get(target.0 as usize)?;
                let is_exported = match &scope.all {
                    Some(all) => all.contains(name),
                    None => !name.starts_with('_'),
                };
                if !is_exported {
                    return None;
                }
                // Several stars may lead to one file by different ways; each look is bounded on its own.
                let depth = seen.len();
                let found = self.global_in(target, name, seen);
                if found.is_some() {
                    seen.truncate(depth);
                }
                found.or_else(|| {
                    scope
                        .all
                        .as_ref()
                        .and_then(|_| self.linker.modules.submodule(target, name))
                        .map(Def::Module)
                })
            }
            Def::External(path)
                if matches!(path.as_str(), "django.db.models" | "django.contrib.gis.db.models")
                    && is_models_export(name) =>
            {
                Some(Def::External(format!("django.db.models.{name}")))
            }
            _ => None,
        }
    }

    /// A name that must be there, of a module that stars exactly one module outside the program.
    fn through_external_star(self, file: FileId, name: &str) -> Option<Def> {
        let scope = self.linker.scopes.get(file.0 as usize)?;
        let mut outside = scope.stars.iter().filter_map(|star| match self.module(file, star) {
            Some(Def::External(path)) => Some(path),
            _ => None,
        });
        match (outside.next(), outside.next()) {
            (Some(path), None) => Some(Def::External(canonical(&format!("{path}.{name}")).into_owned())),
            _ => None,
        }
    }

    /// The value of a variable that is a bare name or dotted name, so that the variable may be an alias.
    fn alias_of(self, def: &Def) -> Option<Node<'a>> {
        let Def::Variable { file, value: Some(value) } = def else { return None };
        let node = self.node(*file, *value)?;
        matches!(Expr::of(node), Expr::Name(_) | Expr::Attribute { .. }).then_some(node)
    }

    fn node(self, file: FileId, node: NodeId) -> Option<Node<'a>> {
        self.files.get(file.0 as usize).map(|f| f.node(node))
    }

    fn expr<'n>(self, file: FileId, node: Node<'a>, seen: &mut Seen<'n>) -> Option<Def>
    where
        'a: 'n,
    {
        let mut attributes = Vec::new();
        let mut node = node;
        let mut def = loop {
            match Expr::of(node) {
                Expr::Name(name) => break self.global_in(file, name, seen)?,
                Expr::Attribute { value, attr, .. } if attributes.len() < 20 => {
                    attributes.push(attr);
                    node = value;
                }
                _ => return None,
            }
        };
        for attr in attributes.into_iter().rev() {
            def = self.attribute_in(&def, attr, seen)?;
        }
        Some(def)
    }

    /// The module that an import clause takes names from.
    fn module(self, file: FileId, import: &Import) -> Option<Def> {
        if import.level > 0 {
            return match self.linker.modules.relative(file, import.level, &import.module) {
                Relative::File(f) => Some(Def::Module(f)),
                Relative::Directory(path) => Some(Def::External(path)),
                Relative::Outside => None,
            };
        }
        Some(match self.linker.modules.lookup(&import.module, Some(file)) {
            Some(f) => Def::Module(f),
            None => Def::External(canonical(&import.module).into_owned()),
        })
    }

    /// What an import clause binds.
    pub fn import(self, file: FileId, import: &Import) -> Option<Def> {
        self.import_in(file, &import.clone(), &mut Vec::new())
    }

    fn import_in<'n>(self, file: FileId, import: &Import, seen: &mut Seen<'n>) -> Option<Def>
    where
        'a: 'n,
    {
        let module = self.module(file, import)?;
        let Some(name) = &import.name else { return Some(module) };
        if let Def::External(path) = &module
            && let Some(file) = self.linker.modules.lookup(&format!("{path}.{name}"), Some(file))
        {
            return Some(Def::Module(file));
        }
        match self.attribute_owned(&module, name, seen) {
            Some(def) => Some(def),
            // A name that its module does not visibly define is still a name with a path. Not so on the way to
            // an answer, where another star import may yet lead to it.
            None => match module {
                Def::Module(f) if seen.len() <= 1 => {
                    let module = &self.files.get(f.0 as usize)?.module;
                    Some(Def::External(canonical(&format!("{module}.{name}")).into_owned()))
                }
                _ => None,
            },
        }
    }

    /// As [`attribute_in`](Self::attribute_in), for a name that does not live as long as those seen.
    fn attribute_owned(self, def: &Def, name: &str, seen: &Seen<'_>) -> Option<Def> {
        if seen.len() > MAX_HOPS {
            return None;
        }
        let mut inner: Seen<'_> = seen.iter().map(|(f, n)| (*f, *n)).collect();
        self.attribute_in(def, name, &mut inner)
    }

    /// The attribute of a module or external thing, and of a class where classes are known.
    pub fn attribute(self, def: &Def, name: &str) -> Option<Def> {
        self.attribute_in(def, name, &mut Vec::new())
    }

    fn attribute_in<'n>(self, def: &Def, name: &'n str, seen: &mut Seen<'n>) -> Option<Def>
    where
        'a: 'n,
    {
        match def {
            Def::Module(file) => self
                .global_in(*file, name, seen)
                .or_else(|| self.linker.modules.submodule(*file, name).map(Def::Module))
                .or_else(|| self.through_external_star(*file, name)),
            Def::External(path) => {
                let dotted = format!("{path}.{name}");
                Some(match self.linker.modules.lookup(&dotted, None) {
                    Some(file) => Def::Module(file),
                    None => Def::External(canonical(&dotted).into_owned()),
                })
            }
            Def::Class(id) => match self.classes.get(id.0 as usize)?.members.get(name)? {
                Member::Class(c) => Some(Def::Class(*c)),
                Member::Function(f, _) => Some(Def::Function(*f)),
                _ => None,
            },
            Def::Function(_) | Def::Variable { .. } => None,
        }
    }

    /// The node of a variable's value.
    pub fn variable(self, file: FileId, value: NodeId) -> Option<(FileId, Node<'a>)> {
        Some((file, self.node(file, value)?))
    }

    /// What a dotted expression at the top of `file` means.
    pub fn expr_at(self, file: FileId, node: Node<'a>) -> Option<Def> {
        self.expr(file, node, &mut Vec::new())
    }
}
