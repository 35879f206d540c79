//! What a client asks for, in the form in which it is ordered, executed and checked.
//!
//! A transaction carries SQLite SQL that the node which took it translated (`dialect`), so executing
//! needs no parser; the catalog version says for which schema the translation holds.

use crate::page::Hash;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A SQLite value as it is bound, stored and returned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
pub enum Value {
    /// SQL NULL.
    #[default]
    Null,
    /// 64-bit integer; also booleans, dates (days) and timestamps (microseconds since 2000-01-01).
    Integer(i64),
    /// IEEE double.
    Real(f64),
    /// UTF-8 text.
    Text(Arc<str>),
    /// Bytes.
    Blob(Arc<[u8]>),
}

/// A value that is still where SQLite or an encoded row keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum ValueRef<'a> {
    /// SQL NULL.
    #[default]
    Null,
    /// 64-bit integer.
    Integer(i64),
    /// IEEE double.
    Real(f64),
    /// UTF-8 text.
    Text(&'a str),
    /// Bytes; also text of SQLite's that is not UTF-8 (`char(55296)` can make such).
    Blob(&'a [u8]),
}

impl ValueRef<'_> {
    /// The value by itself.
    pub fn to_value(self) -> Value {
        match self {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Real(number) => Value::Real(number),
            ValueRef::Text(text) => Value::Text(text.into()),
            ValueRef::Blob(bytes) => Value::Blob(bytes.into()),
        }
    }
    /// Whether it is NULL.
    pub fn is_null(self) -> bool {
        matches!(self, ValueRef::Null)
    }
}

impl Value {
    /// The value without copying it.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(text) => ValueRef::Text(text),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }
}

/// Once-only identity (rule 18): resubmitting under the same id can never execute twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
pub struct TransactionId {
    /// Drawn at random by a node at each start.
    pub incarnation: u64,
    /// Session number within the incarnation.
    pub session: u64,
    /// Counts the session's submissions.
    pub sequence: u64,
}

/// For so many log indexes a replica remembers the transactions that it executed (rule 18).
pub const ONCE_WINDOW: u64 = 1024;

/// A unit of ordering, execution and answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transaction {
    /// Once-only identity.
    pub id: TransactionId,
    /// Name of the database that it runs in.
    pub database: Arc<str>,
    /// Hash of the catalog that its SQL was translated for; another one at execution means
    /// [`Outcome::Stale`], and nothing is executed.
    pub catalog: Hash,
    /// Set for an interactive transaction, which fixed its own when it began (invariant 8); a one-shot
    /// one takes the batch's.
    pub begun: Option<Begun>,
    /// Executing at a log index above this is refused: the once-only table forgets (rule 18). So is
    /// executing at one more than [`ONCE_WINDOW`] below it, which the table could not remember for long enough.
    pub expires_at_index: u64,
    /// What to do, in order.
    pub operations: Vec<Operation>,
}

impl Transaction {
    /// Its statements for people, up to so many characters.
    pub fn text(&self, characters_max: usize) -> String {
        let texts = self.operations.iter().map(|operation| match operation {
            Operation::Savepoint(sql) => sql.to_string(),
            Operation::CreateDatabase(name) => format!("CREATE DATABASE {name}"),
            Operation::DropDatabase(name) => format!("DROP DATABASE {name}"),
            Operation::Statement(statement) => statement.sql.join("; "),
        });
        shortened(&texts.collect::<Vec<_>>().join("; "), characters_max)
    }
}

/// The first so many characters of a text for people, and `...` if there are more.
pub fn shortened(text: &str, characters_max: usize) -> String {
    match text.char_indices().nth(characters_max) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text.into(),
    }
}

/// Time and randomness of an interactive transaction, fixed at BEGIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// now(), microseconds since 2000-01-01 UTC.
    pub timestamp_us: i64,
    /// Seed of random().
    pub seed: u64,
}

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Operation {
    /// One client statement.
    Statement(Statement),
    /// `SAVEPOINT name`, `RELEASE name`, `ROLLBACK TO name`: the SQL as SQLite takes it.
    Savepoint(Arc<str>),
    /// Adds an empty database of this name to the replica's map. Alone in its transaction; one answer.
    CreateDatabase(Arc<str>),
    /// Takes the database of this name out of the replica's map. Alone in its transaction; one answer.
    DropDatabase(Arc<str>),
}

/// One client statement: one or more SQLite statements (a DDL change is several) that succeed or fail
/// as one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
pub struct Statement {
    /// SQLite SQL. All but the last are run for their effect; the last one's rows are the answer.
    pub sql: Vec<Arc<str>>,
    /// Parameters `?1..?n`, seen by every statement in `sql`.
    pub parameters: Vec<Value>,
    /// COPY: the statement runs once for each of these rows instead.
    pub rows: Option<Vec<Vec<Value>>>,
    /// Changes the schema or the statistics: plan and schema caches are renewed afterwards.
    pub changes_schema: bool,
    /// Sequence numbers that an interactive execution drew, in order (rule 17); empty in a one-shot
    /// transaction, which draws them when it executes.
    pub drawn: Vec<i64>,
    /// System values that it read (rule 26), in order: given back, not compared.
    pub system_values: Vec<Value>,
    /// Digest of the answer that the client has already seen; another one at execution is 40001.
    pub seen: Option<Hash>,
    /// [`Answer::outline`] of the same answer, to tell where another one differs.
    pub seen_outline: Vec<u8>,
}

/// Rows as one flat buffer: replicas digest it, sessions read it; no allocation per value.
///
/// Encoding, per value: one tag byte (0 NULL, 1 integer, 2 real, 3 text, 4 blob), then 8 bytes little-endian
/// for 1 and 2, or a u32 length and the bytes for 3 and 4.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rows {
    /// Values in each row.
    pub columns: u32,
    /// Number of rows.
    pub count: u64,
    /// The values.
    pub bytes: Vec<u8>,
}

impl Rows {
    /// Appends one value; a row is complete after [`Rows::columns`] of them (the caller counts it).
    pub fn push(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.bytes.push(0),
            ValueRef::Integer(number) => {
                self.bytes.push(1);
                self.bytes.extend_from_slice(&number.to_le_bytes());
            }
            ValueRef::Real(number) => {
                self.bytes.push(2);
                self.bytes.extend_from_slice(&number.to_le_bytes());
            }
            ValueRef::Text(text) => self.push_bytes(3, text.as_bytes()),
            ValueRef::Blob(bytes) => self.push_bytes(4, bytes),
        }
    }
    fn push_bytes(&mut self, tag: u8, bytes: &[u8]) {
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(bytes);
    }
    /// All values, row after row. Ends early at bytes that are no encoding.
    pub fn values(&self) -> Values<'_> {
        Values { bytes: &self.bytes }
    }
    /// All rows, decoded; for tests and small results.
    pub fn to_vec(&self) -> Vec<Vec<Value>> {
        let mut values = self.values();
        (0..self.count).map(|_| values.by_ref().take(self.columns as usize).map(ValueRef::to_value).collect()).collect()
    }
}

/// Iterator over the values of [`Rows`].
#[derive(Clone, Debug)]
pub struct Values<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for Values<'a> {
    type Item = ValueRef<'a>;
    fn next(&mut self) -> Option<ValueRef<'a>> {
        let (&tag, rest) = self.bytes.split_first()?;
        let (value, rest) = match tag {
            0 => (ValueRef::Null, rest),
            1 | 2 => {
                let (number, rest) = rest.split_first_chunk::<8>()?;
                let value = match tag {
                    1 => ValueRef::Integer(i64::from_le_bytes(*number)),
                    _ => ValueRef::Real(f64::from_le_bytes(*number)),
                };
                (value, rest)
            }
            3 | 4 => {
                let (length, rest) = rest.split_first_chunk::<4>()?;
                let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
                match std::str::from_utf8(bytes) {
                    Ok(text) if tag == 3 => (ValueRef::Text(text), rest),
                    _ => (ValueRef::Blob(bytes), rest),
                }
            }
            _ => return None,
        };
        self.bytes = rest;
        Some(value)
    }
}

/// What a statement answered.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Result rows; empty for statements without any.
    pub rows: Rows,
    /// Rows inserted, updated or deleted (triggers and cascades not counted).
    pub changes: u64,
}

impl Answer {
    /// What two replicas, or an execution and its certification, compare: rows in order, their shape and
    /// the count of changes.
    pub fn digest(&self) -> Hash {
        let (bytes, tail) = (&self.rows.bytes, answer_tail(self.rows.columns, self.rows.count, self.changes));
        let mut short = [0; 256];
        let length = bytes.len() + tail.len();
        if let Some(all) = short.get_mut(..length) {
            all[..bytes.len()].copy_from_slice(bytes);
            all[bytes.len()..].copy_from_slice(&tail);
            return Hash::of(all);
        }
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        hasher.update(bytes);
        hasher.update(&tail);
        Hash(hasher.digest128())
    }

    /// One byte of hash for each of the first values. What is compared is the digest; this only tells people where
    /// a difference is, and passes over one of 256.
    pub fn outline(&self) -> Vec<u8> {
        self.value_hashes().take(OUTLINE_VALUES_MAX).collect()
    }

    /// Row and column, counted from 0, of the first value that an outline of another answer has otherwise or not.
    pub fn first_difference(&self, outline: &[u8]) -> Option<(u64, u32)> {
        let mut ours = self.value_hashes().take(OUTLINE_VALUES_MAX);
        let mut position = 0;
        for theirs in outline {
            if ours.next() != Some(*theirs) {
                break;
            }
            position += 1;
        }
        let same = position == outline.len() && ours.next().is_none();
        let columns = u64::from(self.rows.columns);
        (!same && columns > 0).then(|| (position as u64 / columns, (position as u64 % columns) as u32))
    }

    fn value_hashes(&self) -> impl Iterator<Item = u8> + '_ {
        let mut values = self.rows.values();
        std::iter::from_fn(move || {
            let before = values.bytes;
            values.next()?;
            Some(xxhash_rust::xxh3::xxh3_64(&before[..before.len() - values.bytes.len()]) as u8)
        })
    }
}

/// What a digest covers beside the encoded rows.
fn answer_tail(columns: u32, count: u64, changes: u64) -> [u8; 20] {
    let mut tail = [0; 20];
    tail[..4].copy_from_slice(&columns.to_le_bytes());
    tail[4..12].copy_from_slice(&count.to_le_bytes());
    tail[12..].copy_from_slice(&changes.to_le_bytes());
    tail
}

/// Values of an answer that its outline covers.
const OUTLINE_VALUES_MAX: usize = 64;

/// [`Answer::digest`] of rows that are sent on as they come and never gathered.
///
/// Short answers are hashed in one go; a streaming hasher costs more than the rest of a point select.
#[derive(Default)]
pub struct AnswerDigest {
    rows: Rows,
    streaming: Option<Box<xxhash_rust::xxh3::Xxh3>>,
}

impl AnswerDigest {
    /// Bytes that are gathered before a streaming hasher starts.
    const GATHERED_BYTES: usize = 8 * 1024;

    /// Adds the next value.
    pub fn push(&mut self, value: ValueRef<'_>) {
        self.rows.push(value);
        if self.rows.bytes.len() > Self::GATHERED_BYTES {
            self.streaming.get_or_insert_default().update(&self.rows.bytes);
            self.rows.bytes.clear();
        }
    }
    /// The digest; what was added is forgotten, its memory kept for the next answer.
    pub fn finish(&mut self, columns: u32, count: u64, changes: u64) -> Hash {
        self.rows.bytes.extend_from_slice(&answer_tail(columns, count, changes));
        let digest = match self.streaming.take() {
            None => xxhash_rust::xxh3::xxh3_128(&self.rows.bytes),
            Some(mut hasher) => {
                hasher.update(&self.rows.bytes);
                hasher.digest128()
            }
        };
        self.rows.bytes.clear();
        Hash(digest)
    }
}

/// An error that is an answer (rule 14): every replica gets the same, and the client sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlError {
    /// Five characters.
    pub sqlstate: [u8; 5],
    /// One sentence.
    pub message: String,
    /// More about it, for the DETAIL field.
    pub detail: Option<String>,
    /// What to do, for the HINT field.
    pub hint: Option<String>,
    /// Name of the violated constraint, where there is one.
    pub constraint: Option<String>,
    /// Table that it concerns.
    pub table: Option<String>,
    /// Column that it concerns.
    pub column: Option<String>,
    /// 1-based character position in the client's statement.
    pub position: Option<u32>,
}

impl SqlError {
    /// An error with a code and a sentence.
    pub fn new(sqlstate: &str, message: impl Into<String>) -> Self {
        let mut code = *b"XX000";
        if sqlstate.len() == 5 {
            code.copy_from_slice(sqlstate.as_bytes());
        }
        SqlError {
            sqlstate: code,
            message: message.into(),
            detail: None,
            hint: None,
            constraint: None,
            table: None,
            column: None,
            position: None,
        }
    }
    /// The code as text.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.sqlstate).unwrap_or("XX000")
    }
    /// What replicas compare, and what [`Statement::seen`] holds of a statement that failed inside a
    /// savepoint: code and sentence. The other fields only dress it for the client.
    pub fn digest(&self) -> Hash {
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        hasher.update(b"error");
        hasher.update(&self.sqlstate);
        hasher.update(self.message.as_bytes());
        Hash(hasher.digest128())
    }
    /// Adds a DETAIL.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
    /// Adds a HINT.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Its effects are in the state; one answer for each [`Operation::Statement`]. That of a statement with
    /// [`Statement::seen`] is empty: its client has it, and the batch its digest.
    Committed(Vec<Answer>),
    /// It had no effect; the statement at this position (among the operations) failed so.
    Failed {
        /// Position among the operations.
        operation: u32,
        /// Why.
        error: SqlError,
    },
    /// It had no effect: a statement answered otherwise than the client had seen (40001).
    Conflict {
        /// Position among the operations.
        operation: u32,
        /// Row and column of the first value that differs, counted from 0, if that is known.
        place: Option<(u64, u32)>,
    },
    /// It had no effect: translated for another catalog. A one-shot transaction is translated again.
    Stale,
    /// Its id has been executed before; the answer it got then is gone.
    AlreadyDone,
    /// It came after [`Transaction::expires_at_index`] and had no effect.
    Expired,
    /// A verdict made it void: it had no effect.
    Void,
}

impl Outcome {
    /// What replicas compare of it; the answers digest of a batch is the hash of these in order.
    pub fn digest(&self) -> Hash {
        let mut bytes = Vec::with_capacity(128);
        match self {
            Outcome::Committed(answers) => {
                bytes.push(0);
                answers.iter().for_each(|answer| bytes.extend_from_slice(&answer.digest().to_bytes()));
            }
            Outcome::Failed { operation, error } => {
                bytes.push(1);
                bytes.extend_from_slice(&operation.to_le_bytes());
                bytes.extend_from_slice(&error.digest().to_bytes());
            }
            Outcome::Conflict { operation, place } => {
                let (row, column) = place.unwrap_or((u64::MAX, u32::MAX));
                bytes.push(2);
                bytes.extend_from_slice(&operation.to_le_bytes());
                bytes.extend_from_slice(&row.to_le_bytes());
                bytes.extend_from_slice(&column.to_le_bytes());
            }
            Outcome::Stale => bytes.push(3),
            Outcome::AlreadyDone => bytes.push(4),
            Outcome::Expired => bytes.push(5),
            Outcome::Void => bytes.push(6),
        }
        Hash::of(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_for_people_is_cut_between_characters() {
        assert_eq!(shortened("grün", 4), "grün");
        assert_eq!(shortened("grün", 3), "grü...");
        let statement = Statement { sql: vec!["SELECT 1".into(), "SELECT 2".into()], ..Statement::default() };
        let transaction = Transaction {
            id: TransactionId::default(),
            database: "evesql".into(),
            catalog: Hash::default(),
            begun: None,
            expires_at_index: 0,
            operations: vec![Operation::Statement(statement), Operation::CreateDatabase("more".into())],
        };
        assert_eq!(transaction.text(100), "SELECT 1; SELECT 2; CREATE DATABASE more");
        assert_eq!(transaction.text(10), "SELECT 1; ...");
    }

    #[test]
    fn an_outline_tells_where_an_answer_differs() {
        let answer = |rows: &[[i64; 2]]| {
            let mut answer = Answer { rows: Rows { columns: 2, ..Rows::default() }, changes: 0 };
            rows.iter().flatten().for_each(|number| answer.rows.push(ValueRef::Integer(*number)));
            answer.rows.count = rows.len() as u64;
            answer
        };
        let seen = answer(&[[1, 2], [3, 4]]).outline();
        assert_eq!(answer(&[[1, 2], [3, 4]]).first_difference(&seen), None);
        assert_eq!(answer(&[[1, 2], [3, 5]]).first_difference(&seen), Some((1, 1)));
        assert_eq!(answer(&[[7, 2], [3, 5]]).first_difference(&seen), Some((0, 0)));
        assert_eq!(answer(&[[1, 2]]).first_difference(&seen), Some((1, 0)));
        assert_eq!(answer(&[[1, 2], [3, 4], [5, 6]]).first_difference(&seen), Some((2, 0)));
        assert_eq!(Answer { changes: 1, ..Answer::default() }.first_difference(&[]), None);
    }

    #[test]
    fn rows_give_back_what_was_pushed() {
        let row = [
            ValueRef::Null,
            ValueRef::Integer(-5),
            ValueRef::Real(2.5),
            ValueRef::Text("ü"),
            ValueRef::Blob(&[0, 255]),
        ];
        let mut rows = Rows { columns: row.len() as u32, ..Rows::default() };
        for _ in 0..2 {
            row.iter().for_each(|value| rows.push(*value));
            rows.count += 1;
        }
        let expected: Vec<Value> = row.iter().map(|value| value.to_value()).collect();
        assert_eq!(rows.to_vec(), vec![expected.clone(), expected]);
    }

    #[test]
    fn streamed_and_gathered_answers_have_one_digest() {
        for count in [0u64, 1, 3, 700, 5000] {
            let mut answer = Answer { rows: Rows { columns: 2, count, bytes: Vec::new() }, changes: 7 };
            let mut digest = AnswerDigest::default();
            for n in 0..count as i64 {
                for value in [ValueRef::Integer(n), ValueRef::Text("some text")] {
                    answer.rows.push(value);
                    digest.push(value);
                }
            }
            assert_eq!(digest.finish(2, count, 7), answer.digest(), "{count} rows");
        }
    }

    #[test]
    fn truncated_rows_end_early_instead_of_panicking() {
        let mut rows = Rows { columns: 1, ..Rows::default() };
        rows.push(ValueRef::Text("hello"));
        for length in 0..rows.bytes.len() {
            assert_eq!(Values { bytes: &rows.bytes[..length] }.count(), 0);
        }
    }
}
