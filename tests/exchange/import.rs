//! An SQLite file of many kinds into EveSQL.

use super::{Place, has_psql};
use crate::harness::{self, Program};
use rusqlite::Connection;
use std::path::Path;
use std::process::Output;

const FILE: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE Artist (ArtistId INTEGER PRIMARY KEY AUTOINCREMENT, Name NVARCHAR(120) NOT NULL UNIQUE,
        Born DATE, Seen DATETIME DEFAULT CURRENT_TIMESTAMP, Active BOOLEAN NOT NULL DEFAULT 1, Rating REAL,
        Price DECIMAL(10,2), Photo BLOB, Anything, Note TEXT DEFAULT 'it''s \"so\"',
        CONSTRAINT rated CHECK (Rating IS NULL OR Rating BETWEEN 0 AND 10), CHECK (Name LIKE '%a%'));
    CREATE TABLE Album (Id INT NOT NULL, Artist INTEGER REFERENCES Artist ON DELETE CASCADE, Title TEXT,
        Loud TEXT GENERATED ALWAYS AS (upper(Title)) STORED, PRIMARY KEY (Id, Artist)) WITHOUT ROWID;
    CREATE TABLE Node (Id INTEGER PRIMARY KEY, Parent INTEGER REFERENCES Node(Id) DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE Left_ (Id INTEGER PRIMARY KEY, Other INTEGER REFERENCES Right_);
    CREATE TABLE Right_ (Id INTEGER PRIMARY KEY, Other INTEGER REFERENCES Left_);
    CREATE TABLE Empty (a, b INTEGER, c BOOLEAN, d DATE);
    CREATE TABLE Texts (n INTEGER, f FLOAT);
    CREATE UNIQUE INDEX artist_lower ON Artist (lower(Name)) WHERE Active;
    CREATE INDEX album_title ON Album (Title COLLATE NOCASE, Artist DESC);
    CREATE VIEW Rated AS SELECT a.ArtistId AS Id, Name FROM Artist a WHERE Rating > 5;
    CREATE VIEW Twice AS SELECT * FROM Rated;
    CREATE VIEW Odd AS SELECT strftime('%Y', Born) FROM Artist;
    CREATE TRIGGER told AFTER INSERT ON Node BEGIN DELETE FROM Empty; END;
    CREATE VIRTUAL TABLE Found USING fts5(words);
    INSERT INTO Artist (Name, Born, Seen, Active, Rating, Price, Photo, Anything) VALUES
        ('Ada', '1815-12-10', '2024-01-02 03:04:05', 1, 9.5, 1.10, x'00ff', 7),
        ('Bach', NULL, '2024-01-02T03:04:05.25', 0, NULL, 2, NULL, 8), ('tab\ta\\', '2000-02-29', NULL, 1, 0.1, -3.5, x'', NULL);
    DELETE FROM Artist WHERE Name = 'Bach';
    INSERT INTO Artist (Name, Active) VALUES ('gone a', 1);
    DELETE FROM Artist WHERE Name = 'gone a';
    INSERT INTO Album (Id, Artist, Title) VALUES (1, 1, 'One'), (2, 1, NULL);
    INSERT INTO Node VALUES (1, 2), (2, NULL);
    INSERT INTO Left_ VALUES (1, NULL); INSERT INTO Right_ VALUES (5, 1); UPDATE Left_ SET Other = 5;
    INSERT INTO Texts VALUES ('one', 9007199254740993), ('two', 3);
";

fn file(directory: &Path, sql: &str) -> String {
    let path = directory.join("file.db");
    let _ = std::fs::remove_file(&path);
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
    path.to_str().unwrap().to_string()
}

fn import(file: &str, into: &Place) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = harness::run(&["import", file, "--url", &into.url()]);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_file_of_many_kinds_comes_in_and_what_cannot_is_named() {
    if !has_psql() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let server = Program::serve(&directory.path().join("data"), &[]).unwrap();
    let here = Place::of(&server, "evesql");
    let (code, out, said) = import(&file(directory.path(), FILE), &here);
    assert_eq!(code, Some(1), "{out}{said}");
    assert!(out.contains("artist: 2 rows\n") && out.contains("7 tables with 10 rows and 2 views"), "{out}{said}");
    for note in [
        "left out: trigger told",
        "left out: virtual table Found",
        "left out: view Odd",
        "column n of table Texts: declared as INTEGER, became text by what it holds",
    ] {
        assert!(said.contains(note), "{note}\n{said}");
    }
    let rows = here.psql(
        "SELECT * FROM artist ORDER BY 1; SELECT * FROM album ORDER BY 1; SELECT * FROM rated; SELECT * FROM twice",
    );
    assert_eq!(
        rows,
        "1|Ada|1815-12-10|2024-01-02 03:04:05|1|9.5|1.1|\\x00ff|7|it's \"so\"\n\
         3|tab\ta\\|2000-02-29||1|0.1|-3.5|\\x||it's \"so\"\n\
         1|1|One|ONE\n2|1||\n1|Ada\n1|Ada\n"
    );
    let types = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'artist'::regclass \
                 AND attnum > 0 ORDER BY attnum";
    let types = here.psql(types).replace('\n', " ");
    assert_eq!(
        types.trim(),
        "artistid|bigint name|text born|date seen|timestamp without time zone active|bigint rating|double precision \
         price|numeric photo|bytea anything|bigint note|text"
    );
    // The number that was given last is not given again.
    assert_eq!(here.psql("INSERT INTO artist (name, active) VALUES ('new a', 1) RETURNING artistid"), "5\n");
    for (refused, code) in [
        ("INSERT INTO artist (name, active, rating) VALUES ('ab', 1, 11)", "rated"),
        ("INSERT INTO artist (name, active) VALUES ('xyz', 1)", "artist_name_check"),
        ("INSERT INTO artist (name, active) VALUES ('ADA', 1)", "artist_lower"),
        ("INSERT INTO album (id, artist) VALUES (9, 99)", "album_artist_fkey"),
        ("DELETE FROM right_", "left__other_fkey"),
        ("INSERT INTO album (id, artist) VALUES (1, 1)", "album_pkey"),
    ] {
        let output = here.run("psql", &["-X", "-c", refused], "");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(&format!("\"{code}\"")), "{refused}: {said}");
    }
    // A second time there are the tables, and nothing is lost of them.
    let (code, _, said) = import(&file(directory.path(), FILE), &here);
    assert_eq!(code, Some(1));
    assert!(said.contains("relation \"artist\" already exists [42P07]"), "{said}");
    assert_eq!(here.psql("SELECT count(*) FROM artist"), "3\n");
}

#[test]
fn what_cannot_be_brought_over_is_refused_by_table_column_and_row_and_leaves_nothing() {
    if !has_psql() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let server = Program::serve(&directory.path().join("data"), &[]).unwrap();
    let here = Place::of(&server, "evesql");
    let cases = [
        (
            "CREATE TABLE good (a); INSERT INTO good VALUES (1); CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (2), ('x')",
            "column a of table t, declared as INTEGER, holds a text beside other values (rowid 3)",
        ),
        (
            "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('a' || char(0) || 'b')",
            "zero byte, which Postgres does not have (rowid 1)",
        ),
        ("CREATE TABLE t (a TEXT); INSERT INTO t VALUES (cast(x'c328' AS TEXT))", "not UTF-8 (rowid 1)"),
        (
            "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (p REFERENCES p); INSERT INTO t VALUES (7)",
            "in table t the row with rowid 1 refers to a row of p that is not there",
        ),
        ("CREATE TABLE good (a); CREATE TABLE evesql_t (a)", "is reserved"),
    ];
    for (sql, expected) in cases {
        let (code, out, said) = import(&file(directory.path(), sql), &here);
        assert_eq!(code, Some(1), "{sql}: {out}{said}");
        assert!(said.contains(expected), "{sql}: {said}");
        assert_eq!(here.psql("SELECT count(*) FROM pg_class WHERE oid >= 16384"), "0\n", "{sql}");
    }
    let path = directory.path().join("none.db");
    assert_eq!(import(path.to_str().unwrap(), &here).0, Some(2));
    std::fs::write(&path, "no database at all, but long enough to be read as one").unwrap();
    let (code, _, said) = import(path.to_str().unwrap(), &here);
    assert_eq!(code, Some(1));
    assert!(said.contains("file is not a database"), "{said}");
}
