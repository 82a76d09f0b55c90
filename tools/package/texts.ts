const COMMAND = 'npx supabase-tenant-provisioning'

/** What is printed in this repository, and how whoever has the package says it. */
const TEXTS: readonly (readonly [RegExp, string])[] = [
  [/npm run tenants --/g, COMMAND],
  [/npm run functions:invoke --/g, `${COMMAND} invoke`],
  // It writes what the functions have of the tenants' schema, too.
  [/npm run tenant-schema/g, `${COMMAND} init`],
  // There is no local stack of ours.
  [/run `npm start` in another terminal first, or set/g, 'set'],
]

/** A compiled file with the commands that it prints as the reader has them. */
export function asInstalled(text: string): string {
  return TEXTS.reduce((changed, [from, to]) => changed.replaceAll(from, to), text)
}
