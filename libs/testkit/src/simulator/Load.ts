/** Who uses a simulated cluster, and judges at the end whether what was answered can be explained. */
import type { SimMember } from "./SimMember.ts"

export interface Verdict {
  readonly failure: string | undefined
  /** How far the history was proven to be linearizable. */
  readonly proven: string
  /** Of a history that no order explains. */
  readonly picture: string | undefined
}

/** It begins by itself when it is made. */
export interface Load<Services = never> {
  /** Calls that were carried out. */
  readonly acknowledged: number
  /** How each call ended. */
  readonly outcomes: ReadonlyMap<string, number>
  /** All calls were made, and have ended. */
  readonly isDone: boolean
  /** Has some more calls made, which must be carried out by any of `members`, until they are. */
  readonly probe: (members: ReadonlyArray<SimMember<Services>>) => void
  /** Those calls were carried out. */
  readonly probed: boolean
  readonly verdict: () => Verdict
}
