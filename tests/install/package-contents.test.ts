import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { projectRoot } from '../../tools/project.ts'
import { runProgram } from '../../tools/run-program.ts'
import { packedPackage } from '../support/packed.ts'

/** What the package may hold: a folder, and the kinds of files that belong there. */
const ALLOWED = [
  /^(package\.json|README\.md|LICENSE)$/,
  /^cli\/.+\.js$/,
  /^cli\/install\/own-schema\.sql$/,
  /^tools\/.+\.js$/,
  /^react\/(index\.js|styles\.css|licenses\.md|types\/.+\.d\.ts)$/,
  // As it is here for the functions, and compiled for the commands.
  /^shared\/.+\.(ts|mts|js|mjs|graphql)$/,
  /^supabase\/migrations\/\d{14}_\w+\.sql$/,
  /^supabase\/functions\/(import_map\.json|[a-z-]+\/(index\.ts|deno\.json))$/,
  /^n8n-templates\/[a-z-]+\.json$/,
  /^tenant-schema\/(\d{4}_\w+\.sql|README\.md|(examples|generated)\/.+\.(sql|graphql))$/,
]
const FORBIDDEN = /\.test\.|\.tgz$|(^|\/)(\.env|\.local|\.git|node_modules|tests|local|console)(\/|$)/
const LIMIT_BYTES = 2_500_000

async function contents(): Promise<{ files: string[]; bytes: number }> {
  const packed = await packedPackage()
  const [listed, { length }] = await Promise.all([runProgram('tar', ['-tzf', packed]), readFile(packed)])
  const files = listed.split('\n').filter((name) => name !== '' && !name.endsWith('/'))
  return { files: files.map((name) => name.replace(/^package\//, '')), bytes: length }
}

it('the package holds what is to be published, and nothing else', async () => {
  const { files, bytes } = await contents()
  const strangers = files.filter((file) => FORBIDDEN.test(file) || !ALLOWED.some((kind) => kind.test(file)))
  expect(strangers).toEqual([])
  const unused = ALLOWED.filter((kind) => !files.some((file) => kind.test(file)))
  expect(unused, 'a kind that no file has any more').toEqual([])
  expect(bytes).toBeLessThan(LIMIT_BYTES)
})

it('what `npx` runs first is in it, and every migration', async () => {
  const { files } = await contents()
  expect(files).toEqual(expect.arrayContaining(['package.json', 'README.md', 'LICENSE', 'cli/bin.js']))
  const here = await runProgram('ls', [path.join(projectRoot, 'supabase/migrations')])
  for (const name of here.trim().split('\n')) expect(files).toContain(`supabase/migrations/${name}`)
})
