import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { type BuildOptions, build } from 'esbuild'
import { projectRoot } from '../../tools/project.ts'

/** The packages that the code of an exported schema imports, by the name under which the runtime exports each as a whole. */
const PACKAGES: Readonly<Record<string, string>> = {
  grafast: 'grafast',
  '@dataplan/pg': 'dataplanPg',
  'pg-sql2': 'pgSql',
}

/** Beside the exported schemas. */
const RUNTIME_FILE = './runtime.mjs'

const OPTIONS = {
  bundle: true,
  write: false,
  format: 'esm',
  platform: 'node',
  target: 'es2023',
  minify: true,
  charset: 'utf8',
  legalComments: 'none',
  // Who executes and who has made the schema must mean the same classes; the functions have this package anyway.
  external: ['graphql', 'graphql/*'],
  define: { 'process.env.GRAPHILE_ENV': '"production"', 'process.env.NODE_ENV': '"production"' },
  logLevel: 'error',
} satisfies BuildOptions

/** Packages that are written for Node find there what Deno only has as modules. */
const GLOBALS = [
  "import{createRequire as requireFactory}from'node:module'",
  "import{Buffer}from'node:buffer'",
  "import process from'node:process'",
  "import{setImmediate}from'node:timers'",
  'const global=globalThis,require=requireFactory(import.meta.url)',
].join(';')

/** The code that all exported schemas run on, and the licences of the packages that it is made of. */
export async function bundleRuntime(): Promise<string> {
  const contents = Object.entries(PACKAGES)
    .map(([specifier, name]) => `export * as ${name} from '${specifier}'`)
    .join('\n')
  const { code, inputs } = await run({
    ...OPTIONS,
    metafile: true,
    absWorkingDir: projectRoot,
    stdin: { contents, resolveDir: projectRoot, loader: 'js' },
    banner: { js: GLOBALS },
    plugins: [
      {
        name: 'builtin modules by their full names',
        setup({ onResolve }) {
          onResolve({ filter: /^[a-z_]+$/ }, ({ path: name }) =>
            createRequire(import.meta.url).resolve.paths(name) === null
              ? { path: `node:${name}`, external: true }
              : undefined,
          )
        },
      },
    ],
  })
  return code + (await licencesOf(inputs))
}

/** As the licences of the packages ask: their texts travel with every copy. @param inputs files, from the project's root */
async function licencesOf(inputs: readonly string[]): Promise<string> {
  const folders = new Set(inputs.flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? []))
  const texts = await Promise.all(
    [...folders].sort().map(async (folder) => {
      const at = (file: string) => readFile(path.join(projectRoot, folder, file), 'utf8')
      const { name, version, license }: Record<string, string> = JSON.parse(await at('package.json'))
      const file = (await readdir(path.join(projectRoot, folder))).find((entry) => /^licen[cs]e/i.test(entry))
      const text = file === undefined ? '' : `\n\n${(await at(file)).trim().replaceAll('*/', '* /')}`
      return `/*! ${name} ${version}, ${license}${text} */\n`
    }),
  )
  return texts.join('')
}

/** @param code of an exported schema @returns the same, minified, with everything but graphql from the runtime */
export async function bundleSchema(code: string): Promise<string> {
  const contents = code.replace(
    /^import \{(.+)\} from "([^"]+)";$/gm,
    (line, names: string, specifier: string) => {
      if (specifier === 'graphql') return line
      const name = PACKAGES[specifier]
      if (name === undefined) throw new Error(`The exported schema imports ${specifier}: see PACKAGES.`)
      return `import { ${name} } from '${RUNTIME_FILE}'\nconst {${names.replaceAll(' as ', ': ')}} = ${name}`
    },
  )
  const bundled = await run({
    ...OPTIONS,
    external: [...OPTIONS.external, RUNTIME_FILE],
    stdin: { contents, resolveDir: path.join(projectRoot, 'local'), loader: 'js' },
  })
  return bundled.code
}

interface Bundled {
  readonly code: string
  /** Empty unless a metafile is asked for. */
  readonly inputs: readonly string[]
}

async function run(options: BuildOptions & { readonly write: false }): Promise<Bundled> {
  const { outputFiles, metafile } = await build(options)
  const [file] = outputFiles
  if (!file || outputFiles.length > 1) throw new Error('esbuild wrote another number of files than one')
  return { code: file.text, inputs: Object.keys(metafile?.inputs ?? {}) }
}
