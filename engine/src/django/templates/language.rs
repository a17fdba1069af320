//! Which language a template is written in, where the settings let it be either.
//!
//! `django_jinja` picks its templates out of the directories of Django's by their names (`match_extension`,
//! `match_regex`), `jingo` and `coffin` are loaders of their own. What the text itself says is as good: each language
//! refuses tags and expressions that are everyday in the other.

use super::ast::Language;
use super::lex::tokens;
use crate::django::Settings;
use crate::python::Program;

/// Packages that load Jinja's templates out of the directories of Django's.
const PACKAGES: [&str; 3] = ["jingo", "coffin", "django_jinja"];

/// Tags that only Jinja has.
const OF_JINJA: [&str; 9] = ["set", "macro", "call", "import", "from", "do", "endset", "endmacro", "endcall"];

/// Tags that only Django has.
const OF_DJANGO: [&str; 10] = [
    "load",
    "url",
    "comment",
    "blocktrans",
    "blocktranslate",
    "ifequal",
    "ifchanged",
    "regroup",
    "empty",
    "firstof",
];

/// Whether a settings module names a package that mixes the languages.
pub(super) fn may_be_mixed(program: &Program, settings: &Settings) -> bool {
    settings.files.iter().any(|file| {
        let text = program.file(*file).source.text();
        PACKAGES.iter().any(|package| text.contains(package))
    })
}

/// The language that more of the text can only be.
pub(super) fn written_in(text: &str) -> Option<Language> {
    let (mut django, mut jinja) = (0usize, 0usize);
    for token in tokens(text, Language::Jinja).0 {
        let inner = text.get(token.inner.range()).unwrap_or("").trim_matches(['-', '+', ' ']);
        let word = inner.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
        let (is_django, is_jinja) = match word {
            _ if token.is_tag && OF_DJANGO.contains(&word) => (true, false),
            _ if token.is_tag && OF_JINJA.contains(&word) => (false, true),
            // `{% trans "Books" %}`; Jinja's text stands behind the tag.
            "trans" | "translate" if token.is_tag => {
                (inner.get(word.len()..).unwrap_or("").trim_start().starts_with(['"', '\'']), false)
            }
            "if" | "elif" | "for" | "with" => expression(inner.get(word.len()..).unwrap_or("")),
            _ if token.is_tag => (false, false),
            _ => expression(inner),
        };
        django += usize::from(is_django);
        jinja += usize::from(is_jinja);
    }
    match django.cmp(&jinja) {
        std::cmp::Ordering::Less => Some(Language::Jinja),
        std::cmp::Ordering::Greater => Some(Language::Django),
        std::cmp::Ordering::Equal => None,
    }
}

/// Whether an expression can only be Django's (`name|date:"Y"`), or only Jinja's (a call, a subscript).
fn expression(text: &str) -> (bool, bool) {
    let (mut is_django, mut is_jinja) = (false, false);
    let mut quote = None;
    let mut filter = false;
    let mut before = ' ';
    for c in text.chars() {
        match quote {
            Some(open) => {
                if c == open && before != '\\' {
                    quote = None;
                }
            }
            None => match c {
                '"' | '\'' => quote = Some(c),
                '|' => filter = true,
                ':' if filter => is_django = true,
                '(' | '[' if before.is_alphanumeric() || matches!(before, '_' | ')' | ']') => is_jinja = true,
                _ if c.is_alphanumeric() || c == '_' => {}
                _ => filter = false,
            },
        }
        before = c;
    }
    (is_django, is_jinja)
}
