//! Nothing that a file can hold makes the parsers panic, recurse without bound or leave the text.

use super::super::*;
use super::in_text;
use proptest::prelude::*;

#[test]
fn depth_and_length_are_bounded() {
    let n = 20_000;
    for language in [Language::Django, Language::Jinja] {
        for text in [
            "{% if a %}".repeat(n),
            "{% x %}".repeat(n) + &"{% endx %}".repeat(n),
            format!("{{{{ a{} }}}}", ".b".repeat(n)),
            format!("{{{{ a{} }}}}", "|b".repeat(n)),
            format!("{{{{ {}a }}}}", "(".repeat(n)),
            format!("{{{{ {}a }}}}", "-".repeat(n)),
            format!("{{{{ {}a }}}}", "not ".repeat(n)),
            format!("{{{{ a{} }}}}", "[a".repeat(n)),
            format!("{{{{ a{} }}}}", " ** a".repeat(n)),
            format!("{{{{ a{} }}}}", " + a".repeat(n)),
            format!("{{{{ {}a{} }}}}", "{a:[".repeat(n), "]}".repeat(n)),
            format!("{{{{ a{} }}}}", " if a else a".repeat(n)),
            format!("{{% if {}a %}}{{% endif %}}", "not ".repeat(n)),
            format!("{{% if a{} %}}{{% endif %}}", " or a".repeat(n)),
            format!("{{% for {}a in b %}}{{% endfor %}}", "(".repeat(n)),
            "{{".repeat(n),
            "{%".repeat(n),
            "{#".repeat(n),
            format!("{{% x {} %}}", "'\\".repeat(n)),
            format!("{{% x {} %}}", "'\\'".repeat(n)),
            format!("{{% x {} %}}", "\"'".repeat(n)),
        ] {
            in_text(&text, &parse(&text, language));
        }
    }
}

fn languages() -> impl Strategy<Value = Language> {
    prop_oneof![Just(Language::Django), Just(Language::Jinja)]
}

/// Pieces of both languages in any order.
fn mixed() -> impl Strategy<Value = String> {
    let pieces = [
        "{%",
        "%}",
        "{{",
        "}}",
        "{#",
        "#}",
        "{%-",
        "-%}",
        " ",
        "\n",
        "\u{a0}",
        "é",
        "a",
        "b.c",
        "a.0",
        "|",
        ":",
        "'",
        "\"",
        "\\",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        "=",
        "==",
        "<",
        "*",
        "**",
        "not",
        "in",
        "is",
        "is not",
        "and",
        "or",
        "if",
        "else",
        "for",
        "as",
        "with",
        "by",
        "reversed",
        "import",
        "_(",
        "-",
        "1",
        "1.5e3",
        "1e",
        "0x",
        "...",
        "{% if a %}",
        "{% elif b %}",
        "{% else %}",
        "{% endif %}",
        "{% for a in b %}",
        "{% empty %}",
        "{% endfor %}",
        "{% with a=b %}",
        "{% endwith %}",
        "{% x a b=c as d %}",
        "{% endx %}",
        "{% block c %}",
        "{% endblock %}",
        "{% comment %}",
        "{% endcomment %}",
        "{% verbatim %}",
        "{% endverbatim %}",
        "{% raw %}",
        "{% endraw %}",
        "{% set a %}",
        "{% endset %}",
        "{% macro m(a, b=1) %}",
        "{% endmacro %}",
        "{% blocktrans count a=b %}",
        "{% plural %}",
        "{% endblocktrans %}",
        "{% filter a %}",
        "{% endfilter %}",
        "{% regroup a by b as c %}",
        "{% include a with b=c only %}",
        "{% call(a) b(c) %}",
        "{% endcall %}",
        "{{ a.b|c:d }}",
        "{{ a[b](c, d=e)|f(g) is h }}",
        "{% trans %}",
        "{% endtrans %}",
        "{% set ",
        "{% for ",
        "{% from ",
        "{% trans ",
        "{% load ",
        "{% regroup ",
        "{% include ",
        "{% blocktrans ",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..60).prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn any_text_is_read(text in any::<String>(), language in languages()) {
        in_text(&text, &parse(&text, language));
    }

    #[test]
    fn any_mix_of_tags_is_read(text in mixed(), language in languages()) {
        in_text(&text, &parse(&text, language));
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300), language in languages()) {
        let text = String::from_utf8_lossy(&bytes);
        in_text(&text, &parse(&text, language));
    }
}
