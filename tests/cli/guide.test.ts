import { readFile } from 'node:fs/promises'
import { buildSchema, parse, validate } from 'graphql'
import { expect, test } from 'vitest'

const read = (file: string) => readFile(new URL(`../../${file}`, import.meta.url), 'utf8')

test('the guide’s GraphQL is valid', async () => {
  const [guide, schema] = await Promise.all([
    read('docs/verification-guide.md'),
    read('shared/generated/schema.graphql'),
  ])
  const document = /```graphql\n([\s\S]+?)```/.exec(guide)?.[1] ?? ''
  expect(validate(buildSchema(schema), parse(document))).toEqual([])
})

test('the guide explains each check that the database makes', async () => {
  const [guide, migration] = await Promise.all([
    read('docs/verification-guide.md'),
    read('supabase/migrations/20260101001330_tenant_checks.sql'),
  ])
  const checks = new Set(
    [
      ...migration.matchAll(
        /provisioning\.(?:passed|failed)_check\('(\w+)'|resource_check\(p_facts, '(\w+)'/g,
      ),
    ].map(([, name, resource = '']) => name ?? resource),
  )
  expect(checks.size).toBeGreaterThan(12)
  const explained = guide.slice(guide.indexOf('## What is checked'))
  expect([...checks].filter((check) => !explained.includes(`\`${check}\``))).toEqual([])
})

test('the guide names every command', async () => {
  const [guide, index] = await Promise.all([
    read('docs/verification-guide.md'),
    read('cli/commands/index.ts'),
  ])
  const commands = [...index.matchAll(/^ {2}register(\w+)\(program/gm)].map(([, name = '']) =>
    name.toLowerCase(),
  )
  expect(commands.length).toBeGreaterThan(10)
  for (const command of commands) expect(guide).toMatch(new RegExp(`\`${command}\\b|-- ${command} `))
})
