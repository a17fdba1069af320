from django.db import models


class MP_NodeQuerySet(models.QuerySet):
    def delete(self, *args, **kwargs):
        return unknown(self)


class MP_NodeManager(models.Manager):
    def get_queryset(self):
        return MP_NodeQuerySet(self.model).order_by("path")


class MP_Node(models.Model):
    path = models.CharField(max_length=255, unique=True)
    depth = models.PositiveIntegerField()
    numchild = models.PositiveIntegerField(default=0)
    objects = MP_NodeManager()

    class Meta:
        abstract = True

    @classmethod
    def add_root(cls, **kwargs):
        return unknown(cls)

    def add_child(self, **kwargs):
        return unknown(self)

    def delete(self, *args, **kwargs):
        return self.__class__.objects.filter(pk=self.pk).delete(*args, **kwargs)

    def get_children(self):
        return unknown(self)

    def get_descendants(self):
        return unknown(self)

    def get_ancestors(self):
        return unknown(self)

    def get_parent(self, update=False):
        return unknown(self)
