/** Real processes, two that hold data and a witness: a third vote for the price of a small disk. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as ProcessCluster from "../src/ProcessCluster.ts"
import * as Driver from "../src/ProcessDriver.ts"

const bytesIn = (directory: string): number =>
  Fs.readdirSync(directory, { recursive: true, withFileTypes: true })
    .reduce((sum, entry) => entry.isFile() ? sum + Fs.statSync(Path.join(entry.parentPath, entry.name)).size : sum, 0)

describe("two members that hold data, and a witness", () => {
  it.live(
    "lose nothing and go on when either of the two is killed, and the witness stays small",
    () =>
      Effect.gen(function*() {
        const cluster = yield* ProcessCluster.make({ members: 3 })
        const [one, other, witness] = cluster.seats as [ProcessCluster.Seat, ProcessCluster.Seat, ProcessCluster.Seat]
        yield* cluster.start(one)
        yield* cluster.start(other)
        yield* cluster.start(witness, ["--witness"])
        const leader = yield* Driver.leaderOf(cluster)
        assert.notStrictEqual(leader, witness)
        const follower = leader === one ? other : one
        const status = yield* Driver.statusOf(witness)
        assert.deepStrictEqual([status.role, status.voters, status.copies], ["Witness", 3, 1])

        const client = yield* Driver.clientOf([witness, one, other])
        const value = new Uint8Array(16_384).fill(7)
        const fill = (prefix: string) =>
          Effect.all(
            Array.from({ length: 200 }, (_, number) => client.put(`${prefix}/${number}`, value)),
            { concurrency: 50, discard: true }
          )
        yield* fill("before")
        yield* cluster.stop(follower, "SIGKILL")
        yield* fill("during")
        assert.strictEqual((yield* client.range({ prefix: "during/" })).kvs.length, 200)
        assert.isAbove(bytesIn(leader.directory), 400 * value.length)
        assert.isBelow(bytesIn(witness.directory), 32 * value.length)

        const alone = yield* Driver.clientOf([witness], 5000)
        const refused = yield* Effect.flip(alone.get("before/0"))
        assert.match(refused.message, /is a witness/)
        const { members } = yield* alone.members()
        assert.deepStrictEqual(members.map(({ role }) => role), ["voter", "voter", "witness"])

        yield* cluster.start(follower)
        yield* Driver.caughtUp(cluster, [follower, witness])
        yield* cluster.stop(leader, "SIGKILL")
        const next = yield* Driver.leaderOf(cluster, [follower, witness])
        assert.strictEqual(next, follower)
        yield* client.put("after", "1")
        for (const prefix of ["before/", "during/"]) {
          assert.strictEqual((yield* client.range({ prefix })).kvs.length, 200)
        }

        yield* cluster.stop(witness, "SIGKILL")
        yield* cluster.start(witness, ["--witness"])
        yield* Driver.caughtUp(cluster, [witness])
        yield* client.put("after", "2")
        yield* cluster.stop(witness, "SIGTERM")
        const mistaken = yield* cluster.start(witness)
        assert.strictEqual((yield* mistaken.ended).code, 1)
        assert.include(cluster.logTail(witness), "as a witness: start it with --witness")
      }).pipe(Effect.scoped),
    180_000
  )
})
