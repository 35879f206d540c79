//! The relations of pg_catalog and information_schema as statements are typed against them. Their rows
//! are materialised elsewhere, in attached databases of these names.

use super::relations::{SystemTable, system_tables};
use super::{Column, Table};
use std::sync::LazyLock;

static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| system_tables().iter().map(table_of).collect());

fn table_of(relation: &SystemTable) -> Table {
    let columns = relation.columns.iter().enumerate().map(|(at, column)| Column {
        number: at as i16 + 1,
        name: column.name.to_string(),
        type_oid: column.type_oid,
        typmod: -1,
        not_null: column.not_null,
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
