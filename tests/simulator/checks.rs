//! What must be true when the faults have stopped.

use crate::clients::{ACCOUNTS, BALANCE, Ledger, history_hash, history_of, view_of};
use crate::generator;
use crate::world::World;
use evesql::transaction::*;
use rusqlite::types::Value as Stock;
use std::collections::BTreeMap;

/// The final state against everything that was told to anybody.
pub fn check(world: &World, ledger: &Ledger) -> Result<(), String> {
    let nodes = world.nodes();
    let mut view = view_of(&nodes[0])?;
    let history = history_of(&mut view)?;
    check_outcomes(ledger, &history)?;
    for shown in ledger.shown.borrow().iter() {
        let beginning = history.get(..shown.length).map(|rows| history_hash(rows.iter()));
        if beginning != Some(shown.hash) {
            return Err(format!(
                "node {} has shown {} transactions that are not the accepted ones",
                shown.node, shown.length
            ));
        }
    }
    let stock = follow(ledger, &history)?;
    for node in &nodes {
        let mut view = view_of(node)?;
        let checked = view.query("PRAGMA integrity_check", &[]).map_err(|e| format!("{e:?}"))?;
        if checked != [[Value::Text("ok".into())]] {
            return Err(format!("node {}: integrity_check says {checked:?}", node.shared.id));
        }
        let sum = view.query("SELECT sum(balance) FROM accounts", &[]).map_err(|e| format!("{e:?}"))?;
        if sum != [[Value::Integer(ACCOUNTS as i64 * BALANCE)]] {
            return Err(format!("node {}: the accounts hold {sum:?}", node.shared.id));
        }
        let tables = generator::TABLES.iter().copied().chain([("accounts", "id"), ("history", "n")]);
        for (table, order) in tables {
            let sql = format!("SELECT * FROM {table} ORDER BY {order}");
            let ours = view.query(&sql, &[]).map_err(|e| format!("{sql}: {e:?}"))?;
            if ours != stock_rows(&stock, &sql)? {
                return Err(format!("node {}: table {table} is not what stock SQLite computes", node.shared.id));
            }
        }
        let names = "SELECT name FROM sqlite_schema WHERE name LIKE 'extra%' ORDER BY name";
        if view.query(names, &[]).map_err(|e| format!("{e:?}"))? != stock_rows(&stock, names)? {
            return Err(format!("node {}: its tables are not those of stock SQLite", node.shared.id));
        }
    }
    Ok(())
}

/// Acknowledged: there, exactly once. Refused: not there. Unknown: at most once.
fn check_outcomes(ledger: &Ledger, history: &[(u64, u64)]) -> Result<(), String> {
    let mut times: BTreeMap<(u64, u64), usize> = BTreeMap::new();
    history.iter().for_each(|key| *times.entry(*key).or_default() += 1);
    for (key, record) in ledger.records.borrow().iter() {
        let found = times.remove(key).unwrap_or(0);
        let right = match &record.outcome {
            Some(Outcome::Committed(_)) => found == 1,
            None | Some(Outcome::AlreadyDone) => found <= 1,
            Some(_) => found == 0,
        };
        if !right {
            let told = &record.outcome;
            return Err(format!("transaction {key:?} took effect {found} times; its client was told {told:?}"));
        }
    }
    match times.is_empty() {
        true => Ok(()),
        false => Err(format!("nobody submitted {times:?}")),
    }
}

/// Stock SQLite runs what took effect, in its order, and answers the same.
fn follow(ledger: &Ledger, history: &[(u64, u64)]) -> Result<rusqlite::Connection, String> {
    let stock = rusqlite::Connection::open_in_memory().map_err(|e| e.to_string())?;
    let run = |sql: &str| stock.execute_batch(sql).map_err(|e| format!("stock SQLite: {sql}: {e}"));
    run("PRAGMA foreign_keys = ON")?;
    let records = ledger.records.borrow();
    for key in history {
        let record = &records[key];
        run("BEGIN")?;
        let mut answers = Vec::new();
        for (number, operation) in record.operations.iter().enumerate() {
            match operation {
                Operation::Savepoint(sql) if record.follows => run(sql)?,
                Operation::Statement(statement) if record.follows || number == 0 => {
                    answers.push((statement.seen, stock_answer(&stock, &statement.sql[0])?));
                }
                _ => {}
            }
        }
        run("COMMIT")?;
        if let (true, Some(Outcome::Committed(told))) = (record.follows, &record.outcome) {
            for (number, (told, (seen, right))) in told.iter().zip(&answers).enumerate() {
                // What was certified was told while the transaction ran.
                let is_right = seen.map_or(told == right, |seen| seen == right.digest());
                if !is_right {
                    return Err(format!("statement {number} of {key:?} was answered {told:?} {seen:?}, not {right:?}"));
                }
            }
        }
    }
    Ok(stock)
}

fn stock_answer(stock: &rusqlite::Connection, sql: &str) -> Result<Answer, String> {
    let statement = stock.prepare(sql).map_err(|error| format!("stock SQLite: {sql}: {error}"))?;
    let columns = statement.column_count() as u32;
    let counts = ["INSERT", "UPDATE", "DELETE"].iter().any(|verb| sql.starts_with(verb));
    let mut answer = Answer { rows: Rows { columns, ..Rows::default() }, changes: 0 };
    for row in stock_rows(stock, sql)? {
        row.iter().for_each(|value| answer.rows.push(value.as_ref()));
        answer.rows.count += 1;
    }
    answer.changes = if counts { stock.changes() } else { 0 };
    Ok(answer)
}

fn stock_rows(stock: &rusqlite::Connection, sql: &str) -> Result<Vec<Vec<Value>>, String> {
    let failed = |error: rusqlite::Error| format!("stock SQLite: {sql}: {error}");
    let mut statement = stock.prepare(sql).map_err(failed)?;
    let columns = statement.column_count();
    let mut found = Vec::new();
    let mut rows = statement.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let value = |index| {
            Ok(match row.get::<_, Stock>(index).map_err(failed)? {
                Stock::Null => Value::Null,
                Stock::Integer(number) => Value::Integer(number),
                Stock::Real(number) => Value::Real(number),
                Stock::Text(text) => Value::Text(text.into()),
                Stock::Blob(bytes) => Value::Blob(bytes.into()),
            })
        };
        found.push((0..columns).map(value).collect::<Result<Vec<_>, String>>()?);
    }
    Ok(found)
}
