import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { exists } from '../../../local/postgres/binaries.ts'
import { announced, createWorkplace, leftRunning, runCommand, startStack, type Workplace } from './command.ts'
import { stillRunning } from './processes.ts'
import { answerInTerminal, terminalAvailable } from './terminal.ts'

// A start takes three seconds; on a machine that does much else, ten times that.
vi.setConfig({ testTimeout: 90_000 })

describe('npm run reset', () => {
  let workplace: Workplace
  let directory: string
  let firstKey: string
  beforeAll(async () => {
    workplace = await createWorkplace()
    directory = path.join(workplace.directory, 'stack')
  })
  afterAll(() => workplace.remove())
  const reset = (...args: string[]) => runCommand('local/reset.ts', args, workplace.environment)

  test('has nothing to do before the first start', async () => {
    expect(await reset()).toEqual({
      code: 0,
      stdout: `There is nothing to delete: ${directory} does not exist.\n`,
      stderr: '',
    })
  })

  test('refuses while the stack runs, and names its process', async () => {
    const stack = await startStack(workplace)
    firstKey = announced(stack.stdout(), 'Secret key')
    for (const { code, stdout, stderr } of await Promise.all([reset('--yes'), reset('--dry-run')])) {
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
      expect(stderr).toContain(`The local stack is already running (process ${stack.pid})`)
    }
    stack.signal('SIGINT')
    expect(await stack.ended).toMatchObject({ code: 0 })
  })

  test('only says what it would delete on --dry-run', async () => {
    expect(await reset('--dry-run')).toEqual({ code: 0, stdout: `Would delete ${directory}.\n`, stderr: '' })
    expect(await exists(path.join(directory, 'keys.json'))).toBe(true)
  })

  test('explains itself when it was called wrongly', async () => {
    expect(await reset('--force')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/'--force'.*--yes/s),
    })
  })

  test.skipIf(!terminalAvailable).each(['n\n', '\n', '\u0003'])(
    'keeps everything when asked in a terminal and answered %j',
    async (answer) => {
      const { code, output } = await answerInTerminal(
        'local/reset.ts',
        '[y/N]',
        answer,
        workplace.environment,
      )
      expect(output).toContain(`Delete ${directory}? [y/N]`)
      expect(output.trimEnd().endsWith('Nothing was deleted.')).toBe(true)
      expect(code).toBe(1)
      expect(await exists(path.join(directory, 'keys.json'))).toBe(true)
    },
  )

  test('deletes all of it, even with the database of a killed start still running, and only its own directory', async () => {
    const killed = await startStack(workplace)
    killed.signal('SIGKILL')
    await killed.ended
    const [orphan] = (await readFile(path.join(directory, 'data/postmaster.pid'), 'utf8')).split('\n')
    expect(await reset('--yes')).toMatchObject({ code: 0, stderr: '' })
    expect(await stillRunning([Number(orphan)])).toEqual([])
    expect(await exists(directory)).toBe(false)
    expect(await exists(workplace.directory)).toBe(true)
  })

  test('lets the next start begin anew', async () => {
    const stack = await startStack(workplace)
    expect(announced(stack.stdout(), 'Secret key')).not.toBe(firstKey)
    stack.signal('SIGTERM')
    expect(await stack.ended).toMatchObject({ code: 0 })
    expect(await leftRunning(workplace)).toEqual([])
  })
})
