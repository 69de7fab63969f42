/** What the commands ask of a cluster. The layer over `@dkv/client` is `ClusterClient`; tests have their own. */
import type { Admin, Operation } from "@dkv/protocol"
import { Context, Schema } from "effect"
import type { Effect, Option } from "effect"

/**
 * The cluster did not do what was asked. `Failed`: nothing was changed. `NotFound`: no such member. `Unknown`: the change may or may not have taken effect.
 * `WrongUse`: the request can never succeed.
 */
export class ClusterError extends Schema.TaggedError<ClusterError>()("ClusterError", {
  reason: Schema.Literals(["Failed", "NotFound", "Unknown", "WrongUse"]),
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

export interface Join {
  readonly name: string
  readonly id: Option.Option<string>
  readonly peerAddress: string
  readonly clientAddress: string
  readonly learnerOnly: boolean
  readonly witness: boolean
}

export interface Settings {
  readonly leaderLeases: boolean
  readonly deadMembers: "off" | "warn" | "replace"
  readonly deadMemberMillis: number
}

/** `member` is a name or an id everywhere. */
export class Cluster extends Context.Service<Cluster, {
  readonly put: (key: Uint8Array, value: Uint8Array) => Effect.Effect<Operation.PutResult, ClusterError>
  readonly delete: (key: Uint8Array) => Effect.Effect<Operation.DeleteResult, ClusterError>
  /** At most as many rows as one answer holds; `more` says that there are others. */
  readonly range: (
    range: Omit<Operation.Range, "_tag">,
    consistency: Operation.Consistency
  ) => Effect.Effect<Operation.RangeResult, ClusterError>
  readonly members: Effect.Effect<Admin.MemberListView, ClusterError>
  readonly join: (join: Join) => Effect.Effect<Admin.MemberView, ClusterError>
  readonly leave: (member: string, force: boolean) => Effect.Effect<Admin.MemberListView, ClusterError>
  readonly promote: (member: string, force: boolean) => Effect.Effect<Admin.MemberListView, ClusterError>
  /** The members, after what is given of one of them has been changed. */
  readonly update: (
    member: string,
    changes: { readonly priority?: number }
  ) => Effect.Effect<Admin.MemberListView, ClusterError>
  readonly transfer: (to: Option.Option<string>) => Effect.Effect<Admin.MemberView, ClusterError>
  /** The settings of the cluster, after those that are given have been changed. */
  readonly settings: (changes: Partial<Settings>) => Effect.Effect<Admin.SettingsView, ClusterError>
  /** The state of the member at one endpoint. */
  readonly status: (endpoint: string) => Effect.Effect<Admin.StatusView, ClusterError>
}>()("@dkv/ctl/Cluster") {}
