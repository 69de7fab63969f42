/**
 * Callers that want to change membership or leadership, here or on behalf of another member.
 *
 * Mutable; owned by the serving loop.
 */
import type { MemberId } from "./core/Entry.ts"
import type { ChangeRefusal } from "./core/Output.ts"
import * as Limits from "./Limits.ts"
import type { ChangeWish } from "./PeerMessage.ts"
import type { Wakeup } from "./Wakeup.ts"

export type ChangeReason = ChangeRefusal | "Busy" | "Stopped"

export interface PendingChange {
  /** Another one once the change is passed on anew: whoever had the former one may take it for a copy. */
  id: number
  readonly wish: ChangeWish
  readonly deadline: number
  readonly answer: (refusal: ChangeReason | undefined, leader: MemberId) => void
  /** Another member's, which waits for a leader itself. */
  readonly isForwarded: boolean
  /** Whether the leader may have it already. */
  underWay: boolean
  forwardedTo: MemberId
  retryAt: number
}

export class Changes {
  private readonly bell: Wakeup
  private nextId: number
  private isStopped = false
  private readonly pending = new Map<number, PendingChange>()
  private arrived: Array<PendingChange> = []
  private parked: Array<PendingChange> = []

  /** `firstId` must differ from run to run: a peer may still answer what a former run of this member asked. */
  constructor(bell: Wakeup, firstId: number) {
    this.bell = bell
    this.nextId = firstId
  }

  get size(): number {
    return this.pending.size
  }

  add(wish: ChangeWish, deadline: number, answer: PendingChange["answer"], isForwarded = false): void {
    if (this.isStopped) return answer("Stopped", "")
    if (this.pending.size >= Limits.changesMax) return answer("Busy", "")
    const change: PendingChange = {
      id: this.nextId++,
      wish,
      deadline,
      answer,
      isForwarded,
      underWay: false,
      forwardedTo: "",
      retryAt: 0
    }
    this.pending.set(change.id, change)
    this.arrived.push(change)
    this.bell.ringUnsafe()
  }

  get(id: number): PendingChange | undefined {
    return this.pending.get(id)
  }

  /** Changes to ask for now. One that was answered while it waited for its turn must not take effect any more. */
  take(): ReadonlyArray<PendingChange> {
    const taken = this.arrived
    if (taken.length > 0) this.arrived = []
    return taken.filter((change) => this.pending.has(change.id))
  }

  /** What cannot be done now without being wrong later is tried again until the deadline, by the member that it was asked of. */
  park(change: PendingChange, now: number): void {
    if (change.isForwarded) return this.settle(change.id, "NoLeader", "")
    if (change.forwardedTo !== "") {
      this.pending.delete(change.id)
      change.id = this.nextId++
      this.pending.set(change.id, change)
    }
    change.forwardedTo = ""
    change.underWay = false
    change.retryAt = now + Limits.retryMillis
    this.parked.push(change)
  }

  unpark(now: number, all: boolean): void {
    if (this.parked.length === 0) return
    const waiting: Array<PendingChange> = []
    for (const change of this.parked) {
      if (!this.pending.has(change.id)) continue
      if (all || change.retryAt <= now) this.arrived.push(change)
      else waiting.push(change)
    }
    this.parked = waiting
    if (this.arrived.length > 0) this.bell.ringUnsafe()
  }

  settle(id: number, refusal: ChangeReason | undefined, leader: MemberId): void {
    const change = this.pending.get(id)
    if (change === undefined) return
    this.pending.delete(id)
    change.answer(refusal, leader)
  }

  linkLost(peer: MemberId): void {
    for (const change of this.pending.values()) {
      if (change.forwardedTo === peer) this.settle(change.id, "Unknown", "")
    }
  }

  expire(now: number): number {
    let next = Infinity
    for (const change of this.pending.values()) {
      if (change.deadline > now) {
        next = Math.min(next, change.deadline, change.retryAt > now ? change.retryAt : Infinity)
      } else this.settle(change.id, change.underWay ? "Unknown" : "NoLeader", "")
    }
    return next
  }

  /** The member stops: everyone is answered, and whoever comes later is turned away. */
  stop(): void {
    this.isStopped = true
    for (const change of this.pending.values()) this.settle(change.id, change.underWay ? "Unknown" : "Stopped", "")
  }
}
