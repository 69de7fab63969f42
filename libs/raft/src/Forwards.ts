/**
 * What other members passed on lately, per member: a transport may deliver a frame twice, and nothing must be carried out twice, or refused because its first copy is
 * under way. Ids differ between runs of a member, so those of a former run say nothing about this one.
 *
 * Mutable; owned by the serving loop.
 */
import type { MemberId } from "./core/Entry.ts"
import * as Limits from "./Limits.ts"

export class Forwards {
  private readonly seen = new Map<MemberId, Set<number>>()

  /** Whether this is the first time that it comes. */
  isNew(from: MemberId, id: number): boolean {
    let ids = this.seen.get(from)
    if (ids === undefined) this.seen.set(from, ids = new Set())
    if (ids.has(id)) return false
    ids.add(id)
    // in the order in which they came
    if (ids.size > Limits.forwardsRememberedMax) {
      for (const oldest of ids) {
        ids.delete(oldest)
        break
      }
    }
    return true
  }

  /** Members of whom something is remembered, and how much of the one of whom most is. */
  get size(): { readonly members: number; readonly ids: number } {
    let ids = 0
    for (const seen of this.seen.values()) ids = Math.max(ids, seen.size)
    return { members: this.seen.size, ids }
  }

  /** Forgets all but these members. */
  retain(peers: ReadonlySet<MemberId>): void {
    for (const from of this.seen.keys()) if (!peers.has(from)) this.seen.delete(from)
  }
}
