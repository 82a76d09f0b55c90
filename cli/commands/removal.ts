import type { Command } from 'commander'
import { z } from 'zod'
import { duration, labelled, sign } from '../../tools/terminal.ts'
import { type Api, ProjectError } from '../api.ts'
import { type Define, exit, type Session } from '../session.ts'
import { argumentOf, jobFor, nameOf, type Tenant } from '../tenant.ts'

const LABEL_WIDTH = 20

interface Options {
  readonly yes?: boolean
  readonly dryRun?: true
}

const plannedRemoval = z.object({
  label: z.string(),
  externalId: z.string().nullable(),
  kept: z.boolean(),
  removedAfterHours: z.number(),
})
type PlannedRemoval = z.infer<typeof plannedRemoval>
const cancelPlan = z.looseObject({ wouldRemove: z.array(plannedRemoval) })
const cancellation = z.looseObject({ undoJobId: z.string().nullable() })
const deletionPlan = z.looseObject({ wouldDelete: z.object({ resources: z.array(plannedRemoval) }) })

export function registerCancel(program: Command, define: Define): void {
  define(
    asking(
      program
        .command('cancel')
        .description('stop a provisioning that is under way or failed, and undo what it made')
        .argument('<tenant>', 'slug, e-mail address or id'),
      'The organization and its users stay; `provision` starts over.',
    ),
    async (session, subject: string, options: Options) => {
      const api = await session.connect()
      const tenant = await api.find(subject)
      const request = { organizationId: tenant.organization_id, cancel: true }
      const plan = await api.invoke('provision-tenant-resources', { ...request, dryRun: true })
      const lines = cancelLines(nameOf(tenant), cancelPlan.parse(plan).wouldRemove)
      if (options.dryRun) return printed(session, plan, lines)
      await agreed(session, lines, `Cancel the provisioning of ${nameOf(tenant)}?`, options)
      session.requesting(argumentOf(tenant))
      const done = await api.invoke('provision-tenant-resources', request)
      const { undoJobId } = cancellation.parse(done)
      const undo = undoJobId
        ? ` What it made is being removed: npm run tenants -- watch ${argumentOf(tenant)}`
        : ''
      session.print(done, () =>
        labelled(sign('ok'), `The provisioning of ${nameOf(tenant)} is cancelled.${undo}`, 2),
      )
      return exit.fine
    },
  )
}

export function registerDeprovision(program: Command, define: Define): void {
  define(
    asking(
      program
        .command('deprovision')
        .description('delete an organization and everything that it has outside')
        .argument('<tenant>', 'slug or id of the organization'),
      'What it has outside is removed after a grace period (provisioning.resource_kinds).\nOf an organization that is deleted already, the removal is retried.',
    ),
    async (session, subject: string, options: Options) => {
      const api = await session.connect()
      const tenant = await api.find(subject)
      return tenant.organization
        ? deprovision(session, api, tenant, tenant.organization.slug, options)
        : retryRemoval(session, api, tenant, options)
    },
  )
}

export function registerReadmit(program: Command, define: Define): void {
  define(
    program
      .command('readmit')
      .description('let a user whose tenant was removed on purpose have one again')
      .argument('<user>', 'e-mail address or id')
      .addHelpText(
        'after',
        '\nNothing is made by that; `provision` does so, or the next change of the account.\nExit codes: 0 lifted, or nothing to lift; 1 there is no such user.',
      ),
    async (session, subject: string) => {
      const api = await session.connect()
      const tenant = await api.describe(subject)
      if (tenant.user === null) throw new ProjectError(tenant.verdict.summary, 'not_found', 404)
      const { id } = tenant.user
      session.standing = `Whether it is lifted: npm run tenants -- status ${id}`
      const lifted = await api.change('The removal', api.client.rpc('lift_removal', { user_id: id }))
      session.print({ user_id: id, lifted }, () =>
        lifted
          ? labelled(sign('ok'), `It is lifted. Make a tenant: npm run tenants -- provision ${id}`, 2)
          : labelled(sign('ok'), `No tenant of ${nameOf(tenant)} was removed.`, 2),
      )
      return exit.fine
    },
  )
}

type Found = Tenant & { organization_id: string }

async function deprovision(
  session: Session,
  api: Api,
  tenant: Found,
  slug: string,
  options: Options,
): Promise<number> {
  const request = { organizationId: tenant.organization_id }
  const plan = await api.invoke('deprovision-tenant-resources', { ...request, dryRun: true })
  const lines = deletionLines(tenant, deletionPlan.parse(plan).wouldDelete.resources)
  if (options.dryRun) return printed(session, plan, lines)
  show(session, lines, options)
  await session.confirmByName(`Delete ${slug}?`, slug, options.yes === true)
  session.requesting(argumentOf(tenant))
  const done = await api.invoke('deprovision-tenant-resources', { ...request, confirm: slug })
  session.print(done, () =>
    labelled(sign('ok'), `${slug} is deleted. Look: npm run tenants -- status ${tenant.organization_id}`, 2),
  )
  return exit.fine
}

/** What a deleted organization had outside may still be there when its removal failed. */
async function retryRemoval(session: Session, api: Api, tenant: Found, options: Options): Promise<number> {
  const removal = jobFor(tenant, 'remove')
  if (!removal) throw new ProjectError(tenant.verdict.summary, 'not_found', 404)
  const open = removal.steps.filter(({ status }) => status !== 'succeeded').map(({ step }) => step)
  const lines = [
    `${nameOf(tenant)} is deleted already; the removal of what it had is ${removal.status}.`,
    open.length > 0 ? `Still to be done: ${open.join(', ')}.` : 'Nothing is left to be done.',
  ]
  if (options.dryRun || removal.status === 'succeeded')
    return printed(session, { dryRun: true, removal }, lines)
  await agreed(session, lines, 'Try the removal again?', options)
  session.requesting(tenant.organization_id)
  const done = await api.invoke('deprovision-tenant-resources', { organizationId: tenant.organization_id })
  session.print(done, () =>
    labelled(sign('queued'), `It is asked for. Look: npm run tenants -- watch ${tenant.organization_id}`, 2),
  )
  return exit.fine
}

function asking(command: Command, explanation: string): Command {
  return command
    .option('--dry-run', 'only say what would be done')
    .option('--yes', 'do not ask; needed where there is no terminal')
    .addHelpText(
      'after',
      `\n${explanation}\nExit codes: 0 done, 1 refused or not confirmed, 130 Ctrl-C at the question.`,
    )
}

function printed(session: Session, document: unknown, lines: readonly string[]): number {
  session.print(document, () => lines.join('\n'))
  return exit.fine
}

async function agreed(
  session: Session,
  lines: readonly string[],
  question: string,
  options: Options,
): Promise<void> {
  show(session, lines, options)
  await session.confirm(question, options.yes === true)
}

/** What somebody is to agree to. */
function show(session: Session, lines: readonly string[], { yes = false }: Options): void {
  if (!yes) for (const line of lines) session.note(line)
}

function cancelLines(name: string, removals: readonly PlannedRemoval[]): string[] {
  return [`The provisioning of ${name} would be stopped.`, ...removalLines(removals)]
}

function deletionLines(tenant: Tenant, removals: readonly PlannedRemoval[]): string[] {
  const members = typeof tenant.member_count === 'number' ? tenant.member_count : 0
  return [
    `${nameOf(tenant)} would be deleted.`,
    labelled(
      '  Rows',
      `the organization, its database row and ${members} membership${members === 1 ? '' : 's'}; accounts stay`,
      LABEL_WIDTH,
    ),
    labelled('  Password', 'removed from Vault in about a minute', LABEL_WIDTH),
    ...removalLines(removals),
  ]
}

function removalLines(removals: readonly PlannedRemoval[]): string[] {
  if (removals.length === 0) return [labelled('  Outside', 'nothing that would be removed', LABEL_WIDTH)]
  return removals.map((removal) =>
    labelled(`  ${removal.label}`, `${removal.externalId ?? 'under way'}, ${fateOf(removal)}`, LABEL_WIDTH),
  )
}

function fateOf({ kept, removedAfterHours: hours }: PlannedRemoval): string {
  if (kept) return 'kept'
  return hours > 0 ? `removed after ${duration(hours * 3_600_000)}` : 'removed at once'
}
