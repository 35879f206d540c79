//! Keys of rows, made equal where SQLite finds them equal: the value after the column's affinity, then hashed.
//!
//! Equal keys have equal hashes; two keys may share one by chance, or because telling them apart is not worth it,
//! and then two transactions conflict that need not. What SQLite would convert in a way that is not followed here
//! (reals to text, text with digits to numbers) is *unknown*, and an item of an unknown key is one of all rows.

use super::Extent;
use crate::transaction::{Value, ValueRef};
use std::io::Write as _;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What a column makes of values (SQLite's column affinity).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// Text that looks like a number becomes one, reals that are whole become integers.
    Integer,
    /// Numbers become reals.
    Real,
    /// As INTEGER.
    Numeric,
    /// Numbers become text.
    Text,
    /// Everything stays as it is.
    Blob,
}

impl Affinity {
    /// Of a declared type; `strict` for a column of a STRICT table, where ANY keeps values as they are.
    pub fn of_type(declared: &str, strict: bool) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |part: &str| declared.contains(part);
        if declared.is_empty() || strict && declared == "ANY" {
            Affinity::Blob
        } else if has("INT") {
            Affinity::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Affinity::Text
        } else if has("BLOB") {
            Affinity::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Affinity::Real
        } else {
            Affinity::Numeric
        }
    }
}

/// What adding a value to a key showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is in the hash.
    Known,
    /// It is NULL; the hash tells so.
    Null,
    /// SQLite would convert it; the hash is worth nothing.
    Unknown,
}

/// Seeds that keep the kinds of values apart.
const NULL: u64 = 0x9e37_79b9_7f4a_7c15;
const INTEGER: u64 = 0xc2b2_ae3d_27d4_eb4f;
const REAL: u64 = 0x1656_67b1_9e37_79f9;
const TEXT: u64 = 0x27d4_eb2f_1656_67c5;
const BLOB: u64 = 0x85eb_ca77_c2b2_ae63;

/// Which rows a key names, column by column.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeyHash {
    columns: u32,
    partition: u64,
    hash: u64,
}

impl KeyHash {
    /// The rows of which the key's first columns have the values that were added.
    pub fn extent(self) -> Extent {
        match self.columns {
            0 => Extent::All,
            1 => Extent::Partition(self.hash),
            _ => Extent::Row { partition: self.partition, row: self.hash },
        }
    }

    fn bytes(&mut self, kind: u64, bytes: &[u8]) -> Added {
        if self.columns == 1 {
            self.partition = self.hash;
        }
        self.hash = xxh3_64_with_seed(bytes, self.hash.wrapping_add(kind));
        self.columns += 1;
        Added::Known
    }

    fn integer(&mut self, number: i64) -> Added {
        self.bytes(INTEGER, &number.to_le_bytes())
    }

    /// A real that is whole is the same key as the integer; SQLite compares the two exactly.
    fn real(&mut self, number: f64) -> Added {
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        if number.is_nan() {
            return Added::Unknown;
        }
        if number.fract() == 0.0 && (-LIMIT..LIMIT).contains(&number) {
            return self.integer(number as i64);
        }
        self.bytes(REAL, &number.to_bits().to_le_bytes())
    }

    /// Text in a column that turns text into numbers.
    fn number_in_text(&mut self, text: &str, affinity: Affinity) -> Added {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if (1..=18).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(number) = text.parse()
        {
            return self.add(ValueRef::Integer(number), affinity);
        }
        let lower = text.to_ascii_lowercase();
        let may_be_number =
            lower.bytes().any(|byte| byte.is_ascii_digit()) || lower.contains("inf") || lower.contains("nan");
        if may_be_number { Added::Unknown } else { self.bytes(TEXT, text.as_bytes()) }
    }

    /// Adds the value of the next column.
    pub fn add(&mut self, value: ValueRef<'_>, affinity: Affinity) -> Added {
        match (value, affinity) {
            (ValueRef::Null, _) => {
                self.bytes(NULL, &[]);
                Added::Null
            }
            (ValueRef::Integer(number), Affinity::Text) => {
                let mut text = [0; 20];
                let mut rest = &mut text[..];
                let left = write!(rest, "{number}").map_or(0, |()| rest.len());
                self.bytes(TEXT, &text[..20 - left])
            }
            (ValueRef::Integer(number), Affinity::Real) => self.real(number as f64),
            (ValueRef::Integer(number), _) => self.integer(number),
            (ValueRef::Real(_), Affinity::Text) => Added::Unknown,
            (ValueRef::Real(number), _) => self.real(number),
            (ValueRef::Text(text), Affinity::Text | Affinity::Blob) => self.bytes(TEXT, text.as_bytes()),
            (ValueRef::Text(text), _) => self.number_in_text(text, affinity),
            (ValueRef::Blob(bytes), _) => self.bytes(BLOB, bytes),
        }
    }
}

/// Where a part of a key comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// Parameter, counted from 1 as in `?1`.
    Parameter(u32),
    /// A constant in the text.
    Constant(Value),
    /// The number that the statement draws from a sequence, counted from 0.
    Draw(u32),
}

/// A value of a statement that is known when its parameters are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operand {
    pub source: Source,
    /// Set where the text goes through `evesql_varchar` with this length: within it, the value stays as it is.
    pub characters_max: Option<u32>,
}

/// A column of a key with where its value comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub operand: Operand,
    pub affinity: Affinity,
}

/// What a statement is run with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bound<'a> {
    pub parameters: &'a [Value],
    /// Numbers of sequences that it draws, if they are known.
    pub drawn: &'a [i64],
}

impl Operand {
    /// The value; none if it is not known.
    pub fn value<'a>(&'a self, bound: &Bound<'a>) -> Option<ValueRef<'a>> {
        let value = match &self.source {
            Source::Parameter(number) => bound.parameters.get((*number as usize).checked_sub(1)?)?.as_ref(),
            Source::Constant(value) => value.as_ref(),
            Source::Draw(at) => ValueRef::Integer(*bound.drawn.get(*at as usize)?),
        };
        match (self.characters_max, value) {
            (None, value) | (Some(_), value @ ValueRef::Null) => Some(value),
            (Some(max), ValueRef::Text(text)) => {
                let fits = text.len() <= max as usize || text.chars().count() <= max as usize;
                fits.then_some(value)
            }
            _ => None,
        }
    }
}

/// The rows that a key names, by all its columns or the first ones alone. A value that is not known leaves the
/// partition if that is known, and all rows else.
// Inlined: an answer in memory would be a third of its time.
#[inline]
pub(super) fn bind(parts: &[Part], bound: &Bound<'_>) -> (Added, Extent) {
    let mut hash = KeyHash::default();
    let mut all = Added::Known;
    for part in parts {
        match part.operand.value(bound).map_or(Added::Unknown, |value| hash.add(value, part.affinity)) {
            Added::Unknown => return hash.extent().partition().map_or((Added::Unknown, Extent::All), known),
            Added::Null => all = Added::Null,
            Added::Known => {}
        }
    }
    (all, hash.extent())
}

fn known(partition: u64) -> (Added, Extent) {
    (Added::Known, Extent::Partition(partition))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: ValueRef<'_>, affinity: Affinity) -> Option<Extent> {
        let mut hash = KeyHash::default();
        (hash.add(value, affinity) != Added::Unknown).then(|| hash.extent())
    }

    #[test]
    fn values_that_a_column_makes_equal_are_one_key() {
        use Affinity::{Blob, Integer, Numeric, Real, Text};
        use ValueRef::{Integer as I, Real as R, Text as T};
        for (affinity, a, b, equal) in [
            (Integer, I(5), T("5"), true),
            (Integer, I(5), R(5.0), true),
            (Integer, I(-5), T("-5"), true),
            (Integer, I(5), I(6), false),
            (Integer, I(0), R(-0.0), true),
            (Numeric, T("5"), R(5.0), true),
            (Integer, T("abc"), T("abc"), true),
            (Integer, T("abc"), T("ABC"), false),
            (Integer, R(5.5), R(5.5), true),
            (Real, I(5), R(5.0), true),
            (Real, I(9_007_199_254_740_993), R(9_007_199_254_740_992.0), true),
            (Integer, I(9_007_199_254_740_993), R(9_007_199_254_740_992.0), false),
            (Text, I(-50), T("-50"), true),
            (Text, I(i64::MIN), T("-9223372036854775808"), true),
            (Text, T("5"), T("05"), false),
            (Blob, I(5), T("5"), false),
            (Blob, I(5), R(5.0), true),
            (Blob, T("a"), ValueRef::Blob(b"a"), false),
        ] {
            assert_eq!(key(a, affinity) == key(b, affinity), equal, "{affinity:?} {a:?} {b:?}");
            assert!(key(a, affinity).is_some() && key(b, affinity).is_some(), "{affinity:?} {a:?} {b:?}");
        }
    }

    #[test]
    fn what_sqlite_would_convert_in_its_own_way_is_unknown() {
        for (affinity, value) in [
            (Affinity::Integer, ValueRef::Text("5.0")),
            (Affinity::Integer, ValueRef::Text(" 5")),
            (Affinity::Integer, ValueRef::Text("5e0")),
            (Affinity::Integer, ValueRef::Text("0x5")),
            (Affinity::Integer, ValueRef::Text("9999999999999999999")),
            (Affinity::Real, ValueRef::Text("inf")),
            (Affinity::Text, ValueRef::Real(5.0)),
            (Affinity::Blob, ValueRef::Real(f64::NAN)),
        ] {
            assert_eq!(key(value, affinity), None, "{affinity:?} {value:?}");
        }
    }

    #[test]
    fn parts_of_a_key_do_not_run_together() {
        let pair = |a, b| {
            let mut hash = KeyHash::default();
            hash.add(ValueRef::Text(a), Affinity::Text);
            hash.add(ValueRef::Text(b), Affinity::Text);
            hash.extent()
        };
        assert!(!pair("ab", "c").meets(pair("a", "bc")));
        assert!(!pair("a", "b").meets(pair("b", "a")));
    }

    #[test]
    fn what_is_known_of_a_key_names_a_row_a_partition_or_all_rows() {
        let part = |value: Value, affinity| Part {
            operand: Operand { source: Source::Constant(value), characters_max: None },
            affinity,
        };
        let number = |number| part(Value::Integer(number), Affinity::Integer);
        let unknown = || part(Value::Text("5.0".into()), Affinity::Integer);
        let bind = |parts: &[Part]| bind(parts, &Bound::default());
        let (_, one) = bind(&[number(1)]);
        let (_, row) = bind(&[number(1), number(2)]);
        assert!(matches!((one, row), (Extent::Partition(p), Extent::Row { partition, .. }) if p == partition));
        assert_eq!(bind(&[number(1), unknown()]), (Added::Known, one));
        assert_eq!(bind(&[number(1), number(2), unknown()]), (Added::Known, one));
        assert_eq!(bind(&[unknown(), number(1)]), (Added::Unknown, Extent::All));
        assert_eq!(bind(&[number(1), part(Value::Null, Affinity::Integer)]).0, Added::Null);
    }

    #[test]
    fn a_length_lets_through_only_what_it_leaves_alone() {
        let operand = Operand { source: Source::Parameter(1), characters_max: Some(3) };
        let known = |value: Value| operand.value(&Bound { parameters: &[value], drawn: &[] }).is_some();
        assert!(known(Value::Text("äöü".into())) && known(Value::Null));
        assert!(!known(Value::Text("abc ".into())) && !known(Value::Integer(5)));
        assert!(operand.value(&Bound::default()).is_none());
    }
}
