import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createSecureContext, TLSSocket } from 'node:tls'
import { generate } from 'selfsigned'

const DAY_MS = 86_400_000
/** What a Postgres client sends to ask for TLS. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

export interface Certificate {
  readonly key: string
  readonly cert: string
}

export interface Authority extends Certificate {
  /** Its certificate as a file, for NODE_EXTRA_CA_CERTS and DENO_CERT. */
  readonly file: string
  remove(): Promise<void>
}

/** A certificate authority that nobody knows but who is told. */
export async function createAuthority(): Promise<Authority> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'Test authority' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
  const directory = await mkdtemp(path.join(tmpdir(), 'authority-'))
  const file = path.join(directory, 'authority.pem')
  await writeFile(file, cert)
  return { key, cert, file, remove: () => rm(directory, { recursive: true }) }
}

/** A certificate of a host, good until so many days from now; negative for an expired one. */
export async function issue(authority: Certificate, host: string, days: number): Promise<Certificate> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: host }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notBeforeDate: new Date(Date.now() - 100 * DAY_MS),
    notAfterDate: new Date(Date.now() + days * DAY_MS),
    ca: { key: authority.key, cert: authority.cert },
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: host }] },
    ],
  })
  return { key, cert }
}

export interface TlsFront {
  readonly port: number
  /** Of new connections. */
  use(certificate: Certificate): void
  stop(): Promise<void>
}

/** Stands before a Postgres port and speaks TLS with its clients, as Neon's proxy does. */
export async function startTlsFront(postgresPort: number): Promise<TlsFront> {
  let secureContext = createSecureContext()
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    sockets.add(client)
    client.on('error', () => client.destroy())
    client.once('data', (opening) => {
      if (!opening.equals(SSL_REQUEST)) return client.destroy()
      client.write('S')
      const secure = new TLSSocket(client, { isServer: true, secureContext })
      const behind = connect(postgresPort, '127.0.0.1')
      for (const socket of [secure, behind])
        socket.on('error', () => {
          secure.destroy()
          behind.destroy()
        })
      secure.pipe(behind).pipe(secure)
      return undefined
    })
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('the server has no port')
  return {
    port: address.port,
    use: (certificate) => {
      secureContext = createSecureContext(certificate)
    },
    stop: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
