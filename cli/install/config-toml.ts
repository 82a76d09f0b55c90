import { isDeepStrictEqual } from 'node:util'
import { patch } from '@decimalturn/toml-patch'
import { parse, type TomlTable } from 'smol-toml'
import { TEMPLATE_SCHEMA } from './render-schema.ts'

/** What the project's supabase/config.toml has to say for us. */
export interface WantedConfig {
  readonly schema: string
  /** Each gets a section. */
  readonly functions: readonly string[]
  /** Of those functions, relative to the file. */
  readonly importMap: string
}

const VAULT = { functions_base_url: 'env(FUNCTIONS_BASE_URL)' }
/** Of the Supabase CLI, where the file does not say which schemas the Data API exposes. */
const EXPOSED = ['public', 'graphql_public']

/**
 * The file with what we need, everything else in it kept, comments too: values that are there are changed in their place, and
 * sections that are not are added at the end. @throws Error that says what to write by hand, when that cannot be done
 */
export function withOurConfig(text: string, wanted: WantedConfig): string {
  const before = parsed(text)
  if (!before) throw new Error('supabase/config.toml is no TOML that can be read.')
  const after = withWanted(before, wanted)
  const changed = addSections(changeValues(text, before, after), before, after)
  if (!isDeepStrictEqual(plain(parsed(changed)), plain(after)))
    throw new Error(
      'supabase/config.toml is written in a way that cannot be added to. Write its sections db, api and functions as [sections], then try again.',
    )
  return changed
}

/** The file without what withOurConfig has added. @throws Error when it cannot be read */
export function withoutOurConfig(text: string, { schema, functions }: WantedConfig): string {
  const config = parsed(text)
  if (!config) throw new Error('supabase/config.toml is no TOML that can be read.')
  const { vault, ...db } = table(config.db)
  const { functions_base_url: _, ...secrets } = table(vault)
  const api = table(config.api)
  const schemas = Array.isArray(api.schemas) ? api.schemas : []
  const left = {
    ...config,
    ...(schema !== TEMPLATE_SCHEMA && schemas.includes(schema)
      ? { api: { ...api, schemas: schemas.filter((each) => each !== schema) } }
      : {}),
    db: { ...db, ...(Object.keys(secrets).length > 0 ? { vault: secrets } : {}) },
    functions: Object.fromEntries(
      Object.entries(table(config.functions)).filter(([name]) => !functions.includes(name)),
    ),
  }
  const filled = Object.entries(left).filter(
    ([name, value]) => !['db', 'functions'].includes(name) || Object.keys(table(value)).length > 0,
  )
  const rest = patch(text, Object.fromEntries(filled)).replace(/\n{3,}/g, '\n\n')
  return `${rest.trimEnd()}\n`
}

function withWanted(config: TomlTable, { schema, functions, importMap }: WantedConfig): TomlTable {
  const api = table(config.api)
  const exposed = Array.isArray(api.schemas) ? api.schemas : EXPOSED
  const isExposed = schema === TEMPLATE_SCHEMA || exposed.includes(schema)
  const db = table(config.db)
  const given = table(config.functions)
  return {
    ...config,
    ...(isExposed ? {} : { api: { ...api, schemas: [...exposed, schema] } }),
    db: { ...db, vault: { ...table(db.vault), ...VAULT } },
    functions: {
      ...given,
      ...Object.fromEntries(
        functions.map((name) => [name, { ...table(given[name]), verify_jwt: false, import_map: importMap }]),
      ),
    },
  }
}

/** Only where there is a table already: what the library makes of new ones is right, but not how people write them. */
function changeValues(text: string, before: TomlTable, after: TomlTable): string {
  const functions = table(after.functions)
  const had = table(before.functions)
  const target = {
    ...before,
    ...('api' in before && 'api' in after ? { api: after.api } : {}),
    ...(hasVault(before) ? { db: after.db } : {}),
    ...('functions' in before
      ? { functions: Object.fromEntries(Object.keys(had).map((name) => [name, functions[name]])) }
      : {}),
  }
  return isDeepStrictEqual(plain(target), plain(before)) ? text : patch(text, target)
}

function addSections(text: string, before: TomlTable, after: TomlTable): string {
  const functions = table(after.functions)
  const had = table(before.functions)
  const sections = [
    ...('api' in before || !('api' in after) ? [] : [section('api', table(after.api))]),
    ...(hasVault(before)
      ? []
      : [
          `# Upserted into Vault before migrations. The database rings the functions at this address.\n${section('db.vault', VAULT)}`,
        ]),
    ...Object.keys(functions)
      .filter((name) => !(name in had))
      .map((name) => section(`functions.${name}`, table(functions[name]))),
  ]
  return sections.length === 0 ? text : `${[text.trimEnd(), ...sections].filter(Boolean).join('\n\n')}\n`
}

const section = (name: string, values: TomlTable) =>
  [
    `[${name}]`,
    ...Object.entries(values).map(
      ([key, value]) => `${key} = ${JSON.stringify(value).replaceAll('","', '", "')}`,
    ),
  ].join('\n')

const hasVault = (config: TomlTable) => 'vault' in table(config.db)

function table(value: unknown): TomlTable {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as TomlTable) : {}
}

function parsed(text: string): TomlTable | undefined {
  try {
    return parse(text)
  } catch {
    return undefined
  }
}

/** Without the prototypes that parsers give their tables. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null))
