/** One thing that doctor looked at. */
export interface Finding {
  readonly area: string
  readonly check: string
  readonly status: 'ok' | 'warning' | 'failed' | 'skipped'
  readonly found: string
  /** What to do about it, in words; then the command, or the statement for the SQL editor, that does it. */
  readonly fix?: string
  readonly command?: string
  readonly sql?: string
}

export type Repair = Pick<Finding, 'fix' | 'command' | 'sql'>

/** A finding that is bad when there is a problem, and otherwise fine. */
export function finding(
  area: string,
  check: string,
  problem: string | undefined | false,
  fine: string,
  repair: Repair = {},
  status: 'failed' | 'warning' = 'failed',
): Finding {
  return problem
    ? { area, check, status, found: problem, ...repair }
    : { area, check, status: 'ok', found: fine }
}
