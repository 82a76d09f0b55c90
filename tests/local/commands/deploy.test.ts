import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { denoExecutable, listeningPort } from '../../../local/gateway/functions/deno.ts'
import { LOCAL_METRICS_KEY } from '../../../local/project-services.ts'
import { projectRoot } from '../../../tools/project.ts'
import { runProgram } from '../../../tools/run-program.ts'
import { methodOf } from '../../functions/every-function.ts'
import { deploy, type Upload } from '../../support/deployment.ts'
import { ownEnvironment } from './command.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

/** What the server-side bundler takes, in bytes. */
const SIZE_LIMIT = 5 * 1024 * 1024
const PATH_TO_IMPORT_MAP = 'supabase/functions/import_map.json'

/** As `deno info` describes a module and all that it leads to, also for types alone; one that it cannot find has an error. */
const graphSchema = z.object({
  modules: z.array(z.object({ specifier: z.string(), error: z.string().optional() })),
})

const functions = (await readdir(path.join(projectRoot, 'supabase/functions'), { withFileTypes: true }))
  .filter((entry) => entry.isDirectory() && !entry.name.startsWith('_'))
  .map(({ name }) => name)

describe('supabase functions deploy --use-api', () => {
  let uploads: ReadonlyMap<string, Upload>
  let scratch: string

  beforeAll(async () => {
    scratch = await mkdtemp(path.join(tmpdir(), 'deploy-test-'))
    uploads = await deploy(projectRoot, functions)
    for (const [name, upload] of uploads) await unpack(upload, path.join(scratch, name))
    await installPackages(scratch)
  })
  const environment = () => ({ ...ownEnvironment(), DENO_DIR: path.join(scratch, 'deno'), NO_COLOR: '1' })
  const importMapOf = (name = '') => `--import-map=${path.join(name, PATH_TO_IMPORT_MAP)}`

  afterAll(() => rm(scratch, { recursive: true, force: true }))

  test('uploads every function of the project', () => {
    expect([...uploads.keys()].sort()).toEqual([...functions].sort())
  })

  describe.each(functions)('%s', (name) => {
    const uploaded = () => {
      const upload = uploads.get(name)
      if (!upload) throw new Error(`${name} was not uploaded.`)
      return upload
    }

    test('is uploaded with the import map, its settings, and well below the size limit', async () => {
      const { files, metadata } = uploaded()
      expect(metadata).toMatchObject({
        entrypoint_path: `supabase/functions/${name}/index.ts`,
        import_map_path: PATH_TO_IMPORT_MAP,
        // They check their callers themselves: secret keys and doorbells are not JWTs.
        verify_jwt: false,
      })
      expect(files.get(PATH_TO_IMPORT_MAP)).toBe(
        await readFile(path.join(projectRoot, PATH_TO_IMPORT_MAP), 'utf8'),
      )
      const bytes = [...files.values()].reduce((sum, text) => sum + Buffer.byteLength(text), 0)
      expect(bytes).toBeLessThan(SIZE_LIMIT)
    })

    // `npm run check` checks the types of these very files, with this import map; to do it again takes half a minute.
    test('has all that the type check needs, as it is here', async () => {
      const { files, metadata } = uploaded()
      for (const [file, text] of files)
        expect(text, file).toBe(await readFile(path.join(projectRoot, file), 'utf8'))
      // Absolute: as a relative one, graphql/… would be looked up in the import map.
      const entrypoint = path.join(scratch, name, metadata.entrypoint_path)
      const { modules } = graphSchema.parse(
        JSON.parse(
          await runProgram(await denoExecutable(), ['info', '--json', importMapOf(name), entrypoint], {
            cwd: scratch,
            env: environment(),
          }),
        ),
      )
      expect(modules.filter(({ error }) => error !== undefined)).toEqual([])
      const needed = modules.filter(
        ({ specifier }) => specifier.startsWith('file:') && !specifier.includes('/node_modules/'),
      )
      expect(needed.length).toBeGreaterThan(10)
    })

    test('answers from the files that were uploaded alone', async () => {
      const { entrypoint_path: entrypoint } = uploaded().metadata
      const args = [importMapOf(name), path.join(name, entrypoint)]
      expect(await answerOf(name, await denoExecutable(), args, scratch, environment())).toMatchObject({
        status: 401,
        body: { code: 'unauthorized' },
      })
    })
  })
})

/** Writes what was uploaded. */
async function unpack({ files }: Upload, directory: string): Promise<void> {
  for (const [name, text] of files) {
    const file = path.resolve(directory, name)
    expect(file.startsWith(`${directory}${path.sep}`)).toBe(true)
    await mkdir(path.dirname(file), { recursive: true })
    await writeFile(file, text)
  }
}

/** For all functions below the directory. */
async function installPackages(directory: string): Promise<void> {
  await writeFile(path.join(directory, 'deno.json'), JSON.stringify({ nodeModulesDir: 'manual' }))
  // The hosted bundler fetches the packages itself; here they come from npm ci, with the versions of the lock file.
  await symlink(path.join(projectRoot, 'node_modules'), path.join(directory, 'node_modules'))
  await symlink(path.join(projectRoot, 'package.json'), path.join(directory, 'package.json'))
}

/** Starts the function on its own and asks it something without credentials. */
async function answerOf(
  name: string,
  deno: string,
  args: readonly string[],
  cwd: string,
  environment: NodeJS.ProcessEnv,
) {
  const child = spawn(deno, ['run', '--no-prompt', '--no-lock', '--cached-only', '--allow-all', ...args], {
    cwd,
    env: {
      ...environment,
      DENO_SERVE_ADDRESS: 'tcp:127.0.0.1:0',
      SUPABASE_URL: 'http://127.0.0.1:9',
      SUPABASE_DB_URL: 'postgresql://postgres@127.0.0.1:9/postgres',
      STRIPE_SECRET_KEY: 'sk_test_unused',
      NEON_API_KEY: 'napi_unused',
      METRICS_KEY: LOCAL_METRICS_KEY,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const ended = once(child, 'exit')
  try {
    const method = methodOf(name)
    const port = await portOf(child.stderr)
    const reply = await fetch(`http://127.0.0.1:${port}/`, {
      method,
      ...(method === 'POST' ? { body: '{}' } : {}),
    })
    return { status: reply.status, body: await reply.json() }
  } finally {
    child.kill('SIGKILL')
    await ended
  }
}

/** Where it says that it listens. */
async function portOf(said: Readable): Promise<number> {
  for await (const line of createInterface({ input: said })) {
    const port = listeningPort(line)
    if (port !== undefined) {
      said.resume()
      return port
    }
  }
  throw new Error('The function ended before it listened.')
}
