import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { buildSchema } from 'graphql'
import { expect, it } from 'vitest'
import { checksumOf, EXPORTS, recordedChecksums, SDL } from '../../local/tenant-graphql/export.ts'
import { exportedSchemas } from '../../shared/generated/tenant-graphql/versions.ts'
import { latestSchemaVersion } from '../../shared/tenant-database/latest-schema-version.ts'
import { projectRoot } from '../../tools/project.ts'

/** What a function may weigh when it is bundled on the server; its packages and our own code are not more than a fifth of that. */
const MOST_BYTES = 4_000_000

it('the GraphQL schemas are those of the SQL files as they are (npm run tenant-graphql)', async () => {
  const recorded = await recordedChecksums(projectRoot)
  const versions = Object.keys(exportedSchemas).map(Number)
  expect(Object.keys(recorded).map(Number).sort()).toEqual(versions.sort())
  expect(versions).toContain(latestSchemaVersion)
  for (const version of versions) expect([version, recorded[version]]).toEqual([version, checksumOf(version)])
})

it('a file that is changed has another checksum, and so has one that is renamed', () => {
  const files = [{ version: 1, name: '0001_a.sql', sql: 'select 1' }]
  const changed = [
    [{ version: 1, name: '0001_a.sql', sql: 'select 2' }],
    [{ version: 1, name: '0001_b.sql', sql: 'select 1' }],
  ]
  for (const others of changed) expect(checksumOf(1, others)).not.toBe(checksumOf(1, files))
  expect(checksumOf(1, [...files, { version: 2, name: '0002_c.sql', sql: '' }])).toBe(checksumOf(1, files))
})

it('each schema is published as SDL', async () => {
  for (const version of Object.keys(exportedSchemas)) {
    const sdl = buildSchema(await readFile(path.join(projectRoot, SDL, `v${version}.graphql`), 'utf8'))
    expect(sdl.getQueryType()?.getFields()).toHaveProperty('contacts')
  }
})

it('all of it fits into what the platform lets a function weigh', async () => {
  const files = ['runtime', ...Object.keys(exportedSchemas).map((version) => `v${version}`)]
  const sizes = await Promise.all(
    files.map(async (name) => (await stat(path.join(projectRoot, EXPORTS, `${name}.mjs`))).size),
  )
  expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(MOST_BYTES)
})

it('the packages that are bundled bring their licences, and each of these lets us pass the package on', async () => {
  const runtime = await readFile(path.join(projectRoot, EXPORTS, 'runtime.mjs'), 'utf8')
  const notices = [...runtime.matchAll(/^\/\*! (\S+) (\S+), (\S+)\n\n([\s\S]*?) \*\/$/gm)]
  expect(notices.map(([, name]) => name)).toEqual(
    expect.arrayContaining(['grafast', '@dataplan/pg', 'pg-sql2']),
  )
  expect(runtime.match(/^\/\*! /gm)).toHaveLength(notices.length)
  for (const [, name, , license, text] of notices) {
    expect(license, name).toMatch(/^(MIT|ISC|0BSD|Apache-2\.0|BSD-[23]-Clause)$/)
    expect(text, name).toMatch(/copyright|permission/i)
  }
})
