//! What the admin reads of each row, as its real pages do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::django::Project;
use crate::text::Source as Text;

const MODELS: &str = r#"
from django.db import models

class Publisher(models.Model):
    name = models.CharField(max_length=10)
    def __str__(self):
        return self.name

class Author(models.Model):
    name = models.CharField(max_length=10)
    publisher = models.ForeignKey(Publisher, models.CASCADE, related_name="authors")
    agent = models.ForeignKey("self", models.CASCADE, null=True)
    def __str__(self):
        return f"{self.name} {self.publisher}"

class Tag(models.Model):
    name = models.CharField(max_length=10)
    owner = models.ForeignKey(Publisher, models.CASCADE)
    def __str__(self):
        return f"{self.name} {self.owner}"

class Book(models.Model):
    title = models.CharField(max_length=10)
    author = models.ForeignKey(Author, models.CASCADE, related_name="books")
    editor = models.ForeignKey(Author, models.CASCADE, null=True, related_name="edited")
    tags = models.ManyToManyField(Tag)
    def __str__(self):
        return f"{self.title} {self.author}"
    def byline(self):
        return self.author.name
    @property
    def imprint(self):
        return self.author.publisher
    def get_absolute_url(self):
        return f"/{self.author.name}/{self.pk}"

class Cover(models.Model):
    book = models.OneToOneField(Book, models.CASCADE)
"#;

/// Each entry of `admin.py`: its class, and what its rows are asked for; `+` marks what is joined already, `?` what is
/// not certain.
pub(in crate::infer::entries) fn entries(code: &str) -> Vec<String> {
    let code = format!(
        "from django.contrib import admin\nfrom shop.models import Author, Book, Cover, Publisher, Tag\n{code}"
    );
    let sources = [("shop/__init__.py", ""), ("shop/models.py", MODELS), ("shop/admin.py", code.as_str())]
        .map(|(path, text)| Text::new(path, text.as_bytes().to_vec()));
    let project = Project::build(sources.into());
    let analyzer = Analyzer::new(&project);
    analyzer
        .entries()
        .iter()
        .map(|entry| {
            let selected = |path: &str| {
                entry
                    .facts
                    .value(entry.rows)
                    .and_then(|v| v.queryset.as_deref())
                    .is_some_and(|qs| qs.selected.iter().any(|s| **s == *path))
            };
            let mut reads: Vec<(String, bool)> = Vec::new();
            for event in entry.facts.events() {
                let (root, path) = match &event.kind {
                    EventKind::ReadRelation { root, path, .. } => (root, path.join("__")),
                    EventKind::ReadMany { root, path, method, .. } => {
                        (root, format!("{}.{method}()", path.join("__")))
                    }
                    _ => continue,
                };
                let path = match root {
                    Root::Row(value) if *value == entry.rows => path,
                    Root::Row(_) => format!("*{path}"),
                    _ => continue,
                };
                let is_certain = event.rounds.iter().all(|r| r.is_certain);
                match reads.iter_mut().find(|(p, _)| *p == path) {
                    Some((_, certain)) => *certain |= is_certain,
                    None => reads.push((path, is_certain)),
                }
            }
            let mut reads: Vec<String> = reads
                .into_iter()
                .map(|(path, is_certain)| {
                    let mark = if selected(&path) { "+" } else { "" };
                    format!("{mark}{path}{}", if is_certain { "" } else { "?" })
                })
                .collect();
            reads.sort();
            format!("{}: {}", entry.name(project.program()), reads.join(" "))
        })
        .collect()
}

/// What the changelist of books reads with this body of its class.
fn books(body: &str) -> String {
    let body = if body.is_empty() { "pass".to_owned() } else { body.replace('\n', "\n    ") };
    let code = format!("@admin.register(Book)\nclass BookAdmin(admin.ModelAdmin):\n    {body}\n");
    let found = entries(&code);
    match found.as_slice() {
        [only] => only.trim_start_matches("BookAdmin:").trim().to_owned(),
        [] => "-".to_owned(),
        _ => panic!("{found:?}"),
    }
}

#[test]
fn rows_are_named() {
    assert_eq!(books(""), "author author__publisher");
    assert_eq!(books("list_display = ()"), "author author__publisher");
    assert_eq!(books("list_display = ['__str__']"), "author author__publisher");
    // The box to choose a row.
    assert_eq!(books("list_display = ['title']"), "author? author__publisher?");
    assert_eq!(books("list_display = ['title']\nactions = None"), "");
    assert_eq!(books("list_display = ['title']\nactions = ['x']"), "author? author__publisher?");
}

#[test]
fn columns_are_read() {
    let columns = |list: &str, body: &str| books(&format!("actions = None\nlist_display = [{list}]\n{body}"));
    assert_eq!(columns("'title', 'author_id'", ""), "");
    assert_eq!(columns("'byline'", ""), "author");
    assert_eq!(columns("'imprint'", ""), "author author__publisher");
    assert_eq!(columns("'author__name'", ""), "author");
    assert_eq!(columns("'author__publisher'", ""), "author author__publisher");
    assert_eq!(columns("'author__agent__name'", ""), "author author__agent");
    assert_eq!(columns("'cover'", ""), "cover");
    assert_eq!(columns("'who'", "def who(self, obj):\n    return obj.author.name"), "author");
    assert_eq!(columns("lambda o: o.author.name", ""), "author");
    assert_eq!(
        columns("'names'", "def names(self, obj):\n    return [t.name for t in obj.tags.all()]"),
        "tags.all()"
    );
    assert_eq!(
        columns("'names'", "def names(self, obj):\n    return [str(t) for t in obj.tags.all()]"),
        "*owner tags.all()"
    );
    assert_eq!(columns("'title', *missing", ""), "-");
    assert_eq!(books("EXTRA = ('byline',)\nlist_display = ('title',) + EXTRA\nactions = None"), "author");
    assert_eq!(
        books("def get_list_display(self, request):\n    return ['byline']"),
        "author author__publisher?"
    );
    assert_eq!(books("def get_list_display(self, request):\n    return request.columns"), "-");
}

#[test]
fn joins_of_the_changelist_are_known() {
    let columns = |list: &str, body: &str| books(&format!("actions = None\nlist_display = [{list}]\n{body}"));
    // A foreign key among the columns joins every one that is not null.
    assert_eq!(columns("'author'", ""), "+author +author__publisher");
    assert_eq!(columns("'editor'", ""), "editor editor__publisher");
    assert_eq!(columns("'author', 'editor'", ""), "+author +author__publisher editor editor__publisher");
    assert_eq!(columns("'imprint'", "list_select_related = True"), "+author +author__publisher");
    assert_eq!(columns("'imprint'", "list_select_related = ('author',)"), "+author author__publisher");
    assert_eq!(columns("'author'", "list_select_related = ()"), "author author__publisher");
    // Whoever asks for a join in the queryset asks for all of them.
    assert_eq!(
        columns(
            "'author', 'editor'",
            "def get_queryset(self, request):\n    return super().get_queryset(request).select_related('editor')"
        ),
        "+editor author author__publisher editor__publisher"
    );
    assert_eq!(
        columns(
            "'author'",
            "def get_queryset(self, request):\n    return super().get_queryset(request).prefetch_related('tags')"
        ),
        "+author +author__publisher"
    );
    assert_eq!(columns("'author'", "def get_list_select_related(self, request):\n    return x"), "-");
    // The form reads the key; its choices are rows of their own.
    assert_eq!(
        columns("'title', 'author'", "list_editable = ['author']\nlist_select_related = ()"),
        "author"
    );
}

#[test]
fn registrations_are_found() {
    let class = "class A(admin.ModelAdmin):\n    actions = None\n    list_display = ['pk']\n";
    let of = |code: &str| entries(&format!("{class}{code}")).len();
    assert_eq!(of(""), 0);
    assert_eq!(of("admin.site.register(Book, A)\n"), 1);
    assert_eq!(of("admin.site.register([Book, Author], A)\n"), 2);
    assert_eq!(of("site = admin.AdminSite()\nsite.register((Book,), admin_class=A)\n"), 1);
    assert_eq!(of("for m in (Book, Author):\n    admin.site.register(m, A)\n"), 2);
    assert_eq!(of("for m, a in [(Book, A), (Tag, A)]:\n    admin.site.register(m, a)\n"), 2);
    assert_eq!(of("@admin.register(Author, Book)\nclass B(A): pass\n"), 2);
    assert_eq!(of("admin.site.register(Book)\n"), 0);
    // Options make another class.
    assert_eq!(of("admin.site.register(Book, A, list_display=['author'])\n"), 0);
    assert_eq!(of("registry.register(Book, object)\n"), 0);
}

#[test]
fn inlines_name_their_rows() {
    let inline = |body: &str| {
        let body = body.replace('\n', "\n    ");
        entries(&format!(
            "class BookInline(admin.TabularInline):\n    model = Book\n    fk_name = 'author'\n    {body}\n\n@admin.register(Author)\nclass A(admin.ModelAdmin):\n    actions = None\n    list_display = ['name']\n    inlines = [BookInline]\n"
        ))
    };
    assert_eq!(inline(""), ["A: ", "BookInline: author author__publisher"]);
    assert_eq!(
        inline("fields = ('title', 'editor', 'tags')\nreadonly_fields = ('editor', 'tags', 'byline')"),
        ["A: ", "BookInline: *owner author author__publisher editor editor__publisher tags.all()"]
    );
    assert_eq!(inline("template = 'x.html'"), ["A: "]);
}

/// What is registered is a ModelAdmin, wherever its bases come from; those that are not known are said.
#[test]
fn bases_from_packages() {
    let code = "
from fancy.admin import FancyAdmin
from reversion.admin import VersionAdmin

class Titled(VersionAdmin):
    list_display = ['byline']
    actions = None

class Listed(FancyAdmin):
    list_display = ['byline']
    actions = None

class Other:
    list_display = ['byline']

admin.site.register(Book, Titled)
admin.site.register(Cover, Other)
menu.register(Author, Listed)

@admin.register(Author)
class Framed(FancyAdmin):
    list_display = ['agent']
    actions = None
";
    assert_eq!(entries(code), ["Titled: author", "Framed: agent agent__publisher"]);
    let sources = [("shop/__init__.py", ""), ("shop/models.py", MODELS)].map(|(p, t)| (p, t.to_owned()));
    let code =
        format!("from django.contrib import admin\nfrom shop.models import Author, Book, Cover\n{code}");
    let sources = sources.into_iter().chain([("shop/admin.py", code)]);
    let project = Project::build(sources.map(|(p, t)| Text::new(p, t.into_bytes())).collect());
    let analyzer = Analyzer::new(&project);
    let unknown: Vec<_> = analyzer.entries().iter().map(|e| e.unknown_base.as_deref()).collect();
    assert_eq!(unknown, [None, Some("fancy.admin.FancyAdmin")]);
}
