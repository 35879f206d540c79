//! What there is in a database, read from its pg_catalog within the dump's transaction. Everything comes in the order of names.

use crate::exchange::{ExchangeError, rows};
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::{Client, SimpleQueryRow};

/// Who owns an object, what was granted on it, what is said of it.
#[derive(Debug, Clone, Default)]
pub struct Owned {
    pub owner: String,
    /// As pg_class has it: `{who=what/by,..}`.
    pub acl: Option<String>,
    pub comment: Option<String>,
}

#[derive(Debug)]
pub struct Schema {
    pub name: String,
    pub owned: Owned,
}

/// An enum type.
#[derive(Debug)]
pub struct EnumType {
    pub schema: String,
    pub name: String,
    pub owned: Owned,
    /// In their order.
    pub labels: Vec<String>,
}

#[derive(Debug)]
pub struct Column {
    pub name: String,
    pub ty: String,
    pub not_null: bool,
    /// `a` or `d`; empty without.
    pub identity: String,
    pub generated: bool,
    pub default: Option<String>,
    pub comment: Option<String>,
}

#[derive(Debug)]
pub struct Constraint {
    pub name: String,
    /// `p`, `u`, `c`, `f`.
    pub kind: String,
    pub definition: String,
    pub comment: Option<String>,
}

#[derive(Debug)]
pub struct Index {
    pub name: String,
    pub definition: String,
    pub comment: Option<String>,
}

/// A table or a view.
#[derive(Debug)]
pub struct Relation {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub owned: Owned,
    pub columns: Vec<Column>,
    pub constraints: Vec<Constraint>,
    pub indexes: Vec<Index>,
    /// The query of a view.
    pub query: String,
}

#[derive(Debug)]
pub struct Sequence {
    pub schema: String,
    pub name: String,
    pub owned: Owned,
    pub ty: String,
    pub start: String,
    pub increment: String,
    pub minimum: String,
    pub maximum: String,
    pub cycle: bool,
    /// Table and column that own it, and whether that is an identity column.
    pub owner: Option<(u32, String, bool)>,
    pub last_value: String,
    pub is_called: bool,
}

#[derive(Debug)]
pub struct Database {
    pub schemas: Vec<Schema>,
    pub types: Vec<EnumType>,
    pub sequences: Vec<Sequence>,
    pub tables: Vec<Relation>,
    /// A view stands behind those that it reads.
    pub views: Vec<Relation>,
}

impl Database {
    pub fn table(&self, oid: u32) -> Option<&Relation> {
        self.tables.iter().find(|table| table.oid == oid)
    }
}

const SCHEMAS: &str = "\
    SELECT n.nspname, pg_catalog.pg_get_userbyid(n.nspowner), n.nspacl, \
    pg_catalog.obj_description(n.oid, 'pg_namespace') FROM pg_catalog.pg_namespace n \
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY n.nspname";
const TYPES: &str = "\
    SELECT t.oid, n.nspname, t.typname, pg_catalog.pg_get_userbyid(t.typowner), t.typacl, \
    pg_catalog.obj_description(t.oid, 'pg_type') FROM pg_catalog.pg_type t \
    JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'e' ORDER BY n.nspname, t.typname";
const LABELS: &str = "SELECT enumtypid, enumlabel FROM pg_catalog.pg_enum ORDER BY enumtypid, enumsortorder";
const RELATIONS: &str = "\
    SELECT c.oid, n.nspname, c.relname, c.relkind, pg_catalog.pg_get_userbyid(c.relowner), c.relacl, \
    pg_catalog.obj_description(c.oid, 'pg_class') FROM pg_catalog.pg_class c \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'v', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
    ORDER BY n.nspname, c.relname";
const COLUMNS: &str = "\
    SELECT a.attrelid, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, \
    a.attgenerated, pg_catalog.pg_get_expr(d.adbin, d.adrelid), pg_catalog.col_description(a.attrelid, a.attnum) \
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
    WHERE c.relkind IN ('r', 'v') AND c.oid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped \
    ORDER BY a.attrelid, a.attnum";
const CONSTRAINTS: &str = "\
    SELECT x.conrelid, x.conname, x.contype, pg_catalog.pg_get_constraintdef(x.oid), \
    pg_catalog.obj_description(x.oid, 'pg_constraint') FROM pg_catalog.pg_constraint x \
    WHERE x.conrelid <> 0 ORDER BY x.conrelid, x.conname";
const INDEXES: &str = "\
    SELECT i.indrelid, c.relname, pg_catalog.pg_get_indexdef(i.indexrelid), \
    pg_catalog.obj_description(i.indexrelid, 'pg_class') FROM pg_catalog.pg_index i \
    JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE i.indrelid >= 16384 AND NOT EXISTS \
    (SELECT 1 FROM pg_catalog.pg_constraint x WHERE x.conindid = i.indexrelid AND x.contype IN ('p', 'u')) \
    ORDER BY c.relname";
const SEQUENCES: &str = "\
    SELECT s.seqrelid, pg_catalog.format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, \
    s.seqcycle, d.refobjid, a.attname, a.attidentity FROM pg_catalog.pg_sequence s \
    LEFT JOIN pg_catalog.pg_depend d ON d.objid = s.seqrelid AND d.classid = 1259 AND d.refclassid = 1259 \
    AND d.deptype IN ('a', 'i') \
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid ORDER BY s.seqrelid";
const VIEWS: &str = "\
    SELECT c.oid, pg_catalog.pg_get_viewdef(c.oid) FROM pg_catalog.pg_class c \
    WHERE c.relkind = 'v' AND c.oid >= 16384 ORDER BY c.oid";
const VIEW_READS: &str = "\
    SELECT d.objid, d.refobjid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid \
    WHERE c.relkind = 'v' AND d.classid = 1259 AND d.refclassid = 1259 ORDER BY 1, 2";

const WHAT: &str = "reading the catalog";

fn text(row: &SimpleQueryRow, at: usize) -> String {
    row.get(at).unwrap_or_default().to_string()
}

fn maybe(row: &SimpleQueryRow, at: usize) -> Option<String> {
    row.get(at).map(str::to_string)
}

fn oid(row: &SimpleQueryRow, at: usize) -> u32 {
    row.get(at).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Rows by the OID in their first column.
async fn by_oid<T>(
    client: &Client,
    sql: &str,
    make: impl Fn(SimpleQueryRow) -> T,
) -> Result<BTreeMap<u32, Vec<T>>, ExchangeError> {
    let mut all: BTreeMap<u32, Vec<T>> = BTreeMap::new();
    for row in rows(client, WHAT, sql).await? {
        all.entry(oid(&row, 0)).or_default().push(make(row));
    }
    Ok(all)
}

/// Reads all of it.
pub async fn read(client: &Client) -> Result<Database, ExchangeError> {
    let owned =
        |row: &SimpleQueryRow, at| Owned { owner: text(row, at), acl: maybe(row, at + 1), comment: maybe(row, at + 2) };
    let schemas = rows(client, WHAT, SCHEMAS).await?;
    let schemas = schemas.iter().map(|row| Schema { name: text(row, 0), owned: owned(row, 1) }).collect();
    let mut labels = by_oid(client, LABELS, |row| text(&row, 1)).await?;
    let made = |row: SimpleQueryRow| EnumType {
        schema: text(&row, 1),
        name: text(&row, 2),
        owned: owned(&row, 3),
        labels: labels.remove(&oid(&row, 0)).unwrap_or_default(),
    };
    let types = rows(client, WHAT, TYPES).await?.into_iter().map(made).collect();
    let mut columns = by_oid(client, COLUMNS, |row| Column {
        name: text(&row, 1),
        ty: text(&row, 2),
        not_null: row.get(3) == Some("t"),
        identity: text(&row, 4),
        generated: !text(&row, 5).is_empty(),
        default: maybe(&row, 6),
        comment: maybe(&row, 7),
    })
    .await?;
    let mut constraints = by_oid(client, CONSTRAINTS, |row| Constraint {
        name: text(&row, 1),
        kind: text(&row, 2),
        definition: text(&row, 3),
        comment: maybe(&row, 4),
    })
    .await?;
    let mut indexes = by_oid(client, INDEXES, |row| Index {
        name: text(&row, 1),
        definition: text(&row, 2),
        comment: maybe(&row, 3),
    })
    .await?;
    let mut queries = by_oid(client, VIEWS, |row| text(&row, 1)).await?;
    let mut numbers = by_oid(client, SEQUENCES, |row| row).await?;
    let (mut tables, mut views, mut sequences) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows(client, WHAT, RELATIONS).await? {
        let oid = oid(&row, 0);
        if row.get(3) == Some("S") {
            if let Some(number) = numbers.remove(&oid).and_then(|mut all| all.pop()) {
                sequences.push(sequence(client, text(&row, 1), text(&row, 2), owned(&row, 4), &number).await?);
            }
            continue;
        }
        let relation = Relation {
            oid,
            schema: text(&row, 1),
            name: text(&row, 2),
            owned: owned(&row, 4),
            columns: columns.remove(&oid).unwrap_or_default(),
            constraints: constraints.remove(&oid).unwrap_or_default(),
            indexes: indexes.remove(&oid).unwrap_or_default(),
            query: queries.remove(&oid).and_then(|mut all| all.pop()).unwrap_or_default(),
        };
        if row.get(3) == Some("v") { views.push(relation) } else { tables.push(relation) }
    }
    let reads = by_oid(client, VIEW_READS, |row| oid(&row, 1)).await?;
    Ok(Database { schemas, types, sequences, tables, views: readable(views, &reads) })
}

async fn sequence(
    client: &Client,
    schema: String,
    name: String,
    owned: Owned,
    row: &SimpleQueryRow,
) -> Result<Sequence, ExchangeError> {
    let state = format!("SELECT last_value, is_called FROM {}", super::qualified(&schema, &name));
    let state = rows(client, WHAT, &state).await?;
    let owner = row.get(7).map(|_| (oid(row, 7), text(row, 8), !text(row, 9).is_empty()));
    Ok(Sequence {
        schema,
        name,
        owned,
        ty: text(row, 1),
        start: text(row, 2),
        increment: text(row, 3),
        minimum: text(row, 4),
        maximum: text(row, 5),
        cycle: row.get(6) == Some("t"),
        owner,
        last_value: state.first().map(|row| text(row, 0)).unwrap_or_default(),
        is_called: state.first().is_some_and(|row| row.get(1) == Some("t")),
    })
}

/// Views in an order in which they can be made, by name where that leaves a choice.
fn readable(views: Vec<Relation>, reads: &BTreeMap<u32, Vec<u32>>) -> Vec<Relation> {
    let mut waiting: BTreeSet<u32> = views.iter().map(|view| view.oid).collect();
    let mut left = views;
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let none = Vec::new();
        let ready = |view: &Relation| {
            reads.get(&view.oid).unwrap_or(&none).iter().all(|read| *read == view.oid || !waiting.contains(read))
        };
        // Views do not read each other in a circle; whatever is left then goes as it is.
        let at = left.iter().position(ready).unwrap_or(0);
        let view = left.remove(at);
        waiting.remove(&view.oid);
        ordered.push(view);
    }
    ordered
}
