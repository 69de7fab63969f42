/** Real processes, real disks, real sockets: what a person does to a cluster, and that it survives. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Random } from "effect"
import * as CutProxy from "../src/CutProxy.ts"
import * as ProcessCluster from "../src/ProcessCluster.ts"
import * as Driver from "../src/ProcessDriver.ts"

const minutes = (count: number) => count * 60_000

const started = Effect.fnUntraced(function*(members: number, args: ReadonlyArray<string> = []) {
  const cluster = yield* ProcessCluster.make({ members, args })
  for (const seat of cluster.seats) yield* cluster.start(seat)
  yield* Driver.leaderOf(cluster)
  return cluster
})

describe("a cluster of three processes", () => {
  it.live("loses nothing when the leader is killed, and goes on without it", () =>
    Effect.gen(function*() {
      const cluster = yield* started(3)
      const client = yield* Driver.clientOf(cluster.seats)
      const ledger = yield* Driver.write(client, 8)
      yield* Driver.grow(ledger, 200)
      const leader = yield* Driver.leaderOf(cluster)
      yield* cluster.stop(leader, "SIGKILL")
      yield* Driver.grow(ledger, 200)
      assert.deepStrictEqual(yield* Driver.violations(client, ledger), [])
      yield* cluster.start(leader)
      yield* Driver.caughtUp(cluster, [leader])
      yield* Driver.grow(ledger, 50)
    }).pipe(Effect.scoped), minutes(3))

  it.live("loses nothing when all three are killed at once and started again", () =>
    Effect.gen(function*() {
      const cluster = yield* started(3)
      const client = yield* Driver.clientOf(cluster.seats)
      const ledger = yield* Driver.write(client, 8)
      yield* Driver.grow(ledger, 300)
      for (const seat of cluster.seats) yield* cluster.stop(seat, "SIGKILL")
      for (const seat of cluster.seats) yield* cluster.start(seat)
      yield* Driver.leaderOf(cluster)
      yield* Driver.grow(ledger, 100)
      assert.deepStrictEqual(yield* Driver.violations(client, ledger), [])
    }).pipe(Effect.scoped), minutes(3))

  it.live("a member that lost its data directory comes back by itself, under a new id", () =>
    Effect.gen(function*() {
      const cluster = yield* started(3)
      const client = yield* Driver.clientOf(cluster.seats)
      const ledger = yield* Driver.write(client, 4)
      yield* Driver.grow(ledger, 100)
      const robbed = cluster.seats[0]!
      const before = yield* Driver.statusOf(robbed)
      yield* cluster.stop(robbed, "SIGKILL")
      yield* cluster.robData(robbed)
      yield* cluster.start(robbed)
      const members = yield* Driver.eventually(
        "the member is a voter again, under a new id",
        Effect.map(client.members(), (list) => {
          const own = list.members.find((member) => member.name === robbed.name)
          const back = own !== undefined && own.id !== before.id && own.role === "voter" && list.members.length === 3
          return back && !list.isJoint ? Option.some(list) : Option.none()
        })
      )
      assert.isFalse(members.members.some((member) => member.id === before.id))
      yield* Driver.caughtUp(cluster, [robbed])
      assert.deepStrictEqual(yield* Driver.violations(client, ledger), [])
    }).pipe(Effect.scoped), minutes(3))

  for (const fault of ["cut", "block"] as const) {
    it.live(
      `a leader that is ${
        fault === "cut" ? "refused by" : "silently cut off from"
      } the others neither writes nor serves a stale read, and follows when it is back`,
      () =>
        Effect.gen(function*() {
          const proxies = new Map<string, CutProxy.CutProxy>()
          const cluster = yield* ProcessCluster.make({
            members: 3,
            peerAddressOf: (seat) => proxies.get(seat.name)!.address
          })
          for (const seat of cluster.seats) proxies.set(seat.name, yield* CutProxy.make({ target: seat.peerAddress }))
          for (const seat of cluster.seats) yield* cluster.start(seat)
          const leader = yield* Driver.leaderOf(cluster)
          const others = cluster.seats.filter((seat) => seat !== leader)
          const client = yield* Driver.clientOf(others)
          yield* client.put("partition", "before")
          const { id } = yield* Driver.statusOf(leader)
          const separate = (proxy: CutProxy.CutProxy, dialler?: string) =>
            fault === "cut" ? proxy.cut(dialler) : proxy.block("both", dialler)
          yield* separate(proxies.get(leader.name)!)
          for (const seat of others) yield* separate(proxies.get(seat.name)!, id)
          const old = yield* Driver.clientOf([leader], 4000)
          const write = yield* Effect.forkChild(Effect.flip(old.put("partition", "lost")))
          const fresh = yield* Driver.leaderOf(cluster, others)
          assert.notStrictEqual(fresh, leader)
          yield* client.put("partition", "after")
          const stale = yield* Effect.exit(old.get("partition"))
          assert.strictEqual(stale._tag, "Failure")
          assert.include(["Unknown", "Unavailable"], (yield* Fiber.join(write)).reason)
          for (const proxy of proxies.values()) yield* proxy.heal
          yield* Driver.caughtUp(cluster, cluster.seats)
          for (const seat of cluster.seats) {
            const own = yield* Driver.clientOf([seat])
            const found = yield* Effect.flatMap(own.get("partition"), Effect.fromOption)
            assert.strictEqual(new TextDecoder().decode(found.value), "after")
          }
        }).pipe(Effect.scoped),
      minutes(3)
    )
  }

  for (const leaderLeases of [false, true]) {
    it.live(
      `a frozen leader serves no stale read when it wakes, with leader leases ${leaderLeases ? "on" : "off"}`,
      () =>
        Effect.gen(function*() {
          const cluster = yield* started(3)
          const leader = yield* Driver.leaderOf(cluster)
          const others = cluster.seats.filter((seat) => seat !== leader)
          const client = yield* Driver.clientOf(others)
          yield* client.clusterSettings({ leaderLeases })
          yield* client.put("frozen", "before")
          const running = Option.getOrThrow(leader.running)
          yield* running.signal("SIGSTOP")
          const fresh = yield* Driver.leaderOf(cluster, others)
          assert.notStrictEqual(fresh, leader)
          yield* client.put("frozen", "after")
          const old = yield* Driver.clientOf([leader], 10_000)
          const read = yield* Effect.forkChild(old.get("frozen"))
          yield* Effect.sleep("200 millis")
          yield* running.signal("SIGCONT")
          const value = yield* Effect.flatMap(Fiber.join(read), Effect.fromOption)
          assert.strictEqual(new TextDecoder().decode(value.value), "after")
        }).pipe(Effect.scoped),
      minutes(3)
    )
  }

  it.live("SIGTERM hands leadership over and exits with 0", () =>
    Effect.gen(function*() {
      const cluster = yield* started(3)
      // On a busy machine a follower may take longer to stand for election than the leader waits for it.
      const handOver = Effect.gen(function*() {
        const leader = yield* Driver.leaderOf(cluster)
        const ended = yield* cluster.stop(leader, "SIGTERM")
        const log = cluster.logTail(leader)
        assert.deepStrictEqual(ended, { code: 0, signal: null }, log)
        yield* Driver.leaderOf(cluster)
        if (log.includes("leadership handed over")) return Option.some(leader)
        assert.include(log, "leadership could not be handed over")
        yield* cluster.start(leader)
        return Option.none()
      })
      yield* Driver.eventually("a leader hands over before it stops", handOver)
    }).pipe(Effect.scoped), minutes(3))

  it.live(
    "a new member joins under load, is promoted by itself, and one that left stays out",
    () =>
      Effect.gen(function*() {
        const cluster = yield* started(3)
        const client = yield* Driver.clientOf(cluster.seats)
        const ledger = yield* Driver.write(client, 8)
        yield* Driver.grow(ledger, 100)
        const fourth = yield* cluster.addSeat
        yield* cluster.start(fourth)
        yield* Driver.eventually(
          "the new member is let in",
          Effect.map(
            client.joinMember({
              name: fourth.name,
              peerAddress: fourth.peerAddress,
              clientAddress: fourth.clientAddress
            }),
            Option.some
          )
        )
        yield* Driver.eventually(
          "the new member votes",
          Effect.map(client.members(), (list) =>
            list.members.find((member) =>
                member.name === fourth.name
              )?.role === "voter"
              ? Option.some(true)
              : Option.none())
        )
        yield* Driver.grow(ledger, 100)
        yield* Driver.caughtUp(cluster, [fourth])
        const gone = cluster.seats[1]!
        yield* Effect.ignore(client.leaveMember(gone.name))
        yield* Driver.eventually(
          "the member has left",
          Effect.map(client.members(), ({ members }) =>
            members.every((member) => member.name !== gone.name)
              ? Option.some(true)
              : Option.none())
        )
        const ended = yield* Effect.flatMap(Effect.fromOption(gone.running), (running) => running.ended)
        assert.strictEqual(ended.code, 1, cluster.logTail(gone))
        yield* Driver.grow(ledger, 100)
        yield* cluster.start(gone)
        yield* Driver.grow(ledger, 100)
        const list = yield* client.members()
        assert.isFalse(list.members.some((member) => member.name === gone.name))
        assert.deepStrictEqual(yield* Driver.violations(client, ledger), [])
      }).pipe(Effect.scoped),
    minutes(4)
  )

  it.live("a member far behind is caught up by a snapshot", () =>
    Effect.gen(function*() {
      const cluster = yield* started(3, ["--log-max-bytes=1048576", "--log-retain-entries=100"])
      const client = yield* Driver.clientOf(cluster.seats)
      const leader = yield* Driver.leaderOf(cluster)
      const late = cluster.seats.find((seat) => seat !== leader)!
      yield* cluster.stop(late, "SIGKILL")
      const value = new Uint8Array(16_384).fill(7)
      for (let round = 0; round < 20; round++) {
        yield* Effect.all(
          Array.from({ length: 50 }, (_, number) => client.put(`bulk/${round}/${number}`, value)),
          { concurrency: "unbounded", discard: true }
        )
      }
      const behind = yield* Driver.eventually(
        "the leader has dropped what the member needs",
        Effect.map(
          Driver.statusOf(leader),
          (status) => status.previousIndex > 500 ? Option.some(status) : Option.none()
        )
      )
      yield* cluster.start(late)
      yield* Driver.caughtUp(cluster, [late])
      assert.isAtLeast((yield* Driver.statusOf(late)).previousIndex, behind.previousIndex)
      const own = yield* Driver.clientOf([late])
      const { kvs } = yield* own.range({ prefix: "bulk/19/", consistency: "stale" })
      assert.strictEqual(kvs.length, 50)
    }).pipe(Effect.scoped), minutes(4))

  it.live("thirty seconds of random kills lose no acknowledged write", () =>
    Effect.gen(function*() {
      const cluster = yield* started(3)
      const client = yield* Driver.clientOf(cluster.seats)
      const ledger = yield* Driver.write(client, 16)
      const kill = Effect.gen(function*() {
        const victims = yield* Random.shuffle(cluster.seats)
        const count = (yield* Random.next) < 0.2 ? 3 : 1
        for (const seat of victims.slice(0, count)) yield* cluster.stop(seat, "SIGKILL")
        yield* Effect.sleep(`${yield* Random.nextIntBetween(0, 1500)} millis`)
        for (const seat of victims.slice(0, count)) yield* cluster.start(seat)
        yield* Effect.sleep(`${yield* Random.nextIntBetween(500, 3000)} millis`)
      })
      yield* Effect.timeoutOption(Effect.forever(kill), "30 seconds")
      for (const seat of cluster.seats) if (Option.isNone(seat.running)) yield* cluster.start(seat)
      yield* Driver.leaderOf(cluster)
      yield* Driver.grow(ledger, 100)
      yield* Driver.caughtUp(cluster, cluster.seats)
      for (const seat of cluster.seats) {
        const own = yield* Driver.clientOf([seat])
        assert.deepStrictEqual(yield* Driver.violations(own, ledger), [])
      }
      assert.isAbove(ledger.acknowledged(), 100)
    }).pipe(Effect.scoped), minutes(4))
})
