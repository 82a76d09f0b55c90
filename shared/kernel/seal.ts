import { Buffer } from 'node:buffer'
import { createCipheriv, randomBytes } from 'node:crypto'
import type { Database } from './database/client.ts'

/**
 * Encrypts a secret for provisioning.unseal(): base64(iv ‖ AES-256-CBC). Bound parameters are written to the statement
 * log of a database that logs statements, so a secret travels sealed.
 */
export async function seal(sql: Database, secret: string): Promise<string> {
  const [row] = await sql<
    { key: string | null }[]
  >`select provisioning.vault_secret('provisioning_sealing_key') as key`
  if (!row?.key)
    throw new Error('Vault holds no provisioning_sealing_key; create it with 64 random hex digits')
  const iv = randomBytes(16)
  const cipher = createCipheriv('aes-256-cbc', Buffer.from(row.key, 'hex'), iv)
  // As hex throughout: the types of Buffer differ between the Deno versions that are supported.
  const sealed = iv.toString('hex') + cipher.update(secret, 'utf8', 'hex') + cipher.final('hex')
  return Buffer.from(sealed, 'hex').toString('base64')
}
