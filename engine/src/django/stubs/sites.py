from django.db import models


class SiteManager(models.Manager):
    def get_current(self, request=None):
        return unknown(self.get(pk=1))

    def clear_cache(self):
        pass

    def get_by_natural_key(self, domain):
        return self.get(domain=domain)


class Site(models.Model):
    domain = models.CharField(max_length=100, unique=True)
    name = models.CharField(max_length=50)
    objects = SiteManager()

    class Meta:
        ordering = ["domain"]

    def __str__(self):
        return self.domain
