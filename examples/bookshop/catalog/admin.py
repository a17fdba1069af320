from django.contrib import admin

from .models import Announcement, Author, Book, Chapter, Publisher, Review, Tag


class ChapterInline(admin.TabularInline):
    model = Chapter
    extra = 0


@admin.register(Book)
class BookAdmin(admin.ModelAdmin):
    list_display = ["title", "writer", "imprint", "status", "price"]
    list_filter = ["status"]
    search_fields = ["title", "author__name"]
    inlines = [ChapterInline]

    @admin.display(description="Author", ordering="author__name")
    def writer(self, book):
        return book.author.name

    def imprint(self, book):
        return book.author.publisher


@admin.register(Author)
class AuthorAdmin(admin.ModelAdmin):
    list_display = ["name", "email", "publisher"]
    search_fields = ["name"]


@admin.register(Review)
class ReviewAdmin(admin.ModelAdmin):
    list_display = ["__str__", "rating"]


admin.site.register([Publisher, Tag, Announcement])
