/** The client port against those who do not speak its protocols, or speak them badly, over real sockets. */
import { Kv } from "@dkv/kv"
import { BatchReply, BatchRequest, Bytes, Frame, Hello, Limits } from "@dkv/protocol"
import { BatchGateway, ClientPort, Gateways } from "@dkv/server"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, type Scope } from "effect"
import * as Net from "node:net"

const idle: Kv.Kv["Service"] = {
  write: (ops) => Effect.succeed(ops.map(() => ({ _tag: "Put", revision: 2 }))),
  read: () => Effect.never
}

const open = Effect.gen(function*() {
  const gateways = BatchGateway.layer.pipe(
    Layer.provide(Layer.succeed(Kv.Kv, idle)),
    Layer.provideMerge(Gateways.Gateways.layer)
  )
  const context = yield* Layer.build(ClientPort.layer({ address: "127.0.0.1:0" }).pipe(Layer.provide(gateways)))
  return Context.get(context, ClientPort.ClientPort)
})

/** Sends `chunks` on a connection of its own and gives back all that comes until the other side closes, or until `enough` has come. */
const talk = (
  port: ClientPort.ClientPort["Service"],
  chunks: ReadonlyArray<Uint8Array>,
  enough: (received: Buffer) => boolean = () => false
): Effect.Effect<Buffer> =>
  Effect.callback((resume) => {
    const { port: number } = port.addresses[0]!
    let received = Buffer.alloc(0)
    const socket = Net.connect(number, "127.0.0.1", () => {
      for (const chunk of chunks) socket.write(chunk)
    })
    const done = () => {
      socket.destroy()
      resume(Effect.succeed(received))
    }
    socket.on("data", (data) => {
      received = Buffer.concat([received, data])
      if (enough(received)) done()
    })
    socket.on("error", done)
    socket.on("close", done)
    return Effect.sync(() => socket.destroy())
  })

const hello = Hello.encodeClient("batch")
const put = (id: number): Uint8Array =>
  BatchRequest.encode({
    id,
    consistency: "linearizable",
    timeoutMillis: 1000,
    operations: [{ _tag: "Put", key: Bytes.utf8("k"), value: Bytes.utf8("v") }]
  })

/** What a batch connection said behind its hello. */
const repliesIn = (received: Buffer): ReadonlyArray<ReturnType<typeof BatchReply.decode>> => {
  const { consumed } = Hello.decodeServer(received, "batch")!
  const replies: Array<ReturnType<typeof BatchReply.decode>> = []
  new Frame.Decoder(Limits.replyBytesMax).push(
    received.subarray(consumed),
    (frame) => void replies.push(BatchReply.decode(frame))
  )
  return replies
}

/** The port still serves others. */
const serves = Effect.fnUntraced(
  function*(port: ClientPort.ClientPort["Service"]): Effect.fn.Return<void, never, Scope.Scope> {
    const received = yield* talk(port, [hello, put(7)], (bytes) => bytes.length >= Hello.serverHelloHeadBytes + 11 + 19)
    assert.deepStrictEqual(repliesIn(received), [
      { _tag: "Notice", code: "Leading", message: "" },
      { _tag: "Reply", id: 7, results: [{ _tag: "Put", revision: 2 }] }
    ])
  }
)

describe("the client port", () => {
  for (
    const [who, bytes, said] of [
      ["garbage", Bytes.utf8("\u0001\u0002 nonsense \u0003\n"), /this is a client port/],
      ["HTTP/1.1 when nobody serves it", Bytes.utf8("GET / HTTP/1.1\r\n\r\n"), /503 Service Unavailable/],
      [
        "HTTP/2 when nobody serves it",
        Bytes.utf8("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        /HTTP\/2 and gRPC are not served/
      ],
      ["a newer client", Hello.encodeClient("batch", { min: 9, max: 9 }), /upgrade this server/],
      ["a rare call when nobody serves those", Hello.encodeClient("rpc"), /native rpc connections are not served/]
    ] as const
  ) {
    it.live(`${who} is told so, and cut off`, () =>
      Effect.gen(function*() {
        const port = yield* open
        assert.match((yield* talk(port, [bytes])).toString("latin1"), said)
        yield* serves(port)
      }).pipe(Effect.scoped))
  }

  it.live("TLS when nobody serves it gets an alert", () =>
    Effect.gen(function*() {
      const port = yield* open
      assert.deepStrictEqual(Array.from(yield* talk(port, [Uint8Array.of(0x16, 3, 1, 0, 5)])).slice(0, 2), [0x15, 0x03])
    }).pipe(Effect.scoped))

  for (
    const [what, frame, code] of [
      ["a frame that announces too much", Uint8Array.of(0xff, 0xff, 0xff, 0xff), "TooLarge"],
      ["an empty frame", new Uint8Array(4), "Malformed"],
      ["a frame of garbage", Uint8Array.of(0, 0, 0, 4, 1, 2, 3, 4), "Malformed"]
    ] as const
  ) {
    it.live(`${what} ends its connection with a notice, after what came before it was answered, and no other`, () =>
      Effect.gen(function*() {
        const port = yield* open
        const replies = repliesIn(yield* talk(port, [hello, put(1), frame]))
        const last = replies.at(-1)!
        assert.strictEqual("code" in last ? last.code : last._tag, code)
        yield* serves(port)
      }).pipe(Effect.scoped))
  }

  it.live("half a frame and then nothing holds up nobody else", () =>
    Effect.gen(function*() {
      const port = yield* open
      yield* Effect.forkChild(talk(port, [hello, put(1).subarray(0, 9)]))
      yield* Effect.forkChild(talk(port, [hello.subarray(0, 3)]))
      yield* Effect.forkChild(talk(port, []))
      yield* serves(port)
    }).pipe(Effect.scoped))

  it.live("two hundred connections that say nothing hold up nobody else", () =>
    Effect.gen(function*() {
      const port = yield* open
      for (let count = 0; count < 200; count++) yield* Effect.forkChild(talk(port, []))
      yield* serves(port)
    }).pipe(Effect.scoped))
})
