//! The relations of pg_catalog and information_schema as statements are typed against them. Their rows
//! are materialised elsewhere, in attached databases of these names.

use super::{Column, Table};
use std::sync::LazyLock;

/// A system relation: schema, name, and its columns as (name, type OID).
pub struct Relation {
    /// OID as in Postgres where it is fixed there.
    pub oid: u32,
    /// `pg_catalog` or `information_schema`.
    pub schema: &'static str,
    /// Name.
    pub name: &'static str,
    /// Columns in order: name and type OID.
    pub columns: &'static [(&'static str, u32)],
}

/// All that can be asked for.
pub static RELATIONS: &[Relation] = &[];

static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| RELATIONS.iter().map(table_of).collect());

fn table_of(relation: &Relation) -> Table {
    let columns = relation.columns.iter().enumerate().map(|(at, (name, type_oid))| Column {
        number: at as i16 + 1,
        name: (*name).to_string(),
        type_oid: *type_oid,
        typmod: -1,
        ..Column::default()
    });
    Table {
        oid: relation.oid,
        schema: relation.schema.to_string(),
        name: relation.name.to_string(),
        sqlite_name: relation.name.to_string(),
        columns: columns.collect(),
        next_column: relation.columns.len() as i16 + 1,
        ..Table::default()
    }
}

/// The system relation of this name.
pub fn relation(schema: &str, name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.schema == schema && table.name == name)
}
