//! `evesql import`: an SQLite file into a database of a running cluster.
//!
//! First the whole file is read and judged; nothing is sent before every value has its type. Then tables are made, parents
//! first, rows go by COPY, and indexes, foreign keys that close a circle and views follow. A transaction holds at most 256
//! MiB, so this is many; when one of them fails, all that was made by then is dropped again.

mod plan;
mod rows;
mod source;
mod sql;
mod types;

use super::{ExchangeError, Progress, Target, rows as query, server, with_client};
use bytes::Bytes;
use futures::SinkExt;
use plan::{Plan, Planned};
use rusqlite::Connection;
use source::{Source, Table};
use std::path::Path;
use std::pin::pin;
use tokio_postgres::Client;

/// Bytes of rows in one COPY.
const COPY_BYTES: usize = 16 << 20;
/// Bytes that are sent at once.
const PART_BYTES: usize = 64 << 10;

/// What was brought over.
#[derive(Debug, Default)]
pub struct ImportReport {
    /// Tables with their rows, in the order in which they were made.
    pub tables: Vec<(String, u64)>,
    /// Views that were made.
    pub views: u64,
    /// What became otherwise than declared, and what was left out, one a line.
    pub notes: Vec<String>,
    /// What of the file has no counterpart: as many of the notes.
    pub left_out: usize,
}

/// Brings the tables, indexes and views of an SQLite file into a database.
///
/// # Errors
/// What cannot be brought over, by table, column and row; what the server refuses. Nothing stays in the database then.
pub fn import(path: &Path, target: &Target<'_>) -> Result<ImportReport, ExchangeError> {
    let connection = source::open(path)?;
    let broken = |error: rusqlite::Error| ExchangeError::File(path.into(), error.to_string());
    let source = source::read(&connection).map_err(broken)?;
    if let Some(orphan) = source::orphan(&connection).map_err(broken)? {
        return Err(ExchangeError::Refused(orphan));
    }
    let mut progress = Progress::new();
    let mut counts = Vec::new();
    for table in &source.tables {
        let told = |rows: u64| progress.at(|| format!("{}: {rows} rows looked at", table.name));
        counts.push(rows::census(&connection, table, told)?);
    }
    let plan = plan::plan(&source, &counts).map_err(ExchangeError::Refused)?;
    with_client(target, |client| async move {
        let mut work = Work { client: &client, connection: &connection, source: &source, made: Vec::new(), progress };
        let mut report = ImportReport::default();
        report.notes.clone_from(&plan.notes);
        match work.run(&plan, &mut report).await {
            Ok(()) => Ok(report),
            Err(error) => {
                work.undo().await;
                Err(error)
            }
        }
    })
}

struct Work<'a> {
    client: &'a Client,
    connection: &'a Connection,
    source: &'a Source,
    /// Tables and views made so far, as DROP names them.
    made: Vec<String>,
    progress: Progress,
}

impl Work<'_> {
    async fn run(&mut self, plan: &Plan, report: &mut ImportReport) -> Result<(), ExchangeError> {
        let mut left_out = self.source.left_out.clone();
        for planned in &plan.tables {
            self.sql(&planned.name, &planned.create).await?;
            self.made.push(format!("TABLE {}", planned.name));
            self.try_all(&planned.before, &mut left_out).await;
            self.copy(planned).await?;
            self.number(planned).await?;
            self.try_all(&planned.after, &mut left_out).await;
        }
        for planned in &plan.tables {
            for key in &planned.late_keys {
                self.sql(&planned.name, key).await?;
            }
        }
        report.views = self.views(&mut left_out).await;
        for planned in &plan.tables {
            let rows = self.count(planned).await?;
            if rows != planned.rows {
                let text = format!("table {} has {rows} rows, not {}", planned.name, planned.rows);
                return Err(ExchangeError::Refused(text));
            }
            report.tables.push((planned.name.clone(), rows));
        }
        report.left_out = left_out.len();
        report.notes.extend(left_out.into_iter().map(|what| format!("left out: {what}")));
        Ok(())
    }

    async fn sql(&self, what: &str, sql: &str) -> Result<(), ExchangeError> {
        self.client.batch_execute(sql).await.map_err(server(format!("table {what}")))
    }

    /// Statements that the server may refuse without harm to the rest.
    async fn try_all(&self, statements: &[(String, String)], left_out: &mut Vec<String>) {
        for (what, sql) in statements {
            if let Err(error) = self.client.batch_execute(sql).await {
                left_out.push(format!("{what}: {}", super::words(&error)));
            }
        }
    }

    async fn copy(&mut self, planned: &Planned) -> Result<(), ExchangeError> {
        let table = &self.source.tables[planned.at];
        let columns = copied(table, planned);
        let failed = |error: rusqlite::Error| ExchangeError::Refused(format!("table {}: {error}", table.name));
        let copy = format!("COPY {} ({columns}) FROM STDIN", planned.name);
        let refused = || server(format!("table {}", table.name));
        let mut statement = self.connection.prepare(&rows::select(table)).map_err(failed)?;
        let mut found = statement.query([]).map_err(failed)?;
        let mut rows = 0;
        let mut row = found.next().map_err(failed)?;
        while row.is_some() {
            let sink = self.client.copy_in::<_, Bytes>(&copy).await.map_err(refused())?;
            let mut sink = pin!(sink);
            let (mut sent, mut part) = (0, Vec::with_capacity(PART_BYTES * 2));
            while let Some(now) = row {
                rows::line(now, &planned.targets, &mut part).map_err(failed)?;
                rows += 1;
                if part.len() >= PART_BYTES {
                    sent += part.len();
                    sink.send(Bytes::from(std::mem::take(&mut part))).await.map_err(refused())?;
                    self.progress.at(|| format!("{}: {rows} of {} rows", table.name, planned.rows));
                }
                row = found.next().map_err(failed)?;
                if sent >= COPY_BYTES {
                    break;
                }
            }
            sink.send(Bytes::from(part)).await.map_err(refused())?;
            sink.finish().await.map_err(refused())?;
        }
        Ok(())
    }

    /// The identity goes on where SQLite would have: behind the largest number that there is, or ever was.
    async fn number(&self, planned: &Planned) -> Result<(), ExchangeError> {
        let table = &self.source.tables[planned.at];
        let (Some(column), Some(at)) = (&planned.identity, table.rowid_column()) else { return Ok(()) };
        let failed = |error: rusqlite::Error| ExchangeError::Refused(format!("table {}: {error}", table.name));
        let largest =
            format!("SELECT max({}) FROM {}", source::quote(&table.columns[at].name), source::quote(&table.name));
        let mut last: Option<i64> = self.connection.query_row(&largest, [], |row| row.get(0)).map_err(failed)?;
        if table.autoincrement {
            let ever = "SELECT max(seq) FROM sqlite_sequence WHERE name = ?1";
            let ever: Option<i64> = self.connection.query_row(ever, [&table.name], |row| row.get(0)).map_err(failed)?;
            last = last.max(ever);
        }
        let Some(last) = last.filter(|last| *last > 0) else { return Ok(()) };
        let (of, column) = (super::quote_text(&planned.name), super::quote_text(column.trim_matches('"')));
        let sql = format!("SELECT setval(pg_get_serial_sequence({of}, {column}), {last})");
        query(self.client, &planned.name, &sql).await.map(|_| ())
    }

    async fn count(&self, planned: &Planned) -> Result<u64, ExchangeError> {
        let sql = format!("SELECT count(*) FROM {}", planned.name);
        let rows = query(self.client, &planned.name, &sql).await?;
        Ok(rows.first().and_then(|row| row.get(0)).and_then(|count| count.parse().ok()).unwrap_or(0))
    }

    /// Views may read each other: whatever failed is tried again as long as another one succeeds.
    async fn views(&mut self, left_out: &mut Vec<String>) -> u64 {
        let mut waiting: Vec<(String, Option<String>)> =
            self.source.views.iter().map(|(name, text)| (name.clone(), sql::view_text(text))).collect();
        let mut made = 0;
        loop {
            let (before, mut failed, mut reasons) = (made, Vec::new(), Vec::new());
            for (name, text) in waiting {
                let result = match &text {
                    Some(text) => self.client.batch_execute(text).await.map_err(|error| super::words(&error)),
                    None => Err("its text cannot be read".to_string()),
                };
                match result {
                    Ok(()) => {
                        made += 1;
                        self.made.push(format!("VIEW {}", sql::name(&name)));
                    }
                    Err(reason) => {
                        reasons.push(format!("view {name}: {reason}"));
                        failed.push((name, text));
                    }
                }
            }
            if failed.is_empty() || made == before {
                left_out.extend(reasons);
                return made;
            }
            waiting = failed;
        }
    }

    /// Drops what was made, newest first. A table that refers to another in a circle goes with CASCADE.
    async fn undo(&mut self) {
        for made in self.made.iter().rev() {
            // What cannot be dropped is named by the next import, which finds it.
            let _ = self.client.batch_execute(&format!("DROP {made} CASCADE")).await;
        }
    }
}

/// The columns that COPY brings.
fn copied(table: &Table, planned: &Planned) -> String {
    let columns = table.columns.iter().zip(&planned.targets).filter(|(_, target)| target.is_some());
    sql::names(columns.map(|(column, _)| column.name.as_str()))
}
