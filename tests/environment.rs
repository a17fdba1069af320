//! Projects whose packages are installed in an environment beside them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Project;

const MODELS: &str = "\
from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=50)


class Book(models.Model):
    author = models.ForeignKey(Author, on_delete=models.CASCADE)
";

const API: &str = "\
from rest_framework import generics, serializers
from shop.models import Book


class BookSerializer(serializers.ModelSerializer):
    writer = serializers.CharField(source=\"author.name\")

    class Meta:
        model = Book
        fields = [\"id\", \"writer\"]


class Books(generics.ListAPIView):
    queryset = Book.objects.all()
    serializer_class = BookSerializer
";

/// What matters of the framework's sources, which name Django as the real ones do.
const PACKAGE: [(&str, &str); 4] = [
    ("rest_framework/__init__.py", ""),
    (
        "rest_framework/serializers.py",
        "from django.db import models\nfrom rest_framework.fields import *\n
class BaseSerializer(Field):\n    def to_representation(self, instance):\n        raise NotImplementedError\n
class Serializer(BaseSerializer): ...\n
class ModelSerializer(Serializer): ...\n",
    ),
    ("rest_framework/fields.py", "import django\nclass Field: ...\nclass CharField(Field): ...\n"),
    (
        "rest_framework/generics.py",
        "from django.http import Http404\n
class GenericAPIView:\n    queryset = None\n
    def get_queryset(self):\n        return self.queryset.all()\n
class ListAPIView(GenericAPIView):\n    def get(self, request): ...\n",
    ),
];

#[test]
fn rest_framework_installed_or_not() {
    let files = [("shop/__init__.py", ""), ("shop/models.py", MODELS), ("shop/api.py", API)];
    let check = ["check", "--select", "select-related", "--output-format", "jsonl"];
    let without = Project::new(&files).run(&check);
    assert_eq!(without.code, 1, "{}{}", without.stdout, without.stderr);

    let project = Project::new(&files);
    for (path, text) in PACKAGE {
        project.write(&format!(".venv/lib/python3.12/site-packages/{path}"), text);
    }
    let with = project.run(&check);
    assert_eq!((with.code, with.stdout), (1, without.stdout), "{}", with.stderr);
    let fix = project.run(&["fix", "--select", "select-related"]);
    assert_eq!(fix.code, 0, "{}", fix.stderr);
    let api = String::from_utf8(project.read("shop/api.py")).unwrap();
    assert!(api.contains("Book.objects.select_related(\"author\")"), "{api}");
}
