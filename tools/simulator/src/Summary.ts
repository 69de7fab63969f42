/** What many runs add up to: failures, how often each fault struck and each rule was looked at, and how fast it went. */
import { Events, Options, Rules } from "@dkv/testkit/simulator"
import type { Outcome } from "./Protocol.ts"

/** Whatever may strike, and what becomes of frames on their way. */
const kinds: ReadonlyArray<string> = [...Options.faultKinds, "lost", "doubled", "overtaking"]

const gaveUpShareMax = 0.01

export class Summary {
  runs = 0
  virtualMillis = 0
  readonly failures: Array<Outcome> = []
  private readonly faults = new Map<string, number>()
  private readonly rules = new Map<string, number>()
  private readonly calls = new Map<string, number>()
  private readonly events = new Map<string, number>()
  private readonly proven = new Map<string, number>()

  add(outcome: Outcome): void {
    this.runs++
    this.virtualMillis += outcome.virtualMillis
    if (outcome.failure !== null) this.failures.push(outcome)
    addAll(this.faults, outcome.faults)
    addAll(this.rules, outcome.rules)
    addAll(this.calls, outcome.calls)
    addAll(this.events, outcome.events)
    addAll(this.proven, { [outcome.proven]: 1 })
  }

  /** Kinds of fault that never struck. */
  get missed(): ReadonlyArray<string> {
    return kinds.filter((kind) => (this.faults.get(kind) ?? 0) === 0)
  }

  /** Of all histories, the share that the checker could not prove or refute: how much of the verdict rests on nothing. */
  get gaveUpShare(): number {
    return this.runs === 0 ? 0 : (this.proven.get("GaveUp") ?? 0) / this.runs
  }

  /** So many are too many. */
  get gaveUpTooOften(): boolean {
    return this.gaveUpShare > gaveUpShareMax
  }

  render(): string {
    const faults = kinds.map((kind) => [kind, this.faults.get(kind) ?? 0] as const)
    const events = Events.names.map((name) => [name, this.events.get(name) ?? 0] as const)
    const rules = [...Rules.names].sort().map((rule) => [rule, this.rules.get(rule) ?? 0] as const)
    return [
      section("faults", faults, never),
      section("what came about", events, never),
      section("looks at rules", rules, never),
      section("calls", [...this.calls].sort()),
      section("histories", [...this.proven].sort()),
      `the checker gave up on ${(100 * this.gaveUpShare).toFixed(2)} % of the histories`
    ].join("\n")
  }
}

const addAll = (to: Map<string, number>, from: Readonly<Record<string, number>>): void => {
  for (const [name, count] of Object.entries(from)) to.set(name, (to.get(name) ?? 0) + count)
}

const never = (count: number): string => count === 0 ? "   never" : ""

const section = (
  title: string,
  rows: ReadonlyArray<readonly [string, number]>,
  remark: (count: number) => string = () => ""
): string =>
  [title, ...rows.map(([name, count]) => `  ${name.padEnd(52)}${String(count).padStart(12)}${remark(count)}`)].join(
    "\n"
  )
