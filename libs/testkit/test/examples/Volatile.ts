import { Entry, EntryKind, StateMachine, VolatileStateMachine } from "@dkv/raft"
import { MemorySnapshot } from "@dkv/storage"
import { Effect, Layer, Stream } from "effect"

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytes = (text: string) => new TextEncoder().encode(text)
let hits = new Map<string, number>()

/** Counts how often each word was proposed. */
const counter = Layer.succeed(VolatileStateMachine.VolatileStateMachine, {
  apply: (commands) =>
    Effect.sync(() =>
      commands.map(({ data }) => {
        const count = (hits.get(text(data)) ?? 0) + 1
        hits.set(text(data), count)
        return bytes(String(count))
      })
    ),
  capture: Effect.sync(() => Stream.fromIterable([...hits]).pipe(Stream.map((row) => bytes(JSON.stringify(row))))),
  restore: (chunks) =>
    Effect.map(Stream.runCollect(chunks), (rows) => void (hits = new Map(rows.map((row) => JSON.parse(text(row))))))
})

const state = VolatileStateMachine.layer.pipe(Layer.provide(counter), Layer.provide(MemorySnapshot.layer))
const program = Effect.gen(function*() {
  const machine = yield* StateMachine.StateMachine // what `RaftNode.layer` asks for
  const [count] = yield* machine.apply([Entry.make(1, 1, EntryKind.Command, bytes("hello"))], {
    head: bytes("raft's own"),
    changes: () => []
  })
  return text(count!)
})
console.log(await Effect.runPromise(Effect.provide(program, state))) // => 1
