from django.db import models


class CurrentSiteManager(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(unknown(self))
