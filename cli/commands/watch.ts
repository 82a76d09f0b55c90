import { type Command, Option } from 'commander'
import { labelled, sign } from '../../tools/terminal.ts'
import { exitCodeOf, follow } from '../follow.ts'
import { seconds } from '../options.ts'
import { type Define, exit } from '../session.ts'

interface Options {
  readonly interval: number
  readonly timeout?: number
  readonly follow?: true
}

export function registerWatch(program: Command, define: Define): void {
  define(
    program
      .command('watch')
      .description('show the steps of a tenant as they change, until nothing is under way')
      .argument('<tenant>', 'e-mail address, slug, or the id of an organization or user')
      .addOption(new Option('--interval <seconds>', 'between two looks').default(1).argParser(seconds))
      .addOption(
        new Option('--timeout <seconds>', 'stop looking after this time, with exit code 3').argParser(
          seconds,
        ),
      )
      .option('--follow', 'go on when nothing is under way, until Ctrl-C')
      .addHelpText(
        'after',
        '\nWith --json: an object a line {at, job, kind, step, status, attempts, message}, at last {verdict}.\nExit codes: 0 ready, 3 not ready, 130 Ctrl-C (the job goes on).',
      ),
    async (session, subject: string, options: Options) => {
      const api = await session.connect()
      const found = await api.find(subject)
      const { tenant, timedOut } = await follow(session, api, found.organization_id, {
        intervalMs: options.interval * 1000,
        timeoutMs: options.timeout === undefined ? undefined : options.timeout * 1000,
        forever: options.follow,
        print: session.output.result,
      })
      session.printLine({ verdict: tenant.verdict }, () =>
        labelled(sign(tenant.verdict.ready ? 'ok' : 'failed'), tenant.verdict.summary, 2),
      )
      return timedOut ? exit.notReady : exitCodeOf(tenant)
    },
  )
}
