from django.urls import path

from . import views

app_name = "catalog"

urlpatterns = [
    path("", views.book_list, name="books"),
    path("books/<int:pk>/", views.book_detail, name="book"),
    path("books/<int:pk>/download/", views.download, name="download"),
    path("authors/", views.AuthorList.as_view(), name="authors"),
]
