const COMMAND = 'npx supabase-tenant-provisioning'

/** Scripts of this repository that are printed, and what whoever has the package calls instead. */
const SCRIPTS: Readonly<Record<string, string>> = {
  'tenants --': COMMAND,
  'functions:invoke --': `${COMMAND} invoke`,
  // It writes what the functions have of these folders, too.
  'tenant-schema': `${COMMAND} init`,
  'n8n-templates': `${COMMAND} init`,
}

/** A compiled file with the commands that it prints as the reader has them. */
export function asInstalled(text: string): string {
  const changed = Object.entries(SCRIPTS).reduce(
    (left, [script, command]) => left.replaceAll(['npm', 'run', script].join(' '), command),
    text,
  )
  // There is no local stack of ours.
  return changed.replaceAll('run `npm start` in another terminal first, or set', 'set')
}
