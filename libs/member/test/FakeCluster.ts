/**
 * Members without raft: the real bootstrap over a network of functions, disks of variables, and one raft that always agrees with itself. Processes can be killed at
 * any write of their record and at any message.
 */
import { Configuration, MembershipError } from "@dkv/raft"
import type { RaftNode } from "@dkv/raft"
import { Control } from "@dkv/transport"
import { Effect, Exit, Option, Scope, Stream } from "effect"
import type { Fiber } from "effect"
import * as Answers from "../src/Answers.ts"
import * as Bootstrap from "../src/Bootstrap.ts"
import * as ControlMessage from "../src/ControlMessage.ts"
import * as Founding from "../src/Founding.ts"
import { MemberRecord } from "../src/MemberRecord.ts"
import type { Record } from "../src/MemberRecord.ts"
import * as Self from "../src/Self.ts"

export interface Process {
  readonly name: string
  readonly self: Self.Self
  readonly scope: Scope.Closeable
  /** Ends with the record once the member belongs to a cluster. */
  readonly outcome: Fiber.Fiber<Record, unknown>
  readonly control: Control.Control["Service"]
}

/** Decides the fate of a message: true lets it through. */
export type Filter = (from: string, to: string, request: ControlMessage.Request) => boolean

type CrashPoint = "before" | "after"

export class FakeCluster {
  readonly list: ReadonlyArray<Self.Listed>
  readonly disks = new Map<string, Record>()
  readonly handlers = new Map<string, (request: Uint8Array) => Effect.Effect<Uint8Array>>()
  readonly crashes = new Map<string, CrashPoint>()
  readonly sent: Array<{ readonly from: string; readonly to: string; readonly request: ControlMessage.Request }> = []
  filter: Filter = () => true
  /** The configuration that raft has agreed on, and who of it answers. */
  configuration = Configuration.empty
  leader = ""
  term = 1
  readonly silent = new Set<string>()
  readonly changes: Array<RaftNode.MembershipChange> = []

  constructor(names: ReadonlyArray<string>) {
    this.list = names.map((name) => ({ name, peerAddress: `${name}:2380` }))
  }

  start(name: string, options: Partial<Self.Options> = {}): Effect.Effect<Process> {
    const address = `${name}:2380`
    return Effect.gen({ self: this }, function*() {
      const scope = yield* Scope.make()
      let isAlive = true
      const die = Effect.suspend(() => {
        isAlive = false
        this.handlers.delete(address)
        return Effect.die("crash")
      })
      const records = MemberRecord.of({
        load: Effect.sync(() => Option.fromNullishOr(this.disks.get(name))),
        save: (record) =>
          Effect.suspend(() => {
            const crash = Option.isSome(record.clusterId) ? this.crashes.get(name) : undefined
            if (crash !== undefined) this.crashes.delete(name)
            if (crash === "before") return die
            this.disks.set(name, record)
            return crash === "after" ? die : Effect.void
          })
      })
      const control = Control.Control.of({
        call: Effect.fnUntraced({ self: this }, function*(to, bytes, timeoutMillis) {
          const request = yield* Effect.orDie(ControlMessage.decodeRequest(bytes))
          if (!isAlive) return yield* Effect.never
          this.sent.push({ from: name, to, request })
          const handler = this.handlers.get(to)
          if (handler === undefined || !this.filter(name, to, request)) {
            yield* Effect.sleep(timeoutMillis)
            return yield* new Control.ControlError({ reason: "Unreachable", message: `${to} does not answer` })
          }
          return yield* handler(bytes)
        }),
        serve: (handler) =>
          Effect.acquireRelease(
            Effect.sync(() => void this.handlers.set(address, (bytes) => Effect.suspend(() => handler(bytes)))),
            () => Effect.sync(() => void this.handlers.delete(address))
          )
      })
      const program = Effect.gen({ self: this }, function*() {
        const self = yield* Effect.orDie(Self.make({
          name,
          peerAddress: address,
          clientAddress: `${name}:3000`,
          initialCluster: this.list,
          initialClusterState: "new",
          forceNewCluster: false,
          ...options
        }))
        yield* Answers.serve(self)
        const outcome = yield* Effect.forkIn(
          Effect.tap(Bootstrap.run(self), (record) =>
            Effect.gen({ self: this }, function*() {
              this.join(self, record)
              yield* Effect.forkIn(Founding.tell(self), scope)
            })),
          scope
        )
        return { name, self, scope, outcome, control } satisfies Process
      })
      return yield* program.pipe(
        Effect.provideService(MemberRecord, records),
        Effect.provideService(Control.Control, control),
        Effect.provideService(Scope.Scope, scope)
      )
    })
  }

  /** `kill -9`. */
  kill(process: Process): Effect.Effect<void> {
    return Scope.close(process.scope, Exit.void)
  }

  loseDisk(name: string): void {
    this.disks.delete(name)
  }

  /** Raft begins to run on a member: the first one brings the founding configuration. */
  private join(self: Self.Self, record: Record): void {
    if (this.configuration.members.length === 0 && Option.isSome(record.founding)) {
      this.configuration = record.founding.value
      this.leader = record.memberId
    }
    this.silent.delete(record.memberId)
    self.setNode(this.node(record.memberId))
  }

  node(id: string): RaftNode.RaftNode["Service"] {
    const unused = Effect.die("not part of this test")
    return {
      id,
      propose: () => unused,
      proposeEach: () => unused,
      openSession: () => unused,
      readBarrier: () => unused,
      configuration: () => unused,
      changeMembership: (change) => Effect.suspend(() => this.change(change)),
      transferLeadership: () => unused,
      status: Effect.sync(() => this.status(id)),
      gauges: Effect.succeed([]),
      leader: Stream.empty,
      events: Stream.empty,
      latency: Effect.never,
      stopped: Effect.never
    }
  }

  status(id: string): RaftNode.Status {
    const { configuration } = this
    return {
      id,
      role: this.leader === id ? "Leader" : "Follower",
      term: this.term,
      leader: Option.some(this.leader),
      commitIndex: 1 + this.changes.length,
      appliedIndex: 1 + this.changes.length,
      lastIndex: 1 + this.changes.length,
      previousIndex: 0,
      configuration,
      hasLease: false,
      copies: 1,
      removed: false,
      peers: this.leader === id
        ? configuration.members.filter((member) => member.id !== id).map((member) => ({
          id: member.id,
          matchIndex: 0,
          active: !this.silent.has(member.id)
        }))
        : []
    }
  }

  private change(change: RaftNode.MembershipChange): Effect.Effect<Configuration.Configuration, MembershipError> {
    const { configuration } = this
    this.changes.push(change)
    switch (change._tag) {
      case "Join": {
        const replaces = Option.getOrUndefined(change.replaces)
        if (configuration.members.some((other) => other.id !== replaces && other.name === change.member.name)) {
          return Effect.fail(new MembershipError({ reason: "Conflict", message: "name taken" }))
        }
        this.configuration = { ...configuration, members: [...configuration.members, change.member] }
        break
      }
      case "Leave":
        this.configuration = {
          ...configuration,
          members: configuration.members.filter((member) => member.id !== change.id),
          voters: configuration.voters.filter((id) => id !== change.id)
        }
        break
      case "Update":
        this.configuration = {
          ...configuration,
          members: configuration.members.map((member) => member.id === change.id ? { ...member, ...change } : member)
        }
        break
      case "Promote":
        this.configuration = { ...configuration, voters: [...configuration.voters, change.id] }
        break
      case "Configure":
        this.configuration = { ...configuration, settings: { ...configuration.settings, ...change.settings } }
    }
    return Effect.succeed(this.configuration)
  }
}

/** The record of a member that has found its place; fails the test if it has not. */
export const settled = (process: Process): Effect.Effect<Record> =>
  Effect.suspend(() => {
    const exit = process.outcome.pollUnsafe()
    if (exit === undefined) return Effect.die(`${process.name} still waits`)
    return Effect.orDie(exit)
  })

export const isWaiting = (process: Process): boolean => process.outcome.pollUnsafe() === undefined
