declare const types: unique symbol

/** The text of an operation, with the types of what it takes and gives. */
export type Operation<Result, Variables> = string & {
  readonly [types]?: { readonly result: Result; readonly variables: Variables }
}
