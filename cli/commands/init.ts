import path from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { bold, dim, green, red, yellow } from '../../tools/command.ts'
import { projectRoot } from '../../tools/project.ts'
import { described } from '../install/find-mapping.ts'
import { type Change, type Plan, planInstallation } from '../install/plan.ts'
import { schemaNameProblem, TEMPLATE_SCHEMA } from '../install/render-schema.ts'
import { writeChanges } from '../install/write-changes.ts'
import { type Define, exit } from '../session.ts'

interface Options {
  readonly schema?: string
  readonly profiles?: string
  readonly tenants?: string
  readonly members?: string
  readonly column: Readonly<Record<string, string>>
  readonly role: Readonly<Record<string, string>>
  readonly dryRun?: true
  readonly yes?: true
}

export function registerInit(program: Command, define: Define): void {
  define(
    program
      .command('init')
      .argument('[directory]', 'the directory with supabase/config.toml', '.')
      .description('put tenant provisioning into a Supabase project: migrations, functions and configuration')
      .option(
        '--schema <name>',
        'where our tables are to be; without it public, or tenancy where public has our names',
      )
      .option('--profiles <table>', 'your table with names of users, to be read instead of a table of ours')
      .option(
        '--tenants <table>',
        'your table of companies, teams or workspaces: its rows become organizations',
      )
      .option('--members <table>', 'your table of who is in them, in which role')
      .option(
        '--column <part.what=column>',
        'a column that is not the one found, as in profiles.name=first_name+last_name or tenants.owner=none',
        pair,
        {},
      )
      .option('--role <theirs=ours>', 'which role of yours is an owner, admin or member of ours', pair, {})
      .option('--dry-run', 'show what would be written, and write nothing')
      .option('--yes', 'do it without asking')
      .addHelpText(
        'after',
        `
Works on files alone. With SUPABASE_DB_URL it also looks at the database, for names that the migrations do not tell; nothing is
changed there. Migrations get versions after the project's newest one, the functions their own import map, supabase/config.toml and
.env.example what we need; everything else in them is kept. What was written is remembered in supabase/tenant-provisioning.json.
Run it again after an update: it writes what is new, or says why it cannot.`,
      ),
    async (session, directory: string, options: Options) => {
      const project = path.resolve(directory)
      const problem = schemaProblem(options.schema) ?? directoryProblem(project)
      if (problem) throw new Error(problem)
      session.standing = 'Nothing was written.'
      const { SUPABASE_DB_URL: databaseUrl } = session.environment
      const plan = await planInstallation({
        project,
        now: new Date(),
        ...(databaseUrl ? { databaseUrl } : {}),
        ...(options.schema === undefined ? {} : { schema: options.schema }),
        mapping: {
          columns: options.column,
          roles: options.role,
          ...(options.profiles === undefined ? {} : { profiles: options.profiles }),
          ...(options.tenants === undefined ? {} : { tenants: options.tenants }),
          ...(options.members === undefined ? {} : { members: options.members }),
        },
      })
      const document = {
        project,
        ...plan,
        changes: plan.changes.map(({ path: file, kind }) => ({ path: file, kind })),
      }
      const isDone = plan.changes.length === 0
      if (plan.problems.length > 0 || isDone || options.dryRun) {
        session.print({ ...document, written: false }, () => screen(project, plan, false))
        return plan.problems.length > 0 ? exit.refused : exit.fine
      }
      if (!options.yes) session.note(screen(project, plan, false))
      await session.confirm('Write these files?', options.yes ?? false)
      await writeChanges(project, plan.changes, session.stop)
      session.print({ ...document, written: true }, () => screen(project, plan, true))
      return exit.fine
    },
  )
}

/** @throws InvalidArgumentError unless it is KEY=VALUE */
function pair(text: string, before: Readonly<Record<string, string>>): Record<string, string> {
  const [, key, value] = /^([^=]+)=(.+)$/.exec(text) ?? []
  if (!key || !value) throw new InvalidArgumentError('Write it as NAME=VALUE.')
  return { ...before, [key]: value }
}

const schemaProblem = (schema: string | undefined) =>
  schema === undefined ? undefined : schemaNameProblem(schema)

const directoryProblem = (project: string) =>
  path.relative(project, projectRoot) === ''
    ? 'This is the directory of tenant provisioning itself. Name that of your project.'
    : undefined

/** Folders with more of our files than this are told as one line. */
const SINGLE_FILES = 3

function screen(project: string, plan: Plan, isWritten: boolean): string {
  const { schema, reason, changes, problems } = plan
  if (problems.length > 0)
    return [`${red('Nothing was written.')}`, ...problems.map((problem) => `  ${red('✗')} ${problem}`)].join(
      '\n',
    )
  if (changes.length === 0) return `${green('✓')} ${project} has all of it already, in the schema ${schema}.`
  return [
    `${bold(isWritten ? 'Written' : 'To be written')} into ${project}`,
    `  our tables go to the schema ${bold(schema)}: ${reason}`,
    ...Object.values(plan.mapping).flatMap((table) =>
      table ? [`  reads your table ${bold(table.table)} instead of one of ours: ${described(table)}`] : [],
    ),
    ...plan.proposals.map((option) => `  could read a table of yours, with ${option}`),
    ...(plan.upgrade
      ? [
          `  brings a database that has an earlier version up to this one, by ${bold(plan.upgrade)}: read it first`,
        ]
      : []),
    ...plan.notices.map((notice) => `  ${yellow('!')} ${notice}`),
    ...(plan.sawDatabase
      ? []
      : [
          dim(
            '  the database was not looked at; with SUPABASE_DB_URL it is, for names that no migration tells',
          ),
        ]),
    ...summary(changes).map((line) => `  ${line}`),
    ...(isWritten ? ['', ...nextSteps(schema)] : []),
  ].join('\n')
}

const SIGNS = { create: green('+'), change: yellow('~'), delete: red('-') } as const

function summary(changes: readonly Change[]): string[] {
  const groups = new Map<string, Change[]>()
  for (const change of changes) {
    const key = `${change.kind} ${groupOf(change.path)}`
    groups.set(key, [...(groups.get(key) ?? []), change])
  }
  return [...groups.values()].flatMap((group) =>
    group.length <= SINGLE_FILES
      ? group.map(({ kind, path: file }) => `${SIGNS[kind]} ${file}`)
      : many(group),
  )
}

/** Migrations together, and what the functions share. */
function groupOf(file: string): string {
  const [top = '', second = '', third = ''] = file.split('/')
  return third.startsWith('_') ? `${top}/${second}/${third}` : path.dirname(file)
}

function many(group: readonly Change[]): string[] {
  const [first] = group
  const last = group.at(-1)
  if (!first || !last) return []
  const folder = groupOf(first.path)
  const range =
    path.dirname(first.path) === folder && path.dirname(last.path) === folder
      ? dim(` ${path.basename(first.path)} … ${path.basename(last.path)}`)
      : ''
  return [`${SIGNS[first.kind]} ${folder}/ ${group.length} files${range}`]
}

function nextSteps(schema: string): string[] {
  const steps = [
    'Look at what changed (git diff), and commit it.',
    'Set the secrets of the functions: npx supabase secrets set STRIPE_SECRET_KEY=… NEON_API_KEY=…',
    'npx supabase functions deploy --use-api',
    'FUNCTIONS_BASE_URL=https://YOUR-PROJECT.supabase.co/functions/v1 npx supabase db push --remote',
    ...(schema === TEMPLATE_SCHEMA
      ? []
      : [
          `Expose the schema ${schema}: Dashboard, Settings, Data API, Exposed schemas (config.toml does it for the local stack).`,
        ]),
  ]
  return [
    bold('Next'),
    ...steps.map((step, index) => `  ${index + 1}. ${step}`),
    dim(
      '  Clients can have a Supabase project of their own. That needs the other secrets in .env.example, too;',
    ),
    dim(
      '  the templates of their workflows in n8n are in supabase/n8n-templates. Run init again after a change there.',
    ),
  ]
}
