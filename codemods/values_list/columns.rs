//! What an attribute of a row is: a column, an alias, something else.

use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::django::{Field, FieldKind};
use ormend_engine::infer::QuerySet;
use ormend_engine::python::{Binding, Def, Member};

/// An attribute that is read of a row.
#[derive(Clone, Debug)]
pub struct Column {
    /// As written, in code and for `values_list`.
    pub name: String,
    /// The field or alias behind it: `pk` and `id` are one.
    pub identity: String,
    /// Why the attribute is not the plain value of the column.
    pub hazard: Option<Hazard>,
}

/// Methods by which a field class puts more than the column's value on an instance.
const DESCRIPTORS: &[&str] =
    &["contribute_to_class", "descriptor_class", "__get__", "__set__", "get_attname"];

/// The column that the attribute `name` of a row of `queryset` reads; `None` where it is no column at all.
pub fn column(cx: &Context<'_>, queryset: &QuerySet, name: &str) -> Option<Column> {
    let model = cx.model(queryset.model);
    let program = cx.project.program();
    let member = program.member(model.class, name);
    let plain =
        |identity: &str| Column { name: name.to_owned(), identity: identity.to_owned(), hazard: None };
    let special = |site| Column {
        hazard: Some(Hazard { kind: HazardKind::NotAColumn, site, subject: name.to_owned() }),
        ..plain(name)
    };
    match member {
        Some((_, Member::Function(_, Binding::Property | Binding::CachedProperty))) => {
            return Some(special(cx.project.override_of(model.id, name)));
        }
        Some((_, Member::Function(..) | Member::Class(_))) => return None,
        _ => {}
    }
    if queryset.annotations.contains(name) {
        // What a class says of the name would win over an `alias()`, which sets nothing.
        return if member.is_none() { Some(plain(name)) } else { None };
    }
    let (field, identity) = if name == "pk" {
        let field = model.primary_key()?;
        (field, field.name.as_str())
    } else if let Some(field) = model.field(name) {
        if field.relation.is_some() {
            return None;
        }
        (field, field.name.as_str())
    } else {
        let field = model.field_by_attname(name)?;
        (field, field.name.as_str())
    };
    if let Some(site) = cx.project.override_of(model.id, "__getattribute__") {
        return Some(special(Some(site)));
    }
    if !is_stored_value(cx, field) {
        return Some(special(Some(field.site)));
    }
    Some(plain(identity))
}

/// Whether an instance holds just what `values_list` gives for the field. Conversion by `from_db_value()` is part of the
/// query, and what a field does when it is saved is no matter here.
fn is_stored_value(cx: &Context<'_>, field: &Field) -> bool {
    let is_key = field.kind == FieldKind::ForeignKey;
    if !(field.kind.is_plain_column() || is_key) {
        return false;
    }
    if !field.has_hooks {
        return true;
    }
    let program = cx.project.program();
    let Some(Def::Class(class)) = program.dotted(&field.class, None) else {
        // A package's foreign key is one all the same; another field may be anything.
        return is_key;
    };
    if is_key {
        return true;
    }
    let info = program.class(class);
    let understood = info.external_bases.iter().all(|b| {
        b.starts_with("django.db.models")
            || b.starts_with("django.contrib.postgres")
            || b == "builtins.object"
    });
    understood
        && !info.has_unknown_base
        && info.mro.iter().all(|c| {
            let path = program.class_path(*c);
            path.starts_with("django.")
                || !DESCRIPTORS.iter().any(|d| program.class(*c).members.contains_key(*d))
        })
}
