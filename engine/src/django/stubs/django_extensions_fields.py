from django.db import models


class AutoSlugField(models.SlugField):
    def pre_save(self, model_instance, add):
        return unknown(model_instance)


class RandomCharField(models.CharField):
    def pre_save(self, model_instance, add):
        return unknown(model_instance)


class CreationDateTimeField(models.DateTimeField):
    def __init__(self, *args, **kwargs):
        kwargs["auto_now_add"] = True
        super().__init__(*args, **kwargs)


class ModificationDateTimeField(CreationDateTimeField):
    def pre_save(self, model_instance, add):
        return unknown(model_instance)


class UUIDFieldMixin:
    pass


class ShortUUIDField(models.CharField):
    def pre_save(self, model_instance, add):
        return unknown(model_instance)
