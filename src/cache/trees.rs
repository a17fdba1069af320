//! The trees of files, by what the files hold: whoever has one need not parse the file.

use super::result::Digest;
use super::{Cache, Content, Kind, hasher};
use ormend_engine::rewrite::ParsedFiles;
use rustc_hash::FxHashMap;
use std::io;
use std::ops::Range;

/// Trees are kept anew where more files than this had to be parsed, and than a part of all.
const FEW: usize = 16;
const PART: usize = 20;

/// Trees of an earlier run.
#[derive(Default)]
pub struct Trees {
    bytes: Vec<u8>,
    by_digest: FxHashMap<Digest, Range<usize>>,
}

impl Trees {
    /// The tree of a file that holds what has this digest.
    fn get(&self, digest: &Digest) -> Option<&[u8]> {
        self.bytes.get(self.by_digest.get(digest)?.clone())
    }

    /// The trees that `bytes` hold: how many, the digest and the length of each, and the trees themselves.
    fn read(bytes: Vec<u8>) -> Option<Trees> {
        let (mut rest, mut by_digest) = (bytes.as_slice(), FxHashMap::default());
        let (count, after) = rest.split_first_chunk()?;
        rest = after;
        let mut start = bytes.len().checked_sub(rest.len())?;
        let count = u32::from_le_bytes(*count) as usize;
        start = start.checked_add(count.checked_mul(size_of::<Digest>() + size_of::<u32>())?)?;
        for _ in 0..count {
            let (digest, after) = rest.split_first_chunk()?;
            let (length, after) = after.split_first_chunk()?;
            rest = after;
            let end = start.checked_add(u32::from_le_bytes(*length) as usize)?;
            by_digest.insert(*digest, start..end);
            start = end;
        }
        (start == bytes.len()).then_some(Trees { bytes, by_digest })
    }
}

impl Content {
    /// The tree among `trees` of the file with this index.
    pub fn tree<'t>(&self, trees: &'t Trees, index: usize) -> Option<&'t [u8]> {
        trees.get(self.each.get(index)?)
    }
}

impl Cache {
    /// The trees that an earlier run kept; none if it kept none.
    pub fn trees(&self) -> Trees {
        let bytes = name().and_then(|name| self.read(Kind::Trees, &name));
        bytes.and_then(Trees::read).unwrap_or_default()
    }

    /// Keep the trees of `files`, whose content is `content`, for the next run, unless so few were parsed that those which it has
    /// do as well.
    pub fn keep_trees(&self, files: &ParsedFiles, content: &Content) -> io::Result<()> {
        let parsed = files.size().files;
        if parsed <= FEW || parsed <= content.count / PART {
            return Ok(());
        }
        let Some(name) = name() else { return Ok(()) };
        let trees = files.pack();
        let of_files =
            content.each.iter().zip(&trees).filter_map(|(digest, tree)| Some((digest, tree.as_ref()?)));
        let (mut index, mut count) = (Vec::new(), 0u32);
        for (digest, tree) in of_files {
            index.extend_from_slice(digest);
            index.extend_from_slice(&u32::try_from(tree.len()).map_err(io::Error::other)?.to_le_bytes());
            count += 1;
        }
        let length = trees.iter().flatten().map(Vec::len).sum::<usize>();
        let mut payload = Vec::with_capacity(size_of::<u32>() + index.len() + length);
        payload.extend_from_slice(&count.to_le_bytes());
        payload.append(&mut index);
        trees.iter().flatten().for_each(|tree| payload.extend_from_slice(tree));
        self.write(Kind::Trees, &name, &payload)
    }
}

/// There is one entry, whatever the project holds.
fn name() -> Option<blake3::Hash> {
    Some(hasher(Kind::Trees)?.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_hold_trees_has_none() {
        let whole =
            [&2u32.to_le_bytes()[..], &[7; 32], &3u32.to_le_bytes(), &[8; 32], &1u32.to_le_bytes(), b"abcd"];
        let whole = whole.concat();
        let trees = Trees::read(whole.clone()).unwrap();
        assert_eq!((trees.get(&[7; 32]), trees.get(&[8; 32])), (Some(&b"abc"[..]), Some(&b"d"[..])));
        assert_eq!(trees.get(&[9; 32]), None);
        for end in 0..whole.len() {
            assert!(Trees::read(whole[..end].to_vec()).is_none(), "{end}");
        }
        assert!(Trees::read([&whole[..], b"e"].concat()).is_none());
        assert!(Trees::read(u32::MAX.to_le_bytes().to_vec()).is_none());
    }
}
