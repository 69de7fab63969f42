/** Three members in this process on memory layers: log, network and state machine cost next to nothing, what is left is Raft and Effect. */
import { Kv, KvStateMachine } from "@dkv/kv"
import type { MemberId, RaftError } from "@dkv/raft"
import { Configuration, RaftNode } from "@dkv/raft"
import { MemoryLog, MemoryStorage } from "@dkv/storage"
import { MemoryNetwork, TransportMemory } from "@dkv/transport"
import { Context, Effect, Layer, Option } from "effect"
import { BenchError } from "../BenchError.ts"
import { startMillis, valueBytes } from "../Limits.ts"
import { keyOf, value } from "../load/Workload.ts"
import * as CountingStateMachine from "./CountingStateMachine.ts"

const clusterId = "00000000000000cc"
const ids: ReadonlyArray<MemberId> = ["0000000000000001", "0000000000000002", "0000000000000003"]

const configuration: Configuration.Configuration = {
  ...Configuration.empty,
  members: ids.map((id, index) => ({
    id,
    name: `dkv-${index}`,
    peerAddress: `peer-${index}`,
    clientAddress: "",
    autoPromote: false,
    witness: false,
    priority: 0
  })),
  voters: ids
}

/** What the members replicate: commands that are only counted, or a key-value store in memory. */
export type State = "counting" | "kv"

/** One command, from a caller that waits until it is applied. */
export type Call = Effect.Effect<unknown, RaftError>

const states = {
  counting: () => Layer.fresh(CountingStateMachine.layer),
  kv: () => Layer.provide(KvStateMachine.layer(), Layer.fresh(MemoryStorage.layer))
}

const around = (id: MemberId, index: number) =>
  Layer.mergeAll(
    Layer.fresh(MemoryLog.layer),
    TransportMemory.layer({ clusterId, memberId: id, address: `peer-${index}` })
  )

const node = (id: MemberId) => RaftNode.layer({ id, configuration: Option.some(configuration) })

const command = new Uint8Array(valueBytes)

/** Starts the members; succeeds with what a caller of the leader does again and again. They run until the scope closes. */
export const start = Effect.fnUntraced(
  function*(state: State) {
    const network = yield* Layer.build(MemoryNetwork.MemoryNetwork.layer)
    const members: Array<Member> = []
    for (const [index, id] of ids.entries()) {
      const built = state === "counting"
        ? Layer.build(node(id).pipe(Layer.provide([states.counting(), around(id, index)])))
        : Layer.build(
          Layer.provideMerge(Kv.layer, node(id)).pipe(Layer.provide(around(id, index)), Layer.provide(states.kv()))
        )
      const context = yield* Effect.provideContext(built, network)
      const raft = Context.get(context as Context.Context<RaftNode.RaftNode>, RaftNode.RaftNode)
      members.push({ raft, call: callOf(raft, Context.getOption(context as Context.Context<never>, Kv.Kv)) })
    }
    return (yield* leaderOf(members)).call
  },
  Effect.mapError((cause) => new BenchError({ message: "the members in memory did not start", cause }))
)

interface Member {
  readonly raft: RaftNode.RaftNode["Service"]
  readonly call: Call
}

const callOf = (raft: RaftNode.RaftNode["Service"], kv: Option.Option<Kv.Kv["Service"]>): Call => {
  if (Option.isNone(kv)) return raft.propose([command])
  let sequence = 0
  return Effect.suspend(() =>
    kv.value.write([{ _tag: "Put", key: keyOf(sequence++), value }], { timeoutMillis: startMillis })
  )
}

const leaderOf = (members: ReadonlyArray<Member>) =>
  Effect.gen(function*() {
    while (true) {
      for (const member of members) {
        if ((yield* member.raft.status).role === "Leader") return member
      }
      yield* Effect.sleep("20 millis")
    }
  }).pipe(
    Effect.timeoutOrElse({
      duration: startMillis,
      orElse: () => Effect.fail(new BenchError({ message: "the members in memory elected nobody" }))
    })
  )
