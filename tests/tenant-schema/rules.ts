/** Who asks: which claims, and as which role of the database. The last one reads, too, but was given the role that writes. */
export const ACTORS = [
  'stranger',
  'member',
  'admin',
  'owner',
  'readKey',
  'writeKey',
  'misplacedReadKey',
] as const
export type Actor = (typeof ACTORS)[number]
export const VERBS = ['select', 'insert', 'update', 'delete'] as const
export type Verb = (typeof VERBS)[number]

/** The rows of the organization that there are: what each person has, or one for everybody. */
export const PEOPLE = ['member', 'admin', 'owner', 'colleague'] as const

type Who = 'nobody' | 'everybody' | 'leaders' | 'writers'
/** Of many rows, a person may do it with the own only. */
type Rule = Who | { readonly own: Who }

/** The rules of tenant-schema/README.md. */
interface TableRules {
  readonly select: Rule
  readonly insert: Rule
  readonly update: Rule
  readonly delete: Rule
}

const SHARED: TableRules = {
  select: 'everybody',
  insert: 'writers',
  update: 'writers',
  delete: 'writers',
}
const OURS: TableRules = { select: 'everybody', insert: 'nobody', update: 'nobody', delete: 'nobody' }

export const RULES: Readonly<Record<string, TableRules>> = {
  organizations: { ...OURS, update: 'leaders' },
  users: { ...OURS, update: { own: 'leaders' } },
  contacts: SHARED,
  companies: SHARED,
  deals: SHARED,
  activities: SHARED,
  email_campaigns: SHARED,
  email_templates: SHARED,
  email_sequences: SHARED,
  email_sends: SHARED,
  email_unsubscribes: { ...SHARED, update: 'leaders', delete: 'leaders' },
  social_posts: SHARED,
  social_accounts: { ...SHARED, insert: 'leaders', update: 'leaders', delete: 'leaders' },
  content_queue: SHARED,
  content_templates: SHARED,
  client_usage_metrics: OURS,
  subscription_history: { ...OURS, select: 'leaders' },
  analytics_snapshots: OURS,
  platform_metrics: OURS,
  notifications: {
    select: { own: 'nobody' },
    insert: 'writers',
    update: { own: 'nobody' },
    delete: { own: 'nobody' },
  },
  audit_log: { select: { own: 'leaders' }, insert: 'writers', update: 'nobody', delete: 'nobody' },
}

/** What a row needs beside its organization, whose person is USER. */
export const NEEDED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  organizations: { name: "'A'", slug: 'gen_random_uuid()' },
  users: { id: 'gen_random_uuid()' },
  contacts: { last_name: "'A'" },
  companies: { name: "'A'" },
  deals: { name: "'A'" },
  activities: { type: "'call'", subject: "'A'" },
  email_campaigns: { name: "'A'" },
  email_templates: { name: 'gen_random_uuid()', subject: "'A'", body_text: "'A'" },
  email_sequences: { name: "'A'" },
  email_sends: { email: "'a@example.com'", subject: "'A'" },
  email_unsubscribes: { email: "gen_random_uuid() || '@example.com'" },
  social_posts: { social_account_id: '(select id from public.social_accounts limit 1)', content: "'A'" },
  social_accounts: { platform: "'x'", handle: 'gen_random_uuid()' },
  content_queue: { title: "'A'" },
  content_templates: { name: 'gen_random_uuid()', body: "'A'" },
  client_usage_metrics: {
    metric: "'a'",
    period_start: 'current_date',
    period_end: 'current_date + 1',
    unit: "'a'",
  },
  subscription_history: { plan: "'free'", status: "'free'" },
  analytics_snapshots: { taken_on: 'current_date' },
  platform_metrics: { metric: "'a'", value: '1', unit: "'a'" },
  notifications: { user_id: "'USER'", title: "'A'" },
  audit_log: { user_id: "'USER'", action: "'a'" },
}

/** Which column somebody changes who may change anything. */
export const CHANGED: Readonly<Record<string, string>> = { organizations: 'legal_name', users: 'job_title' }

const isPerson = (actor: Actor) => ['member', 'admin', 'owner'].includes(actor)

function includes(who: Who, actor: Actor, verb: Verb): boolean {
  if (actor === 'stranger' || who === 'nobody') return false
  if (actor === 'readKey' || actor === 'misplacedReadKey') return verb === 'select'
  return who !== 'leaders' || actor !== 'member'
}

/** How many of the rows the actor does it with. */
export function expected(actor: Actor, table: string, verb: Verb): number {
  const rule = RULES[table]?.[verb] ?? 'nobody'
  if (verb === 'insert') return includes(typeof rule === 'string' ? rule : rule.own, actor, verb) ? 1 : 0
  const rows = ['users', 'notifications', 'audit_log'].includes(table) ? PEOPLE.length : 1
  if (typeof rule === 'string') return includes(rule, actor, verb) ? rows : 0
  if (includes(rule.own, actor, verb)) return rows
  if (isPerson(actor)) return 1
  // A key is no person, so that none of the rows is its own more than another.
  return includes('everybody', actor, verb) ? rows : 0
}
