import { DEFAULT_TIMING, type GraphqlTiming } from '../../shared/graphql/context.ts'
import { createGraphqlFunction } from '../../shared/graphql/graphql-function.ts'
import { connect } from '../../shared/kernel/database/client.ts'
import { readEnvironment } from '../../shared/kernel/environment.ts'
import type { SignedUp, TestProject } from '../support/project.ts'

export interface GraphqlError {
  readonly message: string
  readonly path?: readonly (string | number)[]
  readonly extensions: { readonly code: string } & Readonly<Record<string, unknown>>
}

export interface GraphqlReply {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: what a test expects of it is what it says next
  readonly data: any
  readonly errors: readonly GraphqlError[]
}

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

export const graphqlUrl = (project: TestProject) => `${project.services.url}/functions/v1/graphql`

/** Sends an operation over HTTP, as a browser or a backend would. */
export async function ask(
  project: TestProject,
  credentials: Readonly<Record<string, string>>,
  query: string,
  variables: Readonly<Record<string, unknown>> = {},
): Promise<GraphqlReply> {
  return post(project, credentials, JSON.stringify({ query, variables }))
}

export async function post(
  project: TestProject,
  credentials: Readonly<Record<string, string>>,
  body: string,
): Promise<GraphqlReply> {
  const reply = await fetch(graphqlUrl(project), {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...credentials },
    body,
  })
  const text = await reply.text()
  const { data, errors = [] } = JSON.parse(text)
  return { status: reply.status, headers: reply.headers, text, data, errors }
}

export type Person = 'stranger' | 'member' | 'admin' | 'owner' | 'operator' | 'service'

/** One organization and everybody who may come to it, with real access tokens. */
export interface Cast {
  readonly owner: SignedUp
  readonly organizationId: string
  credentials(person: Person): Readonly<Record<string, string>>
  user(person: Exclude<Person, 'service'>): SignedUp
}

export async function castOf(project: TestProject): Promise<Cast> {
  const owner = await project.signUp({ organization_name: 'Ours' })
  const { organizationId } = owner
  await project.waitFor(organizationId)
  const [admin, member, stranger, operator] = [
    await project.signUp(),
    await project.signUp(),
    await project.signUp(),
    await project.signUp(),
  ]
  await project.sql`insert into public.organization_members (organization_id, user_id, role)
    values (${organizationId}, ${admin.userId}, 'admin'), (${organizationId}, ${member.userId}, 'member')`
  await project.sql`select provisioning.grant_operator(${operator.userId}, 'of the tests')`
  const users = { owner, admin, member, stranger, operator }
  return {
    owner,
    organizationId,
    user: (person) => users[person],
    credentials: (person) =>
      person === 'service' ? { apikey: project.keys.secretKey } : bearer(users[person].accessToken),
  }
}

export interface InProcess extends AsyncDisposable {
  /** How many it has sent to the database. */
  statements(): number
  send(init: RequestInit): Promise<Response>
}

/** The function in the test's own process, where its statements can be counted and its times shortened. */
export function graphqlInProcess(
  project: TestProject,
  timing: GraphqlTiming = DEFAULT_TIMING,
  projectUrl = project.services.url,
  variables: Readonly<Record<string, string>> = {},
): InProcess {
  const environment = readEnvironment({
    SUPABASE_URL: projectUrl,
    SUPABASE_DB_URL: project.databaseUrl(),
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: project.keys.secretKey }),
    ...variables,
  })
  const sql = connect(environment)
  let statements = 0
  const counted = new Proxy(sql, {
    apply: (target, self, given) => {
      statements++
      return Reflect.apply(target, self, given)
    },
  })
  const handle = createGraphqlFunction(environment, { sql: counted, timing })
  return {
    statements: () => statements,
    send: (init) => handle(new Request('http://localhost/graphql', init)),
    [Symbol.asyncDispose]: () => sql.end({ timeout: 1 }),
  }
}
