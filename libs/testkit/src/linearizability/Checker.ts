/**
 * Decides whether a history is linearizable (Herlihy and Wing, TOPLAS 1990): whether the operations can be put into one order that respects real
 * time and that the model can follow. The search is Wing and Gong's (1993) with Lowe's cache of configurations (2017), as in porcupine's checker.go:
 * a list of calls and returns from which operations are lifted as they are placed, and back into which they go when nothing fits behind them.
 *
 * Operations of unknown outcome have no return and need not be placed: a search is over when all others are. They are tried last, since a history is
 * mostly explained by what was answered, and each one placed too early costs a detour. Work is bounded by a count of model steps, so that a verdict
 * depends on the history alone.
 */
import { Option } from "effect"
import type { History, Operation } from "./History.ts"
import type { Model, Part } from "./Model.ts"

interface PartSearch<Input, Output> extends Part<Input, Output> {
  readonly steps: number
}

/** The furthest that a search came, by operations of known outcome. */
export interface Stuck<Input, Output> {
  readonly longest: ReadonlyArray<Operation<Input, Output>>
  /** The operations of known outcome of which one had to come next in real time, and none could. */
  readonly blocked: ReadonlyArray<Operation<Input, Output>>
}

/** `order` leaves out the operations of unknown outcome that need not have taken effect. */
export type PartVerdict<Input, Output> =
  | PartSearch<Input, Output> & { readonly _tag: "Ok"; readonly order: ReadonlyArray<Operation<Input, Output>> }
  | PartSearch<Input, Output> & Stuck<Input, Output> & { readonly _tag: "Violation" }
  | PartSearch<Input, Output> & Stuck<Input, Output> & { readonly _tag: "GaveUp" }

/** `Violation` if any part is one, else `GaveUp` if any search did. */
export interface Verdict<Input, Output> {
  readonly _tag: "Ok" | "Violation" | "GaveUp"
  readonly steps: number
  readonly parts: ReadonlyArray<PartVerdict<Input, Output>>
}

export interface Options {
  /** Steps of the model for each part, after which its search gives up. Each step may add one configuration to memory. */
  readonly stepsMax: number
}

export const defaults: Options = { stepsMax: 200_000 }

/** Checks a history, part by part if the model has a partition. */
export const check = <State, Input, Output>(
  model: Model<State, Input, Output>,
  history: History<Input, Output>,
  options: Options = defaults
): Verdict<Input, Output> =>
  checkParts(model, model.partition?.(history) ?? [{ name: "history", operations: history }], options)

/** Checks parts that the caller has split. Operations of a part are ordered by their call. */
export const checkParts = <State, Input, Output>(
  model: Model<State, Input, Output>,
  parts: ReadonlyArray<Part<Input, Output>>,
  options: Options = defaults
): Verdict<Input, Output> => {
  const verdicts = parts.map((part) => new Search(model, part, options.stepsMax).run())
  const has = (tag: Verdict<Input, Output>["_tag"]) => verdicts.some(({ _tag }) => _tag === tag)
  return {
    _tag: has("Violation") ? "Violation" : has("GaveUp") ? "GaveUp" : "Ok",
    steps: verdicts.reduce((sum, { steps }) => sum + steps, 0),
    parts: verdicts
  }
}

/** A call or return in a doubly linked list; the head has place -1. */
interface Node {
  /** Of the operation, in its part. */
  readonly place: number
  readonly kind: "Head" | "Call" | "Return"
  readonly at: number
  /** The return of a call of known outcome. */
  readonly partner: Node | undefined
  before: Node
  after: Node | undefined
}

interface Frame<State> {
  readonly node: Node
  readonly state: State
  /** What there was to choose from; empty if there was no choice. */
  readonly successors: ReadonlyArray<State>
  readonly choice: number
}

/** One search, which owns and mutates its lists, its bitset of placed operations and its cache. */
class Search<State, Input, Output> {
  private readonly known: Node
  private readonly unknown: Node
  private readonly placed: Uint16Array
  private readonly seen = new Set<string>()
  private readonly stack: Array<Frame<State>> = []
  private readonly model: Model<State, Input, Output>
  private readonly part: Part<Input, Output>
  private readonly stepsMax: number
  private state: State
  private knownLeft: number
  private bestLeft: number
  private best: Stuck<Input, Output>
  private steps = 0

  constructor(model: Model<State, Input, Output>, part: Part<Input, Output>, stepsMax: number) {
    this.model = model
    this.part = part
    this.stepsMax = stepsMax
    this.state = model.initial
    this.placed = new Uint16Array(Math.ceil(part.operations.length / 16))
    const { known, unknown } = lists(part.operations)
    this.known = known
    this.unknown = unknown
    this.knownLeft = part.operations.filter(({ output }) => Option.isSome(output)).length
    this.bestLeft = this.knownLeft
    this.best = { longest: [], blocked: this.blocked() }
  }

  run(): PartVerdict<Input, Output> {
    this.absorb(this.model.keyOf(this.state))
    let candidate = this.first()
    while (this.knownLeft > 0) {
      if (candidate !== undefined) {
        if (this.steps === this.stepsMax) return this.verdict("GaveUp")
        this.steps++
        const { input, output } = this.part.operations[candidate.place]!
        candidate = this.place(candidate, this.model.step(this.state, input, output), 0)
      } else {
        const frame = this.stack.pop()
        if (frame === undefined) return this.verdict("Violation")
        this.takeBack(frame)
        if (frame.successors.length > 0) candidate = this.place(frame.node, frame.successors, frame.choice + 1)
      }
    }
    return { _tag: "Ok", ...this.part, steps: this.steps, order: this.order() }
  }

  /** Goes on to the first successor that was not met with the same operations placed. Returns the next candidate, from there or from here. */
  private place(node: Node, successors: ReadonlyArray<State>, from: number): Node | undefined {
    // To place an operation of unknown outcome that changes nothing is no better than not to place it.
    const here = node.partner === undefined && successors.length > 0 ? this.model.keyOf(this.state) : undefined
    for (let choice = from; choice < successors.length; choice++) {
      const next = successors[choice]!
      const key = this.model.keyOf(next)
      if (key === here) continue
      const depth = this.stack.length
      this.lift({ node, state: this.state, successors, choice })
      this.state = next
      this.absorb(key)
      const configuration = String.fromCharCode(...this.placed) + key
      if (this.seen.has(configuration)) {
        while (this.stack.length > depth) this.takeBack(this.stack.pop()!)
        continue
      }
      this.seen.add(configuration)
      if (this.knownLeft < this.bestLeft) {
        this.bestLeft = this.knownLeft
        this.best = { longest: this.order(), blocked: this.blocked() }
      }
      return this.first()
    }
    return this.next(node)
  }

  /**
   * Places all reads that fit here: in an order that explains the rest they can be moved to here, so there is no choice to make. Without this, readers that overlap
   * cost as many configurations as there are sets of them.
   */
  private absorb(key: string): void {
    const { model, part: { operations } } = this
    if (model.isRead === undefined) return
    for (let node = this.known.after; node?.kind === "Call"; node = node.after) {
      const { input, output } = operations[node.place]!
      if (Option.isNone(output) || !model.isRead(input, output.value)) continue
      if (this.steps === this.stepsMax) return
      this.steps++
      const successors = model.step(this.state, input, output)
      if (successors.length !== 1 || model.keyOf(successors[0]!) !== key) continue
      this.lift({ node, state: this.state, successors: [], choice: 0 })
    }
  }

  private lift(frame: Frame<State>): void {
    const { node } = frame
    this.stack.push(frame)
    this.flip(node.place)
    lift(node)
    if (node.partner === undefined) return
    lift(node.partner)
    this.knownLeft--
  }

  private takeBack({ node, state }: Frame<State>): void {
    if (node.partner !== undefined) {
      unlift(node.partner)
      this.knownLeft++
    }
    unlift(node)
    this.flip(node.place)
    this.state = state
  }

  /** Candidates are the calls before the first return that is left: first those of known outcome, then the others. */
  private first(): Node | undefined {
    return this.known.after?.kind === "Call" ? this.known.after : undefined
  }

  private next(node: Node): Node | undefined {
    if (node.partner !== undefined && node.after?.kind === "Call") return node.after
    const following = node.partner !== undefined ? this.unknown.after : node.after
    return following !== undefined && following.at < this.firstReturn() ? following : undefined
  }

  private firstReturn(): number {
    let node = this.known.after
    while (node?.kind === "Call") node = node.after
    return node?.at ?? Infinity
  }

  private blocked(): ReadonlyArray<Operation<Input, Output>> {
    const operations: Array<Operation<Input, Output>> = []
    for (let node = this.known.after; node?.kind === "Call"; node = node.after) {
      operations.push(this.part.operations[node.place]!)
    }
    return operations
  }

  private order(): ReadonlyArray<Operation<Input, Output>> {
    return this.stack.map(({ node }) => this.part.operations[node.place]!)
  }

  private verdict(tag: "Violation" | "GaveUp"): PartVerdict<Input, Output> {
    return { _tag: tag, ...this.part, steps: this.steps, ...this.best }
  }

  private flip(place: number): void {
    this.placed[place >> 4]! ^= 1 << (place & 15)
  }
}

const lists = (operations: ReadonlyArray<Operation<unknown, unknown>>): { known: Node; unknown: Node } => {
  const events: Array<Node> = []
  const unknown = node(-1, "Head", -Infinity, undefined)
  let last = unknown
  operations.forEach((operation, place) => {
    if (Option.isNone(operation.output)) {
      last = link(last, node(place, "Call", operation.call, undefined))
      return
    }
    const partner = node(place, "Return", operation.return, undefined)
    events.push(node(place, "Call", operation.call, partner), partner)
  })
  const known = node(-1, "Head", -Infinity, undefined)
  events.sort((a, b) => a.at - b.at).reduce(link, known)
  return { known, unknown }
}

const node = (place: number, kind: Node["kind"], at: number, partner: Node | undefined): Node => {
  const made: Node = { place, kind, at, partner, before: undefined!, after: undefined }
  made.before = made
  return made
}

const link = (before: Node, after: Node): Node => {
  before.after = after
  after.before = before
  return after
}

const lift = (node: Node): void => {
  node.before.after = node.after
  if (node.after !== undefined) node.after.before = node.before
}

/** Undoes `lift`, if all that was lifted since is back. */
const unlift = (node: Node): void => {
  node.before.after = node
  if (node.after !== undefined) node.after.before = node
}
