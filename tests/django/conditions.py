"""Python conditions over rows, generated, and what the tool makes of them, compared on generated rows.

    PYTHON tests/django/conditions.py generate FOLDER [--seed N] [--count N] [--engine sqlite3|postgresql]
    PYTHON tests/django/conditions.py compare FOLDER AFTER [--seed N] [-v]

`generate` writes a project whose `shop/code.py` holds functions that test rows in Python, in every shape that the tool
knows. `AFTER` is that file with the tool's fixes. `compare` runs every function of both on no rows, and on rows with NULLs,
empty texts, zeros, negative numbers, duplicates and dates at the ends of days: what is returned, or the class of what is
raised, must be the same. The last line says how many functions were changed.
"""

import argparse
import contextlib
import datetime
import decimal
import importlib.util
import pathlib
import random
import re
import sys
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

SETTINGS = '''
SECRET_KEY = "conditions"
USE_TZ = {use_tz}
TIME_ZONE = "{zone}"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["shop"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.{engine}", "NAME": ":memory:"}}}}
'''

MODELS = '''
from django.db import models


class Place(models.Model):
    name = models.CharField(max_length=20)
    code = models.CharField(max_length=20, null=True)
    rank = models.IntegerField(default=0)
    level = models.IntegerField(null=True)
    active = models.BooleanField(default=True)
    open = models.BooleanField(null=True)
    owner = models.ForeignKey("self", null=True, on_delete=models.SET_NULL)


class Item(models.Model):
    class Kind(models.TextChoices):
        A = "a", "First"
        B = "b", "Second"

    LIMIT = 2

    code = models.CharField(max_length=20, choices=Kind.choices)
    name = models.CharField(max_length=20)
    note = models.CharField(max_length=20, null=True)
    text = models.TextField(blank=True, default="")
    count = models.IntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    score = models.IntegerField(null=True)
    best = models.IntegerField(null=True)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    cost = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    weight = models.FloatField(default=0)
    size = models.FloatField(null=True)
    active = models.BooleanField(default=True)
    done = models.BooleanField(null=True)
    day = models.DateField()
    due = models.DateField(null=True)
    at = models.DateTimeField()
    seen = models.DateTimeField(null=True)
    uid = models.UUIDField()
    cover = models.FileField(blank=True)
    place = models.ForeignKey(Place, on_delete=models.CASCADE, related_name="items")
    other = models.ForeignKey(Place, null=True, on_delete=models.SET_NULL, related_name="+")
    parent = models.ForeignKey("self", null=True, on_delete=models.SET_NULL)

    class Meta:
        ordering = ["pk"]
'''

HEAD = '''
import datetime
from datetime import date, timedelta
from decimal import Decimal

from django.utils import timezone

from shop.models import Item, Place

WORDS = ("a", "b", "ab")
NUMBERS = [0, 1, 2]
TOP = 2


'''

# Columns by the kind of their values; those of the second list may be NULL.
COLUMNS = {
    "int": (["count", "total"], ["score", "best"]),
    "str": (["code", "name", "text"], ["note"]),
    "decimal": (["price"], ["cost"]),
    "float": (["weight"], ["size"]),
    "bool": (["active"], ["done"]),
    "date": (["day"], ["due"]),
    "moment": (["at"], ["seen"]),
}
OF_PLACE = {
    "int": (["rank"], ["level"]),
    "str": (["name"], ["code"]),
    "bool": (["active"], ["open"]),
}
VALUES = {
    "int": ["0", "1", "2", "-1", "TOP", "Item.LIMIT", "number", "limit"],
    "str": ['""', '"a"', '"b"', '"ab"', '"A"', "Item.Kind.A", "word", '"1"', '"é"'],
    "decimal": ["0", "1", 'Decimal("1.50")', 'Decimal("0.005")', "2"],
    "float": ["0", "1.5", "-1.5", "2", "0.1"],
    "bool": ["True", "False", "0", "1"],
    "date": ["date(2024, 2, 1)", "date(2024, 1, 1)", "today", "date.today()", "today - timedelta(days=1)"],
    "moment": ["timezone.now()", "now", "now - timedelta(days=1)", "timezone.now() - timedelta(hours=2)"],
}
LISTS = {
    "int": ["(0, 1)", "[1, 2, -1]", "{2}", "NUMBERS", "numbers", "(0, None)", "[]"],
    "str": ['("a", "b")', '["", "ab"]', "WORDS", "words", '["a", None]', "(Item.Kind.A, Item.Kind.B)"],
    "date": ["[date(2024, 2, 1), today]"],
}
SIGNS = ["==", "!=", "<", "<=", ">", ">="]


class Generator:
    """Conditions over a row called `row`."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def column(self, kind, may_be_null=None):
        """A column of that kind, and what has to be tested before it can be compared."""
        pick = self.random
        guard = []
        owner, columns = "row", COLUMNS
        if kind in OF_PLACE and pick.random() < 0.25:
            relation = pick.choice(["place", "place", "other"])
            owner, columns = f"row.{relation}", OF_PLACE
            if relation == "other":
                guard.append(pick.choice(["row.other", "row.other is not None", "row.other_id", "row.other_id is not None"]))
        certain, nullable = columns[kind]
        is_null = pick.random() < 0.4 if may_be_null is None else may_be_null
        name = pick.choice(nullable if is_null else certain)
        path = f"{owner}.{name}"
        if is_null:
            guard.append(pick.choice([f"{path} is not None", path]) if kind != "bool" else f"{path} is not None")
        return path, guard

    def guarded(self, guard, condition, chance=0.7):
        """The condition behind its guards, mostly."""
        if not guard or self.random.random() > chance:
            return condition
        if self.random.random() < 0.2:
            return "(" + " or ".join([f"not {g}" if " is " not in g else g.replace("is not None", "is None") for g in guard] + [condition]) + ")"
        return "(" + " and ".join([*guard, condition]) + ")"

    def atom(self):
        pick = self.random
        kind = pick.choice(list(COLUMNS))
        column, guard = self.column(kind)
        relations = [g for g in guard if "other" in g and column not in g]
        shape = pick.random()
        if shape < 0.15:
            return self.guarded(relations, column)
        if shape < 0.27:
            return self.guarded(relations, f"{column} {pick.choice(['is', 'is not', '==', '!='])} None")
        if shape < 0.40 and kind in LISTS:
            return self.guarded(relations, f"{column} {pick.choice(['in', 'not in'])} {pick.choice(LISTS[kind])}")
        if shape < 0.52:
            other, more = self.column(kind)
            return self.guarded(guard + more, f"{column} {pick.choice(SIGNS)} {other}")
        if shape < 0.60 and kind in ("int", "float", "date", "decimal", "moment"):
            low, high = pick.choice(VALUES[kind]), pick.choice(VALUES[kind])
            return self.guarded(guard, f"{low} {pick.choice(['<', '<='])} {column} {pick.choice(['<', '<='])} {high}")
        if kind == "str" and shape < 0.75:
            part = pick.choice(['"a"', '"1"', '"-"', "word", '"%"', '"_"'])
            return self.guarded(guard, pick.choice([
                f"{column}.startswith({part})",
                f"{column}.endswith({part})",
                f"{part} in {column}",
                f'{column}.lower() == {pick.choice([chr(34) + "ab" + chr(34), chr(34) + "k" + chr(34)])}',
            ]))
        if kind == "date" and shape < 0.75:
            part = pick.choice(["year", "month", "day"])
            value = {"year": ["2024", "today.year", "2023"], "month": ["1", "2", "today.month"], "day": ["1", "31"]}[part]
            return self.guarded(guard, f"{column}.{part} {pick.choice(SIGNS)} {pick.choice(value)}")
        if kind == "moment" and shape < 0.8:
            return self.guarded(guard, pick.choice([
                f"{column}.date() {pick.choice(SIGNS)} {pick.choice(['today', 'date(2024, 1, 1)'])}",
                f"{column}.year {pick.choice(SIGNS)} 2024",
                f"timezone.localdate({column}) {pick.choice(SIGNS)} today",
                f"timezone.localtime({column}).date() == date(2024, 1, 1)",
            ]))
        if shape < 0.82:
            wrong = pick.choice([k for k in VALUES if k != kind])
            return self.guarded(guard, f"{column} {pick.choice(['==', '!='])} {pick.choice(VALUES[wrong])}")
        if shape < 0.9:
            return pick.choice([
                "row.other", "not row.other", "row.other is None", "row.parent_id", "row.parent is not None",
                "row.place == place", "row.other == place", "row.place != place", "row.place_id == place.pk",
                "row.other_id == place.id", "row.place == row.other", "row.other != row.place", "row.cover",
                "row.parent_id == row.id", "row.pk in (1, 2, 3)", "row.place_id != 1", "row.other_id not in (1, 2)",
                "row.unknown", "row.check()", "row.place.owner and row.place.owner.rank > 0",
            ])
        sign = pick.choice(SIGNS if kind != "bool" else ["==", "!=", "is", "is not"])
        value = pick.choice(VALUES[kind] if sign not in ("is", "is not") else ["True", "False"])
        if pick.random() < 0.2 and sign not in ("is", "is not"):
            return self.guarded(guard, f"{value} {sign} {column}")
        return self.guarded(guard, f"{column} {sign} {value}")

    def condition(self, depth=0):
        pick = self.random
        shape = pick.random()
        if depth >= 3 or shape < 0.45:
            return self.atom()
        if shape < 0.6:
            inner = self.condition(depth + 1)
            return f"not ({inner})" if pick.random() < 0.7 else f"not {self.atom()}"
        word = " and " if shape < 0.82 else " or "
        parts = [self.condition(depth + 1) for _ in range(pick.choice([2, 2, 3]))]
        return word.join(f"({p})" if " or " in p or " and " in p else p for p in parts)

    def function(self, number):
        pick = self.random
        condition = self.condition()
        lines = {
            "place": "place = Place.objects.get(pk=1)",
            "today": "today = date.today()",
            "now": "now = timezone.now()",
            "limit": "limit = 1",
            "words": 'words = ["a", "ab"]',
            "numbers": "numbers = [1, 2, 7]",
        }
        used = [line for name, line in lines.items() if re.search(rf"(?<![.\w]){name}\b", condition)]
        head = "".join([f"def case_{number}(number: int, word: str):\n", *[f"    {line}\n" for line in used]])
        source = pick.choice(["Item.objects.all()", 'Item.objects.order_by("-pk")', "Item.objects.filter(count__gte=-5)"])
        body = pick.choice([
            f"    return [row for row in {source} if {condition}]\n",
            f"    return [row.pk for row in {source} if {condition}]\n",
            f"    return sum(row.pk for row in {source} if {condition})\n",
            f"    return next((row for row in {source} if {condition}), None)\n",
            f"    return list(filter(lambda row: {condition}, {source}))\n",
            f"    found = []\n    for row in {source}:\n        if {condition}:\n            found.append(row.name)\n            found.append(row.pk)\n    return found\n",
            f"    found = []\n    for row in {source}:\n        if {condition}:\n            continue\n        found.append(row.name)\n        found.append(row.pk)\n    return found\n",
        ])
        return head + body + "\n\n"


def generate(folder, seed, count, engine):
    generator = Generator(seed)
    use_tz, zone = [(True, "UTC"), (True, "America/New_York"), (False, "UTC")][seed % 3]
    code = HEAD + "".join(generator.function(n) for n in range(count))
    files = {
        "config/__init__.py": "",
        "config/settings.py": SETTINGS.format(use_tz=use_tz, zone=zone, engine=engine),
        "shop/__init__.py": "",
        "shop/models.py": MODELS,
        "shop/code.py": code.strip() + "\n",
    }
    for path, text in files.items():
        target = pathlib.Path(folder) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.lstrip())


def fill(seed):
    """Rows of every sort."""
    from django.conf import settings
    from shop.models import Item, Place

    pick = random.Random(seed)
    texts = ["", "a", "A", "b", "ab", "AB", "aB1", "1a", "x-1", "%", "_", "é", "É", "k", "\u212a", "a%b"]
    places = []
    for n in range(4):
        places.append(Place.objects.create(
            name=pick.choice(texts), code=pick.choice([None, *texts]), rank=pick.choice([-1, 0, 1, 2]),
            level=pick.choice([None, -1, 0, 1]), active=pick.random() < 0.5, open=pick.choice([None, True, False]),
            owner=pick.choice([None, *places]),
        ))
    today = datetime.date.today()
    days = [datetime.date(2023, 12, 31), datetime.date(2024, 1, 1), datetime.date(2024, 1, 31), datetime.date(2024, 2, 1), today]

    def moment():
        day = pick.choice(days)
        found = datetime.datetime(day.year, day.month, day.day, pick.choice([0, 3, 12, 23]), pick.choice([0, 30, 59]))
        return found.replace(tzinfo=datetime.timezone.utc) if settings.USE_TZ else found

    items = []
    for n in range(80):
        items.append(Item.objects.create(
            code=pick.choice(["a", "b", "", "A"]), name=pick.choice(texts), note=pick.choice([None, None, *texts]),
            text=pick.choice(texts), count=pick.choice([-1, 0, 1, 2, 3]), total=pick.choice([0, 1, 2]),
            score=pick.choice([None, -1, 0, 1, 2]), best=pick.choice([None, 0, 1]),
            price=decimal.Decimal(pick.choice(["0", "1", "1.5", "-2", "0.01", "2.00"])),
            cost=pick.choice([None, decimal.Decimal("0"), decimal.Decimal("1.5")]),
            weight=pick.choice([-1.5, 0.0, 0.1, 1.5, 2.0]), size=pick.choice([None, 0.0, 1.5]),
            active=pick.random() < 0.5, done=pick.choice([None, True, False]), day=pick.choice(days),
            due=pick.choice([None, *days]), at=moment(), seen=pick.choice([None, moment()]),
            uid=uuid.UUID(int=pick.randrange(5)), cover=pick.choice(["", "x.png"]), place=pick.choice(places),
            other=pick.choice([None, None, *places]), parent=pick.choice([None, *items[-3:]]),
        ))


def connect(engine, stack):
    """The settings of the database."""
    if engine == "sqlite3":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    import postgresql

    return stack.enter_context(postgresql.server()).options("public")


def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outcome(function):
    from django.db import models, transaction

    def plain(value):
        if isinstance(value, models.QuerySet):
            return ("queryset", [plain(v) for v in value])
        if isinstance(value, list):
            return [plain(v) for v in value]
        if isinstance(value, models.Model):
            return (type(value).__name__, value.pk)
        return value

    try:
        with transaction.atomic():
            found = plain(function(1, "a"))
            transaction.set_rollback(True)
            return found
    except Exception as error:
        return type(error).__name__


def compare(folder, after, seed, verbose):
    folder = pathlib.Path(folder)
    sys.path.insert(0, str(folder))
    spec = load("conditions_settings", folder / "config/settings.py")
    with contextlib.ExitStack() as stack:
        from django.conf import settings

        engine = spec.DATABASES["default"]["ENGINE"].rsplit(".", 1)[-1]
        names = {name: getattr(spec, name) for name in dir(spec) if name.isupper()}
        names["DATABASES"] = {"default": connect(engine, stack)}
        settings.configure(**names)
        import django
        from django.db import connection

        django.setup()
        from shop.models import Item, Place

        with connection.schema_editor() as editor:
            editor.create_model(Place)
            editor.create_model(Item)
        before = load("shop.code", folder / "shop/code.py")
        fixed = load("shop.after", after)
        texts = [pathlib.Path(p).read_text().split("\n\n\n") for p in (folder / "shop/code.py", after)]
        bodies = [{t.split("(")[0]: t for t in text if t.startswith("def case_")} for text in texts]
        changed = [name for name in bodies[0] if bodies[0][name].strip() != bodies[1].get(name, "").strip()]
        failures = []
        for filled in (False, True):
            if filled:
                fill(seed)
            for name in changed:
                function = name.removeprefix("def ")
                wanted, found = outcome(getattr(before, function)), outcome(getattr(fixed, function))
                if wanted != found:
                    failures.append(
                        f"{name} with {'rows' if filled else 'no rows'}: {wanted} became {found}\n"
                        f"{bodies[0][name]}\n{bodies[1][name]}"
                    )
        for failure in failures:
            print(failure)
        if verbose:
            for name in changed:
                print(bodies[1][name].splitlines()[-3:])
        print(f"{len(changed)} of {len(bodies[0])} changed, {len(failures)} differ")
        return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("generate", "compare"):
        command = commands.add_parser(name)
        command.add_argument("folder")
        if name == "compare":
            command.add_argument("after")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--count", type=int, default=300)
        command.add_argument("--engine", default="sqlite3")
        command.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    if options.command == "generate":
        generate(options.folder, options.seed, options.count, options.engine)
        return 0
    return compare(options.folder, options.after, options.seed, options.verbose)


if __name__ == "__main__":
    sys.exit(main())
