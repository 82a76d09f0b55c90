import { type Result, success } from '../../kernel/result.ts'
import type { SupabaseProvider } from './client.ts'

/** The services of a project that are not healthy, with what Supabase says of each. */
export async function illServices(
  supabase: Pick<SupabaseProvider, 'servicesHealth'>,
  ref: string,
): Promise<Result<readonly string[]>> {
  const services = await supabase.servicesHealth(ref)
  if (!services.ok) return services
  return success(
    services.value
      .filter(({ status }) => status !== 'ACTIVE_HEALTHY')
      .map(({ name, status }) => `${name} is ${status}`),
  )
}
