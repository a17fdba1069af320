from django.db import models
from model_utils.fields import AutoCreatedField, AutoLastModifiedField, StatusField, UUIDField, MonitorField
from model_utils.managers import SoftDeletableManager


class TimeStampedModel(models.Model):
    created = AutoCreatedField()
    modified = AutoLastModifiedField()

    class Meta:
        abstract = True

    def save(self, *args, **kwargs):
        unknown(self)
        super().save(*args, **kwargs)


class TimeFramedModel(models.Model):
    start = models.DateTimeField(null=True, blank=True)
    end = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


class StatusModel(models.Model):
    status = StatusField()
    status_changed = MonitorField(monitor="status")

    class Meta:
        abstract = True

    def save(self, *args, **kwargs):
        unknown(self)
        super().save(*args, **kwargs)


class SoftDeletableModel(models.Model):
    is_removed = models.BooleanField(default=False)
    objects = SoftDeletableManager()
    available_objects = SoftDeletableManager()
    all_objects = models.Manager()

    class Meta:
        abstract = True

    def delete(self, using=None, soft=True, *args, **kwargs):
        self.is_removed = True
        self.save(using=using)


class UUIDModel(models.Model):
    id = UUIDField(primary_key=True)

    class Meta:
        abstract = True
