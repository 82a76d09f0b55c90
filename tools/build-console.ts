import path from 'node:path'
import { parseArgs } from 'node:util'
import { parseUsage, runCommand, UsageError } from './command.ts'
import { buildConsole, projectOf } from './console/build.ts'
import { buildLibrary } from './console/library.ts'
import { projectRoot } from './project.ts'

const HELP = `npm run build [-- library | -- --output FOLDER]

Writes the static files of the console to console/dist, or to the folder that is named, for any host.
VITE_SUPABASE_URL and VITE_SUPABASE_ANON_KEY (the publishable key) go into its config.json and its policy. Without them, write
config.json yourself, and the project's origin into connect-src of the policy (_headers, nginx.conf).

With "library": writes the components as a module with types and styles to console/dist-library.`

const LIBRARY = 'console/dist-library'

await runCommand(async () => {
  const { values, positionals } = parseUsage(HELP, () =>
    parseArgs({
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h' }, output: { type: 'string' } },
    }),
  )
  const [what, ...more] = positionals
  if (values.help) console.log(HELP)
  else if (what === undefined) await buildPages(values.output)
  else if (what === 'library' && more.length === 0 && values.output === undefined) await buildComponents()
  else throw new UsageError(`There is no "${positionals.join(' ')}" to build.`, HELP)
  return 0
})

async function buildPages(output: string | undefined): Promise<void> {
  const project = projectOf(process.env)
  await buildConsole(project, output === undefined ? undefined : path.resolve(output))
  console.log(
    `The console is in ${output ?? 'console/dist'}${project ? `, for ${project.url}` : '. config.json there is to name its project'}.`,
  )
}

async function buildComponents(): Promise<void> {
  await buildLibrary(path.join(projectRoot, LIBRARY))
  console.log(`The components are in ${LIBRARY}.`)
}
