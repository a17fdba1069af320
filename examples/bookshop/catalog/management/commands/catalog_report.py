from django.core.management.base import BaseCommand

from catalog.models import Author, Book


class Command(BaseCommand):
    help = "Print the catalogue, one line a book."

    def add_arguments(self, parser):
        parser.add_argument("--drafts", action="store_true", help="also books that are not yet published")

    def handle(self, *args, **options):
        books = Book.objects.all()
        if not options["drafts"]:
            books = books.published()

        if books.count() == 0:
            self.stdout.write("No books.")
            return

        for book in books.order_by("author__name", "title"):
            publisher = book.author.publisher
            where = f" ({publisher.name})" if publisher else ""
            self.stdout.write(f"{book.author.name}{where}: {book.title}")

        names = [author.name for author in Author.objects.filter(books__isnull=True)]
        if names:
            self.stdout.write("Without books: " + ", ".join(names))
