/**
 * A member of a simulated cluster: real actors over a segment-file log on a simulated disk, and a storage that loses what was not flushed; a witness has a snapshot file
 * in its place. It survives its machines.
 */
import { Kv, KvStateMachine } from "@dkv/kv"
import { LogStore, RaftNode, StateMachine, WitnessStateMachine } from "@dkv/raft"
import type { Configuration, MemberId } from "@dkv/raft"
import { Disk, MemoryDisk, MemoryStorage, SegmentLog, SnapshotFile } from "@dkv/storage"
import type { Option } from "effect"
import { Cause, Context, Effect, Exit, Fiber, Layer, Random } from "effect"
import type { Options } from "./Options.ts"
import type { Prng } from "./Prng.ts"
import * as SimClientPort from "./SimClientPort.ts"
import type { SimNetwork } from "./SimNetwork.ts"
import type { SimSockets } from "./SimSockets.ts"
import { name } from "./Watch.ts"
import type { Watch } from "./Watch.ts"
import type { Machine, World } from "./World.ts"

export interface MemberOptions extends
  Pick<
    Options,
    | "electionTimeoutMillis"
    | "heartbeatMillis"
    | "trailingEntries"
    | "compactAfterBytes"
    | "messageEntriesMax"
    | "segmentBytes"
    | "syncMillis"
  >
{
  readonly id: MemberId
  readonly witness: boolean
  /** Where clients find it. */
  readonly address: string
  readonly founding: Option.Option<Configuration.Configuration>
  readonly clockRate: number
  readonly wallMillis: number
  readonly onLog: (message: string) => void
}

export interface Services {
  readonly node: RaftNode.RaftNode["Service"]
}

export class SimMember {
  readonly id: MemberId
  readonly witness: boolean
  readonly address: string
  machine: Machine | undefined
  /** There once the member has recovered. */
  services: Services | undefined
  /** Why it stopped by itself. */
  stopped: string | undefined
  /** It is never started again. */
  isRetired = false
  readonly memory: MemoryDisk.MemoryDisk["Service"]
  private readonly disk: Disk.Disk["Service"]
  private readonly medium = MemoryStorage.makeMedium({ crashes: true })
  private readonly world: World
  private readonly network: SimNetwork
  private readonly sockets: SimSockets
  private readonly watch: Watch
  private readonly options: MemberOptions
  private readonly prng: Prng
  private hasLog = false
  private syncMillis: number
  private running: Fiber.Fiber<unknown, unknown> | undefined

  constructor(world: World, network: SimNetwork, sockets: SimSockets, watch: Watch, options: MemberOptions) {
    this.world = world
    this.network = network
    this.sockets = sockets
    this.watch = watch
    this.options = options
    this.id = options.id
    this.witness = options.witness
    if (options.witness) watch.witnesses.add(options.id)
    this.address = options.address
    this.prng = world.prng.fork()
    const { disk, memory } = Effect.runSync(MemoryDisk.make)
    this.disk = disk
    this.memory = memory
    this.syncMillis = options.syncMillis
    memory.setDelay(options.syncMillis)
  }

  boot(): void {
    if (this.machine !== undefined || this.isRetired) return
    const { clockRate, onLog, wallMillis } = this.options
    const machine = this.machine = this.world.machine({ rate: clockRate, wallMillis, onLog })
    this.stopped = undefined
    const live = Effect.gen({ self: this }, function*() {
      const context = yield* Layer.build(this.layer(machine))
      this.services = { node: Context.get(context, RaftNode.RaftNode) }
      return yield* this.services.node.stopped
    })
    this.running = machine.fork(Effect.scoped(live))
    this.running.addObserver((exit) => {
      if (this.machine !== machine || machine.isDead) return
      this.services = undefined
      this.stopped = Exit.isFailure(exit) ? messageOf(exit.cause) : "ended"
      onLog(`stopped: ${this.stopped}`)
    })
  }

  /** The machine stops at once, and loses what was not synced. */
  crash(): void {
    if (!this.halt()) return
    this.sockets.vanish(this.address)
    this.memory.crash()
    this.draw(this.memory.restart)
    this.draw(MemoryStorage.crash(this.medium))
    this.slowDisk(this.options.syncMillis)
  }

  /** The process stops at once; what it wrote is there. */
  kill(): void {
    if (!this.halt()) return
    this.sockets.kill(this.address)
    this.draw(this.memory.restartProcess)
    this.slowDisk(this.options.syncMillis)
  }

  /** The process is asked to end, and does so in order. */
  stop(): void {
    const { machine, running } = this
    if (machine === undefined || running === undefined) return
    machine.fork(Fiber.interrupt(running)).addObserver(() => {
      if (this.machine === machine) this.kill()
    })
  }

  /** From now on each sync takes so long; those under way take what they take. */
  slowDisk(millis: number): void {
    this.syncMillis = millis
    this.memory.setDelay(millis)
  }

  /** Syncs take as long as before. One that would hang on is cut short by starting again. */
  speedUpDisk(): void {
    const hangs = this.syncMillis > 1000 && this.machine !== undefined
    this.slowDisk(this.options.syncMillis)
    if (!hangs) return
    this.kill()
    this.boot()
  }

  /** Whatever is wrong with the disk is over. */
  healDisk(): void {
    this.memory.fail("sync", 0)
    this.memory.setCapacity(Infinity)
    this.speedUpDisk()
    this.boot()
  }

  status(): RaftNode.Status | undefined {
    return this.services === undefined || this.machine?.isPaused === true
      ? undefined
      : Effect.runSync(this.services.node.status)
  }

  private halt(): boolean {
    if (this.machine === undefined) return false
    this.machine.kill()
    this.machine = undefined
    this.services = undefined
    this.network.detach(this.id)
    return true
  }

  private draw<A, E>(effect: Effect.Effect<A, E>): A {
    return Effect.runSync(Effect.provideService(effect, Random.Random, this.prng.service))
  }

  private layer(machine: Machine) {
    const { electionTimeoutMillis, founding, heartbeatMillis, id, witness } = this.options
    const node = RaftNode.layer({
      id,
      witness,
      configuration: founding,
      electionTimeoutMillis,
      heartbeatMillis,
      trailingEntries: this.options.trailingEntries,
      compactAfterBytes: this.options.compactAfterBytes,
      messageEntriesMax: this.options.messageEntriesMax
    }).pipe(
      Layer.provide(this.network.layer(id, machine)),
      Layer.provide(this.log)
    )
    const port = SimClientPort.layer(
      { name: name(id), address: this.address },
      this.sockets.layer(this.address, machine)
    )
    return witness
      ? port.pipe(Layer.provide(Kv.layerWitness), Layer.provideMerge(Layer.provide(node, this.heads)))
      : port.pipe(Layer.provide(Kv.layer), Layer.provideMerge(Layer.provideMerge(node, this.state)))
  }

  /** Of a witness. */
  private get heads() {
    return WitnessStateMachine.layer.pipe(
      Layer.provide(SnapshotFile.layer({ directory: "/state" })),
      Layer.provide(Layer.succeed(Disk.Disk, this.disk))
    )
  }

  private get log() {
    const log = SegmentLog.layer({
      directory: "/log",
      segmentBytes: this.options.segmentBytes,
      mustExist: this.hasLog
    }).pipe(Layer.provide(Layer.succeed(Disk.Disk, this.disk)))
    return Layer.effect(
      LogStore.LogStore,
      Effect.map(Effect.service(LogStore.LogStore), (store) => {
        this.hasLog = true
        this.watch.booted(this.id, store.recovered)
        return {
          ...store,
          write: (writes: ReadonlyArray<LogStore.LogWrite>) =>
            Effect.map(store.write(writes), () => this.watch.written(this.id, writes))
        }
      })
    ).pipe(Layer.provide(log))
  }

  private get state() {
    const state = Layer.provide(KvStateMachine.layer(), MemoryStorage.layerOf(this.medium))
    return Layer.effect(
      StateMachine.StateMachine,
      Effect.map(Effect.service(StateMachine.StateMachine), (machine) => ({
        ...machine,
        apply: (commands: Parameters<typeof machine.apply>[0], meta: Parameters<typeof machine.apply>[1]) =>
          Effect.map(machine.apply(commands, meta), (results) => {
            this.watch.apply(this.id, commands)
            return results
          })
      }))
    ).pipe(Layer.provideMerge(state))
  }
}

const messageOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error.message : String(error)
}
