//! psql, pgbench and pg_dump, as people run them. Passed over with a word where they are not installed, except where `CI` is
//! set: there nobody reads that word.

use crate::gateway::Server;
use std::process::{Command, Output, Stdio};

fn run(program: &str, server: &Server, arguments: &[&str], input: &str) -> Option<Output> {
    use std::io::Write;
    let port = server.port.to_string();
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-U", "evesql", "-p", &port]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else { return passed_over(&format!("{program} is not installed")) };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}

/// A test that does not run must not look as if it had where nobody reads why.
fn passed_over(why: &str) -> Option<Output> {
    assert!(std::env::var_os("CI").is_none(), "{why}: install PostgreSQL's client programs");
    eprintln!("{why}: passed over");
    None
}

#[test]
fn psql_runs_a_script_with_copy_and_errors() {
    let server = Server::start();
    let script = "create table t(id int primary key, x int);\n\
        \\copy t from stdin\n1\t10\n2\t20\n\\.\n\
        begin;\nupdate t set x = 11 where id = 1;\nselect x from t where id = 1;\ncommit;\n\
        insert into t(id, x) values (1, 1);\n\
        \\copy t to stdout csv\n";
    let Some(output) = run("psql", &server, &["-d", "evesql", "-X", "-q", "-At"], script) else { return };
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(out, "11\n1,11\n2,20\n", "{error}");
    assert!(error.contains("duplicate key value violates unique constraint \"t_pkey\""), "{error}");
}

/// `testdata/catalog/psql.out` is what PostgreSQL 15 and its psql print for the same schema and commands.
#[test]
fn psql_describes_tables_as_on_postgres() {
    let server = Server::start();
    let arguments = ["-d", "evesql", "-X", "-q"];
    let Some(version) = run("psql", &server, &["--version"], "") else { return };
    if !String::from_utf8_lossy(&version.stdout).contains(" 15.") {
        eprintln!("this psql asks otherwise than that of PostgreSQL 15: passed over");
        return;
    }
    let schema = include_str!("../../testdata/catalog/schema.sql");
    let Some(made) = run("psql", &server, &arguments, schema) else { return };
    assert_eq!(String::from_utf8_lossy(&made.stderr), "");
    let Some(output) = run("psql", &server, &arguments, include_str!("../../testdata/catalog/psql.in")) else { return };
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let expected = include_str!("../../testdata/catalog/psql.out");
    let wrong = expected.lines().zip(out.lines()).filter(|(expected, out)| expected != out);
    let wrong: Vec<String> =
        wrong.map(|(expected, out)| format!("PostgreSQL: {expected}\n      here: {out}")).collect();
    assert!(out == expected, "{}\n{error}", wrong.join("\n"));
}

/// The way out. Only what a stock PostgreSQL understands is written, in an order in which it can be made.
#[test]
fn pg_dump_writes_a_database_that_postgres_can_load() {
    let server = Server::start();
    let schema = "create schema app;
        create table z_book (id serial primary key, title text not null unique, price numeric(10,2) default 1.5);
        create table app.sale (id int generated always as identity primary key, book int references z_book on delete cascade);
        create index sale_book on app.sale (book);
        create view a_view as select * from z_book where price > 1;
        insert into z_book (title) values ('a'), (E'b\\tc');
        insert into app.sale (book) values (1);";
    let Some(made) = run("psql", &server, &["-d", "evesql", "-X", "-q"], schema) else { return };
    assert_eq!(String::from_utf8_lossy(&made.stderr), "");
    let Some(output) = run("pg_dump", &server, &["--no-owner", "evesql"], "") else { return };
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{error}");
    let mut from = 0;
    for part in [
        "CREATE SCHEMA app;",
        "CREATE TABLE public.z_book (\n    id integer NOT NULL,\n    title text NOT NULL,\n    price numeric(10,2) DEFAULT 1.5\n);",
        "CREATE VIEW public.a_view AS\n SELECT \"z_book\".\"id\", \"z_book\".\"title\", \"z_book\".\"price\" FROM public.z_book WHERE price > 1;",
        "CREATE TABLE app.sale (",
        "ALTER TABLE app.sale ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (\n    SEQUENCE NAME app.sale_id_seq",
        "CREATE SEQUENCE public.z_book_id_seq",
        "ALTER SEQUENCE public.z_book_id_seq OWNED BY public.z_book.id;",
        "ALTER TABLE ONLY public.z_book ALTER COLUMN id SET DEFAULT nextval('public.z_book_id_seq'::regclass);",
        "COPY public.z_book (id, title, price) FROM stdin;\n1\ta\t1.50\n2\tb\\tc\t1.50\n\\.\n",
        "SELECT pg_catalog.setval('public.z_book_id_seq', 2, true);",
        "ADD CONSTRAINT z_book_title_key UNIQUE (title);",
        "CREATE INDEX sale_book ON app.sale USING btree (book);",
        "ADD CONSTRAINT sale_book_fkey FOREIGN KEY (book) REFERENCES public.z_book(id) ON DELETE CASCADE;",
    ] {
        let place = out.find(part).unwrap_or_else(|| panic!("not there: {part}\n{out}"));
        if part.starts_with("CREATE VIEW") {
            assert!(place > from, "before the table that it reads: {part}");
        }
        from = place;
    }
}

#[test]
fn pgbench_fills_its_tables_and_runs_in_every_protocol() {
    let server = Server::start();
    let Some(output) = run("pgbench", &server, &["-i", "-q", "evesql"], "") else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for protocol in ["simple", "extended", "prepared"] {
        let arguments = ["-M", protocol, "-c", "4", "-j", "2", "-t", "50", "evesql"];
        let Some(output) = run("pgbench", &server, &arguments, "") else { return };
        let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{protocol}: {error}");
        assert!(out.contains("number of transactions actually processed: 200/200"), "{protocol}: {out}{error}");
        assert!(out.contains("number of failed transactions: 0"), "{protocol}: {out}{error}");
    }
}

#[test]
#[ignore = "serves until it is stopped, to be measured by hand: EVESQL_SERVE_S=60"]
fn serve_to_be_measured() {
    let server = Server::start();
    println!("port {}", server.port);
    let seconds = std::env::var("EVESQL_SERVE_S").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    std::thread::sleep(std::time::Duration::from_secs(seconds));
}
