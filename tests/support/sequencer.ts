import { existsSync } from 'node:fs'
import path from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** What takes half a minute and more in a run of the suite, the longest first. Begun last, one of them would run on alone when everything else is done. */
const LONG = [
  'functions/moves',
  'functions/schema-trial',
  'database/migrations',
  'chaos/chaos',
  'console/states',
  'local/commands/start',
  'functions/supabase-project',
  'install/package',
  'functions/failures',
  'local/neon-emulator',
  'end-to-end/secrets',
  'install/init',
  'cli/tenants',
  'install/shapes',
  'console/story',
  'end-to-end/lost-doorbell',
  'functions/project-health',
  'functions/neon-project',
  'functions/tenant-graphql',
  'console/sessions',
  'functions/n8n-workflows',
  'functions/health',
  'hostile/held-slots',
  'hostile/killed-backends',
  'functions/stripe-customer',
  'functions/graphql-mutations',
  'console/registry',
  'functions/deprovision',
  'hostile/own-attacks',
  'functions/handle-new-user',
  'functions/reconciliation',
  'functions/project-rotation',
  'functions/cancellation',
  'database/function-rights',
  'functions/concurrency',
  'functions/fleet',
  'console/monitor',
  'cli/terminal',
  'functions/rotation',
  'functions/unanswered-steps',
  'local/commands/reset',
  'functions/acts',
  'functions/tenant-logins',
  'functions/graphql-tenants',
  'database/sign-up-trouble',
  'functions/alert-webhook',
  'functions/deno-2.1/deno-2.1',
  'local/commands/demo',
  'functions/callers',
  'functions/health-day',
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
