/** The client port against peers that mean harm or have died: each is cut off in bounded time, and none takes the member with it. */
import { BatchReply, BatchRequest, Bytes, Frame, Hello, Limits } from "@dkv/protocol"
import { assert, describe, it } from "@effect/vitest"
import { Limits as ServerLimits } from "@dkv/server"
import { Effect, Logger } from "effect"
import { TestClock } from "effect/testing"
import { existsSync, readFileSync } from "node:fs"
import { breathe, breathing, dial, open, said, until, untilAlone } from "./clientPortParts.ts"
import type { Peer } from "./clientPortParts.ts"

const value = new Uint8Array(1024 * 1024)
const scan = (id: number): Uint8Array =>
  BatchRequest.encode({
    id,
    consistency: "linearizable",
    timeoutMillis: 1000,
    operations: [{ _tag: "Range", key: Bytes.utf8("k"), end: Bytes.empty, limit: 1, reverse: false }]
  })

/** Answers of a megabyte. */
const large = {
  read: (ops: ReadonlyArray<{ readonly key: Uint8Array }>) =>
    Effect.succeed(ops.map(({ key }) => ({
      _tag: "Range" as const,
      revision: 2,
      more: false,
      kvs: [{ key, value, createRevision: 2, modRevision: 2, version: 1, lease: 0 }]
    })))
}

const last = (peer: Peer): string => {
  const { consumed } = Hello.decodeServer(peer.received, "batch")!
  let code = "nothing"
  new Frame.Decoder(Limits.replyBytesMax).push(peer.received.subarray(consumed), (frame) => {
    const reply = BatchReply.decode(frame)
    code = "code" in reply ? reply.code : reply._tag
  })
  return code
}

const stalls = Effect.fnUntraced(function*() {
  const port = yield* open({ kv: large })
  const peer = yield* dial(port, { reads: false })
  peer.socket.write(Hello.encodeClient("batch"))
  for (let id = 1; id <= 32; id++) peer.socket.write(scan(id))
  yield* until(() => peer.socket.writableLength === 0)
  yield* breathing
  assert.strictEqual(yield* port.connections, 1)
  return { port, peer }
})

describe("the client port cuts off", () => {
  it.effect("a peer that does not read its replies, though it never takes the notice either", () =>
    Effect.gen(function*() {
      const { port } = yield* stalls()
      assert.isAtLeast(yield* untilAlone(port, 45_000), 25_000)
    }).pipe(Effect.scoped))

  it.effect("a peer that does not finish a frame, with a notice", () =>
    Effect.gen(function*() {
      const port = yield* open()
      const peer = yield* dial(port)
      peer.socket.write(Hello.encodeClient("batch"))
      peer.socket.write(Uint8Array.of(0, 0, 1))
      yield* until(() => peer.received.length > 0)
      assert.isAtLeast(yield* untilAlone(port, 45_000), 25_000)
      yield* until(() => peer.isClosed)
      assert.strictEqual(last(peer), "Stalled")
    }).pipe(Effect.scoped))

  for (
    const [what, bytes] of [
      ["a peer that says nothing", Bytes.empty],
      ["a peer that sends half of the magic bytes", Hello.encodeClient("batch").subarray(0, 2)],
      ["a peer that sends half of a batch hello", Hello.encodeClient("batch").subarray(0, 6)],
      ["a peer that sends half of an rpc hello", Hello.encodeClient("rpc").subarray(0, 6)],
      ["a peer that sends half of the preface of HTTP/2", Bytes.utf8("PRI")]
    ] as const
  ) {
    it.effect(what, () =>
      Effect.gen(function*() {
        const port = yield* open()
        const peer = yield* dial(port)
        if (bytes.length > 0) peer.socket.write(bytes)
        yield* breathing
        assert.strictEqual(yield* port.connections, 1)
        assert.isAtLeast(yield* untilAlone(port, 12_000), 9_000)
        yield* until(() => peer.isClosed)
      }).pipe(Effect.scoped))
  }

  it.effect("a peer that was refused and does not close", () =>
    Effect.gen(function*() {
      const port = yield* open()
      const peer = yield* dial(port, { reads: false })
      peer.socket.write(Uint8Array.of(0x16, 3, 1, 0, 5))
      yield* breathing
      yield* untilAlone(port, 2_000)
    }).pipe(Effect.scoped))
})

/** Whether the kernel has a keep-alive timer for the server's end of this connection (`tr` is 2, in /proc/net/tcp). */
const isKeptAlive = ({ socket }: Peer): boolean => {
  const hex = (port: number | undefined) => port!.toString(16).toUpperCase().padStart(4, "0")
  const [ours, theirs] = [hex(socket.localPort), hex(socket.remotePort)]
  return readFileSync("/proc/net/tcp", "latin1").split("\n").map((line) => line.trim().split(/\s+/)).some((fields) =>
    fields[1]?.endsWith(`:${theirs}`) === true && fields[2]?.endsWith(`:${ours}`) === true &&
    fields[5]?.startsWith("02:") === true
  )
}

describe("the client port", () => {
  it.effect.skipIf(!existsSync("/proc/net/tcp"))(
    "has the operating system find out about hosts that are gone",
    () =>
      Effect.gen(function*() {
        const peer = yield* dial(yield* open())
        yield* until(() => isKeptAlive(peer))
      }).pipe(Effect.scoped)
  )

  it.effect("says in the log, now and then, that it has turned connections away for their number", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
      const port = yield* Effect.provide(open(), logger)
      const silent = Array.from({ length: ServerLimits.handshakesMax }, () => dial(port))
      yield* Effect.all(silent, { concurrency: 64 })
      while ((yield* port.connections) < silent.length) yield* breathe
      const more = yield* Effect.all([dial(port), dial(port), dial(port)])
      yield* until(() => more.every(({ isClosed }) => isClosed))
      for (let turn = 0; turn < 3; turn++) yield* TestClock.adjust(ServerLimits.turnedAwayReportMillis)
      assert.deepStrictEqual(lines.map((line) => line.split(":")[0]), ["3 client connections were closed at once"])
    }).pipe(Effect.scoped))
})

describe("over HTTP, the client port cuts off", () => {
  it.effect("half a head, with 408", () =>
    Effect.gen(function*() {
      const port = yield* open()
      const peer = yield* dial(port)
      peer.socket.write("GET /health HTTP/1.1\r\nhost: me\r\n")
      yield* breathing
      assert.strictEqual(yield* port.connections, 1)
      assert.isAtLeast(yield* untilAlone(port, 12_000), 9_000)
      yield* until(() => peer.isClosed)
      assert.match(said(peer), /^HTTP\/1.1 408 Request Timeout/)
    }).pipe(Effect.scoped))

  it.effect("half of a second head, with 408", () =>
    Effect.gen(function*() {
      const port = yield* open()
      const peer = yield* dial(port)
      peer.socket.write("GET /version HTTP/1.1\r\nhost: me\r\n\r\n")
      yield* until(() => said(peer).includes("etcdserver"))
      peer.socket.write("GET /he")
      yield* breathing
      assert.isAtLeast(yield* untilAlone(port, 12_000), 9_000)
      yield* until(() => peer.isClosed)
      assert.match(said(peer), /HTTP\/1.1 408 Request Timeout/)
    }).pipe(Effect.scoped))

  it.effect("half of a second head that came together with the first", () =>
    Effect.gen(function*() {
      const port = yield* open()
      const peer = yield* dial(port)
      peer.socket.write("GET /version HTTP/1.1\r\nhost: me\r\n\r\nGET /he")
      yield* until(() => said(peer).includes("etcdserver"))
      yield* untilAlone(port, 32_000)
    }).pipe(Effect.scoped))

  it.effect("a body that does not end", () =>
    Effect.gen(function*() {
      const port = yield* open()
      const peer = yield* dial(port)
      peer.socket.write("POST /version HTTP/1.1\r\nhost: me\r\ncontent-length: 10\r\n\r\nabc")
      yield* until(() => said(peer).includes("405"))
      yield* untilAlone(port, 62_000)
    }).pipe(Effect.scoped))

  it.effect("a connection without a request", () =>
    Effect.gen(function*() {
      const port = yield* open()
      const peer = yield* dial(port)
      peer.socket.write("GET /version HTTP/1.1\r\nhost: me\r\n\r\n")
      yield* until(() => said(peer).includes("etcdserver"))
      yield* breathing
      assert.isAtLeast(yield* untilAlone(port, 32_000), 29_000)
      assert.notMatch(said(peer), /408/)
    }).pipe(Effect.scoped))

  it.effect("a head that is too long, with 431", () =>
    Effect.gen(function*() {
      const port = yield* open()
      const peer = yield* dial(port)
      peer.socket.write(`GET / HTTP/1.1\r\nhost: me\r\nx: ${"x".repeat(20_000)}\r\n`)
      yield* until(() => peer.isClosed)
      assert.match(said(peer), /^HTTP\/1.1 431 /)
    }).pipe(Effect.scoped))
})
