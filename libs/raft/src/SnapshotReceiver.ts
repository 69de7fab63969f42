/**
 * Takes a snapshot from the leader, beside the present state, and replaces the state when it is whole: state durable first, then the log's reset, then the
 * acknowledgement. A crash in between is completed on start, where "applied beyond the last log index" shows it.
 */
import { Effect, Queue } from "effect"
import type { Applier } from "./Applier.ts"
import * as MetaCodec from "./codec/MetaCodec.ts"
import * as Codec from "./codec/PeerMessageCodec.ts"
import type { LogIndex, MemberId, Term } from "./core/Entry.ts"
import * as Crc32c from "./Crc32c.ts"
import * as Limits from "./Limits.ts"
import type { Mailbox } from "./Mailbox.ts"
import type { SnapshotChunk, SnapshotProgress } from "./PeerMessage.ts"
import { Sessions } from "./Sessions.ts"
import type { StateMachineError, SnapshotWriter } from "./StateMachine.ts"
import { StateMachine } from "./StateMachine.ts"
import { Transport } from "./Transport.ts"

export interface Offer {
  readonly from: MemberId
  readonly snapshot: number
  readonly index: LogIndex
  readonly term: Term
}

interface Receiving {
  readonly offer: Offer
  /** `undefined` says that another offer has come. */
  readonly chunks: Queue.Queue<SnapshotChunk | undefined>
  next: number
  superseded: boolean
}

export interface SnapshotReceiver {
  /** The leader has a snapshot for this member; offered again, the transfer goes on. */
  readonly offeredUnsafe: (offer: Offer) => void
  readonly chunkUnsafe: (from: MemberId, chunk: SnapshotChunk) => void
  /** The actor. Fails if the state machine does. */
  readonly run: Effect.Effect<never, StateMachineError>
}

export const make = Effect.fnUntraced(function*(options: {
  readonly applier: Applier
  readonly mailbox: Mailbox
  /** The member's own log can bring it beyond `index` by now. */
  readonly isOvertaken: (index: LogIndex) => boolean
}): Effect.fn.Return<SnapshotReceiver, never, StateMachine | Transport> {
  const { applier, isOvertaken, mailbox } = options
  const stateMachine = yield* StateMachine
  const transport = yield* Transport
  const offers = yield* Queue.sliding<Offer>(1)
  let receiving: Receiving | undefined

  const report = (offer: Offer, next: number, state: SnapshotProgress["state"]): void => {
    transport.sendUnsafe(offer.from, "bulk", [
      Codec.encode({ _tag: "SnapshotProgress", snapshot: offer.snapshot, next, state })
    ])
  }

  /** All chunks, in order, into `writer`; false if they stop coming. Nothing is applied meanwhile: who has the entries after all does not wait for long. */
  const receive = Effect.fnUntraced(function*(state: Receiving, writer: SnapshotWriter) {
    let silences = 0
    while (true) {
      const chunk = yield* Effect.timeoutOption(Queue.take(state.chunks), Limits.snapshotSilenceMillis)
      if (chunk._tag === "None") {
        if (++silences === Limits.snapshotRetriesMax || isOvertaken(state.offer.index)) return false
        continue
      }
      silences = 0
      if (chunk.value === undefined || state.superseded) return false
      const { data, last, sequence } = chunk.value
      if (sequence !== state.next || Crc32c.checksum(data) !== chunk.value.checksum) {
        report(state.offer, state.next, "receiving")
        continue
      }
      yield* writer.write(data)
      state.next++
      if (last) return true
      report(state.offer, state.next, "receiving")
    }
  })

  const install = Effect.fnUntraced(function*(state: Receiving) {
    const { offer } = state
    if (offer.index <= applier.head().index) return report(offer, 0, "installed")
    const writer = yield* stateMachine.install
    yield* Effect.logInfo(`takes a snapshot up to entry ${offer.index} from member ${offer.from}`)
    report(offer, 0, "receiving")
    if (!(yield* receive(state, writer))) return
    yield* writer.commit
    const meta = yield* stateMachine.recover
    if (meta.head._tag === "None") return yield* Effect.die("the snapshot holds no raft state")
    const replaced = MetaCodec.decodeHead(meta.head.value)
    applier.resetUnsafe(replaced, new Sessions(meta.records, replaced.group))
    mailbox.complete({
      _tag: "SnapshotInstalled",
      index: replaced.index,
      term: replaced.term,
      configuration: replaced.configuration,
      configurationIndex: replaced.configurationIndex
    })
    report(offer, state.next, "installed")
    yield* Effect.logInfo(`has the snapshot up to entry ${replaced.index}`)
  })

  /** A snapshot that the state machine refuses costs nothing: the state is unchanged, and the leader is told. */
  const guarded = (state: Receiving): Effect.Effect<void, StateMachineError> =>
    applier.pause(Effect.scoped(install(state))).pipe(
      Effect.catchIf(
        (error) => error.reason === "Snapshot",
        (error) =>
          Effect.andThen(
            Effect.logWarning(`snapshot from ${state.offer.from} refused: ${error.message}`),
            Effect.sync(() => report(state.offer, 0, "refused"))
          )
      ),
      Effect.ensuring(Effect.sync(() => {
        if (receiving === state) receiving = undefined
      }))
    )

  const run = Effect.gen(function*() {
    while (true) {
      const offer = yield* Queue.take(offers)
      const chunks = yield* Queue.dropping<SnapshotChunk | undefined>(2 * Limits.snapshotWindowChunks)
      receiving = { offer, chunks, next: 0, superseded: false }
      yield* guarded(receiving)
    }
  })

  return {
    offeredUnsafe: (offer) => {
      if (
        receiving !== undefined && receiving.offer.snapshot === offer.snapshot && receiving.offer.from === offer.from
      ) {
        return report(offer, receiving.next, "receiving")
      }
      if (receiving !== undefined) {
        receiving.superseded = true
        Queue.offerUnsafe(receiving.chunks, undefined)
      }
      Queue.offerUnsafe(offers, offer)
    },
    chunkUnsafe: (from, chunk) => {
      if (receiving === undefined || receiving.offer.from !== from || receiving.offer.snapshot !== chunk.snapshot) {
        return
      }
      Queue.offerUnsafe(receiving.chunks, chunk)
    },
    run
  }
})
