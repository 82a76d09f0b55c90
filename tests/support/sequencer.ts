import { existsSync } from 'node:fs'
import path from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** What takes half a minute and more in a run of the suite, the longest first. Begun last, one of them would run on alone when everything else is done. */
const LONG = [
  'chaos/chaos',
  'local/commands/start',
  'database/migrations',
  'functions/moves',
  'cli/tenants',
  'console/story',
  'functions/schema-trial',
  'functions/supabase-project',
  'functions/unanswered-steps',
  'console/states',
  'end-to-end/secrets',
  'install/package',
  'end-to-end/lost-doorbell',
  'local/neon-emulator',
  'functions/failures',
  'console/registry',
  'functions/neon-project',
  'hostile/held-slots',
  'console/sessions',
  'install/init',
  'functions/cancellation',
  'functions/stripe-customer',
  'functions/n8n-workflows',
  'functions/handle-new-user',
  'functions/health',
  'functions/deprovision',
  'functions/project-health',
  'functions/tenant-logins',
  'hostile/own-attacks',
  'console/monitor',
  'console/library',
  'functions/reconciliation',
  'functions/graphql-tenants',
  'functions/rotation',
  'local/commands/deploy',
  'functions/fuzz',
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
