/**
 * The connections that other members have opened to this one, one per peer and lane, and the rule of who is heard: members
 * of the own cluster, who meant this member, and are in the configuration.
 *
 * A new connection of the same peer and lane ends the one before: the peer opens one only after it has given up the other, and what
 * still comes from that must not be delivered behind what comes from this.
 */
import type { MemberId, Transport } from "@dkv/raft"
import { Deferred, Effect, Exit } from "effect"
import { ConnectionError } from "./Connection.ts"
import type { Connection } from "./Connection.ts"
import { FrameType } from "./Frame.ts"
import type { Hello, Refused } from "./Handshake.ts"
import { frameBytesMax, hastyConnectionsMax, pingMillis, removedMax, silentPingsMax, steadyPings } from "./Limits.ts"
import type { LogLimit } from "./LogLimit.ts"

/** Who this member is. */
export interface Identity {
  /** 16 hexadecimal digits, as the member id. */
  readonly clusterId: string
  readonly memberId: MemberId
}

interface Entry {
  readonly peer: MemberId
  readonly ended: Deferred.Deferred<never, ConnectionError>
  /** Connections in a row, this one included, that replaced one which had not proven itself. */
  readonly hasty: number
  /** Ping intervals that have begun since it was opened. */
  pings: number
  /** Nothing is delivered any more. */
  dead: boolean
  /** Ping intervals since anything came. */
  silentPings: number
  /** Ping intervals since the last pong. */
  unanswered: number
}

/** Mutable, owned by the transport. */
export class Incoming {
  readonly #identity: Identity
  readonly #log: LogLimit
  readonly #entries = new Map<string, Entry>()
  readonly #removed = new Set<MemberId>()
  #peers: ReadonlySet<MemberId> = new Set()

  constructor(identity: Identity, log: LogLimit) {
    this.#identity = identity
    this.#log = log
  }

  /** From now on exactly these are heard. */
  setPeers(peers: ReadonlySet<MemberId>): void {
    for (const id of this.#peers) if (!peers.has(id)) this.#removed.add(id)
    for (const id of peers) this.#removed.delete(id)
    for (const id of this.#removed) {
      if (this.#removed.size <= removedMax) break
      this.#removed.delete(id)
    }
    this.#peers = peers
    for (const entry of this.#entries.values()) if (!peers.has(entry.peer)) end(entry, unwelcome)
  }

  admit(hello: Hello): Refused | undefined {
    const { clusterId, memberId } = this.#identity
    if (hello.clusterId !== clusterId) {
      return { reason: "WrongCluster", message: `this member belongs to cluster ${clusterId}, not ${hello.clusterId}` }
    }
    if (hello.to !== memberId) {
      return { reason: "WrongMember", message: `this is member ${memberId}, not ${hello.to}` }
    }
    if (this.#peers.has(hello.from)) return undefined
    return this.#removed.has(hello.from)
      ? { reason: "Removed", message: `member ${hello.from} has been removed from the cluster` }
      : { reason: "Unknown", message: `member ${hello.from} is not in the configuration that this member knows` }
  }

  /** Delivers the frames of one connection until it ends. */
  run(
    lane: Transport.Lane,
    hello: Hello,
    connection: Connection,
    onFrame: Transport.Handlers["onFrame"]
  ): Effect.Effect<void, ConnectionError> {
    return Effect.suspend(() => {
      if (this.admit(hello) !== undefined) return Effect.fail(unwelcome)
      const key = `${lane} ${hello.from}`
      const before = this.#entries.get(key)
      if (before !== undefined) end(before, replaced)
      const entry: Entry = {
        peer: hello.from,
        ended: Deferred.makeUnsafe(),
        hasty: before !== undefined && before.pings < steadyPings ? before.hasty + 1 : 0,
        pings: 0,
        dead: false,
        silentPings: 0,
        unanswered: 0
      }
      this.#entries.set(key, entry)
      connection.frames.bytesMax = frameBytesMax

      // A ping waits behind what was sent before it. On a slow link that takes long, and then every part of it is a sign of life, and is answered without being asked.
      let pinged = false
      const afterChunk = Effect.suspend(() => {
        entry.silentPings = 0
        if (!pinged && entry.unanswered <= 1) return Effect.void
        pinged = false
        entry.unanswered = 0
        return connection.send(FrameType.Pong, [])
      })
      const receive = connection.receiveAll((type, message) => {
        if (type === FrameType.Ping) pinged = true
        else if (type !== FrameType.Message) return false
        else if (!entry.dead) onFrame(hello.from, lane, message)
        return true
      }, afterChunk)
      const suspicion = entry.hasty < hastyConnectionsMax ? Effect.void : this.#log(
        `Member ${hello.from} opens one connection after the other, though it has one: do two processes run on copies of one data directory? Stop one of them`
      )
      return Effect.andThen(suspicion, receive).pipe(
        Effect.raceFirst(Deferred.await(entry.ended)),
        Effect.ensuring(Effect.sync(() => {
          entry.dead = true
          if (this.#entries.get(key) === entry) this.#entries.delete(key)
        }))
      )
    })
  }

  /** To be called once per ping interval: ends the connections on which nothing has come for too long. */
  tick(): void {
    for (const entry of this.#entries.values()) {
      entry.pings++
      entry.unanswered++
      if (++entry.silentPings > silentPingsMax) end(entry, silent)
    }
  }

  closeAll(): void {
    for (const entry of this.#entries.values()) end(entry, closing)
  }
}

const end = (entry: Entry, reason: ConnectionError): void => {
  entry.dead = true
  Deferred.doneUnsafe(entry.ended, Exit.fail(reason))
}

const unwelcome = new ConnectionError({ reason: "Closed", message: "the peer was removed" })
const replaced = new ConnectionError({ reason: "Closed", message: "the peer has opened another connection" })
const closing = new ConnectionError({ reason: "Closed", message: "this member is stopping" })
const silent = new ConnectionError({
  reason: "Silent",
  message: `sent nothing for ${silentPingsMax} pings of ${pingMillis} ms`
})
