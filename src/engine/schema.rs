//! When SQLite's picture of the schema is old (invariant 10).
//!
//! SQLite notices a changed schema by a cookie, which two roots can share though their schemas differ, and
//! which ANALYZE leaves alone. So the schema and the statistics have a hash of their own; a connection
//! remembers which one it has loaded, and loads again when it is moved to a root of another.

use crate::page::Hash;
use crate::page_store::sqlite::{Connection, SqliteError};
use crate::transaction::Rows;

/// Makes SQLite read the schema and the statistics from the pages again. Statements are compiled again.
pub(super) fn renew(connection: &Connection) -> Result<(), SqliteError> {
    // It takes effect while it is compiled, so it must be compiled each time.
    connection.execute("PRAGMA writable_schema=RESET")
}

/// Hash of the schema and the statistics in the pages that the connection sees. The connection's own
/// picture must be right.
pub(super) fn hash(connection: &Connection) -> Result<Hash, SqliteError> {
    let mut rows = Rows::default();
    push_all(connection, "SELECT type, name, tbl_name, rootpage, sql FROM main.sqlite_schema", &mut rows)?;
    let analyzed = {
        let mut statement = connection.prepare("SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_stat1'")?;
        statement.step()?
    };
    if analyzed {
        push_all(connection, "SELECT tbl, idx, stat FROM main.sqlite_stat1", &mut rows)?;
    }
    Ok(Hash::of(&rows.bytes))
}

fn push_all(connection: &Connection, sql: &str, rows: &mut Rows) -> Result<(), SqliteError> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    while statement.step()? {
        (0..columns).for_each(|index| rows.push(statement.column(index)));
    }
    Ok(())
}
