import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { buildASTSchema, execute, type GraphQLSchema, getOperationAST, parse, validate } from 'graphql'
import type { Page } from 'playwright-core'
import { typeDefinitions } from '../../shared/graphql/type-definitions.ts'
import type { ProblemCode } from '../../shared/kernel/http/problem.ts'
import { listen, PORT_USES } from '../../tools/ports.ts'
import { ALL, NOTHING, ORGANIZATION, TABLES_ANSWER } from './pretended-data.ts'

/** What becomes of a request: `hang` is answered by nobody, until all those are cut, and `cut` loses its connection at once. */
export type Fate = 'data' | 'nothing' | 'hang' | 'cut' | { readonly code: ProblemCode }

/**
 * Answers the pages as a project would, from data that are written down, and as badly as a test wants it to. The answers fit the
 * schema, because it is executed with them.
 */
export interface PretendedProject {
  readonly url: string
  /** By the name of the operation; `tenant-graphql` and `auth` are the other two that pages ask. */
  readonly fates: Map<string, Fate>
  /** Fields of the API that tell something else than is written down, and what `tenant-graphql` answers instead. */
  readonly instead: Map<string, unknown>
  /** Variables of the operations that were asked for, by their names. */
  readonly asked: Map<string, Readonly<Record<string, unknown>>>
  /** What the tenant's own endpoint was asked. */
  readonly queries: string[]
  /** Ends the connections of requests that nobody answers. */
  cut(): void
  stop(): Promise<void>
}

const ANY_ORIGIN = {
  'access-control-allow-origin': '*',
  'access-control-allow-headers': '*',
  'access-control-allow-methods': '*',
}

export async function startPretendedProject(): Promise<PretendedProject> {
  const schema = buildASTSchema(parse(typeDefinitions))
  const fates = new Map<string, Fate>()
  const instead = new Map<string, unknown>()
  const variablesOf = new Map<string, Readonly<Record<string, unknown>>>()
  const queries: string[] = []
  const hanging = new Set<ServerResponse>()
  const server = createServer(async (request, response) => {
    if (request.method === 'OPTIONS') return response.writeHead(204, ANY_ORIGIN).end()
    const text = await textOf(request)
    const asked = askedFor(request.url ?? '', text)
    const fate = fates.get(asked.name) ?? 'data'
    variablesOf.set(asked.name, asked.variables)
    // A browser that has lost a connection which it had kept tries another one by itself.
    if (fate === 'cut') return response.destroy()
    if (fate === 'hang') {
      hanging.add(response)
      response.on('close', () => hanging.delete(response))
      return
    }
    if (asked.kind === 'graphql')
      return answer(schema, asked, fate, Object.fromEntries(instead), request, response)
    // Auth has codes of its own.
    if (typeof fate === 'object' && asked.kind === 'auth')
      return json(response, 429, { code: 429, error_code: 'over_request_rate_limit', msg: 'Too many.' })
    if (typeof fate === 'object') return json(response, 503, refusal(fate.code))
    if (asked.kind === 'tenant') {
      queries.push(asked.query)
      return json(response, 200, instead.get('tenant-graphql') ?? TABLES_ANSWER[fate])
    }
    return json(response, 200, {})
  })
  const port = await listen(server, { port: 0 }, PORT_USES.console)
  return {
    url: `http://127.0.0.1:${port}`,
    fates,
    instead,
    asked: variablesOf,
    queries,
    cut: () => {
      for (const response of hanging) response.destroy()
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

interface Asked {
  readonly kind: 'graphql' | 'tenant' | 'auth'
  readonly name: string
  readonly query: string
  readonly variables: Readonly<Record<string, unknown>>
}

function askedFor(url: string, text: string): Asked {
  if (url.startsWith('/auth/')) return { kind: 'auth', name: 'auth', query: '', variables: {} }
  const { query, variables } = JSON.parse(text)
  if (url.endsWith('/tenant-graphql')) return { kind: 'tenant', name: 'tenant-graphql', query, variables }
  const name = getOperationAST(parse(query))?.name?.value ?? ''
  return { kind: 'graphql', name, query, variables }
}

async function answer(
  schema: GraphQLSchema,
  { query, variables }: Asked,
  fate: Exclude<Fate, 'hang' | 'cut'>,
  instead: Readonly<Record<string, unknown>>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const document = parse(query)
  const wrong = validate(schema, document)
  if (wrong.length > 0) throw new Error(wrong.join('\n'))
  const isStream = request.headers.accept === 'text/event-stream'
  if (typeof fate === 'object') {
    const errors = [{ message: '', extensions: refusal(fate.code) }]
    return json(response, 200, { data: null, errors })
  }
  const result = await execute({
    schema,
    document,
    variableValues: variables,
    rootValue: { ...ALL, ...(fate === 'data' ? {} : NOTHING), ...instead },
  })
  if (result.errors) throw new Error(`The data that are pretended do not fit: ${result.errors.join('\n')}`)
  if (!isStream) return json(response, 200, result)
  response
    .writeHead(200, { ...ANY_ORIGIN, 'content-type': 'text/event-stream' })
    .end(`event: next\ndata: ${JSON.stringify(result)}\n\nevent: complete\ndata:\n\n`)
}

const refusal = (code: ProblemCode) => ({ code, detail: '', requestId: 'request-1' })

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { ...ANY_ORIGIN, 'content-type': 'application/json' }).end(JSON.stringify(body))
}

async function textOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part)
  return Buffer.concat(parts).toString()
}

/** Signs somebody in on the pages of this origin, without asking anybody. */
export async function signInAt(page: Page, consoleUrl: string): Promise<void> {
  const hours = 3_600
  const session = {
    access_token: 'a.token.of-nobody',
    refresh_token: 'refresh',
    token_type: 'bearer',
    expires_in: 24 * hours,
    expires_at: Math.floor(Date.now() / 1_000) + 24 * hours,
    user: { id: ORGANIZATION.ownerId, email: 'ann@example.com', aud: 'authenticated', app_metadata: {} },
  }
  await page.goto(`${consoleUrl}/icon.svg`)
  await page.evaluate((text) => localStorage.setItem('console-session', text), JSON.stringify(session))
}
