/**
 * This member's side of one lane to one peer: a connection that it dials, and dials again, for its own sending alone.
 *
 * Each member dials every peer, so between two members there are two connections per lane, each carrying frames one way. The
 * alternative, one shared connection opened by the lower id, halves the sockets but leaves a member mute until a peer whose
 * view of its address may be wrong dials it, and needs rules for two connections that cross. Here a link depends on one address book,
 * one dial and one socket. The read side carries pongs only, and waits all the time: so the operating system's word that a killed peer's
 * sockets are closed arrives as `onDown` at once, without waiting for a frame to be lost.
 *
 * A silent link (cable pulled, machine gone) is found by pings, counted as in `Limits`. Where a ping waits for long behind other frames, the peer answers the parts
 * of those instead.
 */
import { type Transport, Wakeup } from "@dkv/raft"
import { Deferred, Effect, Exit, Option, Random } from "effect"
import type { Scope } from "effect"
import { ConnectionError } from "./Connection.ts"
import type { Connection } from "./Connection.ts"
import { FrameType } from "./Frame.ts"
import type { Hello, Refusal } from "./Handshake.ts"
import {
  bulkIdlePings,
  pingMillis,
  queueBytesMax,
  redialMillis,
  silentPingsMax,
  steadyPings,
  writeBytesMax
} from "./Limits.ts"
import type { LogLimit } from "./LogLimit.ts"
import { Outbox } from "./Outbox.ts"
import type { DialError, PeerPort } from "./PeerPort.ts"

/** `Idle`: a bulk lane with nothing to send. `Waiting`: the last attempt failed, and the next comes after a pause. */
export type State = "Idle" | "Dialling" | "Up" | "Waiting"

export interface Events {
  readonly onUp: () => void
  /** Once for each `onUp`. */
  readonly onDown: () => void
  readonly log: LogLimit
}

/** The state of one link. Mutable: `run` owns it, senders call `send`, the transport's one timer calls `tick`. */
export class Outgoing {
  readonly peer: Transport.Peer
  readonly lane: Transport.Lane
  readonly outbox: Outbox
  readonly work: Wakeup.Wakeup
  readonly kicked: Wakeup.Wakeup
  state: State
  /** Why the last attempt failed; undefined once the link is up. */
  failure: string | undefined = undefined
  /** Set while a connection is up; completing it ends the connection. */
  cut: Deferred.Deferred<never, ConnectionError> | undefined = undefined
  closing = false
  writing = false
  writes = 0
  silentPings = 0
  /** Ping intervals that have begun since the link is up. */
  pings = 0
  #idlePings = 0
  #blockedWrite = -1

  constructor(peer: Transport.Peer, lane: Transport.Lane, work: Wakeup.Wakeup, kicked: Wakeup.Wakeup) {
    this.peer = peer
    this.lane = lane
    this.outbox = new Outbox(queueBytesMax[lane], work)
    this.work = work
    this.kicked = kicked
    this.state = lane === "bulk" ? "Idle" : "Dialling"
  }

  /** Queues a frame. A bulk lane that is idle or dialling takes it too; otherwise the link must be up. */
  send(chunks: ReadonlyArray<Uint8Array>): boolean {
    if (this.closing || this.state === "Waiting" || (this.state === "Dialling" && this.lane === "raft")) return false
    this.#idlePings = 0
    return this.outbox.offer(FrameType.Message, chunks)
  }

  /** Dials now if it is pausing: there is a sign that the peer is there. */
  kick(): void {
    if (this.state === "Waiting") this.kicked.ringUnsafe()
  }

  /** Ends the link after what is queued. */
  close(): void {
    this.closing = true
    this.work.ringUnsafe()
    this.kicked.ringUnsafe()
  }

  up(): void {
    this.state = "Up"
    this.failure = undefined
    this.writing = false
    this.silentPings = 0
    this.pings = 0
    this.#idlePings = 0
    this.#blockedWrite = -1
  }

  /**
   * To be called once per ping interval: pings, and cuts a link on which nothing was heard for too long, or an idle bulk lane.
   * A write that was blocked and went on is a sign of life as well, because a ping waits behind the queue.
   */
  tick(): void {
    if (this.cut === undefined) return
    this.pings++
    if (this.#blockedWrite !== -1 && this.writes !== this.#blockedWrite) this.silentPings = 0
    this.#blockedWrite = this.writing ? this.writes : -1
    if (++this.silentPings > silentPingsMax) {
      Deferred.doneUnsafe(this.cut, Exit.fail(silent))
    } else if (this.lane === "bulk" && ++this.#idlePings > bulkIdlePings && this.outbox.isEmpty) {
      Deferred.doneUnsafe(this.cut, Exit.fail(idle))
    } else {
      this.outbox.offer(FrameType.Ping, [])
    }
  }
}

/** A link that is not dialled yet. */
export const make = Effect.fnUntraced(function*(peer: Transport.Peer, lane: Transport.Lane) {
  return new Outgoing(peer, lane, yield* Wakeup.make, yield* Wakeup.make)
})

/** Keeps `link` up until it is closed or interrupted. */
export const run = Effect.fnUntraced(function*(
  link: Outgoing,
  port: PeerPort["Service"],
  hello: Omit<Hello, "versions">,
  events: Events
) {
  let pauseMillis: number = redialMillis.first
  while (!link.closing) {
    if (link.lane === "bulk" && link.outbox.isEmpty) {
      link.state = "Idle"
      yield* link.work.wait
      continue
    }
    link.state = "Dialling"
    const failed = link.failure !== undefined
    const error = yield* Effect.flip(Effect.scoped(session(link, port, hello, events, failed)))
    if (error === idle || link.closing) continue
    link.outbox.clear()
    if (error._tag === "ConnectionError" && link.pings >= steadyPings) pauseMillis = redialMillis.first
    link.state = "Waiting"
    if (link.failure !== error.message) {
      link.failure = error.message
      yield* events.log(`No ${link.lane} connection to member ${link.peer.id}: ${error.message}`)
    }
    const spread = yield* Random.next
    const kicked = yield* Effect.timeoutOption(link.kicked.wait, pauseMillis * (1 - spread / 2))
    pauseMillis = Option.isSome(kicked) ? redialMillis.first : Math.min(pauseMillis * 2, longestPauseMillis(error))
  }
})

const session = Effect.fnUntraced(function*(
  link: Outgoing,
  port: PeerPort["Service"],
  hello: Omit<Hello, "versions">,
  events: Events,
  failedBefore: boolean
): Effect.fn.Return<never, DialError | ConnectionError, Scope.Scope> {
  const connection = yield* port.dial(link.peer.address, hello)
  const cut = Deferred.makeUnsafe<never, ConnectionError>()
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      link.cut = cut
      link.up()
      events.onUp()
    }),
    () =>
      Effect.sync(() => {
        link.cut = undefined
        link.state = "Dialling"
        events.onDown()
      })
  )
  if (failedBefore) yield* events.log(`Reached member ${link.peer.id} at ${link.peer.address}`, "Info")
  const heard = (type: number): boolean => {
    link.silentPings = 0
    return type === FrameType.Pong
  }
  return yield* Effect.raceAllFirst([
    connection.receiveAll(heard, Effect.void),
    write(link, connection),
    Deferred.await(cut)
  ])
})

const write = Effect.fnUntraced(function*(
  link: Outgoing,
  connection: Connection
): Effect.fn.Return<never, ConnectionError> {
  while (true) {
    if (link.outbox.isEmpty) {
      if (link.closing) return yield* finished
      yield* link.work.wait
      continue
    }
    const frames = link.outbox.take(writeBytesMax)
    link.writing = true
    yield* connection.sendAll(frames)
    link.writing = false
    link.writes++
    link.outbox.release(frames)
  }
})

const longestPauseMillis = (error: DialError | ConnectionError): number =>
  error._tag === "ConnectionError" || error.refusal === undefined || passing.has(error.refusal)
    ? redialMillis.max
    : redialMillis.refused

/** A member that just joined is unknown to those who have not heard of it yet. */
const passing: ReadonlySet<string> = new Set<Refusal>(["Unknown", "NotReady", "Busy"])

const silent = new ConnectionError({
  reason: "Silent",
  message: `nothing was heard for ${silentPingsMax} pings of ${pingMillis} ms`
})
const idle = new ConnectionError({ reason: "Closed", message: "the lane was idle" })
const finished = new ConnectionError({ reason: "Closed", message: "the peer was removed" })
