import { describe, expect, it } from 'vitest'
import { waitOutShortPauses } from '../../shared/health/short-pauses.ts'
import type { HealthProvider } from '../../shared/health/tenant-check.ts'
import { paused } from '../../shared/kernel/failures.ts'
import { failed, type Result, success } from '../../shared/kernel/result.ts'
import type { Compute } from '../../shared/services/neon/client.ts'
import { failure } from '../../shared/services/neon/failures.ts'

const refused = (seconds: number) =>
  failed(paused(failure('neon_paused', 'its rate limit is used up'), seconds))

/** Gives these answers one after the other, and then that the compute is active. */
function answering(answers: readonly Result<Compute>[]): { provider: HealthProvider; asked: () => number } {
  let asked = 0
  const compute = () => Promise.resolve(answers[asked++] ?? success<Compute>({ state: 'active' }))
  const never = () => Promise.reject(new Error('was not to be asked'))
  return { provider: waitOutShortPauses({ compute, usage: never, projectPage: never }), asked: () => asked }
}

describe('a call to the provider', () => {
  it('whose turn comes soon waits for it, so that the check need not be put off', async () => {
    const { provider, asked } = answering([refused(0.1), refused(0.01), refused(0)])
    expect(await provider.compute('a-project')).toMatchObject({ ok: true, value: { state: 'active' } })
    expect(asked()).toBe(4)
  })

  it('waits together with others, each for a turn of its own', async () => {
    const { provider, asked } = answering(Array.from({ length: 10 }, () => refused(0.02)))
    const results = await Promise.all(Array.from({ length: 10 }, () => provider.compute('a-project')))
    expect(results.every(({ ok }) => ok)).toBe(true)
    expect(asked()).toBe(20)
  })

  it.each([
    ['whose turn is far away', refused(40)],
    ['that failed', failed(failure('neon_unavailable'))],
  ])('%s is put off at once', async (_, answer) => {
    const { provider, asked } = answering([answer])
    expect(await provider.compute('a-project')).toEqual(answer)
    expect(asked()).toBe(1)
  })
})
