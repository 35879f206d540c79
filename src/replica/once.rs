//! Once only (rule 18): the table `evesql_once` remembers which transactions were executed.
//!
//! One row for a batch, in a ring of [`ONCE_WINDOW`] rows by log index, so the table is bounded and lies in
//! the root: a second execution answers "already done" on every replica. A map in memory is rebuilt from it
//! after a restart or a roll back.
//!
//! A row's `ids`, for each run of ids of one incarnation: incarnation (8 bytes little-endian), their count,
//! then session and sequence of each; these three as LEB128.

use crate::engine::{Connection, Failure, LocalError};
use crate::transaction::{ONCE_WINDOW, TransactionId, Value};
use std::collections::{HashMap, HashSet};

const WRITE: &str = "INSERT INTO evesql_once(slot, log_index, ids) VALUES(?1, ?2, ?3) \
                     ON CONFLICT(slot) DO UPDATE SET log_index = excluded.log_index, ids = excluded.ids";

/// What was executed in one database.
#[derive(Default)]
pub(super) struct Once {
    done: HashSet<TransactionId>,
    slots: HashMap<u64, Vec<TransactionId>>,
    /// Of the batch that executes now; a later group may have to give some back.
    pending: Vec<TransactionId>,
    pending_set: HashSet<TransactionId>,
}

impl Once {
    /// Its name.
    pub const TABLE: &str = "evesql_once";
    /// What makes it.
    pub const TABLE_SQL: &str =
        "CREATE TABLE evesql_once(slot INTEGER PRIMARY KEY, log_index INTEGER NOT NULL, ids BLOB NOT NULL) STRICT";

    /// Reads the table.
    pub fn load(connection: &mut Connection) -> Result<Self, LocalError> {
        Once::load_where(connection, |_| true)
    }

    /// Reads what the table says of some transactions.
    pub fn load_where(
        connection: &mut Connection,
        is_wanted: impl Fn(&TransactionId) -> bool,
    ) -> Result<Self, LocalError> {
        let rows = connection.query("SELECT slot, ids FROM evesql_once", &[]).map_err(Failure::into_local)?;
        let mut once = Once::default();
        for row in rows {
            let [Value::Integer(slot), Value::Blob(bytes)] = row.as_slice() else {
                return Err(LocalError::internal("a row of evesql_once has an unexpected shape"));
            };
            let mut ids = decode(bytes).ok_or_else(|| LocalError::internal("a row of evesql_once cannot be read"))?;
            ids.retain(&is_wanted);
            once.done.extend(&ids);
            once.slots.insert(*slot as u64, ids);
        }
        Ok(once)
    }

    /// Whether this transaction was executed.
    pub fn contains(&self, id: &TransactionId) -> bool {
        self.done.contains(id) || self.pending_set.contains(id)
    }

    /// Notes an executed transaction of the batch that executes now.
    pub fn note(&mut self, id: TransactionId) {
        self.pending.push(id);
        self.pending_set.insert(id);
    }

    /// Notes a transaction that was made void, unless it was executed before.
    pub fn note_void(&mut self, id: TransactionId) {
        if !self.contains(&id) {
            self.note(id);
        }
    }

    /// Forgets what was noted and not written, but for these.
    pub fn go_back(&mut self, pending: &[TransactionId]) {
        self.pending.clear();
        self.pending_set.clear();
        self.resume(pending);
    }

    /// Ids noted and not written yet; for [`Once::resume`] after a roll back within the batch.
    pub fn pending(&self) -> &[TransactionId] {
        &self.pending
    }

    /// Notes these again.
    pub fn resume(&mut self, pending: &[TransactionId]) {
        pending.iter().for_each(|id| self.note(*id));
    }

    /// Writes the batch's row, inside an open SQL transaction. In the order of ids: in which they were executed is not
    /// to be seen, so that an audit leaves the same row.
    pub fn write(&mut self, connection: &mut Connection, log_index: u64) -> Result<(), Failure> {
        let slot = log_index % ONCE_WINDOW;
        let mut ids = std::mem::take(&mut self.pending);
        ids.sort_unstable();
        self.pending_set.clear();
        let parameters =
            [Value::Integer(slot as i64), Value::Integer(log_index as i64), Value::Blob(encode(&ids).into())];
        connection.query(WRITE, &parameters)?;
        for forgotten in self.slots.remove(&slot).unwrap_or_default() {
            self.done.remove(&forgotten);
        }
        self.done.extend(&ids);
        self.slots.insert(slot, ids);
        Ok(())
    }
}

fn encode(ids: &[TransactionId]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ids.len() * 4 + 10);
    for run in ids.chunk_by(|a, b| a.incarnation == b.incarnation) {
        bytes.extend_from_slice(&run[0].incarnation.to_le_bytes());
        push_number(&mut bytes, run.len() as u64);
        for id in run {
            push_number(&mut bytes, id.session);
            push_number(&mut bytes, id.sequence);
        }
    }
    bytes
}

fn decode(mut bytes: &[u8]) -> Option<Vec<TransactionId>> {
    let mut ids = Vec::new();
    while let Some((incarnation, rest)) = bytes.split_first_chunk::<8>() {
        let incarnation = u64::from_le_bytes(*incarnation);
        bytes = rest;
        for _ in 0..take_number(&mut bytes)? {
            let (session, sequence) = (take_number(&mut bytes)?, take_number(&mut bytes)?);
            ids.push(TransactionId { incarnation, session, sequence });
        }
    }
    bytes.is_empty().then_some(ids)
}

fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_were_written() {
        let id = |incarnation, session, sequence| TransactionId { incarnation, session, sequence };
        let ids = vec![id(7, 1, 1), id(7, 300, u64::MAX), id(8, 0, 0), id(7, 1, 2)];
        let bytes = encode(&ids);
        assert_eq!(decode(&bytes), Some(ids));
        assert_eq!(decode(&[]), Some(vec![]));
        for length in 1..bytes.len() {
            assert_ne!(decode(&bytes[..length]).map(|ids| ids.len()), Some(4), "{length}");
        }
    }
}
