import type { JobReports } from '../engine/job-reports.ts'
import type { Caller } from '../kernel/caller.ts'
import type { Database } from '../kernel/database/client.ts'
import type { Environment } from '../kernel/environment.ts'
import type { WaitingRoom } from '../kernel/waiting-room.ts'
import type { ProgressPoll } from './progress-poll.ts'
import type { Reader } from './reader.ts'

/** What the resolvers of one operation work with. */
export interface GraphqlContext {
  readonly caller: Caller
  /** Reads as the caller. */
  readonly reader: Reader
  /** Reads every tenant's rows, for operators and the service role alone. */
  readonly operatorReader: Reader
  /** As the engine; only for what no caller may do for themselves. */
  readonly sql: Database
  readonly environment: Environment
  readonly timing: GraphqlTiming
  readonly waiting: Waiting
  /** Ends when the client has gone. */
  readonly signal: AbortSignal
}

/** What all operations of a process share that wait for something. */
export interface Waiting {
  readonly room: WaitingRoom
  readonly jobs: JobReports
  readonly progress: ProgressPoll
}

/** In milliseconds. */
export interface GraphqlTiming {
  /** How often the state is looked at while somebody listens. */
  readonly pollMs: number
  /** How long a subscription may last; below the 150 s after which a function is ended. */
  readonly subscriptionMs: number
  /** How long provisionUserResources waits for its job. */
  readonly provisionWaitMs: number
}

export const DEFAULT_TIMING: GraphqlTiming = {
  pollMs: 500,
  subscriptionMs: 140_000,
  provisionWaitMs: 60_000,
}
