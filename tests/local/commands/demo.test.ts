import { describe, expect, test, vi } from 'vitest'
import { startCommand } from './command.ts'
import { createDemoPlace, expectEnded } from './demo-place.ts'
import { descendants } from './processes.ts'

vi.setConfig({ testTimeout: 150_000 })

/** Functions may finish their work for two seconds; the rest is for a machine that does much else. */
const STOP_LIMIT_MS = 6_000

// npm run test:long watches a whole demo.
describe('npm run demo', () => {
  test.each([
    ['while it starts', '… applying migrations', false],
    ['in the middle', '… neon_project', true],
  ] as const)(
    'stops in order on Ctrl-C %s, in a private checkout and without a home',
    async (_when, line, started) => {
      await using place = await createDemoPlace()
      const demo = startCommand('local/demo.ts', [], place.environment, place.checkout)
      await demo.printed(line)
      const programs = await descendants(demo.pid)
      expect(programs.some(({ command }) => command.includes('deno'))).toBe(started)
      const interruptedAt = performance.now()
      demo.signalGroup('SIGINT')
      const { code, stdout, stderr } = await demo.ended
      expect({ code, stderr }).toEqual({ code: 130, stderr: 'Interrupted; nothing is left running.\n' })
      expect(stdout).not.toContain('Every sign-up')
      expect(performance.now() - interruptedAt).toBeLessThan(STOP_LIMIT_MS)
      await expectEnded(programs)
      expect(await place.leftDirectories()).toEqual([])
    },
  )
})
