//! LIKE, SIMILAR TO and `~`. Patterns run in time linear in the text, or nearly: a replica executes what clients write.

use super::regexes::{Options, with_regex};
use super::{Arguments, Result, ScalarFunction, integer, pure, strict, string};
use crate::transaction::{SqlError, Value, ValueRef};
use std::str::Chars;

/// LIKE: `%` any run, `_` any one character.
pub(super) fn like_match(text: &str, pattern: &str, escape: Option<char>) -> Result<bool> {
    // Back only to the last `%`: quadratic at worst.
    let (mut text, mut pattern) = (text.chars(), pattern.chars());
    let mut retry: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let mut rest = pattern.clone();
        let matches = match rest.next() {
            Some('%') if escape != Some('%') => {
                if rest.as_str().is_empty() {
                    return Ok(true);
                }
                (retry, pattern) = (Some((rest.clone(), text.clone())), rest);
                continue;
            }
            Some(c) if Some(c) == escape => match rest.next() {
                Some(c) => text.next() == Some(c),
                None if text.as_str().is_empty() => false,
                None => return Err(SqlError::new("22025", "LIKE pattern must not end with escape character")),
            },
            Some('_') => text.next().is_some(),
            Some(c) => text.next() == Some(c),
            None if text.as_str().is_empty() => return Ok(true),
            None => false,
        };
        if matches {
            pattern = rest;
            continue;
        }
        // One character later, or where the next one is that the pattern asks for.
        let Some((after, from)) = &mut retry else { return Ok(false) };
        if from.next().is_none() {
            return Ok(false);
        }
        if let Some(c) = after.clone().next().filter(|c| !matches!(c, '%' | '_') && Some(*c) != escape) {
            let Some(at) = from.as_str().find(c) else { return Ok(false) };
            *from = from.as_str()[at..].chars();
        }
        (pattern, text) = (after.clone(), from.clone());
    }
}

/// Character by character, so that `_` is one character of the folded text.
fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

fn like(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let escape = match args.get(3) {
        None => Some('\\'),
        Some(escape) => {
            let mut chars = string(*escape)?.chars();
            let first = chars.next();
            if chars.next().is_some() {
                return Err(SqlError::new("22025", "invalid escape string")
                    .with_hint("Escape string must be empty or one character."));
            }
            first
        }
    };
    let (text, pattern) = (string(args[0])?, string(args[1])?);
    let matched = match integer(args[2])? {
        0 => like_match(text, pattern, escape),
        _ => like_match(&folded(text), &folded(pattern), escape),
    };
    Ok(Value::Integer(i64::from(matched?)))
}

fn regex(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let value = string(args[0])?;
    let matched =
        with_regex(string(args[1])?, Options::folding(integer(args[2])? != 0), |regex| regex.is_match(value))?;
    Ok(Value::Integer(i64::from(matched)))
}

fn similar(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let mut pattern = String::from("^(?s:");
    let mut chars = string(args[1])?.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => pattern += ".*",
            '_' => pattern.push('.'),
            '\\' => pattern += &regex::escape(&chars.next().map_or(String::new(), String::from)),
            '.' | '^' | '$' => {
                pattern.push('\\');
                pattern.push(c);
            }
            c => pattern.push(c),
        }
    }
    pattern += ")$";
    regex(&[args[0], ValueRef::Text(&pattern), ValueRef::Integer(0)])
}

pub(super) const TABLE: &[ScalarFunction] = &[
    pure("evesql_like", 3, like),
    pure("evesql_like", 4, like),
    pure("evesql_regex", 3, regex),
    pure("evesql_similar", 2, similar),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_matches_as_in_postgres() {
        let cases = [
            ("abc", "abc", true),
            ("abc", "a%", true),
            ("abc", "_b_", true),
            ("abc", "%c", true),
            ("abc", "A%", false),
            ("a%c", "a\\%c", true),
            ("abc", "a\\%c", false),
            ("", "%", true),
            ("", "_", false),
            ("aaab", "%a%b", true),
            ("aXbXc", "%Xc", true),
            ("aXbXcd", "%X%Xc", false),
            ("a日b日本", "%日本", true),
            ("a日b", "%_日%", true),
            ("50%", "%\\%", true),
            ("日本", "_本", true),
            ("abc", "%%%", true),
            ("abc", "", false),
        ];
        for (value, pattern, expected) in cases {
            let args = [ValueRef::Text(value), ValueRef::Text(pattern), ValueRef::Integer(0)];
            assert_eq!(like(&args).unwrap(), Value::Integer(i64::from(expected)), "{value} LIKE {pattern}");
        }
        let args = [ValueRef::Text("a"), ValueRef::Text("a\\"), ValueRef::Integer(0)];
        assert!(like(&args).is_err() || like(&args).unwrap() == Value::Integer(0));
    }

    #[test]
    fn a_hostile_like_pattern_ends_in_time() {
        let (value, pattern) = ("a".repeat(5_000), "%a".repeat(200) + "b");
        let args = [ValueRef::Text(&value), ValueRef::Text(&pattern), ValueRef::Integer(0)];
        assert_eq!(like(&args).unwrap(), Value::Integer(0));
    }
}
