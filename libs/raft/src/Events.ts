/**
 * What observers of a member are told: who leads, who takes part, snapshots that come and go. Nothing waits for an observer: one that is slow loses the oldest
 * events, and sees a gap in their numbers.
 *
 * Mutable; filled by the serving loop.
 */
import type { Option } from "effect"
import { Effect, PubSub, Stream } from "effect"
import type { Configuration } from "./core/Configuration.ts"
import type { RoleName } from "./core/Core.ts"
import type { LogIndex, MemberId, Term } from "./core/Entry.ts"
import * as Limits from "./Limits.ts"
import * as Wakeup from "./Wakeup.ts"

/**
 * - `Role`: this member has another role, or the same one in another term.
 * - `Leader`: this member knows of another leader, or of none.
 * - `Configuration`: another configuration is in force here; it may still be undone, until the commit index has reached `index`.
 * - `SnapshotSent`: a member that was too far behind got a snapshot, or did not take it. `SnapshotInstalled`: this member's own state was replaced by one.
 * - `Silent`: on the leader, a voter has not answered for so long that it is taken for dead. `HeardAgain`: it answers after all.
 * - `Removed`: a committed configuration no longer has this member in it.
 */
export type Happening =
  | { readonly _tag: "Role"; readonly role: RoleName; readonly term: Term }
  | { readonly _tag: "Leader"; readonly leader: Option.Option<MemberId>; readonly term: Term }
  | { readonly _tag: "Configuration"; readonly configuration: Configuration; readonly index: LogIndex }
  | {
    readonly _tag: "SnapshotSent"
    readonly peer: MemberId
    readonly index: LogIndex
    readonly delivered: boolean
  }
  | { readonly _tag: "SnapshotInstalled"; readonly index: LogIndex }
  | { readonly _tag: "Silent" | "HeardAgain"; readonly voter: MemberId }
  | { readonly _tag: "Removed" }

/** `number` counts the events of this run of the member from 1; `atMillis` is monotonic time. */
export type Event = Happening & { readonly number: number; readonly atMillis: number }

export class Events {
  private pending: Array<Event> = []
  private count = 0
  private readonly wakeup: Wakeup.Wakeup
  private readonly hub: PubSub.PubSub<Event>

  constructor(wakeup: Wakeup.Wakeup, hub: PubSub.PubSub<Event>) {
    this.wakeup = wakeup
    this.hub = hub
  }

  add(happening: Happening, now: number): void {
    this.pending.push({ ...happening, number: ++this.count, atMillis: now })
    if (this.pending.length > Limits.eventsMax) this.pending.shift()
    this.wakeup.ringUnsafe()
  }

  /** Events that wait for the actor. */
  get waiting(): number {
    return this.pending.length
  }

  /** From now on. */
  get stream(): Stream.Stream<Event> {
    return Stream.fromPubSub(this.hub)
  }

  /** The actor. */
  get run(): Effect.Effect<never> {
    return Effect.forever(Effect.andThen(
      this.wakeup.wait,
      Effect.suspend(() => {
        const events = this.pending
        this.pending = []
        return PubSub.publishAll(this.hub, events)
      })
    ))
  }
}

export const make = Effect.gen(function*() {
  const hub = yield* PubSub.sliding<Event>(Limits.eventsMax)
  return new Events(yield* Wakeup.make, hub)
})
