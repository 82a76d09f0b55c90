import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'

const mailSchema = z.object({
  id: z.string(),
  at: z.iso.datetime(),
  to: z.string(),
  subject: z.string(),
  /** What the link is for, as `type` in verifyOtp. */
  type: z.string(),
  /** Signs in, confirms or recovers when a browser opens it. */
  link: z.string(),
  /** The six digits that a person can type instead. */
  code: z.string(),
  tokenHash: z.string(),
})

/** A message that a hosted project would have sent. */
export type Mail = z.infer<typeof mailSchema>

/** Where all mail goes: nothing leaves the machine. */
export interface Mailbox {
  deliver(mail: Omit<Mail, 'id' | 'at'>): Promise<void>
  /** Newest first. */
  list(): Promise<Mail[]>
}

const KEPT = 200

/** @param directory one JSON file a message; without it they are forgotten with the process */
export function createMailbox(directory: string | undefined): Mailbox {
  let mails: Promise<Mail[]> | undefined
  const all = () => {
    mails ??= directory === undefined ? Promise.resolve([]) : readMails(directory)
    return mails
  }
  return {
    deliver: async (message) => {
      const at = new Date().toISOString()
      const mail = { id: `${at.replaceAll(/\D/g, '')}-${crypto.randomUUID().slice(0, 8)}`, at, ...message }
      const known = await all()
      known.unshift(mail)
      known.splice(KEPT)
      if (directory === undefined) return
      await mkdir(directory, { recursive: true })
      // The links sign people in.
      await writeFile(path.join(directory, `${mail.id}.json`), JSON.stringify(mail, null, 2), { mode: 0o600 })
    },
    list: async () => [...(await all())],
  }
}

async function readMails(directory: string): Promise<Mail[]> {
  const files = await readdir(directory).catch((): string[] => [])
  const newest = files
    .filter((name) => name.endsWith('.json'))
    .sort()
    .reverse()
    .slice(0, KEPT)
  const texts = await Promise.all(newest.map((name) => readFile(path.join(directory, name), 'utf8')))
  return texts.map((text) => mailSchema.parse(JSON.parse(text)))
}
