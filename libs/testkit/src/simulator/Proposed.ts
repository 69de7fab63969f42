/**
 * What was proposed to members, and what their callers heard. A proposal that is turned down never takes effect, not even under a later leader: its caller may make it
 * again. Only of one whose outcome is not known anything may come.
 *
 * Commands are followed by the bytes themselves, which raft carries untouched, from the call into the log of the same member. What a member forwards is not, nor the
 * first command of a session's group, which is written with the stamp of its session.
 */
import type { Entry, LogIndex, Term } from "@dkv/raft"

interface Attempt {
  /** Where it was written, or is being written. */
  place: { readonly index: LogIndex; readonly term: Term } | undefined
  isTurnedDown: boolean
}

export class Proposed {
  private readonly attempts = new WeakMap<Uint8Array, Attempt>()
  /** Terms of entries that must not take effect, by index. */
  private readonly dead = new Map<LogIndex, Set<Term>>()

  /** The commands in bytes that are those of this call alone. */
  begin(commands: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> {
    return commands.map((command) => {
      const own = command.subarray()
      this.attempts.set(own, { place: undefined, isTurnedDown: false })
      return own
    })
  }

  /** The log of the member that was asked takes them in. */
  writing(entries: ReadonlyArray<Entry.Entry>): void {
    for (const { data, index, term } of entries) {
      const attempt = this.attempts.get(data)
      if (attempt === undefined) continue
      attempt.place = { index, term }
      this.bury(attempt)
    }
  }

  /** The caller heard that nothing comes of them. Says where they stand. */
  turnDown(commands: ReadonlyArray<Uint8Array>): ReadonlyArray<NonNullable<Attempt["place"]>> {
    return commands.flatMap((command) => {
      const attempt = this.attempts.get(command)!
      attempt.isTurnedDown = true
      this.bury(attempt)
      return attempt.place ?? []
    })
  }

  isTurnedDown(index: LogIndex, term: Term): boolean {
    return this.dead.get(index)?.has(term) === true
  }

  private bury({ isTurnedDown, place }: Attempt): void {
    if (!isTurnedDown || place === undefined) return
    const terms = this.dead.get(place.index) ?? new Set()
    this.dead.set(place.index, terms.add(place.term))
  }
}
