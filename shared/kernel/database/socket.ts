import { connect, type Socket } from 'node:net'

/** An error with a code, as sockets have it. */
export function networkError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code })
}

/**
 * Opens a TCP connection. `host` is noted on the socket, because postgres.js asks it for the name to expect in a certificate.
 * @throws an error with a code: CONNECT_TIMEOUT, or what the network says
 */
export function openSocket(host: string, port: number, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true })
    const fail = (error: Error) => {
      clearTimeout(timer)
      socket.destroy()
      reject(error)
    }
    const timer = setTimeout(
      () => fail(networkError('CONNECT_TIMEOUT', `${host}:${port} does not answer`)),
      timeoutMs,
    )
    socket.once('error', fail)
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.off('error', fail)
      resolve(Object.assign(socket, { host }))
    })
  })
}

/**
 * Makes a `socket` option for postgres.js that opens one connection and no second one. postgres.js 3.4.9 keeps what it knew
 * of a connection that was lost, and its next connection is then deaf, or answers with what was left of another's rows, or
 * ends the process (its issues 1154 and 1208). So a client that has lost its connection is given up.
 */
export function onlyOnce<Target>(
  open: (target: Target) => Promise<Socket>,
): (target: Target) => Promise<Socket> {
  let opened = false
  return (target) => {
    if (opened) return Promise.reject(networkError('CONNECTION_CLOSED', 'the connection was closed'))
    opened = true
    return open(target)
  }
}
