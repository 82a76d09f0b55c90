import { existsSync } from 'node:fs'
import path from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** What takes half a minute and more. Begun last, one of them would run on alone when everything else is done. */
const LONG = [
  'database/migrations',
  'local/commands/start',
  'cli/tenants',
  'functions/supabase-project',
  'end-to-end/lost-doorbell',
  'chaos/chaos',
  'console/story',
  'local/neon-emulator',
  'functions/graphql-tenants',
  'hostile/held-slots',
  'end-to-end/secrets',
  'functions/failures',
  'install/init',
  'cli/terminal',
  'local/commands/reset',
  'functions/stripe-customer',
  'functions/graphql-mutations',
  'console/sessions',
  'local/supabase-emulator',
  'functions/neon-project',
  'functions/cancellation',
  'functions/health-day',
  'local/commands/demo',
  'functions/rotation',
  'functions/n8n-workflows',
  'database/function-rights',
  'benchmarks/benchmarks',
].map((name) => path.resolve(import.meta.dirname, '..', `${name}.test.ts`))

/** Without what an earlier run has measured, Vitest goes by the size of the files; these come before all others. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const gone = LONG.filter((file) => !existsSync(file))
    if (gone.length > 0)
      throw new Error(`tests/support/sequencer.ts names what is not there: ${gone.join(', ')}`)
    const rank = ({ moduleId }: TestSpecification) => {
      const index = LONG.indexOf(moduleId)
      return index === -1 ? LONG.length : index
    }
    return (await super.sort(files)).toSorted((one, other) => rank(one) - rank(other))
  }
}
