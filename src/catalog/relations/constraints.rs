//! Constraints, sequences, what depends on what, and comments: pg_constraint, pg_sequence, pg_depend,
//! pg_description.

use super::classes::{schema_oid, with_defaults};
use super::environment::Source;
use super::row::{Rows, cell};
use crate::catalog::definitions::nextval_of;
use crate::catalog::{Action, Constraint, ConstraintKind, Object, PUBLIC, PUBLIC_OID, Table};

/// OID of pg_class, which names the kind of thing in pg_depend and pg_description.
const PG_CLASS: u32 = 1259;
const PG_TYPE: u32 = 1247;
/// OID of pg_attrdef.
const PG_ATTRDEF: u32 = 2604;
/// OID of pg_constraint.
const PG_CONSTRAINT: u32 = 2606;
/// OID of pg_namespace.
const PG_NAMESPACE: u32 = 2615;

fn action(action: Action) -> char {
    match action {
        Action::NoAction => 'a',
        Action::Restrict => 'r',
        Action::Cascade => 'c',
        Action::SetNull => 'n',
        Action::SetDefault => 'd',
    }
}

pub(super) fn constraints(source: &Source<'_>, rows: &mut Rows) {
    for table in source.catalog.tables() {
        for constraint in &table.constraints {
            self::constraint(source, table, constraint, rows);
        }
    }
}

fn constraint(source: &Source<'_>, table: &Table, constraint: &Constraint, rows: &mut Rows) {
    let (kind, check) = match &constraint.kind {
        ConstraintKind::Primary => ('p', None),
        ConstraintKind::Unique => ('u', None),
        ConstraintKind::Foreign { .. } => ('f', None),
        ConstraintKind::Check(expression) => ('c', Some(expression)),
    };
    let (referred, update, delete, matching, columns) = match &constraint.kind {
        ConstraintKind::Foreign { table, columns, on_update, on_delete } => {
            (*table, action(*on_update), action(*on_delete), 's', Some(columns.as_slice()))
        }
        _ => (0, ' ', ' ', ' ', None),
    };
    let index = constraint.index.or_else(|| referred_index(source, referred, columns?));
    rows.add([
        ("oid", cell(constraint.oid)),
        ("conname", cell(&constraint.name)),
        ("connamespace", cell(schema_oid(source.catalog, &table.schema))),
        ("contype", cell(kind)),
        ("condeferrable", cell(constraint.deferrable)),
        ("condeferred", cell(constraint.deferred)),
        ("convalidated", cell(true)),
        ("conrelid", cell(table.oid)),
        ("conindid", cell(index.unwrap_or(0))),
        ("confrelid", cell(referred)),
        ("confupdtype", cell(update)),
        ("confdeltype", cell(delete)),
        ("confmatchtype", cell(matching)),
        ("conislocal", cell(true)),
        ("connoinherit", cell(kind != 'c')),
        ("conkey", cell((!constraint.columns.is_empty()).then_some(constraint.columns.as_slice()))),
        ("confkey", cell(columns)),
        ("conbin", cell(check)),
    ]);
}

/// The index that keeps the columns unique which a foreign key refers to.
pub(super) fn referred_index(source: &Source<'_>, table: u32, columns: &[i16]) -> Option<u32> {
    let covers = |index: &&crate::catalog::Index| {
        index.unique
            && index.predicate.is_none()
            && index.keys.len() == columns.len()
            && index.keys.iter().all(|key| key.column.is_some_and(|column| columns.contains(&column)))
    };
    source.catalog.table(table)?.indexes.iter().find(covers).map(|index| index.oid)
}

pub(super) fn sequences(source: &Source<'_>, rows: &mut Rows) {
    for sequence in source.catalog.sequences() {
        rows.add([
            ("seqrelid", cell(sequence.oid)),
            ("seqtypid", cell(sequence.type_oid)),
            ("seqstart", cell(sequence.start)),
            ("seqincrement", cell(sequence.increment)),
            ("seqmax", cell(sequence.maximum)),
            ("seqmin", cell(sequence.minimum)),
            ("seqcache", cell(1)),
            ("seqcycle", cell(sequence.cycle)),
        ]);
    }
}

/// Only what clients ask for: sequences that belong to a column.
pub(super) fn dependencies(source: &Source<'_>, rows: &mut Rows) {
    let mut add = |class: u32, oid: u32, referred: u32, column: i16, kind: char| {
        rows.add([
            ("classid", cell(class)),
            ("objid", cell(oid)),
            ("refclassid", cell(PG_CLASS)),
            ("refobjid", cell(referred)),
            ("refobjsubid", cell(column)),
            ("deptype", cell(kind)),
        ]);
    };
    for sequence in source.catalog.sequences() {
        let Some((table, column)) = sequence.owner else { continue };
        let owner = source.catalog.table(table).and_then(|table| table.column_numbered(column));
        let is_identity = owner.is_some_and(|column| column.identity.is_some());
        add(PG_CLASS, sequence.oid, table, column, if is_identity { 'i' } else { 'a' });
    }
    // What pg_dump must make first.
    for (oid, _, column, text) in with_defaults(source).filter(|(_, _, column, _)| column.identity.is_none()) {
        let named = || source.catalog.sequences().find(|sequence| nextval_of(sequence) == text).map(|known| known.oid);
        column.sequence.or_else(named).into_iter().for_each(|sequence| add(PG_ATTRDEF, oid, sequence, 0, 'n'));
    }
    for view in source.catalog.views() {
        view.reads.iter().for_each(|read| add(PG_CLASS, view.oid, *read, 0, 'n'));
    }
}

pub(super) fn descriptions(source: &Source<'_>, rows: &mut Rows) {
    let mut say = |class: u32, oid: u32, column: i16, comment: &Option<String>| {
        if let Some(comment) = comment {
            rows.add([
                ("objoid", cell(oid)),
                ("classoid", cell(class)),
                ("objsubid", cell(column)),
                ("description", cell(comment)),
            ]);
        }
    };
    let schemas = source.catalog.objects().filter(|object| matches!(object, Object::Schema(_))).cloned();
    for schema in source.catalog.schema(PUBLIC).into_iter().chain(schemas.filter(|schema| schema.oid() != PUBLIC_OID)) {
        if let Object::Schema(schema) = schema {
            say(PG_NAMESPACE, schema.oid, 0, &schema.comment);
        }
    }
    for table in source.catalog.tables() {
        table.constraints.iter().for_each(|constraint| say(PG_CONSTRAINT, constraint.oid, 0, &constraint.comment));
    }
    source.catalog.enums().for_each(|found| say(PG_TYPE, found.oid, 0, &found.comment));
    let mut add = |oid: u32, column: i16, comment: &Option<String>| say(PG_CLASS, oid, column, comment);
    source.catalog.sequences().for_each(|sequence| add(sequence.oid, 0, &sequence.comment));
    for table in source.catalog.tables() {
        add(table.oid, 0, &table.comment);
        table.indexes.iter().for_each(|index| add(index.oid, 0, &index.comment));
        table.columns.iter().for_each(|column| add(table.oid, column.number, &column.comment));
    }
    for view in source.catalog.views() {
        add(view.oid, 0, &view.comment);
        view.columns.iter().for_each(|column| add(view.oid, column.number, &column.comment));
    }
}
