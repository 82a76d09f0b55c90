export interface SchemaFile {
  readonly version: number
  /** NNNN_what.sql */
  readonly name: string
  readonly sql: string
}
