import { describe, expect, it } from 'vitest'
import { bench } from './bench.ts'
import { median, percentile } from './statistics.ts'

describe('a benchmark', () => {
  it('prints one JSON object whose metrics are finite numbers, and nothing else, on standard output', async () => {
    const { stdout, stderr } = await bench('sign-up', '--quick')
    const { name, metrics } = JSON.parse(stdout)
    expect(name).toBe('sign-up')
    expect(Object.keys(metrics)).toEqual(
      expect.arrayContaining(['added_ms', 'throughput_ratio_4_clients', 'wal_bytes_60000_tenants']),
    )
    for (const value of Object.values(metrics)) expect(value).toSatisfy(Number.isFinite)
    expect(stderr).toMatch(/wal_bytes +[\d.]+ +(met|missed) +\(aim: at most 4500\)/)
  }, 120_000)

  it('that does not exist ends with exit code 2 and names those that do', async () => {
    await expect(bench('sign-in')).rejects.toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(
        /no benchmark "sign-in".*sign-up, sign-up-mapped, ready, burst, health, fleet, rotation, graphql, growth, lanes, hostile, neighbours, rls, tenant-graphql, console, project-tier, start, install/,
      ),
    })
  })

  it('cannot be run a number of times that is no number', async () => {
    await expect(bench('sign-up', '--runs', 'many')).rejects.toMatchObject({ code: 2, stdout: '' })
    await expect(bench('growth', '--tenants', '0')).rejects.toMatchObject({ code: 2, stdout: '' })
  })
})

describe('the statistics', () => {
  it('have as median the middle value, or the mean of the two middle ones', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([4, 1, 9, 2])).toBe(3)
  })

  it('have as percentile a value that occurred and that enough others do not exceed', () => {
    const oneToTwoHundred = Array.from({ length: 200 }, (_, index) => 200 - index)
    expect(percentile(oneToTwoHundred, 50)).toBe(100)
    expect(percentile(oneToTwoHundred, 99)).toBe(198)
    expect(percentile([7], 99)).toBe(7)
  })

  it('refuse to summarize nothing', () => {
    expect(() => median([])).toThrow(RangeError)
    expect(() => percentile([], 50)).toThrow(RangeError)
  })
})
