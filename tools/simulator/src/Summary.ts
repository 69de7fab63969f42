/** What many runs add up to: failures, how often each fault struck and each rule was looked at, and how fast it went. */
import { Options } from "@dkv/testkit/simulator"
import type { Outcome } from "./Protocol.ts"

export class Summary {
  runs = 0
  virtualMillis = 0
  readonly failures: Array<Outcome> = []
  private readonly faults = new Map<string, number>()
  private readonly rules = new Map<string, number>()
  private readonly calls = new Map<string, number>()
  private readonly witnesses = new Map<string, number>([["runs with witnesses", 0]])
  private readonly proven = new Map<string, number>()

  add(outcome: Outcome): void {
    this.runs++
    this.virtualMillis += outcome.virtualMillis
    if (outcome.failure !== null) this.failures.push(outcome)
    addAll(this.faults, outcome.faults)
    addAll(this.rules, outcome.rules)
    addAll(this.calls, outcome.calls)
    addAll(this.witnesses, outcome.witnesses)
    addAll(this.proven, { [outcome.proven]: 1 })
  }

  /** Kinds of fault that never struck. */
  get missed(): ReadonlyArray<string> {
    return [...Options.faultKinds, "lost", "doubled", "overtaking"].filter((kind) => (this.faults.get(kind) ?? 0) === 0)
  }

  render(): string {
    const faults = [...Options.faultKinds, "lost", "doubled", "overtaking"].map((kind) =>
      [kind, this.faults.get(kind) ?? 0] as const
    )
    return [
      section("faults", faults, (count) => count === 0 ? "   never" : ""),
      section("looks at rules", [...this.rules].sort()),
      section("witnesses", [...this.witnesses].sort()),
      section("calls", [...this.calls].sort()),
      section("histories", [...this.proven].sort())
    ].join("\n")
  }
}

const addAll = (to: Map<string, number>, from: Readonly<Record<string, number>>): void => {
  for (const [name, count] of Object.entries(from)) to.set(name, (to.get(name) ?? 0) + count)
}

const section = (
  title: string,
  rows: ReadonlyArray<readonly [string, number]>,
  remark: (count: number) => string = () => ""
): string =>
  [title, ...rows.map(([name, count]) => `  ${name.padEnd(40)}${String(count).padStart(12)}${remark(count)}`)].join(
    "\n"
  )
