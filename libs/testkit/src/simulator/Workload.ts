/** Clients of a simulated cluster: each has one call open at a time, to whichever member it likes, and what it asked and heard is recorded. */
import type { Kv } from "@dkv/kv"
import type { RaftError } from "@dkv/raft"
import type { Effect } from "effect"
import { Cause, Exit, Option } from "effect"
import * as History from "../linearizability/History.ts"
import * as KvCheck from "../linearizability/KvCheck.ts"
import type { Input, Output } from "../linearizability/KvModel.ts"
import { describe } from "../linearizability/KvModel.ts"
import * as Picture from "../linearizability/Picture.ts"
import type { Options } from "./Options.ts"
import type { Prng } from "./Prng.ts"
import type { SimCluster } from "./SimCluster.ts"
import type { SimMember } from "./SimMember.ts"
import { name } from "./Watch.ts"

/** A client waits so long for an answer, which may never come. */
const patienceMillis = 7000
const timeoutMillis = 5000

/** Time that a call and its answer take on the way between client and member. */
const hopMeanMillis = 1

export interface Verdict {
  readonly failure: string | undefined
  /** How far the history was proven to be linearizable. */
  readonly proven: string
  /** Of a history that no order explains. */
  readonly picture: string | undefined
}

type Result = Kv.WriteResult | Kv.RangeResult

export class Workload {
  acknowledged = 0
  /** A write and a read were carried out after `probe` was called. */
  probed = false
  /** How each call ended. */
  readonly outcomes = new Map<string, number>()
  readonly events: Array<History.Event<Input, Output>> = []
  private readonly cluster: SimCluster
  private readonly options: Options
  private readonly prng: Prng
  private issued = 0
  private open = 0
  private values = 0
  /** Mod revisions that were seen, for comparisons that have a chance to succeed. */
  private readonly revisions = new Map<string, number>()

  constructor(cluster: SimCluster, options: Options) {
    this.cluster = cluster
    this.options = options
    this.prng = cluster.world.prng.fork()
    for (let client = 0; client < options.clients; client++) this.later(`c${client}`)
  }

  get isDone(): boolean {
    return this.issued >= this.options.operations && this.open === 0
  }

  /**
   * Writes, then reads everything, again and again until both are answered: through one of `members` after the other, since some may have been removed without
   * hearing of it, and know no leader.
   */
  probe(members: ReadonlyArray<SimMember>): void {
    let asked = 0
    const ask = (input: Input, done: (carriedOut: boolean) => void) =>
      this.call("probe", [members[asked % members.length]!], input, done)
    const write = (): void =>
      ask({ _tag: "Put", key: "probe", value: this.value() }, (done) => done ? read() : again(write))
    const read = (): void =>
      ask({ _tag: "Range", prefix: "" }, (done) => {
        if (done) this.probed = true
        else again(read)
      })
    const again = (attempt: () => void) => {
      asked++
      this.cluster.world.after(100, attempt)
    }
    write()
  }

  /** What was answered that no order explains, if anything. */
  verdict(): Verdict {
    const verdict = KvCheck.check(History.fromEvents(this.events))
    if (verdict._tag === "Ok") return { failure: undefined, proven: verdict.proven, picture: undefined }
    if (verdict._tag === "GaveUp") return { failure: undefined, proven: "GaveUp", picture: undefined }
    const messages = verdict.violations.map(({ message, rule }) => `${rule}: ${message}`)
    return {
      failure: `not linearizable: ${[...new Set(messages)].join("; ")}`,
      proven: "Violation",
      picture: Picture.text(verdict.violations[0]!, { describe })
    }
  }

  private later(client: string): void {
    const { clients, millis, operations } = this.options
    const meanMillis = millis * clients / operations
    this.cluster.world.after(this.prng.exponential(meanMillis), () => {
      if (this.issued >= operations) return
      this.issued++
      this.call(client, this.cluster.members, this.draw(), () => this.later(client))
    })
  }

  private draw(): Input {
    const { prng } = this
    const key = `k${prng.below(this.options.keys)}`
    const expected = prng.chance(0.2) ? 0 : this.revisions.get(key) ?? 0
    const roll = prng.next()
    if (roll < 0.35) return { _tag: "Get", key }
    if (roll < 0.4) return { _tag: "Range", prefix: "k" }
    if (roll < 0.7) return { _tag: "Put", key, value: this.value() }
    if (roll < 0.75) return { _tag: "Delete", key }
    if (roll < 0.95) return { _tag: "CompareAndSwap", key, value: this.value(), expected }
    return { _tag: "CompareAndDelete", key, expected }
  }

  private value(): string {
    return `v${++this.values}`
  }

  /** One recorded call; `done` learns whether it was carried out. */
  private call(
    client: string,
    members: ReadonlyArray<SimMember>,
    input: Input,
    done: (carriedOut: boolean) => void
  ): void {
    const { cluster, events } = this
    const { world } = cluster
    const member = this.prng.pick(members)
    this.open++
    events.push({ _tag: "Call", client, timeMillis: world.now, input })
    this.ask(member, (kv) => carryOut(kv, input), (exit) => {
      this.open--
      const event = this.ended(client, input, exit)
      events.push(event)
      const said = event._tag === "Return" ? describe(input, Option.some(event.output)) : describe(input, Option.none())
      cluster.say(`${client} at ${name(member.id)}: ${said} ${event._tag === "Return" ? "" : event._tag.toLowerCase()}`)
      this.outcomes.set(event._tag, (this.outcomes.get(event._tag) ?? 0) + 1)
      done(event._tag === "Return")
    })
  }

  private ended(
    client: string,
    input: Input,
    exit: Exit.Exit<ReadonlyArray<Result>, RaftError> | undefined
  ): History.Event<Input, Output> {
    const timeMillis = this.cluster.world.now
    const isRead = input._tag === "Get" || input._tag === "Range"
    if (exit === undefined) return { _tag: isRead ? "Failed" : "Unknown", client, timeMillis }
    if (Exit.isFailure(exit)) {
      const error = exit.cause.reasons.find(Cause.isFailReason)?.error
      const isUnknown = !isRead && (error === undefined || error.reason === "Unknown")
      return { _tag: isUnknown ? "Unknown" : "Failed", client, timeMillis }
    }
    this.acknowledged++
    const output = outputOf(exit.value[0]!)
    if (output._tag === "Range") { for (const kv of output.kvs) this.revisions.set(kv.key, kv.modRevision) }
    else if ("key" in input) this.revisions.set(input.key, output.revision)
    return { _tag: "Return", client, timeMillis, output }
  }

  /** Asks a member from afar; `undefined` if no answer comes. */
  private ask<A, E>(
    member: SimMember,
    use: (kv: Kv.Kv["Service"]) => Effect.Effect<A, E>,
    answered: (exit: Exit.Exit<A, E> | undefined) => void
  ): void {
    const { cluster: { world }, prng } = this
    let isOver = false
    const finish = (exit: Exit.Exit<A, E> | undefined) => {
      if (isOver) return
      isOver = true
      giveUp()
      answered(exit)
    }
    const giveUp = world.after(patienceMillis, () => finish(undefined))
    world.after(prng.exponential(hopMeanMillis), () => {
      const { machine, services } = member
      if (machine === undefined || services === undefined) return finish(undefined)
      world.schedule(() => {
        machine.fork(use(services.kv)).addObserver((exit) => {
          world.after(prng.exponential(hopMeanMillis), () => finish(exit))
        })
      }, machine)
    })
  }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const carryOut = (kv: Kv.Kv["Service"], input: Input): Effect.Effect<ReadonlyArray<Result>, RaftError> => {
  switch (input._tag) {
    case "Get":
      return read(kv, input.key, "")
    case "Range":
      return read(kv, input.prefix === "" ? "\0" : input.prefix, input.prefix === "" ? "\0" : `${input.prefix}\u007f`)
    default:
      return kv.write([operationOf(input)], { timeoutMillis })
  }
}

const read = (kv: Kv.Kv["Service"], key: string, end: string) =>
  kv.read([{ key: encoder.encode(key), end: encoder.encode(end), limit: 0, reverse: false }], {
    consistency: "linearizable",
    timeoutMillis
  })

const operationOf = (input: Exclude<Input, { readonly _tag: "Get" | "Range" }>): Kv.WriteOp => {
  const key = encoder.encode(input.key)
  switch (input._tag) {
    case "Put":
      return { _tag: "Put", key, value: encoder.encode(input.value) }
    case "Delete":
      return { _tag: "Delete", key, end: new Uint8Array(0) }
    case "CompareAndSwap":
      return { _tag: "CompareAndSwap", key, value: encoder.encode(input.value), expected: input.expected }
    case "CompareAndDelete":
      return { _tag: "CompareAndDelete", key, expected: input.expected }
  }
}

const outputOf = (result: Result): Output => {
  switch (result._tag) {
    case "Put":
    case "Delete":
      return result
    case "Compared":
      return { ...result, current: Option.map(result.current, textOf) }
    case "Range":
      return { _tag: "Range", revision: result.revision, kvs: result.kvs.map(textOf) }
    case "Invalid":
      throw new Error(`a member refuses what the workload asks: ${result.message}`)
  }
}

const textOf = (kv: Kv.KeyValue) => ({
  key: decoder.decode(kv.key),
  value: decoder.decode(kv.value),
  createRevision: kv.createRevision,
  modRevision: kv.modRevision,
  version: kv.version
})
