import { type Command, Option } from 'commander'
import { z } from 'zod'
import { heading, labelled, sign, table, time } from '../../tools/terminal.ts'
import { type Api, ProjectError } from '../api.ts'
import { count, graceHours } from '../options.ts'
import { type Define, exit, listed, type Session } from '../session.ts'

const ACTIONS = ['list', 'create', 'rename', 'reroll', 'revoke'] as const
type Action = (typeof ACTIONS)[number]

interface Options {
  readonly scope: 'read' | 'write'
  readonly expiresInDays?: number
  readonly requestsPerMinute?: number
  readonly graceHours: number
}

const apiKey = z.looseObject({
  id: z.string(),
  name: z.string(),
  prefix: z.string(),
  scope: z.string(),
  status: z.enum(['active', 'expired', 'revoked']),
  created_at: z.string(),
  last_used_at: z.string().nullable(),
  expires_at: z.string().nullable(),
})
type ApiKey = z.infer<typeof apiKey>
const newKey = apiKey.extend({ key: z.string() })

const COLUMNS =
  'id, organization_id, name, prefix, scope, requests_per_minute, created_by, created_at, last_used_at, expires_at, revoked_at, replaced_by'

export function registerKeys(program: Command, define: Define): void {
  define(
    program
      .command('keys')
      .description('the API keys of a tenant’s GraphQL endpoint')
      .argument('<tenant>', 'slug, e-mail address or id')
      .argument('[action]', ACTIONS.join(', '), 'list')
      .argument('[key]', 'the name of a new key; the prefix or id of one that is there')
      .argument('[name]', 'for rename: the new name')
      .addOption(new Option('--scope <scope>', 'of a new key').choices(['read', 'write']).default('read'))
      .option('--expires-in-days <days>', 'of a new key; without, it does not end by itself', count)
      .option('--requests-per-minute <number>', 'of a new key; without, as many as any key', count)
      .option('--grace-hours <hours>', 'how long a rerolled key stays valid', graceHours, 24)
      .addHelpText(
        'after',
        listed('Actions', [
          ['list', 'all keys of the tenant'],
          ['create NAME', 'makes one and prints it, this once'],
          ['rename KEY NAME', 'gives it another name'],
          ['reroll KEY', 'makes another one in its place, prints that, and ends the old one after the grace'],
          ['revoke KEY', 'ends it at once'],
        ]),
      ),
    async (
      session,
      subject: string,
      action: string,
      key: string | undefined,
      name: string | undefined,
      options: Options,
    ) => {
      const api = await session.connect()
      const { organization_id: organizationId } = await api.find(subject)
      session.standing = `Whether it was done: npm run tenants -- keys ${subject}`
      return act(session, api, organizationId, knownAction(action), { key, name }, options)
    },
  )
}

interface Names {
  readonly key: string | undefined
  readonly name: string | undefined
}

async function act(
  session: Session,
  api: Api,
  organizationId: string,
  action: Action,
  { key, name }: Names,
  options: Options,
): Promise<number> {
  const { client } = api
  if (action === 'list') return list(session, await keysOf(api, organizationId))
  if (action === 'create') {
    const days = options.expiresInDays
    const made = await api.change(
      'The key',
      client.rpc('create_api_key', {
        organization_id: organizationId,
        name: given(key, 'a name for the key'),
        scope: options.scope,
        ...(days ? { expires_at: new Date(Date.now() + days * 86_400_000).toISOString() } : {}),
        ...(options.requestsPerMinute ? { requests_per_minute: options.requestsPerMinute } : {}),
      }),
    )
    return showNew(session, newKey.parse(made))
  }
  const { id: keyId } = find(await keysOf(api, organizationId), given(key, 'the prefix or id of a key'))
  if (action === 'rename') {
    const wanted = { key_id: keyId, name: given(name, 'the new name') }
    const renamed = apiKey.parse(await api.change('The key', client.rpc('rename_api_key', wanted)))
    return done(session, renamed, `${renamed.prefix} is called ${renamed.name} now.`)
  }
  if (action === 'reroll') {
    const wanted = { key_id: keyId, grace_hours: options.graceHours }
    return showNew(session, newKey.parse(await api.change('The key', client.rpc('reroll_api_key', wanted))))
  }
  const revoked = apiKey.parse(await api.change('The key', client.rpc('revoke_api_key', { key_id: keyId })))
  return done(session, revoked, `${revoked.prefix} (${revoked.name}) has ended.`)
}

async function keysOf(api: Api, organizationId: string): Promise<ApiKey[]> {
  const rows = await api.read(
    'The keys',
    api.client
      .from('tenant_api_keys')
      .select(COLUMNS)
      .eq('organization_id', organizationId)
      .order('created_at', { ascending: false }),
  )
  const now = Date.now()
  return rows.map((row) => ({ ...row, status: statusOf(row, now) }))
}

function statusOf(
  { revoked_at: revoked, expires_at: expires }: Readonly<Record<'revoked_at' | 'expires_at', string | null>>,
  now: number,
): ApiKey['status'] {
  if (revoked !== null) return 'revoked'
  return expires !== null && Date.parse(expires) <= now ? 'expired' : 'active'
}

/** @throws ProjectError when there is none */
function find(keys: readonly ApiKey[], wanted: string): ApiKey {
  const found = keys.filter(({ id, prefix }) => id === wanted || prefix === wanted)
  const [key] = found
  if (key) return key
  throw new ProjectError(`The tenant has no key ${wanted}; its prefix is in the list.`, 'key_not_found', 404)
}

function list(session: Session, keys: readonly ApiKey[]): number {
  session.print({ keys }, () => (keys.length === 0 ? 'The tenant has no keys.' : screen(keys)))
  return exit.fine
}

function screen(keys: readonly ApiKey[]): string {
  return table(
    ['prefix', 'name', 'scope', 'status', 'last used (UTC)', 'expires (UTC)'],
    keys.map(({ prefix, name, scope, status, last_used_at: used, expires_at: expires }) => [
      prefix,
      name,
      scope,
      status,
      used ? time(used) : 'never',
      expires ? time(expires) : '–',
    ]),
  )
}

function showNew(session: Session, made: z.infer<typeof newKey>): number {
  session.print(made, () =>
    [
      heading(`${made.name} (${made.scope})`),
      labelled('key', made.key, 8),
      'It is shown this once: nobody can read it again.',
    ].join('\n'),
  )
  return exit.fine
}

function done(session: Session, key: ApiKey, sentence: string): number {
  session.print(key, () => labelled(sign('ok'), sentence, 2))
  return exit.fine
}

/** @throws ProjectError */
function knownAction(action: string): Action {
  const known = ACTIONS.find((each) => each === action)
  if (known) return known
  throw new ProjectError(`${action} is none of the actions ${ACTIONS.join(', ')}.`, 'usage', 0)
}

/** @throws ProjectError */
function given(value: string | undefined, what: string): string {
  if (value !== undefined && value !== '') return value
  throw new ProjectError(`Give ${what}.`, 'usage', 0)
}
