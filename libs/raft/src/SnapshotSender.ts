/**
 * Brings a member that is too far behind up to date: offers a snapshot, then sends it chunk by chunk on the bulk lane, at a bounded rate and with few chunks
 * unacknowledged. After a silence it offers the same snapshot again, and goes on where the receiver says it is.
 *
 * Source: Raft paper §7.
 */
import { Effect, Option } from "effect"
import type { Scope } from "effect"
import * as Codec from "./codec/PeerMessageCodec.ts"
import type { LogIndex, MemberId, Term } from "./core/Entry.ts"
import * as Crc32c from "./Crc32c.ts"
import * as Limits from "./Limits.ts"
import type { SnapshotProgress } from "./PeerMessage.ts"
import type { SnapshotReader, StateMachineError } from "./StateMachine.ts"
import type { Transport } from "./Transport.ts"
import * as Wakeup from "./Wakeup.ts"

/** A transfer that is under way. */
export interface Transfer {
  readonly snapshot: number
  readonly index: LogIndex
  /** Payload bytes that the log had taken in when the transfer began. */
  readonly startedAtBytes: number
  /** Size of the snapshot, as far as it was sent. */
  readonly bytesUnsafe: () => number
  /** Takes the receiver's word. */
  readonly progressUnsafe: (progress: SnapshotProgress) => void
  /** True once the receiver has installed the snapshot; false if it was given up. */
  readonly run: Effect.Effect<boolean, StateMachineError>
}

export const make = Effect.fnUntraced(function*(options: {
  readonly peer: MemberId
  readonly snapshot: number
  readonly index: LogIndex
  readonly indexTerm: Term
  /** The leader's term; the transfer ends when it is over. */
  readonly term: Term
  readonly isCurrent: () => boolean
  readonly reader: SnapshotReader
  readonly startedAtBytes: number
  readonly transport: Transport["Service"]
}): Effect.fn.Return<Transfer, never, Scope.Scope> {
  const { index, indexTerm, isCurrent, peer, reader, snapshot, term, transport } = options
  const wakeup = yield* Wakeup.make
  /** Where each chunk begins; as many as were read so far, and one more. */
  const cursors: Array<Uint8Array> = [new Uint8Array(0)]
  let chunks = Infinity
  let sent = 0
  /** Chunks are counted once, however often they are sent. */
  let counted = 0
  let bytes = 0
  let acknowledged = 0
  let heard = false
  /** The receiver has said something since the last offer: whoever installs the snapshot, or waits for a slow disk, is not silent. */
  let answered = false
  /** The receiver's next word says where to go on: after an offer, and once for each chunk that it asks for again. */
  let isAsked = true
  let askedAgain = -1
  let outcome: boolean | undefined

  const offer = Effect.sync(() => {
    transport.sendUnsafe(peer, "raft", [
      Codec.encode({ _tag: "SnapshotOffer", term, snapshot, index, indexTerm })
    ])
  })

  /** False if the lane stays down: the receiver has to be asked again. */
  const sendChunk = Effect.gen(function*() {
    const sequence = sent
    const { data, next } = yield* reader.read(cursors[sequence]!)
    if (Option.isSome(next)) cursors[sequence + 1] = next.value
    else chunks = sequence + 1
    // the receiver has said meanwhile that it goes on elsewhere
    if (sent !== sequence) return true
    const frame = Codec.encode({
      _tag: "SnapshotChunk",
      snapshot,
      sequence,
      last: Option.isNone(next),
      checksum: Crc32c.checksum(data),
      data
    })
    for (let waited = 0; !transport.sendUnsafe(peer, "bulk", [frame]); waited += Limits.retryMillis) {
      if (waited >= Limits.snapshotSilenceMillis) return false
      yield* Effect.sleep(Limits.retryMillis)
    }
    if (sent === sequence) sent++
    if (sequence === counted) {
      counted++
      bytes += data.length
    }
    yield* Effect.sleep(Math.ceil(data.length / Limits.snapshotBytesPerSecond * 1000))
    return true
  })

  const canSend = () => sent < chunks && sent - acknowledged < Limits.snapshotWindowChunks

  /** Waits for the receiver's word, which may have come already, but not for ever. */
  const listen: Effect.Effect<void> = Effect.suspend(() => heard ? Effect.void : Effect.andThen(wakeup.wait, listen))
  const listenForAWhile = listen.pipe(Effect.timeoutOption(Limits.snapshotSilenceMillis))

  const run = Effect.gen(function*() {
    let silences = 0
    while (outcome === undefined && silences < Limits.snapshotRetriesMax && isCurrent()) {
      answered = false
      heard = false
      isAsked = true
      yield* offer
      yield* listenForAWhile
      while (heard && outcome === undefined && isCurrent()) {
        if (canSend() && (yield* sendChunk)) continue
        heard = false
        yield* listenForAWhile
      }
      silences = answered ? 0 : silences + 1
    }
    return outcome === true
  })

  return {
    snapshot,
    index,
    startedAtBytes: options.startedAtBytes,
    bytesUnsafe: () => bytes,
    progressUnsafe: (progress) => {
      if (progress.state === "installed") outcome = true
      else if (progress.state === "refused") outcome = false
      else if (progress.next < cursors.length) {
        const isAgain = progress.next === acknowledged && askedAgain !== acknowledged
        acknowledged = progress.next
        if (isAsked || isAgain || sent < acknowledged) sent = acknowledged
        if (isAgain && !isAsked) askedAgain = acknowledged
        isAsked = false
      }
      answered = true
      heard = true
      wakeup.ringUnsafe()
    },
    run
  }
})
