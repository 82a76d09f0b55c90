import { createHash } from 'node:crypto'

/** A key as it is looked for: nothing that opens anything. */
export interface ApiKeyProof {
  /** By which people and rows name it. */
  readonly prefix: string
  /** SHA-256 of the whole key, as hexadecimal digits. */
  readonly hash: string
}

const KEY = /^tdk_[0-9a-f]{48}$/
const PREFIX_LENGTH = 12
const CHECKSUM_LENGTH = 8

/** Whether a text means to be an API key, right or wrong. */
export function meansToBeKey(text: string): boolean {
  return text.startsWith('tdk_')
}

/**
 * As provisioning.new_api_key makes them.
 * @returns undefined when the key cannot be one of ours: something is missing, or its checksum is wrong
 */
export function proofOf(key: string): ApiKeyProof | undefined {
  if (!KEY.test(key)) return undefined
  const checksum = sha256(key.slice(0, -CHECKSUM_LENGTH)).slice(0, CHECKSUM_LENGTH)
  // The checksum is no secret: whoever knows the rest can compute it.
  if (checksum !== key.slice(-CHECKSUM_LENGTH)) return undefined
  return { prefix: key.slice(0, PREFIX_LENGTH), hash: sha256(key) }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
