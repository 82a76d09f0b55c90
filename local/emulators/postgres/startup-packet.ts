/** Postgres' messages before a session, and the few that a proxy answers with. Protocol 3. */

export type OpeningMessage =
  | { readonly type: 'incomplete' }
  | { readonly type: 'invalid' }
  /** The client asks for TLS or GSS encryption. */
  | { readonly type: 'encryption'; readonly length: number }
  | { readonly type: 'cancel'; readonly packet: Buffer }
  | {
      readonly type: 'startup'
      readonly length: number
      readonly protocol: number
      readonly parameters: ReadonlyMap<string, string>
    }

const SSL_REQUEST = 80_877_103
const GSS_REQUEST = 80_877_104
const CANCEL_REQUEST = 80_877_102
/** Postgres' own limit (MAX_STARTUP_PACKET_LENGTH). */
const MAX_LENGTH = 10_000

export function readOpeningMessage(data: Buffer): OpeningMessage {
  if (data.length < 8) return { type: 'incomplete' }
  const length = data.readInt32BE(0)
  if (length < 8 || length > MAX_LENGTH) return { type: 'invalid' }
  if (data.length < length) return { type: 'incomplete' }
  const code = data.readInt32BE(4)
  if (code === SSL_REQUEST || code === GSS_REQUEST) return { type: 'encryption', length }
  if (code === CANCEL_REQUEST) return { type: 'cancel', packet: data.subarray(0, length) }
  if (code >> 16 !== 3) return { type: 'invalid' }
  return { type: 'startup', length, protocol: code, parameters: readParameters(data.subarray(8, length)) }
}

function readParameters(data: Buffer): Map<string, string> {
  const words = data.toString('utf8').split('\0')
  const parameters = new Map<string, string>()
  for (let index = 0; index + 1 < words.length && words[index] !== ''; index += 2) {
    parameters.set(words[index] ?? '', words[index + 1] ?? '')
  }
  return parameters
}

export function startupPacket(protocol: number, parameters: ReadonlyMap<string, string>): Buffer {
  const words = [...parameters].flat()
  const payload = Buffer.from(`${words.map((word) => `${word}\0`).join('')}\0`, 'utf8')
  const head = Buffer.alloc(8)
  head.writeInt32BE(8 + payload.length, 0)
  head.writeInt32BE(protocol, 4)
  return Buffer.concat([head, payload])
}

/** A FATAL error as the server sends it before it hangs up. */
export function fatalError(code: string, message: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${message}\0\0`, 'utf8')
  const head = Buffer.alloc(5)
  head.write('E', 0)
  head.writeInt32BE(4 + fields.length, 1)
  return Buffer.concat([head, fields])
}
