//! What an attribute of a row is: a column, an alias, something else.

use crate::codemod::eager;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{Field, FieldKind, Model, RelationKind, Signal};
use crate::infer::{QuerySet, Trait};
use crate::python::{Binding, Def, Member};

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

impl Column {
    /// Whether it stands in another table.
    pub fn is_joined(&self) -> bool {
        self.name.contains("__")
    }
}

/// Methods by which a field class puts more than the column's value on an instance.
const DESCRIPTORS: &[&str] =
    &["contribute_to_class", "descriptor_class", "__get__", "__set__", "get_attname"];

/// The column that the attribute `name` of a row of `queryset` reads; `None` where it is no column at all.
pub fn column(cx: &Context<'_>, queryset: &QuerySet, name: &str) -> Option<Column> {
    let model = cx.model(queryset.model);
    let member = cx.project.program().member(model.class, name);
    let is_own = matches!(member, Some((_, Member::Function(..) | Member::Class(_))));
    if !is_own && queryset.annotations.contains(name) {
        // What a class says of the name would win over an `alias()`, which sets nothing.
        let plain = Column { name: name.to_owned(), identity: name.to_owned(), hazard: None };
        return member.is_none().then_some(plain);
    }
    stored(cx, model, name)
}

/// The column of `model` that the attribute `name` of an instance reads.
fn stored(cx: &Context<'_>, model: &Model, name: &str) -> Option<Column> {
    let member = cx.project.program().member(model.class, name);
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
    let field = if name == "pk" {
        model.primary_key()?
    } else if let Some(field) = model.field(name) {
        if field.relation.is_some() {
            return None;
        }
        field
    } else {
        model.field_by_attname(name)?
    };
    if let Some(site) = cx.project.override_of(model.id, "__getattribute__") {
        return Some(special(Some(site)));
    }
    if !is_stored_value(cx, field) {
        return Some(special(Some(field.site)));
    }
    Some(plain(&field.name))
}

/// The column behind `row.relation.column`, over foreign keys that hold one row each; with `or_none` the first of them may
/// be NULL, and the code takes None for it.
pub fn path(cx: &Context<'_>, queryset: &QuerySet, names: &[&str], or_none: bool) -> Option<Column> {
    // A lock would hold the joined rows, too.
    if queryset.is(Trait::Locked) {
        return None;
    }
    let (last, relations) = names.split_last()?;
    let mut model = cx.model(queryset.model);
    let mut hazard: Option<Hazard> = None;
    for (i, name) in relations.iter().enumerate() {
        let field = model.field(name)?;
        let relation = field.relation.as_ref()?;
        let is_one = matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne);
        let member = cx.project.program().member(model.class, name);
        if !is_one
            || relation.parent_link
            || matches!(member, Some((_, Member::Function(..) | Member::Class(_))))
        {
            return None;
        }
        let target = cx.model(relation.target?);
        let subject = || relations.join(".");
        let found = if field.null && !(or_none && i == 0) {
            Some(Hazard::at(HazardKind::NullableField, format!("{}.{}", model.name, field.name), field.site))
        } else if !relation.db_constraint || !model.is_managed {
            Some(Hazard::at(HazardKind::NoConstraint, format!("{}.{}", model.name, field.name), field.site))
        } else if target.base_manager_name.is_some() || target.has_unknown_base {
            // The manager may leave the row out, which raises.
            Some(Hazard::at(HazardKind::NotAColumn, subject(), field.site))
        } else {
            watched(cx, target)
        };
        hazard = hazard.or(found);
        model = target;
    }
    // What stands in the way of a join stands in the way of its columns.
    let mut joins = Vec::new();
    let steps = eager::steps(cx.project, queryset.model, relations)?;
    eager::joined_differs(cx.project, &steps, eager::Load::Join, &mut joins);
    eager::routed(cx.project, &steps, &mut joins);
    let own = joins.into_iter().next().map(|join| {
        let site = join.site.unwrap_or_else(|| cx.site(cx.scope()));
        Hazard::at(HazardKind::NotAColumn, relations.join("."), site)
    });
    let hazard = hazard.or(own);
    // The rows of a relation hold their owner itself, and a prefetch may have put other rows there.
    let first = relations.first()?;
    let is_held = queryset.known.iter().any(|known| **known == **first)
        || queryset.prefetched.iter().any(|p| p.split("__").next() == Some(*first))
        || queryset.is(Trait::OpaquePrefetch);
    if is_held {
        return None;
    }
    let column = stored(cx, model, last)?;
    let name = format!("{}__{}", relations.join("__"), column.name);
    Some(Column { identity: name.clone(), name, hazard: hazard.or(column.hazard) })
}

/// The column behind `row.name.key`, where `name` is a foreign key and `key` the primary key that it holds.
pub fn related_key(cx: &Context<'_>, queryset: &QuerySet, name: &str, key: &str) -> Option<Column> {
    let model = cx.model(queryset.model);
    let program = cx.project.program();
    let field = model.field(name)?;
    let relation = field.relation.as_ref()?;
    let is_one = matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne);
    if !is_one || relation.to_field.is_some() || relation.parent_link {
        return None;
    }
    if matches!(program.member(model.class, name), Some((_, Member::Function(..) | Member::Class(_)))) {
        return None;
    }
    // A prefetch may leave rows out, which are then read as None.
    if queryset.prefetched.iter().any(|p| p.split("__").next() == Some(name))
        || queryset.is(Trait::OpaquePrefetch)
    {
        return None;
    }
    let target = cx.model(relation.target?);
    let primary = target.primary_key()?;
    let is_key = key == "pk" || key == primary.name;
    if !is_key || primary.relation.is_some() || !is_stored_value(cx, primary) {
        return None;
    }
    if matches!(program.member(target.class, key), Some((_, Member::Function(..) | Member::Class(_)))) {
        return None;
    }
    // None has no key; a row that is missing, or that the manager leaves out, raises.
    let may_lack = field.null
        || !relation.db_constraint
        || !model.is_managed
        || target.base_manager_name.is_some()
        || target.has_unknown_base;
    let hazard = if may_lack {
        let subject = format!("{name}.{key}");
        Some(Hazard { kind: HazardKind::NotAColumn, site: Some(field.site), subject })
    } else {
        watched(cx, target)
    };
    Some(Column { name: field.attname.clone(), identity: field.name.clone(), hazard })
}

/// What runs when an instance of the related model is made, which then no longer happens.
fn watched(cx: &Context<'_>, target: &Model) -> Option<Hazard> {
    let methods = ["from_db", "__init__", "__new__", "__setattr__", "__getattribute__"];
    let overridden = methods.iter().find_map(|method| {
        let site = cx.project.override_of(target.id, method)?;
        Some(Hazard::at(HazardKind::CustomInstance, format!("{}.{method}", target.name), site))
    });
    overridden.or_else(|| {
        [Signal::PreInit, Signal::PostInit].iter().find_map(|signal| {
            let receivers = cx.project.receivers(target.id, *signal);
            let receiver = receivers.first()?;
            Some(Hazard::at(HazardKind::CustomInstance, receiver.name.clone(), receiver.site))
        })
    })
}

/// Whether an instance holds just what `values_list` gives for the field. Conversion by `from_db_value()` is part of the
/// query, and what a field does when it is saved is no matter here.
pub fn is_stored_value(cx: &Context<'_>, field: &Field) -> bool {
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
