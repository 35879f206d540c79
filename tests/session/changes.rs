//! Statements that change rows, in forms that SQLite does not know: outside of a block, where the replicas run them, and
//! inside, where their answers are given before and compared with later.

use crate::gateway::Server;
use crate::raw::{Raw, bind, execute, parse, query, sync};

fn prepared() -> (Server, Raw) {
    let server = Server::start();
    let mut raw = Raw::connect(server.port);
    raw.talk(&[query("create table t(id int primary key, x int)")], 1);
    raw.talk(&[query("create table u(k int primary key, name text)")], 1);
    raw.talk(&[query("insert into t(id, x) values (1, 10), (2, 20)")], 1);
    raw.talk(&[query("insert into u values (1, 'one'), (2, 'two'), (3, 'three')")], 1);
    (server, raw)
}

#[test]
fn a_row_that_an_upsert_would_change_twice_is_refused_and_nothing_stays_of_it() {
    let (_server, mut raw) = prepared();
    let twice = "insert into t values (7, 1), (7, 2) on conflict (id) do update set x = excluded.x";
    assert_eq!(raw.talk(&[query(twice)], 1), "E:21000 Z:I");
    // What one command remembers is gone before the next one.
    let once = "insert into t values (1, 11), (8, 80) on conflict (id) do update set x = excluded.x";
    assert_eq!(raw.talk(&[query(once)], 1), "C:INSERT 0 2 Z:I");
    assert_eq!(raw.talk(&[query(once)], 1), "C:INSERT 0 2 Z:I");
    raw.talk(&[query("begin")], 1);
    assert_eq!(raw.talk(&[query(once)], 1), "C:INSERT 0 2 Z:T");
    assert_eq!(raw.talk(&[query(&format!("{once} returning id"))], 1), "T D:1 D:8 C:INSERT 0 2 Z:T");
    raw.talk(&[query("savepoint s")], 1);
    assert_eq!(raw.talk(&[query(twice)], 1), "E:21000 Z:E");
    raw.talk(&[query("rollback to s")], 1);
    assert_eq!(raw.talk(&[query("commit")], 1), "C:COMMIT Z:I");
    assert_eq!(raw.talk(&[query("select count(*), sum(x) from t")], 1), "T D:3,111 C:SELECT 1 Z:I");
}

#[test]
fn what_is_returned_of_other_tables_comes_from_the_row_that_was_met() {
    let (_server, mut raw) = prepared();
    let update = "update t set x = x + 1 from u where k = id returning id, x, name";
    let delete = "delete from t using u where k = id and k = 2 returning t.*, u.*";
    assert_eq!(raw.talk(&[query(update)], 1), "T D:1,11,one D:2,21,two C:UPDATE 2 Z:I");
    raw.talk(&[query("begin")], 1);
    assert_eq!(raw.talk(&[query(update)], 1), "T D:1,12,one D:2,22,two C:UPDATE 2 Z:T");
    assert_eq!(raw.talk(&[query(delete)], 1), "T D:2,22,2,two C:DELETE 1 Z:T");
    assert_eq!(raw.talk(&[query("commit")], 1), "C:COMMIT Z:I");
    let whole = [parse("", "update t set x = $1 from u where k = id and name = $2 returning name, x"), {
        bind("", "", &["5", "one"])
    }];
    let answer = raw.talk(&[whole.concat(), execute("", 0), sync()], 1);
    assert_eq!(answer, "1 2 D:one,5 C:UPDATE 1 Z:I");
}

#[test]
fn statements_in_with_change_rows_all_or_none() {
    let (_server, mut raw) = prepared();
    let moved =
        "with m as (delete from u where k > 1 returning k, name) insert into t select k + 10, length(name) from m";
    assert_eq!(raw.talk(&[query(moved)], 1), "C:INSERT 0 2 Z:I");
    // The second part fails: the first is undone with it.
    let fails = "with d as (delete from u returning k) insert into t select 1, k from d";
    assert_eq!(raw.talk(&[query(fails)], 1), "E:23505 Z:I");
    raw.talk(&[query("begin")], 1);
    raw.talk(&[query("savepoint s")], 1);
    assert_eq!(raw.talk(&[query(fails)], 1), "E:23505 Z:E");
    raw.talk(&[query("rollback to s")], 1);
    let shown = "with d as (update u set name = name || '!' returning *) select name, k from d";
    assert_eq!(raw.talk(&[query(shown)], 1), "T D:one!,1 C:SELECT 1 Z:T");
    assert_eq!(raw.talk(&[query("commit")], 1), "C:COMMIT Z:I");
    let whole = |sql: &str| [parse("", sql), bind("", "", &["1"]), execute("", 0), sync()].concat();
    let taken = "with d as (delete from u where k = $1 returning *) select name, k from d";
    assert_eq!(raw.talk(&[whole(taken)], 1), "1 2 D:one!,1 C:SELECT 1 Z:I");
    assert_eq!(raw.talk(&[whole(taken)], 1), "1 2 C:SELECT 0 Z:I");
    assert_eq!(raw.talk(&[query("select id, x from t order by 1")], 1), "T D:1,10 D:2,20 D:12,3 D:13,5 C:SELECT 4 Z:I");
}

#[test]
fn a_statement_that_changes_rows_in_with_is_refused_where_nothing_may_change() {
    let (_server, mut raw) = prepared();
    raw.talk(&[query("begin read only")], 1);
    assert_eq!(raw.talk(&[query("with d as (delete from u returning k) select * from d")], 1), "E:25006 Z:E");
    raw.talk(&[query("rollback")], 1);
    assert_eq!(raw.talk(&[query("select count(*) from u")], 1), "T D:3 C:SELECT 1 Z:I");
}
