//! The relations of `pg_catalog` and `information_schema`: which there are, with the columns and types of
//! PostgreSQL 15, and their rows for a [`Catalog`](super::Catalog) and an [`Environment`].
//!
//! Statements are typed against the shapes here; the rows go into two attached in-memory databases of
//! these names, once for each version of the catalog (`engine::system_catalog`). Shapes and fixed rows are
//! text files under `data/`, rows that depend on the catalog are made by the functions in [`PRODUCERS`].
//! A relation without any producer is empty.

mod classes;
mod constraints;
mod enums;
mod environment;
mod fixed;
mod information_schema;
mod roles;
mod row;
mod schema_views;
mod server;
mod shape;

pub(super) use classes::system_class;
pub use environment::{Activity, Audit, Batch, Database, Divergence, Environment, Live, Setting, Source, Template};
pub use fixed::{TypeFacts, type_facts, type_named};
pub(super) use fixed::{procedure_name, procedure_named};
pub(super) use roles::acl_item;
pub(super) use server::default_setting;
pub use shape::{Form, SystemColumn, SystemTable, system_table, system_tables};

use crate::transaction::Value;
use row::Rows;

/// Whether an expression is a single call of a function.
pub(super) fn is_call(expression: &str) -> bool {
    classes::called_function(expression).is_some()
}

/// When the rows of a relation change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Never: they are the same in every database.
    Never,
    /// With the catalog's version or what is outside of the database: databases, users.
    Catalog,
    /// From statement to statement.
    Statement,
}

/// Writes the rows of a relation.
type Produce = fn(&Source<'_>, &mut Rows);

/// A relation that has rows: schema, name, when they change, and what writes them.
struct Producer(&'static str, &'static str, Renewal, Produce);

const PG: &str = "pg_catalog";
const INFORMATION: &str = "information_schema";

use Renewal::{Catalog, Never, Statement};

/// Every relation that has rows. One with fixed rows and rows of the catalog stands here twice.
static PRODUCERS: &[Producer] = &[
    Producer(PG, "pg_am", Never, fixed::access_methods),
    Producer(PG, "pg_collation", Never, fixed::collations),
    Producer(PG, "pg_language", Never, fixed::languages),
    Producer(PG, "pg_opclass", Never, fixed::operator_classes),
    Producer(PG, "pg_proc", Never, fixed::procedures),
    Producer(PG, "pg_range", Never, fixed::ranges),
    Producer(PG, "pg_type", Never, fixed::types),
    Producer(PG, "pg_type", Catalog, enums::types),
    Producer(PG, "pg_enum", Catalog, enums::labels),
    Producer(PG, "pg_tablespace", Never, server::tablespaces),
    Producer(PG, "pg_class", Never, classes::system_classes),
    Producer(PG, "pg_class", Catalog, classes::classes),
    Producer(PG, "pg_attribute", Never, classes::system_attributes),
    Producer(PG, "pg_attribute", Catalog, classes::attributes),
    Producer(PG, "pg_attrdef", Catalog, classes::defaults),
    Producer(PG, "pg_index", Catalog, classes::indexes),
    Producer(PG, "pg_namespace", Catalog, classes::namespaces),
    Producer(PG, "pg_rewrite", Catalog, classes::rules),
    Producer(PG, "pg_constraint", Catalog, constraints::constraints),
    Producer(PG, "pg_depend", Catalog, constraints::dependencies),
    Producer(PG, "pg_description", Catalog, constraints::descriptions),
    Producer(PG, "pg_sequence", Catalog, constraints::sequences),
    Producer(PG, "pg_tables", Catalog, schema_views::tables),
    Producer(PG, "pg_views", Catalog, schema_views::views),
    Producer(PG, "pg_indexes", Catalog, schema_views::indexes),
    Producer(PG, "pg_sequences", Catalog, schema_views::sequences),
    Producer(PG, "pg_stat_user_tables", Catalog, schema_views::table_statistics),
    Producer(PG, "pg_stat_all_tables", Catalog, schema_views::table_statistics),
    Producer(PG, "pg_authid", Catalog, roles::roles),
    Producer(PG, "pg_roles", Catalog, roles::roles),
    Producer(PG, "pg_user", Catalog, roles::users),
    Producer(PG, "pg_shadow", Catalog, roles::users),
    Producer(PG, "pg_auth_members", Catalog, roles::memberships),
    Producer(PG, "pg_db_role_setting", Catalog, roles::settings),
    Producer(PG, "pg_database", Catalog, server::databases),
    Producer(PG, "pg_settings", Statement, server::settings),
    Producer(PG, "pg_stat_activity", Statement, server::activity),
    Producer(PG, "evesql_replicas", Statement, server::replicas),
    Producer(PG, "evesql_divergences", Statement, server::divergences),
    Producer(PG, "evesql_templates", Statement, server::templates),
    Producer(PG, "evesql_batches", Statement, server::batches),
    Producer(PG, "evesql_audits", Statement, server::audits),
    Producer(INFORMATION, "information_schema_catalog_name", Catalog, information_schema::catalog_name),
    Producer(INFORMATION, "schemata", Catalog, information_schema::schemata),
    Producer(INFORMATION, "tables", Catalog, information_schema::tables),
    Producer(INFORMATION, "columns", Catalog, information_schema::columns),
    Producer(INFORMATION, "views", Catalog, information_schema::views),
    Producer(INFORMATION, "sequences", Catalog, information_schema::sequences),
    Producer(INFORMATION, "table_constraints", Catalog, information_schema::table_constraints),
    Producer(INFORMATION, "key_column_usage", Catalog, information_schema::key_column_usage),
    Producer(INFORMATION, "constraint_column_usage", Catalog, information_schema::constraint_column_usage),
    Producer(INFORMATION, "constraint_table_usage", Catalog, information_schema::constraint_table_usage),
    Producer(INFORMATION, "referential_constraints", Catalog, information_schema::referential_constraints),
    Producer(INFORMATION, "table_privileges", Catalog, information_schema::table_privileges),
    Producer(INFORMATION, "role_table_grants", Catalog, information_schema::table_privileges),
    Producer(INFORMATION, "check_constraints", Catalog, information_schema::check_constraints),
];

impl SystemTable {
    /// Rows of this relation that change at `renewal`, each with one value per column.
    pub fn rows(&'static self, renewal: Renewal, source: &Source<'_>) -> Vec<Vec<Value>> {
        let mut rows = Rows::new(self);
        let mine = |p: &&Producer| (p.0, p.1, p.2) == (self.schema, self.name, renewal);
        PRODUCERS.iter().filter(mine).for_each(|producer| producer.3(source, &mut rows));
        rows.into_rows()
    }

    /// Whether rows of this relation change at `renewal`.
    pub fn changes_at(&self, renewal: Renewal) -> bool {
        PRODUCERS.iter().any(|p| (p.0, p.1, p.2) == (self.schema, self.name, renewal))
    }

    /// The SQLite statement that creates it in its attached database.
    pub fn create_sql(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                let key = if column.name == "oid" { " PRIMARY KEY" } else { "" };
                format!("\"{}\" {}{key}", column.name, column.form.affinity())
            })
            .collect();
        format!("CREATE TABLE {}.\"{}\"({})", self.schema, self.name, columns.join(", "))
    }

    /// The SQLite statement that adds a row of parameters `?1..`.
    pub fn insert_sql(&self) -> String {
        let places = vec!["?"; self.columns.len()].join(",");
        format!("INSERT INTO {}.\"{}\" VALUES({places})", self.schema, self.name)
    }
}

/// Indexes of the attached databases, for the joins that clients make most.
pub const INDEX_SQL: &[&str] = &[
    "CREATE INDEX pg_catalog.attribute_relation ON pg_attribute(attrelid, attnum)",
    "CREATE INDEX pg_catalog.class_name ON pg_class(relname)",
    "CREATE INDEX pg_catalog.type_name ON pg_type(typname)",
    "CREATE INDEX pg_catalog.index_relation ON pg_index(indrelid)",
    "CREATE INDEX pg_catalog.index_class ON pg_index(indexrelid)",
    "CREATE INDEX pg_catalog.constraint_relation ON pg_constraint(conrelid)",
    "CREATE INDEX pg_catalog.description_object ON pg_description(objoid)",
];

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
