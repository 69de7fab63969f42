/** Real processes whose data is damaged, and a cluster that has lost its quorum for good. */
import { MemberRecordFile } from "@dkv/member/node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Result } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as ProcessCluster from "../src/ProcessCluster.ts"
import * as Driver from "../src/ProcessDriver.ts"

const minutes = (count: number) => count * 60_000

const started = Effect.fnUntraced(function*(members: number) {
  const cluster = yield* ProcessCluster.make({ members })
  for (const seat of cluster.seats) yield* cluster.start(seat)
  yield* Driver.leaderOf(cluster)
  return cluster
})

/** Changes the newest segment of a member that does not run: makes it unreadable from its first byte on, unless told otherwise. */
const rot = (
  seat: ProcessCluster.Seat,
  change = (bytes: Buffer): void => void bytes.fill(0x55, 0, 30)
) =>
  Effect.sync(() => {
    const log = Path.join(seat.directory, "log")
    const segment = Path.join(log, Fs.readdirSync(log).filter((name) => name.endsWith(".log")).sort().at(-1)!)
    const bytes = Fs.readFileSync(segment)
    change(bytes)
    Fs.writeFileSync(segment, bytes)
  })

const flipAByteOf = (text: string) => (bytes: Buffer): void => {
  const at = bytes.indexOf(text)
  assert.isAtLeast(at, 0, `${text} is in the log`)
  bytes[at]! ^= 1
}

const recover = (seat: ProcessCluster.Seat, ...args: ReadonlyArray<string>) =>
  Effect.sync(() => {
    const ran = ChildProcess.spawnSync(
      process.execPath,
      [ProcessCluster.program, "recover", `--data-dir=${seat.directory}`, ...args],
      { encoding: "utf8" }
    )
    return { code: ran.status, output: ran.stdout, error: ran.stderr }
  })

/** What `recover` writes down first, before anything else is done. */
const decide = (seat: ProcessCluster.Seat, clusterId: string): void => {
  const file = Path.join(seat.directory, MemberRecordFile.fileName)
  const record = Result.getOrThrow(MemberRecordFile.decode(Fs.readFileSync(file)))
  Fs.writeFileSync(file, MemberRecordFile.encode({ ...record, takeOver: Option.some(clusterId) }))
}

const ready = (seat: ProcessCluster.Seat) =>
  Effect.promise(() =>
    fetch(`http://${seat.clientAddress}/readyz`).then(async (response) => ({
      status: response.status,
      text: await response.text()
    }))
  )

/** A voter under another id than `before`, in a cluster of `count`. */
const isBack = (client: Driver.Service, seat: ProcessCluster.Seat, before: string, count: number) =>
  Driver.eventually(
    `${seat.name} is a voter again, under a new id`,
    Effect.map(client.members(), (list) => {
      const own = list.members.find((member) => member.name === seat.name)
      const back = own !== undefined && own.id !== before && own.role === "voter" && list.members.length === count
      return back && !list.isJoint ? Option.some(own) : Option.none()
    })
  )

describe("damaged processes", () => {
  it.live(
    "a member with a rotten log is rebuilt under a new id, and its old data lies aside",
    () =>
      Effect.gen(function*() {
        const cluster = yield* started(3)
        const client = yield* Driver.clientOf(cluster.seats)
        const ledger = yield* Driver.write(client, 4)
        yield* Driver.grow(ledger, 100)
        const seat = cluster.seats[0]!
        const { id } = yield* Driver.statusOf(seat)
        yield* cluster.stop(seat, "SIGKILL")
        yield* rot(seat)
        yield* cluster.start(seat)
        yield* isBack(client, seat, id, 3)
        yield* Driver.caughtUp(cluster, [seat])
        assert.deepStrictEqual(Fs.readdirSync(Path.join(seat.directory, "damaged")), [id])
        assert.deepStrictEqual(Fs.readdirSync(Path.join(seat.directory, "damaged", id)).sort(), ["log", "state"])
        assert.deepStrictEqual(yield* Driver.violations(client, ledger), [])
        const own = yield* Driver.clientOf([seat])
        assert.deepStrictEqual(yield* Driver.violations(own, ledger), [])
      }).pipe(Effect.scoped),
    minutes(3)
  )

  it.live(
    "a member whose log is damaged in one place is mended, and keeps its id and its data",
    () =>
      Effect.gen(function*() {
        const cluster = yield* started(3)
        const client = yield* Driver.clientOf(cluster.seats)
        yield* client.put("mended", "the value that rots")
        const ledger = yield* Driver.write(client, 4)
        yield* Driver.grow(ledger, 100)
        const leader = yield* Driver.leaderOf(cluster)
        const seat = cluster.seats.find((other) => other !== leader)!
        yield* Driver.caughtUp(cluster, [seat])
        const { id } = yield* Driver.statusOf(seat)
        yield* cluster.stop(seat, "SIGKILL")
        yield* rot(seat, flipAByteOf("the value that rots"))
        yield* cluster.start(seat)
        yield* Driver.caughtUp(cluster, [seat])
        assert.strictEqual((yield* Driver.statusOf(seat)).id, id)
        assert.match(cluster.logTail(seat), /the log of .* has been mended/)
        assert.isFalse(Fs.existsSync(Path.join(seat.directory, "damaged")))
        const own = yield* Driver.clientOf([seat])
        assert.deepStrictEqual(yield* Driver.violations(own, ledger), [])
        const found = yield* Effect.flatMap(own.get("mended"), Effect.fromOption)
        assert.strictEqual(new TextDecoder().decode(found.value), "the value that rots")
      }).pipe(Effect.scoped),
    minutes(3)
  )

  it.live(
    "a member on an old copy of its data, without entries that it has acknowledged, is rebuilt under a new id and exits never",
    () =>
      Effect.gen(function*() {
        const cluster = yield* started(3)
        const client = yield* Driver.clientOf(cluster.seats)
        const ledger = yield* Driver.write(client, 4)
        const leader = yield* Driver.leaderOf(cluster)
        const seat = cluster.seats.find((other) => other !== leader)!
        const { id } = yield* Driver.statusOf(seat)
        yield* cluster.stop(seat, "SIGTERM")
        const copy = `${seat.directory}-copy`
        Fs.cpSync(seat.directory, copy, { recursive: true })
        yield* cluster.start(seat)
        yield* Driver.grow(ledger, 100)
        yield* Driver.caughtUp(cluster, [seat])
        yield* cluster.stop(seat, "SIGKILL")
        Fs.rmSync(seat.directory, { recursive: true })
        Fs.renameSync(copy, seat.directory)
        yield* cluster.start(seat)
        yield* isBack(client, seat, id, 3)
        assert.match(Fs.readFileSync(seat.logFile, "utf8"), /is fenced, .*it has lost entries that were acknowledged/)
        assert.deepStrictEqual(yield* Driver.violations(client, ledger), [])
        const own = yield* Driver.clientOf([seat])
        assert.deepStrictEqual(yield* Driver.violations(own, ledger), [])
      }).pipe(Effect.scoped),
    minutes(3)
  )

  it.live(
    "a single damaged member stays up, is not ready and says why, changes nothing, and serves when its data is back",
    () =>
      Effect.gen(function*() {
        const cluster = yield* started(1)
        const seat = cluster.seats[0]!
        const client = yield* Driver.clientOf([seat])
        yield* client.put("precious", "yes")
        yield* cluster.stop(seat, "SIGTERM")
        const backup = `${seat.directory}-backup`
        Fs.cpSync(seat.directory, backup, { recursive: true })
        yield* rot(seat)
        yield* cluster.start(seat)
        const status = yield* Driver.eventually(
          "the member says that it is fenced, and nobody can help it",
          Effect.map(
            Driver.statusOf(seat),
            (status) =>
              Option.exists(status.fenced, (why) => why.includes("only member")) ? Option.some(status) : Option.none()
          )
        )
        assert.match(Option.getOrThrow(status.fenced), /\.log at 0: unreadable header.*only member.*backup/)
        const probe = yield* ready(seat)
        assert.strictEqual(probe.status, 503)
        assert.match(probe.text, /data_corruption failed: .*unreadable header/)
        assert.isFalse(Fs.readdirSync(seat.directory).includes("damaged"))
        yield* cluster.stop(seat, "SIGTERM")
        const refused = yield* recover(seat, "--yes")
        assert.strictEqual(refused.code, 1)
        assert.match(refused.error, /is damaged: .*backup/)
        Fs.rmSync(seat.directory, { recursive: true })
        Fs.cpSync(backup, seat.directory, { recursive: true })
        yield* cluster.start(seat)
        const value = yield* Effect.flatMap(client.get("precious"), Effect.fromOption)
        assert.strictEqual(new TextDecoder().decode(value.value), "yes")
      }).pipe(Effect.scoped),
    minutes(3)
  )
})

describe("dkv recover", () => {
  it.live(
    "makes a survivor the beginning of a new cluster that has what was acknowledged, grows again, and refuses the old members",
    () =>
      Effect.gen(function*() {
        const cluster = yield* started(3)
        const client = yield* Driver.clientOf(cluster.seats)
        const ledger = yield* Effect.scoped(Effect.gen(function*() {
          const ledger = yield* Driver.write(client, 4)
          yield* Driver.grow(ledger, 200)
          return ledger
        }))
        yield* Driver.caughtUp(cluster, cluster.seats)
        const [first, second, survivor] = cluster.seats as [
          ProcessCluster.Seat,
          ProcessCluster.Seat,
          ProcessCluster.Seat
        ]
        const before = yield* Driver.statusOf(survivor)
        for (const seat of [first, second]) yield* cluster.stop(seat, "SIGKILL")
        const locked = yield* recover(survivor, "--yes")
        assert.strictEqual(locked.code, 1)
        assert.match(locked.error, /in use by process/)
        yield* cluster.stop(survivor, "SIGKILL")

        const asked = yield* recover(survivor)
        assert.strictEqual(asked.code, 2)
        assert.match(asked.error, /--yes/)
        const looked = yield* recover(survivor, "--dry-run")
        assert.strictEqual(looked.code, 0, looked.error)
        for (const word of [before.id, "dkv-0", "dkv-1", "is lost", "must not be started again"]) {
          assert.include(looked.output, word)
        }
        const done = yield* recover(survivor, "--yes")
        assert.strictEqual(done.code, 0, done.error)
        assert.include(done.output, "dkv-2 is the only member of cluster")

        yield* cluster.start(survivor)
        const own = yield* Driver.clientOf([survivor])
        assert.deepStrictEqual(yield* Driver.violations(own, ledger), [])
        yield* own.put("after", "recovery")
        assert.isAbove((yield* Driver.statusOf(survivor)).term, before.term)

        // With its old data, a member is told that it was given up.
        const old = yield* cluster.start(first)
        assert.strictEqual((yield* old.ended).code, 1)
        assert.match(cluster.logTail(first), /was given up: dkv-2 has taken its cluster over/)
        first.running = Option.none()

        for (const seat of [first, second]) {
          yield* cluster.robData(seat)
          yield* cluster.start(seat)
          yield* Driver.eventually(
            `${seat.name} is let in`,
            Effect.map(
              own.joinMember({ name: seat.name, peerAddress: seat.peerAddress, clientAddress: seat.clientAddress }),
              Option.some
            )
          )
          yield* isBack(own, seat, "", seat === first ? 2 : 3)
        }
        const whole = yield* Driver.clientOf([first, second])
        assert.deepStrictEqual(yield* Driver.violations(whole, ledger), [])
        assert.isTrue(Option.isSome(yield* whole.get("after")))
      }).pipe(Effect.scoped),
    minutes(4)
  )

  it.live(
    "says when it was decided already, and completes it without asking again",
    () =>
      Effect.gen(function*() {
        const cluster = yield* started(1)
        const seat = cluster.seats[0]!
        const client = yield* Driver.clientOf([seat])
        yield* client.put("kept", "yes")
        yield* cluster.stop(seat, "SIGTERM")
        decide(seat, "00c0ffee00c0ffee")

        const looked = yield* recover(seat, "--dry-run")
        assert.strictEqual(looked.code, 0, looked.error)
        assert.include(looked.output, "It is decided already that dkv-0 goes on alone")
        assert.notInclude(looked.output, "gives up")
        const done = yield* recover(seat)
        assert.strictEqual(done.code, 0, done.error)
        assert.include(done.output, "dkv-0 is the only member of cluster 00c0ffee00c0ffee now")
        const after = yield* recover(seat, "--dry-run")
        assert.notInclude(after.output, "decided")
        assert.include(after.output, "cluster   00c0ffee00c0ffee")

        yield* cluster.start(seat)
        const kept = yield* Effect.flatMap(client.get("kept"), Effect.fromOption)
        assert.strictEqual(new TextDecoder().decode(kept.value), "yes")
      }).pipe(Effect.scoped),
    minutes(2)
  )

  it.live("refuses what is no data directory, and makes none", () =>
    Effect.gen(function*() {
      const cluster = yield* ProcessCluster.make({ members: 1 })
      const refused = yield* recover(cluster.seats[0]!, "--yes")
      assert.strictEqual(refused.code, 1)
      assert.include(refused.error, "is not the data directory of a member")
      assert.isFalse(Fs.existsSync(cluster.seats[0]!.directory))
    }).pipe(Effect.scoped), minutes(1))
})
