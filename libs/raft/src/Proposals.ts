/**
 * Proposal groups that wait for an answer, wherever they are: not yet looked at, waiting for a leader, in this member's log, or forwarded to the leader.
 *
 * What is promised: the entry applied at its (index, term) is success; another leader's entry applied in its place is a definite failure; a deadline or a
 * broken link is `Unknown`, unless the group is certain not to have been appended. A group is forwarded once.
 *
 * That another leader replaced the entry in this member's log says nothing yet: a third leader may still have it, and get it committed (Raft paper §5.4.2, figure 8).
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
import * as Session from "./Session.ts"
import type { Refusal } from "./Sessions.ts"
import type { Wakeup } from "./Wakeup.ts"

/** What was applied at once. */
export interface AppliedBatch {
  /** The log indexes that it covers. */
  readonly from: LogIndex
  readonly to: LogIndex
  /** The entries among them that have an answer, in order, and their results. */
  readonly entries: ReadonlyArray<Entry>
  readonly results: ReadonlyArray<Uint8Array>
  /** Those of them that were not carried out. */
  readonly refusals: ReadonlyMap<LogIndex, Refusal>
}

/** What became of one command of a group: its result, or why it has none, which says nothing about the others. */
export type Answer = Uint8Array | RaftError

/** What the commands of a group are for: nothing else, the session of a client, or to open one (a single empty command). */
export type Purpose = "Commands" | "OpenSession" | Session.Stamp

export interface Group {
  /** Changes when the group is forwarded anew: the same id is never sent twice. */
  id: number
  readonly commands: ReadonlyArray<Uint8Array>
  readonly purpose: Purpose
  readonly bytes: number
  readonly arrivedAt: number
  readonly deadline: number
  readonly answer: (exit: Exit.Exit<ReadonlyArray<Answer>, RaftError>) => void
  /** Another member's: it waits for a leader there, which may hear of one when this member never does. */
  readonly isForwarded: boolean
  /** Position in the log, once appended here. */
  firstIndex: LogIndex
  term: Term
  /** Whom it was forwarded to. */
  forwardedTo: MemberId
  /** When a parked group is tried again. */
  retryAt: number
  results: Array<Answer> | undefined
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
  private readonly groupsMax: number
  /** Were in this member's log, and another leader's entries took their place or a part of it. */
  private displaced: Array<Group> = []

  /** `firstId` must differ from run to run: a peer may still answer what a former run of this member asked. */
  constructor(bell: Wakeup, firstId: number, groupsMax: number = Limits.proposalsMax) {
    this.bell = bell
    this.nextId = firstId
    this.groupsMax = groupsMax
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
    answer: Group["answer"],
    isForwarded = false
  ): RaftError | undefined {
    if (this.isStopped) return stopped()
    if (typeof purpose !== "string" && !Session.isSound(purpose)) {
      return error("TooLarge", "The sequence numbers of a session end at 2^53 - 1; open another session.")
    }
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
    if (this.groups.size >= this.groupsMax || (this.bytes > 0 && this.bytes + bytes > Limits.proposalBytesMax)) {
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
      isForwarded,
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

  /** No leader to give it to: wait for one, or let its own member do so. */
  park(id: number, now: number): void {
    const group = this.groups.get(id)
    if (group === undefined) return
    if (group.isForwarded) {
      return this.fail(group, "NoLeader", "No leader is known here; nothing was appended, try again.")
    }
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

  succeed(group: Group, results: ReadonlyArray<Answer>): void {
    this.finish(group, Exit.succeed(results))
  }

  fail(group: Group, reason: Reason, message: string): void {
    this.finish(group, Exit.fail(error(reason, message)))
  }

  /** Answers the groups whose entries were applied, and those that have others in their place. Batches follow one another without a gap, but for `skipped`. */
  applied(batch: AppliedBatch): void {
    const { entries } = batch
    let position = 0
    let settled = 0
    for (const group of this.appended) {
      while (position < entries.length && entries[position]!.index < nextIndex(group)) position++
      if (!group.done && !this.advance(group, batch, position)) break
      settled++
    }
    // At once: a group that is answered must not keep its commands and results.
    if (settled > 0) this.appended = this.appended.slice(settled)
    if (this.displaced.length === 0) return
    this.displaced = this.displaced.filter((group) =>
      !group.done &&
      (nextIndex(group) > batch.to ||
        !this.advance(group, batch, entries.findIndex(({ index }) => index === nextIndex(group))))
    )
  }

  /** Goes on with a group whose next command is that of `position`, if it is in the batch. True if nothing more of the group is to come. */
  private advance(group: Group, { entries, from, refusals, results, to }: AppliedBatch, position: number): boolean {
    const first = nextIndex(group)
    if (first > to) return false
    const before = group.results ?? none
    const left = group.commands.length - before.length
    let count = 0
    while (count < left && isAt(entries[position + count], first + count, group.term)) count++
    const part: Array<Answer> = results.slice(position, position + count)
    if (refusals.size > 0) {
      // the session is that of the whole group
      if (count > 0 && refusals.get(first) === "Expired") {
        this.finish(group, Exit.fail(errorFor.Expired))
        return true
      }
      putRefusals(part, refusals, first)
    }
    group.results = before.length === 0 ? part : before.concat(part)
    if (count === left) {
      this.succeed(group, group.results)
      return true
    }
    if (first + count > to) return false
    if (first < from) this.fail(group, "Unknown", "The log jumped past it; read before repeating.")
    else if (group.results.length > 0) {
      this.fail(group, "Unknown", "Another leader's entries took the place of a part of it; read before repeating.")
    } else this.fail(group, "Lost", "Another leader's entry took its place; try again.")
    return true
  }

  /** Entries from `index` on were replaced by another leader's in this member's log. */
  truncated(index: LogIndex): void {
    let kept = this.appended.length
    while (kept > 0 && endOf(this.appended[kept - 1]!) > index) kept--
    if (kept === this.appended.length) return
    this.displaced = [...this.displaced, ...this.appended.slice(kept)].filter(({ done }) => !done)
    this.appended = this.appended.slice(0, kept)
  }

  /** A snapshot up to `index` replaced the state: whether entries below it were these is not known. */
  skipped(index: LogIndex): void {
    for (const group of [...this.appended, ...this.displaced]) {
      if (group.firstIndex > index) continue
      this.fail(group, "Unknown", "The log jumped past it, over a snapshot; read before repeating.")
    }
    this.appended = this.appended.filter(({ done }) => !done)
    this.displaced = this.displaced.filter(({ done }) => !done)
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

  private finish(group: Group, exit: Exit.Exit<ReadonlyArray<Answer>, RaftError>): void {
    if (group.done) return
    group.done = true
    this.groups.delete(group.id)
    this.bytes -= group.bytes
    group.answer(exit)
  }
}

/** Puts refusals in the places of the commands from log index `first` on that were not carried out. */
const putRefusals = (part: Array<Answer>, refusals: ReadonlyMap<LogIndex, Refusal>, first: LogIndex): void => {
  for (let position = 0; position < part.length; position++) {
    const refusal = refusals.get(first + position)
    if (refusal !== undefined) part[position] = errorFor[refusal]
  }
}

/** Made once: a group may have as many of them as commands. */
const errorFor: { readonly [R in Refusal]: RaftError } = {
  Expired: new RaftError({
    reason: "Expired",
    message:
      "The session is not open: too many others were used since. Open another one; whether an earlier attempt took effect is not known."
  }),
  Answered: new RaftError({
    reason: "Unknown",
    message: "The client has said that it has the answer already; the command was not carried out again."
  }),
  Window: new RaftError({
    reason: "Busy",
    message: "The session has too many commands beyond one that is unanswered; wait for the answers first."
  }),
  NotKept: new RaftError({
    reason: "Unknown",
    message: "The command took effect before, and its answer was too large to be kept: read what it did."
  })
}

const none: Array<Answer> = []

/** Where the first command is that was not applied yet. */
const nextIndex = ({ firstIndex, results }: Group): LogIndex =>
  firstIndex + (results === undefined ? 0 : results.length)

const endOf = ({ commands, firstIndex }: Group): LogIndex => firstIndex + commands.length

const isAt = (entry: Entry | undefined, index: LogIndex, term: Term): boolean =>
  entry !== undefined && entry.index === index && entry.term === term

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
