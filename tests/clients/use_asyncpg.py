"""asyncpg: everything prepared, everything binary, types looked up in the catalog."""

import asyncio
import io
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import asyncpg

from report import check, equal, run

AT = datetime(2026, 11, 22, 14, 20, 59, 51152, tzinfo=timezone.utc)
U = UUID("0d6d9c4e-6ba1-4a5a-8d9e-5a3e6c6f2b11")


async def fails(error, awaitable):
    try:
        await awaitable
    except error as found:
        return found
    raise AssertionError(f"expected {error.__name__}, got no error")


def connected(what, **options):
    """A check that is handed a connection."""

    def add(function):
        async def with_connection():
            connection = await asyncpg.connect(**options)
            try:
                await function(connection)
            finally:
                await connection.close()

        check(what)(with_connection)

    return add


@connected("types of values and parameters")
async def types(c):
    await c.execute(
        "create table kinds (id serial primary key, n text, v varchar(10), d numeric(10,2), f float8, r real, s smallint,"
        " l bigint, b bool, j jsonb, a int[], t text[], y bytea, ts timestamptz, tn timestamp, dt date, tm time,"
        " iv interval, u uuid)"
    )
    given = [
        "o'x\\", "vé", Decimal("1.10"), 1.5, 0.25, -3, 2**40, True, '{"a": [1, null]}', [1, 2], ["x", 'y"z', None],
        b"\x00\x01\xff", AT, AT.replace(tzinfo=None), date(2026, 1, 31), time(23, 59, 1), timedelta(days=2, seconds=3), U,
    ]
    inserted = await c.fetchval(
        "insert into kinds (n, v, d, f, r, s, l, b, j, a, t, y, ts, tn, dt, tm, iv, u) values ($1, $2, $3, $4, $5, $6, $7, $8,"
        " $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) returning id",
        *given,
    )
    equal(inserted, 1)
    row = await c.fetchrow("select n, v, d, f, r, s, l, b, j, a, t, y, ts, tn, dt, tm, iv, u from kinds where id = $1", 1)
    got = list(row.values())
    assert got[12] == AT and str(got[17]) == str(U), got
    equal(got[:12] + got[13:17], given[:12] + given[13:17])
    equal(list(row.keys())[:3], ["n", "v", "d"])


@connected("parameters typed by where they stand")
async def parameters(c):
    equal([r["id"] for r in await c.fetch("select id from kinds where id = any($1::int[]) limit $2", [1, 2], 5)], [1])
    equal(await c.fetchval("select $1::text || $2", "a", "b"), "ab")
    equal(await c.fetchval("select count(*) from kinds where n like $1 and ts < $2 and d > $3", "o%", AT + timedelta(1), Decimal(1)), 1)
    equal(await c.fetchval("select case when $1 then $2::int else 0 end", True, 4), 4)
    equal(await c.fetchval("select coalesce($1, 5)", None), 5)
    statement = await c.prepare("select id, n from kinds where s = $1 and b = $2 and u = $3")
    equal([p.name for p in statement.get_parameters()], ["int2", "bool", "uuid"])
    equal([(a.name, a.type.name) for a in statement.get_attributes()], [("id", "int4"), ("n", "text")])


@connected("executemany, copy of records, of tables and of queries")
async def copies(c):
    await c.execute("create table pairs (a int primary key, b text)")
    await c.executemany("insert into pairs values ($1, $2)", [(1, "x"), (2, None), (3, "z")])
    equal(await c.copy_records_to_table("pairs", records=[(10, "p"), (11, None)], columns=["a", "b"]), "COPY 2")
    out = io.BytesIO()
    equal(await c.copy_from_query("select a, b from pairs where a > $1 order by a", 2, output=out, format="csv"), "COPY 3")
    equal(out.getvalue(), b"3,z\n10,p\n11,\n")
    equal(await c.copy_to_table("pairs", source=io.BytesIO(b"20\tt\n"), format="text"), "COPY 1")
    out = io.BytesIO()
    await c.copy_from_table("pairs", output=out, columns=["a"], format="binary")
    equal(out.getvalue()[:11], b"PGCOPY\n\xff\r\n\0")
    found = await fails(asyncpg.UniqueViolationError, c.executemany("insert into pairs values ($1, $2)", [(30, "x"), (1, "y")]))
    equal((found.constraint_name, found.detail), ("pairs_pkey", "Key (a)=(1) already exists."))
    equal(await c.fetchval("select count(*) from pairs where a = 30"), 0)


@connected("transactions, nested too, isolation, cursors")
async def transactions(c):
    async with c.transaction(isolation="serializable"):
        await c.execute("insert into pairs values (40, 'kept')")
        try:
            async with c.transaction():
                await c.execute("insert into pairs values (41, 'not')")
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        equal([r["a"] async for r in c.cursor("select a from pairs where a >= $1 order by a", 20, prefetch=1)], [20, 40])
        cursor = await c.cursor("select i from generate_series(1, 9) as i")
        equal([r["i"] for r in await cursor.fetch(2)], [1, 2])
        equal(await cursor.forward(3), 3)
        equal((await cursor.fetchrow())["i"], 6)
    async with c.transaction(readonly=True):
        await fails(asyncpg.ReadOnlySQLTransactionError, c.execute("delete from pairs"))


@connected("enums, their arrays, a codec of one's own")
async def enums(c):
    await c.execute("create type mood as enum ('sad', 'ok', 'happy')")
    await c.execute("create table moods (m mood, l mood[])")
    await c.execute("insert into moods values ($1, $2)", "ok", ["happy", "sad"])
    row = await c.fetchrow("select m, l, m::text as t from moods where m > 'sad'")
    equal(list(row.values()), ["ok", ["happy", "sad"], "ok"])
    await fails(asyncpg.InvalidTextRepresentationError, c.execute("insert into moods values ($1)", "none"))
    await c.execute("alter type mood add value 'calm' after 'sad'")
    equal(await c.fetchval("select enum_range(null::mood)::text"), "{sad,calm,ok,happy}")


@connected("codecs set for jsonb")
async def codecs(c):
    import json

    await c.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    equal(await c.fetchval("select j from kinds"), {"a": [1, None]})
    equal(await c.fetchval("select $1::jsonb -> 'x'", {"x": [1]}), [1])


@connected("types looked up: arrays, ranges, records")
async def introspection(c):
    equal(await c.fetchval("select $1::date[]", [date(2026, 1, 1)]), [date(2026, 1, 1)])
    equal(await c.fetchval("select $1::numeric(5,1)[]", [Decimal("1.5")]), [Decimal("1.5")])
    introspected = await c.fetch("select oid, typname from pg_type where typname = any($1::text[]) order by 1", ["int4", "_int4"])
    equal([tuple(r.values()) for r in introspected], [(23, "int4"), (1007, "_int4")])


@connected("errors: classes and the position")
async def errors(c):
    await fails(asyncpg.UndefinedTableError, c.fetch("select * from nowhere"))
    await fails(asyncpg.UndefinedColumnError, c.fetch("select nope from pairs"))
    equal((await fails(asyncpg.PostgresSyntaxError, c.fetch("selec 1"))).position, "1")
    await fails(asyncpg.NotNullViolationError, c.execute("insert into pairs values (null, 'x')"))
    await fails(asyncpg.DivisionByZeroError, c.fetch("select 1 / $1::int", 0))
    await fails(asyncpg.DataError, c.fetch("select $1::int", "x"))


@connected("advisory locks")
async def locks(c):
    equal(await c.fetchval("select pg_try_advisory_lock(7)"), True)
    equal(await c.fetchval("select pg_advisory_unlock(7)"), True)


@connected("a time limit for a statement")
async def limits(c):
    await fails(asyncio.TimeoutError, c.fetch("with recursive n(i) as (select 1 union all select i % 7 from n) select count(*) from n", timeout=0.3))
    equal(await c.fetchval("select 1"), 1)


@connected("statements are prepared again when a table changes")
async def changes(c):
    equal(list((await c.fetchrow("select * from pairs where a = $1", 1)).values()), [1, "x"])
    await c.execute("alter table pairs add column later int default 7")
    equal(list((await c.fetchrow("select * from pairs where a = $1", 1)).values()), [1, "x", 7])


@check("a pool: reset, concurrent sessions")
async def pool():
    async with asyncpg.create_pool(min_size=2, max_size=4, server_settings={"application_name": "pooled", "jit": "off"}) as pool:
        async def one(number):
            async with pool.acquire() as c:
                await c.execute("set statement_timeout = 12345")
                await c.execute("insert into pairs values ($1, 'pool') on conflict do nothing", 100 + number)
        await asyncio.gather(*(one(number) for number in range(20)))
        equal(await pool.fetchval("select count(*) from pairs where b = 'pool'"), 20)
        equal(await pool.fetchval("select current_setting('application_name')"), "pooled")
        equal(await pool.fetchval("select current_setting('statement_timeout')"), "0")


@check("listen and notify")
async def listen():
    c, other = await asyncpg.connect(), await asyncpg.connect()
    heard = asyncio.Queue()
    await c.add_listener("ch", lambda _c, pid, channel, payload: heard.put_nowait((pid, channel, payload)))
    await other.execute("notify ch, 'x'")
    got = await asyncio.wait_for(heard.get(), 5)
    equal(got, (other.get_server_pid(), "ch", "x"))
    await c.close()
    await other.close()


run(asyncpg.__version__)
