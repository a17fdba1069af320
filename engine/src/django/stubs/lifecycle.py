from django.db import models


class LifecycleModelMixin:
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        unknown(self)

    def save(self, *args, **kwargs):
        unknown(self)
        super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        unknown(self)
        return super().delete(*args, **kwargs)


class LifecycleModel(LifecycleModelMixin, models.Model):
    class Meta:
        abstract = True
