//! One form for what an application sends and for what the translation makes of it.
//!
//! A transaction carries SQLite's SQL; a person writes into a rule what the application says. For simple statements
//! the two differ in little, and that little is taken away on both sides:
//!
//! ```text
//!   case, white space, comments, quotes of names, schema and table before a name, all parentheses
//!   literals, parameters and placeholders                 all the same: a value
//!   AS, ASC, INNER, OUTER, casts, INTERVAL and its like before a literal
//!   ORDER BY and its list                                 nothing
//!   x BETWEEN a AND b                                     x >= a AND x <= b
//!   CURRENT_TIMESTAMP, CURRENT_DATE, evesql_now()         now
//!   evesql_varchar(x, 20, 0) and other coercions          x
//!   evesql_numeric_add(a, b) and its like                 a + b
//!   columns that the translation adds to an INSERT        see [`Normal::prefixes`]
//! ```
//!
//! Texts that differ may become alike (`(a + b) * c` and `a + b * c`): a rule that then says something wrong costs
//! time, never a result.

use super::lexeme::{LexError, Lexeme, Origin, lex};
use crate::transaction::Value;

/// The translation takes less.
const DEPTH_MAX: usize = 256;

/// A statement in its normal form.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Normal {
    /// All of it.
    pub lexemes: Vec<Lexeme>,
    /// For an INSERT of one row of values: the same with fewer and fewer of its last columns, down to one. The
    /// translation adds columns that the client left out behind the others.
    pub prefixes: Vec<Vec<Lexeme>>,
}

impl Normal {
    /// # Errors
    /// A quote, comment or placeholder that does not end; parentheses too deep.
    pub fn of(text: &str) -> Result<Normal, LexError> {
        let mut lexemes = lex(text)?;
        while lexemes.last().is_some_and(|last| last.is(";")) {
            lexemes.pop();
        }
        let plain = signs(names(without_functions(lexemes)?));
        let prefixes = Insert::of(&plain).map(|insert| insert.prefixes()).unwrap_or_default();
        Ok(Normal { lexemes: finish(plain), prefixes })
    }

    /// It and its shorter forms.
    pub fn forms(&self) -> impl Iterator<Item = &[Lexeme]> {
        std::iter::once(&self.lexemes[..]).chain(self.prefixes.iter().map(|prefix| &prefix[..]))
    }
}

/// What [`without_functions`] makes of a function.
enum Shape {
    /// Its first argument.
    Argument,
    /// Both arguments with an operator between them.
    Infix(&'static str),
    /// Another name.
    Renamed(String),
    /// `coalesce`: its first argument if the second is an error.
    Required,
}

fn shape_of(function: &str) -> Option<Shape> {
    const COERCIONS: &[&str] = &[
        "varchar",
        "bpchar",
        "int2",
        "int4",
        "int8",
        "limit",
        "offset",
        "numeric",
        "numeric_fit",
        "numeric_align",
        "time_fit",
        "cast",
        "pad",
    ];
    const OPERATORS: &[(&str, &str)] =
        &[("_add", "+"), ("_sub", "-"), ("_diff", "-"), ("_mul", "*"), ("_div", "/"), ("_mod", "%")];
    if function == "coalesce" {
        return Some(Shape::Required);
    }
    let name = function.strip_prefix("evesql_")?;
    if COERCIONS.contains(&name) {
        return Some(Shape::Argument);
    }
    if let Some((_, operator)) = OPERATORS.iter().find(|(end, _)| name.ends_with(end)) {
        return Some(Shape::Infix(operator));
    }
    let aggregate = ["sum", "avg"].into_iter().find(|aggregate| name.starts_with(&format!("{aggregate}_")));
    Some(Shape::Renamed(aggregate.unwrap_or(name).to_string()))
}

/// Takes away what the translation puts around values.
pub(super) fn without_functions(lexemes: Vec<Lexeme>) -> Result<Vec<Lexeme>, LexError> {
    let mut outer = Frame::default();
    let mut open: Vec<Frame> = Vec::new();
    for lexeme in lexemes {
        let innermost = open.last_mut().unwrap_or(&mut outer);
        if lexeme.is("(") {
            let shape = innermost.take_function();
            if open.len() == DEPTH_MAX {
                return Err(LexError::Deep);
            }
            open.push(Frame { shape, ..Frame::default() });
        } else if lexeme.is(",") {
            innermost.comma(lexeme);
        } else if lexeme.is(")")
            && let Some(closed) = open.pop()
        {
            open.last_mut().unwrap_or(&mut outer).inside.extend(closed.close());
        } else {
            open.last_mut().unwrap_or(&mut outer).inside.push(lexeme);
        }
    }
    outer.inside.extend(open.into_iter().flat_map(|frame| frame.inside));
    Ok(outer.inside)
}

/// The inside of parentheses that are still open.
#[derive(Default)]
struct Frame {
    /// Of the function whose arguments it holds.
    shape: Option<Shape>,
    inside: Vec<Lexeme>,
    /// Where the first argument and the second end, if there are more.
    ends: [Option<usize>; 2],
}

impl Frame {
    /// The last word, if it is a function of ours; it is taken away then.
    fn take_function(&mut self) -> Option<Shape> {
        let Some(Lexeme::Word(word)) = self.inside.last() else { return None };
        let shape = shape_of(word)?;
        self.inside.pop();
        Some(shape)
    }
    fn comma(&mut self, comma: Lexeme) {
        match &mut self.ends {
            [first @ None, _] => *first = Some(self.inside.len()),
            [_, second] => *second = second.or(Some(self.inside.len())),
        }
        self.inside.push(match &self.shape {
            Some(Shape::Infix(operator)) => Lexeme::word(operator),
            _ => comma,
        });
    }
    fn close(mut self) -> Vec<Lexeme> {
        let [first, second] = self.ends;
        let kept = match &self.shape {
            Some(Shape::Argument) => first,
            Some(Shape::Infix(_)) => second,
            Some(Shape::Required) if self.is_required_value() => first,
            _ => None,
        };
        if let Some(kept) = kept {
            self.inside.truncate(kept);
        }
        let name = match self.shape {
            Some(Shape::Renamed(name)) => Some(Lexeme::word(&name)),
            Some(Shape::Required) if kept.is_none() => Some(Lexeme::word("coalesce")),
            _ => None,
        };
        let inside = std::iter::once(Lexeme::word("(")).chain(self.inside).chain([Lexeme::word(")")]);
        name.into_iter().chain(inside).collect()
    }
    /// `coalesce(x, evesql_not_null('table', 'column'))`
    fn is_required_value(&self) -> bool {
        let second = self.ends[0].and_then(|end| self.inside.get(end + 1));
        second.is_some_and(|word| word.is("not_null"))
    }
}

/// Names without what stands before them, truth values as values, one name for the time, no casts.
fn names(lexemes: Vec<Lexeme>) -> Vec<Lexeme> {
    let mut out: Vec<Lexeme> = Vec::with_capacity(lexemes.len());
    let mut at = 0;
    while let Some(lexeme) = lexemes.get(at) {
        let next = |ahead: usize, text: &str| lexemes.get(at + ahead).is_some_and(|lexeme| lexeme.is(text));
        let Lexeme::Word(word) = lexeme else {
            out.push(lexeme.clone());
            at += 1;
            continue;
        };
        at += match &**word {
            _ if lexeme.is_name() && next(1, ".") => 2,
            "true" | "false" => {
                let truth = Value::Integer(i64::from(&**word == "true"));
                out.push(Lexeme::Value(Origin::Literal(truth)));
                1
            }
            "current_timestamp" | "current_date" | "localtimestamp" => {
                out.push(Lexeme::word("now"));
                1
            }
            "now" if next(1, "(") && next(2, ")") => {
                out.push(lexeme.clone());
                3
            }
            "::" => {
                let arguments = if next(2, "(") { 3 } else { 0 };
                2 + arguments
            }
            _ => {
                out.push(lexeme.clone());
                1
            }
        };
    }
    out
}

/// A minus before a number belongs to it, unless something to subtract from stands before.
pub(super) fn signs(lexemes: Vec<Lexeme>) -> Vec<Lexeme> {
    const BEFORE_A_VALUE: &[&str] = &[
        "select",
        "where",
        "and",
        "or",
        "not",
        "set",
        "values",
        "then",
        "else",
        "when",
        "case",
        "limit",
        "offset",
        "between",
        "in",
        "like",
        "by",
        "having",
        "on",
        "returning",
    ];
    let mut out: Vec<Lexeme> = Vec::with_capacity(lexemes.len());
    for lexeme in lexemes {
        let operand_before = match out.iter().rev().nth(1) {
            None | Some(Lexeme::Any) => false,
            Some(Lexeme::Value(_)) => true,
            Some(Lexeme::Word(word)) => {
                &**word == ")"
                    || (word.starts_with(|c: char| c.is_alphanumeric()) && !BEFORE_A_VALUE.contains(&&**word))
            }
        };
        let negative = out.last().is_some_and(|last| last.is("-")) && !operand_before;
        match (&lexeme, negative) {
            (Lexeme::Value(Origin::Literal(Value::Integer(number))), true) => {
                out.pop();
                out.push(Lexeme::Value(Origin::Literal(Value::Integer(number.wrapping_neg()))));
            }
            (Lexeme::Value(Origin::Literal(Value::Real(number))), true) => {
                out.pop();
                out.push(Lexeme::Value(Origin::Literal(Value::Real(-number))));
            }
            _ => out.push(lexeme),
        }
    }
    out
}

/// Ranges as comparisons; words that change nothing, orders and parentheses left out.
fn finish(lexemes: Vec<Lexeme>) -> Vec<Lexeme> {
    const EMPTY: &[&str] = &["(", ")", "as", "asc", "inner", "outer"];
    const TYPES: &[&str] = &["interval", "date", "time", "timestamp", "timestamptz"];
    let ordered = without_order(lexemes).into_iter();
    let solid: Vec<Lexeme> = ordered.filter(|lexeme| !EMPTY.iter().any(|empty| lexeme.is(empty))).collect();
    let mut out: Vec<Lexeme> = Vec::with_capacity(solid.len());
    let mut at = 0;
    while let Some(lexeme) = solid.get(at) {
        let [second, third, fourth, fifth] = [1, 2, 3, 4].map(|ahead| solid.get(at + ahead));
        let is = |lexeme: Option<&Lexeme>, word: &str| lexeme.is_some_and(|lexeme| lexeme.is(word));
        let value_follows = matches!(second, Some(Lexeme::Value(Origin::Literal(_))));
        if let (true, Some(low), Some(high)) = (lexeme.is_name(), third, fifth)
            && is(second, "between")
            && is(fourth, "and")
        {
            let comparisons = [lexeme.clone(), Lexeme::word(">="), low.clone(), Lexeme::word("and")];
            out.extend(comparisons.into_iter().chain([lexeme.clone(), Lexeme::word("<="), high.clone()]));
            at += 5;
        } else if lexeme.is("now") && is(second, "/") && matches!(third, Some(Lexeme::Value(_))) {
            // The day of a time.
            out.push(lexeme.clone());
            at += 3;
        } else if value_follows && TYPES.iter().any(|ty| lexeme.is(ty)) {
            at += 1;
        } else {
            out.push(lexeme.clone());
            at += 1;
        }
    }
    out
}

/// Leaves out ORDER BY with its list: the translation writes columns as numbers there.
fn without_order(lexemes: Vec<Lexeme>) -> Vec<Lexeme> {
    const AFTER: &[&str] = &["limit", "offset", "fetch", "for", "returning", "union", "rows", "range"];
    let mut out = Vec::with_capacity(lexemes.len());
    // Parentheses that were opened inside of a list that is being left out.
    let mut left_out: Option<u32> = None;
    let mut all = lexemes.into_iter().peekable();
    while let Some(lexeme) = all.next() {
        left_out = match left_out {
            Some(depth) if lexeme.is("(") => Some(depth + 1),
            Some(0) if lexeme.is(")") || lexeme == Lexeme::Any || AFTER.iter().any(|word| lexeme.is(word)) => None,
            Some(depth) if lexeme.is(")") => Some(depth - 1),
            None if lexeme.is("order") && all.peek().is_some_and(|next| next.is("by")) => Some(0),
            same => same,
        };
        if left_out.is_none() {
            out.push(lexeme);
        }
    }
    out
}

/// `INSERT INTO t (a, b) VALUES (x, y) ..`
struct Insert<'a> {
    head: &'a [Lexeme],
    columns: Vec<&'a [Lexeme]>,
    values: Vec<&'a [Lexeme]>,
    tail: &'a [Lexeme],
}

impl<'a> Insert<'a> {
    fn of(lexemes: &'a [Lexeme]) -> Option<Self> {
        let starts = lexemes.first()?.is("insert") && lexemes.get(1)?.is("into") && lexemes.get(2)?.is_name();
        let (columns, after) = list(lexemes, 3)?;
        let follows = lexemes.get(after)?.is("values");
        let (values, end) = list(lexemes, after + 1).filter(|_| starts && follows)?;
        let tail = lexemes.get(end..).unwrap_or(&[]);
        let one_row = !tail.first().is_some_and(|next| next.is(","));
        (one_row && columns.len() == values.len()).then(|| Insert { head: &lexemes[..3], columns, values, tail })
    }

    fn prefixes(&self) -> Vec<Vec<Lexeme>> {
        /// Tables have few columns that clients leave out.
        const SHORTER_MAX: usize = 32;
        let shorter = (1..self.columns.len()).rev().take(SHORTER_MAX);
        shorter.map(|count| finish(self.joined(count))).collect()
    }

    fn joined(&self, count: usize) -> Vec<Lexeme> {
        let comma = [Lexeme::word(",")];
        let join = |parts: &[&[Lexeme]]| parts[..count].join(&comma[..]);
        let values = [Lexeme::word("values")];
        [self.head, &join(&self.columns), &values, &join(&self.values), self.tail].concat()
    }
}

/// The parts between the commas of a list in parentheses that starts here, and the place after it.
fn list(lexemes: &[Lexeme], start: usize) -> Option<(Vec<&[Lexeme]>, usize)> {
    lexemes.get(start).filter(|first| first.is("("))?;
    let (mut parts, mut depth, mut from) = (Vec::new(), 0u32, start + 1);
    for (at, lexeme) in lexemes.iter().enumerate().skip(start) {
        if lexeme.is("(") {
            depth += 1;
        } else if lexeme.is(")") {
            depth -= 1;
        }
        if depth == 0 || (depth == 1 && lexeme.is(",")) {
            parts.push(&lexemes[from..at]);
            from = at + 1;
        }
        if depth == 0 {
            return Some((parts, at + 1));
        }
    }
    None
}

#[cfg(test)]
#[path = "normal_tests.rs"]
mod tests;
