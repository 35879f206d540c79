//! From TOML to rules, with the place of everything that is wrong.

use super::finding::{Finding, Severity};
use super::lexeme::Lexeme;
use super::pattern::{Pattern, places};
use super::row::{self, Rows, Term};
use super::{Effect, Matched, Rule, RuleSet, Step, TEXT_BYTES_MAX};
use crate::footprint::Access;
use serde::Deserialize;
use std::collections::HashMap;
use std::ops::Range;
use toml::Spanned;

/// A file of rules that the caller has read.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// For findings.
    pub name: &'a str,
    /// Its content.
    pub text: &'a str,
}

/// A table that rules may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTable {
    /// Without its schema.
    pub name: String,
    /// Names of its columns.
    pub columns: Vec<String>,
}

/// What came of reading.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The rules; none if a finding is an error.
    pub rules: Option<RuleSet>,
    /// By file and place.
    pub findings: Vec<Finding>,
}

impl Reading {
    /// The first error; the caller keeps its old rules then.
    pub fn error(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.severity == Severity::Error)
    }
}

/// Reads files of rules, in the order in which their rules are tried. With `tables`, names of others are findings.
pub fn read(sources: &[Source<'_>], tables: Option<&[KnownTable]>) -> Reading {
    let mut reader = Reader { tables, ..Reader::default() };
    for source in sources {
        reader.read_file(source);
    }
    reader.find_shadows();
    let mut findings = reader.findings;
    // Stable: findings of one file stay in the order of their places, files in the order given.
    let order = |file: &str| sources.iter().position(|source| source.name == file);
    findings.sort_by_key(|finding| (order(&finding.file), finding.line, finding.column));
    let failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    Reading { rules: (!failed).then(|| reader.rules.finish(sources)), findings }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<Spanned<Written>>,
}

/// A rule as it is written; README.md beside the rules explains the fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<Spanned<String>>,
    #[serde(rename = "match")]
    statement: Option<Spanned<String>>,
    statements: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    reads: Vec<Spanned<String>>,
    #[serde(default)]
    writes: Vec<Spanned<String>>,
    #[serde(default)]
    appends: Vec<Spanned<String>>,
    independent: Option<Spanned<bool>>,
    /// For people.
    #[serde(default, rename = "why")]
    _why: Option<String>,
}

#[derive(Default)]
struct Reader<'a> {
    tables: Option<&'a [KnownTable]>,
    rules: RuleSet,
    /// Of each rule, for findings.
    places: Vec<(String, u32, u32)>,
    names: HashMap<String, String>,
    findings: Vec<Finding>,
}

/// A file that is being read.
struct Within<'a> {
    source: Source<'a>,
    findings: Vec<Finding>,
}

impl Within<'_> {
    /// Line and column of a byte, from 1.
    fn place(&self, byte: usize) -> (u32, u32) {
        let before = self.source.text.get(..byte).unwrap_or(self.source.text);
        let line = before.rsplit('\n').next().unwrap_or("");
        (before.matches('\n').count() as u32 + 1, line.chars().count() as u32 + 1)
    }
    fn finding(&mut self, severity: Severity, span: Range<usize>, message: impl Into<String>) {
        let (line, column) = self.place(span.start);
        self.findings.push(Finding { file: self.source.name.into(), line, column, severity, message: message.into() });
    }
    fn error(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.finding(Severity::Error, span, message);
    }
}

impl Reader<'_> {
    fn read_file(&mut self, source: &Source<'_>) {
        let mut within = Within { source: *source, findings: Vec::new() };
        match toml::from_str::<File>(source.text) {
            Ok(file) => file.rule.into_iter().for_each(|written| self.read_rule(written, &mut within)),
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                within.error(span, error.message().lines().collect::<Vec<_>>().join("; "));
            }
        }
        self.findings.append(&mut within.findings);
    }

    fn read_rule(&mut self, written: Spanned<Written>, within: &mut Within<'_>) {
        let span = written.span();
        let written = written.into_inner();
        let Some(name) = &written.name else {
            return within.error(span, "this rule has no name; add `name = \"..\"`");
        };
        let (line, column) = within.place(name.span().start);
        let place = format!("{}:{line}:{column}", within.source.name);
        if let Some(first) = self.names.insert(name.as_ref().clone(), place.clone()) {
            return within.error(name.span(), format!("the rule at {first} has the same name; names are for findings"));
        }
        let first_pattern = self.rules.patterns.len();
        let matched = self.matched(&written, name.span(), within);
        let placeholders: Vec<String> = self.rules.patterns[first_pattern..]
            .iter()
            .flat_map(|pattern| pattern.placeholders.iter().map(|(_, name)| name.clone()))
            .collect();
        let effect = self.effect(&written, name.span(), &placeholders, within);
        match (matched, effect) {
            (Some(matched), Some(effect)) => {
                self.rules.rules.push(Rule { name: name.as_ref().clone(), place, matched, effect });
                self.places.push((within.source.name.into(), line, column));
            }
            // Its patterns belong to nothing.
            _ => self.rules.patterns.truncate(first_pattern),
        }
    }

    fn matched(&mut self, written: &Written, span: Range<usize>, within: &mut Within<'_>) -> Option<Matched> {
        match (&written.statement, &written.statements) {
            (Some(statement), None) => self.add_pattern(statement, within).map(Matched::Statement),
            (None, Some(statements)) if statements.as_ref().is_empty() => {
                within.error(statements.span(), "`statements` is empty; name the transaction's statements in order");
                None
            }
            (None, Some(statements)) => {
                let steps = statements.as_ref().iter().map(|statement| match statement.as_ref().trim() {
                    ".." => Some(Step::Any),
                    _ => self.add_pattern(statement, within).map(Step::Statement),
                });
                // All of them are read, so that every error is told.
                let steps: Vec<Option<Step>> = steps.collect();
                steps.into_iter().collect::<Option<_>>().map(Matched::Transaction)
            }
            (None, None) => {
                within.error(span, "this rule matches nothing; add `match = \"..\"` or `statements = [..]`");
                None
            }
            (Some(_), Some(statements)) => {
                within.error(statements.span(), "a rule has either `match` or `statements`, not both");
                None
            }
        }
    }

    fn add_pattern(&mut self, text: &Spanned<String>, within: &mut Within<'_>) -> Option<u32> {
        let (line, column) = within.place(text.span().start);
        let pattern = match Pattern::new(text.as_ref(), (within.source.name.into(), line, column)) {
            Ok(pattern) => pattern,
            Err(error) => {
                within.error(text.span(), format!("this is no statement: {error}"));
                return None;
            }
        };
        let problem = if pattern.lexemes().iter().all(|lexeme| *lexeme == Lexeme::Any) {
            Some("this would match every statement; begin with its first word")
        } else if pattern.lexemes().iter().any(|lexeme| lexeme.is(";")) {
            Some("this is more than one statement; list the statements of a transaction in `statements = [..]`")
        } else if text.as_ref().len() > TEXT_BYTES_MAX {
            Some("this is too long")
        } else {
            None
        };
        if let Some(problem) = problem {
            within.error(text.span(), problem);
            return None;
        }
        self.rules.patterns.push(pattern);
        Some((self.rules.patterns.len() - 1) as u32)
    }

    fn effect(
        &mut self,
        written: &Written,
        span: Range<usize>,
        placeholders: &[String],
        within: &mut Within<'_>,
    ) -> Option<Effect> {
        let lists =
            [(Access::Read, &written.reads), (Access::Write, &written.writes), (Access::Append, &written.appends)];
        let texts: Vec<(Access, &Spanned<String>)> =
            lists.into_iter().flat_map(|(access, list)| list.iter().map(move |text| (access, text))).collect();
        let independent = written.independent.as_ref().filter(|independent| *independent.as_ref());
        match independent {
            Some(independent) if !texts.is_empty() => {
                within.error(
                    independent.span(),
                    "an independent rule touches nothing; leave out reads, writes and appends",
                );
                None
            }
            Some(_) => Some(Effect::Independent),
            None if texts.is_empty() => {
                within.error(span, "this rule says nothing; add reads, writes or appends, or `independent = true`");
                None
            }
            None => {
                let rows: Vec<_> = texts
                    .into_iter()
                    .map(|(access, text)| Some((access, self.rows(access, text, placeholders, within)?)))
                    .collect();
                rows.into_iter().collect::<Option<_>>().map(Effect::Rows)
            }
        }
    }

    fn rows(
        &self,
        access: Access,
        text: &Spanned<String>,
        placeholders: &[String],
        within: &mut Within<'_>,
    ) -> Option<Rows> {
        let rows = match row::parse(text.as_ref()) {
            Ok(rows) => rows,
            Err(message) => {
                within.error(text.span(), message);
                return None;
            }
        };
        if access == Access::Append && !rows.columns.is_empty() {
            within.error(text.span(), "appended rows have no key yet; name the table alone");
            return None;
        }
        for (column, term) in &rows.columns {
            if let Term::Placeholder(name) = term
                && !placeholders.contains(name)
            {
                within.error(
                    text.span(),
                    format!("`{column} = ${name}`: ${name} stands in none of the rule's statements"),
                );
                return None;
            }
        }
        self.check_names(&rows, text, within);
        Some(rows)
    }

    fn check_names(&self, rows: &Rows, text: &Spanned<String>, within: &mut Within<'_>) {
        let Some(tables) = self.tables else { return };
        let Some(table) = tables.iter().find(|table| table.name.eq_ignore_ascii_case(&rows.table)) else {
            let message = format!("there is no table `{}`, so this is never touched", rows.table);
            return within.finding(Severity::Warning, text.span(), message);
        };
        for (column, _) in &rows.columns {
            if !table.columns.iter().any(|known| known.eq_ignore_ascii_case(column)) {
                let message = format!("table `{}` has no column `{column}`", rows.table);
                within.finding(Severity::Warning, text.span(), message);
            }
        }
    }

    /// Rules that are never taken, because an earlier one matches all that they match.
    fn find_shadows(&mut self) {
        for (late, rule) in self.rules.rules.iter().enumerate() {
            let shadow =
                self.rules.rules[..late].iter().find(|earlier| self.rules.covers(&earlier.matched, &rule.matched));
            if let (Some(shadow), Some((file, line, column))) = (shadow, self.places.get(late)) {
                let message = format!(
                    "rule `{}` is never used: `{}` at {} matches all that it does",
                    rule.name, shadow.name, shadow.place
                );
                let (file, line, column) = (file.clone(), *line, *column);
                self.findings.push(Finding { file, line, column, severity: Severity::Warning, message });
            }
        }
    }
}

impl Matched {
    pub(super) fn patterns(&self) -> impl Iterator<Item = u32> {
        let (statement, steps) = match self {
            Matched::Statement(number) => (Some(*number), &[][..]),
            Matched::Transaction(steps) => (None, &steps[..]),
        };
        let number = |step: &Step| match step {
            Step::Statement(number) => Some(*number),
            Step::Any => None,
        };
        statement.into_iter().chain(steps.iter().filter_map(number))
    }
}

impl RuleSet {
    /// Whether the first matches all that the second does. May miss some.
    fn covers(&self, wide: &Matched, narrow: &Matched) -> bool {
        let covers = |wide: u32, narrow: u32| match (self.pattern(wide), self.pattern(narrow)) {
            (Some(wide), Some(narrow)) => wide.covers(narrow),
            _ => false,
        };
        // A placeholder that stands twice asks for more than the texts: equal values.
        let mut names: Vec<&str> =
            wide.patterns().filter_map(|number| self.pattern(number)).flat_map(Pattern::names).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return false;
        }
        match (wide, narrow) {
            (Matched::Statement(wide), Matched::Statement(narrow)) => covers(*wide, *narrow),
            (Matched::Transaction(wide), Matched::Transaction(narrow)) => {
                let covers = |wide: &Step, narrow: &Step| match (wide, narrow) {
                    (Step::Statement(wide), Step::Statement(narrow)) => covers(*wide, *narrow),
                    _ => false,
                };
                places(wide, narrow, |step| *step == Step::Any, covers).is_some()
            }
            _ => false,
        }
    }

    fn finish(mut self, sources: &[Source<'_>]) -> RuleSet {
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        for source in sources {
            hasher.update(&(source.text.len() as u64).to_le_bytes());
            hasher.update(source.text.as_bytes());
        }
        self.version = if self.rules.is_empty() { 0 } else { hasher.digest() };
        self.owners = vec![0; self.patterns.len()];
        for (rule, number) in
            (0u32..).zip(&self.rules).flat_map(|(at, rule)| rule.matched.patterns().map(move |n| (at, n)))
        {
            if let Some(owner) = self.owners.get_mut(number as usize) {
                *owner = rule;
            }
        }
        let is_transaction = |(_, rule): &(u32, &Rule)| matches!(rule.matched, Matched::Transaction(_));
        self.transactions = (0u32..).zip(&self.rules).filter(is_transaction).map(|(at, _)| at).collect();
        for (number, pattern) in (0u32..).zip(&self.patterns) {
            match pattern.hash {
                Some(hash) => self.exact.entry(hash).or_default().push(number),
                None => self.open.push(number),
            }
        }
        self
    }
}
