// node-postgres: the extended protocol without parameter types, everything as text; pools, cursors, COPY.
import { createRequire } from 'node:module'
import { pipeline } from 'node:stream/promises'
import { Readable } from 'node:stream'
import pg from 'pg'
import Cursor from 'pg-cursor'
import { from, to } from 'pg-copy-streams'
import { check, equal, fails, run } from './report.mjs'

const client = new pg.Client()
await client.connect()
const rows = async (...query) => (await client.query(...query)).rows

check('types of values and parameters', async () => {
  await client.query(`create table kinds (id serial primary key, n varchar(20) unique, d numeric(10,2), f float8, l bigint,
    b bool, j jsonb, a int[], t text[], y bytea, ts timestamptz, dt date, u uuid)`)
  const at = new Date('2026-11-22T14:20:59.051Z')
  const given = ["o'x\\", '1.10', 1.5, '1099511627776', true, { a: [1, null] }, [1, 2], ['x', 'y"z', null],
    Buffer.from([0, 1, 255]), at, null, '0d6d9c4e-6ba1-4a5a-8d9e-5a3e6c6f2b11']
  const sql = `insert into kinds (n, d, f, l, b, j, a, t, y, ts, dt, u)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) returning *`
  const [row] = await rows(sql, given)
  equal(Object.values(row), [1, ...given])
  equal(await rows('select $1::int as a, 1.5 as n, true as b, null as z', [5]), [{ a: 5, n: '1.5', b: true, z: null }])
})

check('what fields say', async () => {
  const { fields, command, rowCount } = await client.query('select n, d, a, count(*) over () from kinds')
  equal(fields.map((f) => [f.name, f.dataTypeID, f.dataTypeModifier, f.columnID]),
    [['n', 1043, 24, 2], ['d', 1700, 655366, 3], ['a', 1007, -1, 8], ['count', 20, -1, 0]])
  equal([command, rowCount], ['SELECT', 1])
  equal(await client.query({ text: 'select 1, 2', rowMode: 'array' }).then((r) => r.rows), [[1, 2]])
})

check('parameters typed by where they stand', async () => {
  equal(await rows('select id from kinds where id = any($1) and ts < $2 and n in ($3, $4) limit $5',
    [[1, 2], new Date('2027-01-01'), "o'x\\", 'z', 3]), [{ id: 1 }])
  equal(await rows('select $1::text || $2 as t, coalesce($3, 7) as c', ['a', 'b', null]), [{ t: 'ab', c: 7 }])
})

check('named statements, several statements at once', async () => {
  for (const value of [1, 2, 3]) {
    equal(await rows({ name: 'twice', text: 'select $1::int * 2 as d', values: [value] }), [{ d: value * 2 }])
  }
  const results = await client.query('select 1 as a; create table two (a int primary key); insert into two values (1), (2); select * from two')
  equal(results.map((r) => [r.command, r.rowCount]), [['SELECT', 1], ['CREATE', null], ['INSERT', 2], ['SELECT', 2]])
})

check('cursors', async () => {
  const cursor = client.query(new Cursor('select i from generate_series(1, $1) as i', [7]))
  equal((await cursor.read(3)).map((r) => r.i), [1, 2, 3])
  equal((await cursor.read(10)).map((r) => r.i), [4, 5, 6, 7])
  await cursor.close()
})

check('COPY in and out', async () => {
  await pipeline(Readable.from(['10\n', '11\n']), client.query(from('copy two from stdin')))
  let text = ''
  const out = client.query(to('copy (select a from two order by a) to stdout with csv'))
  for await (const chunk of out) text += chunk
  equal(text, '1\n2\n10\n11\n')
  await fails('22P02', pipeline(Readable.from(['x\n']), client.query(from('copy two from stdin'))))
})

check('errors with their fields', async () => {
  const error = await fails('23505', client.query('insert into two values ($1)', [1]))
  equal([error.severity, error.constraint, error.table, error.schema, error.detail],
    ['ERROR', 'two_pkey', 'two', 'public', 'Key (a)=(1) already exists.'])
  equal((await fails('42703', client.query('select nope from two'))).position, '8')
})

check('a transaction of a pool, released and used again', async () => {
  const pool = new pg.Pool({ max: 4 })
  const one = await pool.connect()
  await one.query('begin isolation level serializable')
  await one.query('insert into two values (20)')
  await one.query('savepoint s')
  await fails('23505', one.query('insert into two values (20)'))
  await one.query('rollback to s')
  await one.query('commit')
  one.release()
  const counts = await Promise.all(Array.from({ length: 12 }, () => pool.query('select count(*)::int as c from two where a = 20')))
  equal(new Set(counts.map((r) => r.rows[0].c)), new Set([1]))
  await pool.end()
})

check('cancel by a statement_timeout', async () => {
  const limited = new pg.Client({ statement_timeout: 200 })
  await limited.connect()
  await fails('57014', limited.query('with recursive n(i) as (select 1 union all select i % 7 from n) select count(*) from n'))
  await limited.end()
})

check('listen and notify', async () => {
  const heard = new Promise((resolve) => client.once('notification', resolve))
  await client.query('listen ch')
  await client.query("select pg_notify('ch', 'x')")
  const message = await Promise.race([heard, new Promise((_, no) => setTimeout(() => no(new Error('nothing heard')), 3000))])
  equal([message.channel, message.payload], ['ch', 'x'])
})

await run(createRequire(import.meta.url)('pg/package.json').version, () => client.end())
