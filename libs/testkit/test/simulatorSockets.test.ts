/** What the simulated network between clients and members promises, and what it may do. */
import { Loopback } from "@dkv/protocol"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { Socket } from "effect/socket"
import { SimSockets, World } from "../src/simulator/index.ts"

const calm: SimSockets.SocketOptions = {
  delayMinMillis: 1,
  delayMeanMillis: 3,
  segmentBytesMax: 1460,
  windowBytes: 65_536
}

/** A process, and what its end of a connection has come to. */
class Peer {
  readonly received: Array<number> = []
  /** Bytes whose writes have succeeded. */
  written = 0
  /** How reading ended, and why a write failed. */
  ended: string | undefined
  failed: string | undefined
  isReading = true
  machine!: World.Machine
  socket: Socket.Socket | undefined

  receive(socket: Socket.Socket): Effect.Effect<void> {
    this.socket = socket
    return Effect.gen({ self: this }, function*() {
      const pull = yield* Socket.readerBytes(socket)
      while (true) {
        if (this.isReading) { for (const chunk of yield* pull) this.received.push(...chunk) }
        else yield* Effect.sleep(1)
      }
    }).pipe(
      Effect.scoped,
      Effect.catchTag("SocketError", (error) => Effect.sync(() => void (this.ended = endOf(error))))
    )
  }

  send(chunks: Iterable<Uint8Array>): void {
    const sending = Effect.gen({ self: this }, function*() {
      const writer = yield* this.socket!.writer
      for (const chunk of chunks) {
        yield* writer.write(chunk)
        this.written += chunk.length
      }
      return yield* Effect.never
    })
    this.machine.fork(
      Effect.scoped(sending).pipe(
        Effect.catchTag("SocketError", (error) => Effect.sync(() => void (this.failed = endOf(error))))
      )
    )
  }
}

const endOf = ({ reason }: Socket.SocketError): string =>
  reason._tag === "SocketCloseError" ? `closed ${reason.code}` : reason._tag

const build = (layer: Layer.Layer<Loopback.Loopback>): Loopback.Loopback["Service"] =>
  Context.get(Effect.runSync(Effect.scoped(Layer.build(layer))), Loopback.Loopback)

/** Two machines, and a connection between them unless told otherwise. */
const setUp = (options: Partial<SimSockets.SocketOptions> = {}, { connects = true, seed = 1 } = {}) => {
  const world = new World.World(seed, { shuffle: true })
  const sockets = new SimSockets.SimSockets(world, { ...calm, ...options })
  const client = new Peer()
  const server = new Peer()
  const serve = () => {
    server.machine = world.machine()
    const loopback = build(sockets.layer("server", server.machine))
    const taking = loopback.serve("server", (socket) => server.receive(socket))
    server.machine.fork(Effect.scoped(Effect.andThen(taking, Effect.never)))
  }
  const call = () => {
    client.machine = world.machine()
    const loopback = build(sockets.layer("client", client.machine))
    client.machine.fork(client.receive(loopback.connect("server")))
  }
  const pass = (millis: number): void => {
    world.after(millis, () => {})
    for (const end = world.now + millis; world.now < end && world.step(););
  }
  if (connects) {
    serve()
    call()
    pass(200)
  }
  return { sockets, client, server, serve, call, pass }
}

const bytes = (count: number, from = 0) => Uint8Array.from({ length: count }, (_, at) => (from + at) % 251)
const chunksOf = (count: number, each: number) => Array.from({ length: count }, (_, at) => bytes(each, at * each))

describe("a simulated connection", () => {
  it("brings all bytes, once and in order, wherever they are cut", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { client, pass, server } = setUp({ segmentBytesMax: 1 + seed, windowBytes: 40 * seed }, { seed })
      client.send(chunksOf(50, 33))
      server.send(chunksOf(20, 77))
      pass(60_000)
      assert.deepStrictEqual(server.received, [...bytes(50 * 33)], `seed ${seed}`)
      assert.deepStrictEqual(client.received, [...bytes(20 * 77)], `seed ${seed}`)
    }
  })

  it("copies what is written, so that a buffer may be used again", () => {
    const { client, pass, server } = setUp()
    const buffer = bytes(3)
    client.send((function*() {
      yield buffer
      buffer.fill(9)
      yield buffer
    })())
    pass(1000)
    assert.deepStrictEqual(server.received, [0, 1, 2, 9, 9, 9])
  })

  it("holds back what is sent while its way is cut, and loses nothing", () => {
    const { client, pass, server, sockets } = setUp({ segmentBytesMax: 7 })
    client.send(chunksOf(30, 30))
    pass(5)
    sockets.cut("client", "server")
    pass(60_000)
    assert.isBelow(server.received.length, 900)
    sockets.heal("client", "server")
    pass(2000)
    assert.deepStrictEqual(server.received, [...bytes(900)])
  })

  it("carries one way while the other is cut", () => {
    const { client, pass, server, sockets } = setUp()
    sockets.cut("server", "client")
    client.send([bytes(4)])
    server.send([bytes(5)])
    pass(60_000)
    assert.deepStrictEqual([server.received.length, client.received.length], [4, 0])
    sockets.healAll()
    pass(2000)
    assert.strictEqual(client.received.length, 5)
  })

  it("is slow while it is clogged, and in order", () => {
    const { client, pass, server, sockets } = setUp()
    sockets.clog("client", "server", 5000)
    client.send([bytes(4)])
    pass(4000)
    assert.strictEqual(server.received.length, 0)
    client.send([bytes(4, 4)])
    pass(2000)
    assert.deepStrictEqual(server.received, [...bytes(8)])
  })

  it("makes a writer wait while nobody reads", () => {
    const { client, pass, server } = setUp({ windowBytes: 2500 })
    server.isReading = false
    client.send(chunksOf(20, 1000))
    pass(60_000)
    assert.strictEqual(client.written, 2000)
    server.isReading = true
    pass(60_000)
    assert.strictEqual(client.written, 20_000)
    assert.strictEqual(server.received.length, 20_000)
  })

  it("takes bytes while the process is paused, up to its window", () => {
    const { client, pass, server } = setUp({ windowBytes: 2500 })
    server.machine.pause()
    client.send(chunksOf(5, 1000))
    pass(60_000)
    assert.deepStrictEqual([client.written, server.received.length], [2000, 0])
    server.machine.resume()
    pass(1000)
    assert.deepStrictEqual([client.written, server.received.length], [5000, 5000])
  })

  it("ends for the other side when a process dies, after what it had written", () => {
    const { client, pass, server, sockets } = setUp()
    server.send([bytes(100)])
    server.machine.kill()
    sockets.kill("server")
    pass(1000)
    assert.deepStrictEqual([client.received.length, client.ended], [100, "closed 1000"])
  })

  it("is reset for the other side when a process dies with bytes that it has not read", () => {
    const { client, pass, server, sockets } = setUp()
    server.isReading = false
    client.send([bytes(100)])
    pass(1000)
    server.machine.kill()
    sockets.kill("server")
    pass(1000)
    assert.strictEqual(client.ended, "SocketReadError")
  })

  it("tells nobody that a machine has vanished, until the next one is asked about it", () => {
    const { client, pass, serve, server, sockets } = setUp()
    server.machine.kill()
    sockets.vanish("server")
    client.send([bytes(100)])
    pass(600_000)
    assert.isUndefined(client.ended)
    serve()
    pass(2000)
    assert.strictEqual(client.ended, "SocketReadError")
    assert.strictEqual(server.received.length, 0)
  })

  it("breaks at both ends when something on the way resets it", () => {
    const { client, pass, server, sockets } = setUp()
    sockets.reset("client", "server")
    pass(1000)
    assert.deepStrictEqual([client.ended, server.ended], ["SocketReadError", "SocketReadError"])
  })

  it("fails whoever waits to write when it breaks", () => {
    const { client, pass, server, sockets } = setUp({ windowBytes: 10 })
    server.isReading = false
    client.send(chunksOf(2, 100))
    pass(1000)
    assert.strictEqual(client.written, 0)
    sockets.reset("client", "server")
    pass(1000)
    assert.strictEqual(client.failed, "SocketWriteError")
  })

  it("is refused where nobody serves", () => {
    const { call, client, pass, serve, server, sockets } = setUp({}, { connects: false })
    serve()
    server.machine.kill()
    sockets.kill("server")
    call()
    pass(1000)
    assert.strictEqual(client.ended, "SocketOpenError")
  })

  it("comes about late with a machine that is off at first", () => {
    const { call, client, pass, serve, server } = setUp({}, { connects: false })
    call()
    pass(60_000)
    assert.isUndefined(client.ended)
    serve()
    pass(2000)
    client.send([bytes(4)])
    pass(1000)
    assert.strictEqual(server.received.length, 4)
  })
})
