/** A member as a process of its own: everything under one data directory, RocksDB for the state, TCP for both ports. */
import { KvStateMachine } from "@dkv/kv"
import { Offline, Transport } from "@dkv/raft"
import type { LogStore, StateMachine } from "@dkv/raft"
import { ClientPort } from "@dkv/server"
import type { ClientPortError } from "@dkv/server"
import { DataDirectory, LogRepair, SegmentLog, SetAside, SnapshotFile } from "@dkv/storage"
import type { Disk, Storage } from "@dkv/storage"
import { NodeDisk } from "@dkv/storage/node"
import { RocksDbStorage } from "@dkv/storage/rocksdb"
import { Address, PeerPort } from "@dkv/transport"
import { PeerPortTcp } from "@dkv/transport/node"
import { Effect, Layer } from "effect"
import * as Limits from "./Limits.ts"
import type { MemberRecordError } from "./MemberRecord.ts"
import * as MemberRecordFile from "./MemberRecordFile.ts"
import type { Parts } from "./Parts.ts"

export interface Options {
  /** Made if missing, mode 0700, and locked: one process at a time. */
  readonly dataDirectory: string
  /** `host:port` each; `localhost` is both loopback addresses, no host is every interface. */
  readonly listenPeerAddress: string
  readonly listenClientAddress: string
  /** See `Dkv.Options`; a segment of the log is no larger. */
  readonly logMaxBytes?: number
}

export type NodePartsError =
  | MemberRecordError
  | DataDirectory.DataDirectoryError
  | Disk.DiskError
  | LogStore.LogStoreError
  | StateMachine.StateMachineError
  | Storage.StorageError
  | Transport.TransportError
  | ClientPortError

/** What lies in the data directory, which is locked while the record is open. */
export const dataOf = (
  { dataDirectory, logMaxBytes }: Pick<Options, "dataDirectory" | "logMaxBytes">
): Pick<Parts<NodePartsError, never>, "record" | "log" | "state" | "snapshots" | "mend" | "setAside"> => {
  const logOptions = {
    directory: `${dataDirectory}/log`,
    ...logMaxBytes === undefined ? {} : { segmentBytes: Math.min(logMaxBytes, Limits.logSegmentBytesMax) }
  }
  const state = KvStateMachine.layer().pipe(
    Layer.provide(RocksDbStorage.layer({ directory: `${dataDirectory}/state` })),
    Layer.provide(NodeDisk.layer)
  )
  return {
    record: Layer.unwrap(
      Effect.map(DataDirectory.DataDirectory, ({ path }) => MemberRecordFile.layer({ directory: path }))
    ).pipe(
      Layer.provide(DataDirectory.layer({ path: dataDirectory })),
      Layer.provide(NodeDisk.layer)
    ),
    log: (record) =>
      SegmentLog.layer({ ...logOptions, mustExist: record.hasLog }).pipe(
        Layer.provide(Layer.effectDiscard(LogRepair.settle(logOptions.directory))),
        Layer.provide(NodeDisk.layer)
      ),
    state,
    snapshots: SnapshotFile.layer({ directory: `${dataDirectory}/state` }).pipe(Layer.provide(NodeDisk.layer)),
    mend: (entries) =>
      LogRepair.repair(logOptions, {
        applied: Effect.scoped(Effect.provide(Offline.durablyApplied, Layer.fresh(state))),
        entries
      }).pipe(Effect.provide(NodeDisk.layer)),
    setAside: (owner) => Effect.provide(SetAside.move(dataDirectory, owner, ["log", "state"]), NodeDisk.layer)
  }
}

/** The parts of a member on this machine. Nothing is opened before it is built. */
export const make = (options: Options): Parts<NodePartsError, never> => {
  const { listenClientAddress, listenPeerAddress } = options
  const address = Address.parse(listenPeerAddress)
  return {
    ...dataOf(options),
    peerPort: address === undefined
      ? Layer.effect(
        PeerPort.PeerPort,
        Effect.fail(new Transport.TransportError({ message: `"${listenPeerAddress}" is no address: write host:port` }))
      )
      : PeerPortTcp.layer(address),
    clientPort: Layer.effectDiscard(ClientPort.ClientPort).pipe(
      Layer.provide(ClientPort.layer({ address: listenClientAddress }))
    )
  }
}
