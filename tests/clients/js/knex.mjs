// knex: a schema builder, migrations and a query builder on node-postgres.
import { createRequire } from 'node:module'
import Knex from 'knex'
import { check, equal, fails, run } from './report.mjs'

const knex = Knex({ client: 'pg', connection: {}, pool: { min: 0, max: 3 } })

check('the schema builder creates', async () => {
  await knex.schema.dropTableIfExists('books')
  await knex.schema.createTable('authors', (t) => {
    t.increments('id')
    t.string('name').notNullable().unique()
    t.timestamps(true, true)
  })
  await knex.schema.createTable('books', (t) => {
    t.increments('id')
    t.integer('author').references('authors.id').onDelete('cascade')
    t.string('title', 80).notNullable()
    t.jsonb('more')
    t.enu('kind', ['novel', 'play'])
    t.uuid('code').defaultTo(knex.raw('gen_random_uuid()'))
    t.decimal('price', 8, 2).defaultTo(0)
    t.boolean('sold').defaultTo(false)
    t.specificType('tags', 'text[]')
    t.index(['title', 'author'])
  })
  equal(await knex.schema.hasTable('books'), true)
  equal(await knex.schema.hasTable('nothing'), false)
  equal(await knex.schema.hasColumn('books', 'kind'), true)
  const info = await knex('books').columnInfo()
  equal(info.title, { type: 'character varying', maxLength: 80, nullable: false, defaultValue: null })
  equal(info.price, { type: 'numeric', maxLength: null, nullable: true, defaultValue: "'0'::numeric" })
})

check('inserts, returning, conflicts', async () => {
  equal(await knex('authors').insert([{ name: 'Ada' }, { name: 'Bob' }], ['id', 'name']), [{ id: 1, name: 'Ada' }, { id: 2, name: 'Bob' }])
  equal(await knex('authors').insert({ name: 'Ada' }).onConflict('name').merge().returning('id'), [{ id: 1 }])
  await knex('authors').insert({ name: 'Bob' }).onConflict('name').ignore()
  const [book] = await knex('books').insert({ author: 1, title: 'First', more: { pages: 10 }, kind: 'novel', tags: ['x', 'y'] }).returning('*')
  equal([book.title, book.more, book.price, book.sold, book.tags, book.code.length], ['First', { pages: 10 }, '0.00', false, ['x', 'y'], 36])
  await knex('books').insert([{ author: 1, title: 'Second', price: 3.5 }, { author: 2, title: 'Third', price: 4.25, sold: true }])
  await fails('23514', knex('books').insert({ title: 'Fourth', kind: 'opera' }).then())
  await fails('23503', knex('books').insert({ title: 'Fourth', author: 99 }).then())
})

check('queries: joins, groups, subqueries, json, windows, unions', async () => {
  const totals = await knex('authors as a').leftJoin('books as b', 'b.author', 'a.id').groupBy('a.name').orderBy('a.name')
    .select('a.name').count('b.id as books').sum({ total: 'b.price' }).having(knex.raw('count(b.id) > ?', [0]))
  equal(totals, [{ name: 'Ada', books: '2', total: '3.50' }, { name: 'Bob', books: '1', total: '4.25' }])
  equal(await knex('books').whereILike('title', '%IR%').whereNotNull('author').orderBy('id').pluck('title'), ['First', 'Third'])
  equal(await knex('books').whereIn('author', knex('authors').select('id').where('name', 'Bob')).first('title', 'price'), { title: 'Third', price: '4.25' })
  equal(await knex('books').where('more', '@>', { pages: 10 }).select(knex.raw("more->>'pages' as pages")), [{ pages: '10' }])
  equal(await knex('books').whereRaw('? = any(tags)', ['x']).select('id'), [{ id: 1 }])
  equal(await knex.with('dear', knex('books').where('price', '>', 3)).from('dear').select('title').rank('place', (q) => q.orderBy('price', 'desc')).orderBy('place'),
    [{ title: 'Third', place: '1' }, { title: 'Second', place: '2' }])
  equal(await knex('authors').select('name').union(knex('books').select('title')).orderBy('name').limit(3).offset(1), [{ name: 'Bob' }, { name: 'First' }, { name: 'Second' }])
  equal(await knex('books').distinctOn('author').orderBy([{ column: 'author' }, { column: 'id', order: 'desc' }]).pluck('title'), ['Second', 'Third'])
})

check('updates, increments, deletes', async () => {
  equal(await knex('books').where({ id: 2 }).update({ title: 'Other', price: knex.raw('price + 1') }, ['title', 'price']), [{ title: 'Other', price: '4.50' }])
  equal(await knex('books').where({ id: 2 }).increment('price', 2), 1)
  equal(await knex('books').where('price', '<', 1).del(), 1)
})

check('transactions, nested, with locks', async () => {
  await knex.transaction(async (trx) => {
    const locked = await trx('books').where({ id: 3 }).forUpdate().first()
    await trx('books').where({ id: locked.id }).update({ sold: false })
    await trx.transaction(async (inner) => { await inner('books').del(); throw new Error('no') }).catch(() => {})
  })
  equal(await knex('books').where({ sold: false }).count(), [{ count: '2' }])
  await knex.transaction(async (trx) => { await trx('books').del(); throw new Error('no') }).catch(() => {})
  equal(await knex('books').count(), [{ count: '2' }])
})

check('migrations, up and down, with their lock', async () => {
  const source = {
    getMigrations: async () => ['one', 'two'],
    getMigrationName: (name) => name,
    getMigration: async (name) => ({
      up: (k) => name === 'one' ? k.schema.createTable('migrated', (t) => { t.bigIncrements(); t.text('n') })
        : k.schema.alterTable('migrated', (t) => { t.date('d').notNullable().defaultTo(k.fn.now()); t.string('n', 40).notNullable().alter(); t.renameColumn('n', 'name'); t.unique('name') }),
      down: (k) => name === 'one' ? k.schema.dropTable('migrated')
        : k.schema.alterTable('migrated', (t) => { t.dropUnique('name'); t.dropColumn('d'); t.renameColumn('name', 'n') }),
    }),
  }
  const config = { migrationSource: source }
  equal((await knex.migrate.latest(config))[1], ['one', 'two'])
  equal(Object.keys(await knex('migrated').columnInfo()), ['id', 'name', 'd'])
  equal((await knex.migrate.rollback(config))[1], ['two', 'one'])
  equal(await knex.schema.hasTable('migrated'), false)
})

check('the schema builder alters', async () => {
  await knex.schema.alterTable('books', (t) => {
    t.string('isbn')
    t.setNullable('title')
    t.dropForeign('author')
    t.text('title').alter()
  })
  await knex.schema.renameTable('books', 'volumes')
  await knex('volumes').insert({ author: 77, isbn: 'i' })
  equal((await knex('volumes').columnInfo()).title, { type: 'text', maxLength: null, nullable: true, defaultValue: null })
  await knex('volumes').truncate()
  equal(await knex('volumes').insert({ title: 'Again' }, 'id'), [{ id: 1 }])
})

check('rows as a stream', async () => {
  const seen = []
  for await (const row of knex.select(knex.raw('i')).from(knex.raw('generate_series(1, 250) as i')).stream()) seen.push(row.i)
  equal([seen.length, seen[249]], [250, 250])
})

await run(createRequire(import.meta.url)('knex/package.json').version, () => knex.destroy())
