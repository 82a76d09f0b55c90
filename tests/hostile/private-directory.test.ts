import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, it } from 'vitest'
import { makePrivate, reachableDirectory } from '../../local/postgres/server.ts'

it('the directory of the local stack is closed to others, also one that was open before', async () => {
  const base = await mkdtemp(path.join(tmpdir(), 'private-'))
  try {
    const mode = async (directory: string) => (await stat(directory)).mode & 0o777
    const open = path.join(base, '.local')
    await mkdir(open, { mode: 0o755 })
    await makePrivate(open)
    expect(await mode(open)).toBe(0o700)
    const stack = await reachableDirectory(path.join(open, 'stack'))
    expect(await mode(stack)).toBe(0o700)
    if (stack !== path.join(open, 'stack')) await rm(stack, { recursive: true })
  } finally {
    await rm(base, { recursive: true })
  }
})
