from django.db import models


class TaggableManager(models.ManyToManyField):
    def __init__(self, *args, through=None, related_name=None, to=None, **kwargs):
        kwargs.setdefault("to", "taggit.Tag")
        kwargs.setdefault("through", "taggit.TaggedItem")
        kwargs["null"] = True
        super().__init__(to, related_name=related_name, through=through)

    def contribute_to_class(self, cls, name):
        unknown(cls)
