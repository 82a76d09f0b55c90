import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createProjectKeys } from '../../local/gateway/keys.ts'
import { paused } from '../../shared/kernel/failures.ts'
import { maskSecrets } from '../../shared/kernel/masking.ts'
import { failure } from '../../shared/services/neon/failures.ts'

describe('what a provider said', () => {
  it.each([
    ['a password in a URL', 'cannot reach postgresql://role:npg_s3cretWord@host:5432/db', 's3cretWord'],
    ['a password with signs in it', 'at postgres://u:p%40ss-w0rd!$@h/d', 'w0rd'],
    ['every URL of several', 'postgres://a:one1@h and postgres://b:two2@h', /one1|two2/],
    ['a Stripe key', 'Invalid API Key provided: sk_live_51Abc123', '51Abc123'],
    ['a restricted Stripe key', 'rk_test_51Abc123 lacks rights', '51Abc123'],
    ['a webhook secret', 'whsec_abc123+d/ef45==', /abc123|ef45/],
    ['a password with an @ in it', 'at postgres://u:p@ss-w0rd@h/d', 'w0rd'],
    ['a password in a connection string', 'host=h password=s3cret dbname=d', 's3cret'],
    ['a password in a query', 'postgres://h/d?user=u&password=s3cret&x=1', 's3cret'],
    ['a Neon key', 'bad key napi_abc123xyz', 'abc123xyz'],
    ['a JWT', 'the key eyJhbGciOi.eyJzdWIi.c2ln-x_y is wrong', /hbGci|zdWIi|c2ln/],
    ['a key of n8n', 'n8n_api_5d1f0c lacks scopes', '5d1f0c'],
    ['a bearer token', 'authorization: Bearer eyJhbGciOi.J9-x_y.z==', /eyJ|J9-x/],
  ])('is shown without %s', (_what, text, secret) => {
    expect(maskSecrets(text)).not.toMatch(secret)
    expect(maskSecrets(text)).toContain('***')
  })

  it('is shown without any part of a secret key, whatever signs its random part has', async () => {
    for (let round = 0; round < 20; round++) {
      const { secretKey } = await createProjectKeys()
      const masked = maskSecrets(`refused ${secretKey} today`)
      expect(masked, secretKey).toMatch(/^refused sb_secret_\*+ today$/)
    }
  })

  it('is shown without the password of any connection URI, wherever it stands', () => {
    const word = fc.stringMatching(/^[A-Za-z0-9._~!$&*+;=-]{4,30}$/)
    const text = fc.string({ maxLength: 40 })
    fc.assert(
      fc.property(text, word, word, text, (before, role, password, after) => {
        const masked = maskSecrets(`${before} postgresql://${role}:${password}@host:5432/db ${after}`)
        expect(masked).toContain(`postgresql://${role}:***@host`)
        expect(masked).not.toContain(`:${password}@`)
      }),
    )
  })

  it('is otherwise left as it is, and kept short', () => {
    expect(maskSecrets('projects limit of 10 exceeded, got 10')).toBe('projects limit of 10 exceeded, got 10')
    expect(maskSecrets('x'.repeat(10_000))).toHaveLength(500)
  })

  it('is left with nothing that the database could not store, also where it is cut off', () => {
    expect(maskSecrets('a\0b')).toBe('a\ufffdb')
    const cut = maskSecrets(`${'x'.repeat(499)}😀`)
    expect(cut).toBe(`${'x'.repeat(499)}\ufffd`)
  })

  it('stands in parentheses behind our own sentence', () => {
    expect(failure('neon_request_refused', 'at postgres://u:secret@h')).toEqual({
      code: 'neon_request_refused',
      retryable: false,
      message: 'Neon refused the request. Mend what Neon names, then retry. (at postgres://u:***@h)',
    })
  })
})

describe('an outage', () => {
  it('is told with the time of the next try, by the clock that all servers share', () => {
    const midnight = new Date('2026-03-01T23:59:40Z')
    expect(paused(failure('neon_unavailable', 'status 503'), 90, midnight)).toEqual({
      code: 'neon_unavailable',
      retryable: true,
      message: 'Neon is not working properly. It will be tried again. (status 503) Next try at 00:01:10 UTC.',
      pauseSeconds: 90,
    })
  })
})
