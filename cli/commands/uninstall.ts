import path from 'node:path'
import type { Command } from 'commander'
import { bold, dim, green, red, yellow } from '../../tools/command.ts'
import { planRemoval, type Removal } from '../install/plan-removal.ts'
import {
  type Inventory,
  leftSchema,
  readInventory,
  removeFromDatabase,
} from '../install/remove-from-database.ts'
import { openTheirDatabase } from '../install/their-database.ts'
import { versionOf } from '../install/versions.ts'
import { writeChanges } from '../install/write-changes.ts'
import { type Define, exit } from '../session.ts'

interface Options {
  readonly leaveResources?: true
  readonly deleteData?: true
  readonly dryRun?: true
  readonly yes?: true
}

export function registerUninstall(program: Command, define: Define): void {
  define(
    program
      .command('uninstall')
      .argument('[directory]', 'the directory with supabase/config.toml', '.')
      .description('take out of a Supabase project what init and its migrations have put there')
      .option(
        '--leave-resources',
        'although databases and customers of tenants exist outside, which nobody will look after',
      )
      .option('--delete-data', 'and keep no copy of the profiles, organizations and other rows of people')
      .option('--dry-run', 'show what would go, and what would still exist outside')
      .option('--yes', 'do it without asking')
      .addHelpText(
        'after',
        `
Needs SUPABASE_DB_URL. The database loses our tables, functions, triggers, cron jobs and secrets, in one transaction; users, your
own objects and extensions stay, and when something of yours depends on ours, nothing is removed. The rows of people (profiles,
organizations, members, wallets, their databases, what they have outside, legal holds, the audit log with the names in it) stay as
plain tables in a schema that is named, which no role of the API reads, unless you say --delete-data. Then our files go; those that
were changed stay. What tenants have at providers is not deleted: deprovision them before, or say --leave-resources. The
commands that delete the deployed functions and their secrets are printed; secrets that your own .env.example names are not in them.`,
      ),
    async (session, directory: string, options: Options) => {
      const project = path.resolve(directory)
      const url = session.environment.SUPABASE_DB_URL
      if (!url) throw new Error('Set SUPABASE_DB_URL (Dashboard, Connect), for what is in the database.')
      session.standing = 'Nothing was removed.'
      const removal = await planRemoval(project)
      await using database = await openTheirDatabase(url)
      const { schema } = removal.manifest
      const inventory = await readInventory(database.sql, schema)
      const left = inventory && inventory.rows > 0 && !options.deleteData ? leftSchema(new Date()) : undefined
      const document = {
        project,
        schema,
        inventory: inventory ?? null,
        kept: removal.kept,
        commands: removal.commands,
        left: left ?? null,
      }
      const isHeld = (inventory?.resources.length ?? 0) > 0 && !options.leaveResources
      if (isHeld || options.dryRun) {
        session.print({ ...document, removed: false }, () => screen(removal, inventory, left, isHeld))
        return isHeld && !options.dryRun ? exit.refused : exit.fine
      }
      session.note(screen(removal, inventory, left, false))
      await session.confirm('Remove all of this?', options.yes ?? false)
      const files = Object.values(removal.manifest.migrations).flatMap(({ file }) => versionOf(file) ?? [])
      if (inventory) await removeFromDatabase(database.sql, schema, files, left)
      session.standing = 'The database has nothing of ours any more; the files are there. Run this again.'
      await writeChanges(project, removal.changes, session.stop)
      session.print({ ...document, removed: true }, () =>
        [
          left ? `It is removed. The rows of people are in the schema ${left}.` : 'It is removed.',
          ...deployed(removal),
        ].join('\n'),
      )
      return exit.fine
    },
  )
}

function screen(
  removal: Removal,
  inventory: Inventory | undefined,
  left: string | undefined,
  isHeld: boolean,
): string {
  const { changes, kept, manifest } = removal
  const deleted = changes.filter(({ kind }) => kind === 'delete').length
  const outside = inventory?.resources ?? []
  return [
    bold('What goes'),
    inventory
      ? `  ${red('-')} database: our tables in the schema ${manifest.schema} with ${inventory.organizations} organizations, ${inventory.databasePasswords} passwords of tenants’ databases, the schema provisioning, triggers, cron jobs, secrets`
      : dim('  the database has nothing of ours'),
    `  ${red('-')} ${deleted} files, and our parts of supabase/config.toml and .env.example`,
    ...kept.map((file) => `  ${yellow('!')} ${file} was changed since, and stays`),
    ...(inventory && inventory.rows > 0
      ? [
          left
            ? `  ${green('✓')} ${inventory.rows} rows of people stay, in the schema ${left}`
            : `  ${red('-')} ${inventory.rows} rows of people, of which no copy is kept`,
        ]
      : []),
    ...(outside.length > 0
      ? [
          bold('What will still exist outside'),
          ...outside.map((each) => `  ${each.service} ${each.kind} ${each.id}`),
        ]
      : []),
    // The functions are what deprovisions tenants: not before these are gone.
    ...(isHeld
      ? ['', `${red('Nothing was removed.')} Deprovision these tenants first, or say --leave-resources.`]
      : deployed(removal)),
  ].join('\n')
}

const deployed = ({ commands }: Removal) => [
  bold('What is still deployed, and goes with'),
  ...commands.map((command) => `  ${command}`),
]
