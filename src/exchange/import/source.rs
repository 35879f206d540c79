//! An SQLite file as it is: opened for reading alone, proved sound, its tables, keys and indexes as SQLite tells them.

use super::sql::{self, TableText};
use crate::exchange::ExchangeError;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// As the file has it.
    pub name: String,
    /// As it was declared, in upper case.
    pub declared: String,
    pub not_null: bool,
    /// DEFAULT as it was written.
    pub default: Option<String>,
    /// Place in the primary key, from 1; 0 without.
    pub key: usize,
    pub generated: bool,
}

/// A foreign key.
#[derive(Debug, Clone)]
pub struct ForeignKey {
    pub parent: String,
    pub columns: Vec<String>,
    /// None means the primary key.
    pub parent_columns: Option<Vec<String>>,
    pub on_update: String,
    pub on_delete: String,
}

/// A UNIQUE constraint or an index.
#[derive(Debug, Clone)]
pub struct Index {
    pub name: String,
    pub unique: bool,
    /// Names of the columns, all of them plain ones; `None` where one is an expression.
    pub columns: Option<Vec<String>>,
    /// CREATE INDEX; none for what a constraint made.
    pub text: Option<String>,
    /// Columns that are compared without regard to the case of letters, in small letters.
    pub ignores_case: Vec<String>,
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    pub foreign_keys: Vec<ForeignKey>,
    pub indexes: Vec<Index>,
    pub has_rowid: bool,
    pub autoincrement: bool,
    /// What only the text of CREATE TABLE says.
    pub text: TableText,
}

impl Table {
    /// Columns of the primary key in its order.
    pub fn key(&self) -> Vec<&Column> {
        let mut key: Vec<&Column> = self.columns.iter().filter(|column| column.key > 0).collect();
        key.sort_by_key(|column| column.key);
        key
    }
    /// The column that is another name of the rowid.
    pub fn rowid_column(&self) -> Option<usize> {
        let alone = self.columns.iter().filter(|column| column.key > 0).count() == 1;
        let is_alias = |column: &Column| column.key == 1 && column.declared == "INTEGER";
        if alone && self.has_rowid { self.columns.iter().position(is_alias) } else { None }
    }
    /// SQL that names the row for people: its rowid where there is one.
    pub fn rowid_sql(&self) -> Option<&'static str> {
        let taken = |name: &str| self.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
        ["rowid", "_rowid_", "oid"].into_iter().find(|name| self.has_rowid && !taken(name))
    }
}

/// What a file holds.
#[derive(Debug)]
pub struct Source {
    pub tables: Vec<Table>,
    /// Name and CREATE VIEW.
    pub views: Vec<(String, String)>,
    /// What has no counterpart, in words.
    pub left_out: Vec<String>,
}

/// Quotes a name for SQLite.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Opens a file and begins to read: what others write from now on is not seen.
pub fn open(path: &Path) -> Result<Connection, ExchangeError> {
    if !path.is_file() {
        return Err(ExchangeError::NoFile(path.into(), "there is none".into()));
    }
    let wrong = |error: rusqlite::Error| ExchangeError::File(path.into(), error.to_string());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(wrong)?;
    connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").map_err(wrong)?;
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(wrong)?;
    if found != "ok" {
        return Err(ExchangeError::File(path.into(), format!("it is damaged: {found}")));
    }
    Ok(connection)
}

type Rows<T> = rusqlite::Result<Vec<T>>;

fn all<T>(connection: &Connection, sql: &str, row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> Rows<T> {
    connection.prepare(sql)?.query_map([], row)?.collect()
}

/// Reads what there is, in the order in which it was made.
pub fn read(connection: &Connection) -> rusqlite::Result<Source> {
    let mut source = Source { tables: Vec::new(), views: Vec::new(), left_out: Vec::new() };
    let objects = "SELECT s.type, s.name, coalesce(s.sql, ''), l.type, coalesce(l.wr, 0) FROM sqlite_schema s \
                   LEFT JOIN pragma_table_list l ON l.schema = 'main' AND l.name = s.name \
                   WHERE s.type IN ('table', 'view', 'trigger') AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                   ORDER BY s.rowid";
    let text = |row: &rusqlite::Row<'_>| -> rusqlite::Result<(String, String, String, Option<String>, bool)> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
    };
    for (kind, name, sql, shape, without_rowid) in all(connection, objects, text)? {
        match (kind.as_str(), shape.as_deref()) {
            ("view", _) => source.views.push((name, sql)),
            ("trigger", _) => source.left_out.push(format!("trigger {name}: there are no triggers")),
            (_, Some("virtual")) => source.left_out.push(format!("virtual table {name}: there are none")),
            // The parts of a virtual table.
            (_, Some("shadow")) => {}
            _ => source.tables.push(table(connection, name, &sql, !without_rowid)?),
        }
    }
    Ok(source)
}

fn table(connection: &Connection, name: String, sql: &str, has_rowid: bool) -> rusqlite::Result<Table> {
    let columns = all(connection, &format!("PRAGMA table_xinfo({})", quote(&name)), |row| {
        let hidden: i64 = row.get(6)?;
        Ok(Column {
            name: row.get(1)?,
            declared: row.get::<_, String>(2)?.trim().to_ascii_uppercase(),
            not_null: row.get(3)?,
            default: row.get(4)?,
            key: row.get::<_, i64>(5)? as usize,
            generated: hidden == 2 || hidden == 3,
        })
    })?;
    let indexes = all(connection, &format!("PRAGMA index_list({})", quote(&name)), |row| {
        Ok((row.get::<_, String>(1)?, row.get::<_, bool>(2)?, row.get::<_, String>(3)?))
    })?;
    let mut found = Vec::new();
    // SQLite lists the newest first.
    for (index, unique, origin) in indexes.into_iter().rev().filter(|(.., origin)| origin != "pk") {
        found.push(self::index(connection, index, unique, origin == "c")?);
    }
    Ok(Table {
        foreign_keys: foreign_keys(connection, &name)?,
        indexes: found,
        has_rowid,
        autoincrement: sql.to_ascii_uppercase().contains("AUTOINCREMENT"),
        text: sql::table_text(sql, &columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>()),
        name,
        columns,
    })
}

fn index(connection: &Connection, name: String, unique: bool, has_text: bool) -> rusqlite::Result<Index> {
    let keys = all(connection, &format!("PRAGMA index_xinfo({})", quote(&name)), |row| {
        Ok((row.get::<_, Option<String>>(2)?, row.get::<_, Option<String>>(4)?, row.get::<_, bool>(5)?))
    })?;
    let keys: Vec<_> = keys.into_iter().filter(|(.., is_key)| *is_key).collect();
    let text = match has_text {
        true => connection.query_row(
            "SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?1",
            [&name],
            |row| row.get(0),
        )?,
        false => None,
    };
    let nocase = keys.iter().filter(|(_, collation, _)| collation.as_deref() == Some("NOCASE"));
    let ignores_case = nocase.filter_map(|(column, ..)| column.as_deref().map(sql::folded)).collect();
    Ok(Index { columns: keys.into_iter().map(|(column, ..)| column).collect(), name, unique, text, ignores_case })
}

fn foreign_keys(connection: &Connection, table: &str) -> rusqlite::Result<Vec<ForeignKey>> {
    let rows = all(connection, &format!("PRAGMA foreign_key_list({})", quote(table)), |row| {
        let own: String = row.get(3)?;
        let names: (String, Option<String>) = (row.get(2)?, row.get(4)?);
        Ok((row.get::<_, i64>(0)?, names, own, row.get::<_, String>(5)?, row.get::<_, String>(6)?))
    })?;
    let mut keys: Vec<(i64, ForeignKey)> = Vec::new();
    for (id, (parent, to), own, on_update, on_delete) in rows {
        if keys.last().is_none_or(|(last, _)| *last != id) {
            let parent_columns = to.as_ref().map(|_| Vec::new());
            keys.push((id, ForeignKey { parent, columns: Vec::new(), parent_columns, on_update, on_delete }));
        }
        if let Some((_, key)) = keys.last_mut() {
            key.columns.push(own);
            key.parent_columns = key.parent_columns.take().zip(to).map(|(mut columns, to)| {
                columns.push(to);
                columns
            });
        }
    }
    // SQLite lists the newest first.
    Ok(keys.into_iter().rev().map(|(_, key)| key).collect())
}

/// The first row that refers to none, in words.
pub fn orphan(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let found = all(connection, "PRAGMA foreign_key_check", |row| {
        let (table, rowid): (String, Option<i64>) = (row.get(0)?, row.get(1)?);
        let parent: String = row.get(2)?;
        let which = rowid.map_or("a row".to_string(), |rowid| format!("the row with rowid {rowid}"));
        Ok(format!("in table {table} {which} refers to a row of {parent} that is not there"))
    })?;
    Ok(found.into_iter().next())
}
