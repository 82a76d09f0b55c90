import type { Database } from '../kernel/database/client.ts'
import { Problem } from '../kernel/http/problem.ts'
import { createSharedReads } from '../kernel/shared-reads.ts'
import { type JobReport, reportJobs } from './reports.ts'

export interface JobReports {
  /** @throws Problem organization_not_found when the job is gone */
  read(jobId: string): Promise<JobReport>
  /** The same a little later, in one statement for all who wait; undefined when the signal has ended the wait. */
  readLater(jobId: string, signal: AbortSignal): Promise<JobReport | undefined>
}

export function createJobReports(sql: Database, pollMs: number): JobReports {
  const reads = createSharedReads(pollMs, async (jobIds: readonly string[]) =>
    (await reportJobs(sql, jobIds)).map((report) => report ?? null),
  )
  return {
    async read(jobId) {
      const [report] = await reportJobs(sql, [jobId])
      return present(report)
    },
    async readLater(jobId, signal) {
      const report = await reads.next(jobId, signal)
      return report === undefined ? undefined : present(report)
    },
  }
}

function present(report: JobReport | null | undefined): JobReport {
  if (!report) throw new Problem('organization_not_found', 'The organization was deleted in the meantime.')
  return report
}
