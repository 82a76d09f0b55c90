import type { Diagnosis } from './diagnosis.ts'
import type { Finding } from './finding.ts'

type Secret = Diagnosis['vault'][number]

const AREA = 'Vault'

interface Repair {
  readonly fix: string
  /** An expression that makes a value. */
  readonly value: string
  /** The product works without it. */
  readonly optional?: true
}

const RANDOM_KEY = "encode(extensions.gen_random_bytes(32), 'hex')"

const REPAIRS: Readonly<Record<string, Repair>> = {
  provisioning_doorbell_key: { fix: 'Make a new one; functions notice within 30 s.', value: RANDOM_KEY },
  provisioning_sealing_key: {
    fix: 'Make a new one; steps that are cut off are repeated.',
    value: RANDOM_KEY,
  },
  alert_webhook_url: {
    fix: 'Write the address of your receiver into the statement.',
    value: "'https://YOUR-RECEIVER'",
    optional: true,
  },
  alert_webhook_secret: {
    fix: 'Make a new one, and give it to the receiver.',
    value: "'whsec_' || encode(extensions.gen_random_bytes(32), 'base64')",
  },
}

/** What the product keeps in Vault beside the passwords of tenants' databases. */
export const VAULT_SECRETS = ['functions_base_url', ...Object.keys(REPAIRS)]

/**
 * Whether Vault holds what the product needs.
 * @param url where the functions of this project are, without a quotation mark
 */
export function vaultFindings({ vault }: Pick<Diagnosis, 'vault'>, url: string): Finding[] {
  const repairs: Readonly<Record<string, Repair>> = {
    ...REPAIRS,
    functions_base_url: { fix: 'Tell the database where the functions are.', value: `'${url}'` },
  }
  const unreadable = vault.filter(({ state }) => state === 'unreadable')
  const others = vault.filter(({ state }) => state !== 'unreadable')
  return [
    ...(unreadable.length > 0 ? [unreadableFinding(unreadable, repairs)] : []),
    ...others.flatMap((secret) => secretFinding(secret, repairs[secret.name]) ?? []),
  ]
}

/** One for all: whatever Vault holds was encrypted under the same key, which is not in a dump. */
function unreadableFinding(secrets: readonly Secret[], repairs: Readonly<Record<string, Repair>>): Finding {
  const names = secrets.map(({ name }) => name)
  return {
    area: AREA,
    check: 'decryption',
    status: 'failed',
    found: `Vault cannot decrypt ${names.join(', ')}: encrypted under another key, as after a dump was restored into another project.`,
    fix: `Make them anew with the statement. The same goes for the passwords of tenants’ databases: afterwards retry the service neon of each tenant, which makes new ones.`,
    sql: names.map((name) => remaking(name, repairs[name])).join(' '),
  }
}

function secretFinding({ name, state }: Secret, repair: Repair | undefined): Finding | undefined {
  if (state === 'fine') return { area: AREA, check: name, status: 'ok', found: 'there' }
  if (state === 'missing' && repair?.optional) return undefined
  return {
    area: AREA,
    check: name,
    status: 'failed',
    found: state === 'missing' ? 'It is not in Vault.' : 'Its value cannot be right.',
    ...(repair ? { fix: repair.fix, sql: remaking(name, repair) } : {}),
  }
}

/** Not vault.update_secret, which decrypts the old value first, and so fails for one that cannot be decrypted. */
function remaking(name: string, repair: Repair | undefined): string {
  const deletion = `delete from vault.secrets where name = '${name}';`
  return repair ? `${deletion} select vault.create_secret(${repair.value}, '${name}');` : deletion
}
