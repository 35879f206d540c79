//! Regular expressions: `~` and the functions named regexp_... Patterns run in time linear in the text: a replica executes
//! what clients write, so no pattern may take exponential time. Back references are therefore refused.

use super::{Arguments, BYTES_MAX, Result, ScalarFunction, integer, pure, strict, string, text, too_large};
use crate::dialect::codec::array_to_json;
use crate::transaction::{SqlError, Value, ValueRef};
use regex::{Captures, Regex, RegexBuilder};
use std::cell::RefCell;

/// How a pattern is read, as the letters of a flags argument say.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Options {
    fold: bool,
    /// `.` does not match a line feed; `^` and `$` match at the ends of lines.
    by_line: bool,
    /// Blanks and comments in the pattern are left out.
    expanded: bool,
    /// The pattern is plain text.
    literal: bool,
}

impl Options {
    /// None but whether letters are compared without regard to case.
    pub(super) fn folding(fold: bool) -> Options {
        Options { fold, ..Options::default() }
    }

    /// Reads flags; also gives whether `g` is among them.
    fn read(flags: &str) -> Result<(Options, bool)> {
        let (mut options, mut global) = (Options::default(), false);
        for flag in flags.chars() {
            match flag {
                'g' => global = true,
                'c' => options.fold = false,
                'i' => options.fold = true,
                'n' | 'm' => options.by_line = true,
                's' => options.by_line = false,
                'x' => options.expanded = true,
                't' => options.expanded = false,
                'q' => options.literal = true,
                'b' | 'e' | 'p' | 'w' => {
                    let message = format!("regular expression option \"{flag}\" is not supported");
                    return Err(SqlError::new("0A000", message));
                }
                _ => {
                    let message = format!("invalid regular expression option: \"{flag}\"");
                    return Err(SqlError::new("22023", message));
                }
            }
        }
        Ok((options, global))
    }

    /// Flags of a function that looks for one match, or for all of them anyway.
    fn read_local(flags: &str, function: &str) -> Result<Options> {
        let (options, global) = Options::read(flags)?;
        if global {
            let error = SqlError::new("22023", format!("{function}() does not support the \"global\" option"));
            return Err(match function {
                "regexp_match" => error.with_hint("Use the regexp_matches function instead."),
                _ => error,
            });
        }
        Ok(options)
    }
}

thread_local! {
    /// The last few patterns, compiled: one statement asks for the same one row after row.
    static COMPILED: RefCell<Vec<(String, Options, Regex)>> = const { RefCell::new(Vec::new()) };
}

const COMPILED_MAX: usize = 16;

/// A pattern with the escapes that the two dialects spell differently: ends of words and of the text.
fn respelled(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if c != '\\' {
            continue;
        }
        match chars.next() {
            Some('y') => out.push('b'),
            Some('Y') => out.push('B'),
            Some('m') => out += "b{start}",
            Some('M') => out += "b{end}",
            Some('Z') => out.push('z'),
            other => out.extend(other),
        }
    }
    out
}

fn compiled(pattern: &str, options: Options) -> Result<Regex> {
    if options.by_line && pattern.contains("[^") {
        let message = "a complement in brackets in a regular expression that is matched by line is not supported";
        return Err(SqlError::new("0A000", message));
    }
    let pattern = if options.literal { regex::escape(pattern) } else { respelled(pattern) };
    let mut builder = RegexBuilder::new(&pattern);
    builder.case_insensitive(options.fold).multi_line(options.by_line).dot_matches_new_line(!options.by_line);
    builder.ignore_whitespace(options.expanded && !options.literal).size_limit(1 << 20);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => SqlError::new("54000", "regular expression is too complex"),
        error => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or("").trim_start_matches("error: ").to_string();
            SqlError::new("2201B", format!("invalid regular expression: {reason}"))
        }
    })
}

pub(super) fn with_regex<T>(pattern: &str, options: Options, f: impl FnOnce(&Regex) -> T) -> Result<T> {
    COMPILED.with_borrow_mut(|all| {
        if let Some(at) = all.iter().position(|(text, with, _)| text == pattern && *with == options) {
            return Ok(f(&all[at].2));
        }
        let regex = compiled(pattern, options)?;
        if all.len() >= COMPILED_MAX {
            all.remove(0);
        }
        all.push((pattern.to_string(), options, regex));
        Ok(f(&all[all.len() - 1].2))
    })
}

/// Visits matches one after the other, from a byte of the text on, until told to stop by `false`. Unlike the regex
/// crate's own iterator, and like PostgreSQL, it finds an empty match right behind another match.
fn each_match<'t>(regex: &Regex, value: &'t str, start: usize, mut visit: impl FnMut(Captures<'t>) -> bool) {
    let mut from = start;
    while let Some(found) = if from <= value.len() { regex.captures_at(value, from) } else { None } {
        let Some(whole) = found.get(0) else { return };
        from = whole.end();
        if whole.is_empty() {
            from += value[from..].chars().next().map_or(1, char::len_utf8);
        }
        if !visit(found) {
            return;
        }
    }
}

/// The match of this number, counted from 1.
fn nth_match<'t>(regex: &Regex, value: &'t str, start: usize, wanted: i64) -> Option<Captures<'t>> {
    let (mut count, mut nth) = (0, None);
    each_match(regex, value, start, |found| {
        count += 1;
        if count == wanted {
            nth = Some(found);
        }
        count < wanted
    });
    nth
}

/// An argument that must be at least so much.
fn at_least(value: ValueRef<'_>, least: i64, name: &str) -> Result<i64> {
    match integer(value)? {
        number if number >= least => Ok(number),
        number => Err(SqlError::new("22023", format!("invalid value for parameter \"{name}\": {number}"))),
    }
}

/// The byte at which the character of this number begins; behind the end for one that is not there.
fn start_byte(value: &str, start: ValueRef<'_>) -> Result<usize> {
    let skipped = at_least(start, 1, "start")? as usize - 1;
    match value.char_indices().nth(skipped) {
        Some((at, _)) => Ok(at),
        None => Ok(value.len() + usize::from(skipped > value.chars().count())),
    }
}

/// The flags among arguments, which may be left out.
fn flags<'a>(args: &Arguments<'a>, at: usize) -> Result<&'a str> {
    args.get(at).map_or(Ok(""), |flags| string(*flags))
}

/// The part that matches, or what its first group holds.
fn regex_substring(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let value = string(args[0])?;
    with_regex(string(args[1])?, Options::default(), |regex| match regex.captures(value) {
        None => Value::Null,
        Some(found) => match found.get(if regex.captures_len() > 1 { 1 } else { 0 }) {
            Some(part) => text(part.as_str()),
            None => Value::Null,
        },
    })
}

/// A replacement with `\1` and `\&` filled in.
fn expanded(replacement: &str, found: &Captures<'_>, out: &mut String) {
    let mut chars = replacement.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('&')) => *out += found.get(0).map_or("", |m| m.as_str()),
            ('\\', Some(digit)) if digit.is_ascii_digit() => {
                *out += found.get(digit as usize - '0' as usize).map_or("", |m| m.as_str());
            }
            ('\\', Some(other)) => out.push(other),
            (c, _) => out.push(c),
        }
    }
}

/// regexp_replace. Arguments: text, pattern, replacement, flags, and if given start and which match (0 for all).
fn regex_replace(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (value, replacement) = (string(args[0])?, string(args[2])?);
    let (options, global) = Options::read(string(args[3])?)?;
    let start = args.get(4).map_or(Ok(0), |start| start_byte(value, *start))?;
    let wanted = match args.get(5) {
        Some(wanted) => at_least(*wanted, 0, "n")?,
        None => i64::from(!global),
    };
    let replaced = with_regex(string(args[1])?, options, |regex| {
        let (mut out, mut copied, mut count) = (String::with_capacity(value.len()), 0, 0);
        each_match(regex, value, start, |found| {
            count += 1;
            if wanted == 0 || count == wanted {
                let (from, to) = found.get(0).map_or((copied, copied), |whole| (whole.start(), whole.end()));
                out += &value[copied..from];
                expanded(replacement, &found, &mut out);
                copied = to;
            }
            (wanted == 0 || count < wanted) && out.len() <= BYTES_MAX
        });
        out + &value[copied..]
    })?;
    if replaced.len() > BYTES_MAX {
        return Err(too_large());
    }
    Ok(text(replaced))
}

/// The groups of a match, or the whole of it where the pattern has none.
fn groups(found: &Captures<'_>) -> Vec<Value> {
    let first = usize::from(found.len() > 1);
    (first..found.len()).map(|at| found.get(at).map_or(Value::Null, |group| text(group.as_str()))).collect()
}

/// regexp_match. Arguments: text, pattern, flags.
fn regex_match(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (value, options) = (string(args[0])?, Options::read_local(string(args[2])?, "regexp_match")?);
    with_regex(string(args[1])?, options, |regex| {
        regex.captures(value).map_or(Value::Null, |found| text(array_to_json(&groups(&found))))
    })
}

/// regexp_matches: the groups of the first match, or with `g` of all, as rows of a function in FROM.
fn regex_matches(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(text("[]"));
    }
    let (value, (options, global)) = (string(args[0])?, Options::read(string(args[2])?)?);
    let mut rows = String::from("[");
    with_regex(string(args[1])?, options, |regex| {
        each_match(regex, value, 0, |found| {
            if rows.len() > 1 {
                rows.push(',');
            }
            rows += &array_to_json(&groups(&found));
            global && rows.len() <= BYTES_MAX
        });
    })?;
    rows.push(']');
    if rows.len() > BYTES_MAX { Err(too_large()) } else { Ok(text(rows)) }
}

/// The pieces of a text between matches; empty matches at the ends and behind other matches cut nothing. Arguments: text,
/// pattern, and if given flags and 1 for the rows of regexp_split_to_table.
fn regex_split(args: &Arguments<'_>) -> Result<Value> {
    let is_table = args.get(3).map_or(Ok(0), |is_table| integer(*is_table))? != 0;
    if strict(args) {
        return Ok(if is_table { text("[]") } else { Value::Null });
    }
    let function = if is_table { "regexp_split_to_table" } else { "regexp_split_to_array" };
    let (value, options) = (string(args[0])?, Options::read_local(flags(args, 2)?, function)?);
    with_regex(string(args[1])?, options, |regex| {
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

/// regexp_like. Arguments: text, pattern, flags.
fn regex_like(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (value, options) = (string(args[0])?, Options::read_local(string(args[2])?, "regexp_like")?);
    let matched = with_regex(string(args[1])?, options, |regex| regex.is_match(value))?;
    Ok(Value::Integer(i64::from(matched)))
}

/// regexp_count. Arguments: text, pattern, and if given start and flags.
fn regex_count(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let value = string(args[0])?;
    let start = args.get(2).map_or(Ok(0), |start| start_byte(value, *start))?;
    let options = Options::read_local(flags(args, 3)?, "regexp_count")?;
    let mut count = 0;
    with_regex(string(args[1])?, options, |regex| {
        each_match(regex, value, start, |_| {
            count += 1;
            true
        });
    })?;
    Ok(Value::Integer(count))
}

/// regexp_substr. Arguments: text, pattern, start, which match, flags, which group (0 for the whole).
fn regex_substr(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let value = string(args[0])?;
    let (start, wanted) = (start_byte(value, args[2])?, at_least(args[3], 1, "n")?);
    let options = Options::read_local(string(args[4])?, "regexp_substr")?;
    let group = at_least(args[5], 0, "subexpr")? as usize;
    with_regex(string(args[1])?, options, |regex| {
        let found = nth_match(regex, value, start, wanted);
        found.and_then(|found| found.get(group)).map_or(Value::Null, |part| text(part.as_str()))
    })
}

/// regexp_instr. Arguments: text, pattern, start, which match, whether the place behind it is wanted, flags, which group.
fn regex_instr(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let value = string(args[0])?;
    let (start, wanted) = (start_byte(value, args[2])?, at_least(args[3], 1, "n")?);
    let behind = at_least(args[4], 0, "endoption")?;
    if behind > 1 {
        return Err(SqlError::new("22023", format!("invalid value for parameter \"endoption\": {behind}")));
    }
    let options = Options::read_local(string(args[5])?, "regexp_instr")?;
    let group = at_least(args[6], 0, "subexpr")? as usize;
    with_regex(string(args[1])?, options, |regex| {
        let found = nth_match(regex, value, start, wanted).and_then(|found| found.get(group));
        let at = found.map(|part| if behind == 1 { part.end() } else { part.start() });
        Value::Integer(at.map_or(0, |at| value[..at].chars().count() as i64 + 1))
    })
}

pub(super) const TABLE: &[ScalarFunction] = &[
    pure("evesql_regex_match", 3, regex_match),
    pure("evesql_regex_matches", 3, regex_matches),
    pure("evesql_regex_split", 2, regex_split),
    pure("evesql_regex_split", 4, regex_split),
    pure("evesql_regex_like", 3, regex_like),
    pure("evesql_regex_count", 2, regex_count),
    pure("evesql_regex_count", 4, regex_count),
    pure("evesql_regex_instr", 7, regex_instr),
    pure("evesql_regex_substr", 6, regex_substr),
    pure("evesql_regex_substr", 2, regex_substring),
    pure("evesql_regex_replace", 4, regex_replace),
    pure("evesql_regex_replace", 5, regex_replace),
    pure("evesql_regex_replace", 6, regex_replace),
];
