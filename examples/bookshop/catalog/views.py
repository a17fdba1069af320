from django.core.paginator import Paginator
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST
from django.views.generic import ListView

from . import counters
from .models import Author, Book


def book_list(request):
    books = Book.objects.published()
    query = request.GET.get("q")
    if query:
        books = books.filter(title__icontains=query)
    page = Paginator(books, 20).get_page(request.GET.get("page"))
    return render(request, "catalog/book_list.html", {"page": page, "query": query or ""})


def book_detail(request, pk):
    book = get_object_or_404(Book.objects.published(), pk=pk)
    counters.record_view(book.pk)
    return render(request, "catalog/book_detail.html", {"book": book, "same_author": same_author(book)})


def same_author(book):
    others = Book.objects.published().filter(author_id=book.author.id).exclude(pk=book.pk)
    return [other.title for other in others]


@require_POST
def download(request, pk):
    if Book.objects.published().filter(pk=pk).count() == 0:
        raise Http404
    counters.record_download(pk)
    return redirect("catalog:book", pk=pk)


class AuthorList(ListView):
    model = Author
    template_name = "catalog/author_list.html"
    context_object_name = "authors"
