"""Run the example project before and after a rewrite: `PYTHON tests/django/bookshop.py BEFORE AFTER [--changed]`.

BEFORE and AFTER are copies of `examples/bookshop`. In each, `check`, `makemigrations --check`, `migrate` and `seed` must
work. Then a row of calls is made, one after the other, each observed as in `cases.py`. They must do the same in both,
none with more queries; with --changed, AFTER must take fewer in all.
"""

import argparse
import importlib
import io
import os
import pathlib
import pickle
import sys

import cases


def calls():
    """What is called, by name. Every call gets its arguments anew, so that nothing is cached from the last one."""
    from catalog.models import Author, Book, Publisher, Tag
    from sales.models import Customer, Order

    def module(name):
        return importlib.import_module(name)

    def page(path):
        from django.test import Client

        return Client().get(path, follow=True)

    def command(name, *args):
        from django.core.management import call_command

        out = io.StringIO()
        call_command(name, *args, stdout=out)
        return out.getvalue()

    def after(call, *models):
        call()
        return [list(model.objects.order_by("pk")) for model in models]

    reports, editing = module("catalog.reports"), module("catalog.editing")
    counters, imports = module("catalog.counters"), module("catalog.imports")
    orders, accounts = module("sales.orders"), module("sales.accounts")
    views = module("catalog.views")
    book, author = (lambda: Book.objects.get(pk=4)), (lambda: Author.objects.get(pk=2))
    return {
        "shelf_labels": reports.shelf_labels,
        "bylines": reports.bylines,
        "bylines of drafts": lambda: reports.bylines("draft"),
        "imprints": reports.imprints,
        "table_of_contents": reports.table_of_contents,
        "tag_lines": reports.tag_lines,
        "review_digest": reports.review_digest,
        "author_emails": reports.author_emails,
        "title_prices": reports.title_prices,
        "publisher_countries": reports.publisher_countries,
        "stock_list": reports.stock_list,
        "reviews_per_book": reports.reviews_per_book,
        "more_seen_than_kept": reports.more_seen_than_kept,
        "featured_or_recent": reports.featured_or_recent,
        "value_of_stock": reports.value_of_stock,
        "books_of_same_publisher": lambda: reports.books_of_same_publisher(book()),
        "can_be_archived": lambda: [editing.can_be_archived(book) for book in Book.objects.all()],
        "has_drafts": lambda: [editing.has_drafts(author) for author in Author.objects.all()],
        "warn_about_empty_catalogue": editing.warn_about_empty_catalogue,
        "next_draft_title": lambda: [editing.next_draft_title(author) for author in Author.objects.all()],
        "same_author": lambda: views.same_author(book()),
        "has_open_orders": lambda: [orders.has_open_orders(customer) for customer in Customer.objects.all()],
        "customers_with_orders": orders.customers_with_orders,
        "order_ids": orders.order_ids,
        "open_orders": orders.open_orders,
        "packing_list": lambda: [orders.packing_list(order) for order in Order.objects.all()],
        "balances": accounts.balances,
        "report command": lambda: command("catalog_report"),
        "report command with drafts": lambda: command("catalog_report", "--drafts"),
        "page of books": lambda: page("/"),
        "page of authors": lambda: page("/authors/"),
        "page of orders": lambda: page("/sales/orders/"),
        "record_view": lambda: counters.record_view(4),
        "record_view of no book": lambda: counters.record_view(0),
        "record_download": lambda: counters.record_download(4),
        "record_reading": lambda: counters.record_reading(5),
        "take_from_stock": lambda: counters.take_from_stock(4, 1),
        "import_authors": lambda: imports.import_authors(["Ada", "Ben", "Cy"]),
        "import_authors from a generator": lambda: imports.import_authors(name for name in ("Dee", "Eve")),
        "import_table_of_contents": lambda: imports.import_table_of_contents(book(), ["(Preface)", " One", "Two "]),
        "import_price_list": lambda: imports.import_price_list(
            author(), [{"title": "New", "price": 3}, {"title": "Newer", "price": 4}]
        ),
        "import_tags": lambda: imports.import_tags(["Travel", "travel", "Poetry"]),
        "import_reviews": lambda: imports.import_reviews(book(), [("Ann", 4), ("Bob", 2)]),
        "add_tags": lambda: editing.add_tags(book(), list(Tag.objects.all())),
        "publish_with_announcement": lambda: editing.publish_with_announcement(book()),
        "publish_drafts": lambda: editing.publish_drafts(author()),
        "tidy_titles": editing.tidy_titles,
        "notify_customers": lambda: orders.notify_customers("Hello"),
        "pending_notifications": orders.pending_notifications,
        "place_order": lambda: orders.place_order(Customer.objects.get(pk=1), {4: 2, 5: 1}),
        "mark_paid": lambda: orders.mark_paid([1, 3]),
        "transfer_funds": lambda: accounts.transfer_funds(1, 2, 70),
        "transfer_funds to itself": lambda: accounts.transfer_funds(1, 1, 5),
        "deposit": lambda: accounts.deposit(3, 15),
        "withdraw": lambda: accounts.withdraw(3, 10),
        "withdraw too much": lambda: accounts.withdraw(3, 1000),
        "page of a book": lambda: page("/books/4/"),
        "admin's books": admin_page("/admin/catalog/book/"),
        "admin's authors": admin_page("/admin/catalog/author/"),
        "rows": lambda: after(lambda: None, Publisher, Author, Book),
    }


def admin_page(path):
    def call():
        from django.contrib.admin import site
        from django.contrib.auth.models import User
        from django.test import RequestFactory

        request = RequestFactory().get(path)
        request.user = User(is_superuser=True, is_staff=True, username="admin")
        model = next(model for model in site._registry if f"/{model._meta.model_name}/" in path)
        changes = site._registry[model].get_changelist_instance(request)
        admin = changes.model_admin
        lines = []
        for row in changes.result_list:
            line = []
            for name in changes.list_display:
                if hasattr(admin, name):
                    line.append(str(getattr(admin, name)(row)))
                elif name in ("__str__", "action_checkbox"):
                    line.append(str(row))
                else:
                    line.append(str(getattr(row, name)))
            lines.append(line)
        return lines

    return call


def observe(project):
    """What the calls do in `project`, as plain data; what setting it up says, if that fails."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(project))
    os.chdir(project)
    os.environ["DJANGO_SETTINGS_MODULE"] = "bookshop.settings"
    clock = cases.Clock()
    import django
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = ":memory:"
    settings.ALLOWED_HOSTS = ["testserver"]
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("check", stdout=io.StringIO())
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
    call_command("migrate", verbosity=0)
    call_command("seed", stdout=io.StringIO())
    clock.day = 15

    signals, results = [], {}
    cases.listen(signals)
    for name, call in calls().items():
        statements = []
        signals.clear()

        def count(execute, sql, params, many, context):
            head = sql.lstrip(" (").split(None, 1)[0].upper()
            if head not in ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA"):
                statements.append(sql)
            return execute(sql, params, many, context)

        value, error = None, None
        with connection.execute_wrapper(count):
            try:
                value = cases.normal(call())
            except Exception as raised:
                error = [type(raised).__name__, str(raised)]
        if isinstance(value, list) and value and value[0] == "<response>":
            value[2] = without_token(value[2])
        results[name] = {
            "value": value,
            "exception": error,
            "signals": list(signals),
            "rows": cases.rows(),
            "queries": len(statements),
        }
    return results


def without_token(html):
    import re

    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", html)


def in_child(project):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read)
            result = observe(project)
            with os.fdopen(write, "wb") as pipe:
                pickle.dump(result, pipe)
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if status or not data:
        sys.exit(f"{project}: it does not run")
    return pickle.loads(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("before", type=pathlib.Path)
    parser.add_argument("after", type=pathlib.Path)
    parser.add_argument("--changed", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    cases.preload()
    before, after = in_child(options.before.resolve()), in_child(options.after.resolve())
    problems = []
    for name, old in before.items():
        new = after[name]
        for part in ("value", "exception", "signals", "rows"):
            if old[part] != new[part]:
                problems.append(f"{name}: " + cases.explain(old, new, [part]))
        if new["queries"] > old["queries"]:
            problems.append(f"{name}: {new['queries']} queries instead of {old['queries']}")
        if options.verbose:
            print(f"{name}: {old['queries']} -> {new['queries']}")
        # What goes wrong once changes rows for every call after it.
        if problems:
            break
    sums = [sum(result["queries"] for result in results.values()) for results in (before, after)]
    if options.changed and sums[1] >= sums[0]:
        problems.append(f"no fewer queries: {sums[0]}, now {sums[1]}")
    print("\n".join(problems))
    print(f"{len(before)} calls, {sums[0]} queries before, {sums[1]} after")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
