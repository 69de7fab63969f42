/**
 * The Effect client of a dkv cluster: hot operations coalesced into batches, several endpoints with failover, a deadline for every call.
 *
 * Reads are repeated until their deadline, and so are writes: they belong to a session of the client, in which each takes effect once, however often it is sent.
 * What has no answer by its deadline, and may have been carried out, is reported as `Unknown`.
 */
import type { Admin, Loopback, Operation } from "@dkv/protocol"
import { Bytes as WireBytes, Limits as WireLimits } from "@dkv/protocol"
import { Context, Effect, Exit, Layer, Option } from "effect"
import type { Read } from "./Call.ts"
import { invalidTimeout, isTimeout } from "./Calls.ts"
import { ClientError } from "./ClientError.ts"
import { Connector } from "./Connector.ts"
import * as Dispatcher from "./Dispatcher.ts"
import * as Limits from "./Limits.ts"
import * as RareCalls from "./RareCalls.ts"

/** Text is taken as UTF-8. Bytes are read when the call is sent: do not change them before it is answered. */
export type Bytes = Uint8Array | string

export interface CallOptions {
  /** Deadline of the call; default `Options.timeoutMillis`. */
  readonly timeoutMillis?: number
}

export interface ReadOptions extends CallOptions {
  /** Default `linearizable`. */
  readonly consistency?: Operation.Consistency
}

export interface RangeOptions extends ReadOptions {
  /** All keys that begin with this; or give `from` and `to`. */
  readonly prefix?: Bytes
  /** First key; default: the first there is. */
  readonly from?: Bytes
  /** End, exclusive; default: behind the last. */
  readonly to?: Bytes
  /** At most this many; default 0: as many as one answer may hold. */
  readonly limit?: number
  readonly reverse?: boolean
}

export interface Compared {
  readonly succeeded: boolean
  readonly revision: number
  /** What stood there instead, if the comparison failed. */
  readonly current: Option.Option<Operation.FoundKey>
}

export interface JoinOptions extends CallOptions {
  readonly name: string
  readonly peerAddress: string
  readonly clientAddress?: string
  readonly id?: string
  /** Stay a learner until `promoteMember`. */
  readonly learnerOnly?: boolean
  /** It holds no data. To be said with an `id`; otherwise the new member says so itself. */
  readonly witness?: boolean
}

export interface ChangeOptions extends CallOptions {
  /** Do it even if the new quorum does not answer. */
  readonly force?: boolean
}

export interface MemberChanges {
  /** Elections prefer voters of a higher one; an integer of 32 bits. */
  readonly priority?: number
}

export interface SettingsChanges {
  readonly leaderLeases?: boolean
  readonly deadMembers?: "off" | "warn" | "replace"
  readonly deadMemberMillis?: number
}

/** Keys and values in answers are views of what the network brought: copy what is kept for long. */
export class Client extends Context.Service<Client, {
  /** Creates or overwrites. */
  readonly put: (key: Bytes, value: Bytes, options?: CallOptions) => Effect.Effect<Operation.PutResult, ClientError>
  /** None when there is no such key. */
  readonly get: (
    key: Bytes,
    options?: ReadOptions
  ) => Effect.Effect<Option.Option<Operation.KeyValue>, ClientError>
  /** The number of keys deleted, 0 or 1. */
  readonly delete: (key: Bytes, options?: CallOptions) => Effect.Effect<Operation.DeleteResult, ClientError>
  readonly deleteRange: (
    range: Pick<RangeOptions, "prefix" | "from" | "to" | "timeoutMillis">
  ) => Effect.Effect<Operation.DeleteResult, ClientError>
  /** Keys in order. When `more` is true, ask again from behind the last one. */
  readonly range: (options: RangeOptions) => Effect.Effect<Operation.RangeResult, ClientError>
  /** Puts only if the key's mod revision is `expected`; 0: only if there is no such key. */
  readonly compareAndSwap: (
    key: Bytes,
    expected: number,
    value: Bytes,
    options?: CallOptions
  ) => Effect.Effect<Compared, ClientError>
  readonly compareAndDelete: (
    key: Bytes,
    expected: number,
    options?: CallOptions
  ) => Effect.Effect<Compared, ClientError>
  /** Of the first member that answers, beginning with the endpoint in use. */
  readonly status: Effect.Effect<Admin.StatusView, ClientError>
  readonly members: (
    options?: CallOptions & { readonly stale?: boolean }
  ) => Effect.Effect<Admin.MemberListView, ClientError>
  readonly joinMember: (options: JoinOptions) => Effect.Effect<Admin.MemberView, ClientError>
  /** `member` is a name or an id. */
  readonly leaveMember: (member: string, options?: ChangeOptions) => Effect.Effect<Admin.MemberListView, ClientError>
  readonly promoteMember: (member: string, options?: ChangeOptions) => Effect.Effect<Admin.MemberListView, ClientError>
  /** Changes what is given of a member. */
  readonly updateMember: (
    member: string,
    changes: MemberChanges,
    options?: CallOptions
  ) => Effect.Effect<Admin.MemberListView, ClientError>
  /** What the whole cluster goes by, after those settings that are given have been changed. */
  readonly clusterSettings: (
    changes?: SettingsChanges,
    options?: CallOptions
  ) => Effect.Effect<Admin.SettingsView, ClientError>
  /** To the most up-to-date voter if `to` is none. Succeeds with the new leader. */
  readonly transferLeader: (
    to: Option.Option<string>,
    options?: CallOptions
  ) => Effect.Effect<Admin.MemberView, ClientError>
}>()("@dkv/client/Client") {}

export interface Options {
  /**
   * False: without a session, which costs a call before the first write. A write is then repeated only when it certainly was not carried out, and else `Unknown` as soon
   * as its connection is lost. Default true.
   */
  readonly exactlyOnce?: boolean
  /** `host:port` each, at least one; tried in this order. */
  readonly endpoints: ReadonlyArray<string>
  /** Default 5000. */
  readonly timeoutMillis?: number
}

const make = Effect.fnUntraced(function*(options: Options) {
  const { endpoints, exactlyOnce = true, timeoutMillis = Limits.callTimeoutMillis } = options
  if (endpoints.length === 0) return yield* invalid("no endpoint was given")
  if (!isTimeout(timeoutMillis)) return yield* invalidTimeout(timeoutMillis)
  const connector = yield* Connector
  // opens nothing yet, but fails for an endpoint that makes no sense
  for (const endpoint of endpoints) yield* connector.connect(endpoint)
  const { calls, endpoint, nowUnsafe } = yield* Dispatcher.make(endpoints, { withSession: exactlyOnce })

  const write = <A>(operation: Operation.Write, options: CallOptions | undefined, read: Read<A>) =>
    calls.make(operation, "write", options?.timeoutMillis ?? timeoutMillis, read)
  const ask = <A>(operation: Operation.Range, options: ReadOptions | undefined, read: Read<A>) => {
    const consistency = options?.consistency ?? "linearizable"
    const callMillis = options?.timeoutMillis ?? timeoutMillis
    if (typeof consistency === "string") return calls.make(operation, consistency, callMillis, read)
    const { maxStalenessMillis } = consistency
    return isStaleness(maxStalenessMillis)
      ? calls.make(operation, "bounded", callMillis, read, maxStalenessMillis)
      : invalid(`${maxStalenessMillis} is no staleness: it must be an integer of milliseconds, above 0`)
  }
  const rare = <A>(isChange: boolean, options: CallOptions | undefined, use: RareCalls.Use<A>) =>
    Effect.suspend(() => {
      const first = endpoint()
      const order = [first, ...endpoints.filter((each) => each !== first)]
      return RareCalls.call(order, { isChange, timeoutMillis: options?.timeoutMillis ?? timeoutMillis, use }, nowUnsafe)
    }).pipe(Effect.provideService(Connector, connector))

  return Client.of({
    put: (key, value, options) => write({ _tag: "Put", key: bytesOf(key), value: bytesOf(value) }, options, readPut),
    get: (key, options) =>
      ask({ _tag: "Range", key: bytesOf(key), end: WireBytes.empty, limit: 1, reverse: false }, options, readFirst),
    delete: (key, options) => write({ _tag: "Delete", key: bytesOf(key), end: WireBytes.empty }, options, readDelete),
    deleteRange: (range) =>
      Effect.flatMap(boundsOf(range), (bounds) => write({ _tag: "Delete", ...bounds }, range, readDelete)),
    range: (range) => {
      const { limit = 0, reverse = false } = range
      return isCount(limit, 0xffff_ffff)
        ? Effect.flatMap(
          boundsOf(range),
          (bounds) => ask({ _tag: "Range", ...bounds, limit, reverse }, range, readRange)
        )
        : invalid(`${limit} is no limit: it must be an integer from 0 to ${0xffff_ffff}`)
    },
    compareAndSwap: (key, expected, value, options) =>
      isCount(expected, Number.MAX_SAFE_INTEGER)
        ? write({ _tag: "CompareAndSwap", key: bytesOf(key), value: bytesOf(value), expected }, options, readCompared)
        : invalidRevision(expected),
    compareAndDelete: (key, expected, options) =>
      isCount(expected, Number.MAX_SAFE_INTEGER)
        ? write({ _tag: "CompareAndDelete", key: bytesOf(key), expected }, options, readCompared)
        : invalidRevision(expected),
    status: rare(false, undefined, (client) => client.Status()),
    members: (options) =>
      rare(
        false,
        options,
        (client, timeoutMillis) => client.MemberList({ stale: options?.stale ?? false, timeoutMillis })
      ),
    joinMember: (options) =>
      rare(true, options, (client, timeoutMillis) =>
        client.MemberJoin({
          name: options.name,
          id: Option.fromNullishOr(options.id),
          peerAddress: options.peerAddress,
          clientAddress: options.clientAddress ?? "",
          learnerOnly: options.learnerOnly ?? false,
          witness: options.witness ?? false,
          timeoutMillis
        })),
    leaveMember: (member, options) =>
      rare(
        true,
        options,
        (client, timeoutMillis) => client.MemberLeave({ member, force: options?.force ?? false, timeoutMillis })
      ),
    promoteMember: (member, options) =>
      rare(
        true,
        options,
        (client, timeoutMillis) => client.MemberPromote({ member, force: options?.force ?? false, timeoutMillis })
      ),
    updateMember: (member, changes, options) =>
      rare(true, options, (client, timeoutMillis) => client.MemberUpdate({ member, changes, timeoutMillis })),
    clusterSettings: (changes = {}, options) =>
      rare(
        Object.keys(changes).length > 0,
        options,
        (client, timeoutMillis) => client.ClusterSettings({ changes, timeoutMillis })
      ),
    transferLeader: (to, options) =>
      rare(true, options, (client, timeoutMillis) => client.LeaderTransfer({ to, timeoutMillis }))
  })
})

/** A client over TCP. Connects when the first call is made. Fails with `Invalid` for endpoints that make no sense. */
export const layer = (options: Options): Layer.Layer<Client, ClientError> =>
  Layer.effect(Client, make(options)).pipe(Layer.provide(Connector.layerTcp))

/** The same client for a member in this process: endpoints are the names of its ports on `Loopback`. */
export const layerLoopback = (options: Options): Layer.Layer<Client, ClientError, Loopback.Loopback> =>
  Layer.effect(Client, make(options)).pipe(Layer.provide(Connector.layerLoopback))

const invalid = (message: string): Effect.Effect<never, ClientError> =>
  Effect.fail(new ClientError({ reason: "Invalid", message }))

const invalidRevision = (revision: number): Effect.Effect<never, ClientError> =>
  invalid(`${revision} is no revision: it must be an integer from 0`)

const isCount = (value: number, max: number): boolean => Number.isInteger(value) && value >= 0 && value <= max

const isStaleness = (millis: number): boolean => isCount(millis, WireLimits.timeoutMillisMax) && millis > 0

const encoder = new TextEncoder()
const bytesOf = (value: Bytes): Uint8Array => typeof value === "string" ? encoder.encode(value) : value

/** As an end: no upper bound. As a key: the smallest there can be. */
const zero = new Uint8Array(1)

const boundsOf = (
  { from, prefix, to }: Pick<RangeOptions, "prefix" | "from" | "to">
): Effect.Effect<{ readonly key: Uint8Array; readonly end: Uint8Array }, ClientError> => {
  if (prefix !== undefined) {
    if (from !== undefined || to !== undefined) return invalid("give a prefix, or from and to, not both")
    const bytes = bytesOf(prefix)
    const end = WireBytes.prefixEnd(bytes)
    return Effect.succeed({ key: bytes.length === 0 ? zero : bytes, end: end.length === 0 ? zero : end })
  }
  const key = from === undefined ? zero : bytesOf(from)
  const end = to === undefined ? zero : bytesOf(to)
  const isBelowAll = end.length === 0 || (to !== undefined && end.length === 1 && end[0] === 0)
  return isBelowAll
    ? invalid("no key comes before the end of this range: leave \"to\" out for all keys from \"from\" on")
    : Effect.succeed({ key, end })
}

const readPut: Read<Operation.PutResult> = (result) => result._tag === "Put" ? Exit.succeed(result) : unexpected(result)

const readFirst: Read<Option.Option<Operation.KeyValue>> = (result) => {
  if (result._tag !== "Range") return unexpected(result)
  const first = result.kvs[0]
  return first === undefined ? notFound : Exit.succeed(Option.some(first))
}

const readDelete: Read<Operation.DeleteResult> = (result) =>
  result._tag === "Delete" ? Exit.succeed(result) : unexpected(result)

const readRange: Read<Operation.RangeResult> = (result) =>
  result._tag === "Range" ? Exit.succeed(result) : unexpected(result)

const readCompared: Read<Operation.ComparedResult> = (result) =>
  result._tag === "Compared" ? Exit.succeed(result) : unexpected(result)

const notFound = Exit.succeed(Option.none())

const unexpected = (result: Operation.Result): Exit.Exit<never, ClientError> =>
  Exit.fail(
    result._tag === "Invalid" || result._tag === "Failed"
      ? new ClientError({ reason: "Invalid", message: result.message, detail: result.reason })
      : new ClientError({ reason: "Incompatible", message: `the member answered with ${result._tag}` })
  )
