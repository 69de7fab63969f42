/** The properties of logs of the Raft paper, figure 3: log matching, and that a leader only appends to its own. */
import type { LogEntry, Node } from "./Cores.ts"

interface End {
  readonly term: number
  readonly index: number
  readonly entry: LogEntry | undefined
}

export class LogProperties {
  /** Where the log of each leader ended when it was last looked at, by member. */
  private readonly ends = new Map<string, End>()

  check(nodes: ReadonlyArray<Node>): void {
    for (const [at, one] of nodes.entries()) {
      this.checkAppendOnly(one)
      for (const other of nodes.slice(at + 1)) checkMatching(one, other)
    }
  }

  private checkAppendOnly(node: Node): void {
    const { core, id } = node
    if (core.role !== "Leader") return void this.ends.delete(id)
    const before = this.ends.get(id)
    if (before !== undefined && before.term === core.term && !isSame(before.entry, node.entryAt(before.index))) {
      throw new Error(`${id} leads term ${core.term} and changed its entry ${before.index}`)
    }
    const index = lastIndexOf(node)
    this.ends.set(id, { term: core.term, index, entry: node.entryAt(index) })
  }
}

const lastIndexOf = (node: Node): number => node.previousIndex + node.entries.length

const isSame = (one: LogEntry | undefined, other: LogEntry | undefined): boolean =>
  one?.term === other?.term && one?.label === other?.label

/** Two logs that have an entry of the same index and term are the same up to there. */
const checkMatching = (one: Node, other: Node): void => {
  let index = Math.min(lastIndexOf(one), lastIndexOf(other))
  while (index > 0 && one.entryAt(index)?.term !== other.entryAt(index)?.term) index--
  for (let at = index; at > 0; at--) {
    if (!isSame(one.entryAt(at), other.entryAt(at))) {
      throw new Error(`log matching: ${one.id} and ${other.id} agree at ${index} and differ at ${at}`)
    }
  }
}
