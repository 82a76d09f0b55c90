import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { runTenants } from '../../cli/program.ts'
import { exitCodeOf } from '../../tools/command.ts'
import { projectRoot } from '../../tools/project.ts'
import { type Ending, ownEnvironment, type RunningCommand, startCommand } from '../local/commands/command.ts'
import type { TestProject } from '../support/project.ts'
import { TYPESCRIPT } from '../support/typescript.ts'

export const SCRIPT = 'cli/tenants.ts'

/** The environment of somebody who works on a project with its secret key. */
export function operatorOf(project: TestProject): NodeJS.ProcessEnv {
  return {
    ...ownEnvironment(),
    SUPABASE_URL: project.services.url,
    SUPABASE_SECRET_KEY: project.keys.secretKey,
    NO_COLOR: '',
    CI: '',
    TERM: 'xterm',
  }
}

export function startTenants(environment: NodeJS.ProcessEnv, ...args: string[]): RunningCommand {
  return startCommand(SCRIPT, args, environment)
}

export interface BegunCommand {
  /** What it has printed so far. */
  readonly printed: Pick<Ending, 'stdout' | 'stderr'>
  readonly ended: Promise<Ending>
}

/**
 * `npm run tenants -- …` as in a pipe, in this process: another one would take a second to start. What belongs to the process
 * (signals, a terminal, the exit code itself) is tested with startTenants and inTerminal.
 */
export function beginTenants(environment: NodeJS.ProcessEnv, ...args: string[]): BegunCommand {
  const printed = { stdout: '', stderr: '' }
  const output = {
    result: (text: string) => {
      printed.stdout += `${text}\n`
    },
    note: (text: string) => {
      printed.stderr += `${text}\n`
    },
  }
  const { signal: stop } = new AbortController()
  const run = async (): Promise<Ending> => {
    const { code } = await exitCodeOf(() => runTenants({ args, environment, output, stop }), output)
    return { code, ...printed }
  }
  return { printed, ended: run() }
}

/** The same, to its end. */
export function tenants(environment: NodeJS.ProcessEnv, ...args: string[]): Promise<Ending> {
  return beginTenants(environment, ...args).ended
}

/** The same with --json. @returns the document, which must be all of standard output */
export async function tenantsJson(
  environment: NodeJS.ProcessEnv,
  ...args: string[]
): Promise<Ending & { document: Record<string, unknown> }> {
  const ending = await tenants(environment, ...args, '--json')
  try {
    return { ...ending, document: JSON.parse(ending.stdout) }
  } catch {
    throw new Error(`${args.join(' ')} did not print JSON:\n${ending.stdout}\n${ending.stderr}`)
  }
}

export interface TerminalOptions {
  readonly columns?: number
  /** What is typed once the text has appeared. */
  readonly answers?: readonly { readonly question: string; readonly answer: string }[]
}

/** Runs a command in a terminal of its own (util-linux' `script`), both outputs in one. */
export async function inTerminal(
  environment: NodeJS.ProcessEnv,
  args: readonly string[],
  { columns = 80, answers = [] }: TerminalOptions = {},
): Promise<{ code: number | null; output: string }> {
  const command = `stty cols ${columns}; exec '${process.execPath}' ${[...TYPESCRIPT, SCRIPT, ...args].join(' ')}`
  const terminal = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    cwd: projectRoot,
    env: environment,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let output = ''
  const waiting = [...answers]
  terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    const [next] = waiting
    if (!next || !output.includes(next.question)) return
    waiting.shift()
    // Raw mode begins after the question is drawn.
    setTimeout(() => terminal.stdin.write(next.answer), 300)
  })
  await once(terminal, 'close')
  return { code: terminal.exitCode, output }
}
