//! From PostgreSQL into EveSQL and back, by pg_dump and by `evesql dump`.

use super::{Place, has_psql, postgres};
use crate::harness::Program;

const SHOP: &str = include_str!("../../testdata/exchange/shop.sql");
const ROLES: &str = "CREATE ROLE shop_reader; CREATE ROLE shop_owner;";

/// All rows of all tables and the state of all sequences, each table's rows in the order of their texts.
fn content(place: &Place) -> String {
    let tables = "customer item sale".split(' ').map(|table| format!("shop.{table}"));
    let tables = tables.chain(["public.plain", "public.tree", "shop.rich", "public.richest"].map(String::from));
    let tables = tables.map(|table| format!("SELECT '{table}'; SELECT * FROM {table} ORDER BY 1, 2;"));
    let sequences = ["shop.ticket", "shop.customer_id_seq", "shop.item_id_seq", "public.plain_a_seq"];
    let sequences = sequences.map(|name| format!("SELECT '{name}', last_value, is_called FROM {name};"));
    place.psql(&format!("SET timezone = 'UTC';{}{}", tables.collect::<String>(), sequences.concat()))
}

/// The statements of a dump alone, without what changes from run to run.
fn statements(dump: &str) -> Vec<&str> {
    // The schema public is nobody's in particular in PostgreSQL; here it is the system's owner's.
    let said = |line: &&str| {
        let is_noise = line.is_empty() || line.starts_with("--") || line.starts_with('\\');
        !is_noise && *line != "ALTER SCHEMA public OWNER TO evesql;"
    };
    dump.lines().filter(said).collect()
}

fn shop_in_postgres(server: &super::Postgres) -> Place {
    Place::in_postgres(server, "postgres").psql(&format!("{ROLES} CREATE DATABASE shop;"));
    let shop = Place::in_postgres(server, "shop");
    shop.psql(SHOP);
    shop
}

#[test]
fn what_pg_dump_of_postgres_writes_goes_in_and_comes_back() {
    let Some(postgres) = postgres() else { return };
    let shop = shop_in_postgres(&postgres);
    let data = tempfile::tempdir().unwrap();
    let server = Program::serve(data.path(), &[]).unwrap();
    let here = Place::of(&server, "evesql");
    here.psql(&format!("{ROLES} CREATE ROLE postgres SUPERUSER LOGIN;"));
    here.psql(&shop.pg_dump(&[]));
    assert_eq!(content(&here), content(&shop));
    // And back by the same road.
    Place::in_postgres(&postgres, "postgres").psql("CREATE ROLE evesql; CREATE DATABASE back;");
    let back = Place::in_postgres(&postgres, "back");
    back.psql(&here.pg_dump(&[]));
    assert_eq!(content(&back), content(&shop));
    let (before, after) = (shop.pg_dump(&["--schema-only"]), back.pg_dump(&["--schema-only"]));
    let differs = |(before, after): &(&str, &str)| before != after;
    let pairs = statements(&before).into_iter().zip(statements(&after));
    let differences: Vec<(&str, &str)> = pairs.filter(differs).collect();
    // Numbers are never drawn ahead here, so CACHE is 1.
    assert_eq!(differences, [("    CACHE 5", "    CACHE 1")]);
    assert_eq!(statements(&before).len(), statements(&after).len());
}

#[test]
fn pg_restore_loads_the_custom_format() {
    let Some(postgres) = postgres() else { return };
    let shop = shop_in_postgres(&postgres);
    let data = tempfile::tempdir().unwrap();
    let server = Program::serve(data.path(), &[]).unwrap();
    let here = Place::of(&server, "evesql");
    here.psql(ROLES);
    let file = data.path().join("shop.dump");
    let file = file.to_str().unwrap();
    assert!(shop.run("pg_dump", &["-Fc", "-f", file], "").status.success());
    let output = here.run("pg_restore", &["--no-owner", "--exit-on-error", file], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(content(&here), content(&shop));
}

#[test]
fn a_dump_is_loaded_by_postgres_and_by_evesql_which_dumps_the_same_again() {
    if !has_psql() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let server = Program::serve(data.path(), &[]).unwrap();
    let here = Place::of(&server, "evesql");
    here.psql(&format!("{ROLES} CREATE DATABASE other;"));
    here.psql(SHOP);
    here.psql(
        "ALTER TABLE shop.item OWNER TO shop_owner; COMMENT ON SCHEMA public IS 'all; of \\'; \
         CREATE VIEW named (one, \"Two\") AS SELECT id, parent FROM tree; \
         CREATE TABLE \"odd \"\"name\" (\"select\" text DEFAULT E'a\\\\b''c', \"B\" int); \
         INSERT INTO \"odd \"\"name\" VALUES (E'\\\\.', 1), (E'a\\nb', 2), ('', 3), (NULL, 4); \
         GRANT USAGE ON SCHEMA public TO shop_reader",
    );
    let dump = here.dump(&[]);
    assert_eq!(here.dump(&[]), dump, "two dumps of one state differ");
    let other = Place::of(&server, "other");
    other.psql(&dump);
    let again = other.dump(&[]);
    let pairs = dump.lines().zip(again.lines());
    let differences: Vec<_> = pairs.filter(|(before, after)| before != after).take(5).collect();
    assert!(again == dump, "{differences:#?}");
    assert_eq!(content(&other), content(&here));
    let plain = here.dump(&["--no-owner", "--no-privileges"]);
    assert!(!plain.contains("OWNER TO") && !plain.contains("GRANT"), "{plain}");
    let Some(postgres) = postgres() else { return };
    Place::in_postgres(&postgres, "postgres")
        .psql(&format!("{ROLES} CREATE ROLE evesql SUPERUSER; CREATE DATABASE shop;"));
    let there = Place::in_postgres(&postgres, "shop");
    there.psql(&dump);
    assert_eq!(content(&there), content(&here));
}

#[test]
fn a_database_that_is_not_there_is_an_error_of_one_sentence() {
    let output = crate::harness::run(&["dump", "--url", "postgres://evesql@127.0.0.1:1/evesql"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("evesql: no connection to 127.0.0.1:1/evesql: "), "{said}");
    let output = crate::harness::run(&["dump", "--url", "nonsense"]);
    assert_eq!(output.status.code(), Some(2));
}
