/** Whole members on memory layers in one program, under virtual time. */
import { Client } from "@dkv/client"
import { Kv, KvReader, KvStateMachine } from "@dkv/kv"
import { BatchReply, Frame, Hello, Limits, Loopback } from "@dkv/protocol"
import { Offline, RaftNode, StateMachine } from "@dkv/raft"
import { MemoryNetwork } from "@dkv/transport"
import { LogRepair, MemoryDisk, MemoryLog, MemorySnapshot, MemoryStorage, SegmentLog, SetAside } from "@dkv/storage"
import { Disk as StorageDisk } from "@dkv/storage"
import { Context, Effect, Exit, Fiber, Layer, Option, Result, Scope } from "effect"
import { Socket } from "effect/socket"
import { TestClock } from "effect/testing"
import * as Dkv from "../src/Dkv.ts"
import { MemberRecord } from "../src/MemberRecord.ts"
import type { Record } from "../src/MemberRecord.ts"
import * as MemberRecordFile from "../src/MemberRecordFile.ts"
import * as MemoryParts from "../src/MemoryParts.ts"
import type { Parts } from "../src/Parts.ts"
import type { Options } from "../src/Self.ts"

export interface Running {
  readonly name: string
  readonly scope: Scope.Closeable
  readonly fiber: Fiber.Fiber<Context.Context<Dkv.Dkv | Client.Client | Kv.Kv | RaftNode.RaftNode>, unknown>
}

/** Everything that a member keeps, to outlive it. */
export interface Disk {
  readonly parts: Partial<Parts<any, never>>
  readonly record: () => Option.Option<Record>
}

/** A disk that can be damaged, and can stop at any write. */
export interface FaultyDisk extends Disk {
  readonly disk: StorageDisk.Disk["Service"]
  readonly memory: MemoryDisk.MemoryDisk["Service"]
  /** What was applied since the last flush is lost in part. */
  readonly crashState: Effect.Effect<void>
  /** Reads of the state, or its recovery too, fail as damaged, or for another reason, from now on, until it is put away. */
  readonly damageState: (what: "reads" | "all", error?: Error) => void
}

export const makeFaultyDisk: Effect.Effect<FaultyDisk> = Effect.gen(function*() {
  const { disk, memory } = yield* MemoryDisk.make
  const onDisk = Layer.succeed(StorageDisk.Disk, disk)
  const options = { directory: "/data/log" }
  let medium = MemoryStorage.makeMedium({ crashes: true })
  let damaged: "nothing" | "reads" | "all" = "nothing"
  let error: unknown = new StateMachine.StateMachineError({ reason: "Corrupt", message: "a row is damaged" })
  const fail = Effect.suspend(() => Effect.fail(error as StateMachine.StateMachineError))
  const state = Layer.suspend(() =>
    Layer.effectContext(Effect.map(
      Layer.build(Layer.provide(KvStateMachine.layer(), MemoryStorage.layerOf(medium))),
      (context) => {
        const reader = Context.get(context, KvReader)
        const machine = Context.get(context, StateMachine.StateMachine)
        return Context.add(context, KvReader, {
          ...reader,
          read: (...asked) => damaged === "nothing" ? reader.read(...asked) : fail
        }).pipe(Context.add(StateMachine.StateMachine, {
          ...machine,
          recover: Effect.suspend(() => damaged === "all" ? fail : machine.recover)
        }))
      }
    ))
  )
  return {
    disk,
    memory,
    crashState: Effect.suspend(() => MemoryStorage.crash(medium)),
    damageState: (what, why = error as Error) => {
      damaged = what
      error = why
    },
    record: () => Result.getSuccess(MemberRecordFile.decode(memory.content("/data/member.json"))),
    parts: {
      record: Layer.provide(
        Layer.unwrap(Effect.as(disk.makeDirectory("/data"), MemberRecordFile.layer({ directory: "/data" }))),
        onDisk
      ),
      log: (record) =>
        SegmentLog.layer({ ...options, mustExist: record.hasLog }).pipe(
          Layer.provide(Layer.effectDiscard(LogRepair.settle(options.directory))),
          Layer.provide(onDisk)
        ),
      state,
      mend: (entries) =>
        LogRepair.repair(options, {
          applied: Effect.scoped(Effect.provide(Offline.durablyApplied, Layer.fresh(state))),
          entries
        }).pipe(Effect.provide(onDisk)),
      setAside: (owner) =>
        Effect.map(Effect.provide(SetAside.move("/data", owner, ["log", "state"]), onDisk), () => {
          medium = MemoryStorage.makeMedium({ crashes: true })
          damaged = "nothing"
        })
    }
  }
})

export const makeDisk = (): Disk => {
  let saved = Option.none<Record>()
  const log = MemoryLog.makeMedium()
  const state = MemoryStorage.makeMedium()
  const snapshot = MemorySnapshot.makeMedium()
  return {
    parts: {
      record: Layer.succeed(MemberRecord, {
        load: Effect.sync(() => saved),
        save: (record) => Effect.sync(() => void (saved = Option.some(record)))
      }),
      log: () => MemoryLog.layerOf(log),
      state: Layer.provide(KvStateMachine.layer(), MemoryStorage.layerOf(state)),
      snapshots: MemorySnapshot.layerOf(snapshot)
    },
    record: () => saved
  }
}

export const listOf = (names: ReadonlyArray<string>) => names.map((name) => ({ name, peerAddress: `${name}:2380` }))

/** One program's network and clients. */
export const world = Effect.gen(function*() {
  const context = yield* Layer.build(Layer.mergeAll(MemoryNetwork.MemoryNetwork.layer, Loopback.Loopback.layer))
  const network = Context.get(context, MemoryNetwork.MemoryNetwork)
  return {
    network,
    loopback: Context.get(context, Loopback.Loopback),
    start: Effect.fnUntraced(function*(
      name: string,
      initialCluster: Options["initialCluster"],
      options: Partial<Options> & { readonly disk?: Disk } = {}
    ) {
      const scope = yield* Scope.make()
      const addresses = { peerAddress: `${name}:2380`, clientAddress: `${name}:3000` }
      const { disk = makeDisk(), ...rest } = options
      const layer = Dkv.layer({
        name,
        version: "0.0.0",
        initialCluster,
        initialClusterState: "new",
        forceNewCluster: false,
        ...addresses,
        ...rest
      }, { ...MemoryParts.make(addresses), ...disk.parts })
      const fiber = yield* Layer.buildWithScope(layer, scope).pipe(
        Effect.provideContext(context),
        Effect.forkIn(scope)
      )
      return { name, scope, fiber } satisfies Running
    })
  }
})

/** Lets virtual time pass until `condition` holds; fails the test after `seconds`. */
export const until = Effect.fnUntraced(function*(condition: Effect.Effect<boolean>, seconds = 60) {
  for (let passed = 0; passed < seconds * 1000; passed += 50) {
    if (yield* condition) return
    yield* TestClock.adjust(50)
  }
  return yield* Effect.die(`did not come about within ${seconds} s`)
})

/** Runs `effect` while virtual time passes. */
export const passing = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>, seconds = 60) {
  const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
  yield* until(Effect.sync(() => fiber.pollUnsafe() !== undefined), seconds)
  return yield* Fiber.join(fiber)
})

export const isUp = (member: Running): Effect.Effect<boolean> =>
  Effect.sync(() => member.fiber.pollUnsafe() !== undefined)

/** The services of a member that has come up. */
export const services = (member: Running) =>
  Effect.map(Effect.orDie(Fiber.join(member.fiber)), (context) => ({
    dkv: Context.get(context, Dkv.Dkv),
    client: Context.get(context, Client.Client),
    kv: Context.get(context, Kv.Kv),
    node: Context.get(context, RaftNode.RaftNode)
  }))

export const stop = (member: Running): Effect.Effect<void> => passing(Scope.close(member.scope, Exit.void))

/** Connects to a client port, and gathers the codes of all notices that come. */
export const listen = Effect.fnUntraced(function*(
  loopback: Loopback.Loopback["Service"],
  address: string
): Effect.fn.Return<ReadonlyArray<string>, Socket.SocketError, Scope.Scope> {
  const codes: Array<string> = []
  const socket = loopback.connect(address)
  const pull = yield* Socket.readerBytes(socket)
  const writer = yield* socket.writer
  yield* writer.write(Hello.encodeClient("batch"))
  const decoder = new Frame.Decoder(Limits.replyBytesMax)
  let rest = Hello.serverHelloHeadBytes
  const read = Effect.map(pull, (chunks) => {
    for (const chunk of chunks) {
      const skipped = Math.min(rest, chunk.length)
      rest -= skipped
      decoder.push(chunk.subarray(skipped), (frame) => {
        const reply = BatchReply.decode(frame)
        codes.push("code" in reply ? reply.code : reply._tag)
      })
    }
  })
  yield* Effect.forkScoped(Effect.forever(read))
  return codes
})
