//! The program over small sources.

use super::*;
use crate::text::Source;

fn program(files: &[(&str, &str)]) -> Program {
    Program::build(files.iter().map(|(path, text)| Source::new(*path, text.as_bytes().to_vec())).collect())
}

fn path(program: &Program, module: &str, name: &str) -> Option<String> {
    let file = program.module(module)?;
    let def = program.global(file, name)?;
    program.dotted_of(&def)
}

fn class(program: &Program, module: &str, name: &str) -> ClassId {
    match program.module(module).and_then(|f| program.global(f, name)) {
        Some(Def::Class(c)) => c,
        other => panic!("{module}.{name}: {other:?}"),
    }
}

fn names(program: &Program, mro: &[ClassId]) -> Vec<String> {
    mro.iter().map(|c| program.class(*c).name.clone()).collect()
}

#[test]
fn modules_are_named_from_the_outermost_package() {
    let p = program(&[
        ("project/shop/__init__.py", ""),
        ("project/shop/models.py", "class Book: pass\n"),
        ("project/shop/management/commands/go.py", "from shop.models import Book\n"),
        ("project/manage.py", "import shop.models\nimport csv\n"),
        ("src/lib/__init__.py", "from .core import X\n"),
        ("src/lib/core.py", "X = 1\nclass Y: pass\n"),
        ("apps/blog/models.py", "from lib.core import Y\nfrom shop import models as m\nB = m.Book\n"),
    ]);
    let modules: Vec<_> = p.files().iter().map(|f| f.module.as_str()).collect();
    assert_eq!(
        modules,
        ["shop", "shop.models", "shop.management.commands.go", "manage", "lib", "lib.core", "blog.models"]
    );
    assert_eq!(path(&p, "shop.management.commands.go", "Book").as_deref(), Some("shop.models.Book"));
    assert_eq!(path(&p, "blog.models", "Y").as_deref(), Some("lib.core.Y"));
    assert_eq!(path(&p, "blog.models", "B").as_deref(), Some("shop.models.Book"));
    assert_eq!(path(&p, "manage", "csv").as_deref(), Some("csv"));
    assert!(p.module("apps.blog.models").is_some());
}

#[test]
fn modules_may_start_where_an_entry_point_puts_them_on_the_path() {
    let files = |manage| {
        program(&[
            ("manage.py", manage),
            ("shop/__init__.py", ""),
            ("shop/books/__init__.py", ""),
            ("shop/books/models.py", "class Book: pass\n"),
            ("shop/books/views.py", "from books.models import Book\n"),
        ])
    };
    let with = files("import os, sys\nif True:\n    sys.path.append(os.path.join(here, 'shop'))\n");
    assert_eq!(path(&with, "shop.books.views", "Book").as_deref(), Some("shop.books.models.Book"));
    let without = files("import os, sys\n");
    assert_eq!(path(&without, "shop.books.views", "Book").as_deref(), Some("books.models.Book"));
    let elsewhere = files("import sys\nsys.path.insert(0, HERE / 'vendor')\nother.path.append('shop')\n");
    assert_eq!(path(&elsewhere, "shop.books.views", "Book").as_deref(), Some("books.models.Book"));
}

#[test]
fn of_two_modules_with_one_name_the_nearest_counts() {
    let p = program(&[
        ("a/shop/__init__.py", ""),
        ("a/shop/models.py", "class A: pass\n"),
        ("a/shop/views.py", "from shop.models import *\n"),
        ("b/shop/__init__.py", ""),
        ("b/shop/models.py", "class B: pass\n"),
        ("b/shop/views.py", "from shop.models import *\n"),
        ("shop/email.py", ""),
        ("scripts/email.py", ""),
        ("b/shop/mail.py", "import email\n"),
    ]);
    let b = p.file_at("b/shop/views.py").unwrap();
    assert!(p.global(b, "B").is_some());
    assert!(p.global(b, "A").is_none());
    let mail = p.file_at("b/shop/mail.py").unwrap();
    assert_eq!(p.global(mail, "email"), Some(Def::External("email".into())));
}

#[test]
fn imports_are_followed() {
    let p = program(&[
        ("shop/__init__.py", "from .models import Book as Volume, Author\nfrom .extra import *\n"),
        ("shop/models/__init__.py", "from .book import Book\nfrom .author import *\n"),
        ("shop/models/book.py", "class Book: pass\n"),
        ("shop/models/author.py", "__all__ = ['Author']\nclass Author: pass\nclass Hidden: pass\n"),
        ("shop/extra.py", "class E: pass\nclass _P: pass\nAlias = E\n"),
        (
            "shop/views.py",
            "import shop.models.book\nimport shop.models.book as bk\nfrom . import extra\nfrom .models import Book\nfrom django.db import models\nfrom .models import Missing\nfrom .. import nothing\n",
        ),
    ]);
    assert_eq!(path(&p, "shop", "Volume").as_deref(), Some("shop.models.book.Book"));
    assert_eq!(path(&p, "shop", "Author").as_deref(), Some("shop.models.author.Author"));
    assert_eq!(path(&p, "shop", "E").as_deref(), Some("shop.extra.E"));
    assert_eq!(path(&p, "shop", "Alias").as_deref(), Some("shop.extra.E"));
    assert_eq!(path(&p, "shop", "_P"), None);
    assert_eq!(path(&p, "shop.models", "Hidden"), None);
    assert_eq!(path(&p, "shop.views", "Missing").as_deref(), Some("shop.models.Missing"));
    let views = p.module("shop.views").unwrap();
    let shop = p.global(views, "shop").unwrap();
    let models = p.attribute(&shop, "models").unwrap();
    let book = p.attribute(&p.attribute(&models, "book").unwrap(), "Book").unwrap();
    assert_eq!(p.dotted_of(&book).as_deref(), Some("shop.models.book.Book"));
    let model = p.attribute(&p.global(views, "models").unwrap(), "Model");
    assert_eq!(model, Some(Def::External("django.db.models.Model".into())));
    assert_eq!(p.dotted("shop.models.Book", None), Some(book));
}

#[test]
fn cycles_end() {
    let p = program(&[
        ("a.py", "from b import X, Z\nfrom b import *\nY = Y\n"),
        ("b.py", "from a import X\nfrom a import *\nclass Z: pass\n"),
        ("c.py", "class A(B): pass\nclass B(A): pass\n"),
    ]);
    assert!(matches!(p.global(p.module("a").unwrap(), "X"), Some(Def::External(_))));
    assert_eq!(path(&p, "a", "Z").as_deref(), Some("b.Z"));
    assert!(p.class(class(&p, "c", "A")).has_unknown_base);
}

#[test]
fn star_imports_may_go_in_circles() {
    let p = program(&[
        ("cms/__init__.py", ""),
        ("cms/models/__init__.py", "from .plugin import *\nfrom .page import *\nfrom .alias import *\n"),
        ("cms/models/plugin.py", "class Plugin: pass\n"),
        ("cms/models/page.py", "from cms.models import Plugin\nclass Page(Plugin): pass\n"),
        ("cms/models/alias.py", "from cms.models import Plugin, Page\nclass Alias(Plugin): pass\n"),
    ]);
    assert_eq!(names(&p, &p.class(class(&p, "cms.models.alias", "Alias")).mro), ["Alias", "Plugin"]);
    assert_eq!(path(&p, "cms.models.alias", "Page").as_deref(), Some("cms.models.page.Page"));
}

#[test]
fn of_alternatives_the_first_counts() {
    let p = program(&[(
        "m.py",
        "from typing import TYPE_CHECKING\ntry:\n    from fast import loads\nexcept ImportError:\n    loads = None\nif TYPE_CHECKING:\n    from a import T\nelse:\n    T = object\nx = 1\nx = 2\ny = 3\nz = 4\ndef f():\n    global z\n    z = 5\nwith a as b:\n    class C: pass\n",
    )]);
    let m = p.module("m").unwrap();
    assert_eq!(p.global(m, "loads"), Some(Def::External("fast.loads".into())));
    assert!(matches!(p.global(m, "T"), Some(Def::Variable { .. })));
    assert!(matches!(p.global(m, "x"), Some(Def::Variable { value: None, .. })));
    assert!(matches!(p.global(m, "y"), Some(Def::Variable { value: Some(_), .. })));
    assert!(matches!(p.global(m, "z"), Some(Def::Variable { value: None, .. })));
    assert!(matches!(p.global(m, "C"), Some(Def::Class(_))));
    assert_eq!(p.global(m, "print"), None);
}

#[test]
fn a_long_line_of_ancestors_is_cut() {
    let chain: String = (0..3000).map(|n| format!("class C{}(C{n}): pass\n", n + 1)).collect();
    let p = program(&[("m.py", &format!("class C0: pass\n{chain}"))]);
    let of = |name: &str| p.class(class(&p, "m", name));
    assert!(of("C3000").has_unknown_base && !of("C90").has_unknown_base);
    assert!(of("C3000").mro.len() <= 101 && of("C90").mro.len() == 91);
}

#[test]
fn ancestors_are_linear() {
    let p = program(&[(
        "m.py",
        "from django.db import models\nfrom typing import Generic\nclass O: pass\nclass A(O): pass\nclass B(O): pass\nclass C(A, B, models.Model): pass\nclass D(Generic[T], C[int]): pass\nclass E(unknown()): pass\nclass F(E, object): pass\nclass G(six.with_metaclass(M, A)): pass\nclass H(models.Manager.from_queryset(Q)): pass\nclass Out:\n    class Meta: pass\nclass Sub(Out):\n    class Meta(Out.Meta): pass\n    class Inner(Meta): pass\nclass Bad(O, A): pass\n",
    )]);
    assert_eq!(names(&p, &p.class(class(&p, "m", "D")).mro), ["D", "C", "A", "B", "O"]);
    assert_eq!(p.class(class(&p, "m", "D")).external_bases, ["typing.Generic", "django.db.models.Model"]);
    assert!(p.class(class(&p, "m", "F")).has_unknown_base);
    assert!(p.inherits(class(&p, "m", "D"), "django.db.models.Model"));
    assert_eq!(names(&p, &p.class(class(&p, "m", "G")).mro), ["G", "A", "O"]);
    assert_eq!(p.class(class(&p, "m", "H")).external_bases, ["django.db.models.Manager"]);
    let Some((_, Member::Class(meta))) = p.member(class(&p, "m", "Sub"), "Meta") else { panic!() };
    assert_eq!(names(&p, &p.class(*meta).mro), ["Meta", "Meta"]);
    let Some((_, Member::Class(inner))) = p.member(class(&p, "m", "Sub"), "Inner") else { panic!() };
    assert_eq!(names(&p, &p.class(*inner).mro), ["Inner", "Meta", "Meta"]);
    assert_eq!(p.class(class(&p, "m", "Bad")).mro.len(), 3);
    let d = p.descendants(class(&p, "m", "O"));
    assert_eq!(names(&p, &d), ["O", "A", "B", "C", "D", "G", "Bad"]);
}

#[test]
fn members_are_bound_as_their_decorators_say() {
    let p = program(&[(
        "m.py",
        "from functools import cached_property, lru_cache\nclass A:\n    x = 1\n    y: int\n    @property\n    def p(self): pass\n    @p.setter\n    def p(self, v): pass\n    @cached_property\n    def c(self): pass\n    @classmethod\n    def k(cls): pass\n    @staticmethod\n    def s(): pass\n    @lru_cache(maxsize=1)\n    def d(self): yield 1\n    async def m(self):\n        def inner(): yield\n    if x:\n        z = 1\n    else:\n        z = 2\n",
    )]);
    let a = class(&p, "m", "A");
    let binding = |name: &str| match p.member(a, name) {
        Some((_, Member::Function(_, b))) => *b,
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(binding("p"), Binding::Property);
    assert_eq!(binding("c"), Binding::CachedProperty);
    assert_eq!(binding("k"), Binding::ClassMethod);
    assert_eq!(binding("s"), Binding::StaticMethod);
    assert_eq!(binding("d"), Binding::Decorated);
    assert_eq!(binding("m"), Binding::Method);
    assert!(matches!(p.member(a, "x"), Some((_, Member::Value(_)))));
    assert!(matches!(p.member(a, "y"), Some((_, Member::Annotation(_)))));
    assert!(matches!(p.member(a, "z"), Some((_, Member::Other))));
    let d = p.function(p.functions_named("d")[0]);
    assert!(d.is_generator);
    assert_eq!(d.decorators, [Some(Def::External("functools.lru_cache".into()))]);
    assert_eq!(p.function_at(d.file, d.node), Some(p.functions_named("d")[0]));
    let m = p.function(p.functions_named("m")[0]);
    assert!(m.is_async && !m.is_generator);
    assert_eq!(p.class_at(d.file, p.class(a).node), Some(a));
}
