const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 })

const precise = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 })

export const plain = (value: number) => precise.format(value)

const BYTES = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** In powers of 1024, as Postgres counts. */
export function bytes(value: number): string {
  const power = value < 1 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), BYTES.length - 1)
  return `${number.format(value / 1024 ** power)} ${BYTES[power]}`
}

export const milliseconds = (value: number) =>
  value < 10 ? `${number.format(value)} ms` : `${Math.round(value)} ms`

export const percent = (share: number) => `${number.format(share * 100)} %`

/** In the smallest unit of a currency, such as cents. */
export function money(amount: number, currency: string): string {
  const format = new Intl.NumberFormat(undefined, {
    style: 'currency',
    currency: currency.toUpperCase(),
    trailingZeroDisplay: 'stripIfInteger',
  })
  return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2))
}
