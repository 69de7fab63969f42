/** What the exit code of `dkvctl` tells a script. */
export const ExitCode = {
  done: 0,
  /** Nothing was changed, and the last line says why. */
  failed: 1,
  wrongUse: 2,
  /** No such key or member. */
  notFound: 3,
  /** The change may have taken effect, or has and its answer could not be printed: read before repeating it. */
  unknown: 4
} as const
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]
