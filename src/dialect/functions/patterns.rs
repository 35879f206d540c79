//! LIKE, SIMILAR TO and regular expressions. Patterns run in time linear in the text: a replica executes
//! what clients write, so no pattern may take exponential time. Back references are therefore refused.

use super::{Arguments, BYTES_MAX, Result, ScalarFunction, integer, pure, strict, string, text, too_large};
use crate::dialect::codec::array_to_json;
use crate::transaction::{SqlError, Value, ValueRef};
use regex::{Regex, RegexBuilder};
use std::cell::RefCell;
use std::str::Chars;

/// LIKE: `%` any run, `_` any one character.
fn like_match(text: &str, pattern: &str, escape: Option<char>) -> Result<bool> {
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

thread_local! {
    /// The last few patterns, compiled: one statement asks for the same one row after row.
    static COMPILED: RefCell<Vec<(String, bool, Regex)>> = const { RefCell::new(Vec::new()) };
}

const COMPILED_MAX: usize = 16;

fn with_regex<T>(pattern: &str, fold: bool, f: impl FnOnce(&Regex) -> T) -> Result<T> {
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(at) = compiled.iter().position(|(text, f, _)| text == pattern && *f == fold) {
            return Ok(f(&compiled[at].2));
        }
        let regex =
            RegexBuilder::new(pattern).case_insensitive(fold).size_limit(1 << 20).build().map_err(
                |error| match error {
                    regex::Error::CompiledTooBig(_) => SqlError::new("54000", "regular expression is too complex"),
                    error => {
                        let text = error.to_string();
                        let reason = text.lines().last().unwrap_or("").trim_start_matches("error: ").to_string();
                        SqlError::new("2201B", format!("invalid regular expression: {reason}"))
                    }
                },
            )?;
        if compiled.len() >= COMPILED_MAX {
            compiled.remove(0);
        }
        compiled.push((pattern.to_string(), fold, regex));
        Ok(f(&compiled[compiled.len() - 1].2))
    })
}

fn regex(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let value = string(args[0])?;
    let matched = with_regex(string(args[1])?, integer(args[2])? != 0, |regex| regex.is_match(value))?;
    Ok(Value::Integer(i64::from(matched)))
}

/// The part that matches, or what its first group holds.
fn regex_substr(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let value = string(args[0])?;
    with_regex(string(args[1])?, false, |regex| match regex.captures(value) {
        None => Value::Null,
        Some(found) => match found.get(if regex.captures_len() > 1 { 1 } else { 0 }) {
            Some(part) => text(part.as_str()),
            None => Value::Null,
        },
    })
}

/// regexp_replace: `\1` and `\&` in the replacement; flags g and i.
fn regex_replace(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (value, replacement, flags) = (string(args[0])?, string(args[2])?, string(args[3])?);
    if let Some(flag) = flags.chars().find(|flag| !matches!(flag, 'g' | 'i' | 'c')) {
        return Err(SqlError::new("0A000", format!("regular expression option \"{flag}\" is not supported")));
    }
    let (all, fold) = (flags.contains('g'), flags.contains('i'));
    let replaced = with_regex(string(args[1])?, fold, |regex| {
        let expand = |found: &regex::Captures<'_>| -> String {
            let mut out = String::new();
            let mut chars = replacement.chars();
            while let Some(c) = chars.next() {
                match (c, if c == '\\' { chars.next() } else { None }) {
                    ('\\', Some('&')) => out += found.get(0).map_or("", |m| m.as_str()),
                    ('\\', Some(digit)) if digit.is_ascii_digit() => {
                        out += found.get(digit as usize - '0' as usize).map_or("", |m| m.as_str());
                    }
                    ('\\', Some(other)) => out.push(other),
                    (c, _) => out.push(c),
                }
            }
            out
        };
        regex.replacen(value, usize::from(!all), expand).into_owned()
    })?;
    if replaced.len() > BYTES_MAX {
        return Err(too_large());
    }
    Ok(text(replaced))
}

/// The groups of the first match, or the whole of it where the pattern has none. Arguments: text, pattern, flags.
fn regex_match(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (value, flags) = (string(args[0])?, string(args[2])?);
    if flags.contains('g') {
        return Err(SqlError::new("22023", "regexp_match() does not support the \"global\" option")
            .with_hint("Use the regexp_matches function instead."));
    }
    if let Some(flag) = flags.chars().find(|flag| !matches!(flag, 'i' | 'c')) {
        return Err(SqlError::new("0A000", format!("regular expression option \"{flag}\" is not supported")));
    }
    with_regex(string(args[1])?, flags.contains('i'), |regex| {
        let Some(found) = regex.captures(value) else { return Value::Null };
        let first = usize::from(found.len() > 1);
        let groups = (first..found.len()).map(|at| found.get(at).map_or(Value::Null, |group| text(group.as_str())));
        text(array_to_json(&groups.collect::<Vec<_>>()))
    })
}

/// The pieces of a text between matches; empty matches at the ends and behind other matches cut nothing.
fn regex_split(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let value = string(args[0])?;
    with_regex(string(args[1])?, false, |regex| {
        let (mut pieces, mut start) = (Vec::new(), 0);
        for found in regex.find_iter(value) {
            let cuts_nothing = found.is_empty() && (found.start() == start || found.end() == value.len());
            if !cuts_nothing {
                pieces.push(text(&value[start..found.start()]));
                start = found.end();
            }
        }
        pieces.push(text(&value[start..]));
        text(array_to_json(&pieces))
    })
}

fn regex_count(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let value = string(args[0])?;
    with_regex(string(args[1])?, false, |regex| Value::Integer(regex.find_iter(value).count() as i64))
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
    pure("evesql_regex_match", 3, regex_match),
    pure("evesql_regex_split", 2, regex_split),
    pure("evesql_regex_count", 2, regex_count),
    pure("evesql_like", 3, like),
    pure("evesql_like", 4, like),
    pure("evesql_regex", 3, regex),
    pure("evesql_regex_substr", 2, regex_substr),
    pure("evesql_regex_replace", 4, regex_replace),
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
