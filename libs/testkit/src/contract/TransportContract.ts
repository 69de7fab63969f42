/**
 * What every layer of raft's `Transport` has to do, as cases that any test runner can run: register each `run` under its
 * `name`. A layer proves itself by running all of them against a `Subject`.
 */
import type { MemberId, Transport } from "@dkv/raft"
import { Effect, Exit, Scope } from "effect"
import * as assert from "node:assert/strict"

export interface Subject {
  /** Makes one member's transport that does not serve yet. Closing the scope is the member's death. `at` is an address that an earlier call gave back. */
  readonly member: (options: {
    readonly clusterId: string
    readonly id: MemberId
    readonly at: string | undefined
  }) => Effect.Effect<
    { readonly transport: Transport.Transport["Service"]; readonly address: string },
    Transport.TransportError,
    Scope.Scope
  >
  /** Lets a little time pass. */
  readonly tick: Effect.Effect<void>
  /** Largest frame that must arrive, in bytes. */
  readonly frameBytesMax: number
}

export interface Case {
  readonly name: string
  readonly run: (subject: Subject) => Effect.Effect<void, Transport.TransportError, Scope.Scope>
}

export const cases: ReadonlyArray<Case> = [
  {
    name: "frames of a lane arrive whole and in the order they were sent",
    run: (subject) =>
      Effect.gen(function*() {
        const [a, b] = yield* pair(subject)
        const sizes = Array.from({ length: 2000 }, (_, i) => i % 97 === 0 ? 20_000 + i : (i * 31) % 700)
        for (let i = 0; i < sizes.length; i++) {
          assert.ok(a.send(b, "raft", [pattern(i, sizes[i]! >> 1), pattern(i + 7, sizes[i]! - (sizes[i]! >> 1))]))
        }
        yield* eventually(subject, "all frames arrive", () => b.frames.length === sizes.length)
        for (let i = 0; i < sizes.length; i++) {
          const half = sizes[i]! >> 1
          assert.equal(b.frames[i]!.frame.length, sizes[i])
          assert.deepEqual(plain(b.frames[i]!.frame.subarray(0, half)), pattern(i, half))
          assert.deepEqual(plain(b.frames[i]!.frame.subarray(half)), pattern(i + 7, sizes[i]! - half))
        }
      })
  },
  {
    name: "an empty frame arrives as an empty frame",
    run: (subject) =>
      Effect.gen(function*() {
        const [a, b] = yield* pair(subject)
        a.send(b, "raft", [])
        a.send(b, "raft", [pattern(1, 0), pattern(2, 0)])
        yield* eventually(subject, "both arrive", () => b.frames.length === 2)
        assert.deepEqual(b.frames.map(({ frame }) => frame.length), [0, 0])
      })
  },
  {
    name: "the largest frame arrives on either lane, and a larger one is refused",
    run: (subject) =>
      Effect.gen(function*() {
        const [a, b] = yield* pair(subject)
        const largest = pattern(3, subject.frameBytesMax)
        for (const lane of ["raft", "bulk"] as const) {
          assert.equal(a.send(b, lane, [largest, pattern(1, 1)]), false)
          assert.equal(a.send(b, lane, [largest]), true)
          yield* eventually(subject, "it arrives", () => b.frames.some((frame) => frame.lane === lane))
        }
        for (const { frame } of b.frames) assert.equal(Buffer.compare(frame, largest), 0)
      })
  },
  {
    name: "a frame arrives on the lane it was sent on, at the peer it was for, under the name of its sender",
    run: (subject) =>
      Effect.gen(function*() {
        const members = yield* Effect.forEach([1, 2, 3], (n) => join(subject, idOf(n)))
        yield* acquaint(subject, members)
        for (const from of members) {
          for (const to of members) {
            if (from === to) continue
            from.send(to, "raft", [text(`raft ${from.id} ${to.id}`)])
            from.send(to, "bulk", [text(`bulk ${from.id} ${to.id}`)])
          }
        }
        yield* eventually(subject, "four each arrive", () => members.every(({ frames }) => frames.length === 4))
        for (const member of members) {
          for (const { frame, lane, peer } of member.frames) {
            assert.equal(Buffer.from(frame).toString(), `${lane} ${peer} ${member.id}`)
          }
        }
      })
  },
  {
    name: "a frame to a stranger, to oneself, or before the lane is up is refused",
    run: (subject) =>
      Effect.gen(function*() {
        const a = yield* join(subject, idOf(1))
        const b = yield* join(subject, idOf(2))
        assert.equal(a.send(b, "raft", [text("x")]), false)
        yield* b.transport.setPeers([a, b])
        yield* a.transport.setPeers([a, b])
        yield* eventually(subject, "both are up", () => a.isUp(b) && b.isUp(a))
        assert.equal(a.send(a, "raft", [text("x")]), false)
        assert.equal(a.transport.sendUnsafe(idOf(9), "raft", [text("x")]), false)
        assert.equal(a.transport.sendUnsafe(idOf(9), "bulk", [text("x")]), false)
      })
  },
  {
    name: "a peer's death is told once, and from then on frames to it are refused",
    run: (subject) =>
      Effect.gen(function*() {
        const [a, b] = yield* pair(subject)
        yield* b.die
        yield* eventually(subject, "a hears of it", () => !a.isUp(b))
        assert.equal(a.send(b, "raft", [text("x")]), false)
        yield* Effect.repeat(subject.tick, { times: 20 })
        assert.deepEqual(a.events, [`up ${b.id}`, `down ${b.id}`])
      })
  },
  {
    name: "a peer that comes back is up again, and hears only what is sent from then on",
    run: (subject) =>
      Effect.gen(function*() {
        const [a, b] = yield* pair(subject)
        a.send(b, "raft", [text("before")])
        yield* eventually(subject, "it arrives", () => b.frames.length === 1)
        yield* b.die
        yield* eventually(subject, "a hears of it", () => !a.isUp(b))
        a.send(b, "raft", [text("between")])
        const again = yield* join(subject, b.id, { at: b.address })
        yield* again.transport.setPeers([a])
        yield* eventually(subject, "both are up", () => a.isUp(again) && again.isUp(a))
        a.send(again, "raft", [text("after")])
        again.send(a, "raft", [text("back")])
        yield* eventually(subject, "both arrive", () => again.frames.length > 0 && a.frames.length > 0)
        assert.deepEqual(again.texts(), ["after"])
        assert.deepEqual(a.texts(), ["back"])
        assert.deepEqual(a.events, [`up ${b.id}`, `down ${b.id}`, `up ${b.id}`])
      })
  },
  {
    name: "a peer that is set as one, but does not set us, is neither up nor heard",
    run: (subject) =>
      Effect.gen(function*() {
        const a = yield* join(subject, idOf(1))
        const b = yield* join(subject, idOf(2))
        yield* a.transport.setPeers([b])
        yield* Effect.repeat(subject.tick, { times: 20 })
        assert.deepEqual(a.events, [])
        yield* b.transport.setPeers([a])
        yield* eventually(subject, "both are up", () => a.isUp(b) && b.isUp(a))
        a.send(b, "raft", [text("now")])
        yield* eventually(subject, "it arrives", () => b.frames.length === 1)
      })
  },
  {
    name: "a removed peer is neither dialled nor heard, whatever it thinks itself",
    run: (subject) =>
      Effect.gen(function*() {
        const [a, b] = yield* pair(subject)
        yield* a.transport.setPeers([])
        assert.equal(a.isUp(b), false)
        assert.equal(a.send(b, "raft", [text("x")]), false)
        yield* eventually(subject, "b hears of it", () => !b.isUp(a))
        b.send(a, "raft", [text("x")])
        b.send(a, "bulk", [text("x")])
        yield* Effect.repeat(subject.tick, { times: 40 })
        assert.deepEqual(a.frames, [])
        assert.equal(b.isUp(a), false)
      })
  },
  {
    name: "a peer is followed to a new address",
    run: (subject) =>
      Effect.gen(function*() {
        const [a, b] = yield* pair(subject)
        yield* b.die
        const moved = yield* join(subject, b.id)
        yield* moved.transport.setPeers([a])
        yield* a.transport.setPeers([moved])
        yield* eventually(subject, "both are up", () => a.isUp(moved) && moved.isUp(a))
        a.send(moved, "raft", [text("hello")])
        yield* eventually(subject, "it arrives", () => moved.frames.length === 1)
      })
  },
  {
    name: "a full queue refuses instead of waiting or growing, and what it took arrives in order",
    run: (subject) =>
      Effect.gen(function*() {
        const [a, b] = yield* pair(subject)
        for (const lane of ["raft", "bulk"] as const) {
          b.frames.length = 0
          const filler = pattern(1, 100_000)
          let taken = 0
          while (taken < 10_000 && a.send(b, lane, [Uint8Array.of(taken >> 8, taken), filler])) taken++
          assert.ok(taken > 0 && taken < 10_000, `took ${taken} frames of 100 kB in one turn`)
          yield* eventually(subject, "what was taken arrives", () => b.frames.length === taken)
          assert.ok(b.frames.every(({ frame }, i) => (frame[0]! << 8 | frame[1]!) === i))
          assert.equal(a.send(b, lane, [filler]), true)
          yield* eventually(subject, "the next arrives", () => b.frames.length === taken + 1)
        }
        let small = 0
        while (small < 1_000_000 && a.send(b, "raft", [])) small++
        assert.ok(small < 1_000_000, "took a million empty frames in one turn")
      })
  },
  {
    name: "a member of another cluster is neither up nor heard",
    run: (subject) =>
      Effect.gen(function*() {
        const a = yield* join(subject, idOf(1))
        const b = yield* join(subject, idOf(2), { clusterId: "00000000000000cc" })
        yield* a.transport.setPeers([b])
        yield* b.transport.setPeers([a])
        a.send(b, "bulk", [text("x")])
        yield* Effect.repeat(subject.tick, { times: 40 })
        assert.deepEqual([a.events, b.events, a.frames, b.frames], [[], [], [], []])
      })
  },
  {
    name: "an address that belongs to another member than intended is neither up nor sent to",
    run: (subject) =>
      Effect.gen(function*() {
        const a = yield* join(subject, idOf(1))
        const b = yield* join(subject, idOf(2))
        yield* b.transport.setPeers([a])
        yield* a.transport.setPeers([{ id: idOf(3), address: b.address }])
        a.transport.sendUnsafe(idOf(3), "bulk", [text("x")])
        yield* Effect.repeat(subject.tick, { times: 40 })
        assert.deepEqual([a.events, b.events, b.frames], [[], [], []])
      })
  },
  {
    name: "a member that stops serving is told nothing more",
    run: (subject) =>
      Effect.gen(function*() {
        const [a, b] = yield* pair(subject)
        b.send(a, "raft", [text("late")])
        const events = a.events.length
        yield* a.die
        const heard = a.frames.length
        yield* Effect.repeat(subject.tick, { times: 20 })
        b.send(a, "raft", [text("later")])
        yield* b.die
        yield* Effect.repeat(subject.tick, { times: 20 })
        assert.equal(a.frames.length, heard)
        assert.equal(a.events.length, events)
        assert.equal(a.send(b, "raft", [text("x")]), false)
      })
  }
]

interface Member extends Transport.Peer {
  readonly transport: Transport.Transport["Service"]
  readonly frames: Array<{ readonly peer: MemberId; readonly lane: Transport.Lane; readonly frame: Uint8Array }>
  readonly events: Array<string>
  readonly isUp: (peer: Transport.Peer) => boolean
  readonly send: (to: Transport.Peer, lane: Transport.Lane, chunks: ReadonlyArray<Uint8Array>) => boolean
  readonly texts: () => ReadonlyArray<string>
  readonly die: Effect.Effect<void>
}

const join = Effect.fnUntraced(function*(
  subject: Subject,
  id: MemberId,
  options: { readonly clusterId?: string; readonly at?: string } = {}
): Effect.fn.Return<Member, Transport.TransportError, Scope.Scope> {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const { address, transport } = yield* Scope.provide(
    subject.member({ clusterId: options.clusterId ?? "00000000000000c1", id, at: options.at }),
    scope
  )
  const up = new Set<MemberId>()
  const member: Member = {
    id,
    address,
    transport,
    frames: [],
    events: [],
    isUp: (peer) => up.has(peer.id),
    send: (to, lane, chunks) => transport.sendUnsafe(to.id, lane, chunks),
    texts: () => member.frames.map(({ frame }) => Buffer.from(frame).toString()),
    die: Scope.close(scope, Exit.void)
  }
  yield* Scope.provide(
    transport.serve({
      onFrame: (peer, lane, frame) => {
        member.frames.push({ peer, lane, frame })
      },
      onUp: (peer) => {
        assert.ok(!up.has(peer), "up twice")
        up.add(peer)
        member.events.push(`up ${peer}`)
      },
      onDown: (peer) => {
        assert.ok(up.has(peer), "down without up")
        up.delete(peer)
        member.events.push(`down ${peer}`)
      }
    }),
    scope
  )
  return member
})

/** Makes peers of all members and waits until all are up. */
const acquaint = Effect.fnUntraced(function*(subject: Subject, members: ReadonlyArray<Member>) {
  for (const member of members) yield* member.transport.setPeers(members)
  yield* eventually(
    subject,
    "all are up",
    () => members.every((one) => members.every((other) => one === other || one.isUp(other)))
  )
})

const pair = Effect.fnUntraced(function*(subject: Subject) {
  const a = yield* join(subject, idOf(1))
  const b = yield* join(subject, idOf(2))
  yield* acquaint(subject, [a, b])
  return [a, b] as const
})

const eventually = Effect.fnUntraced(function*(subject: Subject, what: string, condition: () => boolean) {
  for (let i = 0; i < 3_000; i++) {
    if (condition()) return
    yield* subject.tick
  }
  assert.fail(`waited in vain until ${what}`)
})

const idOf = (n: number): MemberId => n.toString(16).padStart(16, "0")
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const plain = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes)
const pattern = (seed: number, bytes: number): Uint8Array => {
  const out = new Uint8Array(bytes)
  for (let i = 0; i < bytes; i++) out[i] = seed * 7 + i * 13 + (i >> 8)
  return out
}
