import type { Command } from 'commander'
import { statusScreen } from '../screens/status.ts'
import { type Define, exit } from '../session.ts'

export function registerStatus(program: Command, define: Define): void {
  define(
    program
      .command('status')
      .description('verify one user: account, rows, wallet, plan, Stripe, database, steps, events, verdict')
      .argument('<tenant>', 'e-mail address, slug, or the id of an organization or user')
      .addHelpText(
        'after',
        '\nExit codes: 0 ready, 3 not ready, 1 nobody is found, or the project cannot be reached.',
      ),
    async (session, tenant: string) => {
      const found = await (await session.connect()).describe(tenant)
      session.print(found, () => statusScreen(found))
      if (found.verdict.state === 'not_found') return exit.refused
      return found.verdict.ready ? exit.fine : exit.notReady
    },
  )
}
