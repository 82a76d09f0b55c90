import { connect as openSocket } from 'node:net'
import { connect as startTls } from 'node:tls'

/** A Postgres client asks for TLS with this; a server that offers it answers `S`. */
const SSL_REQUEST = new Uint8Array([0, 0, 0, 8, 4, 210, 22, 47])

/**
 * Until when the certificate is good that a Postgres server shows, in milliseconds since 1970. Nothing is trusted and nothing
 * is sent: Deno (2.9) refuses an expired certificate with the same code as one of an unknown authority.
 * @returns undefined when that cannot be found out in time
 */
export function certificateEnd(host: string, port: number, timeoutMs: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const socket = openSocket(port, host, () => socket.write(SSL_REQUEST))
    const finish = (validTo?: string) => {
      clearTimeout(timer)
      socket.destroy()
      const end = Date.parse(validTo ?? '')
      resolve(Number.isNaN(end) ? undefined : end)
    }
    const timer = setTimeout(finish, timeoutMs)
    socket.on('error', () => finish())
    socket.once('data', (answer) => {
      if (answer[0] !== 83) return finish()
      const secure = startTls({ socket, servername: host, rejectUnauthorized: false }, () =>
        finish(secure.getPeerCertificate().valid_to),
      )
      secure.on('error', () => finish())
    })
  })
}
