/** What is on disk, in the log and between members, byte for byte: a change of any line here is a change of format. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import type { Storage } from "@dkv/storage"
import { Arena } from "../src/Arena.ts"
import * as Bytes from "../src/Bytes.ts"
import * as CurrentRow from "../src/CurrentRow.ts"
import * as HistoryRecord from "../src/HistoryRecord.ts"
import * as HistoryRow from "../src/HistoryRow.ts"
import { HistoryRows } from "../src/HistoryRow.ts"
import { Command, Layout, Limits, Outcome } from "../src/index.ts"
import * as SnapshotChunk from "../src/SnapshotChunk.ts"
import { bytes, del, open, put, remove, swap } from "./Harness.ts"
import { MapStorage } from "./MapStorage.ts"

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const u64 = (value: number): string => value.toString(16).padStart(16, "0")
const u32 = (value: number): string => value.toString(16).padStart(8, "0")
const revision = (main: number, sub = 0): string => u64(main) + u32(sub)
const place = (main: number, sub: number, position: number): string =>
  revision(main, sub) + position.toString(16).padStart(2, "0")

const rowsOf = (storage: MapStorage): Record<string, string> =>
  Object.fromEntries(
    storage.contents().map(([key, value]) => [`${key[0]} ${hex(bytes(key.slice(1)))}`, hex(bytes(value))])
  )

/** The change that `write` puts into the arena, without its length. */
const changeOf = (arena: Arena, write: () => void): Uint8Array => {
  const rows: Array<Storage.Write> = []
  const history = new HistoryRows(arena, rows)
  history.place(1, 0, false, 4096)
  write()
  history.finish()
  const [row] = rows
  return HistoryRow.change(row?._tag === "Put" ? row.value : Bytes.empty, 0)!
}

describe("the layout of", () => {
  it.effect("rows, after puts, deletes and bookkeeping", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const { apply, machine } = yield* open(storage)
      const large = "l".repeat(Limits.inlineValueBytesMax + 1)
      yield* apply([put("a", "x"), put("a", "y"), put("b", ""), put("a", "z"), del("a", "c"), put("a", "!")])
      yield* apply([put("a", "?"), put("c", large)])
      yield* machine.apply([], { head: bytes("head"), changes: () => [{ key: bytes("client"), value: bytes("7") }] })
      const [tombstone, elsewhere, previous, jump] = ["01", "04", "04", "0c"]
      const inRow = (...changes: ReadonlyArray<string>) =>
        changes.map((change) => u32(change.length / 2) + change).join("")
      assert.deepStrictEqual(rowsOf(storage), {
        // Flags, place of the change, create revision, version, rank, further trees (rank and root each), value or its length.
        "K 61": "00" + place(8, 0, 0) + u64(7) + u64(2) + "02" + "01" + `02${place(5, 0, 3)}` + "3f",
        "K 62": tombstone + place(6, 1, 1) + u64(0) + u64(0) + "01" + "01" + `01${place(4, 0, 2)}`,
        "K 63": elsewhere + place(9, 0, 1) + u64(9) + u64(1) + "01" + "00" + u32(large.length),
        // Layout version, revision, compacted revision.
        [`M ${hex(bytes("kv"))}`]: "01" + u64(9) + u64(0),
        [`M ${hex(bytes("raft"))}`]: hex(bytes("head")),
        // Kind; per change its length, flags, create revision, version, previous change, jump, key length, key, value.
        [`R ${revision(2)}`]: "00" + inRow(
          "00" + u64(2) + u64(1) + u32(1) + "61" + "78",
          previous + u64(2) + u64(2) + place(2, 0, 0) + u32(1) + "61" + "79",
          "00" + u64(4) + u64(1) + u32(1) + "62",
          previous + u64(2) + u64(3) + place(3, 0, 1) + u32(1) + "61" + "7a"
        ),
        [`R ${revision(6)}`]: "01" + inRow(
          "05" + u64(0) + u64(0) + place(5, 0, 3) + u32(1) + "61",
          "05" + u64(0) + u64(0) + place(4, 0, 2) + u32(1) + "62"
        ),
        [`R ${revision(7)}`]: "00" + inRow(previous + u64(7) + u64(1) + place(6, 0, 0) + u32(1) + "61" + "21"),
        [`R ${revision(8)}`]: "00" + inRow(
          jump + u64(7) + u64(2) + place(7, 0, 0) + place(5, 0, 3) + u32(1) + "61" + "3f",
          "00" + u64(9) + u64(1) + u32(1) + "63" + hex(bytes(large))
        ),
        [`S ${hex(bytes("client"))}`]: "37"
      })
    }))

  it("rows with a lease and numbers beyond 32 bits", () => {
    const arena = new Arena()
    const big = 2 ** 53 - 1
    const before = {
      ...CurrentRow.absent,
      main: 5,
      sub: 1,
      chain: { rank: 1, main: 5, sub: 1, position: 1, next: undefined }
    }
    const row = {
      main: big,
      sub: 2 ** 32 - 1,
      create: 2 ** 40,
      version: 2 ** 33,
      lease: 2 ** 50 + 1,
      chain: { rank: 1, main: big, sub: 2 ** 32 - 1, position: 63, next: before.chain },
      valueBytes: 1,
      value: "v"
    }
    const current = CurrentRow.encode(arena, Layout.prefix.current, "k", row)
    assert.strictEqual(hex(current.key), "4b6b")
    assert.strictEqual(
      hex(current.value),
      "02" + place(big, 2 ** 32 - 1, 63) + u64(2 ** 40) + u64(2 ** 33) + u64(2 ** 50 + 1) + "01" + "01" +
        `01${place(5, 1, 1)}` + "76"
    )
    assert.deepStrictEqual(CurrentRow.decode(current.value), row)
    const command = Command.encode(put("k", "v"))
    const history = changeOf(arena, () => HistoryRecord.putPut(arena, row, before, command, 1, command.length))
    assert.strictEqual(
      hex(history),
      "06" + u64(2 ** 40) + u64(2 ** 33) + u64(2 ** 50 + 1) + place(5, 1, 1) + u32(1) + "6b76"
    )
    const { key, value, ...numbers } = HistoryRecord.decode(history)!
    assert.deepStrictEqual([hex(key), hex(value)], ["6b", "76"])
    assert.deepStrictEqual(numbers, {
      create: 2 ** 40,
      version: 2 ** 33,
      lease: 2 ** 50 + 1,
      previous: { main: 5, sub: 1, position: 1 },
      jump: undefined
    })
    assert.strictEqual(hex(Layout.historyKey(row.chain)), "52" + u64(big) + u32(2 ** 32 - 64))
    assert.strictEqual(hex(Layout.historyKey({ main: big, sub: 0, position: 63 })), "52" + u64(big - 63) + u32(0))
  })

  it("prefixes, each used once", () => {
    assert.deepStrictEqual(
      Object.fromEntries(Object.entries(Layout.prefix).map(([name, code]) => [name, String.fromCharCode(code)])),
      {
        history: "R",
        current: "K",
        meta: "M",
        records: "S",
        leases: "L",
        attachments: "T",
        users: "U",
        roles: "P",
        authorization: "G",
        alarms: "X",
        settings: "C",
        hashes: "H"
      }
    )
    assert.strictEqual(new Set(Object.values(Layout.prefix)).size, Object.keys(Layout.prefix).length)
  })

  it("commands", () => {
    assert.strictEqual(hex(Command.encode(put("ab", "c"))), "01" + u32(2) + "6162" + "63")
    assert.strictEqual(hex(Command.encode(del("a"))), "02" + u32(1) + "61")
    assert.strictEqual(hex(Command.encode(del("a", "b"))), "02" + u32(1) + "61" + "62")
    assert.strictEqual(hex(Command.encode(swap("a", "b", 2 ** 40))), "03" + u64(2 ** 40) + u32(1) + "61" + "62")
    assert.strictEqual(hex(Command.encode(remove("a", 9))), "04" + u64(9) + "61")
  })

  it("outcomes", () => {
    const row = { ...CurrentRow.absent, main: 5, create: 4, version: 2, lease: 3, valueBytes: 1, value: "v" }
    assert.strictEqual(hex(Outcome.put(2 ** 33)), "01" + u64(2 ** 33))
    assert.strictEqual(hex(Outcome.deleted(3, 7)), "02" + u64(3) + u32(7))
    assert.strictEqual(hex(Outcome.done(3)), "03" + u64(3))
    assert.strictEqual(hex(Outcome.missing(3)), "04" + u64(3))
    assert.strictEqual(
      hex(Outcome.differs(6, "k", row)),
      "05" + u64(6) + u64(5) + u64(4) + u64(2) + u64(3) + u32(1) + "6b" + "76"
    )
    assert.deepStrictEqual(Outcome.decode(Outcome.differs(6, "k", row)), {
      _tag: "Compared",
      revision: 6,
      succeeded: false,
      current: Option.some({
        key: bytes("k"),
        value: Option.some(bytes("v")),
        createRevision: 4,
        modRevision: 5,
        version: 2,
        lease: 3
      })
    })
    const longest = { ...row, valueBytes: Limits.inlineValueBytesMax, value: "v".repeat(Limits.inlineValueBytesMax) }
    assert.strictEqual(hex(Outcome.differs(6, "k", longest)).slice(0, 2), "05")
    const longer = { ...row, valueBytes: Limits.inlineValueBytesMax + 1, value: undefined }
    assert.strictEqual(
      hex(Outcome.differs(6, "k", longer)),
      "06" + u64(6) + u64(5) + u64(4) + u64(2) + u64(3) + u32(1) + "6b"
    )
    const unshown = Outcome.decode(Outcome.differs(6, "k", longer))
    assert(unshown._tag === "Compared" && Option.isSome(unshown.current))
    assert.deepStrictEqual(unshown.current.value.value, Option.none())
    // As sessions may still have it, from before there was a limit.
    const former = Outcome.decode(
      new Uint8Array(Buffer.from("05" + hex(Outcome.differs(6, "k", longer)).slice(2) + "76".repeat(2000), "hex"))
    )
    assert(former._tag === "Compared" && Option.isSome(former.current) && Option.isSome(former.current.value.value))
    assert.strictEqual(former.current.value.value.value.length, 2000)
    assert.deepStrictEqual([Outcome.malformed, Outcome.unsupported, Outcome.rangeTooLarge].map(hex), ["10", "11", "12"])
    for (const strange of [Outcome.malformed, Outcome.unsupported, Uint8Array.of(), Uint8Array.of(99)]) {
      const result = Outcome.decode(strange)
      assert.strictEqual(result._tag === "Invalid" && result.reason, "Unsupported")
    }
  })

  it("snapshot chunks", () => {
    const rows = [{ key: bytes("Ka"), value: bytes("v") }]
    const { after, chunk } = SnapshotChunk.encode({ rows: 4, checksum: 0x01020304 }, rows, true)
    const row = u32(2) + u32(1) + hex(bytes("Ka")) + hex(bytes("v"))
    assert.strictEqual(hex(chunk), hex(bytes("dkvS")) + "01" + "01" + u64(4) + "01020304" + u32(1) + row + "03be9e6d")
    assert.deepStrictEqual(after, { rows: 5, checksum: 0x03be9e6d })
  })
})

describe("rows that no version of ours wrote are told from others", () => {
  it("cut at any length, or with unknown flags", () => {
    const arena = new Arena()
    const at = (main: number) => ({ main, sub: 0, position: 0 })
    const row = CurrentRow.put(CurrentRow.put(CurrentRow.absent, at(2), "x"), at(3), "y".repeat(2000))
    const { value } = CurrentRow.encode(arena, Layout.prefix.current, "k", row)
    for (let length = 0; length < value.length; length++) {
      assert.isUndefined(CurrentRow.decode(value.slice(0, length)), `${length} bytes`)
    }
    assert.isUndefined(CurrentRow.decode(Uint8Array.from(value, (byte, i) => i === 0 ? byte | 0x80 : byte)))
    const tombstone = CurrentRow.remove(row, at(4))
    const history = changeOf(arena, () => HistoryRecord.putDelete(arena, tombstone, row, "k"))
    for (let length = 0; length < history.length; length++) {
      assert.isUndefined(HistoryRecord.decode(history.slice(0, length)), `${length} bytes`)
    }
    assert.isUndefined(HistoryRecord.decode(Uint8Array.from(history, (byte, i) => i === 0 ? byte | 0x80 : byte)))
  })
})
