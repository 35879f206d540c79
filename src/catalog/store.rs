//! How the catalog is kept: one row per object in `evesql_catalog`, its definition as JSON.
//!
//! DDL turns into [`Change`]s, which print as SQLite statements; loading reads the rows back. Nothing
//! here does I/O: who has a connection runs [`CATALOG_SQL`] and hands the rows over.

use super::enums::EnumType;
use super::roles::{Role, SECRET_OID};
use super::{Catalog, FIRST_OID, Object, Schema, Sequence, Table, View};
use crate::page::Hash;
use crate::transaction::{Value, ValueRef};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thiserror::Error;

/// Creates the catalog's tables in a new database. Always the same bytes.
pub const BOOTSTRAP_SQL: &[&str] = &[
    "CREATE TABLE evesql_catalog(oid INTEGER PRIMARY KEY, kind TEXT NOT NULL, definition TEXT NOT NULL) STRICT",
    // One row per sequence: what nextval reads and writes (rule 17).
    "CREATE TABLE evesql_sequences(oid INTEGER PRIMARY KEY, last_value INTEGER NOT NULL, is_called INTEGER NOT NULL, \
     increment INTEGER NOT NULL, minimum INTEGER NOT NULL, maximum INTEGER NOT NULL, cycle INTEGER NOT NULL) STRICT",
    // What NOTIFY writes and sessions that listen read: the newest of them, numbered in the order in which they took effect.
    // Functions of an old sqlite3 alone: it must be able to open the file.
    "CREATE TABLE evesql_notifications(id INTEGER PRIMARY KEY, process INTEGER NOT NULL, \
     channel TEXT NOT NULL CHECK (length(channel) BETWEEN 1 AND 63), \
     payload TEXT NOT NULL CHECK (length(CAST(payload AS BLOB)) < 8000)) STRICT",
];

/// Notifications that a database keeps for sessions that listen.
pub const NOTIFICATIONS_KEPT: u32 = 4_096;

/// Reads the rows that [`Catalog::load`] takes.
pub const CATALOG_SQL: &str = "SELECT oid, kind, definition FROM evesql_catalog ORDER BY oid";

/// A row of the catalog that cannot be read.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A row is not (integer, text, text).
    #[error("catalog row {0} has an unexpected shape")]
    Shape(usize),
    /// Its kind is not known to this version.
    #[error("catalog object {oid} is of unknown kind {kind}")]
    Kind {
        /// OID of the object.
        oid: u32,
        /// What the row says.
        kind: String,
    },
    /// Its definition is not what the kind has.
    #[error("definition of catalog object {oid}: {source}")]
    Definition {
        /// OID of the object.
        oid: u32,
        /// Why.
        source: serde_json::Error,
    },
}

/// Row 0: the counters.
#[derive(Serialize, Deserialize)]
struct Counters {
    next_oid: u32,
}

impl Catalog {
    /// The catalog of a database without objects.
    pub fn empty() -> Catalog {
        Catalog { next_oid: FIRST_OID, ..Catalog::default() }
    }

    /// Builds the catalog from the rows of [`CATALOG_SQL`], in that order.
    ///
    /// # Errors
    /// [`LoadError`] if a row is not what [`Change`] writes.
    pub fn load(rows: impl IntoIterator<Item = Vec<Value>>) -> Result<Catalog, LoadError> {
        let mut catalog = Catalog::empty();
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        let mut any = false;
        for (at, row) in rows.into_iter().enumerate() {
            let [Value::Integer(oid), Value::Text(kind), Value::Text(definition)] = row.as_slice() else {
                return Err(LoadError::Shape(at));
            };
            let oid = u32::try_from(*oid).map_err(|_| LoadError::Shape(at))?;
            any = true;
            hasher.update(&oid.to_le_bytes());
            for text in [kind, definition] {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
            catalog.take(oid, kind, definition)?;
        }
        if any {
            catalog.version = Hash(hasher.digest128());
        }
        Ok(catalog)
    }

    fn take(&mut self, oid: u32, kind: &str, definition: &str) -> Result<(), LoadError> {
        fn read<'a, T: Deserialize<'a>>(oid: u32, definition: &'a str) -> Result<T, LoadError> {
            serde_json::from_str(definition).map_err(|source| LoadError::Definition { oid, source })
        }
        let object = match kind {
            "counters" => {
                self.next_oid = read::<Counters>(oid, definition)?.next_oid;
                return Ok(());
            }
            "role" => {
                Arc::make_mut(&mut self.roles).put(read::<Role>(oid, definition)?);
                return Ok(());
            }
            "secret" => {
                Arc::make_mut(&mut self.roles).secret = Some(read::<String>(oid, definition)?);
                return Ok(());
            }
            "table" => Object::Table(Arc::new(read::<Table>(oid, definition)?)),
            "view" => Object::View(Arc::new(read::<View>(oid, definition)?)),
            "sequence" => Object::Sequence(Arc::new(read::<Sequence>(oid, definition)?)),
            "schema" => Object::Schema(Arc::new(read::<Schema>(oid, definition)?)),
            "enum" => Object::Enum(Arc::new(read::<EnumType>(oid, definition)?)),
            other => return Err(LoadError::Kind { oid, kind: other.to_string() }),
        };
        self.insert(object);
        Ok(())
    }

    fn insert(&mut self, object: Object) {
        let oid = object.oid();
        self.remove(oid);
        if let Object::Table(table) = &object {
            for index in &table.indexes {
                self.names.insert((table.schema.clone(), index.name.clone()), oid);
            }
        }
        if object.is_relation() {
            let (schema, name) = object.full_name();
            self.names.insert((schema.to_string(), name.to_string()), oid);
        }
        self.objects.insert(oid, object);
    }

    fn remove(&mut self, oid: u32) {
        if self.objects.remove(&oid).is_some() {
            self.names.retain(|_, named| *named != oid);
        }
    }

    /// The catalog after a change; its version is that of the rows only after the next load.
    pub fn after(&self, change: &Change) -> Catalog {
        let mut next = self.clone();
        match change {
            Change::Put(object) => next.insert(object.clone()),
            Change::PutRole(role) => Arc::make_mut(&mut next.roles).put(Role::clone(role)),
            Change::PutSecret(secret) => Arc::make_mut(&mut next.roles).secret = Some(secret.clone()),
            Change::Remove(oid) => {
                next.remove(*oid);
                if next.roles.get(*oid).is_some() {
                    Arc::make_mut(&mut next.roles).remove(*oid);
                }
            }
            Change::NextOid(oid) => next.next_oid = *oid,
        }
        next
    }
}

/// A change of the catalog's rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Writes an object, new or changed.
    Put(Object),
    /// Writes a role, new or changed.
    PutRole(Arc<Role>),
    /// Writes the secret of names without a password.
    PutSecret(String),
    /// Removes the object or role with this OID.
    Remove(u32),
    /// Remembers which OID comes next.
    NextOid(u32),
}

impl Change {
    /// The SQLite statement that makes it, and its parameters: definitions of roles are nothing to be shown where
    /// statements are.
    pub fn statement(&self) -> (&'static str, Vec<Value>) {
        match self.row() {
            Row::Put(oid, kind, definition) => {
                let row = vec![Value::Integer(oid.into()), Value::Text(kind.into()), Value::Text(definition.into())];
                ("INSERT OR REPLACE INTO evesql_catalog VALUES(?1, ?2, ?3)", row)
            }
            Row::Remove(oid) => ("DELETE FROM evesql_catalog WHERE oid = ?1", vec![Value::Integer(oid.into())]),
        }
    }

    /// The same with its parameters written out.
    pub fn sql(&self) -> String {
        match self.row() {
            Row::Put(oid, kind, definition) => {
                let definition = definition.replace('\'', "''");
                format!("INSERT OR REPLACE INTO evesql_catalog VALUES({oid}, '{kind}', '{definition}')")
            }
            Row::Remove(oid) => format!("DELETE FROM evesql_catalog WHERE oid = {oid}"),
        }
    }

    fn row(&self) -> Row {
        // The structs hold nothing that JSON cannot write.
        fn json<T: Serialize + ?Sized>(value: &T) -> String {
            serde_json::to_string(value).unwrap_or_default()
        }
        match self {
            Change::Put(Object::Table(table)) => Row::Put(table.oid, "table", json(table.as_ref())),
            Change::Put(Object::View(view)) => Row::Put(view.oid, "view", json(view.as_ref())),
            Change::Put(Object::Sequence(sequence)) => Row::Put(sequence.oid, "sequence", json(sequence.as_ref())),
            Change::Put(Object::Schema(schema)) => Row::Put(schema.oid, "schema", json(schema.as_ref())),
            Change::Put(Object::Enum(found)) => Row::Put(found.oid, "enum", json(found.as_ref())),
            Change::PutRole(role) => Row::Put(role.oid, "role", json(role.as_ref())),
            Change::PutSecret(secret) => Row::Put(SECRET_OID, "secret", json(secret)),
            Change::Remove(oid) => Row::Remove(*oid),
            Change::NextOid(next_oid) => Row::Put(0, "counters", json(&Counters { next_oid: *next_oid })),
        }
    }
}

/// What a change does to the catalog's rows.
enum Row {
    Put(u32, &'static str, String),
    Remove(u32),
}

/// For callers that hold borrowed rows.
impl Catalog {
    /// As [`Catalog::load`], from borrowed values.
    pub fn load_refs<'a>(rows: impl IntoIterator<Item = Vec<ValueRef<'a>>>) -> Result<Catalog, LoadError> {
        Catalog::load(rows.into_iter().map(|row| row.into_iter().map(ValueRef::to_value).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Column;

    #[test]
    fn what_a_change_writes_is_what_loading_reads() {
        let table = Table {
            oid: 16384,
            schema: "public".into(),
            name: "it's".into(),
            sqlite_name: "it's".into(),
            columns: vec![Column { number: 1, name: "a".into(), type_oid: 23, typmod: -1, ..Column::default() }],
            next_column: 2,
            ..Table::default()
        };
        let change = Change::Put(Object::Table(Arc::new(table.clone())));
        let sql = change.sql();
        let definition = sql.split_once(", '{").unwrap().1.strip_suffix("')").unwrap().replace("''", "'");
        let row = |oid, kind: &str, text: String| {
            vec![Value::Integer(oid), Value::Text(kind.into()), Value::Text(text.into())]
        };
        let rows = [row(0, "counters", "{\"next_oid\":16385}".into()), row(16384, "table", format!("{{{definition}"))];
        let catalog = Catalog::load(rows.clone()).unwrap();
        assert_eq!(catalog.next_oid, 16385);
        assert_eq!(**catalog.table(16384).unwrap(), table);
        assert_eq!(catalog.named("public", "it's").map(Object::oid), Some(16384));
        assert_eq!(catalog.version, Catalog::load(rows).unwrap().version);
        assert_ne!(catalog.version, Catalog::empty().version);
        assert!(Catalog::load([row(1, "ghost", "{}".into())]).is_err());
    }
}
