//! The files that the findings of a report refer to.

use super::InputFile;
use crate::text::{FileId, Source};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

/// Files that findings refer to.
pub type Sources = BTreeMap<FileId, LazySource>;

type Decode = Box<dyn FnOnce() -> Arc<Source> + Send>;

/// A source that is decoded when it is first looked at: of the files of a stored result few are shown.
#[derive(Clone)]
pub struct LazySource(Arc<LazyLock<Arc<Source>, Decode>>);

impl Deref for LazySource {
    type Target = Source;

    fn deref(&self) -> &Source {
        &self.0
    }
}

impl fmt::Debug for LazySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl From<Arc<Source>> for LazySource {
    fn from(source: Arc<Source>) -> LazySource {
        LazySource(Arc::new(LazyLock::new(Box::new(move || source))))
    }
}

impl From<Source> for LazySource {
    fn from(source: Source) -> LazySource {
        Arc::new(source).into()
    }
}

impl From<InputFile> for LazySource {
    fn from(file: InputFile) -> LazySource {
        LazySource(Arc::new(LazyLock::new(Box::new(move || Arc::new(file.into_source())))))
    }
}
