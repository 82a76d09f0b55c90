import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { log, withLogFields } from '../../shared/kernel/log.ts'
import { projectRoot } from '../../tools/project.ts'
import { startTestProject, type TestProject, until } from '../support/project.ts'

type Line = Readonly<Record<string, unknown>>

let project: TestProject
beforeAll(async () => {
  project = await startTestProject()
})
afterAll(() => project?.stop())

/** What the functions have logged in JSON so far. */
const lines = (): Line[] =>
  project.log.flatMap(({ text }) => (text.startsWith('{') ? [JSON.parse(text) as Line] : []))

const linesOf = (organizationId: string) =>
  lines().filter(({ organization }) => organization === organizationId)

describe('the log of the functions', () => {
  it('tells of a call to a provider for which job, step and organization it was, also of jobs side by side', async () => {
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'status', status: 401 },
    })
    const people = await Promise.all([project.signUp(), project.signUp(), project.signUp()])
    for (const { organizationId } of people) {
      await until(
        'failed call',
        async () => linesOf(organizationId).some(({ message }) => message === 'the step failed') || undefined,
      )
      const [job] = await project.sql`
        select id, kind from public.provisioning_jobs where organization_id = ${organizationId}`
      const about = {
        ...{ level: 'warn', trace: job?.id, job: job?.id, kind: job?.kind, organization: organizationId },
        ...{ step: 'neon_project', attempt: 1, code: 'neon_key_rejected' },
      }
      expect(linesOf(organizationId)).toEqual([
        {
          ...about,
          message: 'a call to a provider failed',
          request: expect.any(String),
          provider: 'neon',
          route: expect.any(String),
        },
        { ...about, message: 'the step failed', request: expect.any(String) },
      ])
    }
    project.neonEmulator.faults.clear()
  })

  it('links each ring, which has an id of its own, to the jobs that it has claimed', async () => {
    const claims = lines().filter(({ message }) => message === 'claimed jobs')
    const jobs = await project.sql<{ id: string }[]>`select id from public.provisioning_jobs`
    expect(claims.flatMap((claim) => claim.jobs)).toEqual(expect.arrayContaining(jobs.map(({ id }) => id)))
    for (const claim of claims) {
      expect(claim).toMatchObject({ level: 'info', worker: 'provisioning', request: expect.any(String) })
      expect(claim).not.toHaveProperty('trace')
    }
    for (const { trace, request } of lines().filter((line) => line.trace !== undefined))
      expect(claims).toContainEqual(
        expect.objectContaining({ request, jobs: expect.arrayContaining([trace]) }),
      )
  })

  it('has nothing but lines of JSON from our code', async () => {
    const texts = project.log.map(({ text }) => text)
    expect(texts.filter((text) => !text.startsWith('{'))).toEqual([])
  })

  it('is written in one place', async () => {
    const shared = path.join(projectRoot, 'shared')
    const names = (await readdir(shared, { recursive: true })).filter(
      (name) => name.endsWith('.ts') && !name.startsWith('generated'),
    )
    const writers = await Promise.all(
      names.map(async (name) =>
        /\bconsole(?:\[|\.(?:log|info|warn|error|debug)\b)/.test(
          await readFile(path.join(shared, name), 'utf8'),
        )
          ? [name]
          : [],
      ),
    )
    expect(writers.flat()).toEqual(['kernel/log.ts'])
  })
})

describe('a line of the log', () => {
  function written(level: 'info' | 'warn' | 'error', write: () => void): Line {
    const spy = vi.spyOn(console, level).mockImplementation(() => undefined)
    write()
    const [[text] = []] = spy.mock.calls
    expect(spy).toHaveBeenCalledTimes(1)
    spy.mockRestore()
    expect(String(text)).not.toContain('\n')
    return JSON.parse(String(text))
  }

  it('has the fields of the work around it, and its own first', () => {
    const line = withLogFields({ job: 'a', step: 'b' }, () =>
      withLogFields({ step: 'c' }, () => written('info', () => log.info('done', { code: 'd' }))),
    )
    expect(line).toEqual({ level: 'info', message: 'done', job: 'a', step: 'c', code: 'd' })
  })

  it('has an error with its cause and place, in one line, without secrets, and cut to a length', () => {
    const cause = Object.assign(new Error('no route to postgres://app:s3cret@db.example/x'), {
      code: 'EHOST',
    })
    const error = new TypeError(`napi_abcdef\n${'x'.repeat(100_000)}`, { cause })
    const line = written('error', () => log.error('it crashed', {}, error))
    expect(line).toMatchObject({
      level: 'error',
      error: {
        name: 'TypeError',
        message: expect.stringContaining('napi_***'),
        at: expect.stringContaining('log.test.ts'),
        cause: { code: 'EHOST', message: 'no route to postgres://app:***@db.example/x' },
      },
    })
    expect(JSON.stringify(line).length).toBeLessThan(4_000)
  })

  it('ends where causes cause one another', () => {
    const error = new Error('first')
    error.cause = new Error('second', { cause: error })
    expect(written('error', () => log.error('it crashed', {}, error))).toMatchObject({
      error: { message: 'first', cause: { message: 'second', cause: { message: 'first' } } },
    })
  })
})
