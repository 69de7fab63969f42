/**
 * What a member is made of that can be exchanged: where it keeps its record, log and state, and how it is reached. `MemoryParts` and `@dkv/member/node`
 * have the usual choices; any layer that keeps the contract of its service will do.
 */
import type { LogStore, SnapshotStore, StateMachine } from "@dkv/raft"
import type { KvReader } from "@dkv/kv"
import type { Gateways } from "@dkv/server"
import type { LogRepair } from "@dkv/storage"
import type { PeerPort } from "@dkv/transport"
import type { Effect, Layer } from "effect"
import type { MemberRecord, Record } from "./MemberRecord.ts"

/** `E`: what can go wrong while they are built. `R`: what they need from outside. */
export interface Parts<E, R> {
  readonly record: Layer.Layer<MemberRecord, E, R>
  readonly peerPort: Layer.Layer<PeerPort.PeerPort, E, R>
  /**
   * Built once the member belongs to a cluster, and again when it goes on after damage: nothing may be shared between two builds but what lies on the medium.
   * `record.hasLog` says that the log must be there already.
   */
  readonly log: (record: Record) => Layer.Layer<LogStore.LogStore, E, R>
  readonly state: Layer.Layer<StateMachine.StateMachine | KvReader, E, R>
  /** Of a witness, in place of the state. */
  readonly snapshots: Layer.Layer<SnapshotStore.SnapshotStore, E, R>
  /** Mends a damaged log, where that can be done for certain. Log and state are closed meanwhile. */
  readonly mend: (entries: LogRepair.Sources<never, never>["entries"]) => Effect.Effect<LogRepair.Outcome, E, R>
  /**
   * Puts log and state, which are closed, away as those of the member id `owner`, so that the next build finds none. May have been cut off half way, and is then run
   * again with the same id.
   */
  readonly setAside: (owner: string) => Effect.Effect<void, E, R>
  /** Opened last, when all gateways are there. */
  readonly clientPort: Layer.Layer<never, E, R | Gateways.Gateways>
}
