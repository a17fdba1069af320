//! What files held that have not changed since: whoever sees that by what the system tells of them need not read them.

use super::{Cache, Content, Kind, hasher, part};
use crate::input::Input;
use crate::stat::Stat;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::SystemTime;

/// The files that are found, and what the system tells of them, as a hash: all that the content which the engine is given depends
/// on, save the installed packages and standard input.
pub struct Listing {
    hash: blake3::Hash,
    started: SystemTime,
    /// Whether each change from then on will show.
    is_settled: bool,
}

impl Listing {
    /// That of what a walk has found which began at `started`, and of the environment. There is none where the system does not
    /// tell enough.
    pub fn of(input: &Input, started: SystemTime) -> Option<Listing> {
        let Input { discovery, environment, .. } = input;
        let mut hash = hasher(Kind::Seen)?;
        let packages = environment.as_ref().map(|environment| environment.site_packages.as_os_str());
        part(&mut hash, packages.unwrap_or_default().as_encoded_bytes());
        let mut is_settled = true;
        for found in discovery.files.iter().chain(&discovery.maybe_templates).filter(|found| found.is_read())
        {
            let stat = found.stat?;
            is_settled &= stat.is_settled(started);
            hash.update(&[found.role as u8]);
            part(&mut hash, found.path.as_bytes());
            part(&mut hash, &postcard::to_stdvec(&stat).ok()?);
        }
        hash.update(&(discovery.files.len() as u64).to_le_bytes());
        Some(Listing { hash: hash.finalize(), started, is_settled })
    }
}

/// What a run read.
#[derive(Debug, Serialize, Deserialize)]
pub struct Seen {
    all: [u8; blake3::OUT_LEN],
    /// How many files the engine was given.
    pub count: usize,
    /// The engine's paths of those among them that are installed packages'.
    pub packages: Vec<String>,
    /// The files and directories of packages that were read.
    watched: Vec<(PathBuf, Stat)>,
}

impl Seen {
    /// The hash of [`Content`].
    pub fn all(&self) -> blake3::Hash {
        blake3::Hash::from_bytes(self.all)
    }
}

impl Cache {
    /// What files of this listing hold, if an earlier run read them, and the packages that it read are as they were.
    pub fn seen(&self, listing: &Listing) -> Option<Seen> {
        let seen: Seen = postcard::from_bytes(&self.read(Kind::Seen, &listing.hash)?).ok()?;
        seen.watched.par_iter().all(|(path, stat)| Stat::at(path) == Some(*stat)).then_some(seen)
    }

    /// Keep for the next run what the files of this listing hold, if every change since will show; `packages` and
    /// `watched` are those of what was read. Nothing is said where that fails: the next run reads again.
    pub fn keep_seen(
        &self,
        listing: &Listing,
        content: &Content,
        packages: Vec<String>,
        watched: Option<Vec<(PathBuf, Stat)>>,
    ) {
        let is_settled = |(_, stat): &(PathBuf, Stat)| stat.is_settled(listing.started);
        let Some(watched) = watched.filter(|watched| listing.is_settled && watched.iter().all(is_settled))
        else {
            return;
        };
        let seen = Seen { all: *content.all.as_bytes(), count: content.count, packages, watched };
        if let Ok(payload) = postcard::to_stdvec(&seen) {
            let _ = self.write(Kind::Seen, &listing.hash, &payload);
        }
    }
}
