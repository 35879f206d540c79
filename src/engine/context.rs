//! What a transaction brings with it beside its statements: time, randomness, identity numbers and
//! system values (invariant 8). Everything that is not a function of pages and SQL comes from here.

use crate::dialect::functions::CommandRows;
use crate::page::Hash;
use crate::transaction::{SqlError, Value};
use std::collections::HashMap;

/// Where an interactive transaction gets what it records.
pub trait Source {
    /// The next number of the sequence with this OID, from a block that was reserved through the log.
    fn sequence_number(&mut self, sequence_oid: i64) -> Result<i64, SqlError>;
    /// A system value by name: `root`, `clock_timestamp`, `currval:16385` and so on (rule 26).
    fn system_value(&mut self, name: &str) -> Result<Value, SqlError>;
}

/// How identity numbers and system values come about (rules 17 and 26).
#[derive(Default)]
pub enum Draws {
    /// A one-shot transaction at its place in a batch: numbers come from the sequence's row, system values
    /// were recorded when the statement was submitted.
    #[default]
    Live,
    /// An interactive transaction on its node: they come from a source and are recorded.
    Record(Box<dyn Source>),
    /// An interactive transaction at its place in a batch: they are given back as recorded.
    Replay,
}

/// What one statement drew.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    /// Numbers of sequences, in order.
    pub drawn: Vec<i64>,
    /// System values, in order.
    pub system_values: Vec<Value>,
}

/// Time, randomness, draws: one for each transaction.
#[derive(Default)]
pub struct Context {
    /// now(): microseconds since 2000-01-01 UTC.
    pub timestamp_us: i64,
    /// Seed of all randomness of the transaction.
    pub seed: u64,
    /// How identity numbers and system values come about.
    pub draws: Draws,
    operation: u32,
    random_calls: u64,
    recorded: Recorded,
    replay: Replay,
    /// Sequences drawn from in this statement, to be written back at its end.
    pub(super) live: HashMap<i64, super::sequences::Sequence>,
    /// What the statement remembers of the rows that it changes.
    pub(super) rows: CommandRows,
    /// The last number of each sequence in this transaction, and of any.
    pub(super) current: HashMap<i64, i64>,
    pub(super) last: Option<i64>,
}

#[derive(Default)]
struct Replay {
    drawn: Vec<i64>,
    system_values: Vec<Value>,
    next_drawn: usize,
    next_value: usize,
}

impl Context {
    /// A transaction's context.
    pub fn new(timestamp_us: i64, seed: u64, draws: Draws) -> Self {
        Context { timestamp_us, seed, draws, ..Context::default() }
    }

    /// Begins the statement at this position among the transaction's operations. `drawn` and
    /// `system_values` are what was recorded for it.
    pub fn begin_statement(&mut self, operation: u32, drawn: &[i64], system_values: &[Value]) {
        self.operation = operation;
        self.random_calls = 0;
        self.recorded = Recorded::default();
        self.live.clear();
        self.rows.clear();
        self.replay.next_drawn = 0;
        self.replay.next_value = 0;
        self.replay.drawn.clear();
        self.replay.drawn.extend_from_slice(drawn);
        self.replay.system_values.clear();
        self.replay.system_values.extend_from_slice(system_values);
    }

    /// What the statement drew, for the transaction's record.
    pub fn take_recorded(&mut self) -> Recorded {
        std::mem::take(&mut self.recorded)
    }

    /// The next random bits: a function of seed, statement and call (rule 15).
    pub fn random(&mut self) -> u128 {
        let mut bytes = [0u8; 20];
        bytes[0..8].copy_from_slice(&self.seed.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.operation.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.random_calls.to_le_bytes());
        self.random_calls += 1;
        Hash::of(&bytes).0
    }

    /// The next number of a sequence where it does not come from the sequence's row: recorded or given back.
    pub(super) fn number_from_record(&mut self, sequence_oid: i64) -> Option<Result<i64, SqlError>> {
        let number = match &mut self.draws {
            Draws::Live => return None,
            Draws::Record(source) => match source.sequence_number(sequence_oid) {
                Ok(number) => {
                    self.recorded.drawn.push(number);
                    number
                }
                Err(error) => return Some(Err(error)),
            },
            Draws::Replay => {
                let Some(number) = self.replay.drawn.get(self.replay.next_drawn) else {
                    return Some(Err(differs("identity numbers")));
                };
                self.replay.next_drawn += 1;
                *number
            }
        };
        self.note_number(sequence_oid, number);
        Some(Ok(number))
    }

    pub(super) fn note_number(&mut self, sequence_oid: i64, number: i64) {
        self.current.insert(sequence_oid, number);
        self.last = Some(number);
    }

    /// A system value: from its source, or as it was recorded. `fallback` stands in where a one-shot
    /// transaction has none recorded.
    pub(super) fn system_value(&mut self, name: &str, fallback: Option<Value>) -> Result<Value, SqlError> {
        if let Draws::Record(source) = &mut self.draws {
            let value = source.system_value(name)?;
            self.recorded.system_values.push(value.clone());
            return Ok(value);
        }
        let recorded = self.replay.system_values.get(self.replay.next_value).cloned();
        self.replay.next_value += 1;
        recorded.or(fallback).ok_or_else(|| match self.draws {
            Draws::Replay => differs("system values"),
            _ => SqlError::new("0A000", format!("{name} cannot be read here")),
        })
    }
}

/// The execution took another path than the one that the client saw: the answers will differ too, or this
/// is where it shows first.
fn differs(what: &str) -> SqlError {
    SqlError::new("40001", format!("could not serialize access: the statement needs other {what} than before"))
}
