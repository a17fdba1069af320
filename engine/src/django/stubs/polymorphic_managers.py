from django.db import models


class PolymorphicQuerySet(models.QuerySet):
    def iterator(self, *args, **kwargs):
        return unknown(self)

    def non_polymorphic(self):
        return unknown(self)

    def instance_of(self, *args):
        return unknown(self)

    def not_instance_of(self, *args):
        return unknown(self)


class PolymorphicManager(models.Manager):
    def get_queryset(self):
        return PolymorphicQuerySet(self.model)

    def non_polymorphic(self):
        return unknown(self)

    def instance_of(self, *args):
        return unknown(self)
