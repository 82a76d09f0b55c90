import { bold, dim, green, red, yellow } from '../../tools/command.ts'
import {
  clipped,
  duration,
  heading,
  labelled,
  padded,
  screenWidth,
  sign,
  time,
} from '../../tools/terminal.ts'
import {
  type Check,
  type Job,
  newestJob,
  type Resource,
  type Step,
  type Tenant,
  type TenantEvent,
} from '../tenant.ts'

const EVENTS_SHOWN = 8
const AUDIT_SHOWN = 4
const NAME_WIDTH = 20

/** The whole verification of one user: verdict, who it is, checks, steps, events, alerts, audit, and what to do next. */
export function statusScreen(tenant: Tenant): string {
  if (tenant.verdict.state === 'not_found') return [verdictLine(tenant), ...nextLines(tenant)].join('\n')
  const job = newestJob(tenant)
  const events = tenant.events.toSorted((one, other) => endOf(other).localeCompare(endOf(one)))
  return [
    verdictLine(tenant),
    ...identity(tenant),
    heading('Checks'),
    ...tenant.checks.flatMap((check) => checkLines(check)),
    ...section('Outside', tenant.resources.map(resourceLines)),
    ...(job ? [heading(`Steps (${job.kind})`), ...jobLines(job)] : []),
    ...section('Events', events.slice(0, EVENTS_SHOWN).map(eventLine), events.length - EVENTS_SHOWN),
    ...section(
      'Open alerts',
      tenant.alerts.map((alert) =>
        labelled(`${sign(alert.severity)} ${time(alert.opened_at)}`, `${alert.kind}: ${alert.message}`, 23),
      ),
    ),
    ...section(
      'Audit',
      tenant.audit
        .slice(0, AUDIT_SHOWN)
        .map((entry) =>
          clipped(
            `  ${dim(time(entry.created_at))}  ${entry.action} ${dim(`by ${entry.actor_type}`)}`,
            screenWidth(),
          ),
        ),
      tenant.audit.length - AUDIT_SHOWN,
    ),
    ...nextLines(tenant),
  ].join('\n')
}

function verdictLine({ verdict }: Tenant): string {
  if (verdict.ready) return `${sign('ok')} ${bold(green(verdict.summary))}`
  const waits = verdict.state === 'provisioning' || verdict.state === 'waiting'
  return labelled(sign(waits ? 'waiting' : 'failed'), bold((waits ? yellow : red)(verdict.summary)), 2)
}

function identity({ user, organization, database }: Tenant): string[] {
  const lines: [string, string][] = []
  if (user) lines.push(['user', `${user.id} ${dim(`since ${time(user.created_at).slice(0, 10)}`)}`])
  if (organization)
    lines.push([
      'organization',
      `${organization.id} ${dim(`since ${time(organization.created_at).slice(0, 10)}`)}`,
    ])
  if (database?.host) lines.push(['database host', database.host])
  return lines.map(([name, value]) => clipped(`  ${padded(dim(name), NAME_WIDTH)}${value}`, screenWidth()))
}

function checkLines({ check, status, found, fix, commands }: Check): string[] {
  return [
    labelled(`${sign(status)} ${check}`, found ?? '', NAME_WIDTH + 2),
    ...(fix === null ? [] : [labelled('', dim(`→ ${fix}`), NAME_WIDTH + 2)]),
    ...commands.map((command) => `${' '.repeat(NAME_WIDTH + 2)}${dim(`  ${command}`)}`),
  ]
}

const RESOURCE_SIGNS: Readonly<Record<string, string>> = { active: 'ok', planned: 'waiting' }

/** Its id, where people see it, and where they see each of its parts. */
function resourceLines({ label, state, external_id: id, url, parts }: Resource): string {
  const below = parts.map((part) => `${part.name}  ${part.url ?? part.id}`)
  const first = labelled(
    `${sign(RESOURCE_SIGNS[state] ?? state)} ${label}`,
    id ?? 'under way',
    NAME_WIDTH + 2,
  )
  return [first, ...[url ?? '', ...below].filter(Boolean).map((line) => `    ${dim(line)}`)].join('\n')
}

/** A line for each step of a job. */
export function jobLines(job: Job): string[] {
  const width = Math.max(NAME_WIDTH, ...job.steps.map(({ step }) => step.length + 2))
  return job.steps.map((step) => stepLine(step, width))
}

function stepLine(step: Step, width: number): string {
  const took =
    step.status === 'succeeded' && step.started_at && step.finished_at
      ? duration(Date.parse(step.finished_at) - Date.parse(step.started_at))
      : ''
  const attempts = step.attempts > 1 ? `attempt ${step.attempts}` : ''
  const state = `${sign(step.status)} ${padded(step.step, width)}${padded(step.status, 11)}${took.padStart(7)}`
  if (step.status === 'succeeded')
    return labelled(
      `${state}  `,
      [attempts, dim(made(step.output))].filter(Boolean).join('  '),
      width + 22,
    ).trimEnd()
  const again = step.next_attempt_at ? dim(` again at ${time(step.next_attempt_at)} UTC`) : ''
  const first = attempts ? `${state}  ${attempts}` : state.trimEnd()
  return step.error
    ? `${first}\n${labelled('', `${step.error.message ?? step.error.code ?? ''}${again}`, 4)}`
    : first
}

function made(output: Readonly<Record<string, unknown>>): string {
  return Object.entries(output)
    .map(([name, value]) => (name === 'resourceId' ? String(value) : `${name} ${shortened(inWords(value))}`))
    .join(', ')
}

/** Of what has several parts, how many. */
function inWords(value: unknown): string {
  return Array.isArray(value) && value.some((part) => typeof part === 'object')
    ? String(value.length)
    : String(value)
}

/** A checksum has no place to be broken, and its beginning tells it from others. */
function shortened(value: string): string {
  return /^[0-9a-f]{40,}$/.test(value) ? `${value.slice(0, 12)}…` : value
}

const endOf = (event: TenantEvent) => event.completed_at ?? event.started_at

export function eventLine(event: TenantEvent): string {
  const about = event.error_message ?? event.resource_id ?? ''
  const attempt = Number(event.metadata.attempt) > 1 ? ` (attempt ${String(event.metadata.attempt)})` : ''
  return clipped(
    `${sign(event.status)} ${dim(time(endOf(event)))}  ${padded(event.event_type, 16)} ${padded(event.resource_type, 18)} ${about}${attempt}`.trimEnd(),
    screenWidth(),
  )
}

function section(title: string, lines: readonly string[], more = 0): string[] {
  if (lines.length === 0) return []
  return [heading(title), ...lines, ...(more > 0 ? [dim(`  … and ${more} more`)] : [])]
}

function nextLines({ verdict }: Tenant): string[] {
  if (verdict.fix === null) return []
  return [
    heading('Next'),
    labelled(' ', verdict.fix, 2),
    ...verdict.commands.map((command) => `  ${bold(command)}`),
  ]
}
