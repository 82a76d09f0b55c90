import { createHash } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { projectRoot } from '../project.ts'
import { contentSecurityPolicy, headersFile, nginxSnippet } from './headers.ts'

const consoleRoot = path.join(projectRoot, 'console')
export const consoleDist = path.join(consoleRoot, 'dist')
const STAMP = '.built-from'

/** Where the pages find their project; null leaves it to a config.json that is put beside them later. */
export interface ConsoleProject {
  readonly url: string
  readonly publishableKey: string
}

/**
 * Builds the static files of the console, with the policy that they are to be served with. They are written elsewhere first, so that
 * whoever serves the old ones, or builds at the same time, is not disturbed.
 * @param folder whose contents are replaced @throws Error of Vite, and where the folder holds something else
 */
export async function buildConsole(project: ConsoleProject | null, folder = consoleDist): Promise<void> {
  await expectOurs(folder)
  await mkdir(path.dirname(folder), { recursive: true })
  const draft = await mkdtemp(path.join(path.dirname(folder), '.dist-'))
  try {
    await buildInto(draft)
    const files = { ...filesForHosts(project), [STAMP]: await sourcesHash() }
    for (const [name, text] of Object.entries(files)) await writeFile(path.join(draft, name), text)
    await chmod(draft, 0o755)
    await rm(folder, { recursive: true, force: true })
    await rename(draft, folder).catch(async () => {
      // Somebody else has just put theirs there.
      await rm(folder, { recursive: true, force: true })
      await rename(draft, folder)
    })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

/** A slip in the name of a folder must not remove what somebody has in it. */
async function expectOurs(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  if (names.length > 0 && !names.includes(STAMP))
    throw new Error(`${folder} holds something else than the console. Name an empty folder, or a new one.`)
}

/** The project that the build is for, by the names that Vite gives to applications; null when it is not named. */
export function projectOf({
  VITE_SUPABASE_URL: url,
  VITE_SUPABASE_ANON_KEY: publishableKey,
}: Readonly<Record<string, string | undefined>>): ConsoleProject | null {
  return url && publishableKey ? { url, publishableKey } : null
}

/** What stands beside the pages: where their project is, and how a host is to serve them. */
export function filesForHosts(project: ConsoleProject | null): Readonly<Record<string, string>> {
  const policy = contentSecurityPolicy(project?.url)
  return {
    'config.json': `${JSON.stringify(project ?? { url: '', publishableKey: '' }, null, 2)}\n`,
    _headers: headersFile(policy),
    _redirects: '/* /index.html 200\n',
    'nginx.conf': nginxSnippet(policy),
  }
}

async function buildInto(folder: string): Promise<void> {
  await asProduction(async () => {
    // Read only now, because most commands do without.
    const { build } = await import('vite')
    await build({ root: consoleRoot, logLevel: 'warn', build: { outDir: folder, emptyOutDir: true } })
  })
}

/** Vite takes from the environment whether React comes with its checks, as it would within a test. */
export async function asProduction(work: () => Promise<void>): Promise<void> {
  const { NODE_ENV } = process.env
  process.env.NODE_ENV = 'production'
  try {
    await work()
  } finally {
    process.env.NODE_ENV = NODE_ENV
    if (NODE_ENV === undefined) delete process.env.NODE_ENV
  }
}

/** Builds it unless it is built from what is there now. */
export async function ensureConsole(): Promise<void> {
  const builtFrom = await readFile(path.join(consoleDist, STAMP), 'utf8').catch(() => '')
  if (builtFrom !== (await sourcesHash())) await buildConsole(null)
}

async function sourcesHash(): Promise<string> {
  const hash = createHash('sha256')
  const names = (await readdir(consoleRoot, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(consoleRoot, path.join(entry.parentPath, entry.name)))
    .filter((name) => !/^(dist|dist-library|\.dist-[^/]*|node_modules)\//.test(name))
    .sort()
  for (const name of names) hash.update(name).update(await readFile(path.join(consoleRoot, name)))
  return hash.update(await readFile(path.join(projectRoot, 'package-lock.json'))).digest('hex')
}
