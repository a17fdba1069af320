from django.db import models


class ParentalKey(models.ForeignKey):
    def contribute_to_related_class(self, cls, related):
        unknown(cls)


class ParentalManyToManyField(models.ManyToManyField):
    def contribute_to_class(self, cls, name, **kwargs):
        unknown(cls)
