from django.db import models


class TreeQuerySet(models.QuerySet):
    def get_descendants(self, *args, **kwargs):
        return unknown(self)

    def get_ancestors(self, *args, **kwargs):
        return unknown(self)
