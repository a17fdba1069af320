//! The object that a class-based view is about.

use crate::codemod::Context;
use crate::python::{ClassId, Expr, Node, arguments};

/// Whether `self.get_object()` or `super().get_object()` is a view's own, which reads the row anew whenever it is called
/// (`SingleObjectMixin`, Django 4.2 to 6.0; `GenericAPIView` of Django REST framework), without a lock.
pub fn is_view_object<'a>(cx: &Context<'a>, call: Node<'a>, receiver: Node<'a>) -> bool {
    let Some(class) = class_around(cx, call) else { return false };
    let is_super = match Expr::of(receiver) {
        Expr::Name("self") => false,
        Expr::Call { func, arguments: list }
            if matches!(Expr::of(func), Expr::Name("super")) && arguments(list).is_empty() =>
        {
            true
        }
        _ => return false,
    };
    let program = cx.project.program();
    let info = program.class(class);
    let own = |c: &ClassId| !cx.project.is_known_file(program.class(*c).file);
    let defines = info
        .mro
        .iter()
        .filter(|c| own(c) && !(is_super && **c == class))
        .any(|c| program.class(*c).members.contains_key("get_object"));
    let locks = || view_texts(cx, class).any(|text| text.contains("select_for_update"));
    !defines && !info.has_unknown_base && cx.type_of(call).instance().is_some() && !locks()
}

/// The class of the method that the frame is.
fn class_around<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<ClassId> {
    let program = cx.project.program();
    let function = program.function_at(cx.file, node.enclosing_function()?.id())?;
    program.function(function).class
}

/// The texts of a class and of what it inherits from, as far as the project has them.
fn view_texts<'a>(cx: &Context<'a>, class: ClassId) -> impl Iterator<Item = &'a str> {
    let program = cx.project.program();
    program.class(class).mro.iter().filter_map(move |c| {
        let info = program.class(*c);
        (!cx.project.is_known_file(info.file)).then(|| program.file(info.file).node(info.node).text())
    })
}

/// Whether the queryset of a view certainly gives whole rows of the default database.
pub fn is_whole(cx: &Context<'_>, call: Node<'_>) -> bool {
    let Some(instance) = cx.type_of_any(call).instance() else { return false };
    let plain = cx.project.is_plain_manager(instance.model, &cx.model(instance.model).default_manager);
    let Some(class) = class_around(cx, call) else { return false };
    let limits = ["only(", "defer(", "using(", "raw("];
    plain && !view_texts(cx, class).any(|text| limits.iter().any(|l| text.contains(l)))
}
