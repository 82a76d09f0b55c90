import { chmod, readdir, readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import path from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { COMPONENTS, REGISTRY } from '../../tools/console/registry.ts'
import { listen, PORT_USES } from '../../tools/ports.ts'
import { projectRoot } from '../../tools/project.ts'
import { runProgram } from '../../tools/run-program.ts'
import { type Consumer, makeConsumer, pageWithAll } from './consumer.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const shadcn = path.join(projectRoot, 'node_modules/shadcn/dist/index.js')
const NAMES = Object.keys(COMPONENTS)

let app: Consumer
let server: Server
let registryUrl: string
/** What was asked of the registry beside our own items. */
const asked: string[] = []

beforeAll(async () => {
  app = await makeConsumer()
  await app.write(
    'components.json',
    JSON.stringify({
      style: 'base-nova',
      rsc: false,
      tsx: true,
      tailwind: { config: '', css: 'src/index.css', baseColor: 'neutral', cssVariables: true, prefix: '' },
      iconLibrary: 'lucide',
      aliases: {
        components: '@/components',
        utils: '@/lib/utils',
        ui: '@/components/ui',
        lib: '@/lib',
        hooks: '@/hooks',
      },
    }),
  )
  // In the place of npm, which would ask the network: it only notes what is to be installed.
  await app.write('bin/npm', '#!/bin/sh\necho "$@" >> npm.log\n')
  await chmod(path.join(app.directory, 'bin/npm'), 0o755)
  const built = path.join(app.directory, 'r')
  await runProgram(process.execPath, [shadcn, 'build', REGISTRY, '--output', built], {
    cwd: projectRoot,
    env: { PATH: process.env.PATH, HOME: app.directory },
  })
  server = createServer(async ({ url = '' }, response) => {
    const item = NAMES.find((name) => url === `/r/${name}.json`)
    if (!item) asked.push(url)
    // The colours of shadcn's own registry, which it asks for with whatever is added.
    const none = { light: {}, dark: {} }
    const colours = { inlineColors: none, cssVars: none, inlineColorsTemplate: '', cssVarsTemplate: '' }
    if (item) response.end(await readFile(path.join(built, `${item}.json`)))
    else if (url === '/r/colors/neutral.json') response.end(JSON.stringify(colours))
    else response.writeHead(404).end()
  })
  registryUrl = `http://127.0.0.1:${await listen(server, { port: 0 }, PORT_USES.console)}/r`
})

afterAll(async () => {
  server?.close()
  server?.closeAllConnections()
  await app?.remove()
})

it('puts the five components with all that they need below components/tenants, and nothing elsewhere', async () => {
  await runProgram(
    process.execPath,
    [shadcn, 'add', ...NAMES.map((name) => `${registryUrl}/${name}.json`), '--yes'],
    {
      cwd: app.directory,
      env: {
        PATH: `${path.join(app.directory, 'bin')}:${process.env.PATH}`,
        HOME: app.directory,
        REGISTRY_URL: registryUrl,
      },
    },
  )
  const files = await readdir(path.join(app.directory, 'src'), { recursive: true, withFileTypes: true })
  const added = files
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(path.join(app.directory, 'src'), path.join(entry.parentPath, entry.name)))
    .filter((name) => name !== 'index.css')
  expect(added.filter((name) => !name.startsWith('components/tenants/'))).toEqual([])
  for (const name of NAMES) expect(added).toContain(`components/tenants/${name}.tsx`)
  expect(asked.every((url) => url === '/r/colors/neutral.json')).toBe(true)
})

it('gives the application the colours that shadcn has no names for, in both themes', async () => {
  const css = await readFile(path.join(app.directory, 'src/index.css'), 'utf8')
  for (const name of ['success', 'warning', 'info']) {
    expect(css.match(new RegExp(`^ *--${name}: #`, 'gm'))).toHaveLength(2)
    expect(css).toContain(`--color-${name}: var(--${name})`)
  }
})

it('builds there, with the packages that it named and no others', async () => {
  const log = await readFile(path.join(app.directory, 'npm.log'), 'utf8')
  const packages = [...log.matchAll(/(\S+)@(\d\S+)/g)].map(([, name = '', version = '']) => ({
    name,
    version,
  }))
  const { devDependencies } = JSON.parse(await readFile(path.join(projectRoot, 'package.json'), 'utf8'))
  for (const { name, version } of packages) expect(version, name).toBe(devDependencies[name])
  await app.link([...new Set(packages.map(({ name }) => name))])
  await app.write(
    'src/main.tsx',
    pageWithAll((file) => `@/components/tenants/${file}`),
  )
  await app.build()
  const assets = await readdir(path.join(app.directory, 'dist/assets'))
  const texts = await Promise.all(
    assets.map((name) => readFile(path.join(app.directory, 'dist/assets', name), 'utf8')),
  )
  expect(texts.join('')).toContain('While you wait')
})
