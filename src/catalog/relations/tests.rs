use super::row::Rows;
use super::*;
use std::collections::HashSet;

#[test]
fn every_producer_fills_a_relation_that_exists_and_none_stands_twice() {
    let mut seen = HashSet::new();
    for Producer(schema, name, renewal, _) in PRODUCERS {
        assert!(system_table(schema, name).is_some(), "{schema}.{name} has a producer but no shape");
        assert!(seen.insert((schema, name, format!("{renewal:?}"))), "{schema}.{name} is filled twice");
    }
}

#[test]
fn every_row_has_a_value_for_every_column_and_none_is_null_where_none_may_be() {
    let (catalog, environment, live) = (fixture::catalog(), Environment::default(), Live::default());
    let source = Source { catalog: &catalog, environment: &environment, live: &live };
    for table in system_tables() {
        for row in [Renewal::Never, Renewal::Catalog, Renewal::Statement].map(|r| table.rows(r, &source)).concat() {
            assert_eq!(row.len(), table.columns.len(), "{}", table.name);
            for (column, value) in table.columns.iter().zip(&row) {
                let is_missing = column.not_null && *value == Value::Null;
                assert!(!is_missing, "{}.{} is NULL in {row:?}", table.name, column.name);
            }
        }
    }
}

#[test]
fn oids_of_relations_and_types_are_unique() {
    let relations: HashSet<u32> = system_tables().iter().map(|table| table.oid).collect();
    assert_eq!(relations.len(), system_tables().len());
    assert!(system_tables().iter().all(|table| table.oid < crate::catalog::FIRST_OID));
    for table in system_tables() {
        let names: HashSet<&str> = table.columns.iter().map(|column| column.name).collect();
        assert_eq!(names.len(), table.columns.len(), "{} has a column twice", table.name);
    }
}

#[test]
fn a_column_that_is_not_named_takes_what_its_type_has_for_nothing() {
    let table = system_table("pg_catalog", "pg_class").unwrap();
    let mut rows = Rows::new(table);
    rows.add([("relname", row::cell("t"))]);
    let row = rows.into_rows().remove(0);
    let at = |name: &str| &row[table.columns.iter().position(|column| column.name == name).unwrap()];
    assert_eq!(at("relname"), &Value::Text("t".into()));
    assert_eq!(at("relnatts"), &Value::Integer(0));
    assert_eq!(at("relacl"), &Value::Null);
    assert_eq!(at("relkind"), &Value::Text("".into()));
}
