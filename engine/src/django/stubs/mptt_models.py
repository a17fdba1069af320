from django.db import models
from mptt.managers import TreeManager


class TreeForeignKey(models.ForeignKey):
    pass


class TreeOneToOneField(models.OneToOneField):
    pass


class TreeManyToManyField(models.ManyToManyField):
    pass


class MPTTModel(models.Model):
    lft = models.PositiveIntegerField(editable=False)
    rght = models.PositiveIntegerField(editable=False)
    tree_id = models.PositiveIntegerField(editable=False)
    level = models.PositiveIntegerField(editable=False)
    objects = TreeManager()

    class Meta:
        abstract = True

    def save(self, *args, **kwargs):
        unknown(self)
        super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        unknown(self)
        return super().delete(*args, **kwargs)
