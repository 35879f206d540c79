//! Cases as text: `testdata/dialect/*.txt` holds statements with what they become and what they answer on
//! plain SQLite with our functions. Run with `REWRITE=1` to write the files anew; the diff is the review.
//!
//! A case is a statement up to `----` and its expectation up to an empty line. A first line `$ a | b` gives
//! parameters as text (`NULL` is null), `# ..` is commentary. In the expectation `>` is SQLite's text (only
//! in files that say `show sql`), `:` the columns, `|` a row, `=` the tag, `!` an error, `?` a notice.

use super::codec::{TextStyle, decode_text, to_text};
use super::functions::{AGGREGATES, Aggregate, COMMAND_FUNCTIONS, CommandRows, TABLE};
use super::types::with_names;
use super::{Kind, Prepared, Settings, Tag, errors, parse, prepare};
use crate::catalog::{BOOTSTRAP_SQL, CATALOG_SQL, Catalog};
use crate::transaction::{SqlError, Value, ValueRef};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value as Stored, ValueRef as StoredRef};
use rusqlite::{Connection, params_from_iter};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Mutex};

thread_local! {
    /// The error that a function raised; SQLite passes on its text alone.
    static RAISED: RefCell<Option<SqlError>> = const { RefCell::new(None) };
}

fn borrow<'a>(value: StoredRef<'a>) -> ValueRef<'a> {
    match value {
        StoredRef::Null => ValueRef::Null,
        StoredRef::Integer(number) => ValueRef::Integer(number),
        StoredRef::Real(number) => ValueRef::Real(number),
        StoredRef::Text(text) => ValueRef::Text(std::str::from_utf8(text).unwrap()),
        StoredRef::Blob(bytes) => ValueRef::Blob(bytes),
    }
}

fn store(value: Value) -> Stored {
    match value {
        Value::Null => Stored::Null,
        Value::Integer(number) => Stored::Integer(number),
        Value::Real(number) => Stored::Real(number),
        Value::Text(text) => Stored::Text(text.to_string()),
        Value::Blob(bytes) => Stored::Blob(bytes.to_vec()),
    }
}

fn raise(error: SqlError) -> rusqlite::Error {
    let text = error.message.clone();
    RAISED.with_borrow_mut(|raised| *raised = Some(error));
    rusqlite::Error::UserFunctionError(text.into())
}

fn arguments<'a>(context: &'a Context<'_>) -> Vec<ValueRef<'a>> {
    (0..context.len()).map(|at| borrow(context.get_raw(at))).collect()
}

struct Adapter(fn() -> Box<dyn Aggregate>);
type State = AssertUnwindSafe<Box<dyn Aggregate>>;

impl rusqlite::functions::Aggregate<State, Stored> for Adapter {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<State> {
        Ok(AssertUnwindSafe((self.0)()))
    }
    fn step(&self, context: &mut Context<'_>, state: &mut State) -> rusqlite::Result<()> {
        state.step(&arguments(context)).map_err(raise)
    }
    fn finalize(&self, _: &mut Context<'_>, state: Option<State>) -> rusqlite::Result<Stored> {
        state.unwrap_or_else(|| AssertUnwindSafe((self.0)())).value().map(store).map_err(raise)
    }
}

/// A database with our functions and an empty catalog.
pub(super) struct Database {
    connection: Connection,
    pub catalog: Catalog,
    settings: Settings,
    rows: Arc<Mutex<CommandRows>>,
}

impl Database {
    pub fn new() -> Database {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF").unwrap();
        let pure = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
        for function in TABLE {
            let flags = if function.deterministic { pure | FunctionFlags::SQLITE_DETERMINISTIC } else { pure };
            let f = function.f;
            let call = move |context: &mut Context<'_>| f(&arguments(context)).map(store).map_err(raise);
            connection.create_scalar_function(function.name, function.args, flags, call).unwrap();
        }
        for aggregate in AGGREGATES.iter().copied().flatten() {
            connection
                .create_aggregate_function(aggregate.name, aggregate.args, pure, Adapter(aggregate.start))
                .unwrap();
        }
        // 2026-11-22 14:30:00 UTC
        connection.create_scalar_function("evesql_now", 0, pure, |_| Ok(848_673_000_000_000i64)).unwrap();
        connection.create_scalar_function("evesql_random", 0, pure, |_| Ok(0.25f64)).unwrap();
        let counters: Arc<Mutex<HashMap<i64, i64>>> = Arc::default();
        connection
            .create_scalar_function("evesql_nextval", 1, pure, move |context| {
                let oid: i64 = context.get(0)?;
                let mut counters = counters.lock().unwrap();
                let counter = counters.entry(oid).or_insert(0);
                *counter += 1;
                Ok(*counter)
            })
            .unwrap();
        let rows: Arc<Mutex<CommandRows>> = Arc::default();
        for (name, arguments_count) in COMMAND_FUNCTIONS {
            let rows = rows.clone();
            let call = move |context: &mut Context<'_>| {
                rows.lock().unwrap().call(name, &arguments(context)).map(store).map_err(raise)
            };
            let flags = FunctionFlags::SQLITE_UTF8;
            connection.create_scalar_function(name, arguments_count, flags, call).unwrap();
        }
        // What the session would do shows as its answer.
        connection
            .create_scalar_function("evesql_system", 1, pure, |context| {
                let name: Option<String> = context.get(0)?;
                Ok(name.map(|name| match name.as_str() {
                    flag if flag.starts_with("errand:try") || flag.starts_with("errand:unlock ") => Stored::Integer(1),
                    "errand:channels" => Stored::Text("[\"a\", \"b\"]".into()),
                    _ => Stored::Text(name),
                }))
            })
            .unwrap();
        for sql in BOOTSTRAP_SQL {
            connection.execute_batch(sql).unwrap();
        }
        Database { connection, catalog: Catalog::empty(), settings: Settings::default(), rows }
    }

    fn rows(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, SqlError> {
        RAISED.with_borrow_mut(Option::take);
        let fail = |error: rusqlite::Error| {
            if let Some(raised) = RAISED.with_borrow_mut(Option::take) {
                return raised;
            }
            match &error {
                rusqlite::Error::SqliteFailure(code, message) => {
                    errors::from_sqlite(code.extended_code, message.as_deref().unwrap_or_default(), &self.catalog)
                }
                rusqlite::Error::SqlInputError { msg, .. } => SqlError::new("XX000", format!("{msg} in {sql}")),
                other => SqlError::new("XX000", format!("{other} in {sql}")),
            }
        };
        let mut statement = self.connection.prepare(sql).map_err(fail)?;
        let wanted = statement.parameter_count();
        let columns = statement.column_count();
        let given: Vec<Stored> = params.iter().take(wanted).cloned().map(store).collect();
        let mut rows = statement.query(params_from_iter(given)).map_err(fail)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(fail)? {
            all.push((0..columns).map(|at| borrow(row.get_ref(at).unwrap()).to_value()).collect());
        }
        Ok(all)
    }

    /// Runs one statement; all of it or nothing.
    pub fn run(&mut self, prepared: &Prepared, params: &[Value]) -> Result<(Vec<Vec<Value>>, u64), SqlError> {
        self.connection.execute_batch("BEGIN").unwrap();
        self.rows.lock().unwrap().clear();
        let mut answer = Ok(Vec::new());
        for sql in &prepared.sql {
            answer = self.rows(sql, params);
            if answer.is_err() {
                break;
            }
        }
        let changes = self.connection.changes();
        let end = if answer.is_ok() {
            self.connection.execute_batch("COMMIT")
        } else {
            self.connection.execute_batch("ROLLBACK")
        };
        if end.is_err() {
            self.connection.execute_batch("ROLLBACK").unwrap();
            answer = Err(errors::from_sqlite(787, "FOREIGN KEY constraint failed", &self.catalog));
        }
        if prepared.changes_schema {
            self.catalog = Catalog::load(self.rows(CATALOG_SQL, &[]).unwrap()).unwrap();
        }
        Ok((answer?, changes))
    }

    /// The expectation that a statement meets.
    fn answer(&mut self, sql: &str, params: &[&str], show_sql: bool) -> String {
        let mut out = String::new();
        let statements = match parse(sql) {
            Ok(statements) => statements,
            Err(error) => return error_line(&error),
        };
        for parsed in &statements {
            if let Err(error) = self.answer_one(parsed, params, show_sql, &mut out) {
                out += &error_line(&error);
                break;
            }
        }
        with_names(out, |oid| Some(self.catalog.enum_of(oid)?.name.clone()))
    }

    fn answer_one(
        &mut self,
        parsed: &super::Parsed,
        params: &[&str],
        show_sql: bool,
        out: &mut String,
    ) -> Result<(), SqlError> {
        let prepared = prepare(parsed, &self.catalog, &[], &self.settings)?;
        if show_sql {
            prepared.sql.iter().for_each(|sql| writeln!(out, "> {sql}").unwrap());
        }
        if !prepared.params.is_empty() {
            writeln!(out, "$ {:?}", prepared.params).unwrap();
        }
        for locking in &prepared.locking {
            writeln!(out, "~ {locking:?}").unwrap();
        }
        for notice in &prepared.notices {
            writeln!(out, "? {}", notice.message).unwrap();
        }
        let style = TextStyle::default();
        let mut values = Vec::new();
        for (text, ty) in params.iter().zip(&prepared.params) {
            values.push(if *text == "NULL" { Value::Null } else { decode_text(text.as_bytes(), *ty, &style)? });
        }
        prepared.check_parameters(&values)?;
        if values.len() < prepared.params.len() || prepared.sql.is_empty() && !matches!(prepared.kind, Kind::Nothing) {
            writeln!(out, "= {:?}", prepared.kind).unwrap();
            return Ok(());
        }
        if prepared.uses_catalog {
            // Its relations and functions are the engine's to provide.
            let columns: Vec<String> =
                prepared.columns.iter().map(|c| format!("{} {}", c.name, c.ty.format(c.typmod))).collect();
            writeln!(out, ": {}", columns.join(", ")).unwrap();
            return Ok(());
        }
        let (rows, changes) = self.run(&prepared, &values)?;
        if !prepared.columns.is_empty() {
            let columns: Vec<String> =
                prepared.columns.iter().map(|c| format!("{} {}", c.name, c.ty.format(c.typmod))).collect();
            writeln!(out, ": {}", columns.join(", ")).unwrap();
        }
        for row in &rows {
            let shown = if matches!(prepared.kind, Kind::Explain { .. }) { &row[3..] } else { row };
            let texts: Vec<String> = shown
                .iter()
                .zip(&prepared.columns)
                .map(|(value, column)| match value {
                    Value::Null => "NULL".to_string(),
                    value => to_text(value.as_ref(), column.ty, column.typmod, &style).unwrap_or_else(|e| e.message),
                })
                .collect();
            if !prepared.columns.is_empty() {
                writeln!(out, "| {}", texts.join(" | ")).unwrap();
            }
        }
        let count = if prepared.tag == Tag::Select { rows.len() as u64 } else { changes };
        if !matches!(prepared.tag, Tag::Select) {
            writeln!(out, "= {}", prepared.tag.text(count)).unwrap();
        }
        Ok(())
    }
}

#[test]
fn statements_as_deep_as_the_parser_takes_do_not_overflow_a_small_stack() {
    let nest = |open: &str, middle: &str, close: &str, depth: usize| {
        format!("select {}{middle}{}", open.repeat(depth), close.repeat(depth))
    };
    let catalog = Catalog::empty();
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("(select ", "1", ")"),
        ("(case when true then ", "1", " end)"),
        ("abs(", "1", ")"),
        ("1 + (", "1", ")"),
        ("(not ", "true", ")"),
        ("true in (select ", "true", ")"),
        ("exists (select true union select ", "true", ")"),
        ("array[", "1", "]"),
        ("- ", "1", ""),
        ("coalesce(1, ", "2", ")"),
    ] {
        let mut understood = 0;
        for depth in [5, 10, 20, 40, 80, 200] {
            let answer = parse(&nest(open, middle, close, depth))
                .and_then(|parsed| prepare(&parsed[0], &catalog, &[], &Settings::default()));
            match answer {
                Ok(_) => understood = depth,
                Err(error) => assert!(matches!(error.code(), "54001" | "42601" | "42704"), "{open}: {error:?}"),
            }
        }
        assert!(understood >= 5 || open == "array[", "{open} to {understood}");
    }
    let chain = format!("select 1 where true{}", " or 1 = 2".repeat(4_000));
    assert!(prepare(&parse(&chain).unwrap()[0], &catalog, &[], &Settings::default()).is_ok());
}

fn error_line(error: &SqlError) -> String {
    let mut line = format!("! {} {}", error.code(), error.message);
    if let Some(position) = error.position {
        write!(line, " @{position}").unwrap();
    }
    if let Some(constraint) = &error.constraint {
        write!(line, " [{constraint}]").unwrap();
    }
    line + "\n"
}

fn run_file(path: &Path) -> (String, String) {
    let text = std::fs::read_to_string(path).unwrap();
    let show_sql = text.lines().any(|line| line == "show sql");
    let mut database = Database::new();
    let mut out = String::new();
    for block in text.trim_end().split("\n\n") {
        let Some((statement, _)) = block.split_once("\n----") else {
            out += block.trim_end();
            out += "\n\n";
            continue;
        };
        let mut params: Vec<&str> = Vec::new();
        let mut sql = String::new();
        for line in statement.lines() {
            if let Some(list) = line.strip_prefix("$ ") {
                params = list.split(" | ").collect();
            } else if !line.starts_with("# ") {
                sql += line;
                sql.push('\n');
            }
        }
        let answer = database.answer(sql.trim_end(), &params, show_sql);
        write!(out, "{statement}\n----\n{answer}\n").unwrap();
    }
    (text, out.trim_end().to_string() + "\n")
}

#[test]
fn statements_become_and_answer_what_the_case_files_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/dialect");
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let only = std::env::var("CASES").ok();
    let mut wrong = Vec::new();
    for path in
        files.iter().filter(|path| only.as_ref().is_none_or(|only| path.to_string_lossy().contains(only.as_str())))
    {
        let (before, now) = run_file(path);
        if before == now {
            continue;
        }
        if std::env::var_os("REWRITE").is_some() {
            std::fs::write(path, now).unwrap();
            continue;
        }
        for (old, new) in before.split("\n\n").zip(now.split("\n\n")).filter(|(old, new)| old != new).take(5) {
            wrong.push(format!("{}:\n{old}\n---- now ----\n{new}\n", path.display()));
        }
        if wrong.is_empty() {
            wrong.push(format!("{} differs in length", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
