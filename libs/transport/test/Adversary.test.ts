import { Transport } from "@dkv/raft"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Logger, References, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Buffer } from "node:buffer"
import * as ChildProcess from "node:child_process"
import * as Net from "node:net"
import type { Handshake as HandshakeTypes } from "../src/index.ts"
import { Frame, Handshake, Limits, PeerPort, PeerTransport } from "../src/index.ts"
import { PeerPortTcp } from "../src/node.ts"
import { connect, eventually, frame, fromSocket } from "./RawPeer.ts"
import type { RawPeer } from "./RawPeer.ts"

const clusterId = "00000000000000c1"
const self = "00000000000000a1"
const friend = "00000000000000b1"
const other = "00000000000000b2"

const helloBytes = (changes: Partial<HandshakeTypes.Hello> = {}): Uint8Array =>
  Handshake.encodeHello({ versions: Handshake.versions, kind: "raft", clusterId, from: friend, to: self, ...changes })

const hello = (changes: Partial<HandshakeTypes.Hello> = {}): Buffer => frame(Frame.FrameType.Hello, helloBytes(changes))

const quiet = Effect.provideService(References.MinimumLogLevel, "None")

/** A member that knows `friend` (nobody listens at its address) and records what it hears. */
const member = Effect.fnUntraced(function*(
  peers: ReadonlyArray<Transport.Peer> = [{ id: friend, address: "127.0.0.1:1" }]
) {
  const context = yield* Layer.build(
    PeerTransport.layer({ clusterId, memberId: self }).pipe(
      Layer.provideMerge(PeerPortTcp.layer({ host: "127.0.0.1", port: 0 }))
    )
  )
  const transport = Context.get(context, Transport.Transport)
  const links = Context.get(context, PeerTransport.Links)
  const address = Context.get(context, PeerPort.PeerPort).addresses[0]!
  const frames: Array<string> = []
  const events: Array<string> = []
  yield* transport.setPeers(peers)
  yield* transport.serve({
    onFrame: (_, lane, bytes) => frames.push(`${lane} ${Buffer.from(bytes).toString()}`),
    onUp: (peer) => events.push(`up ${peer}`),
    onDown: (peer) => events.push(`down ${peer}`)
  })
  return { address, events, frames, links, transport }
})

/** A friend that has been welcomed. */
const welcomed = Effect.fnUntraced(function*(address: string) {
  const peer = yield* connect(address)
  peer.write(hello())
  const answer = yield* peer.answer
  assert.strictEqual(answer.code, 0)
  return peer
})

const message = (text: string): Buffer => frame(Frame.FrameType.Message, Buffer.from(text))

const accept = frame(
  Frame.FrameType.Answer,
  Handshake.encodeAnswer({ code: 0, versions: Handshake.versions, version: 1, message: "" })
)

const stillServes = Effect.fnUntraced(function*(to: { readonly address: string; readonly frames: Array<string> }) {
  const peer = yield* welcomed(to.address)
  peer.write(message("well"))
  yield* eventually(() => to.frames.includes("raft well"))
})

/** Someone who listens, as `friend`, and does `onPeer` with whoever comes. */
const listener = (onPeer: (peer: RawPeer) => void): Effect.Effect<Transport.Peer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<{ readonly server: Net.Server; readonly sockets: Set<Net.Socket> }>((resume) => {
      const sockets = new Set<Net.Socket>()
      const server = Net.createServer((socket) => {
        sockets.add(socket)
        onPeer(fromSocket(socket))
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, sockets })))
    }),
    ({ server, sockets }) =>
      Effect.callback<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  ).pipe(Effect.map(({ server }) => ({
    id: friend,
    address: `127.0.0.1:${(server.address() as Net.AddressInfo).port}`
  })))

const failureOf = Effect.fnUntraced(function*(links: PeerTransport.Links["Service"]) {
  let failure: string | undefined
  for (let i = 0; i < 2_000 && failure === undefined; i++) {
    failure = (yield* links.status)[0]?.failure
    yield* TestClock.withLive(Effect.sleep("1 millis"))
  }
  return failure
})

describe("a connection that has not said who it is", () => {
  it.effect("is cut off when it sends garbage", () =>
    quiet(Effect.gen(function*() {
      const to = yield* member()
      const peer = yield* connect(to.address)
      peer.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
      yield* peer.closed
      yield* stillServes(to)
    })))

  it.effect("is cut off when it announces more than a hello, without our waiting for it or making room", () =>
    quiet(Effect.gen(function*() {
      const to = yield* member()
      const peer = yield* connect(to.address)
      peer.write(Uint8Array.of(0, 0, 4, 1, 0, 0, 0, 0, 0))
      yield* peer.closed
    })))

  it.effect("is cut off when its first frame is whole but no hello", () =>
    quiet(Effect.gen(function*() {
      const to = yield* member()
      for (
        const bytes of [message("x"), frame(Frame.FrameType.Hello, new Uint8Array(33)), frame(0, new Uint8Array(3))]
      ) {
        const peer = yield* connect(to.address)
        peer.write(bytes)
        yield* peer.closed
      }
      assert.deepStrictEqual(to.frames, [])
    })))

  it.effect("is cut off after the deadline when it sends half a frame and then nothing", () =>
    quiet(Effect.gen(function*() {
      const to = yield* member()
      const peer = yield* connect(to.address)
      peer.write(hello().subarray(0, 20))
      yield* stillServes(to)
      assert.isFalse(peer.isClosed())
      yield* TestClock.adjust(Limits.handshakeMillisMax)
      yield* peer.closed
    })))

  it.effect("is cut off after the deadline when it sends nothing at all", () =>
    quiet(Effect.gen(function*() {
      const to = yield* member()
      const peer = yield* connect(to.address)
      yield* stillServes(to)
      yield* TestClock.adjust(Limits.handshakeMillisMax - 1)
      assert.isFalse(peer.isClosed())
      yield* TestClock.adjust(1)
      yield* peer.closed
    })))

  it.effect(
    "cannot, a thousand of them, hold more than the limit of sockets or keep a peer out",
    () =>
      quiet(Effect.gen(function*() {
        const to = yield* member()
        const silent: Array<RawPeer> = []
        for (let i = 0; i < 20; i++) {
          silent.push(
            ...(yield* Effect.all(Array.from({ length: 50 }, () => connect(to.address)), {
              concurrency: "unbounded"
            }))
          )
        }
        yield* eventually(() => silent.filter((peer) => !peer.isClosed()).length <= Limits.unauthenticatedMax)
        yield* stillServes(to)
        yield* TestClock.adjust(Limits.handshakeMillisMax)
        yield* eventually(() => silent.every((peer) => peer.isClosed()))
        yield* stillServes(to)
      })),
    20_000
  )
})

describe("a peer that does not belong here", () => {
  const cases: ReadonlyArray<readonly [string, Partial<HandshakeTypes.Hello>, HandshakeTypes.Refusal]> = [
    ["of another cluster", { clusterId: "00000000000000c2" }, "WrongCluster"],
    ["that meant another member", { to: other }, "WrongMember"],
    ["that is in no configuration", { from: other }, "Unknown"],
    ["that claims to be this member", { from: self }, "Unknown"],
    ["on a lane that nothing serves", { kind: "control" }, "NotReady"],
    ["that speaks only newer versions", { versions: { min: 2, max: 7 } }, "VersionTooNew"],
    ["that speaks only older versions", { versions: { min: 0, max: 0 } }, "VersionTooOld"]
  ]
  for (const [who, changes, refusal] of cases) {
    it.effect(`${who} is refused as ${refusal} and closed`, () =>
      quiet(Effect.gen(function*() {
        const to = yield* member()
        const peer = yield* connect(to.address)
        peer.write(hello(changes))
        const answer = yield* peer.answer
        assert.strictEqual(Handshake.refusalOf(answer.code), refusal)
        assert.deepStrictEqual(answer.versions, Handshake.versions)
        assert.notStrictEqual(answer.message, "")
        yield* TestClock.adjust(Limits.lingerMillisMax)
        yield* peer.closed
        assert.deepStrictEqual(to.frames, [])
      })))
  }

  it.effect("because it was removed is refused as Removed, and welcome again when it is back", () =>
    quiet(Effect.gen(function*() {
      const to = yield* member()
      const before = yield* welcomed(to.address)
      yield* to.transport.setPeers([])
      yield* before.closed
      const peer = yield* connect(to.address)
      peer.write(hello())
      assert.strictEqual(Handshake.refusalOf((yield* peer.answer).code), "Removed")
      yield* to.transport.setPeers([{ id: friend, address: "127.0.0.1:1" }])
      yield* stillServes(to)
    })))

  it.effect("causes a few log lines, however often it comes", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => {
        lines.push(String(message))
      })
      yield* Effect.gen(function*() {
        const to = yield* member([])
        for (let i = 0; i < 100; i++) {
          const peer = yield* connect(to.address)
          peer.write(hello({ from: i.toString(16).padStart(16, "0") }))
          yield* peer.answer
          peer.socket.destroy()
        }
      }).pipe(Effect.provide(Logger.layer([logger])))
      assert.strictEqual(lines.length, Limits.logBurst)
      assert.match(lines[0]!, /Refused a raft connection from 0{16}: Unknown/)
    }))
})

describe("versions", () => {
  it.effect("a newer peer that still speaks ours is answered in ours, and what it appends to its hello is ignored", () =>
    quiet(Effect.gen(function*() {
      const to = yield* member()
      const peer = yield* connect(to.address)
      const newer = Buffer.concat([helloBytes({ versions: { min: 1, max: 9 } }), Buffer.from("more")])
      peer.write(frame(Frame.FrameType.Hello, newer))
      const answer = yield* peer.answer
      assert.strictEqual(answer.code, 0)
      assert.strictEqual(answer.version, 1)
    })))

  it.effect("two members without a common version each say which one to upgrade", () =>
    quiet(Effect.gen(function*() {
      const older = yield* Layer.build(PeerPortTcp.layer({ host: "127.0.0.1", port: 0 }))
      const newer = yield* Layer.build(PeerPortTcp.layer({ host: "127.0.0.1", port: 0, versions: { min: 2, max: 3 } }))
      const dial = (from: typeof older, to: typeof older) =>
        Effect.flip(
          Context.get(from, PeerPort.PeerPort).dial(
            Context.get(to, PeerPort.PeerPort).addresses[0]!,
            { kind: "raft", clusterId, from: friend, to: self }
          )
        )
      const fromNewer = yield* dial(newer, older)
      assert.deepStrictEqual([fromNewer.reason, fromNewer.refusal], ["Refused", "VersionTooNew"])
      assert.match(fromNewer.message, /speaks protocol versions 1, the peer only 2 to 3: upgrade this member/)
      const fromOlder = yield* dial(older, newer)
      assert.deepStrictEqual([fromOlder.reason, fromOlder.refusal], ["Refused", "VersionTooOld"])
      assert.match(fromOlder.message, /speaks protocol versions 2 to 3, the peer only 1: upgrade the peer/)
    })))
})

describe("a peer that was welcome", () => {
  it.effect("is cut off when it sends garbage, a wrong checksum, an oversized frame or a frame that does not belong here", () =>
    quiet(Effect.gen(function*() {
      const to = yield* member()
      const damaged = message("damaged")
      damaged[damaged.length - 1]! ^= 1
      const oversized = Buffer.alloc(9)
      oversized.writeUInt32BE(Limits.frameBytesMax + 1)
      oversized[4] = Frame.FrameType.Message
      for (
        const bytes of [
          Buffer.from("garbage, and more of it"),
          damaged,
          oversized,
          hello(),
          frame(77, Buffer.from("?"))
        ]
      ) {
        const peer = yield* welcomed(to.address)
        peer.write(bytes)
        yield* peer.closed
      }
      assert.deepStrictEqual(to.frames, [])
      yield* stillServes(to)
    })))

  it.effect("is answered its pings, and cut off when it has sent nothing for too many of ours", () =>
    quiet(Effect.gen(function*() {
      const to = yield* member()
      const peer = yield* welcomed(to.address)
      const before = peer.received().length
      peer.write(frame(Frame.FrameType.Ping, new Uint8Array(0)))
      yield* eventually(() => peer.received().length === before + Frame.headerBytes)
      yield* TestClock.adjust(Limits.pingMillis * Limits.silentPingsMax)
      yield* stillServes(to)
      const late = yield* welcomed(to.address)
      yield* TestClock.adjust(Limits.pingMillis * (Limits.silentPingsMax + 1))
      yield* late.closed
    })))

  it.effect("replaces its own earlier connection, from which nothing is delivered any more", () =>
    quiet(Effect.gen(function*() {
      const to = yield* member()
      const first = yield* welcomed(to.address)
      first.write(message("one"))
      yield* eventually(() => to.frames.length === 1)
      const second = yield* welcomed(to.address)
      first.write(message("stale"))
      yield* first.closed
      second.write(message("two"))
      yield* eventually(() => to.frames.length === 2)
      assert.deepStrictEqual(to.frames, ["raft one", "raft two"])
    })))

  it.effect("that opens one connection after the other is taken for two processes with one identity, and a log line says so", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => {
        lines.push(String(message))
      })
      yield* Effect.gen(function*() {
        const to = yield* member()
        for (let count = 0; count <= Limits.hastyConnectionsMax; count++) {
          assert.deepStrictEqual(lines.filter((line) => line.includes("two processes")), [])
          yield* welcomed(to.address)
        }
        yield* eventually(() => lines.some((line) => line.includes(`${friend} opens one connection after the other`)))
      }).pipe(Effect.provide(Logger.layer([logger])))
    }))
})

describe("a member that dials", () => {
  it.effect("does not mistake for a peer what answers garbage, and says so", () =>
    quiet(Effect.gen(function*() {
      const peer = yield* listener((raw) => raw.write("HTTP/1.1 400 Bad Request\r\n\r\n"))
      const { events, links } = yield* member([peer])
      assert.match((yield* failureOf(links)) ?? "", /what listens there announced a frame of/)
      assert.deepStrictEqual(events, [])
    })))

  it.effect("leaves ever more time to one that welcomes it and then hangs up", () =>
    quiet(Effect.gen(function*() {
      let dials = 0
      const peer = yield* listener((raw) => {
        dials++
        raw.write(accept)
        raw.socket.end()
      })
      const { events } = yield* member([peer])
      const stepMillis = Limits.redialMillis.first
      for (let passed = 0; passed < 20 * Limits.redialMillis.max; passed += stepMillis) {
        yield* TestClock.adjust(stepMillis)
        yield* TestClock.withLive(Effect.sleep("1 millis"))
      }
      assert.isAtLeast(dials, 3)
      assert.isAtMost(dials, 2 * 20 + 10)
      assert.include(events, `down ${friend}`)
    })))

  it.effect("gives up one that accepts and says nothing", () =>
    quiet(Effect.gen(function*() {
      const peers: Array<RawPeer> = []
      const peer = yield* listener((raw) => peers.push(raw))
      const { links } = yield* member([peer])
      yield* eventually(() => peers.length === 1)
      yield* TestClock.adjust(Limits.handshakeMillisMax)
      assert.match((yield* failureOf(links)) ?? "", /no answer within 3000 ms/)
      yield* peers[0]!.closed
    })))

  it.effect("holds no more than the limit for one that never reads, cuts it off, and is not held up meanwhile", () =>
    quiet(Effect.gen(function*() {
      const peers: Array<RawPeer> = []
      const peer = yield* listener((raw) => {
        peers.push(raw)
        raw.write(accept)
        raw.socket.pause()
      })
      const to = yield* member([peer])
      yield* eventually(() => to.events.length === 1)
      const filler = new Uint8Array(1_000_000)
      let refused = 0
      for (let i = 0; i < 60; i++) {
        if (!to.transport.sendUnsafe(friend, "raft", [filler])) refused++
        yield* TestClock.withLive(Effect.sleep(1))
      }
      assert.isAbove(refused, 0)
      const [link] = yield* to.links.status
      assert.isAtMost(link!.queuedBytes, Limits.queueBytesMax.raft)
      yield* stillServes(to)
      yield* TestClock.adjust(Limits.pingMillis * (Limits.silentPingsMax + 1))
      assert.deepStrictEqual(to.events, [`up ${friend}`, `down ${friend}`])
      assert.isFalse(to.transport.sendUnsafe(friend, "raft", [filler]))
    })))

  it.effect("hears from the operating system alone that a peer's process was killed", () =>
    quiet(Effect.gen(function*() {
      const source = `
        import { Transport } from "@dkv/raft"
        import { PeerPort, PeerTransport } from "@dkv/transport"
        import { PeerPortTcp } from "@dkv/transport/node"
        import { Effect, Layer } from "effect"
        const layer = PeerTransport.layer({ clusterId: "${clusterId}", memberId: "${friend}" }).pipe(
          Layer.provideMerge(PeerPortTcp.layer({ host: "127.0.0.1", port: 0 }))
        )
        await Effect.runPromise(Effect.gen(function*() {
          const transport = yield* Transport.Transport
          yield* transport.setPeers([{ id: "${self}", address: "127.0.0.1:1" }])
          yield* transport.serve({ onFrame: () => {}, onUp: () => {}, onDown: () => {} })
          process.stdout.write("listening on " + (yield* PeerPort.PeerPort).addresses[0] + "\\n")
          yield* Effect.never
        }).pipe(Effect.scoped, Effect.provide(layer)))
      `
      const child = yield* Effect.acquireRelease(
        Effect.sync(() =>
          ChildProcess.spawn(process.execPath, ["--input-type=module-typescript", "--eval", source], {
            cwd: import.meta.dirname,
            stdio: ["ignore", "pipe", "inherit"]
          })
        ),
        (running) => Effect.sync(() => running.kill("SIGKILL"))
      )
      let output = ""
      child.stdout.on("data", (chunk) => {
        output += String(chunk)
      })
      yield* eventually(() => /listening on .*\n/.test(output))
      const to = yield* member([{ id: friend, address: /listening on (.*)\n/.exec(output)![1]! }])
      yield* eventually(() => to.events.length === 1)
      child.kill("SIGKILL")
      yield* eventually(() => to.events.length === 2)
      assert.deepStrictEqual(to.events, [`up ${friend}`, `down ${friend}`])
    })))

  it.effect("does not keep a socket open for what a peer that never reads has not taken", () =>
    quiet(Effect.gen(function*() {
      const socketsOpen = () => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length
      const peer = yield* listener((raw) => {
        raw.write(accept)
        raw.socket.pause()
      })
      const scope = yield* Scope.make()
      const to = yield* Scope.provide(member([peer]), scope)
      yield* eventually(() => to.events.length === 1)
      while (to.transport.sendUnsafe(friend, "raft", [new Uint8Array(1_000_000)])) {
        yield* TestClock.withLive(Effect.sleep(1))
      }
      const before = socketsOpen()
      yield* Scope.close(scope, Exit.void)
      yield* eventually(() => socketsOpen() === before - 1)
    })))
})
