from django.db import models


class OrderedModelQuerySet(models.QuerySet):
    def bulk_create(self, objs, *args, **kwargs):
        return unknown(self, objs)


class OrderedModelManager(models.Manager.from_queryset(OrderedModelQuerySet)):
    pass


class OrderedModelBase(models.Model):
    objects = OrderedModelManager()
    order_field_name = None
    order_with_respect_to = None

    class Meta:
        abstract = True

    def save(self, *args, **kwargs):
        unknown(self)
        super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        unknown(self)
        return super().delete(*args, **kwargs)


class OrderedModel(OrderedModelBase):
    order = models.PositiveIntegerField(editable=False, db_index=True)

    class Meta:
        abstract = True
        ordering = ("order",)
