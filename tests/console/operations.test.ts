import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { FAILURES, printFailureSentences } from '../../tools/console/print-failures.ts'
import { GENERATED, printOperations } from '../../tools/console/print-operations.ts'
import { printRegistry, REGISTRY } from '../../tools/console/registry.ts'
import { projectRoot } from '../../tools/project.ts'

it('the console’s operations fit the schema, and their types are those of `npm run codegen`', async () => {
  expect(await readFile(path.join(projectRoot, GENERATED), 'utf8')).toBe(await printOperations())
})

it('the sentences for the codes of failures are those of the catalogue, as `npm run failure-codes` writes them', async () => {
  expect(await readFile(path.join(projectRoot, FAILURES), 'utf8')).toBe(printFailureSentences())
})

it('registry.json names the files and packages of the components, as `npm run codegen` writes it', async () => {
  expect(await readFile(path.join(projectRoot, REGISTRY), 'utf8')).toBe(await printRegistry())
})
