//! pg_catalog and information_schema on a connection that reads: two attached in-memory databases of these
//! names, so that qualified names mean what they say, and the functions over the catalog.
//!
//! The tables are made and filled when the first statement asks for them, and filled again when the catalog
//! or the environment is another one; relations that change by themselves, for each statement that names
//! them. What they are filled for is written in a table beside them, so that a ROLLBACK which undoes the
//! filling undoes that as well. Never on a replica's own connection.

use super::connection::Connection;
use super::failure::{Failure, LocalError};
use crate::catalog::Catalog;
use crate::catalog::functions::{SYSTEM_FUNCTIONS, SettingChange, set_config};
use crate::catalog::relations::{Environment, INDEX_SQL, Live, Renewal, Source, SystemTable, system_tables};
use crate::transaction::Value;
use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

/// The system catalogs of one connection.
pub struct SystemCatalog {
    state: Rc<RefCell<State>>,
}

/// What relations and functions answer from.
#[derive(Default)]
struct State {
    catalog: Arc<Catalog>,
    environment: Arc<Environment>,
    live: Live,
    changes: Vec<SettingChange>,
}

impl State {
    fn source(&self) -> Source<'_> {
        Source { catalog: &self.catalog, environment: &self.environment, live: &self.live }
    }
}

impl SystemCatalog {
    /// Registers the functions and attaches the databases, which stay empty until [`SystemCatalog::renew`].
    pub fn attach(connection: &mut Connection) -> Result<Self, LocalError> {
        let state = Rc::new(RefCell::new(State::default()));
        for function in SYSTEM_FUNCTIONS {
            for count in function.required..=function.arguments.len() {
                let (state, call) = (state.clone(), function.call);
                connection
                    .register(function.name, count as i32, move |values| call(&state.borrow().source(), values))?;
            }
        }
        let changing = state.clone();
        connection.register("set_config", 3, move |values| {
            let State { live, changes, .. } = &mut *changing.borrow_mut();
            set_config(live, changes, values)
        })?;
        for schema in ["pg_catalog", "information_schema"] {
            connection.control(&format!("ATTACH ':memory:' AS {schema}")).map_err(Failure::into_local)?;
        }
        Ok(SystemCatalog { state })
    }

    /// Makes relations and functions answer for this catalog, server and session. To be called before each
    /// statement, given as `sql`, that uses the catalog or calls a function of the session.
    pub fn renew(
        &mut self,
        connection: &mut Connection,
        catalog: &Arc<Catalog>,
        environment: &Arc<Environment>,
        live: Live,
        sql: &[Arc<str>],
    ) -> Result<(), LocalError> {
        {
            let mut state = self.state.borrow_mut();
            (state.catalog, state.environment, state.live) = (catalog.clone(), environment.clone(), live);
        }
        // Statements that only call functions need no tables.
        let names_relation = |table: &&SystemTable| sql.iter().any(|text| text.contains(table.name));
        if !system_tables().iter().any(|table| names_relation(&table)) {
            return Ok(());
        }
        connection.control("SAVEPOINT evesql_system_catalog").map_err(Failure::into_local)?;
        let filled = self.fill(connection, names_relation);
        if filled.is_err() {
            // The first error is the one to tell.
            let _ = connection.control("ROLLBACK TO evesql_system_catalog");
        }
        connection.control("RELEASE evesql_system_catalog").map_err(Failure::into_local)?;
        filled.map_err(Failure::into_local)
    }

    /// Settings changed by `set_config` since the last call, in order: for the session to carry on.
    pub fn take_changes(&self) -> Vec<SettingChange> {
        std::mem::take(&mut self.state.borrow_mut().changes)
    }

    fn fill(
        &self,
        connection: &mut Connection,
        is_named: impl Fn(&&'static SystemTable) -> bool,
    ) -> Result<(), Failure> {
        let state = self.state.borrow();
        let source = state.source();
        if connection.query("SELECT 1 FROM pg_catalog.sqlite_schema LIMIT 1", &[])?.is_empty() {
            create(connection, &source)?;
        }
        let wanted = Value::Integer(fingerprint(&state));
        let now = connection.query("SELECT state FROM pg_catalog.evesql_filled WHERE renewal = 'catalog'", &[])?;
        if now.first().and_then(|row| row.first()) != Some(&wanted) {
            let mut changing = system_tables().iter().filter(|table| table.changes_at(Renewal::Catalog));
            changing.try_for_each(|table| refill(connection, table, Renewal::Catalog, &source))?;
            connection.query("UPDATE pg_catalog.evesql_filled SET state = ? WHERE renewal = 'catalog'", &[wanted])?;
        }
        let changing = system_tables().iter().filter(|table| table.changes_at(Renewal::Statement));
        changing.filter(is_named).try_for_each(|table| refill(connection, table, Renewal::Statement, &source))
    }
}

/// What the rows depend on that change with the catalog.
fn fingerprint(state: &State) -> i64 {
    let mut hasher = DefaultHasher::new();
    state.catalog.version.to_bytes().hash(&mut hasher);
    let environment = &state.environment;
    (&environment.databases, &environment.roles, &environment.database, &environment.search_path).hash(&mut hasher);
    hasher.finish() as i64
}

/// Makes all tables, with the rows that never change. `fixed` is how many such rows each has: they come
/// first.
fn create(connection: &mut Connection, source: &Source<'_>) -> Result<(), Failure> {
    connection.control("CREATE TABLE pg_catalog.evesql_filled(renewal TEXT PRIMARY KEY, state INTEGER)")?;
    connection.control("INSERT INTO pg_catalog.evesql_filled VALUES('catalog', NULL)")?;
    for table in system_tables() {
        connection.control(&table.create_sql())?;
        insert(connection, table, table.rows(Renewal::Never, source))?;
        if table.changes_at(Renewal::Never) && table.changes_at(Renewal::Catalog) {
            let last = format!("(SELECT max(rowid) FROM {}.\"{}\")", table.schema, table.name);
            connection.control(&format!("INSERT INTO pg_catalog.evesql_filled VALUES('{}', {last})", table.name))?;
        }
    }
    INDEX_SQL.iter().try_for_each(|sql| connection.control(sql))
}

fn insert(connection: &mut Connection, table: &SystemTable, rows: Vec<Vec<Value>>) -> Result<(), Failure> {
    let sql = table.insert_sql();
    rows.iter().try_for_each(|row| connection.query(&sql, row).map(|_| ()))
}

/// Replaces the rows that change at `renewal`.
fn refill(
    connection: &mut Connection,
    table: &'static SystemTable,
    renewal: Renewal,
    source: &Source<'_>,
) -> Result<(), Failure> {
    let kept = "SELECT coalesce((SELECT state FROM pg_catalog.evesql_filled WHERE renewal = ?), 0)";
    let kept = connection.query(kept, &[Value::Text(table.name.into())])?;
    let kept = kept.into_iter().flatten().next().unwrap_or_default();
    connection.query(&format!("DELETE FROM {}.\"{}\" WHERE rowid > ?", table.schema, table.name), &[kept])?;
    insert(connection, table, table.rows(renewal, source))
}

#[cfg(test)]
#[path = "system_catalog_tests.rs"]
mod tests;
