from django.db import models


class Country(models.Model):
    name = models.CharField(max_length=50)
    code = models.CharField(max_length=50, unique=True)


class Publisher(models.Model):
    name = models.CharField(max_length=50)
    slug = models.CharField(max_length=50, unique=True)
    country = models.ForeignKey(Country, on_delete=models.CASCADE, related_name="publishers")


class Author(models.Model):
    name = models.CharField(max_length=50)
    publisher = models.ForeignKey(Publisher, on_delete=models.CASCADE, related_name="authors")
    friends = models.ManyToManyField("self")

    def __str__(self):
        return f"{self.name} ({self.publisher.name})"


class Tag(models.Model):
    name = models.CharField(max_length=50)
    country = models.ForeignKey(Country, on_delete=models.CASCADE, related_name="+")

    def __str__(self):
        return self.name


class Book(models.Model):
    title = models.CharField(max_length=50)
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books")
    editor = models.ForeignKey(Author, null=True, on_delete=models.CASCADE, related_name="+")
    publisher = models.ForeignKey(Publisher, to_field="slug", on_delete=models.CASCADE, related_name="books")
    tags = models.ManyToManyField(Tag, related_name="books")

    @property
    def byline(self):
        return self.author.name

    def tag_names(self):
        return [tag.name for tag in self.tags.all()]

    def reader(self, name):
        return self.author.name + name

    @property
    def main_author(self):
        return self.author

    def get_editor(self):
        return self.editor


class Detail(models.Model):
    book = models.OneToOneField(Book, on_delete=models.CASCADE, related_name="detail")
    pages = models.IntegerField(default=1)
    country = models.ForeignKey(Country, on_delete=models.CASCADE, related_name="+")


class Review(models.Model):
    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="reviews")
    reviewer = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="reviews")
    text = models.TextField(default="")
