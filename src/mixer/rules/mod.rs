//! Rules: what people know of their transactions and the system cannot derive (`sql-mixer-rules/README.md` teaches
//! the format). Hints, never trusted: they change groups, never results (invariant 5).
//!
//! ```text
//!   TOML --read()--> RuleSet --find(text)--> Found, kept beside the statement's text
//!                       `----refine(steps)--> a footprint, for grouping only
//! ```
//!
//! A rule matches a statement or a whole transaction by its text in a normal form (`normal`), in which what an
//! application sends and what the translation makes of it are the same for simple statements. Rules for a whole
//! transaction go before rules for its statements; among each the first that matches is taken.

mod finding;
mod lexeme;
mod listing;
mod normal;
mod pattern;
mod read;
mod row;
mod written;

pub use finding::{Finding, Severity};
pub use listing::Listed;
pub use read::{KnownTable, Reading, Source, read};
pub use written::{Written, written};

use crate::footprint::{Access, Extent, Footprint, Item, space};
use crate::transaction::Value;
use lexeme::Origin;
use normal::Normal;
use pattern::{Bound, Pattern, hash_of, places};
use row::{Rows, Term};
use std::collections::HashMap;

/// Longer statements match no rule: reading them would cost more than a rule can gain.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// The rules of all files, in their order.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// Hash of the files; 0 for no rules.
    version: u64,
    rules: Vec<Rule>,
    /// Those with `statements`, by their places in `rules`.
    transactions: Vec<u32>,
    /// Texts of all rules.
    patterns: Vec<Pattern>,
    /// The rule that each pattern stands in.
    owners: Vec<u32>,
    /// Patterns without wildcards by the hash of their lexemes.
    exact: HashMap<u64, Vec<u32>>,
    /// Patterns with wildcards.
    open: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Rule {
    name: String,
    /// File, line and column of its name.
    place: String,
    matched: Matched,
    effect: Effect,
}

#[derive(Clone, Debug)]
enum Matched {
    /// One statement, wherever it stands.
    Statement(u32),
    /// All statements of a transaction, in order.
    Transaction(Vec<Step>),
}

/// An element of a rule for a whole transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A statement that reads like this pattern.
    Statement(u32),
    /// `..`: any statements, also none.
    Any,
}

#[derive(Clone, Debug)]
enum Effect {
    /// It conflicts with nothing.
    Independent,
    /// It touches these rows and no others.
    Rows(Vec<(Access, Rows)>),
}

/// What the rules say of a statement's text, whatever its parameters are. Kept by the caller for each text; found
/// again when the rules have changed ([`RuleSet::is_current`]).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    version: u64,
    /// Patterns that it reads like, in the order of the rules.
    matches: Vec<(u32, Bound)>,
}

impl Found {
    /// Whether no rule says anything of it, alone or in a transaction.
    pub fn is_nothing(&self) -> bool {
        self.matches.is_empty()
    }
}

/// One statement of a transaction.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// Of its text; [`Found::default`] for what has none (COPY, savepoints) or has several.
    pub found: &'a Found,
    /// Parameters from `?1` on.
    pub parameters: &'a [Value],
    /// What the system derived, which stands where no rule says anything.
    pub footprint: &'a Footprint,
}

/// How derived footprints name rows, so that rules name them alike.
pub trait Keys {
    /// The rows of `table` (lower case) in which these columns (lower case, sorted by name) have these values; `None`
    /// if the columns are not just its primary key or its partition's column, or if that is not known.
    fn extent(&self, table: &str, columns: &[(&str, &Value)]) -> Option<Extent>;
}

impl<F: Fn(&str, &[(&str, &Value)]) -> Option<Extent>> Keys for F {
    fn extent(&self, table: &str, columns: &[(&str, &Value)]) -> Option<Extent> {
        self(table, columns)
    }
}

/// What the rules make of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Refined<'a> {
    /// For grouping only.
    pub footprint: Footprint,
    /// Names of the rules that were taken, in the order of the statements, each once.
    pub rules: Vec<&'a str>,
}

impl RuleSet {
    /// Number of rules.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether the rules have not changed since that was found.
    pub fn is_current(&self, found: &Found) -> bool {
        found.version == self.version
    }

    /// What the rules say of a statement in SQLite's SQL, or in the application's. To be kept: it reads the text.
    pub fn find(&self, sql: &str) -> Found {
        let mut found = Found { version: self.version, matches: Vec::new() };
        if self.is_empty() || sql.len() > TEXT_BYTES_MAX {
            return found;
        }
        let Ok(normal) = Normal::of(sql) else { return found };
        for form in normal.forms() {
            let alike = self.exact.get(&hash_of(form)).into_iter().flatten();
            found.matches.extend(alike.chain(&self.open).filter_map(|number| self.match_one(*number, form)));
        }
        // Stable: of one pattern the longest form that it matches stays.
        found.matches.sort_by_key(|(number, _)| *number);
        found.matches.dedup_by_key(|(number, _)| *number);
        found
    }

    fn match_one(&self, number: u32, lexemes: &[lexeme::Lexeme]) -> Option<(u32, Bound)> {
        Some((number, self.pattern(number)?.matches(lexemes)?))
    }

    fn pattern(&self, number: u32) -> Option<&Pattern> {
        self.patterns.get(number as usize)
    }

    /// What a transaction touches by the rules; `None` if none of them says anything.
    ///
    /// A rule is passed over if one of its placeholders stands for two different values, or for a parameter that the
    /// statement does not have.
    pub fn refine(&self, statements: &[Statement<'_>], keys: &dyn Keys) -> Option<Refined<'_>> {
        if statements.iter().all(|s| s.found.is_nothing() || !self.is_current(s.found)) {
            return None;
        }
        self.by_transaction(statements, keys).or_else(|| self.by_statements(statements, keys))
    }

    fn by_transaction(&self, statements: &[Statement<'_>], keys: &dyn Keys) -> Option<Refined<'_>> {
        self.transactions.iter().find_map(|number| {
            let rule = self.rules.get(*number as usize)?;
            let Matched::Transaction(steps) = &rule.matched else { return None };
            let reads_like = |step: &Step, statement: &Statement<'_>| match step {
                Step::Statement(number) => self.bound(*number, statement).is_some(),
                Step::Any => false,
            };
            let places = places(steps, statements, |step| *step == Step::Any, reads_like)?;
            let mut values = Values::default();
            for (step, place) in steps.iter().zip(places) {
                if let Step::Statement(number) = step {
                    let statement = statements.get(place)?;
                    values.take(self.pattern(*number)?, statement, self.bound(*number, statement)?)?;
                }
            }
            Some(Refined { footprint: Footprint::of(rule.items(&values, keys)?), rules: vec![&rule.name] })
        })
    }

    fn by_statements(&self, statements: &[Statement<'_>], keys: &dyn Keys) -> Option<Refined<'_>> {
        let mut rules: Vec<&str> = Vec::new();
        let mut items: Vec<Item> = Vec::new();
        let mut everything = false;
        for statement in statements {
            match self.by_statement(statement, keys) {
                Some((rule, touched)) => {
                    items.extend(touched);
                    if !rules.contains(&rule) {
                        rules.push(rule);
                    }
                }
                None => {
                    everything |= statement.footprint.everything;
                    items.extend_from_slice(&statement.footprint.items);
                }
            }
        }
        let footprint = if everything { Footprint::everything() } else { Footprint::of(items) };
        (!rules.is_empty()).then_some(Refined { footprint, rules })
    }

    fn by_statement(&self, statement: &Statement<'_>, keys: &dyn Keys) -> Option<(&str, Vec<Item>)> {
        let matches = if self.is_current(statement.found) { &statement.found.matches[..] } else { &[] };
        matches.iter().find_map(|(number, bound)| {
            let rule = self.rules.get(*self.owners.get(*number as usize)? as usize)?;
            let Matched::Statement(_) = rule.matched else { return None };
            let mut values = Values::default();
            values.take(self.pattern(*number)?, statement, bound)?;
            Some((rule.name.as_str(), rule.items(&values, keys)?))
        })
    }

    /// Where the placeholders' values come from, if the statement reads like this pattern.
    fn bound<'s>(&self, number: u32, statement: &'s Statement<'_>) -> Option<&'s Bound> {
        let matches = &statement.found.matches;
        let current = self.is_current(statement.found);
        let at = matches.binary_search_by_key(&number, |(number, _)| *number).ok().filter(|_| current)?;
        matches.get(at).map(|(_, bound)| bound)
    }
}

/// Values of a rule's placeholders.
#[derive(Default)]
struct Values<'a>(Vec<(&'a str, Value)>);

impl<'a> Values<'a> {
    /// Adds those of one statement; `None` if one is missing, or stands for another value already.
    fn take(&mut self, pattern: &'a Pattern, statement: &Statement<'_>, bound: &Bound) -> Option<()> {
        for ((_, name), origin) in pattern.placeholders.iter().zip(bound) {
            let value = match origin {
                Origin::Literal(value) => value,
                Origin::Parameter(number) => statement.parameters.get((*number as usize).checked_sub(1)?)?,
                Origin::Named(_) => return None,
            };
            match self.get(name) {
                Some(known) if known == value => {}
                Some(_) => return None,
                None => self.0.push((name, value.clone())),
            }
        }
        Some(())
    }
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

impl Rule {
    /// What it says is touched, with these values.
    fn items(&self, values: &Values<'_>, keys: &dyn Keys) -> Option<Vec<Item>> {
        match &self.effect {
            Effect::Independent => Some(Vec::new()),
            Effect::Rows(rows) => rows.iter().map(|(access, rows)| item(*access, rows, values, keys)).collect(),
        }
    }
}

fn item(access: Access, rows: &Rows, values: &Values<'_>, keys: &dyn Keys) -> Option<Item> {
    let space = space(&rows.table, None);
    let column = |(name, term): &'_ (String, Term)| match term {
        Term::Constant(value) => Some((name.clone(), value.clone())),
        Term::Placeholder(placeholder) => Some((name.clone(), values.get(placeholder)?.clone())),
    };
    let columns: Vec<(String, Value)> = rows.columns.iter().map(column).collect::<Option<_>>()?;
    let borrowed: Vec<(&str, &Value)> = columns.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let extent = match borrowed.as_slice() {
        [] => Extent::All,
        columns => keys.extent(&rows.table, columns).unwrap_or_else(|| Extent::Partition(partition_by_rule(columns))),
    };
    Some(Item { space, extent, access })
}

/// Names the rows of a table that agree in some columns; no derived footprint has this name.
fn partition_by_rule(columns: &[(&str, &Value)]) -> u64 {
    let mut bytes: Vec<u8> = Vec::with_capacity(64);
    for (name, value) in columns {
        bytes.extend_from_slice(name.as_bytes());
        match value {
            Value::Null => bytes.extend([0, 0]),
            Value::Integer(number) => bytes.extend([0, 1].into_iter().chain(number.to_le_bytes())),
            // A number is the same whether it was bound as an integer or written with a point.
            Value::Real(real) if real.fract() == 0.0 && real.abs() < 9e15 => {
                bytes.extend([0, 1].into_iter().chain((*real as i64).to_le_bytes()));
            }
            Value::Real(real) => bytes.extend([0, 2].into_iter().chain(real.to_bits().to_le_bytes())),
            Value::Text(text) => bytes.extend([0, 3].iter().chain(text.as_bytes()).chain(&[0])),
            Value::Blob(blob) => bytes.extend([0, 4].iter().chain(blob.iter()).chain(&[0])),
        }
    }
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
