import { runCommand, withoutArguments } from '../tools/command.ts'
import { supabaseCli } from '../tools/supabase-cli.ts'
import { withThrowawayDatabase } from './postgres/throwaway.ts'

const HELP = `npm run advisors

Migrates a fresh database and runs the Supabase security and performance advisors on it. Exit code 1 when they warn.`

await runCommand(
  withoutArguments(HELP, async () => {
    console.log('Migrating a fresh database and running the security and performance advisors …')
    await withThrowawayDatabase((databaseUrl) =>
      supabaseCli(['db', 'advisors', '--level', 'warn', '--fail-on', 'warn'], {
        databaseUrl: `${databaseUrl}?sslmode=disable`,
      }),
    )
    console.log('The advisors found nothing at warning level or above.')
    return 0
  }),
)
