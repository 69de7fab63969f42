/**
 * What the leader knows of another member's log, and how much it may send without an answer.
 *
 * - `Probe`: where the logs agree is not known; one message at a time.
 * - `Replicate`: known; messages are pipelined as far as the window allows.
 * - `Snapshot`: the entries it needs are compacted away; a snapshot is on its way.
 *
 * Source: etcd-raft `tracker/progress.go`, `tracker/inflights.go`. Mutable; owned by the core.
 */
import type { LogIndex, MemberId } from "./Entry.ts"

export type ProgressState = "Probe" | "Replicate" | "Snapshot"

export class Progress {
  readonly id: MemberId
  /** It is sent only what enough others hold. */
  readonly witness: boolean
  state: ProgressState = "Probe"
  /** Highest index known to be in that member's log, durably. */
  match: LogIndex = 0
  /** The next index to send. */
  next: LogIndex
  readonly window: Window
  /** A permit is out: the replicator has not yet said what it sent. */
  permitted = false
  /** Number of the last permit, so that a report on an older one is recognised. */
  permit = 0
  /** In `Probe`: the one message is out since `probedAt`, wait for an answer. */
  probed = false
  probedAt = 0
  /** The highest commit index it was told. */
  toldCommit: LogIndex = 0
  /** Highest read round that it confirmed. */
  round = 0
  /** When the newest round that it confirmed was sent. */
  confirmedAt = -Infinity
  /** When it last answered. */
  heardAt = -Infinity
  /** Since when its silence counts, if it never answered. */
  watchedSince: number
  /** It has not answered for so long that it is taken for dead. */
  isSilent = false
  /** When the configuration in force first did without this member. */
  leavingSince = Infinity
  /** For learners: the log's end when the present catch-up round began, and when that was (dissertation §4.2.1). */
  catchUpIndex: LogIndex = 0
  catchUpSince: number
  /** Whether the last catch-up round took less than an election timeout. */
  caughtUp = false

  constructor(options: {
    readonly id: MemberId
    readonly witness: boolean
    readonly next: LogIndex
    readonly now: number
    readonly windowMessagesMax: number
    readonly windowBytesMax: number
  }) {
    this.id = options.id
    this.witness = options.witness
    this.next = options.next
    this.catchUpIndex = options.next - 1
    this.catchUpSince = options.now
    this.watchedSince = options.now
    this.window = new Window(options.windowMessagesMax, options.windowBytesMax)
  }

  /** Whether it answered within the last `millis`. */
  isActive(now: number, millis: number): boolean {
    return now - this.heardAt < millis
  }

  /** Goes back to finding out where the logs agree, from `next`. What is still out is forgotten. */
  probe(next: LogIndex): void {
    this.state = "Probe"
    this.next = Math.max(next, this.match + 1)
    this.probed = false
    this.permitted = false
    this.window.clear()
  }

  replicate(): void {
    this.state = "Replicate"
    this.next = this.match + 1
    this.probed = false
    this.permitted = false
    this.window.clear()
  }

  awaitSnapshot(): void {
    this.state = "Snapshot"
    this.permitted = false
    this.window.clear()
  }
}

/** Sent and not yet acknowledged: a ring of (last index, bytes, time of sending), limited in count and in bytes. */
export class Window {
  readonly messagesMax: number
  readonly bytesMax: number
  bytes = 0
  private readonly last: Array<LogIndex>
  private readonly size: Array<number>
  private readonly sentAt: Array<number>
  private head = 0
  private count = 0
  private freedAt = -Infinity

  constructor(messagesMax: number, bytesMax: number) {
    this.messagesMax = messagesMax
    this.bytesMax = bytesMax
    this.last = new Array(messagesMax).fill(0)
    this.size = new Array(messagesMax).fill(0)
    this.sentAt = new Array(messagesMax).fill(0)
  }

  get messages(): number {
    return this.count
  }

  get isFull(): boolean {
    return this.count === this.messagesMax || this.bytes >= this.bytesMax
  }

  get isEmpty(): boolean {
    return this.count === 0
  }

  /** Since when nothing was acknowledged although something was out; only when not empty. */
  get waitingSince(): number {
    return Math.max(this.sentAt[this.head]!, this.freedAt)
  }

  add(lastIndex: LogIndex, bytes: number, now: number): void {
    const slot = (this.head + this.count) % this.messagesMax
    this.last[slot] = lastIndex
    this.size[slot] = bytes
    this.sentAt[slot] = now
    this.count++
    this.bytes += bytes
  }

  /** An acknowledgement of `index` covers everything sent up to it. */
  free(index: LogIndex, now: number): void {
    while (this.count > 0 && this.last[this.head]! <= index) {
      this.freedAt = now
      this.bytes -= this.size[this.head]!
      this.head = (this.head + 1) % this.messagesMax
      this.count--
    }
  }

  clear(): void {
    this.count = 0
    this.bytes = 0
  }
}
