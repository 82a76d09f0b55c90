import { z } from 'zod'
import { inBackground } from '../kernel/background.ts'
import { createAuthenticator } from '../kernel/caller.ts'
import { connect, type Database } from '../kernel/database/client.ts'
import type { Environment } from '../kernel/environment.ts'
import { readBody } from '../kernel/http/body.ts'
import { Problem } from '../kernel/http/problem.ts'
import { handlePost } from '../kernel/http/serve.ts'
import { createProjectCheck } from '../kernel/own-project.ts'
import { createCallers, ORGANIZATION_HEADER } from './caller.ts'
import { type Answer, createExecutor } from './execute.ts'
import { createPools, type Pools } from './pools.ts'
import { createRateLimit } from './rate.ts'
import { createRemembered } from './remembered.ts'
import { createStoredDocuments } from './stored-documents.ts'
import { createVersions, type ExportedSchemas, type ServedSchema } from './versions.ts'

const hash = z.string().regex(/^[0-9a-f]{64}$/, 'is not a SHA-256 in hexadecimal digits')

const body = z
  .strictObject({
    query: z.string().min(1, 'is empty').nullish(),
    variables: z.record(z.string(), z.unknown()).nullish(),
    operationName: z.string().max(200).nullish(),
    /** As GraphQL over HTTP has it: sha256: and the hash of the document. */
    documentId: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/, 'is not sha256: and 64 hexadecimal digits')
      .nullish(),
    /** As Apollo's clients name a document; whatever else clients say here is not listened to. */
    extensions: z.looseObject({ persistedQuery: z.looseObject({ sha256Hash: hash }).nullish() }).nullish(),
  })
  .refine(
    ({ query, documentId, extensions }) => query ?? documentId ?? extensions?.persistedQuery,
    'query is missing',
  )

const HEADERS = {
  /** The version of tenant-schema/ whose schema has answered. */
  version: 'x-tenant-schema-version',
  /** By how many versions that is behind the newest; the database will be brought up to date. */
  behind: 'x-tenant-schema-behind',
  /** How long a connection took to open, in milliseconds: a database that sleeps wakes in that time. */
  connected: 'x-database-connect-ms',
}

export interface TenantGraphqlDependencies {
  readonly sql: Database
  readonly exported: ExportedSchemas
  readonly pools: Pools
}

/**
 * GraphQL over a tenant's own database: POST {query, variables?, operationName?} with an API key of the tenant, or with a member's
 * access token and the organization's id. Who may not come in, and what is no request, is answered as problem+json; every GraphQL
 * error has a code of the catalogue in http/problem.ts and the id of the request.
 */
export function createTenantGraphqlFunction(
  environment: Environment,
  { sql = connect(environment), exported, pools = createPools(sql) }: Partial<TenantGraphqlDependencies> = {},
): (request: Request) => Promise<Response> {
  const callerOf = createCallers(sql, createAuthenticator(environment))
  const versionOf = createVersions(exported)
  const documentOf = createStoredDocuments(sql)
  const assertRate = createRateLimit()
  const assertOwnProject = createProjectCheck(environment, sql)
  const execute = createExecutor(pools)
  const noteBehind = createNoteBehind(sql)

  return handlePost(
    async (request) => {
      const access = await callerOf(request)
      assertRate(access.countedAs, access.requestsPerMinute)
      await assertOwnProject()
      const wanted = await readBody(request, body)
      const { organizationId, schemaVersion } = access.endpoint
      const served = await versionOf(schemaVersion).catch((error: unknown) => {
        if (error instanceof Problem) noteBehind(organizationId)
        throw error
      })
      const query = await documentOf(documentWanted(wanted), access.endpoint.storedDocumentsOnly)
      const answer = await execute(access, served, { ...wanted, query })
      if (served.behind > 0) noteBehind(organizationId)
      if (answer.codes.includes('schema_drift')) inBackground(noteDrift(sql, organizationId))
      return reply(answer, served)
    },
    { allowed: [ORGANIZATION_HEADER], exposed: Object.values(HEADERS) },
  )
}

function documentWanted({ query, documentId, extensions }: z.infer<typeof body>) {
  const named = documentId?.slice('sha256:'.length) ?? extensions?.persistedQuery?.sha256Hash
  return { query: query ?? undefined, documentHash: named }
}

function reply({ body: text, usage }: Answer, { version, behind }: ServedSchema): Response {
  return new Response(text, {
    headers: {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      [HEADERS.version]: String(version),
      ...(behind > 0 ? { [HEADERS.behind]: String(behind) } : {}),
      ...(usage.openedInMs > 0 ? { [HEADERS.connected]: String(usage.openedInMs) } : {}),
    },
  })
}

/** Each tenant is told of once in a while: its migration is queued already, or somebody has stopped it. */
const BEHIND_AGAIN_MS = 30_000

function createNoteBehind(sql: Database): (organizationId: string) => void {
  const notedAt = createRemembered<number>(5_000)
  return (organizationId) => {
    const now = performance.now()
    if (now - (notedAt.get(organizationId) ?? Number.NEGATIVE_INFINITY) < BEHIND_AGAIN_MS) return
    notedAt.set(organizationId, now)
    inBackground(tellBehind(sql, organizationId))
  }
}

async function tellBehind(sql: Database, organizationId: string): Promise<void> {
  await sql`select provisioning.note_tenant_behind(${organizationId})`
}

async function noteDrift(sql: Database, organizationId: string): Promise<void> {
  await sql`select provisioning.note_schema_drift(${organizationId})`
}
