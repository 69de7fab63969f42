/**
 * Proposal groups that wait for an answer, wherever they are: not yet looked at, waiting for a leader, in this member's log, or forwarded to the leader.
 *
 * What is promised: the entry applied at its (index, term) is success; another leader's entry in its place is a definite failure; a deadline or a
 * broken link is `Unknown`, unless the group is certain not to have been appended. A group is forwarded once.
 *
 * Mutable; owned by the serving loop. Callers are answered by `Completer`, in a turn of its own.
 */
import { Effect, Exit } from "effect"
import * as SessionCodec from "./codec/SessionCodec.ts"
import type { LogIndex, MemberId, Term } from "./core/Entry.ts"
import type { Entry } from "./Entry.ts"
import * as Limits from "./Limits.ts"
import type { Reason } from "./RaftError.ts"
import { RaftError } from "./RaftError.ts"
import type { Stamp } from "./Session.ts"
import type { Refusal } from "./Sessions.ts"
import type { Wakeup } from "./Wakeup.ts"

/** What the commands of a group are for: nothing else, the session of a client, or to open one (a single empty command). */
export type Purpose = "Commands" | "OpenSession" | Stamp

export interface Group {
  /** Changes when the group is forwarded anew: the same id is never sent twice. */
  id: number
  readonly commands: ReadonlyArray<Uint8Array>
  readonly purpose: Purpose
  readonly bytes: number
  readonly arrivedAt: number
  readonly deadline: number
  readonly answer: (exit: Exit.Exit<ReadonlyArray<Uint8Array>, RaftError>) => void
  /** Position in the log, once appended here. */
  firstIndex: LogIndex
  term: Term
  /** Whom it was forwarded to. */
  forwardedTo: MemberId
  /** When a parked group is tried again. */
  retryAt: number
  results: Array<Uint8Array> | undefined
  done: boolean
}

export class Proposals {
  private readonly bell: Wakeup
  private nextId: number
  private bytes = 0
  private isStopped = false
  private readonly groups = new Map<number, Group>()
  private arrived: Array<Group> = []
  private parked: Array<Group> = []
  /** In this member's log, by position. */
  private appended: Array<Group> = []
  private appendedHead = 0

  /** `firstId` must differ from run to run: a peer may still answer what a former run of this member asked. */
  constructor(bell: Wakeup, firstId: number) {
    this.bell = bell
    this.nextId = firstId
  }

  get size(): number {
    return this.groups.size
  }

  /** Payload bytes of all groups. */
  get sizeBytes(): number {
    return this.bytes
  }

  /** Takes a group in; or says why not. */
  add(
    commands: ReadonlyArray<Uint8Array>,
    purpose: Purpose,
    now: number,
    deadline: number,
    answer: Group["answer"]
  ): RaftError | undefined {
    if (this.isStopped) return stopped()
    let bytes = typeof purpose === "string" ? 0 : SessionCodec.stampBytes(purpose)
    for (const command of commands) {
      if (command.length > Limits.commandBytesMax) {
        return error("TooLarge", `A command of ${command.length} bytes exceeds the limit of ${Limits.commandBytesMax}.`)
      }
      bytes += command.length
    }
    if (commands.length > Limits.groupCommandsMax) {
      return error(
        "TooLarge",
        `${commands.length} commands in one group exceed the limit of ${Limits.groupCommandsMax}.`
      )
    }
    if (bytes > Limits.groupBytesMax) {
      return error("TooLarge", `A group of ${bytes} bytes exceeds the limit of ${Limits.groupBytesMax}.`)
    }
    if (this.groups.size >= Limits.proposalsMax || (this.bytes > 0 && this.bytes + bytes > Limits.proposalBytesMax)) {
      return error("Busy", "Too many proposals wait for an answer; try again later.")
    }
    const group: Group = {
      id: this.nextId++,
      commands,
      purpose,
      bytes,
      arrivedAt: now,
      deadline,
      answer,
      firstIndex: 0,
      term: 0,
      forwardedTo: "",
      retryAt: 0,
      results: undefined,
      done: false
    }
    this.bytes += bytes
    this.groups.set(group.id, group)
    this.arrived.push(group)
    this.bell.ringUnsafe()
    return undefined
  }

  get(id: number): Group | undefined {
    return this.groups.get(id)
  }

  /** Groups to propose now. One that was answered while it waited for its turn must not take effect any more. */
  take(): ReadonlyArray<Group> {
    const taken = this.arrived
    if (taken.length === 0) return taken
    this.arrived = []
    return taken.some(isDone) ? taken.filter((group) => !group.done) : taken
  }

  /** The group is in the log from `firstIndex` on. */
  appendedAt(id: number, firstIndex: LogIndex, term: Term): Group {
    const group = this.groups.get(id)!
    group.firstIndex = firstIndex
    group.term = term
    this.appended.push(group)
    return group
  }

  /** No leader to give it to: wait for one. */
  park(id: number, now: number): void {
    const group = this.groups.get(id)
    if (group === undefined) return
    if (group.forwardedTo !== "") {
      this.groups.delete(id)
      group.id = this.nextId++
      this.groups.set(group.id, group)
    }
    group.forwardedTo = ""
    group.retryAt = now + Limits.retryMillis
    this.parked.push(group)
  }

  /** Parked groups whose time has come, or all of them once there is a leader, are proposed again. */
  unpark(now: number, all: boolean): void {
    if (this.parked.length === 0) return
    const waiting: Array<Group> = []
    for (const group of this.parked) {
      if (group.done) continue
      if (all || group.retryAt <= now) this.arrived.push(group)
      else waiting.push(group)
    }
    this.parked = waiting
    if (this.arrived.length > 0) this.bell.ringUnsafe()
  }

  succeed(group: Group, results: ReadonlyArray<Uint8Array>): void {
    this.finish(group, Exit.succeed(results))
  }

  fail(group: Group, reason: Reason, message: string): void {
    this.finish(group, Exit.fail(error(reason, message)))
  }

  /** Commands were applied, in this order, with these results; or refused, by log index. */
  applied(
    commands: ReadonlyArray<Entry>,
    results: ReadonlyArray<Uint8Array>,
    refusals: ReadonlyMap<LogIndex, Refusal>
  ): void {
    let position = 0
    while (this.appendedHead < this.appended.length && position < commands.length) {
      const group = this.appended[this.appendedHead]!
      const filled = group.results === undefined ? 0 : group.results.length
      const wanted = group.firstIndex + filled
      while (position < commands.length && commands[position]!.index < wanted) position++
      if (position === commands.length) break
      if (group.done) {
        this.appendedHead++
        continue
      }
      const entry = commands[position]!
      if (entry.index !== wanted || entry.term !== group.term) {
        if (entry.index === wanted) this.fail(group, "Lost", "Another leader's entry took its place; try again.")
        else this.fail(group, "Unknown", "The log jumped past it, over a snapshot; read before repeating.")
        this.appendedHead++
        continue
      }
      const count = Math.min(group.commands.length - filled, commands.length - position)
      const part = results.slice(position, position + count)
      const refusal = refusals.size === 0 ? undefined : firstRefusal(refusals, wanted, count)
      position += count
      if (refusal !== undefined) {
        this.appendedHead++
        this.fail(group, ...reasonFor[refusal])
        continue
      }
      if (filled + count === group.commands.length) {
        this.appendedHead++
        this.succeed(group, group.results === undefined ? part : group.results.concat(part))
      } else group.results = group.results === undefined ? part : group.results.concat(part)
    }
    if (this.appendedHead > 0) {
      // At once: a group that is answered must not keep its commands and results.
      this.appended = this.appended.slice(this.appendedHead)
      this.appendedHead = 0
    }
  }

  /** Entries from `index` on were replaced by another leader's, so they can never be committed (leader completeness). */
  truncated(index: LogIndex): void {
    for (let last = this.appended.length; last > this.appendedHead; last--) {
      const group = this.appended[last - 1]!
      if (group.firstIndex + group.commands.length <= index) break
      this.appended.pop()
      if (group.firstIndex < index) {
        this.fail(group, "Unknown", "Part of the group was replaced by another leader's entries.")
      } else this.fail(group, "Lost", "Another leader's entries took its place; try again.")
    }
  }

  /** A snapshot up to `index` replaced the state: whether entries below it were these is not known. */
  skipped(index: LogIndex): void {
    while (this.appendedHead < this.appended.length && this.appended[this.appendedHead]!.firstIndex <= index) {
      this.fail(
        this.appended[this.appendedHead++]!,
        "Unknown",
        "The log jumped past it, over a snapshot; read before repeating."
      )
    }
  }

  /** The link to `peer` broke: what was forwarded to it may or may not be in the log. */
  linkLost(peer: MemberId): void {
    for (const group of this.groups.values()) {
      if (group.forwardedTo === peer) {
        this.fail(
          group,
          "Unknown",
          "The link to the leader broke after the proposal was forwarded; read before repeating."
        )
      }
    }
  }

  /** Answers what has waited too long. Returns the next deadline, or Infinity. */
  expire(now: number): number {
    let next = Infinity
    for (const group of this.groups.values()) {
      if (group.deadline > now) {
        next = Math.min(next, group.deadline, group.retryAt > now ? group.retryAt : Infinity)
        continue
      }
      if (group.firstIndex > 0 || group.forwardedTo !== "") {
        this.fail(group, "Unknown", "The deadline passed with the proposal under way; read before repeating.")
      } else this.fail(group, "NoLeader", "No leader was known before the deadline; nothing was appended, try again.")
    }
    return next
  }

  /** The member stops: everyone is answered, and whoever comes later is turned away. */
  stop(): void {
    this.isStopped = true
    for (const group of this.groups.values()) {
      if (group.firstIndex > 0 || group.forwardedTo !== "") {
        this.fail(group, "Unknown", "The member stopped with the proposal under way; read before repeating.")
      } else this.finish(group, Exit.fail(stopped()))
    }
  }

  private finish(group: Group, exit: Exit.Exit<ReadonlyArray<Uint8Array>, RaftError>): void {
    if (group.done) return
    group.done = true
    this.groups.delete(group.id)
    this.bytes -= group.bytes
    group.answer(exit)
  }
}

const firstRefusal = (
  refusals: ReadonlyMap<LogIndex, Refusal>,
  index: LogIndex,
  count: number
): Refusal | undefined => {
  for (let at = index; at < index + count; at++) if (refusals.has(at)) return refusals.get(at)
  return undefined
}

const reasonFor: { readonly [R in Refusal]: readonly [reason: Reason, message: string] } = {
  Expired: [
    "Expired",
    "The session is not open: too many others were used since. Open another one; whether an earlier attempt took effect is not known."
  ],
  Answered: ["Unknown", "The client has said that it has the answer already; the command was not carried out again."],
  Window: ["Busy", "The session has too many commands beyond one that is unanswered; wait for the answers first."],
  NotKept: ["Unknown", "The command took effect before, and its answer was too large to be kept: read what it did."]
}

const isDone = (group: Group): boolean => group.done

const stopped = () => error("Stopped", "The member is stopping; nothing was appended, try another.")

const error = (reason: Reason, message: string): RaftError => new RaftError({ reason, message })

/** Answers callers in a turn of its own, all that are ready at once. */
export class Completer {
  private ready: Array<() => void> = []
  private isClosed = false
  private readonly wakeup: Wakeup

  constructor(wakeup: Wakeup) {
    this.wakeup = wakeup
  }

  add(answer: () => void): void {
    if (this.isClosed) return answer()
    this.ready.push(answer)
    this.wakeup.ringUnsafe()
  }

  /** The actor. */
  get run(): Effect.Effect<never> {
    return Effect.forever(Effect.andThen(this.wakeup.wait, Effect.sync(() => this.flush())))
  }

  /** Answers who is ready, and from now on without delay: the actor runs no more. */
  close(): void {
    this.isClosed = true
    this.flush()
  }

  private flush(): void {
    const ready = this.ready
    this.ready = []
    for (const answer of ready) answer()
  }
}
