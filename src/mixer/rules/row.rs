//! `item(i_id = $2)`: the rows of a table that a rule names.

use super::lexeme::{Lexeme, Origin, lex};
use crate::transaction::Value;

/// Rows of one table as a rule writes them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rows {
    /// In lower case.
    pub table: String,
    /// Columns and what they are equal to, sorted by name; none for all rows.
    pub columns: Vec<(String, Term)>,
}

/// What a column is equal to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Term {
    /// A value.
    Constant(Value),
    /// A placeholder, by its name without the `$`.
    Placeholder(String),
}

/// Reads `table` or `table(column = $1, other = 'x')`.
///
/// # Errors
/// A sentence that says what is expected.
pub(super) fn parse(text: &str) -> Result<Rows, String> {
    let lexemes = lex(text).map_err(|error| error.to_string())?;
    let expected = || format!("`{text}` should read `table` or `table(column = $1)`");
    let (table, rest) = match lexemes.as_slice() {
        // A schema before the table is passed over, as in statements.
        [schema, dot, table, rest @ ..] if schema.is_name() && dot.is(".") => (table, rest),
        [table, rest @ ..] => (table, rest),
        [] => return Err(expected()),
    };
    let table = name(table).ok_or_else(expected)?;
    let mut columns = match rest {
        [] => Vec::new(),
        [open, inner @ .., close] if open.is("(") && close.is(")") => inner
            .split(|lexeme| lexeme.is(","))
            .map(|part| equality(part).ok_or_else(expected))
            .collect::<Result<_, _>>()?,
        _ => return Err(expected()),
    };
    columns.sort_by(|(a, _), (b, _)| a.cmp(b));
    if columns.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
        return Err(format!("`{text}` names a column twice"));
    }
    Ok(Rows { table, columns })
}

fn name(lexeme: &Lexeme) -> Option<String> {
    match lexeme {
        Lexeme::Word(word) if lexeme.is_name() => Some(word.to_string()),
        _ => None,
    }
}

fn equality(part: &[Lexeme]) -> Option<(String, Term)> {
    let (column, value, negative) = match part {
        [column, equal, value] if equal.is("=") => (column, value, false),
        [column, equal, minus, value] if equal.is("=") && minus.is("-") => (column, value, true),
        _ => return None,
    };
    let term = match value {
        Lexeme::Value(Origin::Parameter(number)) if !negative => Term::Placeholder(number.to_string()),
        Lexeme::Value(Origin::Named(name)) if !negative => Term::Placeholder(name.to_string()),
        Lexeme::Value(Origin::Literal(Value::Integer(number))) if negative => Term::Constant(Value::Integer(-number)),
        Lexeme::Value(Origin::Literal(value)) if !negative => Term::Constant(value.clone()),
        _ => return None,
    };
    Some((name(column)?, term))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_or_rows_of_it_by_columns() {
        assert_eq!(parse("Item"), Ok(Rows { table: "item".into(), columns: vec![] }));
        let rows = parse("public.line(scl_sc_id = $cart, kind = 'a', n = -3, b = $2)").unwrap();
        assert_eq!(rows.table, "line");
        let placeholder = |name: &str| Term::Placeholder(name.into());
        let text = Term::Constant(Value::Text("a".into()));
        let columns = [
            ("b", placeholder("2")),
            ("kind", text),
            ("n", Term::Constant(Value::Integer(-3))),
            ("scl_sc_id", placeholder("cart")),
        ];
        assert_eq!(rows.columns, columns.map(|(name, term)| (name.to_string(), term)));
    }

    #[test]
    fn anything_else_is_refused_in_words() {
        for wrong in ["", "5", "item(", "item()", "item(a > 1)", "item(a = b)", "item(a = $1) x", "item a"] {
            assert!(parse(wrong).unwrap_err().contains("should read"), "{wrong}");
        }
        assert_eq!(parse("item(a = 1, A = 2)").unwrap_err(), "`item(a = 1, A = 2)` names a column twice");
        assert_eq!(parse("item(a = 'x)").unwrap_err(), "a quoted string does not end");
    }
}
