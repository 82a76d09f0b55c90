import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { authoritiesOf, SUPABASE_ROOT } from '../../shared/tenant-database/authorities.ts'

test('the certificates of Supabase’s databases are believed by its own root, and others by the platform’s', () => {
  const root = new X509Certificate(SUPABASE_ROOT)
  // As Supabase publishes it: prod-ca-2021.crt.
  expect(root.fingerprint256).toBe(
    '80:70:25:AD:50:D4:ED:21:9D:2C:9C:7D:29:9C:00:4F:82:4E:B0:0C:F7:F6:5A:FE:F6:07:D0:7B:72:E6:CA:FA',
  )
  expect(root.ca && root.verify(root.publicKey)).toBe(true)
  expect(Date.parse(root.validTo)).toBeGreaterThan(Date.UTC(2031, 3, 1))
  for (const host of ['db.abcdefghijklmnopqrst.supabase.co', 'aws-0-eu-central-1.pooler.supabase.com'])
    expect(authoritiesOf(host)).toEqual([SUPABASE_ROOT])
  for (const host of [
    'ep-cool-sun-1.eu-central-1.aws.neon.tech',
    'supabase.co.example.com',
    'notsupabase.co',
  ])
    expect(authoritiesOf(host)).toBeUndefined()
})
