//! Pages that stand alone: style, script and data are in the one file, and its policy lets the browser load nothing else.
//! Data from a project is data only: it stands in a JSON block that no text in it can leave.

use crate::escape::escape_line;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use miette::miette;
use serde::Serialize;
use sha2::{Digest, Sha256};

const FRAME: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What is particular about a page; none of it comes from a project.
pub struct Page {
    pub title: &'static str,
    pub body: &'static str,
    /// What it adds to the style and the script that all pages have.
    pub style: &'static str,
    pub script: &'static str,
}

/// What could change behaviour, escaped for showing.
#[derive(Serialize)]
pub struct HazardView {
    kind: String,
    message: String,
    place: Option<String>,
}

impl HazardView {
    /// Of a hazard that may have a place: a path, and a line there.
    pub fn new(kind: &str, message: &str, path: Option<&str>, line: Option<u32>) -> HazardView {
        let shown = |text: &str| escape_line(text).into_owned();
        let place = path.map(|path| match line {
            Some(line) => format!("{}:{line}", escape_line(path)),
            None => shown(path),
        });
        HazardView { kind: shown(kind), message: shown(message), place }
    }
}

impl Page {
    /// The page over `data`, which its script reads.
    pub fn render(&self, data: &impl Serialize) -> miette::Result<String> {
        let data =
            serde_json::to_string(data).map_err(|error| miette!("cannot write the page's data: {error}"))?;
        // A browser hashes what it read, and it reads every newline as LF.
        let join = |common: &str, own: &str| format!("{common}\n{own}").replace("\r\n", "\n");
        let (style, script) = (join(STYLE, self.style), join(SCRIPT, self.script));
        let policy = format!(
            "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
            hash(&style),
            hash(&script)
        );
        let data = inert(&data);
        let mut page = String::with_capacity(data.len() + style.len() + script.len() + 4096);
        let mut parts = FRAME.split("{{");
        page.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
            page.push_str(match name {
                "policy" => &policy,
                "title" => self.title,
                "style" => &style,
                "body" => self.body,
                "data" => &data,
                "script" => &script,
                _ => "",
            });
            page.push_str(rest);
        }
        Ok(page)
    }
}

/// The source expression of the policy that lets `text` run.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// The same JSON without a character that means something in HTML or ends a line of JavaScript. They stand in strings only.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 16);
    for c in json.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Page = Page { title: "t", body: "<main></main>", style: "b {}", script: "run();" };

    #[test]
    fn data_cannot_leave_its_block() {
        let hostile = "</script><script>alert(1)</script><!--\u{2028}\u{2029}&amp;{{script}}";
        let page = PAGE.render(&[hostile]).unwrap();
        assert_eq!(page.matches("</script>").count(), 2);
        assert!(!page.contains("alert(1)</") && !page.contains('\u{2028}') && !page.contains("&amp;"));
        let (_, data) = page.split_once("id=\"data\">").unwrap();
        let data: Vec<String> = serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
        assert_eq!(data, [hostile]);
    }

    #[test]
    fn every_part_is_in_its_place() {
        let page = PAGE.render(&()).unwrap();
        assert_eq!(page.matches("{{").count(), 0, "a part of the frame is not known");
        for part in ["<title>t</title>", "<main></main>", "\nb {}</style>", "\nrun();</script>"] {
            assert!(page.contains(part), "{part}");
        }
        for block in ["<style>", "<script>"] {
            let (_, text) = page.split_once(block).unwrap();
            let (text, _) = text.split_once("</").unwrap();
            assert!(page.contains(&format!("'{}'", hash(text))), "{block}");
        }
    }

    #[test]
    fn nothing_of_a_page_is_somewhere_else() {
        for text in [FRAME, STYLE, SCRIPT] {
            for link in ["http:", "https:", "//cdn", "url(", "@import", " src=", "innerHTML", "</script>\""] {
                assert!(!text.contains(link), "{link}");
            }
        }
    }
}
