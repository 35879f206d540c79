//! Matching a statement against the text of a rule, and a list of statements against a list of such texts.

use super::lexeme::{LexError, Lexeme, Origin};
use super::normal::Normal;

/// Where something stands: file, line and column.
pub(super) type Place = (String, u32, u32);

/// The text of one statement in a rule, and its normal form.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// As it was written, and where.
    pub text: String,
    pub place: Place,
    normal: Normal,
    /// Hash of the lexemes; none with a wildcard among them.
    pub hash: Option<u64>,
    /// Place of each placeholder in `lexemes`, and its name.
    pub placeholders: Vec<(usize, String)>,
}

/// A value of a statement that stands where a rule has a placeholder.
pub(super) type Bound = Vec<Origin>;

impl Pattern {
    pub fn new(text: &str, place: Place) -> Result<Pattern, LexError> {
        let normal = Normal::of(text)?;
        let name = |lexeme: &Lexeme| match lexeme {
            Lexeme::Value(Origin::Parameter(number)) => Some(number.to_string()),
            Lexeme::Value(Origin::Named(name)) if !name.is_empty() => Some(name.to_string()),
            _ => None,
        };
        let lexemes = &normal.lexemes;
        let placeholders = lexemes.iter().enumerate().filter_map(|(at, l)| Some((at, name(l)?))).collect();
        let hash = (!lexemes.contains(&Lexeme::Any)).then(|| hash_of(lexemes));
        Ok(Pattern { text: text.into(), place, normal, hash, placeholders })
    }

    /// Its lexemes.
    pub fn lexemes(&self) -> &[Lexeme] {
        &self.normal.lexemes
    }

    /// Names of its placeholders.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.placeholders.iter().map(|(_, name)| name.as_str())
    }

    /// Where the values of its placeholders come from if the statement reads like it.
    pub fn matches(&self, statement: &[Lexeme]) -> Option<Bound> {
        let places = self.places(statement)?;
        let origin = |(at, _): &(usize, String)| match statement.get(*places.get(*at)?)? {
            Lexeme::Value(origin) => Some(origin.clone()),
            _ => None,
        };
        self.placeholders.iter().map(origin).collect()
    }

    fn places(&self, statement: &[Lexeme]) -> Option<Vec<usize>> {
        places(&self.normal.lexemes, statement, |lexeme| *lexeme == Lexeme::Any, alike)
    }

    /// Whether it matches all that another does, whatever the values are. Only a wildcard covers a wildcard.
    pub fn covers(&self, narrow: &Pattern) -> bool {
        narrow.normal.forms().any(|form| self.places(form).is_some())
    }
}

/// All values are alike.
fn alike(a: &Lexeme, b: &Lexeme) -> bool {
    matches!((a, b), (Lexeme::Value(_), Lexeme::Value(_))) || a == b
}

/// Hash of a statement in which all values are alike.
pub(super) fn hash_of(lexemes: &[Lexeme]) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for lexeme in lexemes {
        match lexeme {
            Lexeme::Word(word) => hasher.update(word.as_bytes()),
            Lexeme::Value(_) => hasher.update(b"\x01"),
            Lexeme::Any => hasher.update(b"\x02"),
        }
        // Stands in no word.
        hasher.update(b"\0");
    }
    hasher.digest()
}

/// For each element of a pattern the place of the element that it stands for; that of a wildcard is of no meaning.
/// `None` if they do not match. Time: the product of the lengths at worst.
pub(super) fn places<P, T>(
    pattern: &[P],
    text: &[T],
    is_any: impl Fn(&P) -> bool,
    alike: impl Fn(&P, &T) -> bool,
) -> Option<Vec<usize>> {
    let mut found = vec![0; pattern.len()];
    // After the last wildcard that was passed: its place, and how far it reaches.
    let mut resume: Option<(usize, usize)> = None;
    let (mut p, mut t) = (0, 0);
    while t < text.len() || p < pattern.len() {
        match (pattern.get(p), text.get(t)) {
            (Some(any), _) if is_any(any) => {
                resume = Some((p, t));
                p += 1;
            }
            (Some(part), Some(lexeme)) if alike(part, lexeme) => {
                found[p] = t;
                (p, t) = (p + 1, t + 1);
            }
            _ => {
                // The wildcard takes one more.
                let (any, reach) = resume.filter(|(_, reach)| *reach < text.len())?;
                resume = Some((any, reach + 1));
                (p, t) = (any + 1, reach + 1);
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text, Place::default()).unwrap()
    }
    fn bound(rule: &str, statement: &str) -> Option<Bound> {
        pattern(rule).matches(&Normal::of(statement).unwrap().lexemes)
    }

    #[test]
    fn placeholders_are_bound_to_what_stands_in_their_place() {
        let found = bound("update t set a = $1 where id = $key", "UPDATE t SET a = ?2 WHERE (t.id = 5)").unwrap();
        assert_eq!(found, [Origin::Parameter(2), Origin::Literal(crate::transaction::Value::Integer(5))]);
        let found = bound("select .. from t where id = $1 ..", "SELECT a, b FROM t WHERE id = ?3 LIMIT 1").unwrap();
        assert_eq!(found, [Origin::Parameter(3)]);
        assert_eq!(bound("select .. from t where id = $1", "SELECT a FROM t WHERE id = ?3 AND b = 1"), None);
    }

    #[test]
    fn a_wildcard_may_stand_for_nothing_and_is_tried_longer() {
        assert!(bound("select a .. from t", "select a from t").is_some());
        let found = bound("delete from t .. b = $1", "delete from t where b = 1 and b = 2").unwrap();
        assert_eq!(found, [Origin::Literal(crate::transaction::Value::Integer(2))]);
        assert_eq!(bound("delete from t .. c = $1", "delete from t where b = 1"), None);
    }

    /// What a pattern of letters and `*` means, by definition.
    fn by_definition(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| by_definition(rest, &text[skip..])),
            Some((first, rest)) => text.split_first().is_some_and(|(t, more)| t == first && by_definition(rest, more)),
        }
    }

    proptest! {
        #[test]
        fn matching_is_the_one_by_definition(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            let found = places(pattern, text, |p| *p == b'*', |p, t| p == t);
            prop_assert_eq!(found.is_some(), by_definition(pattern, text));
            if let Some(found) = found {
                let mut letters = pattern.iter().zip(&found).filter(|(p, _)| **p != b'*');
                prop_assert!(letters.all(|(p, at)| text[*at] == *p));
                let mut order = pattern.iter().zip(&found).filter(|(p, _)| **p != b'*').map(|(_, at)| *at);
                let mut last = None;
                prop_assert!(order.all(|at| last.replace(at).is_none_or(|before| before < at)));
            }
        }
    }
}
