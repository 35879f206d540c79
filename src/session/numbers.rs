//! Identity numbers for blocks: reserved through the log, so that they are the same wherever the block's
//! record executes (rule 17).

use super::block::serialization;
use super::client::{Done, Session};
use super::front::gateway_error;
use super::view::{OwnSequence, Reserved};
use crate::transaction::{Operation, Outcome, SqlError, Statement, Transaction, Value, ValueRef};
use crate::wire::Outbox;
use std::collections::hash_map::Entry;

/// Numbers that a statement reserves from a sequence at first; each time that it runs out again, twice as many.
pub const NUMBERS_RESERVED: i64 = 32;
/// The most that are reserved at a time.
pub const NUMBERS_RESERVED_MAX: i64 = 1 << 20;

impl Session {
    /// Reserves `count` numbers of a sequence through the log, or, for one that this block made, counts here.
    pub(super) async fn reserve(&mut self, sequence: i64, count: i64, out: &mut Outbox) -> Done {
        let block = self.block()?;
        let known_before = block.base.as_ref().is_some_and(|base| base.sequence(sequence as u32).is_some());
        if !known_before {
            let definition = block.view()?.catalog.sequence(sequence as u32).cloned();
            let definition = definition.ok_or_else(|| SqlError::new("42P01", "no such sequence"))?;
            let own = OwnSequence { start: definition.start, increment: definition.increment, last: None };
            block.view()?.own_sequence(sequence, own);
            return Ok(());
        }
        let catalog = block.base.as_ref().map(|base| base.version).unwrap_or_default();
        out.flush_if_due().await?;
        let statement = Statement {
            sql: vec![
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2) \
                 SELECT evesql_nextval(?1) FROM n"
                    .into(),
            ],
            parameters: vec![Value::Integer(sequence), Value::Integer(count)],
            rows: None,
            changes_schema: false,
            drawn: Vec::new(),
            system_values: Vec::new(),
            seen: None,
            seen_outline: Vec::new(),
        };
        let transaction = Transaction {
            id: self.next_id(),
            database: self.database.clone(),
            catalog,
            begun: None,
            expires_at_index: 0,
            operations: vec![Operation::Statement(statement)],
        };
        match self.front.gateway.submit(transaction).await.map_err(gateway_error)? {
            Outcome::Committed(answers) => {
                let values = answers.first().into_iter().flat_map(|answer| answer.rows.values());
                let numbers = values.filter_map(|value| match value {
                    ValueRef::Integer(number) => Some(number),
                    _ => None,
                });
                let reserved = Reserved::new(self.block()?.view()?.snapshot(), numbers.collect());
                match self.front.blocks.borrow_mut().entry((self.database.clone(), sequence)) {
                    Entry::Occupied(mut known) => known.get_mut().extend(reserved),
                    Entry::Vacant(place) => {
                        place.insert(reserved);
                    }
                }
                Ok(())
            }
            Outcome::Failed { error, .. } => Err(error.into()),
            _ => Err(serialization("the catalog changed while the transaction was open").into()),
        }
    }
}
