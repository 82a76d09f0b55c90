import { readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { runProgram } from '../tools/run-program.ts'
import { reachableDirectory } from './postgres/server.ts'

const ORPHAN_STOP_LIMIT_MS = 10_000

/**
 * Makes this process the owner of a stack's existing directory, once the Postgres of an owner that was killed is out
 * of the way. @returns the process id of that Postgres, if there was one
 * @throws Error that names the processes when the stack is running
 */
export async function claimDirectory(directory: string): Promise<number | undefined> {
  const orphan = await stopOrphanedPostgres(directory)
  await writeFile(ownerFile(directory), `${process.pid}\n${path.basename(process.argv[1] ?? '')}\n`)
  return orphan
}

/**
 * Stops the Postgres that outlived its owner: nobody else would, and it holds the port and the data.
 * @returns its process id, or undefined when there is none
 * @throws Error that names the processes when the owner is alive, or the one that does not stop
 */
export async function stopOrphanedPostgres(directory: string): Promise<number | undefined> {
  await refuseWhileRunning(directory)
  const orphan = await runningPostgres(path.join(await reachableDirectory(directory), 'data'))
  if (orphan === undefined) return undefined
  process.kill(orphan, 'SIGINT')
  for (const deadline = Date.now() + ORPHAN_STOP_LIMIT_MS; await isRunning(orphan, ''); await sleep(50))
    if (Date.now() > deadline)
      throw new Error(
        `A killed start left its database behind (process ${orphan}), and it does not stop. ` +
          `End it with \`kill -QUIT ${orphan}\` and start again.`,
      )
  return orphan
}

/** @throws Error that names the process that owns the stack's directory, if that is alive and another one */
export async function refuseWhileRunning(directory: string): Promise<void> {
  const record = await readFile(ownerFile(directory), 'utf8').catch(() => '')
  const [pid = '', script = ''] = record.split('\n')
  if (pid === String(process.pid) || !script || !(await isRunning(Number(pid), script))) return
  throw new Error(
    `The local stack is already running (process ${pid}). Stop it with Ctrl-C in its terminal or with \`kill ${pid}\`.`,
  )
}

const ownerFile = (directory: string) => path.join(directory, 'owner.pid')

/** The server that runs on a data directory. A lock file that only looks as if there were one is removed. */
async function runningPostgres(dataDir: string): Promise<number | undefined> {
  const lockFile = path.join(dataDir, 'postmaster.pid')
  const [line] = (await readFile(lockFile, 'utf8').catch(() => '')).split('\n')
  if (!line) return undefined
  if (await isRunning(Number(line), dataDir)) return Number(line)
  // After a crash of the machine the number may belong to another program, and Postgres would refuse to start.
  await rm(lockFile)
  return undefined
}

/** Whether a process lives whose command line holds a text; numbers alone are used again after a reboot. */
async function isRunning(pid: number, text: string): Promise<boolean> {
  const command =
    process.platform === 'linux'
      ? readFile(`/proc/${pid}/cmdline`, 'utf8')
      : runProgram('ps', ['-o', 'command=', '-p', String(pid)])
  return command.then(
    (line) => line.length > 0 && line.includes(text),
    () => false,
  )
}
