import { expect, it } from 'vitest'
import { bench } from '../benchmarks/bench.ts'

it('the bench of growth fills two databases and compares them', async () => {
  const { metrics } = JSON.parse((await bench('growth', '--quick', '--tenants', '200')).stdout)
  for (const name of ['sign_up_ratio', 'claim_ratio', 'tenant_page_ratio', 'search_ms', 'backfill_look_s'])
    expect(metrics[name], name).toBeGreaterThan(0)
}, 120_000)
