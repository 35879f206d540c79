//! Words, values and wildcards of SQL text, as far as rules need to know them.

use crate::transaction::Value;

/// A piece of text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Lexeme {
    /// A keyword or name in lower case and without quotes, or an operator.
    Word(Box<str>),
    /// A value.
    Value(Origin),
    /// `..` in a rule: anything, also nothing.
    Any,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Origin {
    /// It stands in the text.
    Literal(Value),
    /// Parameter of the statement, from 1; in a rule, a placeholder of that name.
    Parameter(u32),
    /// `$cart`: a placeholder of a rule.
    Named(Box<str>),
}

impl Lexeme {
    pub(super) fn word(text: &str) -> Lexeme {
        Lexeme::Word(text.into())
    }
    pub(super) fn is(&self, text: &str) -> bool {
        matches!(self, Lexeme::Word(word) if **word == *text)
    }
    /// Whether it is a keyword or a name.
    pub(super) fn is_name(&self) -> bool {
        matches!(self, Lexeme::Word(word) if word.starts_with(is_name_start))
    }
}

/// Why a text has no lexemes, or no normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LexError {
    #[error("a quoted string does not end")]
    OpenString,
    #[error("a quoted name does not end")]
    OpenName,
    #[error("a comment does not end")]
    OpenComment,
    #[error("`$` needs a number or a name after it")]
    Dollar,
    #[error("its parentheses are nested too deeply")]
    Deep,
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Cuts a text into lexemes; white space and comments are left out.
pub(super) fn lex(text: &str) -> Result<Vec<Lexeme>, LexError> {
    let mut lexer = Lexer { rest: text };
    let mut lexemes = Vec::new();
    while let Some(lexeme) = lexer.next()? {
        lexemes.push(lexeme);
    }
    Ok(lexemes)
}

struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Result<Option<Lexeme>, LexError> {
        self.skip_space()?;
        let rest = self.rest;
        let Some(first) = rest.chars().next() else { return Ok(None) };
        let second = rest[first.len_utf8()..].chars().next();
        let lexeme = match (first, second) {
            ('\'', _) => {
                self.advance(1);
                Lexeme::Value(Origin::Literal(Value::Text(self.quoted('\'', LexError::OpenString)?.into())))
            }
            ('x' | 'X', Some('\'')) => {
                self.advance(2);
                let digits = self.quoted('\'', LexError::OpenString)?;
                Lexeme::Value(Origin::Literal(Value::Blob(bytes_of(&digits).into())))
            }
            ('e' | 'E', Some('\'')) => {
                self.advance(2);
                Lexeme::Value(Origin::Literal(Value::Text(self.quoted('\'', LexError::OpenString)?.into())))
            }
            ('"', _) => {
                self.advance(1);
                let name = self.quoted('"', LexError::OpenName)?;
                // A table of another schema is one name with a dot inside.
                Lexeme::Word(name.rsplit('.').next().unwrap_or("").to_ascii_lowercase().into())
            }
            ('$' | '?', _) => {
                self.advance(1);
                self.placeholder(first)?
            }
            ('.', Some('.')) => {
                self.advance(2);
                Lexeme::Any
            }
            (c, _) if c.is_ascii_digit() => self.number(),
            ('.', Some(c)) if c.is_ascii_digit() => self.number(),
            (c, _) if is_name_start(c) => Lexeme::Word(self.take(is_name_part).to_lowercase().into()),
            _ => self.operator(first),
        };
        Ok(Some(lexeme))
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or("");
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip_space(&mut self) -> Result<(), LexError> {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with("--") {
                self.take(|c| c != '\n');
            } else if self.rest.starts_with("/*") {
                let end = self.rest.find("*/").ok_or(LexError::OpenComment)?;
                self.advance(end + 2);
            } else {
                return Ok(());
            }
        }
    }

    /// The inside of quotes of which the first is taken already; doubled ones stand for one.
    fn quoted(&mut self, quote: char, open: LexError) -> Result<String, LexError> {
        let mut inside = String::new();
        loop {
            let end = self.rest.find(quote).ok_or(open)?;
            inside.push_str(&self.rest[..end]);
            self.advance(end + 1);
            if !self.rest.starts_with(quote) {
                return Ok(inside);
            }
            inside.push(quote);
            self.advance(1);
        }
    }

    fn placeholder(&mut self, sign: char) -> Result<Lexeme, LexError> {
        let name = self.take(is_name_part);
        let origin = match name.parse() {
            Ok(number) => Origin::Parameter(number),
            Err(_) if name.is_empty() && sign == '$' => return Err(LexError::Dollar),
            Err(_) => Origin::Named(name.to_lowercase().into()),
        };
        Ok(Lexeme::Value(origin))
    }

    fn number(&mut self) -> Lexeme {
        let whole = self.take(|c| c.is_ascii_digit());
        let mut text = whole.to_string();
        if self.rest.starts_with('.') && !self.rest.starts_with("..") {
            self.advance(1);
            text.push('.');
            text.push_str(self.take(|c| c.is_ascii_digit()));
        }
        if let Some(exponent) = self.rest.strip_prefix(['e', 'E']) {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.starts_with(|c: char| c.is_ascii_digit()) {
                let sign = &exponent[..exponent.len() - digits.len()];
                self.rest = digits;
                text = format!("{text}e{sign}{}", self.take(|c| c.is_ascii_digit()));
            }
        }
        let value = match text.parse() {
            Ok(integer) => Value::Integer(integer),
            Err(_) => Value::Real(text.parse().unwrap_or(f64::INFINITY)),
        };
        Lexeme::Value(Origin::Literal(value))
    }

    fn operator(&mut self, first: char) -> Lexeme {
        const LONG: &[&str] = &["->>", "#>>", "<=", ">=", "<>", "!=", "==", "||", "::", "->", "#>", "@>", "<@"];
        let text = LONG.iter().find(|long| self.rest.starts_with(**long));
        let bytes = text.map_or(first.len_utf8(), |long| long.len());
        let word = match self.rest.get(..bytes).unwrap_or("") {
            "!=" => "<>",
            "==" => "=",
            word => word,
        };
        let lexeme = Lexeme::word(word);
        self.advance(bytes);
        lexeme
    }
}

fn bytes_of(digits: &str) -> Vec<u8> {
    let pair = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    digits.as_bytes().chunks(2).map_while(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let show = |lexeme: &Lexeme| match lexeme {
            Lexeme::Word(word) => word.to_string(),
            Lexeme::Value(Origin::Literal(value)) => format!("{value:?}"),
            Lexeme::Value(Origin::Parameter(number)) => format!("${number}"),
            Lexeme::Value(Origin::Named(name)) => format!("${name}"),
            Lexeme::Any => "..".into(),
        };
        lex(text).unwrap().iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_values_and_wildcards_are_told_apart() {
        assert_eq!(shown("SELECT \"A b\".\"x\"\"y\" -- c\n FROM/* */t"), "select a b . x\"y from t");
        assert_eq!(shown("a<=1 AND b!=-2.5e3||'it''s'"), "a <= Integer(1) and b <> - Real(2500.0) || Text(\"it's\")");
        assert_eq!(shown("x'0aFf' ?1 $2 $cart ? .5"), "Blob([10, 255]) $1 $2 $cart $ Real(0.5)");
        assert_eq!(shown("1..2 .. SELECT .. FROM"), "Integer(1) .. Integer(2) .. select .. from");
        assert_eq!(shown("9223372036854775808 x::int"), "Real(9.223372036854776e18) x :: int");
        assert_eq!(shown("\"sales.orders\""), "orders");
    }

    #[test]
    fn what_does_not_end_is_told() {
        assert_eq!(lex("'abc"), Err(LexError::OpenString));
        assert_eq!(lex("\"abc"), Err(LexError::OpenName));
        assert_eq!(lex("/* abc"), Err(LexError::OpenComment));
        assert_eq!(lex("a = $ "), Err(LexError::Dollar));
    }
}
