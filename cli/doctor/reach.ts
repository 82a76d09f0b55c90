import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import type { ProjectAddress } from '../../tools/project-address.ts'
import type { Api } from '../api.ts'
import { type Finding, finding, type Repair } from './finding.ts'

/** pg_net gives up after 5 s; its worker may need a moment to begin. */
const PROBE_LIMIT_MS = 9_000
const POLL_MS = 250

const requestsSchema = z.record(z.string(), z.number())
const resultSchema = z.object({
  request: z.number(),
  status_code: z.number().nullable(),
  error: z.string().nullable(),
  refused_by_platform: z.boolean(),
})
type Result = z.infer<typeof resultSchema>

/** Where a project has its functions, as a part of a statement: without a quotation mark that would end the literal. */
export const functionsUrl = ({ url }: ProjectAddress) => `${url}/functions/v1`.replaceAll("'", '%27')

/** Has the database call every function, without credentials, the way its doorbell does. */
export async function reachFindings(
  api: Api,
  names: readonly string[],
  stop: AbortSignal,
): Promise<Finding[]> {
  const call = api.client.rpc('probe_functions', { names: [...names] })
  const requests = requestsSchema.parse(await api.read('The probe', call))
  const ids = Object.values(requests)
  if (ids.length === 0)
    return [
      {
        area: 'functions',
        check: 'from the database',
        status: 'skipped',
        found: 'Vault does not tell their address; see above.',
      },
    ]
  const results = await collect(api, ids, stop)
  return names.map((name) => reachFinding(name, results.get(requests[name] ?? -1), functionsUrl(api.project)))
}

async function collect(api: Api, ids: readonly number[], stop: AbortSignal): Promise<Map<number, Result>> {
  const deadline = Date.now() + PROBE_LIMIT_MS
  for (;;) {
    const rows = await api.read('The probe', api.client.rpc('probe_results', { requests: [...ids] }))
    const results = new Map(
      z
        .array(resultSchema)
        .parse(rows)
        .map((result) => [result.request, result]),
    )
    if (results.size === ids.length || Date.now() > deadline) return results
    await sleep(POLL_MS, undefined, { signal: stop }).catch(() => stop.throwIfAborted())
  }
}

function reachFinding(name: string, result: Result | undefined, url: string): Finding {
  const about = (problem: string, fix: string, repair: Repair = {}) =>
    finding('functions', name, problem, '', { fix, ...repair })
  const deploy = { command: `npx supabase functions deploy ${name} --use-api` }
  if (!result)
    return about(
      'The database’s call was not answered in 9 s.',
      'Look at the pg_net worker above, and at the address in Vault.',
    )
  const { status_code: status, error, refused_by_platform: refused } = result
  if (error !== null || status === null)
    return about(
      `The database cannot reach it: ${error ?? 'no answer'}`,
      'Correct the address in Vault (functions_base_url).',
      {
        sql: `select vault.update_secret(id, '${url}') from vault.secrets where name = 'functions_base_url';`,
      },
    )
  if (status === 404) return about('It is not deployed.', 'Deploy it.', deploy)
  if (refused)
    return about(
      'The platform refuses calls before they reach it.',
      'Deploy it again with its section in config.toml (verify_jwt = false).',
      deploy,
    )
  if (status >= 500)
    return about(
      `It answers ${status}: it does not start, or lacks an environment variable.`,
      'Its log names what is wrong.',
    )
  return finding('functions', name, undefined, `reached from the database (${status})`)
}
