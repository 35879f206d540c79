"""psycopg 3: the extended protocol, results in text and binary, pipelines, COPY both ways."""

import enum
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address
from uuid import UUID

import psycopg
from psycopg.rows import class_row, dict_row, namedtuple_row
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from report import check, equal, raises, run

connection = psycopg.connect("", autocommit=True)
U = UUID("0d6d9c4e-6ba1-4a5a-8d9e-5a3e6c6f2b11")
AT = datetime(2026, 11, 22, 14, 20, 59, 51152, tzinfo=timezone.utc)


def state(error):
    return error.sqlstate


def rows(query, parameters=None, **more):
    return connection.execute(query, parameters, **more).fetchall()


@check("types of values and parameters, in text and binary")
def types():
    connection.execute(
        "create table kinds (id serial primary key, n text, v varchar(10), d numeric(10,2), f float8, r real, s smallint,"
        " l bigint, b bool, j jsonb, a int[], t text[], y bytea, ts timestamptz, tn timestamp, dt date, tm time,"
        " iv interval, u uuid)"
    )
    given = [
        "o'x\\", "vé", Decimal("1.10"), 1.5, 0.25, -3, 2**40, True, {"a": [1, None]}, [1, 70000], ["x", 'y"z', None],
        b"\x00\x01\xff", AT, AT.replace(tzinfo=None), date(2026, 1, 31), time(23, 59, 1), timedelta(days=2, seconds=3), U,
    ]
    for number, placeholder in enumerate(["%s", "%b"], start=1):
        values = given[:8] + [Jsonb(given[8])] + given[9:]
        got = rows(
            "insert into kinds (n, v, d, f, r, s, l, b, j, a, t, y, ts, tn, dt, tm, iv, u) values ("
            + ", ".join([placeholder] * 18) + ") returning id",
            values,
        )
        equal(got, [(number,)])
        for binary in [False, True]:
            got = connection.execute(
                "select n, v, d, f, r, s, l, b, j, a, t, y, ts, tn, dt, tm, iv, u from kinds where id = %s", [number], binary=binary
            ).fetchone()
            assert got[12] == AT, got[12]
            equal(list(got[:12]) + list(got[13:]), given[:12] + given[13:])


@check("parameters without types: limit, any, like, null, cast")
def parameters():
    equal(rows("select id from kinds where id = any(%s) order by id limit %s offset %s", ([1, 2, 3], 1, 1)), [(2,)])
    equal(rows("select count(*) from kinds where n like %s and (%s::int is null or id > %s)", ("o%", None, 0)), [(2,)])
    equal(rows("select %s::text, %s::date, %s + 1, %s || 'y'", ("x", "2026-01-02", 41, "x")), [("x", date(2026, 1, 2), 42, "xy")])
    equal(rows("select 1::int4, 'x', 1.5, true, null, %s", ("z",)), [(1, "x", Decimal("1.5"), True, None, "z")])


@check("prepared statements, named and left to the threshold")
def prepared():
    for number in range(8):
        equal(rows("select %s::int * 2", (number,)), [(number * 2,)])
    equal(rows("select id from kinds where id = %s", (1,), prepare=True), [(1,)])
    connection.execute("alter table kinds add column later int default 7")
    equal(rows("select id from kinds where id = %s", (1,), prepare=True), [(1,)])
    equal(rows("select later from kinds where id = %s", (2,), prepare=True), [(7,)])


@check("pipeline mode")
def pipeline():
    with connection.pipeline() as pipe, connection.cursor() as one, connection.cursor() as two:
        one.execute("create table piped (a int primary key)")
        two.executemany("insert into piped values (%s) returning a", [(1,), (2,), (3,)], returning=True)
        one.execute("select count(*) from piped")
        pipe.sync()
        equal(one.fetchone(), (3,))
        got = [two.fetchone()]
        while two.nextset():
            got.append(two.fetchone())
        equal(got, [(1,), (2,), (3,)])
    with psycopg.connect("", autocommit=True) as other:
        def fail():
            with other.pipeline():
                other.execute("insert into piped values (10)")
                other.execute("insert into piped values (1)")
                other.execute("insert into piped values (11)")
        error = raises("23505", fail, state)
        equal(type(error).__name__, "UniqueViolation")
    equal(rows("select array_agg(a order by a) from piped"), [([1, 2, 3],)])


@check("copy in and out, text and binary")
def copy():
    connection.execute("create table copied (n text, l bigint, ts timestamptz, d numeric)")
    values = [("a\tb", 2**40, AT, Decimal("1.50")), (None, -1, None, Decimal("-20000.001"))]
    with connection.cursor() as cursor:
        with cursor.copy("copy copied from stdin") as copy:
            for row in values:
                copy.write_row(row)
        equal(cursor.rowcount, 2)
        with cursor.copy("copy copied from stdin (format binary)") as copy:
            copy.set_types(["text", "int8", "timestamptz", "numeric"])
            for row in values:
                copy.write_row(row)
        with cursor.copy("copy (select * from copied) to stdout (format binary)") as copy:
            copy.set_types(["text", "int8", "timestamptz", "numeric"])
            got = list(copy.rows())
        assert got == values + values, got
        with cursor.copy("copy copied (n, l) to stdout") as copy:
            equal([bytes(block) for block in copy], [b"a\\tb\t1099511627776\n", b"\\N\t-1\n"] * 2)

        def broken():
            with cursor.copy("copy copied from stdin") as copy:
                copy.write("a\tnot a number\t\\N\t1\n")
        raises("22P02", broken, state)
        def given_up():
            with cursor.copy("copy copied from stdin") as copy:
                copy.write_row(values[0])
                raise ZeroDivisionError
        try:
            given_up()
        except ZeroDivisionError:
            pass
    equal(rows("select count(*) from copied"), [(4,)])


@check("transactions: nested blocks, levels, read only")
def transactions():
    with connection.transaction():
        connection.execute("insert into piped values (20)")
        try:
            with connection.transaction():
                connection.execute("insert into piped values (21)")
                connection.execute("insert into piped values (20)")
        except psycopg.errors.UniqueViolation:
            pass
        connection.execute("insert into piped values (22)")
    equal(rows("select array_agg(a order by a) from piped where a >= 20"), [([20, 22],)])
    with psycopg.connect("") as other:
        other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        other.read_only = True
        equal(other.execute("show transaction_read_only").fetchone(), ("on",))
        raises("25006", lambda: other.execute("delete from piped"), state)


@check("server-side cursors")
def server_side():
    with connection.transaction(), connection.cursor("srv") as srv:
        srv.execute("select i, i::text from generate_series(1, %s) as i", [5])
        equal(srv.fetchmany(2), [(1, "1"), (2, "2")])
        srv.scroll(1)
        equal(srv.fetchall(), [(4, "4"), (5, "5")])


@check("rows as dicts, tuples with names, classes")
def factories():
    class Point:
        def __init__(self, x, y):
            self.x, self.y = x, y

    equal(connection.cursor(row_factory=dict_row).execute("select 1 as a, 'b' as b").fetchone(), {"a": 1, "b": "b"})
    equal(connection.cursor(row_factory=namedtuple_row).execute("select 1 as a").fetchone().a, 1)
    equal(connection.cursor(row_factory=class_row(Point)).execute("select 1 as x, 2 as y").fetchone().y, 2)
    cursor = connection.execute("select d, v, a from kinds")
    equal([(c.name, c.type_code, c.type_display) for c in cursor.description],
          [("d", 1700, "numeric(10,2)"), ("v", 1043, "varchar(10)"), ("a", 1007, "int4[]")])


@check("errors with their diagnostics, the connection's state")
def errors():
    error = raises("23502", lambda: connection.execute("insert into piped values (null)"), state)
    equal((error.diag.column_name, error.diag.table_name), ("a", "piped"))
    raises("42703", lambda: connection.execute("select nope from piped"), state)
    raises("22012", lambda: connection.execute("select 1 / %s", [0]), state)
    equal(connection.info.transaction_status.name, "IDLE")


@check("types are looked up: enums and their arrays")
def enums():
    class Mood(enum.Enum):
        sad = "sad"
        ok = "ok"

    connection.execute("drop type if exists mood; create type mood as enum ('sad', 'ok')")
    register_enum(EnumInfo.fetch(connection, "mood"), connection, Mood)
    connection.execute("create table moods (m mood, all_of_them mood[])")
    connection.execute("insert into moods values (%s, %s)", [Mood.ok, [Mood.ok, Mood.sad]])
    for binary in [False, True]:
        got = connection.execute("select * from moods", binary=binary).fetchone()
        equal(got, (Mood.ok, [Mood.ok, Mood.sad]))
    raises("22P02", lambda: connection.execute("insert into moods values ('none')"), state)


@check("temporary tables")
def temporary():
    connection.execute("create temp table passing (id serial primary key, n text)")
    equal(rows("insert into passing (n) values (%s), (%s) returning id", ("a", "b")), [(1,), (2,)])
    with psycopg.connect("") as other:
        raises("42P01", lambda: other.execute("select * from passing"), state)
    connection.execute("drop table passing")


@check("inet")
def inet():
    equal(rows("select %s::inet", (ip_address("10.0.0.1"),)), [(ip_address("10.0.0.1"),)])


@check("a pool: reset, deallocate, check")
def pool():
    with ConnectionPool("", min_size=2, max_size=3, open=True, reset=lambda c: c.execute("discard all") if c.autocommit else None) as pool:
        pool.wait(10)
        for _ in range(4):
            with pool.connection() as one:
                equal(one.execute("select count(*) from piped").fetchone(), (5,))
    connection.execute("deallocate all")
    equal(rows("select %s::int * 2", (4,), prepare=True), [(8,)])


run(psycopg.__version__)
