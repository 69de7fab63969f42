/** The store as one would write it with nothing but a map in mind, and random operations on it. */
import { Option } from "effect"
import { type Kv, Limits } from "../src/index.ts"
import { bytes, del, put, range, remove, swap, text } from "./Harness.ts"

interface Entry {
  readonly value: string
  readonly create: number
  readonly mod: number
  readonly version: number
}

export class Model {
  revision = 1
  keys = new Map<string, Entry>()
  /** The keys as they were at each revision. */
  readonly history: Array<Map<string, Entry>> = [new Map(), new Map()]

  write(op: Kv.WriteOp): Kv.WriteResult {
    const key = text(op.key)
    const present = this.keys.get(key)
    switch (op._tag) {
      case "Put":
        this.put(key, text(op.value))
        return { _tag: "Put", revision: this.revision }
      case "Delete": {
        const gone = this.inRange(key, text(op.end), this.keys)
        if (gone.length > 0) this.remove(gone)
        return { _tag: "Delete", revision: this.revision, deleted: gone.length }
      }
      default: {
        if ((present?.mod ?? 0) !== op.expected) {
          return {
            _tag: "Compared",
            revision: this.revision,
            succeeded: false,
            current: present === undefined ? Option.none() : Option.some(foundKey(key, present))
          }
        }
        if (op._tag === "CompareAndSwap") this.put(key, text(op.value))
        else if (present !== undefined) this.remove([key])
        return { _tag: "Compared", revision: this.revision, succeeded: true, current: Option.none() }
      }
    }
  }

  read(op: Kv.RangeOp): Kv.RangeResult {
    const keys = this.inRange(text(op.key), text(op.end), this.keys)
    if (op.reverse) keys.reverse()
    const limit = op.limit === 0 ? keys.length : op.limit
    return {
      _tag: "Range",
      revision: this.revision,
      kvs: keys.slice(0, limit).map((key) => keyValue(key, this.keys.get(key)!)),
      more: keys.length > limit
    }
  }

  at(key: string, revision: number): Option.Option<Kv.KeyValue> {
    const entry = this.history[revision]!.get(key)
    return entry === undefined ? Option.none() : Option.some(keyValue(key, entry))
  }

  private inRange(key: string, end: string, keys: Map<string, Entry>): Array<string> {
    const all = Array.from(keys.keys()).sort()
    if (end === "") return all.filter((name) => name === key)
    return all.filter((name) => name >= key && (end === "\0" || name < end))
  }

  private put(key: string, value: string): void {
    const before = this.keys.get(key)
    this.revision++
    this.keys.set(key, {
      value,
      create: before?.create ?? this.revision,
      mod: this.revision,
      version: (before?.version ?? 0) + 1
    })
    this.history.push(new Map(this.keys))
  }

  private remove(keys: ReadonlyArray<string>): void {
    this.revision++
    for (const key of keys) this.keys.delete(key)
    this.history.push(new Map(this.keys))
  }
}

const keyValue = (key: string, entry: Entry): Kv.KeyValue => ({
  key: bytes(key),
  value: bytes(entry.value),
  createRevision: entry.create,
  modRevision: entry.mod,
  version: entry.version,
  lease: 0
})

const foundKey = (key: string, entry: Entry): Kv.FoundKey => ({
  ...keyValue(key, entry),
  value: entry.value.length > Limits.inlineValueBytesMax ? Option.none() : Option.some(bytes(entry.value))
})

/** A repeatable source of numbers (mulberry32). */
export class Dice {
  private state: number
  constructor(seed: number) {
    this.state = seed
  }
  /** An integer from 0 to below `sides`. */
  roll(sides: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % sides
  }
  pick<A>(choices: ReadonlyArray<A>): A {
    return choices[this.roll(choices.length)]!
  }
}

const names = ["a", "a\0", "a\xff", "b", "ba", "bb", "c\r\n", "k1", "k2", "k3", "k4", "k5", "x\x80", "z", "\xff\xff"]
const values = [
  "",
  "v",
  "\0",
  "line\r\n",
  "\xff\xfe\xfd",
  "i".repeat(Limits.inlineValueBytesMax),
  "o".repeat(Limits.inlineValueBytesMax + 1),
  "large".repeat(4000)
]

export const randomValue = (dice: Dice): string => dice.pick(values) + dice.roll(1000)

export const randomWrite = (dice: Dice, model: Model): Kv.WriteOp => {
  const key = dice.pick(names)
  const mod = model.keys.get(key)?.mod ?? 0
  const expected = dice.pick([mod, mod, 0, mod + 1, Math.max(0, mod - 1)])
  switch (dice.roll(8)) {
    case 0:
      return del(key)
    case 1:
      return dice.roll(3) === 0 ? del(key, dice.pick([...names, "\0"])) : del(key)
    case 2:
    case 3:
      return swap(key, randomValue(dice), expected)
    case 4:
      return remove(key, expected)
    default:
      return put(key, randomValue(dice))
  }
}

export const randomRange = (dice: Dice): Kv.RangeOp =>
  range(dice.pick(names), dice.pick(["", "", "\0", "b", "k", "l", "z\xff", "a"]), {
    limit: dice.pick([0, 0, 1, 2, 5, 100]),
    reverse: dice.roll(2) === 0
  })

export { names }
