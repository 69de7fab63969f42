/** Short words for histories, an atomic store that makes them at random, and a checker that tries every order there is. */
import { Option } from "effect"
import type { Event, History, Interval, Operation } from "../src/linearizability/History.ts"
import type { FoundKey, Input, KeyValue, Output } from "../src/linearizability/KvModel.ts"

export const put = (key: string, value: string): Input => ({ _tag: "Put", key, value })
export const del = (key: string): Input => ({ _tag: "Delete", key })
export const swap = (key: string, value: string, expected: number): Input => ({
  _tag: "CompareAndSwap",
  key,
  value,
  expected
})
export const remove = (key: string, expected: number): Input => ({ _tag: "CompareAndDelete", key, expected })
export const get = (key: string): Input => ({ _tag: "Get", key })
export const range = (prefix: string): Input => ({ _tag: "Range", prefix })
/** At most so many keys in `[from, to)`; with 0, all. */
export const part = (from: string, to: string, limit = 0, reverse = false): Input => ({
  _tag: "Range",
  prefix: "",
  bounds: { from, to },
  limit,
  reverse
})

/** Of a key made at `createRevision`; alone, it was never changed since. */
export const kv = (
  key: string,
  value: string,
  createRevision: number,
  modRevision = createRevision,
  version = 1
): KeyValue => ({ key, value, createRevision, modRevision, version })

export const wrote = (revision: number): Output => ({ _tag: "Put", revision })
export const deleted = (revision: number, count = 1): Output => ({ _tag: "Delete", revision, deleted: count })
export const done = (revision: number): Output => ({
  _tag: "Compared",
  revision,
  succeeded: true,
  current: Option.none()
})
export const not = (revision: number, current?: FoundKey): Output => ({
  _tag: "Compared",
  revision,
  succeeded: false,
  current: Option.fromUndefinedOr(current)
})
/** Without a revision, from a client that was told none. */
export const found = (revision: number | undefined, ...kvs: ReadonlyArray<KeyValue>): Output => ({
  _tag: "Range",
  revision,
  kvs
})

/** Without an output, of unknown outcome. */
export const op = <Input, Output>(
  client: string,
  callTimeMillis: number,
  returnTimeMillis: number,
  input: Input,
  output?: Output
): Interval<Input, Output> => ({
  client,
  callTimeMillis,
  returnTimeMillis,
  input,
  ...(output === undefined ? {} : { output })
})

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export class Dice {
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0
  }

  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }

  /** An integer below `sides`. */
  roll(sides: number): number {
    return Math.floor(this.next() * sides)
  }

  pick<A>(items: ReadonlyArray<A>): A {
    return items[this.roll(items.length)]!
  }
}

/** A sequential object that answers. */
export interface Atomic<Input, Output> {
  readonly apply: (input: Input) => Output
}

/** The store with nothing but a map in mind; it shares no code with the model. */
export class Store implements Atomic<Input, Output> {
  revision = 1
  readonly keys = new Map<string, KeyValue>()

  apply(input: Input): Output {
    switch (input._tag) {
      case "Get":
        return found(this.revision, ...Array.from(this.keys.values()).filter(({ key }) => key === input.key))
      case "Range": {
        const { bounds, limit = 0, prefix, reverse } = input
        const sign = reverse === true ? -1 : 1
        const kvs = Array.from(this.keys.values())
          .filter(({ key }) => bounds === undefined ? key.startsWith(prefix) : key >= bounds.from && key < bounds.to)
          .sort((a, b) => a.key < b.key ? -sign : sign)
        if (bounds === undefined) return found(this.revision, ...kvs)
        const kept = limit === 0 ? kvs : kvs.slice(0, limit)
        return { _tag: "Range", revision: this.revision, kvs: kept, more: kept.length < kvs.length }
      }
      case "Put":
        this.set(input.key, input.value)
        return wrote(this.revision)
      case "Delete": {
        const there = this.keys.delete(input.key)
        if (there) this.revision++
        return deleted(this.revision, there ? 1 : 0)
      }
      default: {
        const current = this.keys.get(input.key)
        if ((current === undefined ? 0 : current.modRevision) !== input.expected) return not(this.revision, current)
        if (input._tag === "CompareAndSwap") this.set(input.key, input.value)
        else if (this.keys.delete(input.key)) this.revision++
        return done(this.revision)
      }
    }
  }

  private set(key: string, value: string): void {
    this.revision++
    const before = this.keys.get(key)
    this.keys.set(
      key,
      before === undefined
        ? kv(key, value, this.revision)
        : kv(key, value, before.createRevision, this.revision, before.version + 1)
    )
  }
}

export interface Load<Input> {
  readonly clients: number
  readonly operations: number
  /** Share of operations whose client learns nothing. */
  readonly unknown: number
  readonly input: (count: number) => Input
}

/**
 * Events of clients of an atomic object: each operation takes effect at some step between its call and its return; one of unknown outcome at any later
 * step, or never. Linearizable by construction.
 */
export const simulate = <Input, Output>(
  dice: Dice,
  object: Atomic<Input, Output>,
  load: Load<Input>
): Array<Event<Input, Output>> => {
  const events: Array<Event<Input, Output>> = []
  const clients = Array.from({ length: load.clients }, (_, at) => ({
    client: `c${at}`,
    input: undefined as Input | undefined,
    output: undefined as Output | undefined
  }))
  const underWay: Array<Input> = []
  let calls = 0
  for (let timeMillis = 0; calls < load.operations || clients.some(({ input }) => input !== undefined); timeMillis++) {
    if (underWay.length > 0 && dice.next() < 0.2) {
      const [late] = underWay.splice(dice.roll(underWay.length), 1)
      if (dice.next() < 0.6) object.apply(late!)
    }
    const mine = dice.pick(clients)
    const { client } = mine
    if (mine.input === undefined) {
      if (calls === load.operations) continue
      mine.input = load.input(calls++)
      events.push({ _tag: "Call", client, timeMillis, input: mine.input })
    } else if (mine.output === undefined && dice.next() < load.unknown) {
      events.push({ _tag: "Unknown", client, timeMillis })
      underWay.push(mine.input)
      mine.input = undefined
    } else if (mine.output === undefined) {
      mine.output = object.apply(mine.input)
    } else {
      events.push({ _tag: "Return", client, timeMillis, output: mine.output })
      mine.input = undefined
      mine.output = undefined
    }
  }
  return events
}

/** Inputs that meet each other: few keys, comparisons with revisions that stand there or once did. */
export const inputs = (dice: Dice, store: Store, keys: ReadonlyArray<string>) => (count: number): Input => {
  const key = dice.pick(keys)
  const expected = dice.next() < 0.7 ? store.keys.get(key)?.modRevision ?? 0 : dice.roll(store.revision + 2)
  const roll = dice.roll(10)
  if (roll < 3) return put(key, `v${count}`)
  if (roll < 4) return del(key)
  if (roll < 5) return swap(key, `v${count}`, expected)
  if (roll < 6) return remove(key, expected)
  if (roll < 8) return get(key)
  return roll < 9 ? range("") : part(dice.pick(keys), `${dice.pick(keys)}~`, dice.roll(3), dice.roll(2) === 0)
}

/** The answer to a client that is told less: of a read not the revision, of a comparison that failed not the value. */
export const hushed = (answer: Output): Output => {
  switch (answer._tag) {
    case "Range":
      return { ...answer, revision: undefined }
    case "Compared":
      return { ...answer, current: Option.map(answer.current, (found) => ({ ...found, value: undefined })) }
    default:
      return answer
  }
}

/** Whether the store answers so, to a client that may be told less. */
export const tells = (answer: Output, told: Output): boolean => isSame(told, answer) || isSame(told, hushed(answer))

const isSame = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other)

/** By definition: whether some order of all answered and some other operations keeps real time and gets these answers. */
export const bruteForce = <Input, Output>(
  history: History<Input, Output>,
  object: () => Atomic<Input, Output>,
  fits: (answer: Output, told: Output) => boolean = isSame
): boolean => {
  const answered = history.filter(({ output }) => Option.isSome(output))
  const others = history.filter(({ output }) => Option.isNone(output))
  return subsets(others).some((some) =>
    permutations([...answered, ...some]).some((order) => inRealTime(order) && replays(order, object(), fits))
  )
}

const inRealTime = (order: ReadonlyArray<Operation<unknown, unknown>>): boolean =>
  order.every((later, at) => order.slice(0, at).every((earlier) => !(later.return < earlier.call)))

const replays = <Input, Output>(
  order: ReadonlyArray<Operation<Input, Output>>,
  object: Atomic<Input, Output>,
  fits: (answer: Output, told: Output) => boolean
): boolean =>
  order.every(({ input, output }) => {
    const answer = object.apply(input)
    return Option.isNone(output) || fits(answer, output.value)
  })

const subsets = <A>(items: ReadonlyArray<A>): Array<Array<A>> =>
  items.reduce<Array<Array<A>>>((all, item) => [...all, ...all.map((some) => [...some, item])], [[]])

const permutations = <A>(items: ReadonlyArray<A>): Array<Array<A>> =>
  items.length === 0 ?
    [[]] :
    items.flatMap((item, at) => permutations(items.toSpliced(at, 1)).map((rest) => [item, ...rest]))
