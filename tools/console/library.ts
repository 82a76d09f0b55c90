import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { projectRoot } from '../project.ts'
import { runProgram } from '../run-program.ts'
import { asProduction } from './build.ts'

const consoleRoot = path.join(projectRoot, 'console')

/**
 * Builds the components as modules that others import, with their types, styles and the licences of what is bundled. React alone is
 * the application's. @throws Error of Vite or of the compiler
 */
export async function buildLibrary(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true })
  await asProduction(async () => {
    const [{ build, esmExternalRequirePlugin }, { default: react }, { default: tailwindcss }] =
      await Promise.all([import('vite'), import('@vitejs/plugin-react'), import('@tailwindcss/vite')])
    await build({
      root: consoleRoot,
      configFile: false,
      publicDir: false,
      logLevel: 'warn',
      // What is left for the application's own build to decide would be a mode of React that this file does not have.
      define: { 'process.env.NODE_ENV': JSON.stringify('production') },
      plugins: [
        react(),
        tailwindcss(),
        // A bundled package that is not a module requires React: in a browser that would throw.
        esmExternalRequirePlugin({ external: [/^react(-dom)?($|\/)/] }),
      ],
      build: {
        outDir: directory,
        emptyOutDir: true,
        target: 'es2023',
        minify: false,
        lib: {
          entry: path.join(consoleRoot, 'src/library.ts'),
          fileName: 'index',
          formats: ['es'],
          cssFileName: 'styles',
        },
        license: { fileName: 'licenses.md' },
      },
    })
  })
  const tsc = path.join(projectRoot, 'node_modules/typescript/bin/tsc')
  await runProgram(
    process.execPath,
    [tsc, '-p', 'tsconfig.library.json', '--outDir', path.join(directory, 'types')],
    {
      cwd: consoleRoot,
    },
  )
  await nameFiles(path.join(directory, 'types'))
}

/** Programs that resolve modules as Node does want the ending of a file, and styles have no types. */
async function nameFiles(directory: string): Promise<void> {
  const names = await readdir(directory, { recursive: true })
  for (const name of names.filter((each) => each.endsWith('.d.ts'))) {
    const file = path.join(directory, name)
    const text = await readFile(file, 'utf8')
    const typesOnly = text.replace("import './library.css';\n", '')
    await writeFile(file, typesOnly.replaceAll(/(from |import\()(['"])(\.[^'"]*)\2/g, '$1$2$3.js$2'))
  }
}
