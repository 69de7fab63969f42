/**
 * The key-value store as raft's state machine: commands (`Command`) change rows (`Layout`) in a `Storage`. It is durable: the log may be truncated up
 * to what a `flush` has covered.
 */
import { StateMachine } from "@dkv/raft"
import type { Storage } from "@dkv/storage"
import { Context, Effect, Layer } from "effect"
import * as Command from "./Command.ts"
import { KvReader } from "./KvReader.ts"
import * as Layout from "./Layout.ts"
import * as Limits from "./Limits.ts"
import * as LocalRead from "./LocalRead.ts"
import * as Pages from "./Pages.ts"
import * as Store from "./Store.ts"
import { fromStorage } from "./StoreFailure.ts"
import * as StoreSnapshot from "./StoreSnapshot.ts"

export type Options = Store.Options

const make = Effect.fnUntraced(function*(options: Options) {
  const store = yield* Store.make(options)

  const recover = Effect.gen(function*() {
    yield* store.settled
    const head = yield* fromStorage(store.storage.get(Layout.raftHeadKey))
    const records: Array<readonly [key: Uint8Array, value: Uint8Array]> = []
    const to = Layout.endOf(Layout.prefix.records)
    let from: Uint8Array = Uint8Array.of(Layout.prefix.records)
    while (true) {
      const page = yield* Pages.read(store.storage, from, to, false)
      for (const row of page.rows) records.push([row.key.subarray(1), row.value])
      if (page.complete) return { head, records }
      from = Pages.behind(page.rows.at(-1)!.key)
    }
  })

  const machine = StateMachine.StateMachine.of({
    recover,
    apply: (commands, meta) => store.apply(commands, meta),
    batchShare: (data, start) => Command.deletesRange(data, start) ? 1 / Limits.batchRangeDeletesMax : 0,
    flush: Effect.andThen(store.settled, fromStorage(store.storage.flush)),
    snapshot: StoreSnapshot.reader(store),
    install: StoreSnapshot.writer(store)
  })
  const reader = KvReader.of({
    read: (ops, answerBytesMax) => LocalRead.read(store, ops, answerBytesMax),
    revision: Effect.sync(() => store.meta.revision)
  })
  return Context.make(StateMachine.StateMachine, machine).pipe(Context.add(KvReader, reader))
})

/**
 * The state machine and its `KvReader` over the `Storage` at hand, which must hold nothing else. Fails if the storage holds what this
 * program cannot read.
 */
export const layer = (options: Options = {}): Layer.Layer<
  StateMachine.StateMachine | KvReader,
  StateMachine.StateMachineError,
  Storage.Storage
> => Layer.effectContext(make(options))
