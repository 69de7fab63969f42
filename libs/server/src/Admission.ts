/**
 * How a member that is to join becomes known. Its id is its own, drawn when its data directory was made, so whoever lets it in by name and address
 * asks it first; and it waits to be told. Supplied by whoever composes the member.
 */
import { Admin } from "@dkv/protocol"
import type { Configuration } from "@dkv/raft"
import { Context, Effect } from "effect"

export interface Candidate {
  /** 16 hex digits. */
  readonly id: string
  /** As it was started; empty while not known. */
  readonly clientAddress: string
  /** As it was started. */
  readonly witness: boolean
}

export interface Admission {
  /** Asks the member at `peerAddress` who it is. Fails if nobody answers, if it has another name, or belongs to a cluster already. */
  readonly identify: (name: string, peerAddress: string) => Effect.Effect<Candidate, Admin.AdminError>
  /** Tells it that it has been let in. It finds out by itself too, if this does not reach it. */
  readonly admitted: (member: Configuration.Member, configuration: Configuration.Configuration) => Effect.Effect<void>
}

/** Without one, a member can only be let in by its id. */
export const Admission: Context.Reference<Admission> = Context.Reference<Admission>("@dkv/server/Admission", {
  defaultValue: () => ({
    identify: (name) =>
      Effect.fail(
        new Admin.AdminError({
          reason: "Invalid",
          message: `this member cannot ask ${name} for its id: name the id as well`
        })
      ),
    admitted: () => Effect.void
  })
})
