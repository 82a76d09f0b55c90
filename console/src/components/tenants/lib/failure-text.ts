import { FAILURES } from '../generated/failures'
import { sentenceCase } from './words'

/** What has happened, where there is nothing but the code of a failure. */
export const failureText = (code: string) => FAILURES[code] ?? `${sentenceCase(code)}.`
