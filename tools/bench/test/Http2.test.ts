import { assert, describe, it } from "@effect/vitest"
import { Connection } from "../src/load/Http2.ts"
import { keyOffset, keyTable } from "../src/load/Workload.ts"

const message = Buffer.alloc(300)
const callBytes = message.length + 5

const frame = (type: number, flags: number, stream: number, payload: Uint8Array): Buffer => {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const setting = (id: number, value: number): Buffer => Buffer.concat([uint32(id).subarray(2), uint32(value)])

const settings = frame(4, 0, 0, Buffer.alloc(0))

/** What an answer consists of: headers, one message, trailers. */
const answer = (stream: number): Buffer =>
  Buffer.concat([
    frame(1, 4, stream, Buffer.alloc(1)),
    frame(0, 0, stream, Buffer.alloc(7)),
    frame(1, 5, stream, Buffer.alloc(1))
  ])

const open = () => {
  const sent: Array<
    { readonly type: number; readonly flags: number; readonly stream: number; readonly payload: Buffer }
  > = []
  const answered: Array<number> = []
  const failures: Array<string> = []
  let preface = true
  const connection = new Connection({
    path: "/a",
    authority: "b",
    message,
    keyOffset: 2,
    answerBytesMin: 2,
    write: (bytes) => {
      const buffer = Buffer.from(bytes)
      let at = preface ? 24 : 0
      preface = false
      while (at < buffer.length) {
        const end = at + 9 + buffer.readUIntBE(at, 3)
        sent.push({
          type: buffer[at + 3]!,
          flags: buffer[at + 4]!,
          stream: buffer.readUInt32BE(at + 5),
          payload: buffer.subarray(at + 9, end)
        })
        at = end
      }
    },
    onReady: () => undefined,
    onAnswer: (slot) => answered.push(slot),
    onFailure: (failure) => failures.push(failure)
  })
  connection.open()
  const receive = (bytes: Buffer): void => {
    connection.receive(bytes)
    connection.flush()
  }
  const call = (slot: number): void => connection.call(slot, keyTable, keyOffset(slot))
  const calls = (): number => sent.filter(({ type }) => type === 0).length
  return { connection, sent, answered, failures, receive, call, calls }
}

describe("an HTTP/2 connection of the raw client", () => {
  it("never sends more than the server's window, and goes on when that is widened", () => {
    const { call, calls, connection, receive } = open()
    receive(settings)
    for (let slot = 0; slot < 1000; slot++) call(slot)
    connection.flush()
    const first = Math.floor(65_535 / callBytes)
    assert.strictEqual(calls(), first)
    receive(frame(8, 0, 0, uint32(10 * callBytes)))
    assert.strictEqual(calls(), first + 10)
  })

  it("never has more calls open than the server allows", () => {
    const { answered, call, calls, connection, receive } = open()
    receive(frame(4, 0, 0, setting(3, 2)))
    for (let slot = 0; slot < 5; slot++) call(slot)
    connection.flush()
    assert.strictEqual(calls(), 2)
    receive(answer(1))
    assert.strictEqual(calls(), 3)
    assert.deepStrictEqual(answered, [0])
  })

  it("understands answers however their bytes are cut, and answers each call once", () => {
    for (const cut of [1, 2, 7, 9, 10, 1000]) {
      const { answered, call, receive } = open()
      receive(settings)
      for (let slot = 0; slot < 3; slot++) call(slot)
      const bytes = Buffer.concat([answer(3), answer(1), answer(5)])
      for (let at = 0; at < bytes.length; at += cut) receive(bytes.subarray(at, at + cut))
      assert.deepStrictEqual(answered, [1, 0, 2])
    }
  })

  it("answers the server's pings and settings, or the server would close", () => {
    const { receive, sent } = open()
    receive(settings)
    receive(frame(6, 0, 0, Buffer.from("12345678")))
    const acknowledged = sent.filter(({ flags }) => flags === 1).map(({ payload, type }) => [type, payload.toString()])
    assert.deepStrictEqual(acknowledged, [[4, ""], [6, "12345678"]])
  })

  it("fails when the server resets a call, leaves, or answers what was not asked", () => {
    for (const bytes of [frame(3, 0, 1, uint32(2)), frame(7, 0, 0, Buffer.alloc(8)), answer(99)]) {
      const { call, failures, receive } = open()
      receive(settings)
      call(0)
      receive(bytes)
      assert.strictEqual(failures.length, 1)
    }
  })
})
