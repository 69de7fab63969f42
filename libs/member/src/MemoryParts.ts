/** A member that keeps everything in memory and is reached within the process: for tests, and for programs that want the cluster but no disk. */
import { KvStateMachine } from "@dkv/kv"
import type { Loopback } from "@dkv/protocol"
import type { StateMachine, Transport } from "@dkv/raft"
import { ClientPort } from "@dkv/server"
import { MemoryLog, MemorySnapshot, MemoryStorage } from "@dkv/storage"
import { PeerPortMemory } from "@dkv/transport"
import type { MemoryNetwork } from "@dkv/transport"
import { Effect, Layer } from "effect"
import { MemberRecord } from "./MemberRecord.ts"
import type { Parts } from "./Parts.ts"

/**
 * Members with one `MemoryNetwork` reach each other by `peerAddress`; clients with the same `Loopback` reach them by `clientAddress`. Any strings will do, if unique.
 * What the member holds is gone with its layer: closing it is losing its disk.
 */
export const make = (addresses: {
  readonly peerAddress: string
  readonly clientAddress: string
}): Parts<
  StateMachine.StateMachineError | Transport.TransportError,
  MemoryNetwork.MemoryNetwork | Loopback.Loopback
> => ({
  record: MemberRecord.layerMemory,
  peerPort: PeerPortMemory.layer({ address: addresses.peerAddress }),
  log: () => MemoryLog.layer,
  state: Layer.provide(KvStateMachine.layer(), MemoryStorage.layer),
  snapshots: MemorySnapshot.layer,
  mend: () => Effect.succeed({ _tag: "Beyond", why: "it was in memory" }),
  setAside: () => Effect.void,
  clientPort: Layer.effectDiscard(ClientPort.ClientPort).pipe(
    Layer.provide(ClientPort.layerLoopback({ address: addresses.clientAddress }))
  )
})
