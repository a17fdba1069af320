//! Which file a name stands for, and which function a tag.

use super::super::*;
use crate::django::Project;
use crate::text::{FileId, Source};

const SETTINGS: &str = r#"
import os
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent.parent
INSTALLED_APPS = ["early", "django.contrib.admin", "blog", "shop.apps.ShopConfig"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "site" / "pages", os.path.join(BASE_DIR, "more")],
        "OPTIONS": {
            "context_processors": ["shop.context.cart"],
            "builtins": ["shop.tags"],
            "libraries": {"extra": "shop.more_tags"},
        },
    },
    {
        "BACKEND": "django.template.backends.jinja2.Jinja2",
        "DIRS": [BASE_DIR / "j"],
        "OPTIONS": {"environment": "shop.jinja.environment"},
    },
]
"#;

fn project(files: &[(&str, &str)]) -> Project {
    let packages = ["conf", "early", "blog", "shop", "shop/templatetags"];
    let packages = packages.iter().map(|dir| Source::new(format!("{dir}/__init__.py"), Vec::new()));
    let settings = Source::new("conf/settings.py", SETTINGS.as_bytes().to_vec());
    let apps = "from django.apps import AppConfig\nclass ShopConfig(AppConfig):\n    name = 'shop'\n";
    let apps = Source::new("shop/apps.py", apps.as_bytes().to_vec());
    let source = |(path, text): &(&str, &str)| {
        let bytes = text.as_bytes().to_vec();
        if path.ends_with(".py") { Source::new(*path, bytes) } else { Source::template(*path, bytes) }
    };
    Project::build(packages.chain([settings, apps]).chain(files.iter().map(source)).collect())
}

fn path_of<'a>(project: &'a Project, name: &str) -> &'a str {
    project.template(name).map_or("", |found| project.program().file(found.file).source.path())
}

#[test]
fn names_are_looked_up_in_dirs_and_then_in_apps() {
    let project = project(&[
        ("blog/templates/a.html", "{{ blog }}"),
        ("shop/templates/a.html", "{{ shop }}"),
        ("site/pages/a.html", "{{ site }}"),
        ("more/a.html", "{{ more }}"),
        ("blog/templates/b.html", "{{ blog }}"),
        ("shop/templates/b.html", "{{ shop }}"),
        ("shop/templates/shop/c.html", "{{ c }}"),
        ("lone/templates/d.html", "{{ d }}"),
        ("shop/tests/templates/d.html", "{{ test }}"),
        ("lone/templates/e.html", "{{ e }}"),
        ("other/templates/e.html", "{{ f }}"),
        ("other/templates/same.html", "{{ f }}"),
        ("lone/templates/same.html", "{{ f }}"),
        ("early/templates/admin/x.html", "{{ x }}"),
        ("shop/templates/admin/y.html", "{{ y }}"),
        ("shop/jinja2/f.html", "{% set a = b.c() %}"),
        ("j/g.html", "{{ a.b() }}"),
        ("shop/templates/h.jinja", "{{ a.b() }}"),
    ]);
    for (name, path) in [
        ("a.html", "site/pages/a.html"),
        ("b.html", "blog/templates/b.html"),
        ("shop/c.html", "shop/templates/shop/c.html"),
        ("d.html", "lone/templates/d.html"),
        // Nothing tells which.
        ("e.html", ""),
        ("same.html", "other/templates/same.html"),
        ("admin/x.html", "early/templates/admin/x.html"),
        // The admin comes before the shop and may have it too.
        ("admin/y.html", ""),
        ("missing.html", ""),
    ] {
        assert_eq!(path_of(&project, name), path, "{name}");
    }
    let language = |name: &str| project.template(name).map(|found| found.template.language);
    assert_eq!(language("a.html"), Some(Language::Django));
    for name in ["f.html", "g.html", "h.jinja"] {
        assert_eq!(language(name), Some(Language::Jinja), "{name}");
        assert_eq!(project.template(name).map(|found| found.template.problems.len()), Some(0));
    }
}

#[test]
fn a_template_may_extend_one_of_its_own_name() {
    let project =
        project(&[("site/pages/a.html", "{% extends 'a.html' %}"), ("shop/templates/a.html", "{{ shop }}")]);
    let first = project.template("a.html").unwrap();
    let second = project.parent_template("a.html", &[first.file]).unwrap();
    assert_ne!(first.file, second.file);
    assert!(project.parent_template("a.html", &[first.file, second.file]).is_none());
}

#[test]
fn templates_are_files_that_hold_no_python() {
    let text = "import shop\nx = 1\n{{ é.b }}\n";
    let project = project(&[("shop/templates/a.html", text), ("shop/views.py", "import shop.templates.a\n")]);
    let found = project.template("a.html").unwrap();
    let file = project.program().file(found.file);
    assert_eq!(
        file.root().descendants().count(),
        project.program().file(FileId(0)).root().descendants().count()
    );
    assert!(project.program().module("shop.templates.a").is_none());
    let NodeKind::Output(expr) = &found.template.body[0].kind else { panic!() };
    assert_eq!(file.source.slice(expr.span), "é.b");
    let place = file.source.line_column(expr.span.start);
    assert_eq!((place.line, place.column), (3, 4));
    let again = project.with_texts(Default::default());
    assert_eq!(again.template("a.html").unwrap().template.body.len(), 1);
    assert_eq!(again.template("a.html").unwrap().file, found.file);
}

#[test]
fn what_is_not_utf8_is_not_known() {
    let sources = vec![Source::template("a/templates/x.html", b"# coding: latin-1\n{{ \xe9 }}".to_vec())];
    assert!(Project::build(sources).template("x.html").is_none());
}

#[test]
fn settings_and_paths() {
    let project = project(&[]);
    let backend = &project.templates().backends()[0];
    assert_eq!(backend.dirs, ["site/pages", "more"]);
    assert_eq!(backend.context_processors, ["shop.context.cart"]);
    assert_eq!(project.templates().backends()[1].environment.as_deref(), Some("shop.jinja.environment"));
    let text = "T = [{'DIRS': [BASE / 'a', os.path.join(X, \"b/c\")], 'APP_DIRS': True}]";
    assert_eq!(named_dirs(text.as_bytes()), ["a", "b/c"]);
    let dirs = ["a".to_owned()];
    for (path, is_template) in [
        ("shop/templates/x.html", true),
        ("shop/jinja2/x/y.txt", true),
        ("a/x.html", true),
        ("b/x.html", false),
        ("shop/templates/x.png", false),
        ("templates", false),
    ] {
        assert_eq!(is_template_path(path, &dirs), is_template, "{path}");
    }
    assert_eq!(absolute_name("a/b/c.html", "../d.html").as_deref(), Some("a/d.html"));
    assert_eq!(absolute_name("a/b.html", "./d.html").as_deref(), Some("a/d.html"));
    assert_eq!(absolute_name("a.html", "../d.html"), None);
    assert_eq!(absolute_name("a/b.html", "d.html").as_deref(), Some("d.html"));
}

const TAGS: &str = r#"
from django import template
from django.template import Library
import functools

register = template.Library()

@register.filter
def plain(value):
    return value

@register.filter(name="named", is_safe=True)
def other(value, arg):
    return value

@register.simple_tag(takes_context=True)
def tag(context):
    return 1

@register.simple_tag(name="renamed")
def tag2():
    return 1

@register.simple_block_tag
def block(content):
    return content

@register.inclusion_tag("shop/inc.html", takes_context=True)
def included(context, book):
    return {"book": book}

@register.tag("compiled")
def do_compiled(parser, token):
    pass

def later(value):
    return value

register.filter("later_filter", later)
register.simple_tag(later)
register.inclusion_tag("x.html")(later)

@other.filter
def not_ours(value):
    return value
"#;

#[test]
fn tags_and_filters_of_the_project() {
    let more = "from django.template import Library\nregister = Library()\n@register.filter\ndef plain(v):\n    return 1\n";
    let jinja = "from jinja2 import Environment\ndef money(x):\n    return x\ndef url():\n    return 1\n\
        def environment(**options):\n    env = Environment(**options)\n    env.globals.update({'url': url}, go=url)\n    \
        env.filters['money'] = money\n    return env\n";
    let text = "{% load shop_tags %}{{ a|plain }}";
    let project = project(&[
        ("shop/templatetags/shop_tags.py", TAGS),
        ("shop/tags.py", &more.replace("plain", "built_in")),
        ("shop/more_tags.py", more),
        ("shop/jinja.py", jinja),
        ("shop/templates/a.html", text),
        ("shop/templates/b.html", "{% load shop_tags %}{% load plain from extra %}"),
        ("shop/templates/c.html", "{% load later_filter from shop_tags %}"),
    ]);
    let libraries = project.templates().libraries();
    let template = |name: &str| project.template(name).unwrap().template;
    let a = template("a.html");
    let name = |custom: Option<&Custom>| {
        custom.map_or("", |c| c.function.map_or("?", |f| project.program().function(f).name.as_str()))
    };
    for (filter, function) in [
        ("plain", "plain"),
        ("named", "other"),
        ("other", ""),
        ("later_filter", "later"),
        ("not_ours", ""),
        ("built_in", "built_in"),
        ("money", "money"),
    ] {
        assert_eq!(name(libraries.filter(a, filter)), function, "{filter}");
    }
    for (tag, function, takes_context) in [
        ("tag", "tag", true),
        ("renamed", "tag2", false),
        ("block", "block", false),
        ("included", "included", true),
        ("compiled", "do_compiled", false),
        ("later", "later", false),
        ("plain", "", false),
    ] {
        let custom = libraries.tag(a, tag);
        assert_eq!(
            (name(custom), custom.is_some_and(|c| c.takes_context)),
            (function, takes_context),
            "{tag}"
        );
    }
    let inclusion = CustomKind::Inclusion(Some("shop/inc.html".to_owned()));
    assert_eq!(libraries.tag(a, "included").map(|c| &c.kind), Some(&inclusion));
    let file =
        |custom: Option<&Custom>| custom.map_or("", |c| project.program().file(c.site.file).source.path());
    assert_eq!(file(libraries.filter(template("b.html"), "plain")), "shop/more_tags.py");
    assert_eq!(name(libraries.filter(template("c.html"), "plain")), "");
    assert_eq!(name(libraries.global("url")), "url");
    assert_eq!(name(libraries.global("go")), "url");
}

#[test]
fn a_template_beside_those_of_another_engine_says_its_language() {
    let settings = "TEMPLATES = [\n    {'BACKEND': 'django_jinja.backend.Jinja2', 'APP_DIRS': True,\n     \
        'OPTIONS': {'match_regex': r'^(?!admin/).*'}},\n    \
        {'BACKEND': 'django.template.backends.django.DjangoTemplates', 'DIRS': ['old'], 'APP_DIRS': True},\n]\n\
        INSTALLED_APPS = ['shop']\n";
    let files = [
        ("conf/settings.py", settings),
        ("shop/__init__.py", ""),
        ("shop/templates/a.html", "{% extends 'base.html' %}{{ url('home') }} {{ d|date }}"),
        ("shop/templates/b.html", "{% extends 'base.html' %}{% load i18n %}{{ d|date:'Y' }}"),
        ("shop/templates/c.html", "{% for a in b %}{% set x = a %}{% endfor %}"),
        ("shop/templates/d.html", "{{ a.b }}"),
        ("shop/templates/e.html", "{% trans 'f(x)' %}{{ 'f(x)'|add:'[x]' }}"),
        ("shop/templates/base.html", "{{ static('x') }}"),
        ("old/base.html", "{% url 'x' %}"),
    ];
    let source = |(path, text): &(&str, &str)| {
        let bytes = text.as_bytes().to_vec();
        if path.ends_with(".py") { Source::new(*path, bytes) } else { Source::template(*path, bytes) }
    };
    let project = Project::build(files.iter().map(source).collect());
    let language = |name: &str| project.template(name).map(|found| found.template.language);
    for (name, expected) in [
        ("a.html", Language::Jinja),
        ("b.html", Language::Django),
        ("c.html", Language::Jinja),
        ("d.html", Language::Django),
        ("e.html", Language::Django),
    ] {
        assert_eq!(language(name), Some(expected), "{name}");
    }
    let parent = |name: &str| {
        let from = project.template(name).unwrap().file;
        let found = project.parent_template("base.html", &[from]).unwrap();
        project.program().file(found.file).source.path()
    };
    assert_eq!(parent("a.html"), "shop/templates/base.html");
    assert_eq!(parent("b.html"), "old/base.html");
}
