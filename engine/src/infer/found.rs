//! What was found once and is asked for again, by codemods too: each answer under the name of who asks, with what it was
//! found in.

use crate::python::touched::{self, Things, Touched};
use rustc_hash::FxHashMap;
use std::any::Any;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Answers by key.
#[derive(Debug)]
pub(super) struct Answers<K, V>(Mutex<FxHashMap<K, (V, Touched)>>);

impl<K, V> Default for Answers<K, V> {
    fn default() -> Self {
        Answers(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Answers<K, V> {
    /// The answer that is known.
    pub fn get(&self, key: &K) -> Option<V> {
        let (known, touched) = self.lock().get(key).cloned()?;
        touched::again(&touched);
        Some(known)
    }

    /// The answer that is known, or else what `find` finds; no lock is held meanwhile.
    pub fn get_or(&self, key: K, find: impl FnOnce() -> V) -> V {
        self.get(&key).unwrap_or_else(|| {
            let (found, touched) = touched::record(find);
            self.put(key, found.clone(), touched);
            found
        })
    }

    /// Keep an answer, which was found in what it `touched`.
    pub fn put(&self, key: K, found: V, touched: Touched) {
        self.lock().insert(key, (found, touched));
    }

    /// Throw away what was found in `changed`.
    pub fn forget(&self, changed: &Things) {
        self.lock().retain(|_, (_, touched)| !touched.any_of(changed));
    }

    /// Change answers, which depend on the same as before.
    pub fn update(&self, change: impl Fn(&mut V)) {
        self.lock().values_mut().for_each(|(known, _)| change(known));
    }

    /// Put an answer in the place of one that depends on the same.
    pub fn set(&self, key: &K, answer: V) {
        if let Some((known, _)) = self.lock().get_mut(key) {
            *known = answer;
        }
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<K, (V, Touched)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers by name. A copy has none: what it was made for may be changed.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The answers to questions without a key.
    single: Answers<&'static str, Arc<dyn Any + Send + Sync>>,
    keyed: Mutex<Vec<(&'static str, Arc<dyn Keyed>)>>,
}

/// Answers by keys of any type.
trait Keyed: Any + Send + Sync + std::fmt::Debug {
    fn forget(&self, changed: &Things);
}

/// What a key and an answer are is not shown.
struct ByKey<K, V>(Answers<K, V>);

impl<K, V> std::fmt::Debug for ByKey<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

impl<K: Eq + Hash + Send + 'static, V: Clone + Send + 'static> Keyed for ByKey<K, V> {
    fn forget(&self, changed: &Things) {
        self.0.forget(changed);
    }
}

impl Clone for Found {
    fn clone(&self) -> Found {
        Found::default()
    }
}

impl Found {
    /// The answer under `name`, which stands for one type: `find` is asked the first time, and no lock is held meanwhile.
    pub fn once<T: Send + Sync + 'static>(&self, name: &'static str, find: impl FnOnce() -> T) -> Arc<T> {
        if let Some(Ok(known)) = self.single.get(&name).map(Arc::downcast) {
            return known;
        }
        let (found, touched) = touched::record(|| Arc::new(find()));
        self.single.put(name, found.clone(), touched);
        found
    }

    /// As [`once`](Self::once), an answer for each `key`.
    pub fn once_for<K: Eq + Hash + Send + 'static, T: Clone + Send + 'static>(
        &self,
        name: &'static str,
        key: K,
        find: impl FnOnce() -> T,
    ) -> T {
        let known = self.keyed().iter().find(|(n, _)| *n == name).map(|(_, answers)| answers.clone());
        let answers = known.unwrap_or_else(|| {
            let answers: Arc<dyn Keyed> = Arc::new(ByKey::<K, T>(Answers::default()));
            self.keyed().push((name, answers.clone()));
            answers
        });
        let answers: Arc<dyn Any + Send + Sync> = answers;
        match answers.downcast::<ByKey<K, T>>() {
            Ok(answers) => answers.0.get_or(key, find),
            Err(_) => find(),
        }
    }

    /// Throw away what was found in `changed`.
    pub fn forget(&self, changed: &Things) {
        self.single.forget(changed);
        self.keyed().iter().for_each(|(_, answers)| answers.forget(changed));
    }

    fn keyed(&self) -> MutexGuard<'_, Vec<(&'static str, Arc<dyn Keyed>)>> {
        self.keyed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
