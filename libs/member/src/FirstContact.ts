/**
 * Whom to hear besides those in raft's own configuration. A member that was let in has an empty log, and one that was away has an old one: neither knows
 * the members that came since, and if one of these leads, raft's transport would refuse the only voice that could tell of it. So while no leader of the own
 * configuration is heard, the members that the others name are heard and reached too (dissertation §4.1: who speaks is not checked against the configuration).
 */
import { Transport } from "@dkv/raft"
import type { Control } from "@dkv/transport"
import { Effect, Layer, Option, Semaphore } from "effect"
import * as ControlMessage from "./ControlMessage.ts"
import { newest } from "./Decision.ts"
import * as Limits from "./Limits.ts"
import * as Peers from "./Peers.ts"
import { contactsOf } from "./Self.ts"
import type { Self } from "./Self.ts"

/** The transport of a member that may not know who is in its cluster. */
export const layer = (self: Self): Layer.Layer<Transport.Transport, never, Transport.Transport | Control.Control> =>
  Layer.effect(
    Transport.Transport,
    Effect.gen(function*() {
      const transport = yield* Transport.Transport
      const oneAtATime = yield* Semaphore.make(1)
      /** Whom raft knows, and whom others have named. */
      let known: ReadonlyArray<Transport.Peer> = []
      let named = self.record().contacts
      const { memberId } = self.record()

      const apply = oneAtATime.withPermit(Effect.suspend(() => {
        const all = new Map(named.map(({ id, peerAddress }) => [id, peerAddress]))
        for (const { address, id } of known) all.set(id, address)
        all.delete(memberId)
        return transport.setPeers(Array.from(all, ([id, address]) => ({ id, address })))
      }))

      const look = Effect.gen(function*() {
        const status = yield* self.node()?.status ?? Effect.undefined
        const leader = status === undefined ? undefined : Option.getOrUndefined(status.leader)
        if (leader === memberId || known.some(({ id }) => id === leader)) {
          if (named.length === 0) return
          named = []
          return yield* apply
        }
        if (leader !== undefined) return
        const answer = yield* ask(self, [
          ...known.map(({ address }) => address),
          ...named.map(({ peerAddress }) => peerAddress)
        ])
        if (answer === undefined) return
        named = contactsOf(answer.configuration)
        yield* apply
      })
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(Limits.contactsMillis), look)))

      return Transport.Transport.of({
        ...transport,
        setPeers: (peers) =>
          Effect.suspend(() => {
            known = peers
            return apply
          })
      })
    })
  )

/** The most recent picture of the cluster among those of the members at `addresses` and of the listed ones. */
const ask = Effect.fnUntraced(function*(self: Self, addresses: ReadonlyArray<string>) {
  const { initialCluster, name, peerAddress } = self.options
  const request = { _tag: "Probe", version: ControlMessage.version, name, memberId: self.record().memberId } as const
  const all = new Set([...addresses, ...initialCluster.map((listed) => listed.peerAddress)])
  all.delete(peerAddress)
  const answers = yield* Effect.forEach(
    all,
    (address) => Effect.option(Peers.ask(address, request, Limits.probeTimeoutMillis)),
    { concurrency: "unbounded" }
  )
  const clusterId = Option.getOrUndefined(self.record().clusterId)
  const told = answers.flatMap((answer) =>
    Option.isSome(answer) && answer.value._tag === "Initialised" && answer.value.clusterId === clusterId &&
      answer.value.configuration.members.length > 0
      ? [answer.value]
      : []
  )
  return told.length === 0 ? undefined : newest(told)
})
