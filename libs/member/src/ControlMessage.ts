/**
 * What members ask each other over `Control` before, or without, being in one cluster: who are you, here is the cluster that was founded, let me in.
 * JSON, because it is rare, small, and read by people when something is wrong.
 */
import { ClusterSettings } from "@dkv/raft"
import { Effect, Schema } from "effect"

/** Changes when an older member could misread a message. Each side refuses a version that it does not know, in words. */
export const version = 2

export const Member = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  peerAddress: Schema.String,
  clientAddress: Schema.String,
  autoPromote: Schema.Boolean,
  witness: Schema.Boolean,
  priority: Schema.Number,
  replaces: Schema.optionalKey(Schema.String)
})

const Settings = Schema.Struct({
  leaderLeases: Schema.Boolean,
  deadMembers: Schema.Literals(["off", "warn", "replace"]),
  deadMemberMillis: Schema.Number
})

/** Members and records from before there were settings go by the defaults. */
export const Configuration = Schema.Struct({
  members: Schema.Array(Member),
  voters: Schema.Array(Schema.String),
  outgoing: Schema.Array(Schema.String),
  settings: Settings.pipe(Schema.withDecodingDefaultKey(Effect.succeed(ClusterSettings.defaults)))
})

/** Who are you? */
export const Probe = Schema.TaggedStruct("Probe", {
  version: Schema.Int,
  name: Schema.String,
  memberId: Schema.String
})
export type Probe = typeof Probe.Type

/** A cluster was founded, and the member `memberId` is in it from the start. */
export const Found = Schema.TaggedStruct("Found", {
  version: Schema.Int,
  memberId: Schema.String,
  clusterId: Schema.String,
  configuration: Configuration
})
export type Found = typeof Found.Type

/** The member `memberId` has been added to a cluster that was there before. */
export const Adopt = Schema.TaggedStruct("Adopt", {
  version: Schema.Int,
  memberId: Schema.String,
  clusterId: Schema.String,
  configuration: Configuration
})
export type Adopt = typeof Adopt.Type

/** A member that lost its disk asks to take the place of its former self. A member that does not lead passes it on once (`forwarded`). */
export const Join = Schema.TaggedStruct("Join", {
  version: Schema.Int,
  clusterId: Schema.String,
  member: Member,
  forwarded: Schema.Boolean
})
export type Join = typeof Join.Type

/** A member whose log has a hole asks for the committed entries `from` to `to`, or as many of them as one answer may hold. */
export const Fetch = Schema.TaggedStruct("Fetch", {
  version: Schema.Int,
  clusterId: Schema.String,
  from: Schema.Int,
  to: Schema.Int
})
export type Fetch = typeof Fetch.Type

export const Request = Schema.Union([Probe, Found, Adopt, Join, Fetch])
export type Request = typeof Request.Type

/** The member belongs to no cluster yet. `initialCluster` is the list that it was started with, as `NAME=ADDRESS`; `witness`, that it was started as one. */
export const Uninitialised = Schema.TaggedStruct("Uninitialised", {
  memberId: Schema.String,
  name: Schema.String,
  witness: Schema.Boolean,
  clientAddress: Schema.String,
  initialCluster: Schema.Array(Schema.String)
})
export type Uninitialised = typeof Uninitialised.Type

/** The member belongs to a cluster. */
export const Initialised = Schema.TaggedStruct("Initialised", {
  memberId: Schema.String,
  name: Schema.String,
  witness: Schema.Boolean,
  clusterId: Schema.String,
  /** The configuration that the cluster was founded with, if this member was there. */
  founding: Schema.OptionFromNullOr(Configuration),
  /** As far as this member knows; empty while it is starting. */
  configuration: Configuration,
  commitIndex: Schema.Number,
  term: Schema.Number,
  isLeader: Schema.Boolean,
  /** Ids that the cluster had before this member took it over after the loss of its quorum. */
  formerClusters: Schema.optionalKey(Schema.Array(Schema.String))
})
export type Initialised = typeof Initialised.Type

/** Entries of the log, one behind the other. */
export const Fetched = Schema.TaggedStruct("Fetched", {
  entries: Schema.Array(Schema.Struct({
    index: Schema.Int,
    term: Schema.Int,
    kind: Schema.Int,
    data: Schema.Uint8ArrayFromBase64
  }))
})
export type Fetched = typeof Fetched.Type

export const Accepted = Schema.TaggedStruct("Accepted", {})

/**
 * - `Unsupported`: the other side does not know this version or kind of message. - `OtherMember`: the address belongs to another member id now.
 * - `OtherCluster`: the member belongs to another cluster. - `NotReady`: no leader yet, or the membership is being changed; ask again.
 * - `InUse`: the member whose place is asked for is alive. - `Invalid`: the request makes no sense.
 */
export const Refused = Schema.TaggedStruct("Refused", {
  reason: Schema.Literals(["Unsupported", "OtherMember", "OtherCluster", "NotReady", "InUse", "Invalid"]),
  message: Schema.String
})
export type Refused = typeof Refused.Type

export const Answer = Schema.Union([Uninitialised, Initialised, Fetched, Accepted, Refused])
export type Answer = typeof Answer.Type

export const accepted: Answer = { _tag: "Accepted" }

export const refused = (reason: Refused["reason"], message: string): Answer => ({ _tag: "Refused", reason, message })

const codec = <S extends Schema.Codec<unknown, unknown>>(schema: S) => {
  const json = Schema.fromJsonString(schema)
  const encode = Schema.encodeSync(json)
  const decode = Schema.decodeUnknownResult(json)
  return {
    encode: (message: S["Type"]): Uint8Array => new TextEncoder().encode(encode(message) as string),
    decode: (bytes: Uint8Array) => decode(new TextDecoder().decode(bytes))
  }
}

const request = codec(Request)
const answer = codec(Answer)

export const encodeRequest = request.encode
export const encodeAnswer = answer.encode
export const decodeRequest = (bytes: Uint8Array) => Effect.fromResult(request.decode(bytes))
export const decodeAnswer = (bytes: Uint8Array) => Effect.fromResult(answer.decode(bytes))
