import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { projectRoot } from '../../tools/project.ts'
import { openProject, type Project } from '../database/project.ts'

/**
 * Migrations that name services or kinds of job, each with what it names. What is in none of these works for every service and
 * every kind, and so may name none. A migration of a service (…_service_NAME.sql) names that one.
 */
const MAY_NAME: Readonly<Record<string, string>> = {
  foundation: 'our own names of indexes and functions, by which an installation is recognized',
  reference_data: 'regions of Neon, with what a sign-up may call them',
  kinds_of_work: 'rows: the first tiers and kinds of job',
  identity: 'columns of organizations that applications know',
  tenant_databases: 'columns of organization_databases that applications know',
  project_database: 'rows of the service "database"',
  tenant_logins: 'kinds of job of its own',
  tenant_access: 'a kind of job of its own',
  project_rotation: 'steps of a rotation',
  sign_up_defaults: 'the column of regions that may be asked for',
  sign_up: 'the column of regions that may be asked for, and a word in the metadata of a user',
  tenant_people: 'a kind of job of its own',
  fleet_migrations: 'kinds of job of its own',
  tenant_list: 'columns that applications know',
  provisioning_progress: 'a field of the answer that is called like a kind',
  tenant_graphql: 'the GraphQL endpoint, whose documents it has',
  moves: 'kinds of job of its own',
}
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

const MIGRATIONS = 'supabase/migrations'

/** What each migration is about, by its file. */
async function migrations(): Promise<Map<string, string>> {
  const found = await readdir(path.join(projectRoot, MIGRATIONS))
  return new Map(found.map((name) => [`${MIGRATIONS}/${name}`, name.replace(/^\d+_|\.sql$/g, '')]))
}

/** Lines of code that match, without comments. `kind_for('provision')` asks for a purpose, not for a kind, and so does `job_of`. */
async function offences(file: string, pattern: RegExp): Promise<string[]> {
  const text = await readFile(path.join(projectRoot, file), 'utf8')
  return text
    .replace(/^comment on [^;']*'(?:[^']|'')*';/gm, '')
    .split('\n')
    .filter((line) => !/^\s*(--|\/\/|\/?\*)/.test(line))
    .filter((line) => pattern.test(line.replace(/(?:kind_for\(|job_of\(\w+, )'\w+'\)/g, '')))
    .map((line) => `${file}: ${line.trim()}`)
}

describe('what works for every service', () => {
  it('knows the names that it must not know', () => {
    expect('record_stripe_customer').toMatch(names.services)
    expect("'undo'").toMatch(names.kinds)
  })

  it('names none, nor what one makes, and no kind of job in its SQL', async () => {
    const general = [...(await migrations())].filter(
      ([, subject]) => !subject.startsWith('service_') && !(subject in MAY_NAME),
    )
    expect(general.length).toBeGreaterThan(40)
    const found = await Promise.all(
      general.flatMap(([file]) => [offences(file, names.services), offences(file, names.kinds)]),
    )
    expect(found.flat()).toEqual([])
  })

  it('has no exceptions but those that are needed', async () => {
    const files = new Map([...(await migrations())].map(([file, subject]) => [subject, file]))
    for (const subject of Object.keys(MAY_NAME)) {
      const file = files.get(subject) ?? ''
      const found = await Promise.all([offences(file, names.services), offences(file, names.kinds)])
      expect(found.flat(), subject).not.toEqual([])
    }
  })

  it('names no service and no kind of job in its TypeScript', async () => {
    const files = [...(await Promise.all(FOLDERS.map(filesOf))).flat(), ...FILES]
    const found = await Promise.all(
      files.flatMap((file) => [offences(file, names.services), offences(file, names.kinds)]),
    )
    expect(found.flat()).toEqual([])
  })
})
