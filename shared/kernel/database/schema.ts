/**
 * The schema that holds what the Data API shows of us. Everything in TypeScript that names it takes the name from here;
 * a plain lower-case name, which needs no quotes.
 */
export const PUBLIC_SCHEMA = 'public'
