from django.db import models


class TranslatableModelMixin:
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        unknown(self)

    def save(self, *args, **kwargs):
        super().save(*args, **kwargs)
        unknown(self)


class TranslatableModel(TranslatableModelMixin, models.Model):
    class Meta:
        abstract = True


class TranslatedFieldsModel(models.Model):
    language_code = models.CharField(max_length=15)

    class Meta:
        abstract = True
