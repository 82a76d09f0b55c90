import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FunctionProcesses } from '../../local/gateway/functions/processes.ts'
import { reachableDirectory } from '../../local/postgres/server.ts'
import { localDirectory, makeLocal, makePrivate } from '../../tools/local-directory.ts'
import { projectRoot } from '../../tools/project.ts'

let base: string

beforeAll(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'private-'))
})

afterAll(() => rm(base, { recursive: true }))

const modeOf = async (directory: string) => (await stat(directory)).mode & 0o777

it('the directory of the local stack is closed to others, also one that was open before', async () => {
  const open = path.join(base, '.local')
  await mkdir(open, { mode: 0o755 })
  await makePrivate(open)
  expect(await modeOf(open)).toBe(0o700)
  const stack = await reachableDirectory(path.join(open, 'stack'))
  expect(await modeOf(stack)).toBe(0o700)
  if (stack !== path.join(open, 'stack')) await rm(stack, { recursive: true })
})

describe('the directory .local of a checkout', () => {
  it('is closed to others by whoever makes something in it, whatever that is', async () => {
    await mkdir(localDirectory, { recursive: true })
    const inside = await mkdtemp(path.join(localDirectory, 'private-'))
    try {
      for (const made of [localDirectory, path.join(inside, 'deno')]) {
        await chmod(localDirectory, 0o755)
        await makeLocal(made)
        expect([made, await modeOf(localDirectory)]).toEqual([made, 0o700])
      }
    } finally {
      await rm(inside, { recursive: true })
    }
  })

  it('is closed to others when a function is started with its cache of modules in there', async () => {
    await chmod(localDirectory, 0o755)
    const functions = new FunctionProcesses({
      functionsDir: path.join(projectRoot, 'tests/local/fixtures/functions'),
      denoDir: path.join(localDirectory, 'deno'),
      environment: {},
      log: () => undefined,
      startTimeoutMs: 20_000,
      stopGraceMs: 1_000,
    })
    await (await functions.begin('slow')).process
    await functions.stop()
    expect(await modeOf(localDirectory)).toBe(0o700)
  })

  it('may have another name, but nothing outside of the checkout is closed, nor the checkout itself', async () => {
    const named = await mkdtemp(path.join(localDirectory, 'named-'))
    try {
      await chmod(named, 0o755)
      await makeLocal(path.join(named, 'stack'), named)
      expect(await modeOf(named)).toBe(0o700)
    } finally {
      await rm(named, { recursive: true })
    }
    const elsewhere = path.join(base, 'elsewhere')
    await mkdir(elsewhere, { mode: 0o755 })
    const before = await modeOf(projectRoot)
    await makeLocal(path.join(elsewhere, 'stack'), elsewhere)
    await makeLocal(path.join(localDirectory, 'stack'), projectRoot)
    expect([await modeOf(elsewhere), await modeOf(projectRoot)]).toEqual([0o755, before])
  })

  it('is made by that one helper alone', async () => {
    const found: string[] = []
    for (const folder of ['cli', 'local', 'shared', 'tests', 'tools'])
      for (const name of await readdir(path.join(projectRoot, folder), { recursive: true })) {
        const file = path.posix.join(folder, name)
        if (!file.endsWith('.ts') || file.includes('generated')) continue
        if (/['"`/]\.local\b(?!host)/.test(await readFile(path.join(projectRoot, file), 'utf8')))
          found.push(file)
      }
    expect(found.sort()).toEqual([
      // It says where it is closed, and here that it is.
      'tests/hostile/private-directory.test.ts',
      // They leave it out of what they copy.
      'tests/local/commands/demo-place.ts',
      'tests/support/rendered-copy.ts',
      // The setting, which npm start gives to the helper.
      'tools/configuration.ts',
      'tools/local-directory.ts',
    ])
  })
})
