import { parseArgs } from 'node:util'
import { parseUsage, runCommand, UsageError } from '../tools/command.ts'
import { runDemo, TIERS, type Tier } from './demo/run.ts'

const HELP = `npm run demo
npm run demo -- --tier project

Shows the main job from beginning to end, on a local stack of its own: a sign-up, its steps, what its user sees, the
database, and what happens when calls get lost and a database falls ill. It takes about a minute, makes nothing at the
real services, and leaves nothing behind.

  --tier project  a sign-up that gets a Supabase project of its own, with a repository, a deployment and automation beside it`

await runCommand(async () => {
  const { values } = parseUsage(HELP, () =>
    parseArgs({ options: { help: { type: 'boolean', short: 'h' }, tier: { type: 'string' } } }),
  )
  if (values.help) {
    console.log(HELP)
    return 0
  }
  return runDemo(tierOf(values.tier))
})

function tierOf(wanted = 'database'): Tier {
  const tier = TIERS.find((each) => each === wanted)
  if (tier === undefined)
    throw new UsageError(`There is no tier "${wanted}"; there are ${TIERS.join(' and ')}.`, HELP)
  return tier
}
