import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { projectRoot } from '../../tools/project.ts'

/**
 * Runs a script of the project, or of a copy of it in another directory, to its end, with its output on this terminal. Ctrl-C
 * reaches the script by itself, because it belongs to the same terminal; any other signal is passed on.
 * @returns whether it ended with 0
 */
export async function runPart(
  name: string,
  script: readonly string[],
  signal: AbortSignal,
  environment: Readonly<Record<string, string>> = {},
  directory = projectRoot,
): Promise<boolean> {
  console.error(`… ${name}`)
  const child = spawn(process.execPath, ['--import', 'tsx', ...script], {
    cwd: directory,
    env: { ...process.env, ...environment },
    stdio: 'inherit',
  })
  const stop = () => void child.kill('SIGTERM')
  signal.addEventListener('abort', stop, { once: true })
  try {
    const [code] = await once(child, 'exit')
    return code === 0
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
