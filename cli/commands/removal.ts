import type { Command } from 'commander'
import { z } from 'zod'
import { duration, labelled, sign, time } from '../../tools/terminal.ts'
import { type Api, ProjectError } from '../api.ts'
import { type Define, exit, type Session } from '../session.ts'
import { jobFor, nameOf, newestJob, type Tenant } from '../tenant.ts'

interface Options {
  readonly yes?: boolean
  readonly dryRun?: true
}

const resource = z.string().nullish()
const cancelPlan = z.looseObject({
  wouldDelete: z.object({ neonProject: resource, stripeCustomer: resource }),
})
const cancellation = z.looseObject({ undoJobId: z.string().nullable() })
const deletionPlan = z.looseObject({
  wouldDelete: z.object({
    neonProject: resource,
    neonProjectDeletedAfterHours: z.number(),
    stripeCustomer: resource,
    stripeCustomerIs: z.string(),
  }),
})

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
      const lines = cancelLines(nameOf(tenant), cancelPlan.parse(plan).wouldDelete)
      if (options.dryRun) return printed(session, plan, lines)
      await agreed(session, lines, `Cancel the provisioning of ${nameOf(tenant)}?`, options)
      session.requesting(nameOf(tenant))
      const done = await api.invoke('provision-tenant-resources', request)
      const { undoJobId } = cancellation.parse(done)
      const undo = undoJobId
        ? ` What it made is being removed: npm run tenants -- watch ${nameOf(tenant)}`
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
      'Its Neon project is kept for settings.neon_deletion_grace_hours. Of an organization that is deleted already, the removal is retried.',
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
  const lines = deletionLines(tenant, deletionPlan.parse(plan).wouldDelete)
  if (options.dryRun) return printed(session, plan, lines)
  await agreed(session, lines, `Delete ${slug}?`, options)
  session.requesting(nameOf(tenant))
  const done = await api.invoke('deprovision-tenant-resources', { ...request, confirm: slug })
  const after = await api.describe(tenant.organization_id)
  const at = newestJob(after)?.request.delete_neon_project_at
  const kept = typeof at === 'string' ? ` Its Neon project is deleted after ${time(at)} UTC.` : ''
  session.print(done, () =>
    labelled(sign('ok'), `${slug} is deleted.${kept} Look: npm run tenants -- status ${slug}`, 2),
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
  { yes = false }: Options,
): Promise<void> {
  if (!yes) for (const line of lines) session.note(line)
  await session.confirm(question, yes)
}

function cancelLines(
  name: string,
  { neonProject, stripeCustomer }: z.infer<typeof cancelPlan>['wouldDelete'],
): string[] {
  return [
    `The provisioning of ${name} would be stopped.`,
    labelled(
      '  Neon project',
      neonProject ? `${neonProject} would be deleted` : 'none that would be deleted',
      20,
    ),
    labelled(
      '  Stripe customer',
      stripeCustomer ? `${stripeCustomer} would be removed` : 'none that would be removed',
      20,
    ),
  ]
}

function deletionLines(tenant: Tenant, plan: z.infer<typeof deletionPlan>['wouldDelete']): string[] {
  const members = typeof tenant.member_count === 'number' ? tenant.member_count : 0
  const grace = plan.neonProjectDeletedAfterHours
  const when =
    grace > 0
      ? `deleted after ${duration(grace * 3_600_000)}, recoverable at Neon for 7 days more`
      : 'deleted at once'
  return [
    `${nameOf(tenant)} would be deleted.`,
    labelled(
      '  Rows',
      `the organization, its database row and ${members} membership${members === 1 ? '' : 's'}; accounts stay`,
      20,
    ),
    labelled('  Password', 'removed from Vault in about a minute', 20),
    labelled(
      '  Neon project',
      plan.neonProject ? `${plan.neonProject}, ${when}` : 'none is recorded; what carries its name goes',
      20,
    ),
    labelled(
      '  Stripe customer',
      plan.stripeCustomer
        ? `${plan.stripeCustomer}, ${plan.stripeCustomerIs === 'keep' ? 'kept' : 'deleted'}`
        : 'none',
      20,
    ),
  ]
}
