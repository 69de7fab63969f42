import { assert, describe, it } from "@effect/vitest"
import { Option, Schema } from "effect"
import { Admin, BatchReply, BatchRequest, Frame, Hello, Limits } from "../src/index.ts"
import type { Operation } from "../src/index.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const anything = Uint8Array.from({ length: 256 }, (_, value) => value)
const empty = new Uint8Array(0)

const operations: ReadonlyArray<Operation.Operation> = [
  { _tag: "Put", key: bytes("key"), value: anything },
  { _tag: "Put", key: anything, value: empty },
  { _tag: "Delete", key: bytes("a"), end: empty },
  { _tag: "Delete", key: bytes("a"), end: bytes("b") },
  { _tag: "CompareAndSwap", key: bytes("k"), value: bytes("\r\n\0"), expected: Number.MAX_SAFE_INTEGER },
  { _tag: "CompareAndDelete", key: bytes("k"), expected: 0 },
  { _tag: "Range", key: bytes("a"), end: bytes("z"), limit: 0xffff_ffff, reverse: true }
]

const keyValue: Operation.KeyValue = {
  key: bytes("k"),
  value: anything,
  createRevision: 2,
  modRevision: 2 ** 40,
  version: 3,
  lease: 0
}

const results: ReadonlyArray<Operation.Result> = [
  { _tag: "Put", revision: 7 },
  { _tag: "Delete", revision: 8, deleted: 2 },
  { _tag: "Compared", revision: 9, succeeded: true, current: Option.none() },
  { _tag: "Compared", revision: 9, succeeded: false, current: Option.none() },
  {
    _tag: "Compared",
    revision: 9,
    succeeded: false,
    current: Option.some({ ...keyValue, value: Option.some(anything) })
  },
  { _tag: "Compared", revision: 9, succeeded: false, current: Option.some({ ...keyValue, value: Option.some(empty) }) },
  { _tag: "Compared", revision: 9, succeeded: false, current: Option.some({ ...keyValue, value: Option.none() }) },
  { _tag: "Range", revision: 9, kvs: [keyValue, keyValue], more: true },
  { _tag: "Invalid", reason: "KeyEmpty", message: "a key has at least one byte" },
  { _tag: "Failed", reason: "NoLeader", message: "no leader" },
  { _tag: "Failed", reason: "Unknown", message: "the link broke" }
]

const batch: BatchRequest.Batch = { id: 0xffff_ffff, consistency: "stale", timeoutMillis: 5000, operations }

const writes = operations.filter(({ _tag }) => _tag !== "Range").length

/** The frames that a decoder finds in `stream`, fed in pieces of `size`. */
const framesOf = (stream: Uint8Array, size: number): ReadonlyArray<Uint8Array> => {
  const decoder = new Frame.Decoder(Limits.requestBytesMax)
  const frames: Array<Uint8Array> = []
  for (let at = 0; at < stream.length; at += size) {
    assert.isUndefined(decoder.push(stream.subarray(at, at + size), (frame) => void frames.push(frame.slice())))
  }
  return frames
}

/** A generator with a seed, so that a failure can be repeated. */
const random = (seed: number) => () => {
  seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
  return seed / 0x1_0000_0000
}

describe("a batch", () => {
  it("comes back as it was sent, byte for byte, however the stream is cut", () => {
    const encoded = BatchRequest.encode(batch)
    for (const size of [1, 2, 3, 7, encoded.length]) {
      const [frame] = framesOf(encoded, size)
      assert.deepStrictEqual(BatchRequest.decode(frame!), batch)
    }
  })

  it("that ends too early, anywhere, is a violation and nothing else", () => {
    const frame = BatchRequest.encode(batch).subarray(Frame.lengthBytes)
    for (let length = 0; length < frame.length; length++) {
      const decoded = BatchRequest.decode(frame.subarray(0, length))
      assert.strictEqual("code" in decoded ? decoded.code : "decoded", "Malformed", `cut at ${length}`)
    }
  })

  it("of random bytes never throws", () => {
    const next = random(7)
    const frame = BatchRequest.encode(batch).subarray(Frame.lengthBytes)
    for (let round = 0; round < 20_000; round++) {
      const damaged = frame.slice()
      for (let count = 0; count < 3; count++) damaged[Math.floor(next() * damaged.length)] = Math.floor(next() * 256)
      BatchRequest.decode(damaged)
      BatchReply.decode(damaged)
      BatchRequest.decode(Uint8Array.from({ length: Math.floor(next() * 40) }, () => Math.floor(next() * 256)))
    }
  })

  it("has the layout that every release of version 1 speaks", () => {
    const encoded = BatchRequest.encode({
      id: 1,
      consistency: "linearizable",
      timeoutMillis: 1000,
      operations: [{ _tag: "Put", key: bytes("k"), value: bytes("v") }]
    })
    assert.strictEqual(
      Buffer.from(encoded).toString("hex"),
      "0000001b" + "00000001" + "00000001" + "000003e8" + "00000000" + "01" + "00000001" + "00000001" + "6b76"
    )
    const stamped = BatchRequest.encode({
      id: 1,
      consistency: { maxStalenessMillis: 500 },
      timeoutMillis: 1000,
      stamp: { session: { index: 7, term: 2 }, lowestUnanswered: 3, runs: [{ sequence: 4, count: 1 }] },
      operations: [{ _tag: "Put", key: bytes("k"), value: bytes("v") }]
    })
    assert.strictEqual(
      Buffer.from(stamped).toString("hex"),
      "0000003d" + "00000001" + "00010001" + "000003e8" + "000001f4" +
        "0000000000000007" + "0000000000000002" + "0000000000000003" + "0000000000000004" + "0001" +
        "01" + "00000001" + "00000001" + "6b76"
    )
  })

  it("says how old its reads may be, and whose writes it has", () => {
    const runs = [{ sequence: 9, count: writes - 1 }, { sequence: 2, count: 1 }]
    const stamp = { session: { index: 7, term: 2 }, lowestUnanswered: 1, runs }
    for (const consistency of ["linearizable", "stale", { maxStalenessMillis: 1 }] as const) {
      const sent = { ...batch, consistency, stamp }
      assert.deepStrictEqual(BatchRequest.decode(BatchRequest.encode(sent).subarray(Frame.lengthBytes)), sent)
    }
  })

  it("with a sequence number beyond 2^53 - 1 is malformed, though only counting leads to it", () => {
    const judge = (sequence: number, count: number) => {
      const runs = [{ sequence, count }, { sequence: 1, count: writes - count }]
      const stamp = { session: { index: 7, term: 2 }, lowestUnanswered: 1, runs }
      const decoded = BatchRequest.decode(BatchRequest.encode({ ...batch, stamp }).subarray(Frame.lengthBytes))
      return "code" in decoded ? decoded.code : decoded.stamp
    }
    const last = Number.MAX_SAFE_INTEGER
    assert.strictEqual(judge(last, 2), "Malformed")
    assert.strictEqual(judge(last - 1, 3), "Malformed")
    assert.strictEqual(judge(last + 1, 1), "Malformed")
    for (const [sequence, count] of [[last, 1], [last - 1, 2], [last, 0]] as const) {
      assert.isObject(judge(sequence, count))
    }
  })

  it("without a sequence number for each of its writes, or with one too many, is malformed", () => {
    for (const count of [writes - 1, writes + 1]) {
      const stamp = { session: { index: 7, term: 2 }, lowestUnanswered: 1, runs: [{ sequence: 1, count }] }
      const decoded = BatchRequest.decode(BatchRequest.encode({ ...batch, stamp }).subarray(Frame.lengthBytes))
      assert.strictEqual("code" in decoded ? decoded.code : "decoded", "Malformed")
    }
  })
})

describe("a reply", () => {
  it("comes back as it was sent, the answers in the order of the operations", () => {
    const [frame] = framesOf(BatchReply.encode(3, results), 11)
    assert.deepStrictEqual(BatchReply.decode(frame!), { _tag: "Reply", id: 3, results })
  })

  it("that ends too early, anywhere, is a violation and nothing else", () => {
    const frame = BatchReply.encode(3, results).subarray(Frame.lengthBytes)
    for (let length = 0; length < frame.length; length++) {
      assert.isTrue("code" in BatchReply.decode(frame.subarray(0, length)), `cut at ${length}`)
    }
  })

  it("says of a failed comparison what it found: nothing, a key with its value, or a key without", () => {
    const encoded = (current: Operation.ComparedResult["current"]) =>
      Buffer.from(BatchReply.encode(1, [{ _tag: "Compared", revision: 9, succeeded: false, current }])).toString("hex")
    const head = "00000001" + "0001" + "03" + "0000000000000009"
    const key = "0000000000000002" + "0000010000000000" + "0000000000000003" + "0000000000000000" + "00000001"
    const found = (value: Option.Option<Uint8Array>) => encoded(Option.some({ ...keyValue, value }))
    assert.strictEqual(encoded(Option.none()), "00000010" + head + "00")
    assert.strictEqual(found(Option.some(bytes("v"))), "0000003a" + head + "02" + key + "00000001" + "6b" + "76")
    assert.strictEqual(found(Option.none()), "00000039" + head + "06" + key + "00000000" + "6b")
  })

  it("with flags of a comparison that say nothing, or with bytes of a value that is not told, is a violation", () => {
    const isRead = (flags: number, value: Uint8Array) => {
      const current = Option.some({ ...keyValue, value: Option.some(value) })
      const result = { _tag: "Compared", revision: 9, succeeded: false, current } as const
      const frame = BatchReply.encode(1, [result]).subarray(Frame.lengthBytes)
      frame[4 + 2 + 1 + 8] = flags
      return "results" in BatchReply.decode(frame)
    }
    const flags = Array.from({ length: 256 }, (_, flags) => flags)
    assert.deepStrictEqual(flags.filter((flags) => isRead(flags, bytes("v"))), [2, 3])
    assert.deepStrictEqual(flags.filter((flags) => isRead(flags, empty)), [2, 3, 6, 7])
  })

  it("leaves out what would make it too large, and says which answers to ask for again", () => {
    const large: Operation.Result = {
      _tag: "Range",
      revision: 1,
      kvs: [{ ...keyValue, value: new Uint8Array(600) }],
      more: false
    }
    const [frame] = framesOf(BatchReply.encode(1, [large, large, large], 1500), 1 << 20)
    const decoded = BatchReply.decode(frame!)
    const tags = "results" in decoded ? decoded.results.map((result) => result._tag) : []
    assert.deepStrictEqual(tags, ["Range", "Range", "Failed"])
  })
})

describe("frames", () => {
  it("one that announces more than is allowed ends the stream before anything is kept", () => {
    const decoder = new Frame.Decoder(1000)
    const violation = decoder.push(Uint8Array.of(0, 0, 4, 0), () => assert.fail("a frame"))
    assert.strictEqual(violation?.code, "TooLarge")
  })

  it("an empty one is malformed", () => {
    assert.strictEqual(new Frame.Decoder(1000).push(new Uint8Array(4), () => {})?.code, "Malformed")
  })
})

describe("a rare call", () => {
  it("a member from before there were priorities has none, and one from before hears no word of them that it must know", () => {
    const before = {
      id: "0000000000000001",
      name: "a",
      peerAddress: "a:2380",
      clientAddress: "a:3000",
      role: "voter",
      autoPromote: true,
      isLeader: false
    }
    const view = Schema.decodeUnknownSync(Admin.MemberView)(before)
    assert.strictEqual(view.priority, 0)
    const { priority, ...others } = Schema.encodeSync(Admin.MemberView)(new Admin.MemberView({ ...view, priority: 4 }))
    assert.strictEqual(priority, 4)
    assert.deepStrictEqual(others, before)
  })
})

describe("the hello", () => {
  it("of this version is accepted; a newer and an older client are told which versions there are", () => {
    assert.deepStrictEqual(Hello.judge(Hello.encodeClient("batch")), { _tag: "Accepted", version: 1 })
    for (const versions of [{ min: 2, max: 3 }, { min: 0, max: 0 }, { min: 3, max: 2 }]) {
      assert.strictEqual(Hello.judge(Hello.encodeClient("batch", versions))._tag, "Refused")
    }
    const newer = Hello.judge(Hello.encodeClient("rpc", { min: 2, max: 3 }))
    assert.match(
      newer._tag === "Refused" ? newer.message : "",
      /versions 1 to 1, the client 2 to 3: upgrade this server/
    )
  })

  it("a refusal reaches the client in words; another program is recognised as such", () => {
    const refusal = Hello.encodeServer("batch", { _tag: "Refused", message: "no" })
    assert.isUndefined(Hello.decodeServer(refusal.subarray(0, 9), "batch"))
    assert.deepStrictEqual(Hello.decodeServer(refusal, "batch")?.verdict, { _tag: "Refused", message: "no" })
    const other = Hello.decodeServer(bytes("HTTP/1.1 400 Bad Request"), "batch")
    assert.strictEqual(other?.verdict._tag, "Refused")
  })
})
