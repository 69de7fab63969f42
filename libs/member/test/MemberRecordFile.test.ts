import { Configuration } from "@dkv/raft"
import { Disk, MemoryDisk } from "@dkv/storage"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Result } from "effect"
import { recordBytesMax } from "../src/Limits.ts"
import * as Records from "../src/MemberRecord.ts"
import { MemberRecord } from "../src/MemberRecord.ts"
import type { Record } from "../src/MemberRecord.ts"
import * as MemberRecordFile from "../src/MemberRecordFile.ts"

const fresh: Record = Records.fresh("00112233445566aa", "dkv-0", false)

const founded: Record = {
  ...fresh,
  clusterId: Option.some("ffeeddccbbaa0011"),
  founding: Option.some({
    ...Configuration.empty,
    members: [{
      id: fresh.memberId,
      name: "dkv-0",
      peerAddress: "a:2380",
      clientAddress: "",
      autoPromote: true,
      witness: false,
      priority: 0
    }],
    voters: [fresh.memberId]
  }),
  pending: ["dkv-1"],
  contacts: [{ id: "0123456789abcdef", peerAddress: "b:2380" }],
  hasLog: true,
  rebuild: Option.some({ memberId: "00112233445566bb", reason: "rot" }),
  damaged: Option.some({ memberId: "00112233445566cc", reason: "rot, too" }),
  takeOver: Option.some("ffeeddccbbaa0022"),
  formerClusters: ["ffeeddccbbaa0033"]
}

const withRecord = <A, E>(use: Effect.Effect<A, E, MemberRecord>) =>
  use.pipe(Effect.provide(MemberRecordFile.layer({ directory: "/data" })))

describe("the record on disk", () => {
  it("comes back as it was written", () => {
    for (const record of [fresh, founded, { ...founded, witness: true }]) {
      assert.deepStrictEqual(MemberRecordFile.decode(MemberRecordFile.encode(record)), Result.succeed(record))
    }
  })

  it("of a witness has a format that a program from before there were witnesses refuses, and that of a full member is as it was", () => {
    const formatOf = (record: Record) =>
      JSON.parse(new TextDecoder().decode(MemberRecordFile.encode(record)).split("\n")[0]!)
    assert.deepInclude(formatOf({ ...fresh, witness: true }), { format: 2, witness: true })
    assert.deepInclude(formatOf(fresh), { format: 1 })
    assert.isFalse("witness" in formatOf(fresh))
  })

  it("is refused with any byte changed, cut anywhere, and with anything behind it", () => {
    const bytes = MemberRecordFile.encode(founded)
    const refused = (damaged: Uint8Array, what: string) =>
      assert.isTrue(Result.isFailure(MemberRecordFile.decode(damaged)), what)
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = bytes.slice()
        damaged[at]! ^= 1 << bit
        refused(damaged, `bit ${bit} of byte ${at}`)
      }
      refused(bytes.slice(0, at), `cut at ${at}`)
    }
    for (const byte of [0, 10, 48]) refused(Uint8Array.of(...bytes, byte), `${byte} behind it`)
  })

  it.effect("in a member's directory is refused with the path of the file when a byte of it has changed", () =>
    Effect.gen(function*() {
      const memory = yield* MemoryDisk.MemoryDisk
      const disk = yield* Disk.Disk
      yield* disk.makeDirectory("/data")
      const records = yield* withRecord(MemberRecord)
      yield* records.save(founded)
      const original = memory.content("/data/member.json")
      for (const offset of [0, 20, 100, original.length - 1]) {
        memory.put("/data/member.json", original)
        memory.rot("/data/member.json", offset, 1)
        const { message } = yield* Effect.flip(records.load)
        assert.match(
          message,
          /\/data\/member\.json is damaged: .*backup.*Only if the others have a leader without this one/
        )
      }
      memory.put("/data/member.json", new Uint8Array(recordBytesMax + 1).fill(32))
      assert.include((yield* Effect.flip(records.load)).message, "too long")
    }).pipe(Effect.provide(MemoryDisk.layer)))

  it.effect("stays the old one on a full disk, which is reported, and is replaced once there is room", () =>
    Effect.gen(function*() {
      const memory = yield* MemoryDisk.MemoryDisk
      const disk = yield* Disk.Disk
      yield* disk.makeDirectory("/data")
      const records = yield* withRecord(MemberRecord)
      yield* records.save(fresh)
      memory.setCapacity(memory.content("/data/member.json").length + 10)
      const error = yield* Effect.flip(records.save(founded))
      assert.strictEqual((error.cause as Disk.DiskError).reason, "Full")
      assert.include(error.message, "/data/member.json")
      assert.deepStrictEqual(yield* records.load, Option.some(fresh))
      memory.setCapacity(Infinity)
      yield* records.save(founded)
      assert.deepStrictEqual(yield* records.load, Option.some(founded))
    }).pipe(Effect.provide(MemoryDisk.layer)))

  it("of a newer format is refused with both numbers", () => {
    const newer = new TextEncoder().encode("{\"format\":3}\nwhatever\n")
    assert.match(
      Result.getFailure(MemberRecordFile.decode(newer)).pipe(Option.getOrThrow),
      /format 3, this program knows up to 2/
    )
  })

  it.effect("is none in a new directory, and what was saved last in a used one", () =>
    Effect.gen(function*() {
      const disk = yield* Disk.Disk
      yield* disk.makeDirectory("/data")
      yield* withRecord(Effect.gen(function*() {
        const records = yield* MemberRecord
        assert.deepStrictEqual(yield* records.load, Option.none())
        yield* records.save(fresh)
        yield* records.save(founded)
      }))
      const loaded = yield* withRecord(Effect.flatMap(MemberRecord, (records) => records.load))
      assert.deepStrictEqual(loaded, Option.some(founded))
    }).pipe(Effect.provide(MemoryDisk.layer)))

  it.effect("that is missing beside a log or a state is an error that says what to do, and not a new member", () =>
    Effect.gen(function*() {
      const disk = yield* Disk.Disk
      for (const name of ["log", "state"]) {
        yield* disk.makeDirectory(`/data/${name}`)
        const error = yield* Effect.flip(withRecord(Effect.flatMap(MemberRecord, (records) => records.load)))
        assert.match(
          error.message,
          /\/data\/member\.json is missing, .*backup.*Only if the others have a leader without this one.*empty/
        )
        yield* disk.remove(`/data/${name}`)
      }
    }).pipe(Effect.provide(MemoryDisk.layer)))

  it.effect("is the old or the new one, whole, whenever the machine stops while it is replaced", () =>
    Effect.gen(function*() {
      const memory = yield* MemoryDisk.MemoryDisk
      const disk = yield* Disk.Disk
      yield* disk.makeDirectory("/data")
      const save = (record: Record) => withRecord(Effect.flatMap(MemberRecord, (records) => records.save(record)))
      const load = withRecord(Effect.flatMap(MemberRecord, (records) => records.load))
      yield* save(fresh)
      const before = memory.steps()
      yield* save(fresh)
      const steps = memory.steps() - before
      assert.isAbove(steps, 2)
      for (let step = 1; step <= steps; step++) {
        memory.crashAt(memory.steps() + step)
        yield* Effect.exit(save(founded))
        memory.crash()
        yield* memory.restart
        const found = Option.getOrThrow(yield* load)
        assert.deepStrictEqual(found, found.hasLog ? founded : fresh, `crash at step ${step}`)
        yield* save(fresh)
      }
    }).pipe(Effect.provide(MemoryDisk.layer)))
})
