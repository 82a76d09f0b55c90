import type { Command } from 'commander'
import { z } from 'zod'
import { heading, table } from '../../tools/terminal.ts'
import { type Api, ProjectError } from '../api.ts'
import { type Define, exit } from '../session.ts'

const QUERY = `{ provisioningOptions { defaultDataRegion defaultTier currency
  regions { dataRegion label city country }
  sizes { size label minComputeUnits maxComputeUnits suspendAfterSeconds }
  tiers { tier label services }
  plans { plan label monthlyPrice defaultSize sizes tiers storageBytes transferBytes computeSeconds historySeconds } } }`

const optionsSchema = z.looseObject({
  defaultDataRegion: z.string(),
  defaultTier: z.string(),
  currency: z.string(),
  regions: z.array(
    z.object({
      dataRegion: z.string(),
      label: z.string(),
      city: z.string().nullable(),
      country: z.string().nullable(),
    }),
  ),
  sizes: z.array(
    z.object({
      size: z.string(),
      label: z.string(),
      minComputeUnits: z.number(),
      maxComputeUnits: z.number(),
      suspendAfterSeconds: z.number().nullable(),
    }),
  ),
  tiers: z.array(z.object({ tier: z.string(), label: z.string(), services: z.array(z.string()) })),
  plans: z.array(
    z.looseObject({
      plan: z.string(),
      label: z.string(),
      monthlyPrice: z.number().nullable(),
      defaultSize: z.string(),
      sizes: z.array(z.string()),
      tiers: z.array(z.string()),
    }),
  ),
})
type Options = z.infer<typeof optionsSchema>

const replySchema = z.union([
  z.object({ data: z.object({ provisioningOptions: optionsSchema }) }),
  z.object({
    errors: z.array(z.object({ message: z.string(), extensions: z.object({ code: z.string() }) })).min(1),
  }),
])

export function registerOptions(program: Command, define: Define): void {
  define(
    program
      .command('options')
      .description('what a tenant can get: regions, sizes, tiers, and the plans that allow them')
      .addHelpText('after', '\nThey are rows of the schema provisioning, which an operator keeps.'),
    async (session) => {
      const options = await readOptions(await session.connect())
      session.print({ options }, () => screen(options))
      return exit.fine
    },
  )
}

/** As people are shown them who choose. @throws ProjectError */
async function readOptions(api: Api): Promise<Options> {
  const reply = replySchema.parse(await api.invoke('graphql', { query: QUERY }))
  if ('data' in reply) return reply.data.provisioningOptions
  throw new ProjectError(
    reply.errors.map(({ message }) => message).join(' '),
    reply.errors[0]?.extensions.code ?? 'internal_error',
    200,
  )
}

function screen(options: Options): string {
  const { currency, defaultDataRegion, defaultTier } = options
  const byDefault = (isSo: boolean) => (isSo ? 'default' : '')
  return [
    heading('Regions'),
    table(
      ['region', '', '', ''],
      options.regions.map(({ dataRegion, label, city, country }) => [
        dataRegion,
        label,
        [city, country].filter(Boolean).join(', '),
        byDefault(dataRegion === defaultDataRegion),
      ]),
    ),
    heading('Sizes'),
    table(
      ['size', '', 'compute units', 'sleeps after'],
      options.sizes.map(({ size, label, minComputeUnits: least, maxComputeUnits: most, ...each }) => [
        size,
        label,
        least === most ? String(most) : `${least} to ${most}`,
        each.suspendAfterSeconds === null ? 'never' : `${each.suspendAfterSeconds} s`,
      ]),
    ),
    heading('Tiers'),
    table(
      ['tier', '', 'services', ''],
      options.tiers.map(({ tier, label, services }) => [
        tier,
        label,
        services.join(', '),
        byDefault(tier === defaultTier),
      ]),
    ),
    heading('Plans'),
    table(
      ['plan', '', 'a month', 'sizes', 'tiers'],
      options.plans.map(({ plan, label, monthlyPrice, sizes, tiers, defaultSize }) => [
        plan,
        label,
        monthlyPrice === null ? 'on request' : price(monthlyPrice, currency),
        sizes.map((size) => (size === defaultSize ? `${size} (default)` : size)).join(', '),
        tiers.join(', '),
      ]),
    ),
  ]
    .join('\n')
    .trimStart()
}

/** @param amount in the smallest unit of the currency */
function price(amount: number, currency: string): string {
  const format = new Intl.NumberFormat('en', { style: 'currency', currency, currencyDisplay: 'code' })
  return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2))
}
