import { type Command, InvalidArgumentError, Option } from 'commander'
import { labelled, sign } from '../../tools/terminal.ts'
import { follow } from '../follow.ts'
import { graceHours, seconds } from '../options.ts'
import { type Define, exit } from '../session.ts'
import { argumentOf, isOpen, nameOf } from '../tenant.ts'

const POLL_MS = 300
const KEYS = ['doorbell', 'sealing', 'logins'] as const

interface Options {
  readonly graceHours?: number
  readonly wait: boolean
  readonly timeout: number
  readonly yes?: true
}

export function registerRotate(program: Command, define: Define): void {
  define(
    program
      .command('rotate')
      .description('give a tenant another login into its database, with another password')
      .argument('<tenant>', 'slug, e-mail address or id')
      .addOption(
        new Option(
          '--grace-hours <hours>',
          'how long the present password stays valid; 0 ends it now',
        ).argParser(graceHours),
      )
      .option('--no-wait', 'return as soon as it is asked for')
      .addOption(new Option('--timeout <seconds>', 'how long to follow it').default(120).argParser(seconds))
      .option('--yes', 'with --grace-hours 0, do not ask; needed where there is no terminal')
      .addHelpText(
        'after',
        '\nThe new password is shown by `connection --reveal`. The present one stays valid for settings.rotation_grace_hours (24).\nExit codes: 0 rotated (with --no-wait: asked for), 1 refused, 3 not done in time or failed.',
      ),
    async (session, subject: string, options: Options) => {
      const api = await session.connect()
      const tenant = await api.find(subject)
      const name = argumentOf(tenant)
      if (options.graceHours === 0)
        await session.confirm(
          `End the present password of ${nameOf(tenant)} as soon as there is another? Programs that hold it are let in no more.`,
          options.yes ?? false,
        )
      session.requesting(name)
      const jobId = await api.change(
        'The rotation',
        api.client.rpc('rotate_credentials', {
          organization_id: tenant.organization_id,
          ...(options.graceHours === undefined ? {} : { grace_hours: options.graceHours }),
        }),
      )
      if (!options.wait) {
        session.print({ job_id: jobId }, () =>
          labelled(sign('queued'), `Asked for. Look: npm run tenants -- watch ${name}`, 2),
        )
        return exit.fine
      }
      const following = { intervalMs: POLL_MS, timeoutMs: options.timeout * 1000 }
      const { tenant: after } = await follow(session, api, tenant.organization_id, following, true)
      const job = Object.values(after.jobs).find(({ id }) => id === jobId)
      const done = job?.status === 'succeeded'
      session.print({ job_id: jobId, status: job?.status ?? null, error: job?.last_error ?? null }, () =>
        done
          ? labelled(
              sign('ok'),
              `${nameOf(after)} has another login. See it: npm run tenants -- connection ${name} --reveal`,
              2,
            )
          : labelled(
              sign('waiting'),
              [
                `The rotation is ${job?.status ?? 'unknown'}.`,
                job?.last_error?.message,
                'The login that is shown stays valid.',
                ...(job && isOpen(job) ? [`It goes on by itself: npm run tenants -- watch ${name}`] : []),
              ]
                .filter(Boolean)
                .join(' '),
              2,
            ),
      )
      return done ? exit.fine : exit.notReady
    },
  )
}

/** @throws InvalidArgumentError */
function keys(text: string, before: readonly string[] | undefined): string[] {
  const named = text.split(',').map((word) => word.trim())
  const unknown = named.find((word) => !KEYS.some((key) => key === word))
  if (unknown !== undefined)
    throw new InvalidArgumentError(`There are ${KEYS.join(', ')}; "${unknown}" is none.`)
  return [...new Set([...(before ?? []), ...named])]
}

export function registerRotateKeys(program: Command, define: Define): void {
  define(
    program
      .command('rotate-keys')
      .description('make keys of the project anew: of doorbells and sealing, and passwords of our own logins')
      .addOption(
        new Option('--only <keys>', `${KEYS.join(', ')}; may be repeated. Without, all`).argParser(keys),
      )
      .option('--yes', 'do not ask; needed where there is no terminal')
      .addHelpText(
        'after',
        '\nWork that a new key cuts off is repeated. Our own logins are renewed by the sweep within an hour or so, in databases that are awake.\nExit codes: 0 done, 1 refused or not confirmed.',
      ),
    async (session, { only = [...KEYS], yes = false }: { only?: string[]; yes?: boolean }) => {
      const api = await session.connect()
      await session.confirm(`Make anew: ${only.join(', ')}?`, yes)
      session.standing = 'Whether it was done is in the audit log: key.rotated.'
      const rotated = await api.change('The rotation', api.client.rpc('rotate_keys', { keys: only }))
      session.print({ rotated }, () => labelled(sign('ok'), `Made anew: ${only.join(', ')}.`, 2))
      return exit.fine
    },
  )
}
