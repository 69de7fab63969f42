/**
 * A volatile state machine's snapshot as it lies in a `SnapshotStore`: raft's bookkeeping and the chunks of the state, in blocks (`SnapshotCodec`).
 * Nothing here holds more of it than a block and one chunk.
 */
import { Effect, Option, Stream } from "effect"
import { Reader, Writer } from "./codec/Bytes.ts"
import * as Codec from "./codec/SnapshotCodec.ts"
import * as Limits from "./Limits.ts"
import type { SnapshotDraft, StoredSnapshot } from "./SnapshotStore.ts"
import type { RecoveredMeta, SnapshotReader } from "./StateMachine.ts"
import { StateMachineError } from "./StateMachine.ts"

export const refused = (message: string): StateMachineError => new StateMachineError({ reason: "Snapshot", message })

/** Writes bookkeeping and state. Does not commit. */
export const write = Effect.fnUntraced(function*(
  draft: SnapshotDraft,
  meta: RecoveredMeta,
  state: Stream.Stream<Uint8Array, StateMachineError>
) {
  const encoder = new Codec.Encoder()
  const writeItems = Effect.fnUntraced(function*(kind: Codec.Kind, contents: ReadonlyArray<Uint8Array>) {
    for (const content of contents) {
      if (content.length > Limits.stateChunkBytesMax) {
        return yield* Effect.die(
          new Error(
            `the state machine gave a chunk of ${content.length} bytes; one has at most ${Limits.stateChunkBytesMax}: cut it`
          )
        )
      }
      for (const block of encoder.item(kind, content)) yield* draft.write(block)
    }
  })
  yield* writeItems(Codec.Kind.Head, Option.toArray(meta.head))
  yield* writeItems(Codec.Kind.Record, meta.records.map(([key, value]) => Codec.encodeRecord(key, value)))
  yield* Stream.runForEachArray(state, (chunks) => writeItems(Codec.Kind.State, chunks))
  yield* draft.write(encoder.finish())
})

/** A snapshot that has only raft's head in it: what a witness gets, whatever the state machine here is. Small enough to be held whole. */
export const headOnly = (head: Uint8Array): SnapshotReader => {
  const encoder = new Codec.Encoder()
  const blocks = [...encoder.item(Codec.Kind.Head, head), encoder.finish()]
  return {
    read: (cursor) => {
      const number = cursor.length === 0 ? 0 : new Reader(cursor).uint32()
      const data = blocks[number]
      if (data === undefined) return Effect.fail(refused("the cursor points behind the snapshot"))
      const next = number + 1 < blocks.length ? Option.some(new Writer(4).uint32(number + 1).finish()) : Option.none()
      return Effect.succeed({ data, next })
    }
  }
}

/** Looks at blocks as they come, and keeps the bookkeeping in them. Mutable. */
export class Check {
  private readonly decoder = new Codec.Decoder()
  private refusal: string | undefined
  private head: Option.Option<Uint8Array> = Option.none()
  private readonly records: Array<readonly [key: Uint8Array, value: Uint8Array]> = []

  /** In a string, why the block does not follow those before. */
  take(block: Uint8Array): string | undefined {
    if (this.refusal !== undefined) return this.refusal
    const items = this.decoder.take(block)
    return this.refusal = typeof items === "string" ? items : this.keep(items)
  }

  get complete(): boolean {
    return this.decoder.complete
  }

  /** The bookkeeping, or in a string why the blocks so far are no snapshot. */
  finish(): RecoveredMeta | string {
    if (this.refusal !== undefined) return this.refusal
    if (!this.complete) return "the snapshot ends before its last block"
    if (Option.isNone(this.head)) return "the snapshot holds no raft state"
    return { head: this.head, records: this.records }
  }

  private keep(items: ReadonlyArray<Codec.Item>): string | undefined {
    for (const { content, kind } of items) {
      if (kind === Codec.Kind.Head) this.head = Option.some(content)
      if (kind !== Codec.Kind.Record) continue
      const record = Codec.decodeRecord(content)
      if (record === undefined) return "a record of the snapshot is cut short"
      this.records.push(record)
    }
    return undefined
  }
}

/** Reads all of it once, and gives its bookkeeping. Fails with `Snapshot` if the blocks are no whole snapshot, and as the store does. */
export const verify = Effect.fnUntraced(function*(snapshot: StoredSnapshot) {
  const check = new Check()
  for (let position = 0; !check.complete;) {
    const chunk = yield* snapshot.read(position)
    if (Option.isNone(chunk)) break
    const refusal = check.take(chunk.value.data)
    if (refusal !== undefined) break
    position = chunk.value.next
  }
  const meta = check.finish()
  return typeof meta === "string" ? yield* refused(meta) : meta
})

/** The chunks of the state, with the cuts that they were given. Of a snapshot that was checked: whatever does not fit now has changed since. */
export const stateOf = (snapshot: StoredSnapshot): Stream.Stream<Uint8Array, StateMachineError> =>
  Stream.suspend(() => {
    const decoder = new Codec.Decoder()
    return Stream.paginate(
      0,
      Effect.fnUntraced(function*(position: number) {
        const chunk = yield* snapshot.read(position)
        const items = Option.isSome(chunk) ? decoder.take(chunk.value.data) : "the snapshot ends before its last block"
        if (typeof items === "string") {
          return yield* new StateMachineError({ reason: "Corrupt", message: `${items}, and it was whole a moment ago` })
        }
        const states = items.filter(({ kind }) => kind === Codec.Kind.State).map(({ content }) => content)
        return [states, decoder.complete ? Option.none() : Option.map(chunk, ({ next }) => next)] as const
      })
    )
  })
