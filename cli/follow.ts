import { setTimeout as sleep } from 'node:timers/promises'
import { bold, dim, onTerminal } from '../tools/command.ts'
import { clipped, screenWidth, sign } from '../tools/terminal.ts'
import { type Api, ProjectError } from './api.ts'
import { startProgress } from './progress.ts'
import { jobLines } from './screens/status.ts'
import { exit, type Session } from './session.ts'
import { argumentOf, type Job, nameOf, newestJob, openJob, type Tenant } from './tenant.ts'

/** So many polls in a row may fail: a network that comes back is no reason to look away. */
const FAILURES_ALLOWED = 5

export interface Following {
  readonly intervalMs: number
  /** Undefined: until Ctrl-C. */
  readonly timeoutMs?: number | undefined
  /** Goes on when nothing is under way any more. */
  readonly forever?: boolean | undefined
  /** Said when the command is interrupted; without it, that the job goes on and how to watch it. */
  readonly standing?: string
  /** Where the changes go that nobody watches on a terminal; default standard error. */
  readonly print?: (line: string) => void
}

/** Something that is different from the poll before. */
interface Change {
  readonly at: string
  readonly job: string
  readonly kind: string
  readonly step?: string
  readonly status: string
  readonly attempts: number
  readonly message: string | null
}

/**
 * Shows a tenant's job until none is open: on a terminal a list that is redrawn, otherwise a line for each change, with
 * --json an object for each (`quiet`: nothing but the end). @returns how the tenant stands then, and whether time ran out
 */
export async function follow(
  session: Session,
  api: Api,
  subject: string,
  options: Following,
  quiet = false,
): Promise<{ tenant: Tenant; timedOut: boolean }> {
  const show = quiet
    ? showProgress()
    : session.json
      ? showObjects(session)
      : onTerminal
        ? showScreen()
        : showLines(options.print ?? session.output.note)
  const deadline = options.timeoutMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + options.timeoutMs
  for (;;) {
    const tenant = await patiently(session, () => api.describe(subject))
    show.poll(tenant)
    session.standing = options.standing ?? standing(tenant)
    const ended = openJob(tenant) === undefined && !options.forever
    if (ended || Date.now() > deadline) {
      show.end()
      return { tenant, timedOut: !ended }
    }
    await sleep(options.intervalMs, undefined, { signal: session.stop }).catch(() =>
      session.stop.throwIfAborted(),
    )
  }
}

/** What a command that followed a tenant exits with. */
export function exitCodeOf(tenant: Tenant): number {
  if (tenant.verdict.state === 'deleted')
    return newestJob(tenant)?.status === 'succeeded' ? exit.fine : exit.notReady
  return tenant.verdict.ready ? exit.fine : exit.notReady
}

function standing(tenant: Tenant): string {
  const open = openJob(tenant)
  if (!open) return tenant.verdict.summary
  return `The job goes on by itself (${doneOf(open)}). See how: npm run tenants -- watch ${argumentOf(tenant)}`
}

function doneOf({ steps }: Job): string {
  return `${steps.filter(({ status }) => status === 'succeeded').length} of ${steps.length} steps done`
}

/** Reads once more when the project cannot be reached or answers with an error of its own. */
export async function patiently<T>(session: Session, read: () => Promise<T>): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await read()
    } catch (error) {
      const passing = error instanceof ProjectError && (error.status === 0 || error.status >= 500)
      if (!passing || failures > FAILURES_ALLOWED) throw error
      await sleep(1000, undefined, { signal: session.stop }).catch(() => session.stop.throwIfAborted())
    }
  }
}

interface Show {
  poll(tenant: Tenant): void
  end(): void
}

function showScreen(): Show {
  let drawn = 0
  return {
    poll: (tenant) => {
      const lines = screenLines(tenant).map((line) =>
        clipped(line.replaceAll(/\n\s*/g, '  '), screenWidth() - 1),
      )
      process.stdout.write(`${drawn > 0 ? `\u001b[${drawn}A\u001b[J` : ''}${lines.join('\n')}\n`)
      drawn = lines.length
    },
    end: () => undefined,
  }
}

function screenLines(tenant: Tenant): string[] {
  const job = openJob(tenant) ?? newestJob(tenant)
  const title = `${sign(job?.status ?? 'unknown')} ${bold(nameOf(tenant))} ${job ? `${job.kind} ${job.status}` : 'has no job'}`
  return [title, ...(job ? jobLines(job) : []), ...(openJob(tenant) ? [dim(tenant.verdict.summary)] : [])]
}

function showLines(print: (line: string) => void): Show {
  const changes = changeDetector()
  return {
    poll: (tenant) => {
      for (const change of changes(tenant)) print(changeLine(change))
    },
    end: () => undefined,
  }
}

function changeLine({ at, kind, step, status, attempts, message }: Change): string {
  const what =
    step === undefined
      ? `${kind} is ${status}`
      : `${step} ${status}${attempts > 1 ? `, attempt ${attempts}` : ''}`
  return `${at} ${what}${message ? `: ${message}` : ''}`
}

function showObjects(session: Session): Show {
  const changes = changeDetector()
  return {
    poll: (tenant) => {
      for (const change of changes(tenant)) session.printLine(change, () => '')
    },
    end: () => undefined,
  }
}

function showProgress(): Show {
  const progress = startProgress()
  return {
    poll: (tenant) => {
      const job = openJob(tenant)
      if (!job) return
      const running = job.steps.find(({ status }) => status === 'running' || status === 'retrying')
      const done = job.steps.filter(({ status }) => status === 'succeeded').length
      progress.show(
        running ? `${running.step} ${running.status}` : job.status,
        done / Math.max(1, job.steps.length),
      )
    },
    end: () => progress.clear(),
  }
}

/** @returns a function that tells what differs from the tenant that it was given before */
function changeDetector(): (tenant: Tenant) => Change[] {
  const seen = new Map<string, string>()
  const isNew = (key: string, value: string) => {
    if (seen.get(key) === value) return false
    seen.set(key, value)
    return true
  }
  return (tenant) => {
    const at = new Date().toISOString()
    return Object.values(tenant.jobs).flatMap((job) => {
      const about = { at, job: job.id, kind: job.kind }
      const steps = job.steps
        .filter(
          (step) =>
            step.status !== 'pending' && isNew(`${job.id} ${step.step}`, `${step.status} ${step.attempts}`),
        )
        .map((step) => ({
          ...about,
          step: step.step,
          status: step.status,
          attempts: step.attempts,
          message: step.error?.message ?? null,
        }))
      if (!isNew(job.id, job.status)) return steps
      const own = {
        ...about,
        status: job.status,
        attempts: job.attempts,
        message: job.last_error?.message ?? null,
      }
      return [...steps, own]
    })
  }
}
