//! The catalog that `testdata/catalog/schema.sql` makes, with the OIDs that PostgreSQL gave when the
//! expected answers beside it were written down.

use crate::catalog::privileges::Access;
use crate::catalog::{
    Action, Catalog, Change, Column, Constraint, ConstraintKind, Identity, Index, IndexKey, Object, Schema, Sequence,
    Table, View,
};
use std::sync::Arc;

const CUSTOMERS: u32 = 16432;
const ORDERS: u32 = 16445;

fn column(number: i16, name: &str, type_oid: u32, typmod: i32) -> Column {
    Column { number, name: name.into(), type_oid, typmod, ..Column::default() }
}

fn constraint(oid: u32, name: &str, kind: ConstraintKind, columns: &[i16], index: u32) -> Constraint {
    let index = Some(index).filter(|oid| *oid != 0);
    Constraint {
        oid,
        name: name.into(),
        kind,
        columns: columns.into(),
        index,
        deferrable: false,
        deferred: false,
        comment: None,
    }
}

fn key(column: i16) -> IndexKey {
    IndexKey { column: Some(column), expression: None, descending: false, operator_class: None }
}

fn index(oid: u32, name: &str, columns: &[i16], primary: bool) -> Index {
    Index {
        oid,
        name: name.into(),
        sqlite_name: None,
        unique: true,
        primary,
        keys: columns.iter().map(|column| key(*column)).collect(),
        include: vec![],
        predicate: None,
        method: "btree".into(),
        comment: None,
    }
}

fn table(oid: u32, schema: &str, name: &str, columns: Vec<Column>) -> Table {
    let next_column = columns.len() as i16 + 1;
    Table {
        oid,
        schema: schema.into(),
        name: name.into(),
        sqlite_name: name.into(),
        columns,
        next_column,
        ..Table::default()
    }
}

fn sequence(oid: u32, name: &str, type_oid: u32, owner: Option<(u32, i16)>) -> Sequence {
    let maximum = if type_oid == 23 { i64::from(i32::MAX) } else { i64::MAX };
    let (schema, name, cycle) = ("public".into(), name.into(), owner.is_none());
    let start = if owner.is_none() { 5 } else { 1 };
    Sequence {
        oid,
        schema,
        name,
        type_oid,
        start,
        increment: 1,
        minimum: 1,
        maximum,
        cycle,
        owner,
        comment: None,
        access: Access::default(),
    }
}

fn customers() -> Table {
    let columns = vec![
        Column { not_null: true, sequence: Some(16431), ..column(1, "id", 23, -1) },
        Column { not_null: true, comment: Some("As on the letter box".into()), ..column(2, "name", 1043, 24) },
        Column { default: Some("0".into()), ..column(3, "score", 1700, 655366) },
        column(4, "tags", 1007, -1),
        Column { default: Some("now()".into()), ..column(5, "at", 1184, 3) },
    ];
    Table {
        constraints: vec![
            constraint(16441, "customers_pkey", ConstraintKind::Primary, &[1], 16440),
            constraint(16443, "customers_name_key", ConstraintKind::Unique, &[2], 16442),
        ],
        indexes: vec![index(16440, "customers_pkey", &[1], true), index(16442, "customers_name_key", &[2], false)],
        comment: Some("Who buys".into()),
        ..table(CUSTOMERS, "public", "customers", columns)
    }
}

fn orders() -> Table {
    let columns = vec![
        Column { not_null: true, identity: Some(Identity::Always), sequence: Some(16444), ..column(1, "id", 20, -1) },
        Column { not_null: true, ..column(2, "customer", 23, -1) },
        column(3, "note", 25, -1),
        column(4, "total", 1700, -1),
        Column { generated: Some("total + total".into()), ..column(5, "twice", 1700, -1) },
        column(6, "Key", 1042, 7),
    ];
    let foreign = ConstraintKind::Foreign {
        table: CUSTOMERS,
        columns: vec![1],
        on_update: Action::NoAction,
        on_delete: Action::Cascade,
    };
    let by_note = Index {
        keys: vec![IndexKey { descending: true, ..key(3) }, key(2)],
        include: vec![4],
        predicate: Some("note IS NOT NULL".into()),
        ..index(16459, "orders_note", &[], false)
    };
    let lower = IndexKey { column: None, expression: Some("lower(note)".into()), ..key(0) };
    Table {
        constraints: vec![
            constraint(16449, "orders_total_check", ConstraintKind::Check("total = abs(total)".into()), &[4], 0),
            constraint(16453, "orders_pkey", ConstraintKind::Primary, &[1], 16452),
            Constraint {
                deferrable: true,
                deferred: true,
                ..constraint(16454, "orders_customer_fkey", foreign, &[2], 0)
            },
        ],
        indexes: vec![
            index(16452, "orders_pkey", &[1], true),
            by_note,
            Index { unique: false, keys: vec![lower], ..index(16460, "orders_lower", &[], false) },
        ],
        ..table(ORDERS, "public", "orders", columns)
    }
}

fn stock() -> Table {
    let columns = vec![
        Column { not_null: true, ..column(1, "item", 23, -1) },
        Column { not_null: true, ..column(2, "shelf", 21, -1) },
    ];
    Table {
        constraints: vec![constraint(16471, "stock_pkey", ConstraintKind::Primary, &[1, 2], 16470)],
        indexes: vec![index(16470, "stock_pkey", &[1, 2], true)],
        ..table(16467, "store", "stock", columns)
    }
}

/// The catalog.
pub(crate) fn catalog() -> Catalog {
    let view = View {
        oid: 16461,
        schema: "public".into(),
        name: "totals".into(),
        query: "SELECT orders.customer, orders.total FROM orders".into(),
        columns: vec![column(1, "customer", 23, -1), column(2, "total", 1700, -1)],
        reads: vec![ORDERS],
        comment: None,
        access: Access::default(),
    };
    let objects = [
        Object::Sequence(Arc::new(sequence(16431, "customers_id_seq", 23, Some((CUSTOMERS, 1))))),
        Object::Table(Arc::new(customers())),
        Object::Sequence(Arc::new(sequence(16444, "orders_id_seq", 20, Some((ORDERS, 1))))),
        Object::Table(Arc::new(orders())),
        Object::View(Arc::new(view)),
        Object::Sequence(Arc::new(sequence(16465, "invoice", 20, None))),
        Object::Schema(Arc::new(Schema {
            oid: 16466,
            name: "store".into(),
            comment: None,
            access: Access::default(),
            is_gone: false,
        })),
        Object::Table(Arc::new(stock())),
    ];
    objects.into_iter().fold(Catalog::empty(), |catalog, object| catalog.after(&Change::Put(object)))
}
