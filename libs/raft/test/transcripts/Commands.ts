/** What a transcript can do: a table of commands, each a step of a `Script`. A new feature brings its own rows. */
import { EntryKind } from "../../src/core/Entry.ts"
import { InvariantViolation } from "../../src/core/Invariant.ts"
import { idOf, memberOf } from "../support/Cluster.ts"
import type { Envelope } from "../support/Cores.ts"
import { commandBytes } from "../support/Cores.ts"
import { join, leave, numberOf, promote } from "../support/Script.ts"
import type { Arguments } from "./Arguments.ts"
import * as Notation from "./Notation.ts"
import type { Scene } from "./Scene.ts"
import { arrow } from "./Trace.ts"

export interface Command {
  readonly usage: string
  readonly run: (scene: Scene, args: Arguments) => void
}

/** Whoever finds an invariant violated stops, and the others go on. Whether `action` came to its end. */
const attempt = ({ script, trace }: Scene, action: () => void): boolean => {
  try {
    action()
    return true
  } catch (error) {
    if (!(error instanceof InvariantViolation)) throw error
    const stopped = trace.stops(error.message)
    script.crash(stopped)
    script.down.add(stopped)
    return false
  }
}

/** Takes off the wire what goes over a link, and is of a kind, if these are given. */
const taken = ({ script }: Scene, args: Arguments): ReadonlyArray<Envelope> => {
  const link = args.linkIfAny()
  const kind = args.kindIfAny()
  const matches = ({ from, message, to }: Envelope) =>
    (link === undefined || (from === idOf(link[0]) && to === idOf(link[1]))) &&
    (kind === undefined || Notation.kind(message) === kind)
  const envelopes = script.wire.filter(matches)
  if (envelopes.length === 0) throw new Error("nothing of that kind is on the wire")
  script.wire = script.wire.filter((envelope) => !matches(envelope))
  return envelopes
}

export const commands: { readonly [name: string]: Command } = {
  given: {
    usage: "given 2 a@2 b@3 [term=4]: behind the founding configuration the member's log has these entries, durably",
    run: ({ script, trace }, args) => {
      const number = args.running()
      const term = args.numberOption("term")
      const node = script.node(number)
      for (const word of args.rest("an entry")) {
        const [label, entryTerm] = word.split("@")
        if (!/^\d+$/.test(entryTerm ?? "")) throw new Error(`an entry is such as a@2, not "${word}"`)
        node.disk.entries.push({
          index: node.disk.entries.length + 1,
          term: Number(entryTerm),
          kind: EntryKind.Command,
          bytes: commandBytes,
          label: label!
        })
      }
      node.disk.hardState = { term: term ?? node.disk.entries.at(-1)!.term, vote: "" }
      script.crash(number)
      trace.learn(node)
      trace.show(`${number} ${Notation.status(node)}`)
    }
  },

  // Time and timers.

  timeout: {
    usage: "timeout 1: its election timer fires, now or when it is due",
    run: ({ script }, args) => {
      const number = args.running()
      if (script.core(number).role === "Leader") throw new Error("a leader has no election timer")
      script.timeout(number)
    }
  },
  elect: {
    usage:
      "elect 1: its election timer fires, and all is delivered and synced until it leads; what it says as a leader is on the wire",
    run: ({ script }, args) => {
      const number = args.running()
      const leads = () => script.core(number).role === "Leader"
      if (leads()) throw new Error("that member leads already")
      script.timeout(number)
      script.run(leads)
      if (!leads()) throw new Error("that member was not elected")
    }
  },
  beat: {
    usage: "beat 1: its heartbeat timer fires, now or when it is due",
    run: ({ script }, args) => {
      const number = args.running()
      if (script.core(number).role !== "Leader") throw new Error("only a leader has a heartbeat timer")
      script.beat(number)
    }
  },
  pass: {
    usage: "pass 1000: time passes, timers fire, and everything is delivered and synced meanwhile",
    run: ({ script }, args) => script.pass(args.number("milliseconds"))
  },

  // The wire.

  stabilize: {
    usage: "stabilize: delivers and syncs until nothing is left to do",
    run: (scene) => {
      while (!attempt(scene, () => scene.script.run())) { /* One member less. */ }
    }
  },
  deliver: {
    usage: "deliver [1>2] [Append]: delivers what is on the wire now, but not what follows from it",
    run: (scene, args) => {
      for (const envelope of taken(scene, args)) attempt(scene, () => scene.script.deliver(envelope))
    }
  },
  drop: {
    usage: "drop [1>2] [Append]: loses what is on the wire",
    run: (scene, args) => {
      for (const envelope of taken(scene, args)) scene.trace.loses(envelope)
    }
  },
  hold: {
    usage: "hold [1>2] [Append]: keeps back what is on the wire",
    run: (scene, args) => {
      const envelopes = taken(scene, args)
      scene.held.push(...envelopes)
      for (const envelope of envelopes) scene.trace.cause(`${arrow(envelope)} held`)
    }
  },
  release: {
    usage: "release: puts back onto the wire what is kept",
    run: (scene) => {
      if (scene.held.length === 0) throw new Error("nothing is held")
      for (const envelope of scene.held) scene.trace.cause(`${arrow(envelope)} released`)
      scene.script.wire.push(...scene.held)
      scene.held = []
    }
  },
  cut: {
    usage: "cut 1>2: the link carries nothing in this direction",
    run: ({ script }, args) => void script.cuts.add(args.link().join(">"))
  },
  mend: {
    usage: "mend 1>2: the end of a cut",
    run: ({ script }, args) => {
      if (!script.cuts.delete(args.link().join(">"))) throw new Error("that link is not cut")
    }
  },
  isolate: {
    usage: "isolate 1: it hears and reaches nobody",
    run: ({ script }, args) => void script.isolated.add(args.member())
  },
  rejoin: {
    usage: "rejoin 1: the end of an isolation",
    run: ({ script }, args) => {
      if (!script.isolated.delete(args.member())) throw new Error("that member is not isolated")
    }
  },
  unreachable: {
    usage: "unreachable 1 2: member 1 notices that its link to 2 broke",
    run: ({ script }, args) => script.step(args.running(), { _tag: "Unreachable", peer: idOf(args.member()) })
  },
  connected: {
    usage: "connected 1 2: member 1 notices that its link to 2 is up",
    run: ({ script }, args) => script.step(args.running(), { _tag: "Connected", peer: idOf(args.member()) })
  },

  // Disks and processes.

  stall: {
    usage: "stall 1: its disk makes nothing durable, except by sync",
    run: ({ script }, args) => void script.stalled.add(args.member())
  },
  unstall: {
    usage: "unstall 1: the end of a stall",
    run: ({ script }, args) => {
      if (!script.stalled.delete(args.member())) throw new Error("that member's disk is not stalled")
    }
  },
  sync: {
    usage: "sync 1 [2]: its oldest writes, all or so many, become durable",
    run: ({ script }, args) => {
      const node = script.node(args.running())
      if (node.pending.length === 0) throw new Error("there is nothing to sync")
      node.sync(script.now, args.numberOr("a count", Infinity))
    }
  },
  crash: {
    usage: "crash 1: it loses what is not durable, and is down",
    run: ({ script, trace }, args) => {
      const number = args.running()
      trace.cause(`${number} crashes`)
      script.crash(number)
      script.down.add(number)
      trace.learn(script.node(number))
    }
  },
  restart: {
    usage: "restart 1: it starts again with what was durable",
    run: ({ script, trace }, args) => {
      const number = args.member()
      if (!script.down.delete(number)) throw new Error("that member is not down")
      script.crash(number)
      const node = script.node(number)
      trace.cause(`${number} restarts`)
      trace.learn(node)
      trace.milestone(node, `is ${Notation.status(node)}`)
    }
  },
  lose: {
    usage:
      "lose 2 3: of a member that is down, the log's entries from index 3 on are lost, against all promises of its disk",
    run: ({ script, trace }, args) => {
      const number = args.member()
      if (!script.down.has(number)) throw new Error("only a member that is down can lose entries")
      const { disk } = script.node(number)
      const from = args.number("an index")
      disk.entries = disk.entries.filter(({ index }) => index < from)
      trace.cause(`${number} lost its entries from ${from} on`)
    }
  },

  // Clients and operators.

  propose: {
    usage: "propose 1 x y: one group of commands",
    run: ({ script }, args) => void script.propose(args.running(), ...args.rest("a command"))
  },
  read: {
    usage: "read 1 7 8: reads that arrive together, by number",
    run: ({ script }, args) => {
      const member = args.running()
      const ids = args.rest("a read").map((word) => {
        if (!/^\d+$/.test(word)) throw new Error(`a read is a number, not "${word}"`)
        return Number(word)
      })
      script.step(member, ...ids.map((id) => ({ _tag: "Read", id }) as const))
    }
  },
  transfer: {
    usage: "transfer 1 2, or transfer 1 best: leader 1 is asked to hand over",
    run: ({ script }, args) => {
      const member = args.running()
      script.transfer(member, args.flag("best") ? 0 : args.number("a member"))
    }
  },
  join: {
    usage: "join 1 4 [auto] [replaces=3]: leader 1 is asked to take in 4 as a learner",
    run: ({ script }, args) => {
      const leader = args.running()
      const replaced = args.numberOption("replaces")
      const taken = replaced === undefined ? {} : {
        name: memberOf(replaced).name,
        peerAddress: memberOf(replaced).peerAddress,
        replaces: idOf(replaced)
      }
      const autoPromote = args.flag("auto")
      script.change(leader, join(args.number("a member"), { autoPromote, ...taken }))
    }
  },
  promote: {
    usage: "promote 1 4 [force]: leader 1 is asked to make learner 4 a voter",
    run: ({ script }, args) => {
      const force = args.flag("force")
      script.change(args.running(), promote(args.number("a member"), force))
    }
  },
  configure: {
    usage: "configure 1 leases, or configure 1 no-leases: leader 1 is asked to change what the cluster goes by",
    run: ({ script }, args) => {
      const leader = args.running()
      const leaderLeases = args.flag("leases")
      if (!leaderLeases && !args.flag("no-leases")) throw new Error("leases or no-leases is missing")
      script.change(leader, { _tag: "Configure", settings: { leaderLeases } })
    }
  },
  leave: {
    usage: "leave 1 4 [force]: leader 1 is asked to remove 4",
    run: ({ script }, args) => {
      const force = args.flag("force")
      script.change(args.running(), leave(args.number("a member"), force))
    }
  },
  compact: {
    usage: "compact 1 5: its log keeps nothing up to index 5",
    run: ({ script }, args) => {
      const node = script.node(args.running())
      const before = node.previousIndex
      node.compact(args.number("an index"), script.now)
      if (node.previousIndex === before) throw new Error("nothing was compacted")
    }
  },
  "give-up": {
    usage: "give-up 1 3: leader 1 could not deliver its snapshot to 3",
    run: ({ script }, args) => {
      const node = script.node(args.running())
      const peer = idOf(args.member())
      if (!node.transfers.some((transfer) => transfer.peer === peer)) throw new Error("no snapshot is on its way there")
      node.snapshotSent(peer, false, script.now)
    }
  },

  // Looking.

  status: {
    usage: "status [1 2]: members and their logs",
    run: ({ script, trace }, args) => {
      for (const number of args.members()) {
        const state = script.down.has(number) ? "down" : Notation.status(script.node(number))
        trace.show(`${number} ${state}`)
      }
    }
  },
  progress: {
    usage: "progress 1: what leader 1 knows of the others",
    run: ({ script, trace }, args) => {
      const { core } = script.node(args.running())
      if (core.role !== "Leader") throw new Error("only a leader follows the others' progress")
      for (const progress of core.progress.values()) {
        trace.show(`${numberOf(progress.id)} ${Notation.progress(progress)}`)
      }
    }
  },
  config: {
    usage: "config 1: the configuration in force at 1",
    run: ({ script, trace }, args) => {
      const number = args.running()
      const { configuration, configurationIndex } = script.core(number)
      trace.show(`${number} ${Notation.configuration(configuration)} at ${configurationIndex}`)
    }
  }
}
