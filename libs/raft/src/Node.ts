/** Puts a member together: recovers log and state, starts the actors, runs one role after another until the scope closes. */
import { Clock, Deferred, Effect, Exit, Option, PubSub, Random, Scope, Stream } from "effect"
import * as Applier from "./Applier.ts"
import { Changes, type ChangeReason } from "./Changes.ts"
import * as ConfigurationCodec from "./codec/ConfigurationCodec.ts"
import * as SessionCodec from "./codec/SessionCodec.ts"
import * as Compactor from "./Compactor.ts"
import type { RoleName } from "./core/Core.ts"
import * as Configuration from "./core/Configuration.ts"
import { Core } from "./core/Core.ts"
import { isMemberId } from "./core/Entry.ts"
import type { MemberId } from "./core/Entry.ts"
import * as Lease from "./core/Lease.ts"
import { LogShape } from "./core/LogShape.ts"
import * as Membership from "./core/Membership.ts"
import * as Quorum from "./core/Quorum.ts"
import { EntryCache } from "./EntryCache.ts"
import * as Events from "./Events.ts"
import { Forwards } from "./Forwards.ts"
import * as Capacity from "./Capacity.ts"
import * as Gauges from "./Gauges.ts"
import * as Limits from "./Limits.ts"
import { LogStore } from "./LogStore.ts"
import * as LogWriter from "./LogWriter.ts"
import * as Mailbox from "./Mailbox.ts"
import type { Member } from "./Member.ts"
import { now, peers, vital } from "./Member.ts"
import type { ChangeWish } from "./PeerMessage.ts"
import type { Answer, Group, Purpose } from "./Proposals.ts"
import { Completer, Proposals } from "./Proposals.ts"
import { MembershipError, MemberStopped, RaftError } from "./RaftError.ts"
import type { MembershipChange, Options, RaftNode, Status } from "./RaftNode.ts"
import { Readers } from "./Readers.ts"
import * as Recovery from "./Recovery.ts"
import * as Replicator from "./Replicator.ts"
import * as Candidate from "./roles/Candidate.ts"
import * as Follower from "./roles/Follower.ts"
import * as Leader from "./roles/Leader.ts"
import * as Learner from "./roles/Learner.ts"
import * as PreCandidate from "./roles/PreCandidate.ts"
import * as Witness from "./roles/Witness.ts"
import * as Session from "./Session.ts"
import * as Silences from "./Silences.ts"
import * as SnapshotReceiver from "./SnapshotReceiver.ts"
import * as SnapshotTransfers from "./SnapshotTransfers.ts"
import { Stages } from "./Stages.ts"
import { StateMachine } from "./StateMachine.ts"
import { Transport } from "./Transport.ts"
import * as Wakeup from "./Wakeup.ts"

const roles: { readonly [Role in RoleName]: (member: Member) => Effect.Effect<RoleName, never, Scope.Scope> } = {
  Follower: Follower.run,
  PreCandidate: PreCandidate.run,
  Candidate: Candidate.run,
  Leader: Leader.run,
  Learner: Learner.run,
  Witness: Witness.run
}

export const make = Effect.fnUntraced(function*(options: Options) {
  const member = yield* assemble(options)
  const { clock, core, mailbox, transport } = member
  const scope = yield* Effect.scope
  const actors = yield* Scope.fork(scope)

  const releaseCallers = Effect.sync(() => {
    member.proposals.stop()
    member.readers.stop()
    member.changes.stop()
    member.completer.close()
  })
  yield* Effect.addFinalizer(() => releaseCallers)
  // A member that has to stop falls silent by itself: others must not take it for one that lives.
  yield* Deferred.await(member.stopped).pipe(
    Effect.exit,
    Effect.andThen(releaseCallers),
    Effect.andThen(Scope.close(actors, Exit.void)),
    Effect.forkIn(scope)
  )
  const spawn = <E extends { readonly message: string }, R>(actor: Effect.Effect<unknown, E, R>) =>
    Effect.forkIn(vital(member, actor), actors)

  yield* transport.setPeers(peers(member))
  yield* Scope.provide(
    transport.serve({
      onFrame: (from, _lane, frame) => void mailbox.receive(from, frame),
      onUp: (peer) => mailbox.complete({ _tag: "Connected", peer }),
      onDown: (peer) => mailbox.complete({ _tag: "Unreachable", peer })
    }),
    actors
  )
  yield* spawn(member.logWriter.run)
  yield* spawn(member.applier.run)
  yield* spawn(member.receiver.run)
  yield* spawn(member.completer.run)
  yield* spawn(member.events.run)
  yield* spawn(watchDeadlines(member))
  yield* spawn(Effect.suspend(() => {
    let known: ReadonlyMap<MemberId, string> = new Map()
    const follow = Effect.suspend(() => {
      const present = peers(member, known)
      known = new Map(present.map(({ address, id }) => [id, address]))
      const others = new Set(known.keys())
      member.forwards.retain(others)
      member.changeRequests.retain(others)
      return transport.setPeers(present)
    })
    return Effect.forever(Effect.andThen(follow, member.peersWakeup.wait))
  }))
  const leader = yield* PubSub.sliding<Option.Option<MemberId>>({ capacity: 1, replay: 1 })
  const tellLeader = Effect.suspend(() => PubSub.publish(leader, leaderOf(core)))
  yield* spawn(Effect.forever(Effect.andThen(tellLeader, member.leaderWakeup.wait)))
  yield* spawn(SnapshotTransfers.run(member))
  yield* spawn(reportMalformed(member))
  yield* spawn(Silences.run(member))
  yield* spawn(Compactor.run({
    applier: member.applier,
    mailbox,
    trailingEntries: options.trailingEntries ?? Limits.trailingEntries,
    compactAfterBytes: options.compactAfterBytes ?? Limits.compactAfterBytes,
    snapshotIndex: () => SnapshotTransfers.pinnedIndex(member, options.trailingEntries ?? Limits.trailingEntries),
    appendedBytes: () => member.appendedBytes
  }))
  yield* spawn(Effect.gen(function*() {
    let role: RoleName = core.role
    while (true) {
      yield* Effect.logDebug(`${role} in term ${core.term}`)
      role = yield* Effect.scoped(roles[role](member))
    }
  }))

  const add = (commands: ReadonlyArray<Uint8Array>, purpose: Purpose, timeoutMillis = Limits.callTimeoutMillis) =>
    Effect.callback<ReadonlyArray<Answer>, RaftError>((resume) => {
      const answer: Group["answer"] = (exit) => member.completer.add(() => resume(exit))
      const time = now(member)
      const refused = member.proposals.add(commands, purpose, time, time + timeoutMillis, answer)
      if (refused !== undefined) resume(Effect.fail(refused))
      else member.deadlinesWakeup.ringUnsafe()
    })

  const proposeEach: RaftNode["Service"]["proposeEach"] = (commands, callOptions) => {
    const stamp = callOptions?.session
    if (stamp !== undefined && Session.countOf(stamp.runs) !== commands.length) {
      return Effect.die(
        new Error(`${commands.length} commands, but sequence numbers for ${Session.countOf(stamp.runs)}`)
      )
    }
    return commands.length === 0
      ? Effect.succeed([])
      : add(commands, stamp ?? "Commands", callOptions?.timeoutMillis)
  }

  const propose: RaftNode["Service"]["propose"] = (commands, callOptions) =>
    Effect.flatMap(proposeEach(commands, callOptions), resultsOf)

  const openSession: RaftNode["Service"]["openSession"] = (callOptions) =>
    Effect.flatMap(
      add([new Uint8Array(0)], "OpenSession", callOptions?.timeoutMillis),
      (answers) => Effect.map(resultsOf(answers), ([id]) => SessionCodec.decodeId(id!))
    )

  const barrier: RaftNode["Service"]["readBarrier"] = (callOptions) =>
    Effect.callback((resume) => {
      const time = now(member)
      const maxStalenessMillis = callOptions?.maxStalenessMillis ?? 0
      if (maxStalenessMillis > 0 && member.readers.isFresh(time, maxStalenessMillis)) {
        return resume(Effect.succeed(member.applier.head().index))
      }
      const deadline = time + (callOptions?.timeoutMillis ?? Limits.callTimeoutMillis)
      const refused = member.readers.add(deadline, (exit) => member.completer.add(() => resume(exit)))
      if (refused !== undefined) resume(Effect.fail(refused))
      else member.deadlinesWakeup.ringUnsafe()
    })

  const change = (wish: ChangeWish, timeoutMillis = Limits.callTimeoutMillis) =>
    Effect.callback<MemberId, MembershipError>((resume) => {
      member.changes.add(
        wish,
        now(member) + timeoutMillis,
        (refusal, leader) =>
          member.completer.add(() =>
            resume(refusal === undefined ? Effect.succeed(leader) : Effect.fail(refusalOf(refusal, wish)))
          )
      )
      member.deadlinesWakeup.ringUnsafe()
    })

  return {
    id: options.id,
    propose,
    proposeEach,
    openSession,
    readBarrier: core.witness ? () => Effect.fail(holdsNothing()) : barrier,
    configuration: (callOptions) => Effect.map(barrier(callOptions), () => core.configuration),
    changeMembership: (wish, callOptions) =>
      Effect.map(change(wishOf(wish), callOptions?.timeoutMillis), () => core.configuration),
    transferLeadership: (to, callOptions) =>
      change({ _tag: "Transfer", to: Option.getOrElse(to, () => "") }, callOptions?.timeoutMillis),
    status: Effect.sync(() => statusOf(member, Number(clock.monotonicTimeNanosUnsafe()) / 1e6)),
    gauges: Effect.sync(() => Gauges.of(member)),
    leader: Stream.fromPubSub(leader),
    events: member.events.stream,
    latency: Effect.sync(() => member.stages.latency),
    stopped: Deferred.await(member.stopped)
  } satisfies RaftNode["Service"]
})

const assemble = Effect.fnUntraced(function*(options: Options) {
  const logStore = yield* LogStore
  const stateMachine = yield* StateMachine
  const transport = yield* Transport
  const clock = yield* Clock.Clock
  const random = yield* Random.Random

  const founders = Option.match(options.configuration, { onNone: () => [], onSome: ({ members }) => members })
  for (const id of [options.id, ...founders.map((member) => member.id)]) {
    if (isMemberId(id)) continue
    return yield* new MemberStopped({ message: `${id} is no member id: give 16 lower-case hex digits, not all 0` })
  }
  const witness = options.witness ?? false
  const capacity = { ...Capacity.standard, ...options.capacity }
  const recovered = yield* Recovery.found(options.configuration, yield* Recovery.restore)
  const { head, log, sessions } = recovered
  const core = new Core({
    id: options.id,
    witness,
    settings: {
      electionTimeoutMillis: options.electionTimeoutMillis ?? 1000,
      heartbeatMillis: options.heartbeatMillis ?? 100,
      commitDelayMillis: Limits.commitDelayMillis,
      windowMessagesMax: capacity.windowMessagesMax,
      windowBytesMax: Limits.windowBytesMax,
      messageBytesMax: Limits.messageBytesMax,
      messageEntriesMax: options.messageEntriesMax ?? Limits.messageEntriesMax,
      pendingAppendsMax: capacity.pendingAppendsMax,
      uncommittedBytesMax: Limits.uncommittedBytesMax
    },
    hardState: log.hardState,
    log: new LogShape(log),
    appliedIndex: head.index,
    configurations: [
      { index: head.configurationIndex, configuration: head.configuration },
      ...log.configurations
        .filter((entry) => entry.index > head.configurationIndex)
        .map((entry) => ({ index: entry.index, configuration: ConfigurationCodec.decode(entry.data) }))
    ],
    now: now({ clock }),
    jitter: random.nextDoubleUnsafe()
  })
  for (const { configuration } of core.configurations) {
    const own = Configuration.find(configuration, options.id)
    if (own !== undefined && own.witness !== witness) {
      return yield* new MemberStopped({ message: Membership.mistaken(own) })
    }
  }
  const mailbox = yield* Mailbox.make(capacity.peerFramesMax)
  const cache = new EntryCache()
  const firstId = () => 1 + Math.floor(random.nextDoubleUnsafe() * 0x1_0000_0000_0000)
  const proposals = new Proposals(mailbox.wakeup, firstId(), capacity.proposalsMax)
  const applier = yield* Applier.make({ head, sessions, witness, cache, mailbox, proposals })
  const member: Member = {
    core,
    stopped: yield* Deferred.make<never, MemberStopped>(),
    clock,
    random,
    mailbox,
    cache,
    logStore,
    logWriter: yield* LogWriter.make(mailbox),
    applier,
    proposals,
    forwards: new Forwards(),
    changeRequests: new Forwards(),
    readers: new Readers(mailbox.wakeup, firstId(), capacity.readsMax),
    changes: new Changes(mailbox.wakeup, firstId()),
    completer: new Completer(yield* Wakeup.make),
    events: yield* Events.make,
    stages: new Stages(),
    transport,
    stateMachine,
    receiver: yield* SnapshotReceiver.make({ applier, mailbox, isOvertaken: (index) => core.applicableIndex >= index }),
    held: [],
    makeWakeup: yield* Wakeup.maker,
    slots: new Map(),
    encoded: Replicator.makeEncoded(),
    encodedBare: Replicator.makeEncoded(true),
    transfers: new Map(),
    catchingUp: new Map(),
    snapshotsWanted: [],
    snapshotsWakeup: yield* Wakeup.make,
    peersWakeup: yield* Wakeup.make,
    replicatorsWakeup: yield* Wakeup.make,
    leaderWakeup: yield* Wakeup.make,
    commitWakeup: yield* Wakeup.make,
    silences: new Map(),
    silencesWakeup: yield* Wakeup.make,
    deadlinesWakeup: yield* Wakeup.make,
    capacity,
    appendedBytes: 0,
    known: { leader: "", term: core.term, epoch: core.epoch },
    removed: false,
    malformed: 0
  }
  return member
})

/** Sleeps until some caller has waited too long or may try again, and looks only while there are callers. */
const watchDeadlines = (member: Member): Effect.Effect<never> => {
  const { changes, deadlinesWakeup, proposals, readers } = member
  const look = Effect.suspend(() => {
    const time = now(member)
    proposals.unpark(time, false)
    readers.unpark(time, false)
    changes.unpark(time, false)
    const next = Math.min(proposals.expire(time), readers.expire(time), changes.expire(time))
    if (proposals.size + readers.size + changes.size === 0) return deadlinesWakeup.wait
    return Effect.sleep(Math.ceil(Math.min(Math.max(next - time, 5), Limits.retryMillis)))
  })
  return Effect.forever(look)
}

/** Frames that make no sense are dropped; a line now and then says so. */
const reportMalformed = (member: Member): Effect.Effect<never> =>
  Effect.forever(Effect.gen(function*() {
    yield* Effect.sleep(Limits.malformedReportMillis)
    if (member.malformed === 0) return
    yield* Effect.logWarning(`dropped ${member.malformed} frames from peers that are no messages of this protocol`)
    member.malformed = 0
  }))

/** Results only, or the first refusal. */
const resultsOf = (answers: ReadonlyArray<Answer>): Effect.Effect<ReadonlyArray<Uint8Array>, RaftError> => {
  for (const answer of answers) if (answer instanceof RaftError) return Effect.fail(answer)
  return Effect.succeed(answers as ReadonlyArray<Uint8Array>)
}

const holdsNothing = (): RaftError =>
  new RaftError({ reason: "Witness", message: "This member is a witness and holds no data; ask another." })

const leaderOf = (core: Core): Option.Option<MemberId> => core.leader === "" ? Option.none() : Option.some(core.leader)

const statusOf = (member: Member, time: number): Status => {
  const { core } = member
  return {
    id: core.id,
    role: core.role,
    term: core.term,
    leader: leaderOf(core),
    commitIndex: core.commitIndex,
    appliedIndex: core.appliedIndex,
    lastIndex: core.log.lastIndex,
    previousIndex: core.log.previousIndex,
    configuration: core.configuration,
    copies: Quorum.copies(core.configuration),
    peers: Array.from(core.role === "Leader" ? core.progress.values() : [], (progress) => ({
      id: progress.id,
      matchIndex: progress.match,
      active: progress.isActive(time, core.settings.electionTimeoutMillis)
    })),
    hasLease: Lease.holds(core, time),
    removed: member.removed
  }
}

const wishOf = (change: MembershipChange): ChangeWish =>
  change._tag === "Join"
    ? {
      _tag: "Join",
      member: Option.isNone(change.replaces) ? change.member : { ...change.member, replaces: change.replaces.value }
    }
    : change

const explanations: { readonly [Reason in ChangeReason]: string } = {
  Pending: "Another change of membership or leadership is under way; wait for it and try again.",
  NotReady: "Not ready: the leader is new, or the learner has not caught up; try again soon.",
  NoQuorum: "The members that would form the new quorum do not answer; bring them up, or force the change.",
  LastVoter: "The last voter that holds data cannot leave the cluster.",
  NotFound: "No such member.",
  Conflict: "The id, name or address belongs to another member, or to a witness where this is none.",
  Invalid:
    "A value is out of its bounds: a priority has 32 bits, deadMemberMillis is at least 10 election timeouts, and a cluster has at most " +
    `${Configuration.membersMax} members.`,
  NotVoter: "Leadership goes to voters that hold data only, and no other one answers.",
  NoLeader: "No leader was known before the deadline; nothing changed, try again.",
  Unknown: "The outcome is not known: the leader changed or the deadline passed; look at the members before repeating.",
  Timeout: "Leadership did not move within an election timeout and stays where it is; try again.",
  Busy: "Too many changes wait; try again later.",
  Stopped: "The member is stopping; try another."
}

const refusalOf = (reason: ChangeReason, wish: ChangeWish): MembershipError =>
  new MembershipError({ reason, message: `${wish._tag}: ${explanations[reason]}` })
