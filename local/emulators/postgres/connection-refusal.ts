/** A refusal in the form of Postgres' FATAL error. */
export class ConnectionRefusal extends Error {
  readonly sqlState: string
  constructor(sqlState: string, message: string) {
    super(message)
    this.sqlState = sqlState
  }
}
