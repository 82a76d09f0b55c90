import { Buffer } from 'node:buffer'
import { createPrivateKey, createSign } from 'node:crypto'

/** GitHub takes none that lasts longer than ten minutes. */
const LIFE_SECONDS = 9 * 60
/** Clocks may differ: https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app */
const BACKDATED_SECONDS = 60

/**
 * The token with which a GitHub App says who it is.
 * @param privateKey in PEM, of either kind
 * @throws Error for what is no such key
 */
export function appToken(appId: string, privateKey: string, now = Date.now()): string {
  const seconds = Math.floor(now / 1000)
  const claims = { iss: appId, iat: seconds - BACKDATED_SECONDS, exp: seconds + LIFE_SECONDS }
  const signed = [{ alg: 'RS256', typ: 'JWT' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.')
  const signature = createSign('RSA-SHA256').update(signed).sign(createPrivateKey(privateKey), 'base64url')
  return `${signed}.${signature}`
}
