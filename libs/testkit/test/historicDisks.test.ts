/**
 * Historic bugs of disks, over whole members on segment files. Each test is named after the symptom that others had, with its number in the table of
 * the README.
 */
import { LogStore, Transport } from "@dkv/raft"
import * as Codec from "@dkv/raft/codec/PeerMessageCodec"
import { TransportMemory } from "@dkv/transport"
import type { MemoryNetwork } from "@dkv/transport"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Random, References } from "effect"
import { TestClock } from "effect/testing"
import * as DiskMembers from "./diskMembers.ts"

const { idOf, passing, propose } = DiskMembers

const logPath = "/data/log/00000000000000000001.log"

/** Somebody who asks for votes and listens to the answers. */
const candidate = Effect.fnUntraced(function*(network: Context.Context<MemoryNetwork.MemoryNetwork>, number: number) {
  const layer = TransportMemory.layer({
    clusterId: DiskMembers.clusterId,
    memberId: idOf(number),
    address: DiskMembers.addressOf(number)
  })
  const transport = Context.get(yield* Layer.build(layer).pipe(Effect.provideContext(network)), Transport.Transport)
  let granted = 0
  yield* transport.serve({
    onFrame: (_, __, frame) => {
      const message = Codec.decode(frame)
      if (message._tag === "VoteReply" && message.granted && message.term === 2 && !message.preVote) granted++
    },
    onUp: () => {},
    onDown: () => {}
  })
  yield* transport.setPeers([{ id: idOf(2), address: DiskMembers.addressOf(2) }])
  return {
    ask: Effect.sync(() =>
      transport.sendUnsafe(idOf(2), "raft", [Codec.encode({
        _tag: "VoteRequest",
        term: 2,
        lastIndex: 1,
        lastTerm: 1,
        preVote: false,
        transfer: false
      })])
    ),
    granted: () => granted
  }
})

/** Where `line` stands in a file. */
const placeOf = (file: Uint8Array, line: string): number => {
  const place = Buffer.from(file).indexOf(line)
  assert.isAbove(place, 0)
  return place
}

/** The file with the beginning of another record behind its last one, as a crash amid a write leaves it. */
const torn = (file: Uint8Array): Uint8Array => {
  const end = file.findLastIndex((byte) => byte !== 0) + 1
  const longer = new Uint8Array(Math.max(file.length, end + 30))
  longer.set(file)
  longer.set(file.subarray(100, 130), end)
  return longer
}

const quiet = Effect.provideService(References.MinimumLogLevel, "None")

describe("historic bugs: disks", () => {
  it.effect("#3: a member that crashed between two writes votes twice in a term (hashicorp/raft 661)", () =>
    Effect.gen(function*() {
      const seen = { first: 0, second: 0 }
      for (let seed = 1; seed <= 60; seed++) {
        yield* Effect.gen(function*() {
          const network = yield* DiskMembers.network
          const machine = yield* DiskMembers.makeMachine({ network, number: 2, founders: [1, 2, 3] })
          const [one, three] = [yield* candidate(network, 1), yield* candidate(network, 3)]
          yield* passing(machine.start)
          machine.memory.setDelay(5)
          yield* one.ask
          for (let millis = seed % 12; millis > 0; millis--) yield* TestClock.adjust(1)
          yield* machine.powerCut
          yield* passing(machine.start)
          yield* three.ask
          yield* TestClock.adjust(300)
          assert.isTrue(one.granted() === 0 || three.granted() === 0, `seed ${seed}`)
          seen.first += one.granted()
          seen.second += three.granted()
        }).pipe(Effect.scoped, Random.withSeed(seed))
      }
      assert.isTrue(seen.first > 10 && seen.second > 10, JSON.stringify(seen))
    }).pipe(quiet))

  it.effect("#11: a single member acknowledges a write that a power cut then takes back (etcd 14370)", () =>
    Effect.gen(function*() {
      for (let seed = 1; seed <= 10; seed++) {
        yield* Effect.gen(function*() {
          const network = yield* DiskMembers.network
          const machine = yield* DiskMembers.makeMachine({ network, number: 1, founders: [1] })
          const acknowledged: Array<string> = []
          for (let run = 0; run < 3; run++) {
            const process = yield* passing(machine.start)
            machine.memory.setDelay(20)
            for (let count = 0; count < 5; count++) {
              const line = `+${run}.${count}`
              const call = yield* Effect.forkChild(propose(process, line))
              yield* TestClock.adjust(10)
              assert.isUndefined(call.pollUnsafe(), "its sync takes longer")
              yield* passing(Fiber.join(call))
              acknowledged.push(line)
            }
            yield* machine.powerCut
          }
          const last = yield* passing(machine.start)
          yield* passing(propose(last, "+last"))
          assert.deepStrictEqual(last.journal.lines, [...acknowledged, "+last"], `seed ${seed}`)
          assert.strictEqual(acknowledged.length, 15)
        }).pipe(Effect.scoped, Random.withSeed(seed))
      }
    }).pipe(quiet))

  it.effect("#28: a sync fails, the next one succeeds, and what the first one lost counts as written (fsyncgate, PostgreSQL 2018; Rebello, ATC 2020)", () =>
    Effect.gen(function*() {
      const network = yield* DiskMembers.network
      const machine = yield* DiskMembers.makeMachine({ network, number: 1, founders: [1] })
      const process = yield* passing(machine.start)
      yield* passing(propose(process, "+before"))
      const stopped = yield* Effect.forkChild(Effect.flip(process.node.stopped))
      machine.memory.fail("sync")
      assert.strictEqual((yield* passing(Effect.flip(propose(process, "+lost")))).reason, "Unknown")
      assert.include((yield* passing(Fiber.join(stopped))).message, logPath)
      const { sync, write } = machine.memory.counts
      assert.strictEqual((yield* passing(Effect.flip(propose(process, "+after")))).reason, "Stopped")
      yield* TestClock.adjust(60_000)
      assert.deepStrictEqual(
        [machine.memory.counts.sync, machine.memory.counts.write],
        [sync, write],
        "nothing is tried again"
      )
      yield* machine.powerCut
      const again = yield* passing(machine.start)
      yield* passing(propose(again, "+again"))
      assert.deepStrictEqual(again.journal.lines, ["+before", "+again"])
    }).pipe(Effect.scoped, Random.withSeed(28), quiet))

  for (const which of ["first", "middle", "last"] as const) {
    it.effect(`#29: the ${which} of the acknowledged entries rots, is taken for a torn write, and is cut off with all behind it (PAR, FAST 2018; TigerBeetle)`, () =>
      Effect.gen(function*() {
        const network = yield* DiskMembers.network
        const founders = [1, 2, 3]
        const machines = yield* Effect.forEach(
          founders,
          (number) => DiskMembers.makeMachine({ network, number, founders })
        )
        const lines = Array.from({ length: 9 }, (_, at) => `+line ${at}`)
        const first = yield* Effect.forEach(machines, (machine) => passing(machine.start))
        for (const line of lines) yield* passing(propose(first[0]!, line, 20_000))
        yield* TestClock.adjust(1000)
        for (const process of first) yield* process.stop
        const [rotten, cut, sound] = machines
        const found = placeOf(rotten!.memory.content(logPath), lines[{ first: 0, middle: 4, last: 8 }[which]]!)
        rotten!.memory.rot(logPath, found, 4)
        cut!.memory.put(logPath, torn(cut!.memory.content(logPath)))
        const refused = yield* Effect.flip(passing(rotten!.start))
        assert.instanceOf(refused, LogStore.LogStoreError)
        assert.strictEqual((refused as LogStore.LogStoreError).reason, "Corrupt")
        assert.include(refused.message, `${logPath} at `)
        // The others have everything, the one with the torn end included, and go on.
        const others = yield* Effect.forEach([cut!, sound!], (machine) => passing(machine.start))
        yield* passing(propose(others[0]!, "+more", 20_000))
        yield* TestClock.adjust(1000)
        for (const { journal } of others) assert.deepStrictEqual(journal.lines, [...lines, "+more"])
      }).pipe(Effect.scoped, Random.withSeed(29), quiet))
  }
})
