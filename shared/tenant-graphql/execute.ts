import { type ExecutionResult, OperationTypeNode } from 'graphql'
// The types by name, too, or the Supabase CLI would leave them behind when it uploads a function.
import type * as typesOfRuntime from '../generated/tenant-graphql/runtime.d.mts'
import * as runtime from '../generated/tenant-graphql/runtime.mjs'
import { Problem } from '../kernel/http/problem.ts'
import type { Access } from './access.ts'
import { createDocuments, operationOf } from './documents.ts'
import { causeAsProblem, present, presentProblem } from './errors.ts'
import { assertAffordable, assertModestVariables } from './limits.ts'
import type { Pools } from './pools.ts'
import { createBudget, MAX_BYTES, type Usage } from './usage.ts'
import type { ServedSchema } from './versions.ts'
import { createWithClient } from './with-client.ts'

export interface Operation {
  readonly query: string
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined
  readonly operationName?: string | null | undefined
}

export interface Answer {
  /** GraphQL over HTTP: {data?, errors?}. */
  readonly body: string
  readonly usage: Usage
  /** The codes of the errors in it. */
  readonly codes: readonly string[]
}

/** From the first connection to the last row; a sleeping database may use up most of it. */
const REQUEST_MS = 15_000

const { grafast }: typeof typesOfRuntime = runtime
const PRESET = { grafast: { explain: false, timeouts: { planning: 500 }, maxPlanningDepth: 60 } }

/**
 * @param checkDocument what it keeps has plans, too: to share it spares whoever asks the same of many tenants some 10 ms each
 * @returns a function that answers one operation, whatever becomes of it; what is wrong is in the answer
 */
export function createExecutor(
  pools: Pools,
  checkDocument = createDocuments(),
): (access: Access, served: ServedSchema, operation: Operation) => Promise<Answer> {
  const budget = createBudget()

  return async (access, served, wanted) => {
    const usage: Usage = { openedInMs: 0 }
    try {
      const checked = checkDocument(served, wanted.query)
      if (checked.errors) return answer({ errors: checked.errors }, usage)
      const { document } = checked
      const operation = operationOf(document, wanted.operationName)
      const isReading = operation.operation !== OperationTypeNode.MUTATION
      if (!isReading && access.scope === 'read') throw new Problem('forbidden', 'This key may only read.')
      const variables = wanted.variables ?? {}
      assertModestVariables(variables)
      const { introspection } = access.endpoint
      assertAffordable({ schema: served.schema, introspection }, document, operation, variables)
      const use = { maxBytes: MAX_BYTES, endsAt: performance.now() + REQUEST_MS, onBytes: budget }
      const withPgClient = createWithClient(access, {
        isReading,
        usage,
        acquire: () => pools.acquire(access.endpoint, use),
      })
      const result = await grafast.execute({
        schema: served.schema,
        document,
        variableValues: variables,
        operationName: wanted.operationName ?? null,
        contextValue: { pgSettings: null, withPgClient },
        resolvedPreset: PRESET,
        outputDataAsString: true,
      })
      return answer(result, usage)
    } catch (error) {
      const problem = causeAsProblem(error)
      if (!problem) throw error
      return { body: JSON.stringify({ errors: [presentProblem(problem)] }), usage, codes: [problem.code] }
    }
  }
}

function answer({ data, errors }: ExecutionResult, usage: Usage): Answer {
  const shown = errors?.map(present)
  const parts = [
    ...(shown ? [`"errors":${JSON.stringify(shown)}`] : []),
    // grafast has written it already.
    ...(data === undefined ? [] : [`"data":${typeof data === 'string' ? data : JSON.stringify(data)}`]),
  ]
  return {
    body: `{${parts.join(',')}}`,
    usage,
    codes: (shown ?? []).map(({ extensions }) => String(extensions?.code)),
  }
}
