import { once } from 'node:events'
import { createServer } from 'node:http'

export interface Mailbox {
  readonly id: string
  readonly name: string
  readonly createdAt: string
}

/** A provider of mailboxes that takes a key, lists by name, and makes two of the same name when it is asked twice. */
export interface PostboxEmulator extends AsyncDisposable {
  readonly url: string
  readonly mailboxes: Map<string, Mailbox>
  /** What becomes of the requests that make a mailbox: 201, another status instead, or 'lost' after it was made. */
  creates: number | 'lost'
}

export async function startPostboxEmulator(key: string): Promise<PostboxEmulator> {
  const mailboxes = new Map<string, Mailbox>()
  const state: { creates: number | 'lost' } = { creates: 201 }
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://postbox')
    const reply = (status: number, body: unknown = {}) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(body))
    }
    if (request.headers.authorization !== `Bearer ${key}`) return reply(401)
    const name = url.searchParams.get('name')
    if (request.method === 'DELETE') {
      const found = mailboxes.delete(url.pathname.slice('/mailboxes/'.length))
      return reply(found ? 200 : 404)
    }
    if (request.method === 'GET')
      return reply(
        200,
        [...mailboxes.values()].filter((each) => name === null || each.name === name),
      )
    if (typeof state.creates === 'number' && state.creates !== 201) return reply(state.creates)
    const made = {
      id: `mbx_${mailboxes.size + 1}_${Date.now()}`,
      name: name ?? '',
      createdAt: new Date().toISOString(),
    }
    mailboxes.set(made.id, made)
    if (state.creates === 'lost') return response.destroy()
    reply(201, made)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the emulator has no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    mailboxes,
    get creates() {
      return state.creates
    },
    set creates(value) {
      state.creates = value
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
