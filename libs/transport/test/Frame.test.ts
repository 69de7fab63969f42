import { assert, describe, it } from "@effect/vitest"
import { Buffer } from "node:buffer"
import { Checksum, Frame, Handshake, Limits } from "../src/index.ts"
import { PeerPortTcp } from "../src/node.ts"

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text)
const bytes = (length: number, seed = 1): Uint8Array => Uint8Array.from({ length }, (_, i) => i * seed + (i >> 8))

const read = (reader: Frame.FrameReader, chunks: ReadonlyArray<Uint8Array>): Array<readonly [number, string]> => {
  const out: Array<readonly [number, string]> = []
  for (const chunk of chunks) {
    reader.push(chunk)
    while (reader.next()) out.push([reader.type, Buffer.from(reader.message).toString("latin1")])
  }
  return out
}

describe("Checksum", () => {
  it("agrees with the published vectors of CRC-32C", () => {
    const vectors: ReadonlyArray<readonly [Uint8Array, number]> = [
      [ascii(""), 0],
      [ascii("123456789"), 0xe306_9283],
      [new Uint8Array(32), 0x8a91_36aa],
      [new Uint8Array(32).fill(0xff), 0x62a8_ab43],
      [Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd_794e],
      [Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113f_db5c]
    ]
    for (const [input, sum] of vectors) {
      assert.strictEqual(Checksum.crc32c(0, input), sum)
      assert.strictEqual(PeerPortTcp.checksum(0, input), sum)
    }
  })

  it("is the same in native code, at any length and however it is cut", () => {
    const all = bytes(3_000, 37)
    for (const length of [1, 7, 8, 9, 63, 191, 192, 193, 1024, 3_000]) {
      const whole = Checksum.crc32c(0, all.subarray(0, length))
      assert.strictEqual(PeerPortTcp.checksum(0, all.subarray(0, length)), whole)
      for (const cut of [0, 1, length >> 1, length]) {
        const head = PeerPortTcp.checksum(0, all.subarray(0, cut))
        assert.strictEqual(PeerPortTcp.checksum(head, all.subarray(cut, length)), whole)
      }
    }
  })
})

describe("Frame", () => {
  const frames = [
    Frame.make(Frame.FrameType.Ping, []),
    Frame.make(Frame.FrameType.Message, [bytes(3), bytes(0), bytes(5)]),
    Frame.make(Frame.FrameType.Message, [bytes(40), bytes(Limits.copyBytesMax + 1), bytes(60), bytes(70_000, 3)]),
    Frame.make(Frame.FrameType.Message, [bytes(256)])
  ]
  const expected = frames.map(({ chunks, type }) => [type, Buffer.concat(chunks).toString("latin1")] as const)
  const wire = Buffer.concat(Frame.encode(frames, Checksum.crc32c))

  it("keeps its layout: length, type, checksum of type and message, message", () => {
    const [piece] = Frame.encode([Frame.make(Frame.FrameType.Message, [ascii("raft")])], Checksum.crc32c)
    assert.strictEqual(Buffer.from(piece!).toString("hex"), "0000000402c3e12e2872616674")
  })

  it("is read back, however the stream is cut", () => {
    for (const size of [1, 2, 8, 9, 10, 13, 1_000, 65_536, wire.length]) {
      const chunks: Array<Uint8Array> = []
      for (let at = 0; at < wire.length; at += size) chunks.push(wire.subarray(at, at + size))
      const reader = new Frame.FrameReader(Limits.frameBytesMax, Checksum.crc32c)
      assert.deepStrictEqual(read(reader, chunks), expected)
      assert.isUndefined(reader.failure)
    }
  })

  it("hands large chunks on as they are and copies small ones together", () => {
    const pieces = Frame.encode(frames, Checksum.crc32c)
    assert.strictEqual(pieces.length, 5)
    assert.strictEqual(pieces[1], frames[2]!.chunks[1])
    assert.strictEqual(pieces[3], frames[2]!.chunks[3])
  })

  it("is not delivered when any one bit of it is wrong", () => {
    const [piece] = Frame.encode([Frame.make(Frame.FrameType.Message, [ascii("raft")])], Checksum.crc32c)
    for (let bit = 0; bit < piece!.length * 8; bit++) {
      const damaged = Uint8Array.from(piece!)
      damaged[bit >> 3]! ^= 1 << (bit & 7)
      assert.deepStrictEqual(read(new Frame.FrameReader(64, Checksum.crc32c), [damaged]), [])
    }
  })

  it("ends the stream when it is longer than allowed, before anything of it is kept", () => {
    const reader = new Frame.FrameReader(255, Checksum.crc32c)
    assert.strictEqual(read(reader, [wire]).length, 2)
    assert.match(reader.failure!, /announced a frame of \d+ bytes where 255 are allowed/)
    assert.deepStrictEqual(read(reader, [wire]), [])
  })
})

describe("Handshake", () => {
  const hello: Handshake.Hello = {
    versions: { min: 1, max: 3 },
    kind: "bulk",
    clusterId: "89abcdef01234567",
    from: "00000000000000ff",
    to: "ffffffffffffffff"
  }

  it("reads back what it wrote", () => {
    assert.deepStrictEqual(Handshake.decodeHello(Handshake.encodeHello(hello)), hello)
    const answer = { code: 4, versions: hello.versions, version: 2, message: "näin" }
    assert.deepStrictEqual(Handshake.decodeAnswer(Handshake.encodeAnswer(answer)), answer)
  })

  it("chooses the highest version that both speak", () => {
    assert.strictEqual(Handshake.chooseVersion({ min: 1, max: 3 }, { min: 2, max: 5 }), 3)
    assert.strictEqual(Handshake.chooseVersion({ min: 2, max: 5 }, { min: 1, max: 3 }), 3)
    assert.strictEqual(Handshake.chooseVersion({ min: 1, max: 1 }, { min: 1, max: 1 }), 1)
  })

  it("takes what is too short, of another magic or of no kind for no hello", () => {
    const good = Handshake.encodeHello(hello)
    assert.isUndefined(Handshake.decodeHello(good.subarray(0, 8)))
    assert.isUndefined(Handshake.decodeHello(Uint8Array.from(good, (byte, i) => i === 0 ? 0 : byte)))
    assert.isUndefined(Handshake.decodeHello(Uint8Array.from(good, (byte, i) => i === 8 ? 99 : byte)))
    assert.isUndefined(Handshake.decodeAnswer(new Uint8Array(6)))
  })
})
