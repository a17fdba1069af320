from datetime import date
from decimal import Decimal

from django.core.management.base import BaseCommand
from django.db import transaction

from catalog.models import Author, Book, Chapter, Publisher, Review, Tag
from sales.models import Account, Customer, Order, OrderLine

PUBLISHERS = [("Northlight", "Norway"), ("Harbour Press", "Portugal"), ("Quill & Co", "Ireland")]
TAGS = ["fiction", "history", "nature", "poetry"]
WORDS = ["River", "Winter", "Glass", "Orchard", "Signal", "Harvest", "Mirror", "Island"]


class Command(BaseCommand):
    help = "Fill an empty database with a small, always equal, catalogue."

    @transaction.atomic
    def handle(self, *args, **options):
        if Book.objects.exists():
            self.stdout.write("There are books already.")
            return
        publishers = [Publisher.objects.create(name=name, country=country) for name, country in PUBLISHERS]
        tags = [Tag.objects.create(name=name) for name in TAGS]
        for number in range(8):
            self.author(number, [*publishers, None][number % 4], tags)
        self.sales()
        self.stdout.write(f"{Book.objects.count()} books by {Author.objects.count()} authors")

    def author(self, number, publisher, tags):
        email = f"author{number}@example.com" if number % 3 else ""
        author = Author.objects.create(name=f"Author {number}", email=email, publisher=publisher)
        for place in range(3):
            word = WORDS[(number * 3 + place) % len(WORDS)]
            book = Book.objects.create(
                author=author,
                title=f"{word} {number}.{place}",
                status=[Book.Status.PUBLISHED, Book.Status.PUBLISHED, Book.Status.DRAFT][place],
                price=Decimal(5 + number) + Decimal("0.50") * place,
                stock=number + place,
                view_count=10 * number + place,
                download_count=8 * number + 3 * place,
                is_featured=number == 2,
                published_on=date(2024, 1 + number, 1 + place) if place < 2 else None,
            )
            book.tags.add(*tags[place:number % 4 + 1])
            for chapter in range(1, 4):
                Chapter.objects.create(book=book, number=chapter, title=f"Part {chapter}")
            for reader in range(number % 3):
                Review.objects.create(book=book, reader=f"Reader {reader}", rating=1 + (number + place) % 5)

    def sales(self):
        for name, balance in [("till", 500), ("bank", 2000), ("petty cash", 40)]:
            Account.objects.create(owner=name, balance=balance)
        books = list(Book.objects.published())
        for number in range(5):
            customer = Customer.objects.create(name=f"Customer {number}", email=f"c{number}@example.com")
            order = Order.objects.create(customer=customer)
            for book in books[number:number + 3]:
                OrderLine.objects.create(order=order, book=book, quantity=1 + number % 2)
