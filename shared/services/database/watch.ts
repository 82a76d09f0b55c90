import type { Failure } from '../../kernel/failures.ts'
import type { Result } from '../../kernel/result.ts'

/**
 * active: a connection wakes nobody. idle: it sleeps, and a connection would wake it. init: it is waking. ailing: as active, but its host
 * says that something is wrong with it. paused: somebody has put it to rest, and only they wake it, so that it is never connected
 * to. changing: it becomes something else, and takes nobody until then. disabled, failed, gone: it cannot be used.
 */
export type DatabaseState =
  | 'active'
  | 'idle'
  | 'init'
  | 'ailing'
  | 'paused'
  | 'changing'
  | 'disabled'
  | 'failed'
  | 'gone'

export interface DatabaseNow {
  readonly state: DatabaseState
  /** ISO 8601; undefined when it never was, or where nobody counts that. */
  readonly lastActiveAt?: string
  /** The host's own word for the state. */
  readonly said?: string
}

export interface DatabaseUsage {
  /** Undefined while nobody has measured it. */
  readonly storageBytes?: number
  /** The quota that is used up, in words: the database is suspended. Its absence in a list may prove nothing. */
  readonly exhaustedQuota?: string
}

/** What a list says of a database. */
export interface ListedDatabase {
  readonly id: string
  /** ISO 8601; undefined when it never was. */
  readonly lastActiveAt?: string
  readonly usage: DatabaseUsage
}

export interface DatabasePage {
  readonly databases: readonly ListedDatabase[]
  /** Databases that exist but could not be listed: the page, and so the whole list, is incomplete. */
  readonly unavailable: number
  /** Where the next page begins; undefined behind the last one. */
  readonly nextCursor?: string
}

/** The list of all databases of a host that is asked for each of them otherwise. */
export interface DatabaseList {
  page(cursor?: string): Promise<Result<DatabasePage>>
  /** Of one that sleeps. */
  usage(id: string): Promise<Result<DatabaseUsage>>
  /** Whether a page was refused because of its cursor, which may be from another account. */
  refusesCursor(failure: Failure): boolean
}

/** How a service that hosts databases tells of them without waking any. */
export interface DatabaseWatch {
  /** As in provisioning.tiers: the databases of this tier are here. */
  readonly tier: string
  /** What people call what a database is in, by the code of a reason: sentences in the place of the usual ones. */
  readonly words: Readonly<Record<string, string>>
  /**
   * How the database is that its host knows by this id. Asking wakes none.
   * @param since milliseconds: where an answer is shared with others, it is not to be older than this
   */
  state(id: string, since?: number): Promise<Result<DatabaseNow>>
  /** Where each call tells of one database alone. Without it, answers are shared, and may be some seconds old. */
  readonly list?: DatabaseList
  /**
   * The services beside the database that are not well, in words. One call each, so not at every check.
   * @param asked somebody waits for the answer; otherwise it is refused when others were asked for just now
   */
  illServices?(id: string, asked: boolean): Promise<Result<readonly string[]>>
}

/** The same watch, whose calls go through `each`. */
export function throughEach(
  watch: DatabaseWatch,
  each: <T>(request: () => Promise<Result<T>>) => Promise<Result<T>>,
): DatabaseWatch {
  const { list, illServices } = watch
  return {
    ...watch,
    state: (id, since) => each(() => watch.state(id, since)),
    ...(list && {
      list: {
        ...list,
        page: (cursor) => each(() => list.page(cursor)),
        usage: (id) => each(() => list.usage(id)),
      },
    }),
    ...(illServices && { illServices: (id: string, asked: boolean) => each(() => illServices(id, asked)) }),
  }
}
