/** Log lines that a stranger can cause, limited in rate so that nobody can fill a disk with them. */
import { Clock, Effect } from "effect"
import { logBurst, logMillis, logRemembered, logRepeatMillis } from "./Limits.ts"

export type LogLimit = (message: string, level?: "Info" | "Warn") => Effect.Effect<void>

/** Lines, warnings unless told otherwise, beyond a burst, and the same one again within a while, are counted instead of written; the count is added to the next line. */
export const make: Effect.Effect<LogLimit> = Effect.map(Clock.Clock, (clock) => {
  const written = new Map<string, number>()
  let allowance = logBurst
  let suppressed = 0
  let before = monotonicMillis(clock)
  return (message, level = "Warn") =>
    Effect.suspend(() => {
      const now = monotonicMillis(clock)
      allowance = Math.min(logBurst, allowance + (now - before) / logMillis)
      before = now
      if (allowance < 1 || now - (written.get(message) ?? -Infinity) < logRepeatMillis) {
        suppressed++
        return Effect.void
      }
      allowance--
      written.delete(message)
      written.set(message, now)
      const [oldest] = written.keys()
      if (written.size > logRemembered && oldest !== undefined) written.delete(oldest)
      const text = suppressed === 0 ? message : `${message} (${suppressed} more such lines were left out)`
      suppressed = 0
      return Effect.logWithLevel(level)(text)
    })
})

const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
