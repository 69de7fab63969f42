/** A state machine over a `MapStorage`, driven as raft would drive it. */
import { Entry, EntryKind, StateMachine } from "@dkv/raft"
import { Storage } from "@dkv/storage"
import { Context, Effect, Layer } from "effect"
import * as Command from "../src/Command.ts"
import { type Kv, KvReader, KvStateMachine } from "../src/index.ts"
import * as Outcome from "../src/Outcome.ts"
import type { MapStorage } from "./MapStorage.ts"

export const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"))
export const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")

export const put = (key: string, value: string): Kv.WriteOp => ({ _tag: "Put", key: bytes(key), value: bytes(value) })
export const del = (key: string, end = ""): Kv.WriteOp => ({ _tag: "Delete", key: bytes(key), end: bytes(end) })
export const swap = (key: string, value: string, expected: number): Kv.WriteOp => ({
  _tag: "CompareAndSwap",
  key: bytes(key),
  value: bytes(value),
  expected
})
export const remove = (key: string, expected: number): Kv.WriteOp => ({
  _tag: "CompareAndDelete",
  key: bytes(key),
  expected
})
export const range = (key: string, end = "", options: { limit?: number; reverse?: boolean } = {}): Kv.RangeOp => ({
  key: bytes(key),
  end: bytes(end),
  limit: options.limit ?? 0,
  reverse: options.reverse ?? false
})

export interface Machine {
  readonly machine: StateMachine.StateMachine["Service"]
  readonly reader: KvReader["Service"]
  /** Applies the operations as one batch. */
  readonly apply: (
    ops: ReadonlyArray<Kv.WriteOp>
  ) => Effect.Effect<ReadonlyArray<Kv.WriteResult>, StateMachine.StateMachineError>
  readonly applyBytes: (
    commands: ReadonlyArray<Uint8Array>
  ) => Effect.Effect<ReadonlyArray<Uint8Array>, StateMachine.StateMachineError>
  /** Pairs `key=value@mod` and so on of one range. */
  readonly show: (op: Kv.RangeOp) => Effect.Effect<string, StateMachine.StateMachineError>
}

export const show = (result: Kv.RangeResult): string =>
  result._tag === "Invalid"
    ? result.reason
    : result.kvs.map((kv) => `${text(kv.key)}=${text(kv.value)}@${kv.createRevision}/${kv.modRevision}/${kv.version}`)
      .join(" ") + (result.more ? " …" : "")

/** Opens the state machine in the scope at hand; the entries that it applies are numbered from `index`. */
export const open = Effect.fnUntraced(function*(
  storage: MapStorage | Storage.Storage["Service"],
  options: KvStateMachine.Options & { readonly index?: number } = {}
) {
  const service = "service" in storage ? storage.service : storage
  const context = yield* Layer.build(
    KvStateMachine.layer({ lingerMillis: 0, ...options }).pipe(Layer.provide(Layer.succeed(Storage.Storage, service)))
  )
  const machine = Context.get(context, StateMachine.StateMachine)
  const reader = Context.get(context, KvReader)
  let index = options.index ?? 0
  const applyBytes: Machine["applyBytes"] = (commands) =>
    Effect.suspend(() => {
      const entries = commands.map((data) => Entry.make(++index, 1, EntryKind.Command, data))
      return machine.apply(entries, { head: bytes(`head ${index}`), changes: () => [] })
    })
  const opened: Machine = {
    machine,
    reader,
    applyBytes,
    apply: (ops) => Effect.map(applyBytes(Command.encodeAll(ops)), (outcomes) => outcomes.map(Outcome.decode)),
    show: (op) => Effect.map(reader.read([op]), ([result]) => show(result!))
  }
  return opened
})
