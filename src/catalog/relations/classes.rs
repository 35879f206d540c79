//! Tables, indexes, sequences and views, and their columns: pg_class, pg_attribute, pg_attrdef, pg_index,
//! pg_namespace, pg_rewrite.

use super::environment::Source;
use super::fixed::{operator_class, type_facts};
use super::roles::acl;
use super::row::{Rows, cell};
use super::server::OWNER;
use super::shape::{SystemTable, system_tables};
use crate::catalog::definitions;
use crate::catalog::{
    Catalog, Column, ConstraintKind, Identity, Index, Object, PUBLIC, PUBLIC_OID, Table, is_temporary,
};

/// OIDs of things that have none in the catalog (defaults, rules) begin here; they hold for one version.
const MADE_UP_OIDS: u32 = 1 << 31;
const BTREE: u32 = 403;
const HEAP: u32 = 2;
const ANY_ARRAY: u32 = 2277;

/// OID of a schema; 0 if it is gone.
pub(super) fn schema_oid(catalog: &Catalog, name: &str) -> u32 {
    catalog.schema_oid(name).unwrap_or(0)
}

pub(super) fn namespaces(source: &Source<'_>, rows: &mut Rows) {
    let mut add = |oid: u32, name: &str| {
        let object = source.catalog.schema(name);
        let owner = object.as_ref().map_or(OWNER, |schema| schema.access().owner());
        let acl = object.and_then(|schema| acl(source, &schema));
        rows.add([("oid", cell(oid)), ("nspname", cell(name)), ("nspowner", cell(owner)), ("nspacl", cell(acl))]);
    };
    add(11, "pg_catalog");
    add(schema_oid(source.catalog, "information_schema"), "information_schema");
    add(99, "pg_toast");
    if source.catalog.schema(PUBLIC).is_some() {
        add(PUBLIC_OID, PUBLIC);
    }
    for object in source.catalog.objects() {
        if let Object::Schema(schema) = object
            && schema.oid != PUBLIC_OID
        {
            add(schema.oid, &schema.name);
        }
    }
}

/// What pg_class says of one relation; the rest follows from its kind.
struct Class<'a> {
    oid: u32,
    name: &'a str,
    schema: u32,
    persistence: char,
    kind: char,
    columns: usize,
    checks: usize,
    has_index: bool,
    has_triggers: bool,
    owner: u32,
    acl: Option<Vec<String>>,
}

/// Permanent or temporary.
fn persistence(schema: &str) -> char {
    if is_temporary(schema) { 't' } else { 'p' }
}

fn class(rows: &mut Rows, class: &Class<'_>) {
    let is_table = class.kind == 'r';
    let method = match class.kind {
        'r' => HEAP,
        'i' => BTREE,
        _ => 0,
    };
    rows.add([
        ("oid", cell(class.oid)),
        ("relname", cell(class.name)),
        ("relnamespace", cell(class.schema)),
        ("relowner", cell(class.owner)),
        ("relam", cell(method)),
        ("relfilenode", cell(if class.kind == 'v' { 0 } else { class.oid })),
        // What PostgreSQL has before the first ANALYZE.
        ("relpages", cell(i64::from(class.kind == 'i'))),
        ("reltuples", cell(if class.kind == 'i' { 0.0 } else { -1.0 })),
        ("relhasindex", cell(class.has_index)),
        ("relpersistence", cell(class.persistence)),
        ("relkind", cell(class.kind)),
        ("relnatts", cell(class.columns as i64)),
        ("relchecks", cell(class.checks as i64)),
        ("relhasrules", cell(class.kind == 'v')),
        ("relhastriggers", cell(class.has_triggers)),
        ("relispopulated", cell(true)),
        ("relacl", cell(class.acl.clone())),
        ("relreplident", cell(if is_table { 'd' } else { 'n' })),
    ]);
}

pub(super) fn system_classes(source: &Source<'_>, rows: &mut Rows) {
    for table in system_tables() {
        let schema = schema_oid(source.catalog, table.schema);
        let kind = if table.is_view { 'v' } else { 'r' };
        let columns = table.columns.len();
        class(
            rows,
            &Class {
                oid: table.oid,
                name: table.name,
                schema,
                persistence: 'p',
                kind,
                columns,
                checks: 0,
                has_index: false,
                has_triggers: false,
                owner: OWNER,
                acl: None,
            },
        );
    }
}

pub(super) fn classes(source: &Source<'_>, rows: &mut Rows) {
    let catalog = source.catalog;
    for object in catalog.objects() {
        let (kind, columns) = match object {
            Object::Table(table) => {
                table_class(source, object, table, rows);
                continue;
            }
            Object::View(view) => ('v', view.columns.len()),
            Object::Sequence(_) => ('S', 3),
            Object::Schema(_) | Object::Enum(_) => continue,
        };
        let (schema, name) = object.full_name();
        let persistence = persistence(schema);
        let (owner, acl) = (object.access().owner(), acl(source, object));
        let (oid, schema, checks) = (object.oid(), schema_oid(catalog, schema), 0);
        class(
            rows,
            &Class {
                oid,
                name,
                schema,
                persistence,
                kind,
                columns,
                checks,
                has_index: false,
                has_triggers: false,
                owner,
                acl,
            },
        );
    }
}

fn table_class(source: &Source<'_>, object: &Object, table: &Table, rows: &mut Rows) {
    let (catalog, owner) = (source.catalog, table.access.owner());
    let (schema, persistence) = (schema_oid(catalog, &table.schema), persistence(&table.schema));
    let checks = table.constraints.iter().filter(|c| matches!(c.kind, ConstraintKind::Check(_))).count();
    // PostgreSQL keeps foreign keys by triggers on both tables, and says so here.
    let refers = table.constraints.iter().any(|c| matches!(c.kind, ConstraintKind::Foreign { .. }));
    class(
        rows,
        &Class {
            oid: table.oid,
            name: &table.name,
            schema,
            persistence,
            kind: 'r',
            columns: table.columns.len(),
            checks,
            has_index: !table.indexes.is_empty(),
            has_triggers: refers || catalog.referring_to(table.oid).next().is_some(),
            owner,
            acl: acl(source, object),
        },
    );
    for index in &table.indexes {
        let (oid, name, kind) = (index.oid, index.name.as_str(), 'i');
        let columns = index.keys.len() + index.include.len();
        let (checks, acl) = (0, None);
        class(
            rows,
            &Class {
                oid,
                name,
                schema,
                persistence,
                kind,
                columns,
                checks,
                has_index: false,
                has_triggers: false,
                owner,
                acl,
            },
        );
    }
}

pub(super) fn system_attributes(source: &Source<'_>, rows: &mut Rows) {
    for table in system_tables() {
        for (at, column) in table.columns.iter().enumerate() {
            let column = Column {
                number: at as i16 + 1,
                name: column.name.into(),
                type_oid: column.type_oid,
                typmod: -1,
                not_null: column.not_null,
                ..Column::default()
            };
            attribute(source, table.oid, &column, rows);
        }
    }
}

pub(super) fn attributes(source: &Source<'_>, rows: &mut Rows) {
    let catalog = source.catalog;
    for table in catalog.tables() {
        table.columns.iter().for_each(|column| attribute(source, table.oid, column, rows));
        for index in &table.indexes {
            index_columns(table, index).iter().for_each(|column| attribute(source, index.oid, column, rows));
        }
    }
    for view in catalog.views() {
        view.columns.iter().for_each(|column| attribute(source, view.oid, column, rows));
    }
    for sequence in catalog.sequences() {
        for (number, name, type_oid) in [(1, "last_value", 20), (2, "log_cnt", 20), (3, "is_called", 16)] {
            let name = name.into();
            let column = Column { number, name, type_oid, typmod: -1, not_null: true, ..Column::default() };
            attribute(source, sequence.oid, &column, rows);
        }
    }
}

/// The columns that an index has as a relation of its own.
fn index_columns(table: &Table, index: &Index) -> Vec<Column> {
    let keys = index.keys.iter().map(|key| (key.column, key.expression.as_deref()));
    let all = keys.chain(index.include.iter().map(|number| (Some(*number), None)));
    let mut expressions = 0;
    let mut columns = Vec::new();
    for (at, (number, expression)) in all.enumerate() {
        let known = number.and_then(|number| table.column_numbered(number));
        let mut column = match known {
            Some(known) => Column { default: None, generated: None, identity: None, not_null: false, ..known.clone() },
            None => {
                // An expression is named after the function that it calls, or `expr`.
                let called = expression.and_then(called_function);
                let base = called.unwrap_or("expr").to_string();
                let name = if expressions == 0 || called.is_some() { base } else { format!("{base}{expressions}") };
                expressions += 1;
                Column { name, type_oid: 25, typmod: -1, ..Column::default() }
            }
        };
        column.number = at as i16 + 1;
        column.sequence = None;
        columns.push(column);
    }
    columns
}

/// The name of the function that an expression consists of, if it is a call.
pub(super) fn called_function(expression: &str) -> Option<&str> {
    let (name, _) = expression.split_once('(')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    // `f(a) + g(b)` is no single call: the first parenthesis must close at the end.
    let mut depth = 0;
    for (at, c) in expression.char_indices() {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if c == ')' && depth == 0 {
            return (is_name && at + 1 == expression.len()).then_some(name);
        }
    }
    None
}

fn attribute(source: &Source<'_>, relation: u32, column: &Column, rows: &mut Rows) {
    let facts = type_facts(column.type_oid);
    let of_users = source.catalog.enum_of(column.type_oid);
    let is_enum = of_users.is_some_and(|found| found.oid == column.type_oid);
    let is_array =
        facts.is_some_and(|facts| facts.element != 0 && facts.length == -1) || (of_users.is_some() && !is_enum);
    let identity = match column.identity {
        Some(Identity::Always) => "a",
        Some(Identity::ByDefault) => "d",
        None => "",
    };
    rows.add([
        ("attrelid", cell(relation)),
        ("attname", cell(&column.name)),
        ("atttypid", cell(column.type_oid)),
        ("attstattarget", cell(-1)),
        ("attlen", cell(facts.map_or(if is_enum { 4 } else { -1 }, |facts| facts.length))),
        ("attnum", cell(column.number)),
        ("attndims", cell(i64::from(is_array))),
        ("attcacheoff", cell(-1)),
        ("atttypmod", cell(column.typmod)),
        ("attbyval", cell(facts.map_or(is_enum, |facts| facts.by_value))),
        ("attalign", cell(facts.map_or('i', |facts| facts.align))),
        ("attstorage", cell(facts.map_or(if is_enum { 'p' } else { 'x' }, |facts| facts.storage))),
        ("attnotnull", cell(column.not_null)),
        ("atthasdef", cell(default_of(column).is_some() || has_sequence_default(column))),
        ("attidentity", cell(identity)),
        ("attgenerated", cell(if column.generated.is_some() { "s" } else { "" })),
        ("attislocal", cell(true)),
        ("attcollation", cell(facts.map_or(0, |facts| facts.collation))),
    ]);
}

fn default_of(column: &Column) -> Option<&String> {
    column.generated.as_ref().or(column.default.as_ref())
}

fn has_sequence_default(column: &Column) -> bool {
    column.sequence.is_some() && column.identity.is_none()
}

/// The default of a column as PostgreSQL prints it: a serial column's is `nextval('name'::regclass)`.
pub(super) fn default_text(source: &Source<'_>, column: &Column) -> Option<String> {
    if let Some(text) = default_of(column) {
        return Some(typed_constant(text, column.type_oid, |oid| definitions::type_name(source, oid, -1)));
    }
    let sequence = column.sequence.filter(|_| has_sequence_default(column))?;
    let sequence = source.catalog.sequence(sequence)?;
    let name = crate::catalog::definitions::relation_name(source, &sequence.schema, &sequence.name);
    Some(format!("nextval('{}'::regclass)", name.replace('\'', "''")))
}

/// Columns that have a default, with their table and the default's OID and text.
pub(super) fn with_defaults<'a>(source: &'a Source<'_>) -> impl Iterator<Item = (u32, &'a Table, &'a Column, String)> {
    let columns = source.catalog.tables().flat_map(|table| table.columns.iter().map(move |column| (&**table, column)));
    let texts = columns.filter_map(|(table, column)| Some((table, column, default_text(source, column)?)));
    (MADE_UP_OIDS..).zip(texts).map(|(oid, (table, column, text))| (oid, table, column, text))
}

/// A quoted constant as PostgreSQL prints it: with its type, where the constant alone would not tell it.
fn typed_constant(text: &str, type_oid: u32, name: impl Fn(u32) -> String) -> String {
    let inner = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    let Some(inner) = inner.filter(|inner| !inner.replace("\'\'", "").contains('\'')) else { return text.to_owned() };
    match type_oid {
        16 => matches!(inner.to_ascii_lowercase().as_str(), "t" | "true" | "y" | "yes" | "on" | "1").to_string(),
        23 if inner.bytes().all(|byte| byte.is_ascii_digit()) => inner.to_owned(),
        1042 => format!("{text}::bpchar"),
        _ => format!("{text}::{}", name(type_oid)),
    }
}

pub(super) fn defaults(source: &Source<'_>, rows: &mut Rows) {
    for (oid, table, column, text) in with_defaults(source) {
        rows.add([
            ("oid", cell(oid)),
            ("adrelid", cell(table.oid)),
            ("adnum", cell(column.number)),
            ("adbin", cell(text)),
        ]);
    }
}

pub(super) fn rules(source: &Source<'_>, rows: &mut Rows) {
    for (at, view) in source.catalog.views().enumerate() {
        rows.add([
            ("oid", cell(MADE_UP_OIDS + at as u32)),
            ("rulename", cell("_RETURN")),
            ("ev_class", cell(view.oid)),
            ("ev_type", cell('1')),
            ("ev_enabled", cell('O')),
            ("is_instead", cell(true)),
        ]);
    }
}

pub(super) fn indexes(source: &Source<'_>, rows: &mut Rows) {
    for table in source.catalog.tables() {
        for index in &table.indexes {
            self::index(table, index, rows);
        }
    }
}

fn index(table: &Table, index: &Index, rows: &mut Rows) {
    let constraint = table.constraints.iter().find(|constraint| constraint.index == Some(index.oid));
    let type_of = |number: Option<i16>| number.and_then(|n| table.column_numbered(n)).map_or(25, |c| c.type_oid);
    let key_columns = index.keys.iter().map(|key| key.column.unwrap_or(0));
    let columns: Vec<i16> = key_columns.chain(index.include.iter().copied()).collect();
    let collation = |type_oid: u32| type_facts(type_oid).map_or(0, |facts| facts.collation);
    let collations: Vec<u32> = index.keys.iter().map(|key| collation(type_of(key.column))).collect();
    let class = |(key, name): (Option<i16>, Option<&str>)| operator_class(type_of(key), name).unwrap_or(ANY_ARRAY);
    let classes: Vec<u32> = index.keys.iter().map(|key| class((key.column, key.operator_class.as_deref()))).collect();
    // Bit 0 is DESC, bit 1 NULLS FIRST, which DESC brings with it.
    let options: Vec<i16> = index.keys.iter().map(|key| if key.descending { 3 } else { 0 }).collect();
    let expressions: Vec<&str> = index.keys.iter().filter_map(|key| key.expression.as_deref()).collect();
    rows.add([
        ("indexrelid", cell(index.oid)),
        ("indrelid", cell(table.oid)),
        ("indnatts", cell(columns.len() as i64)),
        ("indnkeyatts", cell(index.keys.len() as i64)),
        ("indisunique", cell(index.unique)),
        ("indisprimary", cell(index.primary)),
        ("indimmediate", cell(!constraint.is_some_and(|constraint| constraint.deferrable))),
        ("indisvalid", cell(true)),
        ("indisready", cell(true)),
        ("indislive", cell(true)),
        ("indkey", cell(columns.as_slice())),
        ("indcollation", cell(collations.as_slice())),
        ("indclass", cell(classes.as_slice())),
        ("indoption", cell(options.as_slice())),
        ("indexprs", cell((!expressions.is_empty()).then(|| expressions.join(", ")))),
        ("indpred", cell(index.predicate.as_ref())),
    ]);
}

/// The system relation with this OID.
pub(in crate::catalog) fn system_class(oid: u32) -> Option<&'static SystemTable> {
    system_tables().iter().find(|table| table.oid == oid)
}

#[cfg(test)]
mod tests {
    use super::typed_constant;

    /// As PostgreSQL 15 shows these defaults.
    #[test]
    fn quoted_defaults_are_shown_with_their_type() {
        let shown =
            |text, type_oid| typed_constant(text, type_oid, |oid| crate::catalog::definitions::format_type(oid, -1));
        assert_eq!(shown("'x'", 25), "'x'::text");
        assert_eq!(shown("'it''s'", 1043), "'it''s'::character varying");
        assert_eq!(shown("'x'", 1042), "'x'::bpchar");
        assert_eq!(
            (shown("'0'", 1700), shown("'0'", 23), shown("'-1'", 23)),
            ("'0'::numeric".into(), "0".into(), "'-1'::integer".into())
        );
        assert_eq!((shown("'on'", 16), shown("'{}'", 1009)), ("true".into(), "'{}'::text[]".into()));
        assert_eq!((shown("0", 1700), shown("'a' || 'b'", 25)), ("0".into(), "'a' || 'b'".into()));
    }
}
