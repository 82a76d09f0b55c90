import { expect, it } from 'vitest'
import { animate } from './animation.ts'

/** A still WebP of one chunk, with a byte more where its length is odd. */
function still(data: string): Buffer {
  const size = (count: number) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(count)
    return bytes
  }
  const body = Buffer.concat([Buffer.from('WEBPVP8 '), size(data.length), Buffer.from(data)])
  const padded = Buffer.concat([body, Buffer.alloc(data.length % 2)])
  return Buffer.concat([Buffer.from('RIFF'), size(padded.length), padded])
}

it('an animated WebP has the pictures of its frames in their order, each with its size and duration', () => {
  const file = animate(
    [
      { webp: still('one'), ms: 500 },
      { webp: still('three!'), ms: 2_000 },
    ],
    960,
    640,
  )
  expect(file.readUInt32LE(4)).toBe(file.length - 8)
  const found: unknown[] = []
  for (let at = 12; at < file.length; ) {
    const size = file.readUInt32LE(at + 4)
    const name = file.toString('latin1', at, at + 4)
    const data = file.subarray(at + 8, at + 8 + size)
    if (name === 'VP8X') found.push([name, data.readUIntLE(4, 3) + 1, data.readUIntLE(7, 3) + 1])
    else if (name === 'ANMF')
      found.push([
        name,
        data.readUIntLE(6, 3) + 1,
        data.readUIntLE(12, 3),
        data.toString('latin1', 24, 24 + data.readUInt32LE(20)),
      ])
    else found.push([name])
    at += 8 + size + (size % 2)
  }
  expect(found).toEqual([
    ['VP8X', 960, 640],
    ['ANIM'],
    ['ANMF', 960, 500, 'one'],
    ['ANMF', 960, 2_000, 'three!'],
  ])
})

it('refuses a file without a picture', () => {
  expect(() => animate([{ webp: Buffer.from('RIFF    WEBP'), ms: 1 }], 1, 1)).toThrow('no picture')
})
