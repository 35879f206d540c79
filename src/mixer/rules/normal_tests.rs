//! What is alike after normalisation, and what is not.

use super::*;

fn shown(lexemes: &[Lexeme]) -> String {
    let show = |lexeme: &Lexeme| match lexeme {
        Lexeme::Word(word) => word.to_string(),
        Lexeme::Value(_) => "?".into(),
        Lexeme::Any => "..".into(),
    };
    lexemes.iter().map(show).collect::<Vec<_>>().join(" ")
}

fn normal(text: &str) -> String {
    shown(&Normal::of(text).unwrap().lexemes)
}

#[test]
fn the_translation_and_what_the_application_says_become_alike() {
    for (said, translated) in [
        ("select c from T where id = 5", "SELECT t.c FROM t WHERE (t.id = ?1)"),
        ("UPDATE t SET k = k + -7 WHERE id = $2;", "UPDATE t SET k = (t.k + (-7)) WHERE (t.id = ?2)"),
        ("UPDATE t SET d = d * 2 - $1", "UPDATE t SET d = evesql_numeric_sub(evesql_numeric_mul(t.d, X'40'), ?1)"),
        ("select sum(k), avg(k) from t", "SELECT (sum(t.k)), evesql_avg_int(t.k) FROM t"),
        ("select c from t where id between $1 and $2", "SELECT t.c FROM t WHERE ((t.id >= ?1) AND (t.id <= ?2))"),
        ("select upper(n) from t limit 3", "SELECT evesql_upper(t.n) FROM t LIMIT evesql_limit(?1)"),
        ("update t set w = now(), b = true", "UPDATE t SET w = evesql_now(), b = 1"),
        ("update t set w = current_timestamp", "UPDATE t SET w = evesql_time_fit(evesql_now(), 6)"),
        ("select a from t i inner join u on i.x = u.y", "SELECT i.a FROM t AS i JOIN u ON (i.x = u.y)"),
        ("insert into t (a) values ('x')", "INSERT INTO t(a) VALUES (evesql_varchar(?1, 20, 0))"),
        ("insert into t (a) values (f(1, 2))", "INSERT INTO t(a) VALUES (evesql_varchar(f(1, 2), 20, 0))"),
        ("select a from t order by a asc", "SELECT t.a FROM public.\"t\" ORDER BY a NULLS LAST"),
        ("select x::varchar(20) from t", "SELECT x FROM t"),
        ("select a - 5 from t", "SELECT (t.a - ?1) FROM t"),
        ("select a from t order by f(a, 1), b limit 3", "SELECT t.a FROM t ORDER BY 1 LIMIT 3"),
        ("select a from t order by b, a desc limit 3", "SELECT t.a FROM t ORDER BY b NULLS LAST, 1 DESC LIMIT 3"),
        ("select (select a from t order by f(a)) + 1", "SELECT ((SELECT t.a FROM t ORDER BY 1) + 1)"),
        (
            "update t set w = now() + interval '2 hours'",
            "UPDATE t SET w = evesql_timestamp_add(evesql_now(), X'80', 1, 0)",
        ),
        ("update t set d = current_date", "UPDATE t SET d = (evesql_now() / 86400000000)"),
        ("insert into t (a) values ($1)", "INSERT INTO t(a) VALUES (coalesce(?1, evesql_not_null('t', 'a')))"),
        ("select coalesce(a, 1) from t", "SELECT coalesce(t.a, 1) FROM t"),
    ] {
        assert_eq!(normal(said), normal(translated), "{said}");
    }
}

#[test]
fn a_difference_that_matters_stays() {
    for (one, other) in [
        ("update t set k = 1 where id = 2", "update t set k = 1 where id > 2"),
        ("select a from t", "select b from t"),
        ("select a - 5 from t", "select a + 5 from t"),
        ("select a - 5 from t", "select 5 from t"),
        ("select coalesce(a, 1) from t", "select a from t"),
        ("select min(a) from t", "select max(a) from t"),
        ("delete from t where a = null", "delete from t where a = 1"),
    ] {
        assert_ne!(normal(one), normal(other), "{one}");
    }
}

#[test]
fn an_insert_is_also_known_with_fewer_columns() {
    let normal = Normal::of(
        "INSERT INTO t(n, k, id, ts) VALUES ('a', (1 + 2), evesql_nextval(16385), evesql_now()) RETURNING id",
    );
    let forms: Vec<String> = normal.unwrap().forms().map(shown).collect();
    assert_eq!(
        forms,
        [
            "insert into t n , k , id , ts values ? , ? + ? , nextval ? , now returning id",
            "insert into t n , k , id values ? , ? + ? , nextval ? returning id",
            "insert into t n , k values ? , ? + ? returning id",
            "insert into t n values ? returning id",
        ]
    );
    for other in
        ["insert into t(a, b) values (1, 2), (3, 4)", "insert into t(a, b) select 1, 2", "insert into t values (1, 2)"]
    {
        assert!(Normal::of(other).unwrap().prefixes.is_empty(), "{other}");
    }
}

#[test]
fn parentheses_that_do_not_match_are_no_harm() {
    for text in [
        "a ( b",
        "a ) b",
        "evesql_varchar(a",
        ") , evesql_numeric_add(a, b",
        "insert into t (a",
        "insert into t (a) values (b",
    ] {
        assert!(Normal::of(text).is_ok(), "{text}");
    }
    let nest = |depth| format!("select {}1{}", "evesql_int4(".repeat(depth), ")".repeat(depth));
    assert_eq!(normal(&nest(256)), "select ?");
    assert_eq!(Normal::of(&nest(100_000)), Err(LexError::Deep));
}
