/**
 * What the members of a simulated cluster are made of, and who uses them: the log, the state machine, the transport, and the load. `kv` is dkv's own; whoever has
 * another part puts it in its place, and has it looked at by the same rules under the same faults.
 */
import { Kv, KvStateMachine } from "@dkv/kv"
import { VolatileStateMachine, WitnessStateMachine } from "@dkv/raft"
import type { LogStore, MemberId, RaftError, RaftNode, SnapshotStore, StateMachine, Transport } from "@dkv/raft"
import type { Disk, Storage } from "@dkv/storage"
import { MemorySnapshot, MemoryStorage, SegmentLog, SnapshotFile } from "@dkv/storage"
import { Context, Effect, Layer } from "effect"
import type { Load } from "./Load.ts"
import type { Options } from "./Options.ts"
import type { SimCluster } from "./SimCluster.ts"
import * as SimClientPort from "./SimClientPort.ts"
import type { SimDisk } from "./SimDisk.ts"
import type { SimNetwork } from "./SimNetwork.ts"
import { SimStorage } from "./SimStorage.ts"
import type { SimSockets } from "./SimSockets.ts"
import { name } from "./Names.ts"
import { Workload } from "./Workload.ts"
import type { Machine } from "./World.ts"

/** What outlives the machines that use it. Chance is drawn from Effect's `Random`. */
export interface Medium {
  /** The machine has stopped at once: what was not made durable may be lost. Nothing runs on the medium meanwhile. */
  readonly crash: Effect.Effect<void>
  /** Only the process has stopped. */
  readonly kill: Effect.Effect<void>
}

export interface Log extends Medium {
  /** Built anew at each start. */
  readonly layer: Layer.Layer<LogStore.LogStore, LogStore.LogStoreError>
  /** The disk that it lies on; without one, no fault of disks strikes. The log must notice damage when it is opened, as far as `SimDisk` says that it can be noticed. */
  readonly disk?: SimDisk
}

/** Why a member does not start. */
type BootError = Layer.Error<ReturnType<typeof RaftNode.layer>>

export interface State<Services> extends Medium {
  /** Puts the state machine under raft, and whatever clients ask on top; built anew at each start. With nothing on top, `Layer.provide(stateMachine)`. */
  readonly layer: (
    raft: Layer.Layer<RaftNode.RaftNode, BootError, StateMachine.StateMachine>,
    port: Port
  ) => Layer.Layer<RaftNode.RaftNode | Services, BootError>
  /** That it lies on; without one, no fault of storages strikes. */
  readonly storage?: SimStorage
  /** What the state machine holds, as anything that compares as text: the same on all members that have applied the same. */
  readonly contents?: (services: Context.Context<RaftNode.RaftNode | Services>) => Effect.Effect<string, RaftError>
}

/** The member that a part is made for. */
export interface Place extends Pick<Options, "segmentBytes" | "syncMillis"> {
  readonly id: MemberId
  /** It holds no data; only members of `kv` as it is are ever told to. */
  readonly witness: boolean
  /** The member's own, for whatever part lies on it. */
  readonly disk: SimDisk
}

/** One boot of a member, and what it is plugged into: the network of members, and the byte streams to its clients. */
export interface Port {
  readonly id: MemberId
  /** Where clients find it. */
  readonly address: string
  readonly machine: Machine
  readonly network: SimNetwork
  readonly sockets: SimSockets
}

/** `Services` are what the load asks of members besides `RaftNode`. */
export interface Stack<Services = never> {
  readonly log: (place: Place) => Log
  readonly state: (place: Place) => State<Services>
  readonly transport: (port: Port) => Layer.Layer<Transport.Transport>
  readonly load: (cluster: SimCluster<Services>, options: Options) => Load<Services>
}

/** For a part that keeps everything as soon as it says so. */
export const durable: Medium = { crash: Effect.void, kill: Effect.void }

/** A log in files: `open` makes it in `directory`; with `existed`, it was opened before. All faults of disks strike it. */
export const logOnDisk = (
  { disk }: Place,
  open: (options: {
    readonly directory: string
    readonly existed: boolean
  }) => Layer.Layer<LogStore.LogStore, LogStore.LogStoreError, Disk.Disk>
): Log => {
  const { directory } = disk
  let existed = false
  const layer = Layer.suspend(() => open({ directory, existed })).pipe(
    Layer.tap(() => Effect.sync(() => void (existed = true))),
    Layer.provide(disk.layer)
  )
  return { disk, layer, crash: disk.crash, kill: disk.kill }
}

/** Where snapshots lie. Made once per member; the layer is built anew at each start. */
export interface Snapshots extends Medium {
  readonly layer: Layer.Layer<SnapshotStore.SnapshotStore>
}

const snapshotsInMemory = (): Snapshots => ({
  ...durable,
  layer: MemorySnapshot.layerOf(MemorySnapshot.makeMedium())
})

/** A state machine whose state is in memory; its snapshots outlive the member's machines. */
export const volatile = (
  machine: Layer.Layer<VolatileStateMachine.VolatileStateMachine>,
  snapshots: () => Snapshots = snapshotsInMemory
) =>
(): State<never> => {
  const { crash, kill, layer } = snapshots()
  return { crash, kill, layer: Layer.provide(Layer.provide(VolatileStateMachine.layer, [machine, layer])) }
}

/** Where the key-value service has its rows. Made once per member; the layer is built anew at each start. */
export interface Rows extends Medium {
  readonly layer: Layer.Layer<Storage.Storage>
}

/** A storage that loses what was not flushed. */
const rowsInMemory = (): Rows => {
  const medium = MemoryStorage.makeMedium({ crashes: true })
  return { layer: MemoryStorage.layerOf(medium), crash: MemoryStorage.crash(medium), kill: Effect.void }
}

/** The key-value service behind a client port, over a storage that is slowed down and fails as told. */
export const data = (rows: () => Rows = rowsInMemory) => (): State<Kv.Kv> => {
  const { crash, kill, layer } = rows()
  const storage = new SimStorage(layer)
  const machine = Layer.provide(KvStateMachine.layer(), storage.layer)
  return {
    storage,
    layer: (raft, port) => withPort(Kv.layer.pipe(Layer.provideMerge(raft), Layer.provide(machine)), port),
    crash,
    kill,
    contents: everything
  }
}

const ofKeysAndValues = data()

const everything = (services: Context.Context<RaftNode.RaftNode | Kv.Kv>) =>
  Effect.map(
    Context.get(services, Kv.Kv).read(
      [{ key: Uint8Array.of(0), end: Uint8Array.of(0), limit: 0, reverse: false }],
      { consistency: "stale", timeoutMillis: contentsMillis }
    ),
    (answers) => answers.map((answer) => answer._tag === "Range" ? rowsOf(answer) : answer.message).join()
  )

const rowsOf = ({ kvs, revision }: Extract<Kv.RangeResult, { readonly _tag: "Range" }>): string =>
  kvs.map(({ key, value, ...revisions }) =>
    `${Buffer.from(key).toString("hex")}=${Buffer.from(value).toString("hex")} ${JSON.stringify(revisions)}`
  ).join("; ") + ` at ${revision}`

/** What a witness has in its place: a snapshot file beside the log. */
const heads = ({ disk }: Place): State<Kv.Kv> => {
  const machine = WitnessStateMachine.layer.pipe(
    Layer.provide(SnapshotFile.layer({ directory: "/state" })),
    Layer.provide(disk.layer)
  )
  return {
    ...durable,
    layer: (raft, port) => withPort(Kv.layerWitness.pipe(Layer.provideMerge(raft), Layer.provide(machine)), port)
  }
}

const withPort = <E>(kv: Layer.Layer<Kv.Kv | RaftNode.RaftNode, E>, { address, id, machine, sockets }: Port) =>
  Layer.provideMerge(SimClientPort.layer({ name: name(id), address }, sockets.layer(address, machine)), kv)

/** dkv's own: segment files, the key-value service behind a client port, and clients that come over simulated byte streams. */
export const kv: Stack<Kv.Kv> = {
  log: (place) =>
    logOnDisk(
      place,
      ({ directory, existed }) => SegmentLog.layer({ directory, segmentBytes: place.segmentBytes, mustExist: existed })
    ),
  state: (place) => place.witness ? heads(place) : ofKeysAndValues(),
  transport: ({ id, machine, network }) => network.layer(id, machine),
  load: (cluster, options) => new Workload(cluster, options)
}
/** Time that a read from memory never takes. */
const contentsMillis = 1000
