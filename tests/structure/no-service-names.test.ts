import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { projectRoot } from '../../tools/project.ts'
import { openProject, type Project } from '../database/project.ts'

/** What works for every service and every kind of job, and so may name none. */
const MIGRATIONS = [
  'jobs',
  'tenant_resources',
  'engine',
  'pauses',
  'provider_limits',
  'dispatch',
  'requests',
  'deprovisioning',
  'reconciliation',
  'tenant_health',
  'health_checks',
  'fleet_list',
  'health_tick',
]
const FOLDERS = ['shared/engine', 'shared/reconciliation', 'shared/health']
const FILES = ['index.ts', 'guard.ts', 'inventory.ts', 'resources.ts', 'service.ts'].map((name) =>
  name === 'index.ts' ? 'supabase/functions/provision-tenant-resources/index.ts' : `shared/services/${name}`,
)

/** Services that are called by a word that means something else nearly everywhere. What they make and do is looked for by its name. */
const WORDS_OF_THE_PLATFORM = ['database', 'supabase']

let project: Project
let names: { services: RegExp; kinds: RegExp }

beforeAll(async () => {
  project = await openProject()
  const rows = await project.sql<
    { services: string[]; resources: string[]; steps: string[]; kinds: string[] }[]
  >`
    select array(select service from provisioning.services) as services,
      array(select kind from provisioning.resource_kinds) as resources,
      array(select distinct step from provisioning.step_definitions) as steps,
      array(select kind from provisioning.job_kinds) as kinds`
  const { resources = [], steps = [], kinds = [] } = rows[0] ?? {}
  const services = (rows[0]?.services ?? []).filter((name) => !WORDS_OF_THE_PLATFORM.includes(name))
  names = {
    services: new RegExp(
      `\\b(\\w*(${services.join('|')})\\w*|${[...resources, ...steps].join('|')})\\b`,
      'i',
    ),
    kinds: new RegExp(`'(${kinds.join('|')})'`),
  }
})
afterAll(() => project?.close())

async function filesOf(folder: string): Promise<string[]> {
  const found = await readdir(path.join(projectRoot, folder), { recursive: true })
  return found.filter((name) => name.endsWith('.ts')).map((name) => `${folder}/${name}`)
}

async function migrationsCalled(subjects: readonly string[]): Promise<string[]> {
  const found = await readdir(path.join(projectRoot, 'supabase/migrations'))
  return subjects.map((subject) => {
    const name = found.find((each) => each.endsWith(`_${subject}.sql`))
    if (!name) throw new Error(`there is no migration of ${subject}`)
    return `supabase/migrations/${name}`
  })
}

/** Lines of code that match, without comments. `kind_for('provision')` asks for a purpose, not for a kind. */
async function offences(file: string, pattern: RegExp): Promise<string[]> {
  const text = await readFile(path.join(projectRoot, file), 'utf8')
  return text
    .split('\n')
    .filter((line) => !/^\s*(--|\/\/|\/?\*)/.test(line))
    .filter((line) => pattern.test(line.replace(/kind_for\('\w+'\)/g, '')))
    .map((line) => `${file}: ${line.trim()}`)
}

describe('what works for every service', () => {
  it('knows the names that it must not know', () => {
    expect('record_stripe_customer').toMatch(names.services)
    expect("'undo'").toMatch(names.kinds)
  })

  it('names none, nor what one makes, in its SQL', async () => {
    const files = await migrationsCalled(MIGRATIONS)
    const found = await Promise.all(files.map((file) => offences(file, names.services)))
    expect(found.flat()).toEqual([])
  })

  it('names no kind of job in its SQL', async () => {
    const files = await migrationsCalled(MIGRATIONS)
    const found = await Promise.all(files.map((file) => offences(file, names.kinds)))
    expect(found.flat()).toEqual([])
  })

  it('names no service and no kind of job in its TypeScript', async () => {
    const files = [...(await Promise.all(FOLDERS.map(filesOf))).flat(), ...FILES]
    const found = await Promise.all(
      files.flatMap((file) => [offences(file, names.services), offences(file, names.kinds)]),
    )
    expect(found.flat()).toEqual([])
  })
})
