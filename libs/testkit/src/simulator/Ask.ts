/** A call from afar: it takes time to arrive, the answer takes time to come back, and either may never happen. */
import type { RaftNode } from "@dkv/raft"
import type { Context, Effect, Exit } from "effect"
import type { Prng } from "./Prng.ts"
import type { SimMember } from "./SimMember.ts"
import type { World } from "./World.ts"

/** Whoever asks waits so long for an answer. */
const patienceMillis = 7000

/** Time that a call and its answer take on the way between client and member. */
const hopMeanMillis = 1

/** Has `use` run at the member; `undefined` if no answer comes. */
export const ask = <Services, A, E>(
  world: World,
  prng: Prng,
  member: SimMember<Services>,
  use: (services: Context.Context<RaftNode.RaftNode | Services>) => Effect.Effect<A, E>,
  answered: (exit: Exit.Exit<A, E> | undefined) => void
): void => {
  let isOver = false
  const finish = (exit: Exit.Exit<A, E> | undefined) => {
    if (isOver) return
    isOver = true
    giveUp()
    answered(exit)
  }
  const giveUp = world.after(patienceMillis, () => finish(undefined))
  world.after(prng.exponential(hopMeanMillis), () => {
    const { machine, services } = member
    if (machine === undefined || services === undefined) return finish(undefined)
    world.schedule(() => {
      machine.fork(use(services)).addObserver((exit) => {
        world.after(prng.exponential(hopMeanMillis), () => finish(exit))
      })
    }, machine)
  })
}
