/** `Admission` for the client side: asks a new member on its peer port who it is, and tells it when it has been let in. */
import { Admin } from "@dkv/protocol"
import { Admission } from "@dkv/server"
import { Control } from "@dkv/transport"
import { Effect, Layer, Option } from "effect"
import * as ControlMessage from "./ControlMessage.ts"
import * as Limits from "./Limits.ts"
import * as Peers from "./Peers.ts"
import type { Self } from "./Self.ts"
import { tellAdopted } from "./Upkeep.ts"

/** For the member `self`. */
export const layer = (self: Self): Layer.Layer<never, never, Control.Control> =>
  Layer.effect(
    Admission.Admission,
    Effect.map(Control.Control, (control): Admission.Admission => ({
      identify: (name, peerAddress) =>
        Effect.provideService(identify(self, name, peerAddress), Control.Control, control),
      admitted: (member, configuration) =>
        tellAdopted(member.peerAddress, member.id, clusterOf(self), configuration).pipe(
          Effect.catch((silence) =>
            Effect.logInfo(`${member.name} has been let in and could not be told yet: ${silence.message}`)
          ),
          Effect.asVoid,
          Effect.provideService(Control.Control, control)
        )
    }))
  )

const clusterOf = (self: Self): string => Option.getOrElse(self.record().clusterId, () => "")

const conflict = (message: string) => new Admin.AdminError({ reason: "Conflict", message })

const identify = Effect.fnUntraced(function*(self: Self, name: string, peerAddress: string): Effect.fn.Return<
  Admission.Candidate,
  Admin.AdminError,
  Control.Control
> {
  const answer = yield* Peers.ask(peerAddress, {
    _tag: "Probe",
    version: ControlMessage.version,
    name: self.options.name,
    memberId: self.record().memberId
  }, Limits.probeTimeoutMillis).pipe(
    Effect.mapError((silence) =>
      new Admin.AdminError({
        reason: "NotReady",
        message:
          `${name} does not answer at ${peerAddress}: start it first, with --initial-cluster-state=existing (${silence.message})`
      })
    )
  )
  switch (answer._tag) {
    case "Uninitialised":
      if (answer.name !== name) {
        return yield* conflict(`the member at ${peerAddress} is called ${answer.name}, not ${name}`)
      }
      return { id: answer.memberId, clientAddress: answer.clientAddress, witness: answer.witness }
    case "Initialised":
      if (answer.name !== name) {
        return yield* conflict(`the member at ${peerAddress} is called ${answer.name}, not ${name}`)
      }
      if (answer.clusterId === clusterOf(self)) {
        const entry = answer.configuration.members.find((member) => member.id === answer.memberId)
        return { id: answer.memberId, clientAddress: entry?.clientAddress ?? "", witness: answer.witness }
      }
      return yield* conflict(
        `${name} at ${peerAddress} belongs to cluster ${answer.clusterId} already: stop it and remove its data directory first`
      )
    default:
      return yield* conflict(
        `${name} at ${peerAddress} refuses: ${answer._tag === "Refused" ? answer.message : "strangely"}`
      )
  }
})
