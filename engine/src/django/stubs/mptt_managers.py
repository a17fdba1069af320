from django.db import models
from mptt.querysets import TreeQuerySet


class TreeManager(models.Manager.from_queryset(TreeQuerySet)):
    def get_queryset(self):
        return super().get_queryset().order_by("tree_id", "lft")
