/**
 * What a run is like: everything is drawn from the seed, "none" of a fault included, so that each fault is also seen without the others, and the cluster without any (swarm
 * testing; Groce et al., ISSTA 2012).
 */
import type { ClusterSettings, RaftNode } from "@dkv/raft"
import { clockDriftMax } from "@dkv/raft/core/Lease"
import type { Prng } from "./Prng.ts"
import type { NetworkOptions } from "./SimNetwork.ts"
import type { SocketOptions } from "./SimSockets.ts"

export interface Options {
  readonly members: number
  readonly millis: number
  readonly operations: number
  readonly clients: number
  /** Callers of each client; each waits for its answer before it calls again. */
  readonly callers: number
  /** Share of the clients that are given one endpoint only. */
  readonly loyal: number
  readonly keys: number
  readonly shuffle: boolean
  readonly electionTimeoutMillis: number
  readonly heartbeatMillis: number
  readonly trailingEntries: number
  readonly compactAfterBytes: number
  /** What may wait in a member, or be on its way, where that is little. */
  readonly capacity: NonNullable<RaftNode.Options["capacity"]>
  /** Entries of one append message. */
  readonly messageEntriesMax: number
  readonly segmentBytes: number
  /** The cluster is founded with leader leases on; else they stay off. */
  readonly leaderLeases: boolean
  readonly deadMembers: ClusterSettings.DeadMembers
  /** Founding members differ in priority. */
  readonly priorities: boolean
  /** How much faster or slower than the world's time a member's clock runs at most; leases ask for a bound. */
  readonly clockDrift: number
  /** Time that a sync takes. */
  readonly syncMillis: number
  readonly network: NetworkOptions
  readonly sockets: SocketOptions
  /**
   * Mean time between two faults of a kind, of all members together; for `topple`, `seesaw`, `freeze` and `revote`, from an election to the end of whoever won it; for `reform`,
   * from the beginning of a joint configuration to the cut. Infinity for none.
   */
  readonly meanMillis: { readonly [Kind in FaultKind]: number }
  /** Of the founding members, those that hold no data; where there are some, some of those that join hold none either. */
  readonly witnesses: number
}

export const faultKinds = [
  "crash",
  "kill",
  "pause",
  "partition",
  "isolate",
  "oneWay",
  "clog",
  "swizzle",
  "slowDisk",
  "failSync",
  "failDisk",
  "slowState",
  "failState",
  "wallJump",
  "transfer",
  "join",
  "leave",
  "lostDisk",
  "fullDisk",
  "crashLoop",
  "blackout",
  "configure",
  "stop",
  "cutClient",
  "clogClient",
  "resetClient",
  "pauseClient",
  "killClient",
  "crashClient",
  "closeClient",
  "topple",
  "seesaw",
  "revote",
  "freeze",
  "reform",
  "promote",
  "rot",
  "misdirect"
] as const
export type FaultKind = (typeof faultKinds)[number]

/** Kinds that strike after something else, and not on their own. */
export type FollowUp = "topple" | "seesaw" | "revote" | "freeze" | "reform"
export const isFollowUp = (kind: FaultKind): kind is FollowUp =>
  kind === "topple" || kind === "seesaw" || kind === "revote" || kind === "freeze" || kind === "reform"

const none = Object.fromEntries(faultKinds.map((kind) => [kind, Infinity])) as Options["meanMillis"]

/** As much room as a member has by default. */
const plenty: Options["capacity"] = {}

/** What a run can do without, to find out what a failure needs. */
export const parts = [
  ...faultKinds,
  "loss",
  "duplicate",
  "reorder",
  "shuffle",
  "leases",
  "witnesses",
  "littleRoom"
] as const
export type Part = (typeof parts)[number]

/** The same run without some of what makes it hard. */
export const without = (options: Options, left: ReadonlyArray<Part>): Options => {
  const { loss, duplicate, reorder } = options.network
  const unless = (part: Part, value: number) => left.includes(part) ? 0 : value
  const meanMillis = Object.fromEntries(
    faultKinds.map((kind) => [kind, left.includes(kind) ? Infinity : options.meanMillis[kind]])
  ) as Options["meanMillis"]
  return {
    ...options,
    shuffle: options.shuffle && !left.includes("shuffle"),
    leaderLeases: options.leaderLeases && !left.includes("leases"),
    network: {
      ...options.network,
      loss: unless("loss", loss),
      duplicate: unless("duplicate", duplicate),
      reorder: unless("reorder", reorder)
    },
    meanMillis,
    witnesses: unless("witnesses", options.witnesses),
    capacity: left.includes("littleRoom") ? plenty : options.capacity
  }
}

/** Whether calls may have to wait for others, and be turned away meanwhile. */
export const hasLittleRoom = (capacity: Options["capacity"]): boolean => capacity !== plenty

/** Whether nothing goes wrong in the run but what time brings: then every call must be carried out. */
export const isCalm = ({ capacity, meanMillis, network: { duplicate, loss, reorder } }: Options): boolean =>
  !hasLittleRoom(capacity) && loss === 0 && duplicate === 0 && reorder === 0 &&
  faultKinds.every((kind) => meanMillis[kind] === Infinity)

/** Which part of the kinds of fault that strike on their own a steady run has: none, one or two, some, many. */
const shares = [0, 0.05, 0.15, 0.4, 0.4]

export const draw = (prng: Prng): Options => {
  const steady = drawSteady(prng)
  const options = prng.chance(0.5) ? turbulent(prng, steady) : steady
  return prng.chance(0.2) ? { ...options, capacity: littleRoom(prng) } : options
}

/** A few callers are to meet the limits that are made for a hundred thousand. */
const littleRoom = (prng: Prng): Options["capacity"] => ({
  proposalsMax: 2 + prng.below(3),
  readsMax: 1 + prng.below(3),
  peerFramesMax: 1 + prng.below(3),
  pendingAppendsMax: 1 + prng.below(3),
  windowMessagesMax: 1 + prng.below(8)
})

/**
 * What the hard cases of elections, reads, changes of members and repair are made of, with hardly anything else to disturb them: many faults at once only blur them.
 *
 * - `topple`: one leader after another falls shortly after its election, with entries on few members (figure 8 of the Raft paper).
 * - `seesaw`: what a leader writes reaches one other member, often one that has led before: entries are replaced in one log, and live on in another.
 * - `freeze`: leaders are left in the belief that they lead, while many read.
 * - `revote`: voters start again right after their vote, and leaders are forgotten by everybody at once.
 * - `reform`: voters are replaced, and while both halves of a joint configuration are asked, a cut leaves a majority of each alone.
 * - `decay`: disks rot, that of the leader more often than others, and somebody new is told what stands there.
 */
const turbulent = (prng: Prng, options: Options): Options => {
  const regime = prng.pick(["topple", "seesaw", "freeze", "revote", "reform", "decay"] as const)
  const hopMillis = options.network.delayMeanMillis + options.syncMillis
  const hops = (counts: ReadonlyArray<number>) => hopMillis * prng.pick(counts)
  // a lease has to last longer than it takes to start again and be elected
  const electionTimeoutMillis = regime === "revote" ? 1000 : 300
  const members = regime === "revote" ? 5 : prng.pick([3, 3, 5])
  const calm = {
    ...options,
    millis: 60_000,
    operations: 300,
    clients: 1 + prng.below(2),
    members,
    witnesses: 0,
    electionTimeoutMillis,
    heartbeatMillis: electionTimeoutMillis / 10,
    messageEntriesMax: 1
  }
  const means = { ...none, kill: prng.chance(0.2) ? 5000 : Infinity }
  // fewer voters that may be elected, and fewer copies
  const withWitnesses = { ...calm, witnesses: prng.chance(0.25) ? 1 + prng.below((members - 1) / 2) : 0 }
  switch (regime) {
    case "topple":
      return { ...withWitnesses, meanMillis: { ...means, topple: hops([1, 3, 10]) } }
    case "seesaw": {
      // of three members, two are enough
      const writers = { operations: 900, clients: 4, callers: 3, members: 5 }
      return { ...calm, ...writers, meanMillis: { ...means, seesaw: hops([10, 30]) } }
    }
    case "freeze": {
      const readers = { millis: 30_000, operations: 900, clients: 4, callers: 3, keys: 2 }
      return { ...withWitnesses, ...readers, meanMillis: { ...means, freeze: prng.pick([300, 1000]) } }
    }
    case "revote":
      // of three, nobody is elected in a term that the other one has voted in
      return { ...withWitnesses, meanMillis: { ...means, revote: hops([3, 10, 30]) } }
    case "reform":
      return { ...calm, meanMillis: { ...means, reform: hops([0.1, 0.3, 1]) } }
    case "decay":
      return {
        ...withWitnesses,
        // a disk with the only copy may not go bad
        witnesses: members === 5 ? Math.min(1, withWitnesses.witnesses) : 0,
        millis: 30_000,
        meanMillis: { ...means, rot: 2000, misdirect: 4000, promote: 4000 }
      }
  }
}

const drawSteady = (prng: Prng): Options => {
  const orNone = (value: number) => prng.chance(0.5) ? value : 0
  const share = prng.pick(shares)
  const noise = share === 0 ? 0.3 : 0.5
  const orQuiet = (value: number) => prng.chance(noise) ? value : 0
  const electionTimeoutMillis = prng.pick([300, 1000, 1000])
  const delayMinMillis = prng.between(0.05, 5)
  const meanMillis = Object.fromEntries(
    faultKinds.map((kind) => [kind, !isFollowUp(kind) && prng.chance(share) ? prng.between(1500, 15_000) : Infinity])
  ) as Options["meanMillis"]
  const members = prng.pick([1, 3, 3, 3, 4, 5, 5])
  return {
    members,
    millis: 30_000,
    operations: 300 + prng.below(200),
    clients: 1 + prng.below(4),
    callers: 1 + prng.below(3),
    loyal: orNone(prng.next()),
    keys: 1 + prng.below(6),
    shuffle: prng.chance(0.7),
    electionTimeoutMillis,
    heartbeatMillis: electionTimeoutMillis / 10,
    trailingEntries: prng.pick([0, 5, 50, 10_000]),
    compactAfterBytes: prng.pick([500, 5000, 64 * 1024 * 1024]),
    capacity: plenty,
    messageEntriesMax: prng.pick([1, 4, 65_536, 65_536]),
    segmentBytes: prng.pick([4096, 65_536, 64 * 1024 * 1024]),
    syncMillis: prng.pick([0, 0.2, 1, 5]),
    network: {
      delayMinMillis,
      delayMeanMillis: delayMinMillis + prng.between(0.1, 20),
      loss: orQuiet(prng.between(0, 0.1)),
      duplicate: orQuiet(prng.between(0, 0.1)),
      reorder: orQuiet(prng.between(0, 0.2))
    },
    sockets: {
      delayMinMillis: prng.between(0.05, 5),
      delayMeanMillis: prng.between(5, 15),
      segmentBytesMax: prng.pick([8, 64, 1460, 1460, 1460, 1460, 1460, 1460]),
      windowBytes: prng.pick([64, 4096, 65_536])
    },
    meanMillis,
    ...clocks(prng),
    witnesses: members > 1 && prng.chance(0.4) ? prng.pick([1, 1, 1 + prng.below(members - 1)]) : 0,
    deadMembers: prng.pick(["off", "warn", "replace"]),
    priorities: prng.chance(0.3)
  }
}

/** Leases ask for clocks that run alike; without them any clock will do. */
const clocks = (prng: Prng): Pick<Options, "leaderLeases" | "clockDrift"> => {
  const leaderLeases = prng.chance(0.5)
  return { leaderLeases, clockDrift: prng.between(0, leaderLeases ? clockDriftMax : 0.2) }
}
