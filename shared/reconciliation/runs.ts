import type { Database } from '../kernel/database/client.ts'
import type { InventoryPage } from '../services/inventory.ts'

/** Where an open run stands, as its rows say. */
export interface Run {
  readonly id: string
  readonly compared: boolean
  readonly workerMaxSeconds: number
}

export interface List {
  /** As in provisioning.resource_kinds. */
  readonly resourceKind: string
  readonly cursor: string | null
}

export interface Finding {
  readonly id: string
  readonly resourceKind: string
  readonly resourceId: string
}

export interface ReconciliationReport {
  readonly runId: string
  readonly status: 'running' | 'finished' | 'failed'
  readonly dryRun: boolean
  /** Every list was read to its end without a gap. */
  readonly complete: boolean
  /** By kind of resource: resources, duplicate, stranger, missing, resolved, deleted. Empty until the run has ended. */
  readonly counts: Readonly<Record<string, Readonly<Record<string, number>>>>
  /** By kind of resource, why its list is not complete. */
  readonly gaps: Readonly<Record<string, string>>
  readonly error: string | null
  readonly startedAt: string
  readonly finishedAt: string | null
  /** At most 500. */
  readonly findings: readonly {
    readonly resourceKind: string
    readonly kind: 'duplicate' | 'stranger' | 'missing' | 'deletions_stopped'
    readonly resourceId: string
    readonly organizationId: string
    readonly firstSeenAt: string
    readonly deletedAt: string | null
  }[]
}

/** The `provisioning` functions of the reconciliation, one method each. */
export class RunStore {
  readonly #sql: Database

  constructor(sql: Database) {
    this.#sql = sql
  }

  /** Starts a run, or takes up the open one, for the caller to go on with. @returns its id */
  async start(dryRun: boolean): Promise<string> {
    const [row] = await this.#sql<
      { id: string }[]
    >`select provisioning.start_reconciliation(${dryRun}, false) as id`
    if (!row) throw new Error('start_reconciliation returned nothing')
    return row.id
  }

  /** The one run that is open; undefined when none is. */
  async open(): Promise<Run | undefined> {
    const [row] = await this.#sql<Run[]>`
      select r.id, r.compared_at is not null as compared, s.worker_max_seconds as "workerMaxSeconds"
      from provisioning.reconciliation_runs r, provisioning.settings s where r.status = 'running'`
    return row
  }

  /** The list that is to be read next; undefined when all are at their end. */
  async openList(runId: string): Promise<List | undefined> {
    const [row] = await this.#sql<List[]>`
      select resource_kind as "resourceKind", cursor from provisioning.reconciliation_lists
      where run_id = ${runId} and not ended order by resource_kind limit 1`
    return row
  }

  /** @returns false when another worker has read this page */
  async savePage(runId: string, { resourceKind, cursor }: List, page: InventoryPage): Promise<boolean> {
    const resources = page.resources.map(({ resourceId, organizationId, createdAt }) => ({
      resource_id: resourceId,
      organization_id: organizationId,
      created_at: createdAt,
    }))
    const [row] = await this.#sql<{ saved: boolean }[]>`
      select provisioning.save_inventory_page(${runId}, ${resourceKind}, ${cursor}, ${page.nextCursor}, ${page.gap},
        ${this.#sql.json(resources)}) as saved`
    return row?.saved ?? false
  }

  async endList(runId: string, { resourceKind }: List, gap: string): Promise<void> {
    await this.#sql`select provisioning.end_list(${runId}, ${resourceKind}, ${gap})`
  }

  /** @returns false when another worker has done it */
  async compare(runId: string): Promise<boolean> {
    const [row] = await this.#sql<
      { done: boolean }[]
    >`select provisioning.compare_inventory(${runId}) as done`
    return row?.done ?? false
  }

  /** What the run may delete, as settings and rows stand now: what was ordered first, then the longest known. */
  async deletable(runId: string): Promise<Finding[]> {
    return this.#sql<Finding[]>`
      select id, resource_kind as "resourceKind", resource_id as "resourceId" from provisioning.deletable_findings(${runId})`
  }

  /** Checks everything once more, right before the request. @returns false when it must not be deleted */
  async beginDeletion(runId: string, finding: Finding): Promise<boolean> {
    const [row] = await this.#sql<
      { allowed: boolean }[]
    >`select provisioning.begin_deletion(${runId}, ${finding.id}) as allowed`
    return row?.allowed ?? false
  }

  async completeDeletion(runId: string, finding: Finding): Promise<void> {
    await this.#sql`select provisioning.complete_deletion(${runId}, ${finding.id})`
  }

  async finish(runId: string, error: string | null): Promise<void> {
    await this.#sql`select provisioning.finish_reconciliation(${runId}, ${error})`
  }

  async ring(): Promise<void> {
    await this.#sql`select provisioning.ring_doorbell('reconciliation')`
  }

  async report(runId: string): Promise<ReconciliationReport | undefined> {
    const [row] = await this.#sql<{ report: ReconciliationReport | null }[]>`
      select provisioning.reconciliation_report(${runId}) as report`
    return row?.report ?? undefined
  }
}
