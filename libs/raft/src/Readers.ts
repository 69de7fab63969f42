/**
 * Callers that want to read: all that arrive together share one read index, and go ahead once it is applied here.
 *
 * Mutable; owned by the serving loop.
 */
import { Exit } from "effect"
import type { LogIndex } from "./core/Entry.ts"
import * as Limits from "./Limits.ts"
import { RaftError } from "./RaftError.ts"
import type { Wakeup } from "./Wakeup.ts"

export interface Reader {
  readonly deadline: number
  readonly answer: (exit: Exit.Exit<LogIndex, RaftError>) => void
  done: boolean
  /** Its index is known, and not applied yet: nobody has to be asked for it any more. */
  confirmed: boolean
}

interface Asked {
  readonly readers: ReadonlyArray<Reader>
  readonly askedAt: number
}

export class Readers {
  private readonly bell: Wakeup
  private readonly readsMax: number
  private nextId: number
  private count = 0
  private isStopped = false
  private arrived: Array<Reader> = []
  /** Waiting for a leader to ask. */
  private parked: Array<Reader> = []
  private parkedUntil = Infinity
  private readonly asked = new Map<number, Asked>()
  /** Asked again since, in order; an answer, late as it is, lets them go all the same. And how many readers these are. */
  private readonly late = new Map<number, Asked>()
  private lateCount = 0
  /** Index known, not yet applied. */
  private confirmed: Array<Asked & { readonly index: LogIndex }> = []
  /** This member has applied everything that was committed at this time. */
  private freshAt = -Infinity

  /** `firstId` must differ from run to run: a peer may still answer what a former run of this member asked. */
  constructor(bell: Wakeup, firstId: number, readsMax: number = Limits.readsMax) {
    this.bell = bell
    this.nextId = firstId
    this.readsMax = readsMax
  }

  get size(): number {
    return this.count
  }

  /** Whether this member has applied everything that was committed `maxStalenessMillis` ago. Needs no clock but this member's own. */
  isFresh(now: number, maxStalenessMillis: number): boolean {
    return !this.isStopped && now - this.freshAt <= maxStalenessMillis
  }

  add(deadline: number, answer: Reader["answer"]): RaftError | undefined {
    if (this.isStopped) return stopped()
    if (this.count >= this.readsMax) {
      return new RaftError({ reason: "Busy", message: "Too many reads wait for an answer; try again later." })
    }
    this.count++
    this.arrived.push({ deadline, answer, done: false, confirmed: false })
    this.bell.ringUnsafe()
    return undefined
  }

  /** The id under which all that arrived since ask together; 0 if none did. */
  take(now: number): number {
    if (this.arrived.length === 0) return 0
    const id = this.nextId++
    this.asked.set(id, { readers: this.arrived, askedAt: now })
    this.arrived = []
    return id
  }

  /** The leader's answer; -1 if there is none to be had now. */
  answered(id: number, index: LogIndex, appliedIndex: LogIndex, now: number): void {
    const asked = this.asked.get(id) ?? this.late.get(id)
    if (asked === undefined) return
    const isLate = !this.asked.delete(id)
    if (isLate) this.forget(id, asked)
    if (index < 0) {
      if (isLate) return
      for (const reader of asked.readers) if (isAsking(reader)) this.parked.push(reader)
      this.parkedUntil = Math.min(this.parkedUntil, now + Limits.retryMillis)
    } else if (index <= appliedIndex) this.release(asked, appliedIndex)
    else this.confirm(asked, index)
  }

  applied(index: LogIndex): void {
    if (this.confirmed.length === 0) return
    const later = []
    for (const waiting of this.confirmed) {
      if (waiting.index <= index) this.release(waiting, index)
      else later.push(waiting)
    }
    this.confirmed = later
  }

  /** Parked readers ask again, at their time or as soon as there is a leader. */
  unpark(now: number, all: boolean): void {
    if (this.parked.length === 0 || (!all && now < this.parkedUntil)) return
    for (const reader of this.parked) {
      if (isAsking(reader)) this.arrived.push(reader)
    }
    this.parked = []
    this.parkedUntil = Infinity
    if (this.arrived.length > 0) this.bell.ringUnsafe()
  }

  /** Answers what has waited too long, and asks again where the leader has been silent. Returns when to look again, or Infinity. */
  expire(now: number): number {
    let next = this.parkedUntil
    for (const [id, asked] of this.asked) {
      const retryAt = asked.askedAt + Limits.readRetryMillis
      if (retryAt <= now) this.askAgain(id, asked)
      else next = Math.min(next, retryAt)
    }
    const look = (readers: ReadonlyArray<Reader>, late: () => RaftError) => {
      for (const reader of readers) {
        if (reader.done) continue
        if (reader.deadline > now) next = Math.min(next, reader.deadline)
        else this.finish(reader, Exit.fail(late()))
      }
    }
    for (const waiting of this.confirmed) look(waiting.readers, notApplied)
    look(this.arrived, notConfirmed)
    look(this.parked, notConfirmed)
    for (const asked of this.asked.values()) look(asked.readers, notConfirmed)
    this.confirmed = this.confirmed.filter(isWaitedFor)
    for (const [id, asked] of this.late) {
      if (this.lateCount > Limits.lateReadsMax || !isWaitedFor(asked)) this.forget(id, asked)
    }
    if (this.arrived.length > 0) this.bell.ringUnsafe()
    return next
  }

  /** The member stops: everyone is answered, and whoever comes later is turned away. */
  stop(): void {
    this.isStopped = true
    const exit = Exit.fail(stopped())
    for (const reader of this.arrived) this.finish(reader, exit)
    for (const reader of this.parked) this.finish(reader, exit)
    for (const asked of this.asked.values()) for (const reader of asked.readers) this.finish(reader, exit)
    for (const waiting of this.confirmed) for (const reader of waiting.readers) this.finish(reader, exit)
  }

  private askAgain(id: number, { askedAt, readers }: Asked): void {
    this.asked.delete(id)
    const waiting = readers.filter(isAsking)
    if (waiting.length === 0) return
    for (const reader of waiting) this.arrived.push(reader)
    this.late.set(id, { readers: waiting, askedAt })
    this.lateCount += waiting.length
  }

  private confirm({ askedAt, readers }: Asked, index: LogIndex): void {
    const waiting = readers.filter(isAsking)
    for (const reader of waiting) reader.confirmed = true
    if (waiting.length > 0) this.confirmed.push({ readers: waiting, askedAt, index })
  }

  private forget(id: number, { readers }: Asked): void {
    this.late.delete(id)
    this.lateCount -= readers.length
  }

  private release({ askedAt, readers }: Asked, index: LogIndex): void {
    this.freshAt = Math.max(this.freshAt, askedAt)
    const exit = Exit.succeed(index)
    for (const reader of readers) this.finish(reader, exit)
  }

  private finish(reader: Reader, exit: Exit.Exit<LogIndex, RaftError>): void {
    if (reader.done) return
    reader.done = true
    this.count--
    reader.answer(exit)
  }
}

const isAsking = ({ confirmed, done }: Reader): boolean => !done && !confirmed

const isWaitedFor = ({ readers }: Asked): boolean => readers.some(({ done }) => !done)

const notConfirmed = () =>
  new RaftError({ reason: "NoLeader", message: "No leader confirmed the read before the deadline; try again." })

const notApplied = () =>
  new RaftError({
    reason: "Busy",
    message: "This member has not applied before the deadline what the read has to see; try another, or again later."
  })

const stopped = () => new RaftError({ reason: "Stopped", message: "The member is stopping; try another." })
