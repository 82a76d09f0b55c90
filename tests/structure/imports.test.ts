import { expect, it } from 'vitest'
import { circlesOf, importsOf, readImports } from './imports.ts'

/** Folders of shared/ from the lowest to the highest. Those of one layer do not know each other. */
const LAYERS = [
  ['generated'],
  ['kernel'],
  ['engine'],
  ['tenant-database'],
  ['tenant-graphql'],
  ['services'],
  ['alerts', 'health', 'metrics', 'reconciliation', 'tenants'],
  ['graphql'],
]

/** What each part of the repository may import beside itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  shared: [],
  'supabase/functions': ['shared'],
  tools: ['shared'],
  cli: ['tools', 'shared'],
  local: ['tools', 'shared'],
}

const graph = await readImports(Object.keys(MAY_IMPORT))

const partOf = (file: string) =>
  file.startsWith('supabase/functions/') ? 'supabase/functions' : (file.split('/')[0] ?? '')

const layerOf = (folder: string) => LAYERS.findIndex((layer) => layer.includes(folder))

function isAllowed(from: string, to: string): boolean {
  const [part, target] = [partOf(from), partOf(to)]
  if (part !== target) return (MAY_IMPORT[part] ?? []).includes(target)
  if (part !== 'shared') return true
  const [folder, targetFolder] = [from.split('/')[1] ?? '', to.split('/')[1] ?? '']
  return folder === targetFolder || layerOf(targetFolder) < layerOf(folder)
}

it('the folders of shared/ are those of the layers, and each has a file', () => {
  const folders = new Set(
    [...graph.keys()].filter((file) => file.startsWith('shared/')).map((file) => file.split('/')[1]),
  )
  expect([...folders].sort()).toEqual(LAYERS.flat().sort())
})

it('no import goes up the layers or into a part that must not be known', () => {
  const forbidden = [...graph].flatMap(([from, targets]) =>
    targets.filter((to) => !isAllowed(from, to)).map((to) => `${from} → ${to}`),
  )
  expect(forbidden).toEqual([])
})

it('no file imports itself, directly or by way of others', () => {
  expect(circlesOf(graph)).toEqual([])
})

it('the test sees every form of import', () => {
  const text = [
    "import { a } from './a.ts'",
    "import type { B } from '../b.ts'",
    "import {\n  c,\n} from '../kernel/c.ts'",
    "export * from './d.ts'",
    "const e = await import('./e.ts')",
    "import './f.ts'",
    "import postgres from 'postgres'",
  ].join('\n')
  expect(importsOf('shared/engine/x.ts', text)).toEqual([
    'shared/engine/a.ts',
    'shared/b.ts',
    'shared/kernel/c.ts',
    'shared/engine/d.ts',
    'shared/engine/e.ts',
    'shared/engine/f.ts',
  ])
  const circle = new Map([
    ['a.ts', ['b.ts']],
    ['b.ts', ['c.ts', 'a.ts']],
    ['c.ts', ['b.ts']],
    ['d.ts', ['d.ts']],
  ])
  expect(circlesOf(circle)).toEqual(['a.ts → b.ts → a.ts', 'b.ts → c.ts → b.ts', 'd.ts → d.ts'])
})
