import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts, type PortSetting } from '../../../tools/ports.ts'
import { projectRoot } from '../../../tools/project.ts'
import { makeQuickDirectory } from '../../support/quick-directory.ts'
import { TYPESCRIPT } from '../../support/typescript.ts'
import { processesWith } from './processes.ts'

const PRINT_LIMIT_MS = 60_000

/** A place where the commands run as on a machine of their own: other ports, another directory, no keys. */
export interface Workplace extends AsyncDisposable {
  /** LOCAL_DIRECTORY */
  readonly directory: string
  readonly ports: Readonly<Record<PortSetting, number>>
  readonly environment: NodeJS.ProcessEnv
  /** Ends what a failed test left behind, and removes the directory. */
  remove(): Promise<void>
}

export async function createWorkplace(): Promise<Workplace> {
  const directory = await makeQuickDirectory('commands-')
  // Postgres, which is not root even when we are, must get into it.
  await chmod(directory, 0o755)
  const ports = await freePorts()
  const environment = {
    ...ownEnvironment(),
    LOCAL_DIRECTORY: directory,
    ...Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, String(port)])),
  }
  const remove = async () => {
    for (const { pid } of await leftRunning({ directory, ports })) process.kill(pid, 'SIGKILL')
    await rm(directory, { recursive: true, force: true })
  }
  return { directory, ports, environment, remove, [Symbol.asyncDispose]: remove }
}

/** Ours without what would reach real providers or a project, or send local requests through a proxy. */
export function ownEnvironment(): NodeJS.ProcessEnv {
  const foreign = /^(STRIPE_|NEON_|N8N_|SUPABASE_|LOCAL_|VITEST|NODE_OPTIONS|DEBUG$)|_proxy$/i
  const kept = Object.entries(process.env).filter(([name]) => !foreign.test(name))
  return {
    ...Object.fromEntries(kept),
    STRIPE_SECRET_KEY: '',
    NEON_API_KEY: '',
    MANAGEMENT_TOKEN: '',
    SUPABASE_MANAGEMENT_TOKEN: '',
    N8N_API_KEY: '',
  }
}

/** What runs for a workplace: its programs inherit the directory, its functions know the address of the API. */
export function leftRunning({ directory, ports }: Pick<Workplace, 'directory' | 'ports'>) {
  return processesWith([
    `LOCAL_DIRECTORY=${directory}`,
    `SUPABASE_URL=http://127.0.0.1:${ports.LOCAL_API_PORT}`,
  ])
}

export interface Ending {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunningCommand {
  readonly pid: number
  readonly ended: Promise<Ending>
  stdout(): string
  /** Resolves when standard output holds the text. @throws Error with all output when that does not happen. */
  printed(text: string): Promise<void>
  signal(signal: NodeJS.Signals): void
  /** As Ctrl-C does: to the command and every program that it runs. */
  signalGroup(signal: NodeJS.Signals): void
}

/** Starts one of the scripts behind `npm run …` in a process group of its own. */
export function startCommand(
  script: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  cwd = projectRoot,
  loader = TYPESCRIPT,
): RunningCommand {
  const child = spawn(process.execPath, [...loader, script, ...args], {
    cwd,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const texts = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (texts.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (texts.stderr += text))
  const ended = ending(child, texts)
  const pid = child.pid ?? 0
  return {
    pid,
    ended,
    stdout: () => texts.stdout,
    printed: async (text) => {
      const deadline = Date.now() + PRINT_LIMIT_MS
      while (!texts.stdout.includes(text)) {
        const over = child.exitCode !== null || child.signalCode !== null
        if (over || Date.now() > deadline)
          throw new Error(
            `${script} ${over ? 'ended' : 'runs'} without "${text}":\n${texts.stdout}\n${texts.stderr}`,
          )
        await sleep(20)
      }
    },
    signal: (signal) => void child.kill(signal),
    signalGroup: (signal) => void process.kill(-pid, signal),
  }
}

async function ending(child: ChildProcess, texts: { stdout: string; stderr: string }): Promise<Ending> {
  await once(child, 'close')
  return { code: child.exitCode, ...texts }
}

export function runCommand(
  script: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<Ending> {
  return startCommand(script, args, environment).ended
}

/** `npm start` until it has said that it is ready. */
export async function startStack(workplace: Workplace): Promise<RunningCommand> {
  const command = startCommand('local/start.ts', [], workplace.environment)
  await command.printed('Stop:')
  return command
}

/** What `npm start` printed under a name. */
export function announced(output: string, name: string): string {
  return new RegExp(`^ +${name} {2,}(.+)$`, 'm').exec(output)?.[1] ?? ''
}
