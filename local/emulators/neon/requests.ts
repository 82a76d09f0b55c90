import { z } from 'zod'
import { NeonApiError } from './errors.ts'
import type { EndpointSettings } from './project.ts'
import { DEFAULT_REGION, isRegion } from './regions.ts'

/*
 * The contract has already refused what it does not allow; these schemas pick the fields that the emulator knows
 * and add the rules that the service has but its OpenAPI file cannot say. Fields it does not know pass, as at Neon.
 */

const DEFAULT_MIN_CU = 0.25
const DEFAULT_MAX_CU = 0.25
const MIN_SUSPEND_SECONDS = 60
/** Postgres cuts longer names off (NAMEDATALEN - 1 bytes). */
const MAX_NAME_BYTES = 63

const name = z
  .string()
  .min(1)
  .refine((text) => Buffer.byteLength(text) <= MAX_NAME_BYTES, `must have at most ${MAX_NAME_BYTES} bytes`)

const endpointSettings = z.object({
  autoscaling_limit_min_cu: z.number().optional(),
  autoscaling_limit_max_cu: z.number().optional(),
  suspend_timeout_seconds: z
    .number()
    .refine((seconds) => seconds <= 0 || seconds >= MIN_SUSPEND_SECONDS, 'must be -1, 0 or 60 to 604800')
    .optional(),
  pg_settings: z.record(z.string(), z.string()).optional(),
})

const settings = z.record(z.string(), z.unknown())

const createBody = z.object({
  project: z.object({
    name: z.string().optional(),
    region_id: z.string().refine(isRegion, 'is not a supported region').default(DEFAULT_REGION),
    pg_version: z.number().default(17),
    org_id: z.string().optional(),
    provisioner: z.string().default('k8s-neonvm'),
    store_passwords: z.boolean().default(true),
    history_retention_seconds: z.number().optional(),
    settings: settings.default({}),
    branch: z
      .object({ name: z.string().optional(), role_name: name.optional(), database_name: name.optional() })
      .default({}),
    default_endpoint_settings: endpointSettings.default({}),
    autoscaling_limit_min_cu: z.number().optional(),
    autoscaling_limit_max_cu: z.number().optional(),
  }),
})

const updateBody = z.object({
  project: z.object({
    name: z.string().optional(),
    history_retention_seconds: z.number().optional(),
    settings: settings.optional(),
    default_endpoint_settings: endpointSettings.optional(),
  }),
})

const branchBody = z
  .object({
    branch: z
      .object({
        name: z.string().optional(),
        parent_id: z.string().optional(),
        expires_at: z
          .string()
          .refine((time) => Number.isInteger(Date.parse(time) / 1000), 'must be a time in whole seconds')
          .optional(),
      })
      .default({}),
    endpoints: z.array(endpointSettings.extend({ type: z.string() })).default([]),
  })
  .default({ branch: {}, endpoints: [] })

const branchesQuery = z.object({ search: z.string().optional() })

const endpointBody = z.object({
  endpoint: endpointSettings.extend({
    name: z.string().optional(),
    disabled: z.boolean().optional(),
    settings: z.object({ pg_settings: z.record(z.string(), z.string()).optional() }).optional(),
  }),
})

const listQuery = z.object({
  limit: z.number(),
  cursor: z.string().optional(),
  search: z.string().optional(),
  org_id: z.string().optional(),
  recoverable: z.boolean(),
})

const operationsQuery = z.object({ limit: z.number().default(100), cursor: z.string().optional() })

const connectionQuery = z.object({
  database_name: z.string(),
  role_name: z.string(),
  branch_id: z.string().optional(),
  endpoint_id: z.string().optional(),
})

export type ListQuery = z.output<typeof listQuery>

/** Each reads one operation's input. @throws NeonApiError 400 */
export const readInput = {
  createProject: (body: unknown) => read(createBody, body).project,
  updateProject: (body: unknown) => read(updateBody, body).project,
  createBranch: (body: unknown) => read(branchBody, body),
  listBranches: (query: unknown) => read(branchesQuery, query),
  updateEndpoint: (body: unknown) => read(endpointBody, body).endpoint,
  listProjects: (query: unknown) => read(listQuery, query),
  listOperations: (query: unknown) => read(operationsQuery, query),
  connectionUri: (query: unknown) => read(connectionQuery, query),
}

/** The settings after a change. @throws NeonApiError 400 when the limits contradict each other. */
export function mergeEndpointSettings(
  current: EndpointSettings | undefined,
  changes: z.output<typeof endpointSettings>,
): EndpointSettings {
  const min = changes.autoscaling_limit_min_cu ?? current?.autoscaling_limit_min_cu ?? DEFAULT_MIN_CU
  const max =
    changes.autoscaling_limit_max_cu ?? Math.max(min, current?.autoscaling_limit_max_cu ?? DEFAULT_MAX_CU)
  if (min > max) {
    throw new NeonApiError(400, 'autoscaling_limit_min_cu must not exceed autoscaling_limit_max_cu')
  }
  const pgSettings = changes.pg_settings ?? current?.pg_settings
  return {
    autoscaling_limit_min_cu: min,
    autoscaling_limit_max_cu: max,
    suspend_timeout_seconds: changes.suspend_timeout_seconds ?? current?.suspend_timeout_seconds ?? 0,
    ...(pgSettings === undefined ? {} : { pg_settings: pgSettings }),
  }
}

function read<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const problems = result.error.issues.map(({ path, message }) => `${path.join('.')} ${message}`)
  throw new NeonApiError(400, problems.join('; '))
}
