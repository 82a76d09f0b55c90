import { type Result, success } from '../../kernel/result.ts'
import type { SupabaseStepContext } from './step.ts'

export const LEFT_ASLEEP = { type: 'succeeded', output: { left: 'asleep' } } as const

/** Whether the job comes by itself and the project is not up: it has its turn when somebody has restored it. */
export async function isLeftAlone(
  { job, supabase }: SupabaseStepContext,
  ref: string,
): Promise<Result<boolean>> {
  if (job.request.scheduled !== true) return success(false)
  const listed = await supabase.listedProject(ref)
  return listed.ok ? success(!listed.value?.status.startsWith('ACTIVE_')) : listed
}
