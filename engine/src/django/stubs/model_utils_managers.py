from django.db import models


class InheritanceQuerySet(models.QuerySet):
    def select_subclasses(self, *subclasses):
        return unknown(self)

    def get_subclass(self, *args, **kwargs):
        return unknown(self)


class InheritanceManager(models.Manager.from_queryset(InheritanceQuerySet)):
    def get_queryset(self):
        return InheritanceQuerySet(self.model)


class QueryManager(models.Manager):
    def get_queryset(self):
        return unknown(super().get_queryset())


class SoftDeletableManager(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(is_removed=False)
