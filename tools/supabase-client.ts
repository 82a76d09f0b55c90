import { createClient, type SupabaseClient } from '@supabase/supabase-js'
import type { Database } from '../shared/generated/database-types.ts'

/** A supabase-js client as an application would make it, without a stored session. */
export function supabaseClient(url: string, key: string): SupabaseClient<Database> {
  return createClient<Database>(url, key, { auth: { persistSession: false, autoRefreshToken: false } })
}
