from django.db import models


class ClusterableModel(models.Model):
    class Meta:
        abstract = True

    def __init__(self, *args, **kwargs):
        unknown(self)
        super().__init__(*args, **kwargs)

    def save(self, **kwargs):
        super().save(**kwargs)
        unknown(self)
