//! What the system tells of a file without its being read.

use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Times of files are no finer than this on any file system in use (FAT's are the coarsest): of two changes that come closer
/// to each other the second may not show.
const COARSE: Duration = Duration::from_secs(2);

/// What is another after whatever is done to a file or to the entries of a directory, if that is not done at once
/// ([`is_settled`](Stat::is_settled)). The time of the last change of its metadata is among it, which no program can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    length: u64,
    modified: Duration,
    changed: Duration,
    device: u64,
    number: u64,
}

impl Stat {
    /// That of `metadata`; none where the system does not tell as much, or tells of a time before 1970.
    #[cfg(unix)]
    pub fn of(metadata: &Metadata) -> Option<Stat> {
        use std::os::unix::fs::MetadataExt;
        let time = |seconds: i64, nanoseconds: i64| {
            Some(Duration::new(seconds.try_into().ok()?, nanoseconds.try_into().ok()?))
        };
        Some(Stat {
            length: metadata.len(),
            modified: time(metadata.mtime(), metadata.mtime_nsec())?,
            changed: time(metadata.ctime(), metadata.ctime_nsec())?,
            device: metadata.dev(),
            number: metadata.ino(),
        })
    }

    #[cfg(not(unix))]
    pub fn of(_: &Metadata) -> Option<Stat> {
        None
    }

    /// That of what is at `path`, links followed.
    pub fn at(path: &Path) -> Option<Stat> {
        Stat::of(&path.metadata().ok()?)
    }

    /// Whether everything that is done from `now` on will show.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let Ok(now) = now.duration_since(SystemTime::UNIX_EPOCH) else { return false };
        [self.modified, self.changed].iter().all(|time| *time + COARSE < now)
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    #[test]
    fn whatever_is_done_shows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.py");
        fs::write(&path, "x = 1\n").unwrap();
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        File::open(&path).unwrap().set_modified(old).unwrap();
        let before = Stat::at(&path).unwrap();
        assert_eq!(Stat::at(&path), Some(before));
        std::thread::sleep(Duration::from_millis(20));
        fs::write(&path, "x = 2\n").unwrap();
        // As old as it was, and as long.
        File::open(&path).unwrap().set_modified(old).unwrap();
        assert_ne!(Stat::at(&path), Some(before));
        let listed = Stat::at(dir.path()).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        fs::write(dir.path().join("b.py"), "").unwrap();
        assert_ne!(Stat::at(dir.path()), Some(listed));
        assert_eq!(Stat::at(&dir.path().join("c.py")), None);
    }

    #[test]
    fn what_has_just_changed_may_change_unseen() {
        let dir = tempfile::tempdir().unwrap();
        let stat = Stat::at(dir.path()).unwrap();
        let now = SystemTime::now();
        assert!(!stat.is_settled(now));
        assert!(stat.is_settled(now + Duration::from_secs(3)));
        // A clock that goes wrong.
        assert!(!stat.is_settled(now - Duration::from_secs(3600)));
        assert!(!stat.is_settled(SystemTime::UNIX_EPOCH - Duration::from_secs(1)));
    }
}
