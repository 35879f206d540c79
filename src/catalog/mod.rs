//! The catalog: what tables, columns, constraints, indexes, views and sequences a database has, in
//! Postgres' terms. An immutable snapshot that statements are typed against; DDL is translated into
//! changes of the `evesql_*` tables in which the catalog is kept, so it is replicated with the data.
//!
//! Invariants:
//! 1. OIDs are handed out upwards from [`FIRST_OID`] and never again.
//! 2. Equal rows in `evesql_catalog` give an equal [`Catalog::version`], on every node.

pub mod definitions;
pub mod enums;
pub mod functions;
pub mod privileges;
pub mod relations;
pub mod role_commands;
pub mod roles;
mod store;
pub mod system;

pub use store::{BOOTSTRAP_SQL, CATALOG_SQL, Change, LoadError, NOTIFICATIONS_KEPT};

use crate::page::Hash;
use enums::EnumType;
use privileges::Access;
use roles::Roles;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// First OID of objects that users make.
pub const FIRST_OID: u32 = 16384;
/// The schema that unqualified names mean.
pub const PUBLIC: &str = "public";
/// What PostgreSQL says of the schema `public`; pg_dump expects it.
const PUBLIC_COMMENT: &str = "standard public schema";
/// OID of the schema `public`.
pub const PUBLIC_OID: u32 = 2200;

/// A column of a table or view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
pub struct Column {
    /// attnum: from 1, never used again after a drop.
    pub number: i16,
    /// Name, the same in SQLite.
    pub name: String,
    /// OID of the type.
    pub type_oid: u32,
    /// Type modifier or -1.
    pub typmod: i32,
    /// NOT NULL, also by being in the primary key.
    #[serde(default)]
    pub not_null: bool,
    /// DEFAULT, as a Postgres expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// GENERATED ALWAYS AS (expression) STORED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<String>,
    /// GENERATED .. AS IDENTITY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Sequence that numbers it (serial and identity).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u32>,
    /// COMMENT ON COLUMN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// How an identity column takes explicit values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// Only with OVERRIDING SYSTEM VALUE.
    Always,
    /// As any other.
    ByDefault,
}

/// What a foreign key does when the row it refers to changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Refuse, at the end of the statement or of the transaction.
    #[default]
    NoAction,
    /// Refuse at once.
    Restrict,
    /// Follow.
    Cascade,
    /// Set to NULL.
    SetNull,
    /// Set to the default.
    SetDefault,
}

impl Action {
    /// As SQL writes it.
    pub fn sql(self) -> &'static str {
        match self {
            Action::NoAction => "NO ACTION",
            Action::Restrict => "RESTRICT",
            Action::Cascade => "CASCADE",
            Action::SetNull => "SET NULL",
            Action::SetDefault => "SET DEFAULT",
        }
    }
}

/// Kind of a constraint, with what only that kind has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConstraintKind {
    /// PRIMARY KEY.
    Primary,
    /// UNIQUE.
    Unique,
    /// FOREIGN KEY.
    Foreign {
        /// OID of the table referred to.
        table: u32,
        /// Its columns.
        columns: Vec<i16>,
        /// ON UPDATE.
        on_update: Action,
        /// ON DELETE.
        on_delete: Action,
    },
    /// CHECK, as a Postgres expression.
    Check(String),
}

/// A named constraint of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    /// OID.
    pub oid: u32,
    /// Name, unique in its table.
    pub name: String,
    /// What it demands.
    pub kind: ConstraintKind,
    /// Columns of the table.
    pub columns: Vec<i16>,
    /// OID of the index that keeps a primary or unique constraint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// DEFERRABLE.
    #[serde(default)]
    pub deferrable: bool,
    /// INITIALLY DEFERRED.
    #[serde(default)]
    pub deferred: bool,
    /// COMMENT ON CONSTRAINT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// One key of an index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexKey {
    /// The column, or `None` for an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<i16>,
    /// The expression, in Postgres' words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// DESC.
    #[serde(default)]
    pub descending: bool,
    /// Operator class if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_class: Option<String>,
}

/// An index of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// OID.
    pub oid: u32,
    /// Name, unique in its schema.
    pub name: String,
    /// Name in SQLite; `None` where the table itself serves (its rowid, or an automatic index).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlite_name: Option<String>,
    /// UNIQUE.
    pub unique: bool,
    /// Index of the primary key.
    #[serde(default)]
    pub primary: bool,
    /// Keys in order.
    pub keys: Vec<IndexKey>,
    /// INCLUDE columns: remembered, not kept in the index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<i16>,
    /// WHERE, as a Postgres expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicate: Option<String>,
    /// Access method as the client wrote it; all are b-trees here.
    pub method: String,
    /// COMMENT ON INDEX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
pub struct Table {
    /// OID.
    pub oid: u32,
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// Name in SQLite.
    pub sqlite_name: String,
    /// Columns in order; dropped ones are gone.
    pub columns: Vec<Column>,
    /// Number that the next column gets.
    pub next_column: i16,
    /// The column that is SQLite's rowid, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rowid: Option<i16>,
    /// Constraints by name of creation.
    #[serde(default)]
    pub constraints: Vec<Constraint>,
    /// Indexes, those of constraints included.
    #[serde(default)]
    pub indexes: Vec<Index>,
    /// COMMENT ON TABLE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Who owns it and what was granted.
    #[serde(default, skip_serializing_if = "Access::is_default")]
    pub access: Access,
}

impl Table {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
    /// The column of this number.
    pub fn column_numbered(&self, number: i16) -> Option<&Column> {
        self.columns.iter().find(|column| column.number == number)
    }
    /// Columns of the primary key in order, or none.
    pub fn primary_key(&self) -> Option<&[i16]> {
        self.constraints.iter().find(|c| c.kind == ConstraintKind::Primary).map(|c| c.columns.as_slice())
    }
    /// The constraint of this name.
    pub fn constraint(&self, name: &str) -> Option<&Constraint> {
        self.constraints.iter().find(|constraint| constraint.name == name)
    }
}

/// A view: its query is put in the place of its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// OID.
    pub oid: u32,
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// The query, in Postgres' words, with `*` written out.
    pub query: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Tables and views that it reads.
    pub reads: Vec<u32>,
    /// COMMENT ON VIEW.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Who owns it and what was granted.
    #[serde(default, skip_serializing_if = "Access::is_default")]
    pub access: Access,
}

/// A sequence. Its numbers are not part of the catalog: they are in `evesql_sequences`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sequence {
    /// OID.
    pub oid: u32,
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// OID of int2, int4 or int8.
    pub type_oid: u32,
    /// START WITH.
    pub start: i64,
    /// INCREMENT BY.
    pub increment: i64,
    /// MINVALUE.
    pub minimum: i64,
    /// MAXVALUE.
    pub maximum: i64,
    /// CYCLE.
    #[serde(default)]
    pub cycle: bool,
    /// Table and column that own it: it is dropped with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<(u32, i16)>,
    /// COMMENT ON SEQUENCE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Who owns it and what was granted.
    #[serde(default, skip_serializing_if = "Access::is_default")]
    pub access: Access,
}

/// A schema: one that users made, or `public` once something was granted or said of it or it was dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// OID.
    pub oid: u32,
    /// Name.
    pub name: String,
    /// COMMENT ON SCHEMA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Who owns it and what was granted.
    #[serde(default, skip_serializing_if = "Access::is_default")]
    pub access: Access,
    /// `public` was dropped, which is there without having been made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_gone: bool,
}

impl Schema {
    /// What dropping it does to the catalog.
    pub fn dropped(&self) -> Change {
        match self.oid {
            PUBLIC_OID => Change::Put(Object::Schema(Arc::new(Schema { is_gone: true, ..self.clone() }))),
            oid => Change::Remove(oid),
        }
    }
}

/// An object with a name.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A table.
    Table(Arc<Table>),
    /// A view.
    View(Arc<View>),
    /// A sequence.
    Sequence(Arc<Sequence>),
    /// A schema.
    Schema(Arc<Schema>),
    /// An enum type.
    Enum(Arc<EnumType>),
}

impl Object {
    /// OID.
    pub fn oid(&self) -> u32 {
        match self {
            Object::Table(table) => table.oid,
            Object::View(view) => view.oid,
            Object::Sequence(sequence) => sequence.oid,
            Object::Schema(schema) => schema.oid,
            Object::Enum(found) => found.oid,
        }
    }
    /// Schema and name; a schema has itself.
    pub fn full_name(&self) -> (&str, &str) {
        match self {
            Object::Table(table) => (&table.schema, &table.name),
            Object::View(view) => (&view.schema, &view.name),
            Object::Sequence(sequence) => (&sequence.schema, &sequence.name),
            Object::Schema(schema) => (&schema.name, &schema.name),
            Object::Enum(found) => (&found.schema, &found.name),
        }
    }
    /// Whether it is a table, view or sequence: what shares one name space in a schema.
    pub fn is_relation(&self) -> bool {
        !matches!(self, Object::Schema(_) | Object::Enum(_))
    }
}

/// Names of schemas that hold a session's temporary tables begin so.
pub const TEMPORARY: &str = "pg_temp_";

/// Whether a schema is one of temporary tables.
pub fn is_temporary(schema: &str) -> bool {
    schema.starts_with(TEMPORARY)
}

/// The whole catalog of one database at one version. Cheap to clone behind an `Arc`.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Hash of the catalog's rows: what a transaction was translated for.
    pub version: Hash,
    /// OID that the next object gets.
    pub next_oid: u32,
    /// Roles, where this is the catalog of [`roles::ROLES_DATABASE`].
    pub roles: Arc<Roles>,
    objects: BTreeMap<u32, Object>,
    /// (schema, name) of tables, views and sequences, which share one name space; indexes too, which
    /// point to their table.
    names: HashMap<(String, String), u32>,
}

impl Catalog {
    /// All objects by OID.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }
    /// The object with this OID.
    pub fn object(&self, oid: u32) -> Option<&Object> {
        self.objects.get(&oid)
    }
    /// The object of this name: a table, view, sequence, or for an index's name the index's table.
    pub fn named(&self, schema: &str, name: &str) -> Option<&Object> {
        // A tuple of owned strings is the key; DDL is rare and look-ups are once per translation.
        self.names.get(&(schema.to_string(), name.to_string())).and_then(|oid| self.objects.get(oid))
    }
    /// The table with this OID.
    pub fn table(&self, oid: u32) -> Option<&Arc<Table>> {
        match self.objects.get(&oid) {
            Some(Object::Table(table)) => Some(table),
            _ => None,
        }
    }
    /// The sequence with this OID.
    pub fn sequence(&self, oid: u32) -> Option<&Arc<Sequence>> {
        match self.objects.get(&oid) {
            Some(Object::Sequence(sequence)) => Some(sequence),
            _ => None,
        }
    }
    /// The table of this name in SQLite.
    pub fn table_in_sqlite(&self, sqlite_name: &str) -> Option<&Arc<Table>> {
        self.tables().find(|table| table.sqlite_name.eq_ignore_ascii_case(sqlite_name))
    }
    /// All tables.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.objects.values().filter_map(|object| match object {
            Object::Table(table) => Some(table),
            _ => None,
        })
    }
    /// All views.
    pub fn views(&self) -> impl Iterator<Item = &Arc<View>> {
        self.objects.values().filter_map(|object| match object {
            Object::View(view) => Some(view),
            _ => None,
        })
    }
    /// All sequences.
    pub fn sequences(&self) -> impl Iterator<Item = &Arc<Sequence>> {
        self.objects.values().filter_map(|object| match object {
            Object::Sequence(sequence) => Some(sequence),
            _ => None,
        })
    }
    /// Sequences that columns of a table own, with the number of the column.
    pub fn sequences_of(&self, table: u32) -> impl Iterator<Item = (i16, &Arc<Sequence>)> {
        let owned = move |sequence: &Arc<Sequence>| sequence.owner.filter(|owner| owner.0 == table);
        self.sequences().filter_map(move |sequence| owned(sequence).map(|(_, column)| (column, sequence)))
    }
    /// The index of this name with its table.
    pub fn index(&self, schema: &str, name: &str) -> Option<(&Arc<Table>, &Index)> {
        match self.named(schema, name) {
            Some(Object::Table(table)) => table.indexes.iter().find(|i| i.name == name).map(|index| (table, index)),
            _ => None,
        }
    }
    /// A schema of users: one of theirs, or `public`.
    pub fn schema(&self, name: &str) -> Option<Object> {
        let named = |object: &&Object| matches!(object, Object::Schema(schema) if schema.name == name);
        let public = || Schema {
            oid: PUBLIC_OID,
            name: PUBLIC.into(),
            comment: Some(PUBLIC_COMMENT.into()),
            access: Access::default(),
            is_gone: false,
        };
        let known = self.objects.values().find(named).cloned();
        let found = known.or_else(|| (name == PUBLIC).then(|| Object::Schema(Arc::new(public()))));
        found.filter(|object| !matches!(object, Object::Schema(schema) if schema.is_gone))
    }
    /// OID of a schema, those of the system included.
    pub fn schema_oid(&self, name: &str) -> Option<u32> {
        match name {
            PUBLIC => self.schema(PUBLIC).map(|_| PUBLIC_OID),
            "pg_catalog" => Some(11),
            "information_schema" => Some(13_000),
            _ => self.objects.values().find_map(|object| match object {
                Object::Schema(schema) if schema.name == name => Some(schema.oid),
                _ => None,
            }),
        }
    }
    /// Tables with a foreign key to this one, itself excluded.
    pub fn referring_to(&self, oid: u32) -> impl Iterator<Item = (&Arc<Table>, &Constraint)> {
        self.tables().filter(move |table| table.oid != oid).flat_map(move |table| {
            let refers = move |c: &&Constraint| matches!(c.kind, ConstraintKind::Foreign { table, .. } if table == oid);
            table.constraints.iter().filter(refers).map(move |constraint| (table, constraint))
        })
    }
    /// Views that read this table or view.
    pub fn views_reading(&self, oid: u32) -> impl Iterator<Item = &Arc<View>> {
        self.views().filter(move |view| view.reads.contains(&oid))
    }
}
