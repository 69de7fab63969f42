/**
 * A TCP proxy before the peer port of a real process, with which a test cuts, blocks or slows the way there. Others are told
 * the proxy's address instead of the member's. It reads who dials from the handshake's hello, so that one member can be cut off
 * from another and not from the rest: a full partition of two is a `block` of each on the other's proxy.
 */
import type { MemberId, Transport } from "@dkv/raft"
import { Address, Checksum, Frame, Handshake, Limits } from "@dkv/transport"
import { PeerPortTcp } from "@dkv/transport/node"
import { Deferred, Effect, Latch, Queue } from "effect"
import type { Scope } from "effect"
import * as Socket from "effect/socket/Socket"

/** `to`: from the dialling side to the member. `from`: the way back. */
export type Direction = "to" | "from" | "both"

export interface CutProxy {
  /** Where others reach the member, `127.0.0.1:port`. */
  readonly address: string
  /**
   * Swallows what goes in a direction, connection ends included, until `heal`, as a network does that loses packets. It concerns the
   * connections, present and future, that `dialler` opens; without one, all.
   */
  readonly block: (direction: Direction, dialler?: MemberId) => Effect.Effect<void>
  /** Closes the connections and refuses new ones, as a firewall does that answers, until `heal`. */
  readonly cut: (dialler?: MemberId) => Effect.Effect<void>
  /** Delays every byte both ways, in order. */
  readonly delay: (millis: number, dialler?: MemberId) => Effect.Effect<void>
  /** Forgets all rules; what was blocked goes on. */
  readonly heal: Effect.Effect<void>
  /** Open connections through the proxy. */
  readonly connections: Effect.Effect<number>
}

/** What holds for one dialler. Mutable. */
class Rule {
  readonly to = Latch.makeUnsafe(true)
  readonly from = Latch.makeUnsafe(true)
  readonly sessions = new Set<Deferred.Deferred<void>>()
  isCut = false
  delayMillis = 0

  reset(): void {
    this.isCut = false
    this.delayMillis = 0
    this.to.openUnsafe()
    this.from.openUnsafe()
  }
}

/** Listens on a free port of 127.0.0.1, or on `port`, until the scope closes. `target` is `host:port`. */
export const make = Effect.fnUntraced(function*(
  options: { readonly target: string; readonly port?: number }
): Effect.fn.Return<CutProxy, Transport.TransportError, Scope.Scope> {
  const server = yield* PeerPortTcp.bind({ host: "127.0.0.1", port: options.port ?? 0 })
  const everyone = new Rule()
  const rules = new Map<MemberId, Rule>()

  /** One for every dialler that was named or seen, so that a rule also meets the connections that are there. */
  const ruleFor = (dialler: MemberId | undefined): Rule => {
    if (dialler === undefined) return everyone
    let rule = rules.get(dialler)
    if (rule === undefined) rules.set(dialler, rule = new Rule())
    return rule
  }

  const onConnection = Effect.fnUntraced(
    function*(near: Socket.Socket) {
      const client = yield* open(near)
      const first = yield* sniff(client.pull)
      const both = [everyone, ruleFor(first.dialler)]
      if (both.some(({ isCut }) => isCut)) return
      const target = yield* open(yield* PeerPortTcp.dial(options.target))
      const ended = Deferred.makeUnsafe<void>()
      yield* Effect.acquireRelease(
        Effect.sync(() => both.map(({ sessions }) => sessions.add(ended))),
        () => Effect.sync(() => both.map(({ sessions }) => sessions.delete(ended)))
      )
      yield* Effect.raceAllFirst([
        carry(both, "to", client.pull, target.writer, first.chunks),
        carry(both, "from", target.pull, client.writer, []),
        Deferred.await(ended)
      ])
    },
    Effect.scoped,
    (effect) => Effect.ignore(effect)
  )

  yield* Effect.forkScoped(Effect.ignore(server.server.run(onConnection)))

  return {
    address: Address.format(server),
    block: (direction, dialler) =>
      Effect.sync(() => {
        const rule = ruleFor(dialler)
        if (direction !== "from") rule.to.closeUnsafe()
        if (direction !== "to") rule.from.closeUnsafe()
      }),
    cut: (dialler) =>
      Effect.sync(() => {
        const rule = ruleFor(dialler)
        rule.isCut = true
        for (const session of rule.sessions) Deferred.doneUnsafe(session, Effect.void)
      }),
    delay: (millis, dialler) =>
      Effect.sync(() => {
        ruleFor(dialler).delayMillis = millis
      }),
    heal: Effect.sync(() => {
      everyone.reset()
      for (const rule of rules.values()) rule.reset()
    }),
    connections: Effect.sync(() => everyone.sessions.size)
  }
})

type Pull = Effect.Effect<ReadonlyArray<Uint8Array>, Socket.SocketError>

const open = Effect.fnUntraced(function*(socket: Socket.Socket) {
  const writer = yield* socket.writer
  const pull: Pull = yield* Socket.readerBytes(socket)
  yield* Effect.addFinalizer(() => Effect.ignore(writer.write(new Socket.CloseEvent())))
  return { pull, writer }
})

/** Reads until the hello is complete, or turns out to be none. */
const sniff = Effect.fnUntraced(function*(pull: Pull) {
  const reader = new Frame.FrameReader(Limits.handshakeBytesMax, Checksum.crc32c)
  const chunks: Array<Uint8Array> = []
  while (reader.failure === undefined) {
    for (const chunk of yield* pull) {
      chunks.push(chunk)
      reader.push(chunk)
      if (reader.next()) {
        const hello = reader.type === Frame.FrameType.Hello ? Handshake.decodeHello(reader.message) : undefined
        return { chunks, dialler: hello?.from }
      }
    }
  }
  return { chunks, dialler: undefined }
})

/** Moves one direction's bytes. Succeeds when its end has got through. */
const carry = Effect.fnUntraced(function*(
  rules: ReadonlyArray<Rule>,
  direction: "to" | "from",
  pull: Pull,
  writer: Socket.Writer,
  first: ReadonlyArray<Uint8Array>
) {
  const way = yield* Queue.bounded<
    { readonly dueMillis: number; readonly chunks: ReadonlyArray<Uint8Array> | undefined }
  >(
    chunksMax
  )
  const put = (chunks: ReadonlyArray<Uint8Array> | undefined) =>
    Effect.clockWith((clock) =>
      Queue.offer(way, {
        dueMillis: Number(clock.monotonicTimeNanosUnsafe()) / 1e6 + Math.max(...rules.map((rule) => rule.delayMillis)),
        chunks
      })
    )
  const read = Effect.andThen(
    put(first),
    Effect.catch(Effect.forever(Effect.flatMap(pull, put)), () => Effect.andThen(put(undefined), Effect.never))
  )
  const write = Effect.gen(function*() {
    while (true) {
      const { chunks, dueMillis } = yield* Queue.take(way)
      const waitMillis = yield* Effect.clockWith((clock) =>
        Effect.sync(() => dueMillis - Number(clock.monotonicTimeNanosUnsafe()) / 1e6)
      )
      if (waitMillis > 0) yield* Effect.sleep(Math.ceil(waitMillis))
      while (!rules.every((rule) => Latch.isOpen(rule[direction]))) {
        for (const rule of rules) yield* rule[direction].await
      }
      if (chunks === undefined) return
      for (const chunk of chunks) yield* writer.write(chunk)
    }
  })
  yield* Effect.raceFirst(write, read)
})

/** Reads on their way in one direction of a connection. Beyond it the proxy stops reading, and the sender's buffers fill. */
const chunksMax = 1_024
