import { type Command, Option } from 'commander'
import { z } from 'zod'
import { ago, labelled, sign, table, time } from '../../tools/terminal.ts'
import { type Api, ProjectError } from '../api.ts'
import { type Define, exit, type Session } from '../session.ts'

interface Options {
  readonly kind?: string
  readonly provider?: string
}

interface PauseOptions extends Options {
  readonly reason: string
}

const pausesSchema = z.array(
  z.looseObject({
    scope: z.enum(['everything', 'kind', 'provider']),
    name: z.string(),
    label: z.string(),
    reason: z.string(),
    message: z.string(),
    paused_at: z.string(),
  }),
)
type Pauses = z.infer<typeof pausesSchema>

export function registerPause(program: Command, define: Define): void {
  define(
    ofWork(
      program
        .command('pause')
        .description('stop all work, one kind of job, or all calls to one provider, for a while')
        .requiredOption('--reason <text>', 'shown to everybody who waits'),
    ),
    async (session, options: PauseOptions) => {
      const api = await session.connect()
      const { scope, name } = scopeOf(options)
      session.standing = 'Whether it is paused: npm run tenants -- pauses'
      const changed = await api.change(
        'The pause',
        api.client.rpc('pause_work', { scope, name, reason: options.reason }),
      )
      return show(session, api, changed ? 'It is paused.' : 'It was paused already, for this reason.')
    },
  )
}

export function registerResume(program: Command, define: Define): void {
  define(
    ofWork(program.command('resume').description('end a pause; the work that has waited goes on')),
    async (session, options: Options) => {
      const api = await session.connect()
      session.standing = 'Whether it is paused: npm run tenants -- pauses'
      const changed = await api.change('The pause', api.client.rpc('resume_work', scopeOf(options)))
      return show(session, api, changed ? 'It goes on.' : 'It was not paused.')
    },
  )
}

export function registerPauses(program: Command, define: Define): void {
  define(program.command('pauses').description('what is paused now, and why'), async (session) =>
    show(session, await session.connect()),
  )
}

function ofWork(command: Command): Command {
  return command
    .addOption(new Option('--kind <kind>', 'only jobs of this kind, such as provision'))
    .addOption(new Option('--provider <service>', 'only what calls this provider, such as neon'))
    .addHelpText(
      'after',
      '\nWithout --kind and --provider: everything. Jobs that are at work end by themselves.\nExit codes: 0 done, or so already; 1 refused.',
    )
}

/** @throws ProjectError when it is both */
function scopeOf({ kind, provider }: Options): { scope: string; name: string } {
  if (kind !== undefined && provider !== undefined)
    throw new ProjectError('Give --kind or --provider, not both.', 'usage', 0)
  if (kind !== undefined) return { scope: 'kind', name: kind }
  if (provider !== undefined) return { scope: 'provider', name: provider }
  return { scope: 'everything', name: '' }
}

async function show(session: Session, api: Api, done?: string): Promise<number> {
  const pauses = pausesSchema.parse(await api.read('The pauses', api.client.rpc('paused_work')))
  session.print({ pauses }, () =>
    [...(done === undefined ? [] : [labelled(sign('ok'), done, 2)]), screen(pauses)].join('\n'),
  )
  return exit.fine
}

function screen(pauses: Pauses): string {
  if (pauses.length === 0) return 'Nothing is paused.'
  return table(
    ['paused', 'since (UTC)', '', 'reason'],
    pauses.map(({ scope, label, reason, paused_at: at }) => [
      scope === 'everything' ? 'everything' : label,
      time(at),
      ago(at),
      reason,
    ]),
  )
}
