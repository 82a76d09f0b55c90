import { connect as openSocket } from 'node:net'
import { checkServerIdentity, type PeerCertificate, connect as startTls } from 'node:tls'

/** A Postgres client asks for TLS with this; a server that offers it answers `S`. */
const SSL_REQUEST = new Uint8Array([0, 0, 0, 8, 4, 210, 22, 47])

const LONGEST_NAME = 100

/** What is to be known of a certificate. */
export interface ShownCertificate {
  /** In milliseconds since 1970; undefined when it does not say. */
  readonly end: number | undefined
  /** Organization or name of whoever has issued it, as the certificate has it. */
  readonly issuer: string | undefined
  /** It is made out for the host that has shown it. */
  readonly isForHost: boolean
}

/** Bounded, and without what a terminal or a line of a log could take for something else. */
export function issuerOf({ issuer }: Pick<PeerCertificate, 'issuer'>): string | undefined {
  const name: unknown = issuer?.O ?? issuer?.CN
  if (typeof name !== 'string' || name === '') return undefined
  return [...name.slice(0, LONGEST_NAME)]
    .map((character) => (character >= ' ' && character <= '~' ? character : '?'))
    .join('')
}

/**
 * The certificate that a Postgres server shows. Nothing is trusted and nothing is sent: Deno (2.9) refuses an expired certificate
 * with the same code as one of an unknown authority.
 * @returns undefined when that cannot be found out in time
 */
export function shownCertificate(
  host: string,
  port: number,
  timeoutMs: number,
): Promise<ShownCertificate | undefined> {
  return new Promise((resolve) => {
    const socket = openSocket(port, host, () => socket.write(SSL_REQUEST))
    const finish = (certificate?: PeerCertificate) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(certificate?.valid_to ? described(host, certificate) : undefined)
    }
    const timer = setTimeout(() => finish(), timeoutMs)
    socket.on('error', () => finish())
    socket.once('data', (answer) => {
      if (answer[0] !== 83) return finish()
      const secure = startTls({ socket, servername: host, rejectUnauthorized: false }, () =>
        finish(secure.getPeerCertificate()),
      )
      secure.on('error', () => finish())
    })
  })
}

function described(host: string, certificate: PeerCertificate): ShownCertificate {
  const end = Date.parse(certificate.valid_to)
  return {
    end: Number.isNaN(end) ? undefined : end,
    issuer: issuerOf(certificate),
    isForHost: checkServerIdentity(host, certificate) === undefined,
  }
}
