import { chmod, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { buildLibrary } from '../console/library.ts'
import { projectRoot } from '../project.ts'
import { runProgram } from '../run-program.ts'
import { asInstalled } from './texts.ts'

/** Beside the compiled program: what `init` copies, as it is here. */
const TEMPLATES = [
  'supabase/migrations',
  'supabase/functions',
  'shared',
  'n8n-templates',
  'tenant-schema',
  'cli/install/own-schema.sql',
  'LICENSE',
]

const PEERS = ['react', 'react-dom']

const SCHEMA = 'shared/kernel/database/schema.js'
/** The console's components, for applications with React. */
const LIBRARY = 'react'
/** Of the project in whose directory the program runs. */
const INSTALLED_SCHEMA = 'cli/install/installed-schema.js'

/**
 * Writes the package that is published into an empty directory. Its program is compiled, because Node runs no TypeScript below
 * node_modules, and every file has the place that it has here.
 */
export async function writePackage(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true })
  await mkdir(directory, { recursive: true })
  for (const file of TEMPLATES)
    await cp(path.join(projectRoot, file), path.join(directory, file), { recursive: true })
  await cp(path.join(projectRoot, 'tools/package/README.md'), path.join(directory, 'README.md'))
  const tsc = path.join(projectRoot, 'node_modules/typescript/bin/tsc')
  await runProgram(process.execPath, [tsc, '-p', 'tsconfig.package.json', '--outDir', directory], {
    cwd: projectRoot,
  })
  const compiled = await compiledFiles(directory)
  const imported = new Set<string>()
  for (const file of compiled) {
    const text = asInstalled(await readFile(file, 'utf8'))
    for (const name of packagesIn(text)) imported.add(name)
    await writeFile(file, text)
  }
  // In place of the constant: one package serves projects with different schemas.
  const installed = path.posix.relative(path.dirname(SCHEMA), INSTALLED_SCHEMA)
  await writeFile(
    path.join(directory, SCHEMA),
    `import { installedSchema } from '${installed}'\nexport const PUBLIC_SCHEMA = installedSchema()\n`,
  )
  await chmod(path.join(directory, 'cli/bin.js'), 0o755)
  // After the rest: it has its own packages within it.
  await buildLibrary(path.join(directory, LIBRARY))
  await writeFile(path.join(directory, 'package.json'), await manifest([...imported].sort()))
}

async function compiledFiles(directory: string): Promise<string[]> {
  const names = await readdir(directory, { recursive: true })
  return names.filter((name) => name.endsWith('.js')).map((name) => path.join(directory, name))
}

/** The packages that a compiled file imports. */
function packagesIn(text: string): string[] {
  return [...text.matchAll(/\b(?:from|import\()\s*'([^']+)'/g)].flatMap(
    ([, specifier = '']) => /^(?![.]|node:)(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? [],
  )
}

async function manifest(imported: readonly string[]): Promise<string> {
  const { name, version, description, license, devDependencies } = JSON.parse(
    await readFile(path.join(projectRoot, 'package.json'), 'utf8'),
  )
  const missing = imported.filter((each) => !(each in devDependencies))
  if (missing.length > 0) throw new Error(`package.json does not have ${missing.join(', ')}.`)
  const document = {
    name,
    version,
    description,
    license,
    type: 'module',
    bin: { [name]: 'cli/bin.js' },
    exports: {
      './react': { types: `./${LIBRARY}/types/library.d.ts`, default: `./${LIBRARY}/index.js` },
      './react/styles.css': `./${LIBRARY}/styles.css`,
      './package.json': './package.json',
    },
    // Of the components alone: the commands need neither.
    peerDependencies: Object.fromEntries(PEERS.map((each) => [each, '>=19'])),
    peerDependenciesMeta: Object.fromEntries(PEERS.map((each) => [each, { optional: true }])),
    engines: { node: '>=22.12' },
    dependencies: Object.fromEntries(imported.map((each) => [each, devDependencies[each]])),
  }
  return `${JSON.stringify(document, null, 2)}\n`
}
