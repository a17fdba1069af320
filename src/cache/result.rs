//! What a run found, by what the engine was given.

use super::{Cache, Kind, hasher, part};
use crate::paths::Paths;
use crate::read;
use ormend_engine::codemod::Rule;
use ormend_engine::rewrite::{InputFile, Options, Report, Role};
use ormend_engine::text::{FileId, MAX_BYTES, Source};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::io;

/// A hash of what a file holds.
pub(super) type Digest = [u8; blake3::OUT_LEN];

/// The files that the engine is given, as hashes.
pub struct Content {
    /// How many they are.
    pub count: usize,
    /// All of them, with their paths and roles.
    pub all: blake3::Hash,
    pub(super) each: Vec<Digest>,
}

impl Content {
    /// That of `files`.
    pub fn of(files: &[InputFile]) -> Content {
        let each: Vec<Digest> = files.par_iter().map(|file| digest(&file.bytes)).collect();
        let mut all = blake3::Hasher::new();
        for (InputFile { path, role, .. }, digest) in files.iter().zip(&each) {
            all.update(&[*role as u8]);
            part(&mut all, path.as_bytes());
            all.update(digest);
        }
        Content { count: files.len(), all: all.finalize(), each }
    }
}

fn digest(bytes: &[u8]) -> Digest {
    *blake3::hash(bytes).as_bytes()
}

/// What a result depends on, as a hash.
pub struct Key(blake3::Hash);

/// A result as it is stored. Of what the files hold only hashes are in it.
#[derive(Serialize, Deserialize)]
struct Entry<R, T> {
    report: R,
    /// The names of the codemods of the findings.
    codemods: Vec<T>,
    /// The files that the findings refer to.
    referred: Vec<Referred<T>>,
    /// What the files that change hold before, in the order of the changes.
    before: Vec<Digest>,
    /// The engine's own files that findings refer to: their path and text.
    brought: Vec<(FileId, T, T)>,
}

/// A file that the engine was given.
#[derive(Serialize, Deserialize)]
struct Referred<T> {
    file: FileId,
    path: T,
    is_template: bool,
    digest: Digest,
}

impl Cache {
    /// The key of a run over files whose content has the hash `all`, with these arguments. There is none where the system does
    /// not tell this executable from others.
    pub fn key(
        &self,
        all: &blake3::Hash,
        rules: &[&dyn Rule],
        options: &Options,
        apply: bool,
    ) -> Option<Key> {
        let mut hash = hasher(Kind::Result)?;
        hash.update(&[u8::from(apply)]);
        part(&mut hash, &postcard::to_stdvec(options).ok()?);
        hash.update(&(rules.len() as u64).to_le_bytes());
        for rule in rules {
            part(&mut hash, rule.meta().name.as_bytes());
        }
        hash.update(all.as_bytes());
        Some(Key(hash.finalize()))
    }

    /// The result of the run with this key, if it is kept, and the files still hold what that run was given. They are read
    /// where `files` does not have them.
    pub fn get(&self, key: &Key, files: Option<&[InputFile]>, paths: &Paths) -> Option<Report> {
        let payload = self.read(Kind::Result, &key.0)?;
        restore(postcard::from_bytes(&payload).ok()?, files, paths)
    }

    /// Keep `report`, the result of the run with this key, which was given `content`. One that tells of a mistake of ours is
    /// not kept.
    pub fn put(&self, key: &Key, report: &Report, content: &Content) -> io::Result<()> {
        if report.warnings.iter().any(|warning| warning.message.starts_with("internal error")) {
            return Err(io::Error::other("it tells of an internal error"));
        }
        let (mut referred, mut brought) = (Vec::new(), Vec::new());
        for (&file, source) in &report.sources {
            match content.each.get(file.0 as usize) {
                Some(&digest) => {
                    let (path, is_template) = (source.path(), source.is_template());
                    referred.push(Referred { file, path, is_template, digest });
                }
                None => brought.push((file, source.path(), source.text())),
            }
        }
        referred.sort_unstable_by_key(|referred| referred.file);
        brought.sort_unstable_by_key(|(file, ..)| *file);
        let entry = Entry {
            report,
            codemods: report.findings.iter().map(|finding| finding.codemod).collect(),
            referred,
            before: report.changes.iter().map(|change| digest(&change.before)).collect(),
            brought,
        };
        self.write(Kind::Result, &key.0, &postcard::to_stdvec(&entry).map_err(io::Error::other)?)
    }
}

/// The result that `entry` holds, with what is not stored; `None` if it does not fit the files.
fn restore(entry: Entry<Report, String>, files: Option<&[InputFile]>, paths: &Paths) -> Option<Report> {
    let Entry { mut report, codemods, referred, before, brought } = entry;
    let count = report.findings.len();
    if [codemods.len(), report.fingerprints.len(), report.imports.len()] != [count; 3]
        || before.len() != report.changes.len()
    {
        return None;
    }
    for (finding, name) in report.findings.iter_mut().zip(codemods) {
        finding.codemod = ormend_codemods::meta(&name)?.name;
    }
    let by_path: Option<FxHashMap<&str, &InputFile>> =
        files.map(|files| files.iter().map(|file| (file.path.as_str(), file)).collect());
    let content = |path: &str, expected: &Digest| {
        let bytes = match &by_path {
            Some(files) => files.get(path)?.bytes.clone(),
            None => read::at_most(&paths.absolute(path), MAX_BYTES + 1).ok()?,
        };
        (digest(&bytes) == *expected).then_some(bytes)
    };
    let changes = report.changes.par_iter_mut().zip(&before);
    let changes = changes.map(|(change, expected)| {
        change.before = content(&change.path, expected)?;
        Some(())
    });
    changes.collect::<Option<()>>()?;
    let sources = referred.into_par_iter().map(|Referred { file, path, is_template, digest }| {
        let bytes = content(&path, &digest)?;
        let role = if is_template { Role::Template } else { Role::Index };
        Some((file, InputFile { path, bytes, role }.into()))
    });
    report.sources = sources.collect::<Option<Vec<_>>>()?.into_iter().collect();
    for (file, path, text) in brought {
        report.sources.insert(file, Source::new(path, text.into_bytes()).into());
    }
    Some(report)
}
