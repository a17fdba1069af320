//! Models as data: what Django's model metaclass and `_meta` would say of them.

use crate::python::{ClassId, NodeId};
use crate::text::{FileId, Site};
use serde::{Deserialize, Serialize};

/// Index of a model in the [`Project`](super::Project).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ModelId(pub u32);

/// A model class, abstract and proxy models included. A model is its module path and class name, never its
/// bare name.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// This model.
    pub id: ModelId,
    /// The class name.
    pub name: String,
    /// The dotted path of the module that defines it.
    pub module: String,
    /// The app label, by `Meta.app_label` or the nearest app package.
    pub app_label: String,
    /// The class statement.
    pub site: Site,
    /// The class as a Python class of the project.
    pub class: ClassId,
    /// `Meta.abstract`
    pub is_abstract: bool,
    /// `Meta.proxy`
    pub is_proxy: bool,
    /// `Meta.managed` (True unless set).
    pub is_managed: bool,
    /// `Meta.swappable`: the setting's name.
    pub swappable: Option<String>,
    /// Every base that is a model, in order, nearest first.
    pub bases: Vec<ModelId>,
    /// Concrete bases with a table of their own (multi-table inheritance); a proxy's concrete model is not one.
    pub table_parents: Vec<ModelId>,
    /// For a proxy, the concrete model at the end of the chain; otherwise itself.
    pub concrete: ModelId,
    /// A base class could not be resolved, so fields and overrides may be missing.
    pub has_unknown_base: bool,
    /// Every field, inherited ones included, in order; reverse relations are not here.
    pub fields: Vec<Field>,
    /// Reverse relations and generic relations' accessors that other models put on this one.
    pub reverse: Vec<ReverseRelation>,
    /// Managers, in order of creation; `objects` when none is declared.
    pub managers: Vec<Manager>,
    /// Name of `_default_manager`.
    pub default_manager: String,
    /// `Meta.base_manager_name`, inherited from abstract bases.
    pub base_manager_name: Option<String>,
    /// `Meta.ordering`, where it could be read.
    pub ordering: Vec<String>,
    /// `Meta.ordering` stands there but is not a literal.
    pub has_unknown_ordering: bool,
    /// Sets of fields that are unique together (unique=True, unique_together, UniqueConstraint without condition).
    pub unique: Vec<Vec<String>>,
    /// `Meta.order_with_respect_to`.
    pub order_with_respect_to: Option<String>,
}

/// A concrete or virtual field.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The attribute name.
    pub name: String,
    /// The attribute that holds the column's value: `author_id` for a foreign key `author`.
    pub attname: String,
    /// What kind of value it stores.
    pub kind: FieldKind,
    /// The dotted path of the field class.
    pub class: String,
    /// `null=True`
    pub null: bool,
    /// `unique=True`, a primary key, or a one-to-one.
    pub unique: bool,
    /// The primary key.
    pub primary_key: bool,
    /// `auto_now`
    pub auto_now: bool,
    /// `auto_now` is given as something that could not be read, or among arguments that could not be.
    pub may_auto_now: bool,
    /// `auto_now_add`
    pub auto_now_add: bool,
    /// A `default=` or `db_default=` is given.
    pub has_default: bool,
    /// Added by Django or a package rather than declared (the `id`, `parent_ptr`).
    pub is_auto: bool,
    /// The relation, for a relational field.
    pub relation: Option<Relation>,
    /// The field class is the project's own or a package's and defines `pre_save`, `from_db_value`,
    /// `contribute_to_class`, a descriptor or anything that makes it more than a stored value.
    pub has_hooks: bool,
    /// The expressions given as `default` and `upload_to`.
    pub functions: Vec<(&'static str, FileId, NodeId)>,
    /// Where it is declared (in the base's file when inherited).
    pub site: Site,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum FieldKind {
    /// AutoField and its siblings.
    Auto,
    /// Big, small, positive integers.
    Integer,
    /// BooleanField.
    Boolean,
    /// CharField, SlugField, EmailField, URLField ...
    Char,
    /// TextField
    Text,
    /// DateField
    Date,
    /// DateTimeField
    DateTime,
    /// TimeField
    Time,
    /// DurationField
    Duration,
    /// DecimalField
    Decimal,
    /// FloatField
    Float,
    /// UUIDField
    Uuid,
    /// JSONField
    Json,
    /// BinaryField
    Binary,
    /// FileField, ImageField: the attribute is not the column's value.
    File,
    /// GenericIPAddressField
    IpAddress,
    /// ArrayField, HStoreField, ranges ...
    Postgres,
    /// ForeignKey, OneToOneField: the column's value is the attname's.
    ForeignKey,
    /// ManyToManyField: no column.
    ManyToMany,
    /// GenericForeignKey: no column of its own.
    GenericForeignKey,
    /// GenericRelation: no column.
    GenericRelation,
    /// GeneratedField
    Generated,
    /// A field class that is known but not understood.
    Other,
}

/// The kinds of relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum RelationKind {
    /// ForeignKey (and subclasses such as ParentalKey).
    ForeignKey,
    /// OneToOneField.
    OneToOne,
    /// ManyToManyField.
    ManyToMany,
    /// GenericForeignKey: the target is not known.
    GenericForeignKey,
    /// GenericRelation: the far side of a generic foreign key.
    GenericRelation,
}

/// The forward end of a relation.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// Which kind.
    pub kind: RelationKind,
    /// The model it points at; `None` when it could not be resolved (or is generic).
    pub target: Option<ModelId>,
    /// The target as written, for messages and comparison: `shop.Author`.
    pub target_text: String,
    /// Name of the attribute on the target; `None` for `related_name="+"` or a symmetrical self relation.
    pub accessor: Option<String>,
    /// Name in lookups from the target; `None` where hidden.
    pub query_name: Option<String>,
    /// The `through` model of a many-to-many, when declared.
    pub through: Option<ModelId>,
    /// `db_constraint` (True unless set to False).
    pub db_constraint: bool,
    /// `to_field`
    pub to_field: Option<String>,
    /// A multi-table parent link.
    pub parent_link: bool,
    /// `symmetrical` of a self many-to-many.
    pub symmetrical: bool,
}

/// The reverse end of a relation, as an attribute of the target.
#[derive(Clone, Debug, PartialEq)]
pub struct ReverseRelation {
    /// The attribute: `book_set`, `books`, or the one-to-one's name.
    pub accessor: String,
    /// The name in lookups: `book`, `books`.
    pub query_name: String,
    /// The kind of the *forward* field.
    pub kind: RelationKind,
    /// The model that declares the forward field.
    pub source: ModelId,
    /// The forward field's name there.
    pub field: String,
}

impl ReverseRelation {
    /// Whether the accessor gives one instance (a reverse one-to-one) rather than a manager.
    pub fn is_single(&self) -> bool {
        self.kind == RelationKind::OneToOne
    }
}

/// A manager on a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Manager {
    /// The attribute: `objects`.
    pub name: String,
    /// The manager's class when it is in the project or a scanned package; `None` for Django's own `Manager`.
    pub class: Option<ClassId>,
    /// The queryset's class given by `from_queryset` or `as_manager`, when it is in the project.
    pub queryset: Option<ClassId>,
    /// The class could not be resolved.
    pub is_unknown: bool,
    /// Where it is declared.
    pub site: Option<Site>,
}

impl Model {
    /// The field called `name`, by name (not attname).
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// The field whose column value is the attribute `attname`.
    pub fn field_by_attname(&self, attname: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.attname == attname)
    }

    /// The primary key field.
    pub fn primary_key(&self) -> Option<&Field> {
        self.fields.iter().find(|f| f.primary_key)
    }

    /// The reverse relation whose attribute is `accessor`.
    pub fn reverse(&self, accessor: &str) -> Option<&ReverseRelation> {
        self.reverse.iter().find(|r| r.accessor == accessor)
    }

    /// The manager called `name`.
    pub fn manager(&self, name: &str) -> Option<&Manager> {
        self.managers.iter().find(|m| m.name == name)
    }

    /// `shop.models.Book`
    pub fn dotted(&self) -> String {
        format!("{}.{}", self.module, self.name)
    }

    /// `shop.Book`
    pub fn label(&self) -> String {
        format!("{}.{}", self.app_label, self.name)
    }
}

impl FieldKind {
    /// Whether the attribute of this kind of field is the plain value that `values_list()` gives.
    pub fn is_plain_column(self) -> bool {
        !matches!(
            self,
            FieldKind::File
                | FieldKind::ForeignKey
                | FieldKind::ManyToMany
                | FieldKind::GenericForeignKey
                | FieldKind::GenericRelation
                | FieldKind::Other
        )
    }
}
