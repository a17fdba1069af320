from django.db import models

from catalog.models import Book


class Customer(models.Model):
    name = models.CharField(max_length=100)
    email = models.EmailField()
    order_count = models.IntegerField(default=0)
    last_order_id = models.IntegerField(null=True, blank=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self):
        return self.name


class Order(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="orders")
    placed_at = models.DateTimeField(auto_now_add=True)
    paid = models.BooleanField(default=False)

    class Meta:
        ordering = ["pk"]

    def __str__(self):
        return f"Order {self.pk} of {self.customer.name}"

    @property
    def total(self):
        return sum(line.amount for line in self.lines.all())


class OrderLine(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="order_lines")
    quantity = models.PositiveIntegerField(default=1)
    amount = models.DecimalField(max_digits=10, decimal_places=2, default=0)

    class Meta:
        ordering = ["pk"]

    def __str__(self):
        return f"{self.quantity} x {self.book.title}"

    def save(self, *args, **kwargs):
        # What was agreed when the order was placed, whatever the book costs later.
        if not self.amount:
            self.amount = self.book.price * self.quantity
        super().save(*args, **kwargs)


class Notification(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="notifications")
    subject = models.CharField(max_length=200)
    sent = models.BooleanField(default=False)

    class Meta:
        ordering = ["pk"]

    def __str__(self):
        return self.subject


class Account(models.Model):
    owner = models.CharField(max_length=100)
    balance = models.IntegerField(default=0)

    class Meta:
        ordering = ["pk"]

    def __str__(self):
        return self.owner
