/** What faults of all kinds share: the cluster that they strike, whether they are over, how often they struck, and how they cut links and start members again. */
import type { MemberId } from "@dkv/raft"
import type { FaultKind, Options } from "./Options.ts"
import type { Prng } from "./Prng.ts"
import type { SimCluster } from "./SimCluster.ts"
import type { SimMember } from "./SimMember.ts"

export class Scene<Services> {
  readonly hits = new Map<FaultKind, number>()
  readonly cluster: SimCluster<Services>
  readonly electionTimeoutMillis: number
  /** No more faults from now on; those that are there stay. */
  isOver = false

  constructor(cluster: SimCluster<Services>, { electionTimeoutMillis }: Options) {
    this.cluster = cluster
    this.electionTimeoutMillis = electionTimeoutMillis
  }

  hit(kind: FaultKind): void {
    this.hits.set(kind, (this.hits.get(kind) ?? 0) + 1)
  }

  /** Cuts links until `later` calls back. False if there are none that were whole. */
  cutFor(cuts: ReadonlyArray<readonly [MemberId, MemberId]>, later: (task: () => void) => void): boolean {
    let isCut = false
    for (const [from, to] of cuts) isCut = this.cluster.network.cut(from, to) || isCut
    later(() => {
      // by then other cuts may have taken their place
      if (this.isOver) return
      for (const [from, to] of cuts) this.cluster.network.heal(from, to)
    })
    return isCut
  }

  /** Members that run start again at once, after a crash or a kill. */
  restart(members: ReadonlyArray<SimMember<Services>>, prng: Prng): void {
    for (const member of members) {
      if (member.machine === undefined) continue
      if (prng.chance(0.5)) member.crash()
      else member.kill()
      member.boot()
    }
  }
}

/** Both directions between every member of one side and every member of the other. */
export const pairs = (one: ReadonlyArray<MemberId>, other: ReadonlyArray<MemberId>) =>
  one.flatMap((a) => other.flatMap((b) => [[a, b] as const, [b, a] as const]))
