//! Reads the lexemes of a command one after the other.

use super::Utility;
use crate::dialect::parse::{Places, syntax_error};
use crate::transaction::SqlError;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// Reads lexemes one after the other.
pub(in crate::dialect) struct Cursor<'a> {
    pub(in crate::dialect) tokens: &'a [TokenWithSpan],
    pub(in crate::dialect) places: &'a Places<'a>,
    pub(in crate::dialect) at: usize,
}

pub(in crate::dialect) type Read<T> = Result<T, SqlError>;

impl<'a> Cursor<'a> {
    pub(in crate::dialect) fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at).map(|token| &token.token)
    }
    pub(in crate::dialect) fn next(&mut self) -> Option<&'a Token> {
        self.at += 1;
        self.tokens.get(self.at - 1).map(|token| &token.token)
    }
    pub(in crate::dialect) fn word(&self, ahead: usize) -> Option<String> {
        match &self.tokens.get(self.at + ahead)?.token {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_lowercase()),
            _ => None,
        }
    }
    /// Takes these words if they come next.
    pub(in crate::dialect) fn take(&mut self, words: &[&str]) -> bool {
        let here = words.iter().enumerate().all(|(ahead, word)| self.word(ahead).as_deref() == Some(word));
        if here {
            self.at += words.len();
        }
        here
    }
    pub(in crate::dialect) fn take_token(&mut self, token: &Token) -> bool {
        let here = self.peek() == Some(token);
        self.at += usize::from(here);
        here
    }
    pub(in crate::dialect) fn error(&self) -> SqlError {
        match self.tokens.get(self.at) {
            Some(token) => syntax_error(token, self.places),
            None => SqlError::new("42601", "syntax error at end of input"),
        }
    }
    pub(in crate::dialect) fn expect(&mut self, word: &str) -> Read<()> {
        if self.take(&[word]) { Ok(()) } else { Err(self.error()) }
    }
    pub(in crate::dialect) fn expect_token(&mut self, token: &Token) -> Read<()> {
        if self.take_token(token) { Ok(()) } else { Err(self.error()) }
    }
    pub(in crate::dialect) fn name(&mut self) -> Read<String> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(match word.quote_style {
                    Some(_) => word.value.clone(),
                    None => word.value.to_lowercase(),
                })
            }
            _ => Err(self.error()),
        }
    }
    pub(in crate::dialect) fn dotted(&mut self) -> Read<Vec<String>> {
        let mut parts = vec![self.name()?];
        while self.take_token(&Token::Period) {
            parts.push(self.name()?);
        }
        Ok(parts)
    }
    pub(in crate::dialect) fn names(&mut self) -> Read<Vec<Vec<String>>> {
        let mut all = vec![self.dotted()?];
        while self.take_token(&Token::Comma) {
            all.push(self.dotted()?);
        }
        Ok(all)
    }
    pub(in crate::dialect) fn string(&mut self) -> Read<String> {
        match self.peek() {
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => {
                self.at += 1;
                Ok(text.clone())
            }
            _ => Err(self.error()),
        }
    }
    pub(in crate::dialect) fn end(&self) -> Read<()> {
        if self.at >= self.tokens.len() { Ok(()) } else { Err(self.error()) }
    }
    pub(in crate::dialect) fn rest(&self) -> &'a [TokenWithSpan] {
        self.tokens.get(self.at..).unwrap_or(&[])
    }
    pub(in crate::dialect) fn done(self, utility: Utility) -> Read<Option<Utility>> {
        self.end()?;
        Ok(Some(utility))
    }
}
