//! What is read of templates, in a short form of the tree.

mod index;
mod property;

use super::*;

fn expr(e: &Expr) -> String {
    let list = |items: &[Expr]| items.iter().map(expr).collect::<Vec<_>>().join(" ");
    match &e.kind {
        ExprKind::Name(name) => name.clone(),
        ExprKind::Attribute { value, name } => format!("{}.{name}", expr(value)),
        ExprKind::Item { value, index } => format!("{}[{}]", expr(value), expr(index)),
        ExprKind::Slice { value, bounds } => format!("{}[:{}]", expr(value), list(bounds)),
        ExprKind::Call { func, args } => format!("{}({})", expr(func), arguments(args)),
        ExprKind::Filter { value, name, args } => format!("{}|{name}({})", expr(value), arguments(args)),
        ExprKind::Test { value, name, args } => format!("({} is {name}({}))", expr(value), arguments(args)),
        ExprKind::Str(text) => format!("{text:?}"),
        ExprKind::Int(value) => value.to_string(),
        ExprKind::Float(value) => format!("{value:?}"),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::None => "None".into(),
        ExprKind::Not(value) => format!("(not {})", expr(value)),
        ExprKind::Sign(value) => format!("(sign {})", expr(value)),
        ExprKind::Binary { op, left, right } => format!("({} {op:?} {})", expr(left), expr(right)),
        ExprKind::Conditional { test, body, orelse } => {
            let orelse = orelse.as_ref().map_or(String::new(), |e| expr(e));
            format!("({} if {} else {orelse})", expr(body), expr(test))
        }
        ExprKind::List(items) => format!("[{}]", list(items)),
        ExprKind::Tuple(items) => format!("({})", list(items)),
        ExprKind::Dict(pairs) => {
            let pairs: Vec<String> = pairs.iter().map(|(k, v)| format!("{}:{}", expr(k), expr(v))).collect();
            format!("{{{}}}", pairs.join(" "))
        }
        ExprKind::Body => "BODY".into(),
        ExprKind::Unknown(parts) => format!("?<{}>", list(parts)),
    }
}

fn arguments(args: &[Arg]) -> String {
    let one = |arg: &Arg| match &arg.kind {
        ArgKind::Positional => expr(&arg.value),
        ArgKind::Keyword(name) => format!("{name}={}", expr(&arg.value)),
        ArgKind::Star => format!("*{}", expr(&arg.value)),
        ArgKind::DoubleStar => format!("**{}", expr(&arg.value)),
    };
    args.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn target(t: &Target) -> String {
    match t {
        Target::Name { name, .. } => name.clone(),
        Target::Attribute { object, name, .. } => format!("{object}.{name}"),
        Target::Tuple(all) => format!("({})", all.iter().map(target).collect::<Vec<_>>().join(" ")),
    }
}

fn bound(bindings: &[Binding]) -> String {
    bindings.iter().map(|b| format!("{}={}", target(&b.target), expr(&b.value))).collect::<Vec<_>>().join(" ")
}

fn parameters(params: &[Param]) -> String {
    let one = |p: &Param| match &p.default {
        Some(default) => format!("{}={}", p.name, expr(default)),
        None => p.name.clone(),
    };
    params.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn nodes(all: &[Node]) -> String {
    all.iter().map(node).collect::<Vec<_>>().join(" ")
}

fn node(n: &Node) -> String {
    match &n.kind {
        NodeKind::Output(value) => format!("{{{}}}", expr(value)),
        NodeKind::For { target: t, iter, test, body, empty, is_reversed, is_recursive } => {
            let test = test.as_ref().map_or(String::new(), |e| format!(" if {}", expr(e)));
            let marks = [(*is_reversed, " reversed"), (*is_recursive, " recursive")];
            let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
            format!("for {} in {}{test}{marks} [{}] [{}]", target(t), expr(iter), nodes(body), nodes(empty))
        }
        NodeKind::If { branches, orelse } => {
            let all: Vec<String> =
                branches.iter().map(|(test, body)| format!("{} [{}]", expr(test), nodes(body))).collect();
            format!("if {} else [{}]", all.join(" elif "), nodes(orelse))
        }
        NodeKind::With { bindings, body, as_var } => {
            let as_var = as_var.as_ref().map_or(String::new(), |t| format!(" as {}", target(t)));
            format!("with {} [{}]{as_var}", bound(bindings), nodes(body))
        }
        NodeKind::Include { template, bindings, is_only } => {
            format!("include {} {}{}", expr(template), bound(bindings), if *is_only { " only" } else { "" })
        }
        NodeKind::Extends(parent) => format!("extends {}", expr(parent)),
        NodeKind::Block { name, body } => format!("block {name} [{}]", nodes(body)),
        NodeKind::Regroup { value, key, target: t } => {
            format!("regroup {} by {} as {}", expr(value), expr(key), target(t))
        }
        NodeKind::Set { target: t, value } => format!("set {}={}", target(t), expr(value)),
        NodeKind::SetBlock { target: t, value, body } => {
            format!("set {}={} [{}]", target(t), expr(value), nodes(body))
        }
        NodeKind::Filter { value, body } => format!("filter {} [{}]", expr(value), nodes(body)),
        NodeKind::Macro { name, params, body } => {
            format!("macro {name}({}) [{}]", parameters(params), nodes(body))
        }
        NodeKind::CallBlock { params, call, body } => {
            format!("call ({}) {} [{}]", parameters(params), expr(call), nodes(body))
        }
        NodeKind::Import { template, target: t } => format!("import {} as {}", expr(template), target(t)),
        NodeKind::FromImport { template, names } => {
            let names: Vec<String> = names.iter().map(|(n, t)| format!("{n} as {}", target(t))).collect();
            format!("from {} import {}", expr(template), names.join(" "))
        }
        NodeKind::Load { libraries, names } => format!("load {libraries:?} {names:?}"),
        NodeKind::PartialDef { name, is_inline, body } => {
            format!("partialdef {name} {is_inline} [{}]", nodes(body))
        }
        NodeKind::Partial(name) => format!("partial {name}"),
        NodeKind::Tag(tag) => {
            let as_var = tag.as_var.as_ref().map_or(String::new(), |t| format!(" as {}", target(t)));
            let sections: String = tag
                .sections
                .iter()
                .map(|s| format!(" {}({})[{}]", s.name, arguments(&s.args), nodes(&s.body)))
                .collect();
            format!("<{} {}{as_var}{sections}>", tag.name, arguments(&tag.args))
        }
    }
}

#[track_caller]
fn check(language: Language, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let template = parse(text, language);
        in_text(text, &template);
        let mut shown = nodes(&template.body);
        for problem in &template.problems {
            shown += &format!(" !{:?} {}", problem.kind, &text[problem.span.range()]);
        }
        assert_eq!(shown, *expected, "{text}");
    }
}

/// Every span of a template lies in its text, and those of expressions in the span of their node.
fn in_text(text: &str, template: &Template) {
    let slice = |span: crate::text::Span| {
        assert!(span.start <= span.end, "{span:?} {text:?}");
        assert!(text.get(span.range()).is_some(), "{span:?} {text:?}");
    };
    template.problems.iter().for_each(|p| slice(p.span));
    template.walk(&mut |node| {
        slice(node.span);
        node.for_each_expr(&mut |e| {
            assert!(node.span.contains(e.span), "{:?} {text:?}", e.span);
            e.walk(&mut |part| slice(part.span));
        });
    });
}

#[test]
fn django_expressions() {
    check(
        Language::Django,
        &[
            ("{{ a }}{{a.b.0.c}}", "{a} {a.b[0].c}"),
            ("{{ a|length }}", "{a|length()}"),
            ("{{ a | default : b }}", "{?<a|default()>} !Malformed a | default : b"),
            ("{{ a | default:b.c|date:\"Y m\" }}", "{a|default(b.c)|date(\"Y m\")}"),
            ("{{ a|floatformat:-2 }}{{ 1.5 }}{{ -3 }}", "{a|floatformat(-2)} {1.5} {-3}"),
            ("{{ _('x') }}{{ 'a\\'b' }}{{ \"a b\"|x }}", "{\"x\"} {\"a'b\"} {\"a b\"|x()}"),
            ("{{ True }}{{ None }}{{ true }}", "{true} {None} {true}"),
            ("{{ a b }}{{ }}", "{?<a>} {?<>} !Malformed a b !Malformed "),
            ("{{ é.ü }}", "{é.ü}"),
            ("{{ a.. }}", "{?<>} !Malformed a.."),
        ],
    );
}

#[test]
fn django_text() {
    check(
        Language::Django,
        &[
            ("{{ a\n}} {% if\n %} {# {{ b }} #} { { c } }", ""),
            ("{% comment \"x\" %}{% if %}{{ a }}{% endcomment %}{{ b }}", "{b}"),
            ("{% verbatim %}{{ a }}{% endverbatim %}{{ b }}", "{b}"),
            ("{% verbatim x %}{% endverbatim %}{{ a }}{% endverbatim x %}{{ b }}", "{b}"),
            ("{{{ a }}}", "{?<>} !Malformed { a"),
            ("{{ {% if x %}{{ y }}{% endif %}", "{?<>} !Malformed {% if x %}{{ y !Unexpected {% endif %}"),
            ("{% x {{ a }} %}", "<x ?<> a ?<>>"),
        ],
    );
}

#[test]
fn django_tags() {
    check(
        Language::Django,
        &[
            (
                "{% for b in books %}{{ b.author.name }}{% empty %}{{ c }}{% endfor %}",
                "for b in books [{b.author.name}] [{c}]",
            ),
            ("{% for k ,v in d.items reversed %}{% endfor %}", "for (k v) in d.items reversed [] []"),
            ("{% for x in reversed %}{% endfor %}", "for x in reversed [] []"),
            (
                "{% if a and b or not c|length > 3 %}{{ x }}{% elif d not in e %}{% else %}{{ y }}{% endif %}",
                "if ((a And b) Or (not (c|length() Gt 3))) [{x}] elif (d NotIn e) [] else [{y}]",
            ),
            ("{% if a == 'b or c' %}{% endif %}", "if (a Eq \"b or c\") [] else []"),
            ("{% if a is not None and b is c %}{% endif %}", "if ((a IsNot None) And (b Is c)) [] else []"),
            ("{% with a=b c=d.e|f %}{{ a }}{% endwith %}", "with a=b c=d.e|f() [{a}]"),
            ("{% with b.c as a and d as e %}{% endwith %}", "with a=b.c e=d []"),
            ("{% include 'x.html' with a=b only %}", "include \"x.html\" a=b only"),
            ("{% include t %}", "include t "),
            (
                "{% extends 'x.html' %}{% block a %}{{ block.super }}{% endblock a %}",
                "extends \"x.html\" block a [{block.super}]",
            ),
            (
                "{% regroup books by author.name|lower as groups %}",
                "regroup books by groups.author.name|lower() as groups",
            ),
            (
                "{% load i18n static %}{% load a b from c.d %}",
                "load [\"i18n\", \"static\"] None load [\"c.d\"] Some([\"a\", \"b\"])",
            ),
            ("{% url 'x' a.pk b=c.d as u %}", "<url \"x\" a.pk b=c.d as u>"),
            ("{% filter lower|cut:\"x\" %}{{ a }}{% endfilter %}", "filter BODY|lower()|cut(\"x\") [{a}]"),
            (
                "{% blocktrans trimmed with a=b.c count n=d|length %}{{ a }} {{ e.f }}{% plural %}{{ n }}{% endblocktrans %}",
                "with a=b.c n=d|length() [{a} {n}]",
            ),
            ("{% blocktranslate asvar x %}{% endblocktranslate %}", "with  [] as x"),
            (
                "{% ifchanged a.b %}{{ c }}{% else %}{{ d }}{% endifchanged %}",
                "<ifchanged a.b ()[{c}] else()[{d}]>",
            ),
            (
                "{% card x title=y as z %}{{ a }}{% endcard %}{% card b %}",
                "<card x title=y as z ()[{a}]> <card b>",
            ),
            (
                "{% partialdef row inline %}{{ a }}{% endpartialdef %}{% partial row %}",
                "partialdef row true [{a}] partial row",
            ),
            ("{% cycle a 'b' c as x silent %}", "<cycle a \"b\" c as x silent>"),
            ("{% autoescape off %}{{ a }}{% endautoescape %}", "<autoescape off ()[{a}]>"),
        ],
    );
}

#[test]
fn django_mistakes() {
    check(
        Language::Django,
        &[
            ("{% if a %}{{ b }}", "if a [{b}] else [] !Unclosed {% if a %}"),
            (
                "{% for a in b %}{% if c %}{% endfor %}{{ d }}",
                "for a in b [if c [] else []] [] {d} !Unclosed {% if c %}",
            ),
            ("{% endif %}{{ a }}{% else %}", "{a} !Unexpected {% endif %} !Unexpected {% else %}"),
            ("{% for a b %}{{ c }}{% endfor %}", "for () in ?<> [{c}] [] !Malformed {% for a b %}"),
            ("{% if a b %}{% endif %}", "if ?<a b> [] else [] !Malformed {% if a b %}"),
            ("{% if (a) %}{% endif %}", "if ?<> [] else [] !Malformed {% if (a) %}"),
            ("{% %}{{ a }}", "{a} !Unexpected {% %}"),
        ],
    );
}

#[test]
fn jinja_expressions() {
    check(
        Language::Jinja,
        &[
            ("{{ a.b[0]['c'].d() }}", "{a.b[0][\"c\"].d()}"),
            ("{{- f(a, b=c, *d, **e) -}}", "{f(a b=c *d **e)}"),
            ("{{ a|join(', ')|upper }}", "{a|join(\", \")|upper()}"),
            (
                "{{ a is defined and b is not divisibleby 3 }}",
                "{((a is defined()) And (not (b is divisibleby(3))))}",
            ),
            ("{{ a + b * -c ** 2 ~ d }}", "{(a Add ((b Mult ((sign c) Pow 2)) Concat d))}"),
            ("{{ x if y else z if q }}", "{(x if y else (z if q else ))}"),
            ("{{ not a in b and c not in d }}", "{((not (a In b)) And (c NotIn d))}"),
            ("{{ {'a': {'b': 1}}, [1, 2.5,], (), (a,) }}", "{({\"a\":{\"b\":1}} [1 2.5] () (a))}"),
            ("{{ a[1:2] }}{{ a[:] }}{{ a[1, 2] }}", "{a[:1 2]} {a[:]} {a[(1 2)]}"),
            ("{{ a.0.b }}{{ 'x' 'y' }}", "{a[0].b} {\"xy\"}"),
            ("{{ '}}' }}{{ true }}{{ none }}", "{\"}}\"} {true} {None}"),
            ("{{ a < b < c }}", "{((a Lt b) Lt c)}"),
            (
                "{{ a b }}{{ }}{{ a. }}{{ f(a }}",
                "{?<a>} {?<>} {?<a>} !Malformed a b !Malformed  !Malformed a. !Unclosed {{",
            ),
            ("{{ a\n.b }}", "{a.b}"),
            ("{{ 0x1F + 1_000 }}", "{(31 Add 1000)}"),
        ],
    );
}

#[test]
fn jinja_tags() {
    check(
        Language::Jinja,
        &[
            (
                "{%- for a, (b, c) in d if a.x recursive %}{{ loop(a.y) }}{% else %}{{ e }}{% endfor -%}",
                "for (a (b c)) in d if a.x recursive [{loop(a.y)}] [{e}]",
            ),
            (
                "{% if a: -%}{{ b }}{% elif c : %}{% else: %}{{ d }}{% endif %}",
                "if a [{b}] elif c [] else [{d}]",
            ),
            ("{% set a, b = c.d, 1 %}{% set ns.x = y %}", "set (a b)=(c.d 1) set ns.x=y"),
            ("{% set a | upper %}{{ b }}{% endset %}", "set a=BODY|upper() [{b}]"),
            ("{% macro f(a, b='x') %}{{ a.c }}{% endmacro %}{{ f(d) }}", "macro f(a b=\"x\") [{a.c}] {f(d)}"),
            (
                "{% call(u) f(a) %}{{ u.n }}{% endcall %}{% call g() %}{% endcall %}",
                "call (u) f(a) [{u.n}] call () g() []",
            ),
            (
                "{% import 'm.html' as m %}{% from 'm.html' import a, b as c with context %}",
                "import \"m.html\" as m from \"m.html\" import a as a b as c",
            ),
            ("{% include ['a', b] ignore missing without context %}", "include [\"a\" b]  only"),
            (
                "{% extends base %}{% block x scoped required %}{{ super() }}{% endblock x %}",
                "extends base block x [{super()}]",
            ),
            ("{% with a=b, c=d %}{{ a }}{% endwith %}", "with a=b c=d [{a}]"),
            ("{% filter upper|trim(1) %}{{ a }}{% endfilter %}", "filter BODY|upper()|trim(1) [{a}]"),
            (
                "{% trans trimmed a=b.c, n %}{{ a }}{% pluralize n %}{{ n }}{% endtrans %}",
                "with a=b.c n=n [{a} {n}]",
            ),
            (
                "{% do a.append(b) %}{% autoescape true %}{{ c }}{% endautoescape %}",
                "{a.append(b)} <autoescape true ()[{c}]>",
            ),
            ("{% raw %}{{ a }}{%- endraw %}{{ b }}{# {{ c }} #}", "{b}"),
            (
                "{% cache 300, 'x' ~ a %}{{ b }}{% endcache %}{% csrf_token %}",
                "<cache 300 (\"x\" Concat a) ()[{b}]> <csrf_token >",
            ),
            ("{% for a in b %}{% break %}{% endfor %}", "for a in b [<break >] []"),
            ("{% for x in (a if b else c) %}{% endfor %}", "for x in (a if b else c) [] []"),
        ],
    );
}

#[test]
fn what_extends_and_blocks_are_found() {
    let text = "{% extends 'a' %}{% load x %}{% if y %}{% block b %}{% load z %}{% endblock %}{% endif %}";
    let template = parse(text, Language::Django);
    assert_eq!(template.extends().and_then(Expr::as_str), Some("a"));
    assert_eq!(template.libraries(), ["x", "z"]);
    assert!(template.block("b").is_some() && template.block("c").is_none());
    assert!(has_tags(b"x {{ y") && has_tags(b"{{%") && !has_tags(b"{ a } {# b #}"));
}
