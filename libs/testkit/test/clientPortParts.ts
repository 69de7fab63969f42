/** A client port over parts that a test controls, and peers that talk to it byte by byte over real sockets. */
import { Kv } from "@dkv/kv"
import { Admin, Hello, RpcWire } from "@dkv/protocol"
import { Configuration, RaftNode } from "@dkv/raft"
import { BatchGateway, ClientPort, Gateways, HttpGateway, MemberInfo, RpcGateway } from "@dkv/server"
import { NodeSocket } from "@effect/platform-node"
import { Context, Effect, Layer, Option, Stream } from "effect"
import { RpcClient } from "effect/rpc"
import { Socket } from "effect/socket"
import { TestClock } from "effect/testing"
import * as Net from "node:net"

export type Port = ClientPort.ClientPort["Service"]

export const me = "0000000000000001"

export const status: RaftNode.Status = {
  id: me,
  role: "Leader",
  term: 1,
  leader: Option.some(me),
  commitIndex: 1,
  appliedIndex: 1,
  lastIndex: 1,
  previousIndex: 0,
  configuration: {
    ...Configuration.empty,
    members: [{
      id: me,
      name: "a",
      peerAddress: "a:2380",
      clientAddress: "a:3000",
      autoPromote: false,
      witness: false,
      priority: 0
    }],
    voters: [me]
  },
  copies: 1,
  peers: [],
  hasLease: false,
  removed: false
}

export const node: RaftNode.RaftNode["Service"] = {
  id: me,
  propose: () => Effect.never,
  proposeEach: () => Effect.never,
  openSession: () => Effect.never,
  readBarrier: () => Effect.succeed(1),
  configuration: () => Effect.succeed(status.configuration),
  changeMembership: () => Effect.never,
  transferLeadership: () => Effect.never,
  stopped: Effect.never,
  status: Effect.succeed(status),
  gauges: Effect.succeed([]),
  leader: Stream.make(Option.some(me)),
  events: Stream.empty,
  latency: Effect.never
}

export const info: MemberInfo.MemberInfo["Service"] = {
  name: "a",
  version: "1.2.3",
  clientAddress: "a:3000",
  peerAddress: "a:2380",
  fenced: Effect.succeed(Option.none())
}

/** A port with all gateways. What is not given answers as if all were well, or never. */
export const open = Effect.fnUntraced(function*(parts: {
  readonly kv?: Partial<Kv.Kv["Service"]>
  readonly node?: Partial<RaftNode.RaftNode["Service"]>
  readonly info?: Partial<MemberInfo.MemberInfo["Service"]>
} = {}) {
  const gateways = Layer.mergeAll(BatchGateway.layer, HttpGateway.layer, RpcGateway.layer).pipe(
    Layer.provide([
      Layer.succeed(Kv.Kv, { write: () => Effect.never, read: () => Effect.never, ...parts.kv }),
      Layer.succeed(RaftNode.RaftNode, { ...node, ...parts.node }),
      Layer.succeed(MemberInfo.MemberInfo, { ...info, ...parts.info })
    ]),
    Layer.provideMerge(Gateways.Gateways.layer)
  )
  const context = yield* Layer.build(ClientPort.layer({ address: "127.0.0.1:0" }).pipe(Layer.provide(gateways)))
  return Context.get(context, ClientPort.ClientPort)
})

/** A client of the rare calls of a port, on a connection that lives as long as its scope. */
export const call = Effect.fnUntraced(function*(port: Port) {
  const { host, port: number } = port.addresses[0]!
  const tcp = yield* NodeSocket.makeNet({ host, port: number })
  const pull = yield* Socket.readerBytes(tcp)
  const writer = yield* tcp.writer
  yield* writer.write(Hello.encodeClient("rpc"))
  let hello: Uint8Array = new Uint8Array(0)
  while (Hello.decodeServer(hello, "rpc") === undefined) {
    for (const chunk of yield* pull) hello = Buffer.concat([hello, chunk])
  }
  const socket = Socket.make({
    reader: Effect.succeed({ pull, upgrade: Socket.SocketUpgradeError.unsupported }),
    writer: Effect.succeed(writer)
  })
  const context = yield* Layer.build(
    RpcClient.layerProtocolSocket({ retryTransientErrors: false }).pipe(
      Layer.provide([Layer.succeed(Socket.Socket, socket), RpcWire.layerSerialization])
    )
  )
  return yield* RpcClient.make(Admin.group, { disableTracing: true }).pipe(Effect.provideContext(context))
})

export interface Peer {
  readonly socket: Net.Socket
  received: Buffer
  isClosed: boolean
}

/** A connection of the test's own, closed with it. One that does not read never notices that it was closed. */
export const dial = (port: Port, options: { readonly reads: boolean } = { reads: true }) =>
  Effect.acquireRelease(
    Effect.callback<Peer>((resume) => {
      const socket = Net.connect(port.addresses[0]!.port, "127.0.0.1", () => resume(Effect.succeed(peer)))
      const peer: Peer = { socket, received: Buffer.alloc(0), isClosed: false }
      socket.on("error", () => {})
      socket.on("close", () => void (peer.isClosed = true))
      if (options.reads) socket.on("data", (data) => void (peer.received = Buffer.concat([peer.received, data])))
      else socket.pause()
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

export const said = (peer: Peer): string => peer.received.toString("latin1")

/** Lets sockets do their work, which no clock of ours governs. */
export const breathe = Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 2)))

export const breathing = Effect.repeat(breathe, { times: 20 })

export const until = (done: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => done() ? Effect.void : Effect.andThen(breathe, until(done)))

/** Lets virtual time pass in small steps until the port has no connection left, and says how much it took; fails after `millisMax`. */
export const untilAlone = Effect.fnUntraced(function*(port: Port, millisMax: number) {
  let millis = 0
  while ((yield* port.connections) > 0) {
    if (millis >= millisMax) return yield* Effect.die(new Error(`still connected after ${millis} ms`))
    yield* TestClock.adjust(100)
    millis += 100
    yield* breathe
  }
  return millis
})
