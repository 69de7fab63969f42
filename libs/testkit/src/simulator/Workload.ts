/**
 * What clients of a simulated cluster do: the callers of each have one call open at a time, and what they asked and heard is recorded. What the client library
 * promises is taken at its word: a write that it calls `Unavailable` must never take effect, and every call ends by its deadline.
 */
import type { Client, ClientError } from "@dkv/client"
import { Limits as KvLimits } from "@dkv/kv"
import type { Kv } from "@dkv/kv"
import type { Operation } from "@dkv/protocol"
import { Cause, Effect, Exit, Option } from "effect"
import * as History from "../linearizability/History.ts"
import * as KvCheck from "../linearizability/KvCheck.ts"
import type { Input, Output, Read } from "../linearizability/KvModel.ts"
import { describe, isWrite } from "../linearizability/KvModel.ts"
import * as Picture from "../linearizability/Picture.ts"
import * as Deadline from "./Deadline.ts"
import { collect, pauseMeanMillis, restCallers } from "./Load.ts"
import type { Load, Verdict } from "./Load.ts"
import { hasLittleRoom, isCalm } from "./Options.ts"
import type { Options } from "./Options.ts"
import type { Prng } from "./Prng.ts"
import { SimClient } from "./SimClient.ts"
import type { Service } from "./SimClient.ts"
import type { SimCluster } from "./SimCluster.ts"
import * as StaleReads from "./StaleReads.ts"
import type { SimMember } from "./SimMember.ts"
import * as Names from "./Names.ts"

/** A call may end so long after its deadline, by the client's own clock: it looks every now and then. */
const lateMillis = 50
const clockRateMin = 0.98

/** Where nothing fails, every call is carried out that is made so long after the first leader was there. */
const calmAfterMillis = 2000

/** A caller whose client is down tries again after so long. */
const downMillis = 100

export class Workload implements Load<Kv.Kv> {
  acknowledged = 0
  /** How each call ended. */
  readonly outcomes = new Map<string, number>()
  readonly events: Array<History.Event<Input, Output>> = []
  private readonly cluster: SimCluster<Kv.Kv>
  private readonly options: Options
  private readonly prng: Prng
  private issued = 0
  private values = 0
  private readonly isCalm: boolean
  private ledSince = Infinity
  /** From now on members may be gone for good. */
  private isProbing = false
  /** From now on calls may have to come several times before there is room for them. */
  private isPatient = false
  /** A write and a read were carried out after `probe` was called. */
  private isAnswered = false
  /** Mod revisions that were seen, for comparisons that have a chance to succeed. */
  private readonly revisions = new Map<string, number>()
  private readonly sizes: Prng
  private readonly staleness: Prng
  private readonly staleReads: Array<StaleReads.StaleRead> = []

  constructor(cluster: SimCluster<Kv.Kv>, options: Options) {
    this.cluster = cluster
    this.options = options
    this.prng = cluster.world.prng.fork()
    this.isCalm = isCalm(options)
    this.sizes = this.prng.fork()
    this.staleness = this.prng.fork()
    cluster.clients = Array.from(
      { length: options.clients },
      (_, number) => this.client(`c${number}`, this.some(this.prng.chance(options.loyal) ? 1 : Infinity))
    )
    for (const client of cluster.clients) {
      client.boot()
      for (let caller = 0; caller < options.callers; caller++) this.later(client, `${client.name}.${caller}`)
    }
  }

  get probed(): boolean {
    return this.isAnswered && this.issued >= this.options.operations
  }

  /** Writes, then reads everything, through a client that knows all members, again and again until both are answered; it then helps to make the calls that are left. */
  probe(): void {
    this.isProbing = true
    const client = this.client("probe", this.some(Infinity))
    client.boot()
    const write = (): void =>
      this.call(
        client,
        "probe",
        { _tag: "Put", key: "probe", value: this.value() },
        (done) => done ? read() : again(write)
      )
    const read = (): void =>
      this.call(client, "probe", { _tag: "Range", prefix: "" }, (done) => {
        if (!done) return again(read)
        this.isAnswered = true
        const callers = restCallers(this.options, this.issued)
        for (let caller = 0; caller < callers; caller++) this.later(client, `probe.${caller}`)
      })
    const again = (attempt: () => void) => this.cluster.world.after(downMillis, attempt)
    again(write)
  }

  /** Writes through each member and, where there is data, reads its own write. */
  askEach(members: ReadonlyArray<SimMember<Kv.Kv>>, done: (unanswered: ReadonlyArray<string>) => void): void {
    this.isPatient = hasLittleRoom(this.options.capacity)
    collect(members, (member, answered) => {
      const caller = `last.${Names.name(member.id)}`
      const client = this.client(caller, () => [member.address])
      client.boot()
      const read = () => this.call(client, caller, { _tag: "Get", key: caller }, answered)
      this.call(
        client,
        caller,
        { _tag: "Put", key: caller, value: this.value() },
        (carriedOut) => carriedOut && !member.witness ? read() : answered(carriedOut)
      )
    }, done)
  }

  /** What was answered that no order explains, if anything. */
  verdict(): Verdict {
    const history = History.fromEvents(this.events)
    const verdict = KvCheck.check(history)
    if (verdict._tag !== "Violation") {
      const proven = verdict._tag === "Ok" ? verdict.proven : "GaveUp"
      return { failure: this.staleVerdict(history), proven, picture: undefined }
    }
    const messages = verdict.violations.map(({ message, rule }) => `${rule}: ${message}`)
    return {
      failure: `not linearizable: ${[...new Set(messages)].join("; ")}`,
      proven: "Violation",
      picture: Picture.text(verdict.violations[0]!, { describe })
    }
  }

  /** What of the stale reads was wrong, held against everything else. */
  private staleVerdict(history: History.History<Input, Output>): string | undefined {
    const { rules } = this.cluster.watch
    const breaches = StaleReads.check(history, this.staleReads, this.options.clockDrift)
    for (const [position, { maxStalenessMillis }] of this.staleReads.entries()) {
      const breach = breaches[position]
      const looked: ReadonlyArray<StaleReads.Breach["rule"]> = maxStalenessMillis === Infinity
        ? [StaleReads.shownRule]
        : [StaleReads.shownRule, StaleReads.boundRule]
      for (const rule of looked) rules.check(rule, breach?.rule !== rule, () => breach!.message)
    }
    return rules.violation
  }

  /** Some of the endpoints there are. */
  private some(endpointsMax: number): () => ReadonlyArray<string> {
    return () => this.prng.shuffled(this.cluster.members.map(({ address }) => address)).slice(0, endpointsMax)
  }

  private client(name: string, endpoints: () => ReadonlyArray<string>): SimClient {
    const { cluster, prng } = this
    const { rules } = cluster.watch
    const inTime = "a client that is asked to close does so in time"
    return new SimClient(cluster.world, cluster.sockets, {
      name,
      clockRate: prng.between(clockRateMin, 1.02),
      exactlyOnce: prng.chance(0.7),
      endpoints,
      onClosed: (callsLeft) => {
        rules.check(inTime, true, () => "")
        rules.check("a client that closes ends its calls", callsLeft === 0, () => `${name} left ${callsLeft}`)
      },
      onStuck: () => rules.check(inTime, false, () => `${name} goes on`),
      onLog: (message) => cluster.say(`${name} ${message}`)
    })
  }

  private later(client: SimClient, caller: string): void {
    const { cluster: { world }, issued, options } = this
    const callers = options.clients * options.callers
    const meanMillis = pauseMeanMillis(options, { callers, issued, now: world.now })
    world.after(this.prng.exponential(meanMillis), () => this.attempt(client, caller))
  }

  private attempt(client: SimClient, caller: string): void {
    const { cluster, options, prng } = this
    if (this.issued >= options.operations) return
    // who takes the last of its members away tells it about the others
    if (!client.endpoints.some((endpoint) => cluster.members.some(({ address }) => address === endpoint))) {
      client.kill()
      client.boot()
    }
    if (!client.isUp) return void cluster.world.after(downMillis, () => this.attempt(client, caller))
    this.issued++
    if (prng.chance(0.03)) this.list(client, () => this.later(client, caller))
    else if (prng.chance(0.06)) this.readStale(client, caller, () => this.later(client, caller))
    else this.call(client, caller, this.draw(), () => this.later(client, caller))
  }

  private draw(): Input {
    const { prng } = this
    const key = `k${prng.below(this.options.keys)}`
    const expected = prng.chance(0.2) ? 0 : this.revisions.get(key) ?? 0
    const roll = prng.next()
    if (roll < 0.35) return { _tag: "Get", key }
    if (roll < 0.4) return this.range()
    if (roll < 0.7) return { _tag: "Put", key, value: this.value() }
    if (roll < 0.75) return { _tag: "Delete", key }
    if (roll < 0.95) return { _tag: "CompareAndSwap", key, value: this.value(), expected }
    return { _tag: "CompareAndDelete", key, expected }
  }

  private range(): Read {
    const { options: { keys }, prng } = this
    if (prng.chance(0.5)) return { _tag: "Range", prefix: "k" }
    const bounds = { from: `k${prng.below(keys)}`, to: `k${prng.below(keys + 1)}` }
    return {
      _tag: "Range",
      prefix: "k",
      ...prng.chance(0.5) ? { bounds } : {},
      limit: prng.below(4),
      reverse: prng.chance(0.5)
    }
  }

  /** Now and then one that is stored elsewhere, or is too large to be cached, where it does not take the client's whole time to send. */
  private value(): string {
    const { options: { sockets }, sizes } = this
    const number = ++this.values
    const roll = sizes.next()
    if (roll > 0.04 || sockets.segmentBytesMax < 1000 || sockets.windowBytes < 65_536) return `v${number}`
    const most = roll < 0.01 ? KvLimits.cacheValueBytesMax : KvLimits.inlineValueBytesMax
    return `v${number}+${most - 10 + sizes.below(100)}`
  }

  /** One recorded call; `done` learns whether it was carried out. */
  private call(client: SimClient, caller: string, input: Input, done: (carriedOut: boolean) => void): void {
    const { cluster: { world }, events } = this
    events.push({ _tag: "Call", client: caller, timeMillis: world.now, input })
    const ask = (service: Service, timeoutMillis: number) => carryOut(service, input, timeoutMillis)
    this.ask(client, isWrite(input) ? "write" : "read", ask, (outcome) => {
      const timeMillis = world.now
      if (typeof outcome === "string") {
        events.push({ _tag: outcome, client: caller, timeMillis })
      } else {
        this.acknowledged++
        this.learn(input, outcome)
        events.push({ _tag: "Return", client: caller, timeMillis, output: outcome })
      }
      const { _tag } = events.at(-1)!
      const said = describe(input, typeof outcome === "string" ? Option.none() : Option.some(outcome))
      this.cluster.say(`${caller}: ${said} ${_tag === "Return" ? "" : _tag.toLowerCase()}`)
      this.outcomes.set(_tag, (this.outcomes.get(_tag) ?? 0) + 1)
      done(_tag === "Return")
    })
  }

  /** A read that need not show everything: it goes into no history, and is judged by one. */
  private readStale(client: SimClient, caller: string, done: () => void): void {
    const { cluster: { world }, staleness: prng } = this
    const input: Read = prng.chance(0.5) ? { _tag: "Get", key: `k${prng.below(this.options.keys)}` } : this.range()
    const maxStalenessMillis = prng.pick([1, 20, 200, 2000, Infinity, Infinity])
    const consistency = maxStalenessMillis === Infinity ? "stale" : { maxStalenessMillis }
    const callTimeMillis = world.now
    const ask = (service: Service, timeoutMillis: number) => read(service, input, { timeoutMillis, consistency })
    this.ask(client, "read", ask, (outcome) => {
      const _tag = `Stale ${typeof outcome === "string" ? outcome : "Return"}`
      this.outcomes.set(_tag, (this.outcomes.get(_tag) ?? 0) + 1)
      if (typeof outcome !== "string") {
        const { kvs, revision } = outcome
        const times = { callTimeMillis, returnTimeMillis: world.now }
        this.staleReads.push({ client: caller, input, maxStalenessMillis, ...times, revision, kvs })
      }
      const said = describe(input, typeof outcome === "string" ? Option.none() : Option.some(outcome))
      this.cluster.say(`${caller}: stale ${maxStalenessMillis} ms: ${said}`)
      done()
    })
  }

  /** A rare call, whose answer goes into no history. */
  private list(client: SimClient, done: () => void): void {
    this.ask(client, "rare", (service, timeoutMillis) => service.members({ timeoutMillis }), (outcome) => {
      const _tag = `List ${typeof outcome === "string" ? outcome : "Return"}`
      this.outcomes.set(_tag, (this.outcomes.get(_tag) ?? 0) + 1)
      done()
    })
  }

  private learn(input: Input, output: Output): void {
    if (output._tag === "Range") { for (const kv of output.kvs) this.revisions.set(kv.key, kv.modRevision) }
    else if ("key" in input) this.revisions.set(input.key, output.revision)
  }

  /** Asks a client, and holds it to what it promises. */
  private ask<A>(
    client: SimClient,
    kind: "write" | "read" | "rare",
    use: (service: Service, timeoutMillis: number) => Effect.Effect<A, ClientError>,
    answered: (outcome: A | "Unknown" | "Failed") => void
  ): void {
    const { cluster: { watch, world }, prng } = this
    const { rules } = watch
    const timeoutMillis = this.isPatient ? 5000 : prng.pick([1000, 5000, 5000, 5000])
    const endWatch = Deadline.watch(
      world,
      client.machine,
      (timeoutMillis + lateMillis) / clockRateMin,
      () =>
        rules.check("a call ends by its deadline", false, () => `a ${kind} of ${timeoutMillis} ms at ${client.name}`)
    )
    if (watch.termLed > 0) this.ledSince = Math.min(this.ledSince, world.now)
    const mayFail = !this.isCalm || world.now < this.ledSince + calmAfterMillis ||
      (kind === "read" && this.knowsOnlyWitnesses(client))
    client.call(kind === "rare" ? "rare" : "hot", (service) => use(service, timeoutMillis), (exit) => {
      endWatch()
      rules.check("a call ends by its deadline", true, () => "")
      if (!mayFail && !this.isProbing) {
        rules.check(
          "a call is carried out where nothing fails",
          exit !== undefined && Exit.isSuccess(exit),
          () => `a ${kind} of ${timeoutMillis} ms at ${client.name}`
        )
      }
      if (exit === undefined) return answered(kind === "write" ? "Unknown" : "Failed")
      if (Exit.isSuccess(exit)) return answered(exit.value)
      const error = exit.cause.reasons.find(Cause.isFailReason)?.error
      const reason = error?.reason
      rules.check(
        "a call fails in words that fit",
        reason === "Unavailable" || (reason === "Unknown" && kind === "write"),
        () => `${client.name} says ${reason === undefined ? Cause.pretty(exit.cause) : `${reason}: ${error!.message}`}`
      )
      answered(reason === "Unavailable" ? "Failed" : "Unknown")
    })
  }

  private knowsOnlyWitnesses({ endpoints }: SimClient): boolean {
    return this.cluster.members.every(({ address, witness }) => witness || !endpoints.includes(address))
  }
}

const decoder = new TextDecoder()

type RangeOutput = Extract<Output, { readonly _tag: "Range" }>

const read = (client: Service, input: Read, options: Client.ReadOptions): Effect.Effect<RangeOutput, ClientError> => {
  if (input._tag === "Get") {
    return Effect.map(client.get(input.key, options), (found) => ({
      _tag: "Range",
      revision: undefined,
      kvs: Option.toArray(found).map(textOf)
    }))
  }
  const { bounds, limit = 0, prefix, reverse = false } = input
  const range = { ...bounds ?? { prefix }, limit, reverse, ...options }
  return Effect.map(client.range(range), ({ kvs, more, revision }) => ({
    _tag: "Range",
    revision,
    kvs: kvs.map(textOf),
    more
  }))
}

const carryOut = (client: Service, input: Input, timeoutMillis: number): Effect.Effect<Output, ClientError> => {
  const options = { timeoutMillis }
  switch (input._tag) {
    case "Get":
    case "Range":
      return read(client, input, options)
    case "Put":
      return client.put(input.key, padded(input.value), options)
    case "Delete":
      return client.delete(input.key, options)
    case "CompareAndSwap":
      return Effect.map(client.compareAndSwap(input.key, input.expected, padded(input.value), options), compared)
    case "CompareAndDelete":
      return Effect.map(client.compareAndDelete(input.key, input.expected, options), compared)
  }
}

const compared = ({ current, revision, succeeded }: Client.Compared): Output => ({
  _tag: "Compared",
  revision,
  succeeded,
  current: Option.map(current, ({ value, ...found }) => ({
    ...factsOf(found),
    value: Option.getOrUndefined(Option.map(value, nameOf))
  }))
})

const textOf = ({ value, ...kv }: Operation.KeyValue) => ({ ...factsOf(kv), value: nameOf(value) })

const factsOf = (kv: Omit<Operation.KeyValue, "value">) => ({
  key: decoder.decode(kv.key),
  createRevision: kv.createRevision,
  modRevision: kv.modRevision,
  version: kv.version
})

/** `v7+1000` stands for a value of 1000 bytes in histories; each has a filling of its own. */
const padded = (value: string): string => {
  const [name, size] = value.split("+")
  return size === undefined ? value : `${value}:`.padEnd(Number(size), `${name}.`)
}

/** The name of a value that is whole; any other one as it is, which nobody wrote. */
const nameOf = (bytes: Uint8Array): string => {
  const value = decoder.decode(bytes)
  const [name] = value.split(":")
  return padded(name!) === value ? name! : value
}
