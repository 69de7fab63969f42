/** Who uses a simulated cluster, and judges at the end whether what was answered can be explained. */
import { name } from "./Names.ts"
import type { Options } from "./Options.ts"
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
  /** Has some more calls made, which must be carried out by any of `members`, until they are; then whatever is left to call. */
  readonly probe: (members: ReadonlyArray<SimMember<Services>>) => void
  /** Those calls were carried out, and no others are left to make. */
  readonly probed: boolean
  /** Has each of `members` asked, by a client that knows no other. Nothing is broken any more: whoever is not answered is named. */
  readonly askEach: (
    members: ReadonlyArray<SimMember<Services>>,
    done: (unanswered: ReadonlyArray<string>) => void
  ) => void
  readonly verdict: () => Verdict
}

/** Mean time until a caller's next call: that in which all calls are made when their time is over, so that callers hurry after a cluster that did not answer. */
export const pauseMeanMillis = (
  { millis, operations }: Options,
  { callers, issued, now }: { readonly callers: number; readonly issued: number; readonly now: number }
): number => Math.max(0, millis - now) * callers / Math.max(1, operations - issued)

/** Calls that one caller makes after healing, at most: a core that serves is done with them long before it is given up. */
const restMax = 100

/** How many callers make the calls that are left after healing. */
export const restCallers = ({ callers, clients, operations }: Options, issued: number): number =>
  Math.max(callers * clients, Math.ceil((operations - issued) / restMax))

/** Asks every member something, and hands over the names of those who did not carry it out. */
export const collect = <Services>(
  members: ReadonlyArray<SimMember<Services>>,
  ask: (member: SimMember<Services>, answered: (carriedOut: boolean) => void) => void,
  done: (unanswered: ReadonlyArray<string>) => void
): void => {
  const unanswered: Array<string> = []
  let open = members.length
  for (const member of members) {
    ask(member, (carriedOut) => {
      if (!carriedOut) unanswered.push(name(member.id))
      if (--open === 0) done(unanswered)
    })
  }
}
