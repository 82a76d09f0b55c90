import { z } from 'zod'
import type { StepOutcome } from '../../engine/step.ts'
import { type SchemaFile, tenantSchemaFiles } from '../../generated/tenant-schema-files.ts'
import type { Failure } from '../../kernel/failures.ts'
import { success } from '../../kernel/result.ts'
import { applyTenantSchema } from '../../tenant-database/apply-schema.ts'
import { failure } from '../../tenant-database/failures.ts'
import { asLogin } from './as-login.ts'
import type { DatabaseCopy } from './host.ts'
import type { DatabaseStep, DatabaseStepContext } from './step.ts'

/** Then the host removes a copy that nobody has removed. Longer than all tries of a job take. */
const COPY_LASTS_MS = 2 * 3_600_000

/** With what the names of such copies begin. */
export const TRIAL = 'try-schema-'

export function trialName(jobId: string): string {
  return `${TRIAL}${jobId}`
}

const request = z.object({ to: z.int().positive() })
/** What came of it, as the step's output has it. */
const trial = z.object({
  schemaVersion: z.number().nullable(),
  tookMs: z.number(),
  code: z.string().nullable(),
  message: z.string().nullable(),
})
type Trial = z.infer<typeof trial>
const copyOf = z.object({ id: z.string(), host: z.string(), port: z.number() })

/**
 * Applies the files of a version to a copy of a tenant's database, and removes the copy. That they cannot be applied is a result like
 * any other: the step fails only when it can find out nothing.
 */
export function createTrySchema(files: readonly SchemaFile[] = tenantSchemaFiles): DatabaseStep {
  const newest = Math.max(0, ...files.map(({ version }) => version))
  return async (context): Promise<StepOutcome> => {
    const { job, hosted, output, assertLease, saveOutput } = context
    const { to } = request.parse(job.request)
    if (to > newest) return result(refused(failure('tenant_schema_not_deployed')))
    if (!hosted.copies) return result(refused(failure('tenant_schema_not_tried')))
    // An earlier attempt may have had its result, and not have removed the copy.
    const known = trial.safeParse(output.trial)
    const knownCopy = copyOf.safeParse(output.copy)
    let came: Trial
    let copy: DatabaseCopy
    if (known.success && knownCopy.success) {
      came = known.data
      copy = knownCopy.data
    } else {
      const expiresAt = new Date(Date.now() + COPY_LASTS_MS)
      const opened = await hosted.copies.open(trialName(job.id), expiresAt, assertLease)
      if (!opened.ok)
        return opened.failure.retryable
          ? { type: 'failed', failure: opened.failure }
          : result(refused(opened.failure))
      copy = opened.value
      const tried = await apply(
        context,
        copy,
        files.filter(({ version }) => version <= to),
      )
      if (!tried.ok) return { type: 'failed', failure: tried.failure }
      came = tried.value
      await saveOutput({ trial: came, copy: { ...copy } })
    }
    const closed = await hosted.copies.close(copy, assertLease)
    return closed.ok ? result(came) : { type: 'failed', failure: closed.failure }
  }
}

async function apply(context: DatabaseStepContext, copy: DatabaseCopy, files: readonly SchemaFile[]) {
  const { host, port } = copy
  const startedAt = performance.now()
  const applied = await asLogin(
    { ...context, tenant: { ...context.tenant, host, port } },
    'schema',
    'direct',
    (sql) => applyTenantSchema(sql, files),
  )
  const outcome = applied.ok ? applied.value : applied
  if (outcome.ok)
    return success({
      schemaVersion: outcome.value,
      tookMs: Math.round(performance.now() - startedAt),
      code: null,
      message: null,
    })
  return outcome.failure.retryable ? outcome : success(refused(outcome.failure))
}

function refused({ code, message }: Failure): Trial {
  return { schemaVersion: null, tookMs: 0, code, message }
}

function result(came: Trial): StepOutcome {
  return { type: 'succeeded', output: { trial: came, copy: null } }
}
