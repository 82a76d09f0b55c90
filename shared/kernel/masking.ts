import { storable } from './database/storable.ts'

/** Replaces passwords in URLs and connection strings, keys and bearer tokens, and makes the text one that a status row can keep. */
export function maskSecrets(text: string): string {
  const masked = text
    .replace(/(\w+:\/\/[^:/\s@]*:)\S+@/g, '$1***@')
    .replace(/\b(password|passwd|pwd)(\s*=\s*)[^\s&;]+/gi, '$1$2***')
    .replace(/\b(sk|rk|pk|sb_secret|sb_publishable|napi|npg|whsec)_[\w+/=-]+/g, '$1_***')
    .replace(/\bBearer\s+[\w.~+/-]+=*/gi, 'Bearer ***')
  return storable(masked.slice(0, 500))
}
