/** Whether an answer comes in time from a machine that may stand still meanwhile. */
import type { Machine, World } from "./World.ts"

/** Looks after `limitMillis`; a machine that was paused has as long again from the end of the pause. `onLate` hears of no answer by then. How to stop looking. */
export const watch = (
  world: World,
  machine: Machine | undefined,
  limitMillis: number,
  onLate: () => void
): () => void => {
  const lookAt = (at: number): () => void =>
    world.after(at - world.now, () => {
      const since = machine?.isPaused === true ? world.now : machine?.resumedAt ?? -Infinity
      if (since + limitMillis > world.now) stop = lookAt(since + limitMillis)
      else onLate()
    })
  let stop = lookAt(world.now + limitMillis)
  return () => stop()
}
