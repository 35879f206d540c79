//! The statements of all rules as SQL, so that a caller who can translate may compare them with their translation.

use super::finding::{Finding, Severity};
use super::pattern::Pattern;
use super::{Found, RuleSet};
use std::fmt::Write as _;

/// A statement of a rule without wildcards.
#[derive(Clone, Debug)]
pub struct Listed<'a> {
    /// As Postgres would take it: placeholders are numbered from `$1`.
    pub sql: String,
    number: u32,
    pattern: &'a Pattern,
}

impl Listed<'_> {
    /// Whether it is among what was found for a text.
    pub fn is_in(&self, found: &Found) -> bool {
        found.matches.iter().any(|(number, _)| *number == self.number)
    }

    /// A warning at its place.
    pub fn warning(&self, message: impl Into<String>) -> Finding {
        let (file, line, column) = self.pattern.place.clone();
        Finding { file, line, column, severity: Severity::Warning, message: message.into() }
    }
}

impl RuleSet {
    /// All statements without wildcards, in the order of the rules.
    pub fn statements(&self) -> impl Iterator<Item = Listed<'_>> {
        let all = (0u32..).zip(&self.patterns).filter(|(_, pattern)| pattern.hash.is_some());
        all.map(|(number, pattern)| Listed { sql: numbered(&pattern.text), number, pattern })
    }
}

/// Replaces `$cart` and its like by `$1`, `$2`, .. in the order in which they come.
fn numbered(text: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut out = String::with_capacity(text.len());
    let mut quote = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match quote {
            None if c == '$' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                rest = after;
                let known = names.iter().position(|known| known.eq_ignore_ascii_case(name));
                let at = known.unwrap_or_else(|| {
                    names.push(name);
                    names.len() - 1
                });
                let _ = write!(out, "${}", at + 1);
                continue;
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Source, read};
    use super::*;

    #[test]
    fn placeholders_are_numbered_outside_of_quotes() {
        assert_eq!(
            numbered("UPDATE t SET a = $new, b = '$x' WHERE \"$y\" = $Old AND c = $NEW AND d = $1"),
            "UPDATE t SET a = $1, b = '$x' WHERE \"$y\" = $2 AND c = $1 AND d = $3"
        );
    }

    #[test]
    fn statements_without_wildcards_are_listed_with_their_places() {
        let text = "[[rule]]\nname = 'a'\nstatements = ['DELETE FROM t ..', '..',\n 'DELETE FROM u WHERE a = $x']\nwrites = ['t']\n";
        let rules = read(&[Source { name: "f", text }], None).rules.unwrap();
        let listed: Vec<Listed<'_>> = rules.statements().collect();
        assert_eq!(listed.iter().map(|l| l.sql.as_str()).collect::<Vec<_>>(), ["DELETE FROM u WHERE a = $1"]);
        assert_eq!(listed[0].warning("x").to_string(), "f:4:2: x");
        assert!(listed[0].is_in(&rules.find("DELETE FROM u WHERE a = 5")));
        assert!(!listed[0].is_in(&rules.find("DELETE FROM t WHERE a = 5")));
    }
}
