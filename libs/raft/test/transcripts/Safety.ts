/** The safety properties of Raft (figure 3 of the paper) over the members of a scenario: no transcript can expect what violates them. */
import type { LogEntry } from "../support/Cores.ts"
import { LogProperties } from "../support/LogProperties.ts"
import type { Script } from "../support/Script.ts"

export class Safety {
  private readonly script: Script
  private readonly leaders = new Map<number, number>()
  private readonly applied: Array<LogEntry> = []
  private readonly logs = new LogProperties()

  constructor(script: Script) {
    this.script = script
  }

  check(): void {
    this.logs.check([...this.script.nodes.values()])
    for (const [number, node] of this.script.nodes) {
      const { core } = node
      if (core.role === "Leader") {
        const other = this.leaders.get(core.term) ?? number
        if (other !== number) throw new Error(`${other} and ${number} both lead term ${core.term}`)
        if (!this.leaders.has(core.term)) this.checkComplete(number)
        this.leaders.set(core.term, number)
      }
      node.applied.forEach((entry, place) => {
        const known = this.applied[place] ??= entry
        if (known.term !== entry.term || known.label !== entry.label) {
          throw new Error(`${number} applied ${entry.label}@${entry.term} in place of ${known.label}@${known.term}`)
        }
      })
    }
  }

  /** Leader completeness: a new leader has every entry that was ever applied. */
  private checkComplete(number: number): void {
    const node = this.script.node(number)
    const missing = this.applied.findIndex((entry, place) => node.entryAt(place + 1)?.term !== entry.term)
    if (missing >= 0) throw new Error(`${number} leads without the committed entry ${missing + 1}`)
  }
}
