/** Rare calls over a real socket: every kind of error arrives as what it was. */
import { Admin } from "@dkv/protocol"
import { Configuration, MembershipError, RaftError } from "@dkv/raft"
import { Limits } from "@dkv/server"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import type { RpcClientError } from "effect/rpc"
import { call, me, open, status } from "./clientPortParts.ts"

const changes = [
  "Pending",
  "NotReady",
  "NoQuorum",
  "LastVoter",
  "NotFound",
  "Conflict",
  "Invalid",
  "NotVoter",
  "NoLeader",
  "Busy",
  "Stopped",
  "Unknown",
  "Timeout"
] as const

const check = (error: unknown, reason: string, message: string | RegExp): void => {
  assert.instanceOf(error, Admin.AdminError)
  assert.strictEqual(error.reason, reason)
  assert.match(error.message, message instanceof RegExp ? message : new RegExp(message))
}

describe("a rare call", () => {
  it.live("for the settings changes those that are given, and none if none is", () =>
    Effect.gen(function*() {
      const asked: Array<unknown> = []
      const client = yield* call(
        yield* open({
          node: {
            changeMembership: (change) => {
              asked.push(change)
              return Effect.succeed(Configuration.empty)
            }
          }
        })
      )
      const { settings } = Configuration.empty
      assert.deepInclude(yield* client.ClusterSettings({ changes: {}, timeoutMillis: 1000 }), settings)
      yield* client.ClusterSettings({ changes: { deadMembers: "off" }, timeoutMillis: 1000 })
      assert.deepStrictEqual(asked, [{ _tag: "Configure", settings: { deadMembers: "off" } }])
    }).pipe(Effect.scoped))

  it.live("that changed something is answered with what holds now, by a member that had yet to hear of it", () =>
    Effect.gen(function*() {
      let isChanged = false
      let hasHeard = false
      const { configuration } = status
      const [member] = configuration.members
      const other = { ...member!, id: "0000000000000002", name: "b", peerAddress: "b:2380" }
      const members = [member!, other]
      const settings = { ...configuration.settings, leaderLeases: true }
      const client = yield* call(
        yield* open({
          node: {
            changeMembership: () => Effect.sync(() => (isChanged = true, configuration)),
            configuration: () => Effect.sync(() => (hasHeard = isChanged, configuration)),
            status: Effect.sync(() => ({
              ...status,
              configuration: hasHeard
                ? { ...configuration, members, settings, voters: [me, other.id] }
                : { ...configuration, members }
            }))
          }
        })
      )
      const promoted = yield* client.MemberPromote({ member: "b", force: false, timeoutMillis: 1000 })
      assert.deepStrictEqual(promoted.members.map(({ role }) => role), ["voter", "voter"])
      isChanged = false
      const changed = yield* client.ClusterSettings({ changes: { deadMembers: "off" }, timeoutMillis: 1000 })
      assert.isTrue(changed.leaderLeases)
      assert.strictEqual(changed.deadMembers, "off")
    }).pipe(Effect.scoped))

  it.live("that changed something says so, though the leader is gone behind it", () =>
    Effect.gen(function*() {
      let isChanged = false
      const client = yield* call(
        yield* open({
          node: {
            changeMembership: () => Effect.sync(() => (isChanged = true, status.configuration)),
            configuration: () =>
              Effect.suspend(() =>
                isChanged
                  ? Effect.fail(new RaftError({ reason: "NoLeader", message: "not now" }))
                  : Effect.succeed(status.configuration)
              )
          }
        })
      )
      yield* client.MemberPromote({ member: me, force: false, timeoutMillis: 1000 })
      isChanged = false
      const settings = yield* client.ClusterSettings({ changes: { leaderLeases: true }, timeoutMillis: 1000 })
      assert.isTrue(settings.leaderLeases)
    }).pipe(Effect.scoped))

  it.live("asks raft for no more time in all than its caller gives, and keeps some of it for the answer to a change", () =>
    Effect.gen(function*() {
      const asked: Array<number> = []
      const taking = <A>(value: A, options: { readonly timeoutMillis?: number } | undefined) =>
        Effect.sync(() => asked.push(options!.timeoutMillis!)).pipe(Effect.andThen(Effect.sleep(100)), Effect.as(value))
      const client = yield* call(
        yield* open({
          node: {
            configuration: (options) => taking(status.configuration, options),
            changeMembership: (_, options) => taking(status.configuration, options),
            transferLeadership: (_, options) => taking(me, options)
          }
        })
      )
      yield* client.MemberPromote({ member: me, force: false, timeoutMillis: 1000 })
      yield* client.LeaderTransfer({ to: Option.none(), timeoutMillis: 1000 })
      const [first, change, last, again, transfer] = asked
      assert.deepStrictEqual([first, again], [1000, 1000])
      assert.isAtMost(change!, 901)
      assert.isAtMost(last!, 801 - Limits.answerMarginMillis)
      assert.isAtMost(transfer!, 901)
    }).pipe(Effect.scoped))

  it.live("leaves its caller time to ask another member when no leader confirms it, and the rest of it for a change", () =>
    Effect.gen(function*() {
      const asked: Array<number> = []
      const ask = (options: { readonly timeoutMillis?: number } | undefined) =>
        Effect.sync(() => {
          asked.push(options!.timeoutMillis!)
          return status.configuration
        })
      const client = yield* call(
        yield* open({ node: { configuration: ask, changeMembership: (_, options) => ask(options) } })
      )
      yield* client.MemberList({ stale: false, timeoutMillis: 60_000 })
      yield* client.MemberPromote({ member: me, force: false, timeoutMillis: 60_000 })
      assert.deepStrictEqual(asked.slice(0, 2), [Limits.confirmMillis, Limits.confirmMillis])
      assert.isAtLeast(asked[2]!, 30_000)
    }).pipe(Effect.scoped))

  it.live("for an update of a member keeps what is not given, its addresses among it", () =>
    Effect.gen(function*() {
      const asked: Array<unknown> = []
      const client = yield* call(
        yield* open({
          node: {
            changeMembership: (change) => {
              asked.push(change)
              return Effect.succeed(Configuration.empty)
            }
          }
        })
      )
      const { members: [present] } = yield* client.MemberList({ stale: true, timeoutMillis: 1000 })
      assert.strictEqual(present!.priority, 0)
      yield* client.MemberUpdate({ member: "a", changes: { priority: -2 }, timeoutMillis: 1000 })
      const { clientAddress, peerAddress } = present!
      assert.deepStrictEqual(asked, [{ _tag: "Update", id: me, peerAddress, clientAddress, priority: -2 }])
    }).pipe(Effect.scoped))

  describe("about a member that is being rebuilt", () => {
    const [old, coming] = ["0000000000000002", "0000000000000003"]
    /** What raft was asked for, by the id that it was about. */
    const rebuilding = Effect.gen(function*() {
      const asked: Array<unknown> = []
      const { configuration } = status
      const [member] = configuration.members
      const leaving = { ...member!, id: old, name: "b" }
      const members = [member!, leaving, { ...leaving, id: coming, replaces: old }]
      const client = yield* call(
        yield* open({
          node: {
            status: Effect.succeed({ ...status, configuration: { ...configuration, members, voters: [me, old] } }),
            changeMembership: (change) =>
              Effect.sync(() => {
                asked.push("id" in change && change.id)
                return configuration
              })
          }
        })
      )
      return { asked, client }
    })
    const patience = { force: false, timeoutMillis: 1000 }

    it.live("an update, or a promotion, is meant for the one that comes, and by its id for the one that leaves", () =>
      Effect.gen(function*() {
        const { asked, client } = yield* rebuilding
        for (const member of ["b", old, coming]) {
          yield* client.MemberUpdate({ member, changes: { priority: 5 }, timeoutMillis: 1000 })
          yield* client.MemberPromote({ member, ...patience })
        }
        assert.deepStrictEqual(asked, [coming, coming, old, old, coming, coming])
      }).pipe(Effect.scoped))

    it.live("taking it out by its name is refused with both ids: the one that comes would bring it back", () =>
      Effect.gen(function*() {
        const { asked, client } = yield* rebuilding
        const refused = yield* Effect.flip(client.MemberLeave({ member: "b", ...patience }))
        check(refused, "Conflict", `b is being rebuilt: ${coming} is to replace ${old}`)
        for (const member of [coming, old]) yield* client.MemberLeave({ member, ...patience })
        assert.deepStrictEqual(asked, [coming, old])
      }).pipe(Effect.scoped))
  })

  it.live("to let in who is in already says how it is in, and is a conflict where something else was asked for", () =>
    Effect.gen(function*() {
      const { configuration } = status
      const [voter] = configuration.members
      const learner = { ...voter!, id: "0000000000000002", name: "b", peerAddress: "b:2380", autoPromote: true }
      const client = yield* call(
        yield* open({
          node: {
            status: Effect.succeed({
              ...status,
              configuration: { ...configuration, members: [voter!, learner], voters: [me] }
            })
          }
        })
      )
      const plain = {
        id: Option.none<string>(),
        clientAddress: "",
        learnerOnly: false,
        witness: false,
        timeoutMillis: 1000
      }
      const asB = { ...plain, name: "b", peerAddress: "b:2380" }
      const asA = { ...plain, name: voter!.name, peerAddress: voter!.peerAddress }
      const { autoPromote, role } = yield* client.MemberJoin(asB)
      assert.deepStrictEqual([role, autoPromote], ["learner", true])
      assert.strictEqual((yield* client.MemberJoin({ ...asA, id: Option.some(me) })).role, "voter")
      const refusals = [
        [{ ...asB, learnerOnly: true }, /b is in already, as a learner that becomes a voter by itself/],
        [{ ...asB, id: Option.some("0000000000000009") }, /under the id 0000000000000002/],
        [{ ...asA, learnerOnly: true }, /as a voter: a voter does not become a learner again/],
        [{ ...asA, witness: true }, /and holds data: it is no witness/]
      ] as const
      for (const [asked, message] of refusals) check(yield* Effect.flip(client.MemberJoin(asked)), "Conflict", message)
    }).pipe(Effect.scoped))

  for (const reason of changes) {
    it.live(`that raft turns away with ${reason} says so to the caller`, () =>
      Effect.gen(function*() {
        const refusal = new MembershipError({ reason, message: `because of ${reason}` })
        const client = yield* call(
          yield* open({
            node: { changeMembership: () => Effect.fail(refusal), transferLeadership: () => Effect.fail(refusal) }
          })
        )
        const patience = { timeoutMillis: 1000 }
        for (
          const refused of [
            client.MemberLeave({ member: "a", force: false, ...patience }),
            client.MemberPromote({ member: me, force: false, ...patience }),
            client.MemberUpdate({ member: me, changes: { priority: 1 }, ...patience }),
            client.LeaderTransfer({ to: Option.none(), ...patience }),
            client.ClusterSettings({ changes: { leaderLeases: true }, ...patience }),
            client.MemberJoin({
              name: "b",
              id: Option.some("0000000000000002"),
              peerAddress: "b:2380",
              clientAddress: "",
              learnerOnly: false,
              witness: false,
              ...patience
            })
          ]
        ) {
          check(
            yield* Effect.flip(
              Effect.asVoid<unknown, Admin.AdminError | RpcClientError.RpcClientError, never>(refused)
            ),
            reason,
            `because of ${reason}`
          )
        }
      }).pipe(Effect.scoped))
  }

  for (const [reason, told] of [["NoLeader", "NoLeader"], ["Refused", "Refused"], ["TooLarge", "Invalid"]] as const) {
    it.live(`that cannot be confirmed because of ${reason} is ${told}, unless it may be stale`, () =>
      Effect.gen(function*() {
        const failing = Effect.fail(new RaftError({ reason, message: "not now" }))
        const client = yield* call(yield* open({ node: { configuration: () => failing } }))
        check(yield* Effect.flip(client.MemberList({ stale: false, timeoutMillis: 1000 })), told, "not now")
        const { members } = yield* client.MemberList({ stale: true, timeoutMillis: 1000 })
        assert.deepStrictEqual(members.map(({ isLeader, name, role }) => ({ isLeader, name, role })), [
          { isLeader: true, name: "a", role: "voter" }
        ])
      }).pipe(Effect.scoped))
  }

  it.live("about nobody is NotFound and names those that there are", () =>
    Effect.gen(function*() {
      const client = yield* call(yield* open())
      const error = yield* Effect.flip(client.MemberLeave({ member: "zoe", force: false, timeoutMillis: 1000 }))
      check(error, "NotFound", /zoe; there are: a$/)
    }).pipe(Effect.scoped))

  it.live("that makes no sense is Invalid", () =>
    Effect.gen(function*() {
      const client = yield* call(yield* open())
      const join = { peerAddress: "b:2380", clientAddress: "", learnerOnly: false, witness: false, timeoutMillis: 1000 }
      const refused = (name: string, id: Option.Option<string>) => Effect.flip(client.MemberJoin({ name, id, ...join }))
      check(yield* refused("b", Option.some("nonsense")), "Invalid", /no member id/)
      check(yield* refused("", Option.none()), "Invalid", /needs a name/)
      check(yield* refused("b".repeat(300), Option.none()), "Invalid", /longer than/)
      check(yield* refused("漢".repeat(86), Option.none()), "Invalid", /longer than 256 bytes/)
      check(yield* refused("b", Option.none()), "Invalid", /name the id/)
    }).pipe(Effect.scoped))
})
