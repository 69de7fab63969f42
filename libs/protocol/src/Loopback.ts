/**
 * Connections inside one process, as Effect's `Socket`: the same bytes as over TCP, handed from one fiber to another. A program that embeds a member reaches
 * it through this with the ordinary client, and tests run without ports.
 */
import { Context, Effect, Latch, Layer, Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Socket } from "effect/socket"
import * as Bytes from "./Bytes.ts"
import * as Limits from "./Limits.ts"
import { Signal } from "./Signal.ts"

/** Runs one accepted connection until it is over. */
export type Handler = (socket: Socket.Socket) => Effect.Effect<void, never, Scope.Scope>

export class Loopback extends Context.Service<Loopback, {
  /** A socket that opens a connection each time its reader is acquired; fails with `SocketOpenError` while nobody serves. */
  readonly connect: (address: string) => Socket.Socket
  /** Serves the connections to `address` until the scope closes, which also ends them. */
  readonly serve: (address: string, handler: Handler) => Effect.Effect<void, never, Scope.Scope>
}>()("@dkv/protocol/Loopback") {
  static readonly layer: Layer.Layer<Loopback> = Layer.sync(Loopback, () => make())
}

/** Makes a private switchboard; connections made through one are not seen by another. */
export const make = (): Loopback["Service"] => {
  const servers = new Map<string, (socket: Socket.Socket) => void>()
  return Loopback.of({
    connect: (address) =>
      dialled((socket) => {
        const accept = servers.get(address)
        if (accept === undefined) return false
        accept(socket)
        return true
      }, address),
    serve: Effect.fnUntraced(function*(address, handler) {
      const scope = yield* Effect.scope
      const context = yield* Effect.context<never>()
      const accept = (socket: Socket.Socket) => {
        Effect.runForkWith(context)(Effect.forkIn(Effect.scoped(handler(socket)), scope))
      }
      servers.set(address, accept)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          if (servers.get(address) === accept) servers.delete(address)
        })
      )
    })
  })
}

const closed = (code: number) => new Socket.SocketError({ reason: new Socket.SocketCloseError({ code }) })

/** One direction of a connection: unread chunks, and who waits for them or for room. */
class Pipe {
  private chunks: Array<Uint8Array> = []
  private bytes = 0
  private ended = false
  private readonly readable = new Signal()
  private readonly room = Latch.makeUnsafe(true)

  readonly pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, Socket.SocketError> = Effect.suspend(() => {
    if (this.chunks.length > 0) {
      const chunks = this.chunks as unknown as NonEmptyReadonlyArray<Uint8Array>
      this.chunks = []
      this.bytes = 0
      this.room.openUnsafe()
      return Effect.succeed(chunks)
    }
    if (this.ended) return Effect.fail(closed(1000))
    // the yield takes the reader off the writer's stack
    return Effect.andThen(this.readable.wait, Effect.andThen(Effect.yieldNow, this.pull))
  })

  write(chunks: ReadonlyArray<Uint8Array | string>): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => {
      if (this.ended) {
        return Effect.fail(
          new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: new Error("the peer has closed") }) })
        )
      }
      for (const chunk of chunks) {
        const bytes = typeof chunk === "string" ? Bytes.utf8(chunk) : chunk
        this.chunks.push(bytes)
        this.bytes += bytes.length
      }
      this.readable.raise()
      if (this.bytes <= Limits.loopbackBytesMax) return Effect.void
      this.room.closeUnsafe()
      return this.room.await
    })
  }

  /** No more is written; what is there can still be read unless the reader is gone too. */
  end(discard: boolean): void {
    this.ended = true
    if (discard) {
      this.chunks = []
      this.bytes = 0
    }
    this.readable.raise()
    this.room.openUnsafe()
  }
}

const makeEnd = (input: Pipe, output: Pipe): Socket.Socket => {
  const close = Effect.sync(() => {
    input.end(true)
    output.end(false)
  })
  return Socket.make({
    reader: Effect.acquireRelease(
      Effect.succeed({ pull: input.pull, upgrade: Socket.SocketUpgradeError.unsupported }),
      () => close
    ),
    writer: Effect.acquireRelease(
      Effect.succeed({
        write: (chunk: Uint8Array | string | Socket.CloseEvent) =>
          Socket.isCloseEvent(chunk) ? close : output.write([chunk]),
        writeAll: (chunks: ReadonlyArray<Uint8Array | string>) => output.write(chunks)
      }),
      () => Effect.sync(() => output.end(false))
    )
  })
}

/** The client's end: dials when the reader is acquired, as sockets do. */
const dialled = (dial: (far: Socket.Socket) => boolean, address: string): Socket.Socket => {
  let current: Socket.Writer | undefined
  const opened = Latch.makeUnsafe(false)
  const reader = Effect.gen(function*() {
    const scope = yield* Effect.scope
    const near = new Pipe()
    const far = new Pipe()
    const end = makeEnd(near, far)
    const writerScope = yield* Scope.fork(scope)
    const writer = yield* Scope.provide(end.writer, writerScope)
    const handle = yield* end.reader
    if (!dial(makeEnd(far, near))) {
      const cause = new Error(`nothing serves ${address} in this process`)
      return yield* new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause }) })
    }
    current = writer
    opened.openUnsafe()
    yield* Scope.addFinalizer(
      scope,
      Effect.sync(() => {
        if (current !== writer) return
        current = undefined
        opened.closeUnsafe()
      })
    )
    return handle
  })
  const whenOpen = <E>(f: (writer: Socket.Writer) => Effect.Effect<void, E>): Effect.Effect<void, E> =>
    Effect.suspend(() =>
      current !== undefined ? f(current) : Effect.andThen(opened.await, Effect.suspend(() => whenOpen(f)))
    )
  return Socket.make({
    reader,
    writer: Effect.succeed({
      write: (chunk: Uint8Array | string | Socket.CloseEvent) => whenOpen((writer) => writer.write(chunk)),
      writeAll: (chunks: NonEmptyReadonlyArray<Uint8Array | string>) => whenOpen((writer) => writer.writeAll(chunks))
    })
  })
}
