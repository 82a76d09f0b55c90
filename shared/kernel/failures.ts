import { maskSecrets } from './masking.ts'

/** What a person asks of this product. It names no program: the CLI, the API and the docs print it in their own way. */
export type RemedyCommand =
  /** Without a service: whatever has not succeeded. */
  | { readonly command: 'retry'; readonly service?: string }
  | { readonly command: 'set_secret'; readonly name: string }
  /** Provisions in another region; possible until the database is there. */
  | { readonly command: 'choose_region' }
  | { readonly command: 'bundle_tenant_schema' }
  | { readonly command: 'deploy_functions' }

/** What a person does about a failure. */
export interface Remedy {
  /** Complete sentences. */
  readonly text: string
  /** The commands that belong to it, in order. */
  readonly commands: readonly RemedyCommand[]
}

/** All that is to be said of one failure code. */
export interface FailureDefinition {
  /** Trying again by itself can help. It is a property of the code, never of the occasion. */
  readonly retryable: boolean
  /** What has happened, as one English sentence; status rows keep it. */
  readonly sentence: string
  /** How it goes on, where a retryable failure does not just say that it will be tried again. */
  readonly continuation?: string
  /** For the page of codes in the docs: what the sentence does not say. Markdown. */
  readonly docs: string
  /** Absent where nobody has to do anything. */
  readonly remedy?: Remedy
  /** The answer to a request that creates is open: it may still take effect. */
  readonly open?: true
  /** It speaks of the provider, not of what was asked. Enough of them in a row open its circuit breaker. */
  readonly providerBroken?: true
  /** The provider asks for fewer requests. */
  readonly rateLimited?: true
}

export type FailureCatalogue = Readonly<Record<string, FailureDefinition>>

export interface Failure {
  readonly code: string
  readonly retryable: boolean
  readonly message: string
  /** The provider's wish; a person who retries may ignore it. */
  readonly retryAfterSeconds?: number
  /**
   * The answer to a request that creates is open: within this time it may still take effect, or what it made cannot be
   * found for certain. Nobody makes the next attempt come sooner.
   */
  readonly settleSeconds?: number
  /** The provider's outage or rate limit, not this job's failure: the attempt does not count, and the next is due then. */
  readonly pauseSeconds?: number
}

/** Makes a failure of a code. `detail` is what the provider said; secrets in it are masked. */
export type MakeFailure<Code extends string> = (
  code: Code,
  detail?: string,
  retryAfterSeconds?: number,
) => Failure

/** @returns what makes the failures of a catalogue, and of no other */
export function failuresOf<Code extends string>(
  catalogue: Readonly<Record<Code, FailureDefinition>>,
): MakeFailure<Code> {
  return (code, detail, retryAfterSeconds) => {
    const definition = catalogue[code]
    const message = messageOf(definition)
    return {
      code,
      retryable: definition.retryable,
      message: detail ? `${message} (${maskSecrets(detail)})` : message,
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    }
  }
}

/** What has happened, and what comes next: it is tried again, or a person has something to do. */
export function messageOf({ retryable, sentence, continuation, remedy }: FailureDefinition): string {
  const next = continuation ?? (retryable ? 'It will be tried again.' : remedy?.text)
  return next ? `${sentence} ${next}` : sentence
}

/** Whether the request that failed like this may still take effect. */
export function leavesOpen({ code }: Failure, catalogue: FailureCatalogue): boolean {
  return catalogue[code]?.open === true
}

/** The same failure as an outage of the provider, with the time of the next try in its message. */
export function paused(cause: Failure, seconds: number, now: Date = new Date()): Failure {
  const nextTry = new Date(now.getTime() + seconds * 1000).toISOString().slice(11, 19)
  return { ...cause, message: `${cause.message} Next try at ${nextTry} UTC.`, pauseSeconds: seconds }
}

/** The engine's own failures. The database writes some of them by itself: provisioning.failure has their texts from here. */
export const generalFailures = {
  organization_gone: {
    retryable: false,
    sentence: 'The organization was deleted in the meantime.',
    docs: 'What exists outside is removed by the deletion’s own job.',
  },
  step_crashed: {
    retryable: true,
    sentence: 'The step ended unexpectedly; the function log has the details.',
    docs: 'A bug, or a database went away in the middle.',
  },
  step_timed_out: {
    retryable: true,
    sentence: 'The step did not end in time.',
    docs: 'It took longer than `settings.step_max_seconds`, and did not heed that it was told to end.',
  },
  worker_lost: {
    retryable: true,
    sentence: 'The worker stopped in the middle of this step.',
    continuation: 'Another one takes over.',
    docs: 'Its function was ended, or lost the database. What the step did is unknown, so the next attempt looks first.',
  },
  answer_open: {
    retryable: true,
    sentence: 'An earlier request may still take effect, which is waited for.',
    continuation: '',
    docs: 'Set by a retry that comes while the answer to a request that creates is open.',
  },
  grace_period: {
    retryable: true,
    sentence: 'It is kept until the grace period of the deletion ends.',
    continuation: '',
    docs: 'What a deleted organization had stays until the time in the message. The attempt does not count.',
  },
  attempts_exhausted: {
    retryable: false,
    sentence: 'Every attempt at this step was interrupted.',
    // The database writes this one, too, and holds no remedies.
    continuation: '',
    docs: 'Nothing is known of the cause but that the workers ended.',
    remedy: { text: 'Look at the function’s log, then retry.', commands: [{ command: 'retry' }] },
  },
  dispatch_unavailable: {
    retryable: true,
    sentence: 'The database cannot call the functions.',
    continuation: 'The job waits.',
    docs: 'Set by the sweep on jobs that are due; the message says what is missing.',
    remedy: {
      text: 'Put what the message names into Vault or, when it names pg_net, restart its worker: select net.worker_restart(). The sweep goes on with the jobs by itself.',
      commands: [],
    },
  },
} as const satisfies FailureCatalogue

export const failure = failuresOf(generalFailures)
