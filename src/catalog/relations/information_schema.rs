//! The views of information_schema that clients read, for what users made.

use super::classes::default_text;
use super::constraints::referred_index;
use super::environment::Source;
use super::fixed::type_facts;
use super::row::{Cell, Rows, cell, yes_no};
use super::schema_views::owner;
use crate::catalog::definitions::{format_type, in_parentheses, view_definition};
use crate::catalog::privileges::{EVERYBODY, Granted};
use crate::catalog::{Column, Constraint, ConstraintKind, Identity, Object, PUBLIC, Sequence, Table, is_temporary};

pub(super) fn catalog_name(source: &Source<'_>, rows: &mut Rows) {
    rows.add([("catalog_name", cell(&source.environment.database))]);
}

pub(super) fn schemata(source: &Source<'_>, rows: &mut Rows) {
    let made = source.catalog.objects().filter_map(|object| match object {
        Object::Schema(schema) if schema.name != PUBLIC => Some(schema.name.as_str()),
        _ => None,
    });
    let public = source.catalog.schema(PUBLIC).map(|_| PUBLIC);
    for name in ["pg_catalog", "information_schema", "pg_toast"].into_iter().chain(public).chain(made) {
        let access = source.catalog.schema(name).map(|schema| schema.access().clone()).unwrap_or_default();
        rows.add([
            ("catalog_name", cell(&source.environment.database)),
            ("schema_name", cell(name)),
            ("schema_owner", cell(owner(source, &access))),
        ]);
    }
}

/// table_privileges and role_table_grants: what was granted, and what owners have.
pub(super) fn table_privileges(source: &Source<'_>, rows: &mut Rows) {
    let roles = &source.environment.roles;
    let to_all = rows.table().name == "table_privileges";
    for object in source.catalog.objects().filter(|object| matches!(object, Object::Table(_) | Object::View(_))) {
        let (access, (schema, name)) = (object.access(), object.full_name());
        let own = Granted { to: access.owner(), privileges: object.all_privileges() };
        for granted in [own].iter().chain(&access.granted).filter(|granted| to_all || granted.to != EVERYBODY) {
            let grantee =
                if granted.to == EVERYBODY { Some("PUBLIC") } else { roles.get(granted.to).map(|r| &*r.name) };
            for privilege in granted.privileges.names() {
                rows.add([
                    ("grantor", cell(owner(source, access))),
                    ("grantee", cell(grantee)),
                    ("table_catalog", cell(&source.environment.database)),
                    ("table_schema", cell(schema)),
                    ("table_name", cell(name)),
                    ("privilege_type", cell(privilege)),
                    ("is_grantable", yes_no(granted.to == access.owner())),
                    ("with_hierarchy", yes_no(privilege == "SELECT")),
                ]);
            }
        }
    }
}

pub(super) fn tables(source: &Source<'_>, rows: &mut Rows) {
    let mut add = |schema: &str, name: &str, kind: &str| {
        rows.add([
            ("table_catalog", cell(&source.environment.database)),
            ("table_schema", cell(schema)),
            ("table_name", cell(name)),
            ("table_type", cell(kind)),
            ("is_insertable_into", yes_no(kind != "VIEW")),
            ("is_typed", yes_no(false)),
        ]);
    };
    for table in source.catalog.tables() {
        let kind = if is_temporary(&table.schema) { "LOCAL TEMPORARY" } else { "BASE TABLE" };
        add(&table.schema, &table.name, kind);
    }
    source.catalog.views().for_each(|view| add(&view.schema, &view.name, "VIEW"));
}

pub(super) fn views(source: &Source<'_>, rows: &mut Rows) {
    for view in source.catalog.views() {
        rows.add([
            ("table_catalog", cell(&source.environment.database)),
            ("table_schema", cell(&view.schema)),
            ("table_name", cell(&view.name)),
            ("view_definition", cell(view_definition(view))),
            ("check_option", cell("NONE")),
            ("is_updatable", yes_no(false)),
            ("is_insertable_into", yes_no(false)),
            ("is_trigger_updatable", yes_no(false)),
            ("is_trigger_deletable", yes_no(false)),
            ("is_trigger_insertable_into", yes_no(false)),
        ]);
    }
}

/// Bits of an integer type, digits of a numeric one: (precision, radix, scale).
fn numeric_facts(column: &Column) -> (Option<i32>, Option<i32>, Option<i32>) {
    match column.type_oid {
        21 => (Some(16), Some(2), Some(0)),
        23 => (Some(32), Some(2), Some(0)),
        20 => (Some(64), Some(2), Some(0)),
        700 => (Some(24), Some(2), None),
        701 => (Some(53), Some(2), None),
        1700 if column.typmod >= 4 => {
            let packed = column.typmod - 4;
            (Some(packed >> 16 & 0xffff), Some(10), Some(((packed & 0x7ff) ^ 1024) - 1024))
        }
        1700 => (None, Some(10), None),
        _ => (None, None, None),
    }
}

/// Longest text in characters and in bytes.
fn text_facts(column: &Column) -> (Option<i32>, Option<i32>) {
    match column.type_oid {
        1042 | 1043 if column.typmod >= 4 => (Some(column.typmod - 4), Some((column.typmod - 4) * 4)),
        25 | 1042 | 1043 => (None, Some(1 << 30)),
        _ => (None, None),
    }
}

fn datetime_precision(column: &Column) -> Option<i32> {
    match column.type_oid {
        1082 => Some(0),
        1083 | 1114 | 1184 | 1186 | 1266 if column.typmod < 0 => Some(6),
        1083 | 1114 | 1184 | 1266 => Some(column.typmod),
        _ => None,
    }
}

pub(super) fn columns(source: &Source<'_>, rows: &mut Rows) {
    for table in source.catalog.tables() {
        for (at, column) in table.columns.iter().enumerate() {
            let names = [&table.schema, &table.name];
            self::column(source, names, at, column, true, rows);
        }
    }
    for view in source.catalog.views() {
        for (at, column) in view.columns.iter().enumerate() {
            let names = [&view.schema, &view.name];
            self::column(source, names, at, column, false, rows);
        }
    }
}

fn column(source: &Source<'_>, names: [&String; 2], at: usize, column: &Column, in_table: bool, rows: &mut Rows) {
    let facts = type_facts(column.type_oid);
    let is_array = facts.is_some_and(|facts| facts.element != 0 && facts.length == -1);
    let of_users = source.catalog.enum_of(column.type_oid);
    let udt_name = match of_users {
        Some(found) if found.oid == column.type_oid => found.name.clone(),
        Some(found) => format!("_{}", found.name),
        None => facts.map_or("text", |facts| facts.name).to_string(),
    };
    let data_type = match of_users {
        _ if is_array => "ARRAY".to_string(),
        Some(found) => if found.oid == column.type_oid { "USER-DEFINED" } else { "ARRAY" }.to_string(),
        None => format_type(column.type_oid, -1),
    };
    let (precision, radix, scale) = numeric_facts(column);
    let (characters, bytes) = text_facts(column);
    let sequence = column.identity.and(column.sequence).and_then(|oid| source.catalog.sequence(oid));
    let number = |of: fn(&Sequence) -> i64| cell(sequence.map(|sequence| of(sequence).to_string()));
    let default = if column.generated.is_none() { default_text(source, column) } else { None };
    let default = default.as_deref().map(in_parentheses);
    let database = || cell(&source.environment.database);
    rows.add([
        ("table_catalog", database()),
        ("table_schema", cell(names[0])),
        ("table_name", cell(names[1])),
        ("column_name", cell(&column.name)),
        ("ordinal_position", cell(if in_table { i64::from(column.number) } else { at as i64 + 1 })),
        ("column_default", cell(default)),
        ("is_nullable", yes_no(!column.not_null)),
        ("data_type", cell(data_type)),
        ("character_maximum_length", cell(characters)),
        ("character_octet_length", cell(bytes)),
        ("numeric_precision", cell(precision)),
        ("numeric_precision_radix", cell(radix)),
        ("numeric_scale", cell(scale)),
        ("datetime_precision", cell(datetime_precision(column))),
        ("udt_catalog", database()),
        ("udt_schema", cell(of_users.map_or("pg_catalog", |found| &found.schema))),
        ("udt_name", cell(udt_name)),
        ("dtd_identifier", cell(column.number.to_string())),
        ("is_self_referencing", yes_no(false)),
        ("is_identity", yes_no(column.identity.is_some())),
        (
            "identity_generation",
            cell(column.identity.map(|identity| match identity {
                Identity::Always => "ALWAYS",
                Identity::ByDefault => "BY DEFAULT",
            })),
        ),
        ("identity_start", number(|sequence| sequence.start)),
        ("identity_increment", number(|sequence| sequence.increment)),
        ("identity_maximum", number(|sequence| sequence.maximum)),
        ("identity_minimum", number(|sequence| sequence.minimum)),
        ("identity_cycle", yes_no(sequence.is_some_and(|sequence| sequence.cycle))),
        ("is_generated", cell(if column.generated.is_some() { "ALWAYS" } else { "NEVER" })),
        ("generation_expression", cell(column.generated.as_deref().map(in_parentheses))),
        ("is_updatable", yes_no(in_table)),
    ]);
}

pub(super) fn sequences(source: &Source<'_>, rows: &mut Rows) {
    for sequence in source.catalog.sequences() {
        // Those of identity columns are part of the column.
        let column = sequence.owner.and_then(|(table, number)| source.catalog.table(table)?.column_numbered(number));
        if column.is_some_and(|column| column.identity.is_some()) {
            continue;
        }
        let bits = type_facts(sequence.type_oid).map_or(64, |facts| i64::from(facts.length) * 8);
        rows.add([
            ("sequence_catalog", cell(&source.environment.database)),
            ("sequence_schema", cell(&sequence.schema)),
            ("sequence_name", cell(&sequence.name)),
            ("data_type", cell(format_type(sequence.type_oid, -1))),
            ("numeric_precision", cell(bits)),
            ("numeric_precision_radix", cell(2)),
            ("numeric_scale", cell(0)),
            ("start_value", cell(sequence.start.to_string())),
            ("minimum_value", cell(sequence.minimum.to_string())),
            ("maximum_value", cell(sequence.maximum.to_string())),
            ("increment", cell(sequence.increment.to_string())),
            ("cycle_option", yes_no(sequence.cycle)),
        ]);
    }
}

/// The name under which information_schema shows that a column is NOT NULL.
fn not_null_name(source: &Source<'_>, table: &Table, column: &Column) -> String {
    let schema = super::classes::schema_oid(source.catalog, &table.schema);
    format!("{schema}_{}_{}_not_null", table.oid, column.number)
}

pub(super) fn table_constraints(source: &Source<'_>, rows: &mut Rows) {
    let database = &source.environment.database;
    let mut add = |table: &Table, name: &str, kind: &str, deferrable: bool, deferred: bool| {
        rows.add([
            ("constraint_catalog", cell(database)),
            ("constraint_schema", cell(&table.schema)),
            ("constraint_name", cell(name)),
            ("table_catalog", cell(database)),
            ("table_schema", cell(&table.schema)),
            ("table_name", cell(&table.name)),
            ("constraint_type", cell(kind)),
            ("is_deferrable", yes_no(deferrable)),
            ("initially_deferred", yes_no(deferred)),
            ("enforced", yes_no(true)),
            ("nulls_distinct", cell((kind == "UNIQUE").then_some("YES"))),
        ]);
    };
    for table in source.catalog.tables() {
        for constraint in &table.constraints {
            let kind = match constraint.kind {
                ConstraintKind::Primary => "PRIMARY KEY",
                ConstraintKind::Unique => "UNIQUE",
                ConstraintKind::Foreign { .. } => "FOREIGN KEY",
                ConstraintKind::Check(_) => "CHECK",
            };
            add(table, &constraint.name, kind, constraint.deferrable, constraint.deferred);
        }
        for column in table.columns.iter().filter(|column| column.not_null) {
            add(table, &not_null_name(source, table, column), "CHECK", false, false);
        }
    }
}

pub(super) fn check_constraints(source: &Source<'_>, rows: &mut Rows) {
    let mut add = |table: &Table, name: &str, clause: String| {
        rows.add([
            ("constraint_catalog", cell(&source.environment.database)),
            ("constraint_schema", cell(&table.schema)),
            ("constraint_name", cell(name)),
            ("check_clause", cell(clause)),
        ]);
    };
    for table in source.catalog.tables() {
        for constraint in &table.constraints {
            if let ConstraintKind::Check(expression) = &constraint.kind {
                add(table, &constraint.name, format!("({})", in_parentheses(expression)));
            }
        }
        for column in table.columns.iter().filter(|column| column.not_null) {
            add(table, &not_null_name(source, table, column), format!("{} IS NOT NULL", column.name));
        }
    }
}

/// Names that several views have of a constraint and its table.
fn names(source: &Source<'_>, table: &Table, constraint: &str) -> [(&'static str, Cell); 6] {
    let database = || cell(&source.environment.database);
    [
        ("constraint_catalog", database()),
        ("constraint_schema", cell(&table.schema)),
        ("constraint_name", cell(constraint)),
        ("table_catalog", database()),
        ("table_schema", cell(&table.schema)),
        ("table_name", cell(&table.name)),
    ]
}

pub(super) fn key_column_usage(source: &Source<'_>, rows: &mut Rows) {
    for table in source.catalog.tables() {
        for constraint in table.constraints.iter().filter(|c| !matches!(c.kind, ConstraintKind::Check(_))) {
            for (at, number) in constraint.columns.iter().enumerate() {
                let Some(column) = table.column_numbered(*number) else { continue };
                let [a, b, c, d, e, f] = names(source, table, &constraint.name);
                let position = position_in_unique(source, constraint, at);
                rows.add([
                    a,
                    b,
                    c,
                    d,
                    e,
                    f,
                    ("column_name", cell(&column.name)),
                    ("ordinal_position", cell(at as i64 + 1)),
                    ("position_in_unique_constraint", cell(position)),
                ]);
            }
        }
    }
}

/// Where in the key referred to the column stands which the `at`th column of a foreign key refers to.
fn position_in_unique(source: &Source<'_>, constraint: &Constraint, at: usize) -> Option<i64> {
    let ConstraintKind::Foreign { table, columns, .. } = &constraint.kind else { return None };
    let index = referred_index(source, *table, columns)?;
    let index = source.catalog.table(*table)?.indexes.iter().find(|found| found.oid == index)?;
    index.keys.iter().position(|key| key.column == columns.get(at).copied()).map(|at| at as i64 + 1)
}

pub(super) fn constraint_column_usage(source: &Source<'_>, rows: &mut Rows) {
    for table in source.catalog.tables() {
        for constraint in &table.constraints {
            // For a foreign key: the columns that it refers to.
            let (used, columns) = match &constraint.kind {
                ConstraintKind::Foreign { table, columns, .. } => (source.catalog.table(*table), columns),
                _ => (Some(table), &constraint.columns),
            };
            let Some(used) = used else { continue };
            for column in columns.iter().filter_map(|number| used.column_numbered(*number)) {
                let [_, _, name, d, e, f] = names(source, used, &constraint.name);
                rows.add([
                    ("constraint_catalog", cell(&source.environment.database)),
                    ("constraint_schema", cell(&table.schema)),
                    name,
                    d,
                    e,
                    f,
                    ("column_name", cell(&column.name)),
                ]);
            }
        }
    }
}

pub(super) fn constraint_table_usage(source: &Source<'_>, rows: &mut Rows) {
    for table in source.catalog.tables() {
        for constraint in &table.constraints {
            let used = match &constraint.kind {
                ConstraintKind::Foreign { table, .. } => source.catalog.table(*table),
                ConstraintKind::Check(_) => None,
                _ => Some(table),
            };
            if let Some(used) = used {
                rows.add(names(source, used, &constraint.name));
            }
        }
    }
}

pub(super) fn referential_constraints(source: &Source<'_>, rows: &mut Rows) {
    for table in source.catalog.tables() {
        for constraint in &table.constraints {
            let ConstraintKind::Foreign { table: referred, columns, on_update, on_delete } = &constraint.kind else {
                continue;
            };
            let referred_table = source.catalog.table(*referred);
            let index = referred_index(source, *referred, columns);
            let unique =
                referred_table.and_then(|t| t.constraints.iter().find(|c| index.is_some() && c.index == index));
            let schema = unique.and(referred_table).map(|table| &table.schema);
            let database = || cell(&source.environment.database);
            rows.add([
                ("constraint_catalog", database()),
                ("constraint_schema", cell(&table.schema)),
                ("constraint_name", cell(&constraint.name)),
                ("unique_constraint_catalog", cell(unique.map(|_| source.environment.database.as_str()))),
                ("unique_constraint_schema", cell(schema)),
                ("unique_constraint_name", cell(unique.map(|unique| &unique.name))),
                ("match_option", cell("NONE")),
                ("update_rule", cell(on_update.sql())),
                ("delete_rule", cell(on_delete.sql())),
            ]);
        }
    }
}
