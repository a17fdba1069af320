"""Run the cases of Markdown pages under real Django.

    PYTHON tests/django/cases.py FILE.md [FILE.md ...] [--only TEXT] [--json] [-v]

PYTHON is one that has Django. Pages are `codemods/*/README.md` and `codemods/*/cases/*.md`; a case is the set of
labelled fences under one heading (`##`, or `###` where a section holds several). Headings without a `before` fence
are no cases. The labels:

    ```python before [PATH]     a file as it is (default path: shop/code.py)
    ```python after [PATH]      the same file after the safe fixes
    ```python unsafe [PATH]     the same file after the unsafe fixes
    ```python naive [PATH]      a rewrite that must change behaviour; an empty fence stands for the `unsafe` text
    ```python check             setup() makes rows, run() calls the code and returns something to compare
    ```python check postgresql  the same, on PostgreSQL only
    ```python race              what two connections do at once before the fix, and after it (see below)
    ```text reason              what is said (not used here)
    ```LANGUAGE PATH            another file of the project

Every variant is a project of its own (`codemods/sample/`, the case's files on top), run in a fresh process on an
in-memory database: tables, setup(), then run() under observation. Compared with `before`:

- what run() returns. Lists, tuples, sets, dicts (with their order), iterators and *querysets are all distinct
  types*; a returned queryset is evaluated as part of the run; a model instance is its class, its pk and its loaded
  columns; 1, 1.0, True and Decimal(1) are distinct;
- the exception's type and text, instead of the value;
- the rows of every table;
- records of the logger "shop" and below, in order (level and message), and mails sent;
- pre_save, post_save, pre_delete, post_delete and m2m_changed, in order, where somebody listens;
- queries. Statements that only open or close transactions do not count; a row lock, which SQLite knows none of, is
  shown as a comment of its statement, and raises outside of a transaction; asking for one that no statement takes is
  a difference, too. `after` and `unsafe` must take fewer than
  `before`; in the codemods of SAME_COUNT no more, and then at least one statement must be another, except in those of
  SAME_STATEMENTS. Where `before` raises it is enough that there are no more.

In the codemods of REPAIRS `before` may raise a FieldError, which is what the rewrite is for: it must raise nothing then.
How many queries it takes is for the check itself to say.

`after` and `unsafe` must not differ otherwise; `naive` must differ or take more queries, or, where there is nothing else
to be rewritten to, give `AFTER` in the race. An `unsafe` text equal to
the `naive` one is the proof of an opt-in hazard and must differ, too.

A `race` stands beside the `check` and runs on PostgreSQL, for `before` and for the rewrites. Its setup() and run() are
those of a check, but what run() returns must *differ*: it is the constant `BEFORE` for `before` and `AFTER` for the
rewrites. together(first, second, pause=1) runs two callables on connections of their own: `first` stops before its
first statement that writes (`pause=2`: its second; a text: the first statement that holds it), `second` runs until it
ends or waits for a lock, then `first` ends, then `second`. It raises what either raises, and answers "waited" or
"did not wait" for `second`, or "never paused". A `check postgresql` may use it, too.

PostgreSQL is a server that the runner starts from the installed programs and ends; every variant has a schema of its
own. `--database` picks the cases of one database.

A rewrite that only changes transactions (the codemods of FAULTS) sends the same statements, and what it is for shows
only when one of them fails. So run() is repeated with a fault: the first, the second, ... statement that writes raises
an IntegrityError instead of being sent. For each of these `before` and `after` (or `unsafe`) are compared:

- atomic: the exception is the same, and so is what run() returns. The rows that are left may differ, but only in that
  they are those of an earlier fault: what was written before the failure is gone. For one fault at least they differ.
- savepoint: what `before` leaves stays as it is, and for one fault at least `before` raises or loses rows where the
  rewrite does not.

A `naive` rewrite proves its hazard also by failing this.

The clock stands still: timezone.now() is 2026-01-01 12:00 UTC in setup() and 2026-01-15 12:00 UTC in run(), so an
auto_now column that is no longer written shows. `random` and uuid.uuid4() give the same numbers in every variant.
"""

import argparse
import contextlib
import dataclasses
import difflib
import functools
import json
import os
import pathlib
import pickle
import re
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import postgresql  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROLES = {"before", "after", "unsafe", "naive", "check", "race", "reason"}
DEFAULT_PATH = "shop/code.py"

# Folders whose rewrites may keep the number of queries and make the query itself cheaper.
SAME_COUNT = {
    "aggregate",
    "annotate_count",
    "atomic",
    "bare_select_related",
    "count",
    "exists",
    "f_expression",
    "filter_before_annotate",
    "filter_in_database",
    "queries",
    "savepoint",
    "select_for_update",
    "values",
    "values_list",
}


# Folders whose rewrites may send the same statements: they say what Django did without being told, or say it better.
SAME_STATEMENTS = {"bare_select_related", "filter_before_annotate"}

# Folders whose rewrites make work what Django refuses with a FieldError.
REPAIRS = {"select_related_many", "unresolved_path"}

# Folders whose rewrites change nothing but what is left when a statement fails.
FAULTS = {"atomic", "savepoint"}

# Statements that are made to fail in one run(), at most.
MOST_FAULTS = 8


@dataclasses.dataclass
class Case:
    page: str
    line: int
    title: str
    codemod: str
    files: dict
    variants: dict  # before, after, unsafe, naive -> {path: text}
    check: str
    postgresql: bool  # whether the check runs there
    race: str
    problems: list


def parse(page):
    """The cases of a page. Mistakes in the form become `problems` of their case."""
    text = pathlib.Path(page).read_text(encoding="utf-8")
    lines = text.split("\n")
    cases = []
    section = ""
    current = new_case(page, 1, "")
    position = 0
    while position < len(lines):
        line = lines[position]
        position += 1
        heading = re.match(r"(#{1,3}) +(.+?) *$", line)
        if heading:
            keep(cases, current)
            title = heading.group(2)
            if len(heading.group(1)) < 3:
                section = title
            elif section:
                title = f"{section} / {title}"
            current = new_case(page, position, title)
            continue
        fence = re.match(r"(`{3,})([^`]*)$", line)
        if not fence:
            continue
        body = []
        opened = position
        while position < len(lines) and lines[position].rstrip() != fence.group(1):
            body.append(lines[position])
            position += 1
        if position == len(lines):
            current.problems.append(f"line {opened}: the fence is never closed")
        position += 1
        add(current, fence.group(2).split(), "".join(part + "\n" for part in body), opened)
    keep(cases, current)
    return cases


def new_case(page, line, title):
    folder = pathlib.Path(page).resolve().parent
    if folder.name == "cases":
        folder = folder.parent
    return Case(str(page), line, title, folder.name, {}, {}, "", False, "", [])


def add(case, words, body, line):
    if len(words) < 2:
        return
    if words[1] not in ROLES:
        if "." in words[1] or "/" in words[1]:
            if words[1] in case.files:
                case.problems.append(f"line {line}: a second fence for {words[1]}")
            case.files[words[1]] = body
        else:
            case.problems.append(f"line {line}: `{words[1]}` is no label")
    elif words[1] == "check":
        if case.check:
            case.problems.append(f"line {line}: a second check")
        case.check = body
        case.postgresql = words[2:] == ["postgresql"]
        if words[2:] and not case.postgresql:
            case.problems.append(f"line {line}: `{' '.join(words[2:])}` is no database")
    elif words[1] == "race":
        if case.race:
            case.problems.append(f"line {line}: a second race")
        case.race = body
    elif words[1] != "reason":
        path = words[2] if len(words) > 2 else DEFAULT_PATH
        files = case.variants.setdefault(words[1], {})
        if path in files:
            case.problems.append(f"line {line}: a second `{words[1]}` for {path}")
        files[path] = body


def keep(cases, case):
    variants = case.variants
    if "before" not in variants:
        if variants or case.check:
            case.problems.append("there is no `before`")
            cases.append(case)
        return
    naive = variants.get("naive")
    if naive and set("".join(naive.values()).split()) == set():
        if "unsafe" in variants:
            variants["naive"] = dict(variants["unsafe"])
        else:
            case.problems.append("an empty `naive` needs an `unsafe`")
    for role, files in variants.items():
        for path in files:
            if path not in variants["before"]:
                case.problems.append(f"`{role}` names {path}, which has no `before`")
    runs = [role for role in ("after", "unsafe", "naive") if role in variants]
    if runs and not case.check:
        case.problems.append(f"there is no `check` for `{runs[0]}`")
    if case.race and not {"after", "unsafe", "naive"} & set(variants):
        case.problems.append("a `race` needs an `after`, an `unsafe` or a `naive`")
    cases.append(case)


# --- in the child -------------------------------------------------------------------------------------------------


def preload():
    """Import what needs no settings, so that children share it."""
    import importlib

    for name in (
        "django.apps",
        "django.conf",
        "django.conf.global_settings",
        "django.contrib.auth",
        "django.contrib.auth.hashers",
        "django.contrib.contenttypes",
        "django.core.checks",
        "django.core.handlers.wsgi",
        "django.core.mail",
        "django.core.mail.backends.locmem",
        "django.core.management",
        "django.core.paginator",
        "django.core.serializers.json",
        "django.db",
        "django.db.backends.postgresql.base",
        "django.db.backends.postgresql.schema",
        "django.db.backends.sqlite3.base",
        "django.db.backends.sqlite3.schema",
        "django.db.models",
        "django.db.models.functions",
        "django.db.models.sql.compiler",
        "django.db.models.sql.subqueries",
        "django.dispatch",
        "django.forms",
        "django.http",
        "django.template",
        "django.template.backends.django",
        "django.template.defaultfilters",
        "django.template.defaulttags",
        "django.template.loader_tags",
        "django.test.utils",
        "django.utils.timezone",
    ):
        try:
            importlib.import_module(name)
        except Exception:  # A version that needs settings for it imports it in the child.
            pass


class Clock:
    """timezone.now() that stands still."""

    def __init__(self):
        from django.utils import timezone

        self.day = 1
        timezone.now = self.now

    def now(self):
        import datetime

        from django.conf import settings

        zone = datetime.timezone.utc if settings.USE_TZ else None
        return datetime.datetime(2026, 1, self.day, 12, tzinfo=zone)


def observe(project, check, role, databases, failing=0):
    """What a variant does, as plain data. Runs in a process of its own.

    `databases` gives the entry of an alias on PostgreSQL; `role` is that of a race; `failing` is the number of the
    statement that writes and is made to fail, from 1, or 0 for none.
    """
    import logging
    import random
    import types
    import uuid

    sys.dont_write_bytecode = True
    sys.path.insert(0, str(project))
    os.chdir(project)
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    clock = Clock()
    numbers = random.Random(1)
    uuid.uuid4 = lambda: uuid.UUID(int=numbers.getrandbits(128), version=4)

    import django

    module = types.ModuleType("check")
    try:
        if databases:
            use(databases)
        django.setup()
        exec(compile(check, "check", "exec"), module.__dict__)
        create_tables()
        locks = show_locks()
        getattr(module, "setup", lambda: None)()
        if not callable(getattr(module, "run", None)):
            return {"broken": "the check defines no run()"}
    except Exception:
        return {"broken": "it does not load:\n" + traceback.format_exc()}

    from django.core import mail
    from django.db import IntegrityError, connections, reset_queries

    statements, signals, logs = [], [], []
    listen(signals)
    handler = logging.Handler()
    handler.emit = lambda record: logs.append([record.levelname, record.getMessage()])
    logger = logging.getLogger("shop")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    reset_queries()
    mail.outbox = []
    clock.day = 15
    random.seed(1)

    writes = []

    def count(execute, sql, params, many, context):
        head = sql.lstrip(" (").split(None, 1)[0].upper()
        if head in ("INSERT", "UPDATE", "DELETE", "REPLACE"):
            writes.append(head)
            if len(writes) == failing:
                raise IntegrityError("the fault")
        if head not in ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA"):
            statements.append([sql, repr(params)])
        return execute(sql, params, many, context)

    value, error, fault = None, None, None
    for connection in connections.all():
        connection.execute_wrappers.append(count)
    if databases:
        module.together = functools.partial(postgresql.together, observers=(count,))
    try:
        value = normal(module.run())
    except Exception as raised:
        error = [type(raised).__module__ + "." + type(raised).__qualname__, str(raised)]
        fault = own_fault(raised)
    for connection in connections.all():
        connection.execute_wrappers.remove(count)
    mails = [[m.subject, m.body, list(m.to)] for m in mail.outbox]
    return {
        "value": value,
        "exception": error,
        "rows": rows(),
        "log": logs,
        "mail": mails,
        "signals": signals,
        "statements": statements,
        "writes": len(writes),
        "locks": locks,
        "fault": fault,
        "expected": expected(module, role),
    }


def use(databases):
    """Put PostgreSQL in the place of every database of the project."""
    from django.conf import settings

    for alias, entry in settings.DATABASES.items():
        settings.DATABASES[alias] = {**entry, **databases(alias)}


def expected(module, role):
    """What a race must return: two different values, one for each side of the fix."""
    if role is None:
        return None
    missing = [name for name in ("BEFORE", "AFTER") if not hasattr(module, name)]
    if missing:
        return {"problem": f"the race defines no {missing[0]}"}
    sides = {name: normal(getattr(module, name)) for name in ("BEFORE", "AFTER")}
    if sides["BEFORE"] == sides["AFTER"]:
        return {"problem": "BEFORE and AFTER of the race are the same"}
    return {"value": sides["BEFORE" if role == "before" else "AFTER"]}


def show_locks():
    """Make SQLite's statements say what Django leaves out for it: a lock is a comment behind the query. Asking for one
    outside of a transaction raises as it does wherever there are locks, and so does locking the rows of DISTINCT or of
    groups, which PostgreSQL refuses. The result fills with the models of whose rows locks are asked for, also where a
    count() then takes none."""
    from django.db import NotSupportedError
    from django.db.models import QuerySet
    from django.db.models.sql.compiler import SQLCompiler
    from django.db.transaction import TransactionManagementError

    compiled = SQLCompiler.as_sql

    def as_sql(self, *args, **options):
        sql, params = compiled(self, *args, **options)
        query = self.query
        if not query.select_for_update or self.connection.features.has_select_for_update:
            return sql, params
        if self.connection.get_autocommit():
            raise TransactionManagementError("select_for_update cannot be used outside of a transaction.")
        if query.distinct or query.group_by:
            raise NotSupportedError("FOR UPDATE is not allowed with DISTINCT and GROUP BY")
        words = ["FOR UPDATE", *query.select_for_update_of]
        words += ["NOWAIT"] * query.select_for_update_nowait + ["SKIP LOCKED"] * query.select_for_update_skip_locked
        return f"{sql} /* {' '.join(words)} */", params

    SQLCompiler.as_sql = as_sql
    requests = []
    asked = QuerySet.select_for_update

    def select_for_update(self, *args, **options):
        requests.append(self.model._meta.label)
        return asked(self, *args, **options)

    QuerySet.select_for_update = select_for_update
    return requests


def create_tables():
    from django.apps import apps
    from django.db import connections

    for alias in connections:
        connection = connections[alias]
        with connection.schema_editor() as editor:
            for model in apps.get_models(include_auto_created=False):
                if model._meta.managed and not model._meta.proxy and not model._meta.swapped:
                    editor.create_model(model)


def listen(signals):
    """Record the signals that somebody receives, without being a receiver: listeners change what Django does."""
    from django.db.models import signals as known

    names = ("pre_save", "post_save", "pre_delete", "post_delete", "m2m_changed")
    for name in names:
        sent = getattr(known, name)

        def send(sender, _send=sent.send, _signal=sent, _name=name, **named):
            if _signal.has_listeners(sender):
                extra = [str(named[key]) for key in ("created", "action") if key in named]
                signals.append([_name, sender._meta.label, *extra])
            return _send(sender, **named)

        sent.send = send


def own_fault(raised):
    """Why an exception is the check's own mistake rather than the code's behaviour, if it is."""
    frames = traceback.extract_tb(raised.__traceback__)
    if isinstance(raised, (NameError, ImportError)):
        return True
    inside = bool(frames) and frames[-1].filename == "check"
    return inside and isinstance(raised, (AttributeError, TypeError, KeyError, IndexError))


def rows():
    from django.db import connections

    tables = {}
    for alias in connections:
        with connections[alias].cursor() as cursor:
            for name in sorted(connections[alias].introspection.table_names(cursor)):
                cursor.execute(f"SELECT * FROM {connections[alias].ops.quote_name(name)}")
                columns = [column[0] for column in cursor.description]
                found = [", ".join(f"{c}={v!r}" for c, v in zip(columns, row)) for row in cursor.fetchall()]
                if found:
                    tables[f"{alias}.{name}"] = sorted(found, key=natural)
    return tables


def natural(text):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def normal(value, depth=0):
    """`value` as lists, strings and numbers that compare as behaviour does."""
    from collections.abc import Iterator

    from django.db.models import Manager, Model, QuerySet
    from django.http import HttpResponseBase
    from django.utils.functional import Promise

    kind = type(value)
    if depth > 30:
        return "..."
    # True falls through: it equals 1.
    if value is None or kind in (int, str):
        return value
    if kind in (list, tuple):
        return [f"<{kind.__name__}>", *[normal(item, depth + 1) for item in value]]
    if isinstance(value, (set, frozenset)):
        return [f"<{kind.__name__}>", *sorted((normal(item, depth + 1) for item in value), key=repr)]
    if isinstance(value, dict):
        pairs = [[normal(key, depth + 1), normal(item, depth + 1)] for key, item in value.items()]
        return [f"<{kind.__name__}>", *pairs]
    if isinstance(value, Model):
        loaded = value.__dict__
        names = [field.attname for field in value._meta.concrete_fields]
        columns = [[name, normal(getattr(value, name), depth + 1)] for name in names if name in loaded]
        return [f"<{value._meta.label}>", normal(value.pk, depth + 1), *columns]
    if isinstance(value, QuerySet):
        return ["<queryset>", *[normal(item, depth + 1) for item in value]]
    if isinstance(value, Manager):
        return ["<manager>", *[normal(item, depth + 1) for item in value.all()]]
    if isinstance(value, HttpResponseBase):
        content = b"".join(value.streaming_content) if value.streaming else value.content
        return ["<response>", value.status_code, content.decode("utf-8", "replace")]
    if isinstance(value, tuple):
        return [f"<{kind.__name__}>", *[normal(item, depth + 1) for item in value]]
    if isinstance(value, BaseException):
        return [f"<{kind.__name__}>", str(value)]
    if isinstance(value, Iterator):
        return ["<iterator>", *[normal(item, depth + 1) for item in value]]
    if isinstance(value, Promise):
        return str(value)
    shown = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    return f"<{kind.__name__}> {shown}"


# --- in the parent ------------------------------------------------------------------------------------------------


class Runner:
    """Runs variants in forked children, a few at a time."""

    def __init__(self, sample, jobs, timeout, server=None):
        self.sample = sample
        self.jobs = jobs
        self.timeout = timeout
        self.server = server
        self.started = 0
        self.waiting = {}
        self.results = {}

    def run(self, key, files, check, on_postgresql=False, race=None, failing=0):
        """Start a variant; `race` is its role where `check` is a race; the `failing`-th statement that writes fails."""
        while len(self.waiting) >= self.jobs:
            self.collect()
        project = tempfile.mkdtemp(prefix="ormend-case-")
        shutil.copytree(self.sample, project, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        for path, text in files.items():
            target = pathlib.Path(project, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            # A package needs no `__init__.py` fence of its own.
            if target.suffix == ".py" and target.parent != pathlib.Path(project):
                init = target.parent / "__init__.py"
                if not init.exists() and not (target.parent / "templates").exists():
                    init.touch()
        schema = f"case_{self.started}"
        self.started += 1

        def databases(alias):
            name = f"{schema}_{alias}".lower()
            self.server.create(name)
            return self.server.options(name)

        read, write = os.pipe()
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(read)
                if self.server:
                    self.server.detach()
                null = os.open(os.devnull, os.O_RDWR)
                for stream in (0, 1, 2):
                    os.dup2(null, stream)
                try:
                    result = observe(project, check, race, databases if on_postgresql else None, failing)
                except BaseException:
                    result = {"broken": traceback.format_exc()}
                with os.fdopen(write, "wb") as pipe:
                    pickle.dump(result, pipe)
                status = 0
            finally:
                os._exit(status)
        os.close(write)
        self.waiting[read] = (key, child, project, time.monotonic() + self.timeout, bytearray())

    def collect(self):
        """Read from the children until one of them is done."""
        while self.waiting:
            ready, _, _ = select.select(list(self.waiting), [], [], 0.5)
            done = False
            for pipe in ready:
                chunk = os.read(pipe, 1 << 20)
                if chunk:
                    self.waiting[pipe][4].extend(chunk)
                else:
                    self.finish(pipe, None)
                    done = True
            for pipe, entry in list(self.waiting.items()):
                if time.monotonic() > entry[3]:
                    os.kill(entry[1], signal.SIGKILL)
                    self.finish(pipe, f"it did not finish within {self.timeout} s")
                    done = True
            if done:
                return

    def finish(self, pipe, problem):
        key, child, project, _, data = self.waiting.pop(pipe)
        os.close(pipe)
        os.waitpid(child, 0)
        shutil.rmtree(project, ignore_errors=True)
        if problem is None and not data:
            problem = "the process died"
        self.results[key] = {"broken": problem} if problem else pickle.loads(bytes(data))

    def wait(self):
        while self.waiting:
            self.collect()
        return self.results


OBSERVED = ("value", "exception", "rows", "log", "mail", "signals")


def differences(before, other):
    return [name for name in OBSERVED if before[name] != other[name]]


def explain(before, other, names):
    parts = []
    for name in names:
        texts = [json.dumps(side[name], indent=1, default=str).splitlines() for side in (before, other)]
        diff = difflib.unified_diff(*texts, "before", "now", lineterm="", n=2)
        parts.append(f"{name}:\n" + "\n".join("    " + line for line in diff))
    return "\n".join(parts)


def listed(result):
    return "\n".join(f"    {sql[:300]}" for sql, _ in result["statements"])


def judge(case, role, before, now):
    """What is wrong with a variant, or None."""
    if "broken" in now:
        return now["broken"]
    changed = differences(before, now)
    had, has = len(before["statements"]), len(now["statements"])
    if role == "naive":
        if changed or has > had or is_race_the_proof(case):
            return None
        return f"it behaves as `before` does ({had} queries, now {has}), so it proves nothing"
    if case.codemod in REPAIRS and is_field_error(before["exception"]):
        return "it raises " + ": ".join(now["exception"]) if now["exception"] else None
    if changed:
        return "behaviour differs in " + ", ".join(changed) + "\n" + explain(before, now, changed)
    if has > had:
        return f"{has} queries instead of {had}\n{listed(now)}"
    if before["exception"] or has < had:
        return None
    if case.codemod not in SAME_COUNT:
        return f"no fewer queries: {had}\n{listed(now)}"
    is_same = before["statements"] == now["statements"] and before["locks"] == now["locks"]
    # A race shows what the same statements are good for.
    if is_same and case.codemod not in FAULTS | SAME_STATEMENTS and not case.race:
        return f"the same {had} queries\n{listed(now)}"
    return None


def is_field_error(exception):
    return bool(exception) and exception[0] == "django.core.exceptions.FieldError"


def judge_race(now):
    """What is wrong with a side of a race, or None."""
    if "broken" in now:
        return now["broken"]
    if now["exception"]:
        return "it raises " + ": ".join(now["exception"])
    if "problem" in now["expected"]:
        return now["expected"]["problem"]
    if now["value"] != now["expected"]["value"]:
        return f"it returns {now['value']!r}, not {now['expected']['value']!r}"
    return None


def is_race_the_proof(case):
    """Whether the naive text differs only where two connections meet."""
    return bool(case.race) and not case.variants.get("after") and not case.variants.get("unsafe")


def planned(number, case, database):
    """What has to run for a case on a database: the arguments of Runner.run()."""
    roles = [role for role in ("before", "after", "unsafe", "naive") if role in case.variants]
    if not case.check or "before" not in roles or case.problems:
        return
    # The naive text that proves an opt-in hazard must differ; a race shows what the same text is good for.
    is_proof = bool(case.variants.get("unsafe")) and case.variants["unsafe"] == case.variants.get("naive")
    for role in roles:
        files = {**case.files, **case.variants["before"], **case.variants[role]}
        on = "postgresql" if case.postgresql else "sqlite"
        if database in ("all", on) and not (role == "unsafe" and is_proof):
            yield (number, role, False), files, case.check, case.postgresql
        if case.race and database != "sqlite" and (role != "naive" or is_race_the_proof(case)):
            yield (number, role, True), files, case.race, True, role


def faulty(plan, case, results):
    """The plan again, once for every statement of `before` that writes, which is made to fail."""
    (number, role, is_race), *rest = plan
    before = results.get((number, "before", False))
    if is_race or case.codemod not in FAULTS or not before or "broken" in before:
        return
    for failing in range(1, min(before["writes"], MOST_FAULTS) + 1):
        yield failing, ((number, role, False, failing), *rest)


def judge_faults(case, before, now):
    """What is wrong with what a variant leaves when a statement fails, or None. Both are results by fault, from 1."""
    broken = [run["broken"] for run in (*before, *now) if "broken" in run]
    if broken:
        return broken[0]
    if case.codemod == "savepoint":
        return judge_savepoint(case, before, now)
    changed = False
    for number, (old, new) in enumerate(zip(before, now), 1):
        names = [name for name in ("value", "exception") if old[name] != new[name]]
        if names:
            return f"fault {number}: differs in " + ", ".join(names) + "\n" + explain(old, new, names)
        if old["rows"] != new["rows"]:
            if not any(new["rows"] == earlier["rows"] for earlier in before[: number - 1]):
                return f"fault {number}: what is left is no earlier state\n" + explain(old, new, ["rows"])
            changed = True
    return None if changed else "no statement that fails shows the transaction: the same rows are left"


def judge_savepoint(case, before, now):
    changed = False
    for number, (old, new) in enumerate(zip(before, now), 1):
        names = differences(old, new)
        if not names:
            continue
        broken = old["exception"] and old["exception"][0].endswith("TransactionManagementError")
        if new["exception"] and not broken:
            return f"fault {number}: it raises, and differs\n" + explain(old, new, names)
        if not old["exception"] and names != ["rows"]:
            return f"fault {number}: differs in " + ", ".join(names) + "\n" + explain(old, new, names)
        changed = True
    # A race may show what a fault that Python raises does not.
    return None if changed or case.race else "no statement that fails shows the savepoint: the same rows are left"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", nargs="+")
    parser.add_argument("--only", help="only cases whose title holds this text")
    parser.add_argument("--sample", default=ROOT / "codemods" / "sample", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 4))
    parser.add_argument("--database", choices=("all", "sqlite", "postgresql"), default="all", help="what to run")
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("-v", "--verbose", action="store_true", help="also name the cases that pass, with query counts")
    options = parser.parse_args()

    import django

    preload()
    cases = [case for page in options.pages for case in parse(page)]
    if options.only:
        cases = [case for case in cases if options.only.lower() in case.title.lower()]
    plans = [plan for number, case in enumerate(cases) for plan in planned(number, case, options.database)]
    needed = any(on_postgresql for _, _, _, on_postgresql, *_ in plans)
    try:
        with postgresql.server() if needed else contextlib.nullcontext() as server:
            runner = Runner(options.sample, options.jobs, options.timeout, server)
            for plan in plans:
                runner.run(*plan)
            results = dict(runner.wait())
            for plan in plans:
                for failing, fault in faulty(plan, cases[plan[0][0]], results):
                    runner.run(*fault, failing=failing)
            runner.wait()
    except postgresql.Missing as missing:
        print(missing, file=sys.stderr)
        return 2

    def faults(number, role):
        found = []
        while (number, role, False, len(found) + 1) in runner.results:
            found.append(runner.results[number, role, False, len(found) + 1])
        return found

    failures, executed, unproven, elsewhere = [], 0, 0, 0

    def fail(case, role, message):
        failures.append(
            {"page": case.page, "line": case.line, "title": case.title, "variant": role, "message": message}
        )

    def passed(case, role, text):
        if options.verbose and not options.json:
            print(f"ok {case.page}:{case.line}: {case.title} [{role}] {text}")

    for number, case in enumerate(cases):
        for problem in case.problems:
            fail(case, "form", problem)
        for role in ("before", "after", "unsafe", "naive"):
            now = results.get((number, role, True))
            problem = now and judge_race(now)
            if problem:
                fail(case, f"{role}, race", problem)
            elif now:
                passed(case, f"{role}, race", now["value"])
        before = results.get((number, "before", False))
        if before is None:
            if (number, "before", True) in results:
                executed += 1
            elif case.check and not case.problems:
                elsewhere += 1
            else:
                unproven += 1
            continue
        executed += 1
        if "broken" in before:
            fail(case, "before", before["broken"])
            continue
        if before["fault"]:
            fail(case, "before", f"the check itself is wrong: {': '.join(before['exception'])}")
            continue
        for role in ("after", "unsafe", "naive"):
            now = results.get((number, role, False))
            if now is None:
                continue
            problem = judge(case, role, before, now)
            if case.codemod in FAULTS and "broken" not in now:
                wrong = judge_faults(case, faults(number, "before"), faults(number, role))
                # A naive rewrite may show its mistake either way.
                if role == "naive":
                    problem = None if wrong or not problem else problem
                elif not problem:
                    problem = wrong
            if problem:
                fail(case, role, problem)
            else:
                passed(case, role, f"{len(before['statements'])} -> {len(now['statements'])} queries")

    if options.json:
        print(json.dumps({"django": django.__version__, "cases": len(cases), "executed": executed, "failures": failures}))
    else:
        for failure in failures:
            print("{page}:{line}: {title} [{variant}] {message}".format(**failure))
        print(
            f"Django {django.__version__}: {len(cases)} cases, {executed} executed, "
            f"{unproven} without a check, {elsewhere} for another database, {len(failures)} failures"
        )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
