"""Hold what ormend knows of serializers against Django REST framework itself.

    PYTHON tests/django/rest.py [TITLE]

PYTHON is one that has Django and djangorestframework. The sections are those of
`engine/src/infer/entries/rest/cases.md`: a serializer (or view, or function) and the relations that listing books with
it reads. Each is run with two books and with four:

- with every relation of the section prefetched it takes as many queries for four as for two (unless the section says
  that not all is found);
- without any one of them, and those below it, it takes more (unless the section says that some of it is read under a
  condition).
"""

import importlib.machinery
import re
import sys
import types
from pathlib import Path

import django
from django.conf import settings

HERE = Path(__file__).resolve().parents[2] / "engine/src/infer/entries/rest"

settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "shop"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    ROOT_URLCONF="shop.urls",
    ALLOWED_HOSTS=["testserver"],
    USE_TZ=True,
)

shop = types.ModuleType("shop")
shop.__path__ = []
shop.__file__ = str(HERE / "__init__.py")
sys.modules["shop"] = shop
models = types.ModuleType("shop.models")
models.__package__ = "shop"
models.__spec__ = importlib.machinery.ModuleSpec("shop.models", None)
shop.__spec__ = importlib.machinery.ModuleSpec("shop", None, is_package=True)
sys.modules["shop.models"] = models
shop.models = models


def load_models():
    exec(compile((HERE / "models.py").read_text(), str(HERE / "models.py"), "exec"), models.__dict__)


# The models are made when Django asks for them.
from django.apps import AppConfig  # noqa: E402


class ShopConfig(AppConfig):
    name = "shop"
    path = str(HERE)

    def import_models(self):
        load_models()
        super().import_models()


apps_module = types.ModuleType("shop.apps")
apps_module.ShopConfig = ShopConfig
sys.modules["shop.apps"] = apps_module
settings.INSTALLED_APPS[-1] = "shop.apps.ShopConfig"
django.setup()

from django.db import connection  # noqa: E402
from django.db.models import Manager, QuerySet  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import generics, mixins, serializers, viewsets  # noqa: E402
from rest_framework.decorators import action, api_view  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.test import APIRequestFactory  # noqa: E402

urls = types.ModuleType("shop.urls")
urls.urlpatterns = [path("things/<path:key>/", lambda request, key: None, name="thing")]
sys.modules["shop.urls"] = urls


def no_arguments(name, kwargs=None, **more):
    """Hyperlinks need no URL of their own here: what is read for them is."""
    return f"/{name}/{kwargs}"


import rest_framework.relations  # noqa: E402

rest_framework.relations.reverse = no_arguments


def populate(count):
    m = models
    for model in (m.Review, m.Detail, m.Book, m.Tag, m.Author, m.Publisher, m.Country):
        model.objects.all().delete()
    number = 0

    def name():
        nonlocal number
        number += 1
        return f"n{number}"

    def country():
        return m.Country.objects.create(name=name(), code=name())

    def publisher():
        return m.Publisher.objects.create(name=name(), slug=name(), country=country())

    def author(friends=True):
        made = m.Author.objects.create(name=name(), publisher=publisher())
        if friends:
            for _ in range(2):
                made.friends.add(author(friends=False))
        return made

    for _ in range(count):
        book = m.Book.objects.create(title=name(), author=author(), editor=author(), publisher=publisher())
        for _ in range(2):
            book.tags.add(m.Tag.objects.create(name=name(), country=country()))
            m.Review.objects.create(book=book, reviewer=author())
        m.Detail.objects.create(book=book, country=country())


def call(code):
    """What lists the books."""
    scope = dict(models.__dict__)
    scope.update(
        generics=generics, mixins=mixins, serializers=serializers, viewsets=viewsets, action=action,
        api_view=api_view, Response=Response, __name__="shop.api",
    )
    exec(code, scope)
    request = APIRequestFactory().get("/")
    if "Books" not in scope and "books" not in scope:
        scope["Books"] = type(
            "Books",
            (generics.ListAPIView,),
            {"queryset": scope["Book"].objects.all(), "serializer_class": scope["BookSerializer"]},
        )
    if "Books" not in scope:
        view = scope["books"]
    elif issubclass(scope["Books"], viewsets.ViewSetMixin):
        extra = getattr(scope["Books"], "books", None)
        # What a router does with an action.
        view = scope["Books"].as_view({"get": "books" if extra else "list"}, **getattr(extra, "kwargs", {}))
    else:
        view = scope["Books"].as_view()

    def run():
        response = view(request)
        response.render()
        assert response.status_code == 200, response.data

    return run


PREFETCHED = ()
iterate = QuerySet._fetch_all


def fetch_all(self):
    # Only rows of books that nobody reaches through a relation.
    if self.model is models.Book and not self._hints and not self._sticky_filter and self._result_cache is None:
        if PREFETCHED and not self._prefetch_related_lookups:
            self._prefetch_related_lookups = PREFETCHED
    iterate(self)


QuerySet._fetch_all = fetch_all


def queries(run, count, prefetched):
    global PREFETCHED
    PREFETCHED = ()
    populate(count)
    PREFETCHED = tuple(prefetched)
    with CaptureQueriesContext(connection, ) as captured:
        run()
    PREFETCHED = ()
    return [q["sql"] for q in captured.captured_queries]


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    with connection.schema_editor() as editor:
        for model in django.apps.apps.get_app_config("shop").get_models():
            editor.create_model(model)
    failed = 0
    for section in re.split(r"\n## ", (HERE / "cases.md").read_text())[1:]:
        title = section.splitlines()[0]
        if only not in title:
            continue
        code = re.search(r"```python\n(.*?)```", section, re.S)[1]
        reads = re.search(r"```text reads\n(.*?)```", section, re.S)[1].split()
        run = call(code)
        problems = []
        two, four = queries(run, 2, reads), queries(run, 4, reads)
        if "Not all is found." not in section and len(two) != len(four):
            problems.append("something else is read:\n    " + "\n    ".join(sorted(set(q[:150] for q in four))))
        for relation in [] if "under a condition." in section else reads:
            rest = [r for r in reads if r != relation and not r.startswith(relation + "__")]
            if len(queries(run, 2, rest)) >= len(queries(run, 4, rest)):
                problems.append(f"{relation} is not read")
        failed += bool(problems)
        print(("wrong " if problems else "ok    ") + title)
        for problem in problems:
            print("  " + problem)
    sys.exit(bool(failed))


main()
