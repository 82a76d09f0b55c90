import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { freePort } from '../../../tools/ports.ts'
import { projectRoot } from '../../../tools/project.ts'
import { runProgram } from '../../../tools/run-program.ts'

/** A function that runs on Deno 2.1, as hosted functions do. */
export interface OldDenoFunction {
  readonly url: string
  stop(): Promise<void>
}

/**
 * npm has Deno 2.1 for Linux on x64 (what CI is). Elsewhere DENO_2_1 names an executable.
 * @throws Error when there is none
 */
function executable(): string {
  if (process.env.DENO_2_1) return process.env.DENO_2_1
  try {
    return path.join(path.dirname(createRequire(import.meta.url).resolve('deno-2.1/package.json')), 'deno')
  } catch {
    throw new Error('npm has no Deno 2.1 for this platform. Set DENO_2_1 to the path of one.')
  }
}

export const oldDenoVersion = () => runProgram(executable(), ['--version'])

/** Starts a function and waits until it listens. @throws Error with what it printed when it ends or does not start */
export async function startOnOldDeno(
  name: string,
  environment: Readonly<Record<string, string>>,
): Promise<OldDenoFunction> {
  const home = await mkdtemp(path.join(tmpdir(), 'deno-2.1-'))
  const port = await freePort()
  const entrypoint = pathToFileURL(path.join(projectRoot, 'supabase/functions', name, 'index.ts')).href
  const child = spawn(executable(), [...denoArguments(), String(port), entrypoint], {
    env: { ...environment, HOME: home, DENO_DIR: home, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (data) => (output += data))
  child.stderr.on('data', (data) => (output += data))
  const stop = async () => {
    await end(child)
    await rm(home, { recursive: true, force: true })
  }
  const url = `http://127.0.0.1:${port}`
  try {
    await untilListening(child, url)
  } catch (error) {
    await stop()
    throw new Error(`${name} did not start on Deno 2.1:\n${output}`, { cause: error })
  }
  return { url, stop }
}

function denoArguments(): string[] {
  return [
    'run',
    '--no-prompt',
    '--no-lock',
    '--cached-only',
    '--allow-net',
    '--allow-env',
    '--allow-sys',
    `--allow-read=${projectRoot}`,
    `--config=${path.join(projectRoot, 'deno.json')}`,
    fileURLToPath(new URL('serve.ts', import.meta.url)),
  ]
}

async function untilListening(child: ChildProcess, url: string): Promise<void> {
  const deadline = Date.now() + 30_000
  while (Date.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('it ended')
    const reply = await fetch(url).catch(() => undefined)
    await reply?.body?.cancel()
    if (reply) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('it did not listen within 30 s')
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}
