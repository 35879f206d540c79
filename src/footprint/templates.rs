//! Templates of the texts that were seen last, and the footprint of a transaction made of them.

use super::{Footprint, Item, Template};
use crate::page::Hash;
use crate::transaction::{Operation, Statement, Transaction, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// Rows of a COPY that have keys of their own; of more, all rows of the table are meant.
const ROWS_MAX: usize = 1_000;

/// Templates by text, for one schema at a time.
#[derive(Debug, Default)]
pub struct Templates {
    schema: Option<Hash>,
    texts: HashMap<Arc<str>, Template>,
    texts_max: usize,
}

impl Templates {
    /// Keeps at most so many texts, at least one; one more, and all are forgotten.
    pub fn new(texts_max: usize) -> Self {
        Templates { schema: None, texts: HashMap::new(), texts_max: texts_max.max(1) }
    }

    /// The template of a text under the schema with this hash, derived now if it is not known.
    pub fn get(&mut self, schema: Hash, sql: &Arc<str>, derive: impl FnOnce(&str) -> Template) -> &Template {
        if self.schema != Some(schema) {
            self.texts.clear();
            self.schema = Some(schema);
        }
        if self.texts.len() >= self.texts_max && !self.texts.contains_key(sql) {
            self.texts.clear();
        }
        self.texts.entry(sql.clone()).or_insert_with(|| derive(sql))
    }

    /// What a transaction touches under the schema with this hash. `derive` is asked for the templates of new texts.
    pub fn footprint(
        &mut self,
        schema: Hash,
        transaction: &Transaction,
        mut derive: impl FnMut(&str) -> Template,
    ) -> Footprint {
        let mut items = Vec::with_capacity(2 * transaction.operations.len());
        for operation in &transaction.operations {
            let known = match operation {
                Operation::Statement(statement) => self.statement(schema, statement, &mut derive, &mut items),
                Operation::Savepoint(_) => true,
                Operation::CreateDatabase(_) | Operation::DropDatabase(_) => false,
            };
            if !known {
                return Footprint::everything();
            }
        }
        Footprint::of(items)
    }

    fn statement(
        &mut self,
        schema: Hash,
        statement: &Statement,
        derive: &mut impl FnMut(&str) -> Template,
        items: &mut Vec<Item>,
    ) -> bool {
        if statement.changes_schema {
            return false;
        }
        // Which of several texts draws which number is not told.
        let drawn: &[i64] = if statement.sql.len() == 1 { &statement.drawn } else { &[] };
        for (at, sql) in statement.sql.iter().enumerate() {
            let template = self.get(schema, sql, &mut *derive);
            if template.is_everything() {
                return false;
            }
            match &statement.rows {
                Some(rows) if at + 1 == statement.sql.len() => bind_rows(template, rows, drawn, items),
                _ => template.bind_drawn(&statement.parameters, drawn, items),
            }
        }
        true
    }
}

fn bind_rows(template: &Template, rows: &[Vec<Value>], drawn: &[i64], items: &mut Vec<Item>) {
    if rows.len() > ROWS_MAX {
        return template.bind_all(items);
    }
    let draws = template.draws();
    for (at, row) in rows.iter().enumerate() {
        let own = drawn.get(at * draws..).unwrap_or_default();
        template.bind_drawn(row, if draws == 0 { drawn } else { own }, items);
    }
}
