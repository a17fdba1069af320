//! The project as Python sees it: files, modules, classes, functions, and what a global name means.
//!
//! Nothing here knows Django. Classes and functions are those that stand at the top of a module (also below
//! `if`, `try`, `with`) or in another class; those inside functions belong to the analysis of that function.

use super::ast::{Ast, Node, NodeId};
use crate::text::{FileId, Site, Source, Span};
use rustc_hash::FxHashMap;

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
    pub source: Source,
    /// Its arena.
    pub ast: Ast,
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

/// Every file with its names resolved.
#[derive(Clone, Debug, Default)]
pub struct Program {
    pub(super) files: Vec<File>,
    pub(super) classes: Vec<Class>,
    pub(super) functions: Vec<Function>,
}

impl Program {
    /// Parse the sources (in parallel) and link them. A file's module name is its path from the nearest
    /// ancestor directory that is not a package, or from a `src`-like root when others import it that way.
    pub fn build(sources: Vec<Source>) -> Program {
        let _ = sources;
        Program::default()
    }

    /// Every file, by [`FileId`].
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// One file.
    pub fn file(&self, id: FileId) -> &File {
        &self.files[id.0 as usize]
    }

    /// Every class, by [`ClassId`].
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// One class.
    pub fn class(&self, id: ClassId) -> &Class {
        &self.classes[id.0 as usize]
    }

    /// One function.
    pub fn function(&self, id: FunctionId) -> &Function {
        &self.functions[id.0 as usize]
    }

    /// Every function, by [`FunctionId`].
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The module called `dotted`, if it is in the program.
    pub fn module(&self, dotted: &str) -> Option<FileId> {
        let _ = dotted;
        None
    }

    /// What `name` means at the top of `file`: its own definition, or what it imports, star imports and
    /// re-exports followed. `None` where nothing binds it there (a builtin, or a mistake).
    pub fn global(&self, file: FileId, name: &str) -> Option<Def> {
        let _ = (file, name);
        None
    }

    /// The attribute `name` of a module, class (own members and ancestors) or external thing.
    pub fn attribute(&self, def: &Def, name: &str) -> Option<Def> {
        let _ = (def, name);
        None
    }

    /// What an import statement *inside* a function binds: pairs of name and meaning.
    pub fn local_imports(&self, file: FileId, import: NodeId) -> Vec<(String, Def)> {
        let _ = (file, import);
        Vec::new()
    }

    /// What a dotted expression (`models.Model`, `a.b.C`, a name) at the top of `file` means.
    pub fn resolve_expr(&self, file: FileId, expr: NodeId) -> Option<Def> {
        let _ = (file, expr);
        None
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
        let _ = class;
        Vec::new()
    }

    /// Every function and method called `name` in the program: what a call of `.name()` on an unknown object
    /// could reach.
    pub fn functions_named(&self, name: &str) -> &[FunctionId] {
        let _ = name;
        &[]
    }

    /// The class whose statement is `node` in `file`.
    pub fn class_at(&self, file: FileId, node: NodeId) -> Option<ClassId> {
        let _ = (file, node);
        None
    }

    /// The function whose `def` is `node` in `file`.
    pub fn function_at(&self, file: FileId, node: NodeId) -> Option<FunctionId> {
        let _ = (file, node);
        None
    }

    /// The site of a span in a file.
    pub fn site(&self, file: FileId, span: Span) -> Site {
        Site { file, span }
    }
}
