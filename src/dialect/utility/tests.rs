//! What commands are read as.

use super::*;
use crate::dialect::parse as parse_text;

fn utility(sql: &str) -> Utility {
    parse_text(sql).unwrap()[0].utility().cloned().unwrap_or_else(|| panic!("{sql} is no command"))
}

#[test]
fn transaction_modes_are_read_in_all_their_forms() {
    let Utility::Begin(modes) = utility("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY DEFERRABLE") else { panic!() };
    assert_eq!(modes.isolation, Some(Isolation::RepeatableRead));
    assert_eq!((modes.read_only, modes.deferrable), (Some(true), Some(true)));
    let Utility::Begin(modes) = utility("start transaction isolation level serializable, read only") else { panic!() };
    assert_eq!((modes.isolation, modes.read_only), (Some(Isolation::Serializable), Some(true)));
    assert!(matches!(utility("END"), Utility::Commit { chain: false }));
    assert!(matches!(utility("rollback to savepoint \"S1\""), Utility::RollbackTo(name) if name == "S1"));
    assert!(matches!(utility("abort"), Utility::Rollback { .. }));
}

#[test]
fn settings_keep_their_values_as_text() {
    let cases = [
        ("SET client_encoding TO 'UTF8'", "client_encoding", Some("UTF8")),
        ("set session statement_timeout = 100", "statement_timeout", Some("100")),
        ("set local evesql.read_level to local", "evesql.read_level", Some("local")),
        ("SET TIME ZONE 'UTC'", "timezone", Some("UTC")),
        ("set time zone interval '-08:00' hour to minute", "timezone", Some("-08:00")),
        ("set search_path = a, \"B\"", "search_path", Some("a, B")),
        ("set extra_float_digits = -3", "extra_float_digits", Some("-3")),
        ("set datestyle to default", "datestyle", None),
        ("SET SESSION AUTHORIZATION DEFAULT", "session_authorization", None),
        ("set role admin", "role", Some("admin")),
    ];
    for (sql, expected_name, expected) in cases {
        let Utility::Set { name, value, .. } = utility(sql) else { panic!("{sql}") };
        assert_eq!((name.as_str(), value.as_deref()), (expected_name, expected), "{sql}");
    }
    assert!(matches!(utility("SHOW TRANSACTION ISOLATION LEVEL"), Utility::Show(n) if n == "transaction_isolation"));
    assert!(matches!(utility("reset all"), Utility::Reset(None)));
}

#[test]
fn copies_cursors_and_prepared_statements_are_understood() {
    let Utility::Copy { to: false, format, source: CopySource::Table { name, columns } } =
        utility("copy public.t(a, b) from stdin with (freeze on, format csv, header)")
    else {
        panic!()
    };
    assert_eq!((name, columns), (vec!["public".to_string(), "t".into()], vec!["a".to_string(), "b".into()]));
    assert!(format.csv && format.header);
    assert!(matches!(
        utility("copy (select ')' from t) to stdout"),
        Utility::Copy { to: true, source: CopySource::Query(_), .. }
    ));
    assert!(matches!(utility("FETCH FORWARD 2 FROM \"srv\""), Utility::Fetch { count: FetchCount::Forward(2), .. }));
    assert!(matches!(utility("fetch c"), Utility::Fetch { count: FetchCount::Forward(1), .. }));
    let Utility::Declare { query, hold: false, .. } = utility("DECLARE c NO SCROLL CURSOR FOR\nselect * from t") else {
        panic!()
    };
    assert_eq!(&*query.text, "select * from t");
    let Utility::Execute { arguments, .. } = utility("execute p(1, 'a,b', f(2, 3))") else { panic!() };
    assert_eq!(arguments, ["1", "'a,b'", "f(2, 3)"]);
    let Utility::Prepare { types, statement, .. } = utility("prepare p(int, numeric(10,2)) as select $1") else {
        panic!()
    };
    assert_eq!((types.len(), &*statement.text), (2, "select $1"));
    assert!(matches!(utility("vacuum analyze t"), Utility::Vacuum { analyze: true, tables } if tables == [["t"]]));
    assert!(matches!(
        utility("explain (verbose, format json) select 1"),
        Utility::Explain { json: true, analyze: false, .. }
    ));
}
