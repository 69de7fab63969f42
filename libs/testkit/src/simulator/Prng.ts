/** Random numbers from a seed: sfc32, which is small, fast, and the same on every machine. Streams that are named apart do not disturb each other. */
import type { Random } from "effect"

export class Prng {
  private a: number
  private b = 0x9e3779b9
  private c = 0x243f6a88
  private d = 1

  constructor(seed: number) {
    this.a = seed | 0
    for (let round = 0; round < 12; round++) this.next()
  }

  /** In [0, 1). */
  next(): number {
    const t = (((this.a + this.b) | 0) + this.d) | 0
    this.d = (this.d + 1) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = (this.c << 21) | (this.c >>> 11)
    this.c = (this.c + t) | 0
    return (t >>> 0) / 4294967296
  }

  /** An integer in [0, count). */
  below(count: number): number {
    return Math.floor(this.next() * count)
  }

  /** In [from, to). */
  between(from: number, to: number): number {
    return from + this.next() * (to - from)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<A>(items: ReadonlyArray<A>): A {
    return items[this.below(items.length)]!
  }

  /** A waiting time with this mean. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.next())
  }

  shuffled<A>(items: ReadonlyArray<A>): Array<A> {
    const shuffled = [...items]
    for (let last = shuffled.length - 1; last > 0; last--) {
      const other = this.below(last + 1)
      const item = shuffled[last]!
      shuffled[last] = shuffled[other]!
      shuffled[other] = item
    }
    return shuffled
  }

  /** A stream of its own. What others draw from this one does not change it, as long as forks are made in the same order. */
  fork(): Prng {
    return new Prng(this.below(0x1_0000_0000))
  }

  /** As the service that programs draw from. */
  get service(): Random.Random {
    return {
      nextDoubleUnsafe: () => this.next(),
      nextIntUnsafe: () => Math.floor((this.next() - 0.5) * 2 * Number.MAX_SAFE_INTEGER)
    }
  }
}
