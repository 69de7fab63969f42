/** Members that are nothing but a client port over a store that the test controls, and a client of them, all in this process under virtual time. */
import { Client } from "@dkv/client"
import { Kv, Limits } from "@dkv/kv"
import { Loopback } from "@dkv/protocol"
import { RaftError, RaftNode } from "@dkv/raft"
import type { Session } from "@dkv/raft"
import { BatchGateway, ClientPort, Gateways, Leadership, MemberInfo, RpcGateway } from "@dkv/server"
import { Context, Effect, Exit, Fiber, Layer, Option, PubSub, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

export const text = (value: Uint8Array): string => new TextDecoder().decode(value)

const foundKey = (kv: Kv.KeyValue): Kv.FoundKey => ({
  ...kv,
  value: kv.value.length > Limits.inlineValueBytesMax ? Option.none() : Option.some(kv.value)
})

/** A store in memory that counts its calls, and fails or hangs when the test says so. */
export class FakeKv {
  readonly rows = new Map<string, Kv.KeyValue>()
  revision = 1
  writes: Array<number> = []
  reads: Array<number> = []
  /** How long the reads might take. */
  readTimeouts: Array<number> = []
  /** What the next write does instead; taken from the front. */
  writeFaults: Array<RaftError["reason"] | "hang"> = []
  readFaults: Array<RaftError["reason"] | "hang"> = []
  /** Of the writes that came. */
  stamps: Array<Session.Stamp | undefined> = []

  readonly service: Kv.Kv["Service"] = {
    write: (ops, { session }) =>
      Effect.suspend(() => {
        this.writes.push(ops.length)
        this.stamps.push(session)
        return this.faulty(this.writeFaults.shift(), () => ops.map((op) => this.apply(op)))
      }),
    read: (ops, { timeoutMillis }) =>
      Effect.suspend(() => {
        this.reads.push(ops.length)
        this.readTimeouts.push(timeoutMillis)
        return this.faulty(this.readFaults.shift(), () => ops.map((op) => this.range(op)))
      })
  }

  private faulty<A>(fault: RaftError["reason"] | "hang" | undefined, answer: () => A): Effect.Effect<A, RaftError> {
    if (fault === "hang") return Effect.never
    return fault === undefined
      ? Effect.sync(answer)
      : Effect.fail(new RaftError({ reason: fault, message: `fault ${fault}` }))
  }

  private apply(op: Kv.WriteOp): Kv.WriteResult {
    const key = text(op.key)
    if (op._tag === "Delete") {
      const deleted = this.rows.delete(key) ? 1 : 0
      this.revision += deleted
      return { _tag: "Delete", revision: this.revision, deleted }
    }
    const present = this.rows.get(key)
    if (op._tag !== "Put" && op.expected !== (present?.modRevision ?? 0)) {
      const current = Option.map(Option.fromNullishOr(present), foundKey)
      return { _tag: "Compared", revision: this.revision, succeeded: false, current }
    }
    this.revision++
    if (op._tag === "CompareAndDelete") this.rows.delete(key)
    else {
      this.rows.set(key, {
        key: op.key.slice(),
        value: op.value.slice(),
        createRevision: present?.createRevision ?? this.revision,
        modRevision: this.revision,
        version: (present?.version ?? 0) + 1,
        lease: 0
      })
    }
    return op._tag === "Put"
      ? { _tag: "Put", revision: this.revision }
      : { _tag: "Compared", revision: this.revision, succeeded: true, current: Option.none() }
  }

  private range(op: Kv.RangeOp): Kv.RangeResult {
    const end = text(op.end)
    const kvs = [...this.rows.values()].filter(({ key }) =>
      end === "" ? text(key) === text(op.key) : text(key) >= text(op.key) && (end === "\0" || text(key) < end)
    ).sort((a, b) => text(a.key) < text(b.key) ? -1 : 1)
    if (op.reverse) kvs.reverse()
    const limit = op.limit === 0 ? kvs.length : op.limit
    return { _tag: "Range", revision: this.revision, kvs: kvs.slice(0, limit), more: kvs.length > limit }
  }
}

export interface Member {
  readonly kv: FakeKv
  /** Sessions that it has opened. */
  readonly sessions: () => number
  /** Has it say whether it leads. */
  readonly leads: (isLeading: boolean) => Effect.Effect<unknown>
  /** Connections that it has taken so far. */
  readonly connections: () => number
  /** Closes its port and all connections. */
  readonly stop: Effect.Effect<void>
}

const serve = Effect.fnUntraced(function*(loopback: Loopback.Loopback["Service"], address: string, isLeading: boolean) {
  const kv = new FakeKv()
  const leadership = yield* PubSub.sliding<boolean>({ capacity: 1, replay: 1 })
  yield* PubSub.publish(leadership, isLeading)
  let connections = 0
  const counting: Loopback.Loopback["Service"] = {
    ...loopback,
    serve: (name, handler) =>
      loopback.serve(name, (socket) => {
        connections++
        return handler(socket)
      })
  }
  let sessions = 0
  const node = Layer.mock(RaftNode.RaftNode, {
    id: address,
    openSession: () => Effect.sync(() => ({ index: ++sessions, term: 1 }))
  })
  const gateways = Layer.mergeAll(BatchGateway.layer, RpcGateway.layer).pipe(
    Layer.provide([
      node,
      Layer.mock(MemberInfo.MemberInfo, { name: address, version: "", clientAddress: "", peerAddress: "" }),
      Layer.succeed(Kv.Kv, kv.service),
      Layer.succeed(Leadership.Leadership, Stream.fromPubSub(leadership))
    ]),
    Layer.provideMerge(Gateways.Gateways.layer)
  )
  const scope = yield* Scope.fork(yield* Effect.scope)
  yield* Layer.buildWithScope(
    ClientPort.layerLoopback({ address }).pipe(
      Layer.provide(gateways),
      Layer.provide(Layer.succeed(Loopback.Loopback, counting))
    ),
    scope
  )
  return {
    kv,
    sessions: () => sessions,
    leads: (leads) => PubSub.publish(leadership, leads),
    connections: () => connections,
    stop: Scope.close(scope, Exit.void)
  } satisfies Member
})

/** Members at the given names, of which the one named `leader` says that it leads, and a client of `endpoints`. */
export const setUp = Effect.fnUntraced(function*(
  names: ReadonlyArray<string>,
  endpoints: ReadonlyArray<string> = names,
  leader = names[0],
  exactlyOnce = false
): Effect.fn.Return<
  {
    readonly members: ReadonlyArray<Member>
    readonly kvs: ReadonlyArray<FakeKv>
    readonly client: Client.Client["Service"]
  },
  unknown,
  Scope.Scope
> {
  const loopback = Loopback.make()
  const members: Array<Member> = []
  for (const name of names) members.push(yield* serve(loopback, name, name === leader))
  const context = yield* Layer.build(
    Client.layerLoopback({ endpoints, timeoutMillis: 1000, exactlyOnce }).pipe(
      Layer.provide(Layer.succeed(Loopback.Loopback, loopback))
    )
  )
  return { members, kvs: members.map(({ kv }) => kv), client: Context.get(context, Client.Client) }
})

/** Lets time pass until the effect is done. */
export const passing = Effect.fnUntraced(function*<A, E>(effect: Effect.Effect<A, E>, millis = 10_000) {
  const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
  for (let passed = 0; passed < millis && fiber.pollUnsafe() === undefined; passed += 5) yield* TestClock.adjust(5)
  return yield* Fiber.join(fiber)
})
