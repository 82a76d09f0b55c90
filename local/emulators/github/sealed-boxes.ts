import sodium from 'libsodium-wrappers'

/** A repository's key pair for Actions secrets. Both keys are in base64. */
export interface BoxKeys {
  readonly keyId: string
  readonly publicKey: string
  readonly privateKey: string
}

/**
 * What opens sealed boxes, with libsodium itself, as GitHub does: what seals them on our side is another library.
 * It is WebAssembly, so it is to be waited for once.
 */
export async function loadSealedBoxes() {
  await sodium.ready
  const { base64_variants: variants } = sodium
  const encode = (bytes: Uint8Array) => sodium.to_base64(bytes, variants.ORIGINAL)
  const decode = (text: string) => sodium.from_base64(text, variants.ORIGINAL)
  return {
    newKeys(): BoxKeys {
      const { publicKey, privateKey } = sodium.crypto_box_keypair()
      // GitHub's ids are numbers with 18 digits.
      const keyId = `5680${String(crypto.getRandomValues(new Uint32Array(1))[0] ?? 0).padStart(14, '0')}`
      return { keyId, publicKey: encode(publicKey), privateKey: encode(privateKey) }
    },
    /** Undefined for what was not sealed with this public key. */
    open({ publicKey, privateKey }: BoxKeys, sealed: string): string | undefined {
      try {
        const opened = sodium.crypto_box_seal_open(decode(sealed), decode(publicKey), decode(privateKey))
        return sodium.to_string(opened)
      } catch {
        return undefined
      }
    },
  }
}

export type SealedBoxes = Awaited<ReturnType<typeof loadSealedBoxes>>
