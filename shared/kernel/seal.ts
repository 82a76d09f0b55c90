import { Buffer } from 'node:buffer'
import type { Database } from './database/client.ts'

/** Encrypts a secret for provisioning.unseal(): base64(iv ‖ AES-256-CBC). */
export type Seal = (secret: string) => Promise<string>

/**
 * Fetches the key with which secrets are sealed. Bound parameters are written to the statement log of a database that logs
 * statements, so a secret travels sealed. @throws Error when Vault holds no key
 */
export async function readSeal(sql: Database): Promise<Seal> {
  const [row] = await sql<
    { key: string | null }[]
  >`select provisioning.vault_secret('provisioning_sealing_key') as key`
  if (!row?.key)
    throw new Error('Vault holds no provisioning_sealing_key; create it with 64 random hex digits')
  // Not createCipheriv of node:crypto: that of Deno 2.1 leaves out the padding of a text that fills its last block.
  const bytes = Uint8Array.from(Buffer.from(row.key, 'hex'))
  const key = await crypto.subtle.importKey('raw', bytes, 'AES-CBC', false, ['encrypt'])
  return async (secret) => {
    const iv = crypto.getRandomValues(new Uint8Array(16))
    const sealed = await crypto.subtle.encrypt({ name: 'AES-CBC', iv }, key, new TextEncoder().encode(secret))
    return Buffer.concat([iv, new Uint8Array(sealed)]).toString('base64')
  }
}
