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

it('each generated file names the command that writes it', async () => {
  const folders = ['shared/generated', 'tenant-schema/generated', 'console/src/components/tenants/generated']
  const { scripts } = JSON.parse(await readFile(path.join(projectRoot, 'package.json'), 'utf8'))
  const files = await Promise.all(
    folders.map(async (folder) =>
      (await readdir(path.join(projectRoot, folder), { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map((entry) => path.join(entry.parentPath, entry.name)),
    ),
  )
  expect(files.flat().length).toBeGreaterThan(10)
  const unnamed = await Promise.all(
    files.flat().map(async (file) => {
      const [first = ''] = (await readFile(file, 'utf8')).split('\n', 1)
      const [, command = ''] = /^(?:\/\/|#) .*`npm run ([\w-]+)`/.exec(first) ?? []
      return command in scripts ? [] : [path.relative(projectRoot, file)]
    }),
  )
  expect(unnamed.flat()).toEqual([])
})
