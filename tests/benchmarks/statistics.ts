/** The middle value, or the mean of the two middle ones. @throws RangeError when there are none */
export function median(values: readonly number[]): number {
  const sorted = ascending(values)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.ceil(sorted.length / 2) - 1]
  if (upper === undefined || lower === undefined) throw nothingToSummarize()
  return (upper + lower) / 2
}

/**
 * The smallest value that at least `percent` of all do not exceed (nearest rank), so always one that occurred.
 * @throws RangeError when there are none
 */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = ascending(values)
  const found = sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)]
  if (found === undefined) throw nothingToSummarize()
  return found
}

function ascending(values: readonly number[]): number[] {
  return [...values].sort((a, b) => a - b)
}

function nothingToSummarize(): RangeError {
  return new RangeError('There are no values to summarize.')
}
