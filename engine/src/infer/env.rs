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

#[cfg(test)]
mod tests {
    use super::*;

    fn env(names: &[(&str, Type)]) -> Env {
        let mut out = Env::default();
        for (name, ty) in names {
            out.insert(name, ty.clone());
        }
        out
    }

    fn sorted(env: &Env) -> Vec<(&str, &Type)> {
        let mut out: Vec<_> = env.iter().map(|(name, ty)| (&**name, ty)).collect();
        out.sort_by_key(|(name, _)| *name);
        out
    }

    #[test]
    fn branches_that_bind_nothing_share_and_are_not_joined() {
        let before = env(&[("a", Type::Int), ("self.b", Type::Str)]);
        let mut branch = before.clone();
        branch.insert("a", Type::Int);
        branch.forget_attributes("other");
        assert!(Rc::ptr_eq(&before.0, &branch.0));
        let joined = before.clone().join(branch, |_, _| unreachable!("nothing differs"));
        assert!(Rc::ptr_eq(&before.0, &joined.0));
    }

    #[test]
    fn a_branch_does_not_change_what_others_see() {
        let before = env(&[("a", Type::Int)]);
        let mut branch = before.clone();
        branch.insert("a", Type::Str);
        assert_eq!((before.get("a"), branch.get("a")), (Some(&Type::Int), Some(&Type::Str)));
    }

    #[test]
    fn a_name_of_one_branch_stays_and_an_attribute_of_one_does_not() {
        let ours = env(&[("a", Type::Int), ("both", Type::Int), ("same", Type::Str), ("self.a", Type::Int)]);
        let theirs =
            env(&[("b", Type::Str), ("both", Type::Str), ("same", Type::Str), ("self.b", Type::Int)]);
        let mut asked = Vec::new();
        let joined = ours.join(theirs, |a, b| {
            asked.push((a, b));
            Type::Bool
        });
        assert_eq!(asked, [(Type::Int, Type::Str)]);
        let expected = [("a", &Type::Int), ("b", &Type::Str), ("both", &Type::Bool), ("same", &Type::Str)];
        assert_eq!(sorted(&joined), expected);
    }

    #[test]
    fn attributes_are_forgotten_with_their_owner() {
        let mut all = env(&[
            ("self.a", Type::Int),
            ("self.a.b", Type::Int),
            ("self.ab", Type::Int),
            ("self", Type::Int),
        ]);
        all.forget_attributes("self.a");
        assert_eq!(
            sorted(&all).iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["self", "self.a", "self.ab"]
        );
        all.forget_attributes("self");
        assert_eq!(sorted(&all).iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["self"]);
    }
}
