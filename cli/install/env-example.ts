const FIRST_LINE = '# Tenant provisioning'

const BLOCK = `${FIRST_LINE} ---------------------------------------------------------------
# Where the database finds the functions; \`supabase db push --remote\` puts it into Vault.
# Local stack of the Supabase CLI: http://kong:8000/functions/v1
FUNCTIONS_BASE_URL=https://YOUR-PROJECT.supabase.co/functions/v1
# Secrets of the functions: \`supabase secrets set --env-file .env\`
STRIPE_SECRET_KEY=
NEON_API_KEY=
# With a personal Neon key: the Neon organization that gets the projects.
# NEON_ORG_ID=
# For clients with a Supabase project of their own: what SUPABASE_MANAGEMENT_TOKEN and SUPABASE_ORG_ID are elsewhere, since secrets of
# functions may not begin with SUPABASE_.
# MANAGEMENT_TOKEN=
# MANAGEMENT_ORG_ID=
# Their repositories: a token, or GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY, and the template as OWNER/NAME.
# GITHUB_TOKEN=
# GITHUB_ORG=
# GITHUB_TEMPLATE_REPOSITORY=
# Their deployments.
# VERCEL_TOKEN=
# VERCEL_TEAM_ID=
# Their workflows: your n8n, and a key of its owner.
# N8N_URL=
# N8N_API_KEY=
# For a monitoring system, which sends it to the function metrics: openssl rand -hex 32
# METRICS_KEY=
`

/** The project's .env.example with the variables that we need and it has not, everything in it kept. */
export function withOurVariables(text: string): string {
  if (text.includes(FIRST_LINE)) return text
  const has = (name: string) => new RegExp(`^#? ?${name}=`, 'm').test(text)
  const block = BLOCK.split('\n')
    .filter((line) => !has(/^(?:# )?([A-Z0-9_]+)=/.exec(line)?.[1] ?? '-'))
    .join('\n')
  return text.trim() === '' ? block : `${text.trimEnd()}\n\n${block}`
}

/** The file without what withOurVariables has added; empty when nothing else was in it. */
export function withoutOurVariables(text: string): string {
  const { others } = parts(text)
  if (others.length === text.split('\n').length) return text
  const left = others.join('\n')
  return left.trim() === '' ? '' : `${left.trimEnd()}\n`
}

/** The secrets of functions that withOurVariables has added. What the project had itself, its own functions may read. */
export const ourSecretsIn = (text: string): string[] =>
  parts(text)
    .ours.flatMap((line) => /^(?:# )?([A-Z0-9_]+)=/.exec(line)?.[1] ?? [])
    .filter((name) => name !== 'FUNCTIONS_BASE_URL')

function parts(text: string): { readonly ours: readonly string[]; readonly others: readonly string[] } {
  const lines = text.split('\n')
  const from = lines.findIndex((line) => line.startsWith(FIRST_LINE))
  if (from < 0) return { ours: [], others: lines }
  const known = new Set(BLOCK.split('\n').filter((line) => line !== ''))
  const length = lines.slice(from).findIndex((line) => !known.has(line))
  const to = length < 0 ? lines.length : from + length
  return { ours: lines.slice(from, to), others: [...lines.slice(0, from), ...lines.slice(to)] }
}
