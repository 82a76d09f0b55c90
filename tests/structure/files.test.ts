import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { projectRoot } from '../../tools/project.ts'

const TOO_LONG = 900

it('no file of tests is so long that it has several subjects', async () => {
  const names = await readdir(path.join(projectRoot, 'tests'), { recursive: true })
  const files = names.filter((name) => name.endsWith('.ts'))
  expect(files.length).toBeGreaterThan(150)
  const lengths = await Promise.all(
    files.map(async (name) => {
      const text = await readFile(path.join(projectRoot, 'tests', name), 'utf8')
      return { name, lines: text.split('\n').length }
    }),
  )
  expect(lengths.filter(({ lines }) => lines >= TOO_LONG)).toEqual([])
})
