import { LogStore } from "@dkv/raft"
import { MemoryLog } from "@dkv/storage"
import { LogStoreContract } from "@dkv/testkit"
import { Run, Stack } from "@dkv/testkit/simulator"
import { Effect, Layer } from "effect"

/** A log that keeps all changes in a journal, from which it is built again on start, and is never shortened. */
const open = (journal: Array<LogStore.LogWrite>) =>
  Effect.gen(function*() {
    const medium = MemoryLog.makeMedium()
    yield* MemoryLog.makeOf(medium).write(journal)
    const log = MemoryLog.makeOf(medium)
    return {
      ...log,
      write: (changes: ReadonlyArray<LogStore.LogWrite>) =>
        Effect.map(log.write(changes), () => void journal.push(...changes)),
      compact: () => log.compact(0)
    }
  })

const proofs = Effect.forEach(LogStoreContract.cases, ({ run }) => Effect.scoped(run({ open: open([]) })))
await Effect.runPromise(proofs) // a broken rule fails or dies here

const log = () => ({ ...Stack.durable, layer: Layer.effect(LogStore.LogStore, open([])) })
console.log(Run.run(1, { stack: { ...Stack.kv, log } }).failure ?? "nothing wrong") // => nothing wrong
