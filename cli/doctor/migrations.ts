import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import { projectRoot } from '../../tools/project.ts'
import { renderedMigrations } from '../install/migrations.ts'

/** What this checkout brings: a project may be behind it. */
export interface BundledMigrations {
  readonly migrations: readonly { readonly version: string; readonly name: string }[]
  /** As the migrations schedule them; quotes in commands are doubled, as in SQL. */
  readonly cronJobs: readonly CronJob[]
  /** By the function that each calls: the statement that makes it again, and switches it on. */
  readonly triggers: ReadonlyMap<string, string>
  /** As `table: name`. */
  readonly policies: ReadonlySet<string>
}

export interface CronJob {
  readonly name: string
  readonly schedule: string
  readonly command: string
}

const SCHEDULED = /cron\.schedule\('([\w-]+)',\s*'([^']+)',\s*'((?:[^']|'')+)'\)/g

const TRIGGER = /^create trigger ([^;]+ execute function provisioning\.(\w+)\(\);)/gm

const POLICY = /^create policy "([^"]+)" on \w+\.(\w+)/gm

export async function readMigrations(): Promise<BundledMigrations> {
  const migrations = await renderedMigrations(PUBLIC_SCHEMA)
  const texts = migrations.map(({ text }) => text)
  return {
    migrations: migrations.map(({ name: file }) => {
      const [, version = '', name = ''] = /^(\d+)_(.+)\.sql$/.exec(file) ?? []
      return { version, name }
    }),
    cronJobs: texts.flatMap((text) =>
      [...text.matchAll(SCHEDULED)].map(([, name = '', schedule = '', command = '']) => ({
        name,
        schedule,
        command,
      })),
    ),
    triggers: new Map(
      texts.flatMap((text) =>
        [...text.matchAll(TRIGGER)].map(([, definition = '', name = '']) => [
          name,
          `create or replace trigger ${definition.replaceAll(/\s+/g, ' ')}`,
        ]),
      ),
    ),
    policies: new Set(
      texts.flatMap((text) => [...text.matchAll(POLICY)].map(([, name, table]) => `${table}: ${name}`)),
    ),
  }
}

/** The functions of this checkout, by name. */
export async function readFunctionNames(): Promise<string[]> {
  const entries = await readdir(path.join(projectRoot, 'supabase/functions'), { withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory() && !/^[_.]/.test(entry.name)).map(({ name }) => name)
}
