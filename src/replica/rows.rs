//! Whether two versions of a database that came from the same one hold the same rows: the accepted one, and that of an
//! audit.
//!
//! First by what stands on the pages that either has changed: rows of tables with their rowids, and keys of indexes,
//! as far as they are on the page itself. That costs what the batch changed, whatever the size of the database. Rows
//! that may go on on overflow pages are read on both sides.
//!
//! Where the pages differ, rows decide, by key: a hidden rowid may be another one where a table has a key. Then the rows
//! that the audit changed are read on both sides, those that the accepted version has changed as well if the database is
//! not too large to look for their tables, and rows are counted.
//!
//! Where the schema may have changed, definitions come before rows.

use super::accepted::DatabaseVersion;
use super::apply::{rowid_name, same};
use super::audit::Difference;
use super::cells::{index_records, leaf_rows};
use super::database::Database;
use super::divergence::differences;
use super::once::Once;
use crate::engine::{Connection, Failure, LocalError};
use crate::footprint::{Kind, Schema, Table};
use crate::page::{PAGE_SIZE, PageNumber};
use crate::page_store::Snapshot;
use crate::page_store::sqlite::RowChange;
use crate::transaction::{ONCE_WINDOW, Value, shortened};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Rows that are remembered of one database; beyond them the pages alone tell.
const TOUCHED_MAX: usize = 20_000;
/// Bytes of a row's texts and blobs from which on it may have overflow pages. (A page of an index takes a thousand.)
const LONG_BYTES: usize = 900;
/// A database of more pages is not searched for the tables of differing pages.
pub(super) const SEARCHED_PAGES_MAX: u32 = 65_536;
/// Longest description of a row, in characters.
const SHOWN_MAX: usize = 200;

/// A row that a transaction changed when it ran alone.
pub(super) struct Touched {
    table: Arc<str>,
    /// Values of its table's key, or the rowid.
    key: Vec<Value>,
    position: Option<u32>,
    is_long: bool,
}

impl Touched {
    /// Notes the rows of a transaction's changes.
    pub fn note(touched: &mut Vec<Touched>, schema: &Schema, position: u32, changes: &[RowChange]) {
        for RowChange { table: name, rowids, old, new } in changes {
            let Some(table) = schema.table(name) else { continue };
            for (image, rowid) in [(old, rowids.0), (new, rowids.1)] {
                let Some(image) = image.as_ref().filter(|image| image.len() == table.columns.len()) else { continue };
                if touched.len() >= TOUCHED_MAX {
                    return;
                }
                let key = key_of(table, image, rowid);
                let is_long = image.iter().map(length).sum::<usize>() >= LONG_BYTES;
                touched.push(Touched { table: name.clone(), key, position: Some(position), is_long });
            }
        }
    }

    /// The row that says which transactions of a batch were executed.
    pub fn once(log_index: u64) -> Touched {
        let slot = Value::Integer((log_index % ONCE_WINDOW) as i64);
        Touched { table: Once::TABLE.into(), key: vec![slot], position: None, is_long: true }
    }
}

fn key_of(table: &Table, row: &[Value], rowid: i64) -> Vec<Value> {
    match table.key_columns() {
        Some(columns) => columns.iter().map(|column| row[*column].clone()).collect(),
        None => vec![Value::Integer(rowid)],
    }
}

fn length(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
        _ => 8,
    }
}

/// The first row, or with `changes_schema` definition, of the accepted version that is not as the audit left it.
pub(super) fn compare(
    audited: &mut Database,
    before: &Snapshot,
    after: &DatabaseVersion,
    touched: &[Touched],
    changes_schema: bool,
) -> Result<Option<Difference>, LocalError> {
    let pages = before.store().diff(before, &after.snapshot)?;
    let is_same = changed_by_acceptance(before, &after.snapshot, &pages)? == changed_by_audit(before, audited)?;
    let schema = audited.known_schema()?;
    let mut accepted = Connection::view(&after.snapshot, audited.connection.options())?;
    accepted.expect_schema(after.schema)?;
    let mut rows = Rows { schema, audited: &mut audited.connection, accepted };
    if changes_schema && let Some(found) = rows.differing_definition()? {
        return Ok(Some(found));
    }
    for Touched { table, key, position, .. } in touched.iter().rev().filter(|row| !is_same || row.is_long) {
        if let Some(found) = rows.difference(table, key, *position)? {
            return Ok(Some(found));
        }
    }
    if is_same {
        return Ok(None);
    }
    let mut tables: BTreeSet<String> = touched.iter().map(|row| row.table.to_string()).collect();
    if before.page_count().max(after.snapshot.page_count()) <= SEARCHED_PAGES_MAX {
        let found = differences(Some(before), &after.snapshot, &pages);
        let mut old = Connection::view(before, rows.accepted.options())?;
        for (table, rowid) in &found.rows {
            if let Some(found) = rows.difference_at(&mut old, table, *rowid)? {
                return Ok(Some(found));
            }
        }
        tables.extend(found.owners);
    }
    rows.differing_count(&tables)
}

/// What stands on pages, each by its hash: how many more of it than before.
type Cells = HashMap<u128, i64>;

fn changed_by_acceptance(before: &Snapshot, after: &Snapshot, pages: &[PageNumber]) -> Result<Cells, LocalError> {
    let mut cells = Cells::new();
    for page in pages {
        for (version, by) in [(before, -1), (after, 1)] {
            if *page <= version.page_count() {
                note(&mut cells, &*version.page(*page)?, *page, by);
            }
        }
    }
    cells.retain(|_, count| *count != 0);
    Ok(cells)
}

fn changed_by_audit(before: &Snapshot, audited: &Database) -> Result<Cells, LocalError> {
    let mut cells = Cells::new();
    let view = audited.connection.viewed()?;
    let page_count = view.page_count()?;
    for page in view.overlay_pages()?.into_iter().chain(page_count + 1..=before.page_count()) {
        if page <= before.page_count() {
            note(&mut cells, &*before.page(page)?, page, -1);
        }
        if page <= page_count {
            note(&mut cells, &*view.page(page)?, page, 1);
        }
    }
    cells.retain(|_, count| *count != 0);
    Ok(cells)
}

fn note(cells: &mut Cells, page: &[u8; PAGE_SIZE], number: PageNumber, by: i64) {
    use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};
    for (rowid, record) in leaf_rows(page, number) {
        *cells.entry(xxh3_128_with_seed(record, xxh3_64(&rowid.to_le_bytes()))).or_default() += by;
    }
    for record in index_records(page, number) {
        *cells.entry(xxh3_128(record)).or_default() += by;
    }
}

/// Both versions, to read rows from.
struct Rows<'a> {
    schema: Arc<Schema>,
    audited: &'a mut Connection,
    accepted: Connection,
}

impl Rows<'_> {
    fn difference(
        &mut self,
        table: &str,
        key: &[Value],
        transaction: Option<u32>,
    ) -> Result<Option<Difference>, LocalError> {
        let Some(known) = self.schema.table(table).filter(|table| table.kind == Kind::Table) else { return Ok(None) };
        let Some(columns) = names_of_key(known) else { return Ok(None) };
        let sql = select(known, &columns);
        let accepted = query(&mut self.accepted, &sql, key)?;
        let audited = query(self.audited, &sql, key)?;
        if same_rows(&accepted, &audited) {
            return Ok(None);
        }
        let of = columns.iter().zip(key).map(|(column, value)| format!("{column} = {}", show(value)));
        let detail = format!(
            "the row with {} of {table} is {} in the accepted version, and {} one by one",
            of.collect::<Vec<_>>().join(" and "),
            show_rows(&accepted),
            show_rows(&audited)
        );
        Ok(Some(Difference { transaction, table: Some(table.into()), detail }))
    }

    /// As above, of the row or rows that have a rowid in the accepted version and in the one before it.
    fn difference_at(
        &mut self,
        old: &mut Connection,
        table: &str,
        rowid: i64,
    ) -> Result<Option<Difference>, LocalError> {
        let schema = self.schema.clone();
        let Some(known) = schema.table(table) else { return Ok(None) };
        let Some(name) = rowid_name(known) else { return Ok(None) };
        let sql = select(known, &[name]);
        let rowid_value = [Value::Integer(rowid)];
        let old = match old.query(&sql, &rowid_value) {
            // The table, or a column of its key, is new.
            Err(Failure::Sql(_)) => Vec::new(),
            old => old.map_err(Failure::into_local)?,
        };
        let found = [query(&mut self.accepted, &sql, &rowid_value)?, old];
        for row in found.iter().flatten().filter(|row| row.len() == known.columns.len()) {
            if let Some(found) = self.difference(table, &key_of(known, row, rowid), None)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn differing_definition(&mut self) -> Result<Option<Difference>, LocalError> {
        let (accepted, audited) = (definitions(&mut self.accepted)?, definitions(self.audited)?);
        let names: BTreeSet<&String> = accepted.keys().chain(audited.keys()).collect();
        let shown = |sql: Option<&Value>| sql.map_or("not there".into(), |sql| shortened(&show(sql), SHOWN_MAX));
        Ok(names.into_iter().find(|name| accepted.get(*name) != audited.get(*name)).map(|name| {
            let (accepted, audited) = (shown(accepted.get(name)), shown(audited.get(name)));
            let detail =
                format!("the definition of {name} is {accepted} in the accepted version, and {audited} one by one");
            Difference { transaction: None, table: Some(name.clone()), detail }
        }))
    }

    fn differing_count(&mut self, tables: &BTreeSet<String>) -> Result<Option<Difference>, LocalError> {
        for table in tables {
            let Some(known) = self.schema.table(table).filter(|table| table.kind == Kind::Table) else { continue };
            let sql = format!("SELECT count(*) FROM main.{}", quoted(&known.name));
            let (accepted, audited) = (query(&mut self.accepted, &sql, &[])?, query(self.audited, &sql, &[])?);
            if accepted != audited {
                let detail = format!(
                    "{table} has {} rows in the accepted version, and {} one by one",
                    show_rows(&accepted),
                    show_rows(&audited)
                );
                return Ok(Some(Difference { transaction: None, table: Some(table.clone()), detail }));
            }
        }
        Ok(None)
    }
}

/// Tables, indexes, views and triggers by name, as SQLite has their definitions.
fn definitions(connection: &mut Connection) -> Result<BTreeMap<String, Value>, LocalError> {
    let sql = "SELECT name, coalesce(sql, type || ' of ' || tbl_name) FROM main.sqlite_schema";
    let named = query(connection, sql, &[])?.into_iter().filter_map(|mut row| match (row.pop(), row.pop()) {
        (Some(sql), Some(Value::Text(name))) => Some((name.to_string(), sql)),
        _ => None,
    });
    Ok(named.collect())
}

fn query(connection: &mut Connection, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, LocalError> {
    connection.query(sql, parameters).map_err(Failure::into_local)
}

fn names_of_key(table: &Table) -> Option<Vec<&str>> {
    match table.key_columns() {
        Some(columns) => Some(columns.iter().map(|column| &*table.columns[*column].name).collect()),
        None => rowid_name(table).map(|name| vec![name]),
    }
}

fn select(table: &Table, columns: &[&str]) -> String {
    let conditions = columns.iter().enumerate().map(|(at, column)| format!("{} IS ?{}", quoted(column), at + 1));
    let conditions = conditions.collect::<Vec<_>>().join(" AND ");
    format!("SELECT * FROM main.{} WHERE {conditions}", quoted(&table.name))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn same_rows(a: &[Vec<Value>], b: &[Vec<Value>]) -> bool {
    let same_row = |(a, b): (&Vec<Value>, &Vec<Value>)| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b));
    a.len() == b.len() && a.iter().zip(b).all(same_row)
}

fn show_rows(rows: &[Vec<Value>]) -> String {
    let Some(row) = rows.first() else { return "not there".into() };
    shortened(&format!("({})", row.iter().map(show).collect::<Vec<_>>().join(", ")), SHOWN_MAX)
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => format!("'{text}'"),
        Value::Blob(bytes) => format!("{} bytes", bytes.len()),
    }
}
