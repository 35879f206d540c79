//! Roles and grants over the wire: what each role may do, and when a grant begins and ends to count.

mod harness;

use harness::{InProcess, code, connect, runtime};
use std::net::SocketAddr;
use std::process::Command;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A session of a role without a password.
async fn log_in(address: SocketAddr, user: &str) -> Client {
    let text = format!("host=127.0.0.1 port={} user={user} dbname=evesql", address.port());
    let (client, connection) = tokio_postgres::connect(&text, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// `ok` or the SQLSTATE.
async fn outcome(client: &Client, sql: &str) -> String {
    client.batch_execute(sql).await.map_or_else(|error| code(&error), |()| "ok".into())
}

async fn message(client: &Client, sql: &str) -> String {
    let error = client.batch_execute(sql).await.expect_err(sql);
    error.as_db_error().unwrap().message().to_owned()
}

/// The first column of all rows.
async fn texts(client: &Client, sql: &str) -> Vec<String> {
    let messages = client.simple_query(sql).await.unwrap();
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("null").to_owned()),
        _ => None,
    });
    rows.collect()
}

const TABLES: &str = "CREATE TABLE book (id serial PRIMARY KEY, title text NOT NULL, stock int DEFAULT 0);
    CREATE TABLE sale (id int PRIMARY KEY, book int REFERENCES book);
    INSERT INTO book (title, stock) VALUES ('All about Eve', 6);
    CREATE VIEW titles AS SELECT title FROM book;
    CREATE SEQUENCE numbers";

#[test]
fn each_kind_of_statement_needs_its_privilege() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let owner = connect(server.address()).await;
        owner.batch_execute(TABLES).await.unwrap();
        owner.batch_execute("CREATE ROLE ann LOGIN").await.unwrap();
        let ann = log_in(server.address(), "ann").await;
        // A statement, the privileges that it needs, and on what.
        let cases = [
            ("SELECT * FROM book", "SELECT ON book"),
            ("SELECT count(*) FROM book", "SELECT ON book"),
            ("SELECT 1 WHERE EXISTS (SELECT 1 FROM book)", "SELECT ON book"),
            ("WITH b AS (SELECT * FROM book) SELECT * FROM b", "SELECT ON book"),
            ("EXPLAIN SELECT * FROM book", "SELECT ON book"),
            ("SELECT * FROM titles", "SELECT ON titles"),
            ("INSERT INTO book (title) VALUES ('x')", "INSERT ON book"),
            ("INSERT INTO book (title) VALUES ('x') RETURNING id", "INSERT, SELECT ON book"),
            ("INSERT INTO book (id, title) VALUES (1, 'x') ON CONFLICT DO NOTHING", "INSERT ON book"),
            (
                "INSERT INTO book (id, title) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET title = 'y'",
                "INSERT, UPDATE ON book",
            ),
            ("UPDATE book SET stock = 1", "UPDATE ON book"),
            ("UPDATE book SET stock = 1 WHERE id = 1", "UPDATE, SELECT ON book"),
            ("UPDATE book SET stock = stock + 1", "UPDATE, SELECT ON book"),
            ("SELECT * FROM book FOR UPDATE", "SELECT, UPDATE ON book"),
            ("DELETE FROM sale", "DELETE ON sale"),
            ("DELETE FROM sale WHERE id = 7", "DELETE, SELECT ON sale"),
            ("TRUNCATE sale", "TRUNCATE ON sale"),
            ("SELECT nextval('numbers')", "USAGE ON SEQUENCE numbers"),
            ("SELECT setval('numbers', 7)", "UPDATE ON SEQUENCE numbers"),
            ("BEGIN; LOCK TABLE book; COMMIT", "DELETE ON book"),
        ];
        for (sql, privileges) in cases {
            assert_eq!(outcome(&ann, sql).await, "42501", "{sql}");
            let _ = outcome(&ann, "ROLLBACK").await;
            // Each of them alone is not enough where several are needed.
            let (list, on) = privileges.split_once(" ON ").unwrap();
            let each: Vec<&str> = list.split(", ").collect();
            for privilege in each.iter().filter(|_| each.len() > 1) {
                owner.batch_execute(&format!("GRANT {privilege} ON {on} TO ann")).await.unwrap();
                assert_eq!(outcome(&ann, sql).await, "42501", "{sql} with {privilege} alone");
                owner.batch_execute(&format!("REVOKE {privilege} ON {on} FROM ann")).await.unwrap();
            }
            owner.batch_execute(&format!("GRANT {privileges} TO ann")).await.unwrap();
            // As if prepared before the grant, and as a transaction of its own and in one of the client's.
            assert_eq!(outcome(&ann, sql).await, "ok", "{sql} with {privileges}");
            owner.batch_execute(&format!("REVOKE {privileges} FROM ann")).await.unwrap();
            assert_eq!(outcome(&ann, sql).await, "42501", "{sql} after all");
            let _ = outcome(&ann, "ROLLBACK").await;
        }
        let copied = ann.copy_out("COPY book TO STDOUT").await.err().unwrap();
        assert_eq!(code(&copied), "42501");
        let another = log_in(server.address(), "ann").await;
        let copied = another.copy_in::<_, bytes::Bytes>("COPY book FROM STDIN").await.err().unwrap();
        assert_eq!(code(&copied), "42501");
        assert_eq!(message(&ann, "SELECT * FROM book").await, "permission denied for table book");
        assert_eq!(message(&ann, "SELECT * FROM titles").await, "permission denied for view titles");
        assert_eq!(message(&ann, "SELECT nextval('numbers')").await, "permission denied for sequence numbers");
    });
}

#[test]
fn definitions_are_their_owners_affair() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let owner = connect(server.address()).await;
        owner.batch_execute(TABLES).await.unwrap();
        owner.batch_execute("CREATE ROLE ann LOGIN").await.unwrap();
        owner.batch_execute("CREATE ROLE bob LOGIN").await.unwrap();
        owner.batch_execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO ann").await.unwrap();
        let (ann, bob) = (log_in(server.address(), "ann").await, log_in(server.address(), "bob").await);
        for sql in [
            "CREATE TABLE mine (id int)",
            "CREATE VIEW mine AS SELECT 1 AS one",
            "CREATE SEQUENCE mine",
            "CREATE SCHEMA mine",
            "CREATE INDEX ON book (title)",
            "ALTER TABLE book ADD COLUMN pages int",
            "ALTER TABLE sale RENAME TO sales",
            "DROP TABLE sale",
            "DROP VIEW titles",
            "DROP SEQUENCE numbers",
            "CREATE OR REPLACE VIEW titles AS SELECT title FROM book",
            "COMMENT ON TABLE book IS 'x'",
            "ANALYZE book",
            "GRANT SELECT ON book TO bob",
            "ALTER TABLE book OWNER TO ann",
            "CREATE DATABASE mine",
            "DROP DATABASE postgres",
            "CREATE ROLE mine",
            "ALTER ROLE bob LOGIN PASSWORD 'x'",
            "DROP ROLE bob",
            "SET ROLE bob",
            "SET SESSION AUTHORIZATION bob",
            "SELECT set_config('role', 'evesql', false)",
            "SELECT evesql_drill('crash', 2)",
            "SELECT * FROM pg_authid",
            "SELECT * FROM pg_shadow",
            "SELECT * FROM evesql_divergences",
            "SELECT * FROM evesql_templates",
        ] {
            assert_eq!(outcome(&ann, sql).await, "42501", "{sql}");
        }
        assert_eq!(message(&ann, "DROP TABLE sale").await, "must be owner of table sale");
        assert_eq!(message(&ann, "CREATE TABLE m (id int)").await, "permission denied for schema public");
        owner.batch_execute("GRANT CREATE ON SCHEMA public TO ann").await.unwrap();
        ann.batch_execute("CREATE TABLE mine (id serial PRIMARY KEY); CREATE INDEX ON mine (id)").await.unwrap();
        ann.batch_execute("CREATE TABLE copy AS SELECT title FROM book").await.unwrap();
        ann.batch_execute("INSERT INTO mine DEFAULT VALUES; ALTER TABLE mine ADD COLUMN note text").await.unwrap();
        assert_eq!(outcome(&bob, "SELECT * FROM mine").await, "42501");
        ann.batch_execute("BEGIN; GRANT SELECT ON mine TO bob; COMMIT").await.unwrap();
        assert_eq!(outcome(&bob, "SELECT * FROM mine").await, "ok");
        let owners = "SELECT tableowner FROM pg_tables WHERE tablename IN ('mine', 'book') ORDER BY tablename";
        assert_eq!(texts(&owner, owners).await, ["evesql", "ann"]);
        // A foreign key to another's table is a right of its own; making tables does not bring it.
        owner.batch_execute("REVOKE REFERENCES ON book FROM ann").await.unwrap();
        assert_eq!(outcome(&ann, "CREATE TABLE lent (book int REFERENCES book)").await, "42501");
        // Types have owners, and everybody may use them.
        owner
            .batch_execute("CREATE TYPE form AS ENUM ('bound', 'paper'); GRANT USAGE ON TYPE form TO bob")
            .await
            .unwrap();
        assert_eq!(outcome(&ann, "ALTER TYPE form ADD VALUE 'spoken'").await, "42501");
        assert_eq!(message(&ann, "DROP TYPE form").await, "must be owner of type form");
        owner.batch_execute("ALTER TYPE form OWNER TO ann").await.unwrap();
        ann.batch_execute("ALTER TYPE form ADD VALUE 'spoken'; CREATE TABLE kept (f form)").await.unwrap();
        ann.batch_execute("DROP TYPE form CASCADE").await.unwrap_err();
        ann.batch_execute("DROP TABLE kept; DROP TYPE form").await.unwrap();
        // Who owns something is not dropped, and nothing is lost when it was handed on.
        owner.batch_execute("ALTER TABLE mine OWNER TO bob").await.unwrap();
        assert_eq!(outcome(&owner, "DROP ROLE bob").await, "2BP01");
        assert_eq!(outcome(&ann, "SELECT * FROM mine").await, "42501");
        owner.batch_execute("DROP TABLE mine").await.unwrap();
        owner.batch_execute("DROP ROLE bob").await.unwrap();
        // What the role was, its session is no more.
        assert_eq!(outcome(&bob, "SELECT * FROM titles").await, "42501");
    });
}

#[test]
fn what_a_view_shows_is_its_owners_right() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let owner = connect(server.address()).await;
        owner.batch_execute(TABLES).await.unwrap();
        for role in ["ann", "bob"] {
            owner.batch_execute(&format!("CREATE ROLE {role} LOGIN")).await.unwrap();
        }
        owner.batch_execute("GRANT CREATE ON SCHEMA public TO ann; GRANT SELECT ON book TO ann").await.unwrap();
        let (ann, bob) = (log_in(server.address(), "ann").await, log_in(server.address(), "bob").await);
        ann.batch_execute("CREATE VIEW counted AS SELECT count(*) AS n FROM book; GRANT SELECT ON counted TO bob")
            .await
            .unwrap();
        assert_eq!(texts(&bob, "SELECT n FROM counted").await, ["1"]);
        assert_eq!(outcome(&bob, "SELECT * FROM book").await, "42501");
        owner.batch_execute("REVOKE SELECT ON book FROM ann").await.unwrap();
        // Of the superuser's statement too the view's owner is asked.
        for client in [&bob, &ann, &owner] {
            assert_eq!(message(client, "SELECT n FROM counted").await, "permission denied for table book");
        }
    });
}

#[test]
fn members_of_the_groups_for_all_data_read_and_write_everything() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let owner = connect(server.address()).await;
        owner.batch_execute(TABLES).await.unwrap();
        for sql in [
            "CREATE ROLE reader LOGIN IN ROLE pg_read_all_data",
            "CREATE ROLE staff",
            "GRANT pg_read_all_data, pg_write_all_data TO staff",
            "CREATE ROLE writer LOGIN IN ROLE staff",
            "CREATE ROLE distant LOGIN NOINHERIT IN ROLE staff",
        ] {
            owner.batch_execute(sql).await.unwrap();
        }
        let reader = log_in(server.address(), "reader").await;
        let writer = log_in(server.address(), "writer").await;
        let distant = log_in(server.address(), "distant").await;
        owner.batch_execute("CREATE TABLE later (id int)").await.unwrap();
        assert_eq!(outcome(&reader, "SELECT * FROM later").await, "ok");
        assert_eq!(outcome(&reader, "INSERT INTO later VALUES (1)").await, "42501");
        assert_eq!(outcome(&writer, "INSERT INTO later VALUES (1)").await, "ok");
        assert_eq!(outcome(&writer, "UPDATE book SET stock = stock + 1").await, "ok");
        assert_eq!(outcome(&writer, "TRUNCATE later").await, "42501");
        assert_eq!(outcome(&writer, "DROP TABLE later").await, "42501");
        // Only in the group's place.
        assert_eq!(outcome(&distant, "SELECT * FROM later").await, "42501");
        assert_eq!(outcome(&distant, "SET ROLE staff; SELECT * FROM later").await, "ok");
        let who = "SELECT current_user::text || ' ' || session_user::text";
        assert_eq!(texts(&distant, who).await, ["staff distant"]);
        distant.batch_execute("RESET ROLE").await.unwrap();
        assert_eq!(outcome(&distant, "SELECT * FROM later").await, "42501");
        assert_eq!(outcome(&distant, "BEGIN; SET LOCAL ROLE staff; SELECT * FROM later; COMMIT").await, "ok");
        assert_eq!(texts(&distant, who).await, ["distant distant"]);
        assert_eq!(outcome(&distant, "SELECT * FROM later").await, "42501");
        owner.batch_execute("REVOKE pg_write_all_data FROM staff").await.unwrap();
        assert_eq!(outcome(&writer, "INSERT INTO later VALUES (1)").await, "42501");
        // A superuser in another's place has no more than that one.
        assert_eq!(outcome(&owner, "SET ROLE reader; INSERT INTO later VALUES (1)").await, "42501");
        owner.batch_execute("RESET ROLE").await.unwrap();
        owner.batch_execute("SET SESSION AUTHORIZATION reader").await.unwrap();
        assert_eq!(texts(&owner, who).await, ["reader reader"]);
        assert_eq!(outcome(&owner, "SET ROLE staff").await, "42501");
        owner.batch_execute("RESET SESSION AUTHORIZATION; INSERT INTO later VALUES (2)").await.unwrap();
    });
}

#[test]
fn a_grant_that_is_taken_away_ends_with_the_statement_that_runs() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let owner = connect(server.address()).await;
        owner.batch_execute(TABLES).await.unwrap();
        owner.batch_execute("CREATE ROLE ann LOGIN").await.unwrap();
        owner.batch_execute("GRANT SELECT, UPDATE ON book TO ann").await.unwrap();
        let ann = log_in(server.address(), "ann").await;
        // What was prepared before is judged when it runs.
        let prepared = ann.prepare("SELECT title FROM book WHERE id = $1").await.unwrap();
        assert_eq!(ann.query(&prepared, &[&1i32]).await.unwrap().len(), 1);
        ann.batch_execute("BEGIN; SELECT * FROM book").await.unwrap();
        owner.batch_execute("REVOKE SELECT ON book FROM ann").await.unwrap();
        assert_eq!(code(&ann.query(&prepared, &[&1i32]).await.unwrap_err()), "42501");
        ann.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(code(&ann.query(&prepared, &[&1i32]).await.unwrap_err()), "42501");
        // What was written before it does not commit after it.
        ann.batch_execute("BEGIN; UPDATE book SET stock = 100").await.unwrap();
        owner.batch_execute("REVOKE UPDATE ON book FROM ann").await.unwrap();
        assert_eq!(outcome(&ann, "COMMIT").await, "40001");
        assert_eq!(texts(&owner, "SELECT stock FROM book").await, ["6"]);
        assert_eq!(outcome(&ann, "UPDATE book SET stock = 100").await, "42501");
        // Of a pipeline each statement is judged.
        owner.batch_execute("GRANT UPDATE ON book TO ann").await.unwrap();
        let (first, second) =
            futures::join!(ann.execute("UPDATE book SET stock = 7", &[]), ann.execute("DELETE FROM sale", &[]));
        assert_eq!((first.unwrap(), code(&second.unwrap_err())), (1, "42501".into()));
        server.agree();
    });
}

#[test]
fn commands_about_roles_stand_alone_and_work_from_any_database() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let owner = connect(server.address()).await;
        assert_eq!(outcome(&owner, "BEGIN; CREATE ROLE ann").await, "25001");
        owner.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(outcome(&owner, "CREATE ROLE ann; CREATE ROLE bob").await, "25001");
        owner.batch_execute("CREATE DATABASE shop").await.unwrap();
        let shop = harness::connect_to(server.address(), "shop").await;
        shop.batch_execute("CREATE ROLE ann LOGIN CREATEDB").await.unwrap();
        shop.batch_execute("ALTER ROLE ann SET application_name = 'from the role'").await.unwrap();
        shop.batch_execute("CREATE TABLE t (id int); GRANT SELECT ON t TO ann").await.unwrap();
        assert_eq!(outcome(&owner, "CREATE ROLE ann").await, "42710");
        assert_eq!(outcome(&owner, "DROP DATABASE postgres").await, "2BP01");
        let ann = log_in(server.address(), "ann").await;
        assert_eq!(texts(&ann, "SHOW application_name").await, ["from the role"]);
        assert_eq!(texts(&ann, "SHOW is_superuser").await, ["off"]);
        assert_eq!(outcome(&owner, "ALTER ROLE ann SET role = 'evesql'").await, "0A000");
        assert_eq!(outcome(&owner, "ALTER ROLE ann SET nonsense = '1'").await, "42704");
        // A grant in another database is found as well.
        let error = owner.batch_execute("DROP ROLE ann").await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!((error.code().code(), error.detail()), ("2BP01", Some("privileges for table t in database shop")));
        ann.batch_execute("CREATE DATABASE hers").await.unwrap();
        assert_eq!(outcome(&ann, "DROP DATABASE shop").await, "42501");
        assert_eq!(
            message(&owner, "DROP ROLE ann").await,
            "role \"ann\" cannot be dropped because some objects depend on it"
        );
        ann.batch_execute("DROP DATABASE hers").await.unwrap();
        shop.batch_execute("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM ann").await.unwrap();
        owner.batch_execute("DROP ROLE ann").await.unwrap();
        assert_eq!(outcome(&owner, "DROP ROLE IF EXISTS ann").await, "ok");
        server.agree();
    });
}

#[test]
fn the_catalogs_tell_of_roles_and_privileges_as_they_are() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let owner = connect(server.address()).await;
        owner.batch_execute(TABLES).await.unwrap();
        owner.batch_execute("CREATE ROLE staff").await.unwrap();
        owner.batch_execute("CREATE ROLE ann LOGIN CREATEDB IN ROLE staff VALID UNTIL '2040-01-01'").await.unwrap();
        owner.batch_execute("GRANT SELECT, INSERT ON book TO staff; GRANT SELECT ON titles TO PUBLIC").await.unwrap();
        let ann = log_in(server.address(), "ann").await;
        let facts = "SELECT rolname::text || ' ' || rolsuper::text || ' ' || rolcanlogin::text || ' ' || rolcreatedb::text FROM pg_roles \
                     WHERE rolname IN ('ann', 'staff', 'evesql') ORDER BY rolname";
        assert_eq!(
            texts(&ann, facts).await,
            ["ann false true true", "evesql true true true", "staff false false false"]
        );
        let members = "SELECT pg_get_userbyid(roleid)::text || ' ' || pg_get_userbyid(member)::text FROM pg_auth_members";
        assert_eq!(texts(&ann, members).await, ["staff ann"]);
        for (call, expected) in [
            ("has_table_privilege('book', 'select')", "t"),
            ("has_table_privilege('book', 'update')", "f"),
            ("has_table_privilege('book', 'UPDATE, INSERT')", "t"),
            ("has_table_privilege('book', 'SELECT WITH GRANT OPTION')", "f"),
            ("has_table_privilege('evesql', 'book', 'update')", "t"),
            ("has_table_privilege('staff', 'titles'::regclass, 'select')", "t"),
            ("has_table_privilege('pg_authid', 'select')", "f"),
            ("has_column_privilege('book', 'title', 'select')", "t"),
            ("has_schema_privilege('public', 'usage')", "t"),
            ("has_schema_privilege('public', 'create')", "f"),
            ("has_sequence_privilege('numbers', 'usage')", "f"),
            ("pg_has_role('staff', 'member')", "t"),
            ("pg_has_role('evesql', 'member')", "f"),
        ] {
            assert_eq!(texts(&ann, &format!("SELECT {call}")).await, [expected], "{call}");
        }
        assert_eq!(outcome(&ann, "SELECT has_table_privilege('nobody', 'book', 'select')").await, "42704");
        assert_eq!(outcome(&ann, "SELECT has_table_privilege('nothing', 'select')").await, "42P01");
        let acl = "SELECT array_to_string(relacl, ' ') FROM pg_class WHERE relname = 'book'";
        assert_eq!(texts(&owner, acl).await, ["evesql=arwdDxt/evesql staff=ar/evesql"]);
        let granted =
            "SELECT privilege_type FROM information_schema.role_table_grants WHERE grantee = 'staff' ORDER BY 1";
        assert_eq!(texts(&owner, granted).await, ["INSERT", "SELECT"]);
    });
    if Command::new("psql").arg("--version").output().is_err() {
        return;
    }
    let psql = |command: &str| {
        let target = format!("host=127.0.0.1 port={} user=evesql dbname=evesql", server.address().port());
        let output = Command::new("psql").args([&target, "-XAtc", command]).output().unwrap();
        assert!(output.stderr.is_empty(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let roles = psql("\\du");
    assert!(roles.contains("ann|Create DB"), "{roles}");
    assert!(roles.contains("|{staff}"), "{roles}");
    assert!(psql("\\dp book").contains("staff=ar/evesql"));
}
