//! The project as Python sees it: files, modules, classes, functions, and what a global name means.
//!
//! Nothing here knows Django. Classes and functions are those that stand at the top of a module (also below
//! `if`, `try`, `with`) or in another class; those inside functions belong to the analysis of that function.

use super::ast::{Ast, Node, NodeId};
use super::imports::Linker;
use super::kind::{Field, Kind};
use super::known::canonical;
use super::link;
use super::modules::Modules;
use super::symbols::{self, Symbols};
use super::touched::{touch_file, touch_outline};
use super::view::Expr;
use crate::text::{FileId, Site, Source, Span};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Index of a class in the [`Program`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct ClassId(pub u32);

/// Index of a function or method in the [`Program`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(pub u32);

/// One file of the program.
#[derive(Clone, Debug)]
pub struct File {
    /// Its text.
    pub source: Arc<Source>,
    /// Its arena.
    pub ast: Arc<Ast>,
    /// Its dotted module name: `shop.models`; `shop` for `shop/__init__.py`.
    pub module: String,
    /// Whether it is a package's `__init__.py`.
    pub is_package: bool,
}

impl File {
    /// The root of its arena.
    pub fn root(&self) -> Node<'_> {
        self.ast.root(self.source.text())
    }

    /// The node `id`.
    pub fn node(&self, id: NodeId) -> Node<'_> {
        self.ast.node(self.source.text(), id)
    }

    /// The dotted name of the module that an import here calls `module`: for `.models`, that beside this one.
    pub fn absolute(&self, module: &str) -> String {
        let name = module.trim_start_matches('.');
        let dots = module.len() - name.len();
        if dots == 0 {
            return module.to_owned();
        }
        let mut parts: Vec<&str> = self.module.split('.').collect();
        parts.truncate(parts.len().saturating_sub(dots - usize::from(self.is_package)));
        if !name.is_empty() {
            parts.push(name);
        }
        parts.join(".")
    }
}

/// What a global name or a class attribute means, imports followed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Def {
    /// A class of the program.
    Class(ClassId),
    /// A function or method of the program.
    Function(FunctionId),
    /// A module of the program.
    Module(FileId),
    /// A variable bound at module or class level, with the expression it is bound to where there is exactly one.
    Variable {
        /// The file.
        file: FileId,
        /// The bound expression: the value of the only assignment.
        value: Option<NodeId>,
    },
    /// Something outside the program, by its dotted path: `django.db.models.ForeignKey`, `csv`.
    External(String),
}

/// A class.
#[derive(Clone, Debug)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: FileId,
    /// The class statement (not the decorated definition).
    pub node: NodeId,
    /// Its bases in order; `None` for one that is not a name that resolves (a call, a subscript of unknown).
    /// `Generic[T]`-like subscripts are resolved to what is subscripted.
    pub bases: Vec<Option<Def>>,
    /// The expressions of the bases, in step with `bases`.
    pub base_nodes: Vec<NodeId>,
    /// What its decorators resolve to, outermost first.
    pub decorators: Vec<Option<Def>>,
    /// Its linearised ancestors inside the program, itself first (C3; on conflict depth-first order).
    pub mro: Vec<ClassId>,
    /// Dotted paths of every ancestor outside the program.
    pub external_bases: Vec<String>,
    /// Some ancestor is not known at all.
    pub has_unknown_base: bool,
    /// The class that it is nested in.
    pub outer: Option<ClassId>,
    /// Its own members by name; the last binding wins.
    pub members: FxHashMap<String, Member>,
    /// Names of its members in order of definition.
    pub order: Vec<String>,
}

/// A member of a class body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// `def`, with how it is bound.
    Function(FunctionId, Binding),
    /// `name = value` or `name: T = value`.
    Value(NodeId),
    /// `name: T` without value.
    Annotation(NodeId),
    /// A nested class.
    Class(ClassId),
    /// Bound in another way (import, loop, several branches).
    Other,
}

/// How a function in a class is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binding {
    /// A plain method.
    Method,
    /// `@property` (also `@functools.cached_property` and Django's, see `CachedProperty`).
    Property,
    /// A cached property.
    CachedProperty,
    /// `@classmethod`
    ClassMethod,
    /// `@staticmethod`
    StaticMethod,
    /// Decorated by something that is not known to return the function itself.
    Decorated,
}

/// A function or method.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: FileId,
    /// The `def` (not the decorated definition).
    pub node: NodeId,
    /// The class in whose body it stands.
    pub class: Option<ClassId>,
    /// What its decorators resolve to, outermost first; the call's function for a decorator with arguments.
    pub decorators: Vec<Option<Def>>,
    /// `async def`
    pub is_async: bool,
    /// It holds a `yield` of its own.
    pub is_generator: bool,
}

/// A file that was parsed and looked through, before it is linked with others. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub(super) source: Arc<Source>,
    pub(super) ast: Arc<Ast>,
    pub(super) symbols: Arc<Symbols>,
}

impl Parsed {
    /// Parse `source`.
    pub fn new(source: Source) -> Parsed {
        let ast = super::parse(if source.is_template() { "" } else { source.text() });
        Parsed::of(source, ast)
    }

    /// `source` with the tree that [`Parsed::pack`] gave for the same text, or parsed where there is none.
    /// Also whether it was parsed.
    pub fn with_tree(source: Source, tree: Option<&[u8]>) -> (Parsed, bool) {
        // A template is no Python, though it hold the same text.
        let tree = tree.filter(|_| !source.is_template());
        match tree.and_then(|tree| Ast::unpack(tree, source.text().len() as u32)) {
            Some(ast) => (Parsed::of(source, ast), false),
            None => (Parsed::new(source), true),
        }
    }

    /// The tree as bytes, to be unpacked in a later run over the same text.
    pub fn pack(&self) -> Option<Vec<u8>> {
        self.ast.pack()
    }

    fn of(source: Source, ast: Ast) -> Parsed {
        let symbols = match ast.is_empty() {
            true => Symbols::default(),
            false if ast.is_too_deep() => symbols::imports_only(ast.root(source.text())),
            false => symbols::symbols(ast.root(source.text())),
        };
        Parsed { source: Arc::new(source), ast: Arc::new(ast), symbols: Arc::new(symbols) }
    }

    /// Its source.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Whether some of it did not parse.
    pub(crate) fn has_error(&self) -> bool {
        !self.ast.is_empty() && self.ast.root(self.source.text()).has_error()
    }

    /// Its tree.
    pub(super) fn ast(&self) -> &Ast {
        &self.ast
    }
}

/// Every file with its names resolved. What versions of a program have in common is shared between them.
#[derive(Clone, Debug, Default)]
pub struct Program {
    pub(super) files: Vec<File>,
    pub(super) symbols: Vec<Arc<Symbols>>,
    pub(super) classes: Vec<Arc<Class>>,
    pub(super) functions: Vec<Arc<Function>>,
    pub(super) linker: Linker,
    /// For each file, the first class and function that it defines; one more entry closes the last.
    pub(super) starts: Arc<Vec<(u32, u32)>>,
    pub(super) children: Arc<Vec<Vec<ClassId>>>,
    pub(super) by_name: Arc<FxHashMap<String, Vec<FunctionId>>>,
}

impl Program {
    /// Parse the sources (in parallel) and link them.
    pub fn build(sources: Vec<Source>) -> Program {
        Program::link(sources.into_par_iter().map(Parsed::new).collect())
    }

    /// Link parsed files. A file's module name is its path from the nearest ancestor directory that is not a
    /// package, or from a `src`-like root when others import it that way.
    pub fn link(parsed: Vec<Parsed>) -> Program {
        let (modules, names) = Modules::build(&parsed);
        let (files, symbols): (Vec<File>, Vec<Arc<Symbols>>) = parsed
            .into_iter()
            .zip(names)
            .map(|(Parsed { source, ast, symbols }, named)| {
                let file = File { source, ast, module: named.module, is_package: named.is_package };
                (file, symbols)
            })
            .unzip();
        link::link(files, symbols, modules)
    }

    /// The parsed form of a file, to be linked again in another program.
    pub fn parsed(&self, id: FileId) -> Parsed {
        let file = self.file(id);
        let symbols = self.symbols.get(id.0 as usize).cloned().unwrap_or_default();
        Parsed { source: file.source.clone(), ast: file.ast.clone(), symbols }
    }

    /// Every file, by [`FileId`].
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// One file.
    #[inline]
    pub fn file(&self, id: FileId) -> &File {
        touch_file(id);
        &self.files[id.0 as usize]
    }

    /// Whether a file was brought along by the engine: it is not the user's.
    pub fn is_known_file(&self, id: FileId) -> bool {
        self.file(id).source.path().starts_with(super::modules::KNOWN_ROOT)
    }

    /// One class.
    #[inline]
    pub fn class(&self, id: ClassId) -> &Class {
        let class = &self.classes[id.0 as usize];
        touch_outline(class.file);
        class
    }

    /// One function.
    #[inline]
    pub fn function(&self, id: FunctionId) -> &Function {
        let function = &self.functions[id.0 as usize];
        touch_outline(function.file);
        function
    }

    /// How many functions there are.
    pub fn function_count(&self) -> usize {
        self.functions.len()
    }

    /// The ids of every class, in order of files and source.
    pub fn class_ids(&self) -> impl Iterator<Item = ClassId> + use<> {
        (0..self.classes.len() as u32).map(ClassId)
    }

    /// The ids of every function, in order of files and source.
    pub fn function_ids(&self) -> impl Iterator<Item = FunctionId> + use<> {
        (0..self.functions.len() as u32).map(FunctionId)
    }

    /// The ids of every file.
    pub fn file_ids(&self) -> impl Iterator<Item = FileId> + use<> {
        (0..self.files.len() as u32).map(FileId)
    }

    /// The file at exactly this path.
    pub fn file_at(&self, path: &str) -> Option<FileId> {
        self.linker.modules.at_path(path)
    }

    /// The module called `dotted`, if it is in the program.
    pub fn module(&self, dotted: &str) -> Option<FileId> {
        self.linker.modules.lookup(dotted, None)
    }

    /// The module called `dotted` as code in `importer` sees it: of several with that name, the nearest.
    pub fn module_from(&self, importer: FileId, dotted: &str) -> Option<FileId> {
        self.linker.modules.lookup(dotted, Some(importer))
    }

    /// What a dotted path from the top (`shop.models.Book`, a string in settings) names.
    pub fn dotted(&self, path: &str, importer: Option<FileId>) -> Option<Def> {
        if let Some(file) = self.linker.modules.lookup(path, importer) {
            return Some(Def::Module(file));
        }
        let (module, name) = path.rsplit_once('.')?;
        let outer = match self.linker.modules.lookup(module, importer) {
            Some(file) => Def::Module(file),
            None => match self.dotted(module, importer) {
                Some(outer @ Def::Class(_)) => outer,
                _ => return Some(Def::External(canonical(path).into_owned())),
            },
        };
        self.attribute(&outer, name)
    }

    /// What `name` means at the top of `file`: its own definition, or what it imports, star imports and
    /// re-exports followed; an alias of a class or function is that class or function. `None` where nothing
    /// binds it there (a builtin, or a mistake).
    pub fn global(&self, file: FileId, name: &str) -> Option<Def> {
        self.linker.view(&self.files, &self.classes).global(file, name)
    }

    /// The attribute `name` of a module, class (own members and ancestors) or external thing.
    pub fn attribute(&self, def: &Def, name: &str) -> Option<Def> {
        match def {
            Def::Class(class) => {
                let (owner, member) = self.member(*class, name)?;
                let file = self.class(owner).file;
                Some(match member {
                    Member::Function(f, _) => Def::Function(*f),
                    Member::Class(c) => Def::Class(*c),
                    Member::Value(node) => Def::Variable { file, value: Some(*node) },
                    Member::Annotation(_) | Member::Other => Def::Variable { file, value: None },
                })
            }
            Def::Module(_) | Def::External(_) => {
                self.linker.view(&self.files, &self.classes).attribute(def, name)
            }
            Def::Function(_) | Def::Variable { .. } => None,
        }
    }

    /// What an import statement *inside* a function binds: pairs of name and meaning.
    pub fn local_imports(&self, file: FileId, import: NodeId) -> Vec<(String, Def)> {
        let view = self.linker.view(&self.files, &self.classes);
        let node = self.file(file).node(import);
        symbols::imports(node)
            .into_iter()
            .filter_map(|(name, target)| Some((name?, view.import(file, &target)?)))
            .collect()
    }

    /// What `name` means at `node` in `file` by an import inside of a function around it: the innermost that has one, and there
    /// the last.
    pub fn local_import(&self, file: FileId, node: Node<'_>, name: &str) -> Option<Def> {
        let imports = &self.symbols.get(file.0 as usize)?.imports;
        let functions = node.ancestors().filter(|a| a.kind() == Kind::FunctionDef);
        functions.into_iter().find_map(|function| {
            let first = imports.partition_point(|import| *import < function.id());
            let end = imports.partition_point(|import| *import < function.subtree_end());
            let mut within = imports.get(first..end).unwrap_or_default().iter().rev();
            within.find_map(|import| {
                // Most imports are of something else, which the text tells sooner.
                node.at(*import).text().contains(name).then_some(())?;
                self.local_imports(file, *import).into_iter().find(|(own, _)| own == name).map(|(_, def)| def)
            })
        })
    }

    /// What a dotted expression (`models.Model`, `a.b.C`, a name) at the top of `file` means.
    pub fn resolve_expr(&self, file: FileId, expr: NodeId) -> Option<Def> {
        self.resolve_node(file, self.file(file).node(expr), 0)
    }

    fn resolve_node(&self, file: FileId, node: Node<'_>, depth: usize) -> Option<Def> {
        if depth > 20 {
            return None;
        }
        match Expr::of(node) {
            Expr::Name(name) => self.global(file, name),
            Expr::Attribute { value, attr, .. } => {
                let value = self.resolve_node(file, value, depth + 1)?;
                self.attribute(&value, attr)
            }
            _ => None,
        }
    }

    /// The dotted path of a definition: where a class or function of the program is defined, or its external
    /// name. `None` for a variable.
    pub fn dotted_of(&self, def: &Def) -> Option<String> {
        Some(match def {
            Def::Class(c) => self.class_path(*c),
            Def::Function(f) => {
                let function = self.function(*f);
                match function.class {
                    Some(c) => format!("{}.{}", self.class_path(c), function.name),
                    None => format!("{}.{}", self.file(function.file).module, function.name),
                }
            }
            Def::Module(f) => self.file(*f).module.clone(),
            Def::External(path) => path.clone(),
            Def::Variable { .. } => return None,
        })
    }

    /// The dotted path of a class, by the name that Django documents where it is one of Django's.
    pub fn class_path(&self, id: ClassId) -> String {
        let class = self.class(id);
        let mut path = class.name.clone();
        let mut outer = class.outer;
        while let Some(id) = outer {
            path = format!("{}.{path}", self.class(id).name);
            outer = self.class(id).outer;
        }
        canonical(&format!("{}.{path}", self.file(class.file).module)).into_owned()
    }

    /// The member `name` along the MRO, with the class that has it.
    pub fn member(&self, class: ClassId, name: &str) -> Option<(ClassId, &Member)> {
        self.class(class).mro.iter().find_map(|&c| self.class(c).members.get(name).map(|m| (c, m)))
    }

    /// Whether `class` is or descends from the external class `dotted` (any of the names it is exported under
    /// must be given by the caller).
    pub fn inherits(&self, class: ClassId, dotted: &str) -> bool {
        self.class(class).external_bases.iter().any(|b| b == dotted)
    }

    /// Every class that has `class` among its ancestors, itself included.
    pub fn descendants(&self, class: ClassId) -> Vec<ClassId> {
        touch_outline(self.class(class).file);
        self.children.get(class.0 as usize).cloned().unwrap_or_default()
    }

    /// The `__init__()` in the body of a class.
    pub fn constructor(&self, class: ClassId) -> Option<FunctionId> {
        match self.class(class).members.get("__init__") {
            Some(Member::Function(init, Binding::Method)) => Some(*init),
            _ => None,
        }
    }

    /// Every function and method called `name` in the program: what a call of `.name()` on an unknown object
    /// could reach.
    pub fn functions_named(&self, name: &str) -> &[FunctionId] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The classes that a file defines, in source order.
    pub fn classes_in(&self, file: FileId) -> impl Iterator<Item = ClassId> + use<> {
        let (from, to) = self.range(file, |s| s.0);
        (from..to).map(ClassId)
    }

    /// The function whose definition stands exactly at `site`.
    pub fn function_defined_at(&self, site: Site) -> Option<FunctionId> {
        self.functions_in(site.file).find(|function| self.definition_site(*function) == site)
    }

    /// The place of a function's definition, without its decorators.
    pub fn definition_site(&self, function: FunctionId) -> Site {
        let info = self.function(function);
        Site { file: info.file, span: self.file(info.file).node(info.node).span() }
    }

    /// Whether a function is a `@cached_property`: a class binds it as one.
    pub fn is_cached_property(&self, function: FunctionId) -> bool {
        self.function(function).class.is_some_and(|class| {
            let mut members = self.class(class).members.values();
            members.any(|m| matches!(m, Member::Function(f, Binding::CachedProperty) if *f == function))
        })
    }

    /// The functions and methods that a file defines, in source order.
    pub fn functions_in(&self, file: FileId) -> impl Iterator<Item = FunctionId> + use<> {
        let (from, to) = self.range(file, |s| s.1);
        (from..to).map(FunctionId)
    }

    fn range(&self, file: FileId, part: impl Fn(&(u32, u32)) -> u32) -> (u32, u32) {
        let from = self.starts.get(file.0 as usize).map_or(0, &part);
        let to = self.starts.get(file.0 as usize + 1).map_or(from, &part);
        (from, to)
    }

    /// The class whose statement is `node` in `file`.
    pub fn class_at(&self, file: FileId, node: NodeId) -> Option<ClassId> {
        let (from, to) = self.range(file, |s| s.0);
        let own = self.classes.get(from as usize..to as usize)?;
        own.binary_search_by_key(&node, |c| c.node).ok().map(|i| ClassId(from + i as u32))
    }

    /// The function whose `def` is `node` in `file`.
    pub fn function_at(&self, file: FileId, node: NodeId) -> Option<FunctionId> {
        let (from, to) = self.range(file, |s| s.1);
        let own = self.functions.get(from as usize..to as usize)?;
        own.binary_search_by_key(&node, |f| f.node).ok().map(|i| FunctionId(from + i as u32))
    }

    /// The name of the class or function whose statement is `node` in `file`.
    pub fn name_site(&self, file: FileId, node: NodeId) -> Site {
        let node = self.file(file).node(node);
        Site { file, span: node.child(Field::Name).unwrap_or(node).span() }
    }

    /// The site of a span in a file.
    pub fn site(&self, file: FileId, span: Span) -> Site {
        Site { file, span }
    }
}
