"""Placing orders, and telling customers about them."""

from django.db import transaction

from catalog.models import Book

from .models import Customer, Notification, Order, OrderLine


@transaction.atomic
def place_order(customer, quantities):
    """Order `quantities`, a dict from a book's id to how many are wanted."""
    order = Order.objects.create(customer=customer)
    for book_id, quantity in quantities.items():
        book = Book.objects.get(pk=book_id)
        # save() works out the amount of a line.
        OrderLine.objects.create(order=order, book=book, quantity=quantity)
    customer.order_count += 1
    customer.last_order_id = order.pk
    customer.save()
    return order


def notify_customers(subject):
    for customer in Customer.objects.all():
        Notification.objects.create(customer=customer, subject=f"{subject}, {customer.name}")


def pending_notifications():
    lines = []
    for notification in Notification.objects.filter(sent=False):
        lines.append(f"{notification.customer.email}: {notification.subject}")
    return lines


def packing_list(order):
    return [f"{line.quantity} x {line.book.title} ({line.book.author.name})" for line in order.lines.all()]


def open_orders():
    return [f"{order}: {order.total}" for order in Order.objects.filter(paid=False)]


def has_open_orders(customer):
    return customer.orders.filter(paid=False).count() > 0


def customers_with_orders():
    return {order.customer.id for order in Order.objects.all()}


def order_ids():
    ids = []
    for order in Order.objects.order_by("-pk"):
        ids.append(order.pk)
    return ids


def mark_paid(ids):
    for order_id in ids:
        order = Order.objects.get(pk=order_id)
        order.paid = True
        order.save()
