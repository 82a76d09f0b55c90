import { access } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { projectRoot } from '../../../tools/project.ts'

const require = createRequire(import.meta.url)
const preload = fileURLToPath(new URL('../edge-runtime.ts', import.meta.url))

/** Memory of a hosted function, in MB. */
const MEMORY_LIMIT_MB = 256

/**
 * The real executable out of the npm package. Its wrapper is a Node program that would stand between us and the
 * process we want to signal and measure.
 * @throws Error when npm did not install one for this platform.
 */
export async function denoExecutable(): Promise<string> {
  const wrapper = require.resolve('deno/package.json')
  const target = `${process.platform}-${process.arch}${process.platform === 'linux' ? '-glibc' : ''}`
  try {
    const packageFile = createRequire(wrapper).resolve(`@deno/${target}/package.json`)
    const file = path.join(path.dirname(packageFile), process.platform === 'win32' ? 'deno.exe' : 'deno')
    await access(file)
    return file
  } catch (error) {
    throw new Error(`There is no Deno for ${target}: run npm ci on a platform that Deno supports.`, {
      cause: error,
    })
  }
}

/**
 * Arguments that run one function with about the permissions it has when hosted.
 * @param importMap in the place of the one that deno.json names
 */
export function denoArguments(entrypoint: string, functionsDir: string, importMap?: string): string[] {
  // Not the project root: .env lies there, and a hosted function could not read it either.
  const readable = [
    functionsDir,
    ...['shared', 'tenant-schema', 'node_modules'].map((name) => path.join(projectRoot, name)),
  ]
  return [
    'run',
    '--no-prompt',
    '--no-lock',
    '--cached-only',
    // A request's signal means that the client has gone, as on the Web; without this Deno also raises it for each answer.
    '--unstable-no-legacy-abort',
    '--allow-net',
    '--allow-env',
    '--allow-sys=hostname,osRelease,cpus',
    `--allow-read=${readable.join(',')}`,
    `--v8-flags=--max-old-space-size=${MEMORY_LIMIT_MB}`,
    `--config=${path.join(projectRoot, 'deno.json')}`,
    ...(importMap === undefined ? [] : [`--import-map=${importMap}`]),
    `--preload=${preload}`,
    entrypoint,
  ]
}

/**
 * What Deno itself needs; edge-runtime.ts removes it again before the function's code runs. The function gets its port when it
 * listens: one that was free before could belong to somebody else by then.
 */
export function denoEnvironment(denoDir: string): Record<string, string> {
  return { HOME: denoDir, DENO_DIR: denoDir, NO_COLOR: '1', DENO_SERVE_ADDRESS: 'tcp:127.0.0.1:0' }
}

/** @returns the port, when the line is what edge-runtime.ts, and Deno itself, write to standard error about it */
export function listeningPort(line: string): number | undefined {
  const port = /^Listening on http:\/\/127\.0\.0\.1:(\d+)\/\s*$/.exec(line)?.[1]
  return port === undefined ? undefined : Number(port)
}
