import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { projectRoot } from '../../tools/project.ts'

const lockFile = z
  .object({ packages: z.record(z.string(), z.object({ resolved: z.string().optional() })) })
  .parse(JSON.parse(await readFile(path.join(projectRoot, 'package-lock.json'), 'utf8')))

it('runs on the Node of node_modules, whatever the machine has', () => {
  expect(process.execPath.startsWith(path.join(projectRoot, 'node_modules'))).toBe(true)
  expect(process.versions.node.split('.')[0]).toBe('24')
})

it('locks that Node for every platform, not only for the one that wrote the lock file', () => {
  const platforms = ['linux-x64', 'linux-arm64', 'darwin-x64', 'bin-darwin-arm64']
  expect(Object.keys(lockFile.packages)).toEqual(
    expect.arrayContaining(platforms.map((platform) => `node_modules/node-${platform}`)),
  )
})

it('names no registry in the lock file, so that npm asks the one that is configured', () => {
  const addresses = Object.entries(lockFile.packages).filter(([, { resolved }]) => resolved !== undefined)
  expect(addresses).toEqual([])
})
