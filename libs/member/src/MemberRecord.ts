/**
 * What a member must not forget about itself: its id, and the cluster it belongs to. One file, replaced as a whole, so that a crash at
 * any moment leaves a member that knows either everything of a step or nothing.
 */
import type { Configuration } from "@dkv/raft"
import { Context, Effect, Layer, Option, Schema } from "effect"

/**
 * The record cannot be used: damaged, of a newer format, or the disk refuses. Stop the member; the message says what to do.
 */
export class MemberRecordError extends Schema.TaggedError<MemberRecordError>()("MemberRecordError", {
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

export interface Contact {
  readonly id: string
  readonly peerAddress: string
}

export interface Record {
  /** Made once, when the data directory is new. */
  readonly memberId: string
  /** The name under which the member was first started. */
  readonly name: string
  /** It was first started as a witness. */
  readonly witness: boolean
  /** Set once, when the member is founded or let in, and never changed. */
  readonly clusterId: Option.Option<string>
  /** The first configuration of the cluster, on the members that were in it from the start. */
  readonly founding: Option.Option<Configuration.Configuration>
  /** Listed names that were silent when the cluster was founded by force: this member lets each in, once, when it comes. */
  readonly pending: ReadonlyArray<string>
  /** Who was in the cluster when this member was let in: whom it hears until raft has told it the configuration. */
  readonly contacts: ReadonlyArray<Contact>
  /** The log has been created: from then on, its absence means that votes and entries were lost. */
  readonly hasLog: boolean
}

export class MemberRecord extends Context.Service<MemberRecord, {
  /** None in a new data directory. */
  readonly load: Effect.Effect<Option.Option<Record>, MemberRecordError>
  /** Durable when it succeeds; after a failure either the old or the new record is there. */
  readonly save: (record: Record) => Effect.Effect<void, MemberRecordError>
}>()("@dkv/member/MemberRecord") {
  /** Forgets with the layer. */
  static readonly layerMemory: Layer.Layer<MemberRecord> = Layer.sync(MemberRecord, () => {
    let saved = Option.none<Record>()
    return MemberRecord.of({
      load: Effect.sync(() => saved),
      save: (record) => Effect.sync(() => void (saved = Option.some(record)))
    })
  })
}
