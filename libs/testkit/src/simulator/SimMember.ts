/** A member of a simulated cluster: real actors over what its stack is made of. It survives its machines. */
import { Configuration, LogStore, RaftNode, StateMachine, Transport } from "@dkv/raft"
import type { LogIndex, MemberId, RaftError } from "@dkv/raft"
import { Limits as ServerLimits } from "@dkv/server"
import type { Option } from "effect"
import { Cause, Context, Effect, Exit, Fiber, Layer, Random } from "effect"
import type { Options } from "./Options.ts"
import type { Prng } from "./Prng.ts"
import { SimDisk } from "./SimDisk.ts"
import type { SimNetwork } from "./SimNetwork.ts"
import { join } from "./SimNetwork.ts"
import { name } from "./Names.ts"
import type { SimStorage } from "./SimStorage.ts"
import type { SimSockets } from "./SimSockets.ts"
import type { Log, Port, Stack, State } from "./Stack.ts"
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
    | "capacity"
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

type Commands = ReadonlyArray<Uint8Array>

/** A member that is asked to stop has so long: what its client port takes to drain, and then to take leave of each connection. */
const stopMillis = ServerLimits.drainMillis + ServerLimits.lingerMillis + ServerLimits.farewellMillis + 500

export class SimMember<Services = never> {
  readonly id: MemberId
  readonly witness: boolean
  readonly address: string
  machine: Machine | undefined
  /** There once the member has recovered. */
  services: Context.Context<RaftNode.RaftNode | Services> | undefined
  /** Why it stopped by itself. */
  stopped: string | undefined
  /** It stopped because it found damage on its disk. */
  isDamaged = false
  /** It stopped with damage that it could not find any more: its disk counts as lost. */
  isLost = false
  /** It is never started again. */
  isRetired = false
  /** As of the last look. */
  configuration: Configuration.Configuration | undefined
  /** It was in a configuration that it went by: it never joins again, as ids are not used twice. */
  hasTakenPart = false
  /** How often it was started. */
  boots = 0
  /** What faults of disks strike; absent where the stack has none. */
  readonly disk: SimDisk | undefined
  /** The same for what its state lies on. */
  readonly storage: SimStorage | undefined
  private readonly log: Log
  private readonly state: State<Services>
  private readonly world: World
  private readonly network: SimNetwork
  private readonly sockets: SimSockets
  private readonly watch: Watch
  private readonly stack: Stack<Services>
  private readonly options: MemberOptions
  private readonly prng: Prng
  private running: Fiber.Fiber<unknown, unknown> | undefined
  /** It was asked to end. */
  isEnding = false
  private node: RaftNode.RaftNode["Service"] | undefined
  /** What `status` said last, at which step of its machine and at which time. */
  private seen: { readonly status: RaftNode.Status; readonly steps: number; readonly at: number } | undefined

  constructor(
    world: World,
    network: SimNetwork,
    sockets: SimSockets,
    watch: Watch,
    stack: Stack<Services>,
    options: MemberOptions
  ) {
    this.world = world
    this.network = network
    this.sockets = sockets
    this.watch = watch
    this.stack = stack
    this.options = options
    this.id = options.id
    this.witness = options.witness
    if (options.witness) watch.disks.witnesses.add(options.id)
    this.address = options.address
    this.prng = world.prng.fork()
    const place = { ...options, disk: new SimDisk("/log", options.syncMillis) }
    this.log = stack.log(place)
    this.state = stack.state(place)
    this.disk = this.log.disk
    this.storage = this.state.storage
  }

  /** It runs, or stands still; it has not stopped by itself. */
  get isUp(): boolean {
    return this.machine !== undefined && this.stopped === undefined
  }

  boot(): void {
    if (this.machine !== undefined || this.isRetired || this.isLost) return
    if (this.boots++ > 0) this.watch.events.add("members started again")
    const { clockRate, onLog, wallMillis } = this.options
    const machine = this.machine = this.world.machine({ rate: clockRate, wallMillis, onLog })
    this.seen = undefined
    this.stopped = undefined
    this.isEnding = false
    this.storage?.begin()
    const live = Effect.gen({ self: this }, function*() {
      const services = yield* Layer.build(this.layer(machine))
      const node = this.node = Context.get(services, RaftNode.RaftNode)
      this.services = services
      return yield* node.stopped
    })
    this.running = machine.fork(Effect.scoped(live))
    this.running.addObserver((exit) => {
      if (this.machine !== machine || machine.isDead) return
      this.services = undefined
      this.stopped = Exit.isFailure(exit) ? messageOf(exit.cause) : "ended"
      this.isDamaged = Exit.isFailure(exit) && reasonsOf(Cause.squash(exit.cause)).includes("Corrupt")
      onLog(`stopped: ${this.stopped}`)
      this.watch.rules.check(
        "a member stops for a reason",
        Exit.isFailure(exit) && exit.cause.reasons.every((reason) => this.mayStopFor(reason)),
        () => `${name(this.id)} stops: ${this.stopped}`
      )
    })
  }

  /** Because it was asked to, or of what was done to its disk or storage. Nothing else: whoever was told to leave goes on until it is taken away, and nobody is told lies. */
  private mayStopFor(reason: Cause.Reason<unknown>): boolean {
    if (Cause.isInterruptReason(reason)) return this.isEnding
    const reasons = reasonsOf(Cause.isFailReason(reason) ? reason.error : reason.defect)
    return reasons.some((found) => [this.disk, this.storage].some((medium) => medium?.accountsFor(found) === true))
  }

  /** The machine stops at once, and loses what was not synced. False if it was down. */
  crash(): boolean {
    if (!this.halt()) return false
    this.sockets.vanish(this.address)
    const tornBefore = this.disk?.tornWrites ?? 0
    this.draw(this.log.crash)
    this.draw(this.state.crash)
    this.watch.events.add("writes torn by a crash", (this.disk?.tornWrites ?? 0) - tornBefore)
    return true
  }

  /** The process stops at once; what it wrote is there. False if the machine was down. */
  kill(): boolean {
    if (!this.halt()) return false
    this.sockets.kill(this.address)
    this.draw(this.log.kill)
    this.draw(this.state.kill)
    return true
  }

  /** The process is asked to end, and does so in order: in time, unless it stands still or its disk does. False if it was down, or had been asked. */
  stop(): boolean {
    const { disk, machine, running, storage, watch: { rules }, world } = this
    if (machine === undefined || running === undefined) return false
    const isFirst = this.isUp && !this.isEnding
    this.isEnding = true
    const askedAt = world.now
    const rule = "a member that is asked to stop does so in time"
    const isHeldUp = () =>
      machine.isPaused || machine.resumedAt >= askedAt ||
      [disk, storage].some((medium) => medium !== undefined && (medium.isSlow || medium.slowedAt >= askedAt))
    const wasSlow = isHeldUp()
    world.after(stopMillis / this.options.clockRate, () => {
      if (this.machine === machine) rules.check(rule, wasSlow || isHeldUp(), () => `${this.address} goes on`)
    })
    machine.fork(Fiber.interrupt(running)).addObserver(() => {
      if (this.machine !== machine) return
      rules.check(rule, true, () => "")
      this.kill()
    })
    return isFirst
  }

  /** Syncs take as long as before. One that would hang on is cut short by starting again. */
  speedUpDisk(): void {
    if (this.disk?.speedUp() !== true || this.machine === undefined) return
    this.kill()
    this.boot()
  }

  /** Whatever is wrong with disk and storage is over. */
  healDisk(): void {
    this.disk?.heal()
    this.storage?.heal()
    this.speedUpDisk()
    this.boot()
  }

  /** What its state machine holds, if that can be compared; to be asked while it runs. */
  get contents(): Effect.Effect<string, RaftError> | undefined {
    return this.state.contents?.(this.services!)
  }

  status(): RaftNode.Status | undefined {
    const node = this.reachable
    if (node === undefined) return undefined
    const { steps } = this.machine!
    const { now } = this.world
    if (this.seen?.steps === steps && this.seen.at === now) return this.seen.status
    const status = Effect.runSync(node.status)
    this.seen = { status, steps, at: now }
    const { configuration } = status
    if (configuration !== this.configuration) {
      this.configuration = configuration
      this.hasTakenPart ||= Configuration.find(configuration, this.id) !== undefined
    }
    return status
  }

  /** How full its queues are. */
  gauges(): ReadonlyArray<RaftNode.Gauge> {
    return this.reachable === undefined ? [] : Effect.runSync(this.reachable.gauges)
  }

  /** While it runs, and is not paused. */
  private get reachable(): RaftNode.RaftNode["Service"] | undefined {
    return this.services === undefined || this.machine?.isPaused === true ? undefined : this.node
  }

  private halt(): boolean {
    if (this.machine === undefined) return false
    this.machine.kill()
    this.machine = undefined
    this.services = undefined
    this.isLost = this.disk?.hidesDamage === true
    this.network.detach(this.id)
    return true
  }

  private draw<A, E>(effect: Effect.Effect<A, E>): A {
    return Effect.runSync(Effect.provideService(effect, Random.Random, this.prng.service))
  }

  private layer(machine: Machine) {
    const { address, electionTimeoutMillis, founding, heartbeatMillis, id, witness } = this.options
    const { network, sockets } = this
    const port = { id, address, machine, network, sockets }
    const raft = RaftNode.layer({
      id,
      witness,
      configuration: founding,
      electionTimeoutMillis,
      heartbeatMillis,
      trailingEntries: this.options.trailingEntries,
      compactAfterBytes: this.options.compactAfterBytes,
      messageEntriesMax: this.options.messageEntriesMax,
      capacity: this.options.capacity
    }).pipe(
      Layer.provide(this.watchedTransport(port)),
      Layer.provide(this.watchedLog),
      Layer.provide(this.watchedState)
    )
    return this.state.layer(Layer.provide(this.watchedNode, raft), port)
  }

  private get watchedNode() {
    const watched =
      <A>(propose: (commands: Commands, options?: RaftNode.ProposeOptions) => Effect.Effect<A, RaftError>) =>
      (commands: Commands, options?: RaftNode.ProposeOptions) =>
        Effect.suspend(() => {
          const own = this.watch.propose(commands)
          return Effect.tapError(propose(own, options), ({ message, reason }) =>
            Effect.sync(() => {
              if (reason !== "Unknown") this.watch.turnDown(this.id, own, message)
            }))
        })
    return Layer.effect(
      RaftNode.RaftNode,
      Effect.map(Effect.service(RaftNode.RaftNode), (node) => ({
        ...node,
        propose: watched(node.propose),
        proposeEach: watched(node.proposeEach)
      }))
    )
  }

  private watchedTransport(port: Port) {
    return Layer.effect(
      Transport.Transport,
      Effect.map(Effect.service(Transport.Transport), (transport) => ({
        ...transport,
        sendUnsafe: (to: MemberId, lane: Transport.Lane, chunks: ReadonlyArray<Uint8Array>) => {
          const frame = join(chunks)
          if (!transport.sendUnsafe(to, lane, [frame])) return false
          this.watch.sent(this.id, to, frame)
          return true
        }
      }))
    ).pipe(Layer.provide(this.stack.transport(port)))
  }

  private get watchedLog() {
    return Layer.effect(
      LogStore.LogStore,
      Effect.map(Effect.service(LogStore.LogStore), (store) => {
        this.watch.booted(this.id, store.recovered)
        return {
          ...store,
          write: (writes: ReadonlyArray<LogStore.LogWrite>) =>
            Effect.suspend(() => {
              this.watch.writing(this.id, writes)
              return Effect.map(store.write(writes), () => this.watch.written(this.id, writes))
            }),
          compact: (index: LogIndex) => {
            this.watch.events.add("logs compacted")
            return store.compact(index)
          },
          read: (...range: Parameters<typeof store.read>) =>
            Effect.tap(store.read(...range), (entries) => Effect.sync(() => this.watch.disks.read(this.id, entries)))
        }
      })
    ).pipe(Layer.provide(this.log.layer))
  }

  private get watchedState() {
    return Layer.effect(
      StateMachine.StateMachine,
      Effect.map(Effect.service(StateMachine.StateMachine), (machine) => ({
        ...machine,
        apply: (commands: Parameters<typeof machine.apply>[0], meta: Parameters<typeof machine.apply>[1]) =>
          Effect.map(machine.apply(commands, meta), (results) => {
            this.watch.apply(this.id, commands, results)
            return results
          })
      }))
    )
  }
}

/** What was wrong with log or state, in the words of their errors: whoever finds it says so at once, or as the cause of its stop. */
const reasonsOf = (error: unknown): ReadonlyArray<string> => {
  const isOfStore = error instanceof LogStore.LogStoreError || error instanceof StateMachine.StateMachineError
  const further = error instanceof Error && error.cause !== undefined ? reasonsOf(error.cause) : []
  return isOfStore ? [error.reason, ...further] : further
}

const messageOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error.message : String(error)
}
