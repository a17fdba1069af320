//! The index over small sources.

use super::*;
use crate::text::Source;

fn project(files: &[(&str, &str)]) -> Project {
    Project::build(files.iter().map(|(path, text)| Source::new(*path, text.as_bytes().to_vec())).collect())
}

/// One file of models in an app `shop`, with the usual import.
fn shop(text: &str) -> Project {
    let text = format!("from django.db import models\n{text}");
    project(&[("shop/__init__.py", ""), ("shop/models.py", &text)])
}

fn model<'a>(project: &'a Project, label: &str) -> &'a Model {
    match project.model_by_label(label) {
        Some(id) => project.model(id),
        None => panic!("no model {label}"),
    }
}

fn fields(model: &Model) -> Vec<&str> {
    model.fields.iter().map(|f| f.name.as_str()).collect()
}

fn accessors(model: &Model) -> Vec<(&str, &str)> {
    model.reverse.iter().map(|r| (r.accessor.as_str(), r.query_name.as_str())).collect()
}

#[test]
fn fields_and_relations() {
    let p = shop(
        "class Author(models.Model):\n    name = models.CharField(max_length=9, null=True)\n\nclass Book(models.Model):\n    author = models.ForeignKey(Author, models.CASCADE)\n    editor = models.ForeignKey('Author', models.CASCADE, related_name='edited', related_query_name='ed', null=True)\n    hidden = models.ForeignKey('shop.author', models.CASCADE, related_name='+')\n    parent = models.ForeignKey('self', models.CASCADE)\n    twins = models.ManyToManyField('self')\n    tags = models.ManyToManyField('Tag', through='Tagging')\n    cover = models.OneToOneField('Tag', models.CASCADE, primary_key=True)\n    at = models.DateTimeField(auto_now=True, default=1)\n    not_a_field = 1\n\nclass Tag(models.Model): pass\nclass Tagging(models.Model):\n    class Meta:\n        default_related_name = 'x_%(class)s'\n    tag = models.ForeignKey(Tag, models.CASCADE)\n    book = models.ForeignKey(Book, models.CASCADE)\n",
    );
    let book = model(&p, "shop.Book");
    assert_eq!(fields(book), ["author", "editor", "hidden", "parent", "twins", "tags", "cover", "at"]);
    assert_eq!(book.primary_key().map(|f| f.name.as_str()), Some("cover"));
    assert_eq!(book.field("author").map(|f| f.attname.as_str()), Some("author_id"));
    assert!(book.field("editor").is_some_and(|f| f.null && f.kind == FieldKind::ForeignKey));
    assert!(book.field("at").is_some_and(|f| f.auto_now && f.has_default && !f.auto_now_add));
    let author = model(&p, "shop.author");
    assert_eq!(fields(author), ["id", "name"]);
    assert_eq!(accessors(author), [("book_set", "book"), ("edited", "ed")]);
    assert_eq!(
        accessors(model(&p, "shop.Tag")),
        [("book_set", "book"), ("book", "book"), ("x_tagging", "x_tagging")]
    );
    assert_eq!(accessors(book), [("book_set", "book"), ("x_tagging", "x_tagging")]);
    let tags = book.field("tags").and_then(|f| f.relation.as_ref()).unwrap();
    assert_eq!(tags.through, p.model_by_label("shop.Tagging"));
    let twins = book.field("twins").and_then(|f| f.relation.as_ref()).unwrap();
    assert!(twins.symmetrical && twins.accessor.is_none());
    assert!(model(&p, "shop.Tag").reverse("book").is_some_and(ReverseRelation::is_single));
}

#[test]
fn abstract_proxy_and_table_inheritance() {
    let p = shop(
        "class Base(models.Model):\n    name = models.CharField()\n    owner = models.ForeignKey('auth.User', models.CASCADE, related_name='%(app_label)s_%(class)s_items')\n    class Meta:\n        abstract = True\n        ordering = ['name']\n        unique_together = ('name', 'owner')\n    def save(self): pass\n\nclass Place(Base):\n    pass\n\nclass Special(Base):\n    name = None\n    class Meta(Base.Meta):\n        ordering = ['-name', f()]\n\nclass Restaurant(Place):\n    stars = models.IntegerField(unique=True)\n\nclass Diner(Restaurant):\n    class Meta:\n        proxy = True\n\nclass Supplier(models.Model):\n    place = models.ForeignKey(Place, models.CASCADE)\n    diner = models.ForeignKey(Diner, models.CASCADE, related_name='supplied')\n",
    );
    let place = model(&p, "shop.Place");
    assert_eq!(fields(place), ["id", "name", "owner"]);
    assert_eq!(place.ordering, ["name"]);
    assert_eq!(place.unique, [vec!["id"], vec!["name", "owner"]]);
    assert_eq!(accessors(place), [("restaurant", "restaurant"), ("supplier_set", "supplier")]);
    assert_eq!(fields(model(&p, "shop.Special")), ["id", "owner"]);
    assert!(model(&p, "shop.Special").has_unknown_ordering && !model(&p, "shop.Special").is_abstract);
    let restaurant = model(&p, "shop.Restaurant");
    assert_eq!(fields(restaurant), ["id", "name", "owner", "place_ptr", "stars"]);
    assert_eq!(restaurant.primary_key().map(|f| f.attname.as_str()), Some("place_ptr_id"));
    assert_eq!(restaurant.table_parents, [place.id]);
    assert_eq!(restaurant.ordering, ["name"]);
    assert!(restaurant.reverse("supplier_set").is_some());
    let diner = model(&p, "shop.Diner");
    assert!(diner.is_proxy);
    assert_eq!(diner.concrete, restaurant.id);
    assert_eq!(fields(diner), fields(restaurant));
    assert!(diner.reverse("supplied").is_some() && restaurant.reverse("supplied").is_none());
    assert!(p.override_of(diner.id, "save").is_some());
    assert!(p.override_of(model(&p, "shop.Supplier").id, "save").is_none());
    let family: Vec<_> = p.family(place.id).iter().map(|m| p.model(*m).name.clone()).collect();
    assert_eq!(family, ["Place", "Restaurant", "Diner"]);
    let user = model(&p, "auth.User");
    assert!(user.reverse("shop_place_items").is_some() && user.reverse("shop_special_items").is_some());
}

#[test]
fn custom_users_and_app_labels() {
    let p = project(&[
        ("config/settings/__init__.py", ""),
        (
            "config/settings/base.py",
            "AUTH_USER_MODEL = 'people.Person'\nAPPS = ['a']\nINSTALLED_APPS = ['django.contrib.auth'] + APPS\nDATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'ATOMIC_REQUESTS': True}}\nIMAGE_MODEL = 'people.Image'\n",
        ),
        ("config/settings/dev.py", "from .base import *\nINSTALLED_APPS += ['debug']\n"),
        ("project/accounts/__init__.py", ""),
        (
            "project/accounts/apps.py",
            "from django.apps import AppConfig\nclass A(AppConfig):\n    name = 'project.accounts'\n    label = 'people'\n",
        ),
        (
            "project/accounts/models.py",
            "from django.contrib.auth.models import AbstractUser\nfrom django.db import models\nclass Person(AbstractUser):\n    pass\nclass Image(models.Model): pass\n",
        ),
        ("project/blog/__init__.py", ""),
        ("project/blog/models/__init__.py", "from .post import Post\n"),
        (
            "project/blog/models/post.py",
            "from django.conf import settings\nfrom django.contrib.auth import get_user_model\nfrom django.db import models\nUser = get_user_model()\ndef image(): return getattr(settings, 'IMAGE_MODEL', 'x.Y')\nclass Post(models.Model):\n    a = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)\n    b = models.ForeignKey(User, models.CASCADE, related_name='bs')\n    c = models.ForeignKey(get_user_model(), models.CASCADE, related_name='cs')\n    d = models.ForeignKey(image(), models.CASCADE)\n    e = models.ForeignKey('x.Unknown', models.CASCADE)\n",
        ),
    ]);
    assert_eq!(p.settings().installed_apps, ["django.contrib.auth", "a", "debug"]);
    assert!(p.settings().atomic_requests);
    assert_eq!(p.settings().database_engines, ["django.db.backends.postgresql"]);
    let person = model(&p, "people.Person");
    assert_eq!(accessors(person), [("post_set", "post"), ("bs", "bs"), ("cs", "cs")]);
    assert_eq!(
        model(&p, "blog.Post").field("d").and_then(|f| f.relation.as_ref()?.target),
        p.model_by_label("people.Image")
    );
    assert_eq!(
        model(&p, "blog.Post").field("e").and_then(|f| f.relation.as_ref()).map(|r| r.target_text.as_str()),
        Some("x.Unknown")
    );
    // The swapped-out user makes no accessors.
    assert_eq!(model(&p, "auth.Group").reverse.len(), 1);
    assert_eq!(person.default_manager, "objects");
    assert!(p.manager_method(person.id, "objects", "create_user").is_some());
}

#[test]
fn generic_relations_and_field_classes() {
    let p = shop(
        "from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation\nfrom mptt.models import MPTTModel, TreeForeignKey\nfrom phonenumber_field.modelfields import PhoneNumberField\nfrom django.contrib.postgres.fields import ArrayField\nclass Upper(models.CharField):\n    def pre_save(self, *a): pass\nclass Plain(models.TextField):\n    def to_python(self, v): pass\nclass UserKey(models.ForeignKey):\n    def __init__(self, *args, **kwargs):\n        kwargs.setdefault('to', 'auth.User')\n        kwargs['related_name'] = '+'\n        super().__init__(*args, null=True, **kwargs)\nclass Note(models.Model):\n    content_object = GenericForeignKey()\nclass Node(MPTTModel):\n    parent = TreeForeignKey('self', models.CASCADE, related_name='children')\n    notes = GenericRelation(Note, related_query_name='node')\n    u = Upper()\n    p = Plain()\n    tel = PhoneNumberField()\n    arr = ArrayField(models.CharField())\n    user = UserKey(on_delete=models.CASCADE)\n",
    );
    let node = model(&p, "shop.Node");
    assert_eq!(
        fields(node),
        ["id", "lft", "rght", "tree_id", "level", "parent", "notes", "u", "p", "tel", "arr", "user"]
    );
    assert!(node.field("u").is_some_and(|f| f.kind == FieldKind::Char && f.has_hooks));
    assert!(node.field("p").is_some_and(|f| f.kind == FieldKind::Text && !f.has_hooks));
    assert!(node.field("tel").is_some_and(|f| f.has_hooks));
    assert!(node.field("arr").is_some_and(|f| f.kind == FieldKind::Postgres));
    assert!(node.field("user").is_some_and(|f| f.null && f.relation.as_ref().unwrap().accessor.is_none()));
    assert_eq!(node.field("user").unwrap().relation.as_ref().unwrap().target, p.model_by_label("auth.User"));
    assert_eq!(accessors(node), [("children", "children")]);
    assert!(!p.is_plain_manager(node.id, "objects"));
    assert!(p.override_of(node.id, "save").is_some());
    let notes = node.field("notes").and_then(|f| f.relation.as_ref()).unwrap();
    assert_eq!((notes.kind, notes.query_name.as_deref()), (RelationKind::GenericRelation, Some("node")));
}

#[test]
fn managers_are_found() {
    let p = shop(
        "class Q(models.QuerySet):\n    def open(self): return self.filter(x=1)\nclass M(models.Manager):\n    def mine(self): pass\nclass Live(models.Manager):\n    def get_queryset(self): return super().get_queryset().filter(live=True)\nclass FromQ(models.Manager.from_queryset(Q)):\n    pass\nV = M.from_queryset(Q)\nclass A(models.Model): pass\nclass B(models.Model):\n    objects = M()\n    live = Live()\nclass C(models.Model):\n    objects = Q.as_manager()\n    class Meta: abstract = True\nclass D(C):\n    other = FromQ()\n    third = V()\n    fourth = models.Manager.from_queryset(Q)()\nclass E(B):\n    class Meta:\n        default_manager_name = 'live'\n        base_manager_name = 'live'\nclass F(E): pass\n",
    );
    let names = |label: &str| model(&p, label).managers.iter().map(|m| m.name.clone()).collect::<Vec<_>>();
    let id = |label: &str| model(&p, label).id;
    assert_eq!(names("shop.A"), ["objects"]);
    assert!(p.is_plain_manager(id("shop.A"), "objects"));
    assert_eq!(names("shop.B"), ["objects", "live"]);
    assert!(p.is_plain_manager(id("shop.B"), "objects"));
    assert!(!p.is_plain_manager(id("shop.B"), "live"));
    assert_eq!(names("shop.D"), ["other", "third", "fourth", "objects"]);
    for manager in ["other", "third", "fourth", "objects"] {
        assert!(p.manager_method(id("shop.D"), manager, "open").is_some(), "{manager}");
        assert!(p.is_plain_manager(id("shop.D"), manager), "{manager}");
    }
    assert!(p.manager_method(id("shop.D"), "third", "mine").is_some());
    assert_eq!(model(&p, "shop.D").default_manager, "other");
    assert_eq!(model(&p, "shop.E").default_manager, "live");
    assert_eq!(model(&p, "shop.F").default_manager, "live");
    assert_eq!(model(&p, "shop.F").base_manager_name.as_deref(), Some("live"));
}

#[test]
fn receivers_are_heard_by_the_exact_class() {
    let p = project(&[
        ("shop/__init__.py", ""),
        (
            "shop/models.py",
            "from django.db import models\nclass Base(models.Model):\n    class Meta: abstract = True\nclass Book(Base): pass\nclass Novel(Book): pass\nclass Mine(Book):\n    class Meta: proxy = True\n",
        ),
        (
            "shop/signals.py",
            "from django.dispatch import receiver\nfrom django.db.models import signals\nfrom django.db.models.signals import post_save, pre_delete\nfrom .models import Book, Base\n@receiver(post_save, sender=Book)\n@receiver(pre_delete, sender='shop.Book')\ndef one(sender, **kw): pass\n@receiver([post_save, signals.pre_save])\ndef every(sender, **kw): pass\n@receiver(signals.m2m_changed, sender=Base)\ndef base(sender, **kw): pass\n",
        ),
        (
            "shop/apps.py",
            "from django.apps import AppConfig\nclass S(AppConfig):\n    name = 'shop'\n    def ready(self):\n        from django.db.models.signals import post_delete, post_init\n        from .models import Book\n        from . import handlers\n        post_delete.connect(handlers.gone, sender=Book)\n        post_init.connect(handlers.made, self.get_model('shop.Book'))\n        for model in [Book]:\n            post_init.connect(handlers.made, sender=model)\n        for s in (post_init, post_delete):\n            s.connect(handlers.any, sender='shop.Novel')\n",
        ),
        ("shop/handlers.py", "def gone(**kw): pass\ndef made(**kw): pass\ndef any(**kw): pass\n"),
        (
            "shop/tests/test_a.py",
            "from django.db.models.signals import post_save\npost_save.connect(print)\n",
        ),
    ]);
    let names = |label: &str, signal| {
        let found = p.receivers(model(&p, label).id, signal);
        found.iter().map(|r| r.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names("shop.Book", Signal::PostSave), ["one", "every"]);
    assert_eq!(names("shop.Novel", Signal::PostSave), ["every"]);
    assert_eq!(names("shop.Mine", Signal::PostSave), ["every"]);
    assert_eq!(names("shop.Mine", Signal::PreDelete), Vec::<String>::new());
    assert_eq!(names("shop.Novel", Signal::PreDelete), ["one"]);
    assert_eq!(names("shop.Book", Signal::M2mChanged), Vec::<String>::new());
    assert_eq!(names("shop.Book", Signal::PostDelete), ["handlers.gone"]);
    assert_eq!(names("shop.Book", Signal::PostInit), ["handlers.made", "handlers.made"]);
    assert_eq!(names("shop.Novel", Signal::PostInit), ["handlers.made", "handlers.any"]);
    assert!(p.receivers(model(&p, "shop.Book").id, Signal::PostDelete)[0].function.is_some());
}

#[test]
fn bases_may_be_looked_up() {
    let p = shop(
        "from django.contrib.auth import get_user_model\nfrom django.apps import apps\nUser = get_user_model()\nThing = apps.get_model('shop', 'Thing')\nclass Staff(User):\n    class Meta: proxy = True\nclass Member(get_user_model()): pass\nclass Thing2(Thing):\n    objects = LoadedManager()\n",
    );
    assert!(model(&p, "shop.Staff").is_proxy);
    assert_eq!(model(&p, "shop.Staff").concrete, p.model_by_label("auth.User").unwrap());
    assert_eq!(model(&p, "shop.Member").table_parents, [p.model_by_label("auth.User").unwrap()]);
    assert!(model(&p, "auth.User").reverse("member").is_some());
    assert!(p.model_by_label("shop.Thing2").is_none());
}

#[test]
fn annotations_hide_nothing() {
    let p = shop(
        "from typing import TYPE_CHECKING\nclass Base(models.Model):\n    name = models.CharField()\n    class Meta: abstract = True\nclass Item(Base):\n    id: int\n    name: str\n    if TYPE_CHECKING:\n        part_set: 'Manager[Part]'\nclass Child(Item):\n    part_set: 'Manager[Part]'\nclass Part(models.Model):\n    item = models.ForeignKey(Item, models.CASCADE)\n",
    );
    assert_eq!(fields(model(&p, "shop.Item")), ["id", "name"]);
    assert!(model(&p, "shop.Child").reverse("part_set").is_some());
}

#[test]
fn packages_watch_models() {
    let p = shop(
        "from auditlog.registry import auditlog\nfrom simple_history.models import HistoricalRecords\nimport reversion\nfrom model_utils import FieldTracker\nclass Base(models.Model):\n    history = HistoricalRecords(inherit=True)\n    class Meta: abstract = True\n@reversion.register()\nclass A(Base):\n    tracker = FieldTracker()\nclass B(models.Model): pass\nauditlog.register(B)\n",
    );
    let names = |label: &str, signal| {
        let mut found: Vec<_> =
            p.receivers(model(&p, label).id, signal).iter().map(|r| r.name.clone()).collect();
        found.sort();
        found
    };
    assert_eq!(names("shop.A", Signal::PostSave), ["FieldTracker", "reversion", "simple_history"]);
    assert_eq!(names("shop.B", Signal::PostSave), ["auditlog"]);
    assert_eq!(names("shop.B", Signal::PreInit), Vec::<String>::new());
}

#[test]
fn bases_may_be_chosen_when_loaded() {
    let p = project(&[
        ("shop/__init__.py", ""),
        (
            "shop/base.py",
            "from django.db import models\nclass A(models.Model):\n    a = models.IntegerField()\n    class Meta:\n        abstract = True\nclass B(models.Model):\n    class Meta:\n        abstract = True\nif database():\n    Chosen = A\nelse:\n    Chosen = B\ndef choose():\n    if special():\n        return B\n    return A\n",
        ),
        (
            "shop/models.py",
            "from django.apps import apps\nfrom django.conf import settings\nfrom shop.base import Chosen, choose\napp, name = settings.AUTH_USER_MODEL.rsplit('.', 1)\nUser = None\ntry:\n    User = apps.get_registered_model(app, name)\nexcept KeyError:\n    pass\nclass Member(User):\n    pass\nclass One(Chosen):\n    pass\nTwo = choose()\nclass Three(Two):\n    pass\n",
        ),
    ]);
    assert_eq!(model(&p, "shop.Member").bases.first(), p.model_by_label("auth.User").as_ref());
    assert!(!model(&p, "shop.Member").has_unknown_base);
    for label in ["shop.One", "shop.Three"] {
        assert_eq!(fields(model(&p, label)), ["id", "a"]);
        // It may be the other one.
        assert!(model(&p, label).has_unknown_base);
    }
}

/// A signal that is kept somewhere gets receivers only where something is connected to what may be it.
#[test]
fn signals_that_are_handed_on() {
    let kept = "from django.db.models.signals import post_save\nIGNORED = [post_save]\n";
    let heard = |connecting: &str| {
        let p = project(&[
            ("shop/__init__.py", ""),
            ("shop/models.py", "from django.db import models\nclass Book(models.Model): pass\n"),
            ("shop/kept.py", kept),
            ("shop/connecting.py", connecting),
        ]);
        p.receivers(model(&p, "shop.Book").id, Signal::PostSave).len()
    };
    assert_eq!(heard("def bus(signal, f):\n    signal.connect(f)\n"), 1);
    assert_eq!(heard("def bus(self, f):\n    for s in self.signals:\n        s.connect(f)\n"), 1);
    assert_eq!(heard("def bus(signal, f):\n    getattr(signal, 'connect')(f)\n"), 1);
    assert_eq!(heard("def bus(signal):\n    return signal.connect\n"), 1);
    assert_eq!(
        heard("import socket\ndef dial(address):\n    s = socket.socket()\n    s.connect(address)\n"),
        0
    );
    assert_eq!(heard("import sqlite3\ndb = sqlite3.connect('x')\n"), 0);
    assert_eq!(heard("class S(Signal):\n    def connect(self, f):\n        return super().connect(f)\n"), 0);
}

/// What a package is known to listen to, by the path of what is called.
#[test]
fn packages_are_known_by_their_paths() {
    let heard = |imports: &str, body: &str, after: &str, settings: &str| {
        let p = project(&[
            ("config/settings.py", settings),
            ("shop/__init__.py", ""),
            (
                "shop/models.py",
                &format!(
                    "from django.db import models\n{imports}\nclass A(models.Model):\n    x = 1\n    {body}\n{after}\n"
                ),
            ),
        ]);
        let id = model(&p, "shop.A").id;
        let mut names: Vec<String> =
            p.receivers(id, Signal::PostSave).iter().map(|r| r.name.clone()).collect();
        names.extend(p.unknown_parts(id).iter().map(|(name, _)| format!("?{name}")));
        names.join(" ")
    };
    let history = "from simple_history.models import HistoricalRecords as H";
    assert_eq!(heard(history, "log = H()", "", ""), "simple_history");
    assert_eq!(
        heard(&format!("{history}\ndef made(): return H()"), "log = made()", "", ""),
        "simple_history"
    );
    assert_eq!(heard(&format!("{history}\nclass Own(H): pass"), "log = Own()", "", ""), "simple_history");
    assert_eq!(
        heard("class HistoricalRecords: pass", "log = HistoricalRecords()", "", ""),
        "",
        "a class of the project with that name"
    );
    let thumbnail = "from easy_thumbnails.fields import ThumbnailerImageField";
    assert_eq!(heard(thumbnail, "img = ThumbnailerImageField()", "", ""), "easy_thumbnails");
    for (imports, after, name) in [
        ("from simple_history import register", "register(A)", "simple_history"),
        ("from reversion import register as r", "r(A, follow=[])", "reversion"),
        ("import mptt", "mptt.register(A)", "mptt"),
        (
            "from algoliasearch_django.decorators import register",
            "@register(A)\nclass I: pass",
            "algoliasearch",
        ),
        (
            "from django_elasticsearch_dsl.registries import registry",
            "@registry.register_document\nclass D:\n    class Django:\n        model = A",
            "django_elasticsearch_dsl",
        ),
        (
            "from reversion.admin import VersionAdmin\nfrom django.contrib import admin",
            "class Own(VersionAdmin): pass\nadmin.site.register(A, Own)",
            "reversion",
        ),
        ("from shop.own import register", "register(A)", ""),
    ] {
        assert_eq!(heard(imports, "", after, ""), name, "{after}");
    }
    for (settings, name) in [
        ("INSTALLED_APPS = ['auditlog']\nAUDITLOG_INCLUDE_ALL_MODELS = True", "auditlog"),
        (
            "INSTALLED_APPS = ['auditlog']\nAUDITLOG_INCLUDE_TRACKING_MODELS = ({'model': 'shop.A'},)",
            "auditlog",
        ),
        (
            "INSTALLED_APPS = ['auditlog']\nAUDITLOG_INCLUDE_ALL_MODELS = True\nAUDITLOG_EXCLUDE_TRACKING_MODELS = ['shop']",
            "",
        ),
        ("INSTALLED_APPS = ['django_elasticsearch_dsl']", "django_elasticsearch_dsl"),
        ("INSTALLED_APPS = ['django_elasticsearch_dsl']\nELASTICSEARCH_DSL_AUTOSYNC = False", ""),
        ("INSTALLED_APPS = ['django_cleanup']", ""),
        ("HAYSTACK_SIGNAL_PROCESSOR = 'haystack.signals.BaseSignalProcessor'", ""),
        ("HAYSTACK_SIGNAL_PROCESSOR = 'haystack.signals.RealtimeSignalProcessor'", "haystack"),
    ] {
        assert_eq!(heard("", "", "", settings), name, "{settings}");
    }
    let cleanup = "INSTALLED_APPS = ['django_cleanup.apps.CleanupConfig']";
    assert_eq!(heard("", "doc = models.FileField()", "", cleanup), "django_cleanup");
    let vendor = "from vendor import Tracker, Field2, SomeField";
    assert_eq!(heard(vendor, "tracker = Tracker()", "", ""), "?Tracker");
    assert_eq!(heard(vendor, "plain = SomeField()", "", ""), "", "what fields do is told of fields");
    assert_eq!(heard("from model_utils import Choices", "STATUS = Choices('a')", "", ""), "");
}

/// `m2m_changed` is sent for the rows of one link.
#[test]
fn links_send_for_themselves() {
    let p = shop(
        "from django.db.models.signals import m2m_changed, post_save\nfrom django.dispatch import receiver\nclass Tag(models.Model): pass\nclass Link(models.Model): pass\nclass Base(models.Model):\n    class Meta: abstract = True\nclass Book(Base):\n    tags = models.ManyToManyField(Tag, related_name='books')\n    others = models.ManyToManyField(Tag, related_name='other_books')\n    linked = models.ManyToManyField(Tag, through=Link, related_name='linked_books')\nclass Alone(models.Model): pass\n@receiver(m2m_changed, sender=Book.tags.through)\ndef tags(**kw): pass\n@receiver(m2m_changed, sender=Tag.other_books.through)\ndef others(**kw): pass\n@receiver(m2m_changed, sender=Link)\ndef linked(**kw): pass\nm2m_changed.connect(tags, sender=Book.linked.through)\n@receiver(post_save, sender=Book.tags.through)\ndef saved(**kw): pass\n@receiver(m2m_changed, sender=Base)\ndef never(**kw): pass\n",
    );
    let id = |label: &str| model(&p, label).id;
    let links = |label: &str, accessor: &str| {
        p.link_receivers(id(label), accessor).iter().map(|r| r.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(links("shop.Book", "tags"), ["tags"]);
    assert_eq!(links("shop.Tag", "books"), ["tags"]);
    assert_eq!(links("shop.Book", "others"), ["others"]);
    assert_eq!(links("shop.Tag", "linked_books"), ["linked", "tags"]);
    assert_eq!(p.receivers(id("shop.Book"), Signal::M2mChanged).len(), 4);
    assert!(p.receivers(id("shop.Alone"), Signal::M2mChanged).is_empty());
    assert!(p.receivers(id("shop.Book"), Signal::PostSave).is_empty());
}

/// Only what may be a class of model, and gets something like a method, makes every model's `save()` uncertain.
#[test]
fn attributes_put_into_what_may_be_a_class() {
    let is_patched = |code: &str| {
        let p = project(&[
            ("shop/__init__.py", ""),
            ("shop/models.py", "from django.db import models\nclass A(models.Model): pass\n"),
            ("shop/code.py", code),
        ]);
        p.patch_of(model(&p, "shop.A").id, "save").is_some()
    };
    assert!(is_patched("def patch(model):\n    def save(self, *args): pass\n    model.save = save\n"));
    assert!(is_patched(
        "def patch(models):\n    for m in models:\n        setattr(m, 'save', lambda self: None)\n"
    ));
    assert!(is_patched("def patch(get):\n    get().save = lambda *args: None\n"));
    assert!(!is_patched(
        "class Form: pass\ndef make():\n    form = Form()\n    form.save = lambda self: None\n"
    ));
    assert!(!is_patched("def make(form):\n    form.save = lambda: None\n"));
    assert!(!is_patched("import types\ndef make(row, f):\n    row.save = types.MethodType(f, row)\n"));
    assert!(!is_patched("def make(row):\n    def save(): pass\n    row.save = save\n"));
}
