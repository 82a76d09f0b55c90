import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { createDrain, type Workload } from '../../shared/engine/drain.ts'

/** A workload in memory: pieces that are due, and that end when they are told to. */
function workload(limits: Partial<Workload['limits']> = {}, gatherMs: Workload['gatherMs'] = () => 0) {
  const state = {
    due: 0,
    /** Pieces at work. */
    ends: [] as (() => void)[],
    takes: 0,
    opened: 0,
    successors: 0,
    closed: 0,
    secondsUntilDue: undefined as number | undefined,
  }
  const open = async (): Promise<Workload> => {
    state.opened++
    return {
      limits: {
        concurrency: 3,
        maxPieces: 100,
        maxSeconds: 60,
        lingerMs: 0,
        lookAgainMs: 5,
        ...limits,
      },
      gatherMs,
      async take(room) {
        state.takes++
        const count = Math.min(room, state.due)
        state.due -= count
        const pieces = Array.from(
          { length: count },
          () => new Promise<void>((resolve) => void state.ends.push(resolve)),
        )
        return { pieces, more: count > 0 }
      },
      secondsUntilDue: async () => (state.due > 0 ? 0 : state.secondsUntilDue),
      close: async () => void state.closed++,
      ringSuccessor: async () => void state.successors++,
    }
  }
  const endAll = () => {
    for (const end of state.ends.splice(0)) end()
  }
  return { state, drain: createDrain(open), endAll }
}

const atWork = (state: { ends: unknown[] }, pieces: number) =>
  vi.waitFor(() => expect(state.ends).toHaveLength(pieces), { timeout: 10_000 })

describe('a drain', () => {
  it('keeps as many pieces at work as it may, and ends when nothing is left', async () => {
    const { state, drain, endAll } = workload()
    state.due = 5
    const ended = drain.ring()
    await atWork(state, 3)
    state.ends.shift()?.()
    await atWork(state, 3)
    expect(state.due).toBe(1)
    endAll()
    await atWork(state, 1)
    endAll()
    await ended
    expect(state).toMatchObject({ opened: 1, successors: 0, closed: 1, due: 0 })
  })

  it('waits for more than one place where work is patient, until somebody rings', async () => {
    const { state, drain, endAll } = workload({}, (room) => (room < 2 ? 60_000 : 0))
    state.due = 6
    const ended = drain.ring()
    await atWork(state, 3)
    const { takes } = state
    state.ends.shift()?.()
    await sleep(50)
    expect([state.due, state.takes]).toEqual([3, takes])
    state.ends.shift()?.()
    await atWork(state, 3)
    expect(state.due).toBe(1)
    state.ends.shift()?.()
    await sleep(50)
    expect(state.due).toBe(1)
    void drain.ring()
    await atWork(state, 3)
    endAll()
    await ended
  })

  it('is one at a time, however often it is rung, and looks once more for each who rings', async () => {
    const { state, drain, endAll } = workload()
    state.due = 1
    const ended = drain.ring()
    await atWork(state, 1)
    const takes = state.takes
    state.due = 1
    expect([drain.ring(), drain.ring()]).toEqual([ended, ended])
    await atWork(state, 2)
    expect(state.takes).toBeLessThanOrEqual(takes + 3)
    endAll()
    await ended
    expect(state.opened).toBe(1)
    await drain.ring()
    expect(state.opened, 'a new one when it has ended').toBe(2)
  })

  it('rings for a successor when it has had its share, which does not wait for its last pieces', async () => {
    const { state, drain, endAll } = workload({ maxPieces: 2 })
    state.due = 3
    const ended = drain.ring()
    await atWork(state, 2)
    await vi.waitFor(() => expect(state.successors).toBe(1), { timeout: 10_000 })
    expect(state.closed).toBe(0)
    const successor = drain.ring()
    expect(successor).not.toBe(ended)
    await atWork(state, 3)
    endAll()
    await Promise.all([ended, successor])
    expect(state).toMatchObject({ opened: 2, due: 0, closed: 2 })
  })

  it('waits for what falls due within seconds, and leaves later work to the sweep', async () => {
    const { state, drain } = workload()
    state.secondsUntilDue = 600
    await drain.ring()
    expect(state.takes).toBe(1)
    state.secondsUntilDue = 0.3
    const ended = drain.ring()
    await sleep(200)
    state.due = 1
    await atWork(state, 1)
    state.secondsUntilDue = undefined
    state.ends.shift()?.()
    await ended
    expect(state.opened).toBe(2)
  })

  it('asks for work that is due and cannot be taken now and then, not in a tight loop', async () => {
    const { state, drain } = workload({ concurrency: 3 })
    state.secondsUntilDue = 0
    const since = performance.now()
    const ended = drain.ring()
    await vi.waitFor(() => expect(state.takes).toBeGreaterThanOrEqual(3), { timeout: 10_000 })
    expect(state.takes).toBeLessThanOrEqual(3 + (performance.now() - since) / 500)
    state.secondsUntilDue = undefined
    await ended
  })

  it('goes on after a piece that breaks, and after one that breaks it off', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    let takes = 0
    const pieces = [Promise.reject(new Error('broken')), Promise.resolve()]
    const drain = createDrain(async () => ({
      limits: { concurrency: 1, maxPieces: 9, maxSeconds: 9, lingerMs: 0, lookAgainMs: 0 },
      async take() {
        if (takes++ === 3) throw new Error('no database')
        const piece = pieces.shift()
        return { pieces: piece ? [piece] : [], more: false }
      },
      ringSuccessor: async () => undefined,
    }))
    await drain.ring()
    expect(pieces).toEqual([])
    await expect(drain.ring()).rejects.toThrow('no database')
    await drain.ring()
    expect(log).toHaveBeenCalledTimes(1)
    log.mockRestore()
  })
})

describe('a drain that lingers', () => {
  const LINGER = { lingerMs: 400, lookAgainMs: 5 }

  it('finds by itself what falls due soon after a ring that found nothing', async () => {
    const { state, drain, endAll } = workload({ lingerMs: 60_000, lookAgainMs: 5 })
    void drain.ring()
    await sleep(150)
    state.due = 1
    await atWork(state, 1)
    endAll()
    expect(state.opened).toBe(1)
  })

  it('does so while other pieces are at work, too', async () => {
    const { state, drain, endAll } = workload(LINGER)
    state.due = 1
    const ended = drain.ring()
    await atWork(state, 1)
    await sleep(100)
    state.due = 1
    await atWork(state, 2)
    endAll()
    await ended
  })

  it('serves a ring at once', async () => {
    const { state, drain, endAll } = workload({ lingerMs: 60_000, lookAgainMs: 30_000 })
    void drain.ring()
    await sleep(50)
    state.due = 1
    void drain.ring()
    await atWork(state, 1)
    expect(state.opened).toBe(1)
    endAll()
  })

  it('ends when that time is over', async () => {
    const { state, drain } = workload(LINGER)
    const since = performance.now()
    await drain.ring()
    expect(performance.now() - since).toBeGreaterThan(350)
    expect(performance.now() - since).toBeLessThan(10_000)
    expect(state.takes, 'looking is not taking').toBe(1)
  })

  it('looks less often for what is due and cannot be taken', async () => {
    const { state, drain } = workload({ lingerMs: 60_000, lookAgainMs: 5 })
    state.secondsUntilDue = 0
    const since = performance.now()
    void drain.ring()
    await vi.waitFor(() => expect(state.takes).toBeGreaterThan(5), { timeout: 10_000 })
    expect(state.takes).toBeLessThan(3 + (performance.now() - since) / 20)
    state.secondsUntilDue = undefined
  })
})
