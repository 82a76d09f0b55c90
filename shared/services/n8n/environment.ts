import { z } from 'zod'
import { isLocalHost } from '../../kernel/local-host.ts'

export const n8nEnvironment = z.object({
  /** Where the n8n is that editors open in the browser, with its path if it has one. Without it, each call fails with n8n_key_missing. */
  N8N_URL: z
    .string()
    .refine(isAddress, { message: 'is not https://HOST, with a path at most' })
    .transform((address) => address.replace(/\/$/, ''))
    .optional(),
  /** Of the owner or an admin of that n8n. */
  N8N_API_KEY: z.string().min(1).optional(),
})

export type N8nEnvironment = z.infer<typeof n8nEnvironment>

/** The key travels with each request, so only a host on this machine may do without TLS. */
function isAddress(text: string): boolean {
  const url = URL.parse(text)
  if (url === null) return false
  const isBare = url.username === '' && url.password === '' && url.search === '' && url.hash === ''
  return isBare && (url.protocol === 'https:' || (url.protocol === 'http:' && isLocalHost(url.hostname)))
}
