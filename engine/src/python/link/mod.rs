//! From the symbols of every file to the program: ids, bases, linearised ancestors, members, indexes.

mod ancestry;
mod reader;

use super::imports::Linker;
use super::modules::Modules;
use super::program::{Class, ClassId, Def, File, Function, FunctionId, Program};
use super::symbols::Symbols;
use crate::text::FileId;
use ancestry::linearise;
use rayon::prelude::*;
use reader::Reader;
use rustc_hash::FxHashMap;
use std::sync::Arc;

pub(super) fn link(files: Vec<File>, symbols: Vec<Arc<Symbols>>, modules: Modules) -> Program {
    let mut starts = Vec::with_capacity(symbols.len() + 1);
    let mut next = (0u32, 0u32);
    for file in &symbols {
        starts.push(next);
        next = (next.0 + file.classes.len() as u32, next.1 + file.functions.len() as u32);
    }
    starts.push(next);

    let mut linker = Linker::new(modules, &symbols, &starts);
    linker.settle(&files);

    let (classes, functions) = definitions(&files, &symbols, &starts, &linker);
    let mut classes: Vec<Arc<Class>> = classes.into_iter().map(Arc::new).collect();
    linearise(&mut classes);
    let children = descendants(&classes);
    let mut by_name: FxHashMap<String, Vec<FunctionId>> = FxHashMap::default();
    for (index, function) in functions.iter().enumerate() {
        by_name.entry(function.name.clone()).or_default().push(FunctionId(index as u32));
    }
    let functions = functions.into_iter().map(Arc::new).collect();
    let (starts, children, by_name) = (Arc::new(starts), Arc::new(children), Arc::new(by_name));
    Program { files, symbols, classes, functions, linker, starts, children, by_name }
}

/// Every class's descendants, itself first.
fn descendants(classes: &[Arc<Class>]) -> Vec<Vec<ClassId>> {
    let mut children: Vec<Vec<ClassId>> = vec![Vec::new(); classes.len()];
    for (index, class) in classes.iter().enumerate() {
        for ancestor in &class.mro {
            if let Some(list) = children.get_mut(ancestor.0 as usize) {
                list.push(ClassId(index as u32));
            }
        }
    }
    children
}

/// A base that is found out after linking.
#[derive(Clone, Copy, Debug)]
pub struct Rebase {
    /// The class that has the base.
    pub class: ClassId,
    /// Where among its bases.
    pub position: usize,
    /// What the base is.
    pub base: ClassId,
    /// Whether it can be no other: if not, the class keeps an unknown base beside it.
    pub is_certain: bool,
}

impl Program {
    /// Put classes in the place of bases that only a framework's rules could tell (`get_user_model()`).
    pub fn rebase(&mut self, found: &[Rebase]) {
        for rebase in found {
            let Some(class) = self.classes.get_mut(rebase.class.0 as usize) else { continue };
            let class = Arc::make_mut(class);
            let Some(slot) = class.bases.get_mut(rebase.position) else { continue };
            *slot = Some(Def::Class(rebase.base));
            if !rebase.is_certain
                && let Some(node) = class.base_nodes.get(rebase.position).copied()
            {
                class.bases.push(None);
                class.base_nodes.push(node);
            }
        }
        if !found.is_empty() {
            linearise(&mut self.classes);
            self.children = Arc::new(descendants(&self.classes));
        }
    }
}

fn definitions(
    files: &[File],
    symbols: &[Arc<Symbols>],
    starts: &[(u32, u32)],
    linker: &Linker,
) -> (Vec<Class>, Vec<Function>) {
    let view = linker.view(files, &[]);
    let per_file: Vec<(Vec<Class>, Vec<Function>)> = files
        .par_iter()
        .zip(symbols)
        .zip(starts)
        .enumerate()
        .map(|(index, ((file, symbols), &start))| {
            let reader = Reader { id: FileId(index as u32), file, symbols, start, view };
            let functions: Vec<Function> = symbols
                .functions
                .iter()
                .map(|raw| Function {
                    name: raw.name.clone(),
                    file: reader.id,
                    node: raw.node,
                    class: raw.class.map(|c| ClassId(start.0 + c)),
                    decorators: raw.decorators.iter().map(|d| reader.decorator(*d, raw.class)).collect(),
                    is_async: raw.is_async,
                    is_generator: raw.is_generator,
                })
                .collect();
            let classes = symbols.classes.iter().map(|raw| reader.class(raw, &functions)).collect();
            (classes, functions)
        })
        .collect();
    let mut classes = Vec::new();
    let mut functions = Vec::new();
    for (c, f) in per_file {
        classes.extend(c);
        functions.extend(f);
    }
    (classes, functions)
}
