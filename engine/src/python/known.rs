//! The names under which Django exports one thing more than once, each brought to the name in its documentation.

use std::borrow::Cow;

/// What `django.db.models` exports, sorted.
const MODELS: &[&str] = &[
    "Aggregate",
    "AnyValue",
    "AutoField",
    "Avg",
    "BLANK_CHOICE_DASH",
    "BaseConstraint",
    "BigAutoField",
    "BigIntegerField",
    "BinaryField",
    "BooleanField",
    "CASCADE",
    "Case",
    "CharField",
    "CheckConstraint",
    "Choices",
    "CommaSeparatedIntegerField",
    "CompositePrimaryKey",
    "Count",
    "DEFERRED",
    "DO_NOTHING",
    "DateField",
    "DateTimeField",
    "DecimalField",
    "Deferrable",
    "DurationField",
    "EmailField",
    "Empty",
    "Exists",
    "Expression",
    "ExpressionList",
    "ExpressionWrapper",
    "F",
    "Field",
    "FileField",
    "FilePathField",
    "FilteredRelation",
    "FloatField",
    "ForeignKey",
    "ForeignObject",
    "ForeignObjectRel",
    "Func",
    "GeneratedField",
    "GenericIPAddressField",
    "IPAddressField",
    "ImageField",
    "Index",
    "IntegerChoices",
    "IntegerField",
    "JSONField",
    "Lookup",
    "Manager",
    "ManyToManyField",
    "ManyToManyRel",
    "ManyToOneRel",
    "Max",
    "Min",
    "Model",
    "NOT_PROVIDED",
    "NullBooleanField",
    "ObjectDoesNotExist",
    "OneToOneField",
    "OneToOneRel",
    "OrderBy",
    "OrderWrt",
    "OuterRef",
    "PROTECT",
    "PositiveBigIntegerField",
    "PositiveIntegerField",
    "PositiveSmallIntegerField",
    "Prefetch",
    "ProtectedError",
    "Q",
    "QuerySet",
    "RESTRICT",
    "RestrictedError",
    "RowRange",
    "SET",
    "SET_DEFAULT",
    "SET_NULL",
    "SlugField",
    "SmallAutoField",
    "SmallIntegerField",
    "StdDev",
    "StringAgg",
    "Subquery",
    "Sum",
    "TextChoices",
    "TextField",
    "TimeField",
    "Transform",
    "URLField",
    "UUIDField",
    "UniqueConstraint",
    "Value",
    "ValueRange",
    "Variance",
    "When",
    "Window",
    "WindowFrame",
    "WindowFrameExclusion",
    "aprefetch_related_objects",
    "prefetch_related_objects",
    "signals",
];

/// Modules below which a name of `django.db.models` is defined.
const MODELS_PARTS: &[&str] = &[
    "aggregates",
    "base",
    "constraints",
    "deletion",
    "enums",
    "expressions",
    "fields",
    "fields.composite",
    "fields.files",
    "fields.generated",
    "fields.json",
    "fields.proxy",
    "fields.related",
    "indexes",
    "lookups",
    "manager",
    "query",
    "query_utils",
];

/// Packages that export every public name of these submodules.
const FLAT: &[(&str, &[&str])] = &[
    ("django.db.models.functions", &["comparison", "datetime", "math", "text", "window", "json"]),
    ("django.contrib.postgres.fields", &["array", "citext", "hstore", "jsonb", "ranges"]),
    ("django.contrib.postgres.aggregates", &["general", "statistics"]),
    ("django.http", &["request", "response"]),
    ("django.dispatch", &["dispatcher"]),
    ("django.forms", &["forms", "fields", "models", "widgets", "formsets"]),
    ("django.test", &["testcases", "client", "utils"]),
    ("django.views.generic", &["base", "dates", "detail", "edit", "list"]),
    ("django.urls", &["base", "conf", "resolvers", "utils"]),
    ("django.contrib.admin", &["options", "sites", "decorators", "filters"]),
    ("django.core.mail", &["message"]),
    ("django.core.paginator", &[]),
    ("django.db", &["utils"]),
];

/// Submodules of [`FLAT`] packages have names that stay below them; these are the ones lifted. An empty list: all.
fn is_lifted(package: &str, name: &str) -> bool {
    match package {
        "django.views.generic" => {
            name.ends_with("View") && !name.starts_with("Base") || name == "GenericViewError"
        }
        "django.http" => {
            name.starts_with("Http")
                || matches!(name, "JsonResponse" | "FileResponse" | "StreamingHttpResponse" | "QueryDict")
        }
        "django.contrib.admin" => {
            matches!(
                name,
                "ModelAdmin"
                    | "StackedInline"
                    | "TabularInline"
                    | "AdminSite"
                    | "site"
                    | "register"
                    | "display"
                    | "action"
                    | "SimpleListFilter"
                    | "ListFilter"
            )
        }
        "django.db" => name.ends_with("Error"),
        "django.test" => {
            name.ends_with("TestCase")
                || matches!(
                    name,
                    "Client" | "AsyncClient" | "RequestFactory" | "override_settings" | "modify_settings"
                )
        }
        _ => true,
    }
}

const SINGLE: &[(&str, &str)] = &[
    ("django.core.exceptions.ObjectDoesNotExist", "django.core.exceptions.ObjectDoesNotExist"),
    ("django.db.models.ObjectDoesNotExist", "django.core.exceptions.ObjectDoesNotExist"),
    ("django.core.management.BaseCommand", "django.core.management.base.BaseCommand"),
    ("django.core.management.CommandError", "django.core.management.base.CommandError"),
    ("django.views.View", "django.views.generic.View"),
    ("django.contrib.gis.db.models.manager.GeoManager", "django.db.models.Manager"),
    ("django.utils.decorators.classproperty", "django.utils.functional.classproperty"),
    ("functools.cached_property", "functools.cached_property"),
];

/// The documented name of what `dotted` names; itself where there is no other.
pub fn canonical(dotted: &str) -> Cow<'_, str> {
    if !dotted.starts_with("django.") {
        return Cow::Borrowed(dotted);
    }
    if let Some((_, to)) = SINGLE.iter().find(|(from, _)| *from == dotted) {
        return Cow::Borrowed(to);
    }
    let Some((module, name)) = dotted.rsplit_once('.') else { return Cow::Borrowed(dotted) };
    if module == "django.contrib.gis.db.models" && is_models_export(name) && name != "Union" {
        return Cow::Owned(format!("django.db.models.{name}"));
    }
    if let Some(rest) = module.strip_prefix("django.contrib.gis.db.models.") {
        return match rest {
            "fields" | "aggregates" => Cow::Owned(format!("django.contrib.gis.db.models.{name}")),
            _ => Cow::Borrowed(dotted),
        };
    }
    if let Some(rest) = module.strip_prefix("django.db.models.")
        && MODELS_PARTS.contains(&rest)
        && is_models_export(name)
    {
        return Cow::Owned(format!("django.db.models.{name}"));
    }
    for (package, parts) in FLAT {
        if let Some(rest) = module.strip_prefix(package).and_then(|r| r.strip_prefix('.'))
            && parts.contains(&rest)
            && is_lifted(package, name)
            && !name.starts_with('_')
        {
            return Cow::Owned(format!("{package}.{name}"));
        }
    }
    Cow::Borrowed(dotted)
}

/// Whether `django.db.models` exports `name`.
pub fn is_models_export(name: &str) -> bool {
    MODELS.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_one() {
        assert!(MODELS.is_sorted());
        for (from, to) in [
            ("django.db.models.base.Model", "django.db.models.Model"),
            ("django.db.models.fields.related.ForeignKey", "django.db.models.ForeignKey"),
            ("django.contrib.gis.db.models.Model", "django.db.models.Model"),
            ("django.contrib.gis.db.models.fields.PointField", "django.contrib.gis.db.models.PointField"),
            ("django.db.models.manager.BaseManager", "django.db.models.manager.BaseManager"),
            ("django.dispatch.dispatcher.receiver", "django.dispatch.receiver"),
            ("django.views.View", "django.views.generic.View"),
            (
                "django.views.generic.list.MultipleObjectMixin",
                "django.views.generic.list.MultipleObjectMixin",
            ),
            ("django.db.utils.IntegrityError", "django.db.IntegrityError"),
            ("csv", "csv"),
        ] {
            assert_eq!(canonical(from), to);
        }
    }
}
