/**
 * Whether a statement failed because of what is in the tenant's database, and not because the server went away under it, or
 * somebody held what it needs.
 */
export function isOfTheTenant(error: unknown): error is Error & { readonly code: string } {
  return (
    error instanceof Error &&
    error.name === 'PostgresError' &&
    'code' in error &&
    !/^(57|08|53|55P03)/.test(String(error.code))
  )
}
