use super::*;
use crate::catalog::relations::{Environment, Live, Setting, fixture};

fn call(name: &str, arguments: &[ValueRef<'_>]) -> Result<Value, SqlError> {
    let (catalog, environment, live) = (fixture::catalog(), Environment::default(), Live::default());
    let function = system_function(name).unwrap();
    (function.call)(&Source { catalog: &catalog, environment: &environment, live: &live }, arguments)
}

fn said(name: &str, arguments: &[ValueRef<'_>]) -> String {
    match call(name, arguments).unwrap() {
        Value::Text(text) => text.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Null => "null".into(),
        other => format!("{other:?}"),
    }
}

#[test]
fn names_lead_to_oids_and_back() {
    for (name, oid) in [
        ("customers", 16432),
        ("public.customers", 16432),
        ("\"customers\"", 16432),
        ("CUSTOMERS", 16432),
        ("store.stock", 16467),
        ("orders_note", 16459),
        ("pg_class", 1259),
        ("pg_catalog.pg_class", 1259),
        ("16432", 16432),
    ] {
        assert_eq!(said("regclassin", &[ValueRef::Text(name)]), oid.to_string(), "{name}");
    }
    assert_eq!(call("regclassin", &[ValueRef::Text("stock")]).unwrap_err().code(), "42P01");
    assert_eq!(said("to_regclass", &[ValueRef::Text("stock")]), "null");
    assert_eq!(said("regclassout", &[ValueRef::Integer(16432)]), "customers");
    assert_eq!(said("regclassout", &[ValueRef::Integer(16467)]), "store.stock");
    assert_eq!(said("regclassout", &[ValueRef::Integer(16470)]), "store.stock_pkey");
    assert_eq!(said("regclassout", &[ValueRef::Integer(999_999)]), "999999");
    assert_eq!(said("regprocin", &[ValueRef::Text("pg_catalog.array_in")]), "750");
    assert_eq!(said("regprocout", &[ValueRef::Integer(750)]), "array_in");
    assert_eq!(said("regnamespaceout", &[ValueRef::Integer(2200)]), "public");
}

#[test]
fn types_are_found_by_all_their_names() {
    for (name, oid) in [
        ("int4", 23),
        ("integer", 23),
        ("Double  Precision", 701),
        ("character varying(20)", 1043),
        ("timestamp(3) with time zone", 1184),
        ("numeric(10,2)[]", 1231),
        ("pg_catalog.int8", 20),
        ("\"char\"", 18),
        ("_text", 1009),
    ] {
        assert_eq!(said("regtypein", &[ValueRef::Text(name)]), oid.to_string(), "{name}");
    }
    assert_eq!(call("regtypein", &[ValueRef::Text("hstore")]).unwrap_err().code(), "42704");
    assert_eq!(said("to_regtype", &[ValueRef::Text("hstore")]), "null");
}

#[test]
fn settings_of_the_session_come_before_defaults() {
    let (catalog, environment) = (fixture::catalog(), Environment::default());
    let mut live = Live::default();
    live.settings.insert("timezone".into(), Setting { value: "Europe/Rome".into(), reset: "UTC".into() });
    let current = |live: &Live, name: &str, missing_ok: i64| {
        let source = Source { catalog: &catalog, environment: &environment, live };
        (system_function("current_setting").unwrap().call)(
            &source,
            &[ValueRef::Text(name), ValueRef::Integer(missing_ok)],
        )
    };
    assert_eq!(current(&live, "TimeZone", 0), Ok(Value::Text("Europe/Rome".into())));
    assert_eq!(current(&live, "max_index_keys", 0), Ok(Value::Text("32".into())));
    assert_eq!(current(&live, "no.such", 1), Ok(Value::Null));
    assert_eq!(current(&live, "no.such", 0).unwrap_err().code(), "42704");

    let mut changes = Vec::new();
    let arguments = [ValueRef::Text("TimeZone"), ValueRef::Text("UTC"), ValueRef::Integer(1)];
    assert_eq!(set_config(&mut live, &mut changes, &arguments), Ok(Value::Text("UTC".into())));
    assert_eq!(current(&live, "timezone", 0), Ok(Value::Text("UTC".into())));
    assert_eq!(changes, [SettingChange { name: "TimeZone".into(), value: Some("UTC".into()), is_local: true }]);
}
