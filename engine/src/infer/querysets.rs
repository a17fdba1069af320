//! Methods of querysets: the states that they make, and what they ask of the database.

use super::calls::Arg;
use super::facts::{Escape, EventKind, Made, Use, Write};
use super::frame::Frame;
use super::members::column_type;
use super::types::{Instance, Name, QuerySet, QuerySetClass, Root, Rows, Trait, Type, ValueId};
use crate::python::{Expr, Member, Node, string_value};
use smallvec::SmallVec;
use std::sync::Arc;

impl<'a> Frame<'a, '_> {
    pub(super) fn queryset_method(
        &mut self,
        qs: &Arc<QuerySet>,
        name: &str,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Type {
        if let QuerySetClass::Custom(class) = qs.class
            && let Some((_, Member::Function(function, _))) = self.az.project.program().member(class, name)
        {
            let function = *function;
            self.use_queryset(qs, node, Use::Method(Name::from(name)));
            return self.call_function(function, Some(Type::QuerySet(qs.clone())), args, node);
        }
        if !is_queryset_method(name) {
            self.use_queryset(qs, node, Use::Other);
            return self.call_unknown(name, args, node);
        }
        self.builtin_queryset_method(qs, name, args, node)
    }

    /// Whether `ty` is a queryset without such a method: where it may be something else as well, it is that.
    pub(super) fn lacks_method(&self, ty: &Type, name: &str) -> bool {
        let Type::QuerySet(qs) = ty else { return false };
        let program = self.az.project.program();
        let has = |class| {
            program.class(class).has_unknown_base
                || ["__getattr__", name].iter().any(|n| program.member(class, n).is_some())
        };
        !is_queryset_method(name)
            && !name.starts_with('_')
            && match qs.class {
                QuerySetClass::Plain => true,
                QuerySetClass::Custom(class) => !has(class),
                QuerySetClass::Unknown => false,
            }
    }

    pub(super) fn derive(
        &mut self,
        qs: &Arc<QuerySet>,
        node: Node<'a>,
        change: impl FnOnce(&mut QuerySet),
    ) -> Type {
        let parent = self.single(qs, node);
        let value = self.value_at(node, Made::Unknown, Some(parent));
        let mut out = (**qs).clone();
        change(&mut out);
        out.values = SmallVec::from_slice(&[value]);
        let out = Arc::new(out);
        self.set_queryset(value, &out);
        Type::QuerySet(out)
    }

    pub(super) fn slice(&mut self, node: Node<'a>, qs: &Arc<QuerySet>, index: Node<'a>) -> Type {
        self.use_queryset(qs, node, Use::Slice);
        // A step evaluates at once and gives a list.
        if index.text().matches(':').count() > 1 {
            self.evaluated(qs, node, "__getitem__");
            let value = self.single(qs, node);
            return Type::list(super::frame::row_type(qs, value));
        }
        self.derive(qs, node, |q| {
            q.traits.insert(Trait::Sliced);
        })
    }

    pub(super) fn combine(&mut self, node: Node<'a>, a: Arc<QuerySet>, b: Arc<QuerySet>) -> Type {
        self.use_queryset(&a, node, Use::Method(Name::from("__or__")));
        self.use_queryset(&b, node, Use::Method(Name::from("__or__")));
        self.derive(&a, node, |q| {
            q.related = None;
            q.traits.extend(b.traits.iter().copied());
            q.traits.remove(&Trait::Empty);
            q.traits.insert(Trait::Mysterious);
        })
    }

    pub(super) fn builtin_queryset_method(
        &mut self,
        qs: &Arc<QuerySet>,
        name: &str,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Type {
        self.use_queryset(qs, node, Use::Method(Name::from(name)));
        // Querysets given to lookups become subqueries: they are used, not evaluated.
        for arg in args {
            if let Type::QuerySet(other) = &arg.ty {
                let other = other.clone();
                self.use_queryset(&other, arg.node, Use::Method(Name::from("__subquery__")));
            }
        }
        let joined = self.joined_by(qs.model, args);
        let repeats = !qs.is(Trait::ToMany) && self.repeats_rows(qs.model, name, args);
        let hides = !qs.is(Trait::OpaqueLookup) && self.hides_lookups(name, args);
        let with_joins;
        let qs = if joined.is_subset(&qs.joined) && !repeats && !hides {
            qs
        } else {
            let mut more = (**qs).clone();
            more.joined.extend(joined);
            if repeats {
                more.traits.insert(Trait::ToMany);
            }
            if hides {
                more.traits.insert(Trait::OpaqueLookup);
            }
            with_joins = Arc::new(more);
            &with_joins
        };
        let literals: Vec<Option<Name>> =
            args.iter().map(|a| string_value(a.node).map(|s| Name::from(s.as_str()))).collect();
        if name != "all" && qs.related.is_some() && is_chain_method(name) {
            self.evaluated(qs, node, name);
        }
        let model = qs.model;
        let single = |frame: &mut Self, optional: bool| {
            let ty = match &qs.rows {
                Rows::Instances => {
                    let value = frame.value_at(node, Made::Loaded, None);
                    Type::Instance(Instance::root(model, Root::Value(value)))
                }
                other => {
                    super::frame::row_type(&QuerySet { rows: other.clone(), ..(**qs).clone() }, ValueId(0))
                }
            };
            if optional { ty.optional() } else { ty }
        };
        match name {
            "all" => {
                // Of a manager it gives what was prefetched, of a queryset it makes one that asks anew.
                let is_copy = match Expr::of(node) {
                    Expr::Call { func, .. } => match Expr::of(func) {
                        Expr::Attribute { value, .. } => {
                            matches!(self.facts.type_of(value), Type::QuerySet(_))
                        }
                        _ => false,
                    },
                    _ => false,
                };
                self.derive(qs, node, |q| {
                    if is_copy {
                        q.related = None;
                    }
                })
            }
            "filter" | "exclude" | "complex_filter" => {
                let raw = args.iter().any(is_raw);
                let key = self.az.project.model(model).primary_key().map_or("id", |f| f.name.as_str());
                let is_key = |arg: &Arg<'_>| {
                    let name = arg.name.unwrap_or_default();
                    let name = name.strip_suffix("__exact").unwrap_or(name);
                    name == "pk" || name == key
                };
                let is_one = name == "filter" && args.iter().any(is_key);
                self.derive(qs, node, |q| {
                    q.related = None;
                    if is_one {
                        q.traits.insert(Trait::OneRow);
                    }
                    if raw {
                        q.traits.insert(Trait::RawSql);
                    }
                })
            }
            "order_by" | "reverse" => self.derive(qs, node, |q| {
                q.related = None;
                if args.iter().any(is_raw) {
                    q.traits.insert(Trait::RawSql);
                }
                if name == "order_by" && !q.is(Trait::Sliced) {
                    q.traits.remove(&Trait::OrderedSometimes);
                }
                if name == "order_by" && args.is_empty() {
                    q.traits.remove(&Trait::Ordered);
                    q.traits.insert(Trait::Unordered);
                } else {
                    if name == "reverse" && !q.is(Trait::Ordered) {
                        q.traits.insert(Trait::Reversed);
                    } else if name == "order_by" {
                        q.traits.remove(&Trait::Reversed);
                    }
                    q.traits.remove(&Trait::Unordered);
                    q.traits.insert(Trait::Ordered);
                }
            }),
            "select_related" => {
                let clears = matches!(args, [only] if matches!(Expr::of(only.node), Expr::None));
                let names = self.names_given(args);
                self.derive(qs, node, |q| {
                    q.related = None;
                    match (clears, args.is_empty(), names) {
                        (true, _, _) => {
                            q.selected.clear();
                            q.traits.remove(&Trait::BareSelectRelated);
                            q.traits.insert(Trait::Forgetful);
                        }
                        (_, true, _) => {
                            q.traits.insert(Trait::BareSelectRelated);
                        }
                        (_, _, Some(names)) => q.selected.extend(names),
                        _ => {
                            q.traits.insert(Trait::Mysterious);
                        }
                    }
                })
            }
            "prefetch_related" => {
                let clears = matches!(args, [only] if matches!(Expr::of(only.node), Expr::None));
                let is_object = |a: &Arg<'a>| a.stars == 0 && matches!(a.ty, Type::Prefetch(_));
                let (objects, others): (Vec<Arg<'a>>, Vec<Arg<'a>>) =
                    args.iter().cloned().partition(is_object);
                let names = self.lookups_given(&others);
                let mut with_objects = (**qs).clone();
                for object in &objects {
                    if let Type::Prefetch(object) = &object.ty {
                        self.add_prefetch(&mut with_objects, object);
                    }
                }
                self.derive(qs, node, |q| {
                    (q.prefetched, q.lists) = (with_objects.prefetched, with_objects.lists);
                    q.traits = with_objects.traits;
                    q.related = None;
                    if clears {
                        q.traits.insert(Trait::Forgetful);
                        q.prefetched.clear();
                        q.lists.clear();
                        return;
                    }
                    for name in names {
                        match name {
                            Some(name) => {
                                q.prefetched.insert(name);
                            }
                            None => {
                                q.traits.insert(Trait::OpaquePrefetch);
                            }
                        }
                    }
                })
            }
            "only" | "defer" => {
                let names = self.names_given(args);
                let sign = if name == "only" { '+' } else { '-' };
                self.derive(qs, node, |q| {
                    q.related = None;
                    q.traits.insert(Trait::Deferred);
                    match names {
                        Some(names) => {
                            q.deferred.extend(names.iter().map(|n| Name::from(format!("{sign}{n}"))))
                        }
                        None => {
                            q.traits.insert(Trait::Mysterious);
                        }
                    }
                })
            }
            "annotate" | "alias" => {
                let names: Vec<Name> = args.iter().filter_map(|a| a.name.map(Name::from)).collect();
                let positional = args.iter().any(|a| a.name.is_none());
                let raw = args.iter().any(is_raw);
                let filtered_relation = args.iter().any(|a| a.node.text().contains("FilteredRelation"));
                self.derive(qs, node, |q| {
                    q.related = None;
                    if q.rows == Rows::Dicts || q.rows == Rows::Tuples {
                        q.traits.insert(Trait::Grouped);
                    }
                    q.traits.insert(Trait::Annotated);
                    if positional {
                        q.traits.insert(Trait::Mysterious);
                    }
                    if raw {
                        q.traits.insert(Trait::RawSql);
                    }
                    if filtered_relation {
                        q.traits.insert(Trait::FilteredRelation);
                    }
                    q.annotations.extend(names);
                })
            }
            "distinct" => self.derive(qs, node, |q| {
                q.related = None;
                q.traits.insert(if args.is_empty() { Trait::Distinct } else { Trait::DistinctOn });
            }),
            "using" => self.derive(qs, node, |q| {
                q.related = None;
                q.traits.insert(Trait::Using);
            }),
            "select_for_update" => self.derive(qs, node, |q| {
                q.related = None;
                let of = args.iter().any(|a| a.name == Some("of") || a.stars > 0);
                q.traits.insert(if of { Trait::LockedOf } else { Trait::Locked });
            }),
            "none" => self.derive(qs, node, |q| {
                q.related = None;
                q.traits.insert(Trait::Empty);
            }),
            "union" | "intersection" | "difference" => self.derive(qs, node, |q| {
                q.related = None;
                q.traits.remove(&Trait::Empty);
                q.traits.insert(Trait::Combined);
            }),
            "extra" => self.derive(qs, node, |q| {
                q.related = None;
                q.traits.insert(Trait::RawSql);
            }),
            "raw" => self.derive(qs, node, |q| {
                q.related = None;
                q.traits.insert(Trait::Raw);
            }),
            "values" => self.derive(qs, node, |q| {
                q.related = None;
                q.rows = Rows::Dicts;
            }),
            "values_list" => {
                let flat = args.iter().any(|a| a.name == Some("flat") && a.node.text() == "True");
                let named = args.iter().any(|a| a.name == Some("named"));
                let column = literals.first().cloned().flatten();
                let ty = column.and_then(|c| self.lookup_type(model, &c)).unwrap_or(Type::Unknown);
                self.derive(qs, node, |q| {
                    q.related = None;
                    q.rows = match (flat, named) {
                        (true, false) => Rows::Flat(Arc::new(ty)),
                        (false, false) => Rows::Tuples,
                        _ => Rows::Unknown,
                    };
                })
            }
            "dates" | "datetimes" => self.derive(qs, node, |q| {
                q.related = None;
                q.traits.insert(Trait::Dates);
                q.rows = Rows::Unknown;
            }),
            "iterator" | "aiterator" => {
                self.evaluated(qs, node, "iterator");
                self.use_queryset(qs, node, Use::Iterate);
                let value = self.single(qs, node);
                Type::iterator(super::frame::row_type(qs, value))
            }
            "get" | "aget" => {
                self.evaluated(qs, node, name);
                self.event(node, EventKind::Raise);
                single(self, false)
            }
            "first" | "last" | "afirst" | "alast" => {
                self.evaluated(qs, node, name);
                single(self, true)
            }
            "earliest" | "latest" | "aearliest" | "alatest" => {
                self.evaluated(qs, node, name);
                self.event(node, EventKind::Raise);
                single(self, false)
            }
            "count" | "acount" => {
                self.evaluated(qs, node, name);
                Type::Int
            }
            "exists" | "aexists" | "contains" | "acontains" => {
                self.evaluated(qs, node, name);
                Type::Bool
            }
            "aggregate" | "aaggregate" => {
                self.evaluated(qs, node, name);
                Type::dict(Type::Str, Type::Unknown)
            }
            "in_bulk" | "ain_bulk" => {
                self.evaluated(qs, node, name);
                let value = self.single(qs, node);
                let key = self.az.project.model(model).primary_key().map_or(Type::Unknown, column_type);
                Type::dict(key, super::frame::row_type(qs, value))
            }
            "create" | "acreate" => {
                let instance = self.created(model, args, node);
                Type::Instance(instance)
            }
            "get_or_create" | "update_or_create" | "aget_or_create" | "aupdate_or_create" => {
                self.evaluated(qs, node, name);
                let instance = self.created(model, args, node);
                if name.contains("update") {
                    self.written(&Instance::root(model, Root::Opaque), Write::Update, node);
                }
                if let Root::Value(v) = instance.root
                    && let Some(value) = self.facts.values.get_mut(v.0 as usize)
                {
                    value.made = Made::Loaded;
                }
                Type::Tuple(vec![Type::Instance(instance), Type::Bool].into())
            }
            "bulk_create" | "abulk_create" => {
                for arg in args {
                    self.escape(&arg.ty.clone(), arg.node, Escape::Store);
                }
                self.event(node, EventKind::Write { model: Some(model), write: Write::Insert });
                args.first().map_or(Type::Unknown, |a| a.ty.clone())
            }
            "bulk_update" | "abulk_update" => {
                self.event(node, EventKind::Write { model: Some(model), write: Write::Update });
                Type::Int
            }
            "update" | "aupdate" => {
                self.event(node, EventKind::Write { model: Some(model), write: Write::Update });
                Type::Int
            }
            "delete" | "adelete" => {
                self.written(&Instance::root(model, Root::Opaque), Write::Delete, node);
                // A cascade deletes rows of other tables as well.
                self.event(node, EventKind::Write { model: None, write: Write::Delete });
                Type::Unknown
            }
            "explain" | "resolve_expression" | "as_manager" => Type::Unknown,
            _ => Type::Unknown,
        }
    }
}

/// Whether an argument is, or holds, SQL written by hand.
fn is_raw(arg: &Arg<'_>) -> bool {
    arg.node.text().contains("RawSQL") || matches!(&arg.ty, Type::External(path) if path.ends_with("RawSQL"))
}

/// The expression before the last dot of a called attribute.
pub(super) fn func_owner<'a>(func: Node<'a>) -> Node<'a> {
    match Expr::of(func) {
        Expr::Attribute { value, .. } => value.peel(),
        _ => func,
    }
}

fn is_chain_method(name: &str) -> bool {
    matches!(
        name,
        "filter"
            | "exclude"
            | "complex_filter"
            | "order_by"
            | "reverse"
            | "select_related"
            | "prefetch_related"
            | "only"
            | "defer"
            | "annotate"
            | "alias"
            | "distinct"
            | "using"
            | "select_for_update"
            | "none"
            | "union"
            | "intersection"
            | "difference"
            | "extra"
            | "values"
            | "values_list"
            | "dates"
            | "datetimes"
    )
}

/// Methods that Django's QuerySet has.
pub fn is_queryset_method(name: &str) -> bool {
    is_chain_method(name)
        || matches!(
            name.strip_prefix('a').filter(|n| *n != "ll" && *n != "lias" && *n != "nnotate").unwrap_or(name),
            "all"
                | "raw"
                | "get"
                | "first"
                | "last"
                | "earliest"
                | "latest"
                | "count"
                | "exists"
                | "contains"
                | "aggregate"
                | "in_bulk"
                | "iterator"
                | "create"
                | "get_or_create"
                | "update_or_create"
                | "bulk_create"
                | "bulk_update"
                | "update"
                | "delete"
                | "explain"
                | "resolve_expression"
        )
        || name == "aggregate"
        || name == "all"
}
