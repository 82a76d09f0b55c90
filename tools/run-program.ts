import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Runs a program to its end; on failure the error carries what it printed. */
export async function runProgram(
  file: string,
  args: readonly string[],
  options: { uid?: number; gid?: number; env?: NodeJS.ProcessEnv; cwd?: string } = {},
): Promise<string> {
  try {
    const { stdout } = await run(file, [...args], { ...options, maxBuffer: 32 * 1024 * 1024 })
    return stdout
  } catch (error) {
    const { stderr, stdout, message } = error as { stderr?: string; stdout?: string; message: string }
    throw new Error(`${path.basename(file)} failed: ${(stderr || stdout || message).trim()}`)
  }
}
