//! Edits of the engine as edits of the client's documents.

use super::client::Client;
use super::documents::Document;
use super::position::Lines;
use crate::paths::Paths;
use lsp_types::{
    DocumentChanges, OneOf, OptionalVersionedTextDocumentIdentifier, Range, TextDocumentEdit, TextEdit, Uri,
    WorkspaceEdit,
};
use ormend_engine::codemod::FileEdit;
use ormend_engine::rewrite::{Change, Sources};
use ormend_engine::text::{Edit, FileId, Source, Span};
use similar::{ChangeTag, TextDiff};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;

/// The open buffers of a project, by their files.
pub type Open = BTreeMap<PathBuf, Arc<Document>>;

/// Where the files of a project are for the client.
pub struct Places<'a> {
    pub client: &'a Client,
    pub paths: &'a Paths,
    pub open: &'a Open,
}

impl Places<'_> {
    /// The client's name of a file, and its version if it is open.
    pub fn document(&self, path: &str) -> Option<(Uri, Option<i32>)> {
        let file = self.paths.absolute(path);
        match self.open.get(&file) {
            Some(document) => Some((document.uri.clone(), Some(document.version))),
            None => Some((uri(&file)?, None)),
        }
    }

    /// The range of `span` in `source`.
    pub fn range(&self, source: &Source, span: Span) -> Range {
        let (start, end) = (span.start as usize, span.end as usize);
        let encoding = self.client.abilities.encoding;
        match self.open.get(&self.paths.absolute(source.path())) {
            Some(document) => document.range(start, end, encoding),
            None => Lines::of(source.text()).range(source.text(), start, end, encoding),
        }
    }

    /// The edits of a fix.
    pub fn of_fix(&self, edits: &[FileEdit], sources: &Sources) -> Option<WorkspaceEdit> {
        let mut by_file: BTreeMap<FileId, Vec<Edit>> = BTreeMap::new();
        for edit in edits {
            by_file.entry(edit.file).or_default().push(edit.edit.clone());
        }
        let texts = by_file.into_iter().map(|(file, edits)| Some((&**sources.get(&file)?, edits)));
        self.edit(texts.collect::<Option<_>>()?)
    }

    /// The edits that make `changes`.
    pub fn of_changes(&self, changes: &[Change]) -> Option<WorkspaceEdit> {
        let source = |change: &Change, bytes: &[u8]| Source::new(change.path.as_str(), bytes.to_vec());
        let sources: Vec<(Source, Source)> = changes
            .iter()
            .map(|change| (source(change, &change.before), source(change, &change.after)))
            .collect();
        let edits = sources.iter().map(|(before, after)| (before, difference(before.text(), after.text())));
        self.edit(edits.collect())
    }

    fn edit(&self, files: Vec<(&Source, Vec<Edit>)>) -> Option<WorkspaceEdit> {
        let mut edits = Vec::with_capacity(files.len());
        for (source, mut edits_here) in files {
            let (uri, version) = self.document(source.path())?;
            // Those at one place stay in their order.
            edits_here.sort_by_key(|edit| (edit.span.start, edit.span.end));
            let edits_here: Vec<TextEdit> = edits_here
                .into_iter()
                .map(|edit| TextEdit::new(self.range(source, edit.span), edit.text))
                .collect();
            edits.push((uri, version, edits_here));
        }
        edits.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
        if !self.client.abilities.versioned_edits {
            #[allow(clippy::mutable_key_type, reason = "the type of the protocol")]
            let changes: HashMap<Uri, Vec<TextEdit>> =
                edits.into_iter().map(|(uri, _, edits)| (uri, edits)).collect();
            return Some(WorkspaceEdit::new(changes));
        }
        let changes = edits.into_iter().map(|(uri, version, edits)| TextDocumentEdit {
            text_document: OptionalVersionedTextDocumentIdentifier { uri, version },
            edits: edits.into_iter().map(OneOf::Left).collect(),
        });
        Some(WorkspaceEdit {
            document_changes: Some(DocumentChanges::Edits(changes.collect())),
            ..WorkspaceEdit::default()
        })
    }
}

/// The URI of `file`, which is absolute.
pub fn uri(file: &Path) -> Option<Uri> {
    let url = Url::from_file_path(file).ok()?;
    // What browsers leave in a path and the protocol's RFC 3986 does not.
    let text = url.as_str().chars().fold(String::new(), |mut text, c| {
        match c {
            '[' | ']' | '|' | '^' | '\\' | '"' | '<' | '>' | '`' | '{' | '}' => {
                text.push_str(&format!("%{:02X}", u32::from(c)));
            }
            _ => text.push(c),
        }
        text
    });
    text.parse().ok()
}

/// The file that `uri` names, if it names one.
pub fn file(uri: &Uri) -> Option<PathBuf> {
    let url = Url::parse(uri.as_str()).ok().filter(|url| url.scheme() == "file")?;
    url.to_file_path().ok()
}

/// Edits of whole lines that make `after` of `before`.
fn difference(before: &str, after: &str) -> Vec<Edit> {
    let diff = TextDiff::from_lines(before, after);
    let mut edits: Vec<Edit> = Vec::new();
    let mut at = 0;
    let mut is_open = false;
    for change in diff.iter_all_changes() {
        let text = change.value();
        if change.tag() == ChangeTag::Equal {
            at += text.len() as u32;
            is_open = false;
            continue;
        }
        if !is_open {
            edits.push(Edit::insert(at, ""));
            is_open = true;
        }
        let Some(edit) = edits.last_mut() else { continue };
        match change.tag() {
            ChangeTag::Delete => {
                at += text.len() as u32;
                edit.span.end = at;
            }
            _ => edit.text.push_str(text),
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;
    use ormend_engine::text::apply;

    #[test]
    fn only_lines_that_differ_are_edited() {
        let (before, after) = ("a\nb\r\nc\nd", "x\na\nB\r\nc\ne\nf");
        let edits = difference(before, after);
        assert_eq!(edits.len(), 3);
        assert_eq!(apply(before, &edits).as_deref(), Some(after));
        assert_eq!(difference(before, before), []);
        assert_eq!(apply("", &difference("", after)).as_deref(), Some(after));
    }

    #[test]
    fn names_of_files_are_found_again() {
        for name in ["/a b/\u{e9}\u{1f600}.py", "/a%20b.py", "/a?#.py", "/[a]|^\"<{`}>.py"] {
            let uri = uri(Path::new(name)).unwrap();
            assert_eq!(file(&uri).as_deref(), Some(Path::new(name)), "{}", uri.as_str());
        }
        assert_eq!(file(&"file:///a%3Ab.py".parse().unwrap()).as_deref(), Some(Path::new("/a:b.py")));
        assert_eq!(file(&"untitled:Untitled-1".parse().unwrap()), None);
    }
}
