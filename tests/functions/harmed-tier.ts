import { AsyncLocalStorage } from 'node:async_hooks'
import { inject, vi } from 'vitest'
import { type GithubEmulator, startGithubEmulator } from '../../local/emulators/github/emulator.ts'
import type { FaultControl } from '../../local/emulators/http/faults.ts'
import { type N8nEmulator, startN8nEmulator } from '../../local/emulators/n8n/emulator.ts'
import { type SupabaseEmulator, startSupabaseEmulator } from '../../local/emulators/supabase/emulator.ts'
import { startVercelEmulator, type VercelEmulator } from '../../local/emulators/vercel/emulator.ts'
import { databaseUrl, SUPERUSER } from '../../local/postgres/server.ts'
import type { Step, StepContext, StepOutcome } from '../../shared/engine/step.ts'
import { connect, type Database } from '../../shared/kernel/database/client.ts'
import type { Variables } from '../../shared/kernel/environment.ts'
import { tenantDatabases } from '../../shared/services/database/index.ts'
import { github } from '../../shared/services/github/index.ts'
import { n8n } from '../../shared/services/n8n/index.ts'
import type { Service } from '../../shared/services/service.ts'
import { supabase } from '../../shared/services/supabase/index.ts'
import { vercel } from '../../shared/services/vercel/index.ts'
import { emulatorKey, emulatorVariables } from '../../tools/emulators.ts'
import { createTenant, only, openProject, type Project } from '../database/project.ts'
import { MortalWorker } from './mortal-worker.ts'
import { startSilentServer } from './silent-server.ts'
import { keepServices } from './tier-rows.ts'

/** What is asked of the tenant's database, as an operation beside those of the providers. */
export const CONNECTION = 'connection'

/** One attempt of a step does not get the answer to one request, or of the database it gets no answer. */
export interface Harm {
  /** As the provider's description calls it, or CONNECTION. */
  readonly operation: string
  /** Whether it is done all the same; a connection then falls silent behind the login, and else before it. */
  readonly acts: boolean
}

export interface HarmedAttempt {
  readonly step: string
  readonly harm: Harm
  readonly seconds: number
}

export interface Limits {
  /** The longest that a harmed attempt waits for an answer of a provider; else each client's own limit. */
  readonly callMs?: number
  readonly stepMaxSeconds: number
}

interface Emulators {
  readonly supabase: SupabaseEmulator
  readonly github: GithubEmulator
  readonly vercel: VercelEmulator
  readonly n8n: N8nEmulator
}

/** One attempt's harm. `struck` is whether the request has come. */
interface Trap extends AsyncDisposable {
  run(step: Step, context: StepContext): Promise<StepOutcome>
  struck(): boolean
}

/** Where the steps of one source can be harmed, and what they have asked for so far. */
interface Place {
  set(harm: Harm): Promise<Trap>
  calls(): Readonly<Record<string, number>>
}

const SERVICES: readonly (readonly [Service, keyof Emulators])[] = [
  [supabase, 'supabase'],
  [github, 'github'],
  [vercel, 'vercel'],
  [n8n, 'n8n'],
]
const UNLIMITED = Number.POSITIVE_INFINITY

/** The tier `project` with all that it has outside, a worker in this process, and harm for single attempts of its steps. */
export class HarmedTier implements AsyncDisposable {
  readonly project: Project
  readonly emulators: Emulators
  /** What is to come, by step: each attempt takes the first until it has struck. */
  readonly harms = new Map<string, Harm[]>()
  /** Those that were struck, in order. */
  readonly attempts: HarmedAttempt[] = []
  /** What steps ask for that nothing harms, by step. */
  readonly operations = new Map<string, Set<string>>()
  readonly #database: Database
  readonly #worker: MortalWorker
  readonly #callMs = new AsyncLocalStorage<number | undefined>()
  #limits: Limits = { stepMaxSeconds: 60 }

  private constructor(project: Project, emulators: Emulators) {
    this.project = project
    this.emulators = emulators
    this.#database = connect({ SUPABASE_DB_URL: project.url() })
    this.#worker = new MortalWorker(project.sql, this.#database)
    // Every client bounds its calls with it.
    const timeout = AbortSignal.timeout.bind(AbortSignal)
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) =>
      timeout(Math.min(ms, this.#callMs.getStore() ?? ms)),
    )
  }

  static async open(): Promise<HarmedTier> {
    const project = await openProject()
    await keepServices(project.sql, ['supabase', 'database', 'graphql', 'github', 'vercel', 'n8n'])
    await project.sql`update provisioning.settings set max_step_attempts = 1000, repository_on_removal = 'delete'`
    const githubEmulator = await startGithubEmulator({
      apiKey: emulatorKey(github),
      limits: { requestsPerHour: UNLIMITED, changesPerMinute: UNLIMITED, changesPerHour: UNLIMITED },
    })
    const poolerPort = inject('poolerPort')
    return new HarmedTier(project, {
      github: githubEmulator,
      vercel: await startVercelEmulator({
        apiKey: emulatorKey(vercel),
        limits: { requestsPerMinute: UNLIMITED },
        repositoryId: (name) => githubEmulator.repositoryId(name),
      }),
      n8n: await startN8nEmulator({ apiKey: emulatorKey(n8n) }),
      supabase: await startSupabaseEmulator({
        adminUrl: databaseUrl(inject('postgresPort'), 'template1', SUPERUSER),
        accessToken: emulatorKey(supabase),
        limits: { requestsPerMinute: UNLIMITED },
        ...(poolerPort === undefined ? {} : { poolerPort }),
      }),
    })
  }

  get sql() {
    return this.project.sql
  }

  /** An organization of the tier, whose provisioning is due. */
  async tenant(): Promise<string> {
    const { organizationId, jobId } = await createTenant(this.project)
    await this.sql`update public.provisioning_jobs set tier = 'project' where id = ${jobId}`
    return organizationId
  }

  /** Works once, as far as it goes now; what waits is due. */
  async work(organizationId: string, limits: Limits): Promise<void> {
    this.#limits = limits
    const { stepMaxSeconds } = limits
    const worked = await this.#worker.work([organizationId], this.#steps(), { stepMaxSeconds })
    if (worked === 0) throw new Error('no job is due')
  }

  /** The same, until the worker dies. See MortalWorker.dieInSteps. */
  workUntilDeath(organizationId: string, deaths: Map<string, number>): Promise<boolean> {
    return this.#worker.dieInSteps(deaths, () => this.work(organizationId, { stepMaxSeconds: 60 }))
  }

  async jobStatus(organizationId: string): Promise<string> {
    const rows = await this.sql<{ status: string }[]>`
      select status from public.provisioning_jobs where organization_id = ${organizationId} order by created_at desc limit 1`
    return only(rows).status
  }

  /** Of the newest job: how a step is, and why. */
  async step(organizationId: string, name: string) {
    const rows = await this.sql<{ service: string; status: string; code: string | null }[]>`
      select s.service, s.status, s.error ->> 'code' as code from public.provisioning_steps s
      where s.step = ${name} and s.job_id = (select id from public.provisioning_jobs
        where organization_id = ${organizationId} order by created_at desc limit 1)`
    return only(rows)
  }

  async enqueue(organizationId: string, kind: string): Promise<void> {
    await this.sql`select provisioning.enqueue(${organizationId}, ${kind}, '{}', null, 'request', 'project')`
  }

  /** How many there are of everything outside. */
  async outside(): Promise<Readonly<Record<string, number>>> {
    const { emulators } = this
    const { workflows, credentials, tags } = emulators.n8n.contents
    const get = async (path: string): Promise<Record<string, string>[]> => {
      const headers = { authorization: `Bearer ${emulatorKey(supabase)}` }
      return JSON.parse(
        await (await fetch(`${emulators.supabase.url}/v1/projects${path}`, { headers })).text(),
      )
    }
    const projects = await get('')
    const keys = await Promise.all(projects.map(({ ref }) => get(`/${ref}/api-keys`)))
    return {
      projects: projects.length,
      secretKeys: keys.flat().filter(({ type }) => type === 'secret').length,
      repositories: emulators.github.repositories.length,
      sites: emulators.vercel.projects.length,
      deployments: emulators.vercel.deployments.length,
      ...{ tags: tags.length, credentials: credentials.length, workflows: workflows.length },
    }
  }

  #steps(): Readonly<Record<string, Step>> {
    const variables: Variables = Object.assign(
      {},
      ...SERVICES.map(([service, name]) =>
        emulatorVariables(service, `${this.emulators[name].url}${service.emulator?.path ?? ''}`),
      ),
    )
    const options = { variables, sql: this.#database }
    const sources = SERVICES.map(([service, name]) => ({
      steps: service.connect(options).steps,
      place: this.#requests(this.emulators[name]),
    }))
    const inDatabase = {
      steps: tenantDatabases([supabase]).connect(options).steps,
      place: this.#connections(),
    }
    return Object.fromEntries(
      [...sources, inDatabase].flatMap(({ steps, place }) =>
        Object.entries(steps).map(([name, step]) => [name, this.#harmable(name, step, place)]),
      ),
    )
  }

  #harmable(name: string, step: Step, place: Place): Step {
    return async (context) => {
      const [harm] = this.harms.get(name) ?? []
      if (!harm) return this.#noting(name, place, () => step(context))
      await using trap = await place.set(harm)
      const startedAt = performance.now()
      try {
        return await trap.run(step, context)
      } finally {
        if (trap.struck()) {
          this.harms.get(name)?.shift()
          this.attempts.push({ step: name, harm, seconds: (performance.now() - startedAt) / 1000 })
        }
      }
    }
  }

  async #noting<T>(name: string, place: Place, work: () => Promise<T>): Promise<T> {
    const before = place.calls()
    const done = await work()
    const made = Object.entries(place.calls()).filter(
      ([operation, calls]) => calls > (before[operation] ?? 0),
    )
    const known = this.operations.get(name) ?? new Set()
    this.operations.set(name, new Set([...known, ...made.map(([operation]) => operation)]))
    return done
  }

  /** Steps of one service come one after another, so that a fault strikes the step for which it is there. */
  #requests(emulator: {
    readonly faults: FaultControl
    readonly stats: { readonly calls: Readonly<Record<string, number>> }
  }): Place {
    return {
      calls: () => emulator.stats.calls,
      set: async ({ operation, acts }) => {
        const { faults } = emulator
        const type = acts ? 'act_then_hang' : 'hang'
        const { id } = faults.add({ match: { operation }, action: { type }, times: 1 })
        return {
          run: (step, context) => this.#callMs.run(this.#limits.callMs, () => step(context)),
          struck: () => !faults.list().some((fault) => fault.id === id),
          async [Symbol.asyncDispose]() {
            faults.clear(id)
          },
        }
      },
    }
  }

  #connections(): Place {
    const { supabase: emulator } = this.emulators
    return {
      calls: () => ({ [CONNECTION]: emulator.stats.connections }),
      set: async ({ acts }) => {
        const behind = { host: '127.0.0.1', port: emulator.postgresPort }
        const server = await startSilentServer(acts ? 'behind the login' : 'at once', behind)
        return {
          run: (step, context) => step({ ...context, tenant: ledTo(server.port, context.tenant) }),
          struck: () => server.silenced > 0,
          [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
        }
      },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    vi.restoreAllMocks()
    await Promise.all(Object.values(this.emulators).map((each) => each.stop({ drop: true })))
    await this.#database.end({ timeout: 1 })
    await this.project.close()
  }
}

/** The tenant as it would be if its database were there. */
function ledTo(port: number, tenant: StepContext['tenant']): StepContext['tenant'] {
  const host = '127.0.0.1'
  return {
    ...tenant,
    database: { ...Object(tenant.database), host, pooled_host: host, port, pooled_port: port },
  }
}
