//! Conditions as Django's lookups. A lookup is true of exactly the rows of which the Python condition is true; `NOT`
//! stands before single lookups only, where Django makes it two-valued (`build_filter` in django/db/models/sql/query.py
//! adds `IS NOT NULL` inside of the negation).

/// One keyword of `filter()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The column, without transforms: `author__name`; for a foreign key its name.
    pub column: String,
    /// What stands before the lookup's name: `created__date`.
    pub keyword: String,
    /// `gte`; empty for `exact`.
    pub name: &'static str,
    /// The right-hand side.
    pub value: String,
    /// Name and value of the lookup that is true of the other rows; of a row without a value neither is, or nobody asks.
    pub opposite: Option<(&'static str, String)>,
    /// The right-hand side is never None.
    pub has_value: bool,
    /// The right-hand side is a literal or a constant that may stand in a list.
    pub is_constant: bool,
}

/// A condition in which negations stand before lookups only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All of these.
    All(Vec<Condition>),
    /// One of these.
    Any(Vec<Condition>),
    /// A lookup.
    Is(Lookup),
    /// Every other row, those without a value included.
    Not(Lookup),
}

/// Calls to append to a queryset: the method and its arguments.
pub type Calls = Vec<(&'static str, Vec<String>)>;

impl Lookup {
    /// `status__in`
    pub fn left(&self) -> String {
        if self.name.is_empty() { self.keyword.clone() } else { format!("{}__{}", self.keyword, self.name) }
    }

    /// `status__in=["a", "b"]`
    pub fn text(&self) -> String {
        format!("{}={}", self.left(), self.value)
    }

    /// `x__isnull=...`
    pub fn null(column: &str, keyword: &str, is_null: bool) -> Lookup {
        let text = |b: bool| if b { "True" } else { "False" }.to_owned();
        Lookup {
            column: column.to_owned(),
            keyword: keyword.to_owned(),
            name: "isnull",
            value: text(is_null),
            opposite: Some(("isnull", text(!is_null))),
            has_value: true,
            is_constant: false,
        }
    }

    fn is_not_null(&self) -> bool {
        self.name == "isnull" && self.value == "False"
    }

    /// Whether it is true of no row whose column is NULL.
    fn proves_value(&self) -> bool {
        if self.name == "isnull" { self.value == "False" } else { self.has_value }
    }
}

impl Condition {
    /// The condition that is true where this one is not.
    #[must_use]
    pub fn negated(self) -> Condition {
        match self {
            Condition::All(parts) => Condition::Any(parts.into_iter().map(Condition::negated).collect()),
            Condition::Any(parts) => Condition::All(parts.into_iter().map(Condition::negated).collect()),
            Condition::Not(lookup) => Condition::Is(lookup),
            Condition::Is(lookup) => match lookup.opposite.clone() {
                Some((name, value)) => Condition::Is(Lookup {
                    opposite: Some((lookup.name, lookup.value)),
                    name,
                    value,
                    ..lookup
                }),
                None => Condition::Not(lookup),
            },
        }
    }

    /// Columns that have a value where the condition is true.
    pub fn proven(&self) -> Vec<String> {
        match self {
            Condition::Is(lookup) if lookup.proves_value() => vec![lookup.column.clone()],
            Condition::Is(_) | Condition::Not(_) => Vec::new(),
            Condition::All(parts) => parts.iter().flat_map(Condition::proven).collect(),
            Condition::Any(parts) => {
                let mut all = parts.iter().map(Condition::proven);
                let first = all.next().unwrap_or_default();
                all.fold(first, |known, other| known.into_iter().filter(|c| is_proven(c, &other)).collect())
            }
        }
    }

    /// Without what says the same twice.
    #[must_use]
    pub fn simplified(self) -> Condition {
        match self {
            Condition::All(parts) => {
                let mut flat = Vec::new();
                for part in parts.into_iter().map(Condition::simplified) {
                    match part {
                        Condition::All(inner) => flat.extend(inner),
                        other if flat.contains(&other) => {}
                        other => flat.push(other),
                    }
                }
                // `editor__isnull=False` says nothing beside `editor__email="x"`.
                let proving: Vec<String> = flat
                    .iter()
                    .filter(|part| !matches!(part, Condition::Is(l) if l.is_not_null()))
                    .flat_map(Condition::proven)
                    .collect();
                flat.retain(|part| {
                    !matches!(part, Condition::Is(l) if l.is_not_null() && is_proven(&l.column, &proving))
                });
                one_or(flat, Condition::All)
            }
            Condition::Any(parts) => {
                let mut flat = Vec::new();
                for part in parts.into_iter().map(Condition::simplified) {
                    match part {
                        Condition::Any(inner) => flat.extend(inner),
                        other if flat.contains(&other) => {}
                        other => flat.push(other),
                    }
                }
                one_or(in_lists(flat), Condition::Any)
            }
            other => other,
        }
    }

    /// Whether its calls name `Q`.
    pub fn needs_q(&self) -> bool {
        match self {
            Condition::Is(_) | Condition::Not(_) => false,
            Condition::All(parts) => parts.iter().any(Condition::needs_q),
            Condition::Any(parts) => excluded(parts).is_none(),
        }
    }

    /// The calls that leave the rows of which it is true; `q` is how `Q` is written.
    pub fn calls(&self, q: &str) -> Calls {
        let parts = match self {
            Condition::All(parts) => parts.as_slice(),
            other => std::slice::from_ref(other),
        };
        let mut filters: Calls = Vec::new();
        let mut excludes: Calls = Vec::new();
        let mut conditions = Vec::new();
        let mut names: Vec<Vec<String>> = Vec::new();
        for part in parts {
            match part {
                Condition::Is(lookup) => {
                    // One call takes a keyword once.
                    let left = lookup.left();
                    let free = names.iter().position(|n| !n.contains(&left)).unwrap_or(names.len());
                    match (filters.get_mut(free), names.get_mut(free)) {
                        (Some((_, arguments)), Some(taken)) => {
                            arguments.push(lookup.text());
                            taken.push(left);
                        }
                        _ => {
                            filters.push(("filter", vec![lookup.text()]));
                            names.push(vec![left]);
                        }
                    }
                }
                Condition::Not(lookup) => excludes.push(("exclude", vec![lookup.text()])),
                Condition::Any(inner) => match excluded(inner) {
                    Some(arguments) => excludes.push(("exclude", arguments)),
                    None => conditions.push(part.q(q)),
                },
                Condition::All(_) => conditions.push(part.q(q)),
            }
        }
        if !conditions.is_empty() {
            // Keywords come after what has none.
            match filters.first_mut() {
                Some((_, arguments)) => {
                    arguments.splice(0..0, conditions);
                }
                None => filters.push(("filter", conditions)),
            }
        }
        filters.extend(excludes);
        filters
    }

    /// The condition as one expression of `Q` objects.
    pub fn q(&self, q: &str) -> String {
        match self {
            Condition::Is(lookup) => format!("{q}({})", lookup.text()),
            Condition::Not(lookup) => format!("~{q}({})", lookup.text()),
            Condition::All(parts) => {
                let mut out: Vec<String> = Vec::new();
                let mut positive: Vec<&Lookup> = Vec::new();
                for part in parts {
                    match part {
                        Condition::Is(lookup) if positive.iter().all(|p| p.left() != lookup.left()) => {
                            positive.push(lookup);
                        }
                        Condition::Any(_) => out.push(format!("({})", part.q(q))),
                        other => out.push(other.q(q)),
                    }
                }
                if !positive.is_empty() {
                    let texts: Vec<String> = positive.iter().map(|l| l.text()).collect();
                    out.insert(0, format!("{q}({})", texts.join(", ")));
                }
                out.join(" & ")
            }
            Condition::Any(parts) => parts
                .iter()
                .map(|part| match part {
                    Condition::All(_) => {
                        let text = part.q(q);
                        if text.contains(" & ") { format!("({text})") } else { text }
                    }
                    other => other.q(q),
                })
                .collect::<Vec<_>>()
                .join(" | "),
        }
    }
}

/// Whether `column` has a value where those in `known` have one: a relation has a target where a column behind it has a
/// value.
pub fn is_proven(column: &str, known: &[String]) -> bool {
    known.iter().any(|k| k.strip_prefix(column).is_some_and(|rest| rest.is_empty() || rest.starts_with("__")))
}

fn one_or(mut parts: Vec<Condition>, of: impl Fn(Vec<Condition>) -> Condition) -> Condition {
    if parts.len() == 1
        && let Some(only) = parts.pop()
    {
        return only;
    }
    of(parts)
}

/// The arguments of one `exclude()` that is true where one of `parts` is: all of them negations.
fn excluded(parts: &[Condition]) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    let mut out = Vec::new();
    for part in parts {
        let Condition::Not(lookup) = part else { return None };
        if names.contains(&lookup.left()) {
            return None;
        }
        names.push(lookup.left());
        out.push(lookup.text());
    }
    Some(out)
}

/// `x="a"` or `x="b"` as `x__in=["a", "b"]`.
fn in_lists(parts: Vec<Condition>) -> Vec<Condition> {
    let mut out: Vec<Condition> = Vec::new();
    let mut lists: Vec<(usize, Vec<String>)> = Vec::new();
    for part in parts {
        let Condition::Is(lookup) = &part else {
            out.push(part);
            continue;
        };
        if !lookup.name.is_empty() || !lookup.is_constant || !lookup.has_value {
            out.push(part);
            continue;
        }
        let same = out.iter().position(|o| {
            matches!(o, Condition::Is(l) if l.name.is_empty() && l.is_constant && l.has_value && l.keyword == lookup.keyword)
        });
        match same {
            None => out.push(part),
            Some(at) => match lists.iter_mut().find(|(i, _)| *i == at) {
                Some((_, values)) => values.push(lookup.value.clone()),
                None => lists.push((at, vec![lookup.value.clone()])),
            },
        }
    }
    for (at, values) in lists {
        if let Some(Condition::Is(lookup)) = out.get_mut(at) {
            let all = std::iter::once(lookup.value.clone()).chain(values).collect::<Vec<_>>();
            lookup.name = "in";
            lookup.value = format!("[{}]", all.join(", "));
            lookup.opposite = None;
            lookup.is_constant = false;
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn lookup(column: &str, name: &'static str, value: &str) -> Lookup {
        Lookup {
            column: column.to_owned(),
            keyword: column.to_owned(),
            name,
            value: value.to_owned(),
            opposite: None,
            has_value: true,
            is_constant: true,
        }
    }

    fn calls(condition: Condition) -> String {
        condition
            .simplified()
            .calls("Q")
            .iter()
            .map(|(method, arguments)| format!(".{method}({})", arguments.join(", ")))
            .collect()
    }

    #[test]
    fn keywords_share_a_call() {
        let a = Condition::Is(lookup("a", "", "1"));
        let b = Condition::Is(lookup("b", "gt", "2"));
        let again = Condition::Is(lookup("a", "", "3"));
        let c = Condition::Not(lookup("c", "", "4"));
        let all = Condition::All(vec![a.clone(), c.clone(), Condition::All(vec![b.clone(), again])]);
        assert_eq!(calls(all), ".filter(a=1, b__gt=2).filter(a=3).exclude(c=4)");
        assert_eq!(calls(Condition::Any(vec![a.clone(), c.clone()])), ".filter(Q(a=1) | ~Q(c=4))");
        assert_eq!(calls(Condition::All(vec![a.clone(), b.clone()]).negated()), ".exclude(a=1, b__gt=2)");
        let nested = Condition::All(vec![b, Condition::Any(vec![a, c])]);
        assert_eq!(calls(nested), ".filter(Q(a=1) | ~Q(c=4), b__gt=2)");
    }

    #[test]
    fn alternatives_of_a_column_are_a_list() {
        let a = Condition::Is(lookup("a", "", "1"));
        let b = Condition::Is(lookup("a", "", "2"));
        assert_eq!(calls(Condition::Any(vec![a.clone(), b.clone()])), ".filter(a__in=[1, 2])");
        assert_eq!(calls(Condition::Any(vec![a, b]).negated()), ".exclude(a=1).exclude(a=2)");
    }

    #[test]
    fn a_value_proves_what_leads_to_it() {
        let there = Condition::Is(Lookup::null("editor", "editor", false));
        let mail = Condition::Is(lookup("editor__email", "", "x"));
        let other = Condition::Not(lookup("editor__email", "", "x"));
        assert_eq!(calls(Condition::All(vec![there.clone(), mail])), ".filter(editor__email=x)");
        assert_eq!(
            calls(Condition::All(vec![there.clone(), other])),
            ".filter(editor__isnull=False).exclude(editor__email=x)"
        );
        assert_eq!(calls(there.negated()), ".filter(editor__isnull=True)");
    }
}
