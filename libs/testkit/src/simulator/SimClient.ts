/** A client of a simulated cluster: the real one, over simulated sockets, on a machine that may be killed, paused, cut off, and started again. */
import { Client } from "@dkv/client"
import { Context, Effect, Fiber, Layer } from "effect"
import type { Exit } from "effect"
import type { SimSockets } from "./SimSockets.ts"
import type { Machine, World } from "./World.ts"

export interface ClientOptions {
  readonly name: string
  readonly clockRate: number
  /** Its writes belong to a session. */
  readonly exactlyOnce: boolean
  /** The endpoints it is given when it starts. */
  readonly endpoints: () => ReadonlyArray<string>
  /** It was closed in order, and left so many calls open. */
  readonly onClosed: (callsLeft: number) => void
  /** It was asked to close, and goes on. */
  readonly onStuck: () => void
  readonly onLog: (message: string) => void
}

/** A client that is asked to close has so long: it waits for nobody. */
const closeMillis = 1000

interface OpenCall {
  /** The client has it, and ends it when it closes. Rare calls are their caller's own. */
  isHeld: boolean
  readonly giveUp: () => void
}

export type Service = Client.Client["Service"]

export class SimClient {
  readonly name: string
  machine: Machine | undefined
  /** What it was given. */
  endpoints: ReadonlyArray<string> = []
  private service: Service | undefined
  private running: Fiber.Fiber<unknown, unknown> | undefined
  private readonly world: World
  private readonly sockets: SimSockets
  private readonly options: ClientOptions
  private readonly open = new Set<OpenCall>()

  constructor(world: World, sockets: SimSockets, options: ClientOptions) {
    this.world = world
    this.sockets = sockets
    this.options = options
    this.name = options.name
  }

  /** It can be asked. */
  get isUp(): boolean {
    return this.service !== undefined
  }

  boot(): void {
    if (this.machine !== undefined) return
    const machine = this.machine = this.world.machine({ rate: this.options.clockRate, onLog: this.options.onLog })
    this.endpoints = this.options.endpoints()
    this.options.onLog(`starts, and knows ${this.endpoints.join(" ")}`)
    const layer = Client.layerLoopback({ endpoints: this.endpoints, exactlyOnce: this.options.exactlyOnce }).pipe(
      Layer.provide(this.sockets.layer(this.name, machine))
    )
    const live = Effect.gen({ self: this }, function*() {
      this.service = Context.get(yield* Layer.build(layer), Client.Client)
      return yield* Effect.never
    })
    this.running = machine.fork(Effect.scoped(live))
  }

  /** The process stops at once: whoever waits gets no answer. False if it was down. */
  kill(): boolean {
    if (!this.halt()) return false
    this.sockets.kill(this.name)
    return true
  }

  /** The machine stops at once; members are not told. False if it was down. */
  vanish(): boolean {
    if (!this.halt()) return false
    this.sockets.vanish(this.name)
    return true
  }

  /** The program ends in order. Calls that are open are answered first. False if it was down, or had been asked. */
  close(): boolean {
    const { isUp, machine, running } = this
    if (machine === undefined || running === undefined) return false
    this.service = undefined
    const askedAt = this.world.now
    this.world.after(closeMillis, () => {
      if (this.machine === machine && !machine.isPaused && machine.resumedAt < askedAt) this.options.onStuck()
    })
    machine.fork(Fiber.interrupt(running)).addObserver(() => {
      if (this.machine !== machine) return
      this.options.onClosed([...this.open].filter(({ isHeld }) => isHeld).length)
      this.kill()
    })
    return isUp
  }

  /** False if it was down, or stood still already. */
  pause(): boolean {
    return this.machine?.pause() === true
  }

  resume(): void {
    this.machine?.resume()
  }

  /** Asks; `undefined` if no answer will come. To be used while it is up. */
  call<A, E>(
    kind: "hot" | "rare",
    use: (client: Service) => Effect.Effect<A, E>,
    answered: (exit: Exit.Exit<A, E> | undefined) => void
  ): void {
    const { machine } = this
    const service = this.service!
    const call: OpenCall = { isHeld: false, giveUp: () => answered(undefined) }
    this.open.add(call)
    this.world.schedule(() => {
      call.isHeld = kind === "hot"
      machine!.fork(use(service)).addObserver((exit) => {
        if (this.open.delete(call)) answered(exit)
      })
    }, machine)
  }

  private halt(): boolean {
    if (this.machine === undefined) return false
    this.machine.kill()
    this.machine = undefined
    this.service = undefined
    const open = [...this.open]
    this.open.clear()
    for (const { giveUp } of open) giveUp()
    return true
  }
}
