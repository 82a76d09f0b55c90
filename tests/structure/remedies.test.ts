import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { failureCatalogue } from '../../shared/services/failures.ts'
import { checkRemedies } from '../../shared/tenants/remedies.ts'
import { projectRoot } from '../../tools/project.ts'

const folder = path.join(projectRoot, 'supabase/migrations')
const migrations = await Promise.all(
  (await readdir(folder)).map(async (name) => ({
    name,
    text: await readFile(path.join(folder, name), 'utf8'),
  })),
)

/** Lines of SQL without comments, and without apostrophes of either kind: SQL doubles the one, and texts curve it. */
const lines = migrations.flatMap(({ name, text }) =>
  text
    .split('\n')
    .filter((line) => !/^\s*--/.test(line))
    .map((line) => ({ name, line: line.replace(/['’]/g, '') })),
)
const linesWith = (holds: (line: string) => boolean) =>
  lines.filter(({ line }) => holds(line)).map(({ name, line }) => `${name}: ${line.trim()}`)

it('no migration holds a remedy of the catalogue, so that none needs a migration when it changes', () => {
  const remedies = [
    ...Object.values(failureCatalogue).map(({ remedy }) => remedy),
    ...Object.values(checkRemedies),
  ]
  const sentences = remedies.flatMap((remedy) => remedy?.text.replace(/’/g, '').split(/(?<=\.) /) ?? [])
  expect(sentences.length).toBeGreaterThan(40)
  expect(linesWith((line) => sentences.some((sentence) => line.includes(sentence)))).toEqual([])
})

it('no migration names a command: neither one of a program nor a statement that a reader should run', () => {
  expect(
    linesWith((line) => /\bnpm\b|\bnpx\b|supabase (secrets|functions|db)\b|tenants --/.test(line)),
  ).toEqual([])
  expect(linesWith((line) => /\bselect vault\.(create|update)_secret\b/.test(line))).toEqual([])
})
