/**
 * The rare calls: who takes part in the cluster, who leads it, how a member is doing. Any member answers; those that do not lead pass a change on to the leader.
 */
import { Effect, Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

/** A member of the cluster as its configuration has it. */
export class MemberView extends Schema.Class<MemberView>("dkv/MemberView")({
  /** 16 hex digits. */
  id: Schema.String,
  name: Schema.String,
  peerAddress: Schema.String,
  /** `host:port`; empty while not known. */
  clientAddress: Schema.String,
  /** Voters decide; a witness does too, and holds no data; a learner only receives. */
  role: Schema.Literals(["voter", "learner", "witness"]),
  /** Whether the leader promotes this learner by itself once it has caught up. */
  autoPromote: Schema.Boolean,
  /** Preference in elections; 0 is normal. Members from before there was one do not tell it. */
  priority: Schema.Number.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  isLeader: Schema.Boolean
}) {}

export class MemberListView extends Schema.Class<MemberListView>("dkv/MemberListView")({
  members: Schema.Array(MemberView),
  /** Id of the leader as far as the member that answered knows. */
  leader: Schema.Option(Schema.String),
  /** A change of membership is half way: two majorities are needed at the moment. */
  isJoint: Schema.Boolean
}) {}

/** How far another member is, as the leader sees it. */
export class PeerView extends Schema.Class<PeerView>("dkv/PeerView")({
  id: Schema.String,
  name: Schema.String,
  matchIndex: Schema.Number,
  /** It answered within the last election timeout. */
  active: Schema.Boolean
}) {}

/** The state of the member that answers. */
export class StatusView extends Schema.Class<StatusView>("dkv/StatusView")({
  id: Schema.String,
  name: Schema.String,
  version: Schema.String,
  clientAddress: Schema.String,
  peerAddress: Schema.String,
  role: Schema.Literals(["Follower", "PreCandidate", "Candidate", "Leader", "Learner", "Witness"]),
  term: Schema.Number,
  leader: Schema.Option(Schema.String),
  leaderName: Schema.String,
  commitIndex: Schema.Number,
  appliedIndex: Schema.Number,
  lastIndex: Schema.Number,
  /** Last log index that was compacted away. */
  previousIndex: Schema.Number,
  members: Schema.Number,
  voters: Schema.Number,
  /** How many members hold the data of an acknowledged write, at least; witnesses hold none. */
  copies: Schema.Number,
  /** Filled on the leader. */
  peers: Schema.Array(PeerView),
  /** Why the member does not serve, if it does not. */
  fenced: Schema.Option(Schema.String)
}) {}

/** What the whole cluster goes by; replicated with who takes part. */
export class SettingsView extends Schema.Class<SettingsView>("dkv/SettingsView")({
  /** Reads need no round while a quorum is known to elect nobody else; rests on clocks that run alike. */
  leaderLeases: Schema.Boolean,
  /** What the leader does about a silent voter: nothing, a warning, or a learner that stands by takes its place too. */
  deadMembers: Schema.Literals(["off", "warn", "replace"]),
  /** How long a voter is silent before it is taken for dead. */
  deadMemberMillis: Schema.Number
}) {}

/** A client session: the log entry that opened it, and its term. */
export class SessionView extends Schema.Class<SessionView>("dkv/SessionView")({
  index: Schema.Number,
  term: Schema.Number
}) {}

/**
 * A rare call was not carried out; nothing changed unless `Unknown`.
 *
 * - `NotFound`: no such member. `Conflict`: id, name or address belongs to another member. `Invalid`: the request makes no sense; the message says why.
 * - `Pending`: another change is under way; wait for it. `NotReady`: a learner has not caught up, or the leader is new; try again soon.
 * - `NoQuorum`: the new quorum does not answer; bring it up, or force. `LastVoter`: the last voter that holds data cannot leave. `NotVoter`: only voters that hold
 *   data lead.
 * - `NoLeader`, `Busy`, `Refused`, `Lost`, `Stopped`: nothing was appended; try again, perhaps on another member. `Timeout`: leadership stayed where it was.
 * - `Unknown`: it may or may not take effect: list the members before repeating.
 */
export class AdminError extends Schema.TaggedError<AdminError>()("AdminError", {
  reason: Schema.Literals([
    "Pending",
    "NotReady",
    "NoQuorum",
    "LastVoter",
    "NotFound",
    "Conflict",
    "NotVoter",
    "NoLeader",
    "Busy",
    "Refused",
    "Stopped",
    "Lost",
    "Unknown",
    "Timeout",
    "Invalid"
  ]),
  message: Schema.String
}) {}

export type AdminReason = AdminError["reason"]

const timeoutMillis = Schema.Int

/** The calls of the `rpc` connection. `member` is a name or an id. */
export const group = RpcGroup.make(
  /** Confirmed with the leader, unless `stale`. */
  Rpc.make("MemberList", {
    payload: { stale: Schema.Boolean, timeoutMillis },
    success: MemberListView,
    error: AdminError
  }),
  /**
   * Adds a learner, which is promoted by itself unless `learnerOnly`. Without an id the new member is asked for it, and whether it is a witness; with an
   * id, `witness` says so.
   */
  Rpc.make("MemberJoin", {
    payload: {
      name: Schema.String,
      id: Schema.Option(Schema.String),
      peerAddress: Schema.String,
      clientAddress: Schema.String,
      learnerOnly: Schema.Boolean,
      witness: Schema.Boolean,
      timeoutMillis
    },
    success: MemberView,
    error: AdminError
  }),
  Rpc.make("MemberLeave", {
    payload: { member: Schema.String, force: Schema.Boolean, timeoutMillis },
    success: MemberListView,
    error: AdminError
  }),
  Rpc.make("MemberPromote", {
    payload: { member: Schema.String, force: Schema.Boolean, timeoutMillis },
    success: MemberListView,
    error: AdminError
  }),
  /** Changes what is given. Elections prefer voters of a higher priority; leadership that somebody has stays where it is. */
  Rpc.make("MemberUpdate", {
    payload: {
      member: Schema.String,
      changes: Schema.Struct({ priority: Schema.optionalKey(Schema.Number) }),
      timeoutMillis
    },
    success: MemberListView,
    error: AdminError
  }),
  /** To the most up-to-date voter when `to` is none. Succeeds with the new leader. */
  Rpc.make("LeaderTransfer", {
    payload: { to: Schema.Option(Schema.String), timeoutMillis },
    success: MemberView,
    error: AdminError
  }),
  /** Changes the settings that are given, and answers with all of them; confirmed with the leader. */
  Rpc.make("ClusterSettings", {
    payload: {
      changes: Schema.Struct({
        leaderLeases: Schema.optionalKey(Schema.Boolean),
        deadMembers: Schema.optionalKey(Schema.Literals(["off", "warn", "replace"])),
        deadMemberMillis: Schema.optionalKey(Schema.Number)
      }),
      timeoutMillis
    },
    success: SettingsView,
    error: AdminError
  }),
  /** Opens a client session for the stamps of batches. */
  Rpc.make("SessionOpen", { payload: { timeoutMillis }, success: SessionView, error: AdminError }),
  Rpc.make("Status", { success: StatusView, error: AdminError })
)
