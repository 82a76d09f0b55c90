import type { Command } from 'commander'
import { z } from 'zod'
import { sign, table, time } from '../../tools/terminal.ts'
import { type Define, exit } from '../session.ts'

const providersSchema = z.array(
  z.looseObject({
    label: z.string(),
    state: z.enum(['closed', 'open', 'half_open']),
    consecutive_failures: z.number(),
    next_try_at: z.string().nullable(),
    last_error: z.string().nullable(),
    calls_per_second: z.number().nullable(),
    free_percent: z.number(),
    wait_seconds: z.number(),
  }),
)
type Providers = z.infer<typeof providersSchema>

export function registerProviders(program: Command, define: Define): void {
  define(
    program
      .command('providers')
      .description('whether the providers answer, and what is left of their limits')
      .addHelpText('after', '\nExit codes: 0 all answer; 1 one of them is not called now.'),
    async (session) => {
      const api = await session.connect()
      const providers = providersSchema.parse(
        await api.read('The providers', api.client.rpc('provider_states')),
      )
      session.print({ providers }, () => screen(providers))
      return providers.some(({ state }) => state === 'open') ? exit.refused : exit.fine
    },
  )
}

const SIGNS = { closed: 'ok', half_open: 'running', open: 'failed' } as const
const WORDS = { closed: 'answers', half_open: 'is tried again', open: 'does not answer' } as const

function screen(providers: Providers): string {
  return table(
    ['provider', '', 'left of its limit', 'a call waits', 'next try (UTC)', ''],
    providers.map(({ label, state, ...provider }) => [
      label,
      `${sign(SIGNS[state])} ${WORDS[state]}`,
      `${provider.free_percent} %${provider.calls_per_second === null ? '' : ` of ${provider.calls_per_second}/s`}`,
      `${provider.wait_seconds} s`,
      provider.next_try_at ? time(provider.next_try_at) : '',
      provider.last_error ?? '',
    ]),
  )
}
