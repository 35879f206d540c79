"""psycopg2: everything as text by the simple protocol."""

import io
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import psycopg2
import psycopg2.extensions
import psycopg2.extras
from psycopg2 import sql

from report import check, equal, raises, run

psycopg2.extras.register_uuid()
connection = psycopg2.connect("")
cursor = connection.cursor()


def state(error):
    return error.pgcode


def rows(query, parameters=None):
    cursor.execute(query, parameters)
    return cursor.fetchall()


@check("types of values and parameters")
def types():
    at = datetime(2026, 11, 22, 14, 20, 59, 51152, tzinfo=timezone.utc)
    cursor.execute(
        "create table kinds (id serial primary key, n text, v varchar(10), d numeric(10,2), f float8, r real, s smallint,"
        " l bigint, b bool, j jsonb, js json, a int[], t text[], y bytea, ts timestamptz, tn timestamp, dt date, tm time,"
        " iv interval, u uuid)"
    )
    u = UUID("0d6d9c4e-6ba1-4a5a-8d9e-5a3e6c6f2b11")
    given = (
        "o'x\\", "vé", Decimal("1.10"), 1.5, 0.25, -3, 2**40, True, psycopg2.extras.Json({"a": [1, None]}),
        psycopg2.extras.Json([1]), [1, 2], ["x", 'y"z', None], b"\x00\x01\xff", at, at.replace(tzinfo=None),
        date(2026, 1, 31), time(23, 59, 1), timedelta(days=2, seconds=3), u,
    )
    cursor.execute(
        "insert into kinds (n, v, d, f, r, s, l, b, j, js, a, t, y, ts, tn, dt, tm, iv, u) values (%s, %s, %s, %s, %s, %s,"
        " %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning id",
        given,
    )
    equal(cursor.fetchone(), (1,))
    got = rows("select n, v, d, f, r, s, l, b, j, js, a, t, y, ts, tn, dt, tm, iv, u from kinds")[0]
    expected = list(given)
    expected[8], expected[9] = {"a": [1, None]}, [1]
    for column, value, wanted in zip(cursor.description, got, expected):
        value = bytes(value) if isinstance(value, memoryview) else value
        if isinstance(wanted, datetime):
            assert value == wanted, f"{column.name}: got {value!r}"
        else:
            equal(value, wanted)
    connection.commit()


@check("description: names, type oids, row count")
def description():
    rows("select id, n, d, a, ts, now(), 1 as one, 'x' as x, 1.5, true from kinds where id = any(%s)", ([1, 2],))
    equal([column.name for column in cursor.description], ["id", "n", "d", "a", "ts", "now", "one", "x", "?column?", "?column?"])
    equal([column.type_code for column in cursor.description], [23, 25, 1700, 1007, 1184, 1184, 23, 25, 1700, 16])
    equal((cursor.description[2].precision, cursor.description[2].scale, cursor.rowcount), (10, 2, 1))
    cursor.execute("update kinds set s = s + 1 where id in %s", ((1, 2, 3),))
    equal((cursor.rowcount, cursor.statusmessage), (1, "UPDATE 1"))
    connection.rollback()


@check("executemany, execute_values, several statements at once")
def many():
    cursor.execute("create table pairs (a int primary key, b text)")
    cursor.executemany("insert into pairs values (%s, %s)", [(1, "x"), (2, "y")])
    got = psycopg2.extras.execute_values(
        cursor, "insert into pairs values %s on conflict (a) do update set b = excluded.b returning a", [(2, "z"), (3, None)], fetch=True
    )
    equal(got, [(2,), (3,)])
    psycopg2.extras.execute_batch(cursor, "update pairs set b = %s where a = %s", [("q", 1), ("r", 3)])
    cursor.execute("delete from pairs where a = 2; select a, b from pairs order by a")
    equal(cursor.fetchall(), [(1, "q"), (3, "r")])
    connection.commit()


@check("copy_from, copy_to, copy_expert with csv")
def copy():
    cursor.copy_from(io.StringIO("10\ta\\tb\n11\t\\N\n"), "pairs", columns=("a", "b"))
    equal(cursor.rowcount, 2)
    out = io.StringIO()
    cursor.copy_to(out, "pairs")
    equal(sorted(out.getvalue().splitlines()), ["1\tq", "10\ta\\tb", "11\t\\N", "3\tr"])
    cursor.copy_expert("copy pairs from stdin with (format csv, header true)", io.StringIO('a,b\n12,"say ""hi"", you"\n13,\n'))
    out = io.StringIO()
    cursor.copy_expert("copy (select b, a from pairs where a >= 10 order by a) to stdout with csv header", out)
    equal(out.getvalue(), 'b,a\na\tb,10\n,11\n"say ""hi"", you",12\n,13\n')
    error = raises("23505", lambda: cursor.copy_from(io.StringIO("1\tx\n"), "pairs"), state)
    equal(error.diag.constraint_name, "pairs_pkey")
    connection.rollback()


@check("server-side cursors, scrolled too")
def server_side():
    with connection.cursor("srv") as srv:
        srv.itersize = 2
        srv.execute("select i from generate_series(1, 7) as i")
        equal([row[0] for row in srv], [1, 2, 3, 4, 5, 6, 7])
    with connection.cursor("back", scrollable=True) as back:
        back.execute("select i from generate_series(1, 5) as i")
        equal(back.fetchmany(2), [(1,), (2,)])
        back.scroll(-1)
        equal(back.fetchone(), (2,))
        back.scroll(4, mode="absolute")
        equal(back.fetchall(), [(5,)])
    with psycopg2.connect("") as other:
        with other.cursor("held", withhold=True) as held:
            held.execute("select a from pairs order by a")
            other.commit()
            equal(held.fetchall(), [(1,), (3,)])
        other.rollback()
    connection.rollback()


@check("errors: class, diagnostics, the failed transaction")
def errors():
    error = raises("23505", lambda: cursor.execute("insert into pairs values (1, 'again')"), state)
    equal(type(error).__name__, "UniqueViolation")
    equal((error.diag.constraint_name, error.diag.table_name, error.diag.schema_name), ("pairs_pkey", "pairs", "public"))
    equal(error.diag.message_detail, "Key (a)=(1) already exists.")
    equal(connection.info.transaction_status, psycopg2.extensions.TRANSACTION_STATUS_INERROR)
    raises("25P02", lambda: cursor.execute("select 1"), state)
    connection.rollback()
    error = raises("42601", lambda: cursor.execute("selec 1"), state)
    equal((type(error).__name__, error.diag.statement_position), ("SyntaxError", "1"))
    connection.rollback()
    raises("42P01", lambda: cursor.execute("select * from nowhere"), state)
    connection.rollback()
    raises("22P02", lambda: cursor.execute("select 'x'::int"), state)
    connection.rollback()


@check("savepoints, isolation levels, autocommit, two sessions")
def transactions():
    cursor.execute("insert into pairs values (20, 'kept'); savepoint s; insert into pairs values (21, 'not')")
    cursor.execute("rollback to savepoint s")
    connection.commit()
    equal(rows("select count(*), max(a) from pairs"), [(3, 20)])
    connection.rollback()
    other = psycopg2.connect("")
    other.set_session(isolation_level="SERIALIZABLE", readonly=True, deferrable=True)
    with other.cursor() as reader:
        reader.execute("show transaction_isolation")
        equal(reader.fetchone(), ("serializable",))
        raises("25006", lambda: reader.execute("delete from pairs"), state)
    other.rollback()
    other.set_session(isolation_level="DEFAULT", readonly=False, deferrable=False, autocommit=True)
    with other.cursor() as writer:
        writer.execute("delete from pairs where a = 20")
    equal(rows("select count(*) from pairs"), [(2,)])
    connection.rollback()
    other.close()


@check("sql composition, adapters, named rows")
def adapters():
    cursor.execute(sql.SQL("create table {} ({} int)").format(sql.Identifier("Odd name"), sql.Identifier('q"t')))
    cursor.execute(sql.SQL("insert into {} values ({})").format(sql.Identifier("Odd name"), sql.Literal(5)))
    with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as named:
        named.execute('select * from "Odd name"')
        equal([dict(row) for row in named.fetchall()], [{'q"t': 5}])
    equal(rows("select %s || 'x', %s is null, %s", ("a", None, [])), [("ax", True, "{}")])
    connection.rollback()


@check("a time zone with rules")
def zones():
    cursor.execute("set time zone 'Europe/Paris'")
    equal(rows("select '2026-07-01 12:00+00'::timestamptz::text"), [("2026-07-01 14:00:00+02",)])


@check("temporary tables")
def temporary():
    cursor.execute("create temp table passing (id serial primary key, n text) on commit drop")
    cursor.execute("insert into passing (n) values ('a'), ('b')")
    equal(rows("select id, n from passing order by id"), [(1, "a"), (2, "b")])
    connection.commit()
    raises("42P01", lambda: cursor.execute("select * from passing"), state)
    connection.rollback()


@check("enums")
def enums():
    cursor.execute("create type mood as enum ('sad', 'ok', 'happy')")
    cursor.execute("create table people (name text, mood mood)")
    cursor.execute("insert into people values ('a', 'happy'), ('b', %s)", ("sad",))
    equal(rows("select name, mood from people order by mood"), [("b", "sad"), ("a", "happy")])
    raises("22P02", lambda: cursor.execute("insert into people values ('c', 'none')"), state)
    connection.rollback()


@check("cancel")
def cancel():
    import threading

    threading.Timer(0.3, connection.cancel).start()
    raises("57014", lambda: cursor.execute("with recursive n(i) as (select 1 union all select i % 7 from n) select count(*) from n"), state)
    connection.rollback()


@check("pg_sleep")
def sleep():
    equal(rows("select pg_sleep(0.01)"), [("",)])


run(psycopg2.__version__.split()[0], connection.rollback)
