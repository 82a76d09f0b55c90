import { readdir, readFile } from 'node:fs/promises'
import { buildSchema, parse, validate } from 'graphql'
import { expect, test } from 'vitest'
import { supabaseCli } from '../../tools/supabase-cli.ts'
import { commandsIn, printedTexts, problemWith } from './printed-commands.ts'

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
  const migrations = await readdir(new URL('../../supabase/migrations', import.meta.url))
  const [guide, ...sql] = await Promise.all([
    read('docs/verification-guide.md'),
    ...migrations.map((name) => read(`supabase/migrations/${name}`)),
  ])
  const checks = new Set(
    [
      ...sql
        .join('\n')
        .matchAll(/provisioning\.(?:passed|failed)_check\('(\w+)'|resource_check\(p_facts, '(\w+)'/g),
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
    name.replace(/(?<=[a-z])[A-Z]/g, '-$&').toLowerCase(),
  )
  expect(commands.length).toBeGreaterThan(10)
  for (const command of commands) expect(guide).toMatch(new RegExp(`\`${command}\\b|-- ${command} `))
})

/** What the Supabase CLI does to the local stack unless it is told otherwise. */
const LOCAL_BY_DEFAULT = /^(db|migration|seed|inspect|gen) /

/** Every command of the Supabase CLI in the docs and in what is printed, without the words before and after it. */
async function supabaseCommands(): Promise<string[]> {
  return (await printedTexts()).flatMap((text) =>
    [
      ...text.matchAll(
        /\bsupabase ((?:db|migration|seed|inspect|gen|secrets|functions|link)\b[\w ./=…${}-]*)/g,
      ),
    ].map(([, command = '']) => command.trim()),
  )
}

test('each printed command of the Supabase CLI that works on the local stack by default says which project it means', async () => {
  const commands = await supabaseCommands()
  const asking = commands.filter((command) => LOCAL_BY_DEFAULT.test(command))
  expect(asking.length).toBeGreaterThan(4)
  expect(asking.filter((command) => !/ --(remote|local)\b/.test(command))).toEqual([])
})

test('the Supabase CLI knows every printed command and its options', async () => {
  const options = new Map<string, string[]>()
  for (const command of await supabaseCommands()) {
    const name = /^(link|\w+ [a-z]+)/.exec(command)?.[1] ?? command
    options.set(name, [...(options.get(name) ?? []), ...(command.match(/--[a-z-]+/g) ?? [])])
  }
  const helps = [...options].map(async ([name, wanted]) => {
    const help = await supabaseCli([...name.split(' '), '--help'])
    expect(
      wanted.filter((option) => !help.includes(option)),
      name,
    ).toEqual([])
  })
  await Promise.all(helps)
}, 60_000)

/** Where a text speaks of commands in general, or shows how one is used. */
const IN_GENERAL = /^npm run (?:$|…)|^npm run [\w:-]+ (?:\[|--$|-- (?:COMMAND|NAME|PART)\b)/

test('each command of ours that is printed or in the docs is taken as it stands', async () => {
  const commands = new Set((await printedTexts()).flatMap(commandsIn))
  const concrete = [...commands].filter((command) => !IN_GENERAL.test(command))
  expect(concrete.length).toBeGreaterThan(40)
  const problems = await Promise.all(
    concrete.map(async (command) => ({ command, problem: await problemWith(command) })),
  )
  expect(problems.filter(({ problem }) => problem !== undefined)).toEqual([])
})

test('a printed command that cannot work is noticed', async () => {
  const bad = commandsIn(
    'First `npm run tenants -- retry acme --after 1`; npm run tenants -- rety acme. Or npm run tenants status # look\nnpm run tennants',
  )
  expect(bad).toHaveLength(4)
  expect(await Promise.all(bad.map(problemWith))).toEqual(bad.map(() => expect.any(String)))
})
