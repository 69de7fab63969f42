/**
 * What a member is made of that can be exchanged: where it keeps its record, log and state, and how it is reached. `MemoryParts` and `@dkv/member/node`
 * have the usual choices; any layer that keeps the contract of its service will do.
 */
import type { LogStore, SnapshotStore, StateMachine } from "@dkv/raft"
import type { KvReader } from "@dkv/kv"
import type { Gateways } from "@dkv/server"
import type { PeerPort } from "@dkv/transport"
import type { Layer } from "effect"
import type { MemberRecord, Record } from "./MemberRecord.ts"

/** `E`: what can go wrong while they are built. `R`: what they need from outside. */
export interface Parts<E, R> {
  readonly record: Layer.Layer<MemberRecord, E, R>
  readonly peerPort: Layer.Layer<PeerPort.PeerPort, E, R>
  /** Built once the member belongs to a cluster. `record.hasLog` says that the log must be there already. */
  readonly log: (record: Record) => Layer.Layer<LogStore.LogStore, E, R>
  readonly state: Layer.Layer<StateMachine.StateMachine | KvReader, E, R>
  /** Of a witness, in place of the state. */
  readonly snapshots: Layer.Layer<SnapshotStore.SnapshotStore, E, R>
  /** Opened last, when all gateways are there. */
  readonly clientPort: Layer.Layer<never, E, R | Gateways.Gateways>
}
