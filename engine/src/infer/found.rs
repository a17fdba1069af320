//! What was found once and is asked for again, by codemods too: each answer under the name of who asks.

use rustc_hash::FxHashMap;
use std::any::Any;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// Answers by name. A copy has none: what it was made for may be changed.
#[derive(Debug, Default)]
pub(super) struct Found(Mutex<Vec<Answer>>);

/// Who asked, and the answer.
type Answer = (&'static str, Arc<dyn Any + Send + Sync>);

impl Clone for Found {
    fn clone(&self) -> Found {
        Found::default()
    }
}

impl Found {
    /// The answer under `name`, which stands for one type: `find` is asked the first time, and no lock is held meanwhile.
    pub fn once<T: Send + Sync + 'static>(&self, name: &'static str, find: impl FnOnce() -> T) -> Arc<T> {
        let known = self.lock().iter().find(|(n, _)| *n == name).map(|(_, found)| found.clone());
        if let Some(known) = known.and_then(|found| found.downcast().ok()) {
            return known;
        }
        let found = Arc::new(find());
        self.lock().push((name, found.clone()));
        found
    }

    /// As [`once`](Self::once), an answer for each `key`.
    pub fn once_for<K: Eq + Hash + Send + 'static, T: Clone + Send + 'static>(
        &self,
        name: &'static str,
        key: K,
        find: impl FnOnce() -> T,
    ) -> T {
        let answers = self.once(name, Mutex::<FxHashMap<K, T>>::default);
        let answers = || answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = answers().get(&key) {
            return known.clone();
        }
        let found = find();
        answers().insert(key, found.clone());
        found
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
