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
    let mut lexemes = plainer(signs(without_functions(lex(sql)?)?));
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

/// Takes away what the translation adds for SQLite's sake: parentheses that change nothing, and the table before a column
/// where there is only one. What is left reads the same in its normal form.
fn plainer(mut lexemes: Vec<Lexeme>) -> Vec<Lexeme> {
    let mut at = 0;
    while at < lexemes.len() {
        match idle_parentheses(&lexemes, at) {
            Some(end) => {
                lexemes.remove(end);
                lexemes.remove(at);
                // There may be others around them.
                at = at.saturating_sub(1);
            }
            None => at += 1,
        }
    }
    let is_qualifier = |at: usize| lexemes[at].is_name() && lexemes.get(at + 1).is_some_and(|next| next.is("."));
    let qualifiers: Vec<usize> = (0..lexemes.len()).filter(|at| is_qualifier(*at)).collect();
    if qualifiers.windows(2).all(|pair| lexemes[pair[0]] == lexemes[pair[1]]) {
        for at in qualifiers.into_iter().rev() {
            lexemes.drain(at..at + 2);
        }
    }
    lexemes
}

/// The end of parentheses that begin here, if they change nothing: around one value or name, or around an operation
/// that binds closer than what stands on both sides.
fn idle_parentheses(lexemes: &[Lexeme], at: usize) -> Option<usize> {
    const COMPARISONS: &[&str] = &["=", "<>", "<", ">", "<=", ">="];
    lexemes.get(at).filter(|open| open.is("("))?;
    let length = lexemes[at + 1..].iter().position(|lexeme| lexeme.is(")") || lexeme.is("("))?;
    let (inside, end) = (&lexemes[at + 1..at + 1 + length], at + 1 + length);
    let before = at.checked_sub(1).and_then(|before| lexemes.get(before))?;
    let is_one_of = |lexeme: &Lexeme, words: &[&str]| words.iter().any(|word| lexeme.is(word));
    let is_plain = |lexeme: &Lexeme| !lexeme.is(",") && !is_one_of(lexeme, KEYWORDS);
    if inside.is_empty() || !lexemes[end].is(")") || !inside.iter().all(is_plain) {
        return None;
    }
    let compares = inside.iter().any(|lexeme| is_one_of(lexeme, COMPARISONS));
    let after = lexemes.get(end + 1);
    let ends = after.is_none_or(|after| after.is(")") || after.is(",") || is_one_of(after, &["and", "where", "limit"]));
    let begins = match compares {
        true => {
            is_one_of(before, &["where", "and", "on"]) || before.is("(") && after.is_some_and(|after| after.is("and"))
        }
        false => is_one_of(before, &["where", "and", "on", "=", ","]) || before.is("("),
    };
    let is_single = inside.len() == 1 && !before.is_name() && !before.is(")");
    (is_single || begins && ends).then_some(end)
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
                "SELECT addr_id FROM address WHERE addr_street1 = $1 AND addr_zip = $2 LIMIT 1",
            ),
            (
                "UPDATE \"t\" SET \"n\" = evesql_int4_add(\"n\", 1), d = evesql_now() WHERE \"Odd name\" = 'it''s' OR m IN (1, ?3)",
                "UPDATE t SET n = n + $v1, d = now() WHERE \"odd name\" = $v2 OR m IN ($v3, $3)",
            ),
            (
                "INSERT INTO t (a, b) VALUES (coalesce(evesql_varchar(?1, 20, 0), evesql_not_null('t', 'a')), -2)",
                "INSERT INTO t(a, b) VALUES ($1, $v1)",
            ),
            (
                "UPDATE \"t\" SET \"n\" = (\"t\".\"n\" + 1) WHERE ((\"t\".\"id\" = ?1) AND ((\"t\".a + 1) * 2 > ?2))",
                "UPDATE t SET n = n + $v1 WHERE (id = $1 AND ((a + $v2) * $v3 > $2))",
            ),
            (
                "SELECT t.a FROM t, u WHERE (t.id = u.id) AND (t.b = 1 OR t.b = 2) AND NOT (t.c = 3)",
                "SELECT t.a FROM t, u WHERE t.id = u.id AND (t.b = $v1 OR t.b = $v2) AND NOT (t.c = $v3)",
            ),
            ("UPDATE t SET n = 2 * (t.n + 1), m = (?1)", "UPDATE t SET n = $v1 * (n + $v2), m = $1"),
            ("SELECT t.a, count(*) FROM t GROUP BY 1", "SELECT a, count(*) FROM t GROUP BY $v1"),
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
