import { mkdir, readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { closureOf } from '../../tools/console/registry.ts'
import { projectRoot } from '../../tools/project.ts'
import { runProgram } from '../../tools/run-program.ts'
import { packedPackage } from '../support/packed.ts'
import { type Consumer, makeConsumer, pageWithAll } from './consumer.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const NAME = 'supabase-tenant-provisioning'

let app: Consumer
let installed: string

beforeAll(async () => {
  const packed = await packedPackage()
  app = await makeConsumer()
  installed = path.join(app.directory, 'node_modules', NAME)
  await mkdir(installed, { recursive: true })
  await runProgram('tar', ['-xzf', packed, '--strip-components=1', '-C', installed])
})

afterAll(() => app?.remove())

it('of the packed package is built into an application that has React, and nothing else of ours', async () => {
  const page = pageWithAll(() => `${NAME}/react`)
  await app.write('src/main.tsx', page.replace("'./index.css'", `'${NAME}/react/styles.css'`))
  await app.build()
  const assets = await readdir(path.join(app.directory, 'dist/assets'))
  const script = assets.find((name) => name.endsWith('.js')) ?? ''
  expect(await readFile(path.join(app.directory, 'dist/assets', script), 'utf8')).toContain('While you wait')
  const styles = assets.find((name) => name.endsWith('.css')) ?? ''
  expect(await readFile(path.join(app.directory, 'dist/assets', styles), 'utf8')).toContain(
    '--muted-foreground',
  )
})

it('moves nothing for whoever does not want to see anything move, whatever styles the application has', async () => {
  const styles = await readFile(path.join(installed, 'react/styles.css'), 'utf8')
  expect(styles).toMatch(
    /\.motion-reduce\\:animate-none\s*\{[^}]*@media \(prefers-reduced-motion: reduce\)|@media \(prefers-reduced-motion: reduce\)[^}]*\.motion-reduce\\:animate-none/,
  )
  // The registry brings the classes, and whose styles there are is the application's.
  const { files } = await closureOf('console/src/library.ts')
  let moving = 0
  for (const file of files) {
    for (const line of (await readFile(path.join(projectRoot, file), 'utf8')).split('\n'))
      for (const [, kind] of line.matchAll(/[\s'"](animate|transition)-(?!none)/g)) {
        moving += 1
        expect(line, file).toContain(`motion-reduce:${kind}-none`)
      }
  }
  expect(moving).toBeGreaterThan(3)
})

it('has types that refuse what a component cannot do', async () => {
  await app.write(
    'src/main.tsx',
    `import { HealthDashboard } from '${NAME}/react'\nexport const wrong = <HealthDashboard url="x" organizationId="1" />\n`,
  )
  await expect(app.build()).rejects.toThrow("Property 'getAccessToken' is missing")
})

it('is told of tokens by a function, and has no client of Supabase within it', async () => {
  const { packages } = await closureOf('console/src/library.ts')
  expect(packages.filter((name) => name.startsWith('@supabase/'))).toEqual([])
  const program = await readFile(path.join(installed, 'react/index.js'), 'utf8')
  expect(program).not.toMatch(/@supabase\/|GoTrueClient/)
  const imported = [...program.matchAll(/^import .*?"([^"]+)";$/gm)].map(([, name]) => name)
  expect(imported.filter((name) => !/^react(-dom)?($|\/)/.test(name ?? ''))).toEqual([])
  expect(program).not.toContain('__require(')
})

it('comes with the licences of what is bundled in it', async () => {
  const licences = await readFile(path.join(installed, 'react/licenses.md'), 'utf8')
  for (const name of ['@base-ui/react', '@tanstack/react-query', 'lucide-react'])
    expect(licences).toContain(name)
})
