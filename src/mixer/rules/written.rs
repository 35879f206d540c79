//! A statement that was seen, written as a person would write it into a rule.

use super::TEXT_BYTES_MAX;
use super::lexeme::{LexError, Lexeme, Origin, lex};
use super::normal::{Normal, signs, without_functions};
use super::pattern::{Pattern, hash_of};
use crate::transaction::Value;
use std::fmt::Write as _;

/// The text of a rule that matches a statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// For `match`: parameters as `$1`, values of the text as `$v1`, `$v2`, .. in their order.
    pub text: String,
    /// Names all statements that it matches: equal for texts that differ in their values alone.
    pub shape: u64,
    /// Values of the text, by the names of their placeholders.
    pub values: Vec<(String, Value)>,
}

/// Words that are written large, and before which a parenthesis does not close up.
const KEYWORDS: &[&str] = &[
    "select",
    "from",
    "where",
    "and",
    "or",
    "not",
    "insert",
    "into",
    "values",
    "update",
    "set",
    "delete",
    "join",
    "on",
    "left",
    "inner",
    "outer",
    "cross",
    "as",
    "order",
    "by",
    "group",
    "having",
    "limit",
    "offset",
    "in",
    "like",
    "is",
    "null",
    "between",
    "exists",
    "union",
    "all",
    "distinct",
    "case",
    "when",
    "then",
    "else",
    "end",
    "returning",
    "asc",
    "desc",
    "conflict",
    "do",
    "nothing",
    "using",
    "with",
    "escape",
    "collate",
    "nulls",
    "first",
    "last",
];

/// Writes a statement of SQLite's SQL as the text of a rule; none if no rule can match it.
pub fn written(sql: &str) -> Option<Written> {
    if sql.len() > TEXT_BYTES_MAX {
        return None;
    }
    let normal = Normal::of(sql).ok()?;
    let (text, values) = rendered(sql).ok()?;
    // What is proposed must match what was seen.
    let pattern = Pattern::new(&text, Default::default()).ok()?;
    pattern.hash?;
    pattern.matches(&normal.lexemes)?;
    Some(Written { text, shape: hash_of(&normal.lexemes), values })
}

fn rendered(sql: &str) -> Result<(String, Vec<(String, Value)>), LexError> {
    let mut lexemes = without_idle_parentheses(signs(without_functions(lex(sql)?)?));
    while lexemes.last().is_some_and(|last| last.is(";")) {
        lexemes.pop();
    }
    let mut values: Vec<(String, Value)> = Vec::new();
    let mut out = String::with_capacity(sql.len());
    let mut before: Option<&Lexeme> = None;
    for lexeme in &lexemes {
        if before.is_some_and(|before| is_apart(before, lexeme)) {
            out.push(' ');
        }
        let is_count = before.is_some_and(|before| before.is("limit") || before.is("offset"));
        match lexeme {
            Lexeme::Word(word) if KEYWORDS.contains(&&**word) => out.push_str(&word.to_uppercase()),
            Lexeme::Word(word) if lexeme.is_name() && !is_plain(word) => {
                let _ = write!(out, "\"{}\"", word.replace('"', "\"\""));
            }
            Lexeme::Word(word) => out.push_str(word),
            Lexeme::Value(Origin::Literal(Value::Integer(count))) if is_count => {
                let _ = write!(out, "{count}");
            }
            Lexeme::Value(Origin::Literal(value)) => {
                let name = format!("v{}", values.len() + 1);
                let _ = write!(out, "${name}");
                values.push((name, value.clone()));
            }
            Lexeme::Value(Origin::Parameter(number)) => {
                let _ = write!(out, "${number}");
            }
            Lexeme::Value(Origin::Named(name)) => {
                let _ = write!(out, "${name}");
            }
            Lexeme::Any => out.push_str(".."),
        }
        before = Some(lexeme);
    }
    Ok((out, values))
}

/// Takes parentheses away from values that stand alone in them, as coercions leave them; those of lists and of calls stay.
fn without_idle_parentheses(lexemes: Vec<Lexeme>) -> Vec<Lexeme> {
    let mut out: Vec<Lexeme> = Vec::with_capacity(lexemes.len());
    for lexeme in lexemes {
        if let [.., before, open, Lexeme::Value(_)] = out.as_slice()
            && lexeme.is(")")
            && open.is("(")
            && !before.is_name()
            && !before.is(")")
            && let Some(value) = out.pop()
        {
            out.pop();
            out.push(value);
        } else {
            out.push(lexeme);
        }
    }
    out
}

/// A name that needs no quotes, as far as its letters say.
fn is_plain(word: &str) -> bool {
    word.chars().all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit())
}

/// Whether there is a space between two lexemes.
fn is_apart(before: &Lexeme, lexeme: &Lexeme) -> bool {
    let closes_up = [",", ")", "."].iter().any(|sign| lexeme.is(sign)) || before.is("(") || before.is(".");
    let is_call =
        lexeme.is("(") && matches!(before, Lexeme::Word(word) if before.is_name() && !KEYWORDS.contains(&&**word));
    !closes_up && !is_call
}

#[cfg(test)]
mod tests {
    use super::super::{Source, read};
    use super::*;

    #[test]
    fn a_statement_is_written_as_a_person_would() {
        for (sql, expected) in [
            (
                "SELECT \"addr_id\" FROM \"address\" WHERE \"addr_street1\" = ?1 AND (\"addr_zip\" = ?2) LIMIT 1;",
                "SELECT addr_id FROM address WHERE addr_street1 = $1 AND (addr_zip = $2) LIMIT 1",
            ),
            (
                "UPDATE \"t\" SET \"n\" = evesql_int4_add(\"n\", 1), d = evesql_now() WHERE \"Odd name\" = 'it''s' OR m IN (1, ?3)",
                "UPDATE t SET n = (n + $v1), d = now() WHERE \"odd name\" = $v2 OR m IN ($v3, $3)",
            ),
            (
                "INSERT INTO t (a, b) VALUES (coalesce(evesql_varchar(?1, 20, 0), evesql_not_null('t', 'a')), -2)",
                "INSERT INTO t(a, b) VALUES ($1, $v1)",
            ),
            ("SELECT t.a, count(*) FROM t GROUP BY 1", "SELECT t.a, count(*) FROM t GROUP BY $v1"),
        ] {
            let found = written(sql).unwrap_or_else(|| panic!("no rule matches {sql}"));
            assert_eq!(found.text, expected);
        }
        let values = written("DELETE FROM t WHERE a = 5 AND b = 'x'").unwrap().values;
        assert_eq!(values, [("v1".into(), Value::Integer(5)), ("v2".into(), Value::Text("x".into()))]);
    }

    #[test]
    fn a_rule_of_it_matches_the_statement_and_its_likes_alone() {
        let sql = "SELECT a FROM t WHERE b = ?1 AND c = 'x'";
        let found = written(sql).unwrap();
        let text = format!("[[rule]]\nname = 'n'\nmatch = '{}'\nindependent = true\n", found.text);
        let rules = read(&[Source { name: "f", text: &text }], None).rules.unwrap();
        assert!(!rules.find(sql).is_nothing());
        for (other, same) in [
            ("select a from t where b = 7 and c = ?1", true),
            ("SELECT a FROM t WHERE b = ?1 AND c < 'x'", false),
            ("SELECT a FROM t WHERE b = ?1", false),
        ] {
            assert_eq!(!rules.find(other).is_nothing(), same, "{other}");
            assert_eq!(written(other).unwrap().shape == found.shape, same, "{other}");
        }
    }

    #[test]
    fn what_no_rule_can_match_is_not_written() {
        assert_eq!(written("SELECT 'a"), None);
        assert_eq!(written(&format!("SELECT {}", "1 + ".repeat(TEXT_BYTES_MAX))), None);
    }
}
