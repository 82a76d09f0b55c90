import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { PROBLEM_CODES } from '../../shared/kernel/http/problem.ts'
import { failureCatalogue } from '../../shared/services/failures.ts'
import { projectRoot } from '../../tools/project.ts'

interface Words {
  errorText(error: unknown): string
  failureText(code: string): string
  stepTitle(step: string): string
  stepText(step: string): string | undefined
  readonly ApiError: new (
    message: string,
    code: string,
    more?: { retryAfterSeconds?: number; requestId?: string },
  ) => Error
}

// Its modules name each other as a bundler resolves them: not for the compiler that reads this file.
const LIB = '../../console/src/components/tenants/lib'
const modules = await Promise.all(['api', 'words', 'failure-text'].map((name) => import(`${LIB}/${name}.ts`)))
const { ApiError, errorText, failureText, stepText, stepTitle }: Words = Object.assign({}, ...modules)

const textOf = (code: string) => errorText(new ApiError('', code))

/** Sentences, and no code among their words but the names of secrets that are to be set. n8n and service_role
 * are written so. */
const PLAIN = /^(?!.*\b(?!service_role\b)[a-z]+_[a-z])(?:[A-Z]|n8n )[^{}]*\.$/

it.each([...PROBLEM_CODES, 'offline', 'unreachable', 'signed_out', 'page_not_loaded', 'key_unauthorized'])(
  'says the refusal %s in plain words',
  (code) => {
    expect(textOf(code)).toMatch(PLAIN)
    expect(textOf(code)).not.toBe(textOf('a code that nobody knows'))
  },
)

it.each(Object.keys(failureCatalogue))('says the failure %s in plain words', (code) => {
  expect(failureText(code)).toMatch(PLAIN)
  expect(failureText(code)).not.toBe(failureText(`${code}_`))
})

it('says of every step of a provisioning, of both tiers, what it does', async () => {
  const folder = path.join(projectRoot, 'supabase/migrations')
  const files = (await readdir(folder)).map((name) => readFile(path.join(folder, name), 'utf8'))
  const rows = (await Promise.all(files))
    .join('\n')
    .matchAll(/^ +\('provision', '(?:database|project)', '(\w+)'/gm)
  const steps = new Set(Array.from(rows, ([, step = '']) => step))
  expect(steps.size).toBeGreaterThan(10)
  const titles = [...steps].map(stepTitle)
  expect(new Set(titles).size).toBe(steps.size)
  for (const step of steps) expect(stepText(step)).toMatch(PLAIN)
})

it('makes a sentence of a code that it does not know, such as that of a step of one’s own', () => {
  expect(failureText('mail_server_refused')).toBe('Mail server refused.')
})

it('lets the API say what it knows better, and names the request that support has to look for', () => {
  expect(errorText(new ApiError('Choose small or medium.', 'unknown_choice'))).toBe('Choose small or medium.')
  expect(errorText(new ApiError('', 'too_many_requests', { retryAfterSeconds: 7 }))).toMatch(/in 7 s\.$/)
  expect(errorText(new ApiError('', 'internal_error', { requestId: 'abc' }))).toContain('abc')
})
