/**
 * A network inside this process, for tests, simulations and programs that hold a whole cluster. Its addresses are any
 * strings; between each two of them lies a link in either direction that can be blocked, slowed and made to lose.
 *
 * Everything is made of Effect's queues, clock and randomness, so that a program on it is as deterministic as its scheduler.
 */
import { Context, Effect, Layer, Random } from "effect"

/** How one direction between two addresses behaves. Times in milliseconds. */
export interface Conditions {
  /** Nothing arrives. A connection keeps what is sent meanwhile and delivers it later, as TCP does; single frames are lost. */
  readonly blocked: boolean
  readonly delayMillis: number
  /** Up to this much is added to the delay, at random. Order is kept all the same. */
  readonly jitterMillis: number
  /** Share of single frames that get lost, 0 to 1; of the writes on a connection, the share that breaks it. */
  readonly dropRate: number
}

export const perfect: Conditions = { blocked: false, delayMillis: 0, jitterMillis: 0, dropRate: 0 }

/** What goes over a link, as the link sees it. */
export interface Traffic {
  /** Looks again, because the link has changed. */
  readonly wake: () => void
  /** Loses what is on its way and tells both ends. */
  readonly break: () => void
}

/** One direction between two addresses. Mutable, owned by the network. */
export class Link {
  readonly pipes = new Set<Traffic>()
  readonly #random: { readonly nextDoubleUnsafe: () => number }
  #conditions = perfect
  #waiters = new Set<() => void>()

  constructor(random: { readonly nextDoubleUnsafe: () => number }) {
    this.#random = random
  }

  get blocked(): boolean {
    return this.#conditions.blocked
  }

  drawDelayMillis(): number {
    const { delayMillis, jitterMillis } = this.#conditions
    return jitterMillis === 0 ? delayMillis : delayMillis + jitterMillis * this.#random.nextDoubleUnsafe()
  }

  drawDrop(): boolean {
    return this.#conditions.dropRate > 0 && this.#random.nextDoubleUnsafe() < this.#conditions.dropRate
  }

  change(conditions: Partial<Conditions>): void {
    this.#conditions = { ...this.#conditions, ...conditions }
    for (const pipe of this.pipes) pipe.wake()
    if (!this.blocked) { for (const waiter of [...this.#waiters]) waiter() }
  }

  /** Breaks what goes this way. */
  reset(): void {
    for (const pipe of [...this.pipes]) pipe.break()
  }

  /** One message's way across: waits until the link is not blocked, then for its delay. */
  readonly cross: Effect.Effect<void> = Effect.suspend(() =>
    this.blocked
      ? Effect.andThen(
        Effect.callback<void>((resume) => {
          const waiter = () => {
            this.#waiters.delete(waiter)
            resume(Effect.void)
          }
          this.#waiters.add(waiter)
          return Effect.sync(() => this.#waiters.delete(waiter))
        }),
        this.cross
      )
      : Effect.sleep(this.drawDelayMillis())
  )
}

export class MemoryNetwork extends Context.Service<MemoryNetwork, {
  /** The direction `from` → `to`. */
  readonly link: (from: string, to: string) => Link
  /** Changes one direction; what is not named stays. */
  readonly change: (from: string, to: string, conditions: Partial<Conditions>) => Effect.Effect<void>
  /** Blocks both directions between each address of `some` and each of `others`. */
  readonly partition: (some: ReadonlyArray<string>, others: ReadonlyArray<string>) => Effect.Effect<void>
  /** Makes every link perfect again. */
  readonly heal: Effect.Effect<void>
  /** Breaks all connections between two addresses; both sides notice at once. */
  readonly reset: (some: string, other: string) => Effect.Effect<void>
  /** What listens at each address; owned by the layers that listen. */
  readonly listeners: Map<string, unknown>
}>()("@dkv/transport/MemoryNetwork") {
  static readonly layer: Layer.Layer<MemoryNetwork> = Layer.effect(
    MemoryNetwork,
    Effect.map(Random.Random, (random) => {
      const links = new Map<string, Map<string, Link>>()
      const link = (from: string, to: string): Link => {
        let targets = links.get(from)
        if (targets === undefined) links.set(from, targets = new Map())
        let found = targets.get(to)
        if (found === undefined) targets.set(to, found = new Link(random))
        return found
      }
      return MemoryNetwork.of({
        link,
        change: (from, to, conditions) => Effect.sync(() => link(from, to).change(conditions)),
        partition: (some, others) =>
          Effect.sync(() => {
            for (const one of some) {
              for (const other of others) {
                link(one, other).change({ blocked: true })
                link(other, one).change({ blocked: true })
              }
            }
          }),
        heal: Effect.sync(() => {
          for (const targets of links.values()) for (const found of targets.values()) found.change(perfect)
        }),
        reset: (some, other) =>
          Effect.sync(() => {
            link(some, other).reset()
            link(other, some).reset()
          }),
        listeners: new Map()
      })
    })
  )
}
