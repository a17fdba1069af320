//! Writes of rows whose model is not known: forms, views of Django's, names. They are told apart by their spelling.

use super::identity::{Identity, identity_of, mentions};
use super::items::{How, Item, OBJECT};
use ormend_engine::codemod::Context;
use ormend_engine::infer::Type;
use ormend_engine::python::{Expr, Kind, Node, Stmt, arguments};

/// Rows that are written by something whose model is not known: `old.delete()`, a form, a view of Django's. They count
/// where another write names the same thing.
pub fn spelled<'a>(cx: &Context<'a>, item: &mut Item<'a>, value: Node<'a>, attr: &str, list: Node<'a>) {
    let ty = cx.type_of(value).without_none();
    let arguments = arguments(list);
    let is_form = match ty {
        Type::Object(class) => {
            cx.project.program().class(*class).external_bases.iter().any(|b| b.starts_with("django.forms"))
        }
        _ => false,
    };
    match (ty, attr) {
        (Type::Super(class, _), "form_valid") => {
            let info = cx.project.program().class(*class);
            let saves = |base: &String| {
                base.starts_with("django.views.generic")
                    && ["CreateView", "UpdateView", "ModelFormMixin"].iter().any(|n| base.ends_with(n))
            };
            if info.external_bases.iter().any(saves) {
                item.how = How::Update;
                item.rows.push(Identity::Word(OBJECT.to_owned()));
            }
        }
        (Type::Unknown | Type::External(_), "save" | "delete") | (Type::Object(_), "save")
            if is_form || !matches!(ty, Type::Object(_)) =>
        {
            if arguments.iter().any(|a| a.name == Some("commit") || a.name.is_none()) {
                return;
            }
            item.how = match attr {
                "delete" => How::Delete,
                _ if is_form && is_new(item, value) => How::Insert,
                _ => How::Update,
            };
            if let Type::Instance(instance) = cx.type_of(item.call).without_none() {
                item.models.push(instance.model);
                item.rows.extend(identity_of(instance));
            }
            if !is_form && matches!(ty, Type::Unknown) {
                item.rows.push(Identity::Word(value.peel().text().to_owned()));
                item.rows.extend(followed(value).map(Identity::Word));
            }
            if let Some(Stmt::Assign { targets, value, .. }) = item.call.statement().map(Stmt::of)
                && value.is_some_and(|v| v.peel() == item.call)
            {
                item.rows.extend(targets.iter().map(|t| Identity::Word(t.text().to_owned())));
            }
            given_instance(item, value);
            if !item.mentions.is_empty() {
                // Rows of a formset, which point at its instance.
                item.how = How::Insert;
            }
            given_columns(cx, item, value);
        }
        // The links of the row that `form.save(commit=False)` gave.
        (Type::Unknown | Type::External(_) | Type::Object(_), "save_m2m")
            if is_form || !matches!(ty, Type::Object(_)) =>
        {
            item.how = How::Link;
            given_back(cx, item, value);
        }
        _ => {}
    }
}

/// The statements of the function before the write.
fn before<'a>(item: &Item<'a>) -> impl Iterator<Item = Node<'a>> + use<'a> {
    let call = item.call.id();
    item.call
        .enclosing_function()
        .into_iter()
        .flat_map(|f| f.descendants())
        .take_while(move |n| n.id() < call)
        .filter(|n| n.kind() == Kind::ExprStatement)
}

/// Whether a form was made here without a row that it changes.
fn is_new<'a>(item: &Item<'a>, form: Node<'a>) -> bool {
    before(item).any(|node| {
        let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(node) else { return false };
        let Expr::Call { arguments: list, .. } = Expr::of(value) else { return false };
        targets.iter().any(|t| t.text() == form.peel().text())
            && arguments(list).iter().all(|a| a.stars == 0 && a.name != Some("instance"))
    })
}

/// What a name was followed from, where one statement of the function binds it: `author = self.object.author`.
fn followed(name: Node<'_>) -> Option<String> {
    let Expr::Name(text) = Expr::of(name) else { return None };
    let function = name.enclosing_function()?;
    let mut bindings = function.mentions(text).filter(|n| n.is_binding());
    let statement = bindings.next()?.statement().filter(|_| bindings.next().is_none())?;
    let Stmt::Assign { value: Some(value), .. } = Stmt::of(statement) else { return None };
    let is_path = value.peel().kind() == Kind::Attribute
        && value.descendants().all(|n| matches!(n.kind(), Kind::Attribute | Kind::Name));
    is_path.then(|| value.peel().text().to_owned())
}

/// `profile.user = user` before `profile.save()`, of a row whose model is not known.
fn given_columns<'a>(cx: &Context<'a>, item: &mut Item<'a>, row: Node<'a>) {
    for node in before(item) {
        let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(node) else { continue };
        let is_column = targets.iter().any(|t| {
            matches!(Expr::of(*t), Expr::Attribute { value: owner, .. } if owner.peel().text() == row.peel().text())
        });
        if is_column {
            mentions(cx, value, &mut item.mentions, 0);
            if matches!(Expr::of(value), Expr::Name(_) | Expr::Attribute { .. }) {
                item.mentions.push(Identity::Word(value.peel().text().to_owned()));
            }
        }
    }
}

/// The row that a form gave back: `book = form.save(commit=False)`.
fn given_back<'a>(cx: &Context<'a>, item: &mut Item<'a>, form: Node<'a>) {
    for node in before(item) {
        let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(node) else { continue };
        let Expr::Call { func, .. } = Expr::of(value) else { continue };
        let Expr::Attribute { value: owner, attr: "save", .. } = Expr::of(func) else { continue };
        if owner.peel().text() != form.peel().text() {
            continue;
        }
        if let Type::Instance(instance) = cx.type_of(value).without_none() {
            item.mentions.extend(identity_of(instance));
        }
        item.mentions.extend(targets.iter().map(|t| Identity::Word(t.text().to_owned())));
    }
}

/// `formset = BookFormSet(data, instance=self.object)`, `formset.instance = self.object`
fn given_instance<'a>(item: &mut Item<'a>, form: Node<'a>) {
    let is_form = |node: Node<'_>| node.peel().text() == form.peel().text();
    for node in before(item) {
        let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(node) else { continue };
        let mut given = Vec::new();
        for target in targets {
            match Expr::of(target) {
                Expr::Attribute { value: owner, attr: "instance", .. } if is_form(owner) => given.push(value),
                _ if is_form(target) => {
                    if let Expr::Call { arguments: list, .. } = Expr::of(value) {
                        given.extend(
                            arguments(list).iter().filter(|a| a.name == Some("instance")).map(|a| a.value),
                        );
                    }
                }
                _ => {}
            }
        }
        for value in given {
            item.mentions.push(Identity::Word(value.peel().text().to_owned()));
        }
    }
}
