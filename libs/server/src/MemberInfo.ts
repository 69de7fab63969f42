/** What a member knows about itself and raft does not. Supplied by whoever composes the member. */
import { Context } from "effect"
import type { Effect, Option } from "effect"

export class MemberInfo extends Context.Service<MemberInfo, {
  readonly name: string
  /** Version of the program. */
  readonly version: string
  /** `host:port` that clients are told. */
  readonly clientAddress: string
  /** `host:port` that other members dial. */
  readonly peerAddress: string
  /** Why the member serves nothing although it is up, if so. */
  readonly fenced: Effect.Effect<Option.Option<string>>
}>()("@dkv/server/MemberInfo") {}
