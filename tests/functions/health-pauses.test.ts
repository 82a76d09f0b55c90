import { describe, expect, it } from 'vitest'
import { waitOutShortPauses } from '../../shared/health/short-pauses.ts'
import { paused } from '../../shared/kernel/failures.ts'
import { failed, type Result, success } from '../../shared/kernel/result.ts'
import type { DatabaseNow, DatabaseWatch } from '../../shared/services/database/watch.ts'
import { failure } from '../../shared/services/neon/failures.ts'

const refused = (seconds: number) =>
  failed(paused(failure('neon_paused', 'its rate limit is used up'), seconds))

/** Gives these answers one after the other, and then that the compute is active. */
function answering(answers: readonly Result<DatabaseNow>[]): { watch: DatabaseWatch; asked: () => number } {
  let asked = 0
  const state = () => Promise.resolve(answers[asked++] ?? success<DatabaseNow>({ state: 'active' }))
  return { watch: waitOutShortPauses({ tier: 'database', words: {}, state }), asked: () => asked }
}

describe('a call to the provider', () => {
  it('whose turn comes soon waits for it, so that the check need not be put off', async () => {
    const { watch, asked } = answering([refused(0.1), refused(0.01), refused(0)])
    expect(await watch.state('a-project')).toMatchObject({ ok: true, value: { state: 'active' } })
    expect(asked()).toBe(4)
  })

  it('waits together with others, each for a turn of its own', async () => {
    const { watch, asked } = answering(Array.from({ length: 10 }, () => refused(0.02)))
    const results = await Promise.all(Array.from({ length: 10 }, () => watch.state('a-project')))
    expect(results.every(({ ok }) => ok)).toBe(true)
    expect(asked()).toBe(20)
  })

  it.each([
    ['whose turn is far away', refused(40)],
    ['that failed', failed(failure('neon_unavailable'))],
  ])('%s is put off at once', async (_, answer) => {
    const { watch, asked } = answering([answer])
    expect(await watch.state('a-project')).toEqual(answer)
    expect(asked()).toBe(1)
  })
})
