/** The Effect client of a dkv cluster: hot operations coalesced into batches, several endpoints with failover, a deadline for every call. */
import type { Admin, Operation } from "@dkv/protocol"
import type { Loopback } from "@dkv/protocol"
import { Context, Effect, Layer, Option } from "effect"
import { ClientError } from "./ClientError.ts"
import { Connector } from "./Connector.ts"
import * as Dispatcher from "./Dispatcher.ts"
import * as Limits from "./Limits.ts"
import * as RareCalls from "./RareCalls.ts"

/** Text is taken as UTF-8. */
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
  /** Default 0: as many as one answer may hold. */
  readonly limit?: number
  readonly reverse?: boolean
}

export interface Compared {
  readonly succeeded: boolean
  readonly revision: number
  /** What stood there instead, if the comparison failed. */
  readonly current: Option.Option<Operation.KeyValue>
}

export interface JoinOptions extends CallOptions {
  readonly name: string
  readonly peerAddress: string
  readonly clientAddress?: string
  readonly id?: string
  /** Stay a learner until `promoteMember`. */
  readonly learnerOnly?: boolean
}

export interface ChangeOptions extends CallOptions {
  /** Do it even if the new quorum does not answer. */
  readonly force?: boolean
}

export class Client extends Context.Service<Client, {
  readonly put: (key: Bytes, value: Bytes, options?: CallOptions) => Effect.Effect<Operation.PutResult, ClientError>
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
  /** Of the endpoint in use. */
  readonly status: Effect.Effect<Admin.StatusView, ClientError>
  readonly members: (
    options?: CallOptions & { readonly stale?: boolean }
  ) => Effect.Effect<Admin.MemberListView, ClientError>
  readonly joinMember: (options: JoinOptions) => Effect.Effect<Admin.MemberView, ClientError>
  /** `member` is a name or an id. */
  readonly leaveMember: (member: string, options?: ChangeOptions) => Effect.Effect<Admin.MemberListView, ClientError>
  readonly promoteMember: (member: string, options?: ChangeOptions) => Effect.Effect<Admin.MemberListView, ClientError>
  /** To the most up-to-date voter if `to` is none. Succeeds with the new leader. */
  readonly transferLeader: (
    to: Option.Option<string>,
    options?: CallOptions
  ) => Effect.Effect<Admin.MemberView, ClientError>
}>()("@dkv/client/Client") {}

export interface Options {
  /** `host:port` each, at least one; tried in this order. */
  readonly endpoints: ReadonlyArray<string>
  /** Default 5000. */
  readonly timeoutMillis?: number
}

const make = Effect.fnUntraced(function*({ endpoints, timeoutMillis = Limits.callTimeoutMillis }: Options) {
  if (endpoints.length === 0) return yield* new ClientError({ reason: "Invalid", message: "no endpoint was given" })
  const connector = yield* Connector
  const { calls, endpoint, nowUnsafe } = yield* Dispatcher.make(endpoints)

  const call = <A>(
    operation: Operation.Operation,
    options: ReadOptions | undefined,
    read: (result: Operation.Result) => Effect.Effect<A, ClientError>
  ): Effect.Effect<A, ClientError> =>
    Effect.flatMap(
      calls.make(
        operation,
        options?.consistency ?? "linearizable",
        () => nowUnsafe() + (options?.timeoutMillis ?? timeoutMillis)
      ),
      read
    )
  const compared = (result: Operation.Result): Effect.Effect<Compared, ClientError> =>
    result._tag === "Compared" ? Effect.succeed(result) : unexpected(result)
  const rare = <A>(
    isChange: boolean,
    options: CallOptions | undefined,
    use: (timeoutMillis: number) => Parameters<typeof RareCalls.call<A>>[4]
  ): Effect.Effect<A, ClientError> => {
    const wait = options?.timeoutMillis ?? timeoutMillis
    return Effect.provideService(
      RareCalls.call(endpoints, endpoint(), isChange, wait + RareCalls.graceMillis, use(wait)),
      Connector,
      connector
    )
  }

  return Client.of({
    put: (key, value, options) =>
      call(
        { _tag: "Put", key: bytesOf(key), value: bytesOf(value) },
        options,
        (result) => result._tag === "Put" ? Effect.succeed(result) : unexpected(result)
      ),
    get: (key, options) =>
      call(
        { _tag: "Range", key: bytesOf(key), end: empty, limit: 1, reverse: false },
        options,
        (result) => result._tag === "Range" ? Effect.succeed(Option.fromNullishOr(result.kvs[0])) : unexpected(result)
      ),
    delete: (key, options) =>
      call(
        { _tag: "Delete", key: bytesOf(key), end: empty },
        options,
        (result) => result._tag === "Delete" ? Effect.succeed(result) : unexpected(result)
      ),
    deleteRange: (range) =>
      Effect.flatMap(
        boundsOf(range),
        (bounds) =>
          call({ _tag: "Delete", ...bounds }, range, (result) =>
            result._tag === "Delete" ? Effect.succeed(result) : unexpected(result))
      ),
    range: (options) =>
      Effect.flatMap(boundsOf(options), (bounds) =>
        call(
          { _tag: "Range", ...bounds, limit: options.limit ?? 0, reverse: options.reverse ?? false },
          options,
          (result) => result._tag === "Range" ? Effect.succeed(result) : unexpected(result)
        )),
    compareAndSwap: (key, expected, value, options) =>
      call({ _tag: "CompareAndSwap", key: bytesOf(key), value: bytesOf(value), expected }, options, compared),
    compareAndDelete: (key, expected, options) =>
      call({ _tag: "CompareAndDelete", key: bytesOf(key), expected }, options, compared),
    status: Effect.suspend(() => rare(false, undefined, () => (client) => client.Status())),
    members: (options) =>
      rare(
        false,
        options,
        (timeoutMillis) => (client) => client.MemberList({ stale: options?.stale ?? false, timeoutMillis })
      ),
    joinMember: (options) =>
      rare(true, options, (timeoutMillis) => (client) =>
        client.MemberJoin({
          name: options.name,
          id: Option.fromNullishOr(options.id),
          peerAddress: options.peerAddress,
          clientAddress: options.clientAddress ?? "",
          learnerOnly: options.learnerOnly ?? false,
          timeoutMillis
        })),
    leaveMember: (member, options) =>
      rare(
        true,
        options,
        (timeoutMillis) => (client) => client.MemberLeave({ member, force: options?.force ?? false, timeoutMillis })
      ),
    promoteMember: (member, options) =>
      rare(
        true,
        options,
        (timeoutMillis) => (client) => client.MemberPromote({ member, force: options?.force ?? false, timeoutMillis })
      ),
    transferLeader: (to, options) =>
      rare(true, options, (timeoutMillis) => (client) => client.LeaderTransfer({ to, timeoutMillis }))
  })
})

/** A client over TCP. Connects when the first call is made. */
export const layer = (options: Options): Layer.Layer<Client, ClientError> =>
  Layer.effect(Client, make(options)).pipe(Layer.provide(Connector.layerTcp))

/** The same client for a member in this process: endpoints are the names of its ports on `Loopback`. */
export const layerLoopback = (options: Options): Layer.Layer<Client, ClientError, Loopback.Loopback> =>
  Layer.effect(Client, make(options)).pipe(Layer.provide(Connector.layerLoopback))

const empty = new Uint8Array(0)
const encoder = new TextEncoder()
const bytesOf = (value: Bytes): Uint8Array => typeof value === "string" ? encoder.encode(value) : value

/** The largest key that a server takes is smaller than this. */
const beyond = new Uint8Array(Limits.keyBytesMax + 1).fill(0xff)

const boundsOf = (
  range: Pick<RangeOptions, "prefix" | "from" | "to">
): Effect.Effect<{ readonly key: Uint8Array; readonly end: Uint8Array }, ClientError> => {
  if (range.prefix !== undefined && (range.from !== undefined || range.to !== undefined)) {
    return Effect.fail(new ClientError({ reason: "Invalid", message: "give a prefix, or from and to, not both" }))
  }
  if (range.prefix !== undefined) {
    const prefix = bytesOf(range.prefix)
    return Effect.succeed(prefix.length === 0 ? everything : { key: prefix, end: endOfPrefix(prefix) })
  }
  const key = range.from === undefined ? everything.key : bytesOf(range.from)
  const end = range.to === undefined ? everything.end : bytesOf(range.to)
  return end.length === 0
    ? Effect.fail(new ClientError({ reason: "Invalid", message: "the end of a range cannot be empty" }))
    : Effect.succeed({ key, end })
}

/** The smallest key is one zero byte. */
const everything = { key: new Uint8Array([0]), end: beyond }

/** The first key behind all that begin with `prefix`. */
const endOfPrefix = (prefix: Uint8Array): Uint8Array => {
  let length = prefix.length
  while (length > 0 && prefix[length - 1] === 0xff) length--
  if (length === 0) return beyond
  const end = prefix.slice(0, length)
  end[length - 1]!++
  return end
}

const unexpected = (result: Operation.Result): Effect.Effect<never, ClientError> =>
  Effect.fail(
    result._tag === "Invalid" || result._tag === "Failed"
      ? new ClientError({ reason: "Invalid", message: result.message, detail: result.reason })
      : new ClientError({ reason: "Incompatible", message: `the server answered with ${result._tag}` })
  )
