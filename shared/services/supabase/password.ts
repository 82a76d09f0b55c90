/** Letters and digits that nobody takes for each other: 54 of them, so that 32 are worth 184 bits. */
const ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789'
const LENGTH = 32
/** The largest multiple of the alphabet's length that a byte holds: what is above would make some letters likelier. */
const LIMIT = 256 - (256 % ALPHABET.length)

/** A password for a project's database, of 32 characters that need no escaping in a URL or a statement. */
export function newDatabasePassword(): string {
  let password = ''
  while (password.length < LENGTH) {
    for (const byte of crypto.getRandomValues(new Uint8Array(LENGTH)))
      if (byte < LIMIT && password.length < LENGTH) password += ALPHABET.charAt(byte % ALPHABET.length)
  }
  return password
}
