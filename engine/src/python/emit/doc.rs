//! Calls and comprehensions as black prints them, nested ones included.

/// A piece of an expression that can be broken over lines.
#[derive(Clone, Debug)]
pub enum Doc {
    /// As it is.
    Text(String),
    /// `open item, item close`
    Bracket {
        /// `Author(`, `[`
        open: String,
        /// What stands between.
        items: Vec<Doc>,
        /// `)`, `]`
        close: String,
        /// A trailing comma keeps one item a line.
        magic: bool,
    },
    /// `element for x in y if z`, without brackets.
    Comprehension {
        /// What is made.
        element: Box<Doc>,
        /// The clauses.
        clauses: Vec<String>,
    },
}

impl Doc {
    /// A call.
    pub fn call(callee: &str, items: Vec<Doc>, magic: bool) -> Doc {
        Doc::Bracket { open: format!("{callee}("), items, close: ")".to_owned(), magic }
    }

    fn is_forced(&self) -> bool {
        match self {
            Doc::Text(text) => text.contains('\n'),
            Doc::Bracket { items, magic, .. } => *magic || items.iter().any(Doc::is_forced),
            Doc::Comprehension { element, clauses } => {
                element.is_forced() || clauses.iter().any(|c| c.contains('\n'))
            }
        }
    }

    fn flat(&self) -> String {
        match self {
            Doc::Text(text) => text.clone(),
            Doc::Bracket { open, items, close, .. } => {
                let items: Vec<String> = items.iter().map(Doc::flat).collect();
                format!("{open}{}{close}", items.join(", "))
            }
            Doc::Comprehension { element, clauses } => format!("{} {}", element.flat(), clauses.join(" ")),
        }
    }

    /// Printed with `prefix` before it on its first line and `suffix` after it on its last, at `indent`.
    pub fn print(&self, indent: &str, unit: &str, prefix: &str, suffix: &str, length: usize) -> String {
        let one = format!("{prefix}{}{suffix}", self.flat());
        if !self.is_forced() && width(indent) + one.chars().count() <= length {
            return one;
        }
        let deeper = format!("{indent}{unit}");
        match self {
            Doc::Text(_) => one,
            Doc::Bracket { open, items, close, magic } => {
                let forced = items.iter().any(Doc::is_forced);
                let joined: Vec<String> = items.iter().map(Doc::flat).collect();
                let joined = joined.join(", ");
                if !magic && !forced && width(&deeper) + joined.chars().count() <= length {
                    return format!("{prefix}{open}\n{deeper}{joined}\n{indent}{close}{suffix}");
                }
                let comma = if items.len() > 1 || *magic { "," } else { "" };
                let mut out = format!("{prefix}{open}\n");
                for item in items {
                    out.push_str(&deeper);
                    out.push_str(&item.print(&deeper, unit, "", comma, length));
                    out.push('\n');
                }
                out.push_str(indent);
                out.push_str(close);
                out.push_str(suffix);
                out
            }
            Doc::Comprehension { element, clauses } => {
                let mut out = element.print(indent, unit, prefix, "", length);
                for clause in clauses {
                    out.push('\n');
                    out.push_str(indent);
                    out.push_str(clause);
                }
                out.push_str(suffix);
                out
            }
        }
    }
}

/// Columns of an indentation; black counts a tab as one.
fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(element: Doc, clauses: &[&str]) -> Doc {
        let comprehension = Doc::Comprehension {
            element: Box::new(element),
            clauses: clauses.iter().map(|c| (*c).to_owned()).collect(),
        };
        let list =
            Doc::Bracket { open: "[".into(), items: vec![comprehension], close: "]".into(), magic: false };
        Doc::call("Author.objects.bulk_create", vec![list, Doc::Text("batch_size=500".into())], false)
    }

    fn author(arguments: &[&str], magic: bool) -> Doc {
        Doc::call("Author", arguments.iter().map(|a| Doc::Text((*a).to_owned())).collect(), magic)
    }

    #[test]
    fn breaks_from_the_outside() {
        let doc = bulk(author(&["name=name"], false), &["for name in author_names"]);
        assert_eq!(
            doc.print("    ", "    ", "", "", 88),
            "Author.objects.bulk_create(\n        [Author(name=name) for name in author_names], batch_size=500\n    )"
        );
        let doc = bulk(author(&["name=row[\"name\"].strip()"], true), &["for row in rows"]);
        assert_eq!(
            doc.print("", "  ", "x = ", "", 88),
            "x = Author.objects.bulk_create(\n  [\n    Author(\n      name=row[\"name\"].strip(),\n    )\n    for row in rows\n  ],\n  batch_size=500,\n)"
        );
    }
}
