import { hsalsa, xsalsa20poly1305 } from '@noble/ciphers/salsa.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { blake2b } from '@noble/hashes/blake2.js'

/** "expand 32-byte k", the constant of the Salsa20 family, as the core function wants it. */
const SIGMA = new Uint32Array([0x61707865, 0x3320646e, 0x79622d32, 0x6b206574])
const KEY_BYTES = 32
const NONCE_BYTES = 24

/**
 * Seals a text for the holder of a key pair, as libsodium's `crypto_box_seal` does: with a key pair made for this one box, whose
 * public half stands before it (https://doc.libsodium.org/public-key_cryptography/sealed_boxes).
 * @param publicKey in base64, as GitHub gives it
 * @returns base64, as GitHub takes it
 * @throws Error for what is no such key
 */
export function sealBox(text: string, publicKey: string): string {
  const receiver = fromBase64(publicKey)
  if (receiver.length !== KEY_BYTES) throw new Error('The public key for a sealed box has 32 bytes.')
  const { secretKey, publicKey: sender } = x25519.keygen()
  const nonce = blake2b(joined(sender, receiver), { dkLen: NONCE_BYTES })
  const key = boxKey(x25519.getSharedSecret(secretKey, receiver))
  const box = xsalsa20poly1305(key, nonce).encrypt(new TextEncoder().encode(text))
  return toBase64(joined(sender, box))
}

/** The key of libsodium's `crypto_box`: what both halves have in common, once through HSalsa20. */
function boxKey(shared: Uint8Array): Uint8Array {
  const key = new Uint32Array(KEY_BYTES / 4)
  hsalsa(SIGMA, words(shared), new Uint32Array(4), key)
  return new Uint8Array(key.buffer)
}

/** Little-endian, as every machine is that this runs on. */
function words(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.slice().buffer)
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  const both = new Uint8Array(one.length + other.length)
  both.set(one)
  both.set(other, one.length)
  return both
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}

function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
}
