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

export interface Damage {
  readonly memberId: string
  /** What was found, where. */
  readonly reason: string
}

export interface Record {
  /** Made when the data directory is new, and again when damaged data was given up: nobody may take what comes then for what has voted before. */
  readonly memberId: string
  /** The name under which the member was first started. */
  readonly name: string
  /** It was first started as a witness. */
  readonly witness: boolean
  /** Set once, when the member is founded or let in; only taking the cluster over after the loss of its quorum changes it. */
  readonly clusterId: Option.Option<string>
  /** The first configuration of the cluster, on the members that were in it from the start. */
  readonly founding: Option.Option<Configuration.Configuration>
  /** Listed names that were silent when the cluster was founded by force: this member lets each in, once, when it comes. */
  readonly pending: ReadonlyArray<string>
  /** Who was in the cluster when this member was let in: whom it hears until raft has told it the configuration. */
  readonly contacts: ReadonlyArray<Contact>
  /** The log has been created: from then on, its absence means that votes and entries were lost. */
  readonly hasLog: boolean
  /** The data is damaged: the member asks for its place under the new id `memberId`, which may be in the cluster already. Then the data is put away. */
  readonly rebuild: Option.Option<Damage>
  /** Whose data lies put away as damaged, and why; only for people to read. */
  readonly damaged: Option.Option<Damage>
  /** An operator has decided that this member goes on alone, as the cluster of this id; log and state have yet to be made so. */
  readonly takeOver: Option.Option<string>
  /** Ids that the cluster had before it was taken over: who still has one of them has been given up. */
  readonly formerClusters: ReadonlyArray<string>
}

/** What a new member knows. */
export const fresh = (memberId: string, name: string, witness: boolean): Record => ({
  memberId,
  name,
  witness,
  clusterId: Option.none(),
  founding: Option.none(),
  pending: [],
  contacts: [],
  hasLog: false,
  rebuild: Option.none(),
  damaged: Option.none(),
  takeOver: Option.none(),
  formerClusters: []
})

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
