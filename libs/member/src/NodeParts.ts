/** A member as a process of its own: everything under one data directory, RocksDB for the state, TCP for both ports. */
import { KvStateMachine } from "@dkv/kv"
import { Transport } from "@dkv/raft"
import type { LogStore, StateMachine } from "@dkv/raft"
import { ClientPort } from "@dkv/server"
import type { ClientPortError } from "@dkv/server"
import { DataDirectory, SegmentLog, SnapshotFile } from "@dkv/storage"
import type { Storage } from "@dkv/storage"
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
  | LogStore.LogStoreError
  | StateMachine.StateMachineError
  | Storage.StorageError
  | Transport.TransportError
  | ClientPortError

/** The parts of a member on this machine. Nothing is opened before it is built. */
export const make = (options: Options): Parts<NodePartsError, never> => {
  const { dataDirectory, listenClientAddress, listenPeerAddress } = options
  const address = Address.parse(listenPeerAddress)
  return {
    record: Layer.unwrap(
      Effect.map(DataDirectory.DataDirectory, ({ path }) => MemberRecordFile.layer({ directory: path }))
    ).pipe(
      Layer.provide(DataDirectory.layer({ path: dataDirectory })),
      Layer.provide(NodeDisk.layer)
    ),
    peerPort: address === undefined
      ? Layer.effect(
        PeerPort.PeerPort,
        Effect.fail(new Transport.TransportError({ message: `"${listenPeerAddress}" is no address: write host:port` }))
      )
      : PeerPortTcp.layer(address),
    log: (record) =>
      SegmentLog.layer({
        directory: `${dataDirectory}/log`,
        mustExist: record.hasLog,
        ...options.logMaxBytes === undefined
          ? {}
          : { segmentBytes: Math.min(options.logMaxBytes, Limits.logSegmentBytesMax) }
      }).pipe(Layer.provide(NodeDisk.layer)),
    state: KvStateMachine.layer().pipe(
      Layer.provide(RocksDbStorage.layer({ directory: `${dataDirectory}/state` })),
      Layer.provide(NodeDisk.layer)
    ),
    snapshots: SnapshotFile.layer({ directory: `${dataDirectory}/state` }).pipe(Layer.provide(NodeDisk.layer)),
    clientPort: Layer.effectDiscard(ClientPort.ClientPort).pipe(
      Layer.provide(ClientPort.layer({ address: listenClientAddress }))
    )
  }
}
