from django.db import models


class Publisher(models.Model):
    name = models.CharField(max_length=100)
    country = models.CharField(max_length=50, blank=True, default="")


class Author(models.Model):
    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True, default="")
    publisher = models.ForeignKey(Publisher, null=True, blank=True, on_delete=models.SET_NULL, related_name="authors")
    book_count = models.IntegerField(default=0)

    def __str__(self):
        return self.name


class Tag(models.Model):
    name = models.CharField(max_length=50, unique=True)


class Book(models.Model):
    title = models.CharField(max_length=200)
    subtitle = models.CharField(max_length=200, null=True, blank=True)
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books")
    editor = models.ForeignKey(Author, null=True, blank=True, on_delete=models.SET_NULL, related_name="edited")
    tags = models.ManyToManyField(Tag, blank=True, related_name="books")
    status = models.CharField(max_length=20, default="draft")
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    view_count = models.IntegerField(default=0)
    download_count = models.IntegerField(default=0)
    rating = models.FloatField(null=True, blank=True)
    is_featured = models.BooleanField(default=False)
    cover = models.FileField(blank=True, upload_to="covers")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["title", "pk"]

    def __str__(self):
        return self.title


class Chapter(models.Model):
    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="chapters")
    title = models.CharField(max_length=200)
    number = models.PositiveIntegerField(default=1)


class Review(models.Model):
    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="reviews")
    rating = models.IntegerField(default=0)
    text = models.TextField(blank=True, default="")


class Account(models.Model):
    owner = models.CharField(max_length=100)
    balance = models.IntegerField(default=0)
