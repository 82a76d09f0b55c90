import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { failure, generalFailures } from '../../shared/kernel/failures.ts'
import { REFUSALS } from '../../shared/kernel/refusals.ts'
import { moveFailures } from '../../shared/services/database/move/failures.ts'
import { failureCatalogue, remedyFor } from '../../shared/services/failures.ts'
import { services } from '../../shared/services/registry.ts'
import { tenantDatabaseFailures } from '../../shared/tenant-database/failures.ts'
import { printFailureCodes, withFailureTexts } from '../../tools/failure-codes/print.ts'
import { projectRoot } from '../../tools/project.ts'
import { openProject, type Project } from '../database/project.ts'

let project: Project
beforeAll(async () => {
  project = await openProject()
})
afterAll(() => project?.close())

const file = (name: string) => readFile(path.join(projectRoot, name), 'utf8')

describe('the catalogue of failures', () => {
  it('has each code once, whichever service it belongs to', () => {
    const parts = [
      generalFailures,
      tenantDatabaseFailures,
      moveFailures,
      ...services.map(({ failures }) => failures),
    ]
    const codes = parts.flatMap((part) => Object.keys(part))
    expect(Object.keys(failureCatalogue).sort()).toEqual(codes.sort())
  })

  it('says what a person does about everything that does not go on by itself', () => {
    const helpless = Object.entries(failureCatalogue)
      .filter(([, { retryable, remedy }]) => !retryable && !remedy)
      .map(([code]) => code)
    // The organization's deletion has its own job.
    expect(helpless).toEqual(['organization_gone'])
  })

  it('is what docs/failure-codes.md says (npm run failure-codes)', async () => {
    expect(await file('docs/failure-codes.md')).toBe(printFailureCodes())
  })

  it('is what the migration says (npm run failure-codes)', async () => {
    const migration = await file('supabase/migrations/20260101000350_failures.sql')
    expect(migration).toBe(withFailureTexts(migration))
  })

  it('has the same words in the database, for the failures that it writes by itself', async () => {
    for (const code of Object.keys(generalFailures) as (keyof typeof generalFailures)[]) {
      const [row] = await project.sql`
        select provisioning.failure(${code}) as plain, provisioning.failure(${code}, 'for a reason') as detailed`
      expect(row).toEqual({ plain: failure(code), detailed: failure(code, 'for a reason') })
    }
  })

  it('knows every code that the database writes', async () => {
    await expect(project.sql`select provisioning.failure('no_such_code')`).rejects.toThrow(/no rows/)
  })
})

it('each SQLSTATE of ours with which the database refuses a caller has a code for the answer', async () => {
  const folder = path.join(projectRoot, 'supabase', 'migrations')
  const texts = await Promise.all((await readdir(folder)).map((name) => file(`supabase/migrations/${name}`)))
  const raised = new Set(texts.flatMap((text) => text.match(/(?<=errcode = ')(?:TP|PT)\d{3}/g) ?? []))
  // Those are for workers, which drop the job.
  const toWorkers = ['TP001', 'TP002']
  expect(raised.size).toBeGreaterThan(15)
  expect([...raised].filter((code) => !(code in REFUSALS) && !toWorkers.includes(code))).toEqual([])
})

describe('the remedy of a failure', () => {
  it('asks for a retry of the service that failed', () => {
    expect(remedyFor('step_crashed', 'stripe')).toEqual({
      text: 'Every attempt failed. When the cause has passed, retry.',
      commands: [{ command: 'retry', service: 'stripe' }],
    })
  })

  it('asks for another service where that is what helps', () => {
    expect(remedyFor('neon_project_limit_reached', 'graphql').commands).toEqual([
      { command: 'retry', service: 'neon' },
    ])
  })

  it('is to look at the message when the code is unknown, or there is none', () => {
    for (const code of ['code_of_another_version', null])
      expect(remedyFor(code)).toEqual({
        text: 'Mend what the message names, then retry.',
        commands: [{ command: 'retry' }],
      })
  })
})
