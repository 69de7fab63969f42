import { Command, KvStateMachine, Outcome } from "@dkv/kv"
import { Configuration, RaftNode } from "@dkv/raft"
import { MemoryLog, MemoryStorage } from "@dkv/storage"
import { MemoryNetwork, TransportMemory } from "@dkv/transport"
import { Effect, Layer, Option } from "effect"

const address = { peerAddress: "alone:2380", clientAddress: "" }
const member = { id: "0000000000000001", name: "alone", ...address, autoPromote: true, witness: false, priority: 0 }
const founding = { ...Configuration.empty, members: [member], voters: [member.id] }
const node = RaftNode.layer({ id: member.id, configuration: Option.some(founding) }).pipe(
  Layer.provide(MemoryLog.layer),
  Layer.provide(Layer.provide(KvStateMachine.layer(), MemoryStorage.layer)),
  Layer.provide(TransportMemory.layer({ clusterId: "00000000000000c1", memberId: member.id, address: "alone:2380" })),
  Layer.provide(MemoryNetwork.MemoryNetwork.layer)
)

const program = Effect.gen(function*() {
  const raft = yield* RaftNode.RaftNode
  const put = Command.encode({ _tag: "Put", key: Uint8Array.of(107), value: Uint8Array.of(118) })
  const [outcome] = yield* raft.propose([put]) // durable on a majority, and applied
  yield* raft.readBarrier() // what is read from here on has everything that was committed before
  return Outcome.decode(outcome!)
}).pipe(Effect.provide(node))

console.log(JSON.stringify(await Effect.runPromise(program))) // => {"_tag":"Put","revision":2}
