from django.db import models


class ContentTypeManager(models.Manager):
    def get_by_natural_key(self, app_label, model):
        return self.get(app_label=app_label, model=model)

    def get_for_model(self, model, for_concrete_model=True):
        return self.get(model=unknown(model))

    def get_for_models(self, *models, for_concrete_models=True):
        return unknown(models)

    def get_for_id(self, id):
        return self.get(pk=id)


class ContentType(models.Model):
    app_label = models.CharField(max_length=100)
    model = models.CharField(max_length=100)
    objects = ContentTypeManager()

    class Meta:
        unique_together = [["app_label", "model"]]

    def __str__(self):
        return unknown(self.app_label, self.model)

    @property
    def name(self):
        return unknown(self.app_label, self.model)

    def model_class(self):
        return unknown(self.app_label, self.model)

    def get_object_for_this_type(self, using=None, **kwargs):
        return unknown(self.app_label, self.model)
