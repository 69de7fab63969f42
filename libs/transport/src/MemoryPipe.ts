/**
 * One direction between two ends inside this process: items come out in the order in which they went in, after the delay
 * of their link and not while it is blocked. Mutable; one end offers, the other pulls.
 */
import { Wakeup } from "@dkv/raft"
import { Clock, Effect } from "effect"
import type { Link, Traffic } from "./MemoryNetwork.ts"

export class MemoryPipe<A> implements Traffic {
  readonly link: Link
  readonly #clock: Clock.Clock
  readonly #arrived: Wakeup.Wakeup
  readonly #drained: Wakeup.Wakeup
  #items: Array<{ readonly item: A; readonly bytes: number; readonly dueMillis: number }> = []
  #bytes = 0
  #lastDueMillis = 0
  #ended = false
  #broken = false

  constructor(link: Link, clock: Clock.Clock, arrived: Wakeup.Wakeup, drained: Wakeup.Wakeup) {
    this.link = link
    this.#clock = clock
    this.#arrived = arrived
    this.#drained = drained
    link.pipes.add(this)
  }

  static readonly make = Effect.fnUntraced(function*<A>(link: Link) {
    return new MemoryPipe<A>(link, yield* Clock.Clock, yield* Wakeup.make, yield* Wakeup.make)
  })

  /** Bytes on their way. */
  get bytes(): number {
    return this.#bytes
  }

  /** Items on their way. */
  get count(): number {
    return this.#items.length
  }

  /** Nothing can be offered any more. */
  get isClosed(): boolean {
    return this.#ended || this.#broken
  }

  offer(item: A, bytes: number): void {
    if (this.isClosed) return
    const delayMillis = this.link.drawDelayMillis()
    const dueMillis = delayMillis === 0 && this.#lastDueMillis === 0
      ? 0
      : Math.max(this.#lastDueMillis, Math.ceil(this.#nowMillis() + delayMillis))
    this.#lastDueMillis = dueMillis
    this.#items.push({ item, bytes, dueMillis })
    this.#bytes += bytes
    this.#arrived.ringUnsafe()
  }

  /** No more items; those on their way still arrive, and then `pull` answers undefined. */
  end(): void {
    this.#ended = true
    this.#settle()
  }

  break(): void {
    this.#broken = true
    this.link.pipes.delete(this)
    this.#items = []
    this.#bytes = 0
    this.#settle()
  }

  readonly wake = (): void => {
    this.#arrived.ringUnsafe()
  }

  /** Waits until `bytesMax` bytes or fewer are on their way, or the pipe is closed. */
  readonly awaitRoom = (bytesMax: number): Effect.Effect<void> =>
    Effect.suspend(() =>
      this.#bytes > bytesMax && !this.isClosed
        ? Effect.andThen(this.#drained.wait, this.awaitRoom(bytesMax))
        : Effect.void
    )

  /** Waits for the items that have arrived, at least one; undefined after the end. */
  readonly pull: Effect.Effect<ReadonlyArray<A> | undefined> = Effect.suspend(() => this.#pull())

  #pull(): Effect.Effect<ReadonlyArray<A> | undefined> {
    if (this.#broken) return Effect.undefined
    if (!this.link.blocked) {
      const first = this.#items[0]
      if (first === undefined) {
        if (this.#ended) {
          this.break()
          return Effect.undefined
        }
      } else {
        const nowMillis = first.dueMillis === 0 ? 0 : this.#nowMillis()
        if (first.dueMillis > nowMillis) {
          return Effect.andThen(Effect.sleep(Math.ceil(first.dueMillis - nowMillis)), this.pull)
        }
        return Effect.succeed(this.#take(nowMillis))
      }
    }
    return Effect.andThen(this.#arrived.wait, this.pull)
  }

  #take(nowMillis: number): ReadonlyArray<A> {
    const items = this.#items
    let end = 0
    while (end < items.length && items[end]!.dueMillis <= nowMillis) this.#bytes -= items[end++]!.bytes
    this.#items = end === items.length ? [] : items.slice(end)
    if (this.#items.length === 0) this.#lastDueMillis = 0
    this.#drained.ringUnsafe()
    return items.slice(0, end).map(({ item }) => item)
  }

  #settle(): void {
    this.#arrived.ringUnsafe()
    this.#drained.ringUnsafe()
  }

  #nowMillis(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe()) / 1e6
  }
}
