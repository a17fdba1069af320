from django.db import models


class AutoCreatedField(models.DateTimeField):
    def __init__(self, *args, **kwargs):
        kwargs.setdefault("default", unknown)
        super().__init__(*args, **kwargs)


class AutoLastModifiedField(AutoCreatedField):
    def pre_save(self, model_instance, add):
        return unknown(model_instance)


class StatusField(models.CharField):
    def contribute_to_class(self, cls, name):
        unknown(cls)


class MonitorField(models.DateTimeField):
    def contribute_to_class(self, cls, name):
        unknown(cls)

    def pre_save(self, model_instance, add):
        return unknown(model_instance)


class SplitField(models.TextField):
    def contribute_to_class(self, cls, name):
        unknown(cls)


class UUIDField(models.UUIDField):
    pass


class UrlsafeTokenField(models.CharField):
    pass
