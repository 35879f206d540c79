// What a client's script tells .ci/clients: `version V`, then `ok WHAT` or `not ok WHAT<tab>why` for each check.
import assert from 'node:assert/strict'

const checks = []
export const check = (what, run) => checks.push([what, run])
export const equal = (got, expected) => assert.deepStrictEqual(got, expected)

export async function fails(code, promise) {
  const error = await promise.then(() => null, (error) => error)
  assert.ok(error, `expected SQLSTATE ${code}, got no error`)
  assert.equal(error.code, code, `expected SQLSTATE ${code}, got ${error.code}: ${error.message}`)
  return error
}

export async function run(version, finish) {
  console.log(`version ${version}`)
  let failed = 0
  for (const [what, body] of checks) {
    try {
      await body()
      console.log(`ok ${what}`)
    } catch (error) {
      failed++
      if (process.env.VERBOSE) console.error(error)
      console.log(`not ok ${what}\t${error.message.replace(/\s+/g, ' ').slice(0, 300)}`)
    }
  }
  await finish()
  process.exit(failed ? 1 : 0)
}
