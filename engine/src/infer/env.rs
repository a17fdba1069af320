//! The names of a frame and their types at one point of its control flow.
//!
//! Branches share one table until one of them binds something: most branches bind nothing, and where they meet again
//! nothing has to be joined.

use super::types::{Name, Type};
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// What is known of names; also of attributes that were assigned, by their text: `self.books`.
#[derive(Clone, Default)]
pub(super) struct Env(Rc<FxHashMap<Name, Type>>);

impl Env {
    pub fn get(&self, name: &str) -> Option<&Type> {
        self.0.get(name)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Type)> {
        self.0.iter()
    }

    pub fn insert(&mut self, name: &str, ty: Type) {
        if self.0.get(name) == Some(&ty) {
            return;
        }
        let names = Rc::make_mut(&mut self.0);
        match names.get_mut(name) {
            Some(slot) => *slot = ty,
            None => {
                names.insert(Name::from(name), ty);
            }
        }
    }

    /// Forget the attributes of `owner`: `self`, `self.book`.
    pub fn forget_attributes(&mut self, owner: &str) {
        let is_below = |key: &str| key.strip_prefix(owner).is_some_and(|rest| rest.starts_with('.'));
        if self.0.keys().any(|key| is_below(key)) {
            Rc::make_mut(&mut self.0).retain(|key, _| !is_below(key));
        }
    }

    /// What is known where `self` and `other` come together, with `either` for a name that they know differently, in the
    /// order of names. A name that only one of them knows may be unbound, which is not followed; an attribute that only
    /// one of them has assigned is not known.
    pub fn join(mut self, other: Env, mut either: impl FnMut(Type, Type) -> Type) -> Env {
        if Rc::ptr_eq(&self.0, &other.0) {
            return self;
        }
        let mut changed: Vec<(Name, Option<Type>, Option<Type>)> = Vec::new();
        for (name, ty) in self.0.iter() {
            match other.0.get(name) {
                Some(theirs) if theirs == ty => {}
                Some(theirs) => changed.push((name.clone(), Some(ty.clone()), Some(theirs.clone()))),
                None if name.contains('.') => changed.push((name.clone(), None, None)),
                None => {}
            }
        }
        for (name, ty) in other.0.iter() {
            if !name.contains('.') && !self.0.contains_key(name) {
                changed.push((name.clone(), None, Some(ty.clone())));
            }
        }
        if changed.is_empty() {
            return self;
        }
        changed.sort_by(|a, b| a.0.cmp(&b.0));
        let names = Rc::make_mut(&mut self.0);
        for (name, ours, theirs) in changed {
            match (ours, theirs) {
                (Some(ours), Some(theirs)) => {
                    names.insert(name, either(ours, theirs));
                }
                (_, Some(theirs)) => {
                    names.insert(name, theirs);
                }
                _ => {
                    names.remove(&name);
                }
            }
        }
        self
    }
}
