from django.db import models
from django_extensions.db.fields import AutoSlugField, CreationDateTimeField, ModificationDateTimeField


class TimeStampedModel(models.Model):
    created = CreationDateTimeField()
    modified = ModificationDateTimeField()

    class Meta:
        get_latest_by = "modified"
        abstract = True

    def save(self, **kwargs):
        unknown(self)
        super().save(**kwargs)


class TitleDescriptionModel(models.Model):
    title = models.CharField(max_length=255)
    description = models.TextField(blank=True, null=True)

    class Meta:
        abstract = True


class TitleSlugDescriptionModel(TitleDescriptionModel):
    slug = AutoSlugField(populate_from="title")

    class Meta:
        abstract = True


class ActivatorQuerySet(models.QuerySet):
    def active(self):
        return self.filter(status=1)

    def inactive(self):
        return self.filter(status=0)


class ActivatorModelManager(models.Manager):
    def get_queryset(self):
        return ActivatorQuerySet(model=self.model, using=self._db)

    def active(self):
        return self.get_queryset().active()

    def inactive(self):
        return self.get_queryset().inactive()


class ActivatorModel(models.Model):
    status = models.IntegerField(default=1)
    activate_date = models.DateTimeField(blank=True, null=True)
    deactivate_date = models.DateTimeField(blank=True, null=True)
    objects = ActivatorModelManager()

    class Meta:
        ordering = ("status", "-activate_date")
        abstract = True

    def save(self, *args, **kwargs):
        unknown(self)
        super().save(*args, **kwargs)
