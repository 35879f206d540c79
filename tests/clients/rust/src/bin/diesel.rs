//! diesel on libpq: its query builder, migrations, upserts, transactions.

use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use diesel::connection::{DefaultLoadingMode, LoadConnection};
use diesel::pg::Pg;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use diesel::upsert::excluded;
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use evesql_clients::{Outcome, end, equal, told, url};
use std::str::FromStr;
use uuid::Uuid;

diesel::table! {
    authors (id) { id -> Int4, name -> Varchar, }
}
diesel::table! {
    books (id) {
        id -> Int8, author -> Int4, title -> Text, price -> Numeric, at -> Timestamptz, day -> Nullable<Date>, more -> Nullable<Jsonb>,
        tags -> Array<Text>, code -> Nullable<Uuid>, data -> Nullable<Bytea>, sold -> Bool, score -> Nullable<Double>,
    }
}
diesel::joinable!(books -> authors (author));
diesel::allow_tables_to_appear_in_same_query!(authors, books);

#[derive(Debug, PartialEq, Clone, Queryable, Selectable, Insertable, Identifiable, AsChangeset)]
#[diesel(table_name = authors, check_for_backend(Pg))]
struct Author {
    id: i32,
    name: String,
}

#[derive(Debug, PartialEq, Queryable, Selectable, Identifiable, Associations)]
#[diesel(belongs_to(Author, foreign_key = author), check_for_backend(Pg))]
struct Book {
    id: i64,
    author: i32,
    title: String,
    price: BigDecimal,
    at: DateTime<Utc>,
    day: Option<NaiveDate>,
    more: Option<serde_json::Value>,
    tags: Vec<String>,
    code: Option<Uuid>,
    data: Option<Vec<u8>>,
    sold: bool,
    score: Option<f64>,
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    many: i64,
}

fn migrations(c: &mut PgConnection) -> Outcome {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let source = FileBasedMigrations::from_path(folder)?;
    let told = |error: Box<dyn std::error::Error + Send + Sync>| error.to_string();
    equal(c.run_pending_migrations(source.clone()).map_err(told)?.len(), 2)?;
    equal(c.has_pending_migration(source.clone()).map_err(told)?, false)?;
    let last = c.revert_last_migration(source.clone()).map_err(told)?;
    equal(last.to_string(), "00000000000002")?;
    equal(c.run_pending_migrations(source.clone()).map_err(told)?.len(), 1)?;
    Ok(())
}

fn inserts(c: &mut PgConnection) -> Outcome {
    let names = [authors::name.eq("Ada"), authors::name.eq("Bob")];
    let made: Vec<Author> =
        diesel::insert_into(authors::table).values(&names).returning(Author::as_returning()).get_results(c)?;
    equal(&made, &[Author { id: 1, name: "Ada".into() }, Author { id: 2, name: "Bob".into() }])?;
    let at: DateTime<Utc> = "2026-11-22T14:20:59.051152Z".parse()?;
    let book: Book = diesel::insert_into(books::table)
        .values((
            books::author.eq(1),
            books::title.eq("First"),
            books::price.eq(BigDecimal::from_str("1.10")?),
            books::at.eq(at),
            books::day.eq(NaiveDate::from_ymd_opt(2026, 1, 31)),
            books::more.eq(serde_json::json!({"a": [1, null]})),
            books::tags.eq(vec!["x", "y\"z"]),
            books::code.eq(Uuid::from_u128(7)),
            books::data.eq(vec![0u8, 1, 255]),
            books::score.eq(1.5),
        ))
        .returning(Book::as_returning())
        .get_result(c)?;
    let expected = Book {
        id: 1,
        author: 1,
        title: "First".into(),
        price: BigDecimal::from_str("1.10")?,
        at,
        day: NaiveDate::from_ymd_opt(2026, 1, 31),
        more: Some(serde_json::json!({"a": [1, null]})),
        tags: vec!["x".into(), "y\"z".into()],
        code: Some(Uuid::from_u128(7)),
        data: Some(vec![0, 1, 255]),
        sold: false,
        score: Some(1.5),
    };
    equal(&book, &expected)?;
    let more = [(books::author.eq(1), books::title.eq("Second")), (books::author.eq(2), books::title.eq("Third"))];
    equal(diesel::insert_into(books::table).values(&more).execute(c)?, 2)
}

fn queries(c: &mut PgConnection) -> Outcome {
    let joined: Vec<(Author, Book)> = authors::table
        .inner_join(books::table)
        .filter(books::title.ilike("f%"))
        .select((Author::as_select(), Book::as_select()))
        .load(c)?;
    equal(joined.len(), 1)?;
    let ada = authors::table.find(1).select(Author::as_select()).first(c)?;
    equal(Book::belonging_to(&ada).count().get_result::<i64>(c)?, 2)?;
    let counts: Vec<(String, i64)> = authors::table
        .left_join(books::table)
        .group_by(authors::name)
        .select((authors::name, diesel::dsl::count(books::id.nullable())))
        .order(authors::name)
        .load(c)?;
    equal(counts, [("Ada".to_owned(), 2), ("Bob".to_owned(), 1)])?;
    let sum: Option<BigDecimal> = books::table.select(diesel::dsl::sum(books::price)).first(c)?;
    equal(sum, Some(BigDecimal::from_str("1.10")?))?;
    let titles: Vec<String> = books::table
        .filter(books::author.eq_any([1, 2]))
        .filter(books::sold.eq(false))
        .order(books::id.desc())
        .limit(2)
        .offset(1)
        .select(books::title)
        .load(c)?;
    equal(titles, ["Second", "First"])?;
    let some: bool =
        diesel::select(diesel::dsl::exists(books::table.filter(books::tags.contains(vec!["x"])))).get_result(c)?;
    equal(some, true)?;
    let counted: Vec<Counted> =
        sql_query("select name, count(*) as many from authors where name like $1 group by name")
            .bind::<Text, _>("A%")
            .load(c)?;
    equal((counted[0].name.as_str(), counted[0].many), ("Ada", 1))?;
    let one_by_one = LoadConnection::<DefaultLoadingMode>::load(c, books::table.select(books::id))?;
    equal(one_by_one.count(), 3)
}

fn changes(c: &mut PgConnection) -> Outcome {
    let raised: Vec<(i64, BigDecimal)> = diesel::update(books::table.filter(books::id.gt(1)))
        .set(books::price.eq(books::price + BigDecimal::from(2)))
        .returning((books::id, books::price))
        .get_results(c)?;
    equal(raised, [(2, BigDecimal::from_str("2.00")?), (3, BigDecimal::from_str("2.00")?)])?;
    let author = Author { id: 1, name: "Ada L.".into() };
    let merged: String = diesel::insert_into(authors::table)
        .values(&author)
        .on_conflict(authors::id)
        .do_update()
        .set(authors::name.eq(excluded(authors::name)))
        .returning(authors::name)
        .get_result(c)?;
    equal(merged, "Ada L.")?;
    equal(diesel::insert_into(authors::table).values(&author).on_conflict_do_nothing().execute(c)?, 0)?;
    let saved: Author = Author { id: 2, name: "Bobby".into() }.save_changes(c)?;
    equal(saved.name, "Bobby")?;
    equal(diesel::delete(books::table.find(3)).execute(c)?, 1)
}

fn transactions(c: &mut PgConnection) -> Outcome {
    let lost: Result<(), Error> = c.transaction(|c| {
        diesel::delete(books::table).execute(c)?;
        let inner: Result<(), Error> = c.transaction(|c| {
            diesel::insert_into(authors::table).values(&Author { id: 1, name: "again".into() }).execute(c)?;
            Ok(())
        });
        assert!(matches!(inner, Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _))), "{inner:?}");
        let locked: Author = authors::table.find(1).for_update().select(Author::as_select()).first(c)?;
        assert_eq!(locked.name, "Ada L.");
        Err(Error::RollbackTransaction)
    });
    equal(lost, Err(Error::RollbackTransaction))?;
    equal(books::table.count().get_result::<i64>(c)?, 2)?;
    c.build_transaction()
        .serializable()
        .read_only()
        .run(|c| authors::table.count().get_result::<i64>(c))
        .map_err(Into::into)
        .and_then(|count| equal(count, 2))
}

fn errors(c: &mut PgConnection) -> Outcome {
    let failed = diesel::insert_into(books::table).values((books::author.eq(99), books::title.eq("x"))).execute(c);
    let Err(Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, told)) = failed else {
        return Err(format!("got {failed:?}").into());
    };
    equal((told.constraint_name(), told.table_name()), (Some("books_author_fkey"), Some("books")))?;
    let failed = sql_query("insert into authors (name) values (null)").execute(c);
    if !matches!(failed, Err(Error::DatabaseError(DatabaseErrorKind::NotNullViolation, _))) {
        return Err(format!("got {failed:?}").into());
    }
    Ok(())
}

fn main() {
    println!("version 2.3.14");
    let mut c = PgConnection::establish(&url()).expect("a connection");
    told("migrations, up, down and up again", migrations(&mut c));
    told("inserts, all types there and back", inserts(&mut c));
    told("queries: joins, groups, arrays, of one's own", queries(&mut c));
    told("updates, upserts, deletes", changes(&mut c));
    told("transactions, nested, locked rows, read only", transactions(&mut c));
    told("errors by kind", errors(&mut c));
    end()
}
