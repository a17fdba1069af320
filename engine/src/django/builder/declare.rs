//! What a class body declares: fields as they are written, and managers.

use super::{Builder, Declared, Field, Manager, RelationKind, Target, Text, lookup, relation};
use crate::django::fields::{self, FieldClass};
use crate::django::made::{self, FieldCall, Given, Made};
use crate::django::{FieldKind, managers};
use crate::python::{ClassId, Def, Expr, Member, Node};
use crate::text::{FileId, Site};

impl<'a> Builder<'a> {
    /// The fields and managers that a class body declares, in order.
    pub(super) fn declarations(&self, class_id: ClassId) -> (Vec<Declared>, Vec<Manager>) {
        let class = self.program.class(class_id);
        let mut fields = Vec::new();
        let mut managers = Vec::new();
        for name in &class.order {
            let Some(Member::Value(value)) = class.members.get(name) else { continue };
            let node = self.values.node(class.file, *value);
            let site = Site { file: class.file, span: node.span() };
            match made::made(self.program, class.file, node) {
                Made::Field(call) => fields.push(self.declared(name, site, &call)),
                Made::Manager(made) => managers.push(made.named(name, site)),
                // What stands where a manager is looked for is taken for one.
                Made::Unknown if managers::is_manager_name(name) => {
                    managers.push(managers::ManagerClass::unknown().named(name, site));
                }
                Made::Unknown | Made::Plain => {}
            }
        }
        (fields, managers)
    }

    fn declared(&self, name: &str, site: Site, made: &FieldCall<'a>) -> Declared {
        let FieldCall { class, given: arguments } = made;
        let defaults = class.class.map_or_else(Vec::new, |c| fields::defaults(self.program, c));
        let given = |key: &str, position: Option<usize>| -> Option<Given<'a>> {
            let preset = defaults.iter().find(|(k, ..)| k == key).map(|(_, file, node, wins)| {
                (Given { file: *file, node: self.values.node(*file, *node), is_local: false }, *wins)
            });
            if let Some((preset, true)) = preset {
                return Some(preset);
            }
            let here = arguments
                .keyword(key)
                .or_else(|| position.and_then(|p| arguments.positional.get(p).copied()));
            here.or_else(|| preset.map(|(given, _)| given))
        };
        let flag = |key: &str| given(key, None).and_then(|g| self.flag(g));
        let string = |g: Given<'a>| if g.is_local { None } else { self.values.string(g.file, g.node) };
        let is_none = |g: &Given<'a>| !g.is_local && matches!(Expr::of(g.node), Expr::None);
        let may_be_set = |key: &str| match given(key, None) {
            Some(given) => self.flag(given).is_none(),
            None => arguments.is_open,
        };
        let is_relation = matches!(
            class.kind,
            FieldKind::ForeignKey
                | FieldKind::ManyToMany
                | FieldKind::GenericForeignKey
                | FieldKind::GenericRelation
        );
        let is_many = class.kind == FieldKind::ManyToMany;
        let is_taggable = class.path.ends_with("TaggableManager");
        let primary_key = flag("primary_key") == Some(true);
        let mut out = Declared {
            field: Field {
                name: name.to_owned(),
                attname: if class.kind == FieldKind::ForeignKey {
                    format!("{name}_id")
                } else {
                    name.to_owned()
                },
                kind: class.kind,
                class: class.path.clone(),
                null: flag("null") == Some(true)
                    || class.kind == FieldKind::GenericRelation
                    || class.path.ends_with(".NullBooleanField"),
                unique: flag("unique") == Some(true) || primary_key || class.is_one_to_one,
                primary_key,
                auto_now: flag("auto_now") == Some(true),
                may_auto_now: has_time(class.kind) && may_be_set("auto_now"),
                auto_now_add: flag("auto_now_add") == Some(true),
                has_default: given("default", None).is_some() || given("db_default", None).is_some(),
                is_auto: false,
                relation: None,
                has_hooks: class.has_hooks,
                functions: ["default", "upload_to"]
                    .into_iter()
                    .filter_map(|key| given(key, None).map(|g| (key, g.file, g.node.id())))
                    .collect(),
                site,
            },
            file: site.file,
            target: None,
            related_name: None,
            related_query_name: None,
            through: None,
            is_hidden: false,
        };
        if !is_relation {
            return out;
        }
        let kind = match class.kind {
            FieldKind::ForeignKey if class.is_one_to_one || self.is_one_to_one(class) => {
                RelationKind::OneToOne
            }
            FieldKind::ForeignKey => RelationKind::ForeignKey,
            FieldKind::ManyToMany => RelationKind::ManyToMany,
            FieldKind::GenericRelation => RelationKind::GenericRelation,
            _ => RelationKind::GenericForeignKey,
        };
        out.field.unique |= kind == RelationKind::OneToOne;
        let mut relation = relation(kind, flag("parent_link") == Some(true));
        if kind != RelationKind::GenericForeignKey {
            let position = if is_taggable { None } else { Some(0) };
            out.target = given("to", position).map(|g| self.target_given(g));
            let is_known_taggable = is_taggable && class.class.is_some();
            if is_known_taggable && out.target.is_none() {
                out.target = Some(Target::Label("taggit.Tag".into()));
            }
            let name_position = match kind {
                RelationKind::ManyToMany if !is_taggable => Some(1),
                RelationKind::ForeignKey if class.class.is_none() => Some(2),
                _ => None,
            };
            out.related_name = given("related_name", name_position)
                .filter(|g| !is_none(g))
                .map(|g| string(g).map_or(Text::Unknown, Text::Known));
            out.related_query_name = given("related_query_name", None).and_then(string);
            relation.db_constraint = flag("db_constraint") != Some(false);
            relation.to_field = given("to_field", None).and_then(string);
            if is_many {
                out.through = given("through", None).filter(|g| !is_none(g)).map(|g| self.target_given(g));
                if is_known_taggable && out.through.is_none() {
                    out.through = Some(Target::Label("taggit.TaggedItem".into()));
                }
                let is_self = matches!(&out.target, Some(Target::Label(l)) if l == "self");
                relation.symmetrical = flag("symmetrical").unwrap_or(is_self) && is_self;
            }
        }
        out.field.relation = Some(relation);
        out
    }

    fn flag(&self, given: Given<'a>) -> Option<bool> {
        if given.is_local { None } else { self.values.flag(given.file, given.node) }
    }

    fn is_one_to_one(&self, class: &FieldClass) -> bool {
        class.class.is_some_and(|c| {
            self.program.inherits(c, "django.db.models.OneToOneField")
                || self
                    .program
                    .class(c)
                    .mro
                    .iter()
                    .any(|a| self.program.class_path(*a) == "django.db.models.OneToOneField")
        })
    }

    fn target_given(&self, given: Given<'a>) -> Target {
        if given.is_local {
            return Target::Unknown(given.node.text().to_owned());
        }
        self.target_of(given.file, given.node)
    }

    fn target_of(&self, file: FileId, node: Node<'a>) -> Target {
        if let Some(label) = self.values.string(file, node) {
            return Target::Label(label);
        }
        if let Some(label) = lookup::looked_up(self.values, file, node) {
            return Target::Label(label);
        }
        match self.program.resolve_expr(file, node.id()) {
            Some(Def::Class(class)) => Target::Class(class),
            Some(Def::Variable { file, value: Some(value) }) => {
                let inner = self.values.node(file, value);
                if matches!(Expr::of(inner), Expr::Call { .. }) {
                    return self.target_of(file, inner);
                }
                Target::Unknown(node.text().to_owned())
            }
            Some(Def::External(path)) => Target::Unknown(path),
            _ => Target::Unknown(node.text().to_owned()),
        }
    }
}

/// Whether a column of this kind may be set to the time of each `save()`.
fn has_time(kind: FieldKind) -> bool {
    matches!(kind, FieldKind::Date | FieldKind::DateTime | FieldKind::Time | FieldKind::Other)
}
