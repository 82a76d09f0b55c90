/**
 * One animated WebP of still ones, for ever from the beginning (RFC 9649: the container's header, ANIM, and an ANMF for each frame).
 * @param frames lossy or lossless stills of one size, each with its duration
 */
export function animate(
  frames: readonly { readonly webp: Buffer; readonly ms: number }[],
  width: number,
  height: number,
): Buffer {
  const header = Buffer.alloc(10)
  header[0] = 0b10
  header.writeUIntLE(width - 1, 4, 3)
  header.writeUIntLE(height - 1, 7, 3)
  const chunks = [
    chunk('VP8X', header),
    // A transparent background, and no end.
    chunk('ANIM', Buffer.alloc(6)),
    ...frames.map(({ webp, ms }) => {
      const place = Buffer.alloc(16)
      place.writeUIntLE(width - 1, 6, 3)
      place.writeUIntLE(height - 1, 9, 3)
      place.writeUIntLE(ms, 12, 3)
      // Each frame replaces what was there.
      place[15] = 0b10
      return chunk('ANMF', Buffer.concat([place, imageOf(webp)]))
    }),
  ]
  return chunk('RIFF', Buffer.concat([Buffer.from('WEBP'), ...chunks]))
}

function chunk(name: string, data: Buffer): Buffer {
  const size = Buffer.alloc(4)
  size.writeUInt32LE(data.length)
  return Buffer.concat([Buffer.from(name), size, data, Buffer.alloc(data.length % 2)])
}

/** The chunks of a still image that are its picture. @throws Error when it has none */
function imageOf(webp: Buffer): Buffer {
  const found: Buffer[] = []
  for (let at = 12; at + 8 <= webp.length; ) {
    const end = at + 8 + webp.readUInt32LE(at + 4)
    if (['ALPH', 'VP8 ', 'VP8L'].includes(webp.toString('latin1', at, at + 4)))
      found.push(webp.subarray(at, end + (end % 2)))
    at = end + (end % 2)
  }
  if (found.length === 0) throw new Error('There is no picture in this WebP file.')
  return Buffer.concat(found)
}
