"""Print, as JSON, what Django knows of every installed model: the answer that the model index has to give.

The settings module is that of DJANGO_SETTINGS_MODULE. What a model's class does not show by itself (the accessors of
relations that point at it) is read off the class as Python would find it, not from lists of relations.
"""

import inspect
import json
import sys

import django


def relation(field):
    """A field's relation; names that lead nowhere (`+`, an accessor that is not there) are null."""
    from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation

    if isinstance(field, GenericForeignKey):
        return {"kind": "GenericForeignKey", "target": None, "accessor": None, "query_name": None}
    remote = field.remote_field
    found = {"target": remote.model._meta.label, "accessor": None, "query_name": None}
    if isinstance(field, GenericRelation):
        return {"kind": "GenericRelation", **found, "query_name": remote.related_query_name}
    kind = "ManyToMany" if field.many_to_many else "OneToOne" if field.one_to_one else "ForeignKey"
    accessor = remote.get_accessor_name()
    if accessor and not remote.hidden and not accessor.endswith("+"):
        found.update(query_name=field.related_query_name())
        if hasattr(remote.model, accessor):
            found.update(accessor=accessor)
    return {"kind": kind, **found}


def fields(model):
    for field in model._meta.get_fields(include_hidden=True):
        if field.auto_created and not field.concrete:
            continue
        is_column = field.concrete and not field.many_to_many
        yield field.name, {
            "attname": field.attname if is_column else field.name,
            "null": bool(getattr(field, "null", False)),
            "primary_key": field is model._meta.pk,
            "relation": relation(field) if field.is_relation else None,
        }


def accessors(model):
    """The attributes of the class that follow a relation backwards."""
    for name in dir(model):
        descriptor = inspect.getattr_static(model, name)
        # Packages have descriptors of their own that build on Django's.
        kind = {base.__name__ for base in type(descriptor).__mro__}
        if "ReverseOneToOneDescriptor" in kind:
            remote = descriptor.related
        elif "ManyToManyDescriptor" in kind and descriptor.reverse:
            remote = descriptor.rel
        elif "ReverseManyToOneDescriptor" in kind and not kind & {
            "ManyToManyDescriptor",
            "ReverseGenericManyToOneDescriptor",
        }:
            remote = descriptor.rel
        else:
            continue
        # The models in between of many-to-many relations have hidden names.
        if name.endswith("+"):
            continue
        yield name, {
            "query_name": remote.field.related_query_name(),
            "single": bool(remote.one_to_one),
            "source": remote.related_model._meta.label,
            "field": remote.field.name,
        }


def parents(model):
    """The models whose tables this one extends by its own."""
    return sorted(parent._meta.label for parent in model._meta.parents)


def describe(model):
    meta = model._meta
    return {
        "module": model.__module__,
        "proxy": meta.proxy,
        "managed": meta.managed,
        "concrete": meta.concrete_model._meta.label,
        "parents": [] if meta.proxy else parents(model),
        "fields": dict(fields(model)),
        "accessors": dict(accessors(model)),
        "managers": [manager.name for manager in meta.managers],
        "default_manager": model._default_manager.name,
        "base_manager": meta.base_manager_name,
        "ordering": [name if isinstance(name, str) else "(expression)" for name in meta.ordering],
    }


def main():
    django.setup()
    from django.apps import apps

    models = {model._meta.label: describe(model) for model in apps.get_models()}
    json.dump({"django": django.get_version(), "models": models}, sys.stdout, indent=1, sort_keys=True)


main()
