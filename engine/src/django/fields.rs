//! Field classes: what kind of column a class of field makes, and what it adds to Django's own.

use super::FieldKind;
use super::values::Call;
use crate::python::{
    ClassId, Def, Expr, Kind, Member, Node, NodeId, Program, Stmt, canonical, parameters, string_value,
};
use crate::text::FileId;

/// Methods that make a field more than a stored value.
const HOOKS: &[&str] = &[
    "pre_save",
    "from_db_value",
    "contribute_to_class",
    "contribute_to_related_class",
    "descriptor_class",
    "forward_related_accessor_class",
    "related_accessor_class",
    "__get__",
    "__set__",
    "get_attname",
    "save_form_data",
    "value_from_object",
    "get_prep_value",
    "get_db_prep_value",
    "get_db_prep_save",
];

/// Fields of packages without a stub, by class name, whose values are plain ones of another kind.
const KNOWN: &[(&str, FieldKind, bool)] = &[
    ("AutoSlugField", FieldKind::Char, true),
    ("ColorField", FieldKind::Char, false),
    ("CountryField", FieldKind::Char, true),
    ("EncryptedCharField", FieldKind::Char, true),
    ("EncryptedTextField", FieldKind::Text, true),
    ("FilerFileField", FieldKind::ForeignKey, true),
    ("FilerFolderField", FieldKind::ForeignKey, true),
    ("FilerImageField", FieldKind::ForeignKey, true),
    ("FSMField", FieldKind::Char, true),
    ("HTMLField", FieldKind::Text, false),
    ("MarkdownField", FieldKind::Text, true),
    ("PhoneNumberField", FieldKind::Char, true),
    ("PlaceholderField", FieldKind::ForeignKey, true),
    ("RichTextField", FieldKind::Text, false),
    ("RichTextUploadingField", FieldKind::Text, false),
    ("ThumbnailerImageField", FieldKind::File, true),
    ("TimeZoneField", FieldKind::Other, true),
    ("VersatileImageField", FieldKind::File, true),
];

/// The class of taggit's that a field of tags descends from; its own base is internal to Django.
const TAGS: &str = "taggit.managers.TaggableManager";

/// A field class as a model's body names it.
#[derive(Clone, Debug)]
pub(super) struct FieldClass {
    pub kind: FieldKind,
    pub is_one_to_one: bool,
    pub path: String,
    pub has_hooks: bool,
    /// The class in the program, for its own defaults.
    pub class: Option<ClassId>,
}

/// The kind of a field class of Django; `None` if the path is not one.
fn django_kind(path: &str) -> Option<FieldKind> {
    let (module, name) = path.rsplit_once('.')?;
    Some(match (module, name) {
        ("django.db.models", "AutoField" | "BigAutoField" | "SmallAutoField") => FieldKind::Auto,
        (
            "django.db.models",
            "IntegerField"
            | "BigIntegerField"
            | "SmallIntegerField"
            | "PositiveIntegerField"
            | "PositiveBigIntegerField"
            | "PositiveSmallIntegerField"
            | "OrderWrt",
        ) => FieldKind::Integer,
        ("django.db.models", "BooleanField" | "NullBooleanField") => FieldKind::Boolean,
        (
            "django.db.models",
            "CharField"
            | "SlugField"
            | "EmailField"
            | "URLField"
            | "FilePathField"
            | "CommaSeparatedIntegerField",
        ) => FieldKind::Char,
        ("django.db.models", "TextField") => FieldKind::Text,
        ("django.db.models", "DateField") => FieldKind::Date,
        ("django.db.models", "DateTimeField") => FieldKind::DateTime,
        ("django.db.models", "TimeField") => FieldKind::Time,
        ("django.db.models", "DurationField") => FieldKind::Duration,
        ("django.db.models", "DecimalField") => FieldKind::Decimal,
        ("django.db.models", "FloatField") => FieldKind::Float,
        ("django.db.models", "UUIDField") => FieldKind::Uuid,
        ("django.db.models", "JSONField") => FieldKind::Json,
        ("django.db.models", "BinaryField") => FieldKind::Binary,
        ("django.db.models", "FileField" | "ImageField") => FieldKind::File,
        ("django.db.models", "GenericIPAddressField" | "IPAddressField") => FieldKind::IpAddress,
        ("django.db.models", "ForeignKey" | "OneToOneField" | "ForeignObject") => FieldKind::ForeignKey,
        ("django.db.models", "ManyToManyField") => FieldKind::ManyToMany,
        ("django.db.models", "GeneratedField") => FieldKind::Generated,
        ("django.db.models", "Field" | "CompositePrimaryKey") => FieldKind::Other,
        ("django.contrib.postgres.fields", "JSONField") => FieldKind::Json,
        ("django.contrib.postgres.fields", "CICharField" | "CIEmailField") => FieldKind::Char,
        ("django.contrib.postgres.fields", "CITextField") => FieldKind::Text,
        ("django.contrib.postgres.fields", _) if name.ends_with("Field") => FieldKind::Postgres,
        ("django.contrib.postgres.search", "SearchVectorField") => FieldKind::Postgres,
        ("django.contrib.gis.db.models", _) if name.ends_with("Field") => FieldKind::Other,
        ("django.contrib.contenttypes.fields", "GenericForeignKey") => FieldKind::GenericForeignKey,
        ("django.contrib.contenttypes.fields", "GenericRelation") => FieldKind::GenericRelation,
        _ => return None,
    })
}

fn external(path: &str) -> Option<FieldClass> {
    let path = canonical(path).into_owned();
    let name = path.rsplit('.').next().unwrap_or("").to_owned();
    let mut out = FieldClass {
        kind: FieldKind::Other,
        is_one_to_one: name.ends_with("OneToOneField"),
        has_hooks: false,
        class: None,
        path,
    };
    if let Some(kind) = django_kind(&out.path) {
        out.kind = kind;
        out.has_hooks = out.path.starts_with("django.contrib.gis.");
        return Some(out);
    }
    if out.path.starts_with("django.") || out.path.starts_with("builtins.") {
        return None;
    }
    // Fields of forms, serializers, filters and their like have the same names and no columns.
    let foreign =
        ["forms", "serializers", "filters", "graphene", "schema", "marshmallow", "wtforms", "import_export"];
    if out.path.split('.').any(|part| foreign.contains(&part)) {
        return None;
    }
    out.has_hooks = true;
    if let Some((_, kind, has_hooks)) = KNOWN.iter().find(|(known, ..)| *known == name) {
        out.kind = *kind;
        out.has_hooks = *has_hooks;
    } else if name.ends_with("ForeignKey") || name.ends_with("OneToOneField") {
        out.kind = FieldKind::ForeignKey;
    } else if name.ends_with("ManyToManyField") {
        out.kind = FieldKind::ManyToMany;
    } else if !name.ends_with("Field") || !name.starts_with(|c: char| c.is_ascii_uppercase()) {
        return None;
    }
    Some(out)
}

/// The field class that `def` is, if it is one.
pub(super) fn field_class(program: &Program, def: &Def) -> Option<FieldClass> {
    match def {
        Def::External(path) => external(path),
        Def::Class(id) => {
            let path = program.class_path(*id);
            if let Some(mut found) = django_kind(&path).and_then(|_| external(&path)) {
                found.class = Some(*id);
                return Some(found);
            }
            let class = program.class(*id);
            let mut found = None;
            for ancestor in &class.mro {
                let path = program.class_path(*ancestor);
                let path = if path == TAGS { "django.db.models.ManyToManyField" } else { &path };
                if let Some(kind) = external(path).filter(|f| django_kind(&f.path).is_some()) {
                    found = Some(kind);
                    break;
                }
            }
            let mut found = match found {
                Some(found) => found,
                None => class.external_bases.iter().find_map(|b| external(b))?,
            };
            found.has_hooks |= class.mro.iter().any(|c| {
                let ancestor = program.class(*c);
                django_kind(&program.class_path(*c)).is_none()
                    && HOOKS.iter().any(|h| ancestor.members.contains_key(*h))
            });
            found.path = path;
            found.class = Some(*id);
            Some(found)
        }
        _ => None,
    }
}

/// Keywords that the `__init__` of a project's field class gives to Django's, from the class outwards.
/// The flag says that the keyword overrides what the caller gives.
pub(super) fn defaults(program: &Program, class: ClassId) -> Vec<(String, FileId, NodeId, bool)> {
    let mut out = Vec::new();
    for ancestor in &program.class(class).mro {
        let Some(Member::Function(function, _)) = program.class(*ancestor).members.get("__init__") else {
            continue;
        };
        let function = program.function(*function);
        let def = program.file(function.file).node(function.node);
        for node in def.descendants() {
            match node.kind() {
                Kind::Call => {
                    let Some(call) = Call::of(node) else { continue };
                    let Expr::Attribute { value, attr, .. } = Expr::of(call.func) else { continue };
                    if attr == "setdefault"
                        && let [key, value] = call.positional.as_slice()
                        && let Some(key) = string_value(*key)
                    {
                        out.push((key, function.file, value.id(), false));
                    } else if attr == "__init__" && value.text().starts_with("super(") {
                        // `super().__init__(Target, ...)` with a target of its own.
                        if let Some(first) = call.positional.first()
                            && matches!(
                                Expr::of(*first),
                                Expr::Name(_) | Expr::Attribute { .. } | Expr::Str(_)
                            )
                            && !parameters(def).iter().any(|p| p.name == first.text())
                        {
                            out.push(("to".to_owned(), function.file, first.id(), true));
                        }
                        for (key, value) in &call.keywords {
                            if !matches!(Expr::of(*value), Expr::Name(name) if name == *key) {
                                out.push(((*key).to_owned(), function.file, value.id(), true));
                            }
                        }
                    }
                }
                Kind::ExprStatement => {
                    let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(node) else { continue };
                    for target in targets {
                        if let Expr::Subscript { value: object, index, .. } = Expr::of(target)
                            && object.text() == "kwargs"
                            && let Some(key) = string_value(index)
                        {
                            out.push((key, function.file, value.id(), true));
                        }
                    }
                }
                _ => {}
            }
        }
    }
    out
}

/// The call that makes a field, in the body of a model.
pub(super) fn field_call<'a>(
    program: &'a Program,
    file: FileId,
    node: Node<'a>,
) -> Option<(Call<'a>, FieldClass)> {
    let call = Call::of(node)?;
    let def = program.resolve_expr(file, call.func.id())?;
    let class = field_class(program, &def)?;
    Some((call, class))
}
