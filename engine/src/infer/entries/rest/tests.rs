//! The sections of `cases.md`; `tests/django/rest.py` holds the same against the framework itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::django::Project;
use crate::infer::{Analyzer, EventKind, Facts, Name, Root, ValueId};
use crate::text::Source;
use std::collections::BTreeSet;

const IMPORTS: &str = "
from rest_framework import generics, mixins, serializers, viewsets
from rest_framework.decorators import action, api_view
from rest_framework.response import Response
from shop.models import *
";

const VIEW: &str = "
class Books(generics.ListAPIView):
    queryset = Book.objects.all()
    serializer_class = BookSerializer
";

/// The relations from the rows of a queryset that is no relation itself; only those that are read of every row, where
/// that is asked for.
fn paths(facts: &Facts, certainly: bool) -> BTreeSet<String> {
    fn from_row(facts: &Facts, value: ValueId, path: &[Name], depth: usize) -> Option<String> {
        let queryset = facts.value(value)?.queryset.as_deref()?;
        let own = path.join("__");
        match &queryset.related {
            None => Some(own),
            Some(related) if depth < 10 => {
                let Root::Row(owner) = related.owner.root else { return None };
                let mut above: Vec<Name> = related.owner.path.to_vec();
                above.push(related.accessor.clone());
                above.extend(path.iter().cloned());
                from_row(facts, owner, &above, depth + 1)
            }
            Some(_) => None,
        }
    }
    let read = |kind: &EventKind| match kind {
        EventKind::ReadRelation { root: Root::Row(value), path, .. }
        | EventKind::ReadMany { root: Root::Row(value), path, .. } => from_row(facts, *value, path, 0),
        _ => None,
    };
    let events = facts.events().filter(|e| !certainly || e.rounds.iter().all(|r| r.is_certain));
    events.filter_map(|e| read(e.kind)).collect()
}

/// The fence with a label in a section.
fn fence<'a>(section: &'a str, label: &str) -> Option<&'a str> {
    let start = section.find(&format!("```{label}\n"))? + label.len() + 4;
    let rest = section.get(start..)?;
    rest.get(..rest.find("```")?)
}

/// Sources of the framework, cut short, as an environment holds them.
const FRAMEWORK: [(&str, &str); 4] = [
    ("rest_framework/__init__.py", ""),
    ("rest_framework/fields.py", "class Field: ...\nclass SerializerMethodField(Field): ...\n"),
    (
        "rest_framework/serializers.py",
        "from rest_framework.fields import Field, SerializerMethodField
class BaseSerializer(Field):
    def to_representation(self, instance):
        raise NotImplementedError
class Serializer(BaseSerializer):
    def to_representation(self, instance):
        return {name: field.get_attribute(instance) for name, field in self.fields.items()}
class ModelSerializer(Serializer): ...
",
    ),
    (
        "rest_framework/generics.py",
        "class GenericAPIView:
    queryset = None
    serializer_class = None
    def get_queryset(self):
        return self.queryset.all()
    def filter_queryset(self, queryset):
        return queryset
class ListAPIView(GenericAPIView):
    def get(self, request):
        return self.get_queryset()
",
    ),
];

fn reads(code: &str, certainly: bool) -> BTreeSet<String> {
    reads_with(&[], code, certainly)
}

fn reads_with(packages: &[(&str, &str)], code: &str, certainly: bool) -> BTreeSet<String> {
    let is_ordinary = code.contains("def books(");
    let view = if code.contains("class Books(") || is_ordinary { "" } else { VIEW };
    let text = format!("{IMPORTS}{code}{view}");
    let own =
        [("shop/__init__.py", ""), ("shop/models.py", include_str!("models.py")), ("shop/api.py", &text)];
    let sources = own.iter().chain(packages).map(|(path, text)| Source::new(*path, text.as_bytes().to_vec()));
    let project = Project::build(sources.collect());
    let analyzer = Analyzer::new(&project);
    if is_ordinary {
        let program = project.program();
        let function =
            program.function_ids().find(|f| program.function(*f).name == "books").expect("books()");
        return paths(&analyzer.function(function), certainly);
    }
    let entries = analyzer.entries();
    let entry = entries.iter().find(|e| e.name(project.program()) == "Books").expect("an entry");
    paths(&entry.facts, certainly)
}

#[test]
fn every_section() {
    let mut wrong = String::new();
    for section in include_str!("cases.md").split("\n## ").skip(1) {
        let title = section.lines().next().unwrap_or_default();
        let code = fence(section, "python").expect(title);
        let expected: BTreeSet<String> =
            fence(section, "text reads").expect(title).lines().map(str::to_owned).collect();
        let found = reads(code, false);
        if !section.contains("under a condition.") {
            let certain = reads(code, true);
            if certain != found {
                wrong += &format!("{title}\n  certain  {certain:?}\n");
            }
        }
        if found != expected {
            wrong += &format!("{title}\n  expected {expected:?}\n  found    {found:?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_framework_among_the_sources() {
    let code = "
class BookSerializer(serializers.ModelSerializer):
    author = serializers.StringRelatedField()
    shown = serializers.SerializerMethodField()

    class Meta:
        model = Book
        fields = ['author', 'shown']

    def get_shown(self, book):
        return book.author.name
";
    let alone = reads(code, true);
    assert!(alone.contains("author"), "{alone:?}");
    assert_eq!(reads_with(&FRAMEWORK, code, true), alone);
}
