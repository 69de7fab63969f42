/** That each rule of the simulator can be broken, and says so: by what members, their disks and clients never do. A rule without a case fails here. */
import { ClientError } from "@dkv/client"
import type { Kv } from "@dkv/kv"
import { RaftNode } from "@dkv/raft"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option } from "effect"
import * as Aftermath from "../src/simulator/Aftermath.ts"
import { Options, Prng, Rules, SimCluster, Stack, World } from "../src/simulator/index.ts"
import type { SimClient, SimMember } from "../src/simulator/index.ts"
import { counter, load } from "./examples/Counter.ts"
import { a, b, c, d, empty, entries, entry, make, of, reform } from "./simulatorParts.ts"

type Case = () => string | undefined

/** What is broken once members that never were have done something. */
const madeUp = (happen: (made: ReturnType<typeof make>) => void): Case => () => {
  const made = make()
  happen(made)
  return made.watch.rules.violation
}

/** The same, with one that was elected in term 1 before. */
const led = (happen: (made: ReturnType<typeof make>) => void): Case =>
  madeUp((made) => {
    elect(made, a, 1)
    happen(made)
  })

const elect = ({ say, stand, vote }: ReturnType<typeof make>, id: string, term: number): void => {
  for (const voter of [a, b, c]) vote(voter, term, id)
  stand(id, term)
  say(id, term, [])
}

const nothing = [...Options.faultKinds, "loss", "duplicate", "reorder", "leases", "witnesses", "littleRoom"] as const
const options: Options.Options = {
  ...Options.without(Options.draw(new Prng.Prng(1)), nothing),
  members: 1,
  clients: 1,
  callers: 1,
  loyal: 0
}

/** Until something is so, for a while. */
const advance = <Services>({ watch: { rules }, world }: SimCluster.SimCluster<Services>, isSo = () => false): void => {
  while (!isSo() && rules.violation === undefined && world.now < options.millis) assert.isTrue(world.step())
}

type Raft = Parameters<SimState["layer"]>[0]
type SimState = Stack.State<never>

/** What is broken once something was asked of a member that runs alone, and is not what it should be. */
const alone = (
  spoilt: (raft: Raft) => Raft,
  ask: (member: SimMember.SimMember, cluster: SimCluster.SimCluster) => void
): Case =>
() => {
  const state = (): SimState => {
    const sound = Stack.volatile(counter)()
    return { ...sound, layer: (raft, port) => sound.layer(spoilt(raft), port) }
  }
  const cluster = new SimCluster.SimCluster(1, { ...Stack.kv, state, load }, options, undefined)
  const member = cluster.members[0]!
  member.boot()
  advance(cluster, () => member.services !== undefined)
  if (member.services !== undefined) ask(member, cluster)
  advance(cluster)
  return cluster.watch.rules.violation
}

const withNode = (spoilt: Partial<RaftNode.RaftNode["Service"]>) => (raft: Raft): Raft =>
  Layer.effect(
    RaftNode.RaftNode,
    Effect.map(Effect.service(RaftNode.RaftNode), (node) => ({ ...node, ...spoilt }))
  ).pipe(Layer.provide(raft))

const endless = Layer.effectDiscard(Effect.acquireRelease(Effect.void, () => Effect.never))

/** What is broken once somebody calls through a client that is not what it should be. */
const client = (
  spoil: (client: SimClient.SimClient, cluster: SimCluster.SimCluster<Kv.Kv>) => void,
  prepare: (cluster: SimCluster.SimCluster<Kv.Kv>) => void = () => {}
): Case =>
() => {
  const cluster = new SimCluster.SimCluster(1, Stack.kv, options, undefined)
  prepare(cluster)
  const clients = Stack.kv.load(cluster, options)
  const spoilt = cluster.clients[0]!
  advance(cluster, () => spoilt.isUp)
  spoil(spoilt, cluster)
  advance(cluster)
  return cluster.watch.rules.violation ?? clients.verdict().failure
}

/** Callers are answered by this, and are told that they cannot be where it says nothing. */
const answering = (client: SimClient.SimClient, some: Partial<SimClient.Service>): void => {
  const refuse = () => Effect.fail(new ClientError({ reason: "Unavailable", message: "" }))
  const [get, put, range, members] = [refuse, refuse, refuse, refuse]
  const writes = { delete: refuse, compareAndSwap: refuse, compareAndDelete: refuse }
  const service = { get, put, range, members, ...writes, ...some } as SimClient.Service
  client.call = (_, use, answered) => answered(Effect.runSyncExit(use(service)))
}

/** Puts are carried out, and this is what a read of one key shows that need not show everything. */
const showing = (shown: Effect.Success<ReturnType<SimClient.Service["get"]>>): Case =>
  client((client) => {
    let revision = 1
    answering(client, {
      put: () => Effect.sync(() => ({ _tag: "Put", revision: ++revision })),
      get: (_, asked) =>
        asked?.consistency === undefined
          ? Effect.fail(new ClientError({ reason: "Unavailable", message: "" }))
          : Effect.succeed(shown)
    })
  })

const cases: { readonly [Rule in Rules.Rule]: Case } = {
  "election safety": led(({ say }) => say(b, 1, [])),
  "leader completeness": led((made) => {
    made.watch.apply(a, [entry(1, 1)], [new Uint8Array()])
    elect(made, b, 2)
  }),
  "log matching": madeUp(({ append }) => {
    append(a, [entry(1, 1, "one")])
    append(b, [entry(1, 1, "two")])
  }),
  "state machine safety": madeUp(({ watch }) => {
    watch.apply(a, [entry(1, 1, "one")], [new Uint8Array()])
    watch.apply(b, [entry(1, 1, "two")], [new Uint8Array()])
  }),
  "a vote is durable before it is told": madeUp(({ send }) => {
    send(b, a, { _tag: "VoteReply", term: 1, preVote: false, granted: true })
  }),
  "one vote per term": madeUp(({ vote }) => {
    vote(c, 1, a)
    vote(c, 1, b)
  }),
  "a leader's own vote is durable": madeUp(({ say }) => say(a, 1, [])),
  "a quorum of durable votes elects": madeUp(({ say, vote }) => {
    vote(a, 1, a)
    say(a, 1, [])
  }),
  "nobody leads after a leader that has a lease": led((made) => {
    elect(made, b, 2)
    made.status(a, { role: "Leader", term: 1, hasLease: true })
  }),
  "an acknowledgement follows its sync": madeUp(({ acknowledge }) => acknowledge(b, 0, 1)),
  "an answer's term is durable": madeUp(({ acknowledge }) => acknowledge(b, 1, 0)),
  "a quorum holds what is committed": led(({ append, status }) => {
    append(a, [entry(1, 1)])
    status(a, { role: "Leader", term: 1, commitIndex: 1 })
  }),
  "there are as many copies as promised": led(({ append, status }) => {
    for (const id of [a, b]) append(id, [entry(1, 1)])
    status(a, { role: "Leader", term: 1, commitIndex: 1, copies: 3 })
  }),
  "quorums of one configuration and the next overlap": madeUp(({ append }) => {
    for (const id of [b, c, a]) append(id, [reform(1, of([a, b, c]))])
    append(a, [reform(2, of([a, d]))])
  }),
  "a witness holds no data": madeUp(({ append, watch }) => {
    watch.disks.witnesses.add(d)
    append(d, [entry(1, 1, "data")])
  }),
  "a witness is told of what a disk holds with its data": led(({ say, watch }) => {
    watch.disks.witnesses.add(d)
    say(a, 1, [entry(1, 1)])
  }),
  "terms grow": madeUp(({ vote }) => {
    vote(a, 2, "")
    vote(a, 1, "")
  }),
  "the commit index grows": madeUp(({ status }) => {
    status(a, { commitIndex: 2 })
    status(a, { commitIndex: 1 })
  }),
  "applied indexes grow": madeUp(({ watch }) => {
    watch.apply(a, [entry(2, 1), entry(1, 1)], [new Uint8Array(), new Uint8Array()])
  }),
  "what is applied is committed": madeUp(({ status }) => status(a, { commitIndex: 1, appliedIndex: 2 })),
  "term and vote survive a restart": madeUp(({ vote, watch }) => {
    vote(a, 1, a)
    watch.booted(a, empty)
  }),
  "what was synced survives a restart": madeUp(({ append, watch }) => {
    append(a, entries(1, 2, 1))
    watch.booted(a, empty)
  }),
  "what is read is what was written": madeUp(({ append, watch }) => {
    append(a, [entry(1, 1, "one")])
    watch.disks.read(a, [entry(1, 1, "two")])
  }),
  "a member stops for a reason": alone(withNode({ stopped: Effect.die("for none") }), () => {}),
  "a member that is asked to stop does so in time": alone(
    (raft) => Layer.merge(raft, endless),
    (member) => member.stop()
  ),
  "queues stay within their limits": madeUp(({ watch }) => watch.gauges(a, [{ name: "queue", value: 2, limit: 1 }])),
  "members that applied the same hold the same": () => {
    const [rules, world] = [new Rules.Rules(), new World.World(1, { shuffle: false })]
    const machine = world.machine()
    const members = ["one", "two"].map((text) => ({ id: a, machine, contents: Effect.succeed(text) }))
    Aftermath.compare(members as unknown as ReadonlyArray<SimMember.SimMember>, rules, () => {})
    world.step()
    return rules.violation
  },
  "a change is answered by its deadline": alone(
    withNode({ transferLeadership: () => Effect.never }),
    ({ id }, { operator }) => operator.transfer(id)
  ),
  "a proposal that is turned down never takes effect": madeUp(({ watch }) => {
    const commands = watch.propose([new Uint8Array(1)])
    watch.writing(a, [{ _tag: "Append", entries: [{ ...entry(1, 1), data: commands[0]! }] }])
    watch.turnDown(a, commands, "")
    watch.apply(b, [entry(1, 1)], [new Uint8Array()])
  }),
  "a call ends by its deadline": client((client) => client.call = () => {}),
  "a call is carried out where nothing fails": client((client, { watch }) => {
    watch.termLed = 1
    answering(client, {})
  }),
  "a stale read shows what was there once": showing(
    Option.some({
      key: new TextEncoder().encode("k0"),
      value: new TextEncoder().encode("nobody's"),
      createRevision: 1,
      modRevision: 1,
      version: 1,
      lease: 0
    })
  ),
  "a bounded read shows what was acknowledged so long before": showing(Option.none()),
  "a call fails in words that fit": client((client) => {
    client.call = (_, _use, answered) => answered(Exit.die("for no reason"))
  }),
  "a client that closes ends its calls": client((client, cluster) => {
    let isAsked = false
    const asked = Effect.andThen(Effect.sync(() => void (isAsked = true)), Effect.never)
    client.call("hot", () => asked, () => {})
    advance(cluster, () => isAsked)
    client.close()
  }),
  "a client that is asked to close does so in time": client((client) => client.close(), ({ sockets }) => {
    const sound = sockets.layer.bind(sockets)
    sockets.layer = (place, machine) => Layer.merge(sound(place, machine), endless)
  })
}

describe("a rule that is broken says so", () => {
  for (const rule of Rules.names) it(rule, () => assert.strictEqual(cases[rule]()?.split(": ")[0], rule))
})
