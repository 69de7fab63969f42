/** What members say to each other and keep on disk, byte for byte. */
import { assert, describe, it } from "@effect/vitest"
import { Malformed, Reader, Writer } from "../src/codec/Bytes.ts"
import * as ConfigurationCodec from "../src/codec/ConfigurationCodec.ts"
import * as MetaCodec from "../src/codec/MetaCodec.ts"
import * as Codec from "../src/codec/PeerMessageCodec.ts"
import * as SessionCodec from "../src/codec/SessionCodec.ts"
import * as ClusterSettings from "../src/core/ClusterSettings.ts"
import { empty } from "../src/core/Configuration.ts"
import type { Configuration } from "../src/core/Configuration.ts"
import { EntryKind } from "../src/core/Entry.ts"
import type { Append } from "../src/core/Message.ts"
import * as Crc32c from "../src/Crc32c.ts"
import * as Entry from "../src/Entry.ts"
import type { PeerMessage } from "../src/PeerMessage.ts"
import { RaftError, Reason } from "../src/RaftError.ts"
import { bytes } from "./support/Register.ts"

const huge = Number.MAX_SAFE_INTEGER

const hex = (value: Uint8Array) => Buffer.from(value).toString("hex")

const configuration: Configuration = {
  members: [
    {
      id: "00000000000000a1",
      name: "dkv-0",
      peerAddress: "h:1",
      clientAddress: "",
      autoPromote: false,
      witness: false,
      priority: 0
    },
    {
      id: "ffffffffffffffff",
      name: "ü",
      peerAddress: "i:2",
      clientAddress: "i:3",
      autoPromote: true,
      witness: true,
      priority: -2,
      replaces: "00000000000000a1"
    }
  ],
  voters: ["00000000000000a1"],
  outgoing: ["ffffffffffffffff"],
  settings: { leaderLeases: true, deadMembers: "replace", deadMemberMillis: huge }
}

const entries = [
  Entry.make(8, 3, EntryKind.Command, bytes("ab")),
  Entry.make(9, 4, EntryKind.Noop, new Uint8Array(0)),
  Entry.make(10, 4, EntryKind.Configuration, ConfigurationCodec.encode(configuration))
]

const append: Append = { _tag: "Append", term: 5, previousIndex: 7, previousTerm: 2, commit: 6, entries }

const encode = (message: PeerMessage): Uint8Array => {
  if (message._tag !== "Append") return Codec.encode(message)
  const fields = Codec.encodeAppend({ ...message, count: message.entries.length })
  return Buffer.concat([fields, Codec.encodeEntries(message.entries as ReadonlyArray<Entry.Entry>)])
}

const [first, second] = configuration.members

const messages: ReadonlyArray<PeerMessage> = [
  ...[true, false].flatMap((preVote) =>
    [true, false].flatMap((other) => [
      { _tag: "VoteRequest", term: huge, lastIndex: huge, lastTerm: huge, preVote, transfer: other } as const,
      { _tag: "VoteReply", term: huge, preVote, granted: other } as const
    ])
  ),
  { ...append, entries: [] },
  append,
  {
    _tag: "Append",
    term: huge,
    previousIndex: huge - 1,
    previousTerm: huge,
    commit: huge,
    entries: [
      Entry.make(huge, huge, EntryKind.Command, new Uint8Array(1000))
    ]
  },
  { _tag: "AppendReply", term: 1, success: true, index: 2 ** 32, hintIndex: 0, hintTerm: 0 },
  { _tag: "AppendReply", term: huge, success: false, index: huge, hintIndex: huge, hintTerm: huge },
  { _tag: "Heartbeat", term: huge, commit: huge, round: huge },
  { _tag: "HeartbeatReply", term: huge, round: huge },
  { _tag: "ReadIndex", term: huge, id: huge },
  { _tag: "ReadIndexReply", term: huge, id: huge, index: -1 },
  { _tag: "ReadIndexReply", term: 0, id: 0, index: huge - 1 },
  { _tag: "TimeoutNow", term: huge },
  { _tag: "SnapshotOffer", term: huge, snapshot: huge, index: huge, indexTerm: huge },
  {
    _tag: "Forward",
    id: huge,
    timeoutMillis: 2 ** 32 - 1,
    purpose: "Commands",
    commands: [bytes("a"), new Uint8Array(0), bytes("ccc")]
  },
  { _tag: "Forward", id: 0, timeoutMillis: 0, purpose: "OpenSession", commands: [new Uint8Array(0)] },
  {
    _tag: "Forward",
    id: 1,
    timeoutMillis: 1,
    purpose: {
      session: { index: huge, term: huge },
      lowestUnanswered: huge,
      runs: [{ sequence: huge, count: 1 }, { sequence: 3, count: 2 }]
    },
    commands: [bytes("a"), bytes("b"), bytes("c")]
  },
  { _tag: "ForwardDone", id: huge, results: [new Uint8Array(300)] },
  {
    _tag: "ForwardDone",
    id: huge,
    results: [new Uint8Array(0), new RaftError({ reason: "Unknown", message: "größer als 4 €" }), bytes("a")]
  },
  ...Reason.literals.map((reason) => ({ _tag: "ForwardFailed", id: 1, reason, message: "größer als 4 €" }) as const),
  { _tag: "ChangeRequest", id: 1, timeoutMillis: 5, wish: { _tag: "Join", member: first! } },
  { _tag: "ChangeRequest", id: 2, timeoutMillis: 5, wish: { _tag: "Join", member: second! } },
  { _tag: "ChangeRequest", id: 3, timeoutMillis: 5, wish: { _tag: "Promote", id: "a", force: true } },
  { _tag: "ChangeRequest", id: 4, timeoutMillis: 5, wish: { _tag: "Leave", id: "a", force: false } },
  {
    _tag: "ChangeRequest",
    id: 5,
    timeoutMillis: 5,
    wish: { _tag: "Update", id: "a", peerAddress: "b", clientAddress: "c" }
  },
  {
    _tag: "ChangeRequest",
    id: 5,
    timeoutMillis: 5,
    wish: { _tag: "Update", id: "a", peerAddress: "b", clientAddress: "c", priority: -3 }
  },
  { _tag: "ChangeRequest", id: 5, timeoutMillis: 5, wish: { _tag: "Configure", settings: {} } },
  { _tag: "ChangeRequest", id: 5, timeoutMillis: 5, wish: { _tag: "Configure", settings: configuration.settings } },
  { _tag: "ChangeRequest", id: 6, timeoutMillis: 5, wish: { _tag: "Transfer", to: "" } },
  { _tag: "ChangeAnswer", id: huge, refusal: undefined, leader: "" },
  ...([
    "Pending",
    "NotReady",
    "NoQuorum",
    "LastVoter",
    "NotFound",
    "Conflict",
    "Invalid",
    "NotVoter",
    "NoLeader",
    "Unknown",
    "Timeout"
  ] as const).map((refusal) => ({ _tag: "ChangeAnswer", id: 1, refusal, leader: "ffffffffffffffff" }) as const),
  {
    _tag: "SnapshotChunk",
    snapshot: huge,
    sequence: 2 ** 32 - 1,
    last: true,
    checksum: 2 ** 32 - 1,
    data: new Uint8Array(70)
  },
  ...(["receiving", "installed", "refused"] as const).map((state) =>
    ({ _tag: "SnapshotProgress", snapshot: huge, next: 2 ** 32 - 1, state }) as const
  )
]

/** The configuration of an entry is read on the way in. */
const expected = (message: PeerMessage): PeerMessage =>
  message._tag !== "Append" ? message : {
    ...message,
    entries: message.entries.map((entry) =>
      entry.kind === EntryKind.Configuration ? Codec.withConfiguration(entry as Entry.Entry) : entry
    )
  }

/** Buffers and views of the same bytes are the same. */
const plain = (value: unknown): unknown =>
  value instanceof Uint8Array
    ? hex(value)
    : Array.isArray(value)
    ? value.map(plain)
    : typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).map(([key, field]) => [key, plain(field)]))
    : value

const decodesOrIsMalformed = (frame: Uint8Array): boolean => {
  try {
    Codec.decode(frame)
    return true
  } catch (error) {
    assert.instanceOf(error, Malformed, hex(frame.subarray(0, 64)))
    return false
  }
}

describe("messages between members", () => {
  it("every message comes back as it was, the largest numbers too", () => {
    for (const message of messages) {
      assert.deepStrictEqual(plain(Codec.decode(encode(message))), plain(expected(message)), message._tag)
    }
  })

  it("every kind of message is among those tried", () => {
    const tags = new Set(messages.map((message) => encode(message)[0]))
    assert.deepStrictEqual([...tags].sort((a, b) => a! - b!), [
      1,
      2,
      3,
      4,
      5,
      6,
      7,
      8,
      9,
      10,
      16,
      17,
      18,
      19,
      20,
      21,
      22
    ])
  })

  it("a message cut short anywhere, or with a byte too many, is malformed", () => {
    for (const message of messages) {
      const whole = encode(message)
      for (let length = 0; length < whole.length; length++) {
        assert.isFalse(decodesOrIsMalformed(whole.subarray(0, length)), `${message._tag} cut at ${length}`)
      }
      assert.isFalse(decodesOrIsMalformed(Buffer.concat([whole, Uint8Array.of(0)])), `${message._tag} and a byte`)
    }
  })

  it("any damage gives another message or none, and never another error", () => {
    for (const message of messages) {
      const whole = encode(message)
      for (let position = 0; position < Math.min(whole.length, 300); position++) {
        for (const value of [0x00, 0x7f, 0x80, 0xff]) {
          const damaged = Uint8Array.from(whole)
          damaged[position] = value
          decodesOrIsMalformed(damaged)
        }
      }
    }
  })

  it("random bytes give a message or none, and never another error", () => {
    let state = 3
    const next = () => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0
      return state >>> 16
    }
    const tags = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 18, 19, 20, 21, 22]
    for (let run = 0; run < 20_000; run++) {
      const frame = Uint8Array.from({ length: next() % 90 }, () => next() % 3 === 0 ? 0 : next() & 0xff)
      if (frame.length > 0) frame[0] = tags[next() % tags.length]!
      decodesOrIsMalformed(frame)
    }
  })

  it("a count that the frame cannot hold is refused before anything is allocated", () => {
    const frame = new Writer().uint8(16).uint64(1).uint32(1).uint32(0xffff_ffff).finish()
    assert.isFalse(decodesOrIsMalformed(frame))
    const appends = Codec.encodeAppend({ term: 1, previousIndex: 0, previousTerm: 0, commit: 0, count: 0xffff_ffff })
    assert.isFalse(decodesOrIsMalformed(appends))
  })

  it("an append whose entries are not contiguous, or whose terms go back or beyond the leader's, is malformed", () => {
    const of = (term: number, ...list: ReadonlyArray<Entry.Entry>) =>
      encode({ _tag: "Append", term, previousIndex: 7, previousTerm: 2, commit: 0, entries: list })
    const none = new Uint8Array(0)
    assert.isTrue(decodesOrIsMalformed(of(5, Entry.make(8, 2, 1, none), Entry.make(9, 5, 1, none))))
    assert.isFalse(decodesOrIsMalformed(of(5, Entry.make(9, 2, 1, none))), "a gap")
    assert.isFalse(decodesOrIsMalformed(of(5, Entry.make(8, 2, 1, none), Entry.make(8, 2, 1, none))), "twice")
    assert.isFalse(decodesOrIsMalformed(of(5, Entry.make(8, 1, 1, none))), "older than the entry before")
    assert.isFalse(decodesOrIsMalformed(of(5, Entry.make(8, 3, 1, none), Entry.make(9, 2, 1, none))), "back")
    assert.isFalse(decodesOrIsMalformed(of(5, Entry.make(8, 6, 1, none))), "beyond the leader's term")
  })

  it("numbers beyond 2^53 - 1 are malformed", () => {
    const frame = Codec.encode({ _tag: "TimeoutNow", term: huge })
    frame[1] = 0x20
    assert.isFalse(decodesOrIsMalformed(frame))
  })

  it("a change that is none of the known ones is malformed", () => {
    for (
      const text of ["", "{", "null", "[]", "{\"_tag\":\"Explode\"}", "{\"_tag\":\"Leave\",\"id\":1,\"force\":true}"]
    ) {
      assert.isFalse(decodesOrIsMalformed(new Writer().uint8(19).uint64(1).uint32(1).string(text).finish()), text)
    }
  })
})

describe("layouts that others read: on disk, and on the wire to members of another version", () => {
  it("entry", () => {
    const entry = Entry.make(0x0102030405, 7, EntryKind.Command, bytes("ab"))
    const target = new Uint8Array(Entry.encodedBytes(entry))
    const view = new DataView(target.buffer)
    assert.strictEqual(Entry.encodeInto(target, view, 0, entry), 19)
    assert.strictEqual(hex(target), "0000000102030405" + "0000000000000007" + "01" + "6162")
    assert.deepStrictEqual(plain(Entry.decode(target, view, 0, 19)), plain(entry))
  })

  it("kinds of entries", () => {
    assert.deepStrictEqual(EntryKind, { Noop: 0, Command: 1, Configuration: 2, SessionOpen: 3, SessionCommand: 4 })
  })

  const members = "00000002" +
    "00000000000000a1" + "00000005" + "646b762d30" + "00000003" + "683a31" + "00000000" + "00" + "00000000" +
    "0000000000000000" +
    "ffffffffffffffff" + "00000002" + "c3bc" + "00000003" + "693a32" + "00000003" + "693a33" + "03" + "fffffffe" +
    "00000000000000a1" +
    "00000001" + "00000000000000a1" + "00000001" + "ffffffffffffffff"

  it("configuration", () => {
    const encoded = ConfigurationCodec.encode(configuration)
    assert.strictEqual(hex(encoded), "02" + members + "01" + "02" + "001fffffffffffff")
    assert.deepStrictEqual(ConfigurationCodec.decode(encoded), configuration)
  })

  it("every setting comes back as it was", () => {
    for (const leaderLeases of [true, false]) {
      for (const deadMembers of ["off", "warn", "replace"] as const) {
        const settings = { leaderLeases, deadMembers, deadMemberMillis: 5 }
        const decoded = ConfigurationCodec.decode(ConfigurationCodec.encode({ ...configuration, settings }))
        assert.deepStrictEqual(decoded.settings, settings)
      }
    }
  })

  it("a configuration of version 1, from before there were settings, is read with the defaults", () => {
    const decoded = ConfigurationCodec.decode(Uint8Array.from(Buffer.from("01" + members, "hex")))
    assert.deepStrictEqual(decoded, { ...configuration, settings: ClusterSettings.defaults })
    assert.deepStrictEqual(decoded.settings, {
      leaderLeases: false,
      deadMembers: "warn",
      deadMemberMillis: 600_000
    })
  })

  it("a policy on dead members that nobody knows is malformed", () => {
    const encoded = ConfigurationCodec.encode(configuration)
    encoded[encoded.length - 9] = 3
    assert.throws(() => ConfigurationCodec.decode(encoded), Malformed, /policy/)
  })

  it("head of the state", () => {
    const head: MetaCodec.Head = {
      index: 300,
      term: 5,
      configurationIndex: 2,
      configuration: { ...empty, voters: ["00000000000000a1"] },
      group: { session: { index: 7, term: 2 }, firstIndex: 299, term: 5, runs: [{ sequence: 6, count: 3 }] }
    }
    const encoded = MetaCodec.encodeHead(head)
    assert.strictEqual(
      hex(encoded),
      "01" + "000000000000012c" + "0000000000000005" + "0000000000000002" + "02" + "00000000" + "00000001" +
        "00000000000000a1" + "00000000" + "00" + "01" + "00000000000927c0" +
        "01" + "0000000000000007" + "0000000000000002" + "000000000000012b" + "0000000000000005" +
        "00000001" + "0000000000000006" + "00000003"
    )
    assert.deepStrictEqual(MetaCodec.decodeHead(encoded), head)
    const plainHead = { ...head, group: undefined }
    assert.deepStrictEqual(MetaCodec.decodeHead(MetaCodec.encodeHead(plainHead)), plainHead)
  })

  it("session record", () => {
    const session = { index: 5, term: 2 }
    const key = SessionCodec.encodeRecordKey(session, 3)
    assert.strictEqual(hex(key), "0000000000000005" + "0000000000000002" + "00000003")
    assert.deepStrictEqual(SessionCodec.decodeRecordKey(key), { session, slot: 3 })
    const record = { usedIndex: 9, lowestUnanswered: 4, runs: [{ sequence: 4, count: 1 }, { sequence: 6, count: 2 }] }
    const encoded = SessionCodec.encodeRecord(record, [bytes("ok"), new Uint8Array(0), undefined])
    assert.strictEqual(
      hex(encoded),
      "01" + "0000000000000009" + "0000000000000004" + "00000002" + "0000000000000004" + "00000001" +
        "0000000000000006" + "00000002" + "00000002" + "6f6b" + "00000000" + "ffffffff"
    )
    assert.deepStrictEqual(SessionCodec.decodeRecord(encoded), record)
    const answers = Array.from(SessionCodec.answerOffsets(encoded), (at) => SessionCodec.answerAt(encoded, at))
    assert.deepStrictEqual(answers.map(plain), [bytes("ok"), new Uint8Array(0), undefined].map(plain))
  })

  it("first command of a session's group", () => {
    const stamp = { session: { index: 5, term: 2 }, lowestUnanswered: 4, runs: [{ sequence: 6, count: 1 }] }
    const encoded = SessionCodec.encodeFirst(stamp, bytes("ab"))
    assert.strictEqual(
      hex(encoded),
      "0000000000000005" + "0000000000000002" + "0000000000000004" + "00000001" + "0000000000000006" + "00000001" +
        "6162"
    )
    assert.strictEqual(SessionCodec.stampBytes(stamp), encoded.length - 2)
    assert.deepStrictEqual(plain(SessionCodec.decodeFirst(encoded)), plain({ stamp, command: bytes("ab") }))
  })

  it("append", () => {
    assert.strictEqual(
      hex(encode({ ...append, entries: entries.slice(0, 2) })),
      "03" + "0000000000000005" + "0000000000000007" + "0000000000000002" + "0000000000000006" + "00000002" +
        "00000013" + "0000000000000008" + "0000000000000003" + "01" + "6162" +
        "00000011" + "0000000000000009" + "0000000000000004" + "00"
    )
  })

  it("vote, heartbeat and read index", () => {
    assert.strictEqual(
      hex(Codec.encode({ _tag: "VoteRequest", term: 5, lastIndex: 7, lastTerm: 4, preVote: true, transfer: false })),
      "01" + "0000000000000005" + "0000000000000007" + "0000000000000004" + "01" + "00"
    )
    assert.strictEqual(
      hex(Codec.encode({ _tag: "Heartbeat", term: 5, commit: 7, round: 9 })),
      "05" + "0000000000000005" + "0000000000000007" + "0000000000000009"
    )
    assert.strictEqual(
      hex(Codec.encode({ _tag: "ReadIndexReply", term: 5, id: 7, index: -1 })),
      "08" + "0000000000000005" + "0000000000000007" + "0000000000000000"
    )
  })

  it("what was written by a newer version is refused by name", () => {
    const newer = ConfigurationCodec.encode(configuration)
    newer[0] = 3
    assert.throws(() => ConfigurationCodec.decode(newer), Malformed, /version 3; this program knows version 2/)
    const head = new Writer().uint8(2).finish()
    assert.throws(() => MetaCodec.decodeHead(head), Malformed, /version 2; this program knows version 1/)
    assert.throws(() => SessionCodec.decodeRecord(head), Malformed, /version 2; this program knows version 1/)
  })

  it("state cut short anywhere is malformed", () => {
    const head = MetaCodec.encodeHead({ index: 1, term: 1, configurationIndex: 1, configuration, group: undefined })
    for (let length = 0; length < head.length; length++) {
      assert.throws(() => MetaCodec.decodeHead(head.subarray(0, length)), Malformed)
    }
  })
})

describe("fields", () => {
  it("64-bit numbers keep every bit up to 2^53 - 1", () => {
    for (const value of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 52, huge - 1, huge]) {
      assert.strictEqual(new Reader(new Writer().uint64(value).finish()).uint64(), value)
    }
  })

  it("a buffer that is part of a larger one is read within its bounds", () => {
    const whole = new Writer().uint32(9).string("ab").uint32(7).finish()
    const reader = new Reader(whole.subarray(4, 10))
    assert.strictEqual(reader.string(), "ab")
    assert.throws(() => reader.uint8(), Malformed)
  })

  it("a string that is not UTF-8 is malformed", () => {
    assert.throws(() => new Reader(new Writer().blob(Uint8Array.of(0xff, 0xfe)).finish()).string(), Malformed)
  })

  it("the checksum is CRC-32C", () => {
    assert.strictEqual(Crc32c.checksum(bytes("123456789")), 0xe3069283)
    assert.strictEqual(Crc32c.checksum(new Uint8Array(32)), 0x8a9136aa, "RFC 3720, B.4")
    assert.strictEqual(Crc32c.checksum(new Uint8Array(0)), 0)
  })
})
